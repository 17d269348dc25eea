"""Live: the same ledger, one bar at a time.

``push`` takes a closed bar; ``peek`` shows what the map would be if the bar in progress closed
now, without changing anything. After the same bars, ``long_usd`` and ``short_usd`` equal the
batch column bit for bit, because both call the same compiled functions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels, render
from liqheat.engine.flow import OPEN_INTEREST
from liqheat.engine.grid import rows_for
from liqheat.engine.params import HeatmapParams, bank_for, bar_matrix, shown_of
from liqheat.engine.weights import Weights, weight_rows
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

Row = kernels.Bar


class LiveHeatmap:
    """One instrument's newest column, kept up to date.

    Parameters
    ----------
    instrument : Instrument
        Margin tiers and settlement.
    params : HeatmapParams
        Model and leverage; the rows are those of ``price_edges``.
    price_edges : ndarray of shape (p + 1,), float64
        Edges of the rows [USD], e.g. a batch heatmap's.
    interval_ms : int
        Length of the bars to come.
    weights : sequence of Weights, optional
        For the calibrated model; the newest known at a bar's end is used. Later ones are added
        with ``learn``.
    """

    def __init__(
        self,
        instrument: Instrument,
        params: HeatmapParams,
        price_edges: F64,
        interval_ms: int,
        weights: Sequence[Weights] = (),
    ) -> None:
        self.instrument, self.interval_ms, self.params = instrument, interval_ms, params
        self.bank, self.tiers = bank_for(instrument, params)
        self.shown = shown_of(params, self.tiers)
        self.learn(weights)
        self._ledger = kernels.new_ledger(self.bank)
        self._spare = kernels.new_ledger(self.bank)
        self._scratch = render.new_scratch(len(self.tiers))
        self.account = np.zeros(render.N_ACCOUNT)
        #: One side's open interest of what was pushed, peeked or faded last; NaN if unknown.
        self.open_interest_qty = float("nan")
        self.price_edges, self._rows = price_edges, rows_for(price_edges)
        self.long_usd: F32 = np.zeros(len(price_edges) - 1, np.float32)
        self.short_usd: F32 = np.zeros(len(price_edges) - 1, np.float32)

    def learn(self, weights: Sequence[Weights]) -> None:
        """Use these dated weights from the next bar on, in place of those given before."""
        self.weights = tuple(weights)
        self._by_weights, _ = weight_rows(
            self.weights,
            self.bank,
            self.instrument,
            self.params.model,
            np.zeros(1, np.int64),
        )
        self._known_ms = np.array([each.as_of_ms for each in self.weights], np.int64)

    def _row_at(self, end_ms: int) -> int:
        """Return which row of weights is the newest known then; 0 is the prior."""
        return int(np.searchsorted(self._known_ms, end_ms, side="right"))

    @property
    def end_ms(self) -> int | None:
        """End of the last bar taken in; None before the first."""
        place = self._ledger.place
        return int(place[kernels.END_MS]) if place[kernels.STARTED] else None

    def warm(self, bars: Bars) -> None:
        """Take in many closed bars, e.g. the stored history, and show the last column."""
        rows, ends = bar_matrix(bars), bars.start_ms + bars.interval_ms
        if len(ends) == 0:
            return
        self._refuse_old(int(ends[0]))
        render.run(
            self._ledger, self.bank, self._rows, self.instrument.is_inverse, self.interval_ms,
            ends, rows, ends[-1:], self._by_weights,
            np.array([self._row_at(int(ends[-1]))]), self.shown, self._scratch,
            self.account[None, :], np.zeros(1),
            _zeroed(self.long_usd)[None, :], _zeroed(self.short_usd)[None, :],
        )  # fmt: skip

    def push(self, end_ms: int, row: Row) -> None:
        """Take in one closed bar.

        Parameters
        ----------
        end_ms : int
            End of the bar; later than the last one's.
        row : (high, low, close, qty, open_interest_qty, mark_high, mark_low)
            As in ``Bars``; the last three may be NaN.

        Raises
        ------
        BadInputError
            The bar is not newer than the last.
        """
        self._refuse_old(end_ms)
        self._step(self._ledger, end_ms, row)
        self._show(self._ledger, end_ms, _zeroed(self.long_usd), _zeroed(self.short_usd))

    def peek(self, end_ms: int, row: Row) -> tuple[F32, F32]:
        """Return (long, short) [USD], each of shape (p,), as if this bar closed now."""
        self._refuse_old(end_ms)
        for spare, own in zip(self._spare, self._ledger, strict=True):
            spare[...] = own
        self._step(self._spare, end_ms, row)
        long_usd, short_usd = np.zeros_like(self.long_usd), np.zeros_like(self.short_usd)
        self._show(self._spare, end_ms, long_usd, short_usd)
        return long_usd, short_usd

    def faded(self, end_ms: int) -> tuple[F32, F32]:
        """Return (long, short) [USD], each of shape (p,), at a later time without a bar."""
        lag = float(end_ms - (self.end_ms or end_ms))
        long_usd, short_usd = np.zeros_like(self.long_usd), np.zeros_like(self.short_usd)
        # As in ``render.run``: a column within the last bar's interval shows that bar.
        lag = 0.0 if lag < self.interval_ms else lag
        self._show(self._ledger, end_ms, long_usd, short_usd, lag)
        return long_usd, short_usd

    def _step(self, ledger: kernels.Ledger, end_ms: int, row: Row) -> None:
        inverse = self.instrument.is_inverse
        kernels.step(ledger, self.bank, inverse, end_ms, self.interval_ms, row)

    def _show(
        self, ledger: kernels.Ledger, end_ms: int, long_usd: F32, short_usd: F32,
        lag_ms: float = 0.0,
    ) -> None:  # fmt: skip
        render.render(
            ledger, self.bank, self._by_weights[self._row_at(end_ms)],
            self._rows, self.shown, lag_ms, self._scratch, self.account,
            long_usd, short_usd,
        )  # fmt: skip
        self.open_interest_qty = float(ledger.flow[OPEN_INTEREST])

    def _refuse_old(self, end_ms: int) -> None:
        if self.end_ms is not None and end_ms <= self.end_ms:
            raise BadInputError(
                f"the bar is not newer than the last, which ended at {self.end_ms}",
                where="end_ms", value=end_ms, do="push closed bars in order, each once",
            )  # fmt: skip


def _zeroed(array: F32) -> F32:
    array[...] = 0.0
    return array
