"""What the messages of all exchanges share: checked numbers, and errors which name the field.

Numbers come as JSON numbers from one exchange and as strings from the next; a lax decoder
takes both. The bounds are checked while decoding, in C: an empty text, "NaN", a negative size
or a time in seconds never becomes an event. Unknown fields are ignored: they appear every month.

Besides: which messages came twice, rows of history as a table, and a book made coarse.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Sequence
from typing import Annotated, Literal, TypeVar

import msgspec
import pyarrow as pa

from liqheat.errors import BadInputError
from liqheat.market.events import (
    KIND_OF,
    MAX_PRICE,
    MAX_QTY,
    MIN_PRICE,
    Event,
    Liquidation,
    to_rows,
)

T = TypeVar("T")
Level = tuple[float, float]

Price = Annotated[float, msgspec.Meta(ge=MIN_PRICE, le=MAX_PRICE)]
#: A size or an open interest, in whatever unit.
Qty = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_QTY)]
#: Of a trade or a liquidation: none has no size, nor one that vanishes when it is converted.
Size = Annotated[float, msgspec.Meta(ge=1e-12, le=MAX_QTY)]
#: A fraction per interval.
Rate = Annotated[float, msgspec.Meta(gt=-1.0, lt=1.0)]
#: 2009-01-03 .. 2100-01-01, as the store has it: seconds and microseconds lie outside.
TimeMs = Annotated[int, msgspec.Meta(ge=1_230_940_800_000, le=4_102_444_800_000)]
#: A number which may be absent, null or an empty text: ``Price | Absent``; see ``given``.
Absent = Literal[""] | None
#: A number which may be absent, unchecked; see ``number``.
Maybe = str | float | None

_PATH = re.compile(r" - at `\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


class BadFrameError(BadInputError):
    """A message which does not parse: counted, sampled into the log, and skipped.

    Parameters
    ----------
    exchange, channel : str
        Whose message, and which kind of it.
    field : str
        Path of the field, as ``data[0].p``; empty where the whole frame is meant.
    what : str
        What is wrong with it, in words.
    value : object, optional
        The value as it was found.
    """

    def __init__(
        self, exchange: str, channel: str, field: str, what: str, value: object = None
    ) -> None:
        self.exchange, self.channel, self.field = exchange, channel, field
        place = f"{exchange} {channel}" + (f", field {field}" if field else "")
        super().__init__(what, where=place, value=value)


def lax(kind: type[T]) -> msgspec.json.Decoder[T]:
    """Return a decoder of ``kind`` which takes numbers and texts of numbers alike."""
    return msgspec.json.Decoder(kind, strict=False)


def unpack(
    decoder: msgspec.json.Decoder[T],
    frame: bytes | str | msgspec.Raw,
    exchange: str,
    channel: str,
) -> T:
    """Decode a frame.

    Raises
    ------
    BadFrameError
        It is no JSON, or a field is absent, of another type or out of bounds.

    Examples
    --------
    >>> class Tick(msgspec.Struct):
    ...     p: Price
    >>> unpack(lax(Tick), b'{"p": "64000.5", "new": 1}', "bybit", "tickers").p
    64000.5
    """
    try:
        return decoder.decode(frame)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise _explained(error, bytes_of(frame), exchange, channel) from error


def bytes_of(frame: bytes | str | msgspec.Raw) -> bytes:
    """Return a frame as bytes; half a character is replaced, never an error."""
    return frame.encode(errors="replace") if isinstance(frame, str) else bytes(frame)


def _explained(
    error: Exception, frame: bytes, exchange: str, channel: str
) -> BadFrameError:
    words = str(error) or type(error).__name__
    found = _PATH.search(words)
    if found is None:
        head = frame[:200].decode(errors="replace")
        return BadFrameError(exchange, channel, "", words, head)
    path = found["path"].lstrip(".")
    return BadFrameError(
        exchange, channel, path, words[: found.start()], _value_at(frame, path)
    )


def _value_at(frame: bytes, path: str) -> object:
    # Only for the message: what stood there, as far as it can be found again.
    try:
        value = msgspec.json.decode(frame)
        for index, name in _STEP.findall(path):
            value = value[int(index)] if index else value[name]
    except (msgspec.MsgspecError, RecursionError, LookupError, TypeError, ValueError):
        return None
    return value


def number(value: Maybe, exchange: str, channel: str, field: str) -> float | None:
    """Return a number of a message, None where it is absent.

    Raises
    ------
    BadFrameError
        It is no finite number.
    """
    if value is None or value == "":
        return None
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise BadFrameError(exchange, channel, field, "no finite number", value)
    return found


def given(value: float | Absent, before: float | None = None) -> float | None:
    """Return a number of a message; where it is absent, what was known before.

    >>> given(0.0), given(""), given(None, 2.0)
    (0.0, None, 2.0)
    """
    return value if isinstance(value, (int, float)) else before


class Seen:
    """Which keys came before: remembers at least the last ``size`` of them.

    >>> new = Seen(100)
    >>> new("a"), new("b"), new("a")
    (True, True, False)
    """

    def __init__(self, size: int = 20_000) -> None:
        self._size = size
        self._young: set[Hashable] = set()
        self._old: set[Hashable] = set()

    def __contains__(self, key: Hashable) -> bool:
        """Return whether a key came before, and remember nothing."""
        return key in self._young or key in self._old

    def __call__(self, key: Hashable) -> bool:
        """Return whether a key is new, and remember it."""
        if key in self._young or key in self._old:
            return False
        self._young.add(key)
        if len(self._young) >= self._size:
            self._old, self._young = self._young, set()
        return True


_INTEGERS = frozenset({"event_ms", "start_ms", "interval_ms"})
_REALS = frozenset({
    "open", "high", "low", "close", "qty", "taker_buy_qty", "mark_high", "mark_low",
    "open_interest_qty", "mark_price", "index_price", "funding_rate", "price", "notional_usd",
    "accounts_ratio",
})  # fmt: skip


def history_table(
    kind: str, events: Iterable[Event], source: str, start_ms: int, end_ms: int
) -> pa.Table:
    """Return events of one kind as the store's table: in ``[start_ms, end_ms)``, sorted.

    Pages of history overlap: of bars and readings of one time the last given stays. Equal
    liquidations all stay; pages of them must not overlap.
    """
    chosen = [event for event in events if start_ms <= event.event_ms < end_ms]
    if kind != "liquidations":
        chosen = list({event.event_ms: event for event in chosen}.values())
    chosen.sort(key=lambda event: event.event_ms)
    rows = [row for event in chosen for row in to_rows(event)]
    event_type = next(each for each, name in KIND_OF.items() if name == kind)
    names = [name for name in event_type.__struct_fields__ if name != "closed"]
    if kind == "bars":
        names[names.index("event_ms")] = "start_ms"
    columns: dict[str, pa.Array] = {}
    for name in names:
        typed = pa.float64() if name in _REALS else pa.string()
        typed = pa.int64() if name in _INTEGERS else typed
        columns[name] = pa.array([row[name] for row in rows], typed)
    columns["source"] = pa.array([source] * len(rows), pa.string())
    if event_type is Liquidation:
        columns["exchange"] = columns["source"]
    return pa.table(columns)


#: Ends of the rows of a coarse book: distances from the middle, as fractions.
DEPTH_STEPS = (
    1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 3e-3, 5e-3, 7.5e-3, 1e-2, 1.5e-2, 2e-2, 3e-2, 5e-2, 0.1,
)  # fmt: skip


def coarse_side(levels: Sequence[Level], middle: float) -> tuple[Level, ...]:
    """Return one side of a book in the rows of ``DEPTH_STEPS``, from the best outwards.

    Parameters
    ----------
    levels : sequence of (price, base quantity)
        From the best outwards.
    middle : float
        Price half way between the best bid and the best ask.

    Returns
    -------
    tuple of (price, base quantity)
        Of each row which holds anything: its quantity, at the mean price of that quantity.

    Examples
    --------
    >>> coarse_side([(99.25, 1.0), (98.75, 2.0), (98.625, 2.0), (50.0, 9.0)], 100.0)
    ((99.25, 1.0), (98.6875, 4.0))
    """
    rows: dict[int, list[float]] = {}
    for price, qty in levels:
        distance = abs(price / middle - 1.0)
        at = next((i for i, end in enumerate(DEPTH_STEPS) if distance <= end), None)
        if at is not None and qty > 0:
            row = rows.setdefault(at, [0.0, 0.0])
            row[0] += price * qty
            row[1] += qty
    return tuple((usd / qty, qty) for usd, qty in rows.values())
