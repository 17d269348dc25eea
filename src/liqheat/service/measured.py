"""Levels read from public positions, beside the modelled ones of the same instrument."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from liqheat.engine.heatmap import Heatmap
from liqheat.engine.positions import STALE_HOURS, Joined, Measured, joined, measured_levels
from liqheat.market.events import Position, from_row
from liqheat.store import Store


@dataclass(frozen=True)
class MeasuredPart:
    """What is measured of one instrument, and the map in which it replaces the model."""

    instrument: str
    levels: Measured
    whole: Joined


def read_measured(store: Store, heatmap: Heatmap) -> MeasuredPart:
    """Return the measured levels of a heatmap's newest column from stored positions.

    They count as known at the column's end; positions told longer than ``STALE_HOURS`` before
    are unknown. Of an instrument without open interest nothing is replaced.
    """
    name, end = heatmap.instrument.name, heatmap.end_ms(-1)
    table = store.read("positions", name, end - int(STALE_HOURS * 3_600_000), end + 1)
    positions = [cast(Position, from_row("positions", row)) for row in table.to_pylist()]
    known = heatmap.close[np.isfinite(heatmap.close)]
    levels = measured_levels(positions, heatmap.price_edges, float(known[-1]), end)
    whole = joined(
        heatmap.long_usd[-1], heatmap.short_usd[-1], levels,
        float(heatmap.open_interest_qty[-1]),
    )  # fmt: skip
    return MeasuredPart(name, levels, whole)
