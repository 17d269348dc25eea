"""A market of agents whose positions are known: the ground truth of the simulated exchange.

One ``Market`` is one instrument. Time runs in steps of a second::

    mark price --> due triggers (liquidation, stop, take profit) --> forced and chosen closings
    reviews    --> closings, more size, drift of cross accounts      |
    arrivals   --> openings                                           v
    price      <-- own noise, jumps + impact of the agents' net flow, deeper when depth is thin

Agents trade with market makers, who absorb the net flow, so all positions sum to zero and open
interest is the larger of the two agents' sides, in whole lots: exact integers. Sizes are kept
in lots (0.001 BTC, or one 100 USD contract), which the price does not change.

Everything random is drawn in blocks (a day of seconds, a batch of plans) from seeds of their
own, or comes from the kernel's state, so the same seed gives the same bytes however far, and
in whatever portions, time is advanced. Nothing here knows the wall clock, tables or asyncio.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liqheat.exchanges import _kernel as k
from liqheat.exchanges._agents import (
    HOLD_STEPS,
    LARGEST_SHARE,
    STEP_MS,
    STEPS_A_DAY,
    TILT_DAYS,
    TILT_SD,
    Regime,
    draw_plans,
    mean_position_usd,
    ou_path,
)
from liqheat.exchanges._hidden import (
    Chunk,
    Positions,
    add_snapshots,
    open_slots,
    to_positions,
)
from liqheat.market.instrument import Instrument

F64 = NDArray[np.float64]

FUNDING_STEPS = 8 * 3_600_000 // STEP_MS
_MINUTES = STEPS_A_DAY // 60


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
    crowd : float
        How many trade here, of the regime's openings a day.
    news_seed : int, optional
        Of what comes from outside, where it is shared with another instrument.
    leader : callable, optional
        Gives the log prices, at the ends of the steps ``[first, last)`` of one day, which
        this one follows as arbitrage would have it, with positions and impact of its own.
    remember : bool
        Whether positions which ended before the current day are kept.
    """

    def __init__(
        self, instrument: Instrument, regime: Regime, seed: int, first_price: float,
        open_interest_usd: float, crowd: float = 1.0, news_seed: int | None = None,
        leader: Callable[[int, int], F64] | None = None, *, remember: bool = True,
    ) -> None:  # fmt: skip
        self.instrument, self.regime, self.seed = instrument, regime, seed
        self.remember, self._crowd = remember, crowd
        self.mean_usd = mean_position_usd(regime, open_interest_usd, crowd)
        self._largest_usd = LARGEST_SHARE * open_interest_usd
        self.lot = instrument.lot_size * instrument.contract_size
        self._leader, self._news = leader, seed if news_seed is None else news_seed
        self.funding: list[tuple[int, float]] = []
        self._noise, self._tilt, self._batches = (0.0, 0.0, 0.0), 0.0, 0
        self._archive: list[Chunk] = []
        self.churn = self.lean = np.zeros(0)
        self._table = np.zeros(1, dtype=k.MARKET)
        self._slots, self._log = np.zeros(0, dtype=k.SLOT), np.zeros(0, dtype=k.LOG)
        self.now: Any = self._table[0]
        self._set_up(math.log(first_price))
        self._start_with_positions()

    # --- what can be read -----------------------------------------------------------------

    @property
    def step(self) -> int:
        """Seconds since the start which are computed."""
        return int(self.now["step"])

    @property
    def price(self) -> float:
        """The last price [USD]."""
        return float(self.now["price"])

    @property
    def mark(self) -> float:
        """The mark price [USD]."""
        return float(self.now["mark"])

    @property
    def long_lots(self) -> int:
        """What the agents' longs hold."""
        return int(self.now["longs"])

    @property
    def short_lots(self) -> int:
        """What the agents' shorts hold."""
        return int(self.now["shorts"])

    def records(self, first: int, last: int) -> dict[str, F64]:
        """Return what was written down for steps ``[first, last)`` of the current day."""
        return dict(zip(k.RECORDS, self.now["records"][:, first:last], strict=True))

    def forced(self) -> NDArray[np.void]:
        """Return the current day's forced closings in order: rows of the log."""
        log = self._log[: self.now["rows"]]
        dead: NDArray[np.void] = log[log["reason"] == k.LIQUIDATED]
        return dead

    def states(self, step: int | None = None, *, whole: bool = True) -> Positions:
        """Return the states of positions begun before ``step``; not ``whole``: open then.

        None: all. Of the current day and what is open only where ``remember`` is false.
        """
        day = Chunk(self._log[: self.now["rows"]])
        first = 0 if whole or step is None else max(0, step // STEPS_A_DAY - 1)
        chunks = [*self._archive[first:], day, Chunk(open_slots(self._slots))]
        parts = [chunk.select(step, whole=whole) for chunk in chunks]
        return to_positions(parts, self.lot, inverse=self.instrument.is_inverse)

    def positions(self, step: int | None = None) -> Positions:
        """Return the states open at the start of ``step``; None: each position's last."""
        if step is None:
            return self.states().last_states()
        return self.states(step, whole=False)

    def maps(self, steps: NDArray[np.int64], edges: F64) -> F64:
        """Return what dies in each price bin, as it stood at the starts of ascending ``steps``.

        Shape ``(2, t, p)``, long and short [USD at the liquidation price].
        """
        maps = np.zeros((2, len(steps), len(edges) - 1))
        now = [Chunk(self._log[: self.now["rows"]]), Chunk(open_slots(self._slots))]
        for chunk in [*self._archive, *now]:
            add_snapshots(
                vars(chunk), steps, edges, self.lot, maps,
                inverse=self.instrument.is_inverse,
            )  # fmt: skip
        return maps

    # --- time -----------------------------------------------------------------------------

    def advance(self, step: int) -> None:
        """Run until ``self.step == step``; does nothing where that is in the past."""
        while self.step < step:
            now = self.step
            if now % STEPS_A_DAY == 0:
                self._begin_day(now // STEPS_A_DAY)
            # Up to the next funding, or the end of the day.
            last = min(step, (now // FUNDING_STEPS + 1) * FUNDING_STEPS)
            if self._leader is not None:
                index = now % STEPS_A_DAY
                self.now["outside"][index : index + last - now] = self._leader(now, last)
            self._run(last)
            if last % FUNDING_STEPS == 0:
                self._fund()

    def _run(self, last: int) -> None:
        while True:
            code = k.run(self._table, self._slots, self._log, last)
            if code == k.DONE:
                return
            if code == k.NEED_PLANS:
                self._draw_plans()
            else:
                self._more_room(k.MOST_ARRIVALS)

    def _fund(self) -> None:
        # The premium of the last price, and how crowded one side is.
        longs, shorts = self.long_lots, self.short_lots
        crowd = (longs - shorts) / max(longs, shorts, 1)
        rate = 1e-4 + 4e-4 * crowd + 0.2 * (self.price / self.mark - 1.0)
        self.funding.append((self.step, round(max(-0.003, min(0.003, rate)), 8)))

    def _more_room(self, more: int) -> None:
        # Half as many slots again; log rows for what may end in one second, and some hours.
        now, old = self.now, len(self._slots)
        if now["used"] + more > old:
            slots = np.zeros(old + max(old // 2, more, 4096), dtype=k.SLOT)
            slots[:old] = self._slots
            # The new ones before the old ones in the chain of those which are free.
            slots["links"][old:, 0] = np.arange(old + 1, len(slots) + 1)
            slots["links"][-1, 0] = now["free"]
            now["free"], self._slots = old, slots
        log = np.zeros(now["rows"] + 2 * len(self._slots) + 32_768, dtype=k.LOG)
        log[: now["rows"]] = self._log[: now["rows"]]
        self._log = log

    # --- what was drawn -------------------------------------------------------------------

    def _rng(self, *key: int) -> np.random.Generator:
        return np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self.seed, *key]))
        )

    def _draw_plans(self) -> None:
        # Into the half of the ring which is used up.
        rng, n = self._rng(self.seed, 2, self._batches), k.BATCH
        keep = math.exp(-n / (self._crowd * self.regime.openings_a_day * TILT_DAYS))
        self._tilt *= keep
        self._tilt += TILT_SD * math.sqrt(1.0 - keep * keep) * float(rng.normal())
        half = self._batches % 2 * n
        self.now["plans"][half : half + n, : k.PRICE] = draw_plans(
            self.regime, self.instrument, self.mean_usd, rng, n,
            largest_usd=self._largest_usd, drift=self._tilt,
        )  # fmt: skip
        self._batches += 1
        self.now["plans_drawn"] += n

    def _begin_day(self, day: int) -> None:
        now, rng, regime, n = (
            self.now,
            self._rng(self._news, 1, day),
            self.regime,
            STEPS_A_DAY,
        )
        if day > 0:
            self._archive.append(Chunk(self._log[: now["rows"] if self.remember else 0]))
        now["rows"] = 0
        calm, season = self._volatility(rng)
        sigma = np.repeat(regime.sigma_day / math.sqrt(n) * calm, 60)
        # Within a minute the noise is normal, from minute to minute its size differs.
        wild = np.sqrt(2.0 / rng.chisquare(4, _MINUTES))
        now["sigma"], now["rounding"] = sigma, rng.random(n)
        now["noise"] = sigma * np.repeat(wild, 60) * rng.standard_normal(n)
        openings = self._crowd * regime.openings_a_day / n
        now["arrivals"] = np.repeat(openings * np.sqrt(calm) * season**0.3 / 0.95, 60)
        jumps = np.where(rng.random(n) < regime.jumps_per_day / n, regime.jump_sd, 0.0)
        now["outside"] = jumps * rng.standard_normal(n)
        daily = math.exp(rng.normal(-0.5 * regime.churn_log_sd**2, regime.churn_log_sd))
        self.churn = (
            daily * np.repeat(rng.gamma(1.5, 1 / 1.5, n // 5), 5) * regime.churn / n
        )
        self.lean = np.repeat(rng.normal(0, 1, n // 15), 15)

    def _volatility(self, rng: np.random.Generator) -> tuple[F64, F64]:
        # Per minute: volatility relative to the mean day's, and the hour's share of it.
        n, (quick, slow, mood) = _MINUTES, self._noise
        swing = ou_path(rng, n, 150.0, 0.40, quick)
        tide = ou_path(rng, n, 4.0 * n, 0.35, slow)
        feeling = ou_path(rng, n, 1.5 * n, 1.0, mood)
        self._noise = (float(swing[-1]), float(tide[-1]), float(feeling[-1]))
        hour = np.arange(n) / n * 24.0
        season = 1.0 + 0.3 * np.cos((hour - 14.5) / 24.0 * 2 * np.pi)
        self.now["mood"] = np.repeat(self.regime.sentiment * np.tanh(feeling), 60)
        return np.exp(swing + tide - 0.5 * (0.40**2 + 0.35**2)) * season, season

    # --- the beginning --------------------------------------------------------------------

    def _set_up(self, log_price: float) -> None:
        now, tiers = self.now, self.instrument.tiers
        for name in ("log_price", "fast", "slow", "led", "home"):
            now[name] = log_price
        now["price"] = now["mark"] = math.exp(log_price)
        now["heat"] = now["thin"] = 1.0
        now["up"], now["free"], now["heads"] = math.inf, -1, -1
        now["base"] = log_price - 0.5 * k.BUCKET * k.BUCKETS
        now["random"] = self._rng(self.seed, 3).integers(1, 2**63)
        now["inverse"], now["follows"] = (
            self.instrument.is_inverse,
            self._leader is not None,
        )
        now["lot"], now["impact"] = self.lot, self.regime.impact
        now["sigma_day"], now["hold"] = self.regime.sigma_day, HOLD_STEPS
        now["n_tiers"] = n = len(tiers)
        now["tier_cap"][:n] = [tier.notional_cap for tier in tiers]
        now["tier_rate"][:n] = [tier.maintenance_margin_rate for tier in tiers]
        now["tier_amount"][:n] = [tier.maintenance_amount for tier in tiers]

    def _start_with_positions(self) -> None:
        # As if the market had always run: ages are exponential; what its stop, target or
        # liquidation price would have met on a made-up past path is not there any more.
        rng, regime = self._rng(self.seed, 0), self.regime
        stock = np.asarray(regime.hold_shares) * HOLD_STEPS
        openings = self._crowd * regime.openings_a_day / STEPS_A_DAY
        plans = draw_plans(
            regime, self.instrument, self.mean_usd, rng, int(1.1 * openings * stock.sum()),
            largest_usd=self._largest_usd,
            hold_shares=tuple((stock / stock.sum()).tolist()),
        )  # fmt: skip
        age = rng.exponential(HOLD_STEPS[plans[:, k.HOLDING].astype(np.int64)])
        grid = STEPS_A_DAY // 96
        past = np.cumsum(rng.normal(0, 1.25 * regime.sigma_day / math.sqrt(96), 96 * 60))
        past = np.concatenate(([0.0], past))
        at = np.minimum(age / grid, len(past) - 1).astype(np.int64)
        keep = self._survivors(plans, past, at)
        keep = keep[np.argsort(-age[keep], kind="stable")]
        entry = self.price * np.exp(past[at[keep]])
        rows = np.column_stack((plans[keep], entry, age[keep]))
        rows[:, k.ROUND] = 1.0  # round prices may lie where the price has been since
        self._more_room(len(rows))
        for first in range(0, len(rows), 2 * k.BATCH):
            some = rows[first : first + 2 * k.BATCH]
            self.now["plans"][: len(some)] = some
            self.now["starting"] = len(some)
            k.run(self._table, self._slots, self._log, 0)

    def _survivors(self, plans: F64, past: F64, at: NDArray[np.int64]) -> NDArray[np.int64]:
        # The plans which the path since they were opened, ``at`` of ``past``, left alone.
        fell = past[at] - np.minimum.accumulate(past)[at]
        rose = np.maximum.accumulate(past)[at] - past[at]
        is_long = plans[:, k.SIDE] < 0.5
        lost, won = np.where(is_long, fell, rose), np.where(is_long, rose, fell)
        stop, profit = plans[:, k.STOP], plans[:, k.PROFIT]
        room = 1.0 / plans[:, k.LEVERAGE] - self.instrument.tiers[0].maintenance_margin_rate
        room = np.where(is_long, -np.log1p(-room), np.log1p(room))
        room = np.where(stop > 0, np.minimum(stop, room), room)
        return np.flatnonzero(
            (lost < room - 2e-3) & ((won < profit - 2e-3) | (profit == 0))
        )
