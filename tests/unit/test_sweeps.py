"""What bars sweep, by hand and against the map itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.sweeps import swept, swept_components
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from tests.market import market

BTC = instrument("simulated:BTCUSDT")
SHARP = HeatmapParams("sharp")


def calm(n: int = 30, last: float = 96.0) -> Bars:
    close = np.r_[np.full(n, 100.0), last]
    return Bars.from_columns({
        "start_ms": np.arange(n + 1) * 60_000, "open": np.r_[100.0, close[:-1]],
        "high": np.maximum(100.0, close), "low": np.minimum(100.0, close), "close": close,
        "qty": np.r_[np.full(n, 100.0), 0.0],
    })  # fmt: skip


def test_a_fall_sweeps_the_longs_which_lie_in_it() -> None:
    bars = calm()
    params = HeatmapParams(leverage={25: 0.5, 10: 0.5}, price_min=80, price_max=120)
    found = swept(bars, BTC, params)
    heat = build_heatmap(bars, BTC, params)
    before, after = heat.level_long_qty[-2], heat.level_long_qty[-1]
    assert found[:-1, 0].max() == 0
    assert found[-1, 0] == pytest.approx(
        (before - after) * 96.0, rel=5e-3
    )  # a minute fades
    assert found[-1, 1] == 0


def test_the_map_before_a_bar_is_held_to_open_interest_as_it_is_shown() -> None:
    bars = replace(calm(200), open_interest_qty=np.full(201, 50.0))
    params = HeatmapParams(leverage={25: 1}, price_min=80, price_max=120)
    assert build_heatmap(bars, BTC, params).capped[-2]
    assert swept(bars, BTC, params)[-1, 0] <= 0.85 * 50.0 * 96.0


def test_a_gap_sweeps_all_between_its_two_sides() -> None:
    whole = calm(30, 78.0)
    start = whole.start_ms.copy()
    start[-1] += 10 * 60_000
    hole = replace(whole, start_ms=start, open=np.r_[whole.open[:-1], 78.0],
                   high=np.r_[whole.high[:-1], 78.0])  # fmt: skip
    params = HeatmapParams(leverage={25: 0.5, 10: 0.5}, price_min=60, price_max=140)
    # 78 lies beyond all longs of 10x and more; only the 22 % gap itself leads there.
    assert swept(hole, BTC, params)[-1, 0] > 0
    heat = build_heatmap(hole, BTC, params)
    assert heat.level_long_qty[-1] == 0
    assert heat.gap.sum() == 10


@pytest.mark.parametrize("model", ["sharp", "zones", "calibrated"])
@pytest.mark.parametrize("name", ["simulated:BTCUSDT", "simulated:BTCUSD"])
def test_components_times_weights_are_the_sweep(model: str, name: str) -> None:
    what = instrument(name)
    bars = replace(market(600), open_interest_qty=np.full(600, np.nan))  # no cap
    params = HeatmapParams(model)  # type: ignore[arg-type]
    start, features = swept_components(bars, what, params, 60_000)
    weight = build_heatmap(bars[:2], what, params).source.bank.weight
    usd = features @ weight * (1.0 if what.is_inverse else bars.close[:, None])
    np.testing.assert_array_equal(start, bars.start_ms)
    np.testing.assert_allclose(usd, swept(bars, what, params), rtol=1e-12)
    assert usd.max() > 0


def test_blocks_are_sums_of_bars_and_skip_holes() -> None:
    bars = market(600)
    keep = np.ones(600, bool)
    keep[100:300] = False
    bars = replace(bars, **{n: getattr(bars, n)[keep] for n in bars.__dataclass_fields__
                            if n != "interval_ms"})  # fmt: skip
    fine_start, fine = swept_components(bars, BTC, SHARP, 60_000)
    start, block = swept_components(bars, BTC, SHARP)
    assert set(start) == set(fine_start // 900_000 * 900_000)
    assert len(start) < 600 / 15
    for i, begin in enumerate(start):
        inside = fine_start // 900_000 * 900_000 == begin
        np.testing.assert_allclose(block[i], fine[inside].sum(axis=0), rtol=1e-12)


def test_a_sweep_uses_nothing_later() -> None:
    bars = market(400)
    np.testing.assert_array_equal(
        swept(bars, BTC, HeatmapParams("zones"))[:250],
        swept(bars[:250], BTC, HeatmapParams("zones")),
    )


def test_a_block_which_is_no_multiple_is_refused() -> None:
    with pytest.raises(BadInputError, match="multiple of the bars'"):
        swept_components(market(10), BTC, SHARP, 90_000)
