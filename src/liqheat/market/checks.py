"""Checks of columns: what a market can have, and one clear line for the row which cannot be.

Used by ``events`` when columns become ``Bars`` or ``Liquidations``; nothing is mended here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.units import DAY_MS

if TYPE_CHECKING:
    from liqheat.market.events import Bars, Liquidations

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

BAR_COLUMNS = ("start_ms", "open", "high", "low", "close", "qty")
OPTIONAL_BAR_COLUMNS = ("taker_buy_qty", "open_interest_qty", "mark_high", "mark_low")

#: Prices [USD] and quantities [base units] of any market there is: sums of their products stay
#: far inside a float32.
MIN_PRICE, MAX_PRICE, MAX_QTY = 1e-12, 1e12, 1e18
#: Above this, open interest [USD] is no open interest: it was given in USD, not base units.
ABSURD_OPEN_INTEREST_USD = 1e12
#: Open interest over a day's volume; real instruments lie between 0.05 and 50.
ABSURD_OPEN_INTEREST_DAYS = 1_000.0


LIQUIDATION_COLUMNS = ("event_ms", "is_long", "qty", "notional_usd")

#: A liquidation whose price (notional / quantity) is further than this share outside the range
#: of its bar is no liquidation of this instrument: bankruptcy prices lie within a few per cent.
IMPOSSIBLE_PRICE = 0.5
#: Exchange clocks may be ahead of ours by this much before an event is "from the future".
CLOCK_SLACK_MS = 60_000


def bar_arrays(columns: Mapping[str, object], where: str) -> dict[str, F64]:
    """Return the float columns of bars, NaN where absent; refuse missing or odd ones."""
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
        absent = np.full(n, np.nan)
        data[name] = absent if raw is None else column(raw, name, n, np.float64, where)
    if n == 0:
        raise BadInputError("no rows", where=where, do="give at least one bar")
    return data


def bar_interval(start: I64, where: str, given: int | None) -> int:
    """Return the distance of bars [ms]; refuse unordered, doubled or mixed ones."""
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


def check_rows(bars: Bars, where: str) -> None:
    """Refuse bars which no market has: bad prices, quantities or marks."""

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


def check_open_interest(bars: Bars, where: str) -> None:
    """Refuse open interest which is in USD."""
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


def column(raw: object, name: str, n: int, kind: type[Any], where: str) -> NDArray[Any]:
    """Return one column of ``n`` numbers; refuse what is no number or of another length."""
    try:
        values = np.array(raw, dtype=kind)
    except (TypeError, ValueError, OverflowError) as error:
        raise BadInputError(
            f"column {name!r} is not numeric", where=where, do=str(error)
        ) from error
    if values.shape != (n,):
        raise BadInputError(
            f"column {name!r} has another length", where=where, value=values.shape
        )
    return values


def check_liquidations(events: Liquidations, where: str, now_ms: int | None) -> None:
    """Refuse quantities and prices which are not positive, and the future."""
    for name, least, most in (
        ("qty", 0.0, MAX_QTY),
        ("notional_usd", 0.0, MAX_QTY * MAX_PRICE),
        ("mark_price", MIN_PRICE, MAX_PRICE),
    ):
        values = getattr(events, name)
        bad = ~((values > least) & (values <= most))
        if name == "mark_price":
            bad &= ~np.isnan(values)
        refuse_rows(
            bad, f"{name} is not positive and finite", values, events.event_ms, where,
            "mend or drop the row",
        )  # fmt: skip
    if now_ms is not None:
        bad = events.event_ms > now_ms + CLOCK_SLACK_MS
        refuse_rows(
            bad, f"event_ms is later than the present ({now_ms})",
            events.event_ms.astype(np.float64), events.event_ms, where,
            "check the clock and the unit (milliseconds UTC)",
        )  # fmt: skip


def refuse_rows(
    bad: NDArray[np.bool_], what: str, values: F64, event_ms: I64, where: str, do: str
) -> None:
    """Raise one line about the first bad row, if there is one."""
    rows = np.flatnonzero(bad)
    if len(rows):
        row = int(rows[0])
        raise BadInputError(
            f"{what} at row {row} ({len(rows)} such rows)",
            where=f"{where} [{int(event_ms[row])}]", value=float(values[row]), do=do,
        )  # fmt: skip
