"""How fast live exchanges are taken in, against fakes on loopback.

    python benchmarks/exchanges.py         # prints the tables; about two minutes

The reference of decoding is ``json.loads`` of the same frames, in the same run. Times are of
this process's CPU, the fakes run in another: on a busy machine read shares and ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import SCENARIOS
from tests.fake_exchange.server import FakeExchange, VirtualTime, venue_types

from liqheat.exchanges.base import wall_clock_ms
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Hole, Sessions, Socket, SocketStats, frames
from liqheat.market.events import Trade

T0, COINS = 1_790_035_200_000, ("BTC", "ETH", "SOL", "XRP", "DOGE")


async def known(name: str, market: Market) -> tuple[LiveExchange, list[tuple[str, bytes]]]:
    """Return an adapter which knows its instruments, and frames of trades with their labels."""
    clock = VirtualTime(T0 + 60_000)
    fake = FakeExchange([name], market, SCENARIOS["normal"], clock, clock.sleep)
    venue, base = fake.venues[name], await fake.start()
    exchange = venue.adapter(venue.adapter.urls_at(base), clock_ms=clock, sleep=clock.sleep)
    listed = [one.name for one in await exchange.fetch_instruments()]
    labels = [one.label for one in exchange.sockets(listed)]
    linear = set(venue.listed) - set(venue.contract_usd)
    found = [
        (labels[0], text.encode())
        for tick in market.ticks(T0, T0 + 60_000)
        if isinstance(tick.event, Trade)
        for channel, text in venue.frames_for(tick)
        if any(symbol in text or symbol.lower() in channel for symbol in linear)
    ]
    await exchange.close()
    await fake.stop()
    return exchange, found


# -- decoding ------------------------------------------------------------------------------


def decoding(name: str, market: Market) -> tuple[float, float, int]:
    """Return µs per trade of decoding and of json.loads, and the number of trades."""
    best = reference = float("inf")
    count = 0
    for _ in range(3):
        exchange, texts = asyncio.run(known(name, market))
        began = time.process_time()
        count = 0
        for label, text in texts:
            for event in exchange.decode(label, text, T0):
                count += type(event) is Trade
        best = min(best, time.process_time() - began)
        began = time.process_time()
        for _, text in texts:
            json.loads(text)
        reference = min(reference, time.process_time() - began)
    return best / count * 1e6, reference / count * 1e6, count


# -- from the socket to the bar ------------------------------------------------------------


def flood(pipe: Connection, texts: list[str]) -> None:
    """Serve: whoever connects gets all frames at once. Runs in a process of its own."""

    async def give(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        for text in texts:
            await socket.send_str(text)
        async for _ in socket:
            pass
        return socket

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", give)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    asyncio.run(run())


async def end_to_end(texts: list[tuple[str, bytes]], exchange: LiveExchange, port: int
                     ) -> tuple[float, float, int]:  # fmt: skip
    """Return CPU and wall seconds of taking all frames in, and the trades which arrived."""
    origin = time.monotonic()
    live = type(exchange)(
        {key: f"ws://127.0.0.1:{port}" for key in exchange.urls},
        clock_ms=lambda: T0 + 60_000 + int((time.monotonic() - origin) * 1000),
    )
    live.listings, live.poll_s = exchange.listings, 0.0
    live.ping = live.fetch_history = nothing
    names = [f"{live.name}:BTCUSDT"]
    began, cpu = time.perf_counter(), time.process_time()

    async def listen() -> None:
        async for _ in live.stream(names, T0):
            pass

    task = asyncio.create_task(listen())
    for _ in range(600):
        if live.counters["trades"] >= len(texts) or task.done():
            break
        await asyncio.sleep(0.05)
    spent = time.process_time() - cpu, time.perf_counter() - began
    if task.done():
        task.result()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await live.close()
    return *spent, live.counters["trades"]


async def nothing(*_: object) -> None:
    """Stand in for REST."""


# -- everything at once --------------------------------------------------------------------


def serve_all(pipe: Connection, names: list[str], rate: float) -> None:
    """Run all fakes in a process of their own."""

    async def run() -> None:
        market = Market(coins=COINS, trades_per_s=rate)
        fake = FakeExchange(
            names, market, SCENARIOS["normal"], wall_clock_ms, asyncio.sleep
        )
        pipe.send(await fake.start())
        await fake.run()

    asyncio.run(run())


async def all_at_once(base: str, names: list[str], seconds: float) -> tuple[float, int]:
    """Return this process's share of a core, and the trades which arrived."""
    types = venue_types()
    lives = [types[name].adapter(types[name].adapter.urls_at(base)) for name in names]

    async def listen(live: LiveExchange) -> None:
        listed = [one.name for one in await live.fetch_instruments()]
        async for _ in live.stream(listed, live.clock_ms()):
            pass

    tasks = [asyncio.create_task(listen(live)) for live in lives]
    await asyncio.sleep(5)  # connecting and first repairs
    began, cpu = time.perf_counter(), time.process_time()
    before = sum(live.counters["trades"] for live in lives)
    await asyncio.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    trades = sum(live.counters["trades"] for live in lives) - before
    for task in tasks:
        if task.done():
            task.result()  # says why
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for live in lives:
        await live.close()
    return share, trades


# -- reconnecting --------------------------------------------------------------------------


async def reconnects(n: int) -> list[float]:
    """Return the seconds from a cut to the next frame, of ``n`` connections cut once."""
    open_sockets: list[web.Request] = []

    async def send(socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(ConnectionError):
            while not socket.closed:
                await socket.send_str('{"x":1}')
                await asyncio.sleep(0.02)

    async def give(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        open_sockets.append(request)
        await socket.receive()
        sender = asyncio.create_task(send(socket))
        async for _ in socket:  # answers pings
            pass
        await sender
        return socket

    app = web.Application()
    app.router.add_get("/", give)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    sessions = Sessions()
    socket = Socket(f"ws://127.0.0.1:{runner.addresses[0][1]}/", "all", subscribe=("all",))

    waits = [await cut_once(socket, sessions, open_sockets) for _ in range(n)]
    await sessions.close()
    await runner.cleanup()
    return waits


async def cut_once(
    socket: Socket, sessions: Sessions, open_sockets: list[web.Request]
) -> float:
    """Return the seconds from the cut of a new connection to its next frame."""
    items: AsyncIterator[bytes | Hole] = frames(
        socket, exchange="bench", clock_ms=wall_clock_ms, sleep=asyncio.sleep,
        stats=SocketStats("all"), connect=sessions.connect,
    )  # fmt: skip
    await anext(items)
    open_sockets[-1].transport.abort()
    cut = time.perf_counter()
    while not isinstance(await anext(items), Hole):
        pass
    await anext(items)
    waited = time.perf_counter() - cut
    await items.aclose()
    return waited


# -- the tables ----------------------------------------------------------------------------


def started(target: object, *arguments: object) -> tuple[multiprocessing.Process, object]:
    """Run a server in a process of its own; return it, and what it first says."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=target, args=(theirs, *arguments), daemon=True
    )
    process.start()
    return process, ours.recv()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--rate", type=float, default=10.0, help="trades/s of coin, exchange"
    )
    args = parser.parse_args()
    names = list(venue_types())
    market = Market(coins=("BTC", "ETH"), trades_per_s=100, readings_ms=60_000)
    print(f"{'decode + normalise':<22}{'µs/trade':>9}{'json.loads':>12}{'ratio':>7}")
    for name in names:
        ours, reference, count = decoding(name, market)
        print(
            f"  {name:<20}{ours:>9.2f}{reference:>12.2f}{ours / reference:>7.2f}  n={count}"
        )

    exchange, texts = asyncio.run(
        known("binance", Market(coins=("BTC",), trades_per_s=min(900, args.frames / 60)))
    )
    process, port = started(flood, [text.decode() for _, text in texts])
    cpu, wall, got = asyncio.run(end_to_end(texts, exchange, port))
    process.kill()
    print(f"\nsocket to bar         {len(texts) / cpu:>9,.0f} frames/s of a core, "
          f"{len(texts) / wall:,.0f}/s wall; sent {len(texts):,}, arrived {got:,}")  # fmt: skip

    process, base = started(serve_all, names, args.rate)
    share, trades = asyncio.run(all_at_once(base, names, args.seconds))
    process.kill()
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{len(names)} exchanges, 5 coins  {share:>9.0%} of a core at "
          f"{trades / args.seconds:,.0f} trades/s; {rss:,.0f} MB at most")  # fmt: skip

    waits = sorted(asyncio.run(reconnects(40)))
    print(f"cut to first frame    {statistics.median(waits):>9.2f} s median, "
          f"{waits[int(0.95 * len(waits))]:.2f} s p95 of {len(waits)}")  # fmt: skip


if __name__ == "__main__":
    main()
