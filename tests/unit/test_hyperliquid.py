"""Hyperliquid: what its frames mean, trap by trap, and the positions of its accounts."""

import asyncio
import json
import time

import pytest

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges._hyperliquid import (
    parse_forced,
    parse_funding,
    parse_instruments,
    parse_leaders,
    parse_positions,
)
from liqheat.exchanges._listed import Listed
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.hyperliquid import CANDLES, Hyperliquid
from liqheat.market.events import (
    DepthSnapshot,
    FundingRate,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Position,
)
from liqheat.market.instrument import SHIPPED, Instrument

AT = 1_786_539_552_700
HOUR = 3_600_000
BUYER, SELLER = "0x3c7a", "0x0153"
META = [
    {
        "universe": [
            {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
            {"name": "OLD", "szDecimals": 1, "maxLeverage": 3, "isDelisted": True},
            {"name": "DOGE", "szDecimals": 0, "maxLeverage": 10, "marginTableId": 10},
        ],
        "marginTables": [
            [56, {"description": "tiered", "marginTiers": [
                {"lowerBound": "0.0", "maxLeverage": 40},
                {"lowerBound": "150000000.0", "maxLeverage": 20},
            ]}],
        ],
    },
    [
        {"markPx": "64040.0", "openInterest": "38485.06", "funding": "0.0000125"},
        {"markPx": "1.0", "openInterest": "0.0", "funding": "0.0", "premium": None},
        {"markPx": "0.1234", "openInterest": "1.0", "funding": "0.0", "oraclePx": None},
    ],
]  # fmt: skip


def listed(symbol: str = "BTC") -> Instrument:
    return SHIPPED[f"hyperliquid:{symbol}"]


@pytest.fixture
def exchange() -> Hyperliquid:
    exchange = Hyperliquid(clock_ms=lambda: AT)
    exchange.listings.take([listed("BTC"), listed("ETH")])
    return exchange


def answer(exchange: Hyperliquid, **replies: object) -> list[dict]:
    """Let ``/info`` answer by type; returns what is asked."""
    asked: list[dict] = []

    async def post(path: str, body: dict, *, weight: float = 1.0) -> bytes:
        asked.append({**body, "weight": weight})
        reply = replies[body["type"]]
        reply = reply(body) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        return json.dumps(reply).encode()

    exchange.http.post = post
    return asked


def decoded(exchange: Hyperliquid, frame: object) -> list:
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return list(exchange.decode("ws", data, AT))


def trade(side: str = "B", tid: int = 1, **more: object) -> dict:
    row = {
        "coin": "BTC", "side": side, "px": "64097.0", "sz": "0.00033", "time": AT,
        "hash": "0x28", "tid": tid, "users": [BUYER, SELLER],
    }  # fmt: skip
    return {"channel": "trades", "data": [{**row, **more}]}


def context(now_funding: str = "0.0000125", coin: str = "BTC") -> dict:
    ctx = {
        "funding": now_funding, "openInterest": "38485.06546", "oraclePx": "64063.1",
        "markPx": "64040.0", "midPx": None, "premium": None, "impactPxs": None,
    }  # fmt: skip
    return {"channel": "activeAssetCtx", "data": {"coin": coin, "ctx": ctx}}


def state(*held: dict) -> dict:
    return {
        "assetPositions": [{"type": "oneWay", "position": one} for one in held],
        "time": AT,
    }


def held(szi: str, price: str | None, kind: str = "isolated", coin: str = "ETH") -> dict:
    return {
        "coin": coin, "szi": szi, "leverage": {"type": kind, "value": 20, "rawUsd": "-95.05"},
        "entryPx": "2986.3", "positionValue": "100.02", "liquidationPx": price,
    }  # fmt: skip


def test_trades_carry_buyer_and_seller_and_no_liquidation_flag(exchange):
    (event,) = decoded(exchange, trade("B"))
    assert (event.taker_side, event.price, event.qty) == ("buy", 64_097.0, 0.00033)
    (event,) = decoded(exchange, trade("A", 2))
    assert event.taker_side == "sell"
    assert set(exchange.positions.accounts) == {BUYER, SELLER}
    old = trade("A", 3)
    del old["data"][0]["users"]
    assert len(decoded(exchange, old)) == 1


def test_trades_told_twice_count_once(exchange):
    assert len(decoded(exchange, trade(tid=7))) == 1
    assert decoded(exchange, trade(tid=7)) == []
    assert decoded(exchange, trade(tid=8, coin="PEPE")) == []


def test_open_interest_is_in_base_units(exchange):
    mark, interest = decoded(exchange, context())
    assert mark == MarkPrice("hyperliquid:BTC", AT, 64_040.0, 64_063.1)
    assert interest == OpenInterest("hyperliquid:BTC", AT, 38_485.06546)


def test_funding_is_told_when_the_hour_is_over(exchange):
    decoded(exchange, context("0.00001"))
    assert not [
        e for e in decoded(exchange, context("0.00002")) if isinstance(e, FundingRate)
    ]
    frame = json.dumps(context("0.00003")).encode()
    rates = [
        e for e in exchange.decode("ws", frame, AT + HOUR) if isinstance(e, FundingRate)
    ]
    settled = (AT // HOUR + 1) * HOUR
    assert rates == [FundingRate("hyperliquid:BTC", settled, 0.00002)]


def test_liquidation_price_may_be_null():
    known = {"ETH": Listed(listed("ETH"))}
    data = json.dumps(state(held("0.0335", None), held("-2", "3100.5"))).encode()
    first, second = parse_positions(data, known, "0xa")
    assert (first.position_side, first.qty, first.liquidation_price) == (
        "long",
        0.0335,
        None,
    )
    assert (second.position_side, second.qty) == ("short", 2.0)
    assert second.liquidation_price == 3_100.5


def test_cross_position_has_no_leverage_as_its_price_does_not_depend_on_it():
    known = {"ETH": Listed(listed("ETH"))}
    data = json.dumps(state(held("1", "2800", "cross"), held("1", "2800"))).encode()
    cross, isolated = parse_positions(data, known, "0xa")
    assert (cross.leverage, isolated.leverage) == (None, 20.0)
    assert cross.liquidation_price == isolated.liquidation_price


def test_positions_in_other_coins_and_none_at_all_are_left_out():
    known = {"ETH": Listed(listed("ETH"))}
    rows = [held("1", "2800", coin="PEPE"), held("0.0", None)]
    data = json.dumps(state(*rows)).encode()
    assert parse_positions(data, known, "0xa") == []
    with pytest.raises(BadFrameError, match=r"szi"):
        parse_positions(json.dumps(state(held("NaN", None))).encode(), known, "0xa")


def test_liquidation_null_occurs_and_is_none():
    known = {"BTC": Listed(listed())}
    fill = {
        "coin": "BTC", "px": "66653.0", "sz": "0.001", "side": "A", "time": AT, "tid": 5,
        "startPosition": "-0.0213", "dir": "Open Short",
    }  # fmt: skip
    forced = {"liquidatedUser": "0x3608", "markPx": "66607.0", "method": "market"}
    rows = [{**fill, "liquidation": None}, fill, {**fill, "tid": 6, "liquidation": forced}]
    data = json.dumps(rows).encode()
    (dead,) = parse_forced(data, known, "0xmaker")
    # The account opened a short by selling: the liquidated one bought, and had been short.
    assert (dead.position_side, dead.price_kind, dead.mark_price) == (
        "short",
        "fill",
        66_607.0,
    )
    assert dead.completeness == "lower_bound"
    assert list(parse_forced(data, known, "0xmaker")) == []
    (dead,) = parse_forced(data, {"BTC": Listed(listed())}, "0x3608")
    assert dead.position_side == "long"


def test_ticks_follow_the_price_and_tiers_the_margin_table():
    btc, doge = parse_instruments(
        json.dumps(META).encode(), ("BTC", "OLD", "DOGE"), "2026-11-20"
    )
    assert (btc.name, btc.quote, btc.tick_size) == ("hyperliquid:BTC", "USDC", 1.0)
    assert btc.lot_size == pytest.approx(1e-5)
    assert [(t.notional_floor, t.max_leverage) for t in btc.tiers] == [(0, 40), (1.5e8, 20)]
    assert [t.maintenance_margin_rate for t in btc.tiers] == [0.0125, 0.025]
    assert btc.tiers[1].maintenance_amount == pytest.approx(1.5e8 * 0.0125)
    assert doge.tick_size == pytest.approx(1e-5)
    assert [(t.max_leverage, t.maintenance_margin_rate) for t in doge.tiers] == [(10, 0.05)]


def test_only_the_last_5000_candles_exist_so_older_bars_are_coarser(exchange):
    lengths = {"1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": HOUR}

    def candles(body: dict) -> list[dict]:
        req = body["req"]
        step = lengths[req["interval"]]
        first = max(-(-req["startTime"] // step) * step, AT - 5_000 * step)
        starts = range(first, min(req["endTime"], AT) + 1, step)
        row = {"o": "2", "h": "3", "l": "1", "c": "2", "v": "5", "n": 1}
        return [{"t": at // step * step, "T": at, **row} for at in starts]

    asked = answer(exchange, candleSnapshot=candles)
    day = 24 * HOUR
    call = exchange.fetch_history("hyperliquid:BTC", "bars", AT - 30 * day, AT)
    table = asyncio.run(call)
    starts, steps = (table[name].to_numpy() for name in ("start_ms", "interval_ms"))
    assert sorted(set(steps.tolist())) == [60_000, 300_000, 900_000]
    # No hole and no overlap between the intervals, and only closed bars.
    assert (starts[1:] == starts[:-1] + steps[:-1]).all()
    assert starts[0] <= AT - 30 * day + 900_000
    assert starts[-1] + steps[-1] <= AT < starts[-1] + 2 * steps[-1]
    assert (steps == 60_000).sum() <= CANDLES
    assert all(20 < one["weight"] <= 20 + 5_000 / 60 for one in asked)


def test_there_is_no_history_of_open_interest(exchange):
    for kind in ("open_interest", "mark", "liquidations", "long_short"):
        call = exchange.fetch_history("hyperliquid:BTC", kind, AT - HOUR, AT)
        assert asyncio.run(call) is None


def test_funding_history_is_of_whole_hours(exchange):
    at = AT // HOUR * HOUR
    row = {"coin": "BTC", "fundingRate": "0.0000125", "premium": "0", "time": at + 76}
    (rate,) = parse_funding(json.dumps([row]).encode(), Listed(listed()))
    assert rate == FundingRate("hyperliquid:BTC", at, 0.0000125)
    answer(exchange, fundingHistory=[row])
    call = exchange.fetch_history("hyperliquid:BTC", "funding", at - HOUR, at + 1)
    assert asyncio.run(call)["event_ms"].to_pylist() == [at]


def test_leaders_are_the_large_accounts_first():
    rows = [
        {"ethAddress": "0xa", "accountValue": "150000.5", "windowPerformances": []},
        {"ethAddress": "0xb", "accountValue": "9000000"},
        {"ethAddress": "0xc", "accountValue": "12"},
    ]
    data = json.dumps({"leaderboardRows": rows}).encode()
    assert parse_leaders(data, 100_000.0) == ["0xb", "0xa"]


def test_polls_measure_positions_within_the_weight_budget(exchange):
    decoded(exchange, context(coin="ETH"))
    decoded(exchange, trade())
    book = {"time": AT, "levels": [[{"px": "64000", "sz": "1", "n": 1}],
                                   [{"px": "64002", "sz": "2", "n": 1}]]}  # fmt: skip
    asked = answer(
        exchange, l2Book=book, clearinghouseState=state(held("0.0335", "2866.27")),
    )  # fmt: skip

    async def leaders(path: str, params: object = None, *, weight: float = 1.0) -> bytes:
        return json.dumps({"leaderboardRows": [
            {"ethAddress": f"0x{i:04}", "accountValue": "200000"} for i in range(500)
        ]}).encode()  # fmt: skip

    exchange._leaders_http.get = leaders
    events = asyncio.run(exchange.polls(["hyperliquid:BTC"]))
    assert any(isinstance(one, DepthSnapshot) for one in events)
    told = [one for one in events if isinstance(one, Position)]
    assert told
    assert told[0].instrument == "hyperliquid:ETH"
    polled = [one for one in asked if one["type"] == "clearinghouseState"]
    assert {one["weight"] for one in polled} == {2}
    # At most ten seconds' worth at once, of 40 % of 1,200 a minute.
    assert 2 * len(polled) <= 1_200 * 0.4 / 6
    assert exchange.positions.covered("hyperliquid:ETH")[0] == pytest.approx(
        0.0335 * len(polled)
    )


def test_one_accounts_failure_is_not_the_others(exchange):
    exchange.positions.see("0xbad", AT)
    exchange.positions.see("0xgood", AT)
    exchange._leaders_ms = exchange._depth_ms = AT

    def reply(body: dict) -> object:
        failed = ExchangeError("hyperliquid", "timed out")
        return failed if body["user"] == "0xbad" else state(held("1", "2800"))

    answer(exchange, clearinghouseState=reply)
    (told,) = asyncio.run(exchange.polls([]))
    assert told.account == "0xgood"
    assert exchange.counters["poll_errors"] == 1
    exchange.positions.see("0xnew", AT)
    answer(
        exchange, clearinghouseState=RefusedError("hyperliquid", "refused in this region")
    )
    exchange.our_ms = lambda: AT + 61_000
    exchange._leaders_ms = exchange._depth_ms = AT + 61_000
    with pytest.raises(RefusedError):
        asyncio.run(exchange.polls([]))


def test_a_large_inferred_liquidation_is_looked_up_in_the_fills(exchange):
    exchange._leaders_ms = exchange._depth_ms = 2**60
    known = exchange.listings.by_symbol
    data = json.dumps(state(held("100", "2866.27"))).encode()
    exchange.positions.take("0xa", parse_positions(data, known, "0xa"), AT, exchange.marks)
    exchange.marks.note("hyperliquid:ETH", AT + 1_000, 2_860.0)
    fill = {
        "coin": "ETH", "px": "2864", "sz": "100", "side": "A", "time": AT + 1_000, "tid": 9,
        "liquidation": {"liquidatedUser": "0xA", "markPx": "2865", "method": "market"},
    }  # fmt: skip
    exchange.our_ms = lambda: AT + 61_000
    exchange.positions.see("0xa", AT + 60_000)
    answer(exchange, clearinghouseState=state(), userFillsByTime=[fill])
    dead, gone = asyncio.run(exchange.polls([]))
    assert isinstance(dead, Liquidation)
    assert (dead.position_side, dead.price, dead.price_kind) == ("long", 2_864.0, "fill")
    assert gone.qty == 0.0


def test_subscriptions_follow_the_coins(exchange):
    (plan,) = exchange.sockets(["hyperliquid:BTC", "hyperliquid:ETH"])
    kinds = [json.loads(one)["subscription"]["type"] for one in plan.subscribe]
    assert kinds == ["trades", "activeAssetCtx"] * 2
    assert decoded(exchange, {"channel": "pong"}) == []
    assert decoded(exchange, {"channel": "subscriptionResponse", "data": {}}) == []
    with pytest.raises(ExchangeError, match="Invalid subscription"):
        decoded(exchange, {"channel": "error", "data": "Invalid subscription"})


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (trade(px="0"), "data[0].px"),
        (trade(side="X"), "data[0].side"),
        (trade(sz=""), "data[0].sz"),
        (trade(time=AT // 1000), "data[0].time"),
        ({"channel": "activeAssetCtx", "data": {"coin": "BTC", "ctx": {}}}, "ctx"),
        ({"channel": "gossip", "data": []}, "channel"),
        (b"null", ""),
    ],
)
def test_a_bad_frame_names_its_field(exchange, frame, field):
    with pytest.raises(BadFrameError) as caught:
        decoded(exchange, frame)
    assert caught.value.field == field


def test_a_frame_of_177_kb_is_told_apart_at_once(shared_data, exchange):
    frame = (
        shared_data / "frames" / "nautilus_hl_ws_all_dexs_asset_ctxs.json"
    ).read_bytes()
    start = time.process_time()  # other work on the machine does not count
    with pytest.raises(BadFrameError, match="allDexsAssetCtxs") as caught:
        decoded(exchange, frame)
    assert time.process_time() - start < 0.5
    assert len(str(caught.value)) < 1_000


def test_recorded_frames_parse(shared_data):
    text = (shared_data / "frames" / "tardis_hyperliquid.ndjson").read_text()
    frames = [json.loads(line) for line in text.splitlines()]
    text = (
        shared_data / "frames" / "hftbacktest_hyperliquid_btcusd_20250126.txt"
    ).read_text()
    frames += [json.loads(line.split(" ", 1)[1]) for line in text.splitlines()]
    documented = json.loads((shared_data / "frames" / "documented_shapes.json").read_text())
    frames += [documented[name] for name in documented if "hyperliquid_activeAsset" in name]
    frames += [documented[name] for name in documented if "hyperliquid_trades" in name]
    exchange = Hyperliquid()
    exchange.listings.take([listed("BTC")])
    current = [one for one in frames if one["channel"] in ("trades", "activeAssetCtx")]
    events = [event for one in current for event in decoded(exchange, one)]
    assert {type(one).__name__ for one in events} == {"Trade", "MarkPrice", "OpenInterest"}
    assert len(exchange.positions.accounts) > 5
    (name,) = (one for one in documented if "clearinghouseState" in one)
    known = {"ETH": Listed(listed("ETH"))}
    (position,) = parse_positions(json.dumps(documented[name]).encode(), known, "0xa")
    assert position.liquidation_price == 2_866.26936529
