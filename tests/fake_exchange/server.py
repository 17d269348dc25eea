"""The server: every venue below ``/<name>/``, sent what the market does, broken as scripted."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import importlib
import pkgutil
import random
import re
from collections.abc import Awaitable, Callable, Iterable

import msgspec
from aiohttp import WSMsgType, web

from tests.fake_exchange import venues
from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import Scenario, Window
from tests.fake_exchange.venue import FakeVenue, Peer

_TEXT_NUMBER = re.compile(r':"(-?\d+\.\d+)"')


def venue_types() -> dict[str, type[FakeVenue]]:
    """Return the venues there are, by name: each module of ``venues`` has one ``Venue``."""
    found = {}
    for module in pkgutil.iter_modules(venues.__path__):
        venue = importlib.import_module(f"{venues.__name__}.{module.name}").Venue
        found[venue.name] = venue
    return dict(sorted(found.items()))


class FakeExchange:
    """All venues on one port.

    Parameters
    ----------
    names : iterable of str
        Venues to run.
    market : Market
        What happens.
    scenario : Scenario
        What goes wrong.
    clock_ms, sleep : callable
        Our clock and how to wait; the venues' clock is ``scenario.skew_ms`` ahead.
    """

    def __init__(
        self, names: Iterable[str], market: Market, scenario: Scenario,
        clock_ms: Callable[[], int], sleep: Callable[[float], Awaitable[None]],
    ) -> None:  # fmt: skip
        types = venue_types()
        self.market, self.scenario = market, scenario
        self._clock_ms, self._sleep = clock_ms, sleep
        self.venues = {name: types[name](market, self.now_ms) for name in names}
        self.base = ""
        self._told_ms = self.now_ms()
        #: Windows of faults count from this full minute.
        self.began_ms = self._told_ms - self._told_ms % 60_000
        self._random = random.Random(market.seed)
        self._faults: dict[str, Window | None] = dict.fromkeys(self.venues)
        self._runner: web.AppRunner | None = None

    def now_ms(self) -> int:
        """Return the exchanges' time."""
        return self._clock_ms() + self.scenario.skew_ms

    # -- the server

    async def start(self, port: int = 0) -> str:
        """Listen on a loopback port (any free one where 0) and return the base address."""
        app = web.Application(middlewares=[self._faulty])
        for venue in self.venues.values():
            for key in venue.websockets:
                app.router.add_get(
                    f"/{venue.name}/{key}{{rest:.*}}", self._opener(venue, key)
                )
            for route in venue.routes():
                app.router.add_route(
                    route.method, f"/{venue.name}{route.path}", route.handler
                )
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}"
        return self.base

    async def stop(self) -> None:
        """Close all connections."""
        for venue in self.venues.values():
            await self._drop(venue, 1001, abort=True)
        if self._runner is not None:
            await self._runner.cleanup()

    async def run(self) -> None:
        """Send for ever, on the clock."""
        while True:
            await self.pump()
            await self._sleep(0.05)

    async def pump(self) -> None:
        """Send what has happened since the last call, and begin or end faults."""
        now = self.now_ms()
        for venue in self.venues.values():
            at_s = (now - self.began_ms) / 1000
            await self._turn_fault(venue, self.scenario.active(at_s, venue.name))
        for tick in self.market.ticks(self._told_ms, now):
            for venue in self.venues.values():
                venue.sent.extend(venue.expected(tick))
                for channel, text in venue.frames_for(tick):
                    await self._publish(venue, channel, text)
        for venue in self.venues.values():
            for channel, text in venue.frames_at(now):
                await self._publish(venue, channel, text)
        self._told_ms = now

    # -- faults

    def fault(self, name: str) -> str:
        """Return a venue's fault of now, or an empty text."""
        window = self._faults.get(name)
        return "" if window is None else window.fault

    async def _turn_fault(self, venue: FakeVenue, window: Window | None) -> None:
        if window == self._faults[venue.name]:
            return
        old, self._faults[venue.name] = self.fault(venue.name), window
        fault = self.fault(venue.name)
        if old == "half_open":
            await self._drop(venue, 1001, abort=True)
        if fault == "half_open":
            for peer in venue.peers:
                peer.dead = True
        elif fault in ("cut", "down"):
            await self._drop(venue, 1001, abort=self._random.random() < 0.5)
        elif fault in ("maintenance", "refused"):
            await self._drop(venue, 1012, abort=False)

    async def _drop(self, venue: FakeVenue, code: int, *, abort: bool) -> None:
        peers, venue.peers = venue.peers, []
        for peer in peers:
            transport = peer.request.transport
            if abort and transport is not None:
                transport.abort()
            elif not peer.dead:
                peer.dead = True
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await asyncio.wait_for(peer.socket.close(code=code, drain=False), 0.2)

    async def _publish(self, venue: FakeVenue, channel: str, text: str) -> None:
        if self.fault(venue.name) in (
            "silent", "half_open", "down", "maintenance", "refused"
        ):  # fmt: skip
            return
        heard = [peer for peer in venue.peers if channel in peer.channels]
        if not heard:
            return
        late = self._drawn(self.scenario.reorder)
        texts = self._spoilt(text)
        for peer in heard:
            if late:
                peer.held.extend(texts)
                continue
            for one in texts:
                await peer.send(one)
            while peer.held:
                await peer.send(peer.held.popleft())

    def _drawn(self, share: float) -> bool:
        return share > 0 and self._random.random() < share

    def _spoilt(self, text: str) -> list[str]:
        scenario = self.scenario
        if self._drawn(scenario.unknown) and text[:1] == "{":
            text = '{"zz":[1,{"a":null}],' + text[1:]
        if self._drawn(scenario.retyped):
            text = _TEXT_NUMBER.sub(r":\1", text)
        texts = [text] * (2 if self._drawn(scenario.duplicate) else 1)
        if self._drawn(scenario.malformed):
            texts.append(broken(text, self._random))
        return texts

    @web.middleware
    async def _faulty(self, request: web.Request, handler: object) -> web.StreamResponse:
        window = self._faults.get(request.path.split("/")[1])
        is_socket = "Upgrade" in request.headers
        if window is not None:
            if window.fault == "down":
                request.transport.abort()
                return web.Response(status=500)
            status = 503 if window.fault == "maintenance" else window.status
            if window.fault in ("maintenance", "refused") or (
                window.fault == "http" and not is_socket
            ):
                headers = {"Retry-After": "2"} if status == 429 else {}
                body = b'{"msg":"system is under maintenance"}'
                return self._dated(web.Response(status=status, body=body, headers=headers))
        try:
            answer = await handler(request)
        except web.HTTPException as error:
            answer = web.Response(status=error.status, text=error.reason)
        return answer if is_socket else self._dated(answer)

    def _dated(self, answer: web.StreamResponse) -> web.StreamResponse:
        answer.headers["Date"] = email.utils.formatdate(self.now_ms() // 1000, usegmt=True)
        return answer

    # -- sockets

    def _opener(self, venue: FakeVenue, key: str):
        async def opened(request: web.Request) -> web.WebSocketResponse:
            socket = web.WebSocketResponse(autoping=False, max_msg_size=0, timeout=0.2)
            await socket.prepare(request)
            peer = Peer(key, socket, request)
            peer.dead = self.fault(venue.name) == "half_open"
            venue.peers.append(peer)
            try:
                # Clients go when they like, also while they are being answered.
                with contextlib.suppress(ConnectionError):
                    await venue.on_connect(peer)
                    await self._listen(venue, peer)
            finally:
                peer.dead = True
                if peer in venue.peers:
                    venue.peers.remove(peer)
            return socket

        return opened

    async def _listen(self, venue: FakeVenue, peer: Peer) -> None:
        while True:
            message = await peer.socket.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED,
                                WSMsgType.ERROR):  # fmt: skip
                return
            if peer.dead:
                continue
            while peer.held:
                await peer.send(peer.held.popleft())
            if message.type == WSMsgType.PING:
                await peer.socket.pong(message.data)
            elif message.type == WSMsgType.TEXT:
                await venue.on_message(peer, message.data)


def broken(text: str, rng: random.Random) -> str:
    """Return a copy of a frame which no decoder may take."""
    match rng.randrange(4):
        case 0:
            return text[: rng.randrange(1, max(2, len(text)))]
        case 1:
            return text.replace(":", ";", 1)
        case 2:
            return "<html><body>502 Bad Gateway</body></html>"
        case _:
            return text + "}"


class VirtualTime:
    """A clock which is moved by hand: a day in minutes, each wait in its turn.

    Sockets are real. ``run`` moves time in steps and gives the event loop some turns after
    each, so that what was sent arrives.
    """

    def __init__(self, at_ms: int, *, turns: int = 6) -> None:
        self.at_ms, self._turns = at_ms, turns
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def __call__(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock has been moved so far."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.at_ms + round(seconds * 1000), future))
        await future

    async def run(
        self, until_ms: int, step_ms: Callable[[], int], each: Callable[[], Awaitable[None]]
    ) -> None:
        """Move to a time in steps, calling ``each`` after every one."""
        while self.at_ms < until_ms:
            self.at_ms = min(self.at_ms + step_ms(), until_ms)
            await each()
            due = [one for one in self._waiting if one[0] <= self.at_ms]
            self._waiting = [one for one in self._waiting if one[0] > self.at_ms]
            for _, future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(self._turns):
                await asyncio.sleep(0)


def json_of(text: str) -> dict:
    """Return a client's message; an empty one where it is no JSON object."""
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
