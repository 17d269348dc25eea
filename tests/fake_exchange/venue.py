"""What each exchange's fake must give: its routes, its subscriptions and its frames."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar

import msgspec
from aiohttp import web

from liqheat.exchanges.live import LiveExchange
from liqheat.market.events import Bar, Event, Liquidation, Trade
from tests.fake_exchange.market import Market, Tick

#: (channel, text): whoever subscribed to the channel gets the text.
Frame = tuple[str, str]


class Peer:
    """One WebSocket connection: where it came in, and what it wants to hear."""

    def __init__(
        self, key: str, socket: web.WebSocketResponse, request: web.Request
    ) -> None:
        self.key, self.socket, self.request = key, socket, request
        self.channels: set[str] = set()
        #: Nothing comes from the other end, or goes to it.
        self.dead = False
        self.held: deque[str] = deque()

    async def send(self, message: object) -> None:
        """Send a text, or anything else as JSON."""
        if self.dead or self.socket.closed:
            return
        text = (
            message if isinstance(message, str) else msgspec.json.encode(message).decode()
        )
        try:
            await self.socket.send_str(text)
        except (ConnectionError, RuntimeError):
            self.dead = True


class FakeVenue:
    """One exchange's fake.

    A subclass called ``Venue`` in ``venues/<name>.py`` gives the class attributes, ``routes``,
    ``on_message`` and ``frames_for``. Times are the exchange's: ``self.now_ms()``.

    Attributes
    ----------
    name : str
        As the adapter's; paths begin with it.
    adapter : type
        The ``LiveExchange`` which is to understand it.
    symbols : mapping of str to str
        The exchange's symbols and their coins. Of an inverse one, ``contract_usd`` has the
        size of a contract.
    websockets : tuple of str
        Keys of the adapter's urls which are WebSockets; any path below is the same socket.
    sent : list of Event
        What an adapter should have made of all that was published so far.
    """

    name: ClassVar[str]
    adapter: ClassVar[type[LiveExchange]]
    symbols: ClassVar[Mapping[str, str]]
    websockets: ClassVar[tuple[str, ...]]
    contract_usd: ClassVar[Mapping[str, float]] = {}
    #: Readings carry no time of their own: an adapter's is true to so much [ms].
    timeless_ms: ClassVar[int] = 0

    def __init__(self, market: Market, now_ms: Callable[[], int]) -> None:
        self.market, self.now_ms = market, now_ms
        self.peers: list[Peer] = []
        self.sent: list[Event] = []
        self.listed = {
            symbol: coin for symbol, coin in self.symbols.items() if coin in market.coins
        }

    # -- for the venue to give

    def routes(self) -> list[web.RouteDef]:
        """Return the REST routes: ``web.get("/rest/fapi/v1/time", self.time)``.

        Paths begin with the key of the adapter's urls.
        """
        raise NotImplementedError

    async def on_connect(self, peer: Peer) -> None:
        """Take subscriptions which are in the address; send what greets a client."""

    async def on_message(self, peer: Peer, text: str) -> None:
        """Answer a client's message: subscriptions into ``peer.channels``, pings."""
        raise NotImplementedError

    def frames_for(self, tick: Tick) -> Iterable[Frame]:
        """Return the frames which tell of something that happened."""
        raise NotImplementedError

    def frames_at(self, now_ms: int) -> Iterable[Frame]:
        """Return the frames due by the clock alone, such as klines; called every step."""
        return ()

    # -- for everybody

    def symbols_of(self, coin: str) -> list[str]:
        """Return the symbols of a coin."""
        return [symbol for symbol, each in self.listed.items() if each == coin]

    def instruments(self) -> list[str]:
        """Return the full names of all symbols."""
        return [f"{self.name}:{symbol}" for symbol in self.listed]

    def contracts(self, symbol: str, price: float, qty: float) -> float:
        """Return a base quantity in an inverse symbol's contracts: whole, at least one."""
        return max(1.0, round(qty * price / self.contract_usd[symbol]))

    def expected(self, tick: Tick) -> list[Event]:
        """Return what an adapter should make of a trade or a liquidation, per symbol."""
        event, out = tick.event, []
        if not isinstance(event, Trade | Liquidation):
            return []
        for symbol in self.symbols_of(tick.coin):
            name, qty = f"{self.name}:{symbol}", event.qty
            if symbol in self.contract_usd:
                qty = self.contracts(symbol, event.price, qty)
                qty *= self.contract_usd[symbol] / event.price
            out.append(msgspec.structs.replace(event, instrument=name, qty=qty))
        return out

    def bars_of(self, symbol: str, start_ms: int, end_ms: int) -> list[Bar]:
        """Return a symbol's closed bars as an adapter's stream should build them."""
        coin = self.listed[symbol]
        bars = self.market.bars(coin, start_ms, min(end_ms, self.now_ms() - 59_999))
        if symbol not in self.contract_usd:
            return bars
        out = []
        for bar in bars:
            trades = [
                each
                for one in self.market.minute(coin, bar.event_ms)
                if isinstance(one.event, Trade)
                for each in self.expected(one)
                if each.instrument == f"{self.name}:{symbol}"
            ]
            qty = math.fsum(one.qty for one in trades)
            bought = math.fsum(one.qty for one in trades if one.taker_side == "buy")
            out.append(msgspec.structs.replace(bar, qty=qty, taker_buy_qty=bought))
        return out


def reply(body: object, **headers: str) -> web.Response:
    """Return a JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), content_type="application/json", headers=headers
    )


def number(value: float) -> str:
    """Return a number as exchanges write it: decimal, without an exponent."""
    return f"{value:.10f}".rstrip("0").rstrip(".")
