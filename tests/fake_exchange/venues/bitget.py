"""Bitget's fake: v3, USDT and coin-margined contracts (whose sizes are base units, too)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.bitget import Bitget
from liqheat.market.events import Liquidation, MarkPrice, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

EIGHT_HOURS_MS = 28_800_000


class Venue(FakeVenue):
    """USDT and coin-margined perpetuals."""

    name = "bitget"
    adapter = Bitget
    symbols = {**{f"{coin}USDT": coin for coin in COINS}, "BTCUSD": "BTC"}
    websockets = ("ws",)

    def routes(self) -> list[web.RouteDef]:
        root = "/rest/api/v3/market"
        return [
            web.get("/rest/api/v3/public/time", self.time),
            web.get(f"{root}/instruments", self.info),
            web.get(f"{root}/position-tier", self.tiers),
            web.get(f"{root}/candles", self.candles),
            web.get(f"{root}/history-candles", self.candles),
            web.get(f"{root}/history-fund-rate", self.funding),
            web.get(f"{root}/liquidations", self.forced),
            web.get(f"{root}/orderbook", self.book),
            web.get("/rest/api/v2/mix/market/account-long-short", self.ratios),
        ]

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        if text == "ping":
            await peer.send("pong")
            return
        args = json_of(text)["args"]
        assert len(args) <= 5
        for arg in args:
            channel = f"{arg['instType']}:{arg['topic']}:{arg.get('symbol', '')}"
            peer.channels.add(channel)
            await peer.send({"event": "subscribe", "arg": arg})

    def _kind(self, symbol: str) -> str:
        return "coin-futures" if symbol.endswith("USD") else "usdt-futures"

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event, at = tick.event, tick.event.event_ms
        for symbol in self.symbols_of(tick.coin):
            if isinstance(event, Trade):
                row = {
                    "i": str(tick.id), "p": number(event.price), "v": number(event.qty),
                    "S": event.taker_side, "T": str(at), "L": "1", "isRPI": "no",
                }  # fmt: skip
                yield self._frame("publicTrade", symbol, "update", row, at)
            elif isinstance(event, MarkPrice):
                row = {
                    "lastPrice": number(event.mark_price), "deliveryTime": "",
                    "markPrice": number(event.mark_price),
                    "indexPrice": number(event.index_price),
                    "openInterest": number(self.market.open_interest(tick.coin, at)),
                    "fundingRate": number(self.market.funding_rate(at)),
                    "nextFundingTime": str((at // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS),
                }  # fmt: skip
                yield self._frame("ticker", symbol, "snapshot", row, at)
            elif isinstance(event, Liquidation):
                yield self._frame(
                    "liquidation", symbol, "update", _order(symbol, event), at
                )

    def _frame(self, topic: str, symbol: str, action: str, row: dict, at: int) -> Frame:
        arg = {"instType": self._kind(symbol), "topic": topic}
        if topic != "liquidation":
            arg["symbol"] = symbol
        body = {"action": action, "arg": arg, "data": [row], "ts": at}
        channel = f"{arg['instType']}:{topic}:{arg.get('symbol', '')}"
        return channel, msgspec.json.encode(body).decode()

    # -- REST

    def _answer(self, data: object) -> web.Response:
        now = self.now_ms()
        return reply({"code": "00000", "msg": "success", "requestTime": now, "data": data})

    async def time(self, request: web.Request) -> web.Response:
        return self._answer({"serverTime": str(self.now_ms())})

    async def info(self, request: web.Request) -> web.Response:
        kind = request.query["category"].lower()
        rows = [
            {
                "symbol": symbol, "category": request.query["category"], "status": "online",
                "baseCoin": coin, "quoteCoin": symbol[len(coin) :], "type": "perpetual",
                "priceMultiplier": number(COINS[coin][1]), "maxLeverage": "125",
                "quantityMultiplier": number(COINS[coin][2]),
            }
            for symbol, coin in self.listed.items()
            if self._kind(symbol) == kind
        ]  # fmt: skip
        return self._answer(rows)

    async def tiers(self, request: web.Request) -> web.Response:
        return self._answer([
            {"tier": "1", "minTierValue": "0", "maxTierValue": "150000", "leverage": "125",
             "mmr": "0.004"},
            {"tier": "2", "minTierValue": "150000", "maxTierValue": "1000000000",
             "leverage": "100", "mmr": "0.005"},
        ])  # fmt: skip

    async def candles(self, request: web.Request) -> web.Response:
        query = request.query
        symbol, limit = query["symbol"], int(query["limit"])
        end = int(query["endTime"]) + 1
        bars = self.bars_of(
            symbol, max(int(query["startTime"]), end - limit * MINUTE_MS), end
        )
        rows = []
        for bar in bars:
            prices = (bar.open, bar.high, bar.low, bar.close)
            if query["type"] == "mark":
                end_mark = self.market.mark(self.listed[symbol], bar.event_ms + MINUTE_MS)
                prices = (bar.mark_low, bar.mark_high, bar.mark_low, end_mark)
            rows.append([str(bar.event_ms), *map(number, prices), number(bar.qty), "0"])
        return self._answer(rows[::-1])

    async def funding(self, request: web.Request) -> web.Response:
        page, limit = int(request.query["cursor"]), int(request.query["limit"])
        last = self.now_ms() // EIGHT_HOURS_MS * EIGHT_HOURS_MS
        times = [last - i * EIGHT_HOURS_MS for i in range((page - 1) * limit, page * limit)]
        rows = [
            {"symbol": request.query["symbol"], "fundingRateTimestamp": str(at),
             "fundingRate": number(self.market.funding_rate(at - 1))}
            for at in times
            if at > self.now_ms() - 90 * 86_400_000
        ]  # fmt: skip
        return self._answer({"resultList": rows})

    async def forced(self, request: web.Request) -> web.Response:
        symbol, now = request.query["symbol"], self.now_ms()
        until, limit = int(request.query.get("cursor") or now), int(request.query["limit"])
        rows: list[dict] = []
        minute = until // MINUTE_MS * MINUTE_MS
        while len(rows) < limit and minute > now - 3 * 86_400_000:
            for tick in reversed(self.market.minute(self.listed[symbol], minute)):
                if isinstance(tick.event, Liquidation) and tick.event.event_ms < until:
                    rows.append(_order(symbol, tick.event))
            minute -= MINUTE_MS
        rows = rows[:limit]
        return self._answer({"list": rows, "cursor": rows[-1]["ts"] if rows else ""})

    async def ratios(self, request: web.Request) -> web.Response:
        row = {"longAccountRatio": "0.6", "shortAccountRatio": "0.4",
               "longShortAccountRatio": "1.5", "ts": str(self.now_ms())}  # fmt: skip
        return self._answer([row])

    async def book(self, request: web.Request) -> web.Response:
        coin, now = self.listed[request.query["symbol"]], self.now_ms()
        mid, tick = self.market.price(coin, now), COINS[coin][1]
        bids = [[number(mid - i * tick), "1"] for i in range(1, 20)]
        asks = [[number(mid + i * tick), "1"] for i in range(1, 20)]
        return self._answer({"b": bids, "a": asks, "ts": str(now)})


def _order(symbol: str, event: Liquidation) -> dict:
    # The amount is in the quote coin.
    return {
        "symbol": symbol, "side": "buy" if event.position_side == "long" else "sell",
        "price": number(event.price), "amount": number(event.qty * event.price),
        "ts": str(event.event_ms),
    }  # fmt: skip
