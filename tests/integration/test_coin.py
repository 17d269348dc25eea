"""A coin over HTTP and the WebSocket: one picture of several exchanges, split and filtered."""

import asyncio

import numpy as np
import pyarrow as pa

from liqheat.market.events import OpenInterest
from tests.integration.world import FIRST, Viewer, World, run
from tests.market import MINUTE, SYMBOL, bar, fill, market

OTHERS = ("bybit:BTCUSDT", "hyperliquid:BTC")


def fill_others(w: World) -> None:
    for name in OTHERS:
        fill(w.store, market(FIRST), name)
    at = int(w.bars.start_ms[FIRST]) - 5 * MINUTE
    price = float(w.bars.close[FIRST - 1])
    w.store.write("positions", pa.table({
        "instrument": [OTHERS[1]] * 2, "event_ms": [at] * 2, "account": ["0xa", "0xb"],
        "position_side": ["long", "short"], "qty": [800.0, 400.0],
        "entry_price": [price] * 2, "liquidation_price": [price * 0.97, price * 1.03],
        "leverage": [20.0, 20.0],
    }))  # fmt: skip


def test_a_coin_answers_on_every_route(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        common = "instrument=BTC&range=12h&step=5m&bins=80"
        for route in ("heatmap", "heatmap", "bars", "map", "column"):
            answer = await w.http.get(f"/api/v1/{route}?{common}")
            assert answer.status_code == 200, answer.text
            assert answer.json()["instrument"] == "BTC"
        found = (await w.http.get(f"/api/v1/map?{common}&parts=exchange")).json()
        assert sorted(one["exchange"] for one in found["parts"]) == [
            "binance", "bybit", "hyperliquid",
        ]  # fmt: skip
        for side in ("long_usd", "short_usd"):
            parts = np.sum([one[side] for one in found["parts"]], axis=0)
            np.testing.assert_allclose(parts, found[side], rtol=1e-5, atol=0.1)
        [measured] = found["measured"]
        assert measured["positions"] == 2
        assert measured["long_share"] == 0.01 or 0.005 < measured["long_share"] < 0.02
        assert sum(measured["long_usd"]) > sum(measured["short_usd"]) > 0
        assert measured["age_ms"] == 5 * MINUTE
        only = (await w.http.get(f"/api/v1/map?{common}&exchanges=bybit")).json()
        assert 0 < sum(only["long_usd"]) < sum(found["long_usd"])
        assert only["measured"] == []
        wrong = await w.http.get(f"/api/v1/map?{common}&exchanges=kraken")
        assert wrong.status_code == 422
        assert "use any of binance, bybit, hyperliquid" in wrong.json()["detail"]

    run(check, tmp_path, kind="real")


def test_a_live_coin_follows_each_of_its_instruments(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        import websockets

        async with websockets.connect(w.ws, max_size=None) as socket:
            v = Viewer(socket)
            common = {"op": "subscribe", "instrument": "BTC", "range": "12h", "step": "5m",
                      "bins": 100}  # fmt: skip
            await v.send(**common)
            await v.until(lambda: v.picture is not None)
            for i in range(FIRST, FIRST + 12):
                for name in (SYMBOL, *OTHERS):
                    end = int(w.bars.start_ms[i]) + MINUTE
                    interest = float(w.bars.open_interest_qty[i])
                    w.bus.publish(OpenInterest(name, end, interest))
                    w.bus.publish(bar(w.bars, i, instrument=name))
                await asyncio.sleep(0.06)
            await v.quiet()
            [watched] = w.service.markets["BTC"].views.values()
            assert set(watched.view.parts) == {SYMBOL, *OTHERS}
            v.state.assert_equals(watched.view.picture())
            status = await v.text("status")
            assert status["candles_of"] == next(iter(watched.view.parts))
            assert {one["exchange"] for one in status["exchanges"]} == {
                "binance", "bybit", "hyperliquid",
            }  # fmt: skip
            before = v.kinds.count("snapshot")
            await v.send(**common, exchanges="bybit,hyperliquid")
            await v.until(lambda: v.kinds.count("snapshot") > before)
            status = await v.text("status")
            states = {one["exchange"]: one["included"] for one in status["exchanges"]}
            assert states == {"binance": False, "bybit": True, "hyperliquid": True}

    run(check, tmp_path, kind="real")
