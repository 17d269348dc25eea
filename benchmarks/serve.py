"""How fast the server answers, pushes and fans out; each figure beside its bar and a reference.

python benchmarks/serve.py [--viewers 1000,5000] [--seconds 10]

reply      a heatmap of 1440 x 400 out of a warm service: server side and over HTTP, and
           its bytes; beside the same map encoded as JSON
push       event in -> frame on a viewer's socket, under the stream of 5,000 trades/s (the
           collector turns them into bar updates; 100 a second here, over two instruments)
fan-out    N viewers of one view in another process, one update a second
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import statistics
import struct
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import uvloop
import websockets

from engine import synthetic
from liqheat.config import load_config
from liqheat.market.events import Bar
from liqheat.serve import replies
from liqheat.serve.run import Server, SourceBus, running
from liqheat.service import Feed, Query, Service
from liqheat.store import Store

SYMBOL, MINUTE = "binance:BTCUSDT", 60_000
DAYS = 33
QUERY = {"instrument": SYMBOL, "range": "24h", "step": "1m", "bins": "400", "format": "bin"}


def show(what: str, figure: str, bar: str, ok: bool, beside: str = "") -> None:
    verdict = "ok " if ok else "MISS"
    print(f"{verdict:4} {what:34} {figure:38} bar {bar:18} {beside}", flush=True)


def percentiles(values: list[float]) -> tuple[float, float]:
    found = statistics.quantiles(values, n=100)
    return found[49], found[98]


def fill(store: Store, bars: Any) -> None:
    """Write bars and open interest."""
    n = len(bars)
    names = ("start_ms", "open", "high", "low", "close", "qty")
    columns = {name: getattr(bars, name) for name in names}
    head = {"instrument": [SYMBOL] * n, "interval_ms": [MINUTE] * n}
    store.write("bars", pa.table({**head, **columns, "source": ["bench"] * n}))
    known = np.isfinite(bars.open_interest_qty)
    k = int(known.sum())
    store.write("open_interest", pa.table({
        "instrument": [SYMBOL] * k, "event_ms": bars.start_ms[known] + MINUTE,
        "open_interest_qty": bars.open_interest_qty[known], "source": ["bench"] * k,
    }))  # fmt: skip


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[tuple[Server, Service, SourceBus, Any]]:
    bars = synthetic(DAYS * 1440 + 2_000)
    with tempfile.TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        fill(store, bars[: DAYS * 1440])
        feed = Feed(store, "simulated", attached=True)
        config = load_config({"data_dir": folder, "port": 0}, environ={})
        server = Server(config)
        async with running(config, [feed], server) as service:
            yield server, service, SourceBus(service, feed), bars


async def timed(times: int, work: Callable[[], Any]) -> list[float]:
    out = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        out.append((time.perf_counter() - began) * 1e3)
    return out


async def bench_reply(server: Server, service: Service) -> None:
    headers = {"accept-encoding": "gzip"}
    async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=120) as http:
        url = httpx.URL("/api/v1/heatmap", params=QUERY)
        began = time.perf_counter()
        first = await http.get(url)
        print(f"     first build of the process, kernels loaded or compiled: "
              f"{time.perf_counter() - began:.1f} s")  # fmt: skip
        size = int(first.headers["content-length"])
        warm = percentiles(await timed(400, lambda: http.get(url)))
        tag = {"if-none-match": first.headers["etag"]}
        same = percentiles(await timed(400, lambda: http.get(url, headers=tag)))
    inside = percentiles(await timed(400, lambda: _asgi(server, url)))
    query = Query(SYMBOL, range="24h", step="1m")
    heat = await service.heatmap(query)
    began = time.perf_counter()
    body = replies.heatmap_bytes(heat, "live", candles=False)
    packed = len(replies.encode_picture.__globals__["gzip"].compress(body, 6))
    binary_ms = (time.perf_counter() - began) * 1e3
    began = time.perf_counter()
    text = replies.heatmap_json(heat, "live")
    json_ms = (time.perf_counter() - began) * 1e3
    show("reply, server side, p50/p99", f"{inside[0]:.2f} / {inside[1]:.2f} ms", "p99 <= 10 ms",
         inside[1] <= 10)  # fmt: skip
    show("reply over HTTP, p50/p99", f"{warm[0]:.2f} / {warm[1]:.2f} ms", "", True,
         f"304: {same[0]:.2f} / {same[1]:.2f} ms")  # fmt: skip
    show("reply bytes", f"{size / 1e3:.1f} kB gzip", "<= 60 kB", size <= 60_000,
         f"JSON {len(text) / 1e3:,.0f} kB: {len(text) / size:.0f} x")  # fmt: skip
    show("encode and gzip once", f"{binary_ms:.1f} ms ({packed / 1e3:.1f} kB)", "", True,
         f"JSON, not gzipped: {json_ms:.0f} ms, {json_ms / binary_ms:.0f} x")  # fmt: skip


async def _asgi(server: Server, url: httpx.URL) -> None:
    """Call the application itself: what the server adds is left out."""
    app = server._uvicorn.config.loaded_app  # type: ignore[union-attr]
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": url.path, "raw_path": url.path.encode(), "query_string": url.query,
        "root_path": "", "scheme": "http", "client": ("127.0.0.1", 1), "state": {},
        "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1"), (b"accept-encoding", b"gzip")],
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    await app(scope, receive, send)


def update(bars: Any, i: int, n: int) -> Bar:
    """Return bar ``i`` as its ``n``-th update sees it: the qty carries its number."""
    low, high = float(bars.low[i]), float(bars.high[i])
    return Bar(
        SYMBOL, int(bars.start_ms[i]), MINUTE, float(bars.open[i]), high, low,
        low + (high - low) * ((n * 7919) % 1000) / 1000, n / 1e4, closed=False,
    )  # fmt: skip


def number_of(frame: bytes) -> int:
    """Return which update a frame carries: it is written into the candle's qty."""
    return round(struct.unpack_from("<f", frame, 29)[0] * 1e4)


async def bench_push(server: Server, bus: SourceBus, bars: Any, seconds: float) -> None:
    """Measure from ``publish`` to the frame's arrival; updates come 100 a second."""
    i, rate = DAYS * 1440, 100
    sent: dict[int, float] = {}
    lags: list[float] = []
    url = server.url.replace("http", "ws") + "/ws"
    async with websockets.connect(url, max_size=None) as socket:
        await socket.send(f'{{"op":"subscribe","instrument":"{SYMBOL}","range":"24h"}}')

        async def listen() -> None:
            async for frame in socket:
                if isinstance(frame, bytes) and frame[0] in (2, 3, 4):
                    now = time.perf_counter()
                    # The bar's qty is the update's number: all up to it arrive with it.
                    known = [n for n in sent if n <= number_of(frame)]
                    lags.extend((now - sent.pop(n)) * 1e3 for n in known)

        listener = asyncio.create_task(listen())
        await asyncio.sleep(3)
        began = time.perf_counter()
        for n in range(int(seconds * rate)):
            await asyncio.sleep(max(0.0, began + n / rate - time.perf_counter()))
            sent[n] = time.perf_counter()
            bus.publish(update(bars, i, n))
        await asyncio.sleep(0.5)
        listener.cancel()
    p50, p99 = percentiles(lags)
    show("event -> frame at the viewer", f"p50 {p50:.1f} / p99 {p99:.1f} ms", "p99 <= 50 ms",
         p99 <= 50, f"{len(lags)} updates")  # fmt: skip


# -- fan-out -------------------------------------------------------------------------------


class Viewer(asyncio.Protocol):
    """As little of a WebSocket client as will do: the server is what is measured."""

    def __init__(self, got: list[tuple[int, float]]) -> None:
        self.got, self.buffer, self.open = got, b"", False
        self.ready = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        """Ask for the socket."""
        self.transport = transport
        transport.write(
            b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )

    def data_received(self, data: bytes) -> None:
        """Subscribe, then note every column frame."""
        now = time.monotonic()
        self.buffer += data
        if not self.open:
            head, found, self.buffer = self.buffer.partition(b"\r\n\r\n")
            if not found:
                self.buffer = head
                return
            self.open = True
            message = f'{{"op":"subscribe","instrument":"{SYMBOL}","range":"24h"}}'.encode()
            # A mask of zeros leaves the message as it is.
            self.transport.write(bytes([0x81, 0x80 | len(message), 0, 0, 0, 0]) + message)
        while (size := self._whole()) is not None:
            start, end = size
            frame, opcode = self.buffer[start:end], self.buffer[0] & 15
            self.buffer = self.buffer[end:]
            if opcode == 2 and frame[0] in (2, 3, 4):
                self.got.append((number_of(frame), now))
            elif opcode == 2 and frame[0] == 1 and not self.ready.done():
                self.ready.set_result(None)

    def _whole(self) -> tuple[int, int] | None:
        if len(self.buffer) < 2:
            return None
        short, start = self.buffer[1] & 127, 2
        if short == 126:
            start, short = 4, int.from_bytes(self.buffer[2:4], "big")
        elif short == 127:
            start, short = 10, int.from_bytes(self.buffer[2:10], "big")
        return (start, start + short) if len(self.buffer) >= start + short else None


def viewers(port: int, count: int, ready: Any, stop: Any, results: Any) -> None:
    """Be ``count`` viewers, in a process of their own."""
    uvloop.run(_viewers(port, count, ready, stop, results))


async def _viewers(port: int, count: int, ready: Any, stop: Any, results: Any) -> None:
    got: list[tuple[int, float]] = []
    loop, gate, transports = asyncio.get_running_loop(), asyncio.Semaphore(100), []

    async def join() -> None:
        async with gate:
            transport, viewer = await loop.create_connection(
                lambda: Viewer(got), "127.0.0.1", port
            )
            transports.append(transport)
            await viewer.ready

    await asyncio.gather(*(join() for _ in range(count)))
    ready.set()
    await asyncio.to_thread(stop.wait)
    results.put(got)
    for transport in transports:
        transport.close()


async def bench_fan_out(
    server: Server, bus: SourceBus, bars: Any, count: int, seconds: int
) -> None:
    context = multiprocessing.get_context("spawn")
    ready, stop, results = context.Event(), context.Event(), context.Queue()
    port, began = server.socket.getsockname()[1], time.perf_counter()
    process = context.Process(target=viewers, args=(port, count, ready, stop, results))
    process.start()
    await asyncio.to_thread(ready.wait, 120)
    joined = time.perf_counter() - began
    await asyncio.sleep(2)
    sent: dict[int, float] = {}
    cpu, wall, first = time.process_time(), time.perf_counter(), count * 100
    for n in range(first, first + seconds):
        sent[n] = time.monotonic()
        bus.publish(update(bars, DAYS * 1440, n))
        await asyncio.sleep(max(0.0, wall + n - first + 1 - time.perf_counter()))
    cpu = time.process_time() - cpu
    await asyncio.sleep(2)
    stop.set()
    got = await asyncio.to_thread(results.get)
    process.join()
    lags = [(at - sent[n]) * 1e3 for n, at in got if n in sent]
    p50, p99 = percentiles(lags)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    share = len(lags) / (count * seconds)
    show(f"{count} viewers, 1 update/s", f"p50 {p50:.0f} / p99 {p99:.0f} ms, {share:.1%} got it",
         ">= 5000 viewers", share == 1 and cpu < seconds,
         f"{cpu / seconds * 100:.0f} % of a core, {cpu / len(lags) * 1e6:.0f} us a frame, "
         f"{memory:.0f} MB, joined in {joined:.0f} s")  # fmt: skip


async def main(args: argparse.Namespace) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, {hard} files (was {soft})"
    )
    async with world() as (server, service, bus, bars):
        await bench_reply(server, service)
        await bench_push(server, bus, bars, args.seconds)
        for count in [int(n) for n in args.viewers.split(",") if n]:
            await bench_fan_out(server, bus, bars, count, int(args.seconds))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", default="1000,5000")
    parser.add_argument("--seconds", type=float, default=10)
    uvloop.run(main(parser.parse_args()))
