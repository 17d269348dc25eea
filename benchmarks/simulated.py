"""How fast the simulated market is, and what it is like beside the figures it aims at.

Run: ``python benchmarks/simulated.py [--days 60] [--seeds 2] [regime ...]``
"""

from __future__ import annotations

import argparse
import asyncio
import time

import numpy as np

from liqheat.exchanges._agents import REGIMES, STEPS_A_DAY
from liqheat.exchanges.simulated import SimulatedExchange

NAME = "simulated:BTCUSDT"
NOW_MS = 1_790_000_000_000
#: volume over open interest a day, liquidations a day, isolated share, daily volatility,
#: share of USD which a feed of the largest each second shows: docs of the model, section 3.1.
TARGETS = {
    "base": (2.1, 0.024, 0.20, 0.033, 0.36),
    "cross": (2.1, 0.004, 0.04, 0.030, 0.62),
    "retail": (4.2, 0.126, 0.55, 0.034, 0.17),
    "churn": (2.7, 0.027, 0.20, 0.034, 0.32),
    "alt": (4.8, 0.120, 0.22, 0.079, 0.21),
}


def measure(regime: str, seed: int, days: float) -> tuple[float, ...]:
    def exchange(feed: str) -> SimulatedExchange:
        return SimulatedExchange(
            seed=seed, regime=regime, history_days=days, now_ms=lambda: NOW_MS,
            liquidation_feed=feed, remember=False,  # type: ignore[arg-type]
        )  # fmt: skip

    full, sampled = exchange("full"), exchange("sampled_1s_largest")
    tape = full._tape(NAME)
    started = time.process_time()
    bars = asyncio.run(full.fetch_history(NAME, "bars", 0, NOW_MS))
    seconds = time.process_time() - started
    sampled._tapes = full._tapes
    qty, close = (bars[name].to_numpy() for name in ("qty", "close"))
    interest = asyncio.run(full.fetch_history(NAME, "open_interest", 0, NOW_MS))
    interest = interest["open_interest_qty"].to_numpy()
    n_days, market = len(qty) / 1440, tape.market
    dead = [
        asyncio.run(each.fetch_history(NAME, "liquidations", 0, NOW_MS))
        for each in (full, sampled)
    ]
    usd = [table["notional_usd"].to_numpy() for table in dead]
    alive = market.positions(market.step)
    today = market.states()
    today = today[today.opened >= market.step // STEPS_A_DAY * STEPS_A_DAY].last_states()
    hourly = np.diff(np.log(close[::60]))
    minute = np.diff(np.log(close))
    return (
        seconds,
        qty.sum() / n_days / interest.mean(),
        dead[0]["qty"].to_numpy().sum() / n_days / interest.mean(),
        today.lots[today.isolated].sum() / today.lots.sum(),
        float(hourly.std() * 24**0.5),
        usd[1].sum() / usd[0].sum(),
        int(market.now["numbers"]) / n_days,
        len(alive),
        len(usd[0]) / n_days,
        float(((minute - minute.mean()) ** 4).mean() / minute.var() ** 2),
        (usd[0] ** 2).sum() / usd[0].sum() / (interest * close.mean()).mean(),
        interest[-1440:].mean() * close[-1440:].mean() / 1e6,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=60)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("regimes", nargs="*", default=list(REGIMES))
    given = parser.parse_args()
    measure("base", 1, 0.01)  # compiles
    print("regime  cpu s V/OI/d (aim)  liq/OI/d (aim)   isolated (aim)  vol/d (aim)    "
          "1/s USD (aim)  opened/d   open  liq/d  1m kurtosis  q2/q/OI  OI M")  # fmt: skip
    for name in given.regimes:
        runs = [measure(name, seed, given.days) for seed in range(1, given.seeds + 1)]
        (s, v, liq, iso, vol, seen, opened, alive, count, kurtosis, largest,
         oi) = np.mean(runs, axis=0)  # fmt: skip
        aim = TARGETS[name]
        print(
            f"{name:7s} {s:4.1f}  {v:5.2f} ({aim[0]:.1f})  {liq:7.2%} ({aim[1]:.1%})   "
            f"{iso:.2f} ({aim[2]:.2f})     {vol:.1%} ({aim[3]:.1%})   {seen:.2f} "
            f"({aim[4]:.2f})     {opened:7.0f} {alive:7.0f}  {count:5.0f}  {kurtosis:9.0f}"
            f"  {largest:9.1e}  {oi:4.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
