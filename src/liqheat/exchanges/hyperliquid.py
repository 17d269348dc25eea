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
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges._listed import Listed, windows
from liqheat.exchanges._positions import Marks, Positions
from liqheat.exchanges._wire import (
    BadFrameError,
    Price,
    Qty,
    Rate,
    Size,
    TimeMs,
    history_table,
    lax,
    unpack,
)
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Http, Socket
from liqheat.market.events import (
    Bar,
    Event,
    FundingRate,
    Liquidation,
    Position,
    Side,
    Trade,
)
from liqheat.market.instrument import Instrument, MarginTier, tiers_from_rates

log = logging.getLogger("liqheat.exchanges")

HOUR_MS = 3_600_000
#: Weight per minute and address, and the share of what we use of it that goes to positions.
WEIGHT_PER_MINUTE, POSITION_SHARE, STATE_WEIGHT = 1_200, 0.75, 2
#: Candles which exist of an interval, with some room for the minutes until we ask.
CANDLES = 4_980
INTERVALS = (("1m", 60_000), ("5m", 300_000), ("15m", 900_000), ("1h", HOUR_MS))
#: The leaderboard: read every so often [ms], accounts of at least so much [USD].
LEADERS_MS, LEADERS_USD = 6 * HOUR_MS, 100_000.0

# -- messages ------------------------------------------------------------------------------


class _Trade(msgspec.Struct, gc=False):
    """{"coin":"BTC","side":"B","px":"64097.0","sz":"0.00033","time":1786539552700,…}."""

    coin: str
    side: Literal["B", "A"]
    px: Price
    sz: Size
    time: TimeMs
    tid: int
    users: tuple[str, ...] = ()


class _Trades(msgspec.Struct, gc=False):
    data: list[_Trade]


class _Context(msgspec.Struct, rename="camel", gc=False):
    mark_px: Price
    open_interest: Qty
    funding: Rate
    oracle_px: Price | None = None


class _CoinContext(msgspec.Struct, gc=False):
    """{"coin":"BTC","ctx":{"funding":"0.0000125","openInterest":"38485.06546",…}}."""

    coin: str
    ctx: _Context


class _Frame(msgspec.Struct, gc=False):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class _Asset(msgspec.Struct, rename="camel"):
    name: str
    sz_decimals: int
    max_leverage: Size
    margin_table_id: int = 0
    is_delisted: bool = False


class _Tier(msgspec.Struct, rename="camel"):
    lower_bound: Qty
    max_leverage: Size


class _Table(msgspec.Struct, rename="camel"):
    margin_tiers: list[_Tier]


class _Meta(msgspec.Struct, rename="camel"):
    universe: list[_Asset]
    margin_tables: list[tuple[int, _Table]] = []


class _Candle(msgspec.Struct, gc=False):
    t: TimeMs
    o: Price
    h: Price
    l: Price  # noqa: E741
    c: Price
    v: Qty


class _Funding(msgspec.Struct, rename="camel", gc=False):
    time: TimeMs
    funding_rate: Rate


class _Level(msgspec.Struct, gc=False):
    px: Price
    sz: Qty


class _Book(msgspec.Struct, gc=False):
    time: TimeMs
    levels: tuple[list[_Level], list[_Level]]


class _Leverage(msgspec.Struct, gc=False):
    type: Literal["cross", "isolated"]
    value: Size


class _Held(msgspec.Struct, rename="camel", gc=False):
    """{"coin":"ETH","szi":"0.0335","entryPx":"2986.3","liquidationPx":"2866.26936529",…}."""

    coin: str
    szi: float
    leverage: _Leverage
    entry_px: Price | None = None
    liquidation_px: float | None = None


class _AssetPosition(msgspec.Struct, gc=False):
    position: _Held


class _State(msgspec.Struct, rename="camel", gc=False):
    asset_positions: list[_AssetPosition]
    time: TimeMs


class _Leader(msgspec.Struct, rename="camel", gc=False):
    eth_address: str
    account_value: float


class _Leaders(msgspec.Struct, rename="camel"):
    leaderboard_rows: list[_Leader]


_TRADES, _CONTEXT, _FRAME, _BOOK = lax(_Trades), lax(_CoinContext), lax(_Frame), lax(_Book)
_META, _CANDLES, _FUNDINGS = (
    lax(tuple[_Meta, list[_Context]]),
    lax(list[_Candle]),
    lax(list[_Funding]),
)
_STATE, _LEADERS = lax(_State), lax(_Leaders)

# -- bytes to events -----------------------------------------------------------------------


def parse_instruments(data: bytes, coins: Sequence[str], as_of: str) -> list[Instrument]:
    """Return the contracts of ``coins`` in an answer to ``metaAndAssetCtxs``.

    Prices have at most five significant figures and 6 - szDecimals decimals, so the tick
    depends on the price. The maintenance rate is half the initial margin at the tier's largest
    leverage; a contract without a table has one tier.
    """
    meta, contexts = unpack(_META, data, "hyperliquid", "metaAndAssetCtxs")
    tables = {number: table.margin_tiers for number, table in meta.margin_tables}
    found = []
    for asset, context in zip(meta.universe, contexts, strict=False):
        if asset.name not in coins or asset.is_delisted:
            continue
        digits = math.floor(math.log10(context.mark_px)) - 4
        tick = 10.0 ** max(digits, asset.sz_decimals - 6)
        rows = tables.get(asset.margin_table_id) or [_Tier(0.0, asset.max_leverage)]
        found.append(Instrument(
            "hyperliquid", asset.name, asset.name, "USDC", "linear", tick,
            10.0**-asset.sz_decimals, 1.0, _tiers(rows), as_of, "Hyperliquid meta.marginTables",
        ))  # fmt: skip
    return found


def _tiers(rows: Sequence[_Tier]) -> tuple[MarginTier, ...]:
    ordered = sorted(rows, key=lambda row: row.lower_bound)
    caps = [*(row.lower_bound for row in ordered[1:]), 1e12]
    return tiers_from_rates(tuple(
        (row.lower_bound, cap, row.max_leverage, 0.5 / row.max_leverage)
        for row, cap in zip(ordered, caps, strict=True)
    ))  # fmt: skip


def parse_bars(data: bytes, listed: Listed, interval_ms: int) -> Iterator[Bar]:
    """Yield the bars of a ``candleSnapshot``; volume is base units."""
    for row in unpack(_CANDLES, data, "hyperliquid", "candleSnapshot"):
        yield Bar(listed.name, row.t, interval_ms, row.o, row.h, row.l, row.c, row.v)


def parse_funding(data: bytes, listed: Listed) -> Iterator[FundingRate]:
    """Yield hourly rates; their time is some milliseconds after the hour."""
    for row in unpack(_FUNDINGS, data, "hyperliquid", "fundingHistory"):
        yield FundingRate(listed.name, row.time // HOUR_MS * HOUR_MS, row.funding_rate)


def parse_positions(
    data: bytes, known: Mapping[str, Listed], account: str
) -> list[Position]:
    """Return an account's positions in the known coins, of a ``clearinghouseState``.

    Absent is a liquidation price which is null, or beyond any price (an account which cannot
    be liquidated by this position).
    """
    state = unpack(_STATE, data, "hyperliquid", "clearinghouseState")
    found = []
    for row in state.asset_positions:
        held = row.position
        listed = known.get(held.coin)
        if listed is None or held.szi == 0 or held.entry_px is None:
            continue
        if not math.isfinite(held.szi):
            raise BadFrameError(
                "hyperliquid", "clearinghouseState", "szi", "no number", held.szi
            )
        price = held.liquidation_px
        side: Side = "long" if held.szi > 0 else "short"
        found.append(Position(
            listed.name, state.time, account, side, abs(held.szi), held.entry_px,
            price if price is not None and 0 < price < 1e12 else None,
            None if held.leverage.type == "cross" else held.leverage.value,
        ))  # fmt: skip
    return found


def parse_leaders(data: bytes, least_usd: float = LEADERS_USD) -> list[str]:
    """Return the addresses of large accounts in the leaderboard, the largest first."""
    rows = unpack(_LEADERS, data, "hyperliquid", "leaderboard").leaderboard_rows
    large = [row for row in rows if row.account_value >= least_usd]
    large.sort(key=lambda row: -row.account_value)
    return [row.eth_address for row in large]


# -- the exchange --------------------------------------------------------------------------


class Hyperliquid(LiveExchange):
    """Hyperliquid's perpetuals of the chosen coins; see the module."""

    name = "hyperliquid"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True,
        liquidations="lower_bound", positions=True, depth=True, history_days=50.0,
    )  # fmt: skip
    default_urls: ClassVar = {
        "rest": "https://api.hyperliquid.xyz", "ws": "wss://api.hyperliquid.xyz/ws",
        "leaders": "https://stats-data.hyperliquid.xyz",
    }  # fmt: skip
    budget = Budget(per_minute=WEIGHT_PER_MINUTE)
    poll_s = 5.0
    poll_carries = ()
    #: Minutes without a trade are frequent, and their candles cost a call: see ``repairs``.

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        share = self.budget.share * POSITION_SHARE / STATE_WEIGHT
        self.positions = Positions(self.budget.per_minute * share)
        self.marks = Marks()
        self._leaders_http: Http = self.new_http("leaders", Budget(per_minute=10))
        self._leaders_ms = self._depth_ms = 0

    async def ping(self) -> None:
        """Ask for something light: there is no request for the time."""
        await self._info({"type": "exchangeStatus"}, 2)

    # -- stream

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return the one connection."""
        coins = [self.known(name).instrument.symbol for name in instruments]
        plans = [
            {"method": "subscribe", "subscription": {"type": kind, "coin": coin}}
            for coin in coins
            for kind in ("trades", "activeAssetCtx")
        ]
        return [Socket(
            self.urls["ws"], "ws", tuple(msgspec.json.encode(one).decode() for one in plans),
            pace_s=0.05, ping='{"method":"ping"}',
        )]  # fmt: skip

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; addresses seen trading are noted."""
        if frame.startswith(b'{"channel":"trades"'):
            return self._trades(frame)
        found = unpack(_FRAME, frame, "hyperliquid", label)
        if found.channel == "trades":
            return self._trades(frame)
        if found.channel == "activeAssetCtx":
            row = unpack(_CONTEXT, found.data, "hyperliquid", "activeAssetCtx")
            return self._context(row, received_ms + round(self.clock.offset_ms))
        if found.channel == "error":
            words = bytes(found.data)[:200].decode(errors="replace")
            raise ExchangeError("hyperliquid", f"refuses a subscription: {words}")
        if found.channel not in ("subscriptionResponse", "pong"):
            raise BadFrameError("hyperliquid", label, "channel", "unknown", found.channel)
        return ()

    def _trades(self, frame: bytes) -> list[Trade]:
        trades = []
        known, new, see = self.by_symbol, self.is_new, self.positions.see
        for row in unpack(_TRADES, frame, "hyperliquid", "trades").data:
            listed = known.get(row.coin)
            if listed is not None and new(row.tid):
                side: Literal["buy", "sell"] = "buy" if row.side == "B" else "sell"
                trades.append(listed.trade(row.time, row.px, row.sz, side))
                for user in row.users:
                    see(user, row.time)
        return trades

    def _context(self, row: _CoinContext, now: int) -> Iterator[Event]:
        listed = self.by_symbol.get(row.coin)
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
        return self.remember(parse_instruments(data, self.coins, self.today()))

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return bars of the finest interval that reaches back, and hourly funding."""
        listed, now = self.known(instrument), self.clock_ms()
        events: list[Event] = []
        if kind == "bars":
            for (name, interval), (start, end) in _reaches(now, start_ms, end_ms):
                req = {"coin": listed.instrument.symbol, "interval": name,
                       "startTime": start, "endTime": end - 1}  # fmt: skip
                data = await self._info(
                    {"type": "candleSnapshot", "req": req}, 20 + 5_000 / 60
                )
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
        listed = [self.known(name) for name in instruments]
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
        book = unpack(_BOOK, await self._info(body, 2), "hyperliquid", "l2Book")
        bids, asks = ([(one.px, one.sz) for one in side] for side in book.levels)
        return listed.depth(book.time, bids, asks)

    async def _leaders(self, now: int) -> None:
        # Undocumented, and not needed: without it, addresses come from trades alone.
        self._leaders_ms = now
        try:
            data = await self._leaders_http.get("/Mainnet/leaderboard")
            for address in await asyncio.to_thread(parse_leaders, data):
                self.positions.see(address, now, traded=False)
        except (ExchangeError, BadFrameError) as error:
            self.counters["poll_errors"] += 1
            log.warning("leaderboard_failed exchange=hyperliquid error=%s", error)

    async def _state(self, address: str) -> Sequence[Position | Liquidation]:
        # One account's failure is not the others'.
        try:
            body = {"type": "clearinghouseState", "user": address}
            data = await self._info(body, STATE_WEIGHT)
            held = parse_positions(data, self.by_symbol, address)
        except RefusedError:
            raise
        except (ExchangeError, BadFrameError) as error:
            self.counters["poll_errors"] += 1
            log.info("account_failed exchange=hyperliquid error=%s", error)
            return ()
        return self.positions.take(address, held, self.clock_ms(), self.marks)


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
