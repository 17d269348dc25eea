"""Every HTTP route of a running server, and every error body."""

import asyncio
import json

import numpy as np
import pytest
import websockets

from liqheat.config import load_config
from liqheat.errors import ServeError
from liqheat.serve.run import Server
from liqheat.serve.wire import decode_picture
from tests.integration.world import FIRST, World, run
from tests.market import SYMBOL


def test_routes_answer_with_mode_and_agree(tmp_path) -> None:
    async def check(w: World) -> None:
        query = {"instrument": SYMBOL, "range": "12h", "step": "5m", "bins": "100"}
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
        query = {"instrument": SYMBOL, "range": "12h", "step": "5m", "as_of_ms": str(as_of)}
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
        url = f"/api/v1/heatmap?instrument={SYMBOL}&format=bin&range=12h"
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
    ("GET", "/api/v1/heatmap", 422, "instrument"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&modle=x", 400, "modle"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&instrument=x", 422, "instrument"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&exchanges=okx", 422, "exchanges"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&bins=3", 422, "bins"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&range=1Y&step=1m", 422, "step"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&leverage=1000000:1", 422, "leverage"),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&leverage=900:1", 422, None),
    ("GET", f"/api/v1/heatmap?instrument={SYMBOL}&as_of_ms=5", 404, None),
    ("GET", f"/api/v1/column?instrument={SYMBOL}&t=5", 422, "t"),
    ("GET", "/api/v1/map?instrument=binance:BTCUSD", 404, "instrument"),
    ("GET", "/api/v1/map?instrument=okx:BTC-USDT-SWAP", 404, None),
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


def test_every_refusal_is_in_the_log_under_its_id(tmp_path, caplog) -> None:
    caplog.set_level("INFO", "liqheat.serve")

    async def check(w: World) -> None:
        seen = set()
        for url, headers in (
            ("/api/v1/map?instrument=x:y", {}), ("/api/v1/health?x=1", {}), ("/a%0ab", {}),
            ("/api/v1/health", {"host": "evil.example"}),
        ):  # fmt: skip
            answer = await w.http.get(url, headers=headers)
            ident = answer.json()["request_id"]
            assert answer.headers["x-request-id"] == ident
            [line] = [text for text in caplog.messages if ident in text]
            assert f"status={answer.status_code}" in line
            assert "\n" not in line
            seen.add(ident)
        assert len(seen) == 4
        good = await w.http.get("/api/v1/health")
        assert "x-request-id" not in good.headers
        async with websockets.connect(w.ws) as socket:
            await socket.send("garbage")
            error = json.loads(await asyncio.wait_for(socket.recv(), 5))
            assert (error["type"], error["field"]) == ("error", "message")
            assert any(error["request_id"] in text for text in caplog.messages)
        with pytest.raises(websockets.InvalidStatus) as caught:
            async with websockets.connect(w.ws, origin="https://evil.example"):
                pass
        assert caught.value.response.headers["x-request-id"]

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
        assert {
            "instrument",
            "model",
            "range",
            "step",
            "bins",
            "format",
            "candles",
        } <= names
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
        url = f"/api/v1/heatmap?instrument={SYMBOL}&range=24h&format=bin"
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
