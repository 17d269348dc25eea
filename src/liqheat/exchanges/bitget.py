"""Bitget v3 (unified account): USDT, USDC and coin-margined perpetuals.

    publicTrade    trades; S is the taker's side; first a snapshot of older ones
    ticker         mark, index, open interest, funding
    liquidation    all symbols of a category: the largest order of each side and second

Traps: a forced order's ``side`` is the POSITION's (buy: a long died), its price about the
bankruptcy price, and its ``amount`` is in the QUOTE coin on the stream. What REST's amount is,
is disputed: the unit which gives whole lots is taken, and where none does, nothing. At most
five channels a subscription, 0.1 s apart; a text ``ping`` every 30 s.

Documentation: https://www.bitget.com/api-doc/uta/intro (as of 2026-09).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._bitget import (
    BOOK,
    FORCED_PAGE,
    FRAME,
    MINUTE_MS,
    REPLY,
    ForcedRow,
    Reply,
    contracts,
    is_in_quote,
    parse_bars,
    parse_forced,
    parse_funding,
    parse_instruments,
    parse_marks,
    parse_ratios,
    parse_ticker,
    parse_tiers,
    parse_trades,
    to_instrument,
    to_liquidations,
)
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._recent import Recent
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import Event
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

log = logging.getLogger("liqheat.exchanges.bitget")

#: Categories by the quote coin of their contracts.
CATEGORIES = {"USDT": "USDT-FUTURES", "USDC": "USDC-FUTURES", "USD": "COIN-FUTURES"}
#: Channels in one subscription; forced orders which REST keeps, and pages asked of them.
ARGS, FORCED_DAYS, FORCED_PAGES = 5, 3, 30
#: Candles in one answer: of the last month, and older.
RECENT_ROWS, OLD_ROWS, RECENT_MS = 1_000, 100, 29 * DAY_MS
FIVE_MS = 5 * MINUTE_MS


class Bitget(LiveExchange):
    """Perpetuals of Bitget."""

    name = "bitget"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True,
        liquidations="sampled_1s_largest", long_short=True, depth=True, history_days=90.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://api.bitget.com",
        "ws": "wss://ws.bitget.com/v3/ws/public",
    }
    # 20 a second and address.
    budget = Budget(per_minute=1_200)
    repairs = frozenset({"bars", "liquidations"})
    poll_s = 60.0
    poll_carries = ("long_short", "depth")
    ping_path = "/api/v3/public/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        # The ratios have a limit of their own: one a second.
        self._ratios_http = self.new_http("rest", Budget(per_minute=60))
        self._recent: Recent[ForcedRow] = Recent(self.clock_ms)
        self._ratio_ms = 0

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return the one connection."""
        args: list[dict[str, str]] = []
        kinds = dict.fromkeys(
            _category(self.listings[name]).lower() for name in instruments
        )
        args += [{"instType": kind, "topic": "liquidation"} for kind in kinds]
        for name in instruments:
            one = self.listings[name]
            where = {"instType": _category(one).lower(), "symbol": one.instrument.symbol}
            args += [{**where, "topic": topic} for topic in ("publicTrade", "ticker")]
        orders = [
            msgspec.json.encode({"op": "subscribe", "args": args[at : at + ARGS]}).decode()
            for at in range(0, len(args), ARGS)
        ]
        return [Socket(
            self.urls["ws"], "ws", tuple(orders), ping="ping", ping_s=25.0, pace_s=0.1,
            carries=("bars", "liquidations", "open_interest", "mark"),
        )]  # fmt: skip

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none for answers to operations."""
        known = self.listings.by_symbol
        if b'"topic":"publicTrade"' in frame[:128] and not frame.startswith(b'{"event"'):
            return parse_trades(frame, known)
        found = unpack(FRAME, frame, "bitget", label)
        topic = found.arg.topic
        if found.event == "error":
            raise ExchangeError(
                "bitget", f"{topic} {found.arg.symbol} refused: {found.msg}"
            )
        if found.event:
            return ()
        if topic == "publicTrade":
            return parse_trades(frame, known)
        if topic == "ticker":
            listed = known.get(found.arg.symbol)
            return () if listed is None else parse_ticker(found.data, listed, found.ts)
        if topic == "liquidation":
            return parse_forced(found.data, known)
        raise BadFrameError("bitget", label, "arg.topic", "unknown", topic)

    # -- REST

    async def _get(self, path: str, **params: str | int) -> msgspec.Raw:
        http = self._ratios_http if "long-short" in path else self.http
        return _data(path, await http.get(path, params))

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the perpetuals of the coins, with the margin tiers of today."""
        found = []
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        for category in CATEGORIES.values():
            data = await self._get("/api/v3/market/instruments", category=category)
            for row in parse_instruments(data, self.listings.coins):
                tiers = await self._get(
                    "/api/v3/market/position-tier", category=category, symbol=row.symbol
                )
                found.append(to_instrument(row, parse_tiers(tiers), as_of))
        return self.listings.take(found)

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return bars and marks, funding of 90 days, forced orders of three."""
        listed, now = self.listings[instrument], self.clock_ms()
        if kind != "liquidations":  # whose newest may be ahead of what we think the time is
            last = now // MINUTE_MS * MINUTE_MS if kind == "bars" else now + 1
            end_ms = min(end_ms, last)
        events: list[Event] = []
        if kind in ("bars", "mark"):
            for start, end in _pages(now, start_ms, end_ms):
                events += await self._candle_events(kind, listed, now, start, end)
        elif kind == "funding":
            events += await self._fundings(listed, start_ms)
        elif kind == "liquidations":
            start_ms = max(start_ms, now - FORCED_DAYS * DAY_MS)
            found = (
                await self._forced(listed, start_ms, end_ms) if start_ms < end_ms else None
            )
            if found is None:
                return None
            events = found
        elif kind == "long_short":
            events += await self._ratios(listed)
        else:
            return None
        return history_table(kind, events, "bitget", start_ms, end_ms)

    async def _candle_events(
        self, kind: str, listed: Listed, now: int, start: int, end: int
    ) -> list[Event]:
        if kind == "mark":  # a candle's close is the mark at its end
            start, end = start - MINUTE_MS, end - MINUTE_MS
        marks = await self._candles(listed, "mark", now, start, end)
        if kind == "mark":
            return list(parse_marks(marks, listed))
        return [
            *parse_bars(
                await self._candles(listed, "market", now, start, end), marks, listed
            )
        ]

    async def _candles(
        self, listed: Listed, kind: str, now: int, start: int, end: int
    ) -> msgspec.Raw:
        recent = start >= now - RECENT_MS - MINUTE_MS
        return await self._get(
            f"/api/v3/market/{'candles' if recent else 'history-candles'}",
            category=_category(listed), symbol=listed.instrument.symbol, interval="1m",
            type=kind, startTime=start, endTime=end - 1,
            limit=RECENT_ROWS if recent else OLD_ROWS,
        )  # fmt: skip

    async def _fundings(self, listed: Listed, start_ms: int) -> list[Event]:
        events: list[Event] = []
        for page in range(1, 101):
            rows = parse_funding(await self._get(
                "/api/v3/market/history-fund-rate", category=_category(listed),
                symbol=listed.instrument.symbol, limit=100, cursor=page,
            ), listed)  # fmt: skip
            events += rows
            if len(rows) < 100 or rows[-1].event_ms < start_ms:
                break
        return events

    async def _forced(
        self, listed: Listed, start_ms: int, end_ms: int
    ) -> list[Event] | None:
        async def fetch(start: int, end: int) -> list[ForcedRow] | None:
            return await self._forced_rows(listed, start)

        rows = await self._recent.rows(listed.name, start_ms, end_ms, fetch)
        if rows is None:
            return None
        in_quote = is_in_quote(rows, listed.instrument.lot_size)
        if in_quote is None:
            if not rows:
                return []
            log.warning("amount_unit_unknown exchange=bitget rows=%d", len(rows))
            return None
        wanted = (row for row in rows if start_ms <= row.ts < end_ms)
        return [*to_liquidations(wanted, self.listings.by_symbol, in_quote=in_quote)]

    async def _forced_rows(self, listed: Listed, start_ms: int) -> list[ForcedRow] | None:
        # None where they are too many: half of it is no history.
        rows: list[ForcedRow] = []
        params: dict[str, str | int] = {"category": _category(listed), "limit": 100}
        for _ in range(FORCED_PAGES):
            data = await self._get(
                "/api/v3/market/liquidations", symbol=listed.instrument.symbol, **params
            )
            page = unpack(FORCED_PAGE, data, "bitget", "liquidations")
            rows += page.rows
            if not page.rows or not page.cursor or page.rows[-1].ts < start_ms:
                return rows
            params["cursor"] = page.cursor
        return None

    async def _ratios(self, listed: Listed) -> list[Event]:
        if listed.inverse:
            return []
        data = await self._get(
            "/api/v2/mix/market/account-long-short", symbol=listed.instrument.symbol,
            period="5m",
        )  # fmt: skip
        return [*parse_ratios(data, listed)]

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return order books, and each five minutes the ratio of accounts."""
        now, events = self.clock_ms(), list[Event]()
        for name in instruments:
            listed = self.listings[name]
            data = await self._get(
                "/api/v3/market/orderbook", category=_category(listed),
                symbol=listed.instrument.symbol, limit=200,
            )  # fmt: skip
            book = unpack(BOOK, data, "bitget", "orderbook")
            bids, asks = (
                [(price, contracts(listed, qty, price)) for price, qty in side]
                for side in (book.b, book.a)
            )
            events += listed.depth(book.ts, bids, asks)
            if now // FIVE_MS > self._ratio_ms // FIVE_MS:
                events += (await self._ratios(listed))[-1:]
        self._ratio_ms = now
        return events


def _data(path: str, body: bytes) -> msgspec.Raw:
    reply: Reply = unpack(REPLY, body, "bitget", path)
    if reply.code != "00000":
        raise ExchangeError("bitget", f"{path}: {reply.msg} ({reply.code})")
    return reply.data


def _category(listed: Listed) -> str:
    quote = listed.instrument.quote
    return CATEGORIES[quote]


def _pages(now: int, start_ms: int, end_ms: int) -> Iterable[tuple[int, int]]:
    recent_ms = min(max(start_ms, now - RECENT_MS), max(start_ms, end_ms))
    yield from windows(start_ms, recent_ms, OLD_ROWS * MINUTE_MS)
    yield from windows(recent_ms, end_ms, RECENT_ROWS * MINUTE_MS)
