"""What the calibrated model says with a spread: hourly sweeps as Gamma forecasts.

Per 15-minute block and side, with U the swept components and w the weights of the day::

    m = sum_k w_k U_k        Var = event_size * m + m^2 / shape + J' Cov J

J are the derivatives of m by the learnt parameters. Noise is taken as independent from block to
block, what is not known about the weights as common to all blocks of an hour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels
from liqheat.engine.band import bands, covariance_of
from liqheat.engine.learn import BLOCK_MS, CALIBRATED, Evidence
from liqheat.engine.params import bank_for, bar_matrix
from liqheat.engine.weights import Weights, newest, weight_rows
from liqheat.study.forecast import Snapshots, feed_share
from liqheat.study.market import Market
from liqheat.study.metrics import COARSE

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: An event of this part of the mean event size is counted as none: a Gamma density near 0 USD
#: means nothing.
FLOOR = 0.1
#: Levels of the bands whose coverage is reported.
LEVELS = (0.5, 0.8, 0.9)
#: Snapshots from which the ratio of stock to flow is taken before a zone is judged.
LEAST_EARLIER = 5
#: Zones are judged at every fourth snapshot, once a day: neighbours say nearly the same.
EVERY = 4
HOUR_MS = 3_600_000


@dataclass(frozen=True, eq=False)
class HourBands:
    """Gamma forecasts of whole hours; all of shape (h, 2) [USD, USD²], longs first.

    Hours before the first weights are left out. What is forecast is what the feed will show.
    """

    start_ms: I64
    mean: F64
    variance: F64
    floor: F64


def hour_bands(
    market: Market, weights: Sequence[Weights], evidence: Evidence, hour_ms: I64
) -> HourBands:
    """Return forecasts of the given whole hours (starts, ascending)."""
    starts, features = evidence.start_ms, evidence.features
    bank, _ = bank_for(market.instrument, CALIBRATED)
    hour_ms = hour_ms[newest(weights, hour_ms) >= 0]
    n, blocks = len(hour_ms), HOUR_MS // BLOCK_MS
    at = np.searchsorted(starts, hour_ms[:, None] + np.arange(blocks) * BLOCK_MS)
    rows, row_of = weight_rows(weights, bank, market.instrument, "calibrated", hour_ms)
    pieces = features[at] * rows[row_of][:, None]  # [h, 4, 2, k]
    m = pieces.sum(axis=3)
    tilt = 0.5 * m.sum(axis=1) * np.array([1.0, -1.0])
    slope = np.concatenate([pieces.sum(axis=1), tilt[:, :, None]], axis=2)  # [h, 2, k + 1]
    mean, variance = m.sum(axis=1), np.zeros((n, 2))
    size = np.zeros((n, 1))
    for row in np.unique(row_of):
        day, one = row_of == row, weights[row - 1]
        variance[day] = one.event_size * mean[day] + (m[day] ** 2).sum(axis=1) / one.shape
        variance[day] += np.einsum(
            "hsk,kl,hsl->hs", slope[day], covariance_of(one), slope[day]
        )
        size[day] = one.event_size
    end, _ = market.bar_of(hour_ms + HOUR_MS - 1)
    price = 1.0 if market.instrument.is_inverse else market.bars.close[end][:, None]
    shown = feed_share(weights, hour_ms)[:, None] * price
    floor = np.repeat(FLOOR * size * price, 2, axis=1)
    # Where nothing is modelled, something small is still expected.
    mean = np.maximum(mean * shown, 0.01 * floor)
    variance = np.maximum(variance * shown**2, mean * size * shown)
    return HourBands(hour_ms, mean, variance, floor)


def zone_inside(
    market: Market, weights: Sequence[Weights], snaps: Snapshots, true: F64
) -> tuple[dict[float, F64], float]:
    """Return, by level, whether the true zone lay in its band, and the stock over flow used.

    Zones are coarse rows (50 bp) of the snapshots' maps; ``true`` of shape (t, rows) is the
    notional of really open positions. A map speaks of what would be liquidated, the truth of
    what is at risk: the ratio of the two, which stops and added margin make, is taken from
    earlier snapshots (their geometric mean), so the first few are not judged.
    """
    bank, _ = bank_for(market.instrument, CALIBRATED)
    rows, row_of = weight_rows(
        weights, bank, market.instrument, "calibrated", snaps.time_ms
    )
    ledger, bars = kernels.new_ledger(bank), bar_matrix(market.bars)
    ends = market.bars.start_ms + market.bars.interval_ms
    inverse, seen = market.instrument.is_inverse, 0
    coarse = true.reshape(len(true), -1, COARSE).sum(axis=2)
    found: dict[float, list[F64]] = {level: [] for level in LEVELS}
    logs: list[float] = []
    for t in range(0, len(snaps.time_ms), EVERY):
        time = snaps.time_ms[t]
        seen = kernels.advance(
            ledger, bank, inverse, market.bars.interval_ms, ends, bars, seen, int(time)
        )
        if row_of[t] == 0:
            continue
        one = weights[row_of[t] - 1]
        mean = 0.0
        for level in LEVELS:
            band = bands(
                ledger, bank, rows[row_of[t]], one, snaps.edges(t)[::COARSE], level,
                int(time), inverse,
            )  # fmt: skip
            mean = float(band.mean_usd.sum())
            if len(logs) >= LEAST_EARLIER:
                at_risk = coarse[t] / math.exp(float(np.mean(logs)))
                found[level].append((at_risk >= band.low_usd) & (at_risk <= band.high_usd))
        if mean > 0 and coarse[t].sum() > 0:
            logs.append(math.log(coarse[t].sum() / mean))
    ratio = math.exp(float(np.mean(logs))) if logs else math.nan
    return {level: np.array(rows_) for level, rows_ in found.items()}, ratio
