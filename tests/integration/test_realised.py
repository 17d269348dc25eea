"""The tape of realised liquidations over HTTP: of an instrument, of a coin, live."""

import asyncio

from liqheat.market.events import Liquidation
from tests.integration.test_coin import OTHERS, fill_others
from tests.integration.world import FIRST, World, run
from tests.market import HOUR, SYMBOL

URL = "/api/v1/liquidations"


def forced(w: World, ago_ms: int, name: str = SYMBOL, usd: float = 3e4) -> Liquidation:
    at = int(w.bars.start_ms[FIRST]) - ago_ms
    return Liquidation(name, at, "long", 6e4, "order", usd / 6e4, usd, completeness="full")


def test_live_rows_are_told_at_once_with_their_sums(tmp_path) -> None:
    async def check(w: World) -> None:
        answer = await w.http.get(f"{URL}?instrument={SYMBOL}")
        empty = answer.json()
        assert answer.headers["x-liqheat-mode"] == empty["mode"] == "simulated"
        assert (empty["rows"], empty["more"]) == ([], False)
        assert empty["completeness"] == {"binance": None}
        for ago in (HOUR // 2, 2 * HOUR, 1):
            w.bus.publish(forced(w, ago))
        found = (await w.http.get(f"{URL}?instrument={SYMBOL}&limit=2")).json()
        end = int(w.bars.start_ms[FIRST])
        assert [end - row["event_ms"] for row in found["rows"]] == [1, HOUR // 2]
        assert found["rows"][0] == {
            "event_ms": end - 1, "instrument": SYMBOL, "position_side": "long", "price": 6e4,
            "qty": 0.5, "notional_usd": 3e4, "price_kind": "order",
        }  # fmt: skip
        assert found["more"]
        assert found["totals"]["1h"] == {
            "long_usd": 6e4, "short_usd": 0.0, "count": 2, "complete": True,
        }  # fmt: skip
        assert found["totals"]["24h"]["count"] == 3
        assert not found["totals"]["24h"]["complete"]  # the first row is two hours old
        assert found["completeness"] == {"binance": "full"}
        assert found["as_of_ms"] == end

    run(check, tmp_path)


def test_a_coin_and_some_of_its_exchanges(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        for name in (SYMBOL, *OTHERS):
            w.bus.publish(forced(w, 1000, name))
        found = (await w.http.get(f"{URL}?instrument=BTC")).json()
        assert {row["instrument"] for row in found["rows"]} == {SYMBOL, *OTHERS}
        assert found["totals"]["1h"]["long_usd"] == 9e4
        only = (await w.http.get(f"{URL}?instrument=BTC&exchanges=bybit")).json()
        assert [row["instrument"] for row in only["rows"]] == [OTHERS[0]]
        assert only["completeness"] == {"bybit": "full"}
        for more, status, field in (
            ("BTC&exchanges=kraken", 422, "exchanges"), ("x:y", 404, "instrument"),
            ("BTC&limit=1001", 422, "limit"), ("BTC&range=12h", 400, "range"),
            ("%00", 422, "instrument"), ("BTC&side=buy", 422, "side"),
        ):  # fmt: skip
            answer = await w.http.get(f"{URL}?instrument={more}")
            assert (answer.status_code, answer.json().get("field")) == (status, field)

    run(check, tmp_path, kind="real")
