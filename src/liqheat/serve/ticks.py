"""Where a picture's labels stand, and how money, prices and times are written on them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

HOUR_MS = 3_600_000


def usd(value: float) -> str:
    """Return a short amount of money.

    >>> usd(0), usd(950), usd(12_345), usd(1_250_000), usd(3.4e9)
    ('$0', '$950', '$12.3K', '$1.25M', '$3.4B')
    """
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "K")):
        if abs(value) >= size * 0.9995:
            return f"${float(f'{value / size:.3g}'):g}{letter}"
    return f"${float(f'{value:.3g}'):g}"


def money(price: float) -> str:
    """Return a price as an axis shows it.

    >>> money(68_300.4), money(0.123456)
    ('68,300', '0.12346')
    """
    return f"{price:,.0f}" if price >= 1_000 else f"{price:.5g}"


def stamp(ms: int) -> str:
    """Return a time of day in UTC.

    >>> stamp(1_772_064_000_000)
    '2026-02-26 00:00'
    """
    return f"{datetime.fromtimestamp(ms / 1000, UTC):%Y-%m-%d %H:%M}"


def price_ticks(low: float, high: float) -> list[float]:
    """Return round prices in ``[low, high]``, about nine.

    >>> price_ticks(61_200, 74_800)
    [62000.0, 64000.0, 66000.0, 68000.0, 70000.0, 72000.0, 74000.0]
    """
    rough = (high - low) / 9
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * k for k in (1, 2, 2.5, 5, 10) if size * k >= rough)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step) + 1)]


def time_ticks(start_ms: NDArray[np.int64], step_ms: int) -> tuple[list[float], list[str]]:
    """Return column positions of round times, at most 13, and their names."""
    begin, span = int(start_ms[0]), len(start_ms) * step_ms
    steps = [HOUR_MS // 12, HOUR_MS // 4, *(HOUR_MS * h for h in (1, 2, 4, 6, 12))]
    steps += [24 * HOUR_MS * days for days in (1, 2, 4, 7, 14, 30, 60)]
    step = next((s for s in steps if span / s <= 13), steps[-1])
    places, names = [], []
    for at in range(-(-begin // step) * step, begin + span, step):
        place = (at - begin) / step_ms
        if 0.012 * len(start_ms) < place < 0.985 * len(start_ms):
            when = datetime.fromtimestamp(at / 1000, UTC)
            midnight = when.hour == 0 and when.minute == 0
            places.append(place)
            names.append(f"{when.day} {when:%b}" if midnight else f"{when:%H:%M}")
    return places, names


def colour_marks(top: float, power: float) -> list[float]:
    """Return 0 and round amounts below ``top``, apart on a scale of ``(usd/top)**power``.

    >>> colour_marks(3.7e6, 0.5)
    [0.0, 20000.0, 100000.0, 200000.0, 500000.0, 1000000.0, 2000000.0]
    """
    last, marks = 0.0, [0.0]
    powers = range(math.floor(math.log10(top)) - 3, math.floor(math.log10(top)) + 1)
    for mark in (k * 10.0**exponent for exponent in powers for k in (1, 2, 5)):
        height = (mark / top) ** power
        if height - last > 0.055 and height < 0.94:
            last = height
            marks.append(mark)
    return marks
