"""Bybit v5: its messages, and what they mean; see ``bybit`` for the traps.

Pure: bytes in, events out. Sizes of linear contracts are base units, of inverse ones USD.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from typing import Generic, Literal, TypeVar

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
from liqheat.market.instrument import Instrument, MarginTier

Bytes = bytes | msgspec.Raw
Known = Mapping[str, Listed]
T = TypeVar("T")

MINUTE_MS, FIVE_MS, HOUR_MS = 60_000, 300_000, 3_600_000

# -- messages ------------------------------------------------------------------------------


class Fill(msgspec.Struct, gc=False):
    """A trade or, without ``i``, a liquidation.

    {"T":1680673823564,"s":"BTCUSD","S":"Buy","v":"5823","p":"28560.50","i":"0cbf2330-952d-…"}
    {"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"}: a SHORT died
    """

    T: TimeMs
    s: str
    S: Literal["Buy", "Sell"]
    v: Size
    p: Price
    i: str = ""


class TickerRow(msgspec.Struct, rename="camel", gc=False):
    """A delta has only what changed; dated futures have empty texts."""

    symbol: str
    mark_price: Price | Absent = None
    index_price: Price | Absent = None
    open_interest: Qty | Absent = None
    single_open_interest: Qty | Absent = None
    funding_rate: Rate | Absent = None
    next_funding_time: TimeMs | Absent = None


class Frame(msgspec.Struct, gc=False):
    """Answers to operations have no topic, but ``success``."""

    topic: str = ""
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    success: bool = True
    ret_msg: str = ""


class Trades(msgspec.Struct, gc=False):
    data: list[Fill]


class Reply(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str
    result: msgspec.Raw


class Step(msgspec.Struct, rename="camel"):
    tick_size: Size = 1.0
    qty_step: Size = 1.0


class Contract(msgspec.Struct, rename="camel"):
    symbol: str
    contract_type: str
    status: str
    base_coin: str
    quote_coin: str
    price_filter: Step
    lot_size_filter: Step


class Risk(msgspec.Struct, rename="camel"):
    """{"riskLimitValue":"300000","maintenanceMargin":"0.0033","maxLeverage":"150.00",…}.

    The value is the tier's cap; the deduction of the first tier is an empty text.
    """

    risk_limit_value: Size
    maintenance_margin: Rate
    max_leverage: Size
    mm_deduction: Qty | Absent = None


class Kline(msgspec.Struct, array_like=True, gc=False):
    """["1670608800000","17071","17073","17027","17055.5","268611","15.74"]."""

    start: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty = 0.0


class Interest(msgspec.Struct, rename="camel", gc=False):
    timestamp: TimeMs
    open_interest: Qty
    single_open_interest: Qty | Absent = None


class Funding(msgspec.Struct, rename="camel", gc=False):
    funding_rate_timestamp: TimeMs
    funding_rate: Rate


class Ratio(msgspec.Struct, rename="camel", gc=False):
    timestamp: TimeMs
    buy_ratio: Qty
    sell_ratio: Size


class Book(msgspec.Struct, gc=False):
    ts: TimeMs
    b: list[tuple[Price, Qty]]
    a: list[tuple[Price, Qty]]


class Page(msgspec.Struct, Generic[T], rename={"rows": "list"}):
    rows: list[T]


FRAME, REPLY, TICKER, BOOK = lax(Frame), lax(Reply), lax(TickerRow), lax(Book)
TRADES, FILLS = lax(Trades), lax(list[Fill])
TICKERS, CONTRACTS = lax(Page[TickerRow]), lax(Page[Contract])
RISKS, KLINES, RATIOS = lax(Page[Risk]), lax(Page[Kline]), lax(Page[Ratio])
FUNDINGS, INTERESTS = lax(Page[Funding]), lax(Page[Interest])

# -- bytes to events -----------------------------------------------------------------------


def parse_trades(frame: bytes, known: Known) -> list[Trade]:
    """Return the trades of a ``publicTrade`` frame which were not told before; the hot path."""
    return [
        listed.trade(row.T, row.p, row.v, "buy" if row.S == "Buy" else "sell")
        for row in unpack(TRADES, frame, "bybit", "publicTrade").data
        if (listed := known.get(row.s)) is not None and listed.is_new(row.i)
    ]


def parse_liquidations(data: Bytes, known: Known) -> list[Liquidation]:
    """Return the liquidations of an ``allLiquidation`` frame which were not told before.

    The key counts equal rows within the frame: they are positions which died alike, while the
    same row of another frame is a repetition.
    """
    equal: Counter[Hashable] = Counter()
    found = []
    for row in unpack(FILLS, data, "bybit", "allLiquidation"):
        listed, key = known.get(row.s), (row.T, row.S, row.v, row.p)
        equal[row.s, key] += 1
        if listed is not None and listed.is_new((*key, equal[row.s, key])):
            side = _POSITION_SIDE[row.S]
            found.append(
                listed.liquidation(row.T, side, row.p, "bankruptcy", row.v, "full")
            )
    return found


_POSITION_SIDE: dict[str, Side] = {"Buy": "long", "Sell": "short"}


def one_sided(both_sides: float | None, single: float | None) -> float | None:
    """Return open interest of one side, which Bybit's ``openInterest`` is not.

    >>> one_sided(57_798.138, 28_899.069), one_sided(57_798.138, None)
    (28899.069, 28899.069)
    """
    return both_sides / 2.0 if single is None and both_sides is not None else single


class TickerState:
    """One contract's ticker: a snapshot, and deltas which hold only what changed."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._index: float | None = None
        self._rate: float | None = None
        self._next_ms: float | None = None

    def take(self, data: Bytes, event_ms: int) -> list[Event]:
        """Return what a frame tells anew; what it leaves out is as it was."""
        row, found = unpack(TICKER, data, "bybit", "tickers"), list[Event]()
        self._index = given(row.index_price, self._index)
        if mark := given(row.mark_price):
            found.append(self._listed.mark(event_ms, mark, self._index))
        interest = one_sided(given(row.open_interest), given(row.single_open_interest))
        # USD become coins at the mark of now: the last trade may be of yesterday.
        price = self._listed.mark_at(event_ms) if self._listed.inverse else 1.0
        if interest is not None and price is not None:
            found += self._listed.open_interest(event_ms, interest, price)
        self._rate = given(row.funding_rate, self._rate)
        self._next_ms = given(row.next_funding_time, self._next_ms)
        if self._rate is not None and self._next_ms is not None:
            found += self._listed.funding(self._rate, int(self._next_ms))
        return found


def parse_contracts(result: Bytes, coins: Collection[str]) -> list[Contract]:
    """Return the trading perpetuals of the coins in a result of ``instruments-info``."""
    return [
        row
        for row in unpack(CONTRACTS, result, "bybit", "instruments-info").rows
        if row.base_coin in coins
        and row.status == "Trading"
        and row.contract_type in ("LinearPerpetual", "InversePerpetual")
    ]


def parse_tiers(result: Bytes, usd: float = 1.0) -> tuple[MarginTier, ...]:
    """Return the margin tiers of a ``risk-limit`` result; ``usd`` is the worth of its unit."""
    rows = unpack(RISKS, result, "bybit", "risk-limit").rows
    floor, tiers = 0.0, []
    for row in sorted(rows, key=lambda row: row.risk_limit_value):
        cap, amount = row.risk_limit_value * usd, (given(row.mm_deduction) or 0.0) * usd
        tiers.append(
            MarginTier(floor, cap, row.maintenance_margin, amount, row.max_leverage)
        )
        floor = cap
    try:
        return joined_tiers(tiers)
    except ValueError as error:
        raise BadFrameError("bybit", "risk-limit", "list", str(error)) from error


def to_instrument(row: Contract, tiers: tuple[MarginTier, ...], as_of: str) -> Instrument:
    """Return the instrument of a row of ``instruments-info``; a contract is 1 unit or 1 USD."""
    return Instrument(
        "bybit", row.symbol, row.base_coin, row.quote_coin,
        "inverse" if row.contract_type == "InversePerpetual" else "linear",
        row.price_filter.tick_size, row.lot_size_filter.qty_step, 1.0, tiers, as_of,
        "Bybit risk-limit",
    )  # fmt: skip


def parse_bars(klines: Bytes, mark_klines: Bytes, listed: Listed) -> Iterator[Bar]:
    """Yield minute bars with the mark's range; volume of inverse contracts is USD."""
    marks = {
        k.start: k for k in unpack(KLINES, mark_klines, "bybit", "mark-price-kline").rows
    }
    for k in unpack(KLINES, klines, "bybit", "kline").rows:
        mark = marks.get(k.start)
        yield Bar(
            listed.name, k.start, MINUTE_MS, k.open, k.high, k.low, k.close,
            k.volume / k.close if listed.inverse else k.volume,
            mark_high=mark.high if mark else None, mark_low=mark.low if mark else None,
        )  # fmt: skip


def parse_closes(klines: Bytes, interval_ms: int) -> dict[int, float]:
    """Return closing prices by the END of their klines."""
    rows = unpack(KLINES, klines, "bybit", "kline").rows
    return {k.start + interval_ms: k.close for k in rows}


def parse_marks(klines: Bytes, listed: Listed) -> list[Event]:
    """Return mark prices at the ends of minutes."""
    closes = parse_closes(klines, MINUTE_MS)
    return [MarkPrice(listed.name, at, close) for at, close in closes.items()]


def parse_interest(page: Bytes, listed: Listed, closes: Mapping[int, float]) -> list[Event]:
    """Return open interest of one side; USD become coins at the close known at that time."""
    found: list[Event] = []
    for row in unpack(INTERESTS, page, "bybit", "open-interest").rows:
        qty = one_sided(row.open_interest, given(row.single_open_interest))
        price = closes.get(row.timestamp) if listed.inverse else 1.0
        if qty is not None and price is not None:
            found += listed.open_interest(row.timestamp, qty, price)
    return found


def parse_funding(page: Bytes, listed: Listed) -> list[Event]:
    """Return settled funding rates."""
    rows = unpack(FUNDINGS, page, "bybit", "funding").rows
    return [
        FundingRate(listed.name, row.funding_rate_timestamp, row.funding_rate)
        for row in rows
    ]


def parse_ratios(page: Bytes, listed: Listed) -> list[Event]:
    """Return ratios of holders: long accounts over short ones, not their sizes."""
    rows = unpack(RATIOS, page, "bybit", "account-ratio").rows
    return [
        LongShortRatio(listed.name, row.timestamp, row.buy_ratio / row.sell_ratio)
        for row in rows
    ]


def parse_tickers(page: Bytes) -> dict[str, float]:
    """Return mark prices by symbol, of a result of ``tickers``."""
    rows = unpack(TICKERS, page, "bybit", "tickers").rows
    return {row.symbol: mark for row in rows if (mark := given(row.mark_price)) is not None}
