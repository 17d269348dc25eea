"""The magnet test: nothing is found where there is nothing, and something where there is."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import special

from liqheat.errors import UnavailableError
from liqheat.market.events import Bars
from liqheat.study import magnet as module
from liqheat.study.magnet import logistic, magnet
from tests.unit.test_study import STEP, T0, market


def martingales(n: int = 3) -> list:
    return [market(288 * 90, seed=seed) for seed in range(20, 20 + n)]


def test_a_martingale_has_no_magnet():
    found = magnet(martingales(), distance=0.015)
    assert found.races > 1_500
    assert abs(found.slope.value) < 3 * found.error
    assert found.slope.low < 0 < found.slope.high
    assert found.shuffle_p > 0.02
    assert found.touch_beta.low < 0 < found.touch_beta.high
    assert found.touch_barrier.value == pytest.approx(1, abs=0.15)
    assert found.detectable == pytest.approx(2.80 * found.error, rel=0.01)
    assert "no effect was found" in found.words()
    assert "no claim that price is attracted" in found.words()


def test_a_price_which_is_drawn_to_mass_is_found(monkeypatch):
    markets = martingales(2)

    def drawn(one, model, times, logs):
        # A map which knows where the price went: what a true magnet would look like.
        later = one.bars.close[
            np.searchsorted(one.bars.start_ms, times + module.HORIZON_MS) - 1
        ]
        maps = np.random.default_rng(1).gamma(2, 1, (len(times), 200))
        maps[np.log(later) > logs, 100:] *= 1.5
        return maps

    monkeypatch.setattr(module, "_maps", drawn)
    found = magnet(markets, distance=0.015)
    assert found.slope.low > 0
    assert found.shuffle_p == 0
    assert "more often" in found.words()


def test_the_magnet_test_is_the_same_twice():
    one = martingales(1)
    assert magnet(one, distance=0.01, seed=3) == magnet(one, distance=0.01, seed=3)


@pytest.mark.filterwarnings("error")
def test_a_market_of_three_days_is_refused_without_a_warning():
    short = market(3 * 288)
    with pytest.raises(UnavailableError, match="only 0 of 0 races"):
        magnet([replace(short, score_from_ms=short.end_ms)], distance=0.015)


def test_too_few_races_are_refused():
    with pytest.raises(UnavailableError, match="were decided within a day"):
        magnet([market(288 * 8)], distance=0.05)


def test_races_over_holes_in_the_bars_are_not_run():
    one = market(288 * 30)
    names = ("start_ms", "open", "high", "low", "close", "qty")
    keep = np.ones(len(one.bars), bool)
    keep[288 * 15 : 288 * 16] = False
    holed = replace(
        one, bars=Bars.from_columns({n: getattr(one.bars, n)[keep] for n in names})
    )
    races = module._races(holed, "sharp", 0.01)
    hole = T0 + 15 * 288 * STEP
    assert not ((races.time_ms > hole - module.HORIZON_MS)
                & (races.time_ms < hole + 288 * STEP)).any()  # fmt: skip
    assert len(races.time_ms) > 100


def test_logistic_regression_finds_its_coefficients():
    rng = np.random.default_rng(1)
    design = np.column_stack([np.ones(40_000), rng.normal(size=(40_000, 2))])
    y = (rng.uniform(size=40_000) < special.expit(design @ [0.3, 1.0, -0.5])).astype(float)
    np.testing.assert_allclose(
        logistic(design, y, np.ones(40_000)), [0.3, 1.0, -0.5], atol=0.05
    )
