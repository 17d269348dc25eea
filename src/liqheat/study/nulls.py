"""Null models: what a map must beat before it may be called right.

    distance      how far the bar went; further sweeps more, whatever was there
    fresh range   how far it went beyond the extremes of the last 15 min, 1 h, 4 h and 24 h
    climatology   USD usually liquidated at that distance, learnt from the past
    window mean   a Laplace distribution around the mean price of the last three days
    profile       traded volume by price of the last seven days
    coinglass     +dOI opened at 10/25/50/100x, removed when swept
    naive         all volume opened at 10/25/50/100x, removed when swept

None looks at anything later than the bar or snapshot it speaks of; those which are fitted are
fitted on whole days before. But for the last, which asks what volume and open interest add, they
share nothing with the engine but the distance to liquidation, so a fault of the ledger cannot
hide in them.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression

from liqheat.jit import kernel
from liqheat.market.margin import liquidation_distance
from liqheat.market.units import DAY_MS
from liqheat.study.forecast import SNAPSHOT_MS, Forecast, Snapshots, model_forecast
from liqheat.study.market import Market, sweep_prices
from liqheat.study.metrics import REACH_ROWS, ROW

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Leverages the common public maps are drawn with, equally.
COMMON_LEVERAGES = (10.0, 25.0, 50.0, 100.0)
#: Windows of the fresh range [ms].
FRESH_MS = (900_000, 3_600_000, 14_400_000, DAY_MS)
PROFILE_MS, MEAN_MS = 7 * DAY_MS, 3 * DAY_MS
#: A row of the climatology counts once this many past windows touched it.
LEAST_TOUCHES = 5
#: Steps of the swept distance in which the climatology of sweeps is fitted, ln(price).
FINE, FINE_ROWS = 1e-4, 3000
HOUR_MS = 3_600_000
#: Width of a bin in which levels and volume are kept, ln(price); bins to a row of a scored map.
BIN = 1e-4
_PER_ROW = round(ROW / BIN)


def all_nulls(market: Market, snaps: Snapshots) -> list[Forecast]:
    """Return every null there are the data for (no open interest: no ``coinglass``)."""
    grid = _Grid(market)
    out = [
        Forecast("distance", "null", "swept distance alone", distance(market), usd=False),
        fresh_range(market, snaps),
        climatology(market, snaps),
        window_mean(market, snaps),
        grid.profile(snaps),
    ]
    if (market.bars.open_interest_qty > 0).any():
        out.append(grid.levels(
            "coinglass", "+dOI at 10/25/50/100x, removed when swept", _gains(market), snaps
        ))  # fmt: skip
    volume = _stable(market, market.bars.qty)
    words = "all volume at 10/25/50/100x, removed when swept"
    return [*out, grid.levels("naive", words, volume, snaps), price_path(market, snaps)]


def distance(market: Market) -> F64:
    """Return how far each bar went below and above the close before, in ln(price), (n, 2)."""
    low, high = sweep_prices(market.bars)
    before = np.concatenate([market.bars.open[:1], market.bars.close[:-1]])
    down, up = np.log(before / low), np.log(high / before)
    return np.asarray(np.maximum(np.stack([down, up], axis=1), 0.0))


def price_path(market: Market, snaps: Snapshots) -> Forecast:
    """Return the sharp map of a market of which only the prices are known.

    What it misses is what volume and open interest tell.
    """
    bars = market.bars
    plain = replace(
        bars, qty=np.ones(len(bars)), open_interest_qty=np.full(len(bars), np.nan)
    )
    found, _ = model_forecast(replace(market, bars=plain), snaps, "sharp")
    words = "the sharp map with the same volume in every bar"
    return Forecast("price path", "null", words, found.swept, found.maps, usd=False)


# -- fresh range ---------------------------------------------------------------------------


def fresh_range(market: Market, snaps: Snapshots) -> Forecast:
    """Return the sum over windows of how far each bar went beyond the window's extremes.

    As a map: at each price, in how many of the windows it has not been.
    """
    low, high = sweep_prices(market.bars)
    moved, maps = np.zeros((len(low), 2)), np.zeros((len(snaps.time_ms), 2 * REACH_ROWS))
    middles = (np.arange(2 * REACH_ROWS) - REACH_ROWS + 0.5) + snaps.centre[:, None]
    for window in FRESH_MS:
        n = max(1, window // market.bars.interval_ms)
        lowest, highest = _extreme(low, n, np.min), _extreme(high, n, np.max)
        moved[1:, 0] += np.maximum(np.log(lowest[:-1] / low[1:]), 0.0)
        moved[1:, 1] += np.maximum(np.log(high[1:] / highest[:-1]), 0.0)
        bottom, top = (np.log(x[snaps.bar])[:, None] / ROW for x in (lowest, highest))
        maps += (middles < bottom) | (middles > top)
    words = "new extremes of 15 min, 1 h, 4 h and 24 h"
    return Forecast("fresh range", "null", words, moved, maps, usd=False)


def _extreme(values: F64, n: int, of: np.ufunc | object) -> F64:
    """Return the least or largest of the last n values at each place, fewer at the start."""
    edge = np.full(n - 1, np.inf if of is np.min else -np.inf)
    windows = sliding_window_view(np.concatenate([edge, values]), n)
    return np.asarray(of(windows, axis=1))  # type: ignore[operator]


# -- fitted on the past --------------------------------------------------------------------


def _days(market: Market) -> list[tuple[int, int, int]]:
    """Return (day, first bar, bar after the last) of each UTC day with bars."""
    day = market.bars.start_ms // DAY_MS
    found, first = np.unique(day, return_index=True)
    stop = np.append(first[1:], len(day))
    return [(int(d), int(a), int(b)) for d, a, b in zip(found, first, stop, strict=True)]


def climatology(market: Market, snaps: Snapshots) -> Forecast:
    """Return what is usually liquidated at a distance, and nothing else.

    Sweeps: realised USD as a never falling function of the swept distance, over all bars of
    days before. Maps: mean USD liquidated in a row over windows of six hours which reached it.
    """
    went, realised = distance(market), market.realised()
    starts = market.bars.start_ms
    known = market.within(starts, starts + market.bars.interval_ms)
    bins = np.minimum(np.rint(went / FINE), FINE_ROWS - 1).astype(np.int64)
    moved = np.zeros_like(went)
    usd, count = np.zeros((2, FINE_ROWS)), np.zeros((2, FINE_ROWS))
    for _, first, stop in _days(market):
        today = known[first:stop]
        for side in (0, 1):
            seen = np.flatnonzero(count[side])
            if len(seen) > 1:
                fit = isotonic_regression(
                    usd[side, seen] / count[side, seen], weights=count[side, seen]
                ).x
                moved[first:stop, side] = np.interp(bins[first:stop, side], seen, fit)
            row = bins[first:stop, side][today]
            count[side] += np.bincount(row, minlength=FINE_ROWS)
            usd[side] += np.bincount(row, realised[first:stop, side][today], FINE_ROWS)
    return Forecast(
        "climatology", "null", "distance climatology, fitted on the past", moved,
        _climatology_maps(market, snaps),
    )  # fmt: skip


def _climatology_maps(market: Market, snaps: Snapshots) -> F64:
    starts, touched, usd = _windows(market)
    maps = np.zeros((len(snaps.time_ms), 2 * REACH_ROWS))
    cached: dict[int, F64] = {}
    for t, time in enumerate(snaps.time_ms):
        day = int(time) // DAY_MS
        if day not in cached:
            past = starts + SNAPSHOT_MS <= day * DAY_MS
            cached[day] = _profile(touched[past].sum(axis=0), usd[past].sum(axis=0))
        maps[t] = cached[day]
    return maps


def _windows(market: Market) -> tuple[I64, F64, F64]:
    """Return hourly starts of six-hour windows, rows touched, and USD by row of distance.

    The latter two of shape (w, 2 * REACH_ROWS), laid out as a map is: the price in the middle.
    """
    bars, reach = market.bars, REACH_ROWS
    first = -(-int(bars.start_ms[0] + 1) // HOUR_MS) * HOUR_MS
    starts = np.arange(first, market.end_ms - SNAPSHOT_MS + 1, HOUR_MS, dtype=np.int64)
    starts = starts[market.within(starts, starts + SNAPSHOT_MS)]
    index, known = market.bar_of(starts - 1)
    starts, index = starts[known], index[known]
    low, high = sweep_prices(bars)
    stop = np.searchsorted(bars.start_ms, starts + SNAPSHOT_MS)
    touched, usd = np.zeros((len(starts), 2 * reach)), np.zeros((len(starts), 2 * reach))
    events = market.liquidations
    at, inside = market.bar_of(events.event_ms)
    price = np.where(np.isfinite(events.mark_price), events.mark_price, bars.close[at])
    rows = np.arange(2 * reach) - reach
    for w, (start, a, b) in enumerate(zip(starts, index, stop, strict=True)):
        if b <= a + 1:
            continue
        here = np.log(bars.close[a])
        lowest = (np.log(low[a + 1 : b].min()) - here) / ROW
        highest = (np.log(high[a + 1 : b].max()) - here) / ROW
        touched[w] = (rows + 1 > lowest) & (rows < highest)
        i, j = np.searchsorted(events.event_ms, (start, start + SNAPSHOT_MS))
        row = np.floor((np.log(price[i:j]) - here) / ROW).astype(np.int64) + reach
        good = inside[i:j] & (row >= 0) & (row < 2 * reach)
        usd[w] = np.bincount(row[good], events.notional_usd[i:j][good], 2 * reach)
    return starts, touched, usd


def _profile(touches: F64, usd: F64) -> F64:
    """Return mean USD by row; rows hardly ever reached take their inner neighbours' mean."""
    out = np.zeros(2 * REACH_ROWS)
    for outwards in (np.arange(REACH_ROWS)[::-1], np.arange(REACH_ROWS, 2 * REACH_ROWS)):
        enough = int((np.cumprod(touches[outwards] >= LEAST_TOUCHES)).sum())
        if enough == 0:
            continue
        near, far = outwards[:enough], outwards[enough:]
        out[near] = usd[near] / touches[near]
        out[far] = out[near[-10:]].mean()
    return out


def window_mean(market: Market, snaps: Snapshots) -> Forecast:
    """Return a Laplace distribution around the mean log price of the last three days.

    Its width is the mean distance of past liquidations from that mean, its size such that past
    sweeps add up to past liquidations.
    """
    bars = market.bars
    n = max(1, MEAN_MS // bars.interval_ms)
    logs = np.log(bars.close)
    total = np.concatenate([[0.0], np.cumsum(logs)])
    stop = np.arange(1, len(logs) + 1)
    start = np.maximum(stop - n, 0)
    mean = (total[stop] - total[start]) / (stop - start)
    width = _widths(market, mean)
    moved = np.zeros((len(logs), 2))
    for side, shares in enumerate(_laplace_swept(market, mean, width)):
        moved[:, side] = shares
    size = _sizes(market, moved)
    middles = (np.arange(2 * REACH_ROWS) - REACH_ROWS + 0.5 + snaps.centre[:, None]) * ROW
    away, wide = mean[snaps.bar][:, None], width[snaps.bar][:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        maps = np.exp(-np.abs(middles - away) / wide) * ROW / (2 * wide)
    maps = np.nan_to_num(maps) * size[snaps.bar][:, None]
    words = "Laplace around the three-day mean price, fitted on the past"
    return Forecast("window mean", "null", words, moved * size[:, None], maps)


def _widths(market: Market, mean: F64) -> F64:
    """Return, at each bar, the mean distance of liquidations of days before from the mean."""
    events = market.liquidations
    at, inside = market.bar_of(events.event_ms)
    price = np.where(
        np.isfinite(events.mark_price), events.mark_price, market.bars.close[at]
    )
    away = np.abs(np.log(price) - mean[np.maximum(at - 1, 0)])
    usd = np.where(inside, events.notional_usd, 0.0)
    weighted, plain = np.zeros(len(market.bars)), np.zeros(len(market.bars))
    np.add.at(weighted, at, usd * away)
    np.add.at(plain, at, usd)
    return _past_ratio(market, weighted, plain)


def _past_ratio(market: Market, above: F64, below: F64) -> F64:
    """Return sum(above) / sum(below) over days before each bar's, NaN before there are any."""
    out = np.full(len(above), np.nan)
    for _, first, stop in _days(market):
        total = below[:first].sum()
        if total > 0:
            out[first:stop] = above[:first].sum() / total
    return out


def _laplace_swept(market: Market, mean: F64, width: F64) -> tuple[F64, F64]:
    low, high = (np.log(x) for x in sweep_prices(market.bars))
    before = np.log(market.bars.close)[:-1]
    out = (np.zeros(len(low)), np.zeros(len(low)))
    with np.errstate(invalid="ignore", divide="ignore"):

        def share(at: F64) -> F64:
            z = (at - mean[:-1]) / width[1:]
            tail = 0.5 * np.exp(-np.abs(z))
            return np.where(z < 0, tail, 1 - tail)

        here = share(before)
        out[0][1:] = np.nan_to_num(np.maximum(here - share(low[1:]), 0.0))
        out[1][1:] = np.nan_to_num(np.maximum(share(high[1:]) - here, 0.0))
    return out


def _sizes(market: Market, moved: F64) -> F64:
    starts = market.bars.start_ms
    known = market.within(starts, starts + market.bars.interval_ms)
    realised = market.realised().sum(axis=1) * known
    size = _past_ratio(market, realised, moved.sum(axis=1) * known)
    return np.nan_to_num(size)


# -- levels and volume by price ------------------------------------------------------------


def _stable(market: Market, qty: F64) -> F64:
    """Return a base quantity in the unit which does not move with the price."""
    return qty * market.bars.close if market.instrument.is_inverse else qty


def _gains(market: Market) -> F64:
    """Return each rise of open interest, in the bar whose reading shows it."""
    interest = _stable(market, market.bars.open_interest_qty)
    rows = np.flatnonzero(interest > 0)
    out = np.zeros(len(interest))
    out[rows[1:]] = np.maximum(np.diff(interest[rows]), 0.0)
    return out


class _Grid:
    """A market's prices as bins of 1 bp, for the nulls which keep something by price."""

    def __init__(self, market: Market) -> None:
        bars = market.bars
        low, high = sweep_prices(bars)
        self.market = market
        # A fifth beyond all prices: levels further out than that are swept by no bar.
        bottom = math.log(min(low.min(), bars.low.min())) - 0.2
        top = math.log(max(high.max(), bars.high.max())) + 0.2
        self.base = math.floor(bottom / ROW) * _PER_ROW
        end = math.ceil(top / ROW) * _PER_ROW
        self.price = np.exp((np.arange(self.base, end) + 0.5) * BIN)
        self.low, self.high = self._bins(low), self._bins(high)
        self.close, self.mean = (
            self._bins(bars.close), self._bins(0.25 * (bars.high + bars.low + 2 * bars.close)),
        )  # fmt: skip

    def _bins(self, price: F64) -> I64:
        return np.floor(np.log(price) / BIN).astype(np.int64) - self.base

    def _first_bins(self, snaps: Snapshots) -> I64:
        return (snaps.centre - REACH_ROWS) * _PER_ROW - self.base

    def levels(self, name: str, words: str, opened: F64, snaps: Snapshots) -> Forecast:
        """Return the map of what is opened at the common leverages and removed when swept."""
        instrument = self.market.instrument
        pairs = [liquidation_distance(instrument, level) for level in COMMON_LEVERAGES]
        away = np.rint(np.array(pairs) / BIN).astype(np.int64)
        usd = np.ones_like(self.price) if instrument.is_inverse else self.price
        moved, maps = (
            np.zeros((len(opened), 2)),
            np.zeros((len(snaps.time_ms), 2 * REACH_ROWS)),
        )
        _keep_levels(
            opened / len(pairs), self.mean, self.low, self.high, self.close, away, usd,
            snaps.bar, self._first_bins(snaps), moved, maps,
        )  # fmt: skip
        return Forecast(name, "null", words, moved, maps)

    def profile(self, snaps: Snapshots) -> Forecast:
        """Return traded USD by price of the last seven days, as a map that is never swept."""
        bars = self.market.bars
        low, high = self._bins(bars.low), self._bins(bars.high)
        window = max(1, PROFILE_MS // bars.interval_ms)
        moved, maps = (
            np.zeros((len(bars), 2)),
            np.zeros((len(snaps.time_ms), 2 * REACH_ROWS)),
        )
        _keep_profile(
            bars.qty * bars.close, low, high, self.low, self.high, self.close, window,
            len(self.price), snaps.bar, self._first_bins(snaps), moved, maps,
        )  # fmt: skip
        words = "volume by price of seven days"
        return Forecast("profile", "null", words, moved, maps, usd=False)


@kernel
def _show(held: F64, first: int, out: F64) -> None:
    for row in range(len(out)):
        for b in range(first + row * _PER_ROW, first + (row + 1) * _PER_ROW):
            if 0 <= b < len(held):
                out[row] += held[b]


@kernel
def _keep_levels(
    opened: F64, mean: I64, low: I64, high: I64, close: I64, away: I64, usd: F64,
    snap_bar: I64, snap_first: I64, moved: F64, maps: F64,
) -> None:  # fmt: skip
    """Open, keep and sweep; write USD swept per bar and the maps after the snapshots' bars."""
    held = np.zeros(len(usd))
    here, t = close[0], 0
    for i in range(len(opened)):
        for b in range(min(low[i], here), max(high[i], here) + 1):
            if b < here:
                moved[i, 0] += held[b] * usd[b]
            else:
                moved[i, 1] += held[b] * usd[b]
            held[b] = 0.0
        here = close[i]
        if opened[i] > 0.0:
            for k in range(away.shape[0]):
                below, above = mean[i] - away[k, 0], mean[i] + away[k, 1]
                if 0 <= below < here:
                    held[below] += opened[i]
                if here < above < len(held):
                    held[above] += opened[i]
        while t < len(snap_bar) and snap_bar[t] == i:
            _show(held * usd, snap_first[t], maps[t])
            t += 1


@kernel
def _keep_profile(
    usd: F64, low: I64, high: I64, sweep_low: I64, sweep_high: I64, close: I64, window: int,
    size: int, snap_bar: I64, snap_first: I64, moved: F64, maps: F64,
) -> None:  # fmt: skip
    """Spread each bar's volume over its range for as long as the window; sum what is swept."""
    held = np.zeros(size)
    t = 0
    for i in range(len(usd)):
        here = close[i - 1] if i > 0 else close[0]
        for b in range(sweep_low[i], here):
            moved[i, 0] += max(held[b], 0.0)
        for b in range(here, sweep_high[i] + 1):
            moved[i, 1] += max(held[b], 0.0)
        share = usd[i] / (high[i] - low[i] + 1)
        for b in range(low[i], high[i] + 1):
            held[b] += share
        if i >= window:
            old = i - window
            share = usd[old] / (high[old] - low[old] + 1)
            for b in range(low[old], high[old] + 1):
                held[b] -= share
        while t < len(snap_bar) and snap_bar[t] == i:
            _show(np.maximum(held, 0.0), snap_first[t], maps[t])
            t += 1
