"""Deribit's fake: JSON-RPC over HTTP and the stream; forced orders are flags on trades."""

from __future__ import annotations

import math
from collections.abc import Iterable

import msgspec
from aiohttp import web

from liqheat.exchanges.deribit import Deribit
from liqheat.market.events import Bar, Event, Liquidation, MarkPrice, Trade
from tests.fake_exchange.market import COINS, MINUTE_MS, Tick
from tests.fake_exchange.server import json_of
from tests.fake_exchange.venue import FakeVenue, Frame, Peer, reply

HOUR_MS, BEAT_MS = 3_600_000, 10_000


class Venue(FakeVenue):
    """Inverse and linear perpetuals."""

    name = "deribit"
    adapter = Deribit
    symbols = {
        "BTC-PERPETUAL": "BTC", "ETH-PERPETUAL": "ETH",
        **{f"{coin}_USDC-PERPETUAL": coin for coin in COINS},
    }  # fmt: skip
    contract_usd = {"BTC-PERPETUAL": 10.0, "ETH-PERPETUAL": 1.0}
    websockets = ("public",)

    def routes(self) -> list[web.RouteDef]:
        root = "/rest/api/v2/public"
        return [
            web.get(f"{root}/get_time", self.time),
            web.get(f"{root}/get_instruments", self.contract_list),
            web.get(f"{root}/get_tradingview_chart_data", self.chart),
            web.get(f"{root}/get_funding_rate_history", self.funding),
            web.get(f"{root}/get_last_trades_by_instrument_and_time", self.last_trades),
            web.get(f"{root}/get_order_book", self.book),
        ]

    # -- a forced order is a trade, too

    def expected(self, tick: Tick) -> list[Event]:
        rows = super().expected(tick)
        if not isinstance(tick.event, Liquidation):
            return rows
        trades = [
            Trade(
                one.instrument,
                one.event_ms,
                one.price,
                one.qty,
                _flag(one)[1],
            )
            for one in rows
            if isinstance(one, Liquidation)
        ]
        return [*trades, *rows]

    def bars_of(self, symbol: str, start_ms: int, end_ms: int) -> list[Bar]:
        coin, name = self.listed[symbol], f"{self.name}:{symbol}"
        out = []
        for bar in self.market.bars(coin, start_ms, min(end_ms, self.now_ms() - 59_999)):
            trades = [
                each
                for one in self.market.minute(coin, bar.event_ms)
                for each in self.expected(one)
                if isinstance(each, Trade) and each.instrument == name
            ]
            if trades:
                prices = [one.price for one in trades]
                bought = math.fsum(one.qty for one in trades if one.taker_side == "buy")
                bar = msgspec.structs.replace(
                    bar, open=prices[0], high=max(prices), low=min(prices),
                    close=prices[-1], qty=math.fsum(one.qty for one in trades),
                    taker_buy_qty=bought,
                )  # fmt: skip
            out.append(bar)
        return out

    # -- stream

    async def on_message(self, peer: Peer, text: str) -> None:
        message = json_of(text)
        result: object = "ok"
        if message["method"] == "public/subscribe":
            result = message["params"]["channels"]
            peer.channels.update(message["params"]["channels"])
        elif message["method"] == "public/set_heartbeat":
            peer.channels.add("heartbeat")
        elif message["method"] == "public/test":
            result = {"version": "1.2.26"}
        await peer.send({"jsonrpc": "2.0", "id": message["id"], "result": result})

    def frames_at(self, now_ms: int) -> Iterable[Frame]:
        if now_ms // BEAT_MS != (now_ms - 250) // BEAT_MS:
            beat = {"jsonrpc": "2.0", "method": "heartbeat",
                    "params": {"type": "test_request"}}  # fmt: skip
            yield "heartbeat", msgspec.json.encode(beat).decode()

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        event = tick.event
        for symbol in self.symbols_of(tick.coin):
            if isinstance(event, Trade | Liquidation):
                row = self._trade(symbol, tick)
                yield _frame(f"trades.{symbol}.100ms", [row])
            elif isinstance(event, MarkPrice):
                at = event.event_ms
                interest = self.market.open_interest(tick.coin, at)
                row = {
                    "timestamp": at, "instrument_name": symbol, "state": "open",
                    "mark_price": event.mark_price, "index_price": event.index_price,
                    "open_interest": self._amount(symbol, event.mark_price, interest),
                    "funding_8h": 1e-5, "current_funding": 0.0,
                    "stats": {"volume": None, "high": None},
                }  # fmt: skip
                yield _frame(f"ticker.{symbol}.100ms", row)

    def _trade(self, symbol: str, tick: Tick) -> dict:
        event = tick.event
        row = {
            "timestamp": event.event_ms, "price": event.price, "instrument_name": symbol,
            "amount": self._amount(symbol, event.price, event.qty), "trade_seq": tick.id,
            "trade_id": f"{tick.coin}-{tick.id}", "tick_direction": 0,
            "mark_price": self.market.mark(tick.coin, event.event_ms),
            "index_price": self.market.price(tick.coin, event.event_ms),
        }  # fmt: skip
        if isinstance(event, Trade):
            return row | {"direction": event.taker_side}
        flag, direction = _flag(event)
        return row | {"liquidation": flag, "direction": direction}

    def _amount(self, symbol: str, price: float, qty: float) -> float:
        if symbol in self.contract_usd:
            return self.contracts(symbol, price, qty) * self.contract_usd[symbol]
        return qty

    # -- REST

    async def time(self, request: web.Request) -> web.Response:
        return _result(self.now_ms())

    async def contract_list(self, request: web.Request) -> web.Response:
        rows = []
        for symbol, coin in self.listed.items():
            inverse, (_, tick, lot, _) = symbol in self.contract_usd, COINS[coin]
            size = self.contract_usd.get(symbol, lot)
            rows.append({
                "instrument_name": symbol, "kind": "future", "base_currency": coin,
                "quote_currency": "USD" if inverse else "USDC", "tick_size": tick,
                "instrument_type": "reversed" if inverse else "linear",
                "contract_size": size, "min_trade_amount": size, "max_leverage": 50,
                "settlement_period": "perpetual", "is_active": True,
            })  # fmt: skip
        return _result(rows)

    def _asked(self, request: web.Request) -> tuple[str, int, int]:
        symbol = request.query["instrument_name"]
        if symbol not in self.listed:
            raise web.HTTPBadRequest(reason="instrument_not_found")
        start = int(request.query["start_timestamp"])
        return symbol, start, min(int(request.query["end_timestamp"]) + 1, self.now_ms())

    async def chart(self, request: web.Request) -> web.Response:
        symbol, start, end = self._asked(request)
        bars = self.bars_of(symbol, start, end)
        inverse = symbol in self.contract_usd
        columns = {
            name: [getattr(one, name) for one in bars]
            for name in ("open", "high", "low", "close")
        }
        return _result({
            **columns, "ticks": [one.event_ms for one in bars], "status": "ok",
            "volume": [one.qty for one in bars],
            "cost": [one.qty * (one.close if inverse else 1.0) for one in bars],
        })  # fmt: skip

    async def funding(self, request: web.Request) -> web.Response:
        _, start, end = self._asked(request)
        return _result([
            {"timestamp": at, "interest_1h": 1e-6, "interest_8h": 8e-6, "index_price": 1.0}
            for at in range(-(-start // HOUR_MS) * HOUR_MS, end, HOUR_MS)
        ])  # fmt: skip

    async def last_trades(self, request: web.Request) -> web.Response:
        symbol, start, end = self._asked(request)
        most, rows = int(request.query["count"]), []
        for minute in range(start - start % MINUTE_MS, end, MINUTE_MS):
            rows += [
                self._trade(symbol, one)
                for one in self.market.minute(self.listed[symbol], minute)
                if isinstance(one.event, Trade | Liquidation)
                and start <= one.event.event_ms < end
            ]
            if len(rows) > most:
                break
        return _result({"trades": rows[:most], "has_more": len(rows) > most})

    async def book(self, request: web.Request) -> web.Response:
        coin = self.listed[request.query["instrument_name"]]
        mid, tick = self.market.price(coin, self.now_ms()), COINS[coin][1]
        bids = [[mid - i * tick, 10.0] for i in range(1, 20)]
        asks = [[mid + i * tick, 10.0] for i in range(1, 20)]
        return _result({"bids": bids, "asks": asks, "timestamp": self.now_ms()})


def _flag(event: Liquidation) -> tuple[str, str]:
    """Return who was liquidated, and the taker's side: that a long died is a sale by it."""
    sold = event.position_side == "long"
    if event.event_ms % 2:
        return "T", "sell" if sold else "buy"
    return "M", "buy" if sold else "sell"


def _result(result: object) -> web.Response:
    return reply({"jsonrpc": "2.0", "result": result, "usIn": 1, "testnet": False})


def _frame(channel: str, data: object) -> Frame:
    body = {"jsonrpc": "2.0", "method": "subscription",
            "params": {"channel": channel, "data": data}}  # fmt: skip
    return channel, msgspec.json.encode(body).decode()
