"""A market whose price path is known, from files through the command line to HTTP answers."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import T0, write_file
from tests.integration.test_up import Up
from tests.market import MINUTE

pytestmark = pytest.mark.slow

N = 2 * 1440


def price_path() -> np.ndarray:
    """Return closes: a day of slow rise from 50 000 to 52 000, then flat."""
    rise = np.linspace(50_000, 52_000, N // 2)
    return np.concatenate([rise, np.full(N // 2, 52_000.0)])


def bars(open_interest_qty: float) -> dict[str, Any]:
    close = price_path()
    opened = np.concatenate([close[:1], close[:-1]])
    return {
        "start_ms": T0 + MINUTE * np.arange(N), "open": opened, "close": close,
        "high": np.maximum(opened, close) + 5, "low": np.minimum(opened, close) - 5,
        "qty": np.full(N, 20.0),
        "open_interest_qty": np.linspace(open_interest_qty / 2, open_interest_qty, N),
    }  # fmt: skip


@pytest.mark.parametrize("instrument", ["binance:BTCUSDT", "simulated:BTCUSD"])
def test_longs_lie_below_and_shorts_above(tmp_path: Path, instrument: str) -> None:
    path = write_file(tmp_path / "bars.csv", bars(20_000.0))
    data = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-m", "liqheat", "--data-dir", str(data), "import", str(path),
         "--instrument", instrument, "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(done.stdout)["new"] == 2 * N
    up = Up(data, "--offline")
    try:
        asked = f"instrument={instrument}&range=24h&bins=400"
        whole = up.get(f"/api/v1/map?{asked}")
        column = up.get(f"/api/v1/column?{asked}")
    finally:
        up.stop()
    price, long, short = (np.array(whole[k]) for k in ("price", "long_usd", "short_usd"))
    assert whole["last_price"] == pytest.approx(52_000)
    assert price[long > 0].max() < 52_010
    assert price[short > 0].min() > 51_990
    assert long.sum() > 0 < short.sum()
    # Positions opened on the way up from 50 000 at 100x are dead; those at 10x lie near 45 000.
    assert long[(price > 45_000) & (price < 52_000)].sum() > 0
    # 20,000 coins at 52,000 are 1.04 G USD on each side, levels and the rest together; what
    # dies at a lower price is worth less then, what dies at a higher one more.
    edges = np.array(column["price_edges"])
    middle = (edges[1:] + edges[:-1]) / 2
    for side, sign in (("long", -1), ("short", 1)):
        usd = np.array(column[f"{side}_usd"])
        assert (sign * (middle[usd > 0] - 52_000) > -10).all()
        total = usd.sum() + column[f"residual_{side}_usd"] + column[f"outside_{side}_usd"]
        assert total == pytest.approx(column["open_interest_usd"], rel=0.15)
    assert column["open_interest_usd"] == pytest.approx(20_000 * 52_000, rel=2e-3)
