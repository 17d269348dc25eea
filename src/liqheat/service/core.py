"""The service: stores and live events in, heatmaps and live views out.

    heatmap  any query, built in a thread, once for all who ask for the same
    watch    a live view, shared by its viewers; ``publish`` keeps it up to date

``publish`` only notes; a short moment later one flush per instrument takes all that came in to its
views. The moment grows with what a flush costs, so ten thousand viewers get fewer updates
rather than late ones. Everything here runs on one event loop but the builds.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

import numpy as np

from liqheat.engine import MODEL_VERSION
from liqheat.engine.heatmap import Heatmap
from liqheat.errors import BadInputError, LiqheatError, UnavailableError
from liqheat.market.events import Event, Liquidation, from_row
from liqheat.service.cache import BuildCache, BusyError
from liqheat.service.feeds import (
    Catalogue,
    CoverageFlags,
    Entry,
    ExchangeState,
    Feed,
    InstrumentRow,
    Status,
)
from liqheat.service.history import History, merge
from liqheat.service.live import LiveView
from liqheat.service.part import Built, build_view
from liqheat.service.picture import Delta
from liqheat.service.query import Query
from liqheat.service.tape import MAX_LIQUIDATIONS, Tape
from liqheat.service.window import build_for, load_for, plan

log = logging.getLogger("liqheat.service")
T = TypeVar("T")

#: Shortest time between two flushes of an instrument [s], and the largest share of the loop's time
#: which flushes, with all the writing to viewers that they cause, may take.
FLUSH_S, FLUSH_SHARE = 0.03, 0.5
#: How often stores are looked at for rows that nobody published [s].
FOLLOW_S = 2.0
#: Rows of the store taken one by one; more are a new build.
MAX_FOLLOWED = 200
#: Builds at once: kernels release the GIL, but a desktop has other things to do as well.
BUILD_THREADS = 2
#: Heatmaps kept in memory [bytes].
MAX_KEPT_BYTES = 256 << 20
#: Distinct live views at once; each costs memory, and time at every update.
MAX_VIEWS = 256


class Listener(Protocol):
    """Who is told of a view's changes."""

    def changed(self, deltas: list[Delta] | None) -> None:
        """Take deltas in order, or None: the picture was redrawn."""

    def liquidated(self, rows: list[Liquidation]) -> None:
        """Take liquidations as they happen."""


@dataclass(eq=False)
class _Watched:
    view: LiveView
    listeners: list[Listener]
    rebuilding: asyncio.Task[None] | None = None
    rebuilt_at: float = -1e9


class _Market:
    def __init__(self) -> None:
        self.tape = Tape()
        self.views: dict[Query, _Watched] = {}
        self.handle: asyncio.Handle | None = None
        self.pending = False
        self.next_flush = 0.0
        self.told = 0  # liquidations handed to listeners
        self.taken = 0  # liquidations that came in


class Service:
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
        self._markets: dict[str, _Market] = {}
        self._opening: dict[Query, asyncio.Task[LiveView]] = {}
        self._heatmaps: BuildCache[Heatmap] = BuildCache(
            self.threads,
            lambda h: int(h.long_usd.nbytes + h.short_usd.nbytes),
            max_bytes=MAX_KEPT_BYTES,
        )
        self._prepare = prepare
        self._prepared: asyncio.Future[None] | None = None
        self._follower: asyncio.Task[None] | None = None
        self._refreshed = -1e9
        self._refreshing: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Read the stores and begin to follow them."""
        if self._prepare is not None:
            self._prepared = asyncio.ensure_future(self._prepare())
        await self._refresh()
        self._follower = asyncio.create_task(self._follow())

    async def close(self) -> None:
        """Stop following and building; stores stay open."""
        tasks: list[asyncio.Future[Any] | None] = [self._follower, self._prepared]
        tasks += self._opening.values()
        tasks += [w.rebuilding for s in self._markets.values() for w in s.views.values()]
        live = [task for task in tasks if task is not None and not task.done()]
        for task in live:
            task.cancel()
        await asyncio.gather(*live, return_exceptions=True)
        for market in self._markets.values():
            if market.handle is not None:
                market.handle.cancel()
        self.threads.shutdown(wait=True, cancel_futures=True)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work where builds run."""
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    # -- what there is -----------------------------------------------------------------

    async def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._refreshed < 1.0:
            return
        if self._refreshing is None:
            self._refreshing = loop.run_in_executor(self.threads, self.catalogue.refresh)
        try:
            await asyncio.shield(self._refreshing)
            self._refreshed = loop.time()
        finally:
            self._refreshing = None

    async def entry(self, instrument: str) -> Entry:
        """Return an instrument's entry, at most a second old."""
        await self._refresh()
        return self.catalogue.find(instrument)

    async def instruments(self) -> list[InstrumentRow]:
        """Return every instrument with its span, mode and age."""
        await self._refresh()
        return [self.catalogue.row(entry) for entry in self.catalogue.entries()]

    def state_of(self, entry: Entry) -> ExchangeState:
        """Return how fresh an instrument is."""
        return self.catalogue.state(entry, self._market(entry.name).tape.data_ms)

    def exchange_states(self) -> list[ExchangeState]:
        """Return the state of every exchange, that of its first instrument."""
        states: dict[str, ExchangeState] = {}
        for entry in self.catalogue.entries():
            if entry.exchange not in states:
                states[entry.exchange] = self.state_of(entry)
        idle = [one for feed in self.catalogue.feeds for one in self.catalogue.idle(feed)]
        return [*states.values(), *idle]

    def _market(self, name: str) -> _Market:
        return self._markets.setdefault(name, _Market())

    # -- any query ---------------------------------------------------------------------

    async def key(self, query: Query) -> Hashable:
        """Return a key that is equal as long as the query's heatmap is."""
        entry = await self.entry(query.instrument)
        return _base(query), entry.bars, self._market(query.instrument).tape.end_ms

    async def heatmap(self, query: Query, *, last_only: bool = False) -> Heatmap:
        """Return the heatmap of a query; ``last_only``: its newest bar as the only column.

        Raises
        ------
        BadInputError
            The instrument is unknown, or the window cannot be drawn.
        UnavailableError
            There are no data, no such model, or too many builds.
        """
        query = _base(query)
        key = await self.key(query)
        entry = self.catalogue.find(query.instrument)
        bars = self._loader(query, entry)

        def build() -> Heatmap:
            return build_for(query, bars(), entry.stored.instrument, last_only=last_only)

        await self._ready()
        return await self._heatmaps.get((key, last_only), build)

    async def _ready(self) -> None:
        if self._prepared is not None and not self._prepared.done():
            await asyncio.shield(self._prepared)

    async def bars(self, query: Query) -> History:
        """Return the window's bars as stored, without warm-up."""
        entry = await self.entry(query.instrument)
        load = self._loader(_base(query), entry)

        def cut() -> History:
            found = load()
            window, _ = plan(query, found)
            return found[int(np.searchsorted(found.bars.start_ms, window.start_ms)) :]

        return await self.in_thread(cut)

    async def liquidations(self, instrument: str, start_ms: int) -> list[Liquidation]:
        """Return stored and live liquidations since ``start_ms``, oldest first.

        Of many stored ones the largest ``MAX_LIQUIDATIONS``: small ones would not be seen.
        Those which listeners are about to be told are left out.
        """
        entry = await self.entry(instrument)
        state = self._market(instrument)
        rows = list(state.tape.liquidations)
        live = rows[: max(0, len(rows) - (state.taken - state.told))]
        if "liquidations" not in entry.stored.spans:
            return [row for row in live if row.event_ms >= start_ms]
        until = rows[0].event_ms if rows else None
        table = await self.in_thread(
            lambda: entry.feed.store.read("liquidations", instrument, start_ms, until)
        )
        largest = np.argsort(-table["notional_usd"].to_numpy())[:MAX_LIQUIDATIONS]
        kept = table.take(np.sort(largest)).to_pylist()
        stored = [cast(Liquidation, from_row("liquidations", row)) for row in kept]
        return [*stored, *(row for row in live if row.event_ms >= start_ms)]

    def _loader(self, query: Query, entry: Entry) -> Callable[[], History]:
        # Called on the loop, run in a thread: the tape is copied here, where it cannot move.
        tape = self._market(query.instrument).tape.copy()
        if entry.bars is None:
            raise UnavailableError(f"{query.instrument}: no bars are stored yet")
        store, end = entry.feed.store, entry.bars.end_ms
        return lambda: load_for(store, query, end, tape.extend)

    # -- live views --------------------------------------------------------------------

    async def watch(self, query: Query, listener: Listener) -> LiveView:
        """Return the live view of a query, built once for all; tell ``listener`` from now on.

        Raises
        ------
        BadInputError, UnavailableError
            As ``heatmap``; also for ``as_of_ms``, which cannot be live.
        """
        query = _base(query)
        if query.as_of_ms is not None:
            raise BadInputError("a live view has no as_of_ms", where="as_of_ms",
                                value=query.as_of_ms, do="use GET /api/v1/heatmap")  # fmt: skip
        market = self._market(query.instrument)
        if query not in market.views:
            task = self._opening.get(query)
            if task is None:
                if sum(len(one.views) for one in self._markets.values()) >= MAX_VIEWS:
                    raise BusyError(f"{MAX_VIEWS} different views are open; close some")
                task = asyncio.create_task(self._open(query))
                self._opening[query] = task
                task.add_done_callback(lambda _: self._opening.pop(query, None))
            view = await asyncio.shield(task)
            # Only now, so that a view is never kept up to date for those who left meanwhile.
            if query not in market.views:
                view.advance(market.tape.after(view.end_ms), market.tape.progress)
                market.views[query] = _Watched(view, [])
        watched = market.views[query]
        watched.listeners.append(listener)
        return watched.view

    def unwatch(self, view: LiveView, listener: Listener) -> None:
        """Tell ``listener`` no more; a view which nobody listens to is dropped."""
        views = self._market(view.query.instrument).views
        watched = views.get(view.query)
        if watched is None:
            return
        watched.listeners = [one for one in watched.listeners if one is not listener]
        if not watched.listeners:
            if watched.rebuilding is not None:
                watched.rebuilding.cancel()
            del views[view.query]

    async def _open(self, query: Query) -> LiveView:
        entry = await self.entry(query.instrument)
        return LiveView(query, self.catalogue.mode(entry), await self._build(query, entry))

    async def _build(self, query: Query, entry: Entry) -> Built:
        await self._ready()
        load = self._loader(query, entry)
        return await self.in_thread(
            lambda: build_view(query, load(), entry.stored.instrument)
        )

    async def _rebuild(self, watched: _Watched) -> None:
        view, loop = watched.view, asyncio.get_running_loop()
        try:
            # Never in a hurry twice: what breaks a view may break it again at once.
            await asyncio.sleep(watched.rebuilt_at + FOLLOW_S - loop.time())
            watched.rebuilt_at, self._refreshed = loop.time(), -1e9
            entry = await self.entry(view.query.instrument)
            view.adopt(await self._build(view.query, entry))
            self._tell(watched, None)
        except Exception as error:  # the view stands as it is, and is tried again
            log.warning(
                "rebuild_failed instrument=%s error=%r", view.query.instrument, error
            )
        finally:
            watched.rebuilding = None
        self._schedule(view.query.instrument)

    # -- live events -------------------------------------------------------------------

    def publish(self, event: Event) -> None:
        """Take in a live event; views follow within a moment. Call on the loop's thread."""
        market = self._market(event.instrument)
        if not market.tape.take(event):
            return
        if isinstance(event, Liquidation):
            market.taken += 1
            if not market.views:
                market.told = market.taken
        self._schedule(event.instrument)

    def _schedule(self, name: str) -> None:
        market = self._markets[name]
        market.pending = True
        if market.handle is None and market.views:
            loop = asyncio.get_running_loop()
            market.handle = loop.call_at(
                max(loop.time(), market.next_flush), self._flush, name, market
            )

    def _flush(self, name: str, market: _Market) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        market.pending = False
        tape = market.tape
        fresh = min(market.taken - market.told, len(tape.liquidations))
        market.told = market.taken
        rows = list(tape.liquidations)[len(tape.liquidations) - fresh :]
        for watched in list(market.views.values()):
            try:
                self._advance(watched, market.tape)
            except Exception:  # one view must not hold up the others; it is built anew
                log.exception("advance_failed instrument=%s", name)
                watched.view.outdated = True
            for listener in list(watched.listeners) if rows else ():
                listener.liquidated(rows)
            self._mend(watched)
        # Comes after the viewers' writers, which were woken before it.
        market.handle = loop.call_soon(self._flushed, name, market, began)

    def _advance(self, watched: _Watched, tape: Tape) -> None:
        view = watched.view
        deltas = view.advance(tape.after(view.end_ms), tape.progress)
        if deltas is None or deltas:
            self._tell(watched, deltas)

    def _flushed(self, name: str, market: _Market, began: float) -> None:
        ended = asyncio.get_running_loop().time()
        market.handle = None
        market.next_flush = ended + max(FLUSH_S, (ended - began) / FLUSH_SHARE)
        if market.pending:
            self._schedule(name)

    def _mend(self, watched: _Watched) -> None:
        if watched.view.outdated and watched.rebuilding is None:
            watched.rebuilding = asyncio.create_task(self._rebuild(watched))

    def _tell(self, watched: _Watched, deltas: list[Delta] | None) -> None:
        for listener in list(watched.listeners):
            listener.changed(deltas)

    # -- rows that nobody published ----------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self._refresh()
                for name, market in list(self._markets.items()):
                    for watched in list(market.views.values()):
                        await self._follow_view(name, market, watched)
            except Exception as error:  # a store in trouble now may be well in a moment
                log.warning("follow_failed error=%r", error)

    async def _follow_view(self, name: str, market: _Market, watched: _Watched) -> None:
        entry, view = self.catalogue.find(name), watched.view
        span = entry.bars
        if span is None or watched.rebuilding is not None:
            return
        tape, interval = market.tape, span.interval_ms or 60_000
        known = max(view.end_ms, tape.end_ms or 0)
        warmer = span.start_ms < view.first_bar_ms and view.first_bar_ms > view.warm_from_ms
        if warmer or span.end_ms > known + MAX_FOLLOWED * interval:
            view.outdated = True
        elif span.end_ms > known and not entry.feed.attached:
            store = entry.feed.store
            tape.adopt(await self.in_thread(lambda: merge(store.load_pieces(name, known))))
            self._schedule(name)
        self._mend(watched)

    # -- honesty -----------------------------------------------------------------------

    def status(self, query: Query, view: LiveView | None) -> Status:
        """Return the state of a view, or of an instrument which cannot be drawn yet."""
        head: dict[str, Any] = {"instrument": query.instrument, "model": query.model,
                "model_version": MODEL_VERSION, "server_ms": self.clock_ms()}  # fmt: skip
        try:
            entry = self.catalogue.find(query.instrument)
        except LiqheatError as error:
            return Status(mode=self.catalogue.overall_mode(), note=str(error), **head)
        state, bars = self.state_of(entry), entry.bars
        data_ms = self._market(entry.name).tape.data_ms or (bars.end_ms if bars else None)
        drawn: dict[str, Any] = {}
        if view is not None:
            drawn = {
                "step_ms": view.step_ms, "columns": view.columns,
                "columns_wanted": view.window.wanted, "last_price": view.last_price,
                "warm_days": view.quality.warm_days, "usd_scale": view.quality.usd_scale,
            }  # fmt: skip
        return Status(
            mode=self.catalogue.mode(entry), data_ms=data_ms,
            replay_speed=entry.feed.speed, exchanges=[state],
            collecting_since_ms=bars.start_ms if bars else None,
            coverage=self._coverage(entry, view),
            note=state.detail or ("" if view else "No data yet."), **head, **drawn,
        )  # fmt: skip

    def _coverage(self, entry: Entry, view: LiveView | None) -> CoverageFlags:
        kinds, exchange = entry.stored.spans, entry.feed.exchange
        liquidations = "liquidations" in kinds or bool(
            self._market(entry.name).tape.liquidations
            or (exchange is not None and exchange.coverage.liquidations)
        )
        if view is None:
            return CoverageFlags(
                "open_interest" in kinds, False, "mark" in kinds, liquidations
            )
        has = view.has
        return CoverageFlags(has.open_interest, has.taker_volume, has.mark, liquidations)


def _base(query: Query) -> Query:
    names = Query.__struct_fields__
    return Query(**{name: getattr(query, name) for name in names})
