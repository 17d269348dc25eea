"""Numba loops which show a ledger: levels by tier, held to open interest, in displayed bins.

    levels    sum over a tier's components of weight * scale * mass, per internal bin
    cap       both sides held to ``MAX_LEVEL_SHARE`` of open interest
    show      USD of each internal bin, shared out to the displayed bins by overlap

The ledger knows nothing of weights, so one ledger can be shown with the weights of any day.
``run`` takes bars in and writes columns. Every loop runs in one fixed order, so batch and live
agree to the bit.
Axis letters: ``k`` component, ``b`` internal bin, ``g`` tier, ``p`` displayed bin, ``t`` column.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.flow import OPEN_INTEREST
from liqheat.engine.kernels import BASE, BOUNDARY, END_MS, STARTED, Ledger, advance
from liqheat.engine.leverage import N_BINS, Bank
from liqheat.jit import kernel, part

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

#: Levels may hold at most this share of one side's open interest; the rest is at least the
#: unlevered and hedged class (market makers, basis trades).
MAX_LEVEL_SHARE = 0.85

#: Places in the account row that ``render`` writes.
LEVEL_LONG, LEVEL_SHORT, OUTSIDE_LONG, OUTSIDE_SHORT, CAPPED = 0, 1, 2, 3, 4
N_ACCOUNT = 5


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


def new_scratch(n_tiers: int) -> Scratch:
    """Return working memory for rendering so many tiers."""
    return Scratch(np.zeros((n_tiers, N_BINS + 1)), np.zeros((n_tiers, 2), np.int64))


@part
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
def add_row(
    out: F64, g: int, low: int, high: int, factor: float, values: F64, k: int
) -> None:
    """Add ``factor * values[k, b]`` to ``out[g, b]`` for all b in [low, high); see ``add``."""
    for b in range(np.uint64(low), np.uint64(high)):
        out[g, b] += factor * values[k, b]


@part
def _levels(
    ledger: Ledger, bank: Bank, weight: F64, lag_ms: float, scratch: Scratch
) -> None:
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
    middle = ledger.place[BOUNDARY] - ledger.place[BASE]
    for k in range(mass.shape[0]):
        factor = ledger.scale[k]
        if lag_ms > 0.0:
            factor *= math.exp(-lag_ms / bank.tau_ms[k])
        low, high = ledger.span[k, 0], ledger.span[k, 1]
        g, cut = bank.tier[k], min(max(middle, low), high)
        add_row(level, g, low, cut, factor * weight[0, k], mass, k)
        add_row(level, g, cut, high, factor * weight[1, k], mass, k)


@kernel
def totals(
    ledger: Ledger, bank: Bank, weight: F64, scratch: Scratch
) -> tuple[float, float]:
    """Return what all levels hold, (long, short) [stable units], before the cap."""
    _levels(ledger, bank, weight, 0.0, scratch)
    return _totals(ledger, scratch)


@part
def _totals(ledger: Ledger, scratch: Scratch) -> tuple[float, float]:
    middle = ledger.place[BOUNDARY] - ledger.place[BASE]
    long_qty = short_qty = 0.0
    for g in range(scratch.level.shape[0]):
        low, high = scratch.span[g, 0], scratch.span[g, 1]
        long_qty += _sum(scratch.level[g], low, min(middle, high))
        short_qty += _sum(scratch.level[g], max(middle, low), high)
    return long_qty, short_qty


@part
def _cap(total: float, open_interest: float, account: F64, side: int) -> float:
    """Write one side's levels to the account, held to open interest; return the factor."""
    factor, limit = 1.0, MAX_LEVEL_SHARE * open_interest
    if total > limit:  # False where open interest is NaN: nothing is known to hold it to
        factor, total, account[CAPPED] = limit / total, limit, 1.0
    account[LEVEL_LONG + side] = total
    return factor


@part
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


@part
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


@part
def _show_row(
    level: F64, low: int, high: int, base: int, rows: Rows, p: int, out: F32
) -> None:
    shift, value = rows.offset[p] - rows.first[p], 0.0
    for b in range(max(rows.first[p], low), min(rows.last[p] + 1, high)):
        value += rows.share[b + shift] * level[b - base]
    out[p] += np.float32(value)


@part
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
    weight: F64,
    rows: Rows,
    shown: Bools,
    lag_ms: float,
    scratch: Scratch,
    account: F64,
    out_long: F32,
    out_short: F32,
) -> None:
    """Write one column of the heatmap: what would be liquidated at each displayed price.

    Parameters
    ----------
    weight : ndarray of shape (2, k), float64
        Of the components, by side; the ledger knows nothing of it.
    shown : ndarray of shape (g,), bool
        Which tiers. The cap is that of the whole map, whichever are shown, so the tiers, added
        in order in float32, give the whole to the last bit.
    lag_ms : float
        Time since the ledger's last bar (columns inside a gap); fades the levels further.
    account : ndarray of shape (N_ACCOUNT,), float64
        Written: levels of both sides [stable units], levels outside the displayed prices
        [USD], 1.0 if the cap was hit.
    out_long, out_short : ndarray of shape (n_rows,), float32
        [USD]; must be zero before.
    """
    _levels(ledger, bank, weight, lag_ms, scratch)
    base, boundary = ledger.place[BASE], ledger.place[BOUNDARY]
    middle, open_interest = boundary - base, ledger.flow[OPEN_INTEREST]
    account[:] = 0.0
    long_qty, short_qty = _totals(ledger, scratch)
    long_factor = _cap(long_qty, open_interest, account, 0)
    short_factor = _cap(short_qty, open_interest, account, 1)
    for g in range(scratch.level.shape[0]):
        if not shown[g]:
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
    weights: F64,
    weight_of: I64,
    shown: Bools,
    scratch: Scratch,
    accounts: F64,
    open_interest: F64,
    out_long: F32,
    out_short: F32,
) -> None:
    """Take all bars and write a column at the end of each step.

    ``bars`` has shape (n, 7), in the order of ``Bar``.
    Bars that end at or before the first column's step are warm-up. A column inside a gap shows
    the faded ledger of the last bar before it. Column t weighs the components by
    ``weights[weight_of[t]]``.
    """
    i = 0
    for t in range(len(column_end_ms)):
        i = advance(
            ledger, bank, inverse, interval_ms, bar_end_ms, bars, i, column_end_ms[t]
        )
        if ledger.place[STARTED] == 0:
            open_interest[t] = np.nan
            continue
        lag = float(column_end_ms[t] - ledger.place[END_MS])
        if lag < interval_ms:
            lag = 0.0
        render(
            ledger,
            bank,
            weights[weight_of[t]],
            rows,
            shown,
            lag,
            scratch,
            accounts[t],
            out_long[t],
            out_short[t],
        )
        open_interest[t] = ledger.flow[OPEN_INTEREST]
