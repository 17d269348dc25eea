"""Bybit's fake: v5, linear and inverse."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.bybit import Bybit
from liqheat.market.events import Liquidation, MarkPrice, OpenInterest, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

FIVE_MS, EIGHT_HOURS_MS = 5 * MINUTE_MS, 28_800_000


class Venue(FakeVenue):
    """USDT and inverse perpetuals."""

    name = "bybit"
    adapter = Bybit
    symbols = {**{f"{coin}USDT": coin for coin in COINS}, "BTCUSD": "BTC", "XRPUSD": "XRP"}
    contract_usd = {"BTCUSD": 1.0, "XRPUSD": 1.0}
    websockets = ("linear", "inverse")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(f"/rest/v5/market/{path}", handler)
            for path, handler in (
                ("time", self.time), ("instruments-info", self.info),
                ("tickers", self.tickers), ("risk-limit", self.risk), ("kline", self.kline),
                ("mark-price-kline", self.mark_kline), ("open-interest", self.interest),
                ("funding/history", self.funding), ("account-ratio", self.ratios),
                ("orderbook", self.book),
            )
        ]  # fmt: skip

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        message = json_of(text)
        if message["op"] == "ping":
            await peer.send(
                {"success": True, "ret_msg": "pong", "conn_id": "1", "op": "ping"}
            )
            return
        peer.channels.update(message["args"])
        await peer.send({"success": True, "ret_msg": "", "conn_id": "1", "op": "subscribe"})
        for topic in message["args"]:
            if topic.startswith("tickers."):
                symbol, now = topic.split(".")[1], self.now_ms()
                await peer.send(_frame(topic, "snapshot", self._ticker(symbol, now), now))

    def _ticker(self, symbol: str, at: int) -> dict:
        coin = self.listed[symbol]
        interest = self._size(symbol, self.market.mark(coin, at),
                              self.market.open_interest(coin, at))  # fmt: skip
        return {
            "symbol": symbol, "markPrice": number(self.market.mark(coin, at)),
            "indexPrice": number(self.market.price(coin, at)),
            "openInterest": number(2 * float(interest)), "singleOpenInterest": interest,
            "fundingRate": number(self.market.funding_rate(at)),
            "nextFundingTime": str((at // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS),
        }  # fmt: skip

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event, at = tick.event, tick.event.event_ms
        for symbol in self.symbols_of(tick.coin):
            if isinstance(event, Trade):
                row = {
                    "T": at, "s": symbol, "S": event.taker_side.capitalize(),
                    "v": self._size(symbol, event.price, event.qty),
                    "p": number(event.price), "L": "PlusTick", "i": f"{symbol}-{tick.id}",
                    "BT": False, "RPI": False,
                }  # fmt: skip
                yield _pushed(f"publicTrade.{symbol}", "snapshot", [row], at + 2)
            elif isinstance(event, Liquidation):
                row = {
                    "T": at, "s": symbol,
                    "S": "Buy" if event.position_side == "long" else "Sell",
                    "v": self._size(symbol, event.price, event.qty), "p": number(event.price),
                }  # fmt: skip
                yield _pushed(f"allLiquidation.{symbol}", "snapshot", [row], at + 400)
            elif isinstance(event, MarkPrice | OpenInterest):
                whole = self._ticker(symbol, at)
                names = ("markPrice", "indexPrice", "fundingRate", "nextFundingTime")
                if isinstance(event, OpenInterest):
                    # Sometimes the single one is left out.
                    both = ("openInterest", "singleOpenInterest")
                    names = both[: 1 + at // 1_000 % 2]
                data = {"symbol": symbol, **{name: whole[name] for name in names}}
                yield _pushed(f"tickers.{symbol}", "delta", data, at)

    def _size(self, symbol: str, price: float, qty: float) -> str:
        if symbol in self.contract_usd:
            qty = self.contracts(symbol, price, qty)
        return number(qty)

    # -- REST

    def _answer(self, result: object) -> web.Response:
        return reply(
            {"retCode": 0, "retMsg": "OK", "result": result, "time": self.now_ms()}
        )

    async def time(self, request: web.Request) -> web.Response:
        return self._answer({"timeSecond": str(self.now_ms() // 1000)})

    def _of_category(self, request: web.Request) -> list[str]:
        inverse = request.query["category"] == "inverse"
        return [one for one in self.listed if (one in self.contract_usd) == inverse]

    async def info(self, request: web.Request) -> web.Response:
        rows = [
            {
                "symbol": symbol, "status": "Trading", "baseCoin": self.listed[symbol],
                "contractType": f"{request.query['category'].capitalize()}Perpetual",
                "quoteCoin": "USD" if symbol in self.contract_usd else "USDT",
                "priceFilter": {"tickSize": number(COINS[self.listed[symbol]][1])},
                "lotSizeFilter": {"qtyStep": "1" if symbol in self.contract_usd else "0.001"},
                "leverageFilter": {"maxLeverage": "100.00"}, "fundingInterval": 480,
            }
            for symbol in self._of_category(request)
        ]  # fmt: skip
        return self._answer({"category": "", "list": rows, "nextPageCursor": ""})

    async def tickers(self, request: web.Request) -> web.Response:
        now = self.now_ms()
        rows = [self._ticker(symbol, now) for symbol in self._of_category(request)]
        return self._answer({"list": rows})

    async def risk(self, request: web.Request) -> web.Response:
        inverse = request.query["category"] == "inverse"
        rows = [
            {"id": 1, "symbol": request.query["symbol"], "isLowestRisk": 1,
             "riskLimitValue": "150" if inverse else "300000", "maxLeverage": "100.00",
             "maintenanceMargin": "0.005", "initialMargin": "0.01", "mmDeduction": ""},
            {"id": 2, "symbol": request.query["symbol"], "isLowestRisk": 0,
             "riskLimitValue": "300" if inverse else "2000000", "maxLeverage": "50.00",
             "maintenanceMargin": "0.01", "initialMargin": "0.02",
             "mmDeduction": "0.75" if inverse else "1500"},
        ]  # fmt: skip
        return self._answer({"list": rows})

    def _bars(self, request: web.Request) -> tuple[str, list]:
        query = request.query
        symbol, limit = query["symbol"], int(query["limit"])
        start, end = int(query["start"]), int(query["end"]) + 1
        start = max(-(-start // MINUTE_MS) * MINUTE_MS, end - limit * MINUTE_MS)
        return symbol, self.bars_of(symbol, start, end)[-limit:]

    async def kline(self, request: web.Request) -> web.Response:
        symbol, bars = self._bars(request)
        step = int(request.query["interval"]) * MINUTE_MS
        rows = [
            [str(bar.event_ms), *map(number, (bar.open, bar.high, bar.low, bar.close)),
             number(bar.qty * (bar.close if symbol in self.contract_usd else 1)), "0"]
            for bar in reversed(bars)
            if bar.event_ms % step == 0
        ]  # fmt: skip
        return self._answer({"symbol": symbol, "list": rows})

    async def mark_kline(self, request: web.Request) -> web.Response:
        symbol, bars = self._bars(request)
        rows = []
        for bar in reversed(bars):
            end = number(self.market.mark(self.listed[symbol], bar.event_ms + MINUTE_MS))
            low, high = number(bar.mark_low), number(bar.mark_high)
            rows.append([str(bar.event_ms), low, high, low, end])
        return self._answer({"symbol": symbol, "list": rows})

    def _times(self, request: web.Request, step: int) -> list[int]:
        query = request.query
        start, end = int(query["startTime"]), min(int(query["endTime"]), self.now_ms())
        return list(range(-(-start // step) * step, end + 1, step))[-int(query["limit"]) :]

    async def interest(self, request: web.Request) -> web.Response:
        symbol, rows = request.query["symbol"], []
        for at in reversed(self._times(request, FIVE_MS)):
            now = self._ticker(symbol, at)
            both = {"openInterest": now["openInterest"], "timestamp": str(at)}
            rows.append({**both, "singleOpenInterest": now["singleOpenInterest"]})
        return self._answer({"symbol": symbol, "list": rows, "nextPageCursor": ""})

    async def funding(self, request: web.Request) -> web.Response:
        rows = [
            {"symbol": request.query["symbol"], "fundingRateTimestamp": str(at),
             "fundingRate": number(self.market.funding_rate(at - 1))}
            for at in reversed(self._times(request, EIGHT_HOURS_MS))
        ]  # fmt: skip
        return self._answer({"list": rows})

    async def ratios(self, request: web.Request) -> web.Response:
        rows = [
            {"symbol": request.query["symbol"], "buyRatio": "0.55", "sellRatio": "0.45",
             "timestamp": str(at)}
            for at in reversed(self._times(request, FIVE_MS))
        ]  # fmt: skip
        return self._answer({"list": rows, "nextPageCursor": ""})

    async def book(self, request: web.Request) -> web.Response:
        symbol, now = request.query["symbol"], self.now_ms()
        mid, tick = (
            self.market.price(self.listed[symbol], now),
            COINS[self.listed[symbol]][1],
        )
        bids = [[number(mid - i * tick), "100"] for i in range(1, 20)]
        asks = [[number(mid + i * tick), "100"] for i in range(1, 20)]
        return self._answer({"s": symbol, "b": bids, "a": asks, "ts": now, "u": 1})


def _frame(topic: str, kind: str, data: object, at: int) -> dict:
    return {"topic": topic, "type": kind, "ts": at, "data": data}


def _pushed(topic: str, kind: str, data: object, at: int) -> Frame:
    return topic, msgspec.json.encode(_frame(topic, kind, data, at)).decode()
