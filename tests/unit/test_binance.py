"""Binance: what its messages mean, trap by trap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liqheat.errors import BadInputError, ExchangeError
from liqheat.exchanges._listed import ASSUMED_TIERS
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.binance import Binance
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
MINUTE = 60_000


def symbol(name: str, coin: str, quote: str, **more: object) -> dict[str, object]:
    return {
        "symbol": name, "contractType": "PERPETUAL", "status": "TRADING", "baseAsset": coin,
        "quoteAsset": quote, "maintMarginPercent": "2.5000",
        "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.10"},
                    {"filterType": "LOT_SIZE", "stepSize": "0.001"}], **more,
    }  # fmt: skip


UM = {"symbols": [
    symbol("BTCUSDT", "BTC", "USDT"), symbol("ETHUSDC", "ETH", "USDC"),
    symbol("SOLUSDT", "SOL", "USDT"), symbol("PEPEUSDT", "PEPE", "USDT"),
    symbol("BTCUSDT_270326", "BTC", "USDT", contractType="CURRENT_QUARTER"),
    symbol("ETHUSDT", "ETH", "USDT", status="SETTLING"),
]}  # fmt: skip
CM = {"symbols": [
    symbol("BTCUSD_PERP", "BTC", "USD", contractSize=100, contractStatus="TRADING"),
    symbol("ETHUSD_PERP", "ETH", "USD", contractSize=10, contractStatus="TRADING"),
]}  # fmt: skip
for row in CM["symbols"]:
    del row["status"]
BRACKETS = {"data": {"brackets": [{"symbol": "SOLUSDT", "riskBrackets": [
    {"bracketNotionalFloor": 0, "bracketNotionalCap": 1e5, "cumFastMaintenanceAmount": 0,
     "bracketMaintenanceMarginRate": 0.006, "maxOpenPosLeverage": 100},
    {"bracketNotionalFloor": 1e5, "bracketNotionalCap": 1e6, "cumFastMaintenanceAmount": 400,
     "bracketMaintenanceMarginRate": 0.01, "maxOpenPosLeverage": 50},
]}]}}  # fmt: skip


def made(replies: dict[str, object] | None = None) -> tuple[Binance, Replies]:
    base = {"/fapi/v1/exchangeInfo": UM, "/dapi/v1/exchangeInfo": CM, "brackets": BRACKETS}
    found = Replies({**base, **(replies or {})})
    exchange = Binance(clock_ms=lambda: NOW)
    found.answer(exchange)
    asyncio.run(exchange.fetch_instruments())
    return exchange, found


def told(exchange: Binance, *messages: object) -> list[Event]:
    frames = [m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages]
    return [event for frame in frames for event in exchange.decode("market", frame, NOW)]


def forced(**changes: object) -> dict[str, object]:
    order = {
        "s": "BTCUSDT", "S": "SELL", "o": "LIMIT", "f": "IOC", "q": "0.014", "p": "9910",
        "ap": "9990", "X": "FILLED", "l": "0.014", "z": "0.014", "T": NOW,
    }  # fmt: skip
    return {
        "stream": "!forceOrder@arr",
        "data": {"e": "forceOrder", "E": NOW, "o": order | changes},
    }


def trade(number: int, **changes: object) -> dict[str, object]:
    row = {"e": "aggTrade", "E": NOW, "s": "BTCUSDT", "a": number, "p": "64000.5",
           "q": "0.25", "f": 1, "l": 2, "T": NOW, "m": False, "nq": "0.25"}  # fmt: skip
    return {"stream": "btcusdt@aggTrade", "data": row | changes}


# -- instruments


def test_instruments_are_the_perpetuals_of_the_chosen_coins() -> None:
    exchange, _ = made()
    listed = {name: one.instrument for name, one in exchange.listings.by_symbol.items()}
    assert sorted(listed) == ["BTCUSDT", "BTCUSD_PERP", "ETHUSDC", "ETHUSD_PERP", "SOLUSDT"]
    assert listed["BTCUSD_PERP"].name == "binance:BTCUSD_PERP"
    assert {one.coin for one in listed.values()} == {"BTC", "ETH", "SOL"}
    assert listed["BTCUSDT"].tick_size == 0.1
    assert listed["BTCUSDT"].lot_size == 0.001


def test_a_coin_m_contract_is_100_usd_of_btc_and_10_of_others() -> None:
    listed = made()[0].listings.by_symbol
    assert listed["BTCUSD_PERP"].instrument.contract_size == 100.0
    assert listed["ETHUSD_PERP"].instrument.contract_size == 10.0
    assert listed["BTCUSD_PERP"].inverse
    assert not listed["BTCUSDT"].inverse


def test_tiers_are_fetched_else_shipped_else_assumed_and_say_so() -> None:
    listed = {name: one.instrument for name, one in made()[0].listings.by_symbol.items()}
    assert listed["SOLUSDT"].tiers[1].maintenance_amount == 400.0
    assert listed["SOLUSDT"].tiers_as_of == "2026-09-21"
    assert listed["BTCUSDT"].tiers_as_of == "2026-09-16"
    assert listed["ETHUSDC"].tiers == ASSUMED_TIERS
    assert listed["ETHUSDC"].tiers_source.startswith("assumed")


def test_tiers_keep_when_the_web_site_refuses() -> None:
    refused = ExchangeError("binance", "refused")
    listed = made({"brackets": refused})[0].listings.by_symbol
    assert listed["SOLUSDT"].instrument.tiers == ASSUMED_TIERS


def test_maintMarginPercent_is_not_the_rate_of_the_tiers() -> None:
    tiers = made()[0].listings.by_symbol["BTCUSDT"].instrument.tiers
    assert tiers[0].maintenance_margin_rate == 0.004


def test_a_symbol_without_a_tick_is_refused_by_name() -> None:
    wrong = {"symbols": [symbol("BTCUSDT", "BTC", "USDT", filters=[])]}
    with pytest.raises(BadFrameError, match=r"filters.*BTCUSDT.*PRICE_FILTER"):
        made({"/fapi/v1/exchangeInfo": wrong})


# -- sockets


def test_the_silent_old_root_is_not_used() -> None:
    exchange, _ = made()
    names = ["binance:BTCUSDT", "binance:BTCUSD_PERP"]
    urls = {socket.label: socket.url for socket in exchange.sockets(names)}
    assert urls["market"] == "wss://fstream.binance.com/market/stream"
    assert all(socket.rotate_s < 24 * 3600 for socket in exchange.sockets(names))


def test_forced_orders_of_both_hosts_are_subscribed_to_once() -> None:
    exchange, _ = made()
    sockets = exchange.sockets(["binance:BTCUSDT", "binance:BTCUSD_PERP"])
    streams = [name for one in sockets for text in one.subscribe
               for name in json.loads(text)["params"]]  # fmt: skip
    assert [name for name in streams if "forceOrder" in name] == ["!forceOrder@arr"]
    assert "btcusd_perp@aggTrade" in json.loads(sockets[1].subscribe[0])["params"]
    assert sockets[0].carries == ("bars", "liquidations")
    assert sockets[1].instruments == ("binance:BTCUSD_PERP",)


def test_a_refused_subscription_is_an_error() -> None:
    with pytest.raises(ExchangeError, match="Invalid request"):
        told(made()[0], {"error": {"code": 2, "msg": "Invalid request"}, "id": 1})


def test_an_unknown_instrument_is_refused() -> None:
    with pytest.raises(BadInputError, match="unknown instrument"):
        made()[0].sockets(["binance:XYZ"])


# -- liquidations


def test_sell_is_the_side_of_the_order_so_a_long_died() -> None:
    long, short = told(made()[0], forced(), forced(S="BUY"))
    assert (long.position_side, short.position_side) == ("long", "short")
    assert long.completeness == "sampled_1s_largest"


def test_ap_is_the_fill_and_p_the_bankruptcy_price() -> None:
    (dead,) = told(made()[0], forced())
    assert (dead.price, dead.price_kind) == (9990.0, "fill")
    (unfilled,) = told(made()[0], forced(ap="0", X="NEW"))
    assert (unfilled.price, unfilled.price_kind) == (9910.0, "bankruptcy")


def test_the_notional_is_that_at_the_mark() -> None:
    exchange, _ = made()
    mark = {"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT", "p": "10000", "i": "10001",
            "r": "0.0001", "T": NOW + MINUTE}  # fmt: skip
    _, dead = told(exchange, {"data": mark}, forced())
    assert dead.notional_usd == pytest.approx(140.0)
    assert dead.mark_price == 10_000.0


def test_coin_m_quantities_are_contracts_of_usd() -> None:
    row = forced(s="BTCUSD_PERP", ps="BTCUSD", st=2, q="30", ap="60000")
    (dead,) = told(made()[0], row)
    assert (dead.qty, dead.notional_usd) == pytest.approx((0.05, 3_000.0))
    (done,) = told(made()[0], trade(1, s="BTCUSD_PERP", q="7", p="70000", st=2))
    assert done.qty == pytest.approx(0.01)


def test_the_merged_stream_is_told_apart_by_st() -> None:
    with pytest.raises(BadFrameError, match="st"):
        told(made()[0], forced(st=2))
    with pytest.raises(BadFrameError, match="st"):
        told(made()[0], forced(s="BTCUSD_PERP", st=1))


def test_the_same_order_from_both_hosts_counts_once() -> None:
    assert len(told(made()[0], forced(), forced())) == 1


def test_other_symbols_of_the_whole_market_are_left_out() -> None:
    assert told(made()[0], forced(s="PEPEUSDT"), trade(1, s="PEPEUSDT")) == []


# -- trades and marks


def test_the_maker_flag_gives_the_taker_side() -> None:
    bought, sold = told(made()[0], trade(1), trade(2, m=True))
    assert (bought.taker_side, sold.taker_side) == ("buy", "sell")
    assert bought == Trade("binance:BTCUSDT", NOW, 64000.5, 0.25, "buy")


def test_a_trade_told_twice_in_an_overlap_counts_once_in_any_order() -> None:
    events = told(made()[0], trade(2), trade(1), trade(2), trade(3))
    assert len(events) == 3


def test_funding_is_told_at_the_end_of_its_interval() -> None:
    row = {"e": "markPriceUpdate", "E": NOW, "s": "BTCUSDT", "p": "1", "r": "0.0001",
           "T": NOW + 1}  # fmt: skip
    events = told(made()[0], {"data": row}, {"data": row | {"T": NOW + 9, "r": "0.0009"}})
    assert [e for e in events if isinstance(e, FundingRate)] == [
        FundingRate("binance:BTCUSDT", NOW + 1, 1e-4)
    ]


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"p": ""}, "data.p"), ({"p": "-1"}, "data.p"), ({"q": "NaN"}, "data.q"),
     ({"T": 1_790_000_040}, "data.T"), ({"s": None}, "data.s"), ({"m": "?"}, "data.m")],
)  # fmt: skip
def test_a_wrong_field_is_named_with_its_value(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(BadFrameError) as caught:
        told(made()[0], trade(1, **changes))
    assert str(caught.value).startswith(f"binance market, field {field}")


@pytest.mark.parametrize("frame", [b"", b"{", b"[]", b"\xff\xfe", b'{"data":{"e":"new"}}'])
def test_a_frame_which_is_none_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrameError):
        told(made()[0], frame)


def test_numbers_may_be_numbers_and_texts() -> None:
    texts, numbers = told(made()[0], trade(1), trade(2, p=64000.5, q=0.25))
    assert texts == numbers


# -- history


def kline(start: int, qty: str = "10", taker: str = "4") -> list[object]:
    return [
        start,
        "100",
        "110",
        "90",
        "105",
        qty,
        start + MINUTE - 1,
        "1",
        9,
        taker,
        "1",
        "0",
    ]


def history(exchange: Binance, name: str, kind: Any, start: int, end: int) -> list[dict]:
    table = asyncio.run(exchange.fetch_history(name, kind, start, end))
    assert table is not None
    return table.to_pylist()


def test_bars_carry_the_takers_share_and_the_range_of_the_mark() -> None:
    start = NOW - 10 * MINUTE
    exchange, replies = made({
        "/fapi/v1/klines": [kline(start), kline(start + MINUTE)],
        "/fapi/v1/markPriceKlines": [[start, "100", "111", "91", "105", "0", 1]],
    })  # fmt: skip
    first, second = history(exchange, "binance:BTCUSDT", "bars", start, start + 2 * MINUTE)
    assert (first["qty"], first["taker_buy_qty"]) == (10.0, 4.0)
    assert (first["mark_high"], first["mark_low"]) == (111.0, 91.0)
    assert second["mark_high"] is None
    asked = replies.asked("/fapi/v1/klines")[0]
    assert asked["limit"] == 499, "more rows in one request cost more a row"


def test_bars_of_coin_m_are_contracts_at_the_close() -> None:
    start = NOW - 10 * MINUTE
    exchange, _ = made({
        "/dapi/v1/klines": [kline(start, "21", "10.5")], "/dapi/v1/markPriceKlines": [],
    })  # fmt: skip
    (row,) = history(exchange, "binance:BTCUSD_PERP", "bars", start, start + MINUTE)
    assert (row["qty"], row["taker_buy_qty"]) == pytest.approx((20.0, 10.0))


def test_the_time_of_an_interest_row_is_the_end_of_its_period() -> None:
    at = NOW // 300_000 * 300_000
    rows = [{"symbol": "BTCUSDT", "sumOpenInterest": "20403.6", "timestamp": str(at)}]
    exchange, _ = made({"/futures/data/openInterestHist": rows})
    (row,) = history(exchange, "binance:BTCUSDT", "open_interest", at - 9, at + 9)
    assert (row["event_ms"], row["open_interest_qty"]) == (at, 20403.6)


def test_interest_of_coin_m_is_contracts_at_the_close_of_then() -> None:
    at = NOW // 300_000 * 300_000
    rows = [{"pair": "BTCUSD", "sumOpenInterest": "21", "timestamp": at},
            {"pair": "BTCUSD", "sumOpenInterest": "21", "timestamp": at - 300_000}]  # fmt: skip
    exchange, replies = made({
        "/futures/data/openInterestHist": rows, "/dapi/v1/klines": [kline(at - 300_000)],
    })  # fmt: skip
    found = history(exchange, "binance:BTCUSD_PERP", "open_interest", at - 600_000, at + 1)
    assert [row["open_interest_qty"] for row in found] == [pytest.approx(20.0)]
    asked = replies.asked("/futures/data/openInterestHist")[0]
    assert (asked["pair"], asked["contractType"]) == ("BTCUSD", "PERPETUAL")


def test_statistics_go_back_a_month_and_no_further() -> None:
    exchange, replies = made({"/futures/data/openInterestHist": []})
    day = 86_400_000
    assert history(exchange, "binance:BTCUSDT", "open_interest", NOW - 60 * day, NOW) == []
    oldest = min(asked["startTime"] for asked in replies.asked("openInterestHist"))
    assert oldest > NOW - 30 * day
    ancient = exchange.fetch_history(
        "binance:BTCUSDT", "open_interest", NOW - 60 * day, NOW - 50 * day
    )
    assert asyncio.run(ancient) is None


def test_there_is_no_history_of_liquidations() -> None:
    assert (
        asyncio.run(made()[0].fetch_history("binance:BTCUSDT", "liquidations", 0, 1))
        is None
    )


def test_funding_marks_and_ratios() -> None:
    start = NOW - 10 * MINUTE
    exchange, _ = made({
        "/fapi/v1/fundingRate": [
            {"symbol": "BTCUSDT", "fundingTime": start, "fundingRate": "0.0001"}],
        "/fapi/v1/markPriceKlines": [[start - MINUTE, "1", "3", "1", "2", "0"]],
        "globalLongShortAccountRatio": [
            {"symbol": "BTCUSDT", "longShortRatio": "1.5", "timestamp": start}],
    })  # fmt: skip
    name, end = "binance:BTCUSDT", start + MINUTE
    assert history(exchange, name, "funding", start, end)[0]["funding_rate"] == 1e-4
    (mark,) = history(exchange, name, "mark", start, end)
    assert (mark["event_ms"], mark["mark_price"]) == (start, 2.0)
    assert history(exchange, name, "long_short", start, end)[0]["accounts_ratio"] == 1.5


def test_polls_give_interest_and_now_and_then_books_and_ratios() -> None:
    exchange, replies = made({
        "/fapi/v1/openInterest": {"openInterest": "9", "symbol": "BTCUSDT", "time": NOW},
        "/dapi/v1/openInterest": {"openInterest": "9", "symbol": "BTCUSD_PERP", "time": NOW},
        "depth": {"bids": [["100", "2"]], "asks": [["100.02", "1"]]},
        "globalLongShortAccountRatio": [{"longShortRatio": "1.5", "timestamp": NOW}],
    })  # fmt: skip
    told(exchange, trade(1, s="BTCUSD_PERP", q="7", p="90000"))
    names = ["binance:BTCUSDT", "binance:BTCUSD_PERP"]
    first, second = (asyncio.run(exchange.polls(names)) for _ in range(2))
    assert [type(event) for event in first] == [
        OpenInterest,
        DepthSnapshot,
        LongShortRatio,
    ] * 2
    assert [event.open_interest_qty for event in second] == pytest.approx([9.0, 0.01])
    assert len(replies.asked("depth")) == 2


# -- recorded


def test_recorded_frames_of_usd_m(shared_data: Path) -> None:
    exchange, _ = made()
    heard = []
    for frame in (
        (shared_data / "frames" / "tardis_binance-usdm.ndjson").read_bytes().splitlines()
    ):
        kind = json.loads(frame)["data"].get("e")
        if kind in ("markPriceUpdate", "forceOrder"):
            heard += told(exchange, frame)
    (dead,) = [event for event in heard if isinstance(event, Liquidation)]
    assert (dead.position_side, dead.price, dead.qty) == ("short", 4706.04, 0.014)
    assert len([event for event in heard if isinstance(event, MarkPrice)]) == 2


def test_documented_frames(shared_data: Path) -> None:
    shapes = json.loads((shared_data / "frames" / "documented_shapes.json").read_text())
    exchange, _ = made()
    frames = [{"data": row} for name, row in shapes.items() if name.startswith("binance")
              and "kline" not in name]  # fmt: skip
    assert [type(event) for event in told(exchange, *frames)] == [Liquidation, MarkPrice]
