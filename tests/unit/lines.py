"""A clock and WebSockets by hand: what tests of streams need instead of a network."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import aiohttp
import msgspec

T0 = 1_790_035_200_000


class Clock:
    """Time which is moved by hand; who sleeps is woken in turn."""

    def __init__(self) -> None:
        self.at_ms = T0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []

    def __call__(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((self.at_ms + round(seconds * 1000), future))
        await future

    async def move(self, ms: int, step: int = 250) -> None:
        end = self.at_ms + ms
        while self.at_ms < end:
            self.at_ms += min(step, end - self.at_ms)
            due = [future for at, future in self._waiting if at <= self.at_ms]
            self._waiting = [one for one in self._waiting if one[0] > self.at_ms]
            for future in due:
                if not future.done():
                    future.set_result(None)
            for _ in range(12):
                await asyncio.sleep(0)


@dataclass
class Line:
    """A WebSocket without a network; ``answers`` is whether pings are."""

    clock: Clock
    answers: bool = True
    sent: list[str] = field(default_factory=list)
    inbox: asyncio.Queue = field(default_factory=asyncio.Queue)
    closed: bool = False

    async def receive(self) -> aiohttp.WSMessage:
        return await self.inbox.get()

    async def send_str(self, data: str) -> None:
        self.sent.append(data)

    async def ping(self, message: bytes = b"") -> None:
        if self.answers:
            self.put(aiohttp.WSMsgType.PONG, message)

    async def pong(self, message: bytes = b"") -> None:
        self.sent.append("pong")

    async def close(self) -> None:
        self.closed = True
        self.put(aiohttp.WSMsgType.CLOSED, None)

    def put(self, kind: aiohttp.WSMsgType, data: object) -> None:
        self.inbox.put_nowait(aiohttp.WSMessage(kind, data, ""))

    def frame(self, *rows: tuple) -> None:
        self.put(aiohttp.WSMsgType.TEXT, msgspec.json.encode(rows))

    def cut(self) -> None:
        self.put(aiohttp.WSMsgType.CLOSED, None)
