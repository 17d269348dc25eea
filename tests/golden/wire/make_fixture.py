"""Write the wire fixture: a small heat matrix as bytes, and the same as JSON.

Independent of the server and of the page on purpose: it follows the format's description
with ``struct`` and ``math`` alone, so that neither side can drift without a test failing.

    python tests/golden/wire/make_fixture.py        # rewrites snapshot.bin, snapshot.json

``snapshot.bin`` is the uncompressed body (header, delta codes, candles). ``snapshot.json``
holds what a reader must find in it; NaN is written as null.
"""

import json
import math
import struct
from pathlib import Path

HERE = Path(__file__).parent

COLUMNS, BINS = 5, 8
GAP_COLUMN, EMPTY_COLUMN = 2, 3
T0_MS, STEP_MS = 1_750_000_200_000, 300_000
P_LO, P_STEP = 100.0, 0.005
V_MAX = 4_000_000.0
FLAG_LOG, FLAG_SIMULATED, FLAG_REPLAY, FLAG_CANDLES = 1, 2, 4, 8

# Open, high, low, close, qty; None = no data in the step.
CANDLES: list[tuple[float, float, float, float, float] | None] = [
    (102.0, 102.5, 101.5, 102.25, 10.0),
    (102.25, 103.0, 102.0, 102.75, 12.5),
    None,
    (102.75, 102.875, 101.0, 101.25, 31.0),
    (101.25, 101.75, 101.125, 101.5, 0.5),
]

# USD per bin, ascending price. Column 3 is empty; values below v_min (40 USD) vanish.
USD: list[list[float]] = [
    [1_000_000.0, 0.0, 250_000.0, 0.0, 0.0, 0.0, 90.0, 3_000_000.0],
    [1_000_000.0, 50_000.0, 250_000.0, 0.0, 0.0, 0.0, 90.0, 3_999_999.0],
    [900_000.0, 50_000.0, 225_000.0, 0.0, 0.0, 0.0, 39.0, 3_500_000.0],
    [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [41.0, 40.0, 0.0, 0.0, 0.0, 700.0, 8_000.0, 123_456.0],
]


def f32(value: float) -> float:
    """Round to the nearest float32, as the header stores it."""
    (out,) = struct.unpack("<f", struct.pack("<f", value))
    return float(out)


def encode(usd: float, v_min: float, v_max: float) -> int:
    """Code of a USD value: 0 below ``v_min``, else 1..255 on a log scale."""
    if usd < v_min:
        return 0
    return min(255, 1 + round(254 * math.log(usd / v_min) / math.log(v_max / v_min)))


def header(seq: int, flags: int, v_min: float, v_max: float) -> bytes:
    """Pack the 64-byte header."""
    return struct.pack(
        "<4sBBBBIIqqddffQ",
        *(b"LQHM", 1, flags, 1, 0),
        *(COLUMNS, BINS, T0_MS, STEP_MS, P_LO, P_STEP, v_min, v_max, seq),
    )


def delta(codes: list[list[int]]) -> bytes:
    """Difference of each column to the one before, modulo 256."""
    before = [0] * BINS
    out = bytearray()
    for column in codes:
        out += bytes((c - b) % 256 for c, b in zip(column, before, strict=True))
        before = column
    return bytes(out)


def planes(values: list[float]) -> bytes:
    """Shuffle float32 values into byte planes: all byte 0, all byte 1, ..."""
    raw = struct.pack(f"<{len(values)}f", *values)
    return b"".join(raw[k::4] for k in range(4))


def main() -> None:
    """Write both files."""
    v_max = f32(V_MAX)
    v_min = f32(v_max * 1e-5)
    codes = [[encode(usd, v_min, v_max) for usd in column] for column in USD]
    series = [[math.nan if row is None else row[i] for row in CANDLES] for i in range(5)]
    flags = FLAG_LOG | FLAG_SIMULATED | FLAG_CANDLES
    body = header(42, flags, v_min, v_max) + delta(codes) + b"".join(map(planes, series))
    (HERE / "snapshot.bin").write_bytes(body)
    names = ("open", "high", "low", "close", "qty")
    expected = {
        "columns": COLUMNS,
        "bins": BINS,
        "t0_ms": T0_MS,
        "step_ms": STEP_MS,
        "log": True,
        "simulated": True,
        "replay": False,
        "model": 1,
        "seq": 42,
        "p_lo": P_LO,
        "p_step": P_STEP,
        "v_min": v_min,
        "v_max": v_max,
        "gap_column": GAP_COLUMN,
        "empty_column": EMPTY_COLUMN,
        "codes": codes,
        "usd": USD,
        "candles": {
            name: [None if math.isnan(x) else f32(x) for x in values]
            for name, values in zip(names, series, strict=True)
        },
    }
    text = json.dumps(expected, indent=1)
    (HERE / "snapshot.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
