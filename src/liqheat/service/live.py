"""One view kept up to date: the built window and what each new bar changes in it.

A view is a window of columns on fixed rows with a fixed ``v_max``. While those stand, every
change is a ``Delta`` of one column, and ``seq`` counts them. The picture is *redrawn* (seq goes
on, everybody gets it whole) when the rows or ``v_max`` must move, when the window has grown by
an eighth and drops its oldest columns, or when too much changed at once. Between redraws the
window only grows at its end, so a column's number means the same to every viewer.

Columns are kept as USD and as codes: a delta applied to the codes of a picture with the seq
before gives exactly the codes of a picture taken now.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap
from liqheat.engine.live import LiveHeatmap
from liqheat.exchanges.base import Mode
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.service.picture import (
    Delta,
    DeltaKind,
    Picture,
    price_scale,
    scale_top,
    to_codes,
)
from liqheat.service.query import Query
from liqheat.service.window import WARMUP_MS, Window, build_for, is_too_near, plan

F32 = NDArray[np.float32]

#: More changed columns than this at once are sent as a picture.
MAX_DELTAS = 32
#: Bytes of a sparse frame beside its bins, against those of a whole column.
_SPARSE_EXTRA, _SPARSE_EACH = 2, 3


class BarRow(NamedTuple):
    """One bar as the live engine takes it; absent is NaN."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    qty: float
    open_interest_qty: float = math.nan
    mark_high: float = math.nan
    mark_low: float = math.nan

    def engine_row(self) -> tuple[float, float, float, float, float, float, float]:
        """Return the row in ``LiveHeatmap.push``'s order."""
        return self[2:]


@dataclass(frozen=True, eq=False)
class Built:
    """What a view starts from: made in a thread."""

    window: Window
    heatmap: Heatmap
    live: LiveHeatmap
    first_bar_ms: int
    has: Inputs


@dataclass(frozen=True)
class Inputs:
    """Which inputs the bars carry."""

    open_interest: bool
    taker_volume: bool
    mark: bool


def build_view(query: Query, bars: Bars, instrument: Instrument) -> Built:
    """Build the window of a live view and the ledger that continues it."""
    window, params = plan(query, bars)
    heatmap = build_for(query, bars, instrument)
    live = LiveHeatmap(instrument, params, heatmap.price_edges, bars.interval_ms)
    live.warm(bars)
    # Once here, in a thread: the first call loads machine code from disk.
    last = bars[-1:]
    row = BarRow(0, *(float(getattr(last, name)[0]) for name in BarRow._fields[1:]))
    live.peek(int(bars.start_ms[-1]) + 2 * bars.interval_ms, row.engine_row())
    columns = (bars.open_interest_qty, bars.taker_buy_qty, bars.mark_high)
    has = Inputs(*(bool(np.isfinite(column).any()) for column in columns))
    return Built(window, heatmap, live, int(bars.start_ms[0]), has)


class LiveView:
    """A live heatmap which many viewers share.

    Parameters
    ----------
    query : Query
        What is drawn.
    mode : {"live", "simulated", "replay"}
        Goes into every picture.
    built : Built
        Its start.
    """

    def __init__(self, query: Query, mode: Mode, built: Built) -> None:
        self.query, self.mode = query, mode
        self.seq = 0
        self.adopt(built)

    def adopt(self, built: Built) -> None:
        """Start again from a new build: other rows, or bars that were missing."""
        heatmap, self.window, self.live = built.heatmap, built.window, built.live
        self.seq += 1
        self.outdated = False
        self.columns = n = len(heatmap.start_ms)
        self.t0_ms, self.step_ms = int(heatmap.start_ms[0]), heatmap.step_ms
        self.quality, self.model_version = heatmap.quality, heatmap.model_version
        self.first_bar_ms, self.has = built.first_bar_ms, built.has
        edges = heatmap.price_edges
        self.price_min, self.price_max = float(edges[0]), float(edges[-1])
        self._scale = price_scale(edges, log_scale=self.query.scale == "log")
        room = self._most() + MAX_DELTAS + 1
        self._usd = np.zeros((max(room, n), len(edges) - 1), np.float32)
        np.add(heatmap.long_usd, heatmap.short_usd, out=self._usd[:n])
        self._candles = np.full((len(self._usd), 5), np.nan, np.float32)
        for i, name in enumerate(("open", "high", "low", "close", "qty")):
            self._candles[:n, i] = getattr(heatmap, name)
        #: The last column's candle from closed bars alone; None when it has none yet.
        self._closed: tuple[float, ...] | None = tuple(self._candles[n - 1].tolist())
        self._recode()

    def _most(self) -> int:
        return self.window.wanted + max(self.window.wanted // 8, 16)

    def _recode(self) -> None:
        n = self.columns
        self.v_max = scale_top(float(self._usd[:n].max(initial=0.0)))
        self._codes = to_codes(self._usd, self.v_max)

    @property
    def end_ms(self) -> int:
        """End of the last closed bar."""
        return self.live.end_ms or self.t0_ms

    @property
    def warm_from_ms(self) -> int:
        """Where the warm-up should begin."""
        return self.t0_ms - WARMUP_MS

    @property
    def last_price(self) -> float | None:
        """Close of the newest column that has one."""
        close = self._candles[: self.columns, 3]
        known = np.flatnonzero(np.isfinite(close))
        return float(close[known[-1]]) if len(known) else None

    def picture(self) -> Picture:
        """Return a copy of the whole view as it stands."""
        n = self.columns
        return Picture(
            codes=self._codes[:n].copy(), candles=np.ascontiguousarray(self._candles[:n].T),
            t0_ms=self.t0_ms, step_ms=self.step_ms,
            p_lo=self._scale[0], p_step=self._scale[1],
            v_min=self.v_max / 1e5, v_max=self.v_max, log_scale=self.query.scale == "log",
            mode=self.mode, model=self.query.model, seq=self.seq,
        )  # fmt: skip

    def advance(
        self, closed: Iterable[BarRow], progress: BarRow | None
    ) -> list[Delta] | None:
        """Take in bars and return what changed; None if the picture was redrawn.

        Bars already taken are passed over. A bar that does not follow the last one leaves the
        view ``outdated``: it needs a new build, and takes nothing more until then.
        """
        before, deltas = self.seq, list[Delta]()
        self._overflow = False
        waiting: tuple[int, tuple[float, ...], F32] | None = None
        interval = self.live.interval_ms
        for bar in closed:
            if self.outdated or bar.start_ms < self.end_ms:
                continue
            if bar.start_ms > self.end_ms:
                self.outdated = True
                break
            self.live.push(bar.start_ms + interval, bar.engine_row())
            column = self._column(bar)
            if waiting is not None and waiting[0] != column:
                self._show(*waiting, deltas)
            self._closed = self._merged(column, bar)
            waiting = (column, self._closed, self.live.long_usd + self.live.short_usd)
        if progress is not None and not self.outdated and progress.start_ms == self.end_ms:
            waiting = self._in_progress(progress, waiting, deltas)
        if waiting is not None:
            self._show(*waiting, deltas)
        return self._settle(before, deltas)

    def _in_progress(
        self,
        bar: BarRow,
        waiting: tuple[int, tuple[float, ...], F32] | None,
        deltas: list[Delta],
    ) -> tuple[int, tuple[float, ...], F32]:
        column = self._column(bar)
        if waiting is not None and waiting[0] != column:
            self._show(*waiting, deltas)
        usd = np.add(
            *self.live.peek(bar.start_ms + self.live.interval_ms, bar.engine_row())
        )
        closed = self._closed if column == self.columns - 1 else None
        if column != self.columns - 1:
            self._closed = None
        return column, _merge(closed, bar), usd

    def _column(self, bar: BarRow) -> int:
        return (bar.start_ms - self.t0_ms) // self.step_ms

    def _merged(self, column: int, bar: BarRow) -> tuple[float, ...]:
        begins = bar.start_ms == self.t0_ms + column * self.step_ms
        return _merge(None if begins else self._closed, bar)

    def _show(
        self, column: int, candle: tuple[float, ...], usd: F32, deltas: list[Delta]
    ) -> None:
        if column >= len(self._usd):
            self._grow()
        codes = to_codes(usd, self.v_max)
        kind: DeltaKind = "replace"
        if column == self.columns:
            self.columns, kind = column + 1, "append"
        self._overflow |= bool(usd.max(initial=0.0) > self.v_max)
        changed = np.flatnonzero(codes != self._codes[column])
        row = np.array(candle, np.float32)
        same = np.array_equal(row, self._candles[column], equal_nan=True)
        self._usd[column], self._codes[column], self._candles[column] = usd, codes, row
        if kind == "replace" and same and not len(changed):
            return
        self.seq += 1
        deltas.append(self._delta(kind, column, row, codes, changed))

    def _delta(
        self, kind: DeltaKind, column: int, row: F32, codes: NDArray[np.uint8],
        changed: NDArray[np.int64],
    ) -> Delta:  # fmt: skip
        candle = tuple(row.tolist())
        small = _SPARSE_EXTRA + _SPARSE_EACH * len(changed) < len(codes)
        if kind == "append" or not small:
            return Delta(kind, self.seq, column, candle, codes)
        bins = changed.astype(np.uint16)
        return Delta("sparse", self.seq, column, candle, codes[changed], bins)

    def _grow(self) -> None:
        # Only where many bars came at once; columns are dropped when all are in.
        more = ((0, len(self._usd)), (0, 0))
        self._usd, self._codes = np.pad(self._usd, more), np.pad(self._codes, more)
        self._candles = np.pad(self._candles, more, constant_values=np.nan)

    def _drop_oldest(self) -> None:
        drop = self.columns - self.window.wanted
        for array in (self._usd, self._codes, self._candles):
            array[: self.columns - drop] = array[drop : self.columns].copy()
        self.columns -= drop
        self.t0_ms += drop * self.step_ms
        self._overflow = True

    def _settle(self, before: int, deltas: list[Delta]) -> list[Delta] | None:
        if self.columns > self._most():
            self._drop_oldest()
        price = self.last_price
        if price and is_too_near(self.query, price, self.price_min, self.price_max):
            self.outdated = True
        if not self._overflow and len(deltas) <= MAX_DELTAS:
            return deltas
        self._recode()
        self.seq = before + 1
        return None


def _merge(candle: tuple[float, ...] | None, bar: BarRow) -> tuple[float, ...]:
    if candle is None or math.isnan(candle[3]):
        return (bar.open, bar.high, bar.low, bar.close, bar.qty)
    return (
        candle[0],
        max(candle[1], bar.high),
        min(candle[2], bar.low),
        bar.close,
        candle[4] + bar.qty,
    )
