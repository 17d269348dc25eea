"""OKX's fake: REST v5 and the public stream, with its replay after subscribing."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.okx import Okx
from liqheat.market.events import Liquidation, MarkPrice, OpenInterest, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

EIGHT_HOURS_MS, DAY_MS = 28_800_000, 86_400_000
#: Base units of a contract.
SIZES = {"BTC": 0.01, "ETH": 0.1, "SOL": 1.0, "XRP": 100.0, "DOGE": 1_000.0}
WIDTHS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1H": 60 * MINUTE_MS}
REPLAY_MS = 5 * MINUTE_MS


class Venue(FakeVenue):
    """Linear and inverse swaps."""

    name = "okx"
    adapter = Okx
    symbols = {
        **{f"{coin}-USDT-SWAP": coin for coin in COINS},
        "BTC-USD-SWAP": "BTC", "ETH-USD-SWAP": "ETH",
    }  # fmt: skip
    contract_usd = {"BTC-USD-SWAP": 100.0, "ETH-USD-SWAP": 10.0}
    websockets = ("public",)

    def routes(self) -> list[web.RouteDef]:
        root = "/rest/api/v5"
        return [
            web.get(f"{root}/public/time", self.time),
            web.get(f"{root}/public/instruments", self.instruments_list),
            web.get(f"{root}/public/mark-price", self.marks),
            web.get(f"{root}/public/position-tiers", self.tiers),
            web.get(f"{root}/public/funding-rate-history", self.funding),
            web.get(f"{root}/public/liquidation-orders", self.orders),
            web.get(f"{root}/market/candles", self.candles),
            web.get(f"{root}/market/history-candles", self.candles),
            web.get(f"{root}/market/history-mark-price-candles", self.mark_candles),
            web.get(f"{root}/market/books-full", self.books),
            web.get(f"{root}/rubik/stat/contracts/open-interest-history", self.interest),
            web.get(
                f"{root}/rubik/stat/contracts/long-short-account-ratio-contract",
                self.ratios,
            ),
        ]

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        if text == "ping":
            await peer.send("pong")
            return
        message = json_of(text)
        for arg in message.get("args", []):
            channel, symbol = arg["channel"], arg.get("instId", "")
            peer.channels.add(f"{channel}:{symbol}")
            await peer.send({"event": "subscribe", "arg": arg, "connId": "a4d3ae55"})
            if channel == "liquidation-orders":
                await peer.send(self._replay())

    def _replay(self) -> dict:
        now = self.now_ms()
        rows = [
            self._forced(symbol, self._told(symbol, now - REPLAY_MS, now)[-3:])
            for symbol in self.listed
        ]
        arg = {"channel": "liquidation-orders", "instType": "SWAP"}
        return {"arg": arg, "data": [row for row in rows if row["details"]]}

    def _told(self, symbol: str, start: int, end: int) -> list[Liquidation]:
        coin = self.listed[symbol]
        first = start - start % MINUTE_MS
        return [
            one.event
            for minute in range(first, end, MINUTE_MS)
            for one in self.market.minute(coin, minute)
            if isinstance(one.event, Liquidation) and start <= one.event.event_ms < end
        ]

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event = tick.event
        for symbol in self.symbols_of(tick.coin):
            row: dict[str, object] = {"instId": symbol, "ts": str(event.event_ms)}
            if isinstance(event, Trade):
                row |= {
                    "tradeId": str(tick.id), "px": number(event.price), "count": "1",
                    "sz": self._size(symbol, event.price, event.qty),
                    "side": event.taker_side,
                }  # fmt: skip
                yield _frame("trades", symbol, row)
            elif isinstance(event, MarkPrice):
                row |= {"instType": "SWAP", "markPx": number(event.mark_price)}
                yield _frame("mark-price", symbol, row)
                due = (event.event_ms // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS
                rate = number(self.market.funding_rate(event.event_ms))
                row = {"instId": symbol, "instType": "SWAP", "fundingRate": rate,
                       "fundingTime": str(due), "nextFundingTime": "", "method": "x"}  # fmt: skip
                yield _frame("funding-rate", symbol, row)
            elif isinstance(event, OpenInterest):
                qty = event.open_interest_qty
                price = self.market.price(tick.coin, event.event_ms)
                row |= {
                    "instType": "SWAP", "oi": self._size(symbol, price, qty),
                    "oiCcy": number(qty), "oiUsd": number(qty * price),
                }  # fmt: skip
                yield _frame("open-interest", symbol, row)
            elif isinstance(event, Liquidation):
                arg = {"channel": "liquidation-orders", "instType": "SWAP"}
                body = {"arg": arg, "data": [self._forced(symbol, [event])]}
                yield "liquidation-orders:", msgspec.json.encode(body).decode()

    def _forced(self, symbol: str, events: Iterable[Liquidation]) -> dict:
        details = [
            {
                "bkLoss": "0", "bkPx": number(event.price), "ccy": "",
                # Half of the accounts are in net mode.
                "posSide": event.position_side if event.event_ms % 2 else "net",
                "side": "sell" if event.position_side == "long" else "buy",
                "sz": self._size(symbol, event.price, event.qty), "ts": str(event.event_ms),
            }
            for event in events
        ]  # fmt: skip
        family = symbol.removesuffix("-SWAP")
        return {"details": details, "instFamily": family, "instId": symbol,
                "instType": "SWAP", "uly": family}  # fmt: skip

    def _size(self, symbol: str, price: float, qty: float) -> str:
        if symbol in self.contract_usd:
            return number(self.contracts(symbol, price, qty))
        return number(qty / SIZES[self.listed[symbol]])

    # -- REST

    async def time(self, request: web.Request) -> web.Response:
        return _data([{"ts": str(self.now_ms())}])

    async def instruments_list(self, request: web.Request) -> web.Response:
        rows = []
        for symbol, coin in self.listed.items():
            family, inverse = symbol.removesuffix("-SWAP"), symbol in self.contract_usd
            size = self.contract_usd.get(symbol, SIZES[coin])
            rows.append({
                "instType": "SWAP", "instId": symbol, "instFamily": family, "uly": family,
                "ctType": "inverse" if inverse else "linear", "ctVal": number(size),
                "ctMult": "1", "ctValCcy": "USD" if inverse else coin, "state": "live",
                "settleCcy": coin if inverse else "USDT", "tickSz": number(COINS[coin][1]),
                "lotSz": "0.01", "lever": "100", "baseCcy": "",
            })  # fmt: skip
        return _data(rows)

    async def marks(self, request: web.Request) -> web.Response:
        now = self.now_ms()
        return _data([
            {"instId": symbol, "instType": "SWAP", "markPx": number(self.market.mark(coin, now)),
             "ts": str(now)}
            for symbol, coin in self.listed.items()
        ])  # fmt: skip

    async def tiers(self, request: web.Request) -> web.Response:
        row = {"tier": "1", "minSz": "0", "maxSz": "1000", "mmr": "0.004", "imr": "0.01",
               "maxLever": "100"}  # fmt: skip
        families = request.query["instFamily"].split(",")
        return _data([row | {"instFamily": family} for family in families])

    def _symbol(self, request: web.Request) -> str:
        symbol = request.query["instId"]
        if symbol not in self.listed:
            raise web.HTTPBadRequest(reason="Instrument ID does not exist")
        return symbol

    def _starts(self, request: web.Request, width: int, key: str = "after") -> list[int]:
        # The newest first, as many as fit before the time asked for.
        now = self.now_ms()
        before = min(int(request.query.get(key, now)), now)
        last = (before - 1) // width * width
        most = int(request.query.get("limit", 100))
        return [last - i * width for i in range(most)]

    async def candles(self, request: web.Request) -> web.Response:
        symbol = self._symbol(request)
        starts = self._starts(request, MINUTE_MS)
        rows = []
        for bar in reversed(self.bars_of(symbol, starts[-1], starts[0] + 1)):
            inverse = symbol in self.contract_usd
            unit = bar.close / self.contract_usd[symbol] if inverse else (
                1 / SIZES[self.listed[symbol]])  # fmt: skip
            prices = (bar.open, bar.high, bar.low, bar.close)
            rows.append([
                str(bar.event_ms), *map(number, prices), number(bar.qty * unit),
                number(bar.qty), number(bar.qty * bar.close), "1",
            ])  # fmt: skip
        return _data(rows)

    async def mark_candles(self, request: web.Request) -> web.Response:
        coin = self.listed[self._symbol(request)]
        width = WIDTHS[request.query["bar"]]
        rows = []
        for start in self._starts(request, width):
            marks = [mark for minute in range(start, start + width, MINUTE_MS)
                     for mark in self.market.marks(coin, minute)]  # fmt: skip
            end = self.market.mark(coin, start + width)
            prices = (marks[0], max(marks), min(marks), end)
            done = "1" if start + width <= self.now_ms() else "0"
            rows.append([str(start), *map(number, prices), done])
        return _data(rows)

    async def funding(self, request: web.Request) -> web.Response:
        self._symbol(request)
        return _data([
            {"instId": request.query["instId"], "fundingTime": str(at), "fundingRate": "0.5",
             "realizedRate": number(self.market.funding_rate(at - 1))}
            for at in self._starts(request, EIGHT_HOURS_MS)
        ])  # fmt: skip

    async def interest(self, request: web.Request) -> web.Response:
        symbol = self._symbol(request)
        coin, rows = self.listed[symbol], []
        for at in self._starts(request, WIDTHS[request.query["period"]], "end"):
            qty, price = self.market.open_interest(coin, at), self.market.price(coin, at)
            rows.append([str(at), self._size(symbol, price, qty), number(qty), "1"])
        return _data(rows)

    async def ratios(self, request: web.Request) -> web.Response:
        width = WIDTHS[request.query["period"]]
        return _data([[str(at), "1.25"] for at in self._starts(request, width, "end")])

    async def orders(self, request: web.Request) -> web.Response:
        symbol = f"{request.query['instFamily']}-SWAP"
        end = min(int(request.query["after"]), self.now_ms())
        oldest, found = self.now_ms() - 7 * DAY_MS, []
        while len(found) < 100 and end > oldest:
            start = (end - 1) // MINUTE_MS * MINUTE_MS
            found += reversed(self._told(symbol, start, end))
            end = start
        return _data([self._forced(symbol, found[:100])] if found else [])

    async def books(self, request: web.Request) -> web.Response:
        coin = self.listed[self._symbol(request)]
        mid, tick = self.market.price(coin, self.now_ms()), COINS[coin][1]
        asks = [[number(mid + i * tick), "1", "1"] for i in range(1, 20)]
        bids = [[number(mid - i * tick), "1", "1"] for i in range(1, 20)]
        return _data([{"asks": asks, "bids": bids, "ts": str(self.now_ms())}])


def _data(rows: list) -> web.Response:
    return reply({"code": "0", "msg": "", "data": rows})


def _frame(channel: str, symbol: str, row: dict) -> Frame:
    body = {"arg": {"channel": channel, "instId": symbol}, "data": [row]}
    return f"{channel}:{symbol}", msgspec.json.encode(body).decode()
