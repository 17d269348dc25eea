"""Events: what an exchange tells us, one struct a kind; and ``Bars``, the engine's input.

Singles travel from adapters to the store and the page; many of a kind travel as columns.
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
from liqheat.market.units import DAY_MS

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
    """A public position: a MEASURED level."""

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


BAR_COLUMNS = ("start_ms", "open", "high", "low", "close", "qty")
OPTIONAL_BAR_COLUMNS = ("taker_buy_qty", "open_interest_qty", "mark_high", "mark_low")

#: Prices [USD] and quantities [base units] of any market there is: sums of their products stay
#: far inside a float32.
MIN_PRICE, MAX_PRICE, MAX_QTY = 1e-12, 1e12, 1e18
#: Above this, open interest [USD] is no open interest: it was given in USD, not base units.
ABSURD_OPEN_INTEREST_USD = 1e12
#: Open interest over a day's volume; real instruments lie between 0.05 and 50.
ABSURD_OPEN_INTEREST_DAYS = 1_000.0


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
        data = _as_arrays(columns, where)
        start = np.array(columns["start_ms"], dtype=np.int64)
        found = _interval(start, where, interval_ms)
        bars = cls(interval_ms=found, start_ms=start, **data)
        _check_rows(bars, where)
        _check_open_interest(bars, where)
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
        _check_open_interest(out, "open interest")
        return out

    def gaps(self) -> list[tuple[int, int]]:
        """Return the holes between bars as ``(start_ms, end_ms)``."""
        after = np.flatnonzero(np.diff(self.start_ms) > self.interval_ms)
        ends = self.start_ms[after] + self.interval_ms
        return [
            (int(a), int(b)) for a, b in zip(ends, self.start_ms[after + 1], strict=True)
        ]


def _as_arrays(columns: Mapping[str, object], where: str) -> dict[str, F64]:
    missing = [name for name in BAR_COLUMNS if columns.get(name) is None]
    if missing:
        raise BadInputError(
            f"no column {missing[0]!r}", where=where, value=sorted(map(str, columns)),
            do="name it with a column mapping",
        )  # fmt: skip
    n = len(np.asarray(columns["start_ms"]))
    data: dict[str, F64] = {}
    for name in (*BAR_COLUMNS[1:], *OPTIONAL_BAR_COLUMNS):
        raw = columns.get(name)
        try:
            values = np.full(n, np.nan) if raw is None else np.array(raw, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise BadInputError(
                f"column {name!r} is not numeric", where=where, do=str(error)
            ) from error
        if values.shape != (n,):
            raise BadInputError(
                f"column {name!r} has another length", where=where, value=values.shape
            )
        data[name] = values
    if n == 0:
        raise BadInputError("no rows", where=where, do="give at least one bar")
    return data


def _interval(start: I64, where: str, given: int | None) -> int:
    steps = np.diff(start)
    bad = np.flatnonzero(steps <= 0)
    if len(bad):
        row = int(bad[0]) + 1
        word = "doubled" if steps[bad[0]] == 0 else "unordered"
        raise BadInputError(
            f"{word} bar at row {row}", where=where, value=int(start[row]),
            do="sort by start_ms and drop duplicates",
        )  # fmt: skip
    if given is None:
        if len(steps) == 0:
            return 60_000
        values, counts = np.unique(steps, return_counts=True)
        given = int(values[np.argmax(counts)])
    odd = np.flatnonzero(steps % given != 0)
    if len(odd):
        row = int(odd[0]) + 1
        raise BadInputError(
            f"mixed intervals: row {row} is {int(steps[odd[0]])} ms after the one before, "
            f"others {given} ms",
            where=where, value=int(start[row]), do="import one interval at a time",
        )  # fmt: skip
    return given


def _check_rows(bars: Bars, where: str) -> None:
    def refuse(bad: NDArray[np.bool_], what: str, values: F64) -> None:
        rows = np.flatnonzero(bad)
        if len(rows):
            row = int(rows[0])
            raise BadInputError(
                f"{what} at row {row} ({len(rows)} such rows)",
                where=f"{where} [{int(bars.start_ms[row])}]",
                value=float(values[row]), do="mend or drop the row",
            )  # fmt: skip

    for name in ("open", "high", "low", "close"):
        values = getattr(bars, name)
        refuse(
            ~((values >= MIN_PRICE) & (values <= MAX_PRICE)),
            f"{name} is not a positive price",
            values,
        )
    refuse(bars.high < bars.low, "high < low", bars.high)
    top, bottom = np.maximum(bars.open, bars.close), np.minimum(bars.open, bars.close)
    refuse(bars.high < top, "high below open or close", bars.high)
    refuse(bars.low > bottom, "low above open or close", bars.low)
    refuse(~((bars.qty >= 0) & (bars.qty <= MAX_QTY)), "qty is not >= 0", bars.qty)
    for name in OPTIONAL_BAR_COLUMNS:
        values = getattr(bars, name)
        refuse((values > MAX_QTY) | (values < 0), f"{name} is not >= 0 or absent", values)
    refuse(
        bars.taker_buy_qty > bars.qty * (1 + 1e-9),
        "taker_buy_qty > qty",
        bars.taker_buy_qty,
    )
    refuse(bars.mark_high < bars.mark_low, "mark_high < mark_low", bars.mark_high)
    refuse(bars.mark_low == 0, "mark_low is 0", bars.mark_low)


def _check_open_interest(bars: Bars, where: str) -> None:
    known = np.isfinite(bars.open_interest_qty)
    if not known.any():
        return
    middle = float(np.median(bars.open_interest_qty[known]))
    price = float(np.median(bars.close))
    day = float(bars.qty.mean()) * DAY_MS / bars.interval_ms
    if len(bars) * bars.interval_ms < DAY_MS:
        day = 0.0  # too short to tell a quiet hour from a wrong unit
    if middle * price > ABSURD_OPEN_INTEREST_USD or (
        day > 0 and price > 100 and middle > ABSURD_OPEN_INTEREST_DAYS * day
    ):
        raise BadInputError(
            f"open interest looks like USD, not base units: at a price of {price:g} it would "
            f"be {middle * price:.3g} USD",
            where=where, value=middle, do="map the column of base units, or divide by price",
        )  # fmt: skip
