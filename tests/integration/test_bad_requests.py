"""Wrong requests to a running server: a problem body or an error frame, and it goes on."""

import asyncio
import json
from typing import Any

import httpx
import pytest
import websockets

from tests.integration.world import SYMBOL, World, run

ROUTES = ("heatmap", "map", "column", "bars", "series", "liquidations", "health", "instruments",
          "nothing", "%ff")  # fmt: skip
#: Query -> status on /api/v1/map.
QUERIES: dict[str, int] = {
    "": 422, "instrument=": 404, "instrument=x": 404, "instrument=%ff": 404,
    "instrument=%ed%a0%80": 404, "instrument=%00": 422, "instrument=a%0ab:x": 422,
    "instrument=" + "x" * 30_000: 422, "instrument=okx:BTC-USDT-SWAP": 404, "&&&==;;%": 400,
    f"instrument={SYMBOL}&instrument={SYMBOL}": 422, f"symbol={SYMBOL}": 400,
    **{f"instrument={SYMBOL}&{more}": status for more, status in {
        "bins=nan": 422, "bins=-1": 422, "bins=%F0%9F%98%80": 422, "bins=" + "9" * 3000: 422,
        "range=": 422, "range=1y": 422, "step=7m": 422, "step=1m&range=1Y": 422, "model=x": 422,
        "exchanges=binance": 422, "scale=log2": 422, "price_min=nan": 422, "price_max=inf": 422,
        "price_min=-1": 422, "price_min=1e-320": 422, "price_max=1e308": 422,
        "price_min=5&price_max=4": 422, "price_max=1e-9": 422, "leverage=": 422,
        "leverage=25:nan": 422, "leverage=1e-5:1": 422, "leverage=1e9:1": 422,
        "leverage=25:.5,25:.5": 422, "tiers=": 422, "tiers=7": 422, "tiers=5,": 422,
        "tiers=nan": 422, "tiers=1e400": 422, "tiers=" + "9" * 3000: 422, "tiers=%00": 422,
        "as_of_ms=-1": 422, "as_of_ms=1e300": 422,
        "as_of_ms=0": 404, "modle=sharp": 400, "%ff=1": 400, "%0a=1": 400,
        "z" * 30_000 + "=1": 400,
        "&".join(f"a{n}=1" for n in range(3000)): 400,
    }.items()},
}  # fmt: skip


def is_problem(answer: httpx.Response, status: int | None = None) -> None:
    assert status is None or answer.status_code == status, answer.text[:300]
    assert 400 <= answer.status_code < 500, answer.text[:300]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert answer.headers["x-liqheat-mode"]
    body = answer.json()
    assert {"type", "title", "status", "detail", "instance"} <= body.keys()
    assert body["status"] == answer.status_code
    assert len(body["request_id"]) == 12
    assert answer.headers["x-request-id"] == body["request_id"]
    assert "\n" not in body["detail"]
    assert len(answer.content) < 4000


def test_wrong_queries(tmp_path) -> None:
    async def ask(w: World) -> None:
        for number, (query, status) in enumerate(QUERIES.items()):
            is_problem(await w.http.get(f"/api/v1/map?{query}"), status)
            route = ROUTES[number % len(ROUTES)]
            is_problem(await w.http.get(f"/api/v1/{route}?{query or 'x=1'}"))
        here = f"instrument={SYMBOL}"
        for more in ("t=-1", f"t={10**18}", f"t={10**25}", "t=nan"):
            is_problem(await w.http.get(f"/api/v1/column?{here}&{more}"), 422)
        for more in ("format=xml", "candles=2", "format=bin&price_max=1e308"):
            is_problem(await w.http.get(f"/api/v1/heatmap?{here}&{more}"), 422)
        assert (await w.http.get(f"/api/v1/map?{here}")).status_code == 200

    run(ask, tmp_path)


def test_wrong_methods_and_headers(tmp_path) -> None:
    async def ask(w: World) -> None:
        url = f"/api/v1/map?instrument={SYMBOL}"
        for path in ("/", "/api/v1/health", url):
            got, head = await w.http.get(path), await w.http.head(path)
            assert (head.status_code, head.content) == (got.status_code, b"")
            assert (await w.http.options(path)).status_code == 204
            for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE"):
                answer = await w.http.request(method, path)
                is_problem(answer, 405)
                assert "GET" in answer.headers["allow"]
        for name, value in (
            ("accept", b"image/png"), ("accept", b"\xff"), ("accept-encoding", b"gzip;q=x"),
            ("if-none-match", b"\xff,"), ("range", b"bytes=9-1"), ("cookie", b"\xff"),
        ):  # fmt: skip
            answer = await w.http.get(url, headers={name: value})
            assert answer.json()["instrument"] == SYMBOL
        for host in ("[", "[::1", "", "evil.example", "evil:80"):
            is_problem(await w.http.get(url, headers={"host": host}), 421)

    run(ask, tmp_path)


#: Bytes on the wire, and what the first line of the answer must hold; None: nothing at all.
RAW: tuple[tuple[bytes, bytes], ...] = (
    (b"GET / HTTP/1.1\r\n\r\n", b" 421 "),
    (b"\x16\x03\x01\r\n\r\n", b" 400 "),
    (b"GET /?" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 4"),
    (b"GET /\xff?\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", b" 400 "),
    (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\nx", b" 405 "),
    (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
     b" 400 "),
    (b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
     b"Origin: http://[\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
     b"Sec-WebSocket-Version: 13\r\n\r\n", b" 403 "),
)  # fmt: skip


def test_wrong_bytes(tmp_path) -> None:
    async def ask(w: World) -> None:
        port = w.server.socket.getsockname()[1]
        for sent, words in RAW:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            line = await asyncio.wait_for(reader.readline(), 5)
            assert words in line, (sent[:60], line)
            writer.close()
        assert (await w.http.get("/api/v1/health")).status_code == 200

    run(ask, tmp_path)


def subscribe(**more: Any) -> str:
    return json.dumps({"op": "subscribe", "instrument": SYMBOL, **more})


MESSAGES: tuple[tuple[str | bytes, str], ...] = (
    ("", "message"), ("x", "message"), ("[]", "message"), ("null", "message"),
    ("[" * 4000, "message"), (b"\x00\xff", "message"), (b"", "message"),
    ('{"op":"subscribe","instrument":"\\ud800"}', "message"),
    (subscribe(bins=float("nan")), "message"),
    ("{}", "op"), ('{"op":[]}', "op"), ('{"op":"subscribe"}', "instrument"),
    (subscribe(instrument=5), "instrument"), (subscribe(instrument="\x00"), "instrument"),
    (subscribe(instrument="x:y"), "instrument"), (subscribe(bins=10**30), "bins"),
    (subscribe(bins=-(10**30)), "bins"), (subscribe(bins=True), "bins"),
    (subscribe(price_min=-1e308), "price_min"), (subscribe(price_max=1e308), "price_max"),
    (subscribe(leverage={"a": 1}), "leverage"), (subscribe(as_of_ms=0), "as_of_ms"),
    (subscribe(tiers="7"), "tiers"), (subscribe(tiers=[5]), "tiers"),
    (subscribe(tiers=""), "tiers"),
    (subscribe(foo=1), "foo"), (subscribe(exchanges="binance"), "exchanges"),
)  # fmt: skip


async def error_of(socket: Any) -> dict[str, Any]:
    while True:
        message = await asyncio.wait_for(socket.recv(), 5)
        if isinstance(message, str) and json.loads(message)["type"] == "error":
            return json.loads(message)


def test_wrong_messages(tmp_path) -> None:
    async def ask(w: World) -> None:
        for first in range(0, len(MESSAGES), 15):  # below the limit of a burst
            async with websockets.connect(w.ws) as socket:
                for message, field in MESSAGES[first : first + 15]:
                    await socket.send(message)
                    error = await error_of(socket)
                    assert error["field"] == field, (message[:80], error)
                    assert 400 <= error["status"] < 500
                    assert len(error["request_id"]) == 12
                    assert len(json.dumps(error)) < 3000
                await socket.send('{"op":"ping"}')
                assert json.loads(await socket.recv())["type"] == "pong"

    run(ask, tmp_path)


def test_huge_many_and_unread_messages(tmp_path) -> None:
    async def ask(w: World) -> None:
        async with websockets.connect(w.ws) as socket:
            await socket.send("x" * 100_000)
            with pytest.raises(websockets.ConnectionClosed):
                await asyncio.wait_for(socket.recv(), 5)
        async with websockets.connect(w.ws, max_size=None, close_timeout=0.2) as socket:
            for n in range(1000):
                await socket.send(subscribe(range="12h", bins=50 + n % 9))
            while (await error_of(socket))["status"] != 429:
                pass
        # One who never reads: the others and the service go on.
        async with websockets.connect(w.ws, max_queue=1, close_timeout=0.2) as deaf:
            for n in range(8):
                await deaf.send(subscribe(range="12h", bins=900 + n))
            for _ in range(5):
                w.play(20)
                assert (await w.http.get("/api/v1/health")).status_code == 200
        assert (await w.http.get(f"/api/v1/map?instrument={SYMBOL}")).status_code == 200

    run(ask, tmp_path)
