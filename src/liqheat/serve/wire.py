"""Bytes of the picture: the binary heat body, both ways, and the WebSocket frames.

Everything is little-endian. The heat body (HTTP ``format=bin``, and gzipped in a SNAPSHOT):

    at  type  what
    0   4s    magic "LQHM"
    4   u8    version = 1
    5   u8    flags: 1 log price scale, 2 SIMULATED, 4 replay, 8 candles follow
    6   u8    model: 1 sharp, 2 zones, 3 calibrated
    7   u8    reserved = 0
    8   u32   W columns
    12  u32   H bins
    16  i64   t0_ms: start of column 0
    24  i64   step_ms
    32  f64   p_lo: lower edge of bin 0
    40  f64   p_step: log: edge_p = p_lo * exp(p * p_step); linear: p_lo + p * p_step
    48  f32   v_min [USD]
    52  f32   v_max [USD]
    56  u64   seq
    64  W*H   u8 codes, a column after the other, each the difference to the column before
              (modulo 256; the column before the first is 0)
    ..  5*4*W open, high, low, close, qty (if flag 8): f32, NaN where there is no data; each
              array as its four byte planes (byte 0 of every value, then byte 1, ...)

A code is 0 for nothing, else ``usd = v_min * (v_max / v_min)**((code - 1) / 254)``.
A cell belongs to longs when its bin's centre is below the column's close, else to shorts.

WebSocket frames: u8 type, u64 seq, then

    1 SNAPSHOT   gzip(heat body with candles): replaces everything
    2 APPEND     u32 column, 5 f32 candle, H u8 codes: column == W, one column is added
    3 REPLACE    the same: that column is replaced
    4 SPARSE     u32 column, 5 f32 candle, u16 n, n u16 bins, n u8 codes: changed bins
    5 HEARTBEAT  nothing; seq is that of the last data frame
"""

from __future__ import annotations

import gzip
import struct
from typing import Literal

import numpy as np

from liqheat.errors import BadInputError
from liqheat.service.picture import Delta, DeltaKind, Picture

MAGIC, VERSION = b"LQHM", 1
_HEAD = struct.Struct("<4sBBBBIIqqddffQ")
_FRAME = struct.Struct("<BQ")
_COLUMN = struct.Struct("<I5f")
_LOG, _SIMULATED, _REPLAY, _CANDLES = 1, 2, 4, 8
_MODELS = ("sharp", "zones", "calibrated")
_TYPES: dict[DeltaKind, int] = {"append": 2, "replace": 3, "sparse": 4}
#: Level 6 costs 9 ms for 1440 x 400 and is 10 % smaller than level 1.
_LEVEL = 6


def encode_picture(picture: Picture) -> bytes:
    """Return the heat body."""
    columns, bins = picture.codes.shape
    flags = _LOG * picture.log_scale | _SIMULATED * (picture.mode == "simulated")
    flags |= _REPLAY * (picture.mode == "replay") | _CANDLES * (picture.candles is not None)
    head = _HEAD.pack(
        MAGIC, VERSION, flags, _MODELS.index(picture.model) + 1, 0, columns, bins,
        picture.t0_ms, picture.step_ms, picture.p_lo, picture.p_step,
        picture.v_min, picture.v_max, picture.seq,
    )  # fmt: skip
    stored = picture.codes.copy()
    stored[1:] -= picture.codes[:-1]
    parts = [head, stored.tobytes()]
    if picture.candles is not None:
        planes = picture.candles.astype("<f4").view(np.uint8).reshape(5, columns, 4)
        parts.append(np.ascontiguousarray(planes.transpose(0, 2, 1)).tobytes())
    return b"".join(parts)


def decode_picture(data: bytes) -> Picture:
    """Return the picture of a heat body.

    Raises
    ------
    BadInputError
        It is no heat body of this version, or shorter or longer than its header says.
    """
    if len(data) < _HEAD.size:
        raise _bad("shorter than its header", len(data))
    (
        magic,
        version,
        flags,
        model,
        _,
        columns,
        bins,
        t0,
        step,
        low,
        p_step,
        v_min,
        v_max,
        seq,
    ) = _HEAD.unpack_from(data)
    if magic != MAGIC or version != VERSION:
        raise _bad(f"not a version {VERSION} heat body", (magic, version))
    candle_bytes = 20 * columns if flags & _CANDLES else 0
    if len(data) != _HEAD.size + columns * bins + candle_bytes:
        raise _bad(f"its header says {columns} x {bins}", len(data))
    if not 1 <= model <= len(_MODELS):
        raise _bad("unknown model", model)
    codes = np.frombuffer(data, np.uint8, columns * bins, _HEAD.size).reshape(columns, bins)
    candles = None
    if candle_bytes:
        planes = np.frombuffer(data, np.uint8, candle_bytes, _HEAD.size + columns * bins)
        values = np.ascontiguousarray(planes.reshape(5, 4, columns).transpose(0, 2, 1))
        candles = values.view("<f4").reshape(5, columns)
    mode: Literal["live", "simulated", "replay"] = (
        "simulated" if flags & _SIMULATED else "replay" if flags & _REPLAY else "live"
    )
    return Picture(
        np.cumsum(codes, axis=0, dtype=np.uint8), candles, t0, step, low, p_step, v_min, v_max,
        bool(flags & _LOG), mode, _MODELS[model - 1], seq,
    )  # fmt: skip


def _bad(what: str, value: object) -> BadInputError:
    return BadInputError(what, where="heat bytes", value=value)


def compress(data: bytes) -> bytes:
    """Gzip with no time and no name: the same input gives the same bytes."""
    return gzip.compress(data, _LEVEL, mtime=0)


def snapshot_frame(picture: Picture) -> bytes:
    """Return the SNAPSHOT frame of a picture."""
    return _FRAME.pack(1, picture.seq) + compress(encode_picture(picture))


def heartbeat_frame(seq: int) -> bytes:
    """Return the HEARTBEAT frame."""
    return _FRAME.pack(5, seq)


def delta_frame(delta: Delta) -> bytes:
    """Return the APPEND, REPLACE or SPARSE frame of a delta."""
    head = _FRAME.pack(_TYPES[delta.kind], delta.seq)
    body = _COLUMN.pack(delta.column, *delta.candle)
    if delta.bins is None:
        return head + body + delta.codes.tobytes()
    count = struct.pack("<H", len(delta.bins))
    return head + body + count + delta.bins.astype("<u2").tobytes() + delta.codes.tobytes()
