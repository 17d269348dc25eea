"""dYdX: what its frames mean, trap by trap."""

import asyncio
import json
import time

import pytest

from liqheat.errors import ExchangeError
from liqheat.exchanges._dydx import parse_instruments
from liqheat.exchanges._wire import BadFrameError
from liqheat.exchanges.dydx import Dydx
from liqheat.market.events import FundingRate, Liquidation, MarkPrice, OpenInterest, Trade
from liqheat.market.instrument import Instrument, tiers_from_rates
from tests.unit.adapters import Replies

AT = 1_724_371_199_851
HOUR = 3_600_000


def iso(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)) + f".{at % 1000:03}Z"


def contract(symbol: str = "BTC-USD") -> Instrument:
    return Instrument(
        "dydx", symbol, symbol.split("-")[0], "USD", "linear", 1.0, 0.0001, 1.0,
        tiers_from_rates(((0.0, 1e12, 20.0, 0.03),)), "2026-11-20", "test",
    )  # fmt: skip


@pytest.fixture
def dydx() -> Dydx:
    exchange = Dydx(clock_ms=lambda: AT)
    exchange.listings.take([contract(), contract("ETH-USD")])
    return exchange


def decoded(exchange: Dydx, frame: object, at: int = AT) -> list:
    data = frame if isinstance(frame, bytes) else json.dumps(frame).encode()
    return list(exchange.decode("ws", data, at))


def row(number: int = 1, at: int = AT, **more: object) -> dict:
    return {
        "id": f"0165{number:04}", "size": "3.9", "price": "60000", "side": "SELL",
        "createdAt": iso(at), "type": "LIMIT", "createdAtHeight": "1", **more,
    }  # fmt: skip


def trades(*rows: dict, kind: str = "channel_data", symbol: str = "BTC-USD") -> dict:
    return {
        "type": kind, "connection_id": "a", "message_id": 3, "id": symbol,
        "channel": "v4_trades", "version": "2.1.0", "contents": {"trades": list(rows)},
    }  # fmt: skip


def markets(kind: str = "channel_data", **contents: object) -> dict:
    return {"type": kind, "channel": "v4_markets", "message_id": 1, "contents": contents}


def test_sell_taker_means_a_long_was_liquidated(dydx):
    trade, dead = decoded(dydx, trades(row(type="LIQUIDATED")))
    assert (trade.taker_side, trade.qty, trade.event_ms) == ("sell", 3.9, AT)
    assert (dead.position_side, dead.price, dead.price_kind) == ("long", 60_000.0, "fill")
    assert (dead.completeness, dead.qty) == ("full", 3.9)
    _, dead = decoded(dydx, trades(row(2, side="BUY", type="LIQUIDATED")))
    assert dead.position_side == "short"


def test_deleveraged_is_forced_too_but_no_trade_of_the_book(dydx):
    (dead,) = decoded(dydx, trades(row(type="DELEVERAGED")))
    assert isinstance(dead, Liquidation)
    assert dead.price_kind == "bankruptcy"


def test_snapshot_comes_newest_first_and_its_trades_count_once(dydx):
    first = trades(row(3, AT + 2), row(2, AT + 1), row(1, AT), kind="subscribed")
    assert [one.event_ms for one in decoded(dydx, first)] == [AT, AT + 1, AT + 2]
    again = decoded(dydx, trades(row(3, AT + 2), row(4, AT + 3)))
    assert [one.event_ms for one in again] == [AT + 3]
    assert decoded(dydx, trades(row(9), symbol="PEPE-USD")) == []


def test_batches_are_taken_apart(dydx):
    frame = trades(row(1), kind="channel_batch_data")
    frame["contents"] = [{"trades": [row(1)]}, {"trades": [row(2)]}]
    assert [type(one) for one in decoded(dydx, frame)] == [Trade, Trade]


def test_oracle_price_is_the_mark_price(dydx):
    oracle = {"oraclePrice": "2623.35", "effectiveAt": iso(AT - 9), "marketId": 1}
    (mark,) = decoded(dydx, markets(oraclePrices={"ETH-USD": oracle, "PEPE-USD": oracle}))
    assert mark == MarkPrice("dydx:ETH-USD", AT - 9, 2_623.35, 2_623.35)


def test_markets_come_whole_and_then_what_changed(dydx):
    whole = {"BTC-USD": {"oraclePrice": "60387.5", "openInterest": "648.2389",
                         "nextFundingRate": "0.0000135", "ticker": "BTC-USD"}}  # fmt: skip
    mark, interest = decoded(dydx, markets("subscribed", markets=whole))
    assert (mark.mark_price, interest.open_interest_qty) == (60_387.5, 648.2389)
    changed = {"BTC-USD": {"id": "1", "openInterest": "649"}}
    assert decoded(dydx, markets(trading=changed)) == [
        OpenInterest("dydx:BTC-USD", AT, 649.0)
    ]
    later = {"BTC-USD": {"nextFundingRate": "0.00002"}}
    settled = (AT // HOUR + 1) * HOUR
    rates = decoded(dydx, markets(trading=later), AT + HOUR)
    assert rates == [FundingRate("dydx:BTC-USD", settled, 0.0000135)]


def test_subscriptions_and_answers(dydx):
    (plan,) = dydx.sockets(["dydx:BTC-USD"])
    assert [json.loads(one)["channel"] for one in plan.subscribe] == [
        "v4_markets",
        "v4_trades",
    ]
    assert decoded(dydx, {"type": "connected", "connection_id": "a"}) == []
    with pytest.raises(ExchangeError, match="Invalid channel"):
        decoded(dydx, {"type": "error", "message": "Invalid channel"})


@pytest.mark.parametrize(
    ("frame", "field"),
    [
        (trades(row(price="0")), "contents.trades[0].price"),
        (trades(row(side="HOLD")), "contents.trades[0].side"),
        (trades(row(createdAt="yesterday")), "contents.trades[0].createdAt"),
        (trades(row(createdAt="1970-01-01T00:00:00Z")), "createdAt"),
        (trades(row(createdAt="2024-08-22T23:59:59")), "contents.trades[0].createdAt"),
        (markets(trading={"BTC-USD": {"openInterest": "-1"}}),
         "contents.trading[...].openInterest"),
        ({"type": "channel_data", "channel": "v4_gossip", "contents": {}}, "channel"),
        ({"type": "gossip"}, "type"),
        (b"{}", ""),
    ],
)  # fmt: skip
def test_a_bad_frame_names_its_field(dydx, frame, field):
    with pytest.raises(BadFrameError) as caught:
        decoded(dydx, frame)
    assert caught.value.field == field


def test_instruments_have_one_tier_of_their_fractions():
    market = {
        "ticker": "BTC-USD", "status": "ACTIVE", "oraclePrice": "60387.5", "tickSize": "1",
        "initialMarginFraction": "0.05", "maintenanceMarginFraction": "0.03",
        "stepSize": "0.0001",
    }  # fmt: skip
    rows = {
        "BTC-USD": market, "ETH-USD": {**market, "status": "FINAL_SETTLEMENT"},
        "PEPE-USD": market,
    }  # fmt: skip
    (found,) = parse_instruments(
        json.dumps({"markets": rows}).encode(), ("BTC", "ETH"), "2026-11-20"
    )
    assert (found.name, found.coin, found.quote) == ("dydx:BTC-USD", "BTC", "USD")
    assert (found.tiers[0].max_leverage, found.tiers[0].maintenance_margin_rate) == (
        20,
        0.03,
    )
    rows["BTC-USD"] = {**market, "maintenanceMarginFraction": "0.06"}
    with pytest.raises(BadFrameError, match="maintenance < initial"):
        parse_instruments(json.dumps({"markets": rows}).encode(), ("BTC",), "2026-11-20")


def test_history_of_bars_and_of_open_interest(dydx):
    now = AT // 60_000 * 60_000
    dydx.our_ms = lambda: now + 30_000

    def candles(params: dict) -> dict:
        low, high = params["fromISO"], params["toISO"]
        starts = [at for at in range(now - 4_000 * 60_000, now + 1, 60_000)]
        rows = [
            {"startedAt": iso(at), "open": "2", "high": "4", "low": "1", "close": "3",
             "baseTokenVolume": "7", "startingOpenInterest": "650", "trades": 1}
            for at in starts if low <= iso(at) < high
        ]  # fmt: skip
        assert len(rows) <= int(params["limit"])
        return {"candles": rows[::-1]}

    Replies({"/candles": candles}).answer(dydx)
    start = now - 2_500 * 60_000
    table = asyncio.run(dydx.fetch_history("dydx:BTC-USD", "bars", start, now + 60_000))
    assert table["start_ms"].to_pylist() == list(range(start, now, 60_000))
    assert table["taker_buy_qty"].null_count == table.num_rows
    table = asyncio.run(dydx.fetch_history("dydx:BTC-USD", "open_interest", start, now))
    assert set(table["open_interest_qty"].to_pylist()) == {650.0}


def test_history_of_funding_and_liquidations(dydx):
    hour = AT // HOUR * HOUR
    every = [row(i, AT - i * 1_000) for i in range(2_500)]
    every[1_200]["type"] = every[2_400]["type"] = "LIQUIDATED"

    def page(params: dict) -> dict:
        return {"trades": [
            one for one in every if one["createdAt"] <= params["createdBeforeOrAt"]
        ][:1_000]}  # fmt: skip

    Replies({
        "/historicalFunding": {"historicalFunding": [
            {"ticker": "BTC-USD", "rate": "0.0001", "effectiveAt": iso(hour + 900)},
        ]},
        "/trades": page,
    }).answer(dydx)  # fmt: skip

    def rows(kind: str, start: int) -> object:
        return asyncio.run(dydx.fetch_history("dydx:BTC-USD", kind, start, AT + 1))

    assert rows("funding", hour)["event_ms"].to_pylist() == [hour]
    dead = rows("liquidations", AT - 2_000_000)
    assert dead["event_ms"].to_pylist() == [AT - 1_200_000]
    # What was told before is left out.
    dead = rows("liquidations", AT - 3_000_000)
    assert dead["event_ms"].to_pylist() == [AT - 2_400_000]
    assert rows("liquidations", AT - 25 * HOUR) is None
    assert rows("mark", hour) is None


def test_recorded_frames_parse(shared_data):
    lines = (shared_data / "frames" / "tardis_dydx-v4.ndjson").read_text().splitlines()
    frames = [json.loads(line) for line in lines]
    dydx = Dydx(coins=("BTC", "ETH", "AVAX"))
    dydx.listings.take([contract(), contract("ETH-USD"), contract("AVAX-USD")])
    current = [one for one in frames if one["channel"] != "v4_orderbook"]
    events = [event for one in current for event in decoded(dydx, one)]
    kinds = [type(one).__name__ for one in events]
    assert set(kinds) == {"Trade", "Liquidation", "MarkPrice", "OpenInterest"}
    (dead,) = [one for one in events if isinstance(one, Liquidation)]
    assert (dead.position_side, dead.price, dead.qty) == ("long", 22.87, 3.9)
