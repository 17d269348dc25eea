"""Bands: the mean is the map, the width is what is not known."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from liqheat.engine.band import zone_shape
from liqheat.engine.fit import expected, prior_covariance
from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.engine.learn import learn
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.instrument import instrument
from tests.market import DAY, T0
from tests.unit.test_fit import problem, true
from tests.unit.test_learn import BARS, BTC, DAYS, EVENTS

WEIGHTS = learn(BARS, BTC, EVENTS)
HOUR = 3_600_000


def build(**changes: object) -> Heatmap:
    params = HeatmapParams("calibrated", price_min=45_000, price_max=75_000, bins=600)
    return build_heatmap(BARS, BTC, params, weights=WEIGHTS, step_ms=HOUR, **changes)  # type: ignore[arg-type]


HEAT = build()


def test_the_mean_is_what_the_map_shows() -> None:
    edges = HEAT.price_edges[::20]
    for t in (-1, len(HEAT.start_ms) - 7):
        shown = (HEAT.long_usd[t] + HEAT.short_usd[t]).reshape(-1, 20).sum(axis=1)
        mean, low, high = HEAT.bands(edges, t)
        np.testing.assert_allclose(mean, shown, rtol=1e-4, atol=1.0)
        assert (low <= high).all()
        some = mean > mean.max() / 1e3
        assert (low[some] < mean[some]).all()
        assert (mean[some] < high[some]).all()


def test_a_column_held_to_open_interest_is_held_in_its_bands() -> None:
    scarce = replace(BARS, open_interest_qty=np.full(len(BARS), 20.0))
    heat = build_heatmap(scarce, BTC, HEAT.params, weights=WEIGHTS, step_ms=HOUR)
    assert heat.capped[-1]
    shown = (heat.long_usd[-1] + heat.short_usd[-1]).sum()
    band = heat.band(float(heat.price_edges[0]), float(heat.price_edges[-1]))
    assert band.mean_usd == pytest.approx(shown, rel=1e-4)


def test_a_wider_level_holds_a_narrower_one() -> None:
    half, most = HEAT.band(50_000, 58_000, level=0.5), HEAT.band(50_000, 58_000, level=0.9)
    assert most.low_usd < half.low_usd < half.mean_usd < half.high_usd < most.high_usd


def test_more_is_known_of_a_whole_than_of_its_parts() -> None:
    whole = HEAT.band(50_000, 58_000)
    parts = HEAT.bands(np.linspace(50_000, 58_000, 9))
    assert parts.mean_usd.sum() == pytest.approx(whole.mean_usd)
    assert (parts.high_usd - parts.low_usd).sum() > whole.high_usd - whole.low_usd


def test_bands_of_zones_hold_what_past_sweeps_did() -> None:
    p, gain = problem(3, 3000), true(3, 0.2)
    p = p._replace(features=50 * p.features)
    nothing = np.zeros((len(gain), len(gain)))
    m, rng = expected(p, gain), np.random.default_rng(4)
    for truth in (0.5, 2.0):
        kappa = truth * np.sqrt(m / p.event_size)
        shape = m**2 / (p.event_size * m + m**2 / kappa)
        drawn = p._replace(realised=rng.gamma(shape, m / shape))
        assert zone_shape(drawn, gain, nothing) == pytest.approx(truth, rel=0.2)
        # What is not known of the weights widens the band by itself.
        known = 0.01 * prior_covariance(p, p)
        assert zone_shape(drawn, gain, known) > zone_shape(drawn, gain, nothing)
    empty = p._replace(features=np.zeros_like(p.features))
    assert zone_shape(empty, gain, nothing) == 1.0


def test_relatively_less_is_known_of_a_small_zone() -> None:
    edges = np.array([54_000.0, 55_000.0])
    sure = without_covariance()
    heat = build_heatmap(BARS, BTC, HEAT.params, weights=sure, step_ms=HOUR)
    wide, narrow = heat.band(*edges), heat.band(54_990.0, 55_000.0)
    assert narrow.high_usd / narrow.mean_usd > wide.high_usd / wide.mean_usd


def test_where_nothing_is_the_band_is_empty() -> None:
    assert HEAT.band(1.0, 2.0) == (0.0, 0.0, 0.0)


def test_a_column_without_weights_has_no_band() -> None:
    early = build(start_ms=T0, end_ms=T0 + 2 * DAY)
    assert early.weights_at() is None
    assert early.quality.prior_steps == 48
    with pytest.raises(UnavailableError, match="has no learnt weights"):
        early.band(50_000, 58_000)
    assert HEAT.weights_at() == WEIGHTS[-1]
    assert HEAT.quality.weights_as_of_ms == T0 + DAYS * DAY
    assert HEAT.quality.weights_method == "fitted"


@pytest.mark.parametrize(
    ("low", "high", "level", "says"),
    [
        (2.0, 1.0, 0.8, "must rise"), (1.0, 2.0, 1.0, "between 0 and 1"),
        (-1.0, 2.0, 0.8, "must be positive"), (1.0, float("nan"), 0.8, "must rise"),
    ],
)  # fmt: skip
def test_bad_ranges_are_refused(low: float, high: float, level: float, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        HEAT.band(low, high, level=level)


def test_liquidations_given_to_the_build_are_learnt_from_inside() -> None:
    params = replace_model("calibrated")
    inside = build_heatmap(BARS, BTC, params, liquidations=EVENTS, step_ms=HOUR)
    np.testing.assert_array_equal(inside.long_usd, HEAT.long_usd)
    assert list(inside.weights) == WEIGHTS
    with pytest.raises(BadInputError, match="not both"):
        build_heatmap(BARS, BTC, params, liquidations=EVENTS, weights=WEIGHTS)
    with pytest.raises(BadInputError, match="only the calibrated model learns"):
        build_heatmap(BARS, BTC, replace_model("zones"), liquidations=EVENTS)
    with pytest.raises(BadInputError, match="another instrument"):
        build_heatmap(BARS, instrument("binance:BTCUSDT"), params, weights=WEIGHTS)


def without_covariance() -> list[Weights]:
    return [
        msgspec.structs.replace(each, covariance=(0.0,) * len(each.covariance))
        for each in WEIGHTS
    ]


def replace_model(model: str) -> HeatmapParams:
    return HeatmapParams(model, price_min=45_000, price_max=75_000, bins=600)  # type: ignore[arg-type]
