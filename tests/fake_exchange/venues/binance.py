"""Binance's fake: fapi, dapi, the site's tiers, and both streams (the example for others)."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.binance import Binance
from liqheat.market.events import Liquidation, MarkPrice, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

FIVE_MS = 5 * MINUTE_MS
DAY_MS = 1_440 * MINUTE_MS


def _int(request: web.Request, name: str, default: int) -> int:
    return int(request.query.get(name, default))


class Venue(FakeVenue):
    """USD-M and COIN-M."""

    name = "binance"
    adapter = Binance
    symbols = {
        **{f"{coin}USDT": coin for coin in COINS}, "BTCUSD_PERP": "BTC", "ETHUSD_PERP": "ETH",
    }  # fmt: skip
    contract_usd = {"BTCUSD_PERP": 100.0, "ETHUSD_PERP": 10.0}
    websockets = ("market", "coin")

    def routes(self) -> list[web.RouteDef]:
        out = [
            web.get("/site/bapi/futures/v1/friendly/future/common/brackets", self.brackets)
        ]
        for key, root in (("rest", "/fapi/v1"), ("coin_rest", "/dapi/v1")):
            out += [
                web.get(f"/{key}{root}/time", self.time),
                web.get(f"/{key}{root}/exchangeInfo", self.info),
                web.get(f"/{key}{root}/klines", self.klines),
                web.get(f"/{key}{root}/markPriceKlines", self.mark_klines),
                web.get(f"/{key}{root}/fundingRate", self.funding),
                web.get(f"/{key}{root}/openInterest", self.interest),
                web.get(f"/{key}{root}/depth", self.depth),
                web.get(f"/{key}/futures/data/openInterestHist", self.interest_history),
                web.get(f"/{key}/futures/data/globalLongShortAccountRatio", self.ratios),
            ]
        return out

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        message = json_of(text)
        if message.get("method") == "SUBSCRIBE":
            peer.channels.update(message["params"])
            await peer.send({"result": None, "id": message["id"]})

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        for symbol in self.symbols_of(tick.coin):
            yield from self._frames(symbol, tick)

    def _frames(self, symbol: str, tick: Tick) -> Iterable[Frame]:
        event, low = tick.event, symbol.lower()
        if isinstance(event, Trade):
            data = {
                "e": "aggTrade", "E": event.event_ms + 3, "s": symbol, "a": tick.id,
                "p": number(event.price), "q": self._qty(symbol, event.price, event.qty),
                "f": tick.id, "l": tick.id, "T": event.event_ms,
                "m": event.taker_side == "sell",
            }  # fmt: skip
            yield _frame(f"{low}@aggTrade", data)
        elif isinstance(event, MarkPrice):
            data = {
                "e": "markPriceUpdate", "E": event.event_ms, "s": symbol,
                "p": number(event.mark_price), "i": number(event.index_price),
                "P": number(event.mark_price),
                "r": number(self.market.funding_rate(event.event_ms)),
                "T": (event.event_ms // 28_800_000 + 1) * 28_800_000,
            }  # fmt: skip
            yield _frame(f"{low}@markPrice@1s", data)
        elif isinstance(event, Liquidation):
            qty = self._qty(symbol, event.price, event.qty)
            kind = 2 if symbol in self.contract_usd else 1
            order = {
                "s": symbol, "S": "SELL" if event.position_side == "long" else "BUY",
                "o": "LIMIT", "f": "IOC", "q": qty, "p": number(event.price * 0.99),
                "ap": number(event.price), "X": "FILLED", "l": qty, "z": qty,
                "T": event.event_ms, "st": kind, "ps": symbol[:6],
            }  # fmt: skip
            data = {"e": "forceOrder", "E": event.event_ms + 5, "o": order}
            yield _frame("!forceOrder@arr", data)

    def _qty(self, symbol: str, price: float, qty: float) -> str:
        if symbol in self.contract_usd:
            qty = self.contracts(symbol, price, qty)
        return number(qty)

    # -- REST

    async def time(self, request: web.Request) -> web.Response:
        return reply({"serverTime": self.now_ms()})

    async def info(self, request: web.Request) -> web.Response:
        inverse = "dapi" in request.path
        rows = []
        for symbol, coin in self.listed.items():
            if (symbol in self.contract_usd) != inverse:
                continue
            _, tick, lot, _ = COINS[coin]
            rows.append({
                "symbol": symbol, "pair": symbol[:6], "contractType": "PERPETUAL",
                "contractStatus" if inverse else "status": "TRADING",
                "contractSize": int(self.contract_usd.get(symbol, 1)),
                "baseAsset": coin, "quoteAsset": "USD" if inverse else "USDT",
                "maintMarginPercent": "2.5000",
                "filters": [
                    {"filterType": "PRICE_FILTER", "tickSize": number(tick)},
                    {"filterType": "LOT_SIZE", "stepSize": "1" if inverse else number(lot)},
                ],
            })  # fmt: skip
        return reply({"serverTime": self.now_ms(), "symbols": rows})

    async def brackets(self, request: web.Request) -> web.Response:
        row = {
            "bracketNotionalFloor": 0, "bracketNotionalCap": 50_000_000,
            "bracketMaintenanceMarginRate": 0.004, "cumFastMaintenanceAmount": 0,
            "maxOpenPosLeverage": 150,
        }  # fmt: skip
        rows = [{"symbol": symbol, "riskBrackets": [row]} for symbol in self.listed]
        return reply({"code": "000000", "data": {"brackets": rows}})

    def _asked(self, request: web.Request) -> tuple[str, list]:
        symbol = request.query["symbol"]
        if symbol not in self.listed:
            raise web.HTTPBadRequest(reason="Invalid symbol.")
        limit = _int(request, "limit", 500)
        start = _int(request, "startTime", 0)
        width = MINUTE_MS if request.query["interval"] == "1m" else FIVE_MS
        start = -(-start // width) * width
        end = min(_int(request, "endTime", self.now_ms()) + 1, start + limit * width)
        if width == MINUTE_MS:
            return symbol, self.bars_of(symbol, start, end)
        return symbol, [
            msgspec.structs.replace(self.market.bar(self.listed[symbol], at + 4 * MINUTE_MS),
                                    event_ms=at)
            for at in range(start, end, width)
        ]  # fmt: skip

    async def klines(self, request: web.Request) -> web.Response:
        symbol, bars = self._asked(request)
        rows = []
        for bar in bars:
            unit = (
                bar.close / self.contract_usd[symbol] if symbol in self.contract_usd else 1
            )
            rows.append([
                bar.event_ms, number(bar.open), number(bar.high), number(bar.low),
                number(bar.close), number(bar.qty * unit), bar.event_ms + 59_999, "0", 1,
                number(bar.taker_buy_qty * unit), "0", "0",
            ])  # fmt: skip
        return reply(rows)

    async def mark_klines(self, request: web.Request) -> web.Response:
        rows = []
        for bar in self._asked(request)[1]:
            low, high = number(bar.mark_low), number(bar.mark_high)
            end = number(
                self.market.mark(self.listed[request.query["symbol"]], bar.event_ms)
            )
            rows.append([bar.event_ms, end, high, low, low, "0", bar.event_ms + 59_999])
        return reply(rows)

    async def funding(self, request: web.Request) -> web.Response:
        start, end = _int(request, "startTime", 0), _int(request, "endTime", self.now_ms())
        first = -(-start // 28_800_000) * 28_800_000
        rows = [
            {"symbol": request.query["symbol"], "fundingTime": at,
             "fundingRate": number(self.market.funding_rate(at - 1))}
            for at in range(first, min(end, self.now_ms()) + 1, 28_800_000)
        ]  # fmt: skip
        return reply(rows[: _int(request, "limit", 100)])

    def _interest(self, symbol: str, at_ms: int) -> str:
        coin = self.listed[symbol]
        qty = self.market.open_interest(coin, at_ms)
        return self._qty(symbol, self.market.price(coin, at_ms), qty)

    async def interest(self, request: web.Request) -> web.Response:
        symbol, now = request.query["symbol"], self.now_ms()
        return reply(
            {"symbol": symbol, "openInterest": self._interest(symbol, now), "time": now}
        )

    def _periods(self, request: web.Request) -> tuple[str, list[int]]:
        symbol = request.query.get("symbol") or f"{request.query['pair']}_PERP"
        start, end = _int(request, "startTime", 0), _int(request, "endTime", self.now_ms())
        start = max(start, self.now_ms() - 30 * DAY_MS)
        ends = range(-(-start // FIVE_MS) * FIVE_MS, min(end, self.now_ms()) + 1, FIVE_MS)
        return symbol, list(ends)[: _int(request, "limit", 30)]

    async def interest_history(self, request: web.Request) -> web.Response:
        symbol, ends = self._periods(request)
        return reply([
            {"symbol": symbol, "sumOpenInterest": self._interest(symbol, at),
             "sumOpenInterestValue": "0", "timestamp": at}
            for at in ends
        ])  # fmt: skip

    async def ratios(self, request: web.Request) -> web.Response:
        symbol, ends = self._periods(request)
        return reply([
            {"symbol": symbol, "longShortRatio": "1.25", "longAccount": "0.5556",
             "shortAccount": "0.4444", "timestamp": at}
            for at in ends
        ])  # fmt: skip

    async def depth(self, request: web.Request) -> web.Response:
        coin = self.listed[request.query["symbol"]]
        mid, tick = self.market.price(coin, self.now_ms()), COINS[coin][1]
        bids = [[number(mid - i * tick), "1"] for i in range(1, 20)]
        asks = [[number(mid + i * tick), "1"] for i in range(1, 20)]
        now = self.now_ms()
        return reply({"lastUpdateId": 1, "E": now, "T": now, "bids": bids, "asks": asks})


def _frame(stream: str, data: dict) -> Frame:
    text = msgspec.json.encode({"stream": stream, "data": data}).decode()
    return stream, text
