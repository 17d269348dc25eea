"""Bands: how sure the calibrated map is of what lies in a price range.

For a range z with component sums S (USD at its prices), m = sum_k w_k S_k and::

    Var = event_size * m + m^2 / shape + J Cov(th) J'         J = w o S, and the tilt of the sides

which is the variance of what would be liquidated there, given what the fit has learnt and what
it has not. The band is the Gamma distribution's with this mean and variance.
"""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.flow import OPEN_INTEREST
from liqheat.engine.kernels import BASE, BOUNDARY, END_MS, Ledger
from liqheat.engine.leverage import LOG_BIN, Bank
from liqheat.engine.render import MAX_LEVEL_SHARE, new_scratch, totals
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError

F64 = NDArray[np.float64]
T = TypeVar("T", float, F64)


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
    variance = weights.event_size * price * mean + mean**2 / weights.shape
    # A covariance is stored rounded: where it is next to nothing it may come out below it.
    learnt = np.einsum("kp,kl,lp->p", slope, _covariance(weights), slope)
    variance += np.maximum(learnt, 0.0)
    some = mean > 0
    shape = np.where(some, mean**2 / np.maximum(variance, 1e-300), 1.0)
    scale = np.where(some, mean / shape, 0.0)
    tail = 0.5 * (1.0 - level)
    return Band(
        mean, scale * gammaincinv(shape, tail), scale * gammaincinv(shape, 1.0 - tail)
    )


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


def _covariance(weights: Weights) -> F64:
    n = len(weights.log_gain) + 1
    out = np.zeros((n, n))
    out[np.tril_indices(n)] = weights.covariance
    return out + np.tril(out, -1).T
