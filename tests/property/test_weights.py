"""Dated weights change what is shown, never what is known, and never the past."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.engine import MODEL_VERSION
from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.leverage import build_bank
from liqheat.engine.live import LiveHeatmap
from liqheat.engine.params import bar_matrix
from liqheat.engine.sweeps import swept
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from tests.property.strategies import markets

BTC = instrument("simulated:BTCUSDT")
K = len(build_bank(BTC, "calibrated", None)[0].weight)
SETTINGS = settings(deadline=None, max_examples=30)


def weights(as_of_ms: int, log_gain: Any = None, **changes: Any) -> Weights:
    gain = np.zeros(K) if log_gain is None else log_gain
    given: dict[str, Any] = {
        "instrument": BTC.name, "model_version": MODEL_VERSION, "as_of_ms": as_of_ms,
        "data_start_ms": 0, "method": "fitted", "completeness": "full", "events": 9,
        "log_gain": tuple(gain), "side_gain": 0.0,
        "covariance": (0.0,) * ((K + 1) * (K + 2) // 2), "event_size": 1.0,
        "shape": 3.0, "zone_shape": 1.0, "feed_share": 1.0,
    }  # fmt: skip
    return Weights(**{**given, **changes})


@st.composite
def dated(draw: st.DrawFn, bars: Bars) -> list[Weights]:
    first, last = int(bars.start_ms[0]), int(bars.start_ms[-1]) + bars.interval_ms
    days = draw(st.lists(st.integers(first, last), max_size=4, unique=True))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    return [
        weights(day, rng.normal(0, 1, K), side_gain=rng.normal()) for day in sorted(days)
    ]


def params(bars: Bars, mix: Any = None) -> HeatmapParams:
    return HeatmapParams(
        "calibrated", bins=200, leverage=mix, price_min=float(bars.low.min()) * 0.7,
        price_max=float(bars.high.max()) * 1.4,
    )  # fmt: skip


@SETTINGS
@given(st.data(), markets())
def test_live_equals_batch_and_a_prefix_is_a_prefix(
    data: st.DataObject, bars: Bars
) -> None:
    learnt, p = data.draw(dated(bars)), params(bars)
    heat = build_heatmap(bars, BTC, p, weights=learnt)
    n = data.draw(st.integers(1, len(bars)))
    end = int(bars.start_ms[n - 1]) + bars.interval_ms
    # Weights which were learnt later may be there or not: nothing before them changes.
    known = [each for each in learnt if each.as_of_ms <= end]
    part = build_heatmap(bars[:n], BTC, p, weights=known)
    t = len(part.start_ms)
    np.testing.assert_array_equal(part.long_usd, heat.long_usd[:t])
    np.testing.assert_array_equal(part.short_usd, heat.short_usd[:t])
    live = LiveHeatmap(BTC, p, heat.price_edges, bars.interval_ms, known)
    live.warm(bars[:n])
    live.learn(learnt)
    rows = bar_matrix(bars)
    for i in range(n, len(bars)):
        row: Any = tuple(rows[i])
        live.push(int(bars.start_ms[i]) + bars.interval_ms, row)
        t = int(np.searchsorted(heat.start_ms, bars.start_ms[i]))
        np.testing.assert_array_equal(live.long_usd, heat.long_usd[t])
        np.testing.assert_array_equal(live.short_usd, heat.short_usd[t])
    np.testing.assert_array_equal(
        swept(bars, BTC, p, weights=learnt)[:n], swept(bars[:n], BTC, p, weights=known)
    )


@SETTINGS
@given(st.data(), markets(), st.sampled_from([None, {25: 0.5, 50: 0.5}, {33: 1.0}]))
def test_tiers_sum_exactly(data: st.DataObject, bars: Bars, mix: Any) -> None:
    heat = build_heatmap(bars, BTC, params(bars, mix), weights=data.draw(dated(bars)))
    total = np.zeros_like(heat.long_usd)
    for k in range(len(heat.tiers)):
        total += heat.tier_usd(k)[0]
    np.testing.assert_array_equal(total, heat.long_usd)


@SETTINGS
@given(markets())
def test_weights_of_nothing_learnt_are_the_prior(bars: Bars) -> None:
    p = params(bars)
    learnt = [weights(int(bars.start_ms[0]))]
    np.testing.assert_array_equal(
        build_heatmap(bars, BTC, p, weights=learnt).long_usd,
        build_heatmap(bars, BTC, p).long_usd,
    )


def test_a_gain_multiplies_its_component_and_a_mixture_its_tier() -> None:
    bank, tiers = build_bank(BTC, "calibrated", None)
    assert bank.weight.sum() == pytest.approx(1.0)
    assert bank.weight.min() > 0
    assert len(bank.weight) == 48
    mixed, same = build_bank(BTC, "calibrated", {tiers[3]: 3, tiers[5]: 1})
    assert same == tiers
    share = np.bincount(mixed.tier, mixed.weight, len(tiers))
    assert share[3] == pytest.approx(0.75)
    assert share[5] == pytest.approx(0.25)
    inside = bank.tier == 3
    ratio = mixed.weight[inside] / bank.weight[inside]
    np.testing.assert_allclose(ratio, ratio[0])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"instrument": "okx:BTC-USDT-SWAP"}, "belong to another instrument"),
        ({"model_version": "2020.1.1"}, "another model version.*calibrate again"),
        ({"log_gain": (0.0,) * 3}, "do not fit the model's 48 components"),
        ({"log_gain": (float("nan"),) * K}, "not finite"),
        ({"shape": 0.0}, "not positive"),
        ({"feed_share": 0.0}, "feed_share"),
    ],
)
def test_weights_of_something_else_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says) as error:
        build_heatmap(
            BARS, BTC, HeatmapParams("calibrated"), weights=[weights(0, **changes)]
        )
    assert "\n" not in str(error.value)


def test_weights_out_of_order_or_for_another_model_are_refused() -> None:
    with pytest.raises(BadInputError, match="in order"):
        build_heatmap(
            BARS, BTC, HeatmapParams("calibrated"), weights=[weights(5), weights(5)]
        )
    with pytest.raises(BadInputError, match="calibrated model only"):
        build_heatmap(BARS, BTC, HeatmapParams("zones"), weights=[weights(5)])


BARS = Bars.from_columns(
    {"start_ms": np.arange(5) * 60_000, "open": [1.0] * 5, "high": [1.1] * 5,
     "low": [0.9] * 5, "close": [1.0] * 5, "qty": [1.0] * 5}
)  # fmt: skip
