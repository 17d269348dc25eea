"""Bitget v3: its messages, and what they mean; see ``bitget`` for the traps.

Pure: bytes in, events out. Sizes are base units everywhere but in forced orders, which count
in the quote coin. A coin-margined contract is kept as one of 1 USD: sizes are multiplied by
their price on the way in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from liqheat.exchanges._listed import Listed, joined_tiers
from liqheat.exchanges._wire import (
    Absent,
    BadFrameError,
    Price,
    Qty,
    Rate,
    Size,
    TimeMs,
    given,
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
    Side,
    Trade,
)
from liqheat.market.instrument import Instrument, MarginTier, tiers_from_rates

Bytes = bytes | msgspec.Raw
Known = Mapping[str, Listed]

MINUTE_MS = 60_000

# -- messages ------------------------------------------------------------------------------


class Arg(msgspec.Struct, rename="camel", frozen=True, gc=False):
    topic: str = ""
    inst_type: str = ""
    symbol: str = ""


class Frame(msgspec.Struct, gc=False):
    """Answers to operations have ``event`` and, when refused, ``msg``."""

    arg: Arg = Arg()
    data: msgspec.Raw = msgspec.Raw(b"null")
    ts: int = 0
    event: str = ""
    msg: str = ""


class TradeRow(msgspec.Struct, gc=False):
    """{"i":"1432912492051054592","p":"76631.3","v":"0.01","S":"buy","T":"1777358881008",…}."""

    i: str
    p: Price
    v: Size
    S: Literal["buy", "sell"]
    T: TimeMs


class Trades(msgspec.Struct, gc=False):
    arg: Arg
    data: list[TradeRow]


class TickerRow(msgspec.Struct, rename="camel", gc=False):
    mark_price: Price | Absent = None
    index_price: Price | Absent = None
    open_interest: Qty | Absent = None
    funding_rate: Rate | Absent = None
    next_funding_time: TimeMs | Absent = None


class ForcedRow(msgspec.Struct, gc=False):
    """{"symbol":"APEUSDT","side":"buy","price":"0.1649","amount":"13.70319","ts":"17773…"}.

    ``side`` is the position's: buy is a long. ``amount`` is in the quote coin on the stream:
    13.70319 / 0.1649 = 83.1 APE exactly. ``price`` is about the bankruptcy price.
    """

    symbol: str
    side: Literal["buy", "sell"]
    price: Price
    amount: Size
    ts: TimeMs


class Contract(msgspec.Struct, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    price_multiplier: Size
    quantity_multiplier: Size
    status: str
    type: str = "perpetual"


class Tier(msgspec.Struct, rename="camel"):
    min_tier_value: Qty
    max_tier_value: Size
    leverage: Size
    mmr: Rate


class Kline(msgspec.Struct, array_like=True, gc=False):
    start: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty = 0.0


class FundingRow(msgspec.Struct, rename="camel", gc=False):
    funding_rate: Rate
    funding_rate_timestamp: TimeMs


class Fundings(msgspec.Struct, rename="camel"):
    result_list: list[FundingRow] = []


class ForcedPage(msgspec.Struct, rename={"rows": "list"}):
    rows: list[ForcedRow] = []
    cursor: str | int | None = None


class Ratio(msgspec.Struct, rename="camel", gc=False):
    long_short_account_ratio: Qty
    ts: TimeMs


class Book(msgspec.Struct, gc=False):
    ts: TimeMs
    b: list[tuple[Price, Qty]]
    a: list[tuple[Price, Qty]]


class Reply(msgspec.Struct, rename="camel"):
    code: str
    msg: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


FRAME, TRADES, TICKERS, REPLY = lax(Frame), lax(Trades), lax(list[TickerRow]), lax(Reply)
FORCED, FORCED_PAGE, BOOK = lax(list[ForcedRow]), lax(ForcedPage), lax(Book)
CONTRACTS, TIERS, KLINES = lax(list[Contract]), lax(list[Tier]), lax(list[Kline])
FUNDINGS, RATIOS = lax(Fundings), lax(list[Ratio])

# -- bytes to events -----------------------------------------------------------------------


def contracts(listed: Listed, qty: float, price: float) -> float:
    """Return a base quantity in the contracts of ``listed``."""
    return qty * price if listed.inverse else qty


def parse_trades(frame: bytes, known: Known) -> list[Trade]:
    """Return the trades of a frame which were not told before; the hot path.

    The first frame after subscribing is a snapshot of older trades.
    """
    found = unpack(TRADES, frame, "bitget", "publicTrade")
    listed = known.get(found.arg.symbol)
    if listed is None:
        return []
    return [
        listed.trade(row.T, row.p, contracts(listed, row.v, row.p), row.S)
        for row in found.data
        if listed.is_new(row.i)
    ]


def parse_ticker(data: Bytes, listed: Listed, event_ms: int) -> Iterator[Event]:
    """Yield mark price, open interest and, where it settled, the funding rate."""
    for row in unpack(TICKERS, data, "bitget", "ticker"):
        mark = given(row.mark_price)
        if mark is not None:
            yield listed.mark(event_ms, mark, given(row.index_price))
        qty = given(row.open_interest)
        price = mark if mark is not None else listed.mark_at(event_ms)
        if qty is not None and price is not None:
            size = contracts(listed, qty, price)
            yield from listed.open_interest(event_ms, size, price)
        rate, next_ms = given(row.funding_rate), given(row.next_funding_time)
        if rate is not None and next_ms is not None:
            yield from listed.funding(rate, int(next_ms))


def parse_forced(data: Bytes, known: Known) -> list[Liquidation]:
    """Return the forced orders of a frame: the largest of each side, symbol and second."""
    rows = unpack(FORCED, data, "bitget", "liquidation")
    return to_liquidations(rows, known, in_quote=True)


def to_liquidations(
    rows: Iterable[ForcedRow], known: Known, *, in_quote: bool
) -> list[Liquidation]:
    """Return liquidations which were not told before; ``amount`` as ``in_quote`` says."""
    found = []
    for row in rows:
        listed = known.get(row.symbol)
        qty = row.amount / row.price if in_quote else row.amount
        # The stream and REST may tell of one order in two units.
        key = (row.ts, row.side, row.price, f"{qty:.9g}")
        if listed is not None and listed.is_new(key):
            side: Side = "long" if row.side == "buy" else "short"
            found.append(listed.liquidation(
                row.ts, side, row.price, "bankruptcy", contracts(listed, qty, row.price),
                "sampled_1s_largest",
            ))  # fmt: skip
    return found


def is_in_quote(rows: Sequence[ForcedRow], lot_size: float) -> bool | None:
    """Return whether amounts are in the quote coin, told from which unit gives whole lots.

    What REST's amounts are is disputed; positions are whole lots, so their sizes tell. None
    where they do not.

    >>> row = ForcedRow("APEUSDT", "buy", 0.1649, 13.70319, 1_777_358_886_549)
    >>> is_in_quote([row], 0.1)
    True
    """

    def whole(qty: float) -> bool:
        lots = qty / lot_size
        return lots >= 0.5 and abs(lots - round(lots)) < 1e-3

    quote = sum(whole(row.amount / row.price) for row in rows)
    base = sum(whole(row.amount) for row in rows)
    return None if quote == base else quote > base


def parse_instruments(data: Bytes, coins: Collection[str]) -> list[Contract]:
    """Return the trading perpetuals of the coins in one category."""
    return [
        row
        for row in unpack(CONTRACTS, data, "bitget", "instruments")
        if row.base_coin in coins and row.status == "online" and row.type == "perpetual"
    ]


def parse_tiers(data: Bytes) -> tuple[MarginTier, ...]:
    """Return margin tiers [USD]; Bitget names no deduction, so it is what makes them join."""
    rows = unpack(TIERS, data, "bitget", "position-tier")
    rows.sort(key=lambda row: row.max_tier_value)
    floor, edges = 0.0, []
    for row in rows:
        edges.append((floor, row.max_tier_value, row.leverage, row.mmr))
        floor = row.max_tier_value
    try:
        return joined_tiers(tiers_from_rates(tuple(edges)))
    except ValueError as error:
        raise BadFrameError("bitget", "position-tier", "data", str(error)) from error


def to_instrument(row: Contract, tiers: tuple[MarginTier, ...], as_of: str) -> Instrument:
    """Return the instrument of a row of ``instruments``."""
    return Instrument(
        "bitget", row.symbol, row.base_coin, row.quote_coin,
        "inverse" if row.quote_coin == "USD" else "linear", row.price_multiplier,
        row.quantity_multiplier, 1.0, tiers, as_of, "Bitget position-tier",
    )  # fmt: skip


def parse_bars(klines: Bytes, mark_klines: Bytes, listed: Listed) -> Iterator[Bar]:
    """Yield minute bars with the mark's range; volume is base units."""
    marks = {k.start: k for k in unpack(KLINES, mark_klines, "bitget", "mark candles")}
    for k in unpack(KLINES, klines, "bitget", "candles"):
        mark = marks.get(k.start)
        yield Bar(
            listed.name, k.start, MINUTE_MS, k.open, k.high, k.low, k.close, k.volume,
            mark_high=mark.high if mark else None, mark_low=mark.low if mark else None,
        )  # fmt: skip


def parse_marks(klines: Bytes, listed: Listed) -> Iterator[MarkPrice]:
    """Yield mark prices at the ends of minutes."""
    for k in unpack(KLINES, klines, "bitget", "mark candles"):
        yield MarkPrice(listed.name, k.start + MINUTE_MS, k.close)


def parse_funding(data: Bytes, listed: Listed) -> list[FundingRate]:
    """Return one page of settled rates."""
    return [
        FundingRate(listed.name, row.funding_rate_timestamp, row.funding_rate)
        for row in unpack(FUNDINGS, data, "bitget", "history-fund-rate").result_list
    ]


def parse_ratios(data: Bytes, listed: Listed) -> list[LongShortRatio]:
    """Return ratios of long to short accounts."""
    return [
        LongShortRatio(listed.name, row.ts, row.long_short_account_ratio)
        for row in unpack(RATIOS, data, "bitget", "account-long-short")
    ]
