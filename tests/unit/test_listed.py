"""A listed contract: contracts become base units, and nothing is told too early."""

from itertools import pairwise

import pytest

from liqheat.exchanges._listed import ASSUMED_TIERS, Listed, joined_tiers, windows
from liqheat.market.events import FundingRate, OpenInterest
from liqheat.market.instrument import Instrument, MarginTier

NOW = 1_790_000_000_000


def listed(settlement: str, contract_size: float) -> Listed:
    return Listed(
        Instrument("x", "C", "BTC", "USD", settlement, 0.1, 1.0, contract_size,
                   ASSUMED_TIERS, "", "")
    )  # fmt: skip


def test_linear_contracts_are_of_the_base_coin() -> None:
    one = listed("linear", 0.01)
    assert one.trade(NOW, 50_000.0, 3.0, "buy").qty == pytest.approx(0.03)
    dead = one.liquidation(NOW, "long", 50_000.0, "fill", 100.0, "full")
    assert (dead.qty, dead.notional_usd) == pytest.approx((1.0, 50_000.0))


def test_inverse_contracts_are_usd_at_the_price() -> None:
    one = listed("inverse", 100.0)
    assert one.trade(NOW, 50_000.0, 5.0, "sell").qty == pytest.approx(0.01)
    dead = one.liquidation(NOW, "short", 40_000.0, "bankruptcy", 4.0, "full", 50_000.0)
    assert (dead.qty, dead.notional_usd) == pytest.approx((0.01, 400.0))


def test_a_liquidation_takes_the_mark_of_its_time_only() -> None:
    one = listed("linear", 1.0)
    one.mark(NOW, 100.0)
    one.mark(NOW - 5, 90.0)
    assert one.liquidation(NOW + 1, "long", 99.0, "fill", 2.0, "full").notional_usd == 200.0
    assert (
        one.liquidation(NOW + 61_000, "long", 99.0, "fill", 2.0, "full").mark_price is None
    )


def test_open_interest_of_an_inverse_contract_waits_for_a_price() -> None:
    one = listed("inverse", 100.0)
    assert list(one.open_interest(NOW, 10.0)) == []
    one.mark(NOW, 50_000.0)
    assert list(one.open_interest(NOW, 10.0)) == [OpenInterest("x:C", NOW, 0.02)]


def test_funding_is_told_when_its_interval_is_over() -> None:
    one, later = listed("linear", 1.0), NOW + 28_800_000
    assert list(one.funding(1e-4, NOW)) == []
    assert list(one.funding(2e-4, NOW)) == []
    assert list(one.funding(3e-4, later)) == [FundingRate("x:C", NOW, 2e-4)]
    assert list(one.funding(9e-4, NOW)) == [], "a late message undid the present interval"


def test_a_book_is_in_base_units_and_none_of_half_a_book() -> None:
    one = listed("inverse", 100.0)
    (book,) = one.depth(NOW, [(99.99, 2.0), (99.98, 1.0)], [(100.01, 1.0)])
    assert sum(qty for _, qty in book.bids) == pytest.approx(3.0)
    assert list(one.depth(NOW, [], [(100.01, 1.0)])) == []


def test_tiers_with_a_hole_or_a_falling_rate_are_refused() -> None:
    first, second = MarginTier(0, 100, 0.01, 0, 50), MarginTier(100, 200, 0.02, 1, 25)
    assert joined_tiers([second, first]) == (first, second)
    for wrong in ([], [second], [first, MarginTier(150, 200, 0.02, 1, 25)],
                  [first, MarginTier(100, 200, 0.005, 1, 25)]):  # fmt: skip
        with pytest.raises(ValueError, match="margin tiers"):
            joined_tiers(wrong)
    assert joined_tiers(ASSUMED_TIERS) == ASSUMED_TIERS


def test_windows_cover_once() -> None:
    pieces = list(windows(3, 1000, 97))
    assert (pieces[0][0], pieces[-1][1]) == (3, 1000)
    assert all(a[1] == b[0] for a, b in pairwise(pieces))
