"""What a client does with the bytes: frames and codes, read back."""

import gzip
import struct

import numpy as np

from liqheat.errors import BadInputError
from liqheat.serve.wire import _COLUMN, _FRAME, _TYPES, decode_picture
from liqheat.service.picture import RANGE, Delta, DeltaKind, Picture

_DELTAS = {number: kind for kind, number in _TYPES.items()}


def to_usd(codes: np.ndarray, v_max: float) -> np.ndarray:
    """Return the values [USD] that codes stand for, float32 of the same shape."""
    v_min = v_max / RANGE
    table = v_min * RANGE ** ((np.arange(256) - 1) / 254.0)
    table[0] = 0.0
    return table.astype(np.float32)[codes]


def decode_frame(data: bytes) -> Picture | Delta | int:
    """Return what a frame holds: a picture, a delta, or a heartbeat's seq.

    Raises
    ------
    BadInputError
        The frame is of no known type or has the wrong length.
    """
    if len(data) < _FRAME.size:
        raise bad("shorter than a frame", len(data))
    kind, seq = _FRAME.unpack_from(data)
    if kind == 5:
        return int(seq)
    if kind == 1:
        try:
            return decode_picture(gzip.decompress(data[_FRAME.size :]))
        except (OSError, EOFError) as error:
            raise bad("not gzip", str(error)) from error
    if kind not in _DELTAS:
        raise bad("unknown frame type", kind)
    return _decode_delta(data, _DELTAS[kind], seq)


def _decode_delta(data: bytes, kind: DeltaKind, seq: int) -> Delta:
    at = _FRAME.size + _COLUMN.size
    if len(data) < at + (2 if kind == "sparse" else 0):
        raise bad("shorter than a column frame", len(data))
    column, *candle = _COLUMN.unpack_from(data, _FRAME.size)
    if kind != "sparse":
        return Delta(
            kind, seq, column, tuple(candle), np.frombuffer(data, np.uint8, offset=at)
        )
    (count,) = struct.unpack_from("<H", data, at)
    if len(data) != at + 2 + 3 * count:
        raise bad(f"a sparse frame of {count} bins", len(data))
    bins = np.frombuffer(data, "<u2", count, at + 2)
    codes = np.frombuffer(data, np.uint8, count, at + 2 + 2 * count)
    return Delta(kind, seq, column, tuple(candle), codes, bins.astype(np.uint16))


def bad(what: str, value: object) -> BadInputError:
    return BadInputError(what, where="heat bytes", value=value)
