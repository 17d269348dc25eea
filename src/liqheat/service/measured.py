"""Public positions on their way to the map, and what of a heatmap is measured.

store -> read_told() -> Told        of a window, for a build
events -> Heard                     since the start, for a live view
heatmap -> measured_parts()         what is measured in one column, by instrument
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap
from liqheat.engine.measured import MeasuredHeatmap
from liqheat.engine.positions import STALE_HOURS, Told
from liqheat.market.events import Position
from liqheat.service.coin import CoinHeatmap
from liqheat.store import Store
from liqheat.study.market import told_of

F32 = NDArray[np.float32]
STALE_MS = int(STALE_HOURS * 3_600_000)


def read_told(
    store: Store, instrument: str, start_ms: int, until_ms: int | None = None
) -> Told | None:
    """Return the stored positions which count from ``start_ms`` on; None where there are none.

    ``until_ms``: nothing is returned that was told later.
    """
    end = None if until_ms is None else until_ms + 1
    table = store.read("positions", instrument, start_ms - STALE_MS, end)
    return told_of(table) if table.num_rows else None


class Heard:
    """The positions of one instrument as they come in: of each account the newest two.

    Two, because a column may close after the first positions of the next were told.
    """

    def __init__(self) -> None:
        self.version = 0
        self._pairs: dict[str, tuple[Position, ...]] = {}

    def take(self, event: Position) -> None:
        """Take in a position."""
        before = self._pairs.get(event.account, ())
        # At one time an account may close on one side and open on the other.
        if before and before[-1].event_ms == event.event_ms and event.qty == 0:
            return
        self._pairs[event.account] = (*before[-1:], event)
        self.version += 1

    def __deepcopy__(self, memo: object) -> Heard:
        # One for all views of the instrument.
        return self

    def told(self) -> Told:
        """Return what came in."""
        return Told.of(chain.from_iterable(self._pairs.values()))


@dataclass(frozen=True)
class MeasuredPart:
    """What is measured of one instrument in one column."""

    instrument: str
    positions: int
    age_ms: float
    #: Of its open interest (long, short).
    share: tuple[float, float]
    open_interest_usd: float
    long_usd: F32
    short_usd: F32


def measured_parts(heatmap: Heatmap, t: int = -1) -> list[MeasuredPart]:
    """Return what is measured in a column, of each instrument of which anything is."""
    members = heatmap.members if isinstance(heatmap, CoinHeatmap) else (heatmap,)
    return [
        MeasuredPart(
            one.instrument.name, int(one.positions[t]), float(one.measured_age_ms[t]),
            (float(one.measured_share[t, 0]), float(one.measured_share[t, 1])),
            float(one.open_interest_usd[t]), one.measured_long_usd[t],
            one.measured_short_usd[t],
        )
        for one in members
        if isinstance(one, MeasuredHeatmap) and one.positions[t]
    ]  # fmt: skip


def kept_bytes(heatmap: Heatmap) -> int:
    """Return what a heatmap's own maps take in memory [bytes]."""
    # Measured, modelled and both.
    maps = 3 if isinstance(heatmap, MeasuredHeatmap) else 1
    return maps * int(heatmap.long_usd.nbytes + heatmap.short_usd.nbytes)


def measured_whole(
    parts: Sequence[MeasuredPart], open_interest_usd: float
) -> tuple[float, float, float | None]:
    """Return the measured share of all open interest (long, short), and the mean age [ms].

    The age is weighted by what is measured; None where nothing is.
    """
    known = [one for one in parts if math.isfinite(one.open_interest_usd)]
    usd = [[one.open_interest_usd * one.share[side] for one in known] for side in (0, 1)]
    weights = [a + b for a, b in zip(*usd, strict=True)]
    if not sum(weights) > 0 or not open_interest_usd > 0:
        return 0.0, 0.0, None
    age = sum(w * one.age_ms for w, one in zip(weights, known, strict=True)) / sum(weights)
    shares = [min(1.0, sum(one) / open_interest_usd) for one in usd]
    return shares[0], shares[1], age
