"""Columns of liquidations: what is let in, and the one line which says what is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liqheat.errors import BadInputError
from liqheat.market.events import Liquidations
from tests.market import T0, market

GOOD: dict[str, Any] = {
    "event_ms": [T0 + 1000, T0 + 61_000], "is_long": [True, False], "qty": [0.5, 2.0],
    "notional_usd": [30_000.0, 120_000.0],
}  # fmt: skip


def test_good_columns_are_sorted_by_time() -> None:
    turned = {name: values[::-1] for name, values in GOOD.items()}
    events = Liquidations.from_columns(turned, completeness="full", bars=market(5))
    assert events.event_ms.tolist() == GOOD["event_ms"]
    assert events.is_long.tolist() == [True, False]
    assert events.qty.tolist() == [0.5, 2.0]
    assert np.isnan(events.mark_price).all()
    assert events.completeness == "full"
    assert len(events[1:]) == 1


def test_a_quiet_day_is_no_mistake() -> None:
    assert len(Liquidations.from_columns({name: [] for name in GOOD})) == 0


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"qty": [0.5, -2.0]}, "qty is not positive and finite at row 1"),
        ({"qty": [0.0, 2.0]}, "qty is not positive"),
        ({"notional_usd": [30_000.0, float("nan")]}, "notional_usd is not positive"),
        ({"mark_price": [60_000.0, -1.0]}, "mark_price is not positive"),
        ({"notional_usd": [30_000.0, 2.0]}, "price is more than half away from its bar's"),
        ({"mark_price": [60_000.0, 6e6]}, "mark_price is more than half away"),
        ({"event_ms": [T0, T0 + 10_000_000]}, r"later than the present"),
        ({"qty": None}, "no column 'qty'"),
        ({"qty": ["a", "b"]}, "column 'qty' is not numeric"),
        ({"qty": [1.0]}, "column 'qty' has another length"),
    ],
)
def test_bad_columns_are_refused_in_one_line(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(BadInputError, match=says) as error:
        Liquidations.from_columns({**GOOD, **changes}, bars=market(5), now_ms=T0 + 120_000)
    assert "\n" not in str(error.value)


def test_events_outside_the_bars_are_not_judged_by_them() -> None:
    late = {**GOOD, "event_ms": [T0 - 5, T0 + 10**9], "notional_usd": [1.0, 1.0]}
    assert len(Liquidations.from_columns(late, bars=market(5))) == 2
