"""Messages of Binance's futures, and their parsing: bytes to values, nothing else.

Traps: a forced order's side is the ORDER's: SELL closes a long. COIN-M counts in contracts
(BTC 100 USD, others 10). ``maintMarginPercent`` of the instrument list is not the tiers' rate.

Documentation: https://developers.binance.com/docs/derivatives (as of 2026-10-03).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Literal

import msgspec
from msgspec.json import Decoder

from liqheat.exchanges._listed import (
    ASSUMED_AS_OF,
    ASSUMED_SOURCE,
    ASSUMED_TIERS,
    Listed,
    joined_tiers,
)
from liqheat.exchanges._wire import (
    BadFrameError,
    Maybe,
    Price,
    Qty,
    Rate,
    Size,
    TimeMs,
    lax,
    unpack,
)
from liqheat.market.events import Bar, Event, FundingRate, LongShortRatio, MarkPrice
from liqheat.market.instrument import SHIPPED, Instrument, MarginTier

MINUTE_MS = 60_000


class AggTrade(msgspec.Struct, tag_field="e", tag="aggTrade", gc=False):
    """Trades of one taker order at one price within 100 ms.

    {"e":"aggTrade","s":"BTCUSDT","a":5,"p":"10223.74","q":"0.236","T":1568693103463,"m":false}
    ``m``: the buyer was the maker, so the taker sold.
    """

    s: str
    a: int
    p: Price
    q: Size
    T: TimeMs
    m: bool


class Mark(msgspec.Struct, tag_field="e", tag="markPriceUpdate", gc=False):
    """Mark and index price; ``r`` is the funding rate of the interval which ends at ``T``."""

    s: str
    E: TimeMs
    p: Price
    i: Maybe = None
    r: Maybe = None
    T: int = 0


class Order(msgspec.Struct, gc=False):
    s: str
    S: Literal["BUY", "SELL"]
    q: Size
    p: Price
    ap: Qty
    T: TimeMs
    st: int | None = None


class ForceOrder(msgspec.Struct, tag_field="e", tag="forceOrder", gc=False):
    """The largest forced order of a second and symbol, of USD-M and COIN-M alike.

    {"e":"forceOrder","o":{"s":"BTCUSDT","S":"SELL","q":"0.014","p":"9910","ap":"9910",…}}
    ``S`` is the order's side; ``ap`` the mean fill, ``p`` the limit (the bankruptcy price);
    ``st`` 1 is USD-M, 2 COIN-M.
    """

    o: Order
    st: int | None = None


class Frame(msgspec.Struct, gc=False):
    """Answers to SUBSCRIBE have no ``data``, but ``error`` when refused."""

    data: AggTrade | Mark | ForceOrder | None = None
    error: Any = None


class Kline(msgspec.Struct, array_like=True, gc=False):
    start: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    qty: Qty
    end: int
    quote_qty: Qty
    count: int
    taker_qty: Qty


class MarkKline(msgspec.Struct, array_like=True, gc=False):
    start: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price


class Funding(msgspec.Struct, rename="camel", gc=False):
    funding_time: TimeMs
    funding_rate: Rate


class InterestNow(msgspec.Struct, rename="camel", gc=False):
    open_interest: Qty
    time: TimeMs


class InterestRow(msgspec.Struct, rename="camel", gc=False):
    """``timestamp`` is the END of the period."""

    sum_open_interest: Qty
    timestamp: TimeMs


class Ratio(msgspec.Struct, rename="camel", gc=False):
    long_short_ratio: Price
    timestamp: TimeMs


class Book(msgspec.Struct, gc=False):
    bids: list[tuple[Price, Qty]]
    asks: list[tuple[Price, Qty]]


class Filter(msgspec.Struct, rename="camel"):
    filter_type: str
    tick_size: Price = 1.0
    step_size: Price = 1.0


class Symbol(msgspec.Struct, rename="camel"):
    symbol: str
    base_asset: str
    quote_asset: str
    filters: list[Filter]
    contract_type: str = ""
    status: str = ""
    contract_status: str = ""
    contract_size: Price = 1.0


class Info(msgspec.Struct):
    symbols: list[Symbol]


class Bracket(msgspec.Struct, rename="camel"):
    bracket_notional_floor: Qty
    bracket_notional_cap: Price
    bracket_maintenance_margin_rate: Rate
    cum_fast_maintenance_amount: Qty
    max_open_pos_leverage: Price


class Brackets(msgspec.Struct, rename="camel"):
    symbol: str
    risk_brackets: list[Bracket]


class BracketData(msgspec.Struct):
    brackets: list[Brackets]


class BracketPage(msgspec.Struct):
    data: BracketData


FRAME: Decoder[Frame] = lax(Frame)
KLINE_ROWS: Decoder[list[Kline]] = lax(list[Kline])
MARK_ROWS: Decoder[list[MarkKline]] = lax(list[MarkKline])
FUNDING_ROWS: Decoder[list[Funding]] = lax(list[Funding])
RATIO_ROWS: Decoder[list[Ratio]] = lax(list[Ratio])
INTEREST_NOW: Decoder[InterestNow] = lax(InterestNow)
INTEREST_ROWS: Decoder[list[InterestRow]] = lax(list[InterestRow])
BOOK: Decoder[Book] = lax(Book)
INFO: Decoder[Info] = lax(Info)
BRACKET_PAGE: Decoder[BracketPage] = lax(BracketPage)


# -- parsing: bytes to values, nothing else --------------------------------------------------


Tiers = dict[str, tuple[MarginTier, ...]]


def parse_instruments(
    data: bytes, coins: Collection[str], tiers: Tiers, as_of: str
) -> list[Instrument]:
    """Return the perpetuals of ``coins`` in an ``exchangeInfo`` of either host.

    ``tiers`` are those read from the web site on ``as_of``; where they lack a symbol the
    shipped ones count, and where those do, assumed ones.
    """
    found = []
    for row in unpack(INFO, data, "binance", "exchangeInfo").symbols:
        trading = "TRADING" in (row.status, row.contract_status)
        wanted = row.base_asset in coins and row.quote_asset in ("USDT", "USDC", "USD")
        if not (trading and wanted and row.contract_type == "PERPETUAL"):
            continue
        steps = {each.filter_type: each for each in row.filters}
        try:
            tick, lot = steps["PRICE_FILTER"].tick_size, steps["LOT_SIZE"].step_size
        except KeyError as error:
            raise BadFrameError(
                "binance", "exchangeInfo", "filters", f"{row.symbol} has no {error}"
            ) from error
        shipped = SHIPPED.get(f"binance:{row.symbol}")
        if row.symbol in tiers:
            table = (tiers[row.symbol], as_of, "Binance public bracket feed")
        elif shipped is not None:
            table = (shipped.tiers, shipped.tiers_as_of, shipped.tiers_source)
        else:
            table = (ASSUMED_TIERS, ASSUMED_AS_OF, ASSUMED_SOURCE)
        found.append(
            Instrument(
                "binance", row.symbol, row.base_asset, row.quote_asset,
                "inverse" if row.quote_asset == "USD" else "linear",
                tick, lot, row.contract_size, *table,
            )
        )  # fmt: skip
    return found


def parse_brackets(data: bytes) -> dict[str, tuple[MarginTier, ...]]:
    """Return the tiers of each USD-M symbol, of the web site's undocumented table."""
    page = unpack(BRACKET_PAGE, data, "binance", "brackets")
    try:
        return {
            row.symbol: joined_tiers(
                MarginTier(
                    one.bracket_notional_floor, one.bracket_notional_cap,
                    one.bracket_maintenance_margin_rate, one.cum_fast_maintenance_amount,
                    one.max_open_pos_leverage,
                )
                for one in row.risk_brackets
            )
            for row in page.data.brackets
        }  # fmt: skip
    except ValueError as error:
        raise BadFrameError("binance", "brackets", "", str(error)) from error


def parse_bars(klines: bytes, marks: bytes, listed: Listed) -> Iterator[Bar]:
    """Yield 1m bars with the taker's share and the mark's range.

    COIN-M counts quantities in contracts; the bar's are base units at its close.
    """
    ranges = {
        row.start: (row.high, row.low)
        for row in unpack(MARK_ROWS, marks, "binance", "markPriceKlines")
    }
    for row in unpack(KLINE_ROWS, klines, "binance", "klines"):
        unit = listed.size / row.close if listed.inverse else listed.size
        yield Bar(
            listed.name, row.start, MINUTE_MS, row.open, row.high, row.low, row.close,
            row.qty * unit, row.taker_qty * unit, *ranges.get(row.start, (None, None)),
        )  # fmt: skip


def parse_interest(
    data: bytes, listed: Listed, closes: dict[int, float]
) -> Iterator[Event]:
    """Yield open interest; ``closes`` by time turn COIN-M's contracts into base units.

    The row's time is the end of its period: what was open then, not five minutes later.
    """
    for row in unpack(INTEREST_ROWS, data, "binance", "openInterestHist"):
        price = closes.get(row.timestamp) if listed.inverse else row.sum_open_interest
        if price is not None:
            yield from listed.open_interest(row.timestamp, row.sum_open_interest, price)


def parse_marks(data: bytes, listed: Listed) -> Iterator[MarkPrice]:
    """Yield the mark at the end of each mark kline."""
    for row in unpack(MARK_ROWS, data, "binance", "markPriceKlines"):
        yield MarkPrice(listed.name, row.start + MINUTE_MS, row.close)


def parse_funding(data: bytes, listed: Listed) -> Iterator[FundingRate]:
    """Yield the rate of each interval, at its end."""
    for row in unpack(FUNDING_ROWS, data, "binance", "fundingRate"):
        yield FundingRate(listed.name, row.funding_time, row.funding_rate)


def parse_ratios(data: bytes, listed: Listed) -> Iterator[LongShortRatio]:
    """Yield long over short accounts."""
    for row in unpack(RATIO_ROWS, data, "binance", "globalLongShortAccountRatio"):
        yield LongShortRatio(listed.name, row.timestamp, row.long_short_ratio)


def parse_closes(data: bytes, width_ms: int) -> dict[int, float]:
    """Return the closes of klines by the time of their ends."""
    rows = unpack(KLINE_ROWS, data, "binance", "klines")
    return {row.start + width_ms: row.close for row in rows}
