"""How near the modelled map is to the true one of the simulated market.

Per regime and model, means over six-hourly snapshots after a warm-up: ``r`` is Pearson's
correlation of the two maps at 10 bp bins within 10 % of the price; ``mirrored`` the same with
the modelled map turned over at the price, which a swapped direction would raise; ``USD`` the
geometric mean of modelled over true notional there; ``distance`` the correlation of an oracle
which knows the mean true map by distance, and nothing else.

Run: ``python benchmarks/truth.py [--days 65] [--seeds 2] [regime ...]``
"""

from __future__ import annotations

import argparse
import asyncio
import math

import numpy as np

from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.exchanges._agents import REGIMES
from liqheat.exchanges.simulated import SimulatedExchange
from liqheat.market.events import Bars
from liqheat.market.instrument import SHIPPED

NAME = "simulated:BTCUSDT"
NOW_MS = 1_790_035_200_000
DAY_MS, STEP_MS = 86_400_000, 6 * 3_600_000
WARM_DAYS, BIN, REACH = 25, 1e-3, 100
#: What an earlier prototype of these models reached, in the mean over regimes.
REFERENCE = {"sharp": 0.56, "zones": 0.67}


def load_bars(exchange: SimulatedExchange) -> Bars:
    def fetch(kind: str) -> dict[str, np.ndarray]:
        table = asyncio.run(exchange.fetch_history(NAME, kind, 0, NOW_MS + 1))  # type: ignore[arg-type]
        return {key: table[key].to_numpy() for key in table.column_names if key != "source"}

    interest = fetch("open_interest")
    return Bars.from_columns(fetch("bars")).with_open_interest(
        interest["event_ms"], interest["open_interest_qty"]
    )


def build(bars: Bars, model: str) -> Heatmap:
    low, high = float(bars.low.min()) * 0.85, float(bars.high.max()) * 1.15
    bins = math.ceil(math.log(high / low) / BIN)
    params = HeatmapParams(
        model=model,  # type: ignore[arg-type]
        price_min=low, price_max=low * math.exp(bins * BIN), bins=bins,
    )  # fmt: skip
    first = int(bars.start_ms[0]) + WARM_DAYS * DAY_MS
    return build_heatmap(bars, SHIPPED[NAME], params, start_ms=first, step_ms=STEP_MS)


def around(values: np.ndarray, centre: int) -> np.ndarray:
    return values[centre - REACH : centre + REACH].astype(np.float64)


def score(heat: Heatmap, truths: np.ndarray) -> np.ndarray:
    rows = []
    for t, true in enumerate(truths):
        centre = int(np.searchsorted(heat.price_edges, heat.close[t]))
        made = around(heat.long_usd[t] + heat.short_usd[t], centre)
        rows.append((
            np.corrcoef(true, made)[0, 1],
            np.corrcoef(true, made[::-1])[0, 1],
            math.log(made.sum() / true.sum()),
        ))  # fmt: skip
    r, mirrored, usd = np.array(rows).mean(axis=0)
    return np.array([r, mirrored, math.exp(usd)])


def true_maps(exchange: SimulatedExchange, heat: Heatmap) -> np.ndarray:
    edges, n = heat.price_edges, len(heat.start_ms)
    ends = [heat.end_ms(t) for t in range(n)]
    both = np.add(*exchange.history(NAME, edges, ends))
    centres = np.searchsorted(edges, heat.close)
    return np.array([around(both[t], int(centres[t])) for t in range(n)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=float, default=65)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("regimes", nargs="*", default=["base"])
    given = parser.parse_args()
    print("regime  model   r     reference  mirrored  USD    distance")
    for regime in given.regimes:
        if regime not in REGIMES:
            parser.error(f"no regime {regime!r}")
        found: dict[str, list[np.ndarray]] = {model: [] for model in REFERENCE}
        oracle = []
        for seed in range(1, given.seeds + 1):
            exchange = SimulatedExchange(
                seed=seed, regime=regime, history_days=given.days, now_ms=lambda: NOW_MS
            )
            bars = load_bars(exchange)
            truths = np.zeros(0)
            for model, scores in found.items():
                heat = build(bars, model)
                if not len(truths):
                    truths = true_maps(exchange, heat)
                scores.append(score(heat, truths))
            mean = truths.mean(axis=0)
            oracle.append(np.mean([np.corrcoef(true, mean)[0, 1] for true in truths]))
        for model, scores in found.items():
            r, mirrored, usd = np.mean(scores, axis=0)
            print(f"{regime:7s} {model:6s} {r:.3f}   {REFERENCE[model]:.2f}      {mirrored:+.3f}"
                  f"    {usd:5.2f}  {np.mean(oracle):.3f}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
