"""Who trades in the simulated market: regimes, and the drawing of positions before they open.

A position's *plan* (how long, which leverage, how much, where the stop) does not depend on the
price path, so plans are drawn with numpy, some thousands at a time, each batch from its own
seed. The kernel opens one after the other.

What is measured elsewhere, and taken over (docs/simulator.md)
    - the spread of sizes: log-sd 1.5, mean position 7,500 USD and mean forced order 10,000;
      the recorded liquidations of Binance BTCUSDT (Jan-Feb 2026, 28,063 prints) have median
      1,100 USD, mean 10,000 USD, log-sd 1.76 and E[q^2]/E[q] of 1.2e-4 of its open interest.
      Of positions it is 1.4e-4 here within a class, of forced orders (in parts) 5e-5;
    - isolated shares, liquidation per open interest, and the largest-per-second shares which
      the regimes aim at; losers held longer (exit rate 0.67 of the winners'), and a fourfold
      exit rate below -30 %; stops just beyond round prices and targets on them.
What is assumed
    - the holding classes and their shares, the leverage tables and their tilt, that longer
      holders are larger; cross accounts: effective leverage = setting x lognormal(0.35, 0.6),
      and a liquidation price which other positions move by 15 % of its distance in a day;
      top-ups, averaging down, trend following and its opposite, excitement, impact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]

#: One step of the simulation is a second.
STEP_MS = 1_000
STEPS_A_DAY = 86_400
#: Mean holding times of the four classes [steps]: 20 min, 8 h, 4 d, 20 d.
HOLD_STEPS = np.array([1_200.0, 28_800.0, 345_600.0, 1_728_000.0])
#: Mean notional of a class, relative: whoever stays long holds more.
CLASS_SIZE = np.array([1.0, 1.0, 2.0, 3.5])
SIZE_LOG_SD = 1.5
#: Nobody holds more than this share of one side's open interest.
LARGEST_SHARE = 0.01
LEVERAGES = np.array([2.0, 3.0, 5.0, 10.0, 20.0, 25.0, 50.0, 75.0, 100.0, 125.0])
#: How far away a class puts its stop (median, log return); targets are 1.6 times that.
STOP_DISTANCE = np.array([0.005, 0.013, 0.04, 0.09])
#: Effective leverage of a cross position = leverage * lognormal(median, log-sd).
CROSS_MEDIAN, CROSS_LOG_SD = 0.35, 0.6
#: Isolated positions which hold more margin than they must, and how much more at most.
EXTRA_SHARE, EXTRA_MOST = 0.2, 1.5
#: The tilt of the leverage tables wanders: standard deviation, days to forget.
TILT_SD, TILT_DAYS = 0.2, 5.0
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
    volatility of what does not come from the agents' own flow; ``impact`` the log return per
    share of open interest bought at once in normal depth; ``churn`` the volume that leaves no
    position, as a multiple of one side's open interest a day.
    """

    name: str
    hold_shares: tuple[float, float, float, float] = (0.53, 0.32, 0.11, 0.04)
    tilt: float = 0.3
    isolated_share: float = 0.2
    stop_shares: tuple[float, float, float, float] = (0.45, 0.4, 0.3, 0.15)
    take_profit_share: float = 0.35
    sigma_day: float = 0.024
    jumps_per_day: float = 0.4
    jump_sd: float = 0.006
    impact: float = 0.07
    churn: float = 0.6
    churn_log_sd: float = 0.25
    sentiment: float = 0.06
    openings_a_day: float = 60_000.0
    table: tuple[tuple[float, ...], ...] = field(default=_TABLE, repr=False)


_BASE = Regime("base")
_SHORT_TERM = (0.55, 0.365, 0.07, 0.015)
REGIMES: dict[str, Regime] = {
    regime.name: regime
    for regime in (
        _BASE,
        replace(
            _BASE, name="cross", tilt=-0.6, sigma_day=0.0225, isolated_share=0.04,
            churn=0.85,
        ),
        replace(
            _BASE, name="retail", tilt=0.75, sigma_day=0.0225, isolated_share=0.55,
            churn=0.15, impact=0.03, hold_shares=_SHORT_TERM,
        ),
        replace(_BASE, name="churn", churn_log_sd=1.0, churn=1.2, sentiment=0.25, tilt=0.35),
        replace(
            _BASE, name="alt", sigma_day=0.053, jumps_per_day=3.0, jump_sd=0.015,
            hold_shares=_SHORT_TERM, churn=0.2, isolated_share=0.22, tilt=0.05, impact=0.04,
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


def mean_position_usd(regime: Regime, open_interest_usd: float, crowd: float) -> float:
    """Return the mean notional of class 0 which fills one side's open interest [USD]."""
    stock = np.dot(regime.hold_shares, CLASS_SIZE * HOLD_STEPS) / STEPS_A_DAY
    return open_interest_usd / float(0.5 * crowd * regime.openings_a_day * stock)


def leverage_steps(regime: Regime, drift: float) -> F64:
    """Return the cumulative leverage shares of the four classes, with a drift of the tilt."""
    table = np.array(regime.table) * (LEVERAGES / 10.0) ** (regime.tilt + drift)
    return np.asarray(np.cumsum(table / table.sum(axis=1, keepdims=True), axis=1))


def draw_plans(
    regime: Regime, instrument: Instrument, mean_usd: float, rng: np.random.Generator, n: int,
    *, largest_usd: float = math.inf, drift: float = 0.0,
    hold_shares: tuple[float, ...] | None = None,
) -> F64:  # fmt: skip
    """Draw ``n`` plans: the first ten plan columns of ``_kernel``, of shape ``(n, 10)``.

    ``life`` [steps] until the planned end; ``leverage`` effective; ``notional`` [USD], in the
    mean ``mean_usd`` times ``CLASS_SIZE``; ``stop``/``profit`` log distances (0: none);
    ``style`` +1 follows the trend, -1 goes against it; ``side`` and ``round`` in [0, 1).
    """
    shares = np.asarray(hold_shares or regime.hold_shares)
    holding = np.searchsorted(np.cumsum(shares / shares.sum()), rng.random(n)).clip(0, 3)
    size = rng.normal(-0.5 * SIZE_LOG_SD**2, SIZE_LOG_SD, n)
    notional = np.minimum(mean_usd * CLASS_SIZE[holding] * np.exp(size), largest_usd)
    leverage, isolated = _draw_leverage(regime, instrument, holding, notional, rng, drift)
    # A stop beyond the liquidation price would be none; nobody sets it at the very edge.
    room = 1.0 / leverage - instrument.tiers[0].maintenance_margin_rate
    stop, profit = _draw_targets(regime, holding, 0.7 * room, rng)
    return np.column_stack((
        holding, isolated, rng.exponential(HOLD_STEPS[holding]) + 1.0, leverage, notional,
        stop, profit, rng.choice([1.0, -1.0, 0.0], n, p=[0.35, 0.35, 0.3]),
        rng.random(n), rng.random(n),
    ))  # fmt: skip


def _draw_targets(
    regime: Regime, holding: NDArray[np.int64], most: F64, rng: np.random.Generator
) -> tuple[F64, F64]:
    n, middle = len(holding), STOP_DISTANCE[holding]
    stop = np.minimum(middle * np.exp(rng.normal(0, 0.5, n)), most)
    profit = 1.6 * middle * np.exp(rng.normal(0, 0.5, n))
    return (
        np.where(rng.random(n) < np.asarray(regime.stop_shares)[holding], stop, 0.0),
        np.where(rng.random(n) < regime.take_profit_share, profit, 0.0),
    )


def _draw_leverage(
    regime: Regime, instrument: Instrument, holding: NDArray[np.int64], notional: F64,
    rng: np.random.Generator, drift: float,
) -> tuple[F64, NDArray[np.bool_]]:  # fmt: skip
    n = len(holding)
    steps = leverage_steps(regime, drift)[holding]
    index = (rng.random(n)[:, None] > steps).sum(axis=1).clip(0, len(LEVERAGES) - 1)
    caps = np.array([tier.notional_cap for tier in instrument.tiers])
    most = np.array([tier.max_leverage for tier in instrument.tiers])
    allowed = most[np.searchsorted(caps, notional, side="right").clip(0, len(caps) - 1)]
    isolated = rng.random(n) < regime.isolated_share
    extra = np.where(rng.random(n) < EXTRA_SHARE, EXTRA_MOST * rng.random(n), 0.0)
    cross = CROSS_MEDIAN * np.exp(rng.normal(0, CROSS_LOG_SD, n))
    # 1.1: below that a long has no liquidation price worth drawing. Whole lots are rounded
    # down, so the notional stays in the tier that allowed the leverage.
    factor = np.where(isolated, 1.0 / (1.0 + extra), cross)
    return np.clip(LEVERAGES[index] * factor, 1.1, allowed), isolated


def ou_path(
    rng: np.random.Generator, n: int, forget: float, sd: float, first: float
) -> F64:
    """Return ``n`` points of an Ornstein-Uhlenbeck path after ``first``.

    ``forget`` [points] is the time constant, ``sd`` the stationary standard deviation.
    """
    keep = math.exp(-1.0 / forget)
    shocks = rng.normal(0, sd * math.sqrt(1.0 - keep * keep), n)
    powers = keep ** np.arange(1, n + 1)
    return np.asarray(powers * (first + np.cumsum(shocks / powers)))
