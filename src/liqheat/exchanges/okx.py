"""OKX perpetual swaps, linear and inverse.

    /ws/v5/public   trades, mark-price, open-interest, funding-rate, liquidation-orders
    REST            candles, mark candles, interest, funding, ratios, forced orders, books

The liquidation channel is a sample (at most one a second and contract). Its first message
after subscribing is a replay of what was told before, and rows may come late and out of
order. Forced orders of the last days can be asked for, so a hole in them is filled.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import (
    ASSUMED_AS_OF,
    ASSUMED_SOURCE,
    ASSUMED_TIERS,
    Listed,
)
from liqheat.exchanges._okx import (
    BOOKS,
    CANDLES,
    FRAME,
    FUNDINGS,
    INTERESTS,
    LIQUIDATED,
    MARK_CANDLES,
    MARKS,
    MINUTE_MS,
    TABLES,
    TRADES,
    Detail,
    Frame,
    MarkCandle,
    parse_candles,
    parse_details,
    parse_reply,
    parse_swaps,
    parse_tiers,
    to_instrument,
)
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Params, Socket
from liqheat.market.events import Event, OpenInterest
from liqheat.market.instrument import Instrument, MarginTier
from liqheat.market.units import DAY_MS

CHANNELS = ("trades", "mark-price", "open-interest", "funding-rate")
#: How a push of trades begins, so far: the one message there are many of.
TRADES_HEAD = b'{"arg":{"channel":"trades"'
MARKET = "/api/v5/market"
#: Of rows of history; funding comes each hour at most.
WIDTHS = {"1m": MINUTE_MS, "5m": 5 * MINUTE_MS, "1H": 60 * MINUTE_MS}
#: How far back the newest candles go: 1,440 rows.
RECENT_MS = 1_400 * MINUTE_MS
#: Requests of 30 days of 1m mark candles would take an hour: marks are asked in 5m steps, and
#: a bar's range of the mark only for the last day.
MARK_RANGES_MS = DAY_MS
#: The statistics have 1,440 rows of each width: of 5m less than five days, then hours.
FINE_MS, COARSE_MS = 4 * DAY_MS, 59 * DAY_MS
#: Forced orders are kept for seven days.
FORCED_MS = 7 * DAY_MS


class Okx(LiveExchange):
    """Perpetual swaps of OKX."""

    name = "okx"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True,
        liquidations="sampled_1s", long_short=True, depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://www.okx.com",
        "public": "wss://ws.okx.com:8443/ws/v5/public",
    }
    # Limits are per endpoint: the commonest, 20 in 2 s, is taken for all; slower ones weigh more.
    budget = Budget(per_minute=600)
    repairs = frozenset({"bars", "liquidations"})
    poll_s = 60.0
    poll_carries = ("long_short", "depth")
    ping_path = "/api/v5/public/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._subscribed_ms: int | None = None
        self._round = 0

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Plan the one connection: four channels a swap, and all forced orders."""
        symbols = [self.listings[name].instrument.symbol for name in instruments]
        args = [{"channel": "liquidation-orders", "instType": "SWAP"}]
        args += [{"channel": each, "instId": one} for one in symbols for each in CHANNELS]
        order = msgspec.json.encode({"op": "subscribe", "args": args}).decode()
        carries = ("bars", "liquidations", "open_interest")
        return [
            Socket(self.urls["public"], "public", (order,), ping="ping", carries=carries)
        ]

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none of swaps nobody asked for."""
        if frame.startswith(TRADES_HEAD) and (events := self._trades(frame)) is not None:
            return events
        message = unpack(FRAME, frame, "okx", label)
        channel = message.arg.channel
        if message.event:
            if message.event == "error":
                raise ExchangeError("okx", f"refused: {message.code} {message.msg}")
            if message.event == "subscribe" and channel == "liquidation-orders":
                self._subscribed_ms = received_ms + round(self.clock.offset_ms)
            return ()
        if channel == "trades":
            return self._trades(frame) or ()
        if channel == "liquidation-orders":
            return self._forced(message)
        if channel in CHANNELS:
            return self._readings(channel, message)
        raise BadFrameError("okx", label, "arg.channel", "unknown channel", channel)

    def _trades(self, frame: bytes) -> list[Event] | None:
        rows = unpack(TRADES, frame, "okx", "trades").data
        listings = self.listings.by_symbol
        events: list[Event] = []
        for row in rows:
            listed = listings.get(row.inst_id)
            if listed is not None and listed.is_new(row.trade_id):
                events.append(listed.trade(row.ts, row.px, row.sz, row.side))
        return events if rows else None

    def _readings(self, channel: str, message: Frame) -> Iterator[Event]:
        listings = self.listings.by_symbol
        if channel == "mark-price":
            for mark in unpack(MARKS, message.data, "okx", channel):
                if mark.inst_id in listings:
                    yield listings[mark.inst_id].mark(mark.ts, mark.mark_px)
        elif channel == "open-interest":
            for row in unpack(INTERESTS, message.data, "okx", channel):
                if row.inst_id in listings:
                    yield OpenInterest(listings[row.inst_id].name, row.ts, row.oi_ccy)
        else:
            for rate in unpack(FUNDINGS, message.data, "okx", channel):
                if rate.inst_id in listings and rate.funding_rate is not None:
                    listed = listings[rate.inst_id]
                    yield from listed.funding(rate.funding_rate, rate.funding_time)

    def _forced(self, message: Frame) -> list[Event]:
        # The replay tells what was before we listened: that is the hole's affair, not news.
        since, self._subscribed_ms = self._subscribed_ms or 0, None
        events: list[Event] = []
        for row in unpack(LIQUIDATED, message.data, "okx", "liquidation-orders"):
            listed = self.listings.by_symbol.get(row.inst_id)
            if listed is not None:
                fresh = [detail for detail in row.details if detail.ts >= since]
                events += parse_details(fresh, listed)
        return events

    # -- REST

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the swaps of the chosen coins with their tiers, in USD at today's mark."""
        path = "/api/v5/public/instruments"
        data = await self.http.get(path, {"instType": "SWAP"})
        swaps = parse_swaps(data, self.listings.coins)
        data = await self.http.get("/api/v5/public/mark-price", {"instType": "SWAP"})
        marks = {row.inst_id: row.mark_px for row in parse_reply(data, MARKS, "mark-price")}
        usd = {
            row.inst_family: row.ct_val * row.ct_mult
            * (1.0 if row.ct_type == "inverse" else marks.get(row.inst_id, 0.0))
            for row, _, _ in swaps
        }  # fmt: skip
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        tiers: dict[str, tuple[MarginTier, ...]] = {}
        families = [family for family, worth in usd.items() if worth > 0]
        for at in range(0, len(families), 5):
            asked = {
                "instType": "SWAP", "tdMode": "isolated",
                "instFamily": ",".join(families[at : at + 5]),
            }  # fmt: skip
            try:
                found = await self.http.get(
                    "/api/v5/public/position-tiers", asked, weight=2
                )
                tiers |= parse_tiers(found, usd)
            except (ExchangeError, BadFrameError) as error:
                self.tiers_failed(error)
        assumed = (ASSUMED_TIERS, ASSUMED_AS_OF, ASSUMED_SOURCE)
        return self.listings.take(
            to_instrument(
                row, coin, quote,
                *((tiers[row.inst_family], as_of, "OKX position-tiers (whole-position rate)")
                  if row.inst_family in tiers else assumed),
            )
            for row, coin, quote in swaps
        )  # fmt: skip

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return history: bars of years, statistics of weeks, forced orders of seven days."""
        listed, now = self.listings[instrument], self.clock_ms()
        oldest = {"liquidations": FORCED_MS, "open_interest": COARSE_MS,
                  "long_short": COARSE_MS}.get(kind)  # fmt: skip
        start = start_ms if oldest is None else max(start_ms, now - oldest)
        if start >= end_ms and start > start_ms:
            return None
        if kind == "bars":
            events: Iterable[Event] = await self._bars(listed, start, end_ms, now)
        elif kind == "liquidations":
            events = await self._forced_before(listed, start, end_ms)
        else:
            events = await self._rows(kind, listed, start, end_ms, now)
        return history_table(kind, events, "okx", start, end_ms)

    async def _bars(
        self, listed: Listed, start: int, end: int, now: int
    ) -> Iterable[Event]:
        params = {"instId": listed.instrument.symbol, "bar": "1m"}
        # The last day is in another place than the history.
        recent = min(max(start, now - RECENT_MS), end)
        candles = [
            *await self._pages(f"{MARKET}/history-candles", CANDLES, params, start, recent),
            *await self._pages(f"{MARKET}/candles", CANDLES, params, recent, end),
        ]
        marks: list[MarkCandle] = []
        if end > now - MARK_RANGES_MS:
            since = max(start, now - MARK_RANGES_MS)
            marks = await self._pages(TABLES["mark"][0], MARK_CANDLES, params, since, end)
        return parse_candles(candles, marks, listed)

    async def _rows(
        self, kind: str, listed: Listed, start: int, end: int, now: int
    ) -> Iterable[Event]:
        path, rows, event = TABLES[kind]
        params = {"instId": listed.instrument.symbol}
        if kind == "mark":
            params["bar"] = "5m"
            start, end = start - 5 * MINUTE_MS, end - 5 * MINUTE_MS
        found = []
        if kind in ("open_interest", "long_short"):
            fine = max(start, now - FINE_MS)
            if start < fine:
                coarse = {**params, "period": "1H"}
                found += await self._pages(path, rows, coarse, start, min(fine, end))
            params["period"], start = "5m", fine
        found += await self._pages(path, rows, params, start, end)
        return [event(row, listed.name) for row in found]

    async def _pages(
        self, path: str, rows: Any, params: Mapping[str, str], start: int, end: int
    ) -> list[Any]:
        """Return the rows of ``[start, end)``, asked for from the newest backwards."""
        width = WIDTHS[params.get("bar") or params.get("period") or "1H"]
        key, weight = ("end", 4.0) if "rubik" in path else ("after", 2.0)
        most = 100
        if rows is CANDLES:
            most, weight = 300, 1.0
        found: list[Any] = []
        before = end
        while before > start:
            limit = min(most, (before - start) // width + 1)
            asked: Params = {**params, key: before, "limit": limit}
            page = parse_reply(await self.http.get(path, asked, weight=weight), rows, path)
            times = [row.ts for row in page]
            found += [
                row for row, at in zip(page, times, strict=True) if start <= at < before
            ]
            if not times or min(times) >= before:
                break
            before = min(times)
        return found

    async def _forced_before(self, listed: Listed, start: int, end: int) -> list[Event]:
        symbol = listed.instrument.symbol
        params = {"instType": "SWAP", "state": "filled",
                  "instFamily": symbol.removesuffix("-SWAP")}  # fmt: skip
        found: list[Detail] = []
        before = end
        while before > start:
            asked: Params = {**params, "after": before, "limit": 100}
            data = await self.http.get("/api/v5/public/liquidation-orders", asked)
            page = parse_reply(data, LIQUIDATED, "liquidation-orders")
            rows = [row for each in page if each.inst_id == symbol for row in each.details]
            found += [row for row in rows if start <= row.ts < before]
            times = [row.ts for each in page for row in each.details]
            if not times or min(times) >= before:
                break
            before = min(times)
        # Once all is here: what the stream has told is left out, and what it tells later.
        return list(parse_details(found, listed))

    async def polls(self, instruments: Sequence[str]) -> list[Event]:
        """Return order books; each five minutes the ratios."""
        events: list[Event] = []
        now, turn = self.clock_ms(), self._round
        self._round += 1
        for name in instruments:
            listed = self.listings[name]
            asked: Params = {"instId": listed.instrument.symbol, "sz": 2000}
            data = await self.http.get("/api/v5/market/books-full", asked, weight=2)
            for book in parse_reply(data, BOOKS, "books-full"):
                sides = [[(one.price, one.contracts) for one in side]
                         for side in (book.bids, book.asks)]  # fmt: skip
                events += listed.depth(book.ts, *sides)
            if turn % 5 == 0:
                rows = await self._rows(
                    "long_short", listed, now - 10 * MINUTE_MS, now, now
                )
                events += sorted(rows, key=lambda event: event.event_ms)[-1:]
        return events
