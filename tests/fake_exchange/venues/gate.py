"""Gate's fake: REST v4 and both streams, with the times of all its years."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.gate import Gate
from liqheat.market.events import Liquidation, MarkPrice, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, number, reply

EIGHT_HOURS_MS = 28_800_000
#: Base units of a contract: ``quanto_multiplier``.
SIZES = {"BTC": 0.0001, "ETH": 0.01, "SOL": 1.0, "XRP": 10.0, "DOGE": 10.0}
WIDTHS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1h": 60 * MINUTE_MS}


class Venue(FakeVenue):
    """USDT contracts, and the inverse one."""

    name = "gate"
    adapter = Gate
    symbols = {**{f"{coin}_USDT": coin for coin in COINS}, "BTC_USD": "BTC"}
    contract_usd = {"BTC_USD": 1.0}
    websockets = ("usdt", "btc")

    def routes(self) -> list[web.RouteDef]:
        root = "/rest/api/v4/futures/{settle}"
        return [
            web.get("/rest/api/v4/spot/time", self.time),
            web.get(f"{root}/contracts", self.contract_list),
            web.get(f"{root}/risk_limit_tiers", self.tiers),
            web.get(f"{root}/candlesticks", self.candles),
            web.get(f"{root}/contract_stats", self.stats),
            web.get(f"{root}/funding_rate", self.funding),
            web.get(f"{root}/liq_orders", self.orders),
            web.get(f"{root}/order_book", self.book),
        ]

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        message, now = json_of(text), self.now_ms()
        head = {"time": now // 1000, "time_ms": now, "conn_id": "1"}
        if message["channel"] == "futures.ping":
            await peer.send(
                {**head, "channel": "futures.pong", "event": "", "result": None}
            )
            return
        peer.channels.update(f"{message['channel']}:{each}" for each in message["payload"])
        await peer.send({
            **head, "channel": message["channel"], "event": "subscribe",
            "payload": message["payload"], "result": {"status": "success"},
        })  # fmt: skip

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event = tick.event
        for symbol in self.symbols_of(tick.coin):
            row: dict[str, object] = {"contract": symbol}
            if isinstance(event, Trade):
                size = self._size(symbol, event.price, event.qty)
                row |= {
                    "id": tick.id, "price": number(event.price),
                    "size": size if event.taker_side == "buy" else f"-{size}",
                    "create_time": event.event_ms // 1000, "create_time_ms": event.event_ms,
                }  # fmt: skip
                yield self._frame("trades", symbol, [row])
            elif isinstance(event, MarkPrice):
                at, coin = event.event_ms, tick.coin
                interest = self.market.open_interest(coin, at)
                due = (at // EIGHT_HOURS_MS + 1) * EIGHT_HOURS_MS
                row |= {
                    "last": number(self.market.price(coin, at)), "t": at,
                    "mark_price": number(event.mark_price), "funding_interval": 28800,
                    "index_price": number(event.index_price),
                    "total_size": self._size(symbol, event.mark_price, interest),
                    "funding_rate": number(self.market.funding_rate(at)),
                    "funding_next_apply": due // 1000, "quanto_base_rate": "",
                }  # fmt: skip
                yield self._frame("tickers", symbol, [row])
            elif isinstance(event, Liquidation):
                at = event.event_ms
                times: dict[str, object] = {"time": at}
                if at % 3 == 1:
                    times = {"time": at // 1000, "time_ms": at}
                elif at % 3 == 2:
                    times = {"time": at / 1000}
                row |= {"price": number(event.price), "size": self._signed(symbol, event)}
                yield self._frame("public_liquidates", symbol, [row | times])

    def _size(self, symbol: str, price: float, qty: float) -> str:
        if symbol in self.contract_usd:
            return number(self.contracts(symbol, price, qty))
        return number(qty / SIZES[self.listed[symbol]])

    def _signed(self, symbol: str, event: Liquidation) -> str:
        size = self._size(symbol, event.price, event.qty)
        return size if event.position_side == "long" else f"-{size}"

    def _frame(self, channel: str, symbol: str, rows: list[dict]) -> Frame:
        now = self.now_ms()
        body = {"time": now // 1000, "time_ms": now, "channel": f"futures.{channel}",
                "event": "update", "result": rows}  # fmt: skip
        return f"futures.{channel}:{symbol}", msgspec.json.encode(body).decode()

    # -- REST

    async def time(self, request: web.Request) -> web.Response:
        return reply({"server_time": self.now_ms()})

    async def contract_list(self, request: web.Request) -> web.Response:
        inverse, rows = request.match_info["settle"] == "btc", []
        for symbol, coin in self.listed.items():
            if (symbol in self.contract_usd) == inverse:
                rows.append({
                    "name": symbol, "type": "inverse" if inverse else "direct",
                    "quanto_multiplier": "0" if inverse else number(SIZES[coin]),
                    "order_price_round": number(COINS[coin][1]), "order_size_min": 1,
                    "mark_price": number(self.market.mark(coin, self.now_ms())),
                    "in_delisting": False, "maintenance_rate": "0.004",
                })  # fmt: skip
        return reply(rows)

    async def tiers(self, request: web.Request) -> web.Response:
        unit = 1 / 64_000 if request.match_info["settle"] == "btc" else 1
        return reply([
            {"tier": 1, "risk_limit": number(1e6 * unit), "initial_rate": "0.008",
             "maintenance_rate": "0.004", "leverage_max": "125", "deduction": "0"},
        ])  # fmt: skip

    def _asked(self, request: web.Request) -> tuple[str, int, int]:
        symbol = request.query["contract"].removeprefix("mark_")
        if symbol not in self.listed:
            raise web.HTTPBadRequest(reason="CONTRACT_NOT_FOUND")
        now = self.now_ms() // 1000
        start = int(request.query.get("from", now - 100))
        return symbol, start * 1000, min(int(request.query.get("to", now)), now) * 1000

    async def candles(self, request: web.Request) -> web.Response:
        symbol, start, end = self._asked(request)
        width, coin = WIDTHS[request.query["interval"]], self.listed[symbol]
        if (end - start) // width >= 2_000 or start < self.now_ms() - 10_000 * width:
            raise web.HTTPBadRequest(reason="Candlestick too long ago or too many")
        marks, rows = request.query["contract"].startswith("mark_"), []
        for at in range(-(-start // width) * width, end + 1, width):
            bars = self.bars_of(symbol, at, at + width)
            if not bars:
                continue
            row = {"t": at // 1000}
            if marks:
                high, low = (max(one.mark_high for one in bars),
                             min(one.mark_low for one in bars))  # fmt: skip
                first, last = self.market.mark(coin, at), self.market.mark(coin, at + width)
            else:
                high, low = max(one.high for one in bars), min(one.low for one in bars)
                first, last = bars[0].open, bars[-1].close
                unit = last if symbol in self.contract_usd else 1 / SIZES[coin]
                row["v"] = round(sum(one.qty for one in bars) * unit, 4)
            row |= {
                "o": number(first),
                "h": number(high),
                "l": number(low),
                "c": number(last),
            }
            rows.append(row)
        return reply(rows)

    async def stats(self, request: web.Request) -> web.Response:
        symbol, start, _ = self._asked(request)
        width, coin, rows = 5 * MINUTE_MS, self.listed[symbol], []
        first, most = -(-start // width) * width, int(request.query["limit"])
        for at in range(first, min(first + most * width, self.now_ms()), width):
            price = self.market.price(coin, at)
            size = self._size(symbol, price, self.market.open_interest(coin, at))
            rows.append({"time": at // 1000, "open_interest": float(size), "lsr_taker": 9,
                         "lsr_account": 1.25, "mark_price": price})  # fmt: skip
        return reply(rows)

    async def funding(self, request: web.Request) -> web.Response:
        _, start, end = self._asked(request)
        first = -(-start // EIGHT_HOURS_MS) * EIGHT_HOURS_MS
        return reply([
            {"t": at // 1000, "r": number(self.market.funding_rate(at - 1))}
            for at in range(first, end + 1, EIGHT_HOURS_MS)
        ])  # fmt: skip

    async def orders(self, request: web.Request) -> web.Response:
        symbol, start, end = self._asked(request)
        coin, rows = self.listed[symbol], []
        for minute in range(start - start % MINUTE_MS, end + 1, MINUTE_MS):
            for one in self.market.minute(coin, minute):
                event = one.event
                if isinstance(event, Liquidation) and start <= event.event_ms < end + 1000:
                    rows.append({
                        "time": event.event_ms // 1000, "contract": symbol, "left": 0,
                        "size": float(self._signed(symbol, event)),
                        "order_price": number(event.price), "fill_price": number(event.price),
                    })  # fmt: skip
        return reply(rows[::-1][: int(request.query["limit"])])

    async def book(self, request: web.Request) -> web.Response:
        symbol, _, _ = self._asked(request)
        coin = self.listed[symbol]
        mid, tick = self.market.price(coin, self.now_ms()), COINS[coin][1]
        sides = {
            name: [{"p": number(mid + sign * i * tick), "s": 1} for i in range(1, 20)]
            for name, sign in (("asks", 1), ("bids", -1))
        }
        return reply({"current": self.now_ms() / 1000, "id": 1, **sides})
