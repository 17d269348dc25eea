"""WebSocket frames of one subscription plan, for ever: reconnecting, and telling each hole.

    connect -> subscribe, paced -> first sign of life -> Hole of what was missed -> frames ...
    cut, silence or refusal     -> back-off with full jitter -> connect again

Whether a socket lives is read from pings, never from traffic: a liquidation stream may be
silent for minutes in good health. A ping carries the time it was sent; TCP keeps the order, so
its pong proves that everything the exchange had sent by then has been read. ``proven_ms``
of the statistics is that moment: what is before it is complete, also when we read late.

Times are on OUR clock here; ``LiveExchange`` turns them into the exchange's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import aiohttp

from liqheat.errors import RefusedError

log = logging.getLogger("liqheat.exchanges")

Sleep = Callable[[float], Awaitable[None]]

#: Full jitter: the n-th wait is drawn from 0 .. min(LONGEST, FIRST * 2**n) seconds.
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 30.0
#: A connection which lived this long forgets the failures before it [s].
STEADY_S = 60.0
#: How often a connection looks whether a ping is due or the line is dead [s].
BEAT_S = 0.5
#: Longest time between two protocol pings: how much a cut may make us doubt [s].
PROOF_S = 10.0
#: How long old and new connection run together when one replaces the other [s].
OVERLAP_S = 5.0
#: Frames read in one go before other tasks get their turn.
TURN = 256
#: Answers to a connection attempt which say "not from here".
REFUSALS = (403, 418, 451)
#: An exchange which answers no ping is taken as subscribed after this, by any frame [ms].
_SETTLED_MS = 1_000

_TEXT, _BINARY = aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY
_PING, _PONG = aiohttp.WSMsgType.PING, aiohttp.WSMsgType.PONG


def looks_like_pong(frame: bytes) -> bool:
    """Whether a frame answers an application ping; so it does at all exchanges known."""
    return len(frame) < 300 and b"pong" in frame


@dataclass(frozen=True)
class Socket:
    """One WebSocket connection: where, what to subscribe to, how to keep it alive.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``, query included.
    label : str
        Short name within the exchange, e.g. "market"; given to ``decode``.
    subscribe : tuple of str
        Text frames sent after connecting, ``pace_s`` apart.
    ping : str, optional
        Application ping, sent every ``ping_s``; protocol pings are sent in any case.
    is_pong : callable
        Recognises the answer to ``ping``; such frames do not reach ``decode``.
    rotate_s : float, optional
        Age at which a new connection replaces this one, overlapping with it, before the
        exchange's own cut. Events seen twice are the adapter's to drop (``Seen``).
    silent_s : float
        Nothing at all, not even a pong, for so long: the line is dead.
    reply : callable, optional
        Returns the answer to a frame which wants one (Deribit's test_request), else None.
    headers : tuple of (str, str)
        Extra headers of the handshake.
    carries : tuple of str
        The kinds of data on this connection; a hole in it is a gap in each of them.
    instruments : tuple of str
        ``exchange:symbol`` names on this connection; empty: all that are streamed.
    lag_ms : int
        How late the exchange sends at most (batches of 500 or 1,000 ms): holes are told
        that much longer at both ends.
    """

    url: str
    label: str
    subscribe: tuple[str, ...] = ()
    pace_s: float = 0.1
    ping: str | None = None
    ping_s: float = 20.0
    is_pong: Callable[[bytes], bool] = looks_like_pong
    rotate_s: float | None = None
    silent_s: float = 60.0
    reply: Callable[[bytes], str | None] | None = None
    headers: tuple[tuple[str, str], ...] = ()
    carries: tuple[str, ...] = ("bars", "liquidations")
    instruments: tuple[str, ...] = ()
    lag_ms: int = 1_000


@dataclass(frozen=True)
class Hole:
    """What one socket may have missed: ``[start_ms, end_ms)`` on our clock."""

    label: str
    start_ms: int
    end_ms: int
    reason: str
    #: Also what was read of it is doubted: the line was deaf.
    doubted: bool = False


@dataclass
class SocketStats:
    """How one socket fares, for ``liqheat doctor`` and the page."""

    label: str
    state: Literal["connecting", "live", "waiting", "refused"] = "connecting"
    #: Why it is not live, in words.
    detail: str = ""
    frames: int = 0
    bad_frames: int = 0
    reconnects: int = 0
    #: Our clock: connected since; last frame or pong; everything sent before it was read.
    live_ms: int | None = None
    last_receipt_ms: int | None = None
    proven_ms: int = 0
    #: Exchange's clock: newest event decoded.
    last_event_ms: int = 0
    #: Round trip of the last protocol ping.
    latency_ms: float | None = None
    #: Somebody waits for ``proven_ms`` to reach this.
    wanted_ms: int = 0
    #: Why the connection is to be replaced: it is deaf, or the subscription failed.
    kick: str = ""
    #: Since when what it gave is doubted, where that is earlier than its end shows.
    doubt_ms: int | None = None


class WebSocketLike(Protocol):
    """What is needed of a connection; aiohttp's client has it."""

    async def receive(self) -> Any: ...
    async def send_str(self, data: str) -> None: ...
    async def ping(self, message: bytes = b"") -> None: ...
    async def pong(self, message: bytes = b"") -> None: ...
    async def close(self) -> object: ...


Connect = Callable[[Socket], Awaitable[WebSocketLike]]


class _LostError(Exception):
    """The connection is gone; the message says why."""


@dataclass
class Backoff:
    """Waits which grow, drawn at random so that many clients do not come back at once."""

    draw: Callable[[], float] = random.random
    tries: int = 0

    def next_s(self) -> float:
        """Return the next wait [s]."""
        longest = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0**self.tries)
        self.tries = min(self.tries + 1, 16)
        return self.draw() * longest


@dataclass
class _Link:
    """One connection: reads frames, and a task beside it subscribes, pings and watches."""

    ws: WebSocketLike
    socket: Socket
    stats: SocketStats
    clock_ms: Callable[[], int]
    sleep: Sleep
    opened_ms: int = 0
    subscribed_ms: int | None = None
    fault: str = ""
    _heard_ms: int = 0
    _waiting: bool = False
    _ping_ms: int = 0
    _app_ms: int = 0
    _app_pings: deque[int] = field(default_factory=deque)
    _keeper: asyncio.Task[None] | None = None
    _plain: bool = False

    def start(self) -> None:
        self.opened_ms = self._heard_ms = self._app_ms = self.clock_ms()
        self._plain = self.socket.ping is None and self.socket.reply is None
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self.ws.close()

    # -- reading

    async def next(self) -> bytes | None:
        """Return the next frame, or None for a sign of life which is none."""
        self._waiting = True
        message = await self.ws.receive()
        self._waiting = False
        now = self._heard_ms = self.stats.last_receipt_ms = self.clock_ms()
        kind, data = message.type, message.data
        if kind is _TEXT or kind is _BINARY:
            frame: bytes = data.encode() if isinstance(data, str) else data
            if self._plain:
                return frame
            return await self._answered(frame)
        if kind is _PONG:
            self._prove(data, now)
            return None
        if kind is _PING:
            await self.ws.pong(data)
            return None
        raise _LostError(self.fault or _closing_words(message))

    async def _answered(self, frame: bytes) -> bytes | None:
        socket = self.socket
        if socket.ping is not None and socket.is_pong(frame):
            if self._app_pings:
                self.stats.proven_ms = max(self.stats.proven_ms, self._app_pings.popleft())
            return None
        if socket.reply is not None and (answer := socket.reply(frame)) is not None:
            await self.ws.send_str(answer)
        return frame

    def _prove(self, payload: bytes, now: int) -> None:
        # Only our own pings carry a time; some exchanges send pongs unasked.
        if payload.isdigit() and len(payload) < 16 and int(payload) <= self._ping_ms:
            self.stats.proven_ms = max(self.stats.proven_ms, int(payload))
            self.stats.latency_ms = float(now - int(payload))

    # -- beside it

    async def _keep(self) -> None:
        try:
            for number, text in enumerate(self.socket.subscribe):
                if number:
                    await self.sleep(self.socket.pace_s)
                await self.ws.send_str(text)
            self.subscribed_ms = self.clock_ms()
            while not self.fault:
                await self._beat(self.clock_ms())
                await self.sleep(BEAT_S)
        except (OSError, aiohttp.ClientError, RuntimeError) as error:
            self.fault = f"cannot send: {error or type(error).__name__}"
        # Wakes who reads, with a closing message.
        await self.ws.close()

    async def _beat(self, now: int) -> None:
        socket, stats = self.socket, self.stats
        if stats.kick:
            self.fault, stats.kick = stats.kick, ""
        elif self._waiting and now - self._heard_ms > socket.silent_s * 1000:
            self.fault = f"silent for {socket.silent_s:g} s"
        if self.fault:
            return
        wanted = (
            stats.proven_ms < stats.wanted_ms <= now and self._ping_ms < stats.wanted_ms
        )
        if wanted or now - self._ping_ms >= PROOF_S * 1000:
            self._ping_ms = now
            await self.ws.ping(str(now).encode())
        if socket.ping is not None and (
            wanted or now - self._app_ms >= socket.ping_s * 1000
        ):
            self._app_ms = now
            self._app_pings.append(now)
            await self.ws.send_str(socket.ping)


def _closing_words(message: Any) -> str:
    if message.type == aiohttp.WSMsgType.CLOSE:
        return f"closed by the exchange ({message.data or 1005})"
    if message.type == aiohttp.WSMsgType.ERROR:
        return f"broken: {message.data}"
    return "connection lost"


@dataclass
class _Feed:
    """The connections of one socket, one after the other."""

    socket: Socket
    exchange: str
    clock_ms: Callable[[], int]
    sleep: Sleep
    stats: SocketStats
    connect: Connect
    backoff: Backoff
    #: Since when frames may be missing; None: nothing was to be heard before.
    lost_ms: int | None
    reason: str = "before the first connection"
    doubted: bool = False
    _link: _Link | None = None
    _heir: asyncio.Task[_Link] | None = None

    async def open(self) -> _Link:
        """Return a new connection, subscribing."""
        try:
            ws = await self.connect(self.socket)
        except aiohttp.WSServerHandshakeError as error:
            if error.status in REFUSALS:
                self.stats.state, self.stats.detail = "refused", f"HTTP {error.status}"
                raise RefusedError(
                    self.exchange, "refused in this region", code=error.status
                ) from None
            raise _LostError(f"no connection: HTTP {error.status}") from None
        except (OSError, aiohttp.ClientError, TimeoutError) as error:
            raise _LostError(f"no connection: {error or type(error).__name__}") from None
        link = _Link(ws, self.socket, self.stats, self.clock_ms, self.sleep)
        link.start()
        return link

    async def read(self) -> AsyncGenerator[bytes | Hole]:
        """Yield what one connection gives, and its heirs; ends where the line is cut."""
        self._link = link = await self.open()
        if self.lost_ms is not None:
            held = await self._settle(link)
            end = self.clock_ms() + self.socket.lag_ms
            start = min(self.lost_ms - self.socket.lag_ms, end - 1)
            yield Hole(self.socket.label, start, end, self.reason, self.doubted)
            self.doubted = False
            for early in held:
                yield early
        self.lost_ms = self.clock_ms()
        self.stats.state, self.stats.detail = "live", ""
        self.stats.live_ms = self.clock_ms()
        turn = 0
        while True:
            try:
                frame = await self._link.next()
            except _LostError:
                if not await self._inherit():
                    raise
                continue
            if frame is not None:
                self.stats.frames += 1
                yield frame
                turn += 1
                if turn % TURN:
                    continue
                await asyncio.sleep(0)
            # At least every PROOF_S, because there is a pong.
            await self._rotate()

    async def _settle(self, link: _Link) -> list[bytes]:
        # Frames which come while subscribing wait for the hole to be told.
        held: list[bytes] = []
        while True:
            frame = await link.next()
            if frame is not None:
                held.append(frame)
                self.stats.frames += 1
            begun = link.subscribed_ms
            if begun is not None and (
                self.stats.proven_ms >= begun
                or (frame is not None and self.clock_ms() - begun > _SETTLED_MS)
            ):
                return held

    # -- one connection after another, without a hole

    async def _rotate(self) -> None:
        link, rotate_s = self._link, self.socket.rotate_s
        if rotate_s is None or link is None:
            return
        now = self.clock_ms()
        if self._heir is None:
            if now - link.opened_ms >= rotate_s * 1000:
                self._heir = asyncio.create_task(self.open())
            return
        if not self._heir.done():
            return
        if self._heir.exception() is not None:
            link.opened_ms += int(LONGEST_WAIT_S * 1000)  # try again a little later
            self._heir = None
            return
        heir = self._heir.result()
        if heir.subscribed_ms is None:
            return
        enough = heir.subscribed_ms + int(OVERLAP_S * 1000)
        self.stats.wanted_ms = max(self.stats.wanted_ms, enough)
        if self.stats.proven_ms >= enough:
            await self._inherit()

    async def _inherit(self) -> bool:
        # The heir takes over, if it is there and what came before it has all been read.
        task, self._heir = self._heir, None
        if task is None or self._link is None:
            return False
        if not task.done():
            task.cancel()
            return False
        if task.exception() is not None:
            return False
        heir, old = task.result(), self._link
        begun = heir.subscribed_ms
        if begun is None or self.stats.proven_ms < begun + self.socket.lag_ms:
            await heir.close()
            return False
        self._link = heir
        await old.close()
        return True

    async def close(self) -> None:
        """Close what is open."""
        task, self._heir = self._heir, None
        if task is not None:
            task.cancel()
            for found in await asyncio.gather(task, return_exceptions=True):
                if isinstance(found, _Link):
                    await found.close()
        link, self._link = self._link, None
        if link is not None:
            await link.close()


async def frames(
    socket: Socket,
    *,
    exchange: str,
    clock_ms: Callable[[], int],
    sleep: Sleep,
    stats: SocketStats,
    connect: Connect,
    since_ms: int | None = None,
    draw: Callable[[], float] = random.random,
) -> AsyncGenerator[bytes | Hole]:
    """Yield the frames of a socket until cancelled, and a ``Hole`` before the first after a cut.

    Parameters
    ----------
    socket : Socket
        Where to connect, and how.
    exchange : str
        Named in errors and in the log.
    clock_ms, sleep : callable
        Our clock [ms], and how to wait [s].
    stats : SocketStats
        Kept up to date; ``wanted_ms`` and ``kick`` are the consumer's wishes.
    connect : callable
        Opens a connection.
    since_ms : int, optional
        Where the stream is to begin: the first connection then tells a hole from there, too.
    draw : callable
        Random numbers in [0, 1) for the back-off.

    Raises
    ------
    RefusedError
        The exchange does not serve this address.
    """
    backoff = Backoff(draw)
    feed = _Feed(socket, exchange, clock_ms, sleep, stats, connect, backoff, since_ms)
    while True:
        opened = clock_ms()
        try:
            async with contextlib.aclosing(feed.read()) as items:
                async for item in items:
                    yield item
        except _LostError as lost:
            feed.reason = str(lost)
        finally:
            await feed.close()
        if stats.live_ms is not None:
            # What was sent before this had been read; later frames may be missing.
            if stats.state == "live":
                feed.lost_ms = max(stats.proven_ms, stats.live_ms)
                if stats.doubt_ms is not None:
                    feed.lost_ms, feed.doubted = min(feed.lost_ms, stats.doubt_ms), True
                    stats.doubt_ms = None
            if clock_ms() - opened > STEADY_S * 1000:
                backoff.tries = 0
        stats.state, stats.detail = "waiting", feed.reason
        stats.reconnects += 1
        log.info(
            "socket_lost exchange=%s label=%s reason=%s",
            exchange,
            socket.label,
            feed.reason,
        )
        await sleep(backoff.next_s())
        stats.state = "connecting"
