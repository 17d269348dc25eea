"""The picture as it is sent: USD as one byte on a logarithmic scale, and changes to it.

Code 0 is nothing (less than ``v_min``); code c in 1..255 is ``v_min * RANGE**((c-1)/254)`` with
``v_max = v_min * RANGE``. Five decades in 254 steps: 4.6 % from code to code, so a value is off
by at most 2.3 %. The exact figure is one ``/column`` request away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from liqheat.exchanges.base import Mode

DeltaKind = Literal["append", "replace", "sparse"]
U8 = NDArray[np.uint8]
F32 = NDArray[np.float32]

#: v_max / v_min.
RANGE = 1e5
#: v_max lies at least this factor over the largest value, so that it seldom has to move.
HEADROOM = 1.25
#: A map of less than this everywhere is empty: float32 could not hold its scale.
LEAST_USD = 1e-6
_STEP = 254.0 / math.log(RANGE)


def scale_top(largest_usd: float) -> float:
    """Return v_max for a map: headroom over its maximum, on a ladder of half octaves.

    >>> scale_top(0.0)
    1.0
    >>> scale_top(900.0) == scale_top(1000.0)
    True
    """
    if not (largest_usd > LEAST_USD and math.isfinite(largest_usd)):
        return 1.0
    return float(2.0 ** (math.ceil(math.log2(largest_usd * HEADROOM) * 2) / 2))


def to_codes(usd: F32, v_max: float) -> U8:
    """Return the codes of values [USD], uint8 of the same shape; NaN counts as nothing.

    >>> to_codes(np.float32([0, 0.5, 1.0, 1e5, 1e9]), 1e5).tolist()
    [0, 0, 1, 255, 255]
    """
    v_min = v_max / RANGE
    with np.errstate(divide="ignore", invalid="ignore"):
        code = np.log(usd * np.float32(1.0 / v_min))
    code *= np.float32(_STEP)
    np.rint(code, out=code)
    code += 1.0
    np.minimum(code, 255.0, out=code)
    some = usd >= np.float32(v_min)
    return np.where(some, code, np.float32(0.0)).astype(np.uint8)


@dataclass(frozen=True, eq=False)
class Picture:
    """A whole heatmap as codes."""

    codes: U8  # [t, p]
    candles: F32 | None  # [5, t] open, high, low, close, qty; NaN where no data
    t0_ms: int
    step_ms: int
    p_lo: float
    p_step: float
    v_min: float
    v_max: float
    log_scale: bool = True
    mode: Mode = "live"
    model: str = "sharp"
    seq: int = 0


@dataclass(frozen=True, eq=False)
class Delta:
    """One column changed or added; ``bins`` is given for a sparse change only."""

    kind: DeltaKind
    seq: int
    column: int
    candle: tuple[float, ...]
    codes: U8
    bins: NDArray[np.uint16] | None = None


def price_scale(edges: NDArray[np.float64], *, log_scale: bool) -> tuple[float, float]:
    """Return (p_lo, p_step) of the edges of equal bins."""
    low, high, n = float(edges[0]), float(edges[-1]), len(edges) - 1
    return low, (math.log(high / low) if log_scale else high - low) / n
