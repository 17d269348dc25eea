"""Messages of Gate's perpetual futures (v4), and their parsing: bytes to values, nothing else.

Traps: sizes are contracts of ``quanto_multiplier`` base units (of 1 USD where inverse), and
their SIGN is a side: of a trade the taker's, of a forced order (asked for over REST) the
position's. Times are seconds here and milliseconds there, in the same field over the years.

Documentation: https://www.gate.io/docs/developers/apiv4 and its futures WebSocket (2026-08-20).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Annotated, Any, Literal

import msgspec
from msgspec.json import Decoder

from liqheat.exchanges._listed import Listed, joined_tiers
from liqheat.exchanges._wire import (
    BadFrameError,
    Maybe,
    Price,
    Qty,
    Rate,
    lax,
    number,
    unpack,
)
from liqheat.market.events import (
    MAX_QTY,
    Bar,
    Event,
    FundingRate,
    Liquidation,
    LongShortRatio,
    MarkPrice,
    Side,
)
from liqheat.market.instrument import MarginTier

#: A size with a side: never 0, which would be of no side.
Signed = Annotated[float, msgspec.Meta(ge=-MAX_QTY, le=MAX_QTY)]
#: 2009 .. 2100, in seconds or in milliseconds; what lies between the two is neither.
Stamp = Annotated[float, msgspec.Meta(ge=1_230_940_800, le=4_102_444_800_000)]
StampMs = Annotated[float, msgspec.Meta(ge=1_230_940_800_000, le=4_102_444_800_000)]
LAST_SECOND = 4_102_444_800


def to_ms(stamp: float, channel: str) -> int:
    """Return a time which came in seconds or in milliseconds in milliseconds.

    >>> to_ms(1541486601, "x"), to_ms(1541486601.25, "x"), to_ms(1541486601123, "x")
    (1541486601000, 1541486601250, 1541486601123)
    """
    if stamp <= LAST_SECOND:
        return round(stamp * 1000)
    if stamp < 1_230_940_800_000:
        raise BadFrameError("gate", channel, "time", "neither seconds nor ms", stamp)
    return int(stamp)


# -- stream --------------------------------------------------------------------------------


class Frame(msgspec.Struct):
    """Every message; ``event`` is "update" in pushes, "subscribe" in answers."""

    channel: str
    event: str = ""
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class Trade(msgspec.Struct, gc=False):
    """{"size":-22,"id":1696009,"create_time":1593561623,"price":"225.5","contract":"…"}.

    The taker bought where ``size`` is positive.
    """

    contract: str
    id: int
    price: Price
    size: Signed
    create_time: Stamp
    create_time_ms: StampMs | None = None


class TradeFrame(msgspec.Struct, gc=False):
    """A push of trades, read at one go."""

    result: list[Trade]


class Ticker(msgspec.Struct, gc=False):
    """Everything but trades; ``total_size`` is contracts of one side.

    Of contracts which stand still fields are empty.
    """

    contract: str
    mark_price: Maybe = None
    index_price: Maybe = None
    total_size: Maybe = None
    funding_rate: Maybe = None
    funding_next_apply: Qty = 0
    t: Stamp | None = None


class TickerFrame(msgspec.Struct):
    result: list[Ticker]
    time: Stamp
    time_ms: Stamp | None = None


class Liquidated(msgspec.Struct, gc=False):
    """{"price":"215.1","size":"-124.5","time":1541486601123,"contract":"BTC_USDT"}.

    ``time`` was seconds once, with the milliseconds in ``time_ms``.
    """

    contract: str
    price: Price
    size: Signed
    time: Stamp
    time_ms: Stamp | None = None


# -- REST ----------------------------------------------------------------------------------


class Contract(msgspec.Struct):
    name: str
    type: Literal["direct", "inverse"]
    quanto_multiplier: Qty
    order_price_round: Price
    order_size_min: Qty = 1.0
    mark_price: Qty = 0.0
    in_delisting: bool = False


class Tier(msgspec.Struct):
    """``risk_limit`` and ``deduction`` are in the settlement's coin."""

    risk_limit: Price
    maintenance_rate: Rate
    leverage_max: Price
    deduction: Qty = 0.0


class Candle(msgspec.Struct, gc=False):
    t: Stamp
    o: Price
    h: Price
    l: Price  # noqa: E741 - Gate's name
    c: Price
    v: Qty = 0.0


class Stats(msgspec.Struct, gc=False):
    time: Stamp
    open_interest: Qty
    mark_price: Qty = 0.0
    lsr_account: Qty = 0.0


class Funding(msgspec.Struct, gc=False):
    t: Stamp
    r: Rate


class LiquidatedOrder(msgspec.Struct, gc=False):
    """``size`` is the POSITION's: positive where a long was liquidated; ``time`` is seconds."""

    time: Stamp
    contract: str
    size: Signed
    fill_price: Qty = 0.0
    order_price: Qty = 0.0


class Level(msgspec.Struct, gc=False):
    p: Price
    s: Qty


class Book(msgspec.Struct, gc=False):
    asks: list[Level]
    bids: list[Level]


FRAME: Decoder[Frame] = lax(Frame)
TRADES: Decoder[TradeFrame] = lax(TradeFrame)
TICKERS: Decoder[TickerFrame] = lax(TickerFrame)
LIQUIDATED: Decoder[list[Liquidated]] = lax(list[Liquidated])
CONTRACTS: Decoder[list[Contract]] = lax(list[Contract])
TIERS: Decoder[list[Tier]] = lax(list[Tier])
CANDLES: Decoder[list[Candle]] = lax(list[Candle])
STATS: Decoder[list[Stats]] = lax(list[Stats])
FUNDINGS: Decoder[list[Funding]] = lax(list[Funding])
ORDERS: Decoder[list[LiquidatedOrder]] = lax(list[LiquidatedOrder])
BOOK: Decoder[Book] = lax(Book)

# -- parsing -------------------------------------------------------------------------------


def parse_contracts(
    data: bytes, coins: Collection[str], *, inverse: bool
) -> list[tuple[Contract, str, str]]:
    """Return the contracts of ``coins`` with coin and quote; of the coin-settled inverse ones.

    (Gate's coin-settled contracts of other coins are quantos: they pay BTC for an ETH move.)
    """
    found = []
    for row in unpack(CONTRACTS, data, "gate", "contracts"):
        coin, _, quote = row.name.partition("_")
        kind, quotes = ("inverse", ("USD",)) if inverse else ("direct", ("USDT",))
        fits = row.type == kind and quote in quotes and not row.in_delisting
        if fits and coin in coins:
            found.append((row, coin, quote))
    return found


def parse_tiers(data: bytes, usd: float) -> tuple[MarginTier, ...]:
    """Return the tiers of a contract; ``usd`` is the worth of what it settles in."""
    rows = unpack(TIERS, data, "gate", "risk_limit_tiers")
    rows.sort(key=lambda row: row.risk_limit)
    caps = [row.risk_limit * usd for row in rows]
    try:
        return joined_tiers(
            MarginTier(
                floor, cap, row.maintenance_rate, row.deduction * usd, row.leverage_max
            )
            for floor, cap, row in zip([0.0, *caps], caps, rows, strict=False)
        )
    except ValueError as error:
        raise BadFrameError("gate", "risk_limit_tiers", "", str(error)) from error


def side_of(size: float, channel: str) -> Side:
    """Return the side of a position by the sign of its size."""
    if size == 0:
        raise BadFrameError("gate", channel, "size", "no side", size)
    return "long" if size > 0 else "short"


def parse_bars(
    candles: bytes, marks: bytes, listed: Listed, width_ms: int, now_ms: int
) -> Iterator[Bar]:
    """Yield the closed bars with the mark's range; Gate tells no taker's share."""
    ranges = {
        row.t: (row.h, row.l) for row in unpack(CANDLES, marks, "gate", "candlesticks")
    }
    for row in unpack(CANDLES, candles, "gate", "candlesticks"):
        start = to_ms(row.t, "candlesticks")
        if start + width_ms <= now_ms:
            unit = listed.size / row.c if listed.inverse else listed.size
            yield Bar(
                listed.name, start, width_ms, row.o, row.h, row.l, row.c, row.v * unit, None,
                *ranges.get(row.t, (None, None)),
            )  # fmt: skip


def parse_mark_history(data: bytes, listed: Listed, width_ms: int) -> Iterator[MarkPrice]:
    """Yield the mark at the end of each candle."""
    for row in unpack(CANDLES, data, "gate", "candlesticks"):
        yield MarkPrice(listed.name, to_ms(row.t, "candlesticks") + width_ms, row.c)


def parse_stats(data: bytes, listed: Listed, kind: str) -> Iterator[Event]:
    """Yield open interest or the accounts' ratio; a coin-settled one needs the row's mark."""
    for row in unpack(STATS, data, "gate", "contract_stats"):
        at = to_ms(row.time, "contract_stats")
        if kind == "long_short":
            if row.lsr_account > 0:
                yield LongShortRatio(listed.name, at, row.lsr_account)
        elif row.mark_price > 0 or not listed.inverse:
            yield from listed.open_interest(at, row.open_interest, row.mark_price or 1.0)


def parse_funding(data: bytes, listed: Listed) -> Iterator[FundingRate]:
    """Yield the rate of each interval, at its end."""
    for row in unpack(FUNDINGS, data, "gate", "funding_rate"):
        yield FundingRate(listed.name, to_ms(row.t, "funding_rate"), row.r)


def parse_orders(rows: Iterable[LiquidatedOrder], listed: Listed) -> Iterator[Liquidation]:
    """Yield forced orders as REST tells them: in seconds, the position's sign, the fill."""
    for row in rows:
        price = row.fill_price or row.order_price
        if price <= 0:
            raise BadFrameError("gate", "liq_orders", "fill_price", "no price", price)
        yield listed.liquidation(
            to_ms(row.time, "liq_orders"), side_of(row.size, "liq_orders"), price,
            "fill" if row.fill_price > 0 else "order", abs(row.size), "full",
        )  # fmt: skip


def parse_ticker(row: Ticker, at_ms: int, listed: Listed) -> Iterator[Event]:
    """Yield mark, open interest and, when its interval is over, funding."""

    def read(name: str) -> float:
        found = number(getattr(row, name), "gate", "futures.tickers", name)
        return 0.0 if found is None else found

    mark = read("mark_price")
    if mark > 0:
        yield listed.mark(at_ms, mark, read("index_price") or None)
    if row.total_size not in (None, ""):
        yield from listed.open_interest(at_ms, read("total_size"))
    if row.funding_rate not in (None, "") and row.funding_next_apply:
        yield from listed.funding(
            read("funding_rate"), round(row.funding_next_apply * 1000)
        )
