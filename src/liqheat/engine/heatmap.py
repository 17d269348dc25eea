"""Batch: bars in, heatmap out. No look-ahead: column t uses nothing after the end of step t.

    bars[:n] gives a prefix of bars (on the same price grid; a last step that n cuts short is
    of course different)
    LiveHeatmap gives the same columns bit for bit
    tiers, added in order in float32, and sides give the whole exactly

Only the choice of the *rows* (when ``price_min``/``price_max`` are not given) looks at the whole
window: it decides what is shown, never what is in a bin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import MODEL_VERSION, kernels, render
from liqheat.engine.band import Band, bands, check_edges
from liqheat.engine.grid import (
    CANDLE,
    candles,
    column_starts,
    column_step,
    price_edges,
    rows_for,
)
from liqheat.engine.learn import learn
from liqheat.engine.leverage import Bank
from liqheat.engine.params import MODELS as MODELS
from liqheat.engine.params import HeatmapParams as HeatmapParams
from liqheat.engine.params import Model as Model
from liqheat.engine.params import bank_for, bar_matrix, shown_of
from liqheat.engine.quality import Quality as Quality
from liqheat.engine.quality import assess
from liqheat.engine.weights import Weights, weight_rows
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import Instrument
from liqheat.market.units import stable_to_usd

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


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
    weights: tuple[Weights, ...]  # dated; empty but in the calibrated model
    source: _Inputs
    ledger: kernels.Ledger  # after the last column

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

        Recomputed from the inputs, shown or not. Those shown, added in order in float32, are
        the whole map.
        """
        if not 0 <= k < len(self.tiers):
            raise BadInputError("no such tier", where="tier", value=k,
                                do=f"use 0 to {len(self.tiers) - 1}")  # fmt: skip
        result = self.source.run(np.arange(len(self.tiers)) == k)
        return result.long_usd, result.short_usd

    @property
    def shown_tiers(self) -> tuple[float, ...]:
        """The tiers which are shown; ``params.tiers`` may choose some."""
        pairs = zip(self.tiers, self.source.shown, strict=True)
        return tuple(tier for tier, shown in pairs if shown)

    def weights_at(self, t: int = -1) -> Weights | None:
        """Return the learnt weights column ``t`` is drawn with; None where it is the prior."""
        row = int(self.source.weight_of[t])
        return self.weights[row - 1] if row else None

    def band(
        self, price_low: float, price_high: float, t: int = -1, level: float = 0.8
    ) -> Band[float]:
        """Return what lies in a price range, with a credible band.

        Parameters
        ----------
        price_low, price_high : float
            The range [USD].
        t : int
            The column; another than the last costs a pass over the bars before it.
        level : float
            Probability that what would really be liquidated lies in the band, (0, 1).

        Raises
        ------
        UnavailableError
            The column has no learnt weights: nothing is known about its error.
        BadInputError
            The range is empty, or the level lies outside (0, 1).
        """
        mean, low, high = self.bands(np.array([price_low, price_high]), t, level)
        return Band(float(mean[0]), float(low[0]), float(high[0]))

    def bands(self, edges: F64, t: int = -1, level: float = 0.8) -> Band[F64]:
        """Return the bands of neighbouring ranges with these edges, arrays of shape (p,)."""
        weights = self.weights_at(t)
        if weights is None:
            msg = f"no band: column {t} of {self.instrument.name} has no learnt weights"
            raise UnavailableError(msg)
        end = self.source.column_end_ms[t]
        last = end == self.source.column_end_ms[-1]
        ledger = self.ledger if last else self.source.ledger_at(int(end))
        return bands(
            ledger, self.source.bank, self.source.weights[self.source.weight_of[t]],
            weights, check_edges(edges), level, int(end), self.instrument.is_inverse,
        )  # fmt: skip

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
    ledger: kernels.Ledger


@dataclass(frozen=True, eq=False)
class _Inputs:
    """What a run needs; kept so that one tier can be recomputed."""

    bank: Bank
    shown: NDArray[np.bool_]  # [g]
    rows: render.Rows
    inverse: bool
    interval_ms: int
    bar_end_ms: I64
    bars: F64
    column_end_ms: I64
    weights: F64  # [w, 2, k]
    weight_of: I64  # [t]

    def run(self, shown: NDArray[np.bool_] | None = None) -> _Result:
        shape = (len(self.column_end_ms), len(self.rows.first))
        out = _Result(
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
            np.zeros((shape[0], render.N_ACCOUNT)),
            np.zeros(shape[0]),
            kernels.new_ledger(self.bank),
        )
        render.run(
            out.ledger, self.bank, self.rows, self.inverse, self.interval_ms,
            self.bar_end_ms, self.bars, self.column_end_ms, self.weights, self.weight_of,
            self.shown if shown is None else shown,
            render.new_scratch(len(self.shown)), out.accounts, out.open_interest,
            out.long_usd, out.short_usd,
        )  # fmt: skip
        return out

    def ledger_at(self, end_ms: int) -> kernels.Ledger:
        """Return the ledger after the last bar which had ended by ``end_ms``."""
        ledger = kernels.new_ledger(self.bank)
        kernels.advance(
            ledger,
            self.bank,
            self.inverse,
            self.interval_ms,
            self.bar_end_ms,
            self.bars,
            0,
            end_ms,
        )
        return ledger


def build_heatmap(
    bars: Bars,
    instrument: Instrument,
    params: HeatmapParams | None = None,
    *,
    liquidations: Liquidations | None = None,
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
    liquidations : Liquidations, optional
        Realised ones, full history as far as there is; the calibrated model learns its weights
        from them, walking forward. Give these or ``weights``.
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
        The step is no multiple of the interval, the window holds no bar, or the weights or
        liquidations belong to something else.
    """
    params = params or HeatmapParams()
    weights = _learnt(bars, instrument, params, liquidations, weights)
    step = column_step(bars, step_ms)
    starts = column_starts(bars, start_ms, end_ms, step)
    shown = candles(bars, starts, step)
    edges = price_edges(params, float(np.nanmin(shown[2])), float(np.nanmax(shown[1])))
    source, tiers = _inputs(bars, instrument, params, weights, edges, starts + step)
    result, known = source.run(), (weights, source.weight_of)
    return Heatmap(
        instrument=instrument,
        params=params,
        model_version=MODEL_VERSION,
        quality=assess(
            bars, instrument, params.model, starts, step, result.accounts, *known
        ),
        step_ms=step,
        start_ms=starts,
        price_edges=edges,
        long_usd=result.long_usd,
        short_usd=result.short_usd,
        **dict(zip(CANDLE, shown, strict=True)),
        open_interest_qty=result.open_interest,
        level_long_qty=result.accounts[:, render.LEVEL_LONG],
        level_short_qty=result.accounts[:, render.LEVEL_SHORT],
        outside_long_usd=result.accounts[:, render.OUTSIDE_LONG],
        outside_short_usd=result.accounts[:, render.OUTSIDE_SHORT],
        capped=result.accounts[:, render.CAPPED] > 0,
        tiers=tiers,
        weights=tuple(weights),
        source=source,
        ledger=result.ledger,
    )


def _inputs(
    bars: Bars,
    instrument: Instrument,
    params: HeatmapParams,
    weights: Sequence[Weights],
    edges: F64,
    ends: I64,
) -> tuple[_Inputs, tuple[float, ...]]:
    bank, tiers = bank_for(instrument, params)
    bar_ends = bars.start_ms + bars.interval_ms
    if ends[-1] > bar_ends[-1] > (ends[-2] if len(ends) > 1 else 0):
        # The last step is under way: it shows the ledger as of now, not faded to its end.
        ends[-1] = bar_ends[-1]
    source = _Inputs(
        bank, shown_of(params, tiers), rows_for(edges), instrument.is_inverse,
        bars.interval_ms, bar_ends, bar_matrix(bars), ends,
        *weight_rows(weights, bank, instrument, params.model, ends),
    )  # fmt: skip
    return source, tiers


def _learnt(
    bars: Bars,
    instrument: Instrument,
    params: HeatmapParams,
    liquidations: Liquidations | None,
    weights: Sequence[Weights],
) -> Sequence[Weights]:
    if liquidations is None:
        return weights
    if params.model != "calibrated":
        raise BadInputError("only the calibrated model learns from liquidations",
                            where="liquidations", value=params.model,
                            do="use model calibrated, or leave them out")  # fmt: skip
    if weights:
        raise BadInputError("give weights or liquidations, not both", where="liquidations")
    return learn(bars, instrument, liquidations)
