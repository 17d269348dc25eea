"""Bands: how sure the calibrated map is of what lies in a price range.

For a range z with component sums S (USD at its prices), m = sum_k w_k S_k and::

    Var = event_size * m + m^2 / kappa(m) + J Cov(th) J'      J = w o S, and the tilt of the sides
    kappa(m) = zone_shape * (m / event_size)^(1/2)

which is the variance of what would be liquidated there, given what the fit has learnt and what
it has not. The band is the Gamma distribution's with this mean and variance.

The ``shape`` of the fit is no use here: it is that of a typical block, in which some events are
expected, and a zone holds dozens. The more is expected, the more independent openings it is made
of, and the smaller the relative error. ``zone_shape`` is learnt from past sweeps large enough to
stand for zones: it is what makes their bands hold the share they say.
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.fit import Problem, expected
from liqheat.engine.flow import OPEN_INTEREST
from liqheat.engine.kernels import BASE, BOUNDARY, END_MS, Ledger
from liqheat.engine.leverage import LOG_BIN, Bank
from liqheat.engine.render import MAX_LEVEL_SHARE, new_scratch, totals
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError

F64 = NDArray[np.float64]
T = TypeVar("T", float, F64)

#: kappa grows with this power of the expected number of events. Profile likelihood of block
#: residuals on five simulated markets: best or next to best in all, of 0, 1/4, 1/2, 3/4.
ZONE_POWER = 0.5
#: Sweeps of which fewer events are expected say nothing of a zone: chance of single events.
ZONE_EVENTS = 3.0
#: Level whose share of past sweeps is made right.
ZONE_LEVEL = 0.8
#: Bounds of ``zone_shape``; its value before any evidence, which counts like so many sweeps.
ZONE_SHAPE_BOUNDS, FIRST_ZONE_SHAPE, FIRST_SWEEPS = (0.2, 20.0), 1.0, 30.0
#: Halvings of ln(zone_shape): to 0.1 %.
HALVINGS = 12


class Band(NamedTuple, Generic[T]):
    """USD modelled in a price range (or arrays of them), and the band around it."""

    mean_usd: T
    low_usd: T
    high_usd: T


def bands(
    ledger: Ledger,
    bank: Bank,
    weight: F64,
    weights: Weights,
    edges: F64,
    level: float,
    end_ms: int,
    inverse: bool,
) -> Band[F64]:
    """Return the bands of the ranges between ``edges``, arrays of shape (p,).

    Parameters
    ----------
    ledger : Ledger
        At or before ``end_ms``; fades until then.
    weight : ndarray of shape (2, k), float64
        Of the components, by side, as drawn.
    weights : Weights
        Give the covariance, the event size and the shape.
    level : float
        Probability within the band, (0, 1).

    Raises
    ------
    BadInputError
        The edges do not rise, or the level lies outside (0, 1).
    """
    from scipy.special import gammaincinv

    if not 0.0 < level < 1.0:
        raise BadInputError("a level lies between 0 and 1", where="level", value=level,
                            do="give 0.8 for a band of 80 %")  # fmt: skip
    sums = weight[:, :, None] * component_usd(ledger, bank, edges, end_ms)
    sums *= _cap_factor(ledger, bank, weight)[:, None, None]
    long_usd, short_usd = sums.sum(axis=1)
    mean = long_usd + short_usd
    slope = np.vstack([sums.sum(axis=0), 0.5 * (long_usd - short_usd)])
    price = np.ones(len(mean)) if inverse else np.sqrt(edges[1:] * edges[:-1])
    size = weights.event_size * price
    variance = size * mean + _excess(mean, size) / weights.zone_shape
    # A covariance is stored rounded: where it is next to nothing it may come out below it.
    learnt = np.einsum("kp,kl,lp->p", slope, covariance_of(weights), slope)
    variance += np.maximum(learnt, 0.0)
    some = mean > 0
    shape = np.where(some, mean**2 / np.maximum(variance, 1e-300), 1.0)
    scale = np.where(some, mean / shape, 0.0)
    tail = 0.5 * (1.0 - level)
    return Band(
        mean, scale * gammaincinv(shape, tail), scale * gammaincinv(shape, 1.0 - tail)
    )


def zone_shape(problem: Problem, gain: F64, covariance: F64) -> float:
    """Return the ``zone_shape`` under which bands of past sweeps hold what they say.

    Parameters
    ----------
    problem : Problem
        Its blocks in which at least ``ZONE_EVENTS`` event sizes are expected are the evidence.
    gain : ndarray of shape (k + 1,), float64
        What was learnt from them.
    covariance : ndarray of shape (k + 1, k + 1), float64
        Of the gain: what a band already knows of its weights is not counted twice.
    """
    from scipy.special import gammainc

    m = expected(problem, gain)
    large = m >= ZONE_EVENTS * problem.event_size
    mean, realised = m[large], problem.realised[large]
    sides = np.array([0.5, -0.5]) * np.ones_like(m)
    slope = np.empty((len(mean), len(gain)))
    slope[:, :-1] = problem.features[large] * (problem.prior * np.exp(gain[:-1]))
    slope[:, :-1] *= np.exp(gain[-1] * sides[large])[:, None]
    slope[:, -1] = mean * sides[large]
    known = problem.event_size * mean + ((slope @ covariance) * slope).sum(axis=1)
    excess = _excess(mean, problem.event_size)
    low, high = np.log(ZONE_SHAPE_BOUNDS)
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        shape = mean**2 / (known + excess / math.exp(middle))
        held = np.abs(gammainc(shape, realised * shape / mean) - 0.5) < 0.5 * ZONE_LEVEL
        if held.sum() > ZONE_LEVEL * len(mean):
            low = middle  # the bands are too wide
        else:
            high = middle
    found, first = 0.5 * (low + high) * len(mean), math.log(FIRST_ZONE_SHAPE) * FIRST_SWEEPS
    return math.exp((found + first) / (len(mean) + FIRST_SWEEPS))


def _excess(mean: F64, size: F64 | float) -> F64:
    """Return the variance beyond that of single events, times ``zone_shape``."""
    return np.asarray(mean ** (2.0 - ZONE_POWER) * size**ZONE_POWER)


def check_edges(edges: F64) -> F64:
    """Return edges of ranges as an array; refuse what does not rise.

    Raises
    ------
    BadInputError
        They are fewer than two, not positive, or do not rise.
    """
    values = np.asarray(edges, np.float64)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise BadInputError("the edges of a price range must rise", where="price_low",
                            value=values.tolist()[:8])  # fmt: skip
    if not (values[0] > 0 and math.isfinite(values[-1])):
        raise BadInputError("a price must be positive", where="price_low",
                            value=float(values[0]))  # fmt: skip
    return values


def component_usd(ledger: Ledger, bank: Bank, edges: F64, end_ms: int) -> F64:
    """Return the unweighted USD of each side and component in each range, (2, k, p)."""
    base, middle = int(ledger.place[BASE]), int(ledger.place[BOUNDARY] - ledger.place[BASE])
    lag = max(float(end_ms - ledger.place[END_MS]), 0.0)
    level = ledger.mass * (ledger.scale * np.exp(-lag / bank.tau_ms))[:, None]
    level *= ledger.bin_price
    n = level.shape[1]
    # Cumulated over bins: a range's sum is the difference at its edges, linear within a bin.
    at = np.clip(np.log(edges) / LOG_BIN - base, 0.0, n)
    out = np.zeros((2, len(level), len(edges) - 1))
    for side, (low, high) in enumerate(((0, middle), (middle + 1, n))):
        inside = np.zeros((len(level), n + 1))
        np.cumsum(level[:, low:high], axis=1, out=inside[:, low + 1 : high + 1])
        inside[:, high + 1 :] = inside[:, high : high + 1]
        whole = np.minimum(at.astype(np.int64), n - 1)
        part = at - whole
        value = inside[:, whole] + part * (inside[:, whole + 1] - inside[:, whole])
        out[side] = np.diff(value, axis=1)
    return np.maximum(out, 0.0)


def _cap_factor(ledger: Ledger, bank: Bank, weight: F64) -> F64:
    scratch = new_scratch(int(bank.tier.max()) + 1)
    limit = MAX_LEVEL_SHARE * float(ledger.flow[OPEN_INTEREST])
    held = np.array(totals(ledger, bank, weight, scratch))
    return np.where(held > limit, limit / np.maximum(held, 1e-300), 1.0)


def covariance_of(weights: Weights) -> F64:
    """Return the covariance of the K + 1 learnt parameters as a matrix."""
    n = len(weights.log_gain) + 1
    out = np.zeros((n, n))
    out[np.tril_indices(n)] = weights.covariance
    return out + np.tril(out, -1).T
