"""One instrument's columns on a view's grid, and the ledger which continues them.

    closed bars, bar under way  ->  ledger  ->  the column's USD and candle

A part knows its own bars only. It may be behind the view (its bars are late: ``fill`` shows the
faded ledger meanwhile) or ahead of it (it opened a column which the lead has not reached yet).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap, HeatmapParams
from liqheat.engine.live import LiveHeatmap
from liqheat.engine.measured import MeasuredHeatmap, ShownLevels, measured_words
from liqheat.engine.positions import Told, joined, measured_levels
from liqheat.engine.weights import Weights
from liqheat.market.instrument import Instrument
from liqheat.service.history import BarRow, History
from liqheat.service.measured import STALE_MS, Heard
from liqheat.service.query import Query
from liqheat.service.window import Member, Window, build_in, plan

F32 = NDArray[np.float32]


@dataclass(frozen=True)
class Inputs:
    """Which inputs the bars carry."""

    open_interest: bool
    taker_volume: bool
    mark: bool


@dataclass(frozen=True, eq=False)
class BuiltPart:
    """What one instrument of a view starts from: made in a thread."""

    heatmap: Heatmap
    live: LiveHeatmap
    first_bar_ms: int
    has: Inputs
    told: Told | None = None
    heard: Heard | None = None

    @property
    def name(self) -> str:
        """Its instrument."""
        return self.heatmap.instrument.name


@dataclass(frozen=True, eq=False)
class Built:
    """What a view starts from; the first part leads."""

    window: Window
    params: HeatmapParams
    parts: tuple[BuiltPart, ...]
    #: Instruments of a coin which were asked for; those which cannot be drawn are no parts.
    asked: frozenset[str] = frozenset()


def build_view(
    query: Query, history: History, instrument: Instrument,
    weights: Sequence[Weights] = (), told: Told | None = None, heard: Heard | None = None,
) -> Built:  # fmt: skip
    """Build the window of a live view of one instrument and the ledger that continues it."""
    window, params = plan(query, history, weights)
    member = Member(instrument, history, weights, told, heard)
    return Built(window, params, (build_part(window, params, member),))


def build_part(window: Window, params: HeatmapParams, member: Member) -> BuiltPart:
    """Build one instrument of a view on a window and rows which are given.

    Raises
    ------
    BadInputError
        It has no bar in the window, or its bars are too long for the step.
    """
    instrument, history, weights = member.instrument, member.history, member.weights
    bars = history.bars
    heatmap = build_in(window, params, history, instrument, weights, member.told)
    learnt = weights if params.model == "calibrated" else ()
    live = LiveHeatmap(instrument, params, heatmap.price_edges, bars.interval_ms, learnt)
    live.warm(bars)
    # Once here, in a thread: the first call loads machine code from disk.
    last = history[-1:].rows()[0]
    live.peek(last.end_ms + bars.interval_ms, last.engine_row())
    columns = (bars.open_interest_qty, bars.taker_buy_qty, bars.mark_high)
    has = Inputs(*(bool(np.isfinite(column).any()) for column in columns))
    start = int(history.start_ms[0])
    return BuiltPart(heatmap, live, start, has, member.told, member.heard)


class Part:
    """One instrument of a live view.

    Parameters
    ----------
    built : BuiltPart
        Its start.
    room : int
        Columns there is room for.

    Attributes
    ----------
    measured : str
        What is measured of the newest column, in words; empty where nothing is.
    """

    def __init__(self, built: BuiltPart, room: int) -> None:
        heatmap = built.heatmap
        self.name, self.exchange = built.name, heatmap.instrument.exchange
        self.inverse = heatmap.instrument.is_inverse
        self.live, self.quality, self.has = built.live, heatmap.quality, built.has
        self.first_bar_ms = built.first_bar_ms
        self.outdated = False
        self.columns = n = len(heatmap.start_ms)
        self.usd = np.zeros((max(room, n), heatmap.long_usd.shape[1]), np.float32)
        np.add(heatmap.long_usd, heatmap.short_usd, out=self.usd[:n])
        self.candles = np.full((len(self.usd), 5), np.nan, np.float32)
        for i, name in enumerate(("open", "high", "low", "close", "qty")):
            self.candles[:n, i] = getattr(heatmap, name)
        #: The last column's candle from closed bars alone; None when it has none yet.
        self._closed: tuple[float, ...] | None = tuple(self.candles[n - 1].tolist())
        #: End of the last bar shown, closed or under way.
        self.shown_end_ms = self.end_ms
        self._filled = 0
        self._before, self._heard = built.told, built.heard
        self._told, self._version = built.told, 0
        known = heatmap.close[np.isfinite(heatmap.close)]
        self._price = float(known[-1]) if len(known) else math.nan
        self._chosen = ShownLevels.of(heatmap.instrument, self.live.tiers, self.live.shown)
        self.measured = ""
        if isinstance(heatmap, MeasuredHeatmap):
            self.measured = measured_words(
                self.exchange, heatmap.measured_share[-1], heatmap.measured_age_ms[-1]
            )

    @property
    def end_ms(self) -> int:
        """End of the last closed bar."""
        return self.live.end_ms or 0

    def traded(self) -> float:
        """Return what was traded in the columns shown [USD]."""
        shown = self.candles[: self.columns]
        return float(np.nansum(shown[:, 3] * shown[:, 4]))

    def advance(
        self, closed: Iterable[BarRow], progress: BarRow | None, t0_ms: int, step_ms: int
    ) -> set[int]:
        """Take in bars and return the columns they changed."""
        touched = set[int]()
        for bar in closed:
            if self.outdated or bar.start_ms < self.end_ms:
                continue
            column = self._column(bar, t0_ms, step_ms)
            if bar.start_ms > self.end_ms or column > self.columns:
                self.outdated = True
                break
            self.live.push(bar.end_ms, bar.engine_row())
            first = bar.start_ms <= t0_ms + column * step_ms
            self._closed = _merge(None if first else self._closed, bar)
            self._price = bar.close
            self._set(
                column, self._closed,
                self._whole(bar.end_ms, self.live.long_usd, self.live.short_usd),
            )  # fmt: skip
            self.shown_end_ms = bar.end_ms
            touched.add(column)
        if progress is not None and not self.outdated and progress.start_ms == self.end_ms:
            column = self._column(progress, t0_ms, step_ms)
            if column <= self.columns:
                touched.add(self._peek(column, progress))
        return touched

    def _column(self, bar: BarRow, t0_ms: int, step_ms: int) -> int:
        # By its end, where it stands on the grid; see ``history``.
        return (bar.end_ms - 1 - t0_ms) // step_ms

    def _peek(self, column: int, bar: BarRow) -> int:
        self._price = bar.close
        both = self.live.peek(bar.end_ms, bar.engine_row())
        usd = self._whole(bar.end_ms, *both)
        closed = self._closed if column == self.columns - 1 else None
        if column != self.columns - 1:
            self._closed = None
        self._set(column, _merge(closed, bar), usd)
        self.shown_end_ms = bar.end_ms
        return column

    def _whole(self, end_ms: int, long_usd: F32, short_usd: F32) -> F32:
        """Return a column of both sides, with measured levels as far as they are known."""
        told = self._known(end_ms)
        if told is None or self.inverse or not self._price > 0:
            return long_usd + short_usd
        found = measured_levels(told, self.live.price_edges, self._price, end_ms)
        kept = (
            self._chosen.rows(self.live.price_edges, self._price) if self._chosen else None
        )
        both = joined(long_usd, short_usd, found, self.live.open_interest_qty, kept)
        self.measured = measured_words(self.exchange, np.array(both.share), found.age_ms)
        return both.long_usd + both.short_usd if found.positions else long_usd + short_usd

    def _known(self, end_ms: int) -> Told | None:
        if self._heard is not None and self._heard.version != self._version:
            self._version, told = self._heard.version, self._heard.told()
            before = self._before
            self._told = before.extended(told, end_ms - 2 * STALE_MS) if before else told
        return self._told

    def _set(self, column: int, candle: tuple[float, ...], usd: F32) -> None:
        self._need(column)
        self.columns = max(self.columns, column + 1)
        self.usd[column] = usd
        self.candles[column] = candle

    def _need(self, column: int) -> None:
        if column >= len(self.usd):
            more = ((0, max(len(self.usd), column + 1 - len(self.usd))), (0, 0))
            self.usd = np.pad(self.usd, more)
            self.candles = np.pad(self.candles, more, constant_values=np.nan)

    def fill(self, columns: int, until_ms: int, t0_ms: int, step_ms: int) -> set[int]:
        """Show the ledger, faded, in columns up to ``columns`` which no bar has reached."""
        out = set[int]()
        # The last one filled was faded to a time inside it, and is over now.
        for column in range(max(self.columns, self._filled - 1), columns):
            end = min(t0_ms + (column + 1) * step_ms, max(until_ms, self.end_ms))
            self._need(column)
            self.usd[column] = self._whole(end, *self.live.faded(end))
            out.add(column)
        self._filled = columns
        return out

    def drop(self, count: int) -> None:
        """Forget the oldest columns."""
        if count <= 0:
            return
        for array in (self.usd, self.candles):
            array[:-count] = array[count:].copy()
        self.usd[-count:], self.candles[-count:] = 0.0, np.nan
        self.columns = max(0, self.columns - count)
        self._filled = max(0, self._filled - count)


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
