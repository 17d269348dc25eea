"""Bitget: what its frames mean, trap by trap."""

import asyncio
import json

import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._bitget import (
    ForcedRow,
    is_in_quote,
    parse_instruments,
    parse_tiers,
    to_instrument,
)
from liqheat.exchanges._recent import Recent
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.bitget import Bitget
from liqheat.market.events import FundingRate, MarkPrice, OpenInterest
from liqheat.market.instrument import Instrument, tiers_from_rates
from tests.unit.adapters import Replies

AT = 1_777_358_880_084
TIERS = tiers_from_rates(((0.0, 1.5e5, 125.0, 0.004),))


def contract(symbol: str, coin: str, quote: str = "USDT", lot: float = 0.1) -> Instrument:
    return Instrument(
        "bitget", symbol, coin, quote, "inverse" if quote == "USD" else "linear", 0.1, lot,
        1.0, TIERS, "2026-11-20", "test",
    )  # fmt: skip


@pytest.fixture
def bitget() -> Bitget:
    exchange = Bitget(coins=("BTC", "APE"), clock_ms=lambda: AT)
    exchange.listings.take([
        contract("BTCUSDT", "BTC", lot=0.0001), contract("APEUSDT", "APE"),
        contract("BTCUSD", "BTC", "USD", 0.001),
    ])  # fmt: skip
    return exchange


def decoded(exchange: Bitget, frame: object) -> list:
    data = frame if isinstance(frame, bytes) else json.dumps(frame, separators=(",", ":"))
    return list(
        exchange.decode("ws", data if isinstance(data, bytes) else data.encode(), AT)
    )


def forced(**more: str) -> dict:
    row = {"symbol": "APEUSDT", "side": "buy", "price": "0.1649", "amount": "13.70319",
           "ts": "1777358886549"}  # fmt: skip
    arg = {"instType": "usdt-futures", "topic": "liquidation"}
    return {"action": "update", "arg": arg, "data": [{**row, **more}], "ts": AT}


def trades(action: str, *ids: str, symbol: str = "BTCUSDT", **more: object) -> dict:
    rows = [
        {
            "i": i,
            "p": "76631.3",
            "v": "0.01",
            "S": "buy",
            "T": str(AT),
            "isRPI": "no",
            **more,
        }
        for i in ids
    ]
    arg = {"instType": "usdt-futures", "topic": "publicTrade", "symbol": symbol}
    return {"action": action, "arg": arg, "data": rows, "ts": AT}


def ticker(symbol: str = "BTCUSDT", **fields: str) -> dict:
    arg = {"instType": "usdt-futures", "topic": "ticker", "symbol": symbol}
    return {"action": "snapshot", "arg": arg, "data": [fields], "ts": AT}


def test_buy_means_a_long_was_liquidated(bitget):
    (dead,) = decoded(bitget, forced())
    assert (dead.position_side, dead.completeness) == ("long", "sampled_1s_largest")
    (dead,) = decoded(bitget, forced(side="sell"))
    assert dead.position_side == "short"


def test_amount_is_in_the_quote_coin(bitget):
    (dead,) = decoded(bitget, forced())
    assert dead.qty == pytest.approx(83.1)
    assert dead.notional_usd == pytest.approx(13.70319)
    assert (dead.price, dead.price_kind) == (0.1649, "bankruptcy")


def test_unit_of_rest_amounts_is_told_by_whole_lots(bitget):
    def row(amount: float) -> ForcedRow:
        return ForcedRow("BTCUSDT", "buy", 64_000.5, amount, AT)

    assert is_in_quote([row(0.0123 * 64_000.5), row(5.0 * 64_000.5)], 0.0001) is True
    assert is_in_quote([row(0.0123), row(0.5)], 0.0001) is False
    assert is_in_quote([row(0.01234567)], 0.0001) is None
    assert is_in_quote([], 0.0001) is None
    # A size below a lot is no whole lot, though it rounds to one.
    assert is_in_quote([row(1e-9)], 0.0001) is None


def test_history_of_liquidations_needs_a_known_unit(bitget):
    row = {"symbol": "APEUSDT", "side": "buy", "price": "0.1649"}

    def asked(amount: str, ts: int = AT - 1_000) -> list[float]:
        page = {"list": [{**row, "amount": amount, "ts": str(ts)}], "cursor": ""}
        bitget.our_ms = lambda: ts + 1_000
        Replies({"/liquidations": {"code": "00000", "data": page}}).answer(bitget)
        call = bitget.fetch_history("bitget:APEUSDT", "liquidations", AT - 9_999, ts + 1)
        table = asyncio.run(call)
        return table if table is None else table["qty"].to_pylist()

    assert asked("13.70319") == pytest.approx([83.1])
    assert asked("83.1", AT + 2_000) == pytest.approx([83.1])
    # The same order in the other unit was told before.
    bitget._recent = Recent(bitget.clock_ms)
    assert asked("13.70319", AT + 2_000) == []
    # Neither unit gives whole lots: a gap, rather than a guess.
    assert asked("13.712345678", AT + 5_000) is None
    call = bitget.fetch_history("bitget:APEUSDT", "liquidations", 0, AT - 4 * 86_400_000)
    assert asyncio.run(call) is None


def test_first_frame_is_a_snapshot_whose_trades_count_once(bitget):
    assert len(decoded(bitget, trades("snapshot", "1", "2"))) == 2
    (event,) = decoded(bitget, trades("update", "2", "3", S="sell"))
    assert (event.taker_side, event.qty, event.event_ms) == ("sell", 0.01, AT)
    assert decoded(bitget, trades("update", "9", symbol="PEPEUSDT")) == []


def test_coin_margined_sizes_are_base_units_too(bitget):
    (event,) = decoded(bitget, trades("update", "1", symbol="BTCUSD"))
    assert event.qty == pytest.approx(0.01)
    fields = {"markPrice": "50000", "openInterest": "120.5"}
    _, interest = decoded(bitget, ticker("BTCUSD", **fields))
    assert interest.open_interest_qty == pytest.approx(120.5)
    (dead,) = decoded(bitget, forced(symbol="BTCUSD", price="50000", amount="1000"))
    assert (dead.qty, dead.notional_usd) == (pytest.approx(0.02), pytest.approx(1_000.0))


def test_ticker_gives_mark_interest_and_settled_funding(bitget):
    settles = AT + 1_000
    first = ticker(
        markPrice="76631.3", indexPrice="76671.4381686055379793", openInterest="29539.3825",
        fundingRate="-0.00003", nextFundingTime=str(settles), deliveryTime="",
    )  # fmt: skip
    mark, interest = decoded(bitget, first)
    assert mark == MarkPrice("bitget:BTCUSDT", AT, 76_631.3, 76_671.4381686055379793)
    assert interest == OpenInterest("bitget:BTCUSDT", AT, 29_539.3825)
    after = ticker(fundingRate="0.0001", nextFundingTime=str(settles + 28_800_000))
    assert decoded(bitget, after) == [FundingRate("bitget:BTCUSDT", settles, -0.00003)]


def test_subscriptions_have_at_most_five_channels(bitget):
    (plan,) = bitget.sockets(["bitget:BTCUSDT", "bitget:APEUSDT", "bitget:BTCUSD"])
    orders = [json.loads(one)["args"] for one in plan.subscribe]
    assert [len(args) for args in orders] == [5, 3]
    flat = [arg for args in orders for arg in args]
    assert {"instType": "usdt-futures", "topic": "liquidation"} in flat
    assert {"instType": "coin-futures", "topic": "liquidation"} in flat
    assert (plan.ping, plan.is_pong(b"pong")) == ("ping", True)


def test_answers_are_silent_and_a_refused_subscription_is_not(bitget):
    arg = {"instType": "usdt-futures", "topic": "publicTrade", "symbol": "BTCUSDT"}
    assert decoded(bitget, {"event": "subscribe", "arg": arg}) == []
    refused = {"event": "error", "arg": arg, "code": 30001, "msg": "param error"}
    with pytest.raises(ExchangeError, match="publicTrade BTCUSDT refused: param error"):
        decoded(bitget, refused)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (forced(amount="0"), "[0].amount"),
        (forced(side="long"), "[0].side"),
        (forced(ts="1777358886"), "[0].ts"),
        (trades("update", "1", p="-1"), "data[0].p"),
        (ticker(markPrice="x"), "[0].markPrice"),
        ({"arg": {"topic": "gossip"}, "data": []}, "arg.topic"),
        (b"[1]", ""),
    ],
)
def test_a_bad_frame_names_its_field(bitget, frame, field):
    with pytest.raises(BadFrameError) as caught:
        decoded(bitget, frame)
    assert caught.value.field == field


def test_instruments_and_tiers():
    def row(symbol: str, **more: str) -> dict:
        return {
            "symbol": symbol, "baseCoin": "BTC", "quoteCoin": "USDT", "type": "perpetual",
            "priceMultiplier": "0.1", "quantityMultiplier": "0.0001", "status": "online",
            "maxLeverage": "150", **more,
        }  # fmt: skip

    rows = [
        row("BTCUSDT"), row("BTCUSDT260327", type="delivery"), row("OLD", status="offline"),
        row("BTCUSD", quoteCoin="USD"), row("PEPEUSDT", baseCoin="PEPE"),
    ]  # fmt: skip
    found = parse_instruments(json.dumps(rows).encode(), ("BTC",))
    made = [to_instrument(one, TIERS, "2026-11-20") for one in found]
    assert [(one.name, one.settlement) for one in made] == [
        ("bitget:BTCUSDT", "linear"), ("bitget:BTCUSD", "inverse"),
    ]  # fmt: skip
    assert (made[0].tick_size, made[0].lot_size) == (0.1, 0.0001)
    tiers = [
        {"tier": "2", "minTierValue": "150000", "maxTierValue": "900000", "leverage": "100",
         "mmr": "0.005"},
        {"tier": "1", "minTierValue": "0", "maxTierValue": "150000", "leverage": "125",
         "mmr": "0.004"},
    ]  # fmt: skip
    first, second = parse_tiers(json.dumps(tiers).encode())
    assert second.maintenance_amount == pytest.approx(150.0)
    assert first.max_leverage == 125.0
    with pytest.raises(BadFrameError, match="no margin tiers"):
        parse_tiers(b"[]")


def test_history_is_asked_in_pages_of_what_is_given(bitget):
    now = AT // 60_000 * 60_000
    bitget.our_ms = lambda: now + 5_000

    def candles(params: dict) -> dict:
        first = -(-params["startTime"] // 60_000) * 60_000
        starts = range(first, params["endTime"] + 1, 60_000)
        assert len(starts) <= params["limit"]
        rows = [[str(at), "2", "4", "1", "3", "10", "30"] for at in starts]
        return {"code": "00000", "data": rows[::-1]}

    replies = Replies({"candles": candles})
    replies.answer(bitget)
    start = now - 1_500 * 60_000
    table = asyncio.run(bitget.fetch_history("bitget:BTCUSDT", "bars", start, now + 60_000))
    assert table["start_ms"].to_pylist() == list(range(start, now, 60_000))
    assert table["mark_low"].to_pylist()[0] == 1.0
    assert {one["limit"] for one in replies.asked("/market/candles")} == {1_000}
    old = now - 60 * 86_400_000
    call = bitget.fetch_history("bitget:BTCUSDT", "mark", old, old + 200 * 60_000)
    assert asyncio.run(call).num_rows == 200
    assert {one["limit"] for one in replies.asked("history-candles")} == {100}


def test_other_history(bitget):
    rate = {"symbol": "BTCUSDT", "fundingRate": "0.0001", "fundingRateTimestamp": str(AT)}
    ratio = {"longShortAccountRatio": "1.5", "ts": str(AT)}
    Replies({
        "history-fund-rate": {"code": "00000", "data": {"resultList": [rate]}},
        "account-long-short": {"code": "00000", "data": [ratio]},
    }).answer(bitget)  # fmt: skip

    def rows(kind: str) -> object:
        call = bitget.fetch_history("bitget:BTCUSDT", kind, AT - 10, AT + 1)
        return asyncio.run(call)

    assert rows("funding")["funding_rate"].to_pylist() == [0.0001]
    assert rows("long_short")["accounts_ratio"].to_pylist() == [1.5]
    assert rows("open_interest") is None
    Replies({"history": {"code": "40034", "msg": "no such symbol"}}).answer(bitget)
    with pytest.raises(ExchangeError, match=r"no such symbol \(40034\)"):
        rows("funding")


def test_recorded_frames_parse(shared_data):
    lines = (shared_data / "frames" / "tardis_bitget-v3.ndjson").read_text().splitlines()
    frames = [json.loads(line) for line in lines]
    bitget = Bitget()
    bitget.listings.coins = frozenset(("BTC", "APE", "IP"))
    bitget.listings.take([
        contract("BTCUSDT", "BTC"), contract("APEUSDT", "APE"), contract("IPUSDT", "IP"),
    ])  # fmt: skip
    known = ("publicTrade", "ticker", "liquidation")
    current = [one for one in frames if one["arg"]["topic"] in known]
    events = [event for one in current for event in decoded(bitget, one)]
    kinds = [type(one).__name__ for one in events]
    # The snapshot repeats the update's trade.
    assert kinds == ["Trade", "MarkPrice", "OpenInterest", "Liquidation", "Liquidation"]
    assert [one.qty for one in events[-2:]] == pytest.approx([83.1, 286.5], rel=1e-6)
