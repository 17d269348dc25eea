"""One run of ``LiveExchange.stream``: sockets, polls and the clock, merged into events.

    sockets -> decode -> bars | held readings | outbox          (one task a socket)
    polls   -> the same                                         (one task)
    clock   -> closes minutes, emits growing bars, pings        (one task)
    holes   -> REST -> outbox                                   (one task an instrument)
    outbox  -> events(), in order                               (whoever reads the stream)

The outbox is bounded: where nobody reads it, sockets are not read either, and TCP tells the
exchange. Growing bars are left out then; nothing else is.

A minute is closed when its end and the grace have passed on the exchange's clock AND each
connection which carries its trades has proven, by a pong, that all sent before has been read.
So a busy machine closes late, not wrongly; and a minute without a trade is told from a dead
line. A minute which a hole touches, or whose whole connection was without a trade, is asked
of REST.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING

import msgspec

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges._bars import MINUTE_MS, BarBuilder
from liqheat.exchanges._repair import Repairs
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.transport import Hole, Socket, SocketStats, WebSocketLike, frames
from liqheat.market.events import (
    MAX_PRICE,
    MAX_QTY,
    MIN_PRICE,
    Bar,
    Event,
    FundingRate,
    Gap,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Trade,
)

if TYPE_CHECKING:
    from liqheat.exchanges.live import LiveExchange

log = logging.getLogger("liqheat.exchanges")

#: How often minutes are looked at, and growing bars emitted at most [s].
TICK_S, GROWING_MS = 0.5, 1_000
#: Events which may wait for the reader before sockets are paused.
OUTBOX = 20_000
#: A minute waits so long for the proof that it is complete; then REST is asked [ms].
PROOF_WAIT_MS = 10_000
#: No trade of any instrument on a connection for so long: it may be deaf, ask REST [ms].
QUIET_MS = 10_000
#: An event later than this after now is none [ms]. Clocks differ by less, once known.
FUTURE_MS = 60_000
#: A mark price older than this is not put beside a liquidation [ms].
FRESH_MARK_MS = 10_000
#: Samples of bad frames in the log, per minute and exchange.
SAMPLES = 3
#: How often the exchange's clock is asked for, and a refused socket tried again [s].
PING_S, REFUSED_WAIT_S = 300.0, 600.0
#: Polls are made this long before a minute's end: what they give is known at its end [ms].
POLL_LEAD_MS = 10_000

#: Readings of which the last of each minute is told.
_HELD = (MarkPrice, OpenInterest, FundingRate)


class Stream:
    """One run of one exchange's stream.

    Parameters
    ----------
    exchange : LiveExchange
        Whose adapter decodes, and whose counters count.
    names : tuple of str
        Instruments, ``exchange:symbol``.
    start_ms : int
        Where events are to begin, on the exchange's clock.
    """

    def __init__(
        self, exchange: LiveExchange, names: tuple[str, ...], start_ms: int
    ) -> None:
        self.exchange, self.names, self.start_ms = exchange, names, start_ms
        first = start_ms - start_ms % MINUTE_MS
        self.builders = {name: BarBuilder(name, first) for name in names}
        self.sockets: list[Socket] = []
        self.repairs = Repairs(self)
        self._outbox: deque[Event] = deque()
        self._ready, self._room = asyncio.Event(), asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[tuple[type[Event], str], Event] = {}
        self._told: dict[tuple[type[Event], str], Event] = {}
        self._marks: dict[str, MarkPrice] = {}
        self._traded_ms: dict[str, int] = {}
        self._quiet: dict[str, deque[tuple[int, int]]] = {}
        self._grown_ms = 0
        self._sampled: tuple[int, int] = (0, 0)
        self._failing: set[str] = set()
        self._gate, self._dialled_ms = asyncio.Lock(), 0

    async def events(self) -> AsyncGenerator[Event]:
        """Yield events until cancelled."""
        exchange = self.exchange
        self.sockets = exchange.sockets(self.names)
        exchange.stats = {one.label: SocketStats(one.label) for one in self.sockets}
        await self._sync_clock()
        self.spawn(self._tick())
        self.spawn(self._sync_for_ever())
        if exchange.poll_s > 0:
            self.spawn(self._poll())
        for socket in self.sockets:
            self.spawn(self._listen(socket))
        try:
            while True:
                while self._outbox:
                    yield self._outbox.popleft()
                self._room.set()
                for task in [one for one in self._tasks if one.done()]:
                    self._tasks.discard(task)
                    task.result()
                self._ready.clear()
                if not self._outbox:
                    await self._ready.wait()
        finally:
            tasks, self._tasks = self._tasks, set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def spawn(self, coroutine: object) -> None:
        """Run a task of this stream; what it raises, ``events`` raises."""
        task: asyncio.Task[None] = asyncio.create_task(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._ready.set())

    def emit(self, event: Event) -> None:
        """Give an event to whoever reads the stream."""
        if isinstance(event, Gap):
            self.exchange.counters["gaps"] += 1
        self._outbox.append(event)
        self._ready.set()

    def now_ms(self) -> int:
        """Return the exchange's time."""
        return self.exchange.clock_ms()

    async def room(self) -> None:
        """Wait until the outbox has room."""
        while len(self._outbox) >= OUTBOX:
            self._room.clear()
            await self._room.wait()

    # -- sockets

    async def _connect(self, socket: Socket) -> WebSocketLike:
        # Exchanges limit connections a second: all attempts of one pass this gate.
        async with self._gate:
            pace_ms = int(self.exchange.connect_pace_s * 1000)
            early_ms = self._dialled_ms + pace_ms - self.exchange.our_ms()
            if early_ms > 0:
                await self.exchange.sleep(min(early_ms, pace_ms) / 1000)
            self._dialled_ms = self.exchange.our_ms()
        return await self.exchange.sessions.connect(socket)

    async def _listen(self, socket: Socket) -> None:
        exchange, stats = self.exchange, self.exchange.stats[socket.label]
        since = self.start_ms - round(exchange.clock.offset_ms)
        while True:
            try:
                async for item in frames(
                    socket, exchange=exchange.name, clock_ms=exchange.our_ms,
                    sleep=exchange.sleep, stats=stats, connect=self._connect, since_ms=since,
                ):  # fmt: skip
                    if isinstance(item, Hole):
                        self.repairs.hole(socket, item)
                    else:
                        self._frame(socket, stats, item)
                    if len(self._outbox) >= OUTBOX:
                        await self.room()
            except RefusedError as error:
                if all(one.state == "refused" for one in exchange.stats.values()):
                    raise
                log.warning("socket_refused label=%s error=%s", socket.label, error)
                since = stats.proven_ms or since
                await exchange.sleep(REFUSED_WAIT_S)

    def _frame(self, socket: Socket, stats: SocketStats, frame: bytes) -> None:
        exchange, label = self.exchange, socket.label
        received = stats.last_receipt_ms or 0
        now = received + round(exchange.clock.offset_ms)
        try:
            for event in exchange.decode(label, frame, received):
                self.take(event, now, stats)
        except BadFrameError as error:
            self._bad(stats, frame, error)
        except ExchangeError as error:
            log.warning("subscription_failed label=%s error=%s", label, error)
            stats.kick = str(error)
        except Exception as error:  # one frame never ends a stream, whatever it does
            self._bad(stats, frame, error)

    def _bad(self, stats: SocketStats, frame: bytes, error: Exception) -> None:
        stats.bad_frames += 1
        self.exchange.counters["bad_frames"] += 1
        self._sample("bad_frame", stats.label, frame[:200], error)

    def _sample(self, what: str, label: str, frame: object, error: object) -> None:
        minute, count = self._sampled
        now = self.exchange.our_ms() // MINUTE_MS
        count = count + 1 if now == minute else 1
        self._sampled = now, count
        if count <= SAMPLES:
            log.warning(
                "%s exchange=%s label=%s error=%r frame=%r",
                what, self.exchange.name, label, str(error), frame,
            )  # fmt: skip

    # -- events

    def take(self, event: Event, now: int, stats: SocketStats | None) -> None:
        """Put an event of an adapter where it belongs."""
        name, at = event.instrument, event.event_ms
        builder = self.builders.get(name)
        if builder is None:
            return  # of a stream of all instruments
        if at > now + FUTURE_MS and type(event) is not FundingRate:
            self._bad_event(event)
            return
        if stats is not None and at > stats.last_event_ms:
            stats.last_event_ms = min(at, now)
        kind = type(event)
        if kind is Trade:
            self._trade(event, builder, stats)  # type: ignore[arg-type]
        elif kind is Bar:
            self._kline(event, builder, stats)  # type: ignore[arg-type]
        elif kind in _HELD:
            self._hold(event, builder)
        elif kind is Liquidation and _possible(event):
            self.emit(self._marked(event))  # type: ignore[arg-type]
        elif kind is Liquidation:
            self._bad_event(event)
        else:
            self.emit(event)

    def _trade(self, trade: Trade, builder: BarBuilder, stats: SocketStats | None) -> None:
        price, qty = trade.price, trade.qty
        if not (MIN_PRICE <= price <= MAX_PRICE and 0 < qty <= MAX_QTY):
            self._bad_event(trade)
            return
        counters = self.exchange.counters
        counters["trades"] += 1
        if self.exchange.bars_from == "trades" and not builder.add_trade(
            trade.event_ms, price, qty, trade.taker_side == "buy"
        ):
            counters["late_trades"] += 1
        if stats is not None:
            self._heard(stats.label, trade.event_ms)

    def _kline(self, bar: Bar, builder: BarBuilder, stats: SocketStats | None) -> None:
        good = (
            MIN_PRICE <= bar.low <= min(bar.open, bar.close)
            and max(bar.open, bar.close) <= bar.high <= MAX_PRICE
            and 0 <= (bar.taker_buy_qty or 0.0) <= bar.qty * (1 + 1e-9) <= MAX_QTY
            and bar.interval_ms == MINUTE_MS
            and bar.event_ms % MINUTE_MS == 0
        )
        if not good:
            self._bad_event(bar)
            return
        builder.add_kline(bar)
        if stats is not None:
            self._heard(stats.label, bar.event_ms)

    def _hold(self, event: Event, builder: BarBuilder) -> None:
        if not _possible(event):
            self._bad_event(event)
            return
        if isinstance(event, MarkPrice):
            builder.add_mark(event.event_ms, event.mark_price)
            self._marks[event.instrument] = event
        key = type(event), event.instrument
        held = self._held.get(key)
        if held is not None:
            if event.event_ms < held.event_ms:
                return
            # Known at a minute's end is what came up to it, the end itself included.
            if (event.event_ms - 1) // MINUTE_MS > (held.event_ms - 1) // MINUTE_MS:
                self._tell(key)
        self._held[key] = event

    def _tell(self, key: tuple[type[Event], str]) -> None:
        event = self._held.pop(key)
        if event != self._told.get(key):
            self._told[key] = event
            self.emit(event)

    def _marked(self, event: Liquidation) -> Liquidation:
        mark = self._marks.get(event.instrument)
        if event.mark_price is not None or mark is None:
            return event
        if abs(mark.event_ms - event.event_ms) > FRESH_MARK_MS:
            return event
        return msgspec.structs.replace(event, mark_price=mark.mark_price)

    def _bad_event(self, event: Event) -> None:
        self.exchange.counters["bad_events"] += 1
        self._sample("bad_event", "", event, "impossible price, quantity or time")

    # -- the clock

    async def _tick(self) -> None:
        while True:
            now = self.now_ms()
            await self.room()
            for key, held in list(self._held.items()):
                end = ((held.event_ms - 1) // MINUTE_MS + 1) * MINUTE_MS
                if now >= end + self.exchange.grace_ms:
                    self._tell(key)
            for name, builder in self.builders.items():
                self._advance(name, builder, now)
            if now - self._grown_ms >= GROWING_MS:
                self._grown_ms = now
                self._grow()
            await self.exchange.sleep(TICK_S)

    def _grow(self) -> None:
        if len(self._outbox) > OUTBOX // 2:
            return
        for name, builder in self.builders.items():
            if builder.changed and not self.repairs.busy(name):
                bar = builder.growing()
                if bar is not None:
                    self.emit(bar)

    def _advance(self, name: str, builder: BarBuilder, now: int) -> None:
        # Gives away the minutes which are due, as far as they are complete.
        while not self.repairs.busy(name):
            start = builder.next_ms
            due = start + MINUTE_MS + self.exchange.grace_ms
            whole = not self.repairs.touched(name, start)
            if whole and builder.is_final() and now >= start + MINUTE_MS:
                self.close(builder)
                continue
            if now < due:
                return
            if whole and not self._proven(name, due):
                if now < due + PROOF_WAIT_MS:
                    return
                whole = False
            if whole and not self._doubtful(name, builder):
                self.close(builder)
                continue
            self.repairs.start(name, builder, now)
            return

    def complete(self, builder: BarBuilder) -> bool:
        """Whether the next minute's bar can be given away as it is."""
        due = builder.next_ms + MINUTE_MS + self.exchange.grace_ms
        built = self.exchange.bars_from == "trades" or builder.is_empty()
        return built and self._proven(builder.instrument, due)

    def close(self, builder: BarBuilder) -> None:
        """Give the next minute's bar away as it was built."""
        bar = builder.close()
        if bar is not None:
            self.emit(bar)

    def carriers(self, name: str, kind: str = "bars") -> list[Socket]:
        """Return the sockets which carry a kind of an instrument's data."""
        return [
            one for one in self.sockets
            if kind in one.carries and (not one.instruments or name in one.instruments)
        ]  # fmt: skip

    def _proven(self, name: str, at_ms: int) -> bool:
        # Whether all that was sent before at_ms (exchange's clock) has been read.
        offset = round(self.exchange.clock.offset_ms)
        proven = True
        for socket in self.carriers(name):
            stats = self.exchange.stats[socket.label]
            read_ms = max(stats.proven_ms + offset, self.traded_ms(socket))
            if stats.state != "live" or read_ms < at_ms:
                stats.wanted_ms = max(stats.wanted_ms, at_ms - offset)
                proven = False
        return proven

    def _doubtful(self, name: str, builder: BarBuilder) -> bool:
        # A closed kline is missing; or for seconds nothing at all was traded on the whole
        # connection, which then may be deaf.
        if self.exchange.bars_from == "klines":
            return True
        if builder.is_empty() and builder.last_close is None:
            return True
        start = builder.next_ms
        return any(self.quiet(one, start) for one in self.carriers(name))

    def traded_ms(self, socket: Socket) -> int:
        """Return the time of the newest trade on a connection; 0 before the first."""
        return self._traded_ms.get(socket.label, 0)

    def quiet(self, socket: Socket, start_ms: int) -> list[tuple[int, int]]:
        """Return the long stretches without a trade on a connection which touch a minute."""
        end, newest = start_ms + MINUTE_MS, self.traded_ms(socket)
        known = self._quiet.get(socket.label, ())
        found = [one for one in known if one[0] < end and one[1] > start_ms]
        if newest < end - QUIET_MS:
            found.append((newest, end))
        return [(max(begin, self.start_ms), until) for begin, until in found]

    def _heard(self, label: str, event_ms: int) -> None:
        newest = self._traded_ms.get(label, 0)
        # What a new connection tells again of the time before it proves nothing of the line.
        if event_ms > newest and event_ms >= self.repairs.joined_ms.get(label, 0):
            if label in self.repairs.mute:
                self.repairs.heard(label, event_ms)
            self._traded_ms[label] = event_ms
            if event_ms - newest > QUIET_MS:
                self._quiet.setdefault(label, deque(maxlen=50)).append((newest, event_ms))

    # -- REST beside it

    async def _poll(self) -> None:
        exchange, good_ms = self.exchange, self.start_ms
        while True:
            try:
                found: Iterable[Event] = await exchange.polls(self.names)
                now = self.now_ms()
                for event in found:
                    self.take(event, now, None)
                if now - good_ms > 3_000 * exchange.poll_s:
                    for name in self.names:
                        for kind in exchange.poll_carries:
                            self.emit(Gap(name, good_ms, now, kind, "polls failed"))
                good_ms = now
                self.worked("poll_failed")
            except (ExchangeError, BadFrameError) as error:
                exchange.counters["poll_errors"] += 1
                self.failed("poll_failed", error)
            await self.room()
            step = int(exchange.poll_s * 1000)
            now = self.now_ms() + POLL_LEAD_MS
            await exchange.sleep((step - now % step) / 1000)

    async def _sync_for_ever(self) -> None:
        while True:
            await self.exchange.sleep(PING_S)
            await self._sync_clock()

    async def _sync_clock(self) -> None:
        try:
            await self.exchange.ping()
        except (ExchangeError, BadFrameError) as error:
            self.exchange.counters["poll_errors"] += 1
            self.failed("ping_failed", error)
        else:
            self.worked("ping_failed")

    def failed(self, what: str, error: object) -> None:
        """Log that a request failed: a warning at first, a detail then, until one works."""
        level = logging.INFO if what in self._failing else logging.WARNING
        self._failing.add(what)
        log.log(level, "%s exchange=%s error=%s", what, self.exchange.name, error)

    def worked(self, what: str) -> None:
        """Take note that such a request works: the next failure is a warning again."""
        self._failing.discard(what)


def _possible(event: Event) -> bool:
    if isinstance(event, Liquidation):
        sizes = event.qty, event.notional_usd
        priced = MIN_PRICE <= event.price <= MAX_PRICE
        return priced and all(0 < size <= MAX_QTY for size in sizes)
    if isinstance(event, MarkPrice):
        return MIN_PRICE <= event.mark_price <= MAX_PRICE
    return not isinstance(event, OpenInterest) or 0 <= event.open_interest_qty <= MAX_QTY
