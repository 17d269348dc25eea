"""Bybit: what its frames mean, trap by trap."""

import asyncio
import json

import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._bybit import (
    parse_bars,
    parse_contracts,
    parse_interest,
    parse_liquidations,
    parse_tiers,
    parse_trades,
    to_instrument,
)
from liqheat.exchanges._listed import Listed
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.bybit import Bybit
from liqheat.market.events import FundingRate, MarkPrice, OpenInterest
from liqheat.market.instrument import Instrument, tiers_from_rates
from liqheat.market.margin import liquidation_price, tier_at
from tests.unit.adapters import Replies

AT = 1_786_540_397_684
TIERS = tiers_from_rates(((0.0, 3e5, 150.0, 0.0033),))


def contract(symbol: str, coin: str = "BTC") -> Instrument:
    inverse = symbol == f"{coin}USD"
    return Instrument(
        "bybit", symbol, coin, "USD" if inverse else "USDT",
        "inverse" if inverse else "linear", 0.1, 0.001, 1.0, TIERS, "2026-09-25", "test",
    )  # fmt: skip


@pytest.fixture
def bybit() -> Bybit:
    exchange = Bybit(coins=("BTC", "ROSE"))
    exchange.listings.take(
        [contract("BTCUSDT"), contract("BTCUSD"), contract("ROSEUSDT", "ROSE")]
    )
    return exchange


def decoded(exchange: Bybit, frame: object) -> list:
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return list(exchange.decode("linear", data, AT))


def liquidations(*rows: dict, ts: int = AT) -> dict:
    return {"topic": "allLiquidation.ROSEUSDT", "type": "snapshot", "ts": ts, "data": rows}


def rose(side: str, **more: object) -> dict:
    return {"T": AT, "s": "ROSEUSDT", "S": side, "v": "20000", "p": "0.04499", **more}


def ticker(kind: str = "delta", symbol: str = "BTCUSDT", **fields: str) -> dict:
    data = {"symbol": symbol, **fields}
    return {"topic": f"tickers.{symbol}", "type": kind, "data": data, "cs": 1, "ts": AT}


def test_buy_means_a_long_was_liquidated(bybit):
    (dead,) = decoded(bybit, liquidations(rose("Buy")))
    assert dead.position_side == "long"
    (dead,) = decoded(bybit, liquidations(rose("Sell")))
    assert dead.position_side == "short"


def test_liquidation_price_is_the_bankruptcy_price_and_the_notional_is_at_the_mark(bybit):
    decoded(bybit, ticker("snapshot", "ROSEUSDT", markPrice="0.046"))
    (dead,) = decoded(bybit, liquidations(rose("Sell")))
    assert (dead.price, dead.price_kind, dead.mark_price) == (0.04499, "bankruptcy", 0.046)
    assert (dead.qty, dead.completeness) == (20_000.0, "full")
    assert dead.notional_usd == pytest.approx(20_000 * 0.046)


def test_equal_liquidations_in_one_frame_are_two_and_a_repeated_frame_is_none(bybit):
    frame = liquidations(rose("Buy"), rose("Buy"), rose("Buy", v="1"))
    assert len(decoded(bybit, frame)) == 3
    assert decoded(bybit, frame) == []
    # A frame with one more of the same: that one is new.
    assert len(decoded(bybit, liquidations(rose("Buy"), rose("Buy"), rose("Buy")))) == 1


def test_open_interest_is_one_side(bybit):
    single = ticker(openInterest="57798.137", singleOpenInterest="28899.069")
    (event,) = decoded(bybit, single)
    assert event == OpenInterest("bybit:BTCUSDT", AT, 28_899.069)
    (event,) = decoded(bybit, ticker(openInterest="57798.138"))
    assert event.open_interest_qty == pytest.approx(28_899.069)


def test_inverse_open_interest_and_sizes_are_usd(bybit):
    first = ticker("snapshot", "BTCUSD", markPrice="50000", openInterest="400000000")
    mark, interest = decoded(bybit, first)
    assert isinstance(mark, MarkPrice)
    assert interest.open_interest_qty == pytest.approx(200_000_000 / 50_000)
    trade = {"T": AT, "s": "BTCUSD", "S": "Sell", "v": "5823", "p": "50000", "i": "a"}
    (event,) = decoded(bybit, {"topic": "publicTrade.BTCUSD", "ts": AT, "data": [trade]})
    assert (event.taker_side, event.qty) == ("sell", pytest.approx(5823 / 50_000))
    row = {"T": AT, "s": "BTCUSD", "S": "Buy", "v": "1000", "p": "49000"}
    (dead,) = decoded(bybit, liquidations(row))
    assert (dead.notional_usd, dead.qty) == (pytest.approx(1000.0), pytest.approx(1 / 49))


def test_inverse_open_interest_is_not_converted_at_an_old_price(bybit):
    trade = {"T": AT - 10**8, "s": "BTCUSD", "S": "Sell", "v": "1", "p": "30000", "i": "a"}
    decoded(bybit, {"topic": "publicTrade.BTCUSD", "ts": AT, "data": [trade]})
    assert decoded(bybit, ticker(symbol="BTCUSD", openInterest="400000000")) == []
    both = ticker(symbol="BTCUSD", markPrice="50000", openInterest="400000000")
    assert decoded(bybit, both)[1].open_interest_qty == pytest.approx(4_000.0)


def test_ticker_deltas_keep_what_they_leave_out(bybit):
    snapshot = ticker(
        "snapshot", markPrice="63958.60", indexPrice="63986.67", fundingRate="0.0000544",
        nextFundingTime=str(AT + 10_000), openInterest="", singleOpenInterest="",
    )  # fmt: skip
    assert decoded(bybit, snapshot) == [MarkPrice("bybit:BTCUSDT", AT, 63_958.6, 63_986.67)]
    assert decoded(bybit, ticker(indexPrice="64000")) == []
    (mark,) = decoded(bybit, ticker(markPrice="63990"))
    assert (mark.mark_price, mark.index_price) == (63_990.0, 64_000.0)


def test_funding_is_told_when_it_settles_never_before(bybit):
    settles = AT + 10_000
    first = ticker("snapshot", fundingRate="0.0001", nextFundingTime=str(settles))
    assert decoded(bybit, first) == []
    assert decoded(bybit, ticker(fundingRate="0.0002")) == []
    after = ticker(nextFundingTime=str(settles + 8 * 3_600_000), fundingRate="0.0003")
    assert decoded(bybit, after) == [FundingRate("bybit:BTCUSDT", settles, 0.0002)]


def test_trades_told_twice_count_once(bybit):
    row = {"T": AT, "s": "BTCUSDT", "S": "Buy", "v": "0.5", "p": "64000", "i": "x", "BT": 0}
    frame = {"topic": "publicTrade.BTCUSDT", "ts": AT, "data": [row, {**row, "i": "y"}]}
    assert len(decoded(bybit, frame)) == 2
    assert decoded(bybit, frame) == []


def test_answers_are_silent_and_a_refused_subscription_is_not(bybit):
    assert decoded(bybit, {"success": True, "ret_msg": "", "op": "subscribe"}) == []
    assert decoded(bybit, {"success": True, "ret_msg": "pong", "op": "ping"}) == []
    refused = {"success": False, "ret_msg": "error:handler not found", "op": "subscribe"}
    with pytest.raises(ExchangeError, match="handler not found"):
        decoded(bybit, refused)


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (liquidations(rose("Buy", v="0")), "[0].v"),
        (liquidations(rose("Both")), "[0].S"),
        (liquidations(rose("Buy", T=1_739_502_302)), "[0].T"),
        (ticker(markPrice="-1"), "markPrice"),
        (ticker(openInterest="NaN"), "openInterest"),
        (b'{"topic":"publicTrade.BTCUSDT","data":[{}]}', "data[0]"),
        (b'{"topic":"publicTrade.BTCUSDT"}', ""),
        (b'{"topic":"secret.BTCUSDT","data":[]}', "topic"),
    ],
)
def test_a_bad_frame_names_its_field(bybit, frame, field):
    with pytest.raises(BadFrameError) as caught:
        decoded(bybit, frame)
    assert caught.value.field == field
    assert str(caught.value).startswith("bybit ")


def test_margin_tiers_join_and_inverse_ones_are_in_coins():
    rows = [
        {"riskLimitValue": "2000000", "maintenanceMargin": "0.005", "maxLeverage": "100.00",
         "mmDeduction": "510"},
        {"riskLimitValue": "300000", "maintenanceMargin": "0.0033", "maxLeverage": "150.00",
         "mmDeduction": ""},
    ]  # fmt: skip
    first, second = parse_tiers(json.dumps({"list": rows}).encode())
    assert (first.maintenance_amount, second.maintenance_amount) == (0.0, 510.0)
    edge = first.notional_cap
    assert edge * 0.0033 == pytest.approx(edge * 0.005 - 510.0)
    coins = parse_tiers(json.dumps({"list": rows[1:]}).encode(), 64_000.0)
    assert coins[0].notional_cap == 300_000 * 64_000.0
    with pytest.raises(BadFrameError, match="no margin tiers"):
        parse_tiers(b'{"list":[]}')
    assert tier_at((first, second), 5e5) is second
    assert liquidation_price(64_000, 100, 0.005, is_long=True) < 64_000


def test_only_trading_perpetuals_of_the_coins_are_listed():
    def row(symbol: str, kind: str, status: str = "Trading", coin: str = "BTC") -> dict:
        return {
            "symbol": symbol, "contractType": kind, "status": status, "baseCoin": coin,
            "quoteCoin": "USDT", "priceFilter": {"tickSize": "0.10"},
            "lotSizeFilter": {"qtyStep": "0.001"},
        }  # fmt: skip

    rows = [
        row("BTCUSDT", "LinearPerpetual"), row("BTCUSD", "InversePerpetual"),
        row("BTCUSDTZ26", "LinearFutures"), row("PEPEUSDT", "LinearPerpetual", coin="PEPE"),
        row("BTCPERP", "LinearPerpetual", "Closed"),
    ]  # fmt: skip
    found = parse_contracts(json.dumps({"list": rows}).encode(), ["BTC"])
    made = [to_instrument(each, TIERS, "2026-11-20") for each in found]
    assert [(one.name, one.settlement) for one in made] == [
        ("bybit:BTCUSDT", "linear"),
        ("bybit:BTCUSD", "inverse"),
    ]
    assert (made[0].tick_size, made[0].lot_size, made[0].contract_size) == (0.1, 0.001, 1.0)
    assert made[0].tiers_as_of == "2026-11-20"


def test_history_rows_newest_first_become_bars_with_the_marks_range():
    row = [
        str(AT // 60_000 * 60_000),
        "17071",
        "17073",
        "17027",
        "17055.5",
        "268611",
        "15.74",
    ]
    mark = [row[0], "17070", "17074", "17026", "17055"]
    page, marks = (json.dumps({"list": [each]}).encode() for each in (row, mark))
    (bar,) = parse_bars(page, marks, Listed(contract("BTCUSDT")))
    assert (bar.qty, bar.mark_high, bar.mark_low) == (268_611.0, 17_074.0, 17_026.0)
    (bar,) = parse_bars(page, b'{"list":[]}', Listed(contract("BTCUSD")))
    assert bar.qty * bar.close == pytest.approx(268_611.0)
    assert (bar.mark_high, bar.mark_low) == (None, None)


def test_history_of_open_interest_is_one_side_at_the_close_then_known():
    rows = [
        {"openInterest": "400000000", "timestamp": str(AT)},
        {
            "openInterest": "400000000",
            "singleOpenInterest": "200000001",
            "timestamp": str(AT),
        },
    ]
    page = json.dumps({"list": rows}).encode()
    inverse, linear = Listed(contract("BTCUSD")), Listed(contract("BTCUSDT"))
    assert list(parse_interest(page, inverse, {})) == []
    found = [one.open_interest_qty for one in parse_interest(page, inverse, {AT: 50_000.0})]
    assert found == pytest.approx([4_000.0, 200_000_001 / 50_000])
    found = [one.open_interest_qty for one in parse_interest(page, linear, {})]
    assert found == [200_000_000.0, 200_000_001.0]


def test_sockets_follow_the_categories(bybit):
    plans = bybit.sockets(["bybit:BTCUSDT", "bybit:BTCUSD"])
    assert [plan.url.rsplit("/", 1)[1] for plan in plans] == ["linear", "inverse"]
    assert json.loads(plans[1].subscribe[0])["args"] == [
        "publicTrade.BTCUSD", "tickers.BTCUSD", "allLiquidation.BTCUSD",
    ]  # fmt: skip


def test_recorded_frames_parse(shared_data):
    lines = (shared_data / "frames" / "tardis_bybit.ndjson").read_text().splitlines()
    frames = [json.loads(line) for line in lines]
    current = [
        one for one in frames
        if one.get("topic", "").startswith(("publicTrade", "tickers", "allLiquidation"))
    ]  # fmt: skip
    assert len(current) > 8
    made = [contract(one["topic"].split(".")[1], "BTC") for one in current]
    bybit = Bybit()
    bybit.listings.take(made)
    events = [event for one in current for event in decoded(bybit, one)]
    kinds = {type(event).__name__ for event in events}
    assert kinds == {"Trade", "MarkPrice", "OpenInterest", "Liquidation"}
    dead = [event for event in events if type(event).__name__ == "Liquidation"]
    # The same frame was recorded twice.
    assert [(one.position_side, one.price, one.qty) for one in dead] == [
        ("short", 0.02456, 2846.0)
    ]


def result(*rows: object) -> dict:
    return {"retCode": 0, "retMsg": "OK", "result": {"list": rows}, "time": AT}


def test_history_is_asked_in_pages_and_ends_with_the_last_closed_bar(bybit):
    now = AT // 60_000 * 60_000 + 30_000
    bybit.our_ms = lambda: now

    def klines(params: dict) -> dict:
        starts = range(params["end"] // 60_000 * 60_000, params["start"] - 1, -60_000)
        return result(*([str(at), "2", "4", "1", "3", "10", "30"] for at in starts))

    replies = Replies({"/kline": klines, "/mark-price-kline": klines})
    replies.answer(bybit)
    start = now - now % 60_000 - 2_500 * 60_000
    table = asyncio.run(bybit.fetch_history("bybit:BTCUSDT", "bars", start, now + 60_000))
    assert table["start_ms"].to_pylist() == list(range(start, now - 30_000, 60_000))
    assert set(table["mark_high"].to_pylist()) == {4.0}
    assert len(replies.asked("/kline")) == 3
    marks = asyncio.run(
        bybit.fetch_history("bybit:BTCUSDT", "mark", start, start + 120_000)
    )
    assert marks["event_ms"].to_pylist() == [start, start + 60_000]


def test_the_other_kinds_of_history(bybit):
    bybit.our_ms = lambda: AT
    at = AT // 300_000 * 300_000 - 600_000
    Replies({
        "/open-interest": result({"openInterest": "8", "timestamp": str(at)}),
        "/funding/history": result(
            {"fundingRate": "0.0001", "fundingRateTimestamp": str(at)}
        ),
        "/account-ratio": result(
            {"buyRatio": "0.6", "sellRatio": "0.4", "timestamp": str(at)}
        ),
        "/kline": result([str(at - 300_000), "2", "4", "1", "2", "10", "30"]),
    }).answer(bybit)  # fmt: skip

    def last(name: str, kind: str, column: str) -> float:
        table = asyncio.run(bybit.fetch_history(f"bybit:{name}", kind, at, at + 1))
        return table[column].to_pylist()[-1]

    assert last("BTCUSDT", "open_interest", "open_interest_qty") == 4.0
    assert last("BTCUSD", "open_interest", "open_interest_qty") == 2.0
    assert last("BTCUSDT", "funding", "funding_rate") == 0.0001
    assert last("BTCUSDT", "long_short", "accounts_ratio") == pytest.approx(1.5)
    nothing = bybit.fetch_history("bybit:BTCUSDT", "liquidations", at, at + 1)
    assert asyncio.run(nothing) is None


def test_an_error_within_a_good_answer_is_raised(bybit):
    Replies({"/": {"retCode": 10001, "retMsg": "params error", "result": {}}}).answer(bybit)
    with pytest.raises(ExchangeError, match="bybit: kline: params error"):
        asyncio.run(bybit.fetch_history("bybit:BTCUSDT", "bars", AT - 10**6, AT))


def test_polls_give_coarse_books_and_ratios_every_five_minutes(bybit):
    book = {"s": "BTCUSD", "ts": AT, "b": [["49999", "100000"]], "a": [["50001", "50000"]]}
    Replies({
        "/orderbook": {"retCode": 0, "retMsg": "OK", "result": book},
        "/account-ratio": result(
            {"buyRatio": "0.6", "sellRatio": "0.4", "timestamp": str(AT)}
        ),
    }).answer(bybit)  # fmt: skip
    depth, ratio = asyncio.run(bybit.polls(["bybit:BTCUSD"]))
    assert depth.bids[0] == pytest.approx((49_999.0, 2.0))
    assert ratio.accounts_ratio == pytest.approx(1.5)
    bybit.our_ms = lambda at=bybit._ratio_ms: at
    assert len(asyncio.run(bybit.polls(["bybit:BTCUSD"]))) == 1


def test_parsing_needs_no_adapter():
    known = {"BTCUSDT": Listed(contract("BTCUSDT"))}
    data = json.dumps(
        [{"T": AT, "s": "BTCUSDT", "S": "Sell", "v": 0.5, "p": 64000, "i": "x"}]
    ).encode()
    (trade,) = parse_trades(b'{"data":' + data + b"}", known)
    assert (trade.instrument, trade.taker_side, trade.qty) == ("bybit:BTCUSDT", "sell", 0.5)
    (dead,) = parse_liquidations(data, {"BTCUSDT": Listed(contract("BTCUSDT"))})
    assert dead.mark_price is None
    assert dead.notional_usd == 32_000.0
