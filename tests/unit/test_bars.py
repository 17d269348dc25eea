"""Bars: what is refused, in one line that says what, where, the value, and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.market.units import (
    base_to_stable,
    contracts_to_base,
    round_to_tick,
    stable_to_usd,
)

N = 400


def columns(**changes: Any) -> dict[str, Any]:
    price = np.full(N, 100.0)
    base = {
        "start_ms": np.arange(N) * 300_000, "open": price, "high": price + 1,
        "low": price - 1, "close": price, "qty": np.full(N, 10.0),
    }  # fmt: skip
    return {**base, **changes}


def at(row: int, value: float, name: str = "close") -> dict[str, Any]:
    values = np.array(columns()[name], dtype=float)
    values[row] = value
    return {name: values}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"close": None}, "no column 'close'"),
        ({"qty": ["x"] * N}, "'qty' is not numeric"),
        ({"qty": [1.0]}, "another length"),
        (at(7, np.nan), "close is not a positive price at row 7"),
        (at(7, np.inf), "close is not a positive price at row 7"),
        (at(7, -3.0), r"close is not a positive price at row 7 .*was -3.0"),
        (at(7, 98.5, "high"), "high < low"),
        (at(7, 100.5, "low"), "low above open or close"),
        (at(7, 99.5, "high"), "high below open or close"),
        (at(7, -1.0, "qty"), "qty is not >= 0"),
        ({"taker_buy_qty": np.full(N, 11.0)}, "taker_buy_qty > qty"),
        ({"open_interest_qty": np.full(N, -1.0)}, "open_interest_qty is not >= 0"),
        (
            {"mark_high": np.full(N, 99.0), "mark_low": np.full(N, 100.0)},
            "mark_high < mark_low",
        ),
        (at(7, 6 * 300_000, "start_ms"), "doubled bar at row 7"),
        (at(7, 0, "start_ms"), "unordered bar at row 7"),
        (at(N - 1, (N - 1) * 300_000 - 60_000, "start_ms"), "mixed intervals"),
    ],
)
def test_bad_rows_are_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says) as caught:
        Bars.from_columns(columns(**changes), where="my.csv")
    assert "my.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_rows_are_refused() -> None:
    with pytest.raises(BadInputError, match="no rows"):
        Bars.from_columns({name: [] for name in columns()})


def test_trap_open_interest_in_usd_is_refused() -> None:
    price = np.full(N, 64_000.0)
    good = columns(open=price, high=price, low=price, close=price, qty=np.full(N, 30.0))
    Bars.from_columns({**good, "open_interest_qty": np.full(N, 90_000.0)})
    with pytest.raises(BadInputError, match="looks like USD"):
        Bars.from_columns({**good, "open_interest_qty": np.full(N, 90_000.0 * 64_000)})


def test_a_missing_bar_is_a_gap_not_an_error() -> None:
    cut = {name: np.delete(values, [10, 11, 50]) for name, values in columns().items()}
    bars = Bars.from_columns(cut)
    step = 300_000
    assert bars.gaps() == [(10 * step, 12 * step), (50 * step, 51 * step)]


def test_open_interest_counts_only_in_the_bar_where_it_was_read() -> None:
    bars = Bars.from_columns(columns())
    step = 300_000
    merged = bars.with_open_interest(
        np.array([step, step + 1, 5 * step]), np.array([7.0, 8.0, 9.0])
    )
    expected = np.full(N, np.nan)
    expected[0], expected[1], expected[4] = (
        7.0,
        8.0,
        9.0,
    )  # known at the bar's end, not before
    np.testing.assert_array_equal(merged.open_interest_qty, expected)


def test_trap_an_inverse_position_is_counted_in_usd() -> None:
    inverse, linear = instrument("simulated:BTCUSD"), instrument("simulated:BTCUSDT")
    price = np.array([50_000.0, 60_000.0])
    held = np.array([1e4 / 50_000, 1e4 / 60_000])  # 100 contracts of 100 USD, in base units
    np.testing.assert_allclose(base_to_stable(held, price, inverse), 1e4)
    np.testing.assert_allclose(stable_to_usd(np.array([1e4, 1e4]), price, inverse), 1e4)
    np.testing.assert_allclose(stable_to_usd(np.ones(2), price, linear), price)
    assert contracts_to_base(100, 50_000, inverse) == pytest.approx(0.2)


def test_ticks_round_without_float_dust() -> None:
    assert round_to_tick(64_000.37, 0.1) == 64_000.4
    assert round_to_tick(0.123456, 1e-5) == 0.12346
