"""Deribit perpetuals, inverse (USD) and linear (USDC).

    /ws/api/v2   trades (forced orders are flags on them), ticker
    REST         bars, hourly funding, trades, order books

Every forced order is told. There is no history of marks and of open interest, and margin
depends on the whole account, so the tiers are assumed. The connection must answer the
exchange's ``test_request``, or it is closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._deribit import (
    BOOK,
    FRAME,
    MINUTE_MS,
    TICKER,
    TRADE_FRAME,
    TRADES,
    Trade,
    parse_bars,
    parse_contracts,
    parse_flags,
    parse_funding,
    parse_reply,
)
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import Event
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

ROOT = "/api/v2/public/"
#: Rows of one request.
BARS_ASKED, TRADES_ASKED = 1_000, 1_000
#: Forced orders of the past are found by reading all trades: of a hole, not of a month.
FORCED_MS = 6 * 60 * MINUTE_MS
HEARTBEAT_S = 30
SUBSCRIBE_ID = 1
#: In the one message there are many of; others take a longer way.
TRADES_HEAD = b'"channel":"trades.'


class Deribit(LiveExchange):
    """Perpetuals of Deribit."""

    name = "deribit"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True, liquidations="full",
        depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://www.deribit.com",
        "public": "wss://streams.deribit.com/ws/api/v2",
    }
    # 500 credits a request of 10,000 a second.
    budget = Budget(per_minute=1200)
    repairs = frozenset({"bars", "liquidations"})
    poll_s = 60.0
    poll_carries = ("depth", "funding")
    ping_path = f"{ROOT}get_time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._round = 0
        self._wanted: frozenset[str] = frozenset()

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Plan the one connection."""
        symbols = [self.listings[name].instrument.symbol for name in instruments]
        channels = [
            f"{what}.{one}.100ms" for one in symbols for what in ("trades", "ticker")
        ]
        self._wanted = frozenset(channels)
        orders = (
            _call(0, "public/set_heartbeat", {"interval": HEARTBEAT_S}),
            _call(SUBSCRIBE_ID, "public/subscribe", {"channels": channels}),
        )
        carries = ("bars", "liquidations", "open_interest")
        return [
            Socket(self.urls["public"], "public", orders, reply=answer, carries=carries)
        ]

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none of contracts nobody asked for."""
        if frame.find(TRADES_HEAD, 0, 120) > 0:
            return self._trades(unpack(TRADE_FRAME, frame, "deribit", "trades").params.data)
        message = unpack(FRAME, frame, "deribit", label)
        if message.error is not None:
            raise ExchangeError("deribit", f"refused: {message.error}")
        if message.id == SUBSCRIBE_ID:
            # What it does not know is left out of the answer, without a word.
            missing = self._wanted - set(message.result or ())
            if missing:
                raise ExchangeError(
                    "deribit", f"not subscribed: {', '.join(sorted(missing))}"
                )
        if message.params is None or not message.params.channel:
            return ()
        channel = message.params.channel
        if channel.startswith("trades."):
            return self._trades(unpack(TRADE_FRAME, frame, "deribit", "trades").params.data)
        if not channel.startswith("ticker."):
            raise BadFrameError("deribit", label, "params.channel", "unknown", channel)
        row = unpack(TICKER, message.params.data, "deribit", "ticker")
        listed = self.listings.by_symbol.get(row.instrument_name)
        if listed is None:
            return ()
        mark = listed.mark(row.timestamp, row.mark_price, row.index_price)
        return (
            mark, *listed.open_interest(row.timestamp, row.open_interest, row.mark_price)
        )  # fmt: skip

    def _trades(self, rows: Iterable[Trade]) -> list[Event]:
        listings = self.listings.by_symbol
        events: list[Event] = []
        for row in rows:
            listed = listings.get(row.instrument_name)
            if listed is not None and listed.is_new(row.trade_id):
                events.append(
                    listed.trade(row.timestamp, row.price, row.amount, row.direction)
                )
                if row.liquidation is not None:
                    events += parse_flags((row,), listed)
        return events

    # -- REST

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the perpetuals of the chosen coins."""
        asked = {"currency": "any", "kind": "future", "expired": "false"}
        data = await self.http.get(f"{ROOT}get_instruments", asked)
        return self.listings.take(parse_contracts(data, self.listings.coins))

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return bars and funding from listing on, and forced orders of a few hours."""
        listed = self.listings[instrument]
        if kind == "liquidations" and end_ms - start_ms > FORCED_MS:
            return None
        fetch, width = {
            "bars": (self._bars, BARS_ASKED * MINUTE_MS),
            "funding": (self._funding, 20 * DAY_MS),
            "liquidations": (self._forced, FORCED_MS),
        }.get(kind, (None, 1))
        if fetch is None:
            return None
        events: list[Event] = []
        for start, end in windows(start_ms, end_ms, width):
            events += await fetch(listed, start, end)
        return history_table(kind, events, "deribit", start_ms, end_ms)

    async def _get(self, listed: Listed, what: str, **params: str | int) -> bytes:
        asked = {"instrument_name": listed.instrument.symbol, **params}
        return await self.http.get(f"{ROOT}{what}", asked)

    async def _bars(self, listed: Listed, start: int, end: int) -> Iterable[Event]:
        data = await self._get(
            listed, "get_tradingview_chart_data", resolution="1", **_span(start, end)
        )
        return parse_bars(data, listed, self.clock_ms())

    async def _funding(self, listed: Listed, start: int, end: int) -> Iterable[Event]:
        data = await self._get(listed, "get_funding_rate_history", **_span(start, end))
        return parse_funding(data, listed)

    async def _forced(self, listed: Listed, start: int, end: int) -> Iterable[Event]:
        rows: dict[str, Trade] = {}
        while start < end:
            data = await self._get(
                listed, "get_last_trades_by_instrument_and_time", count=TRADES_ASKED,
                sorting="asc", **_span(start, end),
            )  # fmt: skip
            page = unpack(TRADES, parse_reply(data, "trades"), "deribit", "trades")
            fresh = {row.trade_id: row for row in page.trades if row.trade_id not in rows}
            rows |= fresh
            if not page.has_more or not fresh:
                break
            start = max(row.timestamp for row in page.trades)
        # Once all is here: what the stream has told is left out, and what it tells later.
        return parse_flags(rows.values(), listed)

    async def polls(self, instruments: Sequence[str]) -> list[Event]:
        """Return order books; each ten minutes the funding of the hours which are over."""
        events: list[Event] = []
        now, turn = self.clock_ms(), self._round
        self._round += 1
        for name in instruments:
            listed = self.listings[name]
            data = await self._get(listed, "get_order_book", depth=1000)
            book = unpack(BOOK, parse_reply(data, "get_order_book"), "deribit", "book")
            events += listed.depth(book.timestamp, book.bids, book.asks)
            if turn % 10 == 0:
                rates = await self._funding(listed, now - 2 * 60 * MINUTE_MS, now)
                events += [one for one in rates if listed.is_new(("funding", one.event_ms))]
        return events


def answer(frame: bytes) -> str | None:
    """Return what a test request wants to hear, None for any other frame."""
    if len(frame) < 200 and b'"test_request"' in frame:
        return _call(2, "public/test", {})
    return None


def _call(number: int, method: str, params: Mapping[str, object]) -> str:
    order = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return msgspec.json.encode(order).decode()


def _span(start_ms: int, end_ms: int) -> dict[str, int]:
    return {"start_timestamp": start_ms, "end_timestamp": end_ms - 1}
