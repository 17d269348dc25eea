"""Bybit v5: linear (USDT, USDC) and inverse perpetuals.

    publicTrade.S        trades; S is the taker's side
    tickers.S            mark, index, funding, open interest: a snapshot, then what changed
    allLiquidation.S     every liquidation, in batches of 500 ms (since February 2025)

Traps: a liquidation's ``S`` is the side of the POSITION (Buy: a long died) and its ``p`` the
bankruptcy price, at which nothing need have traded. Equal rows within one frame are two
liquidations; a frame seen again is none. ``openInterest`` counts both sides of each position,
``singleOpenInterest`` (since June 2026) one. Sizes of linear contracts are base units, of
inverse ones USD; margin tiers of inverse contracts are in coins, and become USD at the mark
price of the moment they were read.

Documentation: https://bybit-exchange.github.io/docs/v5/intro (as of 2026-10).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Generic, Literal, TypeVar

import msgspec
import pyarrow as pa

from liqheat.errors import ExchangeError
from liqheat.exchanges._listed import Listed, joined_tiers, windows
from liqheat.exchanges._wire import (
    Absent,
    BadFrameError,
    Price,
    Qty,
    Rate,
    Size,
    TimeMs,
    given,
    history_table,
    lax,
    unpack,
)
from liqheat.exchanges.base import Coverage, Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import (
    Bar,
    Event,
    FundingRate,
    Liquidation,
    LongShortRatio,
    MarkPrice,
    OpenInterest,
    Side,
    Trade,
)
from liqheat.market.instrument import Instrument, MarginTier

Bytes = bytes | msgspec.Raw
Known = Mapping[str, Listed]
New = Callable[[Hashable], bool]
T = TypeVar("T")

MINUTE_MS, FIVE_MS, HOUR_MS = 60_000, 300_000, 3_600_000

# -- messages ------------------------------------------------------------------------------


class _Fill(msgspec.Struct, gc=False):
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


class _Ticker(msgspec.Struct, rename="camel", gc=False):
    """A delta has only what changed; dated futures have empty texts."""

    symbol: str
    mark_price: Price | Absent = None
    index_price: Price | Absent = None
    open_interest: Qty | Absent = None
    single_open_interest: Qty | Absent = None
    funding_rate: Rate | Absent = None
    next_funding_time: TimeMs | Absent = None


class _Frame(msgspec.Struct, gc=False):
    """Answers to operations have no topic, but ``success``."""

    topic: str = ""
    ts: int = 0
    data: msgspec.Raw = msgspec.Raw(b"null")
    success: bool = True
    ret_msg: str = ""


class _Trades(msgspec.Struct, gc=False):
    data: list[_Fill]


class _Reply(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str
    result: msgspec.Raw


class _Step(msgspec.Struct, rename="camel"):
    tick_size: Size = 1.0
    qty_step: Size = 1.0


class _Contract(msgspec.Struct, rename="camel"):
    symbol: str
    contract_type: str
    status: str
    base_coin: str
    quote_coin: str
    price_filter: _Step
    lot_size_filter: _Step


class _Risk(msgspec.Struct, rename="camel"):
    """{"riskLimitValue":"300000","maintenanceMargin":"0.0033","maxLeverage":"150.00",…}.

    The value is the tier's cap; the deduction of the first tier is an empty text.
    """

    risk_limit_value: Size
    maintenance_margin: Rate
    max_leverage: Size
    mm_deduction: Qty | Absent = None


class _Kline(msgspec.Struct, array_like=True, gc=False):
    """["1670608800000","17071","17073","17027","17055.5","268611","15.74"]."""

    start: TimeMs
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Qty = 0.0


class _Interest(msgspec.Struct, rename="camel", gc=False):
    timestamp: TimeMs
    open_interest: Qty
    single_open_interest: Qty | Absent = None


class _Funding(msgspec.Struct, rename="camel", gc=False):
    funding_rate_timestamp: TimeMs
    funding_rate: Rate


class _Ratio(msgspec.Struct, rename="camel", gc=False):
    timestamp: TimeMs
    buy_ratio: Qty
    sell_ratio: Size


class _Book(msgspec.Struct, gc=False):
    ts: TimeMs
    b: list[tuple[Price, Qty]]
    a: list[tuple[Price, Qty]]


class _Page(msgspec.Struct, Generic[T], rename={"rows": "list"}):
    rows: list[T]


_FRAME, _REPLY, _TICKER, _BOOK = lax(_Frame), lax(_Reply), lax(_Ticker), lax(_Book)
_TRADES, _FILLS = lax(_Trades), lax(list[_Fill])
_TICKERS, _CONTRACTS = lax(_Page[_Ticker]), lax(_Page[_Contract])
_RISKS, _KLINES, _RATIOS = lax(_Page[_Risk]), lax(_Page[_Kline]), lax(_Page[_Ratio])
_FUNDINGS, _INTERESTS = lax(_Page[_Funding]), lax(_Page[_Interest])

# -- bytes to events -----------------------------------------------------------------------


def parse_trades(frame: bytes, known: Known, new: New) -> list[Trade]:
    """Return the trades of a ``publicTrade`` frame which were not told before; the hot path."""
    return [
        known[row.s].trade(row.T, row.p, row.v, "buy" if row.S == "Buy" else "sell")
        for row in unpack(_TRADES, frame, "bybit", "publicTrade").data
        if row.s in known and new(row.i)
    ]


def parse_liquidations(data: Bytes, known: Known, new: New) -> list[Liquidation]:
    """Return the liquidations of an ``allLiquidation`` frame which were not told before.

    The key counts equal rows within the frame: they are positions which died alike, while the
    same row of another frame is a repetition.
    """
    equal: Counter[Hashable] = Counter()
    found = []
    for row in unpack(_FILLS, data, "bybit", "allLiquidation"):
        key = (row.s, row.T, row.S, row.v, row.p)
        equal[key] += 1
        if row.s in known and new((*key, equal[key])):
            side = _POSITION_SIDE[row.S]
            one = known[row.s].liquidation(row.T, side, row.p, "bankruptcy", row.v, "full")
            found.append(one)
    return found


_POSITION_SIDE: dict[str, Side] = {"Buy": "long", "Sell": "short"}


def one_sided(both_sides: float | None, single: float | None) -> float | None:
    """Return open interest of one side, which Bybit's ``openInterest`` is not.

    >>> one_sided(57_798.138, 28_899.069), one_sided(57_798.138, None)
    (28899.069, 28899.069)
    """
    return both_sides / 2.0 if single is None and both_sides is not None else single


class Ticker:
    """One contract's ticker: a snapshot, and deltas which hold only what changed."""

    def __init__(self, listed: Listed) -> None:
        self._listed = listed
        self._index: float | None = None
        self._rate: float | None = None
        self._next_ms: float | None = None

    def take(self, data: Bytes, event_ms: int) -> list[Event]:
        """Return what a frame tells anew; what it leaves out is as it was."""
        row, found = unpack(_TICKER, data, "bybit", "tickers"), list[Event]()
        self._index = given(row.index_price, self._index)
        if mark := given(row.mark_price):
            found.append(self._listed.mark(event_ms, mark, self._index))
        interest = one_sided(given(row.open_interest), given(row.single_open_interest))
        if interest is not None:
            found += self._listed.open_interest(event_ms, interest)
        self._rate = given(row.funding_rate, self._rate)
        self._next_ms = given(row.next_funding_time, self._next_ms)
        if self._rate is not None and self._next_ms is not None:
            found += self._listed.funding(self._rate, int(self._next_ms))
        return found


def parse_contracts(result: Bytes, coins: Sequence[str]) -> list[_Contract]:
    """Return the trading perpetuals of the coins in a result of ``instruments-info``."""
    return [
        row
        for row in unpack(_CONTRACTS, result, "bybit", "instruments-info").rows
        if row.base_coin in coins
        and row.status == "Trading"
        and row.contract_type in ("LinearPerpetual", "InversePerpetual")
    ]


def parse_tiers(result: Bytes, usd: float = 1.0) -> tuple[MarginTier, ...]:
    """Return the margin tiers of a ``risk-limit`` result; ``usd`` is the worth of its unit."""
    rows = unpack(_RISKS, result, "bybit", "risk-limit").rows
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


def to_instrument(row: _Contract, tiers: tuple[MarginTier, ...], as_of: str) -> Instrument:
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
        k.start: k for k in unpack(_KLINES, mark_klines, "bybit", "mark-price-kline").rows
    }
    for k in unpack(_KLINES, klines, "bybit", "kline").rows:
        mark = marks.get(k.start)
        yield Bar(
            listed.name, k.start, MINUTE_MS, k.open, k.high, k.low, k.close,
            k.volume / k.close if listed.inverse else k.volume,
            mark_high=mark and mark.high, mark_low=mark and mark.low,
        )  # fmt: skip


def parse_closes(klines: Bytes, interval_ms: int) -> dict[int, float]:
    """Return closing prices by the END of their klines."""
    rows = unpack(_KLINES, klines, "bybit", "kline").rows
    return {k.start + interval_ms: k.close for k in rows}


def parse_interest(
    result: Bytes, listed: Listed, closes: Mapping[int, float]
) -> Iterator[OpenInterest]:
    """Yield open interest of one side; USD become coins at the close known at that time."""
    for row in unpack(_INTERESTS, result, "bybit", "open-interest").rows:
        qty = one_sided(row.open_interest, given(row.single_open_interest))
        price = closes.get(row.timestamp)
        if qty is not None and (price or not listed.inverse):
            yield from listed.open_interest(row.timestamp, qty, price)


#: What trades begin with, unless Bybit orders its fields anew: then they are a little slower.
_TRADE_FRAME = b'{"topic":"publicTrade.'

# -- the exchange --------------------------------------------------------------------------

#: Of each kind of history: path, names of its limits, rows a page, their distance, the rest.
_PAGES: dict[str, tuple[str, str, str, int, int, dict[str, str | int]]] = {
    "bars": ("kline", "start", "end", 1000, MINUTE_MS, {"interval": 1}),
    "mark": ("mark-price-kline", "start", "end", 1000, MINUTE_MS, {"interval": 1}),
    "closes": ("kline", "start", "end", 1000, FIVE_MS, {"interval": 5}),
    "open_interest": ("open-interest", "startTime", "endTime", 200, FIVE_MS,
                      {"intervalTime": "5min"}),
    "funding": ("funding/history", "startTime", "endTime", 200, HOUR_MS, {}),
    "long_short": ("account-ratio", "startTime", "endTime", 500, FIVE_MS, {"period": "5min"}),
}  # fmt: skip


class Bybit(LiveExchange):
    """Bybit's linear and inverse perpetuals; see the module."""

    name = "bybit"
    coverage = Coverage(
        taker_volume=True, open_interest=True, mark=True, funding=True, liquidations="full",
        long_short=True, depth=True, history_days=365.0,
    )  # fmt: skip
    default_urls: ClassVar = {
        "rest": "https://api.bybit.com",
        "ws": "wss://stream.bybit.com/v5/public",
    }
    #: 600 requests in 5 s and address.
    budget = Budget(per_minute=7_200)
    poll_s = 60.0
    poll_carries = ()
    ping_path = "/v5/market/time"

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._tickers: dict[str, Ticker] = {}
        self._ratio_ms = 0

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the perpetuals of the coins, with the margin tiers of today."""
        found = []
        for category in ("linear", "inverse"):
            page = await self._get("tickers", category=category)
            rows = unpack(_TICKERS, page, "bybit", "tickers").rows
            marks = {row.symbol: given(row.mark_price) for row in rows}
            page = await self._get("instruments-info", category=category, limit=1000)
            for row in parse_contracts(page, self.coins):
                usd = marks.get(row.symbol) if category == "inverse" else 1.0
                risk = await self._get("risk-limit", category=category, symbol=row.symbol)
                if usd is not None:
                    found.append(to_instrument(row, parse_tiers(risk, usd), self.today()))
        return self.remember(found)

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return history, of each kind from the listing on; there is none of liquidations."""
        if kind not in _PAGES:
            return None
        listed, now = self.known(instrument), self.clock_ms()
        # Of bars only the closed ones.
        end_ms = min(end_ms, now - MINUTE_MS + 1 if kind == "bars" else now + 1)
        events: list[Event] = []
        for start, end in windows(start_ms, end_ms, _PAGES[kind][3] * _PAGES[kind][4]):
            events += await self._events(kind, listed, start, end)
        return history_table(kind, events, "bybit", start_ms, end_ms)

    async def _events(self, kind: str, listed: Listed, start: int, end: int) -> list[Event]:
        name = listed.name
        if kind == "mark":  # a minute's closing mark is known at its end
            start -= MINUTE_MS
        page = await self._page(kind, listed, start, end)
        if kind == "bars":
            return [*parse_bars(page, await self._page("mark", listed, start, end), listed)]
        if kind == "mark":
            closes = parse_closes(page, MINUTE_MS)
            return [MarkPrice(name, at, close) for at, close in closes.items()]
        if kind == "open_interest":
            coins = listed.inverse
            rows = (
                await self._page("closes", listed, start - FIVE_MS, end) if coins else None
            )
            return [
                *parse_interest(page, listed, parse_closes(rows, FIVE_MS) if rows else {})
            ]
        if kind == "funding":
            return [
                FundingRate(name, row.funding_rate_timestamp, row.funding_rate)
                for row in unpack(_FUNDINGS, page, "bybit", "funding").rows
            ]
        return [
            LongShortRatio(name, row.timestamp, row.buy_ratio / row.sell_ratio)
            for row in unpack(_RATIOS, page, "bybit", "account-ratio").rows
        ]

    async def _page(self, kind: str, listed: Listed, start: int, end: int) -> msgspec.Raw:
        path, first, last, limit, _, more = _PAGES[kind]
        one = listed.instrument
        return await self._get(
            path, category=one.settlement, symbol=one.symbol, limit=limit,
            **{first: start, last: end - 1}, **more,
        )  # fmt: skip

    async def _get(self, path: str, **params: str | int) -> msgspec.Raw:
        body = await self.http.get(f"/v5/market/{path}", params)
        reply = unpack(_REPLY, body, "bybit", path)
        if reply.ret_code != 0:
            raise ExchangeError("bybit", f"{path}: {reply.ret_msg}", code=reply.ret_code)
        return reply.result

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return one connection for linear and one for inverse contracts."""
        found = []
        for category in ("linear", "inverse"):
            mine = [self.known(name).instrument for name in instruments]
            mine = [one for one in mine if one.settlement == category]
            topics = ("publicTrade", "tickers", "allLiquidation")
            args = [f"{topic}.{one.symbol}" for one in mine for topic in topics]
            if args:
                found.append(Socket(
                    f"{self.urls['ws']}/{category}", category,
                    (msgspec.json.encode({"op": "subscribe", "args": args}).decode(),),
                    ping='{"op":"ping"}', instruments=tuple(one.name for one in mine),
                ))  # fmt: skip
        return found

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of a frame; none for answers to operations."""
        if frame.startswith(_TRADE_FRAME):
            return parse_trades(frame, self.by_symbol, self.is_new)
        found = unpack(_FRAME, frame, "bybit", label)
        topic, _, symbol = found.topic.partition(".")
        if topic == "publicTrade":
            return parse_trades(frame, self.by_symbol, self.is_new)
        if topic == "allLiquidation":
            return parse_liquidations(found.data, self.by_symbol, self.is_new)
        if topic == "tickers":
            listed = self.by_symbol.get(symbol)
            return () if listed is None else self._ticker(listed).take(found.data, found.ts)
        if not found.success:
            raise ExchangeError("bybit", f"refuses a subscription: {found.ret_msg}")
        if topic:
            raise BadFrameError("bybit", label, "topic", "unknown", found.topic)
        return ()

    def _ticker(self, listed: Listed) -> Ticker:
        return self._tickers.setdefault(listed.name, Ticker(listed))

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return order books, and each five minutes the long/short ratio."""
        now, events = self.clock_ms(), []
        for name in instruments:
            listed = self.known(name)
            one = listed.instrument
            page = await self._get(
                "orderbook", category=one.settlement, symbol=one.symbol, limit=200
            )
            book = unpack(_BOOK, page, "bybit", "orderbook")
            events += [*listed.depth(book.ts, book.b, book.a)]
            if now // FIVE_MS > self._ratio_ms // FIVE_MS:
                events += await self._events("long_short", listed, now - 2 * FIVE_MS, now)
        self._ratio_ms = now
        return events
