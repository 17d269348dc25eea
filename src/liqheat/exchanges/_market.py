"""A market of agents whose positions are known: the ground truth of the simulated exchange.

One ``Market`` is one instrument. Time runs in steps of 15 s::

    mark price --> due triggers (liquidation, stop, take profit) --> forced and chosen closings
    reviews    --> closings at the end of a holding time               |
    arrivals   --> openings                                            v
    price      <-- own noise, jumps + impact of the agents' net flow, deeper when depth is thin

Agents trade with market makers, who absorb the net flow, so all positions sum to zero and open
interest is the larger of the two agents' sides, in whole lots: exact integers. Sizes are kept
in lots (0.001 BTC, or one 100 USD contract), which the price does not change.

Everything random is drawn in blocks (a day of steps, a batch of plans) from seeds of their own,
so the same seed gives the same bytes however far, and in whatever portions, time is advanced.
Triggers sit in heaps: a step costs what happens in it, not what is open. Nothing here knows
the wall clock, tables or asyncio.
"""

from __future__ import annotations

import heapq
import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.exchanges._agents import (
    BATCH,
    HOLD_STEPS,
    STEP_MS,
    STEPS_A_DAY,
    Regime,
    bridges,
    draw_plans,
    mean_hold_days,
    ou_path,
    targets,
)
from liqheat.market.instrument import Instrument
from liqheat.market.margin import tiered_liquidation_price

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

FUNDING_STEPS = 8 * 3_600_000 // STEP_MS
#: Why a position ended.
OPEN, LIQUIDATED, STOPPED, PROFIT, LEFT = 0, 1, 2, 3, 4

# Dynamics per step. Shares of the impact that stays; decay of what does not (20 min); smoothing
# of the mark price (30 s); decays of excitement (8 min) and of thin depth (12 min).
_PERMANENT = 0.2
_TRANSIENT_DECAY = math.exp(-STEP_MS / 1_200_000)
_MARK_WEIGHT = 1.0 - math.exp(-STEP_MS / 30_000)
_HEAT_DECAY = math.exp(-STEP_MS / 480_000)
_THIN_DECAY = math.exp(-STEP_MS / 720_000)
_TREND_FAST = 1.0 - math.exp(-STEP_MS / 1_800_000)
_TREND_SLOW = 1.0 - math.exp(-STEP_MS / 43_200_000)
_HEAT_MOST, _THIN_MOST = 8.0, 5.0
#: A pull back to the first price, so that a year does not end at a tenth of it.
_HOME = 1.0 / (120 * STEPS_A_DAY)
#: How much of the distance to the leader's price goes in a step.
_ARBITRAGE = 0.04

#: What is written down each step: last and mark price at its end, lots traded and taken by
#: buyers, open interest (lots), local volatility, excitement, thinness of depth.
RECORDS = ("price", "mark", "traded", "bought", "interest", "sigma", "heat", "thin")


class Death(NamedTuple):
    """One forced closing: in ``step``, of position number ``position``, at a mark price [USD]."""

    step: int
    position: int
    side: int
    lots: int
    mark: float


@dataclass(frozen=True)
class Positions:
    """Positions of the agents as columns; hidden from what the exchange publishes.

    ``side`` +1 long, -1 short; ``qty`` and ``notional_usd`` at entry (base units, USD);
    ``opened``/``closed`` steps since the market's start (``closed`` -1: still open);
    ``reason`` one of ``OPEN LIQUIDATED STOPPED PROFIT LEFT``.
    """

    side: NDArray[np.int8]
    lots: I64
    qty: F64
    notional_usd: F64
    entry_price: F64
    liquidation_price: F64
    leverage: F64
    isolated: NDArray[np.bool_]
    holding: NDArray[np.int8]
    opened: I64
    closed: I64
    reason: NDArray[np.int8]

    def __getitem__(self, keep: NDArray[np.bool_]) -> Positions:
        """Return the positions where ``keep`` is true."""
        return Positions(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


class Market:
    """One simulated instrument, advanced step by step.

    Parameters
    ----------
    instrument : Instrument
    regime : Regime
    seed : int
        Together with the parameters it fixes every byte.
    first_price : float
        Last price at the start [USD].
    open_interest_usd : float
        About what one side holds.
    news_seed : int, optional
        Of what comes from outside, where it is shared with another instrument.
    leader : callable, optional
        Gives the log price, at the end of a step, which this one follows as arbitrage
        would have it, with positions and impact of its own.
    """

    def __init__(
        self, instrument: Instrument, regime: Regime, seed: int, first_price: float,
        open_interest_usd: float, news_seed: int | None = None,
        leader: Callable[[int], float] | None = None,
    ) -> None:  # fmt: skip
        self.instrument, self.regime, self.seed = instrument, regime, seed
        self.mean_usd = open_interest_usd / (
            0.5 * regime.arrivals_per_min * 1440 * mean_hold_days(regime)
        )
        self.lot = instrument.lot_size * instrument.contract_size
        self.step = 0
        self.log_price = self._home = math.log(first_price)
        self.price = self.mark = first_price
        self.trail = array("d")  # log price at the end of each step
        self._leader, self._news = leader, seed if news_seed is None else news_seed
        self._led = self.log_price
        self.deaths: list[Death] = []
        self.funding: list[tuple[int, float]] = []
        self._transient = self._heat = 0.0
        self._thin = 1.0
        self._fast = self._slow = self.log_price
        self.long_lots = self.short_lots = 0
        self._table()
        self._plans: list[tuple[float, ...]] = []
        self._plan = self._batch = 0
        self._slow_noise = (0.0, 0.0, 0.0)
        self._records: dict[str, array[float]] = {name: array("d") for name in RECORDS}
        self._start_with_positions()

    def _table(self) -> None:
        self._side, self._lots, self._entry = array("b"), array("q"), array("d")
        self._liquidation, self._leverage = array("d"), array("d")
        self._holding, self._isolated, self._reason = array("b"), array("b"), array("b")
        self._opened, self._closed = array("q"), array("q")
        # (key, index): the top is the trigger the mark price meets first.
        self._long_down: list[tuple[float, int]] = []
        self._short_down: list[tuple[float, int]] = []
        self._long_up: list[tuple[float, int]] = []
        self._short_up: list[tuple[float, int]] = []
        self._due: dict[int, list[int]] = {}

    # --- what was drawn ---------------------------------------------------------------

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.seed, *key]))
        )

    def _next_plan(self) -> tuple[float, ...]:
        if self._plan >= len(self._plans):
            rng = self._rng(self.seed, 2, self._batch)
            plans = draw_plans(self.regime, self.instrument, self.mean_usd, rng, BATCH)
            self._plans, self._plan = plans.rows(), 0
            self._batch += 1
        self._plan += 1
        return self._plans[self._plan - 1]

    def _draw_day(self, day: int) -> None:
        n, rng, regime = STEPS_A_DAY, self._rng(self._news, 1, day), self.regime
        quick, slow, mood = self._slow_noise
        swing = ou_path(rng, n, 2.5 / 24, 0.40, quick)
        tide = ou_path(rng, n, 4.0, 0.35, slow)
        feeling = ou_path(rng, n, 1.5, 1.0, mood)
        self._slow_noise = (float(swing[-1]), float(tide[-1]), float(feeling[-1]))
        hour = np.arange(n) / n * 24.0
        season = 1.0 + 0.3 * np.cos((hour - 14.5) / 24.0 * 2 * np.pi)
        calm = np.exp(swing + tide - 0.5 * (0.40**2 + 0.35**2)) * season
        noise = rng.standard_t(4, n) / math.sqrt(2.0)
        jumps = np.where(
            rng.random(n) < regime.jumps_per_day / n, rng.normal(0, regime.jump_sd, n), 0.0
        )
        sigma = regime.sigma_day / math.sqrt(n) * calm
        self._sigma, self._moves = sigma.tolist(), (sigma * noise).tolist()
        self._jumps = jumps.tolist()
        per_step = regime.arrivals_per_min * STEP_MS / 60_000
        self._arrivals = (per_step * np.sqrt(calm) * season**0.3 / 0.95).tolist()
        self._rounding = rng.random(n).tolist()
        self._mood = (regime.sentiment * np.tanh(feeling)).tolist()
        daily = math.exp(rng.normal(-0.5 * regime.churn_log_sd**2, regime.churn_log_sd))
        self.churn = daily * rng.gamma(1.5, 1 / 1.5, n) * regime.churn / n
        self.bridge = bridges(rng, n)
        self.lean = rng.normal(0, 1, n)

    # --- time ---------------------------------------------------------------------------

    def advance(self, step: int) -> None:
        """Run until ``self.step == step``; does nothing where that is in the past."""
        while self.step < step:
            index = self.step % STEPS_A_DAY
            if index == 0:
                self._draw_day(self.step // STEPS_A_DAY)
                for column in self._records.values():
                    del column[:]
            self._one_step(index)

    def _one_step(self, index: int) -> None:
        self._flow = self._forced = self._traded = self._bought = 0
        self._fire()
        due = self._due.pop(self.step, None)
        if due is not None:
            for position in due:
                self._review(position)
        self._arrive(index)
        self._move(index)
        self.step += 1
        if self.step % FUNDING_STEPS == 0:
            self._fund()

    def _fire(self) -> None:
        mark = self.mark
        heap = self._long_down
        while heap and -heap[0][0] >= mark:
            position = heapq.heappop(heap)[1]
            if not self._reason[position]:
                dead = self._liquidation[position] >= mark
                self._close(position, LIQUIDATED if dead else STOPPED)
        heap = self._short_up
        while heap and heap[0][0] <= mark:
            position = heapq.heappop(heap)[1]
            if not self._reason[position]:
                dead = self._liquidation[position] <= mark
                self._close(position, LIQUIDATED if dead else STOPPED)
        heap = self._long_up
        while heap and heap[0][0] <= mark:
            position = heapq.heappop(heap)[1]
            if not self._reason[position]:
                self._close(position, PROFIT)
        heap = self._short_down
        while heap and -heap[0][0] >= mark:
            position = heapq.heappop(heap)[1]
            if not self._reason[position]:
                self._close(position, PROFIT)

    def _close(self, position: int, reason: int) -> None:
        lots, side = self._lots[position], self._side[position]
        self._reason[position] = reason
        self._closed[position] = self.step
        self._traded += lots
        if side > 0:
            self.long_lots -= lots
            self._flow -= lots
        else:
            self.short_lots -= lots
            self._flow += lots
        if reason == LIQUIDATED:
            self._forced += lots
            self.deaths.append(Death(self.step, position, side, lots, self.mark))
        # A take profit rests in the book, so its taker is on the other side.
        if (side < 0) != (reason == PROFIT):
            self._bought += lots

    def _review(self, position: int) -> None:
        # Losers are held longer: they leave at 0.67 times the rate of winners, until the
        # loss hurts (30 % of the margin and more).
        if self._reason[position]:
            return
        gain = self._side[position] * (self.price / self._entry[position] - 1.0)
        if -0.3 < gain * self._leverage[position] < 0.0 and (position * 7919) % 100 < 33:
            again = int(HOLD_STEPS[self._holding[position]] * 0.7) + 1
            self._due.setdefault(self.step + again, []).append(position)
        else:
            self._close(position, LEFT)

    def _arrive(self, index: int) -> None:
        expected = self._arrivals[index] * (1.0 + 0.5 * self._heat)
        count = int(expected + self._rounding[index])
        if not count:
            return
        trend = self._fast - self._slow
        larger = max(self.long_lots, self.short_lots, 1)
        crowd = (self.long_lots - self.short_lots) / larger
        mood = 0.5 + self._mood[index] - 0.3 * crowd
        push = 0.2 * math.tanh(trend / (1.2 * self.regime.sigma_day))
        for _ in range(count):
            plan = self._next_plan()
            self._open(plan, plan[11] < mood + plan[10] * push, self.price, self.step)

    def _open(
        self, plan: tuple[float, ...], is_long: bool, price: float, opened: int
    ) -> None:
        holding, isolated, life, leverage, notional, below, above = plan[:7]
        lots = int(
            notional / (self.lot if self.instrument.is_inverse else self.lot * price)
        )
        if lots <= 0:
            return
        if plan[7]:
            liquidation = price * (below if is_long else above)
        else:
            qty = lots * self.lot
            liquidation = tiered_liquidation_price(
                self.instrument, price, leverage,
                qty / price if self.instrument.is_inverse else qty, is_long=is_long,
            )  # fmt: skip
        position = len(self._side)
        self._add(position, plan, liquidation, 1.0 if is_long else -1.0, price)
        self._side.append(1 if is_long else -1)
        self._lots.append(lots)
        self._entry.append(price)
        self._liquidation.append(liquidation)
        self._leverage.append(leverage)
        self._holding.append(int(holding))
        self._isolated.append(int(isolated))
        self._opened.append(opened)
        self._closed.append(-1)
        self._reason.append(OPEN)
        self._due.setdefault(self.step + int(life) + 1, []).append(position)
        self._traded += lots
        if is_long:
            self.long_lots += lots
            self._flow += lots
            self._bought += lots
        else:
            self.short_lots += lots
            self._flow -= lots

    def _add(
        self,
        position: int,
        plan: tuple[float, ...],
        liquidation: float,
        side: float,
        price: float,
    ) -> None:
        stop, profit = targets(plan, side, price)
        if side > 0:
            heapq.heappush(self._long_down, (-max(stop, liquidation), position))
            if profit:
                heapq.heappush(self._long_up, (profit, position))
        else:
            nearest = min(stop, liquidation) if stop else liquidation
            heapq.heappush(self._short_up, (nearest, position))
            if profit:
                heapq.heappush(self._short_down, (-profit, position))

    def _move(self, index: int) -> None:
        heat, thin = self._heat, self._thin
        interest = max(self.long_lots, self.short_lots, 1)
        share = self._flow / interest
        impact = self.regime.impact * thin * share
        impact = max(-0.03, min(0.03, impact))
        fading = self._transient * _TRANSIENT_DECAY + (1.0 - _PERMANENT) * impact
        # Excitement, and the disorder of a market pushed away from where it was.
        boost = math.sqrt(1.0 + 0.6 * heat) + min(60.0 * abs(self._transient), 4.0)
        move = self._outside_move(index, boost)
        move += _PERMANENT * impact + fading - self._transient
        self._transient = fading
        self.log_price += move
        self.trail.append(self.log_price)
        surprise = abs(move) / (self._sigma[index] * boost)
        heat *= _HEAT_DECAY
        if surprise > 3.0:
            heat += 0.1 * min(surprise, 12.0)
        self._heat = min(heat, _HEAT_MOST)
        forced = self._forced / interest
        thin = (
            1.0
            + (thin - 1.0) * _THIN_DECAY
            + 300.0 * forced
            + (0.04 * min(surprise, 12.0) if surprise > 2.0 else 0.0)
        )
        self._thin = min(thin, _THIN_MOST)
        self._fast += _TREND_FAST * (self.log_price - self._fast)
        self._slow += _TREND_SLOW * (self.log_price - self._slow)
        self.price = math.exp(self.log_price)
        self.mark += _MARK_WEIGHT * (self.price - self.mark)
        self._record(index, boost)

    def _outside_move(self, index: int, boost: float) -> float:
        # What does not come from the agents: news, or the price of the leader.
        if self._leader is None:
            pull = _HOME * (self.log_price - self._home)
            return float(self._moves[index] * boost + self._jumps[index] - pull)
        lead, before = self._leader(self.step), self._led
        self._led = lead
        return lead - before - _ARBITRAGE * (self.log_price - before)

    def _record(self, index: int, boost: float) -> None:
        records = self._records
        records["price"].append(self.price)
        records["mark"].append(self.mark)
        records["traded"].append(self._traded)
        records["bought"].append(self._bought)
        records["interest"].append(max(self.long_lots, self.short_lots))
        records["sigma"].append(self._sigma[index] * boost)
        records["heat"].append(self._heat)
        records["thin"].append(self._thin)

    def _fund(self) -> None:
        # The premium of the last price, and how crowded one side is.
        crowd = (self.long_lots - self.short_lots) / max(self.long_lots, self.short_lots, 1)
        rate = 1e-4 + 4e-4 * crowd + 0.2 * (self.price / self.mark - 1.0)
        self.funding.append((self.step, round(max(-0.003, min(0.003, rate)), 8)))

    # --- the beginning, and the truth -------------------------------------------------------

    def _start_with_positions(self) -> None:
        # As if the market had always run: ages are exponential; what its stop, target or
        # liquidation price would have met on a made-up past path is not there any more.
        rng, regime = self._rng(self.seed, 0), self.regime
        shares = np.asarray(regime.hold_shares) * HOLD_STEPS
        n = int(1.25 * regime.arrivals_per_min * STEP_MS / 60_000 * shares.sum())
        grid = STEPS_A_DAY // 96
        past = rng.normal(0, 1.25 * regime.sigma_day / math.sqrt(96), 96 * 60)
        past = np.concatenate(([0.0], np.cumsum(past)))
        least, most = np.minimum.accumulate(past), np.maximum.accumulate(past)
        weights = tuple((shares / shares.sum()).tolist())
        plans = draw_plans(regime, self.instrument, self.mean_usd, rng, n, weights)
        age = rng.exponential(HOLD_STEPS[plans.holding])
        at = np.minimum(age / grid, len(past) - 1).astype(np.int64)
        order = np.argsort(-age, kind="stable")
        rows, first = plans.rows(), self.price
        self._flow = self._forced = self._traded = self._bought = 0
        for i in order.tolist():
            plan, back = rows[i], int(at[i])
            entry, is_long = first * math.exp(past[back]), plan[11] < 0.5
            side = 1.0 if is_long else -1.0
            stop, profit = targets(plan, side, entry)
            below, above = first * math.exp(least[back]), first * math.exp(most[back])
            if is_long:
                gone = max(stop, entry * plan[5]) >= below or 0.0 < profit <= above
            else:
                gone = min(stop or math.inf, entry * plan[6]) <= above or profit >= below
            if not gone:
                self._open(plan, is_long, entry, -int(age[i]) - 1)

    def positions(self, step: int | None = None) -> Positions:
        """Return the agents' positions open at the start of ``step``; None: every one ever."""
        lots, entry = np.array(self._lots), np.array(self._entry)
        stable = lots * self.lot
        inverse = self.instrument.is_inverse
        every = Positions(
            side=np.array(self._side), lots=lots,
            qty=stable / entry if inverse else stable,
            notional_usd=stable if inverse else stable * entry,
            entry_price=entry, liquidation_price=np.array(self._liquidation),
            leverage=np.array(self._leverage), isolated=np.array(self._isolated) > 0,
            holding=np.array(self._holding), opened=np.array(self._opened),
            closed=np.array(self._closed), reason=np.array(self._reason),
        )  # fmt: skip
        if step is None:
            return every
        alive = (every.opened < step) & ((every.closed < 0) | (every.closed >= step))
        return every[alive]

    def records(self, first: int, last: int) -> dict[str, F64]:
        """Return what was written down for steps ``[first, last)`` of the current day."""
        return {
            name: np.array(column[first:last]) for name, column in self._records.items()
        }
