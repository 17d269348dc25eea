"""Numba loops of the ledger: sweep, decay, deposit. ``render`` shows what it holds.

The ledger keeps, per component k, the open quantity by liquidation price. Bins are absolute:
bin b covers ln(price) in [b, b+1) * LOG_BIN whatever the history, so two ledgers agree on them.
One array serves both sides, because a level below the mark price can only be a long's and one
above it only a short's; ``BOUNDARY``, the bin of the last mark close, parts them and is empty.

    bins      base ........ long levels ....... BOUNDARY ....... short levels ........ base+N
    sweep     everything between the old boundary and the bar's mark low / high becomes 0
    decay     scale[k] *= exp(-dt / tau[k]); the true quantity is mass[k, b] * scale[k]
    deposit   opened / scale[k] * kernel, only where the bin lies beyond the mark close;
              a slow (wide) kernel's openings wait for the end of their quarter of an hour

The window shifts in whole bins when the price leaves its middle half; what falls off the end is
more than half the price away and returns to the residual class.

Every loop runs in one fixed order and allocates nothing, so batch and live agree to the bit.
Axis letters: ``k`` component, ``b`` internal bin.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.flow import N_FLOW, OPEN_INTEREST, opened
from liqheat.engine.leverage import LOG_BIN, N_BINS, Bank
from liqheat.jit import kernel, part

#: high, low, close, qty, open_interest_qty, mark_high, mark_low; the last three may be NaN.
Bar = tuple[float, float, float, float, float, float, float]

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Places in ``Ledger.place``.
BASE, BOUNDARY, STARTED, END_MS = 0, 1, 2, 3

#: Below this scale a component is renormalised, and quantities under ``DUST`` dropped.
RENORMALISE = 1e-9
DUST = 1e-9

#: Where in a bar positions are entered; see ``_deposit``.
ENTRY_SPREAD = 0.75
CLOSE_SHARE = 0.3

#: The range of a bar's entries times this against a kernel's bins: is it wider than two standard
#: deviations of the kernel (a quarter of its bins)?
BAR_TO_KERNEL = 4


#: A kernel at least as wide as this [ln(price), of which a standard deviation is an eighth] is
#: slow: prices within ``SLOW_MS`` differ by less, so what was opened meanwhile is written at once.
SLOW_WIDTH = 0.075
SLOW_MS = 900_000

#: Places in ``Ledger.waiting``: quantity opened, and quantity times entry bin.
WAITING_QTY, WAITING_BIN = 0, 1


class Ledger(NamedTuple):
    """State of one instrument under one bank; changed in place by ``step``."""

    mass: F64  # [k, b] quantity over scale, stable units
    scale: F64  # [k] lazy decay
    span: I64  # [k, 2] window indices [low, high) that may hold something
    bin_price: F64  # [b] USD per stable unit in the window's bins
    swept: F64  # [k, 2] quantity the last step consumed, long and short
    pending: F64  # [k] of slow components: opened, not yet written; over scale
    waiting: F64  # WAITING_QTY, WAITING_BIN
    profile: F64  # [b] working memory of a deposit
    place: I64  # BASE, BOUNDARY, STARTED, END_MS
    flow: F64  # see flow.py


def new_ledger(bank: Bank) -> Ledger:
    """Return an empty ledger for a bank."""
    k = len(bank.weight)
    return Ledger(
        mass=np.zeros((k, N_BINS)),
        scale=np.ones(k),
        span=np.zeros((k, 2), np.int64),
        bin_price=np.ones(N_BINS),
        swept=np.zeros((k, 2)),
        pending=np.zeros(k),
        waiting=np.zeros(2),
        profile=np.zeros(N_BINS),
        place=np.zeros(4, np.int64),
        flow=np.array([np.nan] + [0.0] * (N_FLOW - 1)),
    )


@kernel
def bin_of(price: float) -> int:
    """Return the absolute internal bin of a price."""
    return math.floor(math.log(price) / LOG_BIN)


@part
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


@part
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


@part
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
            ledger.pending[k] *= scale[k]
            scale[k] = 1.0
            span[k, 0], span[k, 1] = min(low, high), high


@part
def _deposit(
    ledger: Ledger, bank: Bank, qty: float, high: float, low: float, close: float
) -> None:
    """Add ``qty`` per side to every component, only beyond the mark close.

    Positions are entered all over the bar, though little is traded at its very ends:
    ``CLOSE_SHARE`` at its close, the rest evenly over ``ENTRY_SPREAD`` of the way from the bar's
    mean to its low and its high. A kernel wider than the bar does not see the difference and
    takes the mean.
    """
    mean = 0.25 * (high + low + 2.0 * close)
    mean_bin, close_bin = bin_of(mean), bin_of(close)
    low_bin = bin_of(mean + ENTRY_SPREAD * (low - mean))
    high_bin = bin_of(mean + ENTRY_SPREAD * (high - mean))
    ledger.waiting[WAITING_QTY] += qty
    ledger.waiting[WAITING_BIN] += qty * mean_bin
    entries, k = high_bin - low_bin + 1, 0
    while k < len(ledger.scale):
        stop = _same_kernel(bank.offset, k)
        if is_slow(bank.size, k):
            for j in range(k, stop):
                ledger.pending[j] += qty / ledger.scale[j]
        elif (entries - 1) * BAR_TO_KERNEL <= min(bank.size[k, 0], bank.size[k, 1]):
            _enter_at(ledger, bank, k, stop, qty, mean_bin)
        else:
            _enter_over(ledger, bank, k, stop, qty, close_bin, low_bin, entries)
        k = stop


@part
def _same_kernel(offset: I64, k: int) -> int:
    """Return the end of the run of components from ``k`` on which share its kernel."""
    stop = k + 1
    while (
        stop < len(offset)
        and offset[stop, 0] == offset[k, 0]
        and (offset[stop, 1] == offset[k, 1])
    ):
        stop += 1
    return stop


@kernel
def is_slow(size: I64, k: int) -> bool:
    """Return whether what a component opens waits for the end of its quarter of an hour."""
    slow: bool = max(size[k, 0], size[k, 1]) * LOG_BIN >= SLOW_WIDTH
    return slow


@part
def _write_pending(ledger: Ledger, bank: Bank) -> None:
    """Write what the slow components opened, at its mean entry, beyond the last mark close."""
    waiting, pending = ledger.waiting, ledger.pending
    if waiting[WAITING_QTY] > 0.0:
        entry = math.floor(waiting[WAITING_BIN] / waiting[WAITING_QTY] + 0.5)
        k = 0
        while k < len(pending):
            stop = _same_kernel(bank.offset, k)
            if is_slow(bank.size, k):
                for j in range(k, stop):
                    # In units over scale, as ``pending`` is.
                    _enter_at(ledger, bank, j, j + 1, pending[j] * ledger.scale[j], entry)
            k = stop
    pending[:] = 0.0
    waiting[:] = 0.0


@part
def _enter_at(
    ledger: Ledger, bank: Bank, k: int, stop: int, qty: float, entry: int
) -> None:
    """Add ``qty`` entered in one bin to the components [k, stop), which share a kernel."""
    mass, values, scale = ledger.mass, bank.values, ledger.scale
    for side in range(2):
        size = bank.size[k, side]
        start = _reached_first(bank, k, side, entry) - ledger.place[BASE]
        low, high = _open_bins(ledger, side, start, start + size)
        if low < high:
            shift = bank.offset[k, side] - start
            for j in range(k, stop):
                _widen(ledger.span, j, low, high)
                add(mass, j, low, high, qty / scale[j], values, shift)


@part
def _enter_over(
    ledger: Ledger, bank: Bank, k: int, stop: int, qty: float,
    close_bin: int, low_bin: int, entries: int,
) -> None:  # fmt: skip
    """Add ``qty`` entered at the close and evenly over so many bins from ``low_bin`` on.

    What entries in a run of bins leave in one bin is a run of the kernel: two running sums.
    """
    mass, values, sums, profile = ledger.mass, bank.values, bank.sums, ledger.profile
    each = (1.0 - CLOSE_SHARE) / entries
    for side in range(2):
        size, offset = bank.size[k, side], bank.offset[k, side]
        at = _reached_first(bank, k, side, close_bin) - ledger.place[BASE]
        over = _reached_first(bank, k, side, low_bin) - ledger.place[BASE]
        end = over + size + entries - 1
        low, high = _open_bins(ledger, side, min(at, over), max(at + size, end))
        if low >= high:
            continue
        profile[low:high] = 0.0
        for b in range(max(at, low), min(at + size, high)):
            profile[b] += CLOSE_SHARE * values[b - at + offset]
        for b in range(max(over, low), min(end, high)):
            last, before = min(b - over + 1, size), max(b - over + 1 - entries, 0)
            profile[b] += each * (sums[offset + last] - sums[offset + before])
        for j in range(k, stop):
            _widen(ledger.span, j, low, high)
            add(mass, j, low, high, qty / ledger.scale[j], profile, 0)


@part
def _reached_first(bank: Bank, k: int, side: int, entry: int) -> int:
    """Return the lowest bin which an entry reaches by the kernel of ``k``."""
    if side == 0:
        return entry - int(bank.first[k, 0]) - int(bank.size[k, 0]) + 1
    return entry + int(bank.first[k, 1])


@kernel
def add(
    out: F64, k: int, low: int, high: int, amount: float, values: F64, shift: int
) -> None:
    """Add ``amount * values[b + shift]`` to ``out[k, b]`` for all b in [low, high).

    Counted in unsigned numbers: the compiler need not expect negative indices, and vectorises.
    """
    shift_by = np.uint64(shift)
    for b in range(np.uint64(low), np.uint64(high)):
        out[k, b] += amount * values[b + shift_by]


@part
def _open_bins(ledger: Ledger, side: int, start: int, stop: int) -> tuple[int, int]:
    """Return [start, stop) cut to the window and to the side's bins."""
    middle = ledger.place[BOUNDARY] - ledger.place[BASE]
    if side == 0:
        return max(start, 0), min(stop, middle)
    return max(start, middle + 1), min(stop, N_BINS)


@part
def _widen(span: I64, k: int, low: int, high: int) -> None:
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
    bar: Bar,
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
    bar : Bar
        As in ``Bars``.
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
    if -(-end_ms // SLOW_MS) != -(-place[END_MS] // SLOW_MS):
        _write_pending(ledger, bank)  # of a quarter of an hour which a hole cut short
    _sweep(ledger, bin_of(bottom), bin_of(top))
    _decay(ledger, bank.tau_ms, float(end_ms - place[END_MS]))
    place[BOUNDARY], place[END_MS] = boundary, end_ms
    if abs(boundary - place[BASE] - N_BINS // 2) > N_BINS // 4:
        _place_window(ledger, boundary, inverse)
    amount = opened(ledger.flow, qty, open_interest)
    if amount > ledger.flow[OPEN_INTEREST]:  # False where it is not known
        amount = ledger.flow[OPEN_INTEREST]  # nobody holds more than is open
    if amount > 0.0:
        _deposit(ledger, bank, amount, high, low, close)
    if end_ms % SLOW_MS == 0:
        _write_pending(ledger, bank)


@kernel
def advance(
    ledger: Ledger,
    bank: Bank,
    inverse: bool,
    interval_ms: int,
    bar_end_ms: I64,
    bars: F64,
    first: int,
    until_ms: int,
) -> int:
    """Take in the bars from index ``first`` on which end by ``until_ms``; return the next index.

    ``bars`` has shape (n, 7), in the order of ``Bar``.
    """
    i = first
    while i < len(bar_end_ms) and bar_end_ms[i] <= until_ms:
        bar = (
            bars[i, 0], bars[i, 1], bars[i, 2], bars[i, 3], bars[i, 4], bars[i, 5], bars[i, 6]
        )  # fmt: skip
        step(ledger, bank, inverse, bar_end_ms[i], interval_ms, bar)
        i += 1
    return i
