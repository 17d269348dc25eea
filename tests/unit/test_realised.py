"""The tape of realised liquidations: order, filters, sums, and when a sum is whole."""

from typing import Any

import pytest

from liqheat.errors import BadInputError
from liqheat.market.events import Liquidation
from liqheat.service.liquidations import (
    LiquidationsFound,
    LiquidationsQuery,
    find_liquidations,
)
from liqheat.service.query import parse_query
from liqheat.service.recorded import Recording
from liqheat.service.tape import Tape
from liqheat.store import Store
from tests.market import DAY, HOUR, MINUTE, SYMBOL, T0
from tests.unit.test_series import OKX, N, forced, lost, plain, put, write

END = T0 + N * MINUTE


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        put(opened, plain())
        yield opened


def find(store: Store, name: str = SYMBOL, **more: Any) -> LiquidationsFound:
    own = {
        key: more.pop(key)
        for key in ("live", "collected", "feed", "heard_ms")
        if key in more
    }
    found = [
        Recording(store, one, Tape(), **{"collected": True, **own})
        for one in store.instruments()
        if ":" not in name or one.instrument.name == name
    ]
    return find_liquidations(LiquidationsQuery(name, **more), found, END + DAY)


def rows_of(found: LiquidationsFound) -> list[int]:
    return [END - row.event_ms for row in found.rows]


def test_rows_are_newest_first_within_a_day_before_the_data_end(store) -> None:
    write(store, *(forced(SYMBOL, END - hours * HOUR) for hours in (1, 5, 23, 24, 25)))
    found = find(store)
    assert found.as_of_ms == END
    assert rows_of(found) == [1 * HOUR, 5 * HOUR, 23 * HOUR, 24 * HOUR]
    assert not found.more
    assert rows_of(find(store, since_ms=0)) == [h * HOUR for h in (1, 5, 23, 24, 25)]


def test_limit_takes_the_newest_and_says_that_there_are_more(store) -> None:
    write(store, *(forced(SYMBOL, END - MINUTE * i) for i in range(1, 500)))
    found = find(store, limit=3)
    assert rows_of(found) == [MINUTE, 2 * MINUTE, 3 * MINUTE]
    assert found.more
    older = find(store, limit=1000, until_ms=found.rows[-1].event_ms)
    assert rows_of(older) == [MINUTE * i for i in range(4, 500)]
    assert not older.more
    assert not find(store, limit=499).more


def test_sums_count_all_sizes_and_sides_whatever_is_listed(store) -> None:
    write(store, forced(SYMBOL, END - HOUR // 2, "long", 5.0),
          forced(SYMBOL, END - 2 * HOUR, "short", 7e6),
          forced(SYMBOL, END - 23 * HOUR, "short", 11.0))  # fmt: skip
    found = find(store, side="short", min_usd=1e6, limit=1)
    assert [row.notional_usd for row in found.rows] == [7e6]
    assert not found.more
    sums = {name: (t.long_usd, t.short_usd, t.count) for name, t in found.totals.items()}
    assert sums == {"1h": (5.0, 0.0, 1), "4h": (5.0, 7e6, 2), "24h": (5.0, 7e6 + 11.0, 3)}


def test_until_ends_rows_and_sums(store) -> None:
    write(
        store, forced(SYMBOL, END - 2 * HOUR, usd=1.0), forced(SYMBOL, END - HOUR, usd=2.0)
    )
    found = find(store, until_ms=END - HOUR)
    assert found.as_of_ms == END - HOUR
    assert rows_of(found) == [2 * HOUR]
    assert found.totals["4h"].long_usd == 1.0
    assert find(store, until_ms=END + DAY).as_of_ms == END


def test_live_rows_which_are_not_stored_yet_are_told_once(store) -> None:
    rows = [forced(SYMBOL, END - 10_000 + i * 1000, usd=10.0 + i) for i in range(10)]
    write(store, *rows[:6])
    newest = forced(SYMBOL, END + 30_000, usd=99.0)
    found = find(store, live=(*rows[3:], newest), heard_ms=END + 30_000)
    assert found.as_of_ms == END + 30_001  # the newest row is before it
    assert [row.notional_usd for row in found.rows] == [
        99.0,
        *(10.0 + i for i in range(9, -1, -1)),
    ]
    assert found.totals["1h"].count == 11


def test_a_sum_is_whole_only_where_the_feed_was_recorded(store) -> None:
    write(store, forced(SYMBOL, END - 10 * HOUR, completeness="full"))
    whole = {name: total.complete for name, total in find(store).totals.items()}
    assert whole == {"1h": True, "4h": True, "24h": False}
    lost(store, "liquidations", END - 3 * HOUR, END - 2 * HOUR)
    whole = {name: total.complete for name, total in find(store).totals.items()}
    assert whole == {"1h": True, "4h": False, "24h": False}
    assert not find(store, collected=False).totals["1h"].complete


def test_a_coin_is_whole_only_where_all_of_it_is(store) -> None:
    write(store, forced(SYMBOL, END - 30 * HOUR, completeness="full"))
    assert find(store).totals["24h"].complete
    put(store, plain(), OKX)
    found = find(store, "BTC")
    assert not found.totals["1h"].complete
    assert found.completeness == {"binance": "full", "okx": None}
    # An exchange which has said nothing for long may have had any.
    write(store, forced(OKX, END - 30 * HOUR))
    assert find(store, "BTC").totals["1h"].complete
    put(store, plain(N + 10)[N:], SYMBOL)
    assert not find(store, "BTC").totals["1h"].complete


def test_nothing_stored_is_nothing_known(tmp_path) -> None:
    with Store.open(tmp_path / "empty") as empty:
        empty.put_instrument(__import__("liqheat").instrument(SYMBOL))
        found = find(empty)
    assert (found.rows, found.as_of_ms, found.completeness) == (
        [],
        END + DAY,
        {"binance": None},
    )
    assert not any(total.complete for total in found.totals.values())


@pytest.mark.parametrize(("name", "value"), [
    ("limit", "0"), ("limit", "1001"), ("side", "buy"), ("min_usd", "-1"), ("min_usd", "nan"),
    ("min_usd", "x"), ("since_ms", "-1"), ("until_ms", "1e300"),
])  # fmt: skip
def test_wrong_values_are_named(name: str, value: str) -> None:
    with pytest.raises(BadInputError, match=f"^{name}: "):
        parse_query({"instrument": SYMBOL, name: value}, LiquidationsQuery)


def test_a_liquidation_is_of_the_side_closed_by_force(store) -> None:
    write(store, Liquidation(SYMBOL, END - 5, "short", 6e4, "order", 1.0, 6e4))
    assert find(store, side="long").rows == []
    assert find(store, side="short").rows[0].position_side == "short"
