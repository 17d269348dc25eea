"""dYdX's fake: the indexer; forced orders are trades, so its bars have them, too."""

from __future__ import annotations

import math
import time
from collections import defaultdict, deque
from collections.abc import Iterable
from datetime import datetime

import msgspec
from aiohttp import web

from liqheat.exchanges.dydx import Dydx
from liqheat.market.events import Bar, Liquidation, MarkPrice, OpenInterest, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

HOUR_MS = 60 * MINUTE_MS


class Venue(FakeVenue):
    """USD perpetuals."""

    name = "dydx"
    adapter = Dydx
    symbols = {f"{coin}-USD": coin for coin in COINS}
    websockets = ("ws",)
    #: Open interest comes without its time.
    timeless_ms = 2_000

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self._last: dict[str, deque[dict]] = defaultdict(lambda: deque(maxlen=20))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/rest/time", self.time),
            web.get("/rest/perpetualMarkets", self.markets),
            web.get("/rest/candles/perpetualMarkets/{symbol}", self.candles),
            web.get("/rest/historicalFunding/{symbol}", self.funding),
            web.get("/rest/trades/perpetualMarket/{symbol}", self.trades),
            web.get("/rest/orderbooks/perpetualMarket/{symbol}", self.book),
        ]

    # -- stream

    async def on_connect(self, peer: Peer) -> None:
        await peer.send({"type": "connected", "connection_id": "1", "message_id": 0})

    async def on_message(self, peer: Peer, text: str) -> None:
        message = json_of(text)
        channel, symbol = message["channel"], message.get("id", "")
        peer.channels.add(f"{channel}:{symbol}")
        if channel == "v4_markets":
            contents = {"markets": self._markets()}
        else:
            # The last trades again, the newest first; of this minute, as others are over.
            minute = self.now_ms() // MINUTE_MS * MINUTE_MS
            rows = [one for one in self._last[symbol] if one["createdAt"] >= iso(minute)]
            contents = {"trades": rows[::-1]}
        await peer.send(_body("subscribed", channel, symbol, contents))

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event, at = tick.event, tick.event.event_ms
        for symbol in self.symbols_of(tick.coin):
            if isinstance(event, Trade | Liquidation):
                row = _trade(tick)
                self._last[symbol].append(row)
                yield _pushed("v4_trades", symbol, {"trades": [row]})
            elif isinstance(event, MarkPrice):
                oracle = {"oraclePrice": number(event.mark_price), "effectiveAt": iso(at),
                          "effectiveAtHeight": "1", "marketId": 0}  # fmt: skip
                yield _pushed("v4_markets", "", {"oraclePrices": {symbol: oracle}})
            elif isinstance(event, OpenInterest):
                row = {
                    "id": "0", "openInterest": number(event.open_interest_qty),
                    "nextFundingRate": number(self.market.funding_rate(at)),
                }  # fmt: skip
                yield _pushed("v4_markets", "", {"trading": {symbol: row}})

    # -- forced orders are trades

    def bars_of(self, symbol: str, start_ms: int, end_ms: int) -> list[Bar]:
        out = []
        for bar in super().bars_of(symbol, start_ms, end_ms):
            ticks = self.market.minute(self.listed[symbol], bar.event_ms)
            rows = [
                one.event for one in ticks if isinstance(one.event, Trade | Liquidation)
            ]
            out.append(_with_forced(bar, rows) if rows else bar)
        return out

    # -- REST

    def _markets(self) -> dict:
        now = self.now_ms() // self.market.readings_ms * self.market.readings_ms
        return {
            symbol: {
                "ticker": symbol, "status": "ACTIVE", "clobPairId": "0",
                "oraclePrice": number(self.market.mark(coin, now)),
                "openInterest": number(self.market.open_interest(coin, now)),
                "nextFundingRate": number(self.market.funding_rate(now)),
                "initialMarginFraction": "0.05", "maintenanceMarginFraction": "0.03",
                "tickSize": number(COINS[coin][1]), "stepSize": "0.0001",
            }
            for symbol, coin in self.listed.items()
        }  # fmt: skip

    async def time(self, request: web.Request) -> web.Response:
        now = self.now_ms()
        return reply({"iso": iso(now), "epoch": now / 1000})

    async def markets(self, request: web.Request) -> web.Response:
        return reply({"markets": self._markets()})

    async def candles(self, request: web.Request) -> web.Response:
        symbol, query = request.match_info["symbol"], request.query
        start, end = (_ms(query[name]) for name in ("fromISO", "toISO"))
        rows = [
            {
                "startedAt": iso(bar.event_ms), "ticker": symbol, "resolution": "1MIN",
                "open": number(bar.open), "high": number(bar.high), "low": number(bar.low),
                "close": number(bar.close), "baseTokenVolume": number(bar.qty), "trades": 1,
                "startingOpenInterest": number(
                    self.market.open_interest(self.listed[symbol], bar.event_ms)
                ),
            }
            for bar in self.bars_of(symbol, start, end)[-int(query["limit"]) :]
        ]  # fmt: skip
        return reply({"candles": rows[::-1]})

    async def funding(self, request: web.Request) -> web.Response:
        last = _ms(request.query["effectiveBeforeOrAt"]) // HOUR_MS * HOUR_MS
        rows = [
            {"ticker": request.match_info["symbol"], "effectiveAt": iso(at + 800),
             "rate": number(self.market.funding_rate(at - 1))}
            for at in range(last, last - int(request.query["limit"]) * HOUR_MS, -HOUR_MS)
        ]  # fmt: skip
        return reply({"historicalFunding": rows})

    async def trades(self, request: web.Request) -> web.Response:
        coin, limit = self.listed[request.match_info["symbol"]], int(request.query["limit"])
        until = min(_ms(request.query["createdBeforeOrAt"]), self.now_ms())
        rows: list[dict] = []
        minute = until // MINUTE_MS * MINUTE_MS
        while len(rows) < limit and minute > until - 24 * HOUR_MS:
            ticks = [
                one for one in self.market.minute(coin, minute)
                if isinstance(one.event, Trade | Liquidation) and one.event.event_ms <= until
            ]  # fmt: skip
            rows += [_trade(one) for one in reversed(ticks)]
            minute -= MINUTE_MS
        return reply({"trades": rows[:limit]})

    async def book(self, request: web.Request) -> web.Response:
        coin = self.listed[request.match_info["symbol"]]
        mid, tick = self.market.price(coin, self.now_ms()), COINS[coin][1]
        bids = [{"price": number(mid - i * tick), "size": "1"} for i in range(1, 20)]
        asks = [{"price": number(mid + i * tick), "size": "1"} for i in range(1, 20)]
        return reply({"bids": bids, "asks": asks})


def _trade(tick: Tick) -> dict:
    event = tick.event
    assert isinstance(event, Trade | Liquidation)
    if isinstance(event, Trade):
        side, kind = event.taker_side.upper(), "LIMIT"
    else:
        # The order of a liquidated long sells.
        side, kind = ("SELL" if event.position_side == "long" else "BUY"), "LIQUIDATED"
    return {
        "id": f"{tick.coin}{tick.id}", "side": side, "size": number(event.qty), "type": kind,
        "price": number(event.price), "createdAt": iso(event.event_ms), "createdAtHeight": "1",
    }  # fmt: skip


def _with_forced(bar: Bar, rows: list[Trade | Liquidation]) -> Bar:
    prices = [one.price for one in rows]
    bought = math.fsum(
        one.qty for one in rows
        if (one.taker_side == "buy" if isinstance(one, Trade) else one.position_side == "short")
    )  # fmt: skip
    return msgspec.structs.replace(
        bar, open=prices[0], high=max(prices), low=min(prices), close=prices[-1],
        qty=math.fsum(one.qty for one in rows), taker_buy_qty=bought,
    )  # fmt: skip


def iso(at_ms: int) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    return f"{whole}.{at_ms % 1000:03}Z"


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _body(kind: str, channel: str, symbol: str, contents: dict) -> dict:
    body = {"type": kind, "connection_id": "1", "message_id": 1, "channel": channel}
    return {**body, **({"id": symbol} if symbol else {}), "contents": contents}


def _pushed(channel: str, symbol: str, contents: dict) -> Frame:
    body = _body("channel_data", channel, symbol, contents)
    return f"{channel}:{symbol}", msgspec.json.encode(body).decode()
