"""Figures beside the map over HTTP: the heatmap's columns, live rows, one body for all."""

import asyncio
from typing import Any

import pytest

from liqheat.market.events import Liquidation
from liqheat.service import maps
from liqheat.service.series import build_series
from tests.integration.test_coin import fill_others
from tests.integration.world import FIRST, World, run
from tests.market import MINUTE, SYMBOL


def test_columns_are_those_of_the_heatmap(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        as_of = int(w.bars.start_ms[FIRST - 600]) + 30_000
        for query in (
            f"instrument={SYMBOL}&range=12h", f"instrument={SYMBOL}&range=1M",
            f"instrument={SYMBOL}&range=12h&step=30m&as_of_ms={as_of}",
            "instrument=BTC&range=24h&step=15m", "instrument=BTC&range=12h&exchanges=bybit",
            f"instrument=BTC&range=12h&step=5m&as_of_ms={as_of}",
        ):  # fmt: skip
            heat = (await w.http.get(f"/api/v1/heatmap?{query}&bins=50")).json()
            answer = await w.http.get(f"/api/v1/series?{query}&bins=50")
            found = answer.json()
            assert answer.status_code == 200, answer.text
            assert answer.headers["x-liqheat-mode"] == found["mode"] == heat["mode"]
            assert found["start_ms"] == heat["start_ms"]
            assert found["step_ms"] == heat["step_ms"]
            assert {len(v) for v in found.values() if isinstance(v, list)} - {
                len(found["notes"])
            } == {len(heat["start_ms"])}
            assert found["taker_buy_usd"][0] is None
            column = await w.http.get(f"/api/v1/column?{query}&bins=50")
            assert found["open_interest_usd"][-1] == pytest.approx(
                column.json()["open_interest_usd"]
            )

    run(check, tmp_path, kind="real")


def test_live_bars_and_liquidations_come_in_at_once(tmp_path) -> None:
    async def check(w: World) -> None:
        url = f"/api/v1/series?instrument={SYMBOL}&range=12h&step=5m"
        first = await w.http.get(url)
        tag = {"if-none-match": first.headers["etag"]}
        assert (await w.http.get(url, headers=tag)).status_code == 304
        assert first.json()["liquidated_long_usd"][-1] is None
        assert first.json()["liquidations_completeness"] is None
        w.play(2, stored=False)
        at = int(w.bars.start_ms[FIRST]) + MINUTE
        for side in ("long", "short", "short"):
            w.bus.publish(
                Liquidation(SYMBOL, at, side, 6e4, "order", 0.5, 3e4, completeness="full")  # type: ignore[arg-type]
            )
        found = (await w.http.get(url, headers=tag)).json()
        assert found["start_ms"][-1] == int(w.bars.start_ms[FIRST])
        assert found["liquidated_long_usd"][-1] == 3e4
        assert found["liquidated_short_usd"][-1] == 6e4
        assert found["liquidations_completeness"] == "full"
        sold = w.bars.qty[FIRST : FIRST + 2] * w.bars.close[FIRST : FIRST + 2]
        assert found["qty_usd"][-1] == pytest.approx(sold.sum(), rel=1e-6)

    run(check, tmp_path)


def test_equal_requests_at_once_are_one_build(tmp_path, monkeypatch) -> None:
    built = []

    def counted(*given: Any, **more: Any) -> Any:
        built.append(given)
        return build_series(*given, **more)

    monkeypatch.setattr(maps, "build_series", counted)

    async def check(w: World) -> None:
        url = f"/api/v1/series?instrument={SYMBOL}&range=24h"
        answers = await asyncio.gather(*(w.http.get(url) for _ in range(12)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert len(built) == 1

    run(check, tmp_path)


def test_wrong_queries_are_problems(tmp_path) -> None:
    async def check(w: World) -> None:
        for more, status, field in (
            ("&range=1Y&step=1m", 422, "step"), ("&exchanges=okx", 422, "exchanges"),
            ("&as_of_ms=5", 404, None), ("&format=bin", 400, "format"),
        ):  # fmt: skip
            answer = await w.http.get(f"/api/v1/series?instrument={SYMBOL}{more}")
            assert answer.status_code == status, answer.text
            assert answer.json().get("field") == field
        document = (await w.http.get("/api/v1/openapi.json")).json()
        names = {
            p["name"] for p in document["paths"]["/api/v1/series"]["get"]["parameters"]
        }
        assert {"instrument", "range", "step", "as_of_ms"} <= names

    run(check, tmp_path)
