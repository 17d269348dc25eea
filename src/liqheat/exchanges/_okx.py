"""Messages of OKX's swaps (v5), and their parsing: bytes to values, nothing else.

Traps: sizes are contracts of ``ctVal`` base units (USD where inverse). ``bkPx`` is the
bankruptcy price: nothing need have traded there. In net mode only the order's side tells who
died: a sell closes a long. A position pays the rate of its tier on all of it, so the tiers
have no deductions. Candles have no taker's share.

Documentation: https://www.okx.com/docs-v5 (as of 2026-09).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.json import Decoder

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import Listed, joined_tiers
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
from liqheat.market.events import (
    Bar,
    Event,
    FundingRate,
    Liquidation,
    LongShortRatio,
    MarkPrice,
    OpenInterest,
)
from liqheat.market.instrument import Instrument, MarginTier

T = TypeVar("T")
MINUTE_MS = 60_000
NULL = msgspec.Raw(b"null")

# -- stream --------------------------------------------------------------------------------


class Channel(msgspec.Struct, frozen=True, gc=False):
    channel: str = ""


class Frame(msgspec.Struct):
    """Every message; ``event`` and ``msg`` of answers, ``data`` of pushes."""

    arg: Channel = Channel()
    data: msgspec.Raw = NULL
    event: str = ""
    code: str = ""
    msg: str = ""


class Trade(msgspec.Struct, rename="camel", gc=False):
    """Trades of one taker order at one price; ``side`` is the taker's, ``sz`` contracts.

    {"instId":"BTC-USDT-SWAP","tradeId":"148266905","px":"48938.5","sz":"5","side":"buy",…}
    """

    inst_id: str
    trade_id: int
    px: Price
    sz: Size
    side: Literal["buy", "sell"]
    ts: TimeMs


class TradeFrame(msgspec.Struct, gc=False):
    """A push of trades, read at one go; an answer has no ``data``."""

    data: list[Trade] = []


class Mark(msgspec.Struct, rename="camel", gc=False):
    inst_id: str
    mark_px: Price
    ts: TimeMs


class Interest(msgspec.Struct, rename="camel", gc=False):
    """``oi`` is contracts, ``oiCcy`` base units, of one side."""

    inst_id: str
    oi_ccy: Qty
    ts: TimeMs


class Funding(msgspec.Struct, rename="camel", gc=False):
    """The rate of the interval which ends at ``fundingTime``."""

    inst_id: str
    funding_time: TimeMs
    funding_rate: Rate | None = None


class Detail(msgspec.Struct, rename="camel", gc=False):
    """One forced order.

    {"bkPx":"0.007831","posSide":"short","side":"buy","sz":"13","ts":"1692266434010"}
    """

    bk_px: Price
    side: Literal["buy", "sell"]
    sz: Size
    ts: TimeMs
    pos_side: Literal["long", "short", "net", ""] = ""


class Liquidated(msgspec.Struct, rename="camel", gc=False):
    """Forced orders of one contract: at most one a second, "not the total"."""

    inst_id: str
    details: list[Detail]


# -- REST ----------------------------------------------------------------------------------


class Reply(msgspec.Struct):
    """Every answer; ``code`` is "0" where it is one."""

    code: str = "0"
    msg: str = ""
    data: msgspec.Raw = NULL


class Candle(msgspec.Struct, array_like=True, gc=False):
    ts: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    contracts: Qty
    base_qty: Qty
    quote_qty: Qty
    confirm: str = "1"


class MarkCandle(msgspec.Struct, array_like=True, gc=False):
    ts: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    confirm: str = "1"


class InterestRow(msgspec.Struct, array_like=True, gc=False):
    ts: TimeMs
    contracts: Qty
    base_qty: Qty


class RatioRow(msgspec.Struct, array_like=True, gc=False):
    ts: TimeMs
    ratio: Price


class FundingRow(msgspec.Struct, rename="camel", gc=False):
    """``realizedRate`` was paid, ``fundingRate`` foretold."""

    realized_rate: Rate
    ts: TimeMs = msgspec.field(name="fundingTime")


class Level(msgspec.Struct, array_like=True, gc=False):
    price: Price
    contracts: Qty


class Book(msgspec.Struct, gc=False):
    asks: list[Level]
    bids: list[Level]
    ts: TimeMs


class Swap(msgspec.Struct, rename="camel"):
    inst_id: str
    inst_family: str
    ct_type: str
    settle_ccy: str
    state: str
    ct_val: Price
    tick_sz: Price
    lot_sz: Price
    ct_mult: Price = 1.0


class Tier(msgspec.Struct, rename="camel"):
    inst_family: str
    max_sz: Price
    mmr: Rate
    max_lever: Price


FRAME: Decoder[Frame] = lax(Frame)
TRADES: Decoder[TradeFrame] = lax(TradeFrame)
TRADE_ROWS: Decoder[list[Trade]] = lax(list[Trade])
MARKS: Decoder[list[Mark]] = lax(list[Mark])
INTERESTS: Decoder[list[Interest]] = lax(list[Interest])
FUNDINGS: Decoder[list[Funding]] = lax(list[Funding])
LIQUIDATED: Decoder[list[Liquidated]] = lax(list[Liquidated])
REPLY: Decoder[Reply] = lax(Reply)
CANDLES: Decoder[list[Candle]] = lax(list[Candle])
MARK_CANDLES: Decoder[list[MarkCandle]] = lax(list[MarkCandle])
INTEREST_ROWS: Decoder[list[InterestRow]] = lax(list[InterestRow])
RATIO_ROWS: Decoder[list[RatioRow]] = lax(list[RatioRow])
FUNDING_ROWS: Decoder[list[FundingRow]] = lax(list[FundingRow])
BOOKS: Decoder[list[Book]] = lax(list[Book])
SWAPS: Decoder[list[Swap]] = lax(list[Swap])
TIERS: Decoder[list[Tier]] = lax(list[Tier])

# -- parsing -------------------------------------------------------------------------------


def parse_reply(data: bytes, rows: Decoder[T], channel: str) -> T:
    """Return the rows of an answer.

    Raises
    ------
    ExchangeError
        The answer says that the request failed.
    """
    reply = unpack(REPLY, data, "okx", channel)
    if reply.code != "0":
        raise ExchangeError("okx", f"{channel} failed: {reply.code} {reply.msg}")
    return unpack(rows, reply.data, "okx", channel)


def parse_swaps(data: bytes, coins: Collection[str]) -> list[tuple[Swap, str, str]]:
    """Return the live swaps of ``coins`` with coin and quote, both settled in one of them."""
    found = []
    for row in parse_reply(data, SWAPS, "instruments"):
        coin, _, quote = row.inst_family.partition("-")
        settled = {"linear": quote, "inverse": coin}.get(row.ct_type)
        plain = quote in (("USD",) if row.ct_type == "inverse" else ("USDT", "USDC"))
        if row.state == "live" and coin in coins and plain and settled == row.settle_ccy:
            found.append((row, coin, quote))
    return found


def parse_tiers(data: bytes, usd: Mapping[str, float]) -> dict[str, tuple[MarginTier, ...]]:
    """Return the tiers by family; ``usd`` is what one contract of each is worth [USD]."""
    sizes: dict[str, list[Tier]] = {}
    for row in parse_reply(data, TIERS, "position-tiers"):
        sizes.setdefault(row.inst_family, []).append(row)
    found = {}
    for family, rows in sizes.items():
        rows.sort(key=lambda row: row.max_sz)
        caps = [row.max_sz * usd[family] for row in rows]
        try:
            found[family] = joined_tiers(
                MarginTier(floor, cap, row.mmr, 0.0, row.max_lever)
                for floor, cap, row in zip([0.0, *caps], caps, rows, strict=False)
            )
        except ValueError as error:
            raise BadFrameError("okx", "position-tiers", family, str(error)) from error
    return found


def to_instrument(
    row: Swap, coin: str, quote: str, tiers: tuple[MarginTier, ...], as_of: str, source: str
) -> Instrument:
    """Return the instrument of a swap; a contract is ``ctVal`` times ``ctMult``."""
    return Instrument(
        "okx", row.inst_id, coin, quote, "inverse" if row.ct_type == "inverse" else "linear",
        row.tick_sz, row.lot_sz, row.ct_val * row.ct_mult, tiers, as_of, source,
    )  # fmt: skip


def parse_candles(
    rows: Iterable[Candle], marks: Iterable[MarkCandle], listed: Listed
) -> Iterator[Bar]:
    """Yield the closed 1m bars; a mark's range where there is one."""
    ranges = {row.ts: (row.high, row.low) for row in marks}
    for row in rows:
        if row.confirm == "1":
            unit = listed.size / row.close if listed.inverse else listed.size
            yield Bar(
                listed.name, row.ts, MINUTE_MS, row.open, row.high, row.low, row.close,
                row.contracts * unit, None, *ranges.get(row.ts, (None, None)),
            )  # fmt: skip


def parse_details(rows: Iterable[Detail], listed: Listed) -> Iterator[Liquidation]:
    """Yield the forced orders not told before; of a net position the order's side tells."""
    for row in rows:
        side = row.pos_side
        if side not in ("long", "short"):
            side = "long" if row.side == "sell" else "short"
        if listed.is_new((row.ts, row.side, row.sz, row.bk_px)):
            yield listed.liquidation(
                row.ts, "long" if side == "long" else "short", row.bk_px, "bankruptcy",
                row.sz, "sampled_1s",
            )  # fmt: skip


Row = Any
#: History in rows: path, decoder, rows of a page, weight, event of a row.
TABLES: dict[str, tuple[str, Decoder[Any], Callable[[Row, str], Event]]] = {
    "mark": (
        "/api/v5/market/history-mark-price-candles", MARK_CANDLES,
        lambda row, name: MarkPrice(name, row.ts + 5 * MINUTE_MS, row.close),
    ),
    "funding": (
        "/api/v5/public/funding-rate-history", FUNDING_ROWS,
        lambda row, name: FundingRate(name, row.ts, row.realized_rate),
    ),
    "open_interest": (
        "/api/v5/rubik/stat/contracts/open-interest-history", INTEREST_ROWS,
        lambda row, name: OpenInterest(name, row.ts, row.base_qty),
    ),
    "long_short": (
        "/api/v5/rubik/stat/contracts/long-short-account-ratio-contract", RATIO_ROWS,
        lambda row, name: LongShortRatio(name, row.ts, row.ratio),
    ),
}  # fmt: skip
