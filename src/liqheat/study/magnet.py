"""The magnet test: does the price go where the map is bright? Said with its power.

    race      from time t, is +d touched before -d within a day? y - 1/2 regressed on
              z = ln(mass around +d / mass around -d) and on the return of the past day.
              A race which ends undecided counts as far as it went, y - 1/2 = return / 2d: so
              under a martingale the slope on z is 0 whatever d, the volatility or the map.
    shuffle   the same with the map of another day, carried to today's price: what the slope
              would be if the map's shape said nothing about today
    touch     logit(touched within a day) on logit(barrier probability) + beta * anomaly of mass
              at the level, over levels on both sides

Intervals are from a bootstrap over blocks of three days. Bright rows lie where the price has not
been, so they lie behind a trend: the past return is in the regression for that reason, and a
slope which vanishes with it is no magnet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import special

from liqheat.engine import MODEL_VERSION
from liqheat.engine.heatmap import HeatmapParams, Model, build_heatmap
from liqheat.errors import UnavailableError
from liqheat.jit import kernel
from liqheat.market.units import DAY_MS
from liqheat.study import metrics
from liqheat.study.figures import Estimate
from liqheat.study.market import Market
from liqheat.study.metrics import REACH_ROWS, ROW, Blocks

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

#: Time between races, and how long one may last.
START_MS, HORIZON_MS = 3 * 3_600_000, DAY_MS
#: Distances at which levels are tried in the touch regression, ln(price).
TOUCH_DISTANCES = (0.01, 0.02, 0.03, 0.05)
#: Mass counts within this share of the distance around a level.
AROUND = 0.25
#: Maps of other days tried.
SHUFFLES = 200
#: Fewer decided races than this say nothing.
LEAST_RACES = 50
#: Draws of the bootstrap of the logistic regression, each of which is a fit.
TOUCH_DRAWS = 200
#: Standard errors to an effect found 80 % of the time by a two-sided test at 5 %.
_POWER = 1.959964 + 0.841621


class Magnet(msgspec.Struct):
    """What the test found; slopes are of probability per standard deviation of z."""

    model: str
    model_version: str
    markets: list[str]
    distance: float
    days: float
    races: int
    undecided: int
    blocks: int
    slope: Estimate
    error: float
    detectable: float  # smallest true slope found 80 % of the time
    slope_alone: Estimate  # without the past return
    return_slope: Estimate
    shuffle_p: float  # share of shuffled maps with a slope as far from 0
    shuffle_sd: float
    touch_beta: Estimate  # log odds per standard deviation of the anomaly
    touch_barrier: Estimate  # 1 if barrier probabilities are right
    touch_levels: int

    def words(self) -> str:
        """Return the finding in one careful paragraph."""
        low, high = self.slope.low, self.slope.high
        verdict = (
            "no effect was found"
            if low <= 0 <= high
            else "the price went to the brighter side more often"
            if low > 0
            else "the price went to the brighter side LESS often"
        )
        return (
            f"{self.model}, {', '.join(self.markets)}: {self.races} races of ±"
            f"{self.distance:.1%} over {self.days:.0f} market-days, {self.undecided} undecided "
            f"after a day. Slope {self.slope.value:+.3f} of probability per sd of ln(mass "
            f"ratio), 95 % {low:+.3f} to {high:+.3f}; with a map of another day as large a "
            f"slope comes in {self.shuffle_p:.0%} of cases. An effect of "
            f"{self.detectable:.3f} would have been found in 80 % of such samples; smaller ones "
            f"are neither shown nor excluded. Touch: {self.touch_beta.value:+.3f} log odds "
            f"({self.touch_beta.low:+.3f} to {self.touch_beta.high:+.3f}). So: {verdict}. "
            "This is no claim that price is attracted."
        )


@dataclass(frozen=True, eq=False)
class _Races:
    """Of one market, one row a start."""

    time_ms: I64
    maps: F64  # [t, 2 * REACH_ROWS]
    back: F64  # return of the past day
    sigma: F64  # of the past day, per square root of an hour
    up: F64  # bars until +d, inf if not within the horizon; one column a distance
    down: F64
    end: F64  # return at the horizon


def magnet(
    markets: Sequence[Market],
    *,
    model: Model = "zones",
    distance: float = 0.02,
    seed: int = 1,
) -> Magnet:
    """Run the test on one or more markets together.

    Parameters
    ----------
    markets : sequence of Market
        Their liquidations are not looked at.
    model : str
        Whose map is tested.
    distance : float
        How far the race goes each way, ln(price).
    seed : int
        Of bootstrap and shuffle.

    Raises
    ------
    UnavailableError
        Too few races were decided.
    """
    all_races = [_races(market, model, distance) for market in markets]
    z, back, y, times, owner = (np.concatenate(parts) for parts in zip(
        *(_outcomes(races, distance, i) for i, races in enumerate(all_races)), strict=True
    ))  # fmt: skip
    total = sum(len(races.time_ms) for races in all_races)
    decided = int(np.isin(y, (0.0, 1.0)).sum())
    if decided < LEAST_RACES:
        raise UnavailableError(
            f"only {decided} of {total} races of ±{distance:.1%} were decided within a day; "
            f"{LEAST_RACES} are needed: more days, or a smaller --distance"
        )
    # Blocks of different markets are different blocks, and lie far apart.
    blocks = metrics.make_blocks(times + owner * 10_000 * DAY_MS, seed=seed)
    both, alone = _slopes(y, [z, back], blocks), _slopes(y, [z], blocks)
    shuffled = _shuffled(all_races, distance, seed)
    touch, levels = _touch(all_races, seed)
    error = float(both[1:, 1].std()) if len(both) > 1 else math.nan
    return Magnet(
        model=model, model_version=MODEL_VERSION, markets=[m.name for m in markets],
        distance=distance, days=total * START_MS / DAY_MS, races=len(y),
        undecided=len(y) - decided, blocks=blocks.count, slope=metrics.interval(both[:, 1]),
        error=error, detectable=_POWER * error, slope_alone=metrics.interval(alone[:, 1]),
        return_slope=metrics.interval(both[:, 2]),
        shuffle_p=float((np.abs(shuffled) >= abs(both[0, 1])).mean()),
        shuffle_sd=float(shuffled.std()), touch_beta=metrics.interval(touch[:, 2]),
        touch_barrier=metrics.interval(touch[:, 1]), touch_levels=levels,
    )  # fmt: skip


# -- races ---------------------------------------------------------------------------------


def _races(market: Market, model: Model, distance: float) -> _Races:
    bars = market.bars
    first = -(-(market.score_from_ms + DAY_MS) // START_MS) * START_MS
    times = np.arange(first, market.end_ms - HORIZON_MS + 1, START_MS, dtype=np.int64)
    index, known = market.bar_of(times - 1)
    before, earlier = market.bar_of(times - 1 - DAY_MS)
    # A race over a hole in the bars is not seen: its bars are too few.
    full = HORIZON_MS // bars.interval_ms
    stop = np.minimum(index + full, len(bars) - 1)
    known &= earlier & (bars.start_ms[stop] - bars.start_ms[index] == HORIZON_MS)
    times, index, before = times[known], index[known], before[known]
    logs = np.log(bars.close)
    step = np.cumsum(np.concatenate([[0.0], np.diff(logs) ** 2]))
    hours = DAY_MS / 3_600_000
    sigma = np.sqrt((step[index] - step[before]) / hours)
    distances = np.array([distance, *TOUCH_DISTANCES])
    up, down = np.zeros((2, len(times), len(distances)))
    _touch_times(
        np.log(bars.high), np.log(bars.low), logs, index, distances, full, up, down
    )
    maps = _maps(market, model, times, logs[index])
    end = logs[index + full] - logs[index]
    return _Races(times, maps, logs[index] - logs[before], sigma, up, down, end)


@kernel
def _touch_times(
    high: F64,
    low: F64,
    close: F64,
    index: I64,
    distances: F64,
    horizon: int,
    up: F64,
    down: F64,
) -> None:
    """Write after how many bars each distance is first touched, inf where it is not."""
    for i in range(len(index)):
        here = close[index[i]]
        for j in range(len(distances)):
            up[i, j], down[i, j] = math.inf, math.inf
            for n in range(1, horizon + 1):
                if math.isinf(up[i, j]) and high[index[i] + n] >= here + distances[j]:
                    up[i, j] = n
                if math.isinf(down[i, j]) and low[index[i] + n] <= here - distances[j]:
                    down[i, j] = n


def _maps(market: Market, model: Model, times: I64, logs: F64) -> F64:
    """Return maps around the price at each time, of shape (t, 2 * REACH_ROWS)."""
    if len(times) == 0:
        return np.zeros((0, 2 * REACH_ROWS))
    centre = np.floor(logs / ROW).astype(np.int64)
    low, high = int(centre.min()) - REACH_ROWS, int(centre.max()) + REACH_ROWS
    params = HeatmapParams(
        model=model, bins=high - low, price_min=math.exp(low * ROW),
        price_max=math.exp(high * ROW),
    )  # fmt: skip
    heat = build_heatmap(
        market.bars, market.instrument, params, start_ms=int(times[0]) - START_MS,
        end_ms=int(times[-1]), step_ms=START_MS,
    )  # fmt: skip
    column = (times - heat.end_ms(0)) // START_MS
    first = centre - REACH_ROWS - low
    both = heat.long_usd + heat.short_usd
    return np.stack([
        both[c, f : f + 2 * REACH_ROWS].astype(np.float64)
        for c, f in zip(column, first, strict=True)
    ])  # fmt: skip


def _mass(maps: F64, distance: float) -> tuple[F64, F64]:
    """Return (below, above): mass around -d and +d, with a floor, so that logs exist."""
    near, far = (distance * (1 + s * AROUND) / ROW for s in (-1, 1))
    first, stop = math.floor(near), max(math.ceil(far), math.floor(near) + 1)
    above = maps[:, REACH_ROWS + first : REACH_ROWS + stop].sum(axis=1)
    below = maps[:, REACH_ROWS - stop : REACH_ROWS - first].sum(axis=1)
    floor = 0.01 * float(above.sum() + below.sum()) / max(len(maps), 1) + 1e-9
    return below + floor, above + floor


def _outcomes(races: _Races, distance: float, owner: int) -> tuple[F64, F64, F64, I64, I64]:
    """Return z (in sd), past return, y, times and owner of the races."""
    z = _log_ratio(races.maps, distance)
    up, down = races.up[:, 0], races.down[:, 0]
    undecided = np.isinf(up) & np.isinf(down)
    y = np.where(undecided, 0.5 + races.end / (2 * distance), up < down)
    # Both in one bar: who was first is not known.
    good = undecided | (up != down)
    n = int(good.sum())
    return z[good], races.back[good], y[good], races.time_ms[good], np.full(n, owner)


def _log_ratio(maps: F64, distance: float) -> F64:
    below, above = _mass(maps, distance)
    z = np.log(above / below)
    spread = z.std() if len(z) else 0.0
    return np.asarray((z - z.mean()) / spread if spread > 0 else np.zeros_like(z))


def _slopes(y: F64, x: list[F64], blocks: Blocks) -> F64:
    """Return coefficients (draws, 1 + len(x)) of y - 1/2 on x."""
    moments = blocks.moments(np.stack([*x, y - 0.5], axis=1))
    inner, outer = moments[:, :-1, :-1], moments[:, :-1, -1:]
    return np.asarray((np.linalg.pinv(inner, hermitian=True) @ outer)[:, :, 0])


def _shuffled(all_races: Sequence[_Races], distance: float, seed: int) -> F64:
    """Return slopes on z with the maps of other days: each market's days put in a new order."""
    rng = np.random.default_rng(seed)
    out = np.zeros(SHUFFLES)
    for i in range(SHUFFLES):
        parts = []
        for owner, races in enumerate(all_races):
            maps = races.maps[_other_days(races.time_ms, rng)]
            parts.append(_outcomes(replace(races, maps=maps), distance, owner))
        z, back, y, _, _ = (np.concatenate(p) for p in zip(*parts, strict=True))
        design = np.stack([np.ones_like(z), z, back], axis=1)
        out[i] = np.linalg.lstsq(design, y - 0.5, rcond=None)[0][1]
    return out


def _other_days(time_ms: I64, rng: np.random.Generator) -> I64:
    """Return, for each time, the place of the nearest hour of a randomly chosen day."""
    day, of = np.unique(time_ms // DAY_MS, return_inverse=True)
    target = rng.permutation(day)[of] * DAY_MS + time_ms % DAY_MS
    place = np.searchsorted(time_ms, target)
    return np.minimum(place, len(time_ms) - 1).astype(np.int64)


# -- touch ---------------------------------------------------------------------------------


def _touch(all_races: Sequence[_Races], seed: int) -> tuple[F64, int]:
    """Return coefficients per draw (constant, logit of barrier, anomaly) and how many levels."""
    rows, y, times = [], [], []
    for owner, races in enumerate(all_races):
        for j, distance in enumerate(TOUCH_DISTANCES, start=1):
            spread = races.sigma * math.sqrt(HORIZON_MS / 3_600_000)
            barrier = 2 * special.ndtr(-distance / np.maximum(spread, 1e-9))
            logit = special.logit(np.clip(barrier, 1e-4, 1 - 1e-4))
            for mass, touched in zip(
                _mass(races.maps, distance), (races.down[:, j], races.up[:, j]), strict=True
            ):
                unusual = np.log(mass) - np.log(mass).mean() if len(mass) else mass
                rows.append(np.stack([np.ones_like(logit), logit, unusual], axis=1))
                y.append(np.isfinite(touched).astype(np.float64))
                times.append(races.time_ms + owner * 10_000 * DAY_MS)
    design, outcome = np.concatenate(rows), np.concatenate(y)
    spread = design[:, 2].std()
    design[:, 2] /= spread if spread > 0 else 1.0
    blocks = metrics.make_blocks(np.concatenate(times), seed=seed)
    draws = blocks.draws[: 1 + TOUCH_DRAWS]
    fits = np.stack([logistic(design, outcome, draw[blocks.of]) for draw in draws])
    # Fewer draws than elsewhere, repeated: quantiles stay what they are.
    again = np.tile(fits[1:], (-(-metrics.DRAWS // max(len(fits) - 1, 1)), 1))
    return np.concatenate([fits[:1], again[: metrics.DRAWS]]), len(outcome)


def logistic(design: F64, y: F64, weight: F64) -> F64:
    """Return the coefficients of a weighted logistic regression, by Newton's method."""
    beta = np.zeros(design.shape[1])
    for _ in range(30):
        p = special.expit(design @ beta)
        slope = design.T @ (weight * (y - p)) - 1e-6 * beta
        curve = (design * (weight * p * (1 - p))[:, None]).T @ design
        step = np.linalg.solve(curve + 1e-6 * np.eye(len(beta)), slope)
        beta += np.clip(step, -2.0, 2.0)
        if np.abs(step).max() < 1e-8:
            break
    return np.asarray(beta)
