"""What the calibrated model says with a spread: hourly sweeps as Gamma forecasts.

Per 15-minute block and side, with U the swept components and w the weights of the day::

    m = sum_k w_k U_k        Var = event_size * m + m^2 / shape + J' Cov J

J are the derivatives of m by the learnt parameters. Noise is taken as independent from block to
block, what is not known about the weights as common to all blocks of an hour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.learn import BLOCK_MS, CALIBRATED, gather, learn_day
from liqheat.engine.params import bank_for
from liqheat.engine.sweeps import swept_components
from liqheat.engine.weights import Weights, newest, weight_rows
from liqheat.market.units import DAY_MS
from liqheat.study.market import Market

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: An event of this part of the mean event size is counted as none: a Gamma density near 0 USD
#: means nothing.
FLOOR = 0.1
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


def learned(market: Market) -> list[Weights]:
    """Return the weights of each day from where scoring begins, each learnt from days before."""
    evidence = gather(
        market.bars, market.instrument, market.liquidations, covered=market.covered
    )
    out: list[Weights] = []
    start: F64 | None = None
    first = market.score_from_ms // DAY_MS * DAY_MS
    for as_of in range(first, market.end_ms + 1, DAY_MS):
        weights = learn_day(evidence, as_of, start=start)
        if weights is not None:
            out.append(weights)
            start = np.append(weights.log_gain, weights.side_gain)
    return out


def feed_share(weights: Sequence[Weights], at_ms: I64) -> F64:
    """Return the share of liquidated USD which the feed shows, as known at each time."""
    shares = np.array([1.0, *(each.feed_share for each in weights)])
    return np.asarray(shares[newest(weights, at_ms) + 1])


def hour_bands(market: Market, weights: Sequence[Weights], hour_ms: I64) -> HourBands:
    """Return forecasts of the given whole hours (starts, ascending)."""
    starts, features = swept_components(
        market.bars, market.instrument, CALIBRATED, BLOCK_MS
    )
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
            "hsk,kl,hsl->hs", slope[day], _covariance(one), slope[day]
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


def _covariance(weights: Weights) -> F64:
    n = len(weights.log_gain) + 1
    out = np.zeros((n, n))
    out[np.tril_indices(n)] = weights.covariance
    return out + np.tril(out, -1).T
