"""Margin rules: exact prices, and the traps this field falls into."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.errors import UnknownInstrumentError
from liqheat.market.instrument import SHIPPED, instrument
from liqheat.market.margin import (
    cross_liquidation_price,
    effective_rate,
    liquidation_distance,
    liquidation_price,
    tier_at,
    tiered_liquidation_price,
)

BTC = instrument("binance:BTCUSDT")


@pytest.mark.parametrize(
    ("leverage", "percent"), [(10, 9.639), (25, 3.614), (50, 1.606), (100, 0.602)]
)
def test_long_distance_at_a_rate_of_0_4_percent(leverage: float, percent: float) -> None:
    price = liquidation_price(64_000, leverage, 0.004, is_long=True)
    assert (1 - price / 64_000) * 100 == pytest.approx(percent, abs=5e-4)


def test_trap_maintenance_margin_is_subtracted_not_added() -> None:
    # 1/L alone, or 1/L + m, puts the level at or past bankruptcy.
    price = liquidation_price(100.0, 100, 0.004, is_long=True)
    assert price > 100 * (1 - 1 / 100)


def test_trap_longs_die_below_and_shorts_above() -> None:
    for inverse in (False, True):
        assert liquidation_price(100, 20, 0.005, is_long=True, inverse=inverse) < 100
        assert liquidation_price(100, 20, 0.005, is_long=False, inverse=inverse) > 100


@given(
    st.floats(0.01, 1e6), st.floats(1.5, 150), st.floats(0, 0.006), st.booleans(),
    st.booleans(), st.floats(0, 0.05), st.floats(0.1, 100), st.floats(0, 0.0006),
)  # fmt: skip
def test_margin_left_equals_margin_required(
    entry: float, leverage: float, rate: float, is_long: bool, inverse: bool, extra: float,
    qty: float, fee: float,
) -> None:  # fmt: skip
    side = 1.0 if is_long else -1.0
    margin = entry * qty / leverage
    added = margin * extra / (entry if inverse else 1.0)
    price = liquidation_price(
        entry, leverage, rate, is_long=is_long, inverse=inverse, qty=qty, extra_margin=added,
        fee_rate=fee,
    )  # fmt: skip
    if not 0 < price < math.inf:
        return
    if inverse:
        notional = entry * qty
        left = (
            notional / (entry * leverage)
            + added
            + side * notional * (1 / entry - 1 / price)
        )
        required = notional / price * (rate + fee)
    else:
        left = margin + added + side * qty * (price - entry)
        required = qty * price * (rate + fee)
    assert left == pytest.approx(required, rel=1e-6, abs=1e-9 * margin)


def test_inverse_formulas_of_the_exchanges() -> None:
    # With A = 0: long E*L(1+m)/(L+1), short E*L(1-m)/(L-1).
    entry, lev, m = 60_000.0, 25.0, 0.005
    long = liquidation_price(entry, lev, m, is_long=True, inverse=True)
    short = liquidation_price(entry, lev, m, is_long=False, inverse=True)
    assert long == pytest.approx(entry * lev * (1 + m) / (lev + 1))
    assert short == pytest.approx(entry * lev * (1 - m) / (lev - 1))


def test_a_1x_inverse_short_is_never_liquidated() -> None:
    assert liquidation_price(100, 1, 0.004, is_long=False, inverse=True) == math.inf


def test_cross_equals_isolated_when_the_wallet_is_the_margin() -> None:
    isolated = liquidation_price(60_000, 10, 0.004, is_long=False)
    cross = cross_liquidation_price(60_000, 1, 6_000, 0.004, is_long=False)
    assert cross == pytest.approx(isolated)


def test_a_rich_cross_account_outlives_any_fall() -> None:
    assert cross_liquidation_price(60_000, 1, 70_000, 0.004, is_long=True) == 0.0


def test_born_liquidated_is_refused() -> None:
    with pytest.raises(ValueError, match="no room"):
        liquidation_price(100, 100, 0.02, is_long=True)


@pytest.mark.parametrize("bad", [0.0, -5.0, math.nan])
def test_an_impossible_entry_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="no position"):
        liquidation_price(bad, 10, 0.004, is_long=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_required_margin_is_continuous_over_the_tiers(name: str) -> None:
    tiers = SHIPPED[name].tiers
    for below, above in itertools.pairwise(tiers):
        at = above.notional_floor
        assert below.notional_cap == at
        assert (
            at * below.maintenance_margin_rate - below.maintenance_amount
            == pytest.approx(at * above.maintenance_margin_rate - above.maintenance_amount)
        )


def test_published_binance_deductions_come_out() -> None:
    amounts = [tier.maintenance_amount for tier in BTC.tiers]
    assert amounts == pytest.approx(
        [0, 300, 1500, 12_000, 132_000, 482_000, 2.982e6, 14.482e6, 26.482e6, 41.482e6,
         121.482e6, 421.482e6]
    )  # fmt: skip


def test_at_a_cap_exactly_the_higher_rate_is_charged() -> None:
    assert tier_at(BTC.tiers, 299_999).maintenance_margin_rate == 0.004
    assert tier_at(BTC.tiers, 300_000).maintenance_margin_rate == 0.005
    assert tier_at(BTC.tiers, 1e12).maintenance_margin_rate == 0.5


def test_the_tier_at_the_liquidation_price_decides() -> None:
    # 4.9 BTC at 64 000 is 313 600 USD (tier 2); a long dies at a notional of tier 1.
    price = tiered_liquidation_price(BTC, 64_000, 10, 4.9, is_long=True)
    assert 4.9 * price < 300_000
    assert price == pytest.approx(liquidation_price(64_000, 10, 0.004, is_long=True))


def test_leverage_above_the_tier_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 25x"):
        tiered_liquidation_price(BTC, 64_000, 50, 500, is_long=True)


def test_effective_rate_is_the_prior_for_btc() -> None:
    assert effective_rate(BTC.tiers, 25) == pytest.approx(0.0045, abs=3e-4)
    assert effective_rate(BTC.tiers, 100) <= effective_rate(BTC.tiers, 5)
    with pytest.raises(ValueError, match="no margin tier allows"):
        effective_rate(BTC.tiers, 200)


def test_trap_long_and_short_distances_differ_and_so_does_inverse() -> None:
    long, short = liquidation_distance(BTC, 10)
    assert long > short
    inverse_long, inverse_short = liquidation_distance(instrument("simulated:BTCUSD"), 10)
    assert inverse_long < long
    assert inverse_short > short


def test_unlevered_has_no_level() -> None:
    with pytest.raises(ValueError, match="more than 1x"):
        liquidation_distance(BTC, 1)


def test_unknown_instrument_names_the_nearest() -> None:
    with pytest.raises(UnknownInstrumentError, match="binance:BTCUSDT"):
        instrument("binance:BTCUSD")
