"""The engine's invariants, over every market hypothesis can think of."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.engine import kernels
from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.leverage import LOG_BIN, build_bank
from liqheat.engine.live import LiveHeatmap
from liqheat.engine.params import bar_matrix
from liqheat.engine.reference import ReferenceLedger
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from tests.property.strategies import markets

INSTRUMENTS = st.sampled_from(["simulated:BTCUSDT", "simulated:BTCUSD", "hyperliquid:BTC"])
MODELS = st.sampled_from(["sharp", "zones", "calibrated"])
MIXTURES = st.sampled_from([None, {25: 0.5, 40: 0.3}, {40: 1.0}, {3: 1, 10: 2, 20: 3}])
SETTINGS = settings(deadline=None, max_examples=40)


def params(model: Any, mixture: Any, bars: Bars, bins: int = 300) -> HeatmapParams:
    return HeatmapParams(
        model=model,
        leverage=mixture,
        bins=bins,
        price_min=float(bars.low.min()) * 0.7,
        price_max=float(bars.high.max()) * 1.4,
    )


@settings(deadline=None, max_examples=12)  # the oracle is slow
@given(markets(max_bars=15), INSTRUMENTS, MODELS, MIXTURES)
def test_kernels_agree_with_the_reference(
    bars: Bars, name: str, model: str, mix: Any
) -> None:
    what = instrument(name)
    heat = build_heatmap(bars, what, params(model, mix, bars))
    bank, _ = build_bank(what, model, mix)
    oracle = ReferenceLedger(bank, inverse=what.is_inverse)
    bar_at = np.searchsorted(heat.start_ms, bars.start_ms)
    for i in range(len(bars)):
        oracle.push(bars, i)
        t = bar_at[i]
        for mine, theirs in zip(
            (heat.long_usd[t], heat.short_usd[t]),
            oracle.column(heat.price_edges),
            strict=True,
        ):
            dust = kernels.DUST * heat.price_edges[-1] * len(bank.weight)
            np.testing.assert_allclose(
                mine, theirs, rtol=2e-6, atol=theirs.max() * 1e-6 + dust
            )


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS, MIXTURES)
def test_levels_and_residual_sum_to_open_interest(
    bars: Bars, name: str, model: str, mix: Any
) -> None:
    heat = build_heatmap(bars, instrument(name), params(model, mix, bars))
    known = np.isfinite(heat.open_interest_qty)
    for level, residual in (
        (heat.level_long_qty, heat.residual_long_qty),
        (heat.level_short_qty, heat.residual_short_qty),
    ):
        assert (level >= 0).all()
        assert (residual[known] >= 0).all()
        np.testing.assert_allclose(
            (level + residual)[known], heat.open_interest_qty[known], rtol=1e-9
        )
    for usd in (heat.long_usd, heat.short_usd):
        assert np.isfinite(usd).all()
        assert (usd >= 0).all()


@SETTINGS
@given(markets(), MODELS)
def test_shown_and_outside_are_all_levels(bars: Bars, model: str) -> None:
    # An inverse ledger counts USD, so that its rows and its account share a unit.
    heat = build_heatmap(
        bars, instrument("simulated:BTCUSD"), params(model, None, bars, 37)
    )
    for usd, outside, level in (
        (heat.long_usd, heat.outside_long_usd, heat.level_long_qty),
        (heat.short_usd, heat.outside_short_usd, heat.level_short_qty),
    ):
        total = usd.sum(axis=1, dtype=np.float64) + outside
        np.testing.assert_allclose(total, level, rtol=1e-5, atol=1e-9 * max(level.max(), 1))


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS)
def test_deposits_are_equal_on_both_sides(bars: Bars, name: str, model: str) -> None:
    # Kernels sum to 1 on either side, so what is opened is opened twice.
    bank, _ = build_bank(instrument(name), model, None)
    for k in range(len(bank.weight)):
        for side in (0, 1):
            begin, size = bank.offset[k, side], bank.size[k, side]
            assert bank.values[begin : begin + size].sum() == pytest.approx(1.0, abs=1e-12)
            assert (bank.values[begin : begin + size] >= 0).all()
    assert bank.weight.sum() == pytest.approx(1.0, abs=1e-12)


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS, st.data())
def test_a_column_never_depends_on_anything_later(
    bars: Bars, name: str, model: str, data: st.DataObject
) -> None:
    what, p = instrument(name), params(model, None, bars)
    whole = build_heatmap(bars, what, p)
    n = data.draw(st.integers(1, len(bars)))
    part = build_heatmap(bars[:n], what, p)
    t = len(part.start_ms)
    np.testing.assert_array_equal(part.long_usd, whole.long_usd[:t])
    np.testing.assert_array_equal(part.short_usd, whole.short_usd[:t])
    np.testing.assert_array_equal(part.level_long_qty, whole.level_long_qty[:t])


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS, st.data())
def test_live_equals_batch_bit_for_bit(
    bars: Bars, name: str, model: str, data: st.DataObject
) -> None:
    what, p = instrument(name), params(model, None, bars)
    heat = build_heatmap(bars, what, p)
    live = LiveHeatmap(what, p, heat.price_edges, bars.interval_ms)
    rows, ends = bar_matrix(bars), bars.start_ms + bars.interval_ms
    warm = data.draw(st.integers(0, len(bars) - 1))
    live.warm(bars[:warm])
    for i in range(warm, len(bars)):
        row: Any = tuple(rows[i])
        peeked = live.peek(int(ends[i]), row)
        live.push(int(ends[i]), row)
        t = int(np.searchsorted(heat.start_ms, bars.start_ms[i]))
        for mine, seen, batch in zip(
            (live.long_usd, live.short_usd), peeked, (heat.long_usd[t], heat.short_usd[t]),
            strict=True,
        ):  # fmt: skip
            np.testing.assert_array_equal(mine, batch)
            np.testing.assert_array_equal(seen, batch)


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS)
def test_longs_below_and_shorts_above_the_price_after_each_step(
    bars: Bars, name: str, model: str
) -> None:
    what = instrument(name)
    bank, _ = build_bank(what, model, None)
    ledger = kernels.new_ledger(bank)
    for end, row in zip(bars.start_ms + bars.interval_ms, bar_matrix(bars), strict=True):
        bar: Any = tuple(row)
        kernels.step(ledger, bank, what.is_inverse, int(end), bars.interval_ms, bar)
        high, low, close, _, _, mark_high, mark_low = row
        top = high if np.isnan(mark_high) else mark_high
        bottom = low if np.isnan(mark_low) else mark_low
        mark = min(max(close, bottom), top)
        held = np.flatnonzero(ledger.mass.any(axis=0)) + ledger.place[kernels.BASE]
        boundary = ledger.place[kernels.BOUNDARY]
        longs, shorts = held[held < boundary], held[held > boundary]
        assert boundary not in held
        assert (np.exp((longs + 1) * LOG_BIN) <= mark * (1 + 1e-12)).all()
        assert (np.exp(shorts * LOG_BIN) > mark * (1 - 1e-12)).all()
        assert (ledger.mass >= 0).all()


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS, MIXTURES)
def test_tiers_sum_exactly_to_the_whole(
    bars: Bars, name: str, model: str, mix: Any
) -> None:
    heat = build_heatmap(bars, instrument(name), params(model, mix, bars, 150))
    long_usd, short_usd = np.zeros_like(heat.long_usd), np.zeros_like(heat.short_usd)
    for k in range(len(heat.tiers)):
        part = heat.tier_usd(k)
        long_usd += part[0]
        short_usd += part[1]
    np.testing.assert_array_equal(long_usd, heat.long_usd)
    np.testing.assert_array_equal(short_usd, heat.short_usd)


@SETTINGS
@given(markets(), INSTRUMENTS, MODELS)
def test_the_same_input_gives_the_same_bytes(bars: Bars, name: str, model: str) -> None:
    p = params(model, None, bars)
    one, two = (build_heatmap(bars, instrument(name), p) for _ in range(2))
    assert one.long_usd.tobytes() == two.long_usd.tobytes()
    assert one.short_usd.tobytes() == two.short_usd.tobytes()


@SETTINGS
@given(markets(), MODELS)
def test_a_missing_taker_volume_changes_nothing(bars: Bars, model: str) -> None:
    # Both sides open at once: who the aggressor was carries no information for the ledger.
    what, p = instrument("simulated:BTCUSDT"), params(model, None, bars)
    with_taker = replace(bars, taker_buy_qty=bars.qty * 0.9)
    np.testing.assert_array_equal(
        build_heatmap(bars, what, p).long_usd, build_heatmap(with_taker, what, p).long_usd
    )


@SETTINGS
@given(markets(), INSTRUMENTS, st.integers(2, 900), st.sampled_from(["log", "linear"]))
def test_other_rows_show_the_same_levels(
    bars: Bars, name: str, bins: int, scale: Any
) -> None:
    low, high = float(bars.low.min()) * 0.05, float(bars.high.max()) * 20
    shapes = [
        HeatmapParams(bins=bins, price_scale=scale, price_min=low, price_max=high),
        HeatmapParams(bins=1000, price_min=low, price_max=high),
    ]
    a, b = (build_heatmap(bars, instrument(name), p) for p in shapes)
    np.testing.assert_allclose(
        a.long_usd.sum(axis=1, dtype=float),
        b.long_usd.sum(axis=1, dtype=float),
        rtol=1e-4,
        atol=1e-6,
    )


def test_levels_far_from_the_window_come_back_as_residual() -> None:
    # The price rises eightfold: the window moves, old levels fall off, nothing goes negative.
    n = 400
    close = 100 * np.exp(np.linspace(0, 2.1, n))
    bars = Bars.from_columns(
        {
            "start_ms": np.arange(n) * 60_000, "open": close, "high": close * 1.001,
            "low": close * 0.999, "close": close, "qty": np.full(n, 50.0),
            "open_interest_qty": np.full(n, 4_000.0),
        }
    )  # fmt: skip
    heat = build_heatmap(
        bars, instrument("simulated:BTCUSDT"), HeatmapParams(model="zones")
    )
    np.testing.assert_allclose(
        heat.level_long_qty + heat.residual_long_qty, 4_000.0, rtol=1e-9
    )
    assert heat.level_long_qty[-1] > 0
