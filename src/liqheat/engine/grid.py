"""Grid: which columns and which rows a heatmap has, and the candles of its columns."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.leverage import LOG_BIN
from liqheat.engine.params import HeatmapParams
from liqheat.engine.render import Rows
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.units import INTERVAL_MS

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: How far the rows reach beyond the window's prices when not given.
ROW_MARGIN = 0.10


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


def rows_for(edges: F64) -> Rows:
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
    return Rows(first, last, offset, share, pair, at[[0, -1]])


def column_step(bars: Bars, step_ms: int | None) -> int:
    """Return the length of a column; the bars' interval where not given."""
    step = bars.interval_ms if step_ms is None else step_ms
    if step < bars.interval_ms or step % bars.interval_ms:
        names = [n for n, ms in INTERVAL_MS.items() if ms % bars.interval_ms == 0]
        raise BadInputError(
            f"the step must be a multiple of the bars' {bars.interval_ms} ms",
            where="step_ms", value=step, do=f"use one of {', '.join(names)}",
        )  # fmt: skip
    return step


def column_starts(bars: Bars, start_ms: int | None, end_ms: int | None, step: int) -> I64:
    """Return the starts of the columns of a window, aligned outwards to steps."""
    first = int(bars.start_ms[0]) if start_ms is None else start_ms
    stop = int(bars.start_ms[-1]) + bars.interval_ms if end_ms is None else end_ms
    if first >= stop:
        raise BadInputError("the window is empty: start_ms is not before end_ms",
                            where="start_ms", value=first)  # fmt: skip
    return np.arange(first // step * step, -(-stop // step) * step, step, dtype=np.int64)


CANDLE = ("open", "high", "low", "close", "qty")


def candles(bars: Bars, starts: I64, step: int) -> list[F64]:
    """Aggregate bars to (open, high, low, close, qty) per column, NaN where there is none."""
    left = np.searchsorted(bars.start_ms, starts, side="left")
    right = np.searchsorted(bars.start_ms, starts + step, side="left")
    some = right > left
    out = [np.full(len(starts), np.nan) for _ in range(5)]
    if not some.any():
        raise BadInputError("the window holds no bar", where="start_ms", value=int(starts[0]),
                            do=f"bars span {bars.start_ms[0]} to {bars.start_ms[-1]}")  # fmt: skip
    begin, stop = left[some], int(right[some][-1])
    out[0][some] = bars.open[begin]
    out[1][some] = np.maximum.reduceat(bars.high[:stop], begin)
    out[2][some] = np.minimum.reduceat(bars.low[:stop], begin)
    out[3][some] = bars.close[right[some] - 1]
    out[4][some] = np.add.reduceat(bars.qty[:stop], begin)
    return out
