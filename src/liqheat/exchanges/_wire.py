"""What the messages of all exchanges share: checked numbers, and errors which name the field.

Numbers come as JSON numbers from one exchange and as strings from the next; a lax decoder
takes both. The bounds are checked while decoding, in C: an empty text, "NaN", a negative size
or a time in seconds never becomes an event. Unknown fields are ignored: they appear every month.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import msgspec

from liqheat.errors import BadInputError
from liqheat.market.events import MAX_PRICE, MAX_QTY, MIN_PRICE

T = TypeVar("T")

Price = Annotated[float, msgspec.Meta(ge=MIN_PRICE, le=MAX_PRICE)]
#: A size or an open interest, in whatever unit.
Qty = Annotated[float, msgspec.Meta(ge=0.0, le=MAX_QTY)]
#: Of a trade or a liquidation: none has no size.
Size = Annotated[float, msgspec.Meta(gt=0.0, le=MAX_QTY)]
#: A fraction per interval.
Rate = Annotated[float, msgspec.Meta(gt=-1.0, lt=1.0)]
#: 2009-01-03 .. 2100-01-01, as the store has it: seconds and microseconds lie outside.
TimeMs = Annotated[int, msgspec.Meta(ge=1_230_940_800_000, le=4_102_444_800_000)]

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


def lax(kind: type[T] | Any) -> msgspec.json.Decoder[T]:
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
