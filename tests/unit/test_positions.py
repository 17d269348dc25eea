"""Whose positions are asked for next: within the budget, the dangerous first, nobody never."""

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.exchanges._positions import (
    COLD_MS,
    HOT_MS,
    MOST_ACCOUNTS,
    REFRESH_MS,
    WARM_MS,
    Marks,
    Positions,
    urgency,
)
from liqheat.market.events import Liquidation, Position

BTC = "hyperliquid:BTC"
AT = 1_786_540_000_000


def held(price: float | None, qty: float = 1.0, side: str = "long", at: int = AT, **more):
    return Position(BTC, at, "0xa", side, qty, 64_000.0, price, **more)


@pytest.fixture
def marks() -> Marks:
    marks = Marks()
    marks.note(BTC, AT, 64_000.0)
    return marks


def test_budget_is_never_exceeded_in_any_minute(marks):
    book = Positions(per_minute=90)
    for i in range(2_000):
        book.see(f"0x{i}", AT)
    asked: list[int] = []
    for second in range(0, 600, 3):
        now = AT + second * 1_000
        asked += [now] * len(book.due(now, marks))
    per_minute = [
        sum(start <= at < start + 60_000 for at in asked)
        for start in range(AT, AT + 540_000, 1_000)
    ]
    assert max(per_minute) <= 90 * 7 / 6 + 1
    assert len(asked) == pytest.approx(900, rel=0.05)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=60), st.floats(1.0, 300.0))
@settings(max_examples=50, deadline=None)
def test_budget_holds_however_irregular_the_calls(steps, per_minute):
    marks, book, now, total = Marks(), Positions(per_minute), AT, 0
    for i in range(500):
        book.see(f"0x{i}", AT)
    for step in steps:
        now += step
        total += len(book.due(now, marks))
    assert (
        total <= per_minute * (now - AT + steps[0]) / 60_000 + max(1.0, per_minute / 6) + 1
    )


def test_nobody_starves_though_many_dangerous_ones_fill_the_budget(marks):
    book = Positions(per_minute=60)
    for i in range(300):
        book.take(f"0xhot{i}", [held(63_900.0, qty=100.0)], AT, marks)
    for i in range(40):
        book.take(f"0xcold{i}", [held(20_000.0, qty=0.01)], AT, marks)
    asked: Counter[str] = Counter()
    for second in range(0, 6 * 3_600, 5):
        asked.update(book.due(AT + second * 1_000, marks))
    assert all(asked[f"0xcold{i}"] >= 1 for i in range(40))
    assert all(asked[f"0xhot{i}"] >= 10 for i in range(300))


def test_a_position_close_to_death_is_asked_first(marks):
    book = Positions(per_minute=60)
    prices = {"0xfar": 32_000.0, "0xnear": 63_800.0, "0xmiddle": 60_000.0}
    for name, price in prices.items():
        book.take(name, [held(price, qty=10.0)], AT, marks)
    book.take("0xsmall", [held(63_800.0, qty=0.001)], AT, marks)
    later = AT + COLD_MS + 1
    assert book.due(later, marks)[:3] == ["0xnear", "0xmiddle", "0xfar"]


def test_hot_warm_and_cold_are_asked_again_in_their_time(marks):
    book = Positions(per_minute=6_000)
    book.take("0xhot", [held(63_000.0, qty=10.0)], AT, marks)
    book.take("0xwarm", [held(40_000.0, qty=10.0)], AT, marks)
    book.take("0xcold", [held(63_000.0, qty=0.1)], AT, marks)
    book.take("0xempty", [], AT, marks)
    times: dict[str, list[int]] = {}
    for now in range(AT, AT + 2 * COLD_MS, 5_000):
        for name in book.due(now, marks):
            times.setdefault(name, []).append(now)
    gaps = {name: both[1] - both[0] for name, both in times.items() if len(both) > 1}
    assert gaps["0xhot"] == HOT_MS
    assert gaps["0xwarm"] == WARM_MS
    assert times["0xcold"][0] - AT == COLD_MS
    assert times["0xempty"][0] - AT == COLD_MS


def test_an_account_seen_trading_is_asked_again_within_a_minute(marks):
    book = Positions(per_minute=6_000)
    book.take("0xa", [], AT, marks)
    assert book.due(AT + HOT_MS, marks) == []
    book.see("0xa", AT + HOT_MS)
    assert book.due(AT + HOT_MS + 1, marks) == ["0xa"]
    assert book.due(AT + HOT_MS + 2, marks) == []


def test_a_position_which_vanished_at_its_price_is_an_inferred_liquidation(marks):
    book = Positions(per_minute=60)
    book.take("0xa", [held(63_000.0, qty=2.0)], AT, marks)
    marks.note(BTC, AT + 30_000, 62_950.0)
    marks.note(BTC, AT + 40_000, 63_400.0)
    dead, gone = book.take("0xa", [], AT + 60_000, marks)
    assert isinstance(dead, Liquidation)
    assert (dead.completeness, dead.price_kind) == ("lower_bound", "mark")
    assert (dead.position_side, dead.qty, dead.price) == ("long", 2.0, 63_000.0)
    assert dead.notional_usd == pytest.approx(2 * 63_000.0)
    assert (gone.qty, gone.event_ms) == (0.0, AT + 60_000)


def test_a_position_closed_far_from_its_price_is_no_liquidation(marks):
    book = Positions(per_minute=60)
    book.take("0xa", [held(50_000.0)], AT, marks)
    (gone,) = book.take("0xa", [], AT + 60_000, marks)
    assert isinstance(gone, Position)
    book.take("0xb", [held(None)], AT, marks)
    assert [type(one) for one in book.take("0xb", [], AT + 60_000, marks)] == [Position]


def test_a_partial_liquidation_counts_the_part(marks):
    book = Positions(per_minute=60)
    book.take("0xa", [held(65_000.0, qty=10.0, side="short")], AT, marks)
    marks.note(BTC, AT + 30_000, 65_100.0)
    after = held(66_000.0, qty=8.0, side="short", at=AT + 60_000)
    dead, told = book.take("0xa", [after], AT + 60_000, marks)
    assert (dead.position_side, dead.qty) == ("short", 2.0)
    assert told == after


def test_only_what_changed_is_told_and_the_rest_now_and_then(marks):
    book = Positions(per_minute=60)
    assert len(book.take("0xa", [held(50_000.0)], AT, marks)) == 1
    assert book.take("0xa", [held(50_001.0)], AT + 60_000, marks) == []
    assert len(book.take("0xa", [held(49_000.0)], AT + 61_000, marks)) == 1
    assert len(book.take("0xa", [held(49_000.0)], AT + 61_000 + REFRESH_MS, marks)) == 1


def test_coverage_is_the_sum_of_each_side(marks):
    book = Positions(per_minute=60)
    book.take("0xa", [held(None, qty=2.0)], AT, marks)
    book.take("0xb", [held(None, qty=3.0)], AT, marks)
    book.take("0xc", [held(None, qty=4.0, side="short")], AT, marks)
    assert book.covered(BTC) == (5.0, 4.0)
    book.take("0xb", [], AT + 1, marks)
    assert book.covered(BTC) == (2.0, 4.0)


def test_the_number_of_accounts_is_bounded_and_holders_stay(marks):
    book = Positions(per_minute=60)
    book.take("0xholder", [held(60_000.0)], AT, marks)
    draw = random.Random(1)
    for i in range(MOST_ACCOUNTS + 5_000):
        book.see(f"0x{i}", AT + draw.randrange(10**6))
    assert len(book.accounts) <= MOST_ACCOUNTS
    assert "0xholder" in book.accounts


def test_an_unknown_mark_price_hides_a_position_but_not_its_account():
    book = Positions(per_minute=60)
    book.take("0xa", [held(60_000.0, qty=100.0)], AT, Marks())
    assert urgency(book.accounts["0xa"], Marks()) == (0.0, COLD_MS)


def test_after_a_restart_stored_positions_are_asked_by_age_and_danger(marks):
    book = Positions(per_minute=60)
    stored = [
        Position(BTC, AT - 2 * HOT_MS, "0xnear", "long", 10.0, 64_000.0, 63_000.0),
        Position(BTC, AT - COLD_MS // 2, "0xcold", "long", 0.1, 64_000.0, 30_000.0),
        Position(BTC, AT - 2 * COLD_MS, "0xgone", "short", 0.0, 64_000.0, None),
    ]
    book.recall(stored, AT)
    assert book.covered(BTC) == (10.1, 0.0)
    assert book.due(AT, marks) == ["0xnear", "0xgone"]
    # Told again when asked: unchanged ones only after their time.
    assert book.take("0xnear", [held(63_000.0, 10.0, at=AT)], AT, marks) == []


def test_what_died_while_we_were_away_died_at_an_unknown_time(marks):
    book = Positions(per_minute=60)
    book.recall([held(64_000.0, at=AT - HOT_MS)], AT)
    [closed] = book.take("0xa", [], AT, marks)
    assert isinstance(closed, Position)
    assert closed.qty == 0.0
    book.take("0xa", [held(64_000.0)], AT, marks)
    dead = book.take("0xa", [], AT + HOT_MS, marks)
    assert any(isinstance(one, Liquidation) for one in dead)


def test_recalled_positions_never_replace_what_was_asked_since(marks):
    book = Positions(per_minute=60)
    book.take("0xa", [held(63_000.0, 2.0)], AT, marks)
    book.recall([held(60_000.0, 9.0, at=AT - HOT_MS)], AT)
    assert book.covered(BTC) == (2.0, 0.0)
