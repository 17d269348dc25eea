"""Measures: how near a map is to the truth, and how well it ranks what was liquidated.

Pure functions of arrays. Everything that is reported with an interval is a function of sums
over bars, so a block bootstrap needs the sums of each block once, and a thousand draws are one
matrix product. Ranks are taken once, over all bars, not anew in every draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from liqheat.study.figures import Estimate

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Draws of a block bootstrap, and the share of them an interval holds.
DRAWS, LEVEL = 1000, 0.95
#: Width of a row of a scored map, and how far it reaches from the price, both in ln(price).
ROW, REACH_ROWS = 1e-3, 100
#: Rows of 10 bp to a coarse row of 50 bp.
COARSE = 5
#: Peaks nearer than this are one peak, and a hit lies as near [rows].
PEAK_ROWS = 2
PEAKS = 5
#: Added to a map before its logarithm, as a share of its own mean: empty rows are not minus
#: infinity.
LOG_FLOOR = 0.05


# -- maps ----------------------------------------------------------------------------------


def pearson(a: F64, b: F64) -> float:
    """Return Pearson's correlation, NaN where one of them does not vary."""
    x, y = a - a.mean(), b - b.mean()
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return float(x @ y) / scale if scale > 0 else math.nan


def earth_mover(a: F64, b: F64) -> float:
    """Return how far mass must move from one map to the other [% of price].

    Both of shape (rows,), each taken as shares of its own sum; NaN where one is empty.
    """
    total_a, total_b = a.sum(), b.sum()
    if not (total_a > 0 and total_b > 0):
        return math.nan
    apart = np.abs(np.cumsum(a / total_a - b / total_b)).sum()
    return float(apart) * ROW * 100


def peaks(values: F64) -> I64:
    """Return the rows of the largest peaks, at most ``PEAKS``, of a lightly smoothed map."""
    padded = np.pad(values, 1, mode="edge")
    smooth = 0.25 * padded[:-2] + 0.5 * padded[1:-1] + 0.25 * padded[2:]
    inner = smooth[1:-1]
    top = np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]) & (inner > 0)) + 1
    found: list[int] = []
    for row in top[np.argsort(-smooth[top], kind="stable")]:
        if all(abs(row - other) > PEAK_ROWS for other in found):
            found.append(int(row))
        if len(found) == PEAKS:
            break
    return np.array(found, dtype=np.int64)


def peak_hits(made: F64, true: F64) -> float:
    """Return the share of the map's top peaks near one of the true top peaks."""
    own, real = peaks(made), peaks(true)
    if not (len(own) and len(real)):
        return math.nan
    near = np.abs(own[:, None] - real[None, :]).min(axis=1) <= PEAK_ROWS
    return float(near.mean())


def top_hits(made: F64, true: F64) -> float:
    """Return the share of the map's largest rows near one of the true map's largest rows.

    Unlike ``peak_hits`` it does not ask for separate summits, which a smooth map has few of.
    """
    if not (made.any() and true.any()):
        return math.nan
    own, real = (np.argsort(-values, kind="stable")[:PEAKS] for values in (made, true))
    near = np.abs(own[:, None] - real[None, :]).min(axis=1) <= PEAK_ROWS
    return float(near.mean())


def captured(made: F64, true: F64, share: float = 0.2) -> float:
    """Return the share of the true map in the map's own largest rows."""
    total = true.sum()
    if not (total > 0 and made.any()):
        return math.nan
    largest = np.argsort(-made, kind="stable")[: round(len(made) * share)]
    return float(true[largest].sum() / total)


def log_anomalies(maps: F64) -> F64:
    """Return logs of coarse maps less their mean over time, of shape (t, rows / 5).

    What is left says where there is more or less than this map has at that distance usually.
    """
    t, rows = maps.shape
    coarse = maps.reshape(t, rows // COARSE, COARSE).sum(axis=2)
    logs = np.log(coarse + LOG_FLOOR * coarse.mean())
    return np.asarray(logs - logs.mean(axis=0))


def location_score(made: F64, realised: F64) -> tuple[float, float]:
    """Return (sum of USD times log-score, USD) of realised liquidations on swept rows.

    Both of shape (rows swept,). The score is the log of the map's density over uniform, with
    5 % uniform mixed in; 0 for a map which is empty there.
    """
    usd, n = float(realised.sum()), len(made)
    total = float(made.sum())
    if usd <= 0 or n < 2 or total <= 0:
        return 0.0, usd
    density = 0.95 * made / total * n + 0.05
    return float(realised @ np.log(density)), usd


# -- ranks and moments ---------------------------------------------------------------------


def ranks(values: F64) -> F64:
    """Return ranks with ties shared, scaled to mean 0 and standard deviation 1."""
    out = stats.rankdata(values)
    out -= out.mean()
    spread = out.std()
    return np.asarray(out / spread if spread > 0 else out)


def partial(y: F64, x: F64, given: list[F64]) -> float:
    """Return the correlation of y and x which is left when others are given (linear)."""
    columns = np.stack([y, x, *given], axis=1)
    moments = np.einsum("ni,nj->ij", *(2 * [_with_one(columns)]))
    return float(partials(moments[None], 1, 2, list(range(3, 3 + len(given))))[0])


def _with_one(columns: F64) -> F64:
    return np.concatenate([np.ones((len(columns), 1)), columns], axis=1)


def partials(moments: F64, a: int, b: int, given: list[int]) -> F64:
    """Partial correlations of columns a and b from sums of products, one a draw.

    ``moments`` of shape (d, m, m); column 0 is the constant.
    """
    pick, held = [a, b], [0, *given]
    inner = moments[:, pick][:, :, pick]
    cross = moments[:, held][:, :, pick]
    base = moments[:, held][:, :, held]
    # A null among the controls of itself leaves nothing: the pseudo-inverse says so.
    rest = inner - np.swapaxes(cross, 1, 2) @ (np.linalg.pinv(base, hermitian=True) @ cross)
    scale = rest[:, 0, 0] * rest[:, 1, 1]
    floor = 1e-9 * inner[:, 0, 0] * inner[:, 1, 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(scale > floor, rest[:, 0, 1] / np.sqrt(scale), np.nan)


# -- the block bootstrap -------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Blocks:
    """Rows of a table grouped into blocks of time, and how often each draw takes a block.

    ``of`` (rows,) is each row's block, 0 to n - 1; ``draws`` (1 + d, n) float64: the first row
    is all ones, the data as they are; ``days`` is how long a block is.
    """

    of: I64
    draws: F64
    days: int

    @property
    def count(self) -> int:
        """How many blocks there are."""
        return int(self.draws.shape[1])

    def sums(self, values: F64) -> F64:
        """Return sums per draw of values (rows, ...), of shape (1 + d, ...)."""
        flat = values.reshape(len(values), -1)
        blocks = np.stack(
            [np.bincount(self.of, flat[:, j], self.count) for j in range(flat.shape[1])], 1
        )
        return np.asarray((self.draws @ blocks).reshape(-1, *values.shape[1:]))

    def moments(self, columns: F64) -> F64:
        """Return sums of products per draw of (rows, m), with a constant in front."""
        full = _with_one(columns)
        order = np.argsort(self.of, kind="stable")
        starts = np.searchsorted(self.of[order], np.arange(self.count))
        stops = np.append(starts[1:], len(order))
        each = np.stack(
            [
                full[order[a:b]].T @ full[order[a:b]]
                for a, b in zip(starts, stops, strict=True)
            ]
        )
        m = full.shape[1]
        return np.asarray((self.draws @ each.reshape(len(each), -1)).reshape(-1, m, m))


def make_blocks(time_ms: I64, *, seed: int, least: int = 8) -> Blocks:
    """Group times into 3-day blocks, or into days where there are fewer than ``least`` blocks.

    A block is drawn with its times together, because liquidations cluster: bars are not
    independent.
    """
    for days in (3, 1):
        _, of = np.unique(time_ms // (days * 86_400_000), return_inverse=True)
        n = int(of.max()) + 1 if len(of) else 0
        if n >= least:
            break
    rng = np.random.default_rng(seed)
    draws = np.ones((1, n))
    if n > 1:
        draws = np.vstack([draws, rng.multinomial(n, np.full(n, 1 / n), size=DRAWS)])
    return Blocks(of.astype(np.int64), draws, days)


def interval(values: F64) -> Estimate:
    """Return the first value with the interval of the others, draws of a bootstrap."""
    drawn = values[1:][np.isfinite(values[1:])]
    if len(drawn) < DRAWS // 2 or not np.isfinite(values[0]):
        return Estimate(float(values[0]))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(values[0]), float(low), float(high))


def log_slope(x: F64, y: F64, blocks: Blocks) -> F64:
    """Return slopes of ln y on ln x per draw, over rows where both are positive."""
    both = (x > 0) & (y > 0)
    logs = np.zeros((len(x), 2))
    logs[both, 0], logs[both, 1] = np.log(x[both]), np.log(y[both])
    n = blocks.sums(both.astype(np.float64))
    sums = blocks.sums(logs)
    products = blocks.sums(np.stack([logs[:, 0] ** 2, logs[:, 0] * logs[:, 1]], axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = products[:, 0] - sums[:, 0] ** 2 / n
        return np.where(
            (n > 2) & (spread > 0),
            (products[:, 1] - sums[:, 0] * sums[:, 1] / n) / spread,
            np.nan,
        )


# -- forecasts with a spread ---------------------------------------------------------------


def gamma_score(
    realised: F64, mean: F64, variance: F64, floor: F64
) -> tuple[F64, F64, F64]:
    """Score realised USD against Gamma forecasts which are censored at a floor.

    Below ``floor`` (a share of one event's size) a Gamma density means nothing, because what
    comes is no event or one: there the probability of "below" is scored instead.

    Parameters
    ----------
    realised, mean, variance, floor : ndarray of shape (n,), float64
        [USD], [USD²]; means and variances positive.

    Returns
    -------
    score, low, high : ndarray of shape (n,), float64
        Log score (density per USD, or probability); the range of the probability integral
        transform, one value where realised is above the floor.
    """
    shape, scale = mean * mean / variance, variance / mean
    below = stats.gamma.cdf(floor, shape, scale=scale)
    density = stats.gamma.logpdf(np.maximum(realised, floor), shape, scale=scale)
    at = stats.gamma.cdf(realised, shape, scale=scale)
    censored = realised < floor
    with np.errstate(divide="ignore"):
        score = np.where(censored, np.log(below), density)
    return score, np.where(censored, 0.0, at), np.where(censored, below, at)


def inside(low: F64, high: F64, level: float) -> F64:
    """Return the probability with which each value lay in the central band of a level.

    ``low`` and ``high`` bound each transform; one which is a range lies inside in proportion.
    """
    begin, stop = (1 - level) / 2, (1 + level) / 2
    width = high - low
    part = np.clip(np.minimum(high, stop) - np.maximum(low, begin), 0.0, None)
    point = ((low >= begin) & (low <= stop)).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(width > 0, part / width, point)
