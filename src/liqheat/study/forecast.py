"""What is scored: one forecast a model or null, on common rows and times.

A ``Forecast`` says two things: how much each bar sweeps on the map as it was before that bar,
and how the map looks at six-hourly snapshots. Rows are absolute: row r covers ln(price) in
``[r, r + 1) * ROW``, so every forecast and the truth stand on the same ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.heatmap import Heatmap, HeatmapParams, Model, build_heatmap
from liqheat.engine.learn import Evidence, gather, learn_each
from liqheat.engine.sweeps import swept
from liqheat.engine.weights import Weights, newest
from liqheat.study.market import Market
from liqheat.study.metrics import REACH_ROWS, ROW

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Time between two snapshots, and how far ahead each is judged.
SNAPSHOT_MS = 6 * 3_600_000


@dataclass(frozen=True, eq=False)
class Forecast:
    """What one model or null says.

    ``swept`` of shape (n, 2): of longs and shorts in each bar; ``maps`` of shape
    (t, 2 * REACH_ROWS): both sides around the price of each snapshot, None where it draws no
    map. ``usd`` is whether they are in USD or only order.
    """

    name: str
    kind: Literal["model", "null"]
    words: str
    swept: F64
    maps: F64 | None = None
    usd: bool = True
    weights: tuple[Weights, ...] = ()
    #: What the weights were learnt from: its sweeps need not be computed again.
    evidence: Evidence | None = None


@dataclass(frozen=True, eq=False)
class Snapshots:
    """When maps are taken and where they stand; ``t`` snapshots.

    ``time_ms`` (t,) is the end of bar ``bar`` (t,); ``centre`` (t,) is the row of its close,
    the lower half of the rows ends below it; ``low`` is the first row any map needs, of
    ``rows`` in all.
    """

    time_ms: I64
    bar: I64
    centre: I64
    low: int
    rows: int

    def edges(self, t: int) -> F64:
        """Return the price edges of one snapshot's rows."""
        rows = np.arange(-REACH_ROWS, REACH_ROWS + 1) + self.centre[t]
        return np.asarray(np.exp(rows * ROW))

    def around(self, whole: F64, t: int) -> F64:
        """Return the rows around the price out of all rows (``low`` first)."""
        first = int(self.centre[t]) - REACH_ROWS - self.low
        return np.asarray(whole[first : first + 2 * REACH_ROWS], dtype=np.float64)


def snapshots(market: Market) -> Snapshots:
    """Return the six-hourly snapshots of a market whose next six hours are covered."""
    bars = market.bars
    first = -(-market.score_from_ms // SNAPSHOT_MS) * SNAPSHOT_MS
    times = np.arange(first, market.end_ms - SNAPSHOT_MS + 1, SNAPSHOT_MS, dtype=np.int64)
    index, known = market.bar_of(times - 1)
    # A simulated market's truth is known at any time, its future must be covered all the same.
    known &= market.within(times, times + SNAPSHOT_MS)
    times, index = times[known], index[known]
    centre = np.floor(np.log(bars.close[index]) / ROW).astype(np.int64)
    if len(centre) == 0:
        return Snapshots(times, index, centre, 0, 0)
    low = int(centre.min()) - REACH_ROWS
    return Snapshots(times, index, centre, low, int(centre.max()) + REACH_ROWS - low)


def learned(market: Market) -> tuple[tuple[Weights, ...], Evidence]:
    """Return the weights of each day from where scoring begins, and what they were learnt from.

    Each is learnt from days before it.
    """
    evidence = gather(
        market.bars, market.instrument, market.liquidations, covered=market.covered
    )
    return tuple(learn_each([evidence], from_ms=market.score_from_ms)[0]), evidence


def feed_share(weights: Sequence[Weights], at_ms: I64) -> F64:
    """Return the share of liquidated USD which the feed shows, as known at each time."""
    shares = np.array([1.0, *(each.feed_share for each in weights)])
    return np.asarray(shares[newest(weights, at_ms) + 1])


def model_forecast(
    market: Market, snaps: Snapshots, model: Model
) -> tuple[Forecast, Heatmap | None]:
    """Return what a model says, and the heatmap its snapshots are columns of.

    The calibrated model learns here, day by day. Its sweeps are what the feed will show of what
    it expects; its maps are all of it.
    """
    params = HeatmapParams(model=model)
    weights, evidence = learned(market) if model == "calibrated" else ((), None)
    moved = swept(market.bars, market.instrument, params, weights=weights)
    moved *= feed_share(weights, market.bars.start_ms)[:, None]
    heat = _heat(market, snaps, model, weights)
    maps = None
    if heat is not None:
        column = (snaps.time_ms - heat.end_ms(0)) // SNAPSHOT_MS
        both = (heat.long_usd + heat.short_usd)[column]
        maps = np.stack([snaps.around(both[t], t) for t in range(len(both))])
    words = {
        "sharp": "M1: precise levels, prior weights",
        "zones": "M2: broad zones, prior weights",
        "calibrated": "M3: weights learnt day by day from liquidations before that day",
    }[model]
    return Forecast(model, "model", words, moved, maps, True, weights, evidence), heat


def _heat(
    market: Market, snaps: Snapshots, model: Model, weights: Sequence[Weights]
) -> Heatmap | None:
    if len(snaps.time_ms) == 0:
        return None
    edge = math.exp(snaps.low * ROW)
    params = HeatmapParams(
        model=model, bins=snaps.rows, price_min=edge,
        price_max=math.exp((snaps.low + snaps.rows) * ROW),
    )  # fmt: skip
    return build_heatmap(
        market.bars, market.instrument, params, weights=weights,
        start_ms=int(snaps.time_ms[0]) - SNAPSHOT_MS, end_ms=int(snaps.time_ms[-1]),
        step_ms=SNAPSHOT_MS,
    )  # fmt: skip
