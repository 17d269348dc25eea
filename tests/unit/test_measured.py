"""Measured levels: nothing lost, the right side, smeared by age, joined with the model."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.engine.positions import CROSS_SPREAD, STALE_HOURS, joined, measured_levels
from liqheat.market.events import Position

AT = 1_786_540_000_000
HOUR, DAY = 3_600_000, 86_400_000
MARK = 100.0
EDGES = np.exp(np.linspace(np.log(50.0), np.log(200.0), 401))


def held(price, qty=1.0, side="long", account="0xa", at=AT, leverage=10.0):
    return Position("hyperliquid:BTC", at, account, side, qty, 100.0, price, leverage)


def levels(*positions, at=AT):
    return measured_levels(positions, EDGES, MARK, at)


def row_of(price):
    return int(np.searchsorted(EDGES, price, side="right")) - 1


def test_isolated_position_lies_in_the_row_of_its_price():
    found = levels(held(80.0, 2.0), held(125.0, 3.0, "short", "0xb"))
    assert found.rows_qty[0, row_of(80.0)] == 2.0
    assert found.rows_qty[1, row_of(125.0)] == 3.0
    assert found.rows_qty.sum() == 5.0
    assert found.covered_qty.tolist() == [2.0, 3.0]


def test_cross_position_is_smeared_by_the_root_of_its_age():
    day = levels(held(80.0, leverage=None, at=AT - 4 * HOUR)).rows_qty[0]
    hour = levels(held(80.0, leverage=None, at=AT - HOUR)).rows_qty[0]
    middles = np.log(np.sqrt(EDGES[1:] * EDGES[:-1]) / MARK)

    def deviation(rows):
        mean = (rows * middles).sum() / rows.sum()
        return math.sqrt((rows * (middles - mean) ** 2).sum() / rows.sum())

    expected = CROSS_SPREAD * abs(math.log(0.8)) * math.sqrt(HOUR / DAY)
    assert deviation(hour) == pytest.approx(expected, rel=0.03)
    assert deviation(day) == pytest.approx(2 * expected, rel=0.03)
    assert hour.sum() == pytest.approx(1.0)


def test_no_liquidation_price_is_covered_but_no_level():
    found = levels(held(None, 4.0), held(80.0, 1.0, account="0xb"))
    assert found.never_qty.tolist() == [4.0, 0.0]
    assert found.covered_qty[0] == 5.0
    assert found.rows_qty.sum() == 1.0


def test_a_level_the_mark_has_passed_is_swept():
    found = levels(held(101.0), held(99.0, side="short", account="0xb"))
    assert found.swept_qty.tolist() == [1.0, 1.0]
    assert found.rows_qty.sum() == 0.0


def test_only_the_newest_told_by_then_counts_and_closed_ones_do_not():
    told = [
        held(80.0, 1.0, at=AT - 2 * HOUR),
        held(82.0, 2.0, at=AT - HOUR),
        held(84.0, 9.0, at=AT + 1),
        held(70.0, 5.0, account="0xb", at=AT - 2 * HOUR),
        held(70.0, 0.0, account="0xb", at=AT - HOUR),
        held(60.0, 5.0, account="0xold", at=AT - int(STALE_HOURS * HOUR) - 1),
    ]
    found = levels(*told)
    assert (found.positions, found.covered_qty.tolist()) == (1, [2.0, 0.0])
    assert found.age_ms == HOUR


@pytest.mark.parametrize("closed_first", [True, False])
def test_an_account_which_turned_counts_on_its_new_side(closed_first):
    both = [held(80.0, 0.0), held(120.0, 3.0, "short")]
    found = levels(*(both if closed_first else both[::-1]))
    assert found.covered_qty.tolist() == [0.0, 3.0]


positions = st.lists(
    st.builds(
        held,
        st.one_of(st.none(), st.floats(1e-3, 1e6)),
        st.floats(1e-6, 1e6),
        st.sampled_from(["long", "short"]),
        st.integers(0, 10**9).map(hex),
        st.integers(AT - 5 * HOUR, AT),
        st.one_of(st.none(), st.just(5.0)),
    ),
    max_size=30,
    unique_by=lambda one: one.account,
)


@given(positions)
@settings(deadline=None)
def test_nothing_is_lost_and_sides_lie_right(told):
    found = levels(*told)
    for side, word in enumerate(("long", "short")):
        total = math.fsum(one.qty for one in told if one.position_side == word)
        assert found.covered_qty[side] == pytest.approx(total, rel=1e-9, abs=1e-12)
    assert (found.rows_qty >= 0).all()
    at_mark = row_of(MARK)
    assert not found.rows_qty[0, at_mark + 1 :].any()
    assert not found.rows_qty[1, :at_mark].any()


@given(positions, st.floats(1e-3, 1e8), st.floats(0.0, 1.0))
@settings(deadline=None)
def test_joined_levels_stay_within_open_interest_and_sum_exactly(told, interest, level):
    found = levels(*told)
    price = np.sqrt(EDGES[1:] * EDGES[:-1])
    model = np.zeros(len(price))
    model[10:20] = interest * level / 10 * price[10:20]
    both = joined(model, model, found, interest)
    for usd, measured, modelled in (
        (both.long_usd, both.measured_long_usd, both.modelled_long_usd),
        (both.short_usd, both.measured_short_usd, both.modelled_short_usd),
    ):
        assert usd.dtype == np.float32
        assert np.array_equal(usd, measured + modelled)
        assert (usd / price).sum() <= interest * (1 + 1e-4)


def test_measured_replaces_modelled_up_to_the_covered_share():
    found = levels(held(80.0, 30.0))
    model = np.full(len(EDGES) - 1, 10.0)
    both = joined(model, model, found, 120.0)
    assert both.share == (0.25, 0.0)
    assert both.modelled_long_usd[0] == np.float32(7.5)
    assert both.modelled_short_usd[0] == np.float32(10.0)
    middle = math.sqrt(EDGES[row_of(80.0)] * EDGES[row_of(80.0) + 1])
    assert both.measured_long_usd.sum() == pytest.approx(30.0 * middle)


def test_old_answers_which_exceed_open_interest_are_scaled_down():
    both = joined(np.ones(400), np.ones(400), levels(held(80.0, 30.0)), 20.0)
    assert both.share[0] == 1.0
    assert both.modelled_long_usd.sum() == 0.0
    assert both.measured_long_usd.sum() == pytest.approx(20.0 * 80.0, rel=0.01)


@pytest.mark.parametrize("interest", [math.nan, 0.0])
def test_without_open_interest_the_modelled_map_stays(interest):
    both = joined(np.ones(400), np.ones(400), levels(held(80.0, 30.0)), interest)
    assert both.share == (0.0, 0.0)
    assert both.long_usd.sum() == 400.0


def test_other_rows_are_refused():
    with pytest.raises(ValueError, match="3 modelled rows, 400 measured"):
        joined(np.ones(3), np.ones(3), levels(), 1.0)


def test_no_positions_is_no_level_and_no_age():
    found = levels()
    assert math.isnan(found.age_ms)
    assert found.covered_qty.tolist() == [0.0, 0.0]
