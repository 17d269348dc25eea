"""Gate: what its messages mean, trap by trap."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import ASSUMED_TIERS
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.gate import Gate, ages
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
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
BTC, INVERSE = "gate:BTC_USDT", "gate:BTC_USD"


def contract(name: str, kind: str, size: str, **more: object) -> dict[str, object]:
    return {"name": name, "type": kind, "quanto_multiplier": size, "order_price_round": "0.1",
            "order_size_min": 1, "mark_price": "64000", "in_delisting": False, **more}  # fmt: skip


USDT = [contract("BTC_USDT", "direct", "0.0001"), contract("ETH_USDT", "direct", "0.01"),
        contract("SOL_USDT", "direct", "1", in_delisting=True),
        contract("PEPE_USDT", "direct", "10000")]  # fmt: skip
BTC_SETTLED = [contract("BTC_USD", "inverse", "0"),
               contract("ETH_USD", "direct", "0.000001")]  # fmt: skip


def tiers(params: dict[str, Any]) -> object:
    if params["contract"] == "ETH_USDT":
        return ExchangeError("gate", "HTTP 500")
    unit = 1 if params["contract"] == "BTC_USDT" else 1 / 64_000
    return [
        {"tier": 1, "risk_limit": str(1_000_000 * unit), "initial_rate": "0.01",
         "maintenance_rate": "0.005", "leverage_max": "100", "deduction": "0"},
        {"tier": 2, "risk_limit": str(2_000_000 * unit), "initial_rate": "0.02",
         "maintenance_rate": "0.01", "leverage_max": "50", "deduction": str(5_000 * unit)},
    ]  # fmt: skip


def made(replies: dict[str, object] | None = None) -> tuple[Gate, Replies]:
    base = {"futures/usdt/contracts": USDT, "futures/btc/contracts": BTC_SETTLED,
            "risk_limit_tiers": tiers}  # fmt: skip
    found = Replies({**base, **(replies or {})})
    exchange = Gate(clock_ms=lambda: NOW)
    found.answer(exchange)
    asyncio.run(exchange.fetch_instruments())
    return exchange, found


def told(exchange: Gate, *messages: object) -> list[Event]:
    frames = [m if isinstance(m, bytes) else msgspec.json.encode(m) for m in messages]
    return [event for frame in frames for event in exchange.decode("usdt", frame, NOW)]


def push(channel: str, *rows: dict[str, object]) -> dict[str, object]:
    return {"time": NOW // 1000, "time_ms": NOW, "channel": f"futures.{channel}",
            "event": "update", "result": list(rows)}  # fmt: skip


def trades(*rows: dict[str, object]) -> dict[str, object]:
    return push("trades", *rows)


def trade(number: int, **changes: object) -> dict[str, object]:
    row = {"contract": "BTC_USDT", "id": number, "price": "64000.5", "size": "5",
           "create_time": NOW // 1000, "create_time_ms": NOW}  # fmt: skip
    return row | changes


def forced(**changes: object) -> dict[str, object]:
    return {"price": "60000", "size": "100", "time": NOW, "contract": "BTC_USDT"} | changes


def dead(*rows: dict[str, object]) -> dict[str, object]:
    return push("public_liquidates", *rows)


# -- instruments


def test_instruments_are_usdt_contracts_and_the_inverse_one() -> None:
    listed = {one.name: one.instrument for one in made()[0].listings.by_symbol.values()}
    assert sorted(listed) == ["gate:BTC_USD", "gate:BTC_USDT", "gate:ETH_USDT"]
    assert listed[BTC].contract_size == 0.0001
    assert (listed[INVERSE].contract_size, listed[INVERSE].settlement) == (1.0, "inverse")


def test_tiers_are_in_the_coin_which_settles() -> None:
    listed = {one.name: one.instrument for one in made()[0].listings.by_symbol.values()}
    for name in (BTC, INVERSE):
        assert listed[name].tiers[1].notional_floor == pytest.approx(1e6)
        assert listed[name].tiers[1].maintenance_amount == pytest.approx(5_000)
    assert listed["gate:ETH_USDT"].tiers == ASSUMED_TIERS


# -- stream


def test_each_settlement_has_its_connection_and_decimal_sizes() -> None:
    sockets = made()[0].sockets([BTC, INVERSE])
    assert [one.label for one in sockets] == ["usdt", "btc"]
    assert sockets[1].url.endswith("/v4/ws/btc")
    assert dict(sockets[0].headers) == {"X-Gate-Size-Decimal": "1"}
    orders = [json.loads(text) for text in sockets[0].subscribe]
    assert {one["channel"] for one in orders} == {
        "futures.trades", "futures.tickers", "futures.public_liquidates",
    }  # fmt: skip
    assert all(one["payload"] == ["BTC_USDT"] for one in orders)
    assert json.loads(sockets[0].ping)["channel"] == "futures.ping"
    assert [one.label for one in made()[0].sockets([BTC])] == ["usdt"]


def test_sizes_are_contracts_times_quanto_multiplier() -> None:
    other = trade(1, contract="BTC_USD", size=64_000, price="64000")
    linear, inverse = told(made()[0], trades(trade(1, size=-20_000), other))
    assert linear == Trade(BTC, NOW, 64000.5, pytest.approx(2.0), "sell")
    assert inverse == Trade(INVERSE, NOW, 64000.0, pytest.approx(1.0), "buy")


def test_the_sign_of_a_trade_is_the_takers_side() -> None:
    events = told(made()[0], trades(trade(1, size=5), trade(2, size="-5")))
    assert [event.taker_side for event in events] == ["buy", "sell"]


def test_the_sign_of_a_forced_order_is_the_positions_side() -> None:
    long, short = told(made()[0], dead(forced(), forced(size="-7.5")))
    assert (long.position_side, short.position_side) == ("long", "short")
    assert (long.qty, long.price_kind, long.completeness) == (0.01, "order", "full")


@pytest.mark.parametrize(
    "times", [{"time": 1541486601123}, {"time": 1541486601.123},
              {"time": 1541486601, "time_ms": 1541486601123}],
)  # fmt: skip
def test_times_are_seconds_milliseconds_or_in_time_ms(times: dict[str, float]) -> None:
    (event,) = told(made()[0], dead(forced(**times)))
    assert event.event_ms == 1541486601123


def test_a_time_which_is_neither_is_refused() -> None:
    with pytest.raises(BadFrameError, match="neither seconds nor ms"):
        told(made()[0], dead(forced(time=15414866011)))


def test_a_size_without_a_sign_is_refused() -> None:
    for frame in (trades(trade(1, size=0)), dead(forced(size="0"))):
        with pytest.raises(BadFrameError, match="no side"):
            told(made()[0], frame)


def test_equal_orders_of_one_frame_happened_twice_but_a_frame_counts_once() -> None:
    frame = dead(forced(), forced())
    exchange, _ = made()
    assert len(told(exchange, frame)) == 2
    assert told(exchange, frame) == []


def test_a_trade_told_twice_counts_once() -> None:
    frames = [trades(trade(2), trade(1)), trades(trade(2), trade(3))]
    assert len(told(made()[0], *frames)) == 3


def test_the_sign_of_the_stream_is_compared_with_rest_once() -> None:
    def orders(sign: int) -> Any:
        return [{"time": NOW // 1000 - i, "contract": "BTC_USDT", "size": sign * (100 + i),
                 "fill_price": "60000", "order_price": "1"} for i in range(4)]  # fmt: skip

    book = {"asks": [], "bids": []}
    rows = [forced(time=NOW - 1000 * i + 3, size=100 + i) for i in range(4)]
    for sign, side in ((1, "long"), (-1, "short")):
        exchange, replies = made({
            "liq_orders": orders(sign), "order_book": book, "contract_stats": [],
        })  # fmt: skip
        told(exchange, dead(*rows))
        asyncio.run(exchange.polls([BTC]))
        (event,) = told(exchange, dead(forced(size="999")))
        assert event.position_side == side
        asyncio.run(exchange.polls([BTC]))
        assert len(replies.asked("liq_orders")) == 1


def test_tickers_give_mark_interest_and_funding_when_it_is_due() -> None:
    row = {"contract": "BTC_USDT", "last": "1", "mark_price": "64000", "index_price": "64001",
           "total_size": "658216984", "funding_rate": "0.0001",
           "funding_next_apply": NOW // 1000, "t": NOW}  # fmt: skip
    later = row | {"funding_next_apply": NOW // 1000 + 28_800, "funding_rate": "0.0002"}
    first, second = (told(exchange, push("tickers", row), push("tickers", later))
                     for exchange in (made()[0], made()[0]))  # fmt: skip
    assert first == second
    assert first[0] == MarkPrice(BTC, NOW, 64000.0, 64001.0)
    assert first[1] == OpenInterest(BTC, NOW, pytest.approx(65_821.6984))
    assert FundingRate(BTC, NOW, 1e-4) in first


def test_empty_fields_are_absent_and_never_zero() -> None:
    row = {"contract": "BTC_USDT", "mark_price": "", "total_size": "", "funding_rate": ""}
    assert told(made()[0], push("tickers", row)) == []


def test_a_refused_subscription_is_an_error() -> None:
    answer = {"time": 1, "channel": "futures.trades", "event": "subscribe",
              "error": {"code": 2, "message": "unknown contract"}, "result": None}  # fmt: skip
    with pytest.raises(ExchangeError, match="unknown contract"):
        told(made()[0], answer)
    good = answer | {"error": None, "result": {"status": "success"}}
    assert told(made()[0], good) == []


@pytest.mark.parametrize(
    ("frame", "words"),
    [(trades(trade(1, price="")), r"gate futures.trades, field result\[0\].price"),
     (dead(forced(size="x")), "size"), (push("tickers", {"contract": 5}), "contract"),
     (b'{"channel":7}', "channel"), (b"", "gate usdt")],
)  # fmt: skip
def test_a_wrong_field_is_named(frame: object, words: str) -> None:
    with pytest.raises(BadFrameError, match=words):
        told(made()[0], frame)


# -- history


def history(exchange: Gate, name: str, kind: Any, start: int, end: int) -> list[dict]:
    table = asyncio.run(exchange.fetch_history(name, kind, start, end))
    assert table is not None
    return table.to_pylist()


def candles(params: dict[str, Any]) -> object:
    width = {"1m": 60, "5m": 300, "1h": 3600}[params["interval"]]
    count = (params["to"] - params["from"]) // width + 1
    assert count <= 2_000
    low, high = ("89", "111") if params["contract"].startswith("mark_") else ("90", "110")
    row = {"o": "100", "h": high, "l": low, "c": "105", "v": 21, "sum": "1"}
    first = -(-params["from"] // width) * width
    return [row | {"t": t} for t in range(first, params["to"] + 1, width)]


def test_bars_get_coarser_with_age_and_never_overlap() -> None:
    exchange, _ = made({"candlesticks": candles})
    now = NOW // MINUTE * MINUTE
    rows = history(exchange, BTC, "bars", now - 9 * DAY, now + MINUTE)
    widths = {row["interval_ms"] for row in rows}
    assert widths == {MINUTE, 5 * MINUTE}
    for one, next_one in pairwise(rows):
        assert one["start_ms"] + one["interval_ms"] == next_one["start_ms"]
    assert rows[-1]["start_ms"] == now - MINUTE, "the growing candle is left out"
    assert (rows[0]["qty"], rows[0]["mark_high"]) == (pytest.approx(0.0021), 111.0)
    assert rows[0]["taker_buy_qty"] is None


def test_ages_cover_all_once() -> None:
    parts = list(ages(NOW - 400 * DAY, NOW, NOW))
    assert [part[0] for part in parts] == ["1h", "5m", "1m"]
    assert (parts[0][2], parts[-1][3]) == (NOW - 400 * DAY, NOW)
    assert parts[0][3] == parts[1][2]
    assert list(ages(NOW - HOUR, NOW, NOW)) == [("1m", MINUTE, NOW - HOUR, NOW)]


def test_forced_orders_over_rest_are_seconds_fills_and_position_signs() -> None:
    rows = [{"time": NOW // 1000, "contract": "BTC_USDT", "size": -100, "left": 0,
             "fill_price": "60000", "order_price": "59000"},
            {"time": NOW // 1000 - 1, "contract": "BTC_USDT", "size": 50, "left": 0,
             "fill_price": "0", "order_price": "59000"}]  # fmt: skip
    exchange, _ = made({"liq_orders": rows})
    first, second = history(exchange, BTC, "liquidations", NOW - MINUTE, NOW + 1)
    assert (first["position_side"], first["price_kind"]) == ("long", "order")
    assert (second["position_side"], second["price"], second["price_kind"]) == (
        "short", 60_000.0, "fill",
    )  # fmt: skip


def test_a_full_answer_of_forced_orders_is_asked_for_in_halves() -> None:
    every = [{"time": NOW // 1000 - i, "contract": "BTC_USDT", "size": 1 + i,
              "fill_price": "60000", "order_price": "1"} for i in range(2_500)]  # fmt: skip

    def answer(params: dict[str, Any]) -> object:
        return [row for row in every if params["from"] <= row["time"] <= params["to"]][
            :1000
        ]

    exchange, _ = made({"liq_orders": answer})
    rows = history(exchange, BTC, "liquidations", NOW - 2_400_000, NOW)
    assert len(rows) == len({row["event_ms"] for row in rows}) == 2_400


def test_statistics_give_interest_and_the_accounts_ratio() -> None:
    start = NOW // 300_000 * 300_000
    rows = [{"time": start // 1000, "open_interest": 20_000, "lsr_account": 1.5,
             "mark_price": 50_000, "lsr_taker": 9}]  # fmt: skip
    exchange, _ = made({"contract_stats": rows})
    (row,) = history(exchange, BTC, "open_interest", start, start + 1)
    assert row["open_interest_qty"] == pytest.approx(2.0)
    (row,) = history(exchange, INVERSE, "open_interest", start, start + 1)
    assert row["open_interest_qty"] == pytest.approx(0.4)
    (row,) = history(exchange, BTC, "long_short", start, start + 1)
    assert row["accounts_ratio"] == 1.5


def test_marks_and_funding() -> None:
    start = NOW // MINUTE * MINUTE - HOUR
    exchange, _ = made({
        "candlesticks": candles, "funding_rate": [{"t": start // 1000, "r": "0.0001"}],
    })  # fmt: skip
    (mark,) = history(exchange, BTC, "mark", start, start + MINUTE)
    assert (mark["event_ms"], mark["mark_price"]) == (start, 105.0)
    assert history(exchange, BTC, "funding", start, start + 1)[0]["funding_rate"] == 1e-4


def test_polls_give_books_and_now_and_then_ratios() -> None:
    exchange, _ = made({
        "order_book": {"asks": [{"p": "100.02", "s": 9}], "bids": [{"p": "100", "s": "20000"}]},
        "contract_stats": [{"time": NOW // 1000, "open_interest": 1, "lsr_account": 2.0}],
    })  # fmt: skip
    first, second = (asyncio.run(exchange.polls([BTC])) for _ in range(2))
    assert [type(event) for event in first] == [DepthSnapshot, LongShortRatio]
    assert first[0].bids == ((100.0, 2.0),)
    assert [type(event) for event in second] == [DepthSnapshot]


# -- recorded


def test_recorded_frames(shared_data: Path) -> None:
    exchange, _ = made()
    for name in ("COMP_USDT", "ETH_USDT", "ETC_USD"):
        exchange.listings.by_symbol[name] = exchange.listings.by_symbol["BTC_USDT"]
    heard: list[Event] = []
    for line in (shared_data / "frames" / "tardis_gate.ndjson").read_bytes().splitlines():
        # Two old tickers are a list in a list, and a bare object.
        if b'"result":[[' not in line and b'"result":{"contract' not in line:
            heard += told(exchange, line)
    done = [event for event in heard if isinstance(event, Trade)]
    assert [event.taker_side for event in done] == ["buy", "sell", "buy", "buy", "buy"]
    assert done[0].event_ms == 1593561616000, "seconds, before there were milliseconds"
    assert done[2].event_ms == 1614556850860


def test_documented_frames(shared_data: Path) -> None:
    shapes = json.loads((shared_data / "frames" / "documented_shapes.json").read_text())
    events = told(
        made()[0], *(row for name, row in shapes.items() if name.startswith("gate"))
    )
    kinds = [type(event) for event in events]
    assert kinds == [Liquidation, Liquidation, MarkPrice, OpenInterest]
    assert [event.position_side for event in events[:2]] == ["short", "short"]
