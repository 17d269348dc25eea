"""The service: stores and live events in, heatmaps and live views out.

    heatmap  any query, built in a thread, once for all who ask for the same
    watch    a live view, shared by its viewers; ``publish`` keeps it up to date

``publish`` only notes; a short moment later one flush per instrument takes all that came in to its
views. The moment grows with what a flush costs, so ten thousand viewers get fewer updates
rather than late ones. Everything here runs on one event loop but the builds.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

import msgspec

from liqheat.errors import BadInputError
from liqheat.market.events import Event, Liquidation
from liqheat.service.cache import BusyError
from liqheat.service.coin import LEAD_AGE_MS
from liqheat.service.feeds import (
    Entry,
    Feed,
)
from liqheat.service.history import merge
from liqheat.service.honesty import Honesty
from liqheat.service.live import LiveView, News
from liqheat.service.maps import Listener, Market, Watched, base_of, loaded
from liqheat.service.part import Built, BuiltPart, Part, build_part, build_view
from liqheat.service.picture import Delta
from liqheat.service.query import Query
from liqheat.service.window import (
    Member,
    Window,
    check_coin_tiers,
    lead_first,
    params_for,
    plan_coin,
)

log = logging.getLogger("liqheat.service")

#: Shortest time between two flushes of an instrument [s], and the largest share of the loop's time
#: which flushes, with all the writing to viewers that they cause, may take.
FLUSH_S, FLUSH_SHARE = 0.03, 0.5
#: How often stores are looked at for rows that nobody published [s].
FOLLOW_S = 2.0
#: Rows of the store taken one by one; more are a new build.
MAX_FOLLOWED = 200
#: Distinct live views at once; each costs memory, and time at every update.
MAX_VIEWS = 256


class Service(Honesty):
    """Heatmaps of every instrument of every feed, and live views of them."""

    def __init__(
        self,
        feeds: Sequence[Feed],
        *,
        clock_ms: Callable[[], int],
        prepare: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        super().__init__(feeds, clock_ms=clock_ms, prepare=prepare)
        self._opening: dict[Query, asyncio.Task[LiveView]] = {}
        self._follower: asyncio.Task[None] | None = None
        self._learner: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the stores and begin to follow them."""
        if self._prepare is not None:
            self._prepared = asyncio.ensure_future(self._prepare())
        await self.refresh()
        self._follower = asyncio.create_task(self._follow())
        self._learner = asyncio.create_task(self.learning.run())

    async def close(self) -> None:
        """Stop following and building; stores stay open."""
        tasks: list[asyncio.Future[Any] | None] = [
            self._follower,
            self._learner,
            self._prepared,
        ]
        tasks += self._opening.values()
        tasks += [w.rebuilding for s in self.markets.values() for w in s.views.values()]
        live = [task for task in tasks if task is not None and not task.done()]
        for task in live:
            task.cancel()
        await asyncio.gather(*live, return_exceptions=True)
        for market in self.markets.values():
            if market.handle is not None:
                market.handle.cancel()
        self.threads.shutdown(wait=True, cancel_futures=True)
        self.learning.close()

    # -- live views --------------------------------------------------------------------

    async def watch(self, query: Query, listener: Listener) -> LiveView:
        """Return the live view of a query, built once for all; tell ``listener`` from now on.

        Raises
        ------
        BadInputError, UnavailableError
            As ``heatmap``; also for ``as_of_ms``, which cannot be live.
        """
        query = base_of(query)
        if query.as_of_ms is not None:
            raise BadInputError("a live view has no as_of_ms", where="as_of_ms",
                                value=query.as_of_ms, do="use GET /api/v1/heatmap")  # fmt: skip
        market = self.market(query.instrument)
        if query not in market.views:
            task = self._opening.get(query)
            if task is None:
                if sum(len(one.views) for one in self.markets.values()) >= MAX_VIEWS:
                    raise BusyError(f"{MAX_VIEWS} different views are open; close some")
                task = asyncio.create_task(self._open(query))
                self._opening[query] = task
                task.add_done_callback(lambda _: self._opening.pop(query, None))
            view = await asyncio.shield(task)
            # Only now, so that a view is never kept up to date for those who left meanwhile.
            if query not in market.views:
                view.advance_all(self._news(view, view.every))
                market.views[query] = Watched(view, [])
        watched = market.views[query]
        watched.listeners.append(listener)
        return watched.view

    def unwatch(self, view: LiveView, listener: Listener) -> None:
        """Tell ``listener`` no more; a view which nobody listens to is dropped."""
        views = self.market(view.query.instrument).views
        watched = views.get(view.query)
        if watched is None:
            return
        watched.listeners = [one for one in watched.listeners if one is not listener]
        if not watched.listeners:
            if watched.rebuilding is not None:
                watched.rebuilding.cancel()
            del views[view.query]

    async def _open(self, query: Query) -> LiveView:
        entries = await self.members(query)
        names = [one.name for one in entries]
        alike = msgspec.structs.replace(query, exchanges=None)
        for watched in self.market(query.instrument).views.values():
            held = watched.view
            if msgspec.structs.replace(held.query, exchanges=None) == alike:
                found = held.chosen(query, names)
                if found is not None:
                    return found
        return LiveView(query, self.mode(query), await self._build(query, entries))

    async def _build(self, query: Query, entries: Sequence[Entry]) -> Built:
        await self.ready()
        loads = [self.loader(query, one) for one in entries]
        if self.catalogue.is_coin(query.instrument):
            members = await self.in_thread(lambda: lead_first(loaded(loads)))
            return await self._build_coin(query, members)
        one = await self.in_thread(loads[0])
        return await self.in_thread(
            lambda: build_view(
                query, one.history, one.instrument, one.weights, one.told, one.heard
            )
        )

    async def _build_coin(self, query: Query, members: Sequence[Member]) -> Built:
        lead, *rest = members
        window, params = plan_coin(
            query, lead.history, [one.history for one in rest], lead.weights
        )
        check_coin_tiers(query, params, members)

        def build(member: Member) -> BuiltPart | None:
            try:
                return build_part(window, params_for(query, params, member), member)
            except BadInputError as error:
                if member is lead:
                    raise
                log.info("left_out instrument=%s %s", member.instrument.name, error)
                return None

        found = await asyncio.gather(
            *(self.in_thread(functools.partial(build, one)) for one in members)
        )
        parts = tuple(one for one in found if one is not None)
        return Built(window, params, parts, frozenset(m.instrument.name for m in members))

    async def _rebuild(self, watched: Watched) -> None:
        view, loop = watched.view, asyncio.get_running_loop()
        try:
            await asyncio.sleep(watched.next_build_at - loop.time())
            began, self.refreshed = loop.time(), -1e9
            entries = await self.members(view.query)
            view.adopt(await self._build(view.query, entries))
            self._next_build(watched, began)
            self._tell(watched, None)
        except Exception as error:  # the view stands as it is, and is tried again
            self._next_build(watched, loop.time())
            log.warning(
                "rebuild_failed instrument=%s error=%r", view.query.instrument, error
            )
        finally:
            watched.rebuilding = None
        self._catch_up(view)

    async def _rebuild_parts(self, watched: Watched, names: Sequence[str]) -> None:
        """Build some instruments of a coin anew, or for the first time."""
        view, loop = watched.view, asyncio.get_running_loop()
        try:
            await asyncio.sleep(watched.next_build_at - loop.time())
            began = loop.time()
            for name in names:
                built = await self._build_one(view, name)
                if built is None:
                    view.drop_part(name)
                elif not view.adopt_part(built):
                    return
            self._next_build(watched, began)
            self._tell(watched, None)
        except Exception as error:  # as above
            self._next_build(watched, loop.time())
            log.warning("rebuild_failed instruments=%s error=%r", ",".join(names), error)
        finally:
            watched.rebuilding = None
        self._catch_up(view)

    async def _build_one(self, view: LiveView, name: str) -> BuiltPart | None:
        query, entry = view.query, self.catalogue.find(name)
        load = self.loader(query, entry)
        window = Window(
            view.t0_ms, view.t0_ms + view.columns * view.step_ms, view.step_ms,
            view.window.wanted,
        )  # fmt: skip

        def build() -> BuiltPart | None:
            member = load()
            with contextlib.suppress(BadInputError):
                own = params_for(query, view.params, member)
                return build_part(window, own, member)
            return None

        return await self.in_thread(build)

    def _next_build(self, watched: Watched, began: float) -> None:
        # A quarter of the time at most goes into building one view again and again.
        now = asyncio.get_running_loop().time()
        watched.next_build_at = now + max(FOLLOW_S, 3.0 * (now - began))

    def _catch_up(self, view: LiveView) -> None:
        name = view.query.instrument
        self.market(name).dirty.update(view.every)
        self._schedule(name)

    def _news(self, view: LiveView, names: Iterable[str]) -> dict[str, News]:
        out: dict[str, News] = {}
        for name in names:
            part = view.every.get(name)
            if part is not None:
                tape = self.market(name).tape
                out[name] = (tape.after(part.end_ms), tape.progress)
        return out

    # -- live events -------------------------------------------------------------------

    def publish(self, event: Event) -> None:
        """Take in a live event; views follow within a moment. Call on the loop's thread."""
        market = self.market(event.instrument)
        if not market.tape.take(event):
            return
        if isinstance(event, Liquidation):
            market.taken += 1
            if market.views:
                market.fresh.append(event)
        self._schedule(event.instrument)
        coin = self.catalogue.coin_name(event.instrument)
        whole = self.markets.get(coin)
        if whole is not None and whole.views:
            whole.dirty.add(event.instrument)
            if isinstance(event, Liquidation):
                whole.fresh.append(event)
            self._schedule(coin)

    def _schedule(self, name: str) -> None:
        market = self.markets[name]
        market.pending = True
        if market.handle is None and market.views:
            loop = asyncio.get_running_loop()
            market.handle = loop.call_at(
                max(loop.time(), market.next_flush), self._flush, name, market
            )

    def _flush(self, name: str, market: Market) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        market.pending = False
        names, rows = market.dirty or {name}, market.fresh
        market.dirty, market.fresh = set(), []
        for watched in list(market.views.values()):
            try:
                self._advance(watched, names)
            except Exception:  # one view must not hold up the others; it is built anew
                log.exception("advance_failed instrument=%s", name)
                watched.view.outdated = True
            self._tell_liquidations(watched, rows)
            self._mend(watched)
        # Comes after the viewers' writers, which were woken before it.
        market.handle = loop.call_soon(self._flushed, name, market, began)

    def _advance(self, watched: Watched, names: Iterable[str]) -> None:
        view = watched.view
        deltas = view.advance_all(self._news(view, names))
        if deltas is None or deltas:
            self._tell(watched, deltas)

    def _tell_liquidations(self, watched: Watched, rows: list[Liquidation]) -> None:
        only = watched.view.query.exchanges
        if only is not None and rows:
            wanted = {part.strip() for part in only.split(",")}
            rows = [row for row in rows if row.instrument.partition(":")[0] in wanted]
        for listener in list(watched.listeners) if rows else ():
            listener.liquidated(rows)

    def _flushed(self, name: str, market: Market, began: float) -> None:
        ended = asyncio.get_running_loop().time()
        market.handle = None
        market.next_flush = ended + max(FLUSH_S, (ended - began) / FLUSH_SHARE)
        if market.pending:
            self._schedule(name)

    def _mend(self, watched: Watched) -> None:
        if watched.rebuilding is not None:
            return
        if watched.view.outdated:
            watched.rebuilding = asyncio.create_task(self._rebuild(watched))
        elif names := watched.view.outdated_parts:
            watched.rebuilding = asyncio.create_task(self._rebuild_parts(watched, names))

    def _tell(self, watched: Watched, deltas: list[Delta] | None) -> None:
        for listener in list(watched.listeners):
            listener.changed(deltas)

    # -- rows that nobody published ----------------------------------------------------

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_S)
            try:
                await self.refresh()
                for market in list(self.markets.values()):
                    for watched in list(market.views.values()):
                        await self._follow_view(watched)
            except Exception as error:  # a store in trouble now may be well in a moment
                log.warning("follow_failed error=%r", error)

    async def _follow_view(self, watched: Watched) -> None:
        view = watched.view
        if watched.rebuilding is not None:
            return
        for entry in self.chosen(view.query):
            part = view.parts.get(entry.name)
            if part is not None:
                await self._follow_part(view, part, entry)
            elif entry.bars is not None and entry.bars.end_ms > view.t0_ms:
                self._try_part(watched, entry)
        if self._lead_is_gone(view):
            view.outdated = True
        self._mend(watched)

    def _try_part(self, watched: Watched, entry: Entry) -> None:
        # Again only when it has more bars than when it could not be drawn.
        known = entry.bars, entry.name
        if known not in watched.tried and watched.rebuilding is None:
            watched.tried.add(known)
            watched.rebuilding = asyncio.create_task(
                self._rebuild_parts(watched, [entry.name])
            )

    async def _follow_part(self, view: LiveView, part: Part, entry: Entry) -> None:
        span, tape = entry.bars, self.market(entry.name).tape
        if span is None:
            return
        # What was learnt since is drawn from now on; where nothing was, the model stays.
        learnt = self.learning.weights(entry.name)
        if learnt[-1:] != part.live.weights[-1:]:
            part.outdated |= view.query.model_for(learnt) == "calibrated"
        interval = span.interval_ms or 60_000
        known = max(part.end_ms, tape.end_ms or 0)
        warmer = span.start_ms < part.first_bar_ms and part.first_bar_ms > view.warm_from_ms
        if warmer or span.end_ms > known + MAX_FOLLOWED * interval:
            part.outdated = True
        elif span.end_ms > known and entry.source is None:
            store = entry.feed.store
            tape.adopt(
                await self.in_thread(lambda: merge(store.load_pieces(entry.name, known)))
            )
            self.market(view.query.instrument).dirty.add(entry.name)
            self._schedule(view.query.instrument)

    def _lead_is_gone(self, view: LiveView) -> bool:
        """Whether the lead of a coin is stale while another instrument is not."""
        ends = {
            name: max(part.end_ms, self.market(name).tape.end_ms or 0)
            for name, part in view.parts.items()
        }
        return max(ends.values()) - ends[view.lead.name] > LEAD_AGE_MS
