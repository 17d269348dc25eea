"""From a store to a heatmap, without a service: what the command line and the service share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.errors import UnavailableError
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument
from liqheat.market.units import RANGE_MS
from liqheat.service.query import Query, Window, choose_rows, choose_window
from liqheat.service.status import DAY_MS
from liqheat.store import Store


def load_for(
    store: Store,
    query: Query,
    end_ms: int,
    warmup_ms: int,
    extend: Callable[[Bars], Bars] | None = None,
) -> Bars:
    """Return the bars of a query's window and its warm-up.

    Parameters
    ----------
    store : Store
        Holds the instrument's bars up to ``end_ms``.
    query : Query
        With ``as_of_ms``, nothing is returned that had not closed by then.
    end_ms : int
        End of the stored bars.
    warmup_ms : int
        What is read before the window.
    extend : callable, optional
        Adds bars which are newer than the store.

    Raises
    ------
    UnavailableError
        There are none.
    """
    end = end_ms if query.as_of_ms is None else query.as_of_ms
    start = end - RANGE_MS[query.range] - DAY_MS - warmup_ms
    bars = store.load_bars(query.instrument, start, query.as_of_ms)
    if extend is not None:
        bars = extend(bars)
    if query.as_of_ms is None:
        return bars
    ends = bars.start_ms + bars.interval_ms
    known = int(np.searchsorted(ends, query.as_of_ms, side="right"))
    if known == 0:
        msg = f"{query.instrument}: no bar had closed by as_of_ms {query.as_of_ms}"
        raise UnavailableError(msg)
    return bars[:known]


def plan(query: Query, bars: Bars) -> tuple[Window, HeatmapParams]:
    """Return the columns and rows of a query over bars (warm-up included)."""
    first, last = int(bars.start_ms[0]), int(bars.start_ms[-1]) + bars.interval_ms
    window = choose_window(query, bars.interval_ms, first, last)
    return window, query.params(*choose_rows(query, bars, window))


def build_for(
    query: Query, bars: Bars, instrument: Instrument, *, last_only: bool = False
) -> Heatmap:
    """Return the heatmap of a query; ``last_only``: its newest bar as the only column."""
    window, params = plan(query, bars)
    if last_only:
        return build_heatmap(bars, instrument, params, start_ms=int(bars.start_ms[-1]))
    return build_heatmap(
        bars, instrument, params,
        start_ms=window.start_ms, end_ms=window.end_ms, step_ms=window.step_ms,
    )  # fmt: skip


def build_stored(store: Store, query: Query, warmup_days: float = 30.0) -> Heatmap:
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
    bars = load_for(store, query, span.end_ms, int(warmup_days * DAY_MS))
    return build_for(query, bars, instrument)
