"""A real server on a free port over a real store: routes, errors, sockets."""

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import websockets

from liqheat.config import load_config
from liqheat.errors import ServeError
from liqheat.market.events import Bars, Liquidation, OpenInterest
from liqheat.serve import push
from liqheat.serve.run import FeedBus, Server, running
from liqheat.serve.sources import Source
from liqheat.serve.wire import decode_frame, decode_picture
from liqheat.service import Feed, Service
from liqheat.service.picture import Delta, Picture
from liqheat.store import Store
from tests.market import DAY, MINUTE, SYMBOL, bar, fill, market
from tests.unit.test_live import Client

DAYS = 3
FIRST = DAYS * 1440


@dataclass
class World:
    server: Server
    service: Service
    bus: FeedBus
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
        async with running(
            config, [Source(feed, None, lambda: clock[0])], server
        ) as service:
            service.clock_ms = service.catalogue._clock_ms = lambda: clock[0]
            async with httpx.AsyncClient(base_url=server.url, timeout=30) as http:
                yield World(server, service, FeedBus(service, feed), store, bars, http)


def run(
    test: Callable[[World], Coroutine[Any, Any, None]], folder: Path, **given: Any
) -> None:
    async def main() -> None:
        async with world(folder, **given) as w:
            await asyncio.wait_for(test(w), 60)

    asyncio.run(main())


# -- HTTP ----------------------------------------------------------------------------------


def test_routes_answer_with_mode_and_agree(tmp_path) -> None:
    async def check(w: World) -> None:
        query = {"symbol": SYMBOL, "range": "12h", "step": "5m", "bins": "100"}
        for path in ("health", "instruments", "heatmap", "map", "bars", "column"):
            params = query if path in ("heatmap", "map", "bars", "column") else {}
            answer = await w.http.get(f"/api/v1/{path}", params=params)
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-liqheat-mode"] == answer.json()["mode"] == "simulated"
            assert answer.headers["etag"]
            assert "default-src 'self'" in answer.headers["content-security-policy"]
        heat = (await w.http.get("/api/v1/heatmap", params=query)).json()
        raw = await w.http.get(
            "/api/v1/heatmap", params={**query, "format": "bin", "candles": "1"}
        )
        picture = decode_picture(raw.content)
        assert picture.mode == "simulated"
        assert picture.t0_ms == heat["start_ms"][0]
        assert picture.codes.shape == (len(heat["start_ms"]), 100) == (144, 100)
        cells = {(t, p): usd for t, p, usd in heat["cells"]}
        t, p = np.unravel_index(np.argmax(picture.codes), picture.codes.shape)
        assert cells[t, p] == pytest.approx(heat["max_usd"], rel=0.05)
        np.testing.assert_allclose(picture.candles[3], heat["side_boundary"], rtol=1e-6)
        exact = (await w.http.get("/api/v1/column", params=query)).json()
        sums = np.array(exact["long_usd"]) + exact["short_usd"]
        mine = [cells.get((143, p), 0.0) for p in range(100)]
        np.testing.assert_allclose(sums, mine, rtol=1e-6, atol=0.02)
        profile = (await w.http.get("/api/v1/map", params=query)).json()
        np.testing.assert_allclose(
            profile["long_usd"], exact["long_usd"], rtol=1e-6, atol=0.02
        )
        tiers = np.sum([t["long_usd"] for t in profile["tiers"]], axis=0)
        np.testing.assert_allclose(tiers, profile["long_usd"], rtol=1e-5, atol=0.2)
        assert profile["long_cumulative_usd"][0] == pytest.approx(
            sum(profile["long_usd"]), abs=5
        )
        assert profile["short_cumulative_usd"][-1] == pytest.approx(
            sum(profile["short_usd"]), abs=5
        )

    run(check, tmp_path)


def test_as_of_uses_nothing_later(tmp_path) -> None:
    async def check(w: World) -> None:
        as_of = int(w.bars.start_ms[FIRST - 600]) + 30_000
        query = {"symbol": SYMBOL, "range": "12h", "step": "5m", "as_of_ms": str(as_of)}
        before = await w.http.get("/api/v1/heatmap", params=query)
        data = before.json()
        assert data["start_ms"][-1] <= as_of
        assert before.status_code == 200
        w.play(10)
        await asyncio.sleep(1.2)
        assert (await w.http.get("/api/v1/heatmap", params=query)).json() == data

    run(check, tmp_path)


def test_etag_gzip_and_head(tmp_path) -> None:
    async def check(w: World) -> None:
        url = f"/api/v1/heatmap?symbol={SYMBOL}&format=bin&range=12h"
        packed = await w.http.get(url, headers={"accept-encoding": "gzip"})
        plain = await w.http.get(url, headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.content == plain.content  # httpx has unpacked it, once
        assert packed.headers["etag"] != plain.headers["etag"]
        assert int(packed.headers["content-length"]) < len(plain.content) / 2
        for answer in (packed, plain):
            same = await w.http.get(url, headers={"if-none-match": answer.headers["etag"]})
            assert same.status_code == 304
            assert same.content == b""
            assert (
                same.headers["etag"].strip('"').removesuffix("-gz")
                in answer.headers["etag"]
            )
        head = await w.http.head(url, headers={"accept-encoding": "identity"})
        assert head.status_code == 200
        assert head.headers["content-length"] == str(len(plain.content))
        w.play(5)
        await asyncio.sleep(1.1)
        changed = await w.http.get(url, headers={"if-none-match": plain.headers["etag"]})
        assert changed.status_code == 200

    run(check, tmp_path)


ERRORS = [
    ("GET", "/api/v1/heatmap", 422, "symbol"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&modle=x", 400, "modle"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&symbol=x", 422, "symbol"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&model=calibrated", 422, "model"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&bins=3", 422, "bins"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&range=1Y&step=1m", 422, "step"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&leverage=1000000:1", 422, "leverage"),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&leverage=900:1", 422, None),
    ("GET", f"/api/v1/heatmap?symbol={SYMBOL}&as_of_ms=5", 404, None),
    ("GET", f"/api/v1/column?symbol={SYMBOL}&t=5", 422, "t"),
    ("GET", "/api/v1/map?symbol=binance:BTCUSD", 404, "symbol"),
    ("GET", "/api/v1/map?symbol=okx:BTC-USDT-SWAP", 404, None),
    ("GET", "/api/v1/health?x=1", 400, "x"),
    ("GET", "/api/v1/nothing", 404, None),
    ("GET", "/../../etc/passwd", 404, None),
    ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404, None),
    ("POST", "/api/v1/heatmap", 405, None),
    ("DELETE", "/", 405, None),
]


def test_every_error_is_a_problem_body(tmp_path) -> None:
    async def check(w: World) -> None:
        for method, url, status, field in ERRORS:
            answer = await w.http.request(method, url)
            assert answer.status_code == status, (url, answer.text)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.headers["x-liqheat-mode"] == "simulated"
            assert answer.headers["cache-control"] == "no-store"
            body = answer.json()
            assert {"title", "status", "detail", "instance"} <= set(body)
            assert body["status"] == status
            if field is not None:
                assert body["field"] == field, body
        assert (await w.http.post("/api/v1/heatmap")).headers["allow"]

    run(check, tmp_path)


def test_unexpected_error_has_a_request_id_and_no_secrets(tmp_path, caplog) -> None:
    async def check(w: World) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("secret")

        w.service.instruments = broken  # type: ignore[assignment]
        answer = await w.http.get("/api/v1/instruments")
        body = answer.json()
        assert answer.status_code == 500
        assert answer.headers["content-type"] == "application/problem+json"
        assert "secret" not in answer.text
        assert body["request_id"] in body["detail"]
        assert body["request_id"] in caplog.text

    run(check, tmp_path)


def test_foreign_host_and_origin_are_refused(tmp_path) -> None:
    async def check(w: World) -> None:
        answer = await w.http.get("/api/v1/health", headers={"host": "evil.example"})
        assert answer.status_code == 421
        assert answer.headers["content-type"] == "application/problem+json"
        for origin in ("https://evil.example", "null", "http://localhost.evil.example"):
            with pytest.raises(websockets.InvalidStatus) as caught:
                async with websockets.connect(w.ws, origin=origin):
                    pass
            assert caught.value.response.status_code == 403
        for origin in (w.server.url, "http://localhost:5173", None):
            async with websockets.connect(w.ws, origin=origin):
                pass

    run(check, tmp_path)


def test_allowed_origin_may_use_its_name(tmp_path) -> None:
    async def check(w: World) -> None:
        host = {"host": "heat.example"}
        assert (await w.http.get("/api/v1/health", headers=host)).status_code == 200
        async with websockets.connect(w.ws, origin="https://heat.example"):
            pass

    run(check, tmp_path, allowed_origins=("https://heat.example",))


def test_openapi_and_docs_come_from_the_structs(tmp_path) -> None:
    async def check(w: World) -> None:
        document = (await w.http.get("/api/v1/openapi.json")).json()
        heat = document["paths"]["/api/v1/heatmap"]["get"]
        names = {parameter["name"] for parameter in heat["parameters"]}
        assert {"symbol", "model", "range", "step", "bins", "format", "candles"} <= names
        bins = next(p for p in heat["parameters"] if p["name"] == "bins")
        assert bins["schema"] == {
            "type": "integer",
            "minimum": 50,
            "maximum": 2000,
            "default": 400,
        }
        assert "application/problem+json" in heat["responses"]["422"]["content"]
        docs = await w.http.get("/api/v1/docs")
        assert "/api/v1/heatmap" in docs.text
        assert "<script" not in docs.text
        page = await w.http.get("/")
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["cache-control"] == "no-cache"

    run(check, tmp_path)


def test_equal_requests_at_once_are_one_build(tmp_path) -> None:
    async def check(w: World) -> None:
        url = f"/api/v1/heatmap?symbol={SYMBOL}&range=24h&format=bin"
        answers = await asyncio.gather(*(w.http.get(url) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert w.service._heatmaps.builds == 1

    run(check, tmp_path)


def test_port_in_use_is_one_clear_line(tmp_path) -> None:
    async def check(w: World) -> None:
        port = w.server.socket.getsockname()[1]
        config = load_config({"data_dir": str(tmp_path), "port": port}, environ={})
        with pytest.raises(ServeError, match=f"port {port} .* in use; .*--port"):
            Server(config)

    run(check, tmp_path)


# -- WebSocket -----------------------------------------------------------------------------


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
        await self.send(op="subscribe", symbol=SYMBOL, range="12h", bins=100, **more)

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
    views = w.service._symbols[SYMBOL].views
    [watched] = [one for one in views.values() if one.view.query.bins == 100]
    v.state.assert_equals(watched.view.picture())


def test_snapshot_then_deltas_equal_a_fresh_snapshot(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v:
            assert v.texts[0]["type"] == "status"
            assert v.texts[0]["mode"] == "simulated"
            for _ in range(40):
                w.play(1, progress=True)
                await asyncio.sleep(0.06)
            await v.quiet()
            assert {"append", "sparse"} <= set(v.kinds)
            assert_fresh(w, v)
            await v.subscribe(step="5m")
            before = v.kinds.count("snapshot")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            assert_fresh(w, v)
            async with viewer(w, step="5m") as other:
                np.testing.assert_array_equal(other.state.codes, v.state.codes)

    run(check, tmp_path)


def test_two_viewers_get_the_same_bytes(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as a, viewer(w) as b:
            for _ in range(5):
                w.play(1, progress=True)
                await asyncio.sleep(0.06)
            await asyncio.gather(a.quiet(), b.quiet())
            assert a.frames == b.frames
            assert a.kinds.count("append") >= 5
            views = w.service._symbols[SYMBOL].views
            assert len(views) == 1

    run(check, tmp_path)


def test_price_leaving_the_rows_redraws(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            high = v.picture.p_lo * np.exp(v.picture.p_step * v.picture.codes.shape[1])
            w.play(1)
            at = int(w.bars.start_ms[w.next])
            price = float(high) * 0.98
            event = bar(w.bars, w.next)
            jump = type(event)(
                SYMBOL, at, MINUTE, event.open, price, event.low, price, 10.0
            )  # fmt: skip
            w.bus.publish(jump)
            await v.until(lambda: v.picture.p_lo * np.exp(
                v.picture.p_step * v.picture.codes.shape[1]) > high * 1.01)  # fmt: skip
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path)


def test_hole_in_the_stream_is_built_again(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as v:
            w.play(2)
            w.next += 7
            w.play(2)
            await v.until(lambda: v.kinds.count("snapshot") >= 2)
            await v.quiet()
            assert_fresh(w, v)
            assert np.isnan(v.picture.candles[3][-9:-2]).all()

    run(check, tmp_path)


def test_rows_written_by_another_process_are_followed(tmp_path) -> None:
    async def check(w: World) -> None:
        w.bus._feed.attached = False
        async with viewer(w, step="1m") as v:
            fill(w.store, w.bars[FIRST : FIRST + 3])
            await v.until(lambda: v.kinds.count("append") >= 3)
            fill(w.store, w.bars[FIRST + 3 : FIRST + 600])
            await v.until(lambda: v.kinds.count("snapshot") >= 2)
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path, kind="real")


def test_slow_viewer_gets_a_snapshot(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as v:
            hub_viewer = next(iter(_channel(w).viewers))
            hub_viewer.write_to = None
            # The socket is not read and the writer is held up: frames pile up, bounded.
            for _ in range(push.MAX_WAITING + 20):
                _channel(w).liquidated([])
            assert len(hub_viewer.waiting) <= push.MAX_WAITING
            w.play(3)
            before = v.kinds.count("snapshot")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            await v.quiet()
            assert_fresh(w, v)

    run(check, tmp_path)


def _channel(w: World) -> push.Channel:
    views = w.service._symbols[SYMBOL].views
    return next(iter(views.values())).listeners[0]  # type: ignore[return-value]


def test_client_that_does_not_read_does_not_hold_up_others(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="1m") as slow, viewer(w, step="1m") as quick:
            slow.socket.transport.pause_reading()
            for _ in range(300):
                w.play(1, stored=False)
                await asyncio.sleep(0.05)
                if quick.kinds.count("append") > 50:
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.01):
                        await quick.step()
            await quick.quiet()
            assert_fresh(w, quick)
            waiting = [len(one.waiting) for one in _channel(w).viewers]
            assert max(waiting) <= push.MAX_WAITING
            slow.socket.transport.resume_reading()
            await slow.quiet()
            assert_fresh(w, slow)

    run(check, tmp_path)


GARBAGE = [
    ("{", "message"),
    ("[]", "message"),
    ('"x"', "message"),
    ("null", "message"),
    ('{"op":"dance"}', "op"),
    ("{}", "op"),
    ('{"op":"subscribe"}', "symbol"),
    ('{"op":"subscribe","symbol":5}', "symbol"),
    ('{"op":"subscribe","symbol":"nope:NOPE"}', "symbol"),
    (f'{{"op":"subscribe","symbol":"{SYMBOL}","bins":1e400}}', None),
    (f'{{"op":"subscribe","symbol":"{SYMBOL}","bins":7}}', "bins"),
    (f'{{"op":"subscribe","symbol":"{SYMBOL}","modle":"x"}}', "modle"),
    (f'{{"op":"subscribe","symbol":"{SYMBOL}","as_of_ms":1}}', "as_of_ms"),
    ("[" * 5000, "message"),
    (b"\x00\x01", "message"),
]


def test_garbage_gets_an_error_frame_and_the_socket_stays(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(push, "BURST", 1000)

    async def check(w: World) -> None:
        async with viewer(w) as v:
            for raw, field in GARBAGE:
                await v.socket.send(raw)
                error = await v.text("error")
                assert error["status"] in (400, 404, 422), (raw, error)
                assert {"title", "detail"} <= set(error)
                if field is not None:
                    assert error["field"] == field, (raw, error)
            await v.send(op="ping")
            await v.text("pong")
            await v.subscribe()
            w.play(1)
            await v.quiet()
            assert_fresh(w, v)
        assert (await w.http.get("/api/v1/health")).status_code == 200

    run(check, tmp_path)


def test_too_large_message_closes_the_socket_only(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            await v.socket.send("x" * 100_000)
            with pytest.raises(websockets.ConnectionClosed):
                await v.quiet(5)
        async with viewer(w) as v:
            assert v.picture is not None

    run(check, tmp_path)


def test_too_many_messages_are_slowed_down(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w) as v:
            for _ in range(push.BURST + 5):
                await v.send(op="ping")
            error = await v.text("error")
            assert error["status"] == 429

    run(check, tmp_path)


def test_heartbeat_and_status_come_when_nothing_happens(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(push, "BEAT_S", 1.0)

    async def check(w: World) -> None:
        async with viewer(w) as v:
            seen = len(v.texts)
            await v.until(lambda: v.kinds.count("heartbeat") >= 2)
            assert any(text["type"] == "status" for text in v.texts[seen:])
            assert v.texts[-1]["columns"] == len(v.state.codes)

    run(check, tmp_path)


def test_liquidations_of_the_window_and_live_ones(tmp_path) -> None:
    async def check(w: World) -> None:
        def liquidation(i: int) -> Liquidation:
            at = int(w.bars.start_ms[i]) + 5
            return Liquidation(SYMBOL, at, "long", 6e4, "order", 0.5, 3e4)

        w.bus.publish(liquidation(FIRST - 10))
        async with viewer(w) as v:
            await v.quiet()
            [rows] = [t["rows"] for t in v.texts if t["type"] == "liquidations"]
            assert [row["event_ms"] for row in rows] == [
                int(w.bars.start_ms[FIRST - 10]) + 5
            ]
            w.bus.publish(liquidation(FIRST))
            rows = (await v.text("liquidations"))["rows"]
            assert rows == [{
                "event_ms": int(w.bars.start_ms[FIRST]) + 5, "symbol": SYMBOL,
                "position_side": "long", "price": 6e4, "qty": 0.5, "notional_usd": 3e4,
                "price_kind": "order",
            }]  # fmt: skip

    run(check, tmp_path)


def test_symbol_without_data_says_so_and_appears_when_there_are(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(push, "RETRY_S", 0.2)

    async def check(w: World) -> None:
        async with websockets.connect(w.ws, max_size=None) as socket:
            v = Viewer(socket)
            await v.send(op="subscribe", symbol="binance:ETHUSDT", range="12h")
            status = await v.text("status")
            assert (status["columns"], status["symbol"]) == (0, "binance:ETHUSDT")
            assert v.picture is None
            fill(w.store, market(2000, price=2000.0), "binance:ETHUSDT")
            await v.until(lambda: v.picture is not None)

    run(check, tmp_path)


def test_recorded_data_is_called_so(tmp_path) -> None:
    async def check(w: World) -> None:
        w.bus._feed.attached = False
        w.service.catalogue._clock_ms = lambda: int(w.bars.start_ms[FIRST]) + 30 * DAY
        answer = await w.http.get("/api/v1/instruments")
        [row] = answer.json()["instruments"]
        assert (row["mode"], row["state"]) == ("replay", "stale")
        assert (await w.http.get("/api/v1/health")).json()["status"] == "stale"
        async with viewer(w) as v:
            status = v.texts[0]
            assert status["mode"] == "replay"
            assert status["replay_speed"] is None
            assert "Recorded data" in status["note"]
            assert "30 days old" in status["note"]

    run(check, tmp_path, kind="real")


def test_stop_ends_sockets_cleanly(tmp_path) -> None:
    async def main() -> None:
        async with world(tmp_path) as w:
            socket = await websockets.connect(w.ws, max_size=None)
            v = Viewer(socket)
            await v.subscribe()
            await v.until(lambda: v.picture is not None)
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(socket.recv(), 5)

    asyncio.run(main())


def test_snapshot_frame_is_gzip_of_the_http_body(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v:
            url = f"/api/v1/heatmap?symbol={SYMBOL}&range=12h&bins=100&step=5m&format=bin&candles=1"
            body = decode_picture((await w.http.get(url)).content)
            raw = decode_picture(gzip.decompress(v.frames[0][9:]))
            np.testing.assert_array_equal(raw.codes, body.codes)
            np.testing.assert_array_equal(raw.candles, body.candles)
            assert (raw.t0_ms, raw.p_lo, raw.p_step, raw.v_max) == (
                body.t0_ms, body.p_lo, body.p_step, body.v_max,
            )  # fmt: skip

    run(check, tmp_path)
