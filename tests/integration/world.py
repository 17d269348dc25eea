"""A real server on a free port over a real store, and a client which does as the page does."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import websockets

from liqheat.config import load_config
from liqheat.market.events import Bars, OpenInterest
from liqheat.serve.run import Server, SourceBus, running
from liqheat.service import Feed, Service
from liqheat.service.picture import Delta, Picture
from liqheat.store import Store
from tests.frames import decode_frame
from tests.market import MINUTE, SYMBOL, bar, fill, market
from tests.unit.test_live import Client

DAYS = 3
FIRST = DAYS * 1440


@dataclass
class World:
    server: Server
    service: Service
    bus: SourceBus
    store: Store
    bars: Bars
    http: httpx.AsyncClient
    next: int = FIRST

    @property
    def ws(self) -> str:
        return self.server.url.replace("http", "ws") + "/ws"

    def play(self, n: int = 1, *, progress: bool = False, stored: bool = True) -> None:
        """Let ``n`` bars happen; at the end, maybe, one is under way."""
        for i in range(self.next, self.next + n):
            end = int(self.bars.start_ms[i]) + MINUTE
            self.bus.publish(
                OpenInterest(SYMBOL, end, float(self.bars.open_interest_qty[i]))
            )
            self.bus.publish(bar(self.bars, i))
        if stored:
            fill(self.store, self.bars[self.next : self.next + n])
        self.next += n
        if progress:
            self.bus.publish(bar(self.bars, self.next, closed=False))


@contextlib.asynccontextmanager
async def world(
    folder: Path, *, kind: Any = "simulated", **flags: Any
) -> AsyncIterator[World]:
    bars = market(FIRST + 2_000)
    clock = [int(bars.start_ms[FIRST]) + 1]
    config = load_config({"data_dir": str(folder), "port": 0, **flags}, environ={})
    with Store.open(folder) as store:
        fill(store, bars[:FIRST])
        feed = Feed(store, kind, attached=True)
        server = Server(config)
        async with running(config, [feed], server) as service:
            service.clock_ms = service.catalogue._clock_ms = lambda: clock[0]
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
                yield World(server, service, SourceBus(service, feed), store, bars, http)


def run(
    test: Callable[[World], Coroutine[Any, Any, None]], folder: Path, **given: Any
) -> None:
    async def main() -> None:
        async with world(folder, **given) as w:
            await asyncio.wait_for(test(w), 60)

    asyncio.run(main())


class Viewer:
    """A client which applies frames as the page does."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.state: Client | None = None
        self.picture: Picture | None = None
        self.frames: list[bytes] = []
        self.texts: list[dict[str, Any]] = []
        self.kinds: list[str] = []

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def subscribe(self, **more: Any) -> None:
        await self.send(op="subscribe", instrument=SYMBOL, range="12h", bins=100, **more)

    async def step(self) -> Any:
        message = await asyncio.wait_for(self.socket.recv(), 10)
        if isinstance(message, str):
            self.texts.append(json.loads(message))
            return self.texts[-1]
        self.frames.append(message)
        frame = decode_frame(message)
        if isinstance(frame, Picture):
            self.kinds.append("snapshot")
            self.picture = frame
            if self.state is None:
                self.state = Client(frame)
            else:
                self.state.take_picture(frame)
        elif isinstance(frame, Delta):
            self.kinds.append(frame.kind)
            assert self.state is not None
            self.state.take(frame)
        else:
            self.kinds.append("heartbeat")
            assert self.state is not None
            assert frame == self.state.seq
        return frame

    async def until(self, wanted: Callable[[], bool]) -> None:
        while not wanted():
            await self.step()

    async def quiet(self, seconds: float = 0.3) -> None:
        """Take all that comes until nothing does."""
        with contextlib.suppress(TimeoutError):
            while True:
                async with asyncio.timeout(seconds):
                    await self.step()

    async def text(self, kind: str) -> dict[str, Any]:
        seen = len(self.texts)
        await self.until(lambda: any(t["type"] == kind for t in self.texts[seen:]))
        return next(t for t in reversed(self.texts) if t["type"] == kind)


@contextlib.asynccontextmanager
async def viewer(w: World, **more: Any) -> AsyncIterator[Viewer]:
    async with websockets.connect(w.ws, max_size=None) as socket:
        out = Viewer(socket)
        await out.subscribe(**more)
        await out.until(lambda: out.picture is not None)
        yield out


def assert_fresh(w: World, v: Viewer) -> None:
    """What the client holds is what a snapshot taken now would say."""
    assert v.state is not None
    views = w.service.markets[SYMBOL].views
    [watched] = [one for one in views.values() if one.view.query.bins == 100]
    v.state.assert_equals(watched.view.picture())
