"""Hyperliquid: its messages, and what they mean; see ``hyperliquid`` for the traps.

Pure: bytes in, events out. Sizes are base units.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from liqheat.exchanges._listed import Listed
from liqheat.exchanges._wire import (
    BadFrameError,
    Price,
    Qty,
    Rate,
    Size,
    TimeMs,
    lax,
    unpack,
)
from liqheat.market.events import Bar, FundingRate, Liquidation, Position, Side, Trade
from liqheat.market.instrument import Instrument, MarginTier, tiers_from_rates

HOUR_MS = 3_600_000

# -- messages ------------------------------------------------------------------------------


class TradeRow(msgspec.Struct, gc=False):
    """{"coin":"BTC","side":"B","px":"64097.0","sz":"0.00033","time":1786539552700,…}."""

    coin: str
    side: Literal["B", "A"]
    px: Price
    sz: Size
    time: TimeMs
    tid: int
    users: tuple[str, ...] = ()


class Trades(msgspec.Struct, gc=False):
    data: list[TradeRow]


class Context(msgspec.Struct, rename="camel", gc=False):
    mark_px: Price
    open_interest: Qty
    funding: Rate
    oracle_px: Price | None = None


class CoinContext(msgspec.Struct, gc=False):
    """{"coin":"BTC","ctx":{"funding":"0.0000125","openInterest":"38485.06546",…}}."""

    coin: str
    ctx: Context


class Frame(msgspec.Struct, gc=False):
    channel: str
    data: msgspec.Raw = msgspec.Raw(b"null")


class Asset(msgspec.Struct, rename="camel"):
    name: str
    sz_decimals: int
    max_leverage: Size
    margin_table_id: int = 0
    is_delisted: bool = False


class Tier(msgspec.Struct, rename="camel"):
    lower_bound: Qty
    max_leverage: Size


class Table(msgspec.Struct, rename="camel"):
    margin_tiers: list[Tier]


class Meta(msgspec.Struct, rename="camel"):
    universe: list[Asset]
    margin_tables: list[tuple[int, Table]] = []


class Candle(msgspec.Struct, gc=False):
    t: TimeMs
    o: Price
    h: Price
    l: Price  # noqa: E741
    c: Price
    v: Qty


class Funding(msgspec.Struct, rename="camel", gc=False):
    time: TimeMs
    funding_rate: Rate


class Level(msgspec.Struct, gc=False):
    px: Price
    sz: Qty


class Book(msgspec.Struct, gc=False):
    time: TimeMs
    levels: tuple[list[Level], list[Level]]


class Leverage(msgspec.Struct, gc=False):
    type: Literal["cross", "isolated"]
    value: Size


class Held(msgspec.Struct, rename="camel", gc=False):
    """{"coin":"ETH","szi":"0.0335","entryPx":"2986.3","liquidationPx":"2866.26936529",…}."""

    coin: str
    szi: float
    leverage: Leverage
    entry_px: Price | None = None
    liquidation_px: float | None = None


class AssetPosition(msgspec.Struct, gc=False):
    position: Held


class State(msgspec.Struct, rename="camel", gc=False):
    asset_positions: list[AssetPosition]
    time: TimeMs


class Forced(msgspec.Struct, rename="camel", gc=False):
    """{"liquidatedUser":"0x3608…","markPx":"66607.0","method":"market"}."""

    liquidated_user: str
    mark_px: Price


class Fill(msgspec.Struct, rename="camel", gc=False):
    """A fill of one account; ``liquidation`` may be null as well as absent."""

    coin: str
    px: Price
    sz: Size
    side: Literal["B", "A"]
    time: TimeMs
    tid: int
    liquidation: Forced | None = None


class Leader(msgspec.Struct, rename="camel", gc=False):
    eth_address: str
    account_value: float


class Leaders(msgspec.Struct, rename="camel"):
    leaderboard_rows: list[Leader]


TRADES, CONTEXT, FRAME, BOOK = lax(Trades), lax(CoinContext), lax(Frame), lax(Book)
META, CANDLES = lax(tuple[Meta, list[Context]]), lax(list[Candle])
FUNDINGS, STATE, LEADERS, FILLS = (
    lax(list[Funding]),
    lax(State),
    lax(Leaders),
    lax(list[Fill]),
)

# -- bytes to events -----------------------------------------------------------------------


def parse_instruments(data: bytes, coins: Collection[str], as_of: str) -> list[Instrument]:
    """Return the contracts of ``coins`` in an answer to ``metaAndAssetCtxs``.

    Prices have at most five significant figures and 6 - szDecimals decimals, so the tick
    depends on the price. The maintenance rate is half the initial margin at the tier's largest
    leverage; a contract without a table has one tier.
    """
    meta, contexts = unpack(META, data, "hyperliquid", "metaAndAssetCtxs")
    tables = {number: table.margin_tiers for number, table in meta.margin_tables}
    found = []
    for asset, context in zip(meta.universe, contexts, strict=False):
        if asset.name not in coins or asset.is_delisted:
            continue
        digits = math.floor(math.log10(context.mark_px)) - 4
        tick = 10.0 ** max(digits, asset.sz_decimals - 6)
        rows = tables.get(asset.margin_table_id) or [Tier(0.0, asset.max_leverage)]
        found.append(Instrument(
            "hyperliquid", asset.name, asset.name, "USDC", "linear", tick,
            10.0**-asset.sz_decimals, 1.0, _tiers(rows), as_of, "Hyperliquid meta.marginTables",
        ))  # fmt: skip
    return found


def _tiers(rows: Sequence[Tier]) -> tuple[MarginTier, ...]:
    ordered = sorted(rows, key=lambda row: row.lower_bound)
    caps = [*(row.lower_bound for row in ordered[1:]), 1e12]
    return tiers_from_rates(tuple(
        (row.lower_bound, cap, row.max_leverage, 0.5 / row.max_leverage)
        for row, cap in zip(ordered, caps, strict=True)
    ))  # fmt: skip


def parse_bars(data: bytes, listed: Listed, interval_ms: int) -> Iterator[Bar]:
    """Yield the bars of a ``candleSnapshot``; volume is base units."""
    for row in unpack(CANDLES, data, "hyperliquid", "candleSnapshot"):
        yield Bar(listed.name, row.t, interval_ms, row.o, row.h, row.l, row.c, row.v)


def parse_funding(data: bytes, listed: Listed) -> Iterator[FundingRate]:
    """Yield hourly rates; their time is some milliseconds after the hour."""
    for row in unpack(FUNDINGS, data, "hyperliquid", "fundingHistory"):
        yield FundingRate(listed.name, row.time // HOUR_MS * HOUR_MS, row.funding_rate)


def parse_positions(
    data: bytes, known: Mapping[str, Listed], account: str
) -> list[Position]:
    """Return an account's positions in the known coins, of a ``clearinghouseState``.

    Absent is a liquidation price which is null, or beyond any price (an account which cannot
    be liquidated by this position).
    """
    state = unpack(STATE, data, "hyperliquid", "clearinghouseState")
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


def parse_forced(
    data: bytes, known: Mapping[str, Listed], account: str
) -> Iterator[Liquidation]:
    """Yield the forced fills among an account's fills (``userFillsByTime``).

    The fill is the account's own: where it is the liquidated one, selling closed a long; where
    it stood on the other side, selling closed the other's short.
    """
    for row in unpack(FILLS, data, "hyperliquid", "userFillsByTime"):
        listed, forced = known.get(row.coin), row.liquidation
        if listed is not None and forced is not None and listed.is_new(("forced", row.tid)):
            own = forced.liquidated_user.lower() == account.lower()
            side: Side = "long" if (row.side == "A") == own else "short"
            yield listed.liquidation(
                row.time, side, row.px, "fill", row.sz, "lower_bound", forced.mark_px
            )


def parse_leaders(data: bytes, least_usd: float) -> list[str]:
    """Return the addresses of large accounts in the leaderboard, the largest first."""
    rows = unpack(LEADERS, data, "hyperliquid", "leaderboard").leaderboard_rows
    large = [row for row in rows if row.account_value >= least_usd]
    large.sort(key=lambda row: -row.account_value)
    return [row.eth_address for row in large]


def parse_trades(
    frame: bytes, known: Mapping[str, Listed], see: Callable[[str, int], None]
) -> list[Trade]:
    """Return the trades of a frame which were not told before; the hot path.

    ``see`` is told each address which traded, and when.
    """
    trades, users = [], dict[str, int]()
    for row in unpack(TRADES, frame, "hyperliquid", "trades").data:
        listed = known.get(row.coin)
        if listed is not None and listed.is_new(row.tid):
            side: Literal["buy", "sell"] = "buy" if row.side == "B" else "sell"
            trades.append(listed.trade(row.time, row.px, row.sz, side))
            for user in row.users:
                users[user] = row.time
    # The taker of a frame's trades is often one and the same.
    for user, at in users.items():
        see(user, at)
    return trades
