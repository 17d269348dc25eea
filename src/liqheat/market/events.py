"""Events: what an exchange tells us, one struct a kind; and the engine's input as columns.

Singles travel from adapters to the store and the page; many of a kind travel as columns
(``Bars``, ``Liquidations``), which are validated once and then trusted.
Absent is ``None`` in a struct and NaN in a column, never 0. Times are integer milliseconds
UTC; intervals are half-open ``[start_ms, end_ms)``.

``position_side`` is always the side of the position that is closed by force, whatever the
exchange's own field means (Binance says SELL, Bybit says Buy, for the same dead long).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.checks import (
    BAR_COLUMNS,
    IMPOSSIBLE_PRICE,
    LIQUIDATION_COLUMNS,
    OPTIONAL_BAR_COLUMNS,
    bar_arrays,
    bar_interval,
    check_liquidations,
    check_open_interest,
    check_rows,
    column,
    refuse_rows,
)
from liqheat.market.checks import MAX_PRICE as MAX_PRICE
from liqheat.market.checks import MAX_QTY as MAX_QTY
from liqheat.market.checks import MIN_PRICE as MIN_PRICE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
Side = Literal["long", "short"]

#: What the price of a liquidation event is: only "fill" was traded.
PriceKind = Literal["fill", "order", "bankruptcy", "mark"]
#: How complete a liquidation feed is; everything but "full" is a lower bound.
Completeness = Literal["full", "sampled_1s", "sampled_1s_largest", "lower_bound", "unknown"]


class Event(msgspec.Struct, frozen=True, tag=True):
    """Base of all events: which instrument (``exchange:symbol``), and when."""

    instrument: str
    event_ms: int


class Bar(Event, frozen=True, tag="bar"):
    """One OHLCV interval; ``event_ms`` is its start. ``closed`` is False while it grows."""

    interval_ms: int
    open: float
    high: float
    low: float
    close: float
    qty: float
    taker_buy_qty: float | None = None
    mark_high: float | None = None
    mark_low: float | None = None
    closed: bool = True


class Trade(Event, frozen=True, tag="trade"):
    """One trade; ``taker_side`` is the aggressor."""

    price: float
    qty: float
    taker_side: Literal["buy", "sell"]


class OpenInterest(Event, frozen=True, tag="open_interest"):
    """Open positions of ONE side, base units."""

    open_interest_qty: float


class MarkPrice(Event, frozen=True, tag="mark"):
    """The price liquidation is judged by."""

    mark_price: float
    index_price: float | None = None


class FundingRate(Event, frozen=True, tag="funding"):
    """Rate paid by longs to shorts for the interval ending at ``event_ms``, a fraction."""

    funding_rate: float


class Liquidation(Event, frozen=True, tag="liquidation"):
    """A position closed by force."""

    position_side: Side
    price: float
    price_kind: PriceKind
    qty: float
    notional_usd: float
    mark_price: float | None = None
    completeness: Completeness = "unknown"


class Position(Event, frozen=True, tag="position"):
    """A public position: a MEASURED level. ``qty`` 0: it is closed.

    ``leverage`` is None of cross margin, where it has no say in the liquidation price.
    """

    account: str
    position_side: Side
    qty: float
    entry_price: float
    liquidation_price: float | None
    leverage: float | None = None


class DepthSnapshot(Event, frozen=True, tag="depth"):
    """Coarse order book: (price, base quantity) from the best outwards."""

    bids: tuple[tuple[float, float], ...]
    asks: tuple[tuple[float, float], ...]


class LongShortRatio(Event, frozen=True, tag="long_short"):
    """Accounts which are net long over those which are net short, of the whole exchange."""

    accounts_ratio: float


class Gap(Event, frozen=True, tag="gap"):
    """A hole ``[event_ms, end_ms)`` in one kind of data, and why."""

    end_ms: int
    kind: str
    reason: str


#: The store's kind of each event; others are passed on, and not kept.
KIND_OF: dict[type[Event], str] = {
    Bar: "bars", OpenInterest: "open_interest", MarkPrice: "mark", FundingRate: "funding",
    Liquidation: "liquidations", Position: "positions", LongShortRatio: "long_short",
    DepthSnapshot: "depth", Gap: "gaps",
}  # fmt: skip
_EVENT_OF = {kind: event for event, kind in KIND_OF.items() if event is not DepthSnapshot}


def to_rows(event: Event) -> list[dict[str, Any]]:
    """Return the rows of an event of one of the kinds in ``KIND_OF``: of a book one a level."""
    if isinstance(event, DepthSnapshot):
        at = {"instrument": event.instrument, "event_ms": event.event_ms}
        return [
            {**at, "book_side": side, "price": price, "qty": qty}
            for side, levels in (("bid", event.bids), ("ask", event.asks))
            for price, qty in levels
        ]
    row = msgspec.structs.asdict(event)
    if isinstance(event, Bar):
        row["start_ms"] = row.pop("event_ms")
    return [row]


def from_row(kind: str, row: Mapping[str, Any]) -> Event:
    """Return the event of a row; NaN in a row, as None, is absent, and so are other columns.

    Not for "depth", where one event is many rows.
    """
    event = _EVENT_OF[kind]
    time = {"event_ms": row["start_ms"]} if kind == "bars" else {}
    known = {
        name: value
        for name in event.__struct_fields__
        if (value := row.get(name)) is not None and value == value
    }
    return event(**known, **time)


@dataclass(frozen=True, eq=False)
class Bars:
    """Bars of one instrument as columns, validated: the engine's only market input.

    All arrays have shape ``(n,)``; ``start_ms`` int64, strictly increasing multiples of
    ``interval_ms`` apart (a missing bar is a gap); the rest float64, NaN where absent.
    ``qty``, ``taker_buy_qty`` and ``open_interest_qty`` are base units (of an inverse
    instrument: at the bar's close); ``open_interest_qty`` is what was known at the bar's end.
    """

    interval_ms: int
    start_ms: I64
    open: F64
    high: F64
    low: F64
    close: F64
    qty: F64
    taker_buy_qty: F64
    open_interest_qty: F64
    mark_high: F64
    mark_low: F64

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.start_ms)

    def __getitem__(self, item: slice) -> Self:
        """Return the bars of a slice; the arrays are views."""
        names = (*BAR_COLUMNS, *OPTIONAL_BAR_COLUMNS)
        return replace(self, **{name: getattr(self, name)[item] for name in names})

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, object],
        *,
        where: str = "bars",
        interval_ms: int | None = None,
    ) -> Self:
        """Validate columns and return them as ``Bars``.

        Parameters
        ----------
        columns : mapping of str to array_like
            ``BAR_COLUMNS`` are required, ``OPTIONAL_BAR_COLUMNS`` may be absent or None.
        where : str
            Named in errors: the file or table.
        interval_ms : int, optional
            The bars' interval; found from the most frequent distance where not given.

        Raises
        ------
        BadInputError
            A column is missing; a price is not positive and finite; high < low; quantities
            are negative; times are unordered, doubled or of mixed intervals; open interest
            is in USD. Says which row and which value.
        """
        data = bar_arrays(columns, where)
        start = np.array(columns["start_ms"], dtype=np.int64)
        found = bar_interval(start, where, interval_ms)
        bars = cls(interval_ms=found, start_ms=start, **data)
        check_rows(bars, where)
        check_open_interest(bars, where)
        return bars

    def with_open_interest(self, event_ms: I64, open_interest_qty: F64) -> Self:
        """Return bars which carry the last open interest known at each bar's end.

        Only readings within the bar count: between readings the column is NaN, so that an
        old figure is never taken for a new one. ``event_ms`` must be sorted.
        """
        end = self.start_ms + self.interval_ms
        index = np.searchsorted(event_ms, end, side="right") - 1
        known = index >= 0
        safe = np.maximum(index, 0)
        if len(event_ms) == 0:
            return replace(self, open_interest_qty=np.full(len(self), np.nan))
        known &= event_ms[safe] > self.start_ms
        values = np.where(known, open_interest_qty[safe], np.nan)
        out = replace(self, open_interest_qty=values)
        check_open_interest(out, "open interest")
        return out

    def gaps(self) -> list[tuple[int, int]]:
        """Return the holes between bars as ``(start_ms, end_ms)``."""
        after = np.flatnonzero(np.diff(self.start_ms) > self.interval_ms)
        ends = self.start_ms[after] + self.interval_ms
        return [
            (int(a), int(b)) for a, b in zip(ends, self.start_ms[after + 1], strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Liquidations:
    """Liquidations of one instrument as columns, validated and in order of time.

    All arrays have shape ``(n,)``. ``is_long`` is the side of the position closed by force;
    ``qty`` is in base units; ``mark_price`` is NaN where not known. ``completeness`` is that of
    the feed: all but "full" is a lower bound.
    """

    event_ms: I64
    is_long: NDArray[np.bool_]
    qty: F64
    notional_usd: F64
    mark_price: F64
    completeness: Completeness = "unknown"

    def __len__(self) -> int:
        """Return the number of liquidations."""
        return len(self.event_ms)

    def __getitem__(self, item: slice) -> Self:
        """Return the liquidations of a slice; the arrays are views."""
        names = (*LIQUIDATION_COLUMNS, "mark_price")
        return replace(self, **{name: getattr(self, name)[item] for name in names})

    @classmethod
    def from_columns(
        cls,
        columns: Mapping[str, object],
        *,
        completeness: Completeness = "unknown",
        bars: Bars | None = None,
        now_ms: int | None = None,
        where: str = "liquidations",
    ) -> Self:
        """Validate columns and return them, sorted by ``event_ms``.

        Parameters
        ----------
        columns : mapping of str to array_like
            ``LIQUIDATION_COLUMNS`` are required; ``mark_price`` may be absent or None. No rows
            are allowed: a quiet day is a day.
        completeness : str
            How complete the feed is.
        bars : Bars, optional
            Where given, prices are held against the bar of the time.
        now_ms : int, optional
            The present; where given, nothing may be later.
        where : str
            Named in errors: the file or table.

        Raises
        ------
        BadInputError
            A column is missing or no number; a quantity, notional or price is not positive; a
            price is impossible; an event is from the future. Says which row and which value.
        """
        missing = [name for name in LIQUIDATION_COLUMNS if columns.get(name) is None]
        if missing:
            raise BadInputError(
                f"no column {missing[0]!r}", where=where, value=sorted(map(str, columns)),
                do=f"give {', '.join(LIQUIDATION_COLUMNS)}",
            )  # fmt: skip
        n = len(np.asarray(columns["event_ms"]))
        event_ms = column(columns["event_ms"], "event_ms", n, np.int64, where)
        order = np.argsort(event_ms, kind="stable")
        mark = columns.get("mark_price")
        events = cls(
            event_ms[order],
            column(columns["is_long"], "is_long", n, np.bool_, where)[order],
            column(columns["qty"], "qty", n, np.float64, where)[order],
            column(columns["notional_usd"], "notional_usd", n, np.float64, where)[order],
            np.full(n, np.nan)
            if mark is None
            else column(mark, "mark_price", n, np.float64, where)[order],
            completeness,
        )
        check_liquidations(events, where, now_ms)
        if bars is not None:
            events.check_prices(bars, where=where)
        return events

    def check_prices(self, bars: Bars, *, where: str = "liquidations") -> None:
        """Refuse events whose price cannot be one of this market's.

        Raises
        ------
        BadInputError
            A price is more than ``IMPOSSIBLE_PRICE`` outside the range of its bar. Events
            outside the bars are not judged.
        """
        for name, values, bad in self._far_off(bars):
            refuse_rows(
                bad, f"{name} is more than half away from its bar's", values, self.event_ms,
                where, "is it another instrument's, or quantity in contracts?",
            )  # fmt: skip

    def possible(self, bars: Bars) -> NDArray[np.bool_]:
        """Return which events ``check_prices`` would let pass, of shape (n,)."""
        (_, _, far), (_, _, mark_far) = self._far_off(bars)
        return ~(far | mark_far)

    def _far_off(self, bars: Bars) -> list[tuple[str, F64, NDArray[np.bool_]]]:
        index = np.searchsorted(bars.start_ms, self.event_ms, side="right") - 1
        safe = np.maximum(index, 0)
        inside = (index >= 0) & (self.event_ms < bars.start_ms[safe] + bars.interval_ms)
        high = bars.high[safe] * (1 + IMPOSSIBLE_PRICE)
        low = bars.low[safe] * (1 - IMPOSSIBLE_PRICE)
        pairs = (("price", self.notional_usd / self.qty), ("mark_price", self.mark_price))
        return [
            (name, values, inside & ((values > high) | (values < low)))
            for name, values in pairs
        ]
