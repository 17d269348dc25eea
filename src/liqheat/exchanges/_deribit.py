"""Messages of Deribit's perpetuals (JSON-RPC), and their parsing: bytes to values, no more.

Traps: amounts are USD where inverse and base units where linear, never contracts. A forced
order is a flag on a trade: T the taker was liquidated, M the maker, MT both; ``direction`` is
the taker's side.

Documentation: https://docs.deribit.com (as of 2026-10).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, Literal

import msgspec
from msgspec.json import Decoder

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import (
    ASSUMED_AS_OF,
    ASSUMED_SOURCE,
    Listed,
    assumed_tiers,
)
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
from liqheat.market.events import Bar, FundingRate, Liquidation, Side
from liqheat.market.instrument import Instrument

MINUTE_MS = 60_000


class Trade(msgspec.Struct, gc=False):
    """One trade, with the mark of its moment; ``liquidation`` is absent from most.

    {"timestamp":1584058044032,"price":4469.5,"amount":1120,"direction":"sell",
    "instrument_name":"BTC-PERPETUAL","trade_id":"66460463","liquidation":"T"}
    """

    instrument_name: str
    trade_id: str
    timestamp: TimeMs
    price: Price
    amount: Size
    direction: Literal["buy", "sell"]
    mark_price: Price | None = None
    liquidation: Literal["T", "M", "MT", "TM", "none"] | None = None


class Ticker(msgspec.Struct, gc=False):
    """``open_interest`` is an amount of one side."""

    instrument_name: str
    timestamp: TimeMs
    mark_price: Price
    index_price: Price
    open_interest: Qty


class Push(msgspec.Struct):
    channel: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


class Frame(msgspec.Struct):
    """Every message: pushes have ``params``, answers a ``result`` or an ``error``."""

    id: int | None = None
    params: Push | None = None
    result: Any = None
    error: Any = None


class TradePush(msgspec.Struct, gc=False):
    data: list[Trade]


class TradeFrame(msgspec.Struct, gc=False):
    """A push of trades, read at one go."""

    params: TradePush


# -- REST ----------------------------------------------------------------------------------


class Reply(msgspec.Struct):
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Any = None


class Contract(msgspec.Struct):
    instrument_name: str
    instrument_type: str
    base_currency: str
    quote_currency: str
    tick_size: Price
    min_trade_amount: Price
    max_leverage: Price = 1.0
    settlement_period: str = ""
    is_active: bool = True


class Chart(msgspec.Struct):
    """Columns of bars; ``volume`` is base units, ``cost`` USD."""

    ticks: list[TimeMs]
    open: list[Price]
    high: list[Price]
    low: list[Price]
    close: list[Price]
    volume: list[Qty]
    cost: list[Qty]


class Funding(msgspec.Struct, gc=False):
    """``interest_1h`` was paid in the hour which ends at ``timestamp``."""

    timestamp: TimeMs
    interest_1h: Rate


class Trades(msgspec.Struct):
    trades: list[Trade]
    has_more: bool = False


class Book(msgspec.Struct):
    bids: list[tuple[Price, Qty]]
    asks: list[tuple[Price, Qty]]
    timestamp: TimeMs


FRAME: Decoder[Frame] = lax(Frame)
TRADE_FRAME: Decoder[TradeFrame] = lax(TradeFrame)
TICKER: Decoder[Ticker] = lax(Ticker)
REPLY: Decoder[Reply] = lax(Reply)
CONTRACTS: Decoder[list[Contract]] = lax(list[Contract])
CHART: Decoder[Chart] = lax(Chart)
FUNDINGS: Decoder[list[Funding]] = lax(list[Funding])
TRADES: Decoder[Trades] = lax(Trades)
BOOK: Decoder[Book] = lax(Book)

# -- parsing -------------------------------------------------------------------------------


def parse_reply(data: bytes, channel: str) -> msgspec.Raw:
    """Return the result of an answer.

    Raises
    ------
    ExchangeError
        It has an error instead.
    """
    reply = unpack(REPLY, data, "deribit", channel)
    if reply.error is not None:
        raise ExchangeError("deribit", f"{channel} failed: {reply.error}")
    return reply.result


def parse_contracts(data: bytes, coins: Collection[str]) -> list[Instrument]:
    """Return the perpetuals of ``coins``: inverse in USD, linear in USDC.

    Quantities come as amounts, so a "contract" here is one USD or one base unit. The margin
    depends on the whole account and is no table: tiers are assumed, up to the leverage allowed.
    """
    found = []
    for row in unpack(
        CONTRACTS, parse_reply(data, "get_instruments"), "deribit", "contracts"
    ):
        inverse = row.instrument_type == "reversed"
        quotes = ("USD",) if inverse else ("USDC", "USDT")
        fits = row.settlement_period == "perpetual" and row.quote_currency in quotes
        if fits and row.is_active and row.base_currency in coins:
            found.append(
                Instrument(
                    "deribit", row.instrument_name, row.base_currency, row.quote_currency,
                    "inverse" if inverse else "linear", row.tick_size, row.min_trade_amount,
                    1.0, assumed_tiers(row.max_leverage), ASSUMED_AS_OF, ASSUMED_SOURCE,
                )
            )  # fmt: skip
    return found


def parse_bars(data: bytes, listed: Listed, now_ms: int) -> Iterator[Bar]:
    """Yield the closed 1m bars; of an inverse contract the USD traded, at the close."""
    name = "get_tradingview_chart_data"
    chart = unpack(CHART, parse_reply(data, name), "deribit", name)
    traded = chart.cost if listed.inverse else chart.volume
    columns = (chart.ticks, chart.open, chart.high, chart.low, chart.close, traded)
    if len({len(column) for column in columns}) > 1:
        raise BadFrameError("deribit", name, "ticks", "columns of different lengths")
    for at, first, high, low, last, qty in zip(*columns, strict=True):
        if at + MINUTE_MS <= now_ms:
            unit = 1 / last if listed.inverse else 1.0
            yield Bar(listed.name, at, MINUTE_MS, first, high, low, last, qty * unit)


def parse_funding(data: bytes, listed: Listed) -> Iterator[FundingRate]:
    """Yield the rate paid in each hour, at its end."""
    name = "get_funding_rate_history"
    for row in unpack(FUNDINGS, parse_reply(data, name), "deribit", name):
        yield FundingRate(listed.name, row.timestamp, row.interest_1h)


def parse_flags(rows: Iterable[Trade], listed: Listed) -> Iterator[Liquidation]:
    """Yield whom trades liquidated: the taker, the maker (the other side), or both.

    What was told before is left out; a trade's flag has a key of its own, because the past is
    asked for flags alone.
    """
    for row in rows:
        flag = row.liquidation
        if flag is None or flag == "none" or not listed.is_new((flag, row.trade_id)):
            continue
        # Who sold was long.
        taker: Side = "long" if row.direction == "sell" else "short"
        maker: Side = "short" if taker == "long" else "long"
        for side in ((taker,) if "T" in flag else ()) + ((maker,) if "M" in flag else ()):
            yield listed.liquidation(
                row.timestamp, side, row.price, "fill", row.amount, "full", row.mark_price
            )
