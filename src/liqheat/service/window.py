"""From a query and stored bars to a heatmap: which bars, which columns, which rows.

    load_bars -> plan: Window (columns) and HeatmapParams (rows) -> build

Needs no running service: the command line builds its files with ``build_stored`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

import numpy as np

from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS, INTERVAL_MS, RANGE_MS, interval_name
from liqheat.service.history import History, merge
from liqheat.service.query import Query, StepName
from liqheat.store import Store

#: Bars read before a window, so that its levels have had time to build up.
WARMUP_MS = 30 * DAY_MS
#: The auto step is the shortest which gives no more columns than this.
AUTO_COLUMNS = 1_500
#: More columns than this are refused: a texture of 4096 is what old graphics chips can hold.
MAX_COLUMNS = 4_000
#: The rows reach at least this far (natural log) to both sides of the last price, so that the
#: levels of 10x and more leverage show ...
NEAR = 0.105
#: ... and this share of the window's own range beyond its extremes, at least ``BEYOND``.
BEYOND_SHARE, BEYOND = 0.12, 0.04
#: Edges lie on multiples of this (natural log): a picture does not shift with each step.
SNAP = 0.02
#: A live view is drawn on new rows when the price comes nearer than this to an edge.
TOO_NEAR = 0.05


@dataclass(frozen=True)
class Window:
    """The columns of a query: ``[start_ms, end_ms)`` in steps, and how many were wanted."""

    start_ms: int
    end_ms: int
    step_ms: int
    wanted: int

    @property
    def columns(self) -> int:
        """Columns there are data for."""
        return (self.end_ms - self.start_ms) // self.step_ms


def choose_window(query: Query, interval_ms: int, first_ms: int, last_ms: int) -> Window:
    """Return the window that ends with the step under way at ``last_ms``.

    Parameters
    ----------
    query : Query
        Range and step.
    interval_ms : int
        What a step must be a multiple of: the interval of the bars in the window.
    first_ms, last_ms : int
        Span of the stored bars, half-open: nothing is drawn before the first.

    Raises
    ------
    BadInputError
        The step is no multiple of the bars' interval, or gives too many columns.
    """
    span = RANGE_MS[query.range]
    step = _auto_step(span, interval_ms) if query.step is None else INTERVAL_MS[query.step]
    usable = [n for n in get_args(StepName) if INTERVAL_MS[n] % interval_ms == 0]
    if step % interval_ms:
        raise BadInputError(
            f"the stored bars are {interval_name(interval_ms)}", where="step", value=query.step,
            do=f"use one of {', '.join(usable)}",
        )  # fmt: skip
    wanted = -(-span // step)
    if wanted > MAX_COLUMNS:
        fitting = [n for n in usable if -(-span // INTERVAL_MS[n]) <= MAX_COLUMNS]
        raise BadInputError(
            f"{query.range} has {wanted} columns of {interval_name(step)}; "
            f"at most {MAX_COLUMNS} are drawn",
            where="step", value=query.step, do=f"use one of {', '.join(fitting)}",
        )  # fmt: skip
    end = -(-last_ms // step) * step
    return Window(max(end - wanted * step, first_ms // step * step), end, step, wanted)


def _auto_step(span_ms: int, interval_ms: int) -> int:
    steps = [INTERVAL_MS[name] for name in get_args(StepName)]
    fitting = [
        s for s in steps if s % interval_ms == 0 and -(-span_ms // s) <= AUTO_COLUMNS
    ]
    return (
        fitting[0] if fitting else -(-span_ms // (AUTO_COLUMNS * interval_ms)) * interval_ms
    )


def choose_rows(query: Query, history: History, window: Window) -> tuple[float, float]:
    """Return the lowest and highest price of the rows.

    The window's prices, widened so that the near levels show, on snapped edges; an edge the
    query gives is taken as it is.
    """
    bars = history.bars
    first = int(np.searchsorted(bars.start_ms, window.start_ms))
    shown = bars[min(first, len(bars) - 1) :]
    low, high = math.log(float(shown.low.min())), math.log(float(shown.high.max()))
    last = math.log(float(bars.close[-1]))
    beyond = max(BEYOND, BEYOND_SHARE * (high - low))
    bottom = math.floor(min(low - beyond, last - NEAR) / SNAP) * SNAP
    top = math.ceil(max(high + beyond, last + NEAR) / SNAP) * SNAP
    price_min = math.exp(bottom) if query.price_min is None else query.price_min
    price_max = math.exp(top) if query.price_max is None else query.price_max
    if price_min >= price_max:
        field = "price_min" if query.price_max is None else "price_max"
        raise BadInputError(
            f"leaves no rows: the prices drawn are {price_min:g} to {price_max:g}",
            where=field, value=getattr(query, field), do="give both edges or a nearer one",
        )  # fmt: skip
    return price_min, price_max


def is_too_near(query: Query, price: float, price_min: float, price_max: float) -> bool:
    """Return whether a live price is so near to a chosen edge that the rows must move."""
    low = query.price_min is None and math.log(price / price_min) < TOO_NEAR
    high = query.price_max is None and math.log(price_max / price) < TOO_NEAR
    return low or high


def load_for(
    store: Store,
    query: Query,
    end_ms: int,
    extend: Callable[[History], History] | None = None,
) -> History:
    """Return the bars of a query's window and its warm-up, the finest there are each time.

    Parameters
    ----------
    store : Store
        Holds the instrument's bars up to ``end_ms``.
    query : Query
        With ``as_of_ms``, nothing is returned that had not closed by then.
    end_ms : int
        End of the stored bars.
    extend : callable, optional
        Adds bars which are newer than the store.

    Raises
    ------
    UnavailableError
        There are none.
    """
    end = end_ms if query.as_of_ms is None else query.as_of_ms
    start = end - RANGE_MS[query.range] - DAY_MS - WARMUP_MS
    history = merge(store.load_pieces(query.instrument, start, query.as_of_ms))
    if extend is not None:
        history = extend(history)
    if query.as_of_ms is None:
        return history
    known = history.known_at(query.as_of_ms)
    if len(known) == 0:
        msg = f"{query.instrument}: no bar had closed by as_of_ms {query.as_of_ms}"
        raise UnavailableError(msg)
    return known


def plan(query: Query, history: History) -> tuple[Window, HeatmapParams]:
    """Return the columns and rows of a query over bars (warm-up included)."""
    first, last = int(history.start_ms[0]), int(history.end_ms[-1])
    interval = history.coarsest_ms(last - RANGE_MS[query.range])
    window = choose_window(query, interval, first, last)
    return window, query.params(*choose_rows(query, history, window))


def build_for(
    query: Query, history: History, instrument: Instrument, *, last_only: bool = False
) -> Heatmap:
    """Return the heatmap of a query; ``last_only``: its newest bar as the only column."""
    window, params = plan(query, history)
    bars = history.bars
    if last_only:
        return build_heatmap(bars, instrument, params, start_ms=int(bars.start_ms[-1]))
    return build_heatmap(
        bars, instrument, params,
        start_ms=window.start_ms, end_ms=window.end_ms, step_ms=window.step_ms,
    )  # fmt: skip


def build_stored(store: Store, query: Query) -> Heatmap:
    """Return the heatmap of a query from a store.

    Raises
    ------
    UnknownInstrumentError, UnavailableError, BadInputError
        The instrument is unknown, has no bars, or the window cannot be drawn.
    """
    instrument = store.instrument(query.instrument)
    span = store.span("bars", query.instrument)
    if span is None:
        raise UnavailableError(
            f"{query.instrument}: no bars are stored; import or collect some"
        )
    bars = load_for(store, query, span.end_ms)
    return build_for(query, bars, instrument)
