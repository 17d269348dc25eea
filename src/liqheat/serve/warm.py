"""Compile the engine's kernels in another process, so that the first picture need not wait.

On the first start after an installation the compiler works for some seconds, and would hold up
everything else in its own process. Here it runs beside the fetching of history; what it makes
is kept on disk, and later starts find it there.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

import numpy as np

from liqheat.engine import render
from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.live import LiveHeatmap
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument

log = logging.getLogger("liqheat.warm")


def is_compiled() -> bool:
    """Return whether compiled kernels lie on disk."""
    folder = Path(str(render.run.stats.cache_path))  # type: ignore[attr-defined]
    return any(folder.glob("render.run-*.nbi"))


def compile_kernels() -> None:
    """Use every kernel once."""
    n = np.arange(10)
    column = np.full(10, 100.0)
    bars = Bars.from_columns(
        {"start_ms": 1_700_000_040_000 + 60_000 * n, "open": column, "high": column + 1,
         "low": column - 1, "close": column, "qty": column}
    )  # fmt: skip
    btc = instrument("simulated:BTCUSDT")
    heat = build_heatmap(bars, btc, HeatmapParams(bins=50))
    live = LiveHeatmap(btc, heat.params, heat.price_edges, 60_000)
    live.warm(bars)
    row = (101.0, 99.0, 100.0, 1.0, 1.0, 101.0, 99.0)
    live.peek(int(bars.start_ms[-1]) + 120_000, row)
    live.push(int(bars.start_ms[-1]) + 120_000, row)


async def warm_up() -> None:
    """Compile beside us if need be. A failure is no fault: we then compile ourselves."""
    if is_compiled():
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        code = await process.wait()
    except BaseException:
        process.kill()
        await process.wait()
        raise
    if code != 0:
        log.warning("warm_up_failed code=%d", code)


if __name__ == "__main__":
    compile_kernels()
