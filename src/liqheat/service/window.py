"""From a query and stored bars to a heatmap: which bars, which columns, which rows.

    load_bars -> plan: Window (columns) and HeatmapParams (rows) -> build

Needs no running service: the command line builds its files with ``build_stored`` alone.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import get_args

import msgspec
import numpy as np

from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.engine.leverage import PRIOR_MIXTURE, check_tiers, tiers_for
from liqheat.engine.measured import with_measured
from liqheat.engine.positions import Told
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS, INTERVAL_MS, RANGE_MS, interval_name
from liqheat.service.coin import (
    SIMULATED,
    CoinHeatmap,
    choose_lead,
    chosen_exchanges,
    coin_of,
    sum_heatmaps,
)
from liqheat.service.history import History, merge
from liqheat.service.measured import Heard, read_told
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
    warmup_ms: int = WARMUP_MS,
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
    warmup_ms : int
        How long before the window the bars begin.

    Raises
    ------
    UnavailableError
        There are none.
    """
    end = end_ms if query.as_of_ms is None else query.as_of_ms
    start = end - RANGE_MS[query.range] - DAY_MS - warmup_ms
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


def plan(
    query: Query, history: History, weights: Sequence[Weights] = ()
) -> tuple[Window, HeatmapParams]:
    """Return the columns and rows of a query over bars (warm-up included)."""
    first, last = int(history.start_ms[0]), int(history.end_ms[-1])
    interval = history.coarsest_ms(last - RANGE_MS[query.range])
    window = choose_window(query, interval, first, last)
    return window, query.params(*choose_rows(query, history, window), weights)


def plan_coin(
    query: Query, lead: History, others: Sequence[History], weights: Sequence[Weights] = ()
) -> tuple[Window, HeatmapParams]:
    """Return the columns and rows of a coin: the lead's, up to the newest bar of any.

    Where no step is asked for, the columns are as long as the longest bars any of them has in
    the window, so that all can be drawn.
    """
    every = [lead, *others]
    first = min(int(one.start_ms[0]) for one in every)
    last = max(int(one.end_ms[-1]) for one in every)
    since = last - RANGE_MS[query.range]
    shown = every if query.step is None else [lead]
    interval = math.lcm(*(one.coarsest_ms(since) for one in shown))
    window = choose_window(query, interval, first, last)
    return window, query.params(*choose_rows(query, lead, window), weights)


def build_for(
    query: Query, history: History, instrument: Instrument,
    weights: Sequence[Weights] = (), *, told: Told | None = None, last_only: bool = False,
) -> Heatmap:  # fmt: skip
    """Return the heatmap of a query; ``last_only``: its newest bar as the only column."""
    window, params = plan(query, history, weights)
    bars = history.bars
    if last_only:
        start = int(bars.start_ms[-1])
        window = Window(start, start + bars.interval_ms, bars.interval_ms, 1)
    return build_in(window, params, history, instrument, weights, told)


def build_in(
    window: Window, params: HeatmapParams, history: History, instrument: Instrument,
    weights: Sequence[Weights], told: Told | None = None,
) -> Heatmap:  # fmt: skip
    """Return a heatmap on columns and rows which are given, measured levels in it."""
    learnt = weights if params.model == "calibrated" else ()
    heatmap = build_heatmap(
        history.bars, instrument, params, weights=learnt,
        start_ms=window.start_ms, end_ms=window.end_ms, step_ms=window.step_ms,
    )  # fmt: skip
    return heatmap if told is None else with_measured(heatmap, told)


@dataclass(frozen=True)
class Member:
    """One instrument: what it is, its bars, what was learnt of it, its public positions."""

    instrument: Instrument
    history: History
    weights: Sequence[Weights] = ()
    told: Told | None = None
    #: Positions as they come in, for a live view.
    heard: Heard | None = None


def lead_first(members: Sequence[Member]) -> list[Member]:
    """Return the members as they are summed: the one that leads, the others by name."""
    lead = choose_lead({one.instrument: one.history for one in members})
    rest = [one for one in members if one.instrument != lead]
    first = next(one for one in members if one.instrument == lead)
    return [first, *sorted(rest, key=lambda one: one.instrument.name)]


def params_for(query: Query, params: HeatmapParams, member: Member) -> HeatmapParams:
    """Return a coin's parameters as one of its instruments takes them.

    A tier which others have alone is left out.
    """
    model = query.model_for(member.weights)
    tiers = params.tiers
    if tiers is not None:
        own = tiers_for(member.instrument, model, params.leverage)
        tiers = tuple(one for one in tiers if one in own or one in PRIOR_MIXTURE)
    return msgspec.structs.replace(params, model=model, tiers=tiers)


def check_coin_tiers(
    query: Query, params: HeatmapParams, members: Sequence[Member]
) -> None:
    """Refuse a tier which none of a coin's instruments has, with the names of those there are.

    Raises
    ------
    BadInputError
        There is such a tier.
    """
    every = set[float]()
    for one in members if params.tiers is not None else ():
        # One which does not allow the mixture is left out of the coin, and says so.
        with contextlib.suppress(BadInputError):
            model = query.model_for(one.weights)
            every.update(tiers_for(one.instrument, model, params.leverage))
    check_tiers(params.tiers if every else None, sorted(every))


def build_coin(
    query: Query, members: Sequence[Member], *, last_only: bool = False
) -> CoinHeatmap:
    """Return the sum of a coin's instruments; those which cannot be drawn are named in it.

    Raises
    ------
    BadInputError
        The window cannot be drawn even for the lead.
    """
    lead, *rest = lead_first(members)
    window, params = plan_coin(query, lead.history, [m.history for m in rest], lead.weights)
    check_coin_tiers(query, params, members)
    if last_only:
        step = lead.history.bars.interval_ms
        start = int(lead.history.end_ms[-1]) - step
        window = Window(start, start + step, step, 1)
    built, notes = [], []
    for member in (lead, *rest):
        try:
            built.append(
                build_in(
                    window,
                    params_for(query, params, member),
                    member.history,
                    member.instrument,
                    member.weights,
                    member.told,
                )
            )
        except BadInputError as error:
            if member is lead:
                raise
            notes.append(f"{member.instrument.name} is left out: {error.what}")
    return sum_heatmaps(built, notes)


def build_stored(
    store: Store, query: Query, weights: Callable[[str], Sequence[Weights]] = lambda _: ()
) -> Heatmap:
    """Return the heatmap of a query, of an instrument or a coin, from a store.

    Raises
    ------
    UnknownInstrumentError, UnavailableError, BadInputError
        The instrument is unknown, has no bars, or the window cannot be drawn.
    """
    names = stored_members(store, query)
    members = [
        Member(
            store.instrument(name),
            load_for(store, msgspec.structs.replace(query, instrument=name), end_ms),
            weights(name),
            read_told(store, name, end_ms - RANGE_MS[query.range], query.as_of_ms),
        )
        for name, end_ms in names.items()
    ]
    if names.keys() != {query.instrument}:
        return build_coin(query, members)
    [one] = members
    return build_for(query, one.history, one.instrument, one.weights, told=one.told)


def stored_members(store: Store, query: Query) -> dict[str, int]:
    """Return the instruments with bars which a query is about, and where their bars end.

    Raises
    ------
    UnknownInstrumentError, UnavailableError, BadInputError
        As ``build_stored``.
    """
    held = {
        one.instrument.name: (one.instrument, one.spans["bars"].end_ms)
        for one in store.instruments()
        if "bars" in one.spans
    }
    coin = None if query.instrument in held else coin_of(query.instrument)
    found = {
        name: end_ms
        for name, (one, end_ms) in held.items()
        if (one.coin, one.exchange == SIMULATED) == coin or name == query.instrument
    }
    if coin is None and query.exchanges is not None:
        raise BadInputError(
            "is for a coin over all exchanges", where="exchanges", value=query.exchanges,
            do="ask for the coin, e.g. BTC, or leave it out",
        )  # fmt: skip
    if not found:
        if coin is None or not any(one.coin == coin[0] for one, _ in held.values()):
            store.instrument(query.instrument)
        raise UnavailableError(
            f"{query.instrument}: no bars are stored; import or collect some"
        )
    wanted = chosen_exchanges(query.exchanges, (held[name][0].exchange for name in found))
    return {
        name: end_ms
        for name, end_ms in found.items()
        if wanted is None or held[name][0].exchange in wanted
    }
