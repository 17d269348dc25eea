"""Bybit v5: linear (USDT, USDC) and inverse perpetuals.

    publicTrade.S        trades; S is the taker's side
    tickers.S            mark, index, funding, open interest: a snapshot, then what changed
    allLiquidation.S     every liquidation, in batches of 500 ms (since February 2025)

Traps: a liquidation's ``S`` is the side of the POSITION (Buy: a long died) and its ``p`` the
bankruptcy price, at which nothing need have traded. Equal rows within one frame are two
liquidations; a frame seen again is none. ``openInterest`` counts both sides of each position,
``singleOpenInterest`` (since June 2026) one. Sizes of linear contracts are base units, of
inverse ones USD; margin tiers of inverse contracts are in coins, and become USD at the mark
price of the moment they were read.

Documentation: https://bybit-exchange.github.io/docs/v5/intro (as of 2026-10).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._bybit import (
    BOOK,
    FIVE_MS,
    FRAME,
    HOUR_MS,
    MINUTE_MS,
    REPLY,
    Reply,
    TickerState,
    parse_bars,
    parse_closes,
    parse_contracts,
    parse_funding,
    parse_interest,
    parse_liquidations,
    parse_marks,
    parse_ratios,
    parse_tickers,
    parse_tiers,
    parse_trades,
    to_instrument,
)
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import Event
from liqheat.market.instrument import Instrument

#: What trades begin with, unless Bybit orders its fields anew: then they are a little slower.
_TRADE_FRAME = b'{"topic":"publicTrade.'

#: Of each kind of history: path, names of its limits, rows a page, their distance, the rest.
_PAGES: dict[str, tuple[str, str, str, int, int, dict[str, str | int]]] = {
    "bars": ("kline", "start", "end", 1000, MINUTE_MS, {"interval": 1}),
    "mark": ("mark-price-kline", "start", "end", 1000, MINUTE_MS, {"interval": 1}),
    "closes": ("kline", "start", "end", 1000, FIVE_MS, {"interval": 5}),
    "open_interest": ("open-interest", "startTime", "endTime", 200, FIVE_MS,
                      {"intervalTime": "5min"}),
    "funding": ("funding/history", "startTime", "endTime", 200, HOUR_MS, {}),
    "long_short": ("account-ratio", "startTime", "endTime", 500, FIVE_MS, {"period": "5min"}),
}  # fmt: skip


class Bybit(LiveExchange):
    """Linear and inverse perpetuals of Bybit."""

    name = "bybit"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True, liquidations="full",
        long_short=True, depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://api.bybit.com",
        "linear": "wss://stream.bybit.com/v5/public/linear",
        "inverse": "wss://stream.bybit.com/v5/public/inverse",
    }
    # 600 requests in 5 s and address.
    budget = Budget(per_minute=7_200)
    poll_s = 60.0
    poll_carries = ("long_short", "depth")
    ping_path = "/v5/market/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._tickers: dict[str, TickerState] = {}
        self._ratio_ms = 0

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return one connection for linear and one for inverse contracts."""
        found = []
        for category in ("linear", "inverse"):
            mine = [self.listings[name].instrument for name in instruments]
            mine = [one for one in mine if one.settlement == category]
            topics = ("publicTrade", "tickers", "allLiquidation")
            args = [f"{topic}.{one.symbol}" for one in mine for topic in topics]
            if args:
                order = msgspec.json.encode({"op": "subscribe", "args": args}).decode()
                found.append(Socket(
                    self.urls[category], category, (order,), ping='{"op":"ping"}',
                    instruments=tuple(one.name for one in mine),
                    carries=("bars", "liquidations", "open_interest", "mark"),
                ))  # fmt: skip
        return found

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none for answers to operations."""
        known = self.listings.by_symbol
        if frame.startswith(_TRADE_FRAME):
            return parse_trades(frame, known)
        found = unpack(FRAME, frame, "bybit", label)
        topic, _, symbol = found.topic.partition(".")
        if topic == "publicTrade":
            return parse_trades(frame, known)
        if topic == "allLiquidation":
            return parse_liquidations(found.data, known)
        if topic == "tickers":
            listed = known.get(symbol)
            return () if listed is None else self._ticker(listed).take(found.data, found.ts)
        if not found.success:
            raise ExchangeError("bybit", f"{label} refused: {found.ret_msg}")
        if topic:
            raise BadFrameError("bybit", label, "topic", "unknown", found.topic)
        return ()

    def _ticker(self, listed: Listed) -> TickerState:
        return self._tickers.setdefault(listed.name, TickerState(listed))

    # -- REST

    async def _get(self, path: str, **params: str | int) -> msgspec.Raw:
        body = await self.http.get(f"/v5/market/{path}", params)
        reply: Reply = unpack(REPLY, body, "bybit", path)
        if reply.ret_code != 0:
            raise ExchangeError("bybit", f"{path}: {reply.ret_msg}", code=reply.ret_code)
        return reply.result

    async def _page(self, kind: str, listed: Listed, start: int, end: int) -> msgspec.Raw:
        path, first, last, limit, _, more = _PAGES[kind]
        one = listed.instrument
        return await self._get(
            path, category=one.settlement, symbol=one.symbol, limit=limit,
            **{first: start, last: end - 1}, **more,
        )  # fmt: skip

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the perpetuals of the coins, with the margin tiers of today."""
        found = []
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        for category in ("linear", "inverse"):
            marks = parse_tickers(await self._get("tickers", category=category))
            page = await self._get("instruments-info", category=category, limit=1000)
            for row in parse_contracts(page, self.listings.coins):
                # A contract without a price yet does not trade: left out.
                usd = marks.get(row.symbol) if category == "inverse" else 1.0
                if usd is not None:
                    risk = await self._get(
                        "risk-limit", category=category, symbol=row.symbol
                    )
                    found.append(to_instrument(row, parse_tiers(risk, usd), as_of))
        return self.listings.take(found)

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return history, of each kind from the listing on; there is none of liquidations."""
        listed, now = self.listings[instrument], self.clock_ms()
        if kind not in _PAGES:
            return None
        # Of bars only the closed ones.
        end_ms = min(end_ms, now // MINUTE_MS * MINUTE_MS if kind == "bars" else now + 1)
        events: list[Event] = []
        for start, end in windows(start_ms, end_ms, _PAGES[kind][3] * _PAGES[kind][4]):
            events += await self._events(kind, listed, start, end)
        return history_table(kind, events, "bybit", start_ms, end_ms)

    async def _events(self, kind: str, listed: Listed, start: int, end: int) -> list[Event]:
        if kind == "mark":  # a kline's close is the mark at its end
            start, end = start - MINUTE_MS, end - MINUTE_MS
        page = await self._page(kind, listed, start, end)
        if kind == "bars":
            return [*parse_bars(page, await self._page("mark", listed, start, end), listed)]
        if kind == "open_interest":
            closes: dict[int, float] = {}
            if listed.inverse:
                klines = await self._page("closes", listed, start - FIVE_MS, end)
                closes = parse_closes(klines, FIVE_MS)
            return parse_interest(page, listed, closes)
        parse = {"mark": parse_marks, "funding": parse_funding, "long_short": parse_ratios}
        return parse[kind](page, listed)

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return order books, and each five minutes the ratio of holders."""
        now, events = self.clock_ms(), list[Event]()
        for name in instruments:
            listed = self.listings[name]
            one = listed.instrument
            page = await self._get(
                "orderbook", category=one.settlement, symbol=one.symbol, limit=200
            )
            book = unpack(BOOK, page, "bybit", "orderbook")
            events += listed.depth(book.ts, book.b, book.a)
            if now // FIVE_MS > self._ratio_ms // FIVE_MS:
                events += await self._events("long_short", listed, now - 2 * FIVE_MS, now)
        self._ratio_ms = now
        return events
