"""Sweeps: what each bar consumed of the map as it stood before that bar.

This is what a map is judged by and learns from: "so much was modelled in the prices this bar went
through" against what was really liquidated in it. ``swept`` is in USD, on the map as shown (its
weights, held to open interest); ``swept_components`` leaves the components apart and unweighted,
which is all that calibration needs, whatever the weights of the day.

Both are one compiled pass over the bars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels, render
from liqheat.engine.kernels import Bar, Ledger
from liqheat.engine.leverage import Bank
from liqheat.engine.params import HeatmapParams, bank_for, bar_matrix
from liqheat.engine.render import Scratch
from liqheat.engine.weights import Weights, weight_rows
from liqheat.errors import BadInputError
from liqheat.jit import kernel, part
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.units import stable_to_usd

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


def swept(
    bars: Bars,
    instrument: Instrument,
    params: HeatmapParams,
    *,
    weights: Sequence[Weights] = (),
) -> F64:
    """Return what each bar sweeps on the map as it was before that bar.

    Parameters
    ----------
    bars : Bars
        All of them, oldest first; the first of them find an empty map.
    instrument : Instrument
        Margin tiers and settlement.
    params : HeatmapParams
        Model and leverage; its rows do not matter.
    weights : sequence of Weights, optional
        For the calibrated model: each bar uses the newest known at its START.

    Returns
    -------
    ndarray of shape (n, 2), float64
        USD of longs and of shorts at each bar's close.
    """
    bank, tiers = bank_for(instrument, params)
    starts = bars.start_ms
    rows, row_of = weight_rows(weights, bank, instrument, params.model, starts)
    out = np.zeros((len(bars), 2))
    _swept(
        kernels.new_ledger(bank), bank, instrument.is_inverse, bars.interval_ms,
        starts + bars.interval_ms, bar_matrix(bars), rows, row_of,
        render.new_scratch(len(tiers)), out,
    )  # fmt: skip
    return stable_to_usd(out, bars.close[:, None], instrument)


def swept_components(
    bars: Bars, instrument: Instrument, params: HeatmapParams, block_ms: int = 900_000
) -> tuple[I64, F64]:
    """Return what each block of time sweeps of each component, before any weight.

    Parameters
    ----------
    bars, instrument, params
        As for ``swept``.
    block_ms : int
        Length of a block, a multiple of the bars' interval. A block begins at a multiple of it.

    Returns
    -------
    start_ms : ndarray of shape (m,), int64
        Starts of the blocks which hold a bar.
    swept : ndarray of shape (m, 2, k), float64
        Stable units (base of linear, USD of inverse contracts) of longs and shorts.

    Raises
    ------
    BadInputError
        The block is no multiple of the bars' interval.
    """
    if block_ms <= 0 or block_ms % bars.interval_ms:
        raise BadInputError(
            f"the block must be a multiple of the bars' {bars.interval_ms} ms",
            where="block_ms", value=block_ms,
        )  # fmt: skip
    bank, _ = bank_for(instrument, params)
    starts, block_of = np.unique(bars.start_ms // block_ms, return_inverse=True)
    out = np.zeros((len(starts), 2, len(bank.weight)))
    _swept_components(
        kernels.new_ledger(bank), bank, instrument.is_inverse, bars.interval_ms,
        bars.start_ms + bars.interval_ms, bar_matrix(bars), block_of.astype(np.int64), out,
    )  # fmt: skip
    return starts * block_ms, out


@part
def _bar(bars: F64, i: int) -> Bar:
    return (
        bars[i, 0], bars[i, 1], bars[i, 2], bars[i, 3], bars[i, 4], bars[i, 5], bars[i, 6]
    )  # fmt: skip


@kernel
def _swept(
    ledger: Ledger,
    bank: Bank,
    inverse: bool,
    interval_ms: int,
    bar_end_ms: I64,
    bars: F64,
    rows: F64,
    row_of: I64,
    scratch: Scratch,
    out: F64,
) -> None:
    """Write the weighted sweep of each bar [stable units], held to open interest as the map is."""
    factor = np.ones(2)
    for i in range(len(bar_end_ms)):
        weight, limit = rows[row_of[i]], render.MAX_LEVEL_SHARE * ledger.flow[0]
        factor[:] = 1.0
        if ledger.place[kernels.STARTED] == 1 and not math.isnan(limit):
            total = render.totals(ledger, bank, weight, scratch)
            for side in range(2):
                if total[side] > limit:
                    factor[side] = limit / total[side]
        kernels.step(ledger, bank, inverse, bar_end_ms[i], interval_ms, _bar(bars, i))
        for k in range(weight.shape[1]):
            for side in range(2):
                out[i, side] += weight[side, k] * ledger.swept[k, side] * factor[side]


@kernel
def _swept_components(
    ledger: Ledger,
    bank: Bank,
    inverse: bool,
    interval_ms: int,
    bar_end_ms: I64,
    bars: F64,
    block_of: I64,
    out: F64,
) -> None:
    """Add the sweep of each bar to its block [stable units]."""
    for i in range(len(bar_end_ms)):
        kernels.step(ledger, bank, inverse, bar_end_ms[i], interval_ms, _bar(bars, i))
        block = out[block_of[i]]
        for k in range(block.shape[1]):
            block[0, k] += ledger.swept[k, 0]
            block[1, k] += ledger.swept[k, 1]
