"""Who trades in the simulated market: regimes, and the drawing of positions before they open.

A position's *plan* (how long, which leverage, how much, where the stop) does not depend on the
price path, so plans are drawn with numpy, a few thousand at a time, each batch from its own
seed. ``_market`` opens one after the other. Leverage tables and holding classes are the
priors of the model's documentation; they are assumptions, not measurements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]

#: One step of the simulation; sub-steps of a second are drawn as a bridge inside it.
STEP_MS = 15_000
STEPS_A_DAY = 86_400_000 // STEP_MS
SECONDS = STEP_MS // 1000
#: Mean holding times of the four classes [steps]: 20 min, 8 h, 4 d, 20 d.
HOLD_STEPS = np.array([20 / 1440, 8 / 24, 4.0, 20.0]) * STEPS_A_DAY
LEVERAGES = np.array([2.0, 3.0, 5.0, 10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0])
#: How far away a class puts its stop (median, log return); take profits are 1.6 times that.
STOP_DISTANCE = np.array([0.005, 0.013, 0.04, 0.09])
#: Effective leverage of a cross position = leverage * lognormal(median, log-sd).
CROSS_MEDIAN, CROSS_LOG_SD = 0.35, 0.6
BATCH = 4096

# Count shares of LEVERAGES (columns) for the four holding classes (rows).
_TABLE = (
    (0.00, 0.00, 0.02, 0.12, 0.22, 0.16, 0.24, 0.08, 0.12, 0.04),
    (0.01, 0.03, 0.10, 0.25, 0.25, 0.12, 0.14, 0.04, 0.05, 0.01),
    (0.06, 0.11, 0.22, 0.31, 0.18, 0.06, 0.05, 0.00, 0.01, 0.00),
    (0.18, 0.24, 0.30, 0.20, 0.06, 0.01, 0.01, 0.00, 0.00, 0.00),
)  # fmt: skip


@dataclass(frozen=True)
class Regime:
    """The parameters of one kind of market.

    ``tilt`` multiplies a leverage L's share by ``(L/10)**tilt``; ``sigma_day`` is the daily
    volatility of what does not come from the agents' own flow; ``churn`` is the volume that
    leaves no position, as a multiple of one side's open interest a day.
    """

    name: str
    hold_shares: tuple[float, float, float, float] = (0.42, 0.32, 0.18, 0.08)
    tilt: float = 0.06
    isolated_share: float = 0.2
    stop_shares: tuple[float, float, float, float] = (0.45, 0.4, 0.3, 0.15)
    take_profit_share: float = 0.35
    sigma_day: float = 0.0275
    jumps_per_day: float = 0.4
    jump_sd: float = 0.006
    impact: float = 0.07
    churn: float = 0.45
    churn_log_sd: float = 0.25
    sentiment: float = 0.06
    arrivals_per_min: float = 7.0
    table: tuple[tuple[float, ...], ...] = field(default=_TABLE, repr=False)


_BASE = Regime("base")
REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        _BASE,
        replace(_BASE, name="cross", tilt=-0.95, sigma_day=0.0265, isolated_share=0.04),
        replace(
            _BASE, name="retail", tilt=0.5, sigma_day=0.0245, isolated_share=0.55,
            churn=0.2, impact=0.05, hold_shares=(0.50, 0.36, 0.11, 0.03),
        ),
        replace(_BASE, name="churn", churn_log_sd=1.0, churn=0.95, sentiment=0.25),
        replace(
            _BASE, name="alt", sigma_day=0.053, jumps_per_day=3.0, jump_sd=0.015,
            hold_shares=(0.50, 0.37, 0.10, 0.03), churn=0.2, isolated_share=0.22, tilt=-0.15,
        ),
    )
}  # fmt: skip


def regime_named(name: str) -> Regime:
    """Return a regime.

    Raises
    ------
    BadInputError
        There is no regime of that name.
    """
    if name not in REGIMES:
        raise BadInputError(
            "unknown regime",
            where="regime",
            value=name,
            do=f"use one of: {', '.join(REGIMES)}",
        )
    return REGIMES[name]


def mean_hold_days(regime: Regime) -> float:
    """Return the mean planned holding time, which fixes the size for an open interest."""
    return float(np.dot(regime.hold_shares, HOLD_STEPS)) / STEPS_A_DAY


@lru_cache(maxsize=32)
def _leverage_steps(regime: Regime) -> F64:
    table = np.array(regime.table) * (LEVERAGES / 10.0) ** regime.tilt
    return np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1)


@dataclass(frozen=True)
class Plans:
    """Positions before they open, as columns of equal length.

    ``life`` [steps] until the first review; ``leverage`` effective; ``notional`` [USD];
    ``long_ratio``/``short_ratio`` = liquidation over entry price in the first margin tier,
    ``plain`` where only that tier can matter; ``stop``/``profit`` log distances (0: none);
    ``style`` +1 follows the trend, -1 goes against it; the rest uniform in [0, 1).
    """

    holding: NDArray[np.int8]
    isolated: NDArray[np.bool_]
    life: F64
    leverage: F64
    notional: F64
    long_ratio: F64
    short_ratio: F64
    plain: NDArray[np.bool_]
    stop: F64
    profit: F64
    style: F64
    side: F64
    chance: F64

    def rows(self) -> list[tuple[float, ...]]:
        """Return the plans as tuples of Python numbers, in the order of the fields."""
        names = self.__dataclass_fields__
        return list(zip(*(getattr(self, name).tolist() for name in names), strict=True))


def draw_plans(
    regime: Regime, instrument: Instrument, mean_usd: float, rng: np.random.Generator, n: int,
    hold_shares: tuple[float, ...] | None = None,
) -> Plans:  # fmt: skip
    """Draw ``n`` plans with a mean notional of about ``mean_usd``."""
    shares = np.asarray(hold_shares or regime.hold_shares)
    holding = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(n)).clip(0, 3)
    notional = mean_usd * np.exp(rng.normal(-0.5 * 1.5**2, 1.5, n))
    leverage, isolated = _draw_leverage(regime, instrument, holding, notional, rng)
    long_ratio, short_ratio = _ratios(instrument, leverage)
    room = np.minimum(-np.log(long_ratio), np.log(short_ratio))
    stop = STOP_DISTANCE[holding] * np.exp(rng.normal(0, 0.5, n))
    # A stop beyond the liquidation price would be none; nobody sets it at the very edge.
    stop = np.minimum(stop, 0.7 * room)
    has_stop = rng.random(n) < np.asarray(regime.stop_shares)[holding]
    profit = 1.6 * STOP_DISTANCE[holding] * np.exp(rng.normal(0, 0.5, n))
    has_profit = rng.random(n) < regime.take_profit_share
    return Plans(
        holding=holding.astype(np.int8), isolated=isolated,
        life=rng.exponential(HOLD_STEPS[holding]) + 1.0,
        leverage=leverage, notional=notional,
        long_ratio=long_ratio, short_ratio=short_ratio,
        plain=2.0 * notional < instrument.tiers[0].notional_cap,
        stop=np.where(has_stop, stop, 0.0), profit=np.where(has_profit, profit, 0.0),
        style=rng.choice([1.0, -1.0, 0.0], n, p=[0.35, 0.35, 0.3]),
        side=rng.random(n), chance=rng.random(n),
    )  # fmt: skip


def _draw_leverage(
    regime: Regime, instrument: Instrument, holding: NDArray[np.int64], notional: F64,
    rng: np.random.Generator,
) -> tuple[F64, NDArray[np.bool_]]:  # fmt: skip
    n = len(holding)
    steps = _leverage_steps(regime)[holding]
    index = (rng.random(n)[:, None] > steps).sum(axis=1).clip(0, len(LEVERAGES) - 1)
    caps = np.array([tier.notional_cap for tier in instrument.tiers])
    most = np.array([tier.max_leverage for tier in instrument.tiers])
    allowed = most[np.searchsorted(caps, notional, side="right").clip(0, len(caps) - 1)]
    isolated = rng.random(n) < regime.isolated_share
    factor = np.where(isolated, 1.0, CROSS_MEDIAN * np.exp(rng.normal(0, CROSS_LOG_SD, n)))
    # 1.1: below that a long has no liquidation price worth drawing. Whole lots are rounded
    # down, so the notional stays in the tier that allowed the leverage.
    return np.clip(LEVERAGES[index] * factor, 1.1, allowed), isolated


def _ratios(instrument: Instrument, leverage: F64) -> tuple[F64, F64]:
    # margin.liquidation_price for a unit entry in the first tier, for arrays; the tests hold
    # the two equal.
    rate, room = instrument.tiers[0].maintenance_margin_rate, 1.0 / leverage
    if instrument.is_inverse:
        return (1.0 + rate) / (1.0 + room), (1.0 - rate) / (1.0 - room)
    return (1.0 - room) / (1.0 - rate), (1.0 + room) / (1.0 + rate)


def targets(plan: tuple[float, ...], side: float, price: float) -> tuple[float, float]:
    """Return stop and take profit [USD] of a plan opened at ``price``, 0 where there is none.

    Two in five are put on round prices: the take profit on it, the stop just beyond.
    """
    stop, profit, chance = plan[8], plan[9], plan[12]
    at_stop = price * math.exp(-side * stop) if stop else 0.0
    at_profit = price * math.exp(side * profit) if profit else 0.0
    if chance < 0.4:
        if stop:
            grid = 10.0 ** math.floor(math.log10(price * stop))
            at_stop = round(at_stop / grid) * grid - side * 0.0003 * price
        if profit:
            grid = 10.0 ** math.floor(math.log10(price * profit))
            at_profit = round(at_profit / grid) * grid
    return at_stop, at_profit


def ou_path(rng: np.random.Generator, n: int, days: float, sd: float, first: float) -> F64:
    """Return ``n`` steps of an Ornstein-Uhlenbeck path, continued from its value ``first``."""
    keep = math.exp(-1.0 / (days * STEPS_A_DAY))
    shocks = rng.normal(0, sd * math.sqrt(1.0 - keep * keep), n)
    powers = keep ** np.arange(1, n + 1)
    path: F64 = powers * (first + np.cumsum(shocks / powers))
    return path


def bridges(rng: np.random.Generator, n: int) -> F64:
    """Return Brownian bridges of shape ``(n, SECONDS + 1)``, unit variance a step."""
    walk = np.zeros((n, SECONDS + 1))
    np.cumsum(rng.normal(0, 1 / math.sqrt(SECONDS), (n, SECONDS)), axis=1, out=walk[:, 1:])
    walk -= walk[:, -1:] * (np.arange(SECONDS + 1) / SECONDS)
    return walk
