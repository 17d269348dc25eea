"""The engine in cases small enough to work out by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from liqheat.engine.flow import INTEREST_SHARE, PHI, opened
from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.leverage import (
    LOG_BIN,
    NEAREST,
    PRIOR_MIXTURE,
    build_bank,
    lifetime_hours,
    mixture_for,
)
from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.market.margin import effective_rate, liquidation_distance, liquidation_price

BTC = instrument("simulated:BTCUSDT")


def market(close: list[float], **columns: Any) -> Bars:
    prices = np.array(close)
    opens = np.r_[prices[0], prices[:-1]]
    return Bars.from_columns(
        {
            "start_ms": np.arange(len(prices)) * 60_000, "open": opens,
            "high": np.maximum(opens, prices), "low": np.minimum(opens, prices),
            "close": prices, "qty": np.full(len(prices), 100.0), **columns,
        }
    )  # fmt: skip


def test_trap_longs_lie_below_and_shorts_above_the_price() -> None:
    heat = build_heatmap(
        market([100.0] * 10), BTC, HeatmapParams(price_min=50, price_max=200)
    )
    middle = np.sqrt(heat.price_edges[1:] * heat.price_edges[:-1])
    assert heat.long_usd[-1, middle < 100].sum() > 0
    assert heat.short_usd[-1, middle > 100].sum() > 0
    assert not heat.long_usd[:, middle > 100].any()
    assert not heat.short_usd[:, middle < 100].any()


@pytest.mark.parametrize("name", ["simulated:BTCUSDT", "simulated:BTCUSD"])
@pytest.mark.parametrize("leverage", [10, 25, 50, 100])
def test_a_level_lies_at_the_exact_liquidation_price(name: str, leverage: float) -> None:
    what = instrument(name)
    params = HeatmapParams(leverage={leverage: 1}, price_min=80, price_max=125, bins=4000)
    heat = build_heatmap(market([100.0] * 2), what, params)
    middle = np.sqrt(heat.price_edges[1:] * heat.price_edges[:-1])
    rate = effective_rate(what.tiers, leverage)
    for usd, is_long in ((heat.long_usd[-1], True), (heat.short_usd[-1], False)):
        found = float((usd * middle).sum() / usd.sum())
        exact = liquidation_price(
            100, leverage, rate, is_long=is_long, inverse=what.is_inverse
        )
        assert found == pytest.approx(exact, rel=3e-4)  # half an internal bin


def test_the_opened_quantity_is_what_lies_on_each_side() -> None:
    heat = build_heatmap(market([100.0] * 2), BTC, HeatmapParams(leverage={25: 1}))
    two_bars = 2 * 0.5 * PHI * 100.0
    assert heat.level_long_qty[-1] == pytest.approx(two_bars, rel=3e-3)  # a minute of decay
    assert heat.level_short_qty[-1] == pytest.approx(two_bars, rel=3e-3)


def test_a_sweep_consumes_the_levels_it_passes_and_only_those() -> None:
    params = HeatmapParams(leverage={25: 0.5, 10: 0.5}, price_min=80, price_max=120)
    bars = market([100.0] * 30 + [96.0], qty=np.r_[np.full(30, 100.0), 0.0])
    heat = build_heatmap(bars, BTC, params)
    middle = np.sqrt(heat.price_edges[1:] * heat.price_edges[:-1])
    high_leverage = (middle > 96) & (middle < 97)
    low_leverage = (middle > 89) & (middle < 92)
    assert heat.long_usd[-2, high_leverage].sum() > 0
    assert heat.long_usd[-1, high_leverage].sum() == 0
    assert heat.long_usd[-1, low_leverage].sum() == pytest.approx(
        heat.long_usd[-2, low_leverage].sum(), rel=2e-3
    )


def test_trap_a_swept_level_does_not_come_back_when_the_price_does() -> None:
    quiet = np.r_[np.full(30, 100.0), np.zeros(3)]
    params = HeatmapParams(leverage={25: 1}, price_min=80, price_max=120)
    heat = build_heatmap(
        market([100.0] * 30 + [95.0, 100.0, 100.0], qty=quiet), BTC, params
    )
    assert heat.long_usd[29].sum() > 0
    assert heat.long_usd[-1].sum() == 0
    assert heat.short_usd[-1].sum() > 0


def test_trap_sweeps_are_judged_by_mark_not_by_last() -> None:
    # A wick of the last price to 90 which the mark price never followed kills nobody.
    low = np.full(31, 100.0)
    low[30] = 90.0
    quiet = np.r_[np.full(30, 100.0), 0.0]
    steady = {"mark_high": np.full(31, 100.0), "mark_low": np.full(31, 100.0)}
    params = HeatmapParams(leverage={25: 1}, price_min=80, price_max=120)
    by_last = build_heatmap(market([100.0] * 31, low=low, qty=quiet), BTC, params)
    by_mark = build_heatmap(market([100.0] * 31, low=low, qty=quiet, **steady), BTC, params)
    assert by_last.long_usd[-1].sum() == 0
    assert by_mark.long_usd[-1].sum() > 0
    assert (by_last.quality.mark_source, by_mark.quality.mark_source) == ("last", "mark")


def test_a_gap_is_kept_as_faded_columns_with_no_candle() -> None:
    starts = np.r_[np.arange(10), np.arange(200, 210)] * 60_000
    params = HeatmapParams(leverage={100: 1}, price_min=80, price_max=120)
    heat = build_heatmap(market([100.0] * 20, start_ms=starts), BTC, params)
    assert len(heat.start_ms) == 210
    assert heat.gap.sum() == heat.quality.gap_steps == 190
    assert heat.gap[10:200].all()
    total = heat.long_usd.sum(axis=1)
    assert total[199] < total[10] < total[9]
    assert total[199] == pytest.approx(total[9] * np.exp(-190 / 60), rel=1e-3)


def test_a_step_of_several_bars_is_the_map_at_its_end() -> None:
    bars = market(list(100 + np.sin(np.arange(120) / 5)))
    params = HeatmapParams(price_min=80, price_max=120)
    fine = build_heatmap(bars, BTC, params)
    coarse = build_heatmap(bars, BTC, params, step_ms=300_000)
    np.testing.assert_array_equal(coarse.long_usd, fine.long_usd[4::5])
    np.testing.assert_array_equal(coarse.close, fine.close[4::5])
    assert coarse.high[3] == fine.high[15:20].max()
    assert coarse.qty[3] == fine.qty[15:20].sum()


def test_earlier_bars_are_warm_up() -> None:
    bars = market(list(100 + np.sin(np.arange(120) / 5)))
    params = HeatmapParams(price_min=80, price_max=120)
    whole = build_heatmap(bars, BTC, params)
    window = build_heatmap(bars, BTC, params, start_ms=60 * 60_000, end_ms=90 * 60_000)
    np.testing.assert_array_equal(window.short_usd, whole.short_usd[60:90])


def test_a_column_is_found_by_what_had_ended() -> None:
    heat = build_heatmap(market([100.0] * 10), BTC)
    assert heat.column(60_000).start_ms == 0
    assert heat.column(119_999).start_ms == 0
    assert heat.column(10**12).end_ms == 600_000
    with pytest.raises(UnavailableError, match="first ends at 60000"):
        heat.column(59_999)


def test_levels_are_held_to_open_interest() -> None:
    bars = market([100.0] * 200, open_interest_qty=np.full(200, 500.0))
    heat = build_heatmap(bars, BTC, HeatmapParams(model="zones"))
    assert heat.quality.capped_steps > 0
    assert heat.level_long_qty.max() == pytest.approx(0.85 * 500)
    np.testing.assert_allclose(heat.residual_long_qty + heat.level_long_qty, 500)


@pytest.mark.parametrize(
    ("qty", "readings", "expected"),
    [
        (100.0, [90.0, 90.0], 18.5),  # no change: half the opening share of volume
        (100.0, [90.0, 110.0], 18.5 + 0.5 * INTEREST_SHARE * 20),
        (100.0, [90.0, 10.0], 18.5 - 0.5 * INTEREST_SHARE * 80),
        (0.0, [90.0, 10.0], 0.0),  # nothing traded, nothing opened
        (
            10.0,
            [90.0, 5000.0],
            0.5 * (3.7 + INTEREST_SHARE * 20.0),
        ),  # clipped to the volume since the reading
        (100.0, [np.nan, 90.0], 18.5),  # the first reading is no change
    ],
)
def test_flow_opens_by_volume_and_open_interest(
    qty: float, readings: list[float], expected: float
) -> None:
    state = np.array([np.nan, 0.0])
    result = 0.0
    if readings[0] == 90.0:
        opened(state, 0.0, readings[0])
        readings = [np.nan, readings[1]] if qty == 10.0 else [readings[1]]
    for reading in readings:
        result = opened(state, qty, reading)
    assert result == pytest.approx(expected)


def test_trap_no_openings_are_invented_by_a_price_move_of_an_inverse_contract() -> None:
    # 1 M USD of contracts; their base quantity changes only because the price does.
    close = np.linspace(100, 110, 50)
    bars = market(list(close), qty=np.zeros(50), open_interest_qty=1e6 / close)
    heat = build_heatmap(bars, instrument("simulated:BTCUSD"))
    np.testing.assert_allclose(heat.open_interest_qty, 1e6)
    assert heat.level_long_qty.max() == 0


def test_the_prior_is_moved_to_what_the_exchange_allows() -> None:
    mix = mixture_for(instrument("hyperliquid:BTC"), None)
    assert max(mix) == 40
    assert sum(mix.values()) == pytest.approx(sum(PRIOR_MIXTURE.values()))
    assert mix[40.0] == pytest.approx(0.24)


@pytest.mark.parametrize("model", ["sharp", "zones"])
def test_banks_weigh_one_in_all(model: str) -> None:
    bank, tiers = build_bank(BTC, model, None)
    assert bank.weight.sum() == pytest.approx(1.0)
    assert len(bank.weight) <= 48
    assert tiers == tuple(sorted(tiers))
    assert (np.diff(bank.tier) >= 0).all()


@pytest.mark.parametrize("model", ["zones", "calibrated"])
@pytest.mark.parametrize("leverage", [None, {20: 0.5, 10: 0.5}])
def test_nothing_broad_lies_nearer_than_the_nearest_position(
    model: str, leverage: dict[float, float] | None
) -> None:
    # The calibrated bank keeps the prior's kernels; a mixture only weighs its tiers anew.
    top = max(leverage) if leverage and model == "zones" else 125.0
    bank, _ = build_bank(BTC, model, leverage)
    for side, distance in enumerate(liquidation_distance(BTC, top)):
        nearest = bank.first[:, side].min() * LOG_BIN
        assert NEAREST * distance <= nearest <= distance
        for k, size in enumerate(bank.size[:, side]):
            kernel = bank.values[bank.offset[k, side] :][:size]
            sums = bank.sums[bank.offset[k, side] :][: size + 1]
            assert kernel.sum() == pytest.approx(1.0)
            np.testing.assert_allclose(np.diff(sums), kernel, atol=1e-12)


def test_entries_are_spread_over_the_bar_between_its_ends() -> None:
    # One wide bar: what lies below the price reaches from its entries, not from one price.
    params = HeatmapParams(leverage={100: 1}, price_min=95, price_max=105, bins=2000)
    wide = market([100.0] * 2, high=np.array([100.0, 101.0]), low=np.array([100.0, 99.0]),
                  qty=np.array([0.0, 100.0]))  # fmt: skip
    heat = build_heatmap(wide, BTC, params)
    away = liquidation_distance(BTC, 100)[0]
    shown = heat.price_edges[:-1][heat.long_usd[-1] > 0]
    assert shown.min() == pytest.approx(99.25 * np.exp(-1.2 * away), rel=1e-3)
    at = np.searchsorted(heat.price_edges, 99.3 * np.exp(-away))
    assert 0 < heat.long_usd[-1, at] < heat.long_usd[-1].max()


def test_lifetimes_fall_with_leverage() -> None:
    assert lifetime_hours(2) == lifetime_hours(5) == pytest.approx(120)
    assert lifetime_hours(25) == pytest.approx(10)
    assert lifetime_hours(125) == pytest.approx(1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"model": "magic"}, "no such model"),
        ({"bins": 1}, "bins must be"),
        ({"price_scale": "sqrt"}, "price scale"),
        ({"price_min": -1.0}, "positive price"),
        ({"price_max": float("nan")}, "positive price"),
        ({"price_min": 5.0, "price_max": 5.0}, "below price_max"),
    ],
)
def test_bad_parameters_are_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        HeatmapParams(**changes)


@pytest.mark.parametrize(
    ("mixture", "says"),
    [
        ({500: 1}, "within the 150x"), ({1: 1}, "above 1"), ({25: -1}, "share must be"),
        ({25: 0}, "no share above 0"),
    ],
)  # fmt: skip
def test_bad_mixtures_are_refused(mixture: dict[float, float], says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        build_heatmap(market([100.0] * 3), BTC, HeatmapParams(leverage=mixture))


def test_bad_windows_are_refused() -> None:
    bars = market([100.0] * 10)
    with pytest.raises(BadInputError, match="multiple of the bars'"):
        build_heatmap(bars, BTC, step_ms=90_000)
    with pytest.raises(BadInputError, match="holds no bar"):
        build_heatmap(bars, BTC, start_ms=10**9, end_ms=2 * 10**9)
    with pytest.raises(BadInputError, match="window is empty"):
        build_heatmap(bars, BTC, start_ms=5, end_ms=5)
    with pytest.raises(BadInputError, match="no such tier"):
        build_heatmap(bars, BTC).tier_usd(99)


def test_quality_says_when_the_scale_is_only_relative() -> None:
    quality = build_heatmap(market([100.0] * 3), BTC).quality
    assert quality.usd_scale == "relative"
    assert "relative" in quality.notes[0]
    assert msgspec.json.decode(msgspec.json.encode(quality))["gap_steps"] == 0


def test_wide_kernels_write_what_they_open_by_the_quarter_hour() -> None:
    params = HeatmapParams(leverage={2: 1}, price_min=30, price_max=200)
    heat = build_heatmap(market([100.0] * 40), BTC, params)
    held = heat.level_long_qty
    assert (held[:14] == 0).all()
    assert held[14] == pytest.approx(15 * 0.5 * PHI * 100.0, rel=1e-2)
    assert held[28] < held[14]
    assert held[29] == pytest.approx(2 * held[14], rel=1e-2)


def test_a_hole_does_not_lose_what_waits_to_be_written() -> None:
    starts = np.r_[np.arange(10), 200] * 60_000
    bars = market([100.0] * 11, start_ms=starts, qty=np.r_[np.full(10, 100.0), 0.0])
    heat = build_heatmap(bars, BTC, HeatmapParams(leverage={2: 1}, price_min=30))
    assert heat.level_long_qty[-1] == pytest.approx(10 * 0.5 * PHI * 100.0, rel=0.05)


def test_an_absurd_volume_opens_no_more_than_is_open() -> None:
    qty = np.full(30, 100.0)
    qty[20] = 1e12
    bars = market([100.0] * 30, qty=qty, open_interest_qty=np.full(30, 5_000.0))
    heat = build_heatmap(bars, BTC, HeatmapParams(leverage={25: 1}))
    assert heat.level_long_qty[20] <= 5_000.0
    assert heat.source.ledger_at(heat.end_ms(20)).mass.sum() < 2 * 6_000.0
