"""dYdX v4: the indexer's messages, and what they mean; see ``dydx`` for the traps.

Pure: bytes in, events out. Sizes are base units, times ISO text.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from liqheat.exchanges._listed import Listed
from liqheat.exchanges._wire import (
    Absent,
    BadFrameError,
    Price,
    Qty,
    Rate,
    Size,
    given,
    lax,
    unpack,
)
from liqheat.market.events import (
    Bar,
    Event,
    FundingRate,
    Liquidation,
    OpenInterest,
    Trade,
)
from liqheat.market.instrument import Instrument, tiers_from_rates

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Known = Mapping[str, Listed]

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
#: Types of trades which close a position by force.
FORCED = ("LIQUIDATED", "DELEVERAGED")
#: 2009 and 2100, as the store has it.
_FIRST_MS, _LAST_MS = 1_230_940_800_000, 4_102_444_800_000

# -- messages ------------------------------------------------------------------------------


class TradeRow(msgspec.Struct, rename="camel", gc=False):
    """{"id":"014f…","side":"SELL","size":"3.9","price":"22.87","type":"LIQUIDATED",…}.

    ``side`` is the taker's. A liquidated position's order takes from the book; a deleveraged
    one is settled against another account, off the book.
    """

    id: str
    side: Literal["BUY", "SELL"]
    size: Size
    price: Price
    created_at: Time
    type: str = "LIMIT"


class Market(msgspec.Struct, rename="camel", gc=False):
    """A market, or what changed of it."""

    oracle_price: Price | Absent = None
    open_interest: Qty | Absent = None
    next_funding_rate: Rate | Absent = None


class Oracle(msgspec.Struct, rename="camel", gc=False):
    oracle_price: Price
    effective_at: Time


class Contents(msgspec.Struct, rename="camel", gc=False):
    trades: list[TradeRow] = []
    markets: dict[str, Market] = {}
    trading: dict[str, Market] = {}
    oracle_prices: dict[str, Oracle] = {}


class Frame(msgspec.Struct, gc=False):
    type: str
    channel: str = ""
    id: str = ""
    contents: Contents | list[Contents] = []
    message: str = ""


class Listing(msgspec.Struct, rename="camel"):
    """{"ticker":"BTC-USD","status":"ACTIVE","initialMarginFraction":"0.05",…}."""

    ticker: str
    status: str
    initial_margin_fraction: Size
    maintenance_margin_fraction: Size
    tick_size: Size
    step_size: Size
    oracle_price: Price | Absent = None


class Listings(msgspec.Struct):
    markets: dict[str, Listing]


class Candle(msgspec.Struct, rename="camel", gc=False):
    started_at: Time
    open: Price
    high: Price
    low: Price
    close: Price
    base_token_volume: Qty
    starting_open_interest: Qty | Absent = None


class Candles(msgspec.Struct):
    candles: list[Candle]


class FundingRow(msgspec.Struct, rename="camel", gc=False):
    rate: Rate
    effective_at: Time


class Fundings(msgspec.Struct, rename="camel"):
    historical_funding: list[FundingRow]


class Level(msgspec.Struct, gc=False):
    price: Price
    size: Qty


class Book(msgspec.Struct, gc=False):
    bids: list[Level]
    asks: list[Level]


FRAME, LISTINGS, CANDLES = lax(Frame), lax(Listings), lax(Candles)
FUNDINGS, TRADES, BOOK = lax(Fundings), lax(Contents), lax(Book)

# -- bytes to events -----------------------------------------------------------------------


def ms_of(time: datetime, channel: str, field: str) -> int:
    """Return a time in milliseconds.

    Raises
    ------
    BadFrameError
        It lies before 2009 or after 2100.
    """
    found = round(time.timestamp() * 1000)
    if not _FIRST_MS <= found <= _LAST_MS:
        raise BadFrameError("dydx", channel, field, "no time of a market", time.isoformat())
    return found


def parse_trade(row: TradeRow, listed: Listed) -> Iterator[Trade | Liquidation]:
    """Yield the trade and, where it closed a position by force, the liquidation.

    The order of a liquidated position takes: SELL closes a long. Deleveraging happens at the
    bankruptcy price and off the book, so it makes no bar.
    """
    at = ms_of(row.created_at, "v4_trades", "createdAt")
    if row.type != "DELEVERAGED":
        yield listed.trade(at, row.price, row.size, "sell" if row.side == "SELL" else "buy")
    if row.type in FORCED:
        yield listed.liquidation(
            at, "long" if row.side == "SELL" else "short", row.price,
            "fill" if row.type == "LIQUIDATED" else "bankruptcy", row.size, "full",
        )  # fmt: skip


def parse_trades(contents: Contents, listed: Listed) -> Iterator[Event]:
    """Yield what a frame's trades tell, the oldest first: snapshots are the other way round."""
    rows = contents.trades
    if len(rows) > 1 and rows[0].created_at > rows[-1].created_at:
        rows = rows[::-1]
    for row in rows:
        if listed.is_new(row.id):
            yield from parse_trade(row, listed)


def parse_markets(contents: Contents, known: Known, now_ms: int) -> Iterator[Event]:
    """Yield oracle prices (liquidation is judged by them), open interest, settled funding.

    Funding is hourly and comes without its time: it is that of the hour of ``now_ms``.
    """
    for symbol, oracle in contents.oracle_prices.items():
        if symbol in known:
            at = ms_of(oracle.effective_at, "v4_markets", "effectiveAt")
            yield known[symbol].mark(at, oracle.oracle_price, oracle.oracle_price)
    for symbol, row in (*contents.markets.items(), *contents.trading.items()):
        listed = known.get(symbol)
        if listed is None:
            continue
        price, qty = given(row.oracle_price), given(row.open_interest)
        rate = given(row.next_funding_rate)
        if price is not None:
            yield listed.mark(now_ms, price, price)
        if qty is not None:
            yield from listed.open_interest(now_ms, qty, 1.0)
        if rate is not None:
            yield from listed.funding(rate, (now_ms // HOUR_MS + 1) * HOUR_MS)


def parse_instruments(data: bytes, coins: Collection[str], as_of: str) -> list[Instrument]:
    """Return the active markets of the coins.

    One margin tier each: the initial fraction, which rises with a market's open interest, is
    taken as it is told.
    """
    found = []
    for symbol, row in unpack(LISTINGS, data, "dydx", "perpetualMarkets").markets.items():
        coin, _, quote = symbol.partition("-")
        rate, initial = row.maintenance_margin_fraction, row.initial_margin_fraction
        if coin not in coins or row.status != "ACTIVE":
            continue
        if not rate < initial <= 1:
            what = "not 0 < maintenance < initial <= 1"
            raise BadFrameError("dydx", "perpetualMarkets", symbol, what, (rate, initial))
        tiers = tiers_from_rates(((0.0, 1e12, 1.0 / initial, rate),))
        found.append(Instrument(
            "dydx", symbol, coin, quote, "linear", row.tick_size, row.step_size, 1.0, tiers,
            as_of, "dYdX perpetualMarkets",
        ))  # fmt: skip
    return found


def parse_candles(data: bytes) -> list[Candle]:
    """Return the candles of a page, the newest first as they come."""
    return unpack(CANDLES, data, "dydx", "candles").candles


def to_bars(rows: list[Candle], listed: Listed) -> Iterator[Bar]:
    """Yield minute bars; volume is base units."""
    for row in rows:
        yield Bar(
            listed.name, ms_of(row.started_at, "candles", "startedAt"), MINUTE_MS, row.open,
            row.high, row.low, row.close, row.base_token_volume,
        )  # fmt: skip


def to_interest(rows: list[Candle], listed: Listed) -> Iterator[OpenInterest]:
    """Yield open interest at the starts of candles, where they tell it."""
    for row in rows:
        qty = given(row.starting_open_interest)
        if qty is not None:
            at = ms_of(row.started_at, "candles", "startedAt")
            yield OpenInterest(listed.name, at, qty)


def parse_funding(data: bytes, listed: Listed) -> list[FundingRate]:
    """Return hourly rates at their whole hours."""
    rows = unpack(FUNDINGS, data, "dydx", "historicalFunding").historical_funding
    return [
        FundingRate(
            listed.name,
            ms_of(row.effective_at, "historicalFunding", "effectiveAt")
            // HOUR_MS
            * HOUR_MS,
            row.rate,
        )
        for row in rows
    ]


def parse_history_trades(data: bytes) -> tuple[list[TradeRow], int | None, int]:
    """Return the forced trades of a page, its oldest time and its number of rows."""
    rows = unpack(TRADES, data, "dydx", "trades").trades
    oldest = min(
        (ms_of(row.created_at, "trades", "createdAt") for row in rows), default=None
    )
    return [row for row in rows if row.type in FORCED], oldest, len(rows)


def to_liquidations(rows: Iterable[TradeRow], listed: Listed) -> list[Event]:
    """Return the liquidations of forced trades which were not told before."""
    return [
        event
        for row in rows
        if listed.is_new(row.id)
        for event in parse_trade(row, listed)
        if isinstance(event, Liquidation)
    ]
