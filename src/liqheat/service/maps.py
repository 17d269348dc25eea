"""Heatmaps of any query: which instruments it is about, their bars, one build for all who ask.

Also what the service knows of each instrument between a store and its viewers (``Market``).
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec
import numpy as np

from liqheat.engine.heatmap import Heatmap
from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges.base import Mode
from liqheat.market.events import Liquidation
from liqheat.market.units import RANGE_MS
from liqheat.service.cache import BuildCache
from liqheat.service.coin import chosen_exchanges
from liqheat.service.feeds import (
    Catalogue,
    Entry,
    ExchangeState,
    Feed,
    InstrumentRow,
)
from liqheat.service.history import History
from liqheat.service.learning import Learning
from liqheat.service.liquidations import (
    LiquidationsFound,
    LiquidationsQuery,
    find_liquidations,
)
from liqheat.service.live import LiveView
from liqheat.service.measured import kept_bytes, read_told
from liqheat.service.picture import Delta
from liqheat.service.query import Query
from liqheat.service.recorded import Recording, liquidations_of, unheld
from liqheat.service.series import Series, build_series
from liqheat.service.tape import Tape
from liqheat.service.window import (
    Member,
    build_coin,
    build_for,
    lead_first,
    load_for,
    plan,
)

T = TypeVar("T")

#: Builds at once: kernels release the GIL, but a desktop has other things to do as well.
BUILD_THREADS = 2
#: Heatmaps kept in memory [bytes].
MAX_KEPT_BYTES = 256 << 20
#: Liquidations of a window which are shown.
MAX_SHOWN = 1_000


class Listener(Protocol):
    """Who is told of a view's changes."""

    def changed(self, deltas: list[Delta] | None) -> None:
        """Take deltas in order, or None: the picture was redrawn."""

    def liquidated(self, rows: list[Liquidation]) -> None:
        """Take liquidations as they happen."""


@dataclass(eq=False)
class Watched:
    """A live view and who listens to it."""

    view: LiveView
    listeners: list[Listener]
    rebuilding: asyncio.Task[None] | None = None
    #: When the next build may begin: what breaks a view may break it again at once.
    next_build_at: float = 0.0
    #: Instruments of a coin which could not be drawn, as they then were.
    tried: set[tuple[Any, str]] = field(default_factory=set)


class Market:
    """What the service knows of an instrument or a coin beyond its stored rows."""

    def __init__(self) -> None:
        self.tape = Tape()
        self.views: dict[Query, Watched] = {}
        self.handle: asyncio.Handle | None = None
        self.pending = False
        self.next_flush = 0.0
        self.taken = 0  # liquidations that came in
        # Since the last flush: of a coin its instruments with news; liquidations to be told.
        self.dirty: set[str] = set()
        self.fresh: list[Liquidation] = []


class Maps:
    """Heatmaps of every instrument of every feed.

    Parameters
    ----------
    feeds : sequence of Feed
        Their stores; closed by whoever opened them.
    clock_ms : callable
        Wall clock, ms UTC.
    prepare : callable, optional
        Awaited before the first build, e.g. what compiles the kernels.
    """

    def __init__(
        self,
        feeds: Sequence[Feed],
        *,
        clock_ms: Callable[[], int],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.clock_ms = clock_ms
        self.started_ms = clock_ms()
        self.catalogue = Catalogue(feeds, clock_ms)
        self.threads = ThreadPoolExecutor(BUILD_THREADS, thread_name_prefix="liqheat-build")
        self.markets: dict[str, Market] = {}
        self._heatmaps: BuildCache[Heatmap] = BuildCache(
            self.threads,
            kept_bytes,
            max_bytes=MAX_KEPT_BYTES,
        )
        self._prepare = prepare
        self._prepared: asyncio.Future[None] | None = None
        self.refreshed = -1e9
        self.learning = Learning(self.catalogue, clock_ms)
        self._refreshing: asyncio.Future[None] | None = None

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work where builds run."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    # -- what there is -----------------------------------------------------------------

    async def refresh(self) -> None:
        """Read what the stores hold, at most once a second."""
        loop = asyncio.get_running_loop()
        if loop.time() - self.refreshed < 1.0:
            return
        if self._refreshing is None:
            self._refreshing = loop.run_in_executor(self.threads, self.catalogue.refresh)
        try:
            await asyncio.shield(self._refreshing)
            self.refreshed = loop.time()
        finally:
            self._refreshing = None

    async def entry(self, instrument: str) -> Entry:
        """Return an instrument's entry, at most a second old."""
        await self.refresh()
        return self.catalogue.find(instrument)

    async def instruments(self) -> list[InstrumentRow]:
        """Return every instrument with its span, mode and age."""
        await self.refresh()
        return [self.catalogue.row(entry) for entry in self.catalogue.entries()]

    def state_of(self, entry: Entry) -> ExchangeState:
        """Return how fresh an instrument is."""
        return self.catalogue.state(entry, self.market(entry.name).tape.data_ms)

    def exchange_states(self) -> list[ExchangeState]:
        """Return the state of every exchange, that of its first instrument."""
        states: dict[str, ExchangeState] = {}
        for entry in self.catalogue.entries():
            if entry.exchange not in states:
                states[entry.exchange] = self.state_of(entry)
        idle = [one for feed in self.catalogue.feeds for one in self.catalogue.idle(feed)]
        return [*states.values(), *idle]

    def market(self, name: str) -> Market:
        """Return what is known of an instrument or a coin."""
        return self.markets.setdefault(name, Market())

    # -- any query ---------------------------------------------------------------------

    async def members(self, query: Query) -> list[Entry]:
        """Return the entries a query is about: one, or those of a coin which are chosen.

        Raises
        ------
        BadInputError
            ``exchanges`` is given for an instrument, or names one without the coin.
        UnavailableError
            There are no data.
        """
        await self.refresh()
        return self.chosen(query)

    def chosen(self, query: Query) -> list[Entry]:
        """Return ``members`` as far as they are known now."""
        entries = self.catalogue.members(query.instrument)
        if not self.catalogue.is_coin(query.instrument):
            if query.exchanges is not None:
                raise BadInputError(
                    "is for a coin over all exchanges", where="exchanges",
                    value=query.exchanges, do="ask for the coin, e.g. BTC, or leave it out",
                )  # fmt: skip
            return entries
        wanted = chosen_exchanges(query.exchanges, (one.exchange for one in entries))
        return [one for one in entries if wanted is None or one.exchange in wanted]

    async def key(self, query: Query) -> Hashable:
        """Return a key that is equal as long as the query's heatmap is."""
        return base_of(query), *(
            (
                one.name,
                one.bars,
                self.market(one.name).tape.end_ms,
                self.learning.weights(one.name)[-1:],
            )
            for one in await self.members(query)
        )

    def mode(self, query: Query) -> Mode:
        """Return what the data of a query are."""
        modes = [self.catalogue.mode(one) for one in self.chosen(query)]
        return "live" if "live" in modes else modes[0]

    async def heatmap(self, query: Query, *, last_only: bool = False) -> Heatmap:
        """Return the heatmap of a query; ``last_only``: its newest bar as the only column.

        Raises
        ------
        BadInputError
            The instrument is unknown, or the window cannot be drawn.
        UnavailableError
            There are no data, no such model, or too many builds.
        """
        query = base_of(query)
        key = await self.key(query)
        loads = [self.loader(query, one) for one in self.chosen(query)]
        coin = self.catalogue.is_coin(query.instrument)

        def build() -> Heatmap:
            if coin:
                found = loaded(load for load in loads)
                return build_coin(query, found, last_only=last_only)
            one = loads[0]()
            return build_for(
                query, one.history, one.instrument, one.weights, told=one.told,
                last_only=last_only,
            )  # fmt: skip

        await self.ready()
        return await self._heatmaps.get((key, last_only), build)

    async def ready(self) -> None:
        """Wait for what was to be prepared."""
        if self._prepared is not None and not self._prepared.done():
            await asyncio.shield(self._prepared)

    async def bars(self, query: Query) -> History:
        """Return the window's bars as stored, of a coin those of the lead, without warm-up."""
        loads = [self.loader(base_of(query), one) for one in await self.members(query)]

        def cut() -> History:
            found = lead_first(loaded(loads))[0].history
            window, _ = plan(query, found)
            return found[int(np.searchsorted(found.bars.start_ms, window.start_ms)) :]

        return await self.in_thread(cut)

    async def liquidations(self, query: Query, start_ms: int) -> list[Liquidation]:
        """Return stored and live liquidations since ``start_ms``, oldest first.

        Those which came in by this moment, but for those which listeners are about to be told.
        Of many the largest ``MAX_SHOWN``: small ones would not be seen.
        """
        coming = {id(row) for row in self.market(query.instrument).fresh}
        known = [
            (entry, [row for row in self._live(entry.name) if id(row) not in coming])
            for entry in self.chosen(query)
        ]
        found: list[Liquidation] = []
        for entry, live in known:
            work = functools.partial(_stored_and_live, entry, live, start_ms)
            found += await self.in_thread(work)
        found.sort(key=lambda row: row.event_ms)
        if len(found) > MAX_SHOWN:
            sizes = sorted(row.notional_usd for row in found)
            found = [row for row in found if row.notional_usd >= sizes[-MAX_SHOWN]]
        return found

    def _live(self, name: str) -> tuple[Liquidation, ...]:
        return tuple(self.market(name).tape.liquidations)

    def recording(self, entry: Entry) -> Recording:
        """Return what is recorded of an instrument, to be read in a thread."""
        source, tape = entry.source, self.market(entry.name).tape
        exchange = source.exchange if source else None
        return Recording(
            entry.feed.store, entry.stored, tape.copy(), self._live(entry.name),
            source is not None, exchange.coverage.liquidations if exchange else None,
            tape.data_ms,
        )  # fmt: skip

    async def recorded_key(self, query: Query) -> Hashable:
        """Return a key that is equal as long as what is recorded of a query is."""
        return tuple(
            (one.name, self.market(one.name).taken, *one.stored.spans.values())
            for one in await self.members(query)
        )

    async def realised(
        self, query: LiquidationsQuery
    ) -> tuple[Hashable, Callable[[], LiquidationsFound]]:
        """Return a key and what finds realised liquidations, in a thread; as ``members``."""
        of = Query(query.instrument, exchanges=query.exchanges)
        of.check()
        recordings = [self.recording(one) for one in await self.members(of)]
        now = self.clock_ms()
        key = query, await self.recorded_key(of), tuple(one.end_ms for one in recordings)
        return key, lambda: find_liquidations(query, recordings, now)

    async def series(self, query: Query) -> Callable[[], Series]:
        """Return what builds the figures beside a query's heatmap, in a thread.

        Raises
        ------
        BadInputError, UnavailableError
            As ``members``.
        """
        query, entries = base_of(query), await self.members(query)
        recordings = [self.recording(one) for one in entries if one.bars is not None]
        if not recordings:
            raise UnavailableError(f"{query.instrument}: no bars are stored yet")
        coin = self.catalogue.is_coin(query.instrument)
        return lambda: build_series(query, recordings, coin=coin)

    def loader(self, query: Query, entry: Entry) -> Callable[[], Member]:
        """Return what loads an instrument's bars for a query, stored and live, in a thread."""
        # Called on the loop, run in a thread: the tape is copied here, where it cannot move.
        tape, weights = (
            self.market(entry.name).tape.copy(),
            self.learning.weights(entry.name),
        )
        if entry.bars is None:
            raise UnavailableError(f"{entry.name}: no bars are stored yet")
        store, end = entry.feed.store, entry.bars.end_ms
        own = msgspec.structs.replace(query, instrument=entry.name)
        heard = self.market(entry.name).tape.heard
        some = "positions" in entry.stored.spans

        def load() -> Member:
            history = load_for(store, own, end, tape.extend)
            start = int(history.end_ms[-1]) - RANGE_MS[query.range]
            told = read_told(store, entry.name, start, query.as_of_ms) if some else None
            return Member(entry.stored.instrument, history, weights, told, heard)

        return load


def _stored_and_live(
    entry: Entry, live: Sequence[Liquidation], start_ms: int
) -> list[Liquidation]:
    """Return one instrument's liquidations, each once; of many stored ones the largest."""
    span = entry.stored.spans.get("liquidations")
    if span is None:
        return [row for row in live if row.event_ms >= start_ms]
    # What is stored only now is told to listeners. Rows of one millisecond may be in both.
    until = span.end_ms if entry.source else None
    if live:
        until = live[0].event_ms + 1
    table = entry.feed.store.read("liquidations", entry.name, start_ms, until)
    largest = np.argsort(-table["notional_usd"].to_numpy())[:MAX_SHOWN]
    stored = liquidations_of(table.take(np.sort(largest)))
    return stored + unheld(live, stored, start_ms)


def loaded(loads: Iterable[Callable[[], Member]]) -> list[Member]:
    """Return the members which have bars in the window.

    Raises
    ------
    UnavailableError
        None has.
    """
    found, failures = [], []
    for load in loads:
        try:
            found.append(load())
        except UnavailableError as error:
            failures.append(error)
    if not found:
        raise failures[0]
    return found


def base_of(query: Query) -> Query:
    """Return a query without what its subclasses add."""
    names = Query.__struct_fields__
    return Query(**{name: getattr(query, name) for name in names})
