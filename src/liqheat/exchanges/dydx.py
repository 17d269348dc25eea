"""dYdX v4 perpetuals, from the public indexer.

    v4_trades     trades; type LIQUIDATED or DELEVERAGED: a position was closed by force
    v4_markets    oracle prices, open interest, the hour's funding: first all, then changes

Traps: a liquidation is its taker's trade, so SELL means that a long died. DELEVERAGED is
settled at the bankruptcy price off the book: no trade for a bar. Subscribing brings the last
trades again, the newest first. The oracle price is what liquidation is judged by: it stands
for the mark price. There is no history of the mark; open interest is told at candles' starts.

Documentation: https://docs.dydx.xyz/indexer-client (as of 2026-09).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._dydx import (
    BOOK,
    FRAME,
    HOUR_MS,
    MINUTE_MS,
    Contents,
    TradeRow,
    parse_candles,
    parse_funding,
    parse_history_trades,
    parse_instruments,
    parse_markets,
    parse_trades,
    to_bars,
    to_interest,
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

#: Rows of one answer.
ROWS = 1_000
#: How far back liquidations are looked for among all trades, and in how many pages at most.
FORCED_MS, FORCED_PAGES = 24 * HOUR_MS, 100


class Dydx(LiveExchange):
    """Perpetuals of dYdX v4."""

    name = "dydx"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True, liquidations="full",
        depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://indexer.dydx.trade/v4",
        "ws": "wss://indexer.dydx.trade/v4/ws",
    }
    # 100 in 10 s and address.
    budget = Budget(per_minute=600)
    repairs = frozenset({"bars", "liquidations"})
    poll_s = 60.0
    poll_carries = ("depth",)
    ping_path = "/time"

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        self._recent: Recent[TradeRow] = Recent(self.clock_ms)

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return the one connection."""
        orders: list[dict[str, object]] = [{"type": "subscribe", "channel": "v4_markets"}]
        for name in instruments:
            symbol = self.listings[name].instrument.symbol
            orders.append({"type": "subscribe", "channel": "v4_trades", "id": symbol})
        return [Socket(
            self.urls["ws"], "ws", tuple(msgspec.json.encode(one).decode() for one in orders),
            pace_s=0.2, carries=("bars", "liquidations", "open_interest", "mark"),
        )]  # fmt: skip

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none of a greeting."""
        found = unpack(FRAME, frame, "dydx", label)
        if found.type == "error":
            raise ExchangeError("dydx", f"refuses a subscription: {found.message}")
        if found.type not in ("subscribed", "channel_data", "channel_batch_data"):
            if found.type in ("connected", "unsubscribed", "pong"):
                return ()
            raise BadFrameError("dydx", label, "type", "unknown", found.type)
        parts = [found.contents] if isinstance(found.contents, Contents) else found.contents
        if found.channel == "v4_trades":
            listed = self.listings.by_symbol.get(found.id)
            return [] if listed is None else [
                event for part in parts for event in parse_trades(part, listed)
            ]  # fmt: skip
        if found.channel == "v4_markets":
            now, known = received_ms + round(self.clock.offset_ms), self.listings.by_symbol
            return [event for part in parts for event in parse_markets(part, known, now)]
        raise BadFrameError("dydx", label, "channel", "unknown", found.channel)

    # -- REST

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the markets of the coins, with their margin fractions."""
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        data = await self.http.get("/perpetualMarkets")
        return self.listings.take(parse_instruments(data, self.listings.coins, as_of))

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return bars, open interest and funding of years, liquidations of a day."""
        listed, now = self.listings[instrument], self.clock_ms()
        if kind == "liquidations":
            recent = start_ms >= now - FORCED_MS
            found = await self._forced(listed, start_ms, end_ms) if recent else None
            if found is None:
                return None
            return history_table(kind, found, "dydx", start_ms, end_ms)
        end_ms = min(end_ms, now // MINUTE_MS * MINUTE_MS if kind == "bars" else now + 1)
        events: list[Event] = []
        if kind in ("bars", "open_interest"):
            for start, end in windows(start_ms, end_ms, ROWS * MINUTE_MS):
                rows = parse_candles(await self._page(
                    "/candles/perpetualMarkets", listed,
                    resolution="1MIN", fromISO=_iso(start), toISO=_iso(end),
                ))  # fmt: skip
                events += (
                    to_bars(rows, listed) if kind == "bars" else to_interest(rows, listed)
                )
        elif kind == "funding":
            for start, end in windows(start_ms, end_ms, ROWS * HOUR_MS):
                page = await self._page(
                    "/historicalFunding", listed, effectiveBeforeOrAt=_iso(end)
                )
                events += [
                    one for one in parse_funding(page, listed) if one.event_ms >= start
                ]
        else:
            return None
        return history_table(kind, events, "dydx", start_ms, end_ms)

    async def _page(self, path: str, listed: Listed, **params: str) -> bytes:
        params["limit"] = str(ROWS)
        return await self.http.get(f"{path}/{listed.instrument.symbol}", params)

    async def _forced(
        self, listed: Listed, start_ms: int, end_ms: int
    ) -> list[Event] | None:
        async def fetch(start: int, end: int) -> list[TradeRow] | None:
            return await self._forced_rows(listed, start, end)

        rows = await self._recent.rows(listed.name, start_ms, end_ms, fetch)
        if rows is None:
            return None
        return to_liquidations(
            (row for row in rows if start_ms <= row.created_at.timestamp() * 1000 < end_ms),
            listed,
        )

    async def _forced_rows(
        self, listed: Listed, start_ms: int, end_ms: int
    ) -> list[TradeRow] | None:
        # Among all trades, backwards. None where they are too many: half of it is no history.
        found: dict[str, TradeRow] = {}
        until = end_ms
        for _ in range(FORCED_PAGES):
            page = await self._page(
                "/trades/perpetualMarket", listed, createdBeforeOrAt=_iso(until)
            )
            rows, oldest, count = parse_history_trades(page)
            found.update((row.id, row) for row in rows)
            if oldest is None or oldest < start_ms or count < ROWS:
                return list(found.values())
            # A page of one single millisecond would be asked for for ever.
            until = min(oldest, until - 1)
        return None

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return order books."""
        events: list[Event] = []
        for name in instruments:
            listed = self.listings[name]
            path = f"/orderbooks/perpetualMarket/{listed.instrument.symbol}"
            book = unpack(BOOK, await self.http.get(path), "dydx", "orderbooks")
            bids, asks = (
                [(one.price, one.size) for one in side] for side in (book.bids, book.asks)
            )
            events += listed.depth(self.clock_ms(), bids, asks)
        return events


def _iso(at_ms: int) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at_ms // 1000))
    return f"{whole}.{at_ms % 1000:03}Z"
