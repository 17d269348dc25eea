"""Fit: weights of the components from what was really liquidated. Pure, float64, deterministic.

For blocks of 15 minutes i, both sides stacked, with U the swept quantity of each component::

    R_i   realised liquidations             m_i = sum_k w_k U_ik          w = prior * exp(th)
    E R = m                                 Var R = event_size * m + m^2 / shape
    th ~ N(mean, C)                         one more parameter tilts longs against shorts

``event_size = E[q^2] / E[q]`` comes from the sizes of the events, never from residuals; ``shape``
from moments. The maximum is found by Gauss-Newton with a limited step. Several instruments are
fitted together by a block prior: part of th is shared by a coin, part by an exchange.

The normal equations are summed over small batches of rows: each product is too small for BLAS to
start threads, so the result does not depend on the number of cores and a busy machine does not
slow it down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.engine.leverage import LOG_BIN, Bank

F64 = NDArray[np.float64]

#: Standard deviations of th: common to all components; smooth in ln(distance); smooth in
#: ln(distance) within one lifetime; of each component alone.
COMMON_SD, SMOOTH_SD, LIFETIME_SD, ALONE_SD = 1.0, 0.8, 0.5, 0.2
#: Ranges of the smooth parts in ln(distance).
SMOOTH_RANGE, LIFETIME_RANGE = 0.9, 1.8
#: Standard deviation of ln(long / short).
SIDE_SD = 0.3
#: Standard deviation of the common scale where the shape is kept.
SCALE_SD = 2.0
#: Parts of th's variance which are shared by a coin and by an exchange; the rest is one's own.
COIN_PART, EXCHANGE_PART = 0.5, 0.3
#: A block counts at most this many times its expectation, and this many event sizes more.
WINSOR_TIMES, WINSOR_EVENTS = 30.0, 3.0
#: Sizes above this quantile of the events are cut to it.
SIZE_QUANTILE = 0.995
#: Expected in every block where nothing is modelled [event sizes].
BACKGROUND = 1e-3
#: Largest step of ln(weight), number of steps, and the step below which they end.
MAX_STEP, MAX_STEPS, ENOUGH = 1.0, 40, 1e-2
#: Bounds and first guess of ``shape`` per block.
SHAPE_BOUNDS, FIRST_SHAPE = (0.05, 100.0), 1.0
#: Rows of one product of the normal equations.
BATCH_ROWS = 96


class Problem(NamedTuple):
    """What one instrument teaches: m blocks, k components, two sides (long, short)."""

    features: F64  # [m, 2, k] swept, stable units
    realised: F64  # [m, 2] liquidated, stable units
    prior: F64  # [k] weights
    log_distance: F64  # [k]
    tau_ms: F64  # [k]
    event_size: float  # E[q^2] / E[q], stable units
    mean: F64  # [k + 1] of th; zeros, or a measured shape
    coin: str = ""
    exchange: str = ""


class Posterior(NamedTuple):
    """What was learnt; the last of the k + 1 parameters is ln(long / short)."""

    gain: F64  # [k + 1]
    covariance: F64  # [k + 1, k + 1]
    shape: float
    steps: int


def component_distance(bank: Bank) -> F64:
    """Return the mean log distance of each component over both sides, of shape (k,)."""
    out = np.zeros(len(bank.weight))
    for k in range(len(out)):
        for side in (0, 1):
            begin, size = int(bank.offset[k, side]), int(bank.size[k, side])
            mass = bank.values[begin : begin + size]
            mass = mass[::-1] if side == 0 else mass
            out[k] += 0.5 * float(mass @ (bank.first[k, side] + np.arange(size))) * LOG_BIN
    return out


def event_size(qty: F64) -> float:
    """Return E[q^2] / E[q] of event sizes cut at a quantile; 0 without events."""
    if len(qty) == 0:
        return 0.0
    cut = np.minimum(qty, np.quantile(qty, SIZE_QUANTILE))
    return float((cut**2).sum() / cut.sum())


def prior_covariance(a: Problem, b: Problem) -> F64:
    """Return the covariance of th between two instruments, of shape (k_a + 1, k_b + 1).

    Of an instrument with itself it is the whole of MODEL's C; between two, the part they share
    by coin and by exchange.
    """
    same = a is b
    share = COIN_PART * (a.coin == b.coin) + EXCHANGE_PART * (a.exchange == b.exchange)
    apart = (a.log_distance[:, None] - b.log_distance) ** 2
    lifetime = a.tau_ms[:, None] == b.tau_ms
    inner = (
        COMMON_SD**2
        + SMOOTH_SD**2 * np.exp(-apart / (2 * SMOOTH_RANGE**2))
        + LIFETIME_SD**2 * lifetime * np.exp(-apart / (2 * LIFETIME_RANGE**2))
    )
    out = np.zeros((len(a.prior) + 1, len(b.prior) + 1))
    out[:-1, :-1] = inner if same else share * inner
    out[-1, -1] = SIDE_SD**2 * (1.0 if same else share)
    if same:
        out[:-1, :-1] += ALONE_SD**2 * np.eye(len(a.prior))
    return out


def fit(problem: Problem, start: F64 | None = None) -> Posterior:
    """Return the posterior of one instrument; ``start`` is where to begin: yesterday's gain."""
    return fit_together([problem], None if start is None else [start])[0]


def fit_together(
    problems: Sequence[Problem], start: Sequence[F64] | None = None
) -> list[Posterior]:
    """Return the posteriors of several instruments under one block prior.

    Parameters
    ----------
    problems : sequence of Problem
        The solve is cubic in the sum of their components; a dozen is fine.
    start : sequence of ndarray of shape (k + 1,), optional
        Where to begin; the scale which fits each where not given.
    """
    precision = np.linalg.inv(np.block([[prior_covariance(a, b) for b in problems]
                                        for a in problems]))  # fmt: skip
    mean = np.concatenate([problem.mean for problem in problems])
    first = start or [_scaled_start(problem) for problem in problems]
    gain = np.concatenate(first)
    ends = np.cumsum([len(problem.mean) for problem in problems])
    parts = [slice(int(end) - len(p.mean), int(end))
             for end, p in zip(ends, problems, strict=True)]  # fmt: skip
    shapes = [FIRST_SHAPE] * len(problems)
    covariance: F64 = np.zeros_like(precision)
    step = 0
    for step in range(1, MAX_STEPS + 1):
        gradient, hessian = -precision @ (gain - mean), precision.copy()
        for i, (problem, part) in enumerate(zip(problems, parts, strict=True)):
            if step <= MAX_STEPS // 4:
                shapes[i] = _shape(problem, gain[part], shapes[i])
            slope, curvature = _normal_equations(problem, gain[part], shapes[i])
            gradient[part] += slope
            hessian[part, part] += curvature
        covariance[...] = np.linalg.inv(hessian)
        change = covariance @ gradient
        largest = float(np.abs(change).max())
        gain += change * min(1.0, MAX_STEP / max(largest, 1e-300))
        if largest < ENOUGH:
            break
    return [
        Posterior(gain[part], covariance[part, part], shape, step)
        for part, shape in zip(parts, shapes, strict=True)
    ]


def fit_scale(problem: Problem) -> Posterior:
    """Return the posterior where only a common scale is learnt and the shape is kept.

    Here Var R = spread * m, with the spread from residuals: the scale then makes the sums of
    realised and expected equal. Under the variance of ``fit`` it would be the mean of R / m, which
    on recorded data is 10 times larger: a map whose large blocks promise too much, as every one
    does whose shape is not fitted, is right in the mean of ratios and wrong in USD. The shape
    keeps its prior uncertainty, so that bands stay honest.
    """
    k = len(problem.prior)
    weights = problem.prior * np.exp(problem.mean[:-1])
    whole = problem._replace(
        features=(problem.features @ weights)[:, :, None], prior=np.ones(1),
        log_distance=np.zeros(1), tau_ms=np.zeros(1), mean=np.zeros(2),
    )  # fmt: skip
    precision: F64 = np.diag([SCALE_SD**-2, SIDE_SD**-2])
    gain, step = _scaled_start(whole), 0
    gain[-1] = 0.0
    covariance: F64 = np.zeros((2, 2))
    for _ in range(MAX_STEPS):
        step += 1
        m = expected(whole, gain)
        miss, spread = _winsored(whole, m) - m, spread_of(whole, gain)
        turn = np.stack([m, 0.5 * m * np.array([1.0, -1.0])])  # derivatives of m
        slope = np.array([miss.sum(), 0.5 * (miss[:, 0] - miss[:, 1]).sum()]) / spread
        curvature = np.einsum("ais,bis,is->ab", turn, turn, 1.0 / m) / spread
        covariance[...] = np.linalg.inv(precision + curvature)
        change = covariance @ (slope - precision @ gain)
        largest = float(np.abs(change).max())
        gain += change * min(1.0, MAX_STEP / max(largest, 1e-300))
        if largest < ENOUGH:
            break
    shape = FIRST_SHAPE
    for _ in range(MAX_STEPS // 4):
        shape = _shape(whole, gain, shape)
    out = prior_covariance(problem, problem)
    out[:k, :k] += covariance[0, 0] - COMMON_SD**2
    out[-1, -1] = covariance[1, 1]
    out[-1, :k] = out[:k, -1] = covariance[0, 1]
    return Posterior(np.append(problem.mean[:-1] + gain[0], gain[1]), out, shape, step)


def expected(problem: Problem, gain: F64) -> F64:
    """Return what is expected to be liquidated in each block and side, of shape (m, 2)."""
    m = problem.features @ (problem.prior * np.exp(gain[:-1]))
    m *= np.exp(gain[-1] * np.array([0.5, -0.5]))
    return np.maximum(m, BACKGROUND * problem.event_size)


def score(problem: Problem, gain: F64, shape: float) -> float:
    """Return the quasi-log-likelihood of all blocks, in nats; larger is better.

    The integral of (R - m) / Var over m: a negative binomial's, in units of event size. Two
    gains are comparable under one ``shape`` only.
    """
    m = expected(problem, gain)
    size = problem.event_size
    seen = np.minimum(problem.realised, WINSOR_TIMES * m + WINSOR_EVENTS * size) / size
    total = np.log(m / (shape * size + m)) * seen - shape * np.log(shape * size + m)
    return float(total.sum())


def scale_score(problem: Problem, gain: F64, spread: float) -> float:
    """Return the quasi-log-likelihood under Var R = spread * m, in nats; larger is better."""
    m = expected(problem, gain)
    return float((_winsored(problem, m) * np.log(m) - m).sum() / spread)


def spread_of(problem: Problem, gain: F64) -> float:
    """Return how far blocks are from their expectation: sum (R - m)^2 / sum m, stable units."""
    m = expected(problem, gain)
    miss = _winsored(problem, m) - m
    return max(float((miss**2).sum() / m.sum()), problem.event_size)


def _scaled_start(problem: Problem) -> F64:
    base = expected(problem, problem.mean)
    ratio = problem.realised.sum() / base.sum()
    start = problem.mean.copy()
    start[:-1] += np.log(max(ratio, 1e-6))
    return start


def _winsored(problem: Problem, m: F64) -> F64:
    return np.minimum(
        problem.realised, WINSOR_TIMES * m + WINSOR_EVENTS * problem.event_size
    )


def _shape(problem: Problem, gain: F64, shape: float) -> float:
    """Return the shape by moments: (R - m)^2 - size * m regressed on m^2.

    Weighted by one over the variance of (R - m)^2, which is 2 Var^2 + size^3 * m for events at
    random. Without the second part a block where next to nothing was modelled and one event
    came would weigh as much as all others, and the shape would fall to its lower bound.
    """
    m, size = expected(problem, gain), problem.event_size
    variance = size * m + m**2 / shape
    weight = 1.0 / (2.0 * variance**2 + size**3 * m)
    excess = (_winsored(problem, m) - m) ** 2 - size * m
    inverse = float((weight * excess * m**2).sum() / (weight * m**4).sum())
    low, high = SHAPE_BOUNDS
    return min(max(1.0 / max(inverse, 1.0 / high), low), high)


def _normal_equations(problem: Problem, gain: F64, shape: float) -> tuple[F64, F64]:
    """Return J'(R - m)/v and J' J / v, J the derivatives of m by the k + 1 parameters."""
    k = len(problem.prior)
    m = expected(problem, gain)
    variance = problem.event_size * m + m**2 / shape
    root = 1.0 / np.sqrt(variance)
    rows = -(-m.size // BATCH_ROWS)
    jacobian = np.zeros((rows * BATCH_ROWS, k + 1))
    sides = np.exp(gain[-1] * np.array([0.5, -0.5]))
    view = jacobian[: m.size].reshape(len(m), 2, k + 1)
    np.multiply(problem.features, (root * sides)[:, :, None], out=view[:, :, :-1])
    jacobian[:, :-1] *= problem.prior * np.exp(gain[:-1])
    view[:, :, -1] = m * root * np.array([0.5, -0.5])
    miss = np.zeros(rows * BATCH_ROWS)
    miss[: m.size] = ((_winsored(problem, m) - m) * root).ravel()
    batches = jacobian.reshape(rows, BATCH_ROWS, k + 1)
    turned = batches.transpose(0, 2, 1)
    slope = (turned @ miss.reshape(rows, BATCH_ROWS, 1)).sum(axis=0)[:, 0]
    curvature: F64 = (turned @ batches).sum(axis=0)
    return slope, curvature
