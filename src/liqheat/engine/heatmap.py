"""Batch: bars in, heatmap out. No look-ahead: column t uses nothing after the end of step t.

    bars[:n] gives a prefix of bars (on the same price grid; a last step that n cuts short is
    of course different)
    LiveHeatmap gives the same columns bit for bit
    tiers, added in order in float32, and sides give the whole exactly

Only the choice of the *rows* (when ``price_min``/``price_max`` are not given) looks at the whole
window: it decides what is shown, never what is in a bin.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION, kernels, render
from liqheat.engine.leverage import LOG_BIN, Bank
from liqheat.engine.params import MODELS as MODELS
from liqheat.engine.params import HeatmapParams as HeatmapParams
from liqheat.engine.params import Model as Model
from liqheat.engine.params import bank_for, bar_matrix
from liqheat.engine.weights import Weights, weight_rows
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS, INTERVAL_MS, stable_to_usd

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Before this much history the map has no USD scale, only a relative one [days].
WARM_DAYS = 25.0
#: How far the rows reach beyond the window's prices when not given.
ROW_MARGIN = 0.10


class Quality(msgspec.Struct, frozen=True):
    """How far a heatmap can be trusted; shown wherever it is shown."""

    warm_days: float  # history before the last column
    usd_scale: Literal["relative", "usd"]  # "relative": too little history for USD
    gap_steps: int  # columns without any bar
    capped_steps: int  # columns whose levels were scaled down to open interest
    open_interest_share: float  # of bars with a reading
    mark_source: Literal["mark", "last", "mixed"]  # what sweeps were judged by
    tiers_as_of: str  # date of the margin tiers
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Column:
    """One column of a heatmap: the map as it was known at ``end_ms``."""

    start_ms: int
    end_ms: int
    price_edges: F64
    long_usd: F32
    short_usd: F32


@dataclass(frozen=True, eq=False)
class Heatmap:
    """Price × time of estimated liquidations.

    t columns of ``step_ms``, contiguous (a step without data is a column with NaN candle);
    p rows, prices ascending. Longs lie below a column's price, shorts above. ``*_usd`` is
    quantity times the price of its row, i.e. what would be sold or bought there.
    Per side: ``level_*_qty + residual_*_qty == open_interest_qty`` [stable units: base for
    linear, USD for inverse contracts]; NaN until open interest is known.
    """

    instrument: Instrument
    params: HeatmapParams
    model_version: str
    quality: Quality
    step_ms: int
    start_ms: I64  # [t]
    price_edges: F64  # [p + 1]
    long_usd: F32  # [t, p]
    short_usd: F32  # [t, p]
    open: F64  # [t]
    high: F64
    low: F64
    close: F64
    qty: F64
    open_interest_qty: F64  # [t] one side, last known
    level_long_qty: F64  # [t] all levels, shown or not
    level_short_qty: F64
    outside_long_usd: F64  # [t] levels beyond the rows
    outside_short_usd: F64
    capped: NDArray[np.bool_]  # [t]
    tiers: tuple[float, ...]  # [k] leverages
    source: _Inputs

    @property
    def residual_long_qty(self) -> F64:
        """Open interest which no long level explains: unlevered, hedged, market makers."""
        return np.maximum(self.open_interest_qty - self.level_long_qty, 0.0)

    @property
    def residual_short_qty(self) -> F64:
        """Open interest which no short level explains."""
        return np.maximum(self.open_interest_qty - self.level_short_qty, 0.0)

    @property
    def gap(self) -> NDArray[np.bool_]:
        """Columns without any bar, of shape (t,)."""
        return np.isnan(self.close)

    @cached_property
    def _last_close(self) -> F64:
        known = self.close.copy()
        for t in np.flatnonzero(np.isnan(known)):
            known[t] = known[t - 1] if t else np.nan
        return known

    @property
    def open_interest_usd(self) -> F64:
        """One side's open interest at the column's close [USD], of shape (t,)."""
        return stable_to_usd(self.open_interest_qty, self._last_close, self.instrument)

    @property
    def residual_long_usd(self) -> F64:
        """``residual_long_qty`` at the column's close [USD]."""
        return stable_to_usd(self.residual_long_qty, self._last_close, self.instrument)

    @property
    def residual_short_usd(self) -> F64:
        """``residual_short_qty`` at the column's close [USD]."""
        return stable_to_usd(self.residual_short_qty, self._last_close, self.instrument)

    def tier_usd(self, k: int) -> tuple[F32, F32]:
        """Return (long, short) of tier ``k`` alone, each float32 of shape (t, p).

        Recomputed from the inputs. ``sum`` over k in order, in float32, is the whole map.
        """
        if not 0 <= k < len(self.tiers):
            raise BadInputError("no such tier", where="tier", value=k,
                                do=f"use 0 to {len(self.tiers) - 1}")  # fmt: skip
        result = self.source.run(k)
        return result.long_usd, result.short_usd

    def column(self, as_of_ms: int) -> Column:
        """Return the newest column which had ended by ``as_of_ms``.

        Raises
        ------
        UnavailableError
            The heatmap begins later.
        """
        index = (
            int(np.searchsorted(self.start_ms + self.step_ms, as_of_ms, side="right")) - 1
        )
        if index < 0:
            msg = f"no column had ended by {as_of_ms}; the first ends at {self.end_ms(0)}"
            raise UnavailableError(msg)
        return Column(
            int(self.start_ms[index]),
            self.end_ms(index),
            self.price_edges,
            self.long_usd[index],
            self.short_usd[index],
        )

    def end_ms(self, t: int) -> int:
        """Return the end of column ``t``."""
        return int(self.start_ms[t]) + self.step_ms


@dataclass(frozen=True, eq=False)
class _Result:
    long_usd: F32
    short_usd: F32
    accounts: F64
    open_interest: F64


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a run needs; kept so that one tier can be recomputed."""

    bank: Bank
    n_tiers: int
    rows: render.Rows
    inverse: bool
    interval_ms: int
    bar_end_ms: I64
    bars: F64
    column_end_ms: I64
    weights: F64  # [w, 2, k]
    weight_of: I64  # [t]

    def run(self, only_tier: int = -1) -> _Result:
        shape = (len(self.column_end_ms), len(self.rows.first))
        out = _Result(
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros((shape[0], render.N_ACCOUNT)),
            np.zeros(shape[0]),
        )
        render.run(
            kernels.new_ledger(self.bank), self.bank, self.rows, self.inverse, self.interval_ms,
            self.bar_end_ms, self.bars, self.column_end_ms, self.weights, self.weight_of,
            only_tier, render.new_scratch(self.n_tiers), out.accounts, out.open_interest,
            out.long_usd, out.short_usd,
        )  # fmt: skip
        return out


def price_edges(params: HeatmapParams, low: float, high: float) -> F64:
    """Return the edges of the rows, float64 of shape (bins + 1,) [USD].

    ``low`` and ``high`` are the window's prices; they give the edges which ``params`` leaves
    open, with ``ROW_MARGIN`` beyond.
    """
    bottom = params.price_min if params.price_min is not None else low * (1 - ROW_MARGIN)
    top = params.price_max if params.price_max is not None else high * (1 + ROW_MARGIN)
    if bottom >= top:
        raise BadInputError("the rows are empty: price_min is not below price_max",
                            where="price_min", value=bottom)  # fmt: skip
    if params.price_scale == "linear":
        return np.linspace(bottom, top, params.bins + 1)
    return np.exp(np.linspace(math.log(bottom), math.log(top), params.bins + 1))


def rows_for(edges: F64) -> render.Rows:
    """Return the overlaps of displayed rows with internal bins; shares of a bin sum to <= 1."""
    at = np.log(edges) / LOG_BIN
    first = np.floor(at[:-1]).astype(np.int64)
    last = np.maximum(np.ceil(at[1:]).astype(np.int64) - 1, first)
    count = last - first + 1
    offset = np.concatenate([[0], np.cumsum(count)[:-1]]).astype(np.int64)
    row = np.repeat(np.arange(len(first)), count)
    internal = np.arange(count.sum()) - offset[row] + first[row]
    share = np.minimum(internal + 1.0, at[1:][row]) - np.maximum(internal, at[:-1][row])
    share = np.clip(share, 0.0, 1.0)
    pair = np.zeros((2, 0))
    if count.max() <= 2:
        second = np.minimum(offset + 1, len(share) - 1)
        pair = np.stack([share[offset], np.where(count == 2, share[second], 0.0)])
    return render.Rows(first, last, offset, share, pair, at[[0, -1]])


def build_heatmap(
    bars: Bars,
    instrument: Instrument,
    params: HeatmapParams | None = None,
    *,
    weights: Sequence[Weights] = (),
    start_ms: int | None = None,
    end_ms: int | None = None,
    step_ms: int | None = None,
) -> Heatmap:
    """Build a heatmap from bars.

    Parameters
    ----------
    bars : Bars
        Validated bars of one interval; those before ``start_ms`` are warm-up.
    instrument : Instrument
        Margin tiers and settlement.
    params : HeatmapParams, optional
        Model, rows and leverage.
    weights : sequence of Weights, optional
        Learnt weights of the calibrated model, in order of ``as_of_ms``. Each column uses the
        newest known at its end, and the prior before the first.
    start_ms, end_ms : int, optional
        The window, half-open; all bars where not given. Aligned outwards to steps.
    step_ms : int, optional
        Length of a column, a multiple of the bars' interval; that interval where not given.

    Raises
    ------
    BadInputError
        The step is no multiple of the interval, the window holds no bar, or the weights belong
        to something else.
    """
    params = params or HeatmapParams()
    bank, tiers = bank_for(instrument, params)
    step = _step(bars, step_ms)
    starts = _column_starts(bars, start_ms, end_ms, step)
    candles = _candles(bars, starts, step)
    if np.isnan(candles[3]).all():
        raise BadInputError("the window holds no bar", where="start_ms", value=int(starts[0]),
                            do=f"bars span {bars.start_ms[0]} to {bars.start_ms[-1]}")  # fmt: skip
    edges = price_edges(params, float(np.nanmin(candles[2])), float(np.nanmax(candles[1])))
    ends = starts + step
    last_bar = int(bars.start_ms[-1]) + bars.interval_ms
    if starts[-1] < last_bar < ends[-1]:
        # The last step is under way: it shows the ledger as of now, not faded to its end.
        ends[-1] = last_bar
    source = _Inputs(
        bank, len(tiers), rows_for(edges), instrument.is_inverse, bars.interval_ms,
        bars.start_ms + bars.interval_ms, bar_matrix(bars), ends,
        *weight_rows(weights, bank, instrument, params.model, ends),
    )  # fmt: skip
    result = source.run()
    return Heatmap(
        instrument=instrument,
        params=params,
        model_version=MODEL_VERSION,
        quality=_quality(bars, instrument, candles[3], starts, result.accounts),
        step_ms=step,
        start_ms=starts,
        price_edges=edges,
        long_usd=result.long_usd,
        short_usd=result.short_usd,
        **dict(zip(CANDLE, candles, strict=True)),
        open_interest_qty=result.open_interest,
        level_long_qty=result.accounts[:, render.LEVEL_LONG],
        level_short_qty=result.accounts[:, render.LEVEL_SHORT],
        outside_long_usd=result.accounts[:, render.OUTSIDE_LONG],
        outside_short_usd=result.accounts[:, render.OUTSIDE_SHORT],
        capped=result.accounts[:, render.CAPPED] > 0,
        tiers=tiers,
        source=source,
    )


def _step(bars: Bars, step_ms: int | None) -> int:
    step = bars.interval_ms if step_ms is None else step_ms
    if step < bars.interval_ms or step % bars.interval_ms:
        names = [n for n, ms in INTERVAL_MS.items() if ms % bars.interval_ms == 0]
        raise BadInputError(
            f"the step must be a multiple of the bars' {bars.interval_ms} ms",
            where="step_ms", value=step, do=f"use one of {', '.join(names)}",
        )  # fmt: skip
    return step


def _column_starts(bars: Bars, start_ms: int | None, end_ms: int | None, step: int) -> I64:
    first = int(bars.start_ms[0]) if start_ms is None else start_ms
    stop = int(bars.start_ms[-1]) + bars.interval_ms if end_ms is None else end_ms
    if first >= stop:
        raise BadInputError("the window is empty: start_ms is not before end_ms",
                            where="start_ms", value=first)  # fmt: skip
    return np.arange(first // step * step, -(-stop // step) * step, step, dtype=np.int64)


CANDLE = ("open", "high", "low", "close", "qty")


def _candles(bars: Bars, starts: I64, step: int) -> list[F64]:
    """Aggregate bars to (open, high, low, close, qty) per column, NaN where there is none."""
    left = np.searchsorted(bars.start_ms, starts, side="left")
    right = np.searchsorted(bars.start_ms, starts + step, side="left")
    some = right > left
    out = [np.full(len(starts), np.nan) for _ in range(5)]
    if not some.any():
        return out
    begin, stop = left[some], int(right[some][-1])
    out[0][some] = bars.open[begin]
    out[1][some] = np.maximum.reduceat(bars.high[:stop], begin)
    out[2][some] = np.minimum.reduceat(bars.low[:stop], begin)
    out[3][some] = bars.close[right[some] - 1]
    out[4][some] = np.add.reduceat(bars.qty[:stop], begin)
    return out


def _quality(
    bars: Bars, instrument: Instrument, close: F64, starts: I64, accounts: F64
) -> Quality:
    days = (int(starts[-1]) - int(bars.start_ms[0])) / DAY_MS
    marked = np.isfinite(bars.mark_low)
    known = float(np.isfinite(bars.open_interest_qty).mean())
    notes = []
    if days < WARM_DAYS:
        notes.append(
            f"{days:.1f} days of history: sizes are relative until {WARM_DAYS:.0f}"
        )
    if known == 0:
        notes.append("no open interest: levels are not capped and sizes are relative")
    return Quality(
        warm_days=days,
        usd_scale="relative" if days < WARM_DAYS or known == 0 else "usd",
        gap_steps=int(np.isnan(close).sum()),
        capped_steps=int((accounts[:, render.CAPPED] > 0).sum()),
        open_interest_share=known,
        mark_source="mark" if marked.all() else "mixed" if marked.any() else "last",
        tiers_as_of=instrument.tiers_as_of,
        notes=tuple(notes),
    )
