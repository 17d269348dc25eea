"""The oracle: the same estimator, written to be read. Hundreds of times slower.

No lazy scale, no window arithmetic, no compiled code: a dict from (component, bin) to the
quantity open there, and docs/model.md's sentences in their order. The tests hold the kernels to it
within rounding; the benchmarks give their speed as a ratio to it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.flow import INTEREST_SHARE, PHI
from liqheat.engine.kernels import (
    BAR_TO_KERNEL,
    CLOSE_SHARE,
    ENTRY_SPREAD,
    SLOW_MS,
    SLOW_WIDTH,
)
from liqheat.engine.leverage import LOG_BIN, N_BINS, Bank
from liqheat.engine.render import MAX_LEVEL_SHARE
from liqheat.market.events import Bars

F64 = NDArray[np.float64]


class ReferenceLedger:
    """Open quantity by component and liquidation bin, one instrument.

    Parameters
    ----------
    bank : Bank
        The components; see ``leverage.build_bank``.
    inverse : bool
        Settlement.
    """

    def __init__(self, bank: Bank, *, inverse: bool) -> None:
        self.bank, self.inverse = bank, inverse
        self.levels: dict[tuple[int, int], float] = {}
        self.boundary: int | None = None
        self.middle = 0  # of the window that is kept
        self.end_ms = 0
        self.open_interest = math.nan
        self._volume_since = 0.0
        self._waiting: dict[
            int, float
        ] = {}  # by slow component, opened but not yet entered
        self._entered = self._entered_at = 0.0  # quantity, and quantity times entry bin

    def push(self, bars: Bars, i: int) -> None:
        """Take in bar ``i``: sweep, decay, deposit."""
        end_ms = int(bars.start_ms[i]) + bars.interval_ms
        high, low, close = float(bars.high[i]), float(bars.low[i]), float(bars.close[i])
        top, bottom = float(bars.mark_high[i]), float(bars.mark_low[i])
        top, bottom = (
            high if math.isnan(top) else top,
            low if math.isnan(bottom) else bottom,
        )
        boundary = _bin(min(max(close, bottom), top))
        if self.boundary is None:
            self.boundary = self.middle = boundary
            self.end_ms = end_ms - bars.interval_ms
        if math.ceil(end_ms / SLOW_MS) != math.ceil(self.end_ms / SLOW_MS):
            self._write_waiting()
        first = min(_bin(bottom), self.boundary)
        last = max(_bin(top), self.boundary)
        elapsed = end_ms - self.end_ms
        self.levels = {
            (k, b): qty * math.exp(-elapsed / self.bank.tau_ms[k])
            for (k, b), qty in self.levels.items()
            if not first <= b <= last
        }
        self._waiting = {
            k: qty * math.exp(-elapsed / self.bank.tau_ms[k])
            for k, qty in self._waiting.items()
        }
        self.boundary, self.end_ms = boundary, end_ms
        self._keep_window()
        unit = close if self.inverse else 1.0
        amount = self._opened(
            float(bars.qty[i]) * unit, float(bars.open_interest_qty[i]) * unit
        )
        if amount > self.open_interest:
            amount = self.open_interest
        self._enter(amount, high, low, close)
        if end_ms % SLOW_MS == 0:
            self._write_waiting()

    def _enter(self, amount: float, high: float, low: float, close: float) -> None:
        self._entered += amount
        self._entered_at += amount * _bin(0.25 * (high + low + 2.0 * close))
        for k in range(len(self.bank.weight)):
            if self.bank.size[k].max() * LOG_BIN >= SLOW_WIDTH:
                self._waiting[k] = self._waiting.get(k, 0.0) + amount
                continue
            for side in (0, 1):
                for share, bins in self._entries(k, side, high, low, close):
                    self._deposit(k, side, amount * share, bins)

    def _write_waiting(self) -> None:
        """Enter what slow components opened in a quarter of an hour at its mean."""
        if self._entered > 0.0:
            entry = math.floor(self._entered_at / self._entered + 0.5)
            for k, qty in self._waiting.items():
                for side in (0, 1):
                    self._deposit(k, side, qty, range(entry, entry + 1))
        self._waiting, self._entered, self._entered_at = {}, 0.0, 0.0

    def _keep_window(self) -> None:
        assert self.boundary is not None  # noqa: S101 - push has set it
        if abs(self.boundary - self.middle) > N_BINS // 4:
            self.middle = self.boundary
        low, high = self.middle - N_BINS // 2, self.middle + N_BINS // 2
        self.levels = {key: q for key, q in self.levels.items() if low <= key[1] < high}

    def _opened(self, volume: float, open_interest: float) -> float:
        self._volume_since += volume
        change = 0.0
        if open_interest > 0.0:
            if not math.isnan(self.open_interest):
                change = open_interest - self.open_interest
                change = max(-self._volume_since, min(self._volume_since, change))
            self.open_interest, self._volume_since = open_interest, 0.0
        return max(0.0, 0.5 * (PHI * volume + INTEREST_SHARE * change))

    def _entries(
        self, k: int, side: int, high: float, low: float, close: float
    ) -> list[tuple[float, range]]:
        """Return shares of what was opened, each with the run of bins it was entered in."""
        mean = 0.25 * (high + low + 2.0 * close)
        bottom, top = (mean + ENTRY_SPREAD * (end - mean) for end in (low, high))
        bins = range(_bin(bottom), _bin(top) + 1)
        if (len(bins) - 1) * BAR_TO_KERNEL <= self.bank.size[k].min():
            return [(1.0, range(_bin(mean), _bin(mean) + 1))]
        at_close = range(_bin(close), _bin(close) + 1)
        return [(CLOSE_SHARE, at_close), (1.0 - CLOSE_SHARE, bins)]

    def _deposit(self, k: int, side: int, amount: float, entries: range) -> None:
        bank, boundary = self.bank, self.boundary
        assert boundary is not None  # noqa: S101 - push has set it
        low, high = self.middle - N_BINS // 2, self.middle + N_BINS // 2
        begin, size = int(bank.offset[k, side]), int(bank.size[k, side])
        masses = bank.values[begin : begin + size]
        masses = masses if side == 1 else masses[::-1]  # outwards from the entry
        masses = np.convolve(masses, np.full(len(entries), 1.0 / len(entries)))
        first = int(bank.first[k, side])
        for j, mass in enumerate(masses.tolist()):
            b = entries[0] + first + j if side == 1 else entries[-1] - first - j
            beyond = b < boundary if side == 0 else b > boundary
            if beyond and low <= b < high:
                self.levels[k, b] = self.levels.get((k, b), 0.0) + amount * mass

    def column(self, edges: F64, lag_ms: float = 0.0) -> tuple[F64, F64]:
        """Return (long, short) of shape (p,) [USD] for rows with these edges."""
        assert self.boundary is not None  # noqa: S101 - push has set it
        at = np.log(edges) / LOG_BIN
        sides = (np.zeros(len(edges) - 1), np.zeros(len(edges) - 1))
        totals = [0.0, 0.0]
        for (k, b), qty in self.levels.items():
            side = 0 if b < self.boundary else 1
            level = qty * self.bank.weight[k] * math.exp(-lag_ms / self.bank.tau_ms[k])
            totals[side] += level
            usd = level if self.inverse else level * math.exp((b + 0.5) * LOG_BIN)
            share = np.minimum(b + 1, at[1:]) - np.maximum(b, at[:-1])
            sides[side][:] += usd * np.clip(share, 0.0, 1.0)
        for side, total in enumerate(totals):
            limit = MAX_LEVEL_SHARE * self.open_interest
            if total > limit:
                sides[side][:] *= limit / total
        return sides


def _bin(price: float) -> int:
    return math.floor(math.log(price) / LOG_BIN)
