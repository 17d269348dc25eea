"""How fast the engine is, each figure beside two references timed in the same run.

    python benchmarks/engine.py            # prints the table; about two minutes

`numpy` is the same recursion written with whole-array numpy and dense decay (what a careful
author writes without a compiler); `reference` is `engine/reference.py`. Both are timed on a
slice and scaled by bars, since they are too slow for the whole. CPU seconds of the calling
thread, so that a busy machine disturbs less; memory is the largest resident size of the
process until then (an interpreter with numba loaded: about 190 MB).
"""

from __future__ import annotations

import math
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liqheat.engine import kernels, learn
from liqheat.engine.fit import Problem, expected, fit
from liqheat.engine.flow import PHI
from liqheat.engine.grid import price_edges, rows_for
from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.leverage import LOG_BIN, N_BINS, build_bank
from liqheat.engine.live import LiveHeatmap
from liqheat.engine.params import bar_matrix
from liqheat.engine.sweeps import swept
from liqheat.market.events import Bars, Liquidations
from liqheat.market.instrument import instrument
from liqheat.market.units import DAY_MS

sys.path.append(str(Path(__file__).parents[1]))
from liqheat.engine.reference import ReferenceLedger

FOUR = {10: 0.3, 25: 0.3, 50: 0.2, 100: 0.2}
EIGHT = {3: 0.1, 5: 0.1, 10: 0.2, 20: 0.2, 25: 0.1, 50: 0.1, 75: 0.1, 100: 0.1}
BTC = instrument("binance:BTCUSDT")


def synthetic(n: int, seed: int = 1) -> Bars:
    """Return n one-minute bars of a fat-tailed walk around 64 000 USD."""
    rng = np.random.default_rng(seed)
    close = 64_000 * np.exp(np.cumsum(rng.standard_t(4, n) * 6e-4))
    open_ = np.r_[64_000, close[:-1]]
    wick = np.abs(rng.normal(0, 3e-4, (2, n)))
    interest = np.abs(90_000 + np.cumsum(rng.normal(0, 20, n)))
    return Bars.from_columns(
        {
            "start_ms": 1_700_000_040_000 + np.arange(n) * 60_000,
            "open": open_, "close": close,
            "high": np.maximum(open_, close) * (1 + wick[0]),
            "low": np.minimum(open_, close) * (1 - wick[1]),
            "qty": np.exp(rng.normal(4, 1, n)),
            "open_interest_qty": np.where(np.arange(n) % 5 == 0, interest, np.nan),
        }
    )  # fmt: skip


def numpy_columns(bars: Bars, params: HeatmapParams, edges: NDArray[np.float64]) -> int:
    """Run the same recursion in whole-array numpy; return the number of columns made."""
    bank, tiers = build_bank(BTC, params.model, params.leverage)
    rows = rows_for(edges)
    base = math.floor(math.log(float(bars.close[0])) / LOG_BIN) - N_BINS // 2
    mass = np.zeros((len(bank.weight), N_BINS))
    price = np.exp((np.arange(N_BINS) + base + 0.5) * LOG_BIN)
    decay = np.exp(-bars.interval_ms / bank.tau_ms)[:, None]
    row_of = np.repeat(np.arange(len(rows.first)), rows.last - rows.first + 1)
    internal = np.arange(len(rows.share)) - rows.offset[row_of] + rows.first[row_of] - base
    belongs = [np.flatnonzero(bank.tier == g) for g in range(len(tiers))]
    for i in range(len(bars)):
        bins = [math.floor(math.log(v) / LOG_BIN) - base
                for v in (bars.low[i], bars.high[i], bars.close[i])]  # fmt: skip
        mass[:, bins[0] : bins[1] + 1] = 0.0
        mass *= decay
        amount = 0.5 * PHI * float(bars.qty[i])
        for k in range(len(bank.weight)):
            for side in (0, 1):
                begin, size = bank.offset[k, side], bank.size[k, side]
                first = bank.first[k, side]
                start = bins[2] - first - size + 1 if side == 0 else bins[2] + first
                if start < 0 or start + size > N_BINS:
                    continue
                mass[k, start : start + size] += amount * bank.values[begin : begin + size]
        for members in belongs:
            level = (bank.weight[members, None] * mass[members]).sum(axis=0) * price
            np.bincount(row_of, rows.share * level[internal], minlength=len(rows.first))
    return len(bars)


def median_cpu(work: Callable[[], object], times: int) -> float:
    """Return the median CPU seconds of the calling thread."""
    seconds = []
    for _ in range(times):
        begin = time.thread_time()
        work()
        seconds.append(time.thread_time() - begin)
    return statistics.median(seconds)


def peak_mb() -> float:
    """Return the largest resident size the process ever had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row(name: str, seconds: float, bar: float, unit: float, per: str, *ratios: str) -> None:
    met = "met" if seconds <= bar else f"MISSED by {seconds / bar - 1:.0%}"
    print(f"| {name} | {seconds * unit:.3g} {per} | <= {bar * unit:.3g} {per} | {met} | "
          + " | ".join(ratios) + " |")  # fmt: skip


def slow_rates(bars: Bars, params: HeatmapParams) -> tuple[float, float]:
    """Return seconds per column of plain numpy and of the reference."""
    bars = bars[:400]
    edges = price_edges(params, float(bars.low.min()), float(bars.high.max()))
    n = len(bars)
    begin = time.thread_time()
    numpy_columns(bars, params, edges)
    plain = (time.thread_time() - begin) / n
    bank, _ = build_bank(BTC, params.model, params.leverage)
    oracle, few = ReferenceLedger(bank, inverse=False), 15
    begin = time.thread_time()
    for i in range(few):
        oracle.push(bars, i)
        oracle.column(edges)
    return plain, (time.thread_time() - begin) / few


def main() -> None:
    """Print the table."""
    week, year = synthetic(10_080), synthetic(525_600)
    begin = time.perf_counter()
    build_heatmap(week[:100], BTC)
    print(
        f"first call, compiling or loading compiled code: {time.perf_counter() - begin:.2f} s\n"
    )
    print(
        "| what | CPU | bar | | plain numpy / ours | reference / ours | memory (process peak) |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, bars, step, params, bar in (
        ("7 days of 1m, 1100 bins, sharp, 4 tiers", week, 60_000,
         HeatmapParams(bins=1100, leverage=FOUR), 0.1),
        ("the same, all 10 tiers of the prior", week, 60_000, HeatmapParams(bins=1100), 0.1),
        ("the same, zones (48 components)", week, 60_000,
         HeatmapParams("zones", bins=1100), 0.1),
        ("1 year of 1m, 1000 bins, sharp, 8 tiers, 4012 columns", year, 131 * 60_000,
         HeatmapParams(leverage=EIGHT), 3.0),
        ("the same, zones (48 components)", year, 131 * 60_000, HeatmapParams("zones"), 3.0),
    ):  # fmt: skip

        def work(b: Bars = bars, p: HeatmapParams = params, s: int = step) -> object:
            return build_heatmap(b, BTC, p, step_ms=s)

        work()
        seconds = median_cpu(work, 5 if bars is week else 2)
        plain, oracle = slow_rates(bars, params)
        n = len(bars)
        row(name, seconds, bar, 1.0, "s", f"{plain * n / seconds:,.0f}",
            f"{oracle * n / seconds:,.0f}", f"{peak_mb():.0f} MB")  # fmt: skip
    for model in ("sharp", "zones"):
        push(week, HeatmapParams(model))  # type: ignore[arg-type]
    recalibrate(year[:86_400])
    print(f"\npeak resident size of the whole run: {peak_mb():.0f} MB")


def push(week: Bars, params: HeatmapParams) -> None:
    """Time one live bar, all tiers, 1000 rows."""
    edges = price_edges(params, float(week.low.min()), float(week.high.max()))
    live = LiveHeatmap(BTC, params, edges, 60_000)
    live.warm(week[:5000])
    rows, ends = bar_matrix(week), week.start_ms + 60_000
    items = [(int(ends[i]), tuple(rows[i])) for i in range(5000, 8000)]

    def work() -> None:
        for end, bar in items:
            live.push(end, bar)  # type: ignore[arg-type]

    seconds = median_cpu(work, 1) / len(items)
    plain, oracle = slow_rates(week, params)
    size = sum(array.nbytes for array in kernels.new_ledger(live.bank)) / 1e6
    row(f"push one live bar, {params.model}", seconds, 50e-6, 1e6, "µs",
        f"{plain / seconds:,.0f}", f"{oracle / seconds:,.0f}", f"{size:.1f} MB state")  # fmt: skip


def recalibrate(bars: Bars) -> None:
    """Time the learning of one day's weights from 60 days of 1m bars."""
    params = HeatmapParams("calibrated")
    rng = np.random.default_rng(1)
    usd = 0.05 * swept(bars, BTC, params)
    # Whole quarters of an hour run hot or cold together, as real ones do.
    heat = np.repeat(rng.gamma(2.0, 0.5, (len(bars) // 15, 2)), 15, axis=0)
    rows, sides = np.nonzero(rng.poisson(usd * heat / 20_000.0))
    size = rng.exponential(0.3, len(rows)) + 1e-4
    events = Liquidations.from_columns(
        {"event_ms": bars.start_ms[rows], "is_long": sides == 0, "qty": size,
         "notional_usd": size * bars.close[rows]}, completeness="full",
    )  # fmt: skip
    end = int(bars.start_ms[-1]) // DAY_MS * DAY_MS
    evidence = learn.gather(bars, BTC, events)
    yesterday = learn.learn_day(evidence, end - DAY_MS)
    assert yesterday is not None
    start = np.append(yesterday.log_gain, yesterday.side_gain)
    problem, _ = learn.problem_at(evidence, end)
    fit_seconds = median_cpu(lambda: fit(problem, start), 5)
    normal = median_cpu(lambda: plain_fit_step(problem), 3) * fit(problem, start).steps
    row("fit 60 days alone, warm start", fit_seconds, 0.2, 1e3, "ms",
        f"{normal / fit_seconds:.1f}", "-", "-")  # fmt: skip
    seconds = median_cpu(lambda: learn.learn_day(evidence, end, start=start), 3)
    row("one day's weights: two fits, two scales, trips", seconds, 0.2, 1e3, "ms", "-", "-",
        f"{evidence.features.nbytes / 1e6:.0f} MB features")  # fmt: skip

    def whole() -> None:
        learn.learn_day(learn.gather(bars, BTC, events), end, start=start)

    plain, oracle = slow_rates(bars, params)
    seconds = median_cpu(whole, 3)
    row("the same with the features of 60 days of 1m", seconds, 0.2, 1e3, "ms",
        f"{plain * len(bars) / seconds:,.0f}", f"{oracle * len(bars) / seconds:,.0f}",
        f"{peak_mb():.0f} MB")  # fmt: skip


def plain_fit_step(problem: Problem) -> object:
    """Do one step of the fit with one large product, as BLAS likes it."""
    m = expected(problem, problem.mean).ravel()
    jacobian = problem.features.reshape(len(m), -1) * problem.prior
    weighted = jacobian / (problem.event_size * m + m**2)[:, None]
    return np.linalg.inv(weighted.T @ jacobian + np.eye(jacobian.shape[1])), expected(
        problem, problem.mean
    )


if __name__ == "__main__":
    main()
