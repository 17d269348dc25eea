"""Numba loops of the ledger: sweep, decay, deposit, render. Called by ``heatmap`` and ``live``.

The ledger keeps, per component k, the open quantity by liquidation price. Bins are absolute:
bin b covers ln(price) in [b, b+1) * LOG_BIN whatever the history, so two ledgers agree on them.
One array serves both sides, because a level below the mark price can only be a long's and one
above it only a short's; ``BOUNDARY``, the bin of the last mark close, parts them and is empty.

    bins      base ........ long levels ....... BOUNDARY ....... short levels ........ base+N
    sweep     everything between the old boundary and the bar's mark low / high becomes 0
    decay     scale[k] *= exp(-dt / tau[k]); the true quantity is mass[k, b] * scale[k]
    deposit   opened / scale[k] * kernel, only where the bin lies beyond the mark close

The window shifts in whole bins when the price leaves its middle half; what falls off the end is
more than half the price away and returns to the residual class.

Every loop runs in one fixed order and allocates nothing, so batch and live agree to the bit.
Axis letters: ``k`` component, ``b`` internal bin, ``g`` tier, ``p`` displayed bin, ``t`` column.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.flow import N_FLOW, OPEN_INTEREST, opened
from liqheat.engine.leverage import LOG_BIN, N_BINS, Bank
from liqheat.jit import kernel

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Places in ``Ledger.place``.
BASE, BOUNDARY, STARTED, END_MS = 0, 1, 2, 3

#: Below this scale a component is renormalised, and quantities under ``DUST`` dropped.
RENORMALISE = 1e-9
DUST = 1e-9

#: A bar's range times this against a kernel's bins: is the bar wider than two standard
#: deviations of the kernel (a quarter of its bins)?
BAR_TO_KERNEL = 4

#: Levels may hold at most this share of one side's open interest; the rest is at least the
#: unlevered and hedged class (market makers, basis trades).
MAX_LEVEL_SHARE = 0.85

#: Places in the account row that ``render`` writes.
LEVEL_LONG, LEVEL_SHORT, OUTSIDE_LONG, OUTSIDE_SHORT, CAPPED = 0, 1, 2, 3, 4
N_ACCOUNT = 5


class Ledger(NamedTuple):
    """State of one instrument under one bank; changed in place by ``step``."""

    mass: F64  # [k, b] quantity over scale, stable units
    scale: F64  # [k] lazy decay
    span: I64  # [k, 2] window indices [low, high) that may hold something
    bin_price: F64  # [b] USD per stable unit in the window's bins
    swept: F64  # [k, 2] quantity the last step consumed, long and short
    place: I64  # BASE, BOUNDARY, STARTED, END_MS
    flow: F64  # see flow.py


class Rows(NamedTuple):
    """The displayed price bins, as overlaps with internal ones."""

    first: I64  # [p] first internal bin (absolute)
    last: I64  # [p] last internal bin, inclusive
    offset: I64  # [p] where its shares begin
    share: F64  # fraction of each internal bin that lies in the displayed bin
    pair: F64  # [2, p] the same for rows of one or two bins; empty where some have more
    ends: F64  # (lowest, highest) edge in internal bins


class Scratch(NamedTuple):
    """Working memory of ``render``."""

    level: F64  # [g, b]; one more than the window, so that a pair may overhang
    span: I64  # [g, 2]


def new_ledger(bank: Bank) -> Ledger:
    """Return an empty ledger for a bank."""
    k = len(bank.weight)
    return Ledger(
        mass=np.zeros((k, N_BINS)),
        scale=np.ones(k),
        span=np.zeros((k, 2), np.int64),
        bin_price=np.ones(N_BINS),
        swept=np.zeros((k, 2)),
        place=np.zeros(4, np.int64),
        flow=np.array([np.nan] + [0.0] * (N_FLOW - 1)),
    )


def new_scratch(n_tiers: int) -> Scratch:
    """Return working memory for rendering so many tiers."""
    return Scratch(np.zeros((n_tiers, N_BINS + 1)), np.zeros((n_tiers, 2), np.int64))


@kernel
def bin_of(price: float) -> int:
    """Return the absolute internal bin of a price."""
    return math.floor(math.log(price) / LOG_BIN)


@kernel
def _place_window(ledger: Ledger, boundary: int, inverse: bool) -> None:
    """Shift the window so that ``boundary`` is in its middle; lose what falls off."""
    place, mass = ledger.place, ledger.mass
    base = boundary - N_BINS // 2
    shift = base - place[BASE]
    if place[STARTED] == 1:
        for k in range(mass.shape[0]):
            low = max(ledger.span[k, 0] - shift, 0)
            high = min(ledger.span[k, 1] - shift, N_BINS)
            if low >= high:
                mass[k, :] = 0.0
                low = high = 0
            elif shift > 0:
                for b in range(low, high):
                    mass[k, b] = mass[k, b + shift]
                mass[k, :low] = 0.0
                mass[k, high:] = 0.0
            else:
                for b in range(high - 1, low - 1, -1):
                    mass[k, b] = mass[k, b + shift]
                mass[k, :low] = 0.0
                mass[k, high:] = 0.0
            ledger.span[k, 0], ledger.span[k, 1] = low, high
    place[BASE] = base
    if not inverse:
        for b in range(N_BINS):
            ledger.bin_price[b] = math.exp((base + b + 0.5) * LOG_BIN)


@kernel
def _sweep(ledger: Ledger, low_bin: int, high_bin: int) -> None:
    """Zero the bins the mark price went through; write what was there to ``swept``."""
    mass, scale, span, swept = ledger.mass, ledger.scale, ledger.span, ledger.swept
    base, boundary = ledger.place[BASE], ledger.place[BOUNDARY]
    start, stop = min(low_bin, boundary) - base, max(high_bin, boundary) + 1 - base
    middle = boundary - base
    for k in range(mass.shape[0]):
        long_qty = short_qty = 0.0
        for b in range(max(start, span[k, 0]), min(stop, span[k, 1])):
            if b < middle:
                long_qty += mass[k, b]
            else:
                short_qty += mass[k, b]
            mass[k, b] = 0.0
        swept[k, 0] = long_qty * scale[k]
        swept[k, 1] = short_qty * scale[k]


@kernel
def _decay(ledger: Ledger, tau_ms: F64, elapsed_ms: float) -> None:
    """Let every component fade; renormalise one whose scale has become tiny."""
    mass, scale, span = ledger.mass, ledger.scale, ledger.span
    for k in range(mass.shape[0]):
        scale[k] *= math.exp(-elapsed_ms / tau_ms[k])
        if scale[k] < RENORMALISE:
            low, high = N_BINS, 0
            for b in range(span[k, 0], span[k, 1]):
                value = mass[k, b] * scale[k]
                if value < DUST:
                    mass[k, b] = 0.0
                else:
                    mass[k, b] = value
                    low, high = min(low, b), b + 1
            scale[k] = 1.0
            span[k, 0], span[k, 1] = min(low, high), high


@kernel
def _deposit(
    ledger: Ledger, bank: Bank, qty: float, high: float, low: float, close: float
) -> None:
    """Add ``qty`` per side to every component, only beyond the mark close.

    Positions are entered all over the bar: a quarter at its high, a quarter at its low, half at
    its close. A kernel wider than the bar does not see the difference and takes their mean.
    """
    mean_bin, high_bin, low_bin, close_bin = (
        bin_of(0.25 * (high + low + 2.0 * close)), bin_of(high), bin_of(low), bin_of(close)
    )  # fmt: skip
    for k in range(ledger.mass.shape[0]):
        amount = qty / ledger.scale[k]
        if (high_bin - low_bin) * BAR_TO_KERNEL <= bank.size[k, 0]:
            _deposit_at(ledger, bank, k, amount, mean_bin)
        else:
            _deposit_at(ledger, bank, k, 0.5 * amount, close_bin)
            _deposit_at(ledger, bank, k, 0.25 * amount, high_bin)
            _deposit_at(ledger, bank, k, 0.25 * amount, low_bin)


@kernel
def _deposit_at(ledger: Ledger, bank: Bank, k: int, amount: float, entry_bin: int) -> None:
    row, span = ledger.mass[k], ledger.span
    base, middle = ledger.place[BASE], ledger.place[BOUNDARY] - ledger.place[BASE]
    for side in range(2):
        first, size = bank.first[k, side], bank.size[k, side]
        if side == 0:
            start = entry_bin - first - size + 1 - base
            low, high = max(start, 0), min(start + size, middle)
        else:
            start = entry_bin + first - base
            low, high = max(start, middle + 1), min(start + size, N_BINS)
        if low >= high:
            continue
        shift = bank.offset[k, side] - start
        for b in range(low, high):
            row[b] += amount * bank.values[b + shift]
        if span[k, 0] == span[k, 1]:
            span[k, 0], span[k, 1] = low, high
        else:
            span[k, 0], span[k, 1] = min(span[k, 0], low), max(span[k, 1], high)


@kernel
def step(
    ledger: Ledger,
    bank: Bank,
    inverse: bool,
    end_ms: int,
    interval_ms: int,
    bar: tuple[float, float, float, float, float, float, float],
) -> None:
    """Take one closed bar into the ledger.

    Parameters
    ----------
    ledger : Ledger
        Changed in place.
    bank : Bank
        The components; the same at every step.
    inverse : bool
        Settlement; base quantities are turned into the stable unit here.
    end_ms, interval_ms : int
        End of the bar; its length. Time since the last bar's end counts as decay.
    bar : (high, low, close, qty, open_interest_qty, mark_high, mark_low)
        As in ``Bars``; the last three may be NaN.
    """
    high, low, close, qty, open_interest, mark_high, mark_low = bar
    top = high if math.isnan(mark_high) else mark_high
    bottom = low if math.isnan(mark_low) else mark_low
    # Where mark is given, the close of mark is not: the last close, held within its range.
    middle = min(max(close, bottom), top)
    if inverse:
        qty *= close
        open_interest *= close
    boundary = bin_of(middle)
    place = ledger.place
    if place[STARTED] == 0:
        _place_window(ledger, boundary, inverse)
        place[BOUNDARY], place[END_MS], place[STARTED] = boundary, end_ms - interval_ms, 1
    _sweep(ledger, bin_of(bottom), bin_of(top))
    _decay(ledger, bank.tau_ms, float(end_ms - place[END_MS]))
    place[BOUNDARY], place[END_MS] = boundary, end_ms
    if abs(boundary - place[BASE] - N_BINS // 2) > N_BINS // 4:
        _place_window(ledger, boundary, inverse)
    amount = opened(ledger.flow, qty, open_interest)
    if amount > 0.0:
        _deposit(ledger, bank, amount, high, low, close)


@kernel
def _sum(values: F64, low: int, high: int) -> float:
    """Return the sum of ``values[low:high]``, in eight fixed strands the CPU can overlap."""
    a = b = c = d = e = f = g = h = 0.0
    stop = low + (high - low) // 8 * 8
    for i in range(low, stop, 8):
        a += values[i]
        b += values[i + 1]
        c += values[i + 2]
        d += values[i + 3]
        e += values[i + 4]
        f += values[i + 5]
        g += values[i + 6]
        h += values[i + 7]
    for i in range(max(low, stop), high):
        a += values[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@kernel
def _levels(ledger: Ledger, bank: Bank, lag_ms: float, scratch: Scratch) -> None:
    """Sum the components of each tier [stable units] into ``scratch.level``."""
    mass, span, level = ledger.mass, scratch.span, scratch.level
    for g in range(level.shape[0]):
        span[g, 0], span[g, 1] = N_BINS, 0
    for k in range(mass.shape[0]):
        g = bank.tier[k]
        if ledger.span[k, 0] < ledger.span[k, 1]:
            span[g, 0] = min(span[g, 0], ledger.span[k, 0])
            span[g, 1] = max(span[g, 1], ledger.span[k, 1])
    for g in range(level.shape[0]):
        level[g, span[g, 0] : span[g, 1]] = 0.0
    for k in range(mass.shape[0]):
        factor = bank.weight[k] * ledger.scale[k]
        if lag_ms > 0.0:
            factor *= math.exp(-lag_ms / bank.tau_ms[k])
        row, source = level[bank.tier[k]], mass[k]
        for b in range(ledger.span[k, 0], ledger.span[k, 1]):
            row[b] += factor * source[b]


@kernel
def _cap(total: float, open_interest: float, account: F64, side: int) -> float:
    """Write one side's levels to the account, held to open interest; return the factor."""
    factor, limit = 1.0, MAX_LEVEL_SHARE * open_interest
    if total > limit:  # False where open interest is NaN: nothing is known to hold it to
        factor, total, account[CAPPED] = limit / total, limit, 1.0
    account[LEVEL_LONG + side] = total
    return factor


@kernel
def _row_from(last: I64, internal: int) -> int:
    """Return the first displayed bin which ends at or above an internal bin."""
    low, high = 0, len(last)
    while low < high:
        middle = (low + high) // 2
        if last[middle] < internal:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _show(level: F64, low: int, high: int, base: int, rows: Rows, out: F32) -> None:
    """Add the levels [USD] of the internal bins [low, high) (absolute) to their rows."""
    if low >= high:
        return
    p = _row_from(rows.last, low)
    if rows.pair.shape[1] > 0:
        # Rows finer than bins: no inner loop, but for the rows which the range cuts.
        stop = _row_from(rows.last, high)
        if p < stop and rows.first[p] < low:
            _show_row(level, low, high, base, rows, p, out)
            p += 1
        one, two = rows.pair[0], rows.pair[1]
        for q in range(p, stop):
            b = rows.first[q] - base
            out[q] += np.float32(one[q] * level[b] + two[q] * level[b + 1])
        p = max(p, stop)
    while p < len(rows.first) and rows.first[p] < high:
        _show_row(level, low, high, base, rows, p, out)
        p += 1


@kernel
def _show_row(
    level: F64, low: int, high: int, base: int, rows: Rows, p: int, out: F32
) -> None:
    shift, value = rows.offset[p] - rows.first[p], 0.0
    for b in range(max(rows.first[p], low), min(rows.last[p] + 1, high)):
        value += rows.share[b + shift] * level[b - base]
    out[p] += np.float32(value)


@kernel
def _outside(level: F64, low: int, high: int, base: int, ends: F64) -> float:
    """Return the USD of the internal bins [low, high) which no row shows."""
    bottom, top = math.floor(ends[0]), math.floor(ends[1])
    value = 0.0
    for b in range(low, min(bottom, high)):
        value += level[b - base]
    for b in range(max(top + 1, low), high):
        value += level[b - base]
    if low <= bottom < high:
        value += level[bottom - base] * (ends[0] - bottom)
    if low <= top < high:
        value += level[top - base] * (top + 1.0 - ends[1])
    return value


@kernel
def render(
    ledger: Ledger,
    bank: Bank,
    rows: Rows,
    only_tier: int,
    lag_ms: float,
    scratch: Scratch,
    account: F64,
    out_long: F32,
    out_short: F32,
) -> None:
    """Write one column of the heatmap: what would be liquidated at each displayed price.

    Parameters
    ----------
    only_tier : int
        One tier alone, or -1 for all. The cap is that of the whole map either way, so the
        tiers, added in order in float32, give the whole to the last bit.
    lag_ms : float
        Time since the ledger's last bar (columns inside a gap); fades the levels further.
    account : ndarray of shape (N_ACCOUNT,), float64
        Written: levels of both sides [stable units], levels outside the displayed prices
        [USD], 1.0 if the cap was hit.
    out_long, out_short : ndarray of shape (n_rows,), float32
        [USD]; must be zero before.
    """
    _levels(ledger, bank, lag_ms, scratch)
    base, boundary = ledger.place[BASE], ledger.place[BOUNDARY]
    middle, open_interest = boundary - base, ledger.flow[OPEN_INTEREST]
    account[:] = 0.0
    long_qty = short_qty = 0.0
    for g in range(scratch.level.shape[0]):
        low, high = scratch.span[g, 0], scratch.span[g, 1]
        long_qty += _sum(scratch.level[g], low, min(middle, high))
        short_qty += _sum(scratch.level[g], max(middle, low), high)
    long_factor = _cap(long_qty, open_interest, account, 0)
    short_factor = _cap(short_qty, open_interest, account, 1)
    for g in range(scratch.level.shape[0]):
        if only_tier >= 0 and g != only_tier:
            continue
        level, low, high = scratch.level[g], scratch.span[g, 0], scratch.span[g, 1]
        for b in range(low, min(middle, high)):
            level[b] *= long_factor * ledger.bin_price[b]
        for b in range(max(middle, low), high):
            level[b] *= short_factor * ledger.bin_price[b]
        low, high = low + base, high + base
        _show(level, low, min(high, boundary), base, rows, out_long)
        _show(level, max(low, boundary), high, base, rows, out_short)
        account[OUTSIDE_LONG] += _outside(level, low, min(high, boundary), base, rows.ends)
        account[OUTSIDE_SHORT] += _outside(level, max(low, boundary), high, base, rows.ends)


@kernel
def run(
    ledger: Ledger,
    bank: Bank,
    rows: Rows,
    inverse: bool,
    interval_ms: int,
    bar_end_ms: I64,
    bars: F64,
    column_end_ms: I64,
    only_tier: int,
    scratch: Scratch,
    accounts: F64,
    open_interest: F64,
    out_long: F32,
    out_short: F32,
) -> None:
    """Take all bars and write a column at the end of each step.

    ``bars`` has shape (n, 7): high, low, close, qty, open_interest_qty, mark_high, mark_low.
    Bars that end at or before the first column's step are warm-up. A column inside a gap shows
    the faded ledger of the last bar before it.
    """
    n, i = len(bar_end_ms), 0
    for t in range(len(column_end_ms)):
        while i < n and bar_end_ms[i] <= column_end_ms[t]:
            bar = (
                bars[i, 0], bars[i, 1], bars[i, 2], bars[i, 3], bars[i, 4], bars[i, 5], bars[i, 6]
            )  # fmt: skip
            step(ledger, bank, inverse, bar_end_ms[i], interval_ms, bar)
            i += 1
        if ledger.place[STARTED] == 0:
            open_interest[t] = np.nan
            continue
        lag = float(column_end_ms[t] - ledger.place[END_MS])
        if lag < interval_ms:
            lag = 0.0
        render(
            ledger,
            bank,
            rows,
            only_tier,
            lag,
            scratch,
            accounts[t],
            out_long[t],
            out_short[t],
        )
        open_interest[t] = ledger.flow[OPEN_INTEREST]
