"""OKX: what its messages mean, trap by trap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import ASSUMED_TIERS
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.okx import Okx
from liqheat.market.events import (
    DepthSnapshot,
    Event,
    FundingRate,
    Liquidation,
    LongShortRatio,
    MarkPrice,
    OpenInterest,
    Trade,
)
from tests.unit.adapters import Replies

NOW = 1_790_000_040_000
MINUTE, DAY = 60_000, 86_400_000
BTC, INVERSE = "okx:BTC-USDT-SWAP", "okx:BTC-USD-SWAP"


def swap(family: str, kind: str, settle: str, size: str, **more: str) -> dict[str, str]:
    return {
        "instType": "SWAP", "instId": f"{family}-SWAP", "instFamily": family, "ctType": kind,
        "settleCcy": settle, "ctVal": size, "ctMult": "1", "tickSz": "0.1", "lotSz": "0.01",
        "state": "live", **more,
    }  # fmt: skip


SWAPS = [
    swap("BTC-USDT", "linear", "USDT", "0.01"), swap("BTC-USD", "inverse", "BTC", "100"),
    swap("ETH-USDC", "linear", "USDC", "0.001"), swap("PEPE-USDT", "linear", "USDT", "10"),
    swap("BTC-USD_UM", "linear", "USD", "0.01"),
    swap("SOL-USDT", "linear", "USDT", "1", state="suspend"),
]  # fmt: skip
MARKS = [{"instId": "BTC-USDT-SWAP", "markPx": "64000", "ts": str(NOW)},
         {"instId": "ETH-USDC-SWAP", "markPx": "2000", "ts": str(NOW)}]  # fmt: skip
TIERS = [
    {"instFamily": "BTC-USDT", "tier": "1", "minSz": "0", "maxSz": "1000", "mmr": "0.004",
     "imr": "0.01", "maxLever": "100"},
    {"instFamily": "BTC-USDT", "tier": "2", "minSz": "1001", "maxSz": "3000", "mmr": "0.005",
     "imr": "0.013", "maxLever": "75"},
    {"instFamily": "BTC-USD", "tier": "1", "minSz": "0", "maxSz": "500", "mmr": "0.004",
     "imr": "0.01", "maxLever": "100"},
]  # fmt: skip


def reply(data: object, code: str = "0") -> dict[str, object]:
    return {"code": code, "msg": "", "data": data}


def made(replies: dict[str, object] | None = None) -> tuple[Okx, Replies]:
    base = {"public/instruments": reply(SWAPS), "public/mark-price": reply(MARKS),
            "position-tiers": reply(TIERS)}  # fmt: skip
    found = Replies({**base, **(replies or {})})
    exchange = Okx(clock_ms=lambda: NOW)
    found.answer(exchange)
    asyncio.run(exchange.fetch_instruments())
    return exchange, found


def told(exchange: Okx, *messages: object) -> list[Event]:
    frames = [m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages]
    return [event for frame in frames for event in exchange.decode("public", frame, NOW)]


def push(channel: str, *rows: dict[str, object]) -> dict[str, object]:
    return {"arg": {"channel": channel, "instId": "BTC-USDT-SWAP"}, "data": list(rows)}


def trade(number: int, **changes: object) -> dict[str, object]:
    row = {"instId": "BTC-USDT-SWAP", "tradeId": str(number), "px": "64000.5", "sz": "5",
           "side": "buy", "ts": str(NOW), "count": "3"}  # fmt: skip
    return row | changes


def forced(*details: dict[str, object], symbol: str = "BTC-USDT-SWAP") -> dict[str, object]:
    row = {"instId": symbol, "instType": "SWAP", "details": [
        {"bkLoss": "0", "bkPx": "60000", "ccy": "", "posSide": "long", "side": "sell",
         "sz": "100", "ts": str(NOW)} | detail for detail in details]}  # fmt: skip
    return {"arg": {"channel": "liquidation-orders", "instType": "SWAP"}, "data": [row]}


SUBSCRIBED = {"event": "subscribe", "arg": {"channel": "liquidation-orders"}, "connId": "1"}


# -- instruments


def test_instruments_are_the_swaps_of_the_chosen_coins() -> None:
    listed = {one.name: one.instrument for one in made()[0].listings.by_symbol.values()}
    assert sorted(listed) == ["okx:BTC-USD-SWAP", "okx:BTC-USDT-SWAP", "okx:ETH-USDC-SWAP"]
    assert listed[BTC].contract_size == 0.01
    assert (listed[INVERSE].contract_size, listed[INVERSE].settlement) == (100.0, "inverse")
    assert {one.coin for one in listed.values()} == {"BTC", "ETH"}


def test_tiers_are_contracts_turned_into_usd_without_deductions() -> None:
    listed = {one.name: one.instrument for one in made()[0].listings.by_symbol.values()}
    first, second = listed[BTC].tiers
    assert (first.notional_cap, second.notional_floor) == (640_000.0, 640_000.0)
    assert (second.maintenance_margin_rate, second.maintenance_amount) == (0.005, 0.0)
    assert listed[INVERSE].tiers[0].notional_cap == 50_000.0
    assert listed[BTC].tiers_as_of == "2026-09-21"
    assert listed["okx:ETH-USDC-SWAP"].tiers == ASSUMED_TIERS


def test_an_answer_which_says_that_it_failed_is_an_error() -> None:
    with pytest.raises(ExchangeError, match="50011"):
        made({"public/instruments": reply([], "50011")})


# -- stream


def test_one_connection_subscribes_to_all_and_keeps_alive() -> None:
    (socket,) = made()[0].sockets([BTC])
    args = json.loads(socket.subscribe[0])["args"]
    assert {"channel": "liquidation-orders", "instType": "SWAP"} in args
    assert {"channel": "trades", "instId": "BTC-USDT-SWAP"} in args
    assert (socket.ping, socket.ping_s < 30) == ("ping", True)


def test_sizes_are_contracts_times_ctVal() -> None:
    other = trade(1, instId="BTC-USD-SWAP", px="50000")
    linear, inverse = told(made()[0], push("trades", trade(1)), push("trades", other))
    assert linear == Trade(BTC, NOW, 64000.5, 0.05, "buy")
    assert inverse.qty == pytest.approx(5 * 100 / 50_000)


def test_bkPx_is_the_bankruptcy_price() -> None:
    (dead,) = told(made()[0], forced({}))
    assert (dead.price, dead.price_kind, dead.qty) == (60_000.0, "bankruptcy", 1.0)
    assert (dead.position_side, dead.completeness) == ("long", "sampled_1s")


def test_the_mark_of_the_moment_goes_with_the_bankruptcy_price() -> None:
    mark = push(
        "mark-price", {"instId": "BTC-USDT-SWAP", "markPx": "61000", "ts": str(NOW)}
    )
    _, dead = told(made()[0], mark, forced({}))
    assert (dead.mark_price, dead.notional_usd) == (61_000.0, 61_000.0)


def test_in_net_mode_a_sell_closes_a_long() -> None:
    rows = [{"posSide": "net", "side": "sell"}, {"posSide": "net", "side": "buy"},
            {"posSide": "", "side": "buy", "sz": "7"}]  # fmt: skip
    sides = [event.position_side for event in told(made()[0], forced(*rows))]
    assert sides == ["long", "short", "short"]


def test_posSide_goes_before_the_side_of_the_order() -> None:
    (dead,) = told(made()[0], forced({"posSide": "short", "side": "buy"}))
    assert dead.position_side == "short"


def test_all_details_of_a_frame_are_told() -> None:
    rows = [{"ts": str(NOW - i)} for i in range(30)]
    assert len(told(made()[0], forced(*rows))) == 30


def test_the_first_frame_after_subscribing_is_a_replay() -> None:
    replay = forced({"ts": str(NOW - 9_000)}, {"ts": str(NOW + 1)})
    later = forced({"ts": str(NOW - 5_000)})
    exchange, _ = made()
    events = told(exchange, SUBSCRIBED, replay, later)
    assert [event.event_ms - NOW for event in events] == [1, -5_000]
    assert told(exchange, SUBSCRIBED, replay) == [], "told before the line was cut"


def test_rows_may_come_late_and_out_of_order() -> None:
    events = told(made()[0], forced({"ts": str(NOW)}), forced({"ts": str(NOW - 60_000)}),
                  forced({"ts": str(NOW)}))  # fmt: skip
    assert [event.event_ms - NOW for event in events] == [0, -60_000]


def test_open_interest_is_that_in_coins() -> None:
    row = {
        "instId": "BTC-USD-SWAP",
        "oi": "100",
        "oiCcy": "0.2",
        "oiUsd": "1",
        "ts": str(NOW),
    }
    assert told(made()[0], push("open-interest", row)) == [OpenInterest(INVERSE, NOW, 0.2)]


def test_funding_is_told_at_the_end_of_its_interval() -> None:
    rows = [{"instId": "BTC-USDT-SWAP", "fundingRate": rate, "fundingTime": str(NOW + at),
             "nextFundingTime": "1"} for rate, at in (("0.0001", 5), ("0.0002", 9))]  # fmt: skip
    assert told(made()[0], *(push("funding-rate", row) for row in rows)) == [
        FundingRate(BTC, NOW + 5, 1e-4)
    ]


def test_a_trade_told_twice_counts_once() -> None:
    frames = [push("trades", trade(2), trade(1)), push("trades", trade(2), trade(3))]
    assert len(told(made()[0], *frames)) == 3


def test_a_refused_subscription_is_an_error_and_a_notice_is_none() -> None:
    exchange, _ = made()
    assert told(exchange, {"event": "notice", "code": "64008", "msg": "upgrade"}) == []
    with pytest.raises(ExchangeError, match="60018"):
        told(exchange, {"event": "error", "code": "60018", "msg": "wrong channel"})


@pytest.mark.parametrize(
    ("frame", "words"),
    [(push("trades", trade(1, px="")), r"okx trades, field data\[0\].px"),
     (push("trades", trade(1, side="Buy")), r"okx trades, field data\[0\].side"),
     (push("mark-price", {"instId": "BTC-USDT-SWAP", "markPx": "0", "ts": "1"}), "markPx"),
     (forced({"sz": "0"}), "sz"), (push("novelty"), "unknown channel"), (b"{", "okx public")],
)  # fmt: skip
def test_a_wrong_field_is_named(frame: object, words: str) -> None:
    with pytest.raises(BadFrameError, match=words):
        told(made()[0], frame)


# -- history


def history(exchange: Okx, name: str, kind: Any, start: int, end: int) -> list[dict]:
    table = asyncio.run(exchange.fetch_history(name, kind, start, end))
    assert table is not None
    return table.to_pylist()


def paged(rows: list[list[str]], key: str, most: int) -> Any:
    """Answer as OKX does: the newest ``most`` rows before ``key``."""

    def answer(params: dict[str, Any]) -> object:
        before = int(params.get(key, 2**60))
        older = [row for row in rows if int(row[0]) < before]
        return reply(sorted(older, reverse=True)[:most])

    return answer


def candle(start: int, close: str = "50000") -> list[str]:
    return [str(start), "50000", "51000", "49000", close, "10", "0.1", "5000", "1"]


def test_bars_are_paged_backwards_however_few_a_page_holds() -> None:
    start = (NOW // MINUTE - 900) * MINUTE
    rows = [candle(start + i * MINUTE) for i in range(700)]
    exchange, _ = made({
        "market/candles": paged(rows, "after", 100), "mark-price-candles": reply([]),
    })  # fmt: skip
    found = history(exchange, BTC, "bars", start, start + 600 * MINUTE)
    assert [row["start_ms"] for row in found] == [start + i * MINUTE for i in range(600)]
    assert found[0]["qty"] == pytest.approx(0.1)
    assert found[0]["taker_buy_qty"] is None, "candles have no taker's share"


def test_a_growing_candle_is_left_out_and_the_mark_has_its_range() -> None:
    last = NOW // MINUTE * MINUTE
    growing = [*candle(last)[:-1], "0"]
    exchange, _ = made({
        "history-candles": reply([]), "/api/v5/market/candles": reply(
            [growing, candle(last - MINUTE)]),
        "history-mark-price-candles": paged(
            [[str(last - MINUTE), "1", "52000", "48000", "1", "1"]], "after", 100),
    })  # fmt: skip
    (row,) = history(exchange, BTC, "bars", last - 5 * MINUTE, NOW + 1)
    assert (row["start_ms"], row["mark_high"], row["mark_low"]) == (
        last - MINUTE,
        52e3,
        48e3,
    )


def test_bars_of_inverse_swaps_are_contracts_at_the_close() -> None:
    start = NOW // MINUTE * MINUTE - 2 * DAY
    exchange, _ = made({"history-candles": paged([candle(start)], "after", 300)})
    (row,) = history(exchange, INVERSE, "bars", start, start + MINUTE)
    assert row["qty"] == pytest.approx(10 * 100 / 50_000)


def test_statistics_are_fine_of_late_and_coarse_before() -> None:
    fine = [[str(NOW - 300_000), "1", "0.5", "9"]]
    coarse = [[str(NOW - 20 * DAY), "1", "0.4", "9"]]

    def answer(params: dict[str, Any]) -> object:
        rows = {"5m": fine, "1H": coarse}[params["period"]]
        return paged(rows, "end", 100)(params)

    exchange, _ = made({"open-interest-history": answer})
    found = history(exchange, BTC, "open_interest", NOW - 30 * DAY, NOW)
    assert [row["open_interest_qty"] for row in found] == [0.4, 0.5]


def test_statistics_which_stand_still_give_nothing_rather_than_old_rows() -> None:
    exchange, _ = made({"open-interest-history": reply([["1706745600000", "1", "1", "1"]])})
    assert history(exchange, BTC, "open_interest", NOW - DAY, NOW) == []


def test_forced_orders_of_the_last_days_can_be_asked_for() -> None:
    def answer(params: dict[str, Any]) -> object:
        rows = [{"bkPx": "60000", "posSide": "long", "side": "sell", "sz": "100",
                 "ts": str(NOW - i * 1000)} for i in range(1, 250)
                if NOW - i * 1000 < params["after"]]  # fmt: skip
        return reply([{"instId": "BTC-USDT-SWAP", "details": rows[:100]},
                      {"instId": "BTC-USDT-OTHER", "details": rows[:5]}])  # fmt: skip

    exchange, replies = made({"liquidation-orders": answer})
    found = history(exchange, BTC, "liquidations", NOW - 200_000, NOW)
    assert len(found) == 200
    assert found[0]["price_kind"] == "bankruptcy"
    assert replies.asked("liquidation-orders")[0]["instFamily"] == "BTC-USDT"
    gone = exchange.fetch_history(BTC, "liquidations", NOW - 30 * DAY, NOW - 20 * DAY)
    assert asyncio.run(gone) is None


def test_marks_funding_and_ratios() -> None:
    at = NOW - DAY
    exchange, _ = made({
        "history-mark-price-candles": paged(
            [[str(at - 300_000), "1", "3", "1", "2", "1"]], "after", 100),
        "funding-rate-history": lambda params: reply(
            [{"fundingTime": str(at), "fundingRate": "0.5", "realizedRate": "0.0001"}]
            if params["after"] > at else []),
        "long-short-account-ratio-contract": paged([[str(at), "1.5"]], "end", 100),
    })  # fmt: skip
    (mark,) = history(exchange, BTC, "mark", at, NOW)
    assert (mark["event_ms"], mark["mark_price"]) == (at, 2.0)
    assert history(exchange, BTC, "funding", at, NOW)[0]["funding_rate"] == 1e-4
    assert history(exchange, BTC, "long_short", at, NOW)[0]["accounts_ratio"] == 1.5


def test_polls_give_books_and_now_and_then_ratios() -> None:
    book = {"bids": [["100", "2", "1"]], "asks": [["100.02", "1", "1"]], "ts": str(NOW)}
    exchange, _ = made({
        "books-full": reply([book]),
        "long-short-account-ratio-contract": paged([[str(NOW - 1), "1.5"]], "end", 100),
    })  # fmt: skip
    first, second = (asyncio.run(exchange.polls([BTC])) for _ in range(2))
    assert [type(event) for event in first] == [DepthSnapshot, LongShortRatio]
    assert first[0].bids[0] == (100.0, 0.02)
    assert [type(event) for event in second] == [DepthSnapshot]


# -- recorded


def test_recorded_frames(shared_data: Path) -> None:
    exchange, _ = made()
    for name in ("WNCG-USDT", "SOS-USDT", "FIL-USD"):
        listed = exchange.listings.by_symbol["BTC-USDT-SWAP"]
        exchange.listings.by_symbol[f"{name}-SWAP"] = listed
    heard: list[Event] = []
    for line in (
        (shared_data / "frames" / "tardis_okx-swap.ndjson").read_bytes().splitlines()
    ):
        channel = json.loads(line).get("arg", {}).get("channel", "")
        if channel in ("trades", "mark-price", "open-interest", "funding-rate"):
            heard += told(exchange, line)
    assert [type(event) for event in heard] == [Trade, MarkPrice, OpenInterest]
    assert heard[0] == Trade(BTC, 1640131236050, 48938.5, 0.05, "buy")


def test_documented_liquidation(shared_data: Path) -> None:
    shapes = json.loads((shared_data / "frames" / "documented_shapes.json").read_text())
    exchange, _ = made()
    exchange.listings.by_symbol["IOST-USDT-SWAP"] = exchange.listings.by_symbol[
        "BTC-USDT-SWAP"
    ]
    (dead,) = told(exchange, shapes["okx_liquidation-orders"])
    assert isinstance(dead, Liquidation)
    assert (dead.position_side, dead.price, dead.qty) == ("short", 0.007831, 0.13)
