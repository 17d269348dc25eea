"""Deribit: what its messages mean, trap by trap."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.deribit import Deribit, answer
from liqheat.market.events import (
    DepthSnapshot,
    Event,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Trade,
)
from tests.unit.adapters import Replies

NOW = 1_790_000_040_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BTC, SOL = "deribit:BTC-PERPETUAL", "deribit:SOL_USDC-PERPETUAL"


def contract(
    name: str, kind: str, coin: str, quote: str, **more: object
) -> dict[str, object]:
    return {
        "instrument_name": name, "instrument_type": kind, "base_currency": coin,
        "quote_currency": quote, "tick_size": 0.5, "contract_size": 10.0, "max_leverage": 50,
        "min_trade_amount": 10.0, "settlement_period": "perpetual", "is_active": True,
        "kind": "future", **more,
    }  # fmt: skip


CONTRACTS = [
    contract("BTC-PERPETUAL", "reversed", "BTC", "USD"),
    contract("SOL_USDC-PERPETUAL", "linear", "SOL", "USDC"),
    contract("BTC-25DEC26", "reversed", "BTC", "USD", settlement_period="month"),
    contract("AVAX_USDC-PERPETUAL", "linear", "AVAX", "USDC"),
    contract("ETH-PERPETUAL", "reversed", "ETH", "USD", is_active=False),
]


def reply(result: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "result": result, "usIn": 1, "testnet": False}


def made(replies: dict[str, object] | None = None) -> tuple[Deribit, Replies]:
    found = Replies({"get_instruments": reply(CONTRACTS), **(replies or {})})
    exchange = Deribit(clock_ms=lambda: NOW)
    found.answer(exchange)
    asyncio.run(exchange.fetch_instruments())
    return exchange, found


def told(exchange: Deribit, *messages: object) -> list[Event]:
    frames = [m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages]
    return [event for frame in frames for event in exchange.decode("public", frame, NOW)]


def push(channel: str, data: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": "subscription",
            "params": {"channel": channel, "data": data}}  # fmt: skip


def trades(*rows: dict[str, object]) -> dict[str, object]:
    return push("trades.BTC-PERPETUAL.100ms", list(rows))


def trade(number: int, **changes: object) -> dict[str, object]:
    return {
        "timestamp": NOW, "price": 50_000.0, "amount": 100.0, "direction": "sell",
        "index_price": 50_002.0, "instrument_name": "BTC-PERPETUAL", "trade_seq": number,
        "mark_price": 50_001.0, "tick_direction": 2, "contracts": 10.0,
        "trade_id": str(number), **changes,
    }  # fmt: skip


# -- instruments and connection


def test_instruments_are_the_active_perpetuals_of_the_chosen_coins() -> None:
    listed = {one.name: one.instrument for one in made()[0].listings.by_symbol.values()}
    assert sorted(listed) == [BTC, SOL]
    assert (listed[BTC].settlement, listed[SOL].settlement) == ("inverse", "linear")
    assert {one.coin for one in listed.values()} == {"BTC", "SOL"}


def test_the_margin_is_no_table_so_tiers_are_assumed_up_to_the_leverage_allowed() -> None:
    tiers = made()[0].listings.by_symbol["BTC-PERPETUAL"].instrument.tiers
    assert (tiers[0].max_leverage, tiers[0].notional_floor) == (50.0, 0.0)
    assert made()[0].listings[BTC].instrument.tiers_source.startswith("assumed")


def test_the_connection_sets_a_heartbeat_and_answers_test_requests() -> None:
    (socket,) = made()[0].sockets([BTC])
    beat, order = map(json.loads, socket.subscribe)
    assert beat["method"] == "public/set_heartbeat"
    assert order["params"]["channels"] == [
        "trades.BTC-PERPETUAL.100ms", "ticker.BTC-PERPETUAL.100ms",
    ]  # fmt: skip
    request = b'{"jsonrpc":"2.0","method":"heartbeat","params":{"type":"test_request"}}'
    assert json.loads(socket.reply(request) or "")["method"] == "public/test"
    assert answer(request.replace(b"test_request", b"heartbeat")) is None
    assert told(made()[0], request) == []


def test_a_channel_left_out_of_the_answer_is_an_error() -> None:
    exchange, _ = made()
    exchange.sockets([BTC])
    good = {"jsonrpc": "2.0", "id": 1, "result": [
        "ticker.BTC-PERPETUAL.100ms", "trades.BTC-PERPETUAL.100ms"]}  # fmt: skip
    assert told(exchange, good, {"jsonrpc": "2.0", "id": 0, "result": "ok"}) == []
    with pytest.raises(ExchangeError, match=r"not subscribed: trades.BTC"):
        told(exchange, good | {"result": good["result"][:1]})
    with pytest.raises(ExchangeError, match="10028"):
        told(exchange, {"id": 1, "error": {"code": 10028, "message": "too_many_requests"}})


# -- trades and liquidations


def test_amounts_are_usd_where_inverse_and_base_units_where_linear() -> None:
    linear = trade(1, instrument_name="SOL_USDC-PERPETUAL", price=150.0, amount=3.0)
    inverse, other = told(made()[0], trades(trade(1)), trades(linear))
    assert inverse == Trade(BTC, NOW, 50_000.0, pytest.approx(0.002), "sell")
    assert other == Trade(SOL, NOW, 150.0, 3.0, "sell")


@pytest.mark.parametrize(
    ("flag", "direction", "sides"),
    [("T", "sell", ["long"]), ("T", "buy", ["short"]), ("M", "sell", ["short"]),
     ("M", "buy", ["long"]), ("MT", "sell", ["long", "short"]), ("none", "buy", [])],
)  # fmt: skip
def test_the_flag_tells_whether_taker_or_maker_was_liquidated(
    flag: str, direction: str, sides: list[str]
) -> None:
    row = trade(1, liquidation=flag, direction=direction)
    done, *dead = told(made()[0], trades(row))
    assert isinstance(done, Trade)
    assert [event.position_side for event in dead] == sides
    for event in dead:
        assert (event.price, event.price_kind, event.completeness) == (50e3, "fill", "full")
        assert (event.notional_usd, event.mark_price) == (pytest.approx(100.0), 50_001.0)


def test_a_trade_told_twice_counts_once_with_its_flag() -> None:
    frame = trades(trade(1, liquidation="T"), trade(2))
    exchange, _ = made()
    assert len(told(exchange, frame)) == 3
    assert told(exchange, frame) == []


def test_a_ticker_gives_mark_and_interest_of_one_side() -> None:
    row = {"timestamp": NOW, "instrument_name": "BTC-PERPETUAL", "index_price": 50_002.0,
           "mark_price": 50_000.0, "open_interest": 1e9, "funding_8h": 1e-5}  # fmt: skip
    assert told(made()[0], push("ticker.BTC-PERPETUAL.100ms", row)) == [
        MarkPrice(BTC, NOW, 50_000.0, 50_002.0), OpenInterest(BTC, NOW, pytest.approx(20e3)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("frame", "words"),
    [(trades(trade(1, price=0)), r"deribit trades, field params.data\[0\].price"),
     (trades(trade(1, liquidation="X")), "liquidation"), (push("news", {}), "unknown"),
     (push("ticker.X", {"timestamp": 5}), "ticker"), (b"[", "deribit public")],
)  # fmt: skip
def test_a_wrong_field_is_named(frame: object, words: str) -> None:
    with pytest.raises(BadFrameError, match=words):
        told(made()[0], frame)


# -- history


def history(exchange: Deribit, name: str, kind: Any, start: int, end: int) -> list[dict]:
    table = asyncio.run(exchange.fetch_history(name, kind, start, end))
    assert table is not None
    return table.to_pylist()


def chart(params: dict[str, Any]) -> object:
    ticks = list(range(-(-params["start_timestamp"] // MINUTE) * MINUTE,
                       params["end_timestamp"] + 1, MINUTE))  # fmt: skip
    n = len(ticks)
    assert n <= 1_000
    return reply({
        "ticks": ticks, "open": [100] * n, "high": [110] * n, "low": [90] * n,
        "close": [105] * n, "volume": [2.0] * n, "cost": [210.0] * n, "status": "ok",
    })  # fmt: skip


def test_bars_of_inverse_contracts_are_the_usd_traded_at_the_close() -> None:
    exchange, _ = made({"get_tradingview_chart_data": chart})
    start = NOW // MINUTE * MINUTE - 2_500 * MINUTE
    rows = history(exchange, BTC, "bars", start, NOW + 1)
    assert len(rows) == 2_500, "the growing bar is left out"
    assert (rows[0]["qty"], rows[0]["taker_buy_qty"]) == (pytest.approx(2.0), None)


def test_columns_of_different_lengths_are_refused() -> None:
    wrong = reply({"ticks": [NOW], "open": [], "high": [], "low": [], "close": [],
                   "volume": [], "cost": [], "status": "ok"})  # fmt: skip
    exchange, _ = made({"get_tradingview_chart_data": wrong})
    with pytest.raises(BadFrameError, match="different lengths"):
        history(exchange, BTC, "bars", NOW - MINUTE, NOW)


def test_funding_is_that_of_each_hour_and_told_once() -> None:
    rows = reply([{"timestamp": NOW - HOUR, "interest_1h": 1e-6, "interest_8h": 1e-5,
                   "index_price": 1, "prev_index_price": 1}])  # fmt: skip
    book = reply({"bids": [[100.0, 9.0]], "asks": [[100.02, 9.0]], "timestamp": NOW})
    exchange, _ = made({"get_funding_rate_history": rows, "get_order_book": book})
    assert history(exchange, BTC, "funding", NOW - DAY, NOW)[0]["funding_rate"] == 1e-6
    polled = [asyncio.run(exchange.polls([BTC])) for _ in range(11)]
    assert [type(event) for event in polled[0]] == [DepthSnapshot, FundingRate]
    assert polled[0][0].bids[0][1] == pytest.approx(0.09, rel=1e-3)
    assert [type(event) for event in polled[10]] == [DepthSnapshot]


def test_forced_orders_of_a_hole_are_found_among_all_its_trades() -> None:
    every = [trade(i, timestamp=NOW - HOUR + i, liquidation="T" if i % 100 == 0 else "none")
             for i in range(2_500)]  # fmt: skip

    def answer(params: dict[str, Any]) -> object:
        start, end = params["start_timestamp"], params["end_timestamp"]
        found = [row for row in every if start <= row["timestamp"] <= end]
        return reply({"trades": found[:1000], "has_more": len(found) > 1000})

    exchange, _ = made({"get_last_trades": answer})
    told(exchange, trades(every[100]))
    rows = history(exchange, BTC, "liquidations", NOW - HOUR, NOW)
    assert len(rows) == 24, "one was told by the stream"


def test_a_month_of_trades_is_not_read_and_marks_have_no_history() -> None:
    exchange, _ = made()
    for kind in ("liquidations", "mark", "open_interest", "long_short"):
        assert asyncio.run(exchange.fetch_history(BTC, kind, NOW - DAY, NOW)) is None


def test_an_answer_with_an_error_is_one() -> None:
    with pytest.raises(ExchangeError, match="11050"):
        made({"get_instruments": {"error": {"code": 11050, "message": "bad_request"}}})


# -- recorded


def test_recorded_frames(shared_data: Path) -> None:
    exchange, _ = made()
    heard: list[Event] = []
    for line in (
        (shared_data / "frames" / "tardis_deribit.ndjson").read_bytes().splitlines()
    ):
        channel = json.loads(line)["params"]["channel"]
        if channel.startswith(("trades.", "ticker.BTC-PERP")):
            heard += told(exchange, line)
    dead = [event for event in heard if isinstance(event, Liquidation)]
    assert [(one.position_side, one.price, one.notional_usd) for one in dead] == [
        ("long", 4469.5, pytest.approx(1120)), ("long", 4458.5, pytest.approx(2500)),
    ]  # fmt: skip
    interest = [event for event in heard if isinstance(event, OpenInterest)]
    assert interest[0].open_interest_qty == pytest.approx(66_128_281 / 10_094.1)
