"""The protocol: score every model and null on a market, in the same table.

    against the truth      the map at six-hourly snapshots beside the really open positions
                           (simulated markets only)
    against what happened  per bar and side, USD swept on the map before the bar beside USD
                           liquidated in it, inside covered intervals

Everything is prequential: a column, a weight and a fitted null use nothing later than the bar
they speak of. Results are plain structs; ``report`` makes tables and pages of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION
from liqheat.engine.heatmap import Model
from liqheat.errors import UnavailableError
from liqheat.market.units import DAY_MS
from liqheat.study import metrics
from liqheat.study.bands import LEVELS, hour_bands, zone_inside
from liqheat.study.figures import Estimate
from liqheat.study.forecast import (
    SNAPSHOT_MS,
    Forecast,
    Snapshots,
    model_forecast,
    snapshots,
)
from liqheat.study.market import Bools, Market, sweep_prices
from liqheat.study.metrics import Blocks
from liqheat.study.nulls import all_nulls

F64 = NDArray[np.float64]

HOUR_MS = 3_600_000
#: Fewer scored bars than this are no score.
LEAST_BARS = 100
#: What every model is compared with, draw by draw.
RIVALS = ("coinglass", "fresh range", "price path")
#: Bars in the slices of a table (exchange, month, stretch) must be at least so many.
LEAST_SLICE_BARS = 50
#: Covered intervals further apart than this belong to two stretches.
STRETCH_MS = 6 * HOUR_MS

Note = Callable[[str], None]


class Row(msgspec.Struct):
    """One model or null: figures by the name of the measure; (value, low, high), NaN unknown."""

    name: str
    kind: str
    words: str
    figures: dict[str, Estimate]


class Table(msgspec.Struct):
    """All models and nulls on the same bars or snapshots."""

    title: str
    bars: int
    blocks: int
    block_days: int
    realised_usd: float
    rows: list[Row]

    def row(self, name: str) -> Row | None:
        """Return a row by its name."""
        return next((row for row in self.rows if row.name == name), None)


class Result(msgspec.Struct):
    """All that was found on one market."""

    market: str
    instrument: str
    source: str
    model_version: str
    start_ms: int
    end_ms: int
    covered_days: float
    events: int
    completeness: str
    happened: Table
    truth: Table | None = None
    slices: list[Table] = []
    notes: list[str] = []


def score_market(
    market: Market, models: Sequence[Model], *, seed: int = 1, note: Note = lambda _: None
) -> tuple[Result, list[Forecast], Snapshots]:
    """Score models and all nulls on one market.

    Parameters
    ----------
    market : Market
        Real or simulated.
    models : sequence of str
        Models to score.
    seed : int
        Of the bootstrap.
    note : callable, optional
        Told what is being done.

    Raises
    ------
    UnavailableError
        Too few bars lie in covered intervals.
    """
    scored = market.scored()
    if scored.sum() < LEAST_BARS:
        raise UnavailableError(
            f"only {int(scored.sum())} bars of {market.name} lie where liquidations were "
            f"recorded and scoring may begin; {LEAST_BARS} are needed"
        )
    snaps = snapshots(market)
    forecasts = []
    for model in models:
        note(f"{market.name}: {model}")
        forecasts.append(model_forecast(market, snaps, model)[0])
    note(f"{market.name}: nulls")
    forecasts += all_nulls(market, snaps)
    note(f"{market.name}: measures")
    truth = None
    if market.truth is not None:
        truth = score_truth(market, forecasts, snaps)
    starts = market.bars.start_ms[scored]
    result = Result(
        market=market.name, instrument=market.instrument.name, source=market.source,
        model_version=MODEL_VERSION, start_ms=int(starts[0]),
        end_ms=int(starts[-1]) + market.bars.interval_ms,
        covered_days=float(scored.sum() * market.bars.interval_ms / DAY_MS),
        events=len(market.liquidations), completeness=market.liquidations.completeness,
        happened=score_happened(market, forecasts, scored, "all", seed=seed), truth=truth,
        slices=_slices(market, forecasts, scored, seed), notes=caveats(market),
    )  # fmt: skip
    return result, forecasts, snaps


def caveats(market: Market) -> list[str]:
    """Return what must be said beside any figure of a market."""
    out = []
    if market.liquidations.completeness != "full":
        out.append(
            f"the feed is {market.liquidations.completeness}: realised USD are a lower bound, so "
            "realised/predicted is too low by an unknown factor"
        )
    if market.left_out:
        out.append(f"{market.left_out} liquidations of an impossible price are left out")
    if not np.isfinite(market.bars.mark_low).any():
        out.append("no mark prices: sweeps are judged by the traded range")
    return out


# -- against what happened -----------------------------------------------------------------


def score_happened(
    market: Market, forecasts: Sequence[Forecast], scored: Bools, title: str,
    *, exchange: str | None = None, seed: int = 1,
) -> Table:  # fmt: skip
    """Return how forecasts ranked and sized what was liquidated, per bar and side.

    Parameters
    ----------
    scored : ndarray of shape (n,), bool
        Bars which count.
    exchange : str, optional
        Liquidations of one exchange only.
    """
    realised = market.realised(exchange)[scored]
    starts = market.bars.start_ms[scored]
    y = realised.ravel()
    blocks = metrics.make_blocks(np.repeat(starts, 2), seed=seed)
    columns = [metrics.ranks(y)]
    columns += [metrics.ranks(control) for control in _controls(market, forecasts, scored)]
    values = {f.name: f.swept[scored].ravel() for f in forecasts}
    columns += [metrics.ranks(values[f.name]) for f in forecasts]
    moments = blocks.moments(np.stack(columns, axis=1))
    drawn: dict[str, dict[str, F64]] = {}
    for i, forecast in enumerate(forecasts):
        drawn[forecast.name] = _rank_draws(moments, 5 + i)
        learnt = np.repeat(_learnt(forecast, starts), 2)
        drawn[forecast.name] |= _usd_draws(
            forecast, values[forecast.name], y, learnt, blocks
        )
    hours = hours_of(market, scored)
    for forecast in forecasts:
        drawn[forecast.name] |= _hour_draws(forecast, scored, realised, hours, seed)
        if forecast.weights and exchange is None:
            spread = _spread_draws(market, forecast, realised, hours, seed)
            drawn[forecast.name] |= spread
    rows = [Row(f.name, f.kind, f.words, _estimates(f.name, drawn)) for f in forecasts]
    return Table(title, len(y), blocks.count, blocks.days, float(y.sum()), rows)


def _controls(market: Market, forecasts: Sequence[Forecast], scored: Bools) -> list[F64]:
    """Return what a partial correlation holds fixed: distance, volume, fresh range."""
    by_name = {f.name: f.swept for f in forecasts}
    volume = np.repeat(market.bars.qty[:, None], 2, axis=1)
    three = (by_name["distance"], volume, by_name["fresh range"])
    return [values[scored].ravel() for values in three]


def _rank_draws(moments: F64, x: int) -> dict[str, F64]:
    """Return Spearman's rho, plain and partial; columns are y, distance, volume, fresh, x..."""
    y, away, volume, fresh = 1, 2, 3, 4
    return {
        "rho": metrics.partials(moments, y, x, []),
        "partial": metrics.partials(moments, y, x, [away, volume]),
        "hard": metrics.partials(moments, y, x, [away, volume, fresh]),
    }


def _learnt(forecast: Forecast, start_ms: NDArray[np.int64]) -> Bools:
    """Return where a forecast is in the USD it learnt; everywhere, if it learns nothing."""
    if not forecast.weights:
        return np.ones(len(start_ms), dtype=bool)
    return np.asarray(start_ms >= forecast.weights[0].as_of_ms)


def _usd_draws(
    forecast: Forecast, x: F64, y: F64, learnt: Bools, blocks: Blocks
) -> dict[str, F64]:
    top = np.zeros(len(x))
    top[np.argsort(-x, kind="stable")[: len(x) // 10]] = 1.0
    sums = blocks.sums(np.stack([y, y * top, x * learnt, y * learnt], axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        out = {"top10": sums[:, 1] / sums[:, 0]}
        if forecast.usd:
            out["rp"] = sums[:, 3] / sums[:, 2]
    return out


def hours_of(market: Market, scored: Bools) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return (hour of each scored bar by number, start of each), whole hours only; else -1."""
    starts = market.bars.start_ms[scored]
    hour, of, count = np.unique(starts // HOUR_MS, return_inverse=True, return_counts=True)
    whole = count == HOUR_MS // market.bars.interval_ms
    number = np.where(whole, np.cumsum(whole) - 1, -1)
    return number[of], hour[whole] * HOUR_MS


def by_hour(values: F64, hours: tuple[NDArray[np.int64], NDArray[np.int64]]) -> F64:
    """Return sums (h, 2) over whole hours of values (scored bars, 2)."""
    of, start_ms = hours
    out = np.zeros((len(start_ms), 2))
    np.add.at(out, of[of >= 0], values[of >= 0])
    return out


def _hour_draws(
    forecast: Forecast, scored: Bools, realised: F64,
    hours: tuple[NDArray[np.int64], NDArray[np.int64]], seed: int,
) -> dict[str, F64]:  # fmt: skip
    if len(hours[1]) < 24:
        return {}
    x, y = by_hour(forecast.swept[scored], hours), by_hour(realised, hours)
    blocks = metrics.make_blocks(np.repeat(hours[1], 2), seed=seed)
    return {"slope": metrics.log_slope(x.ravel(), y.ravel(), blocks)}


def _spread_draws(
    market: Market, forecast: Forecast, realised: F64,
    hours: tuple[NDArray[np.int64], NDArray[np.int64]], seed: int,
) -> dict[str, F64]:  # fmt: skip
    """Return how often hours lay in their bands, and the log score."""
    if forecast.evidence is None:
        return {}
    bands = hour_bands(market, forecast.weights, forecast.evidence, hours[1])
    if len(bands.start_ms) < 24:
        return {}
    usd = by_hour(realised, hours)[np.isin(hours[1], bands.start_ms)]
    score, low, high = metrics.gamma_score(usd, bands.mean, bands.variance, bands.floor)
    inside = [metrics.inside(low, high, level) for level in LEVELS]
    blocks = metrics.make_blocks(np.repeat(bands.start_ms, 2), seed=seed)
    values = np.stack([np.ones(score.size), score.ravel(), *(i.ravel() for i in inside)], 1)
    sums = blocks.sums(values)
    means = sums[:, 1:] / sums[:, :1]
    names = ["gamma", *(f"cover{round(level * 100)}" for level in LEVELS)]
    return dict(zip(names, means.T, strict=True))


def _estimates(name: str, drawn: dict[str, dict[str, F64]]) -> dict[str, Estimate]:
    out = {measure: metrics.interval(draws) for measure, draws in drawn[name].items()}
    for rival in RIVALS:
        if rival in drawn and rival != name:
            for measure in ("rho", "partial", "top10"):
                gain = drawn[name][measure] - drawn[rival][measure]
                out[f"{measure} - {rival}"] = metrics.interval(gain)
    return out


# -- slices --------------------------------------------------------------------------------


def _slices(
    market: Market, forecasts: Sequence[Forecast], scored: Bools, seed: int
) -> list[Table]:
    """Return tables by exchange, month and stretch of recording, where there are several."""
    if market.source == "simulated":
        return []
    starts = market.bars.start_ms
    month = starts.astype("datetime64[ms]").astype("datetime64[M]")
    names = np.unique(market.exchanges)
    parts: list[tuple[str, Bools, str | None]] = [
        (f"exchange {name}", scored, str(name)) for name in names if len(names) > 1
    ]
    parts += [(f"month {m}", scored & (month == m), None) for m in np.unique(month[scored])]
    parts += [
        (f"stretch {_day(a)} to {_day(b)}", scored & (starts >= a) & (starts < b), None)
        for a, b in stretches(market.covered)
    ]
    out = []
    for title, mask, exchange in parts:
        if mask.sum() < LEAST_SLICE_BARS:
            continue
        if exchange is None and mask.sum() == scored.sum():
            continue
        out.append(score_happened(
            market, forecasts, mask, title, exchange=exchange, seed=seed
        ))  # fmt: skip
    return out


def stretches(covered: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return covered intervals joined over holes of less than six hours.

    >>> stretches([(0, 10), (20, 30), (30_000_000, 30_000_010)])
    [(0, 30), (30000000, 30000010)]
    """
    out: list[tuple[int, int]] = []
    for start, end in covered:
        if out and start - out[-1][1] < STRETCH_MS:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out


def _day(time_ms: int) -> str:
    return str(np.datetime64(time_ms, "ms").astype("datetime64[h]"))


# -- against the truth ---------------------------------------------------------------------


def score_truth(market: Market, forecasts: Sequence[Forecast], snaps: Snapshots) -> Table:
    """Return how near each map is to the really open positions, over all snapshots.

    One run is one value: intervals come from many runs, not from within one.
    """
    assert market.truth is not None  # noqa: S101 -- asked for by the caller
    pairs = [
        market.truth(snaps.edges(t), int(snaps.time_ms[t]))
        for t in range(len(snaps.time_ms))
    ]
    true = np.array([long + short for long, short in pairs])
    windows = _swept_windows(market, snaps)
    oracle = Forecast(
        "oracle distance", "null", "the mean true map by distance: knows the truth",
        np.zeros((len(market.bars), 2)), np.repeat(true.mean(axis=0)[None], len(true), axis=0),
    )  # fmt: skip
    rows = []
    for forecast in [*forecasts, oracle]:
        if forecast.maps is not None and len(true):
            figures = _map_figures(forecast, true) | _window_figures(forecast.maps, windows)
            if forecast.weights:
                inside, ratio = zone_inside(market, forecast.weights, snaps, true)
                figures["conv"] = ratio
                for level, held in inside.items():
                    figures[f"zone{round(level * 100)}"] = (
                        float(held.mean()) if len(held) else math.nan
                    )
            rows.append(Row(
                forecast.name, forecast.kind, forecast.words,
                {name: Estimate(value) for name, value in figures.items()},
            ))  # fmt: skip
    return Table("truth", len(true), 1, 0, float(true.sum()), rows)


def _map_figures(forecast: Forecast, true: F64) -> dict[str, float]:
    made = forecast.maps
    assert made is not None  # noqa: S101 -- checked by the caller
    pairs = list(zip(made, true, strict=True))

    reach = metrics.REACH_ROWS
    sides = [
        (a[side], b[side])
        for a, b in pairs
        for side in (slice(0, reach), slice(reach, None))
    ]

    def mean(
        of: Callable[[F64, F64], float], over: Sequence[tuple[F64, F64]] = pairs
    ) -> float:
        values = np.array([of(a, b) for a, b in over])
        return float(np.nanmean(values)) if np.isfinite(values).any() else math.nan

    out = {
        "r": mean(metrics.pearson),
        "turned": mean(lambda a, b: metrics.pearson(a[::-1], b)),
        "acc": metrics.pearson(
            metrics.log_anomalies(made).ravel(), metrics.log_anomalies(true).ravel()
        ) if made.any() else math.nan,
        # By side: a long's level moved across the price would be another thing.
        "emd": mean(metrics.earth_mover, sides),
        "top5": mean(metrics.top_hits, sides),
        "peaks": mean(metrics.peak_hits, sides),
        "cap20": mean(metrics.captured),
    }  # fmt: skip
    if forecast.usd:
        sums = made.sum(axis=1), true.sum(axis=1)
        both = (sums[0] > 0) & (sums[1] > 0)
        if both.any():
            out["usd"] = float(np.exp(np.log(sums[0][both] / sums[1][both]).mean()))
    return out


class _Windows(msgspec.Struct):
    """What happened in the six hours after each snapshot."""

    went: F64  # [t, 2] rows swept
    usd: F64  # [t, 2] liquidated
    rows: F64  # [t, 2 * REACH_ROWS] liquidated, by row


def _swept_windows(market: Market, snaps: Snapshots) -> _Windows:
    bars, events, reach = market.bars, market.liquidations, metrics.REACH_ROWS
    low, high = sweep_prices(bars)
    n = len(snaps.time_ms)
    went, usd, rows = np.zeros((n, 2)), np.zeros((n, 2)), np.zeros((n, 2 * reach))
    at, _ = market.bar_of(events.event_ms)
    price = np.where(np.isfinite(events.mark_price), events.mark_price, bars.close[at])
    row = np.floor(np.log(price) / metrics.ROW).astype(np.int64)
    for t, time in enumerate(snaps.time_ms):
        first = snaps.bar[t] + 1
        stop = np.searchsorted(bars.start_ms, time + SNAPSHOT_MS)
        here = math.log(bars.close[snaps.bar[t]])
        went[t, 0] = max(here - math.log(low[first:stop].min()), 0.0) / metrics.ROW
        went[t, 1] = max(math.log(high[first:stop].max()) - here, 0.0) / metrics.ROW
        i, j = np.searchsorted(events.event_ms, (time, time + SNAPSHOT_MS))
        side = np.where(events.is_long[i:j], 0, 1)
        usd[t] = np.bincount(side, events.notional_usd[i:j], 2)
        place = row[i:j] - snaps.centre[t] + reach
        inside = (place >= 0) & (place < 2 * reach)
        rows[t] = np.bincount(place[inside], events.notional_usd[i:j][inside], 2 * reach)
    return _Windows(went, usd, rows)


def _window_figures(maps: F64, windows: _Windows) -> dict[str, float]:
    """Return prho6 and the location score of one map."""
    reach = metrics.REACH_ROWS
    ahead = np.zeros(windows.went.shape)
    scores = np.zeros(2)
    for t, (down, up) in enumerate(np.ceil(windows.went).astype(np.int64)):
        spans = (
            slice(max(reach - down, 0), reach),
            slice(reach, min(reach + up, 2 * reach)),
        )
        for side, span in enumerate(spans):
            ahead[t, side] = maps[t, span].sum()
            scores += metrics.location_score(maps[t, span], windows.rows[t, span])
    rho = metrics.partial(
        metrics.ranks(windows.usd.ravel()), metrics.ranks(ahead.ravel()),
        [metrics.ranks(windows.went.ravel())],
    )  # fmt: skip
    place = float(scores[0] / scores[1]) if scores[1] > 0 else math.nan
    return {"prho6": rho, "location": place}
