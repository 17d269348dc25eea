"""Hyperliquid perpetuals, and the positions which are public there.

    trades               side B: the buyer took; users are [buyer, seller]; no liquidation flag
    activeAssetCtx       mark, oracle, funding of the hour, open interest in base units
    clearinghouseState   an account's positions with their liquidation prices (weight 2)

Traps: ``liquidationPx`` may be null, and so may ``liquidation`` of a fill; only the newest
5,000 candles of an interval exist, and no history of open interest. The context of a contract
carries no time: ours, on their clock, is taken. The liquidation price of a cross position
comes from the whole account and not from its leverage setting: ``Position.leverage`` is None
for it. Liquidations are known of watched accounts only: a lower bound.

Of 1,200 weight a minute and address at most 40 % are used: ``POSITION_SHARE`` of that for
positions. Addresses come from trades and from the leaderboard, which is undocumented.

Documentation: https://hyperliquid.gitbook.io/hyperliquid-docs (as of 2026-09-19).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges._hyperliquid import (
    BOOK,
    CONTEXT,
    FRAME,
    HOUR_MS,
    CoinContext,
    parse_bars,
    parse_forced,
    parse_funding,
    parse_instruments,
    parse_leaders,
    parse_positions,
    parse_trades,
)
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._positions import Marks, Positions
from liqheat.exchanges._wire import BadFrameError, history_table, unpack
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import Event, Liquidation, Position
from liqheat.market.instrument import Instrument

log = logging.getLogger("liqheat.exchanges.hyperliquid")

#: Weight per minute and address; the share of our part of it that goes to positions; and the
#: weight of one account's state.
WEIGHT_PER_MINUTE, POSITION_SHARE, STATE_WEIGHT = 1_200, 0.75, 2
#: Candles which exist of an interval, with some room for the minutes until we ask.
CANDLES = 4_980
INTERVALS = (("1m", 60_000), ("5m", 300_000), ("15m", 900_000), ("1h", HOUR_MS))
#: The leaderboard: read every so often [ms], accounts of at least so much [USD].
LEADERS_MS, LEADERS_USD = 6 * HOUR_MS, 100_000.0
#: An inferred liquidation of at least this size is looked up in the account's fills [USD].
CONFIRM_USD = 100_000.0


class Hyperliquid(LiveExchange):
    """Perpetuals and public positions of Hyperliquid.

    Attributes
    ----------
    positions : Positions
        The accounts known, and what they hold.
    """

    name = "hyperliquid"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True,
        liquidations="lower_bound", positions=True, depth=True, history_days=50.0,
    )  # fmt: skip
    default_urls: ClassVar[Mapping[str, str]] = {
        "rest": "https://api.hyperliquid.xyz",
        "leaders": "https://stats-data.hyperliquid.xyz",
        "ws": "wss://api.hyperliquid.xyz/ws",
    }
    budget = Budget(per_minute=WEIGHT_PER_MINUTE)
    poll_s = 5.0
    poll_carries = ("positions", "depth")

    def __init__(self, urls: Mapping[str, str] | None = None, **options: Any) -> None:
        super().__init__(urls, **options)
        share = self.budget.share * POSITION_SHARE / STATE_WEIGHT
        self.positions = Positions(self.budget.per_minute * share)
        self.marks = Marks()
        self._leaders_http = self.new_http("leaders", Budget(per_minute=10))
        self._leaders_ms = self._depth_ms = 0

    def recall(self, told: Sequence[Position]) -> None:
        """Take what each account held when it was last told, in order of time."""
        self.positions.recall(told, self.clock_ms())

    async def ping(self) -> None:
        """Ask for something light: there is no request for the time."""
        await self._info({"type": "exchangeStatus"}, 2)

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return the one connection."""
        coins = [self.listings[name].instrument.symbol for name in instruments]
        plans = [
            {"method": "subscribe", "subscription": {"type": kind, "coin": coin}}
            for coin in coins
            for kind in ("trades", "activeAssetCtx")
        ]
        return [Socket(
            self.urls["ws"], "ws", tuple(msgspec.json.encode(one).decode() for one in plans),
            pace_s=0.05, ping='{"method":"ping"}', carries=("bars", "open_interest", "mark"),
        )]  # fmt: skip

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; addresses seen trading are noted."""
        known, see = self.listings.by_symbol, self.positions.see
        if frame.startswith(b'{"channel":"trades"'):
            return parse_trades(frame, known, see)
        found = unpack(FRAME, frame, "hyperliquid", label)
        if found.channel == "trades":
            return parse_trades(frame, known, see)
        if found.channel == "activeAssetCtx":
            row = unpack(CONTEXT, found.data, "hyperliquid", "activeAssetCtx")
            return self._context(row, received_ms + round(self.clock.offset_ms))
        if found.channel == "error":
            words = bytes(found.data)[:200].decode(errors="replace")
            raise ExchangeError("hyperliquid", f"refuses a subscription: {words}")
        if found.channel not in ("subscriptionResponse", "pong"):
            raise BadFrameError("hyperliquid", label, "channel", "unknown", found.channel)
        return ()

    def _context(self, row: CoinContext, now: int) -> Iterator[Event]:
        listed = self.listings.by_symbol.get(row.coin)
        if listed is not None:
            self.marks.note(listed.name, now, row.ctx.mark_px)
            yield listed.mark(now, row.ctx.mark_px, row.ctx.oracle_px)
            yield from listed.open_interest(now, row.ctx.open_interest)
            yield from listed.funding(row.ctx.funding, (now // HOUR_MS + 1) * HOUR_MS)

    # -- REST

    async def _info(self, body: Mapping[str, object], weight: float) -> bytes:
        return await self.http.post("/info", body, weight=weight)

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the contracts of the coins with their margin tables."""
        data = await self._info({"type": "metaAndAssetCtxs"}, 20)
        as_of = time.strftime("%Y-%m-%d", time.gmtime(self.clock_ms() / 1000))
        return self.listings.take(parse_instruments(data, self.listings.coins, as_of))

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return bars of the finest interval that reaches back, and hourly funding."""
        listed, now = self.listings[instrument], self.clock_ms()
        events: list[Event] = []
        if kind == "bars":
            for (name, interval), (start, end) in _reaches(now, start_ms, end_ms):
                req = {"coin": listed.instrument.symbol, "interval": name,
                       "startTime": start, "endTime": end - 1}  # fmt: skip
                weight = 20 + (end - start) / interval / 60
                data = await self._info({"type": "candleSnapshot", "req": req}, weight)
                closed = min(end, now - interval + 1)
                events += [
                    one for one in parse_bars(data, listed, interval)
                    if start <= one.event_ms < closed
                ]  # fmt: skip
        elif kind == "funding":
            for start, end in windows(start_ms, min(end_ms, now + 1), 500 * HOUR_MS):
                body = {"type": "fundingHistory", "coin": listed.instrument.symbol,
                        "startTime": start, "endTime": end - 1}  # fmt: skip
                events += parse_funding(await self._info(body, 20 + 500 / 20), listed)
        else:
            return None
        return history_table(kind, events, "hyperliquid", start_ms, end_ms)

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return positions, liquidations inferred from them, and books once a minute."""
        now, events = self.clock_ms(), list[Event]()
        listed = [self.listings[name] for name in instruments]
        if now // 60_000 > self._depth_ms // 60_000:
            self._depth_ms = now
            for one in listed:
                events += await self._depth(one)
        if now - self._leaders_ms >= LEADERS_MS:
            await self._leaders(now)
        addresses = self.positions.due(now, self.marks)
        for found in await asyncio.gather(*map(self._state, addresses)):
            events += found
        return events

    async def _depth(self, listed: Listed) -> Iterable[Event]:
        body = {"type": "l2Book", "coin": listed.instrument.symbol, "nSigFigs": 4}
        book = unpack(BOOK, await self._info(body, 2), "hyperliquid", "l2Book")
        bids, asks = ([(one.px, one.sz) for one in side] for side in book.levels)
        return listed.depth(book.time, bids, asks)

    async def _leaders(self, now: int) -> None:
        # Undocumented, and not needed: without it, addresses come from trades alone.
        self._leaders_ms = now
        try:
            data = await self._leaders_http.get("/Mainnet/leaderboard")
            for address in await asyncio.to_thread(parse_leaders, data, LEADERS_USD):
                self.positions.see(address, now, traded=False)
        except (ExchangeError, BadFrameError) as error:
            self.counters["poll_errors"] += 1
            log.warning("leaderboard_failed exchange=hyperliquid error=%s", error)

    async def _state(self, address: str) -> Sequence[Position | Liquidation]:
        # One account's failure is not the others'.
        try:
            body = {"type": "clearinghouseState", "user": address}
            data = await self._info(body, STATE_WEIGHT)
            held = parse_positions(data, self.listings.by_symbol, address)
        except RefusedError:
            raise
        except (ExchangeError, BadFrameError) as error:
            self.counters["poll_errors"] += 1
            log.info("account_failed exchange=hyperliquid error=%s", error)
            return ()
        told = self.positions.take(address, held, self.clock_ms(), self.marks)
        dead = sum(one.notional_usd for one in told if isinstance(one, Liquidation))
        return told if dead < CONFIRM_USD else await self._confirmed(address, told)

    async def _confirmed(
        self, address: str, told: Sequence[Position | Liquidation]
    ) -> Sequence[Position | Liquidation]:
        # The account's own fills say what was forced, when and at which price: nothing, where
        # the position was closed by its owner just in time.
        start = self.clock_ms() - HOUR_MS
        body = {"type": "userFillsByTime", "user": address, "startTime": start}
        try:
            data = await self._info(body, 20)
            forced = list(parse_forced(data, self.listings.by_symbol, address))
        except RefusedError:
            raise
        except (ExchangeError, BadFrameError) as error:
            self.counters["poll_errors"] += 1
            log.info("fills_failed exchange=hyperliquid error=%s", error)
            return told
        return [*forced, *(one for one in told if isinstance(one, Position))]


def _reaches(
    now: int, start_ms: int, end_ms: int
) -> Iterator[tuple[tuple[str, int], tuple[int, int]]]:
    # Each interval for the times which the finer ones before it do not reach.
    for name, interval in INTERVALS:
        # Whole hours, so that bars of two intervals never overlap.
        first = -(-(now - CANDLES * interval) // HOUR_MS) * HOUR_MS
        if start_ms < end_ms and max(start_ms, first) < end_ms:
            yield (name, interval), (max(start_ms, first), end_ms)
            end_ms = max(start_ms, first)
