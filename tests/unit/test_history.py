"""Bars of several intervals as one history: finer stand, coarse warm, nothing is known early."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.service.history import History, merge
from liqheat.service.live import LiveView
from liqheat.service.part import build_view
from liqheat.service.query import Query
from liqheat.service.window import build_for, plan
from tests.market import DAY, MINUTE, SYMBOL, T0, market

N = 3 * 1440


def coarse(bars: Bars, k: int) -> Bars:
    """Return ``bars`` joined ``k`` at a time; the last open interest of each is its own."""
    n = len(bars) // k
    part = {name: getattr(bars, name)[: n * k].reshape(n, k) for name in (
        "start_ms", "open", "high", "low", "close", "qty", "open_interest_qty")}  # fmt: skip
    return Bars.from_columns(
        {"start_ms": part["start_ms"][:, 0], "open": part["open"][:, 0],
         "high": part["high"].max(axis=1), "low": part["low"].min(axis=1),
         "close": part["close"][:, -1], "qty": part["qty"].sum(axis=1),
         "open_interest_qty": part["open_interest_qty"][:, -1]},
        interval_ms=k * MINUTE,
    )  # fmt: skip


def test_one_interval_is_taken_as_it_is() -> None:
    bars = market(50)
    history = merge([bars])
    assert history.bars is bars
    assert history.gaps() == bars.gaps() == []
    assert history.coarsest_ms(0) == MINUTE
    assert History.of(bars).rows()[7].end_ms == T0 + 8 * MINUTE


def test_finer_bars_stand_where_intervals_overlap() -> None:
    bars = market(N)
    history = merge([bars[1440:], coarse(bars, 5)])
    assert (history.length_ms[:288] == 5 * MINUTE).all()
    assert (history.length_ms[288:] == MINUTE).all()
    assert history.start_ms[0] == T0
    assert history.gaps() == []
    np.testing.assert_array_equal(history.bars.close[288:], bars.close[1440:])
    assert history.coarsest_ms(T0 + DAY) == MINUTE
    assert history.coarsest_ms(T0 + DAY - 1) == 5 * MINUTE


def test_a_coarse_bar_fills_a_hole_of_the_finer_ones() -> None:
    bars = market(60)
    holed = Bars.from_columns(
        {name: np.delete(getattr(bars, name), slice(10, 20))
         for name in ("start_ms", "open", "high", "low", "close", "qty")}
    )  # fmt: skip
    history = merge([holed, coarse(bars, 5)])
    assert history.gaps() == []
    assert (history.length_ms == 5 * MINUTE).sum() == 2
    # Half covered by finer ones it is left out: what they say must not count twice.
    assert merge([holed[1:], coarse(bars, 15)]).gaps() == [
        (T0 + 10 * MINUTE, T0 + 20 * MINUTE)
    ]


@given(st.lists(st.tuples(st.sampled_from([1, 3, 5, 15]), st.integers(0, 60),
                          st.integers(1, 40)), min_size=1, max_size=5,
                unique_by=lambda piece: piece[0]))  # fmt: skip
def test_a_merged_history_is_ordered_and_never_overlaps(pieces) -> None:
    found = []
    for k, first, count in pieces:
        start = T0 + first * k * MINUTE
        bars = market(count, start_ms=0)
        found.append(
            Bars.from_columns(
                {
                    name: getattr(bars, name)
                    for name in ("open", "high", "low", "close", "qty")
                }
                | {"start_ms": start + np.arange(count) * k * MINUTE},
                interval_ms=k * MINUTE,
            )
        )
    history = merge(found)
    assert (np.diff(history.end_ms) > 0).all()
    assert (history.start_ms[1:] >= history.end_ms[:-1]).all()
    assert (np.diff(history.bars.start_ms) % history.bars.interval_ms == 0).all()
    assert history.bars.interval_ms in (MINUTE, *(bars.interval_ms for bars in found))
    finest = min(found, key=lambda bars: bars.interval_ms)
    assert np.isin(finest.start_ms, history.start_ms).all()


def test_a_ledger_warmed_by_coarse_bars_holds_what_its_minutes_would() -> None:
    # Volume, open interest and decay are the same; only the order inside a bar is lost.
    bars = market(N)
    query = Query(SYMBOL, range="12h", bins=100)
    params = HeatmapParams(bins=100, price_min=4e4, price_max=9e4)
    mixed = merge([bars[-1440:], coarse(bars, 5)])
    fine, warm = (
        build_heatmap(one, instrument(SYMBOL), params, start_ms=int(bars.start_ms[-720]))
        for one in (bars, mixed.bars)
    )
    assert warm.long_usd.sum() == pytest.approx(float(fine.long_usd.sum()), rel=0.05)
    assert warm.short_usd.sum() == pytest.approx(float(fine.short_usd.sum()), rel=0.05)
    assert plan(query, mixed)[0].step_ms == MINUTE


def test_nothing_of_a_coarse_bar_is_known_before_it_has_ended() -> None:
    bars = market(N)
    history = merge([bars[-60:], coarse(bars, 15)])
    as_of = int(bars.start_ms[-200])
    known = history.known_at(as_of)
    assert int(known.end_ms[-1]) <= as_of < int(history.end_ms[len(known)])
    params = HeatmapParams(bins=100, price_min=4e4, price_max=9e4)
    whole, part = (
        build_heatmap(one.bars, instrument(SYMBOL), params, step_ms=15 * MINUTE,
                      start_ms=T0 + DAY, end_ms=as_of // (15 * MINUTE) * 15 * MINUTE)
        for one in (history, known)
    )  # fmt: skip
    np.testing.assert_array_equal(whole.long_usd, part.long_usd)


def test_a_step_shorter_than_the_bars_in_the_window_is_refused() -> None:
    bars = market(N)
    history = merge([bars[-720:], coarse(bars, 5)])
    plan(Query(SYMBOL, range="12h", step="1m"), history)
    with pytest.raises(BadInputError, match="stored bars are 5m"):
        plan(Query(SYMBOL, range="24h", step="1m"), history)
    assert plan(Query(SYMBOL, range="24h"), history)[0].step_ms == 5 * MINUTE


@pytest.mark.parametrize(("stored", "live"), [(5, 1), (1, 5)])
def test_live_bars_of_another_interval_continue_the_stored_ones(stored, live) -> None:
    bars = market(N)
    query = Query(SYMBOL, range="24h", step="5m", bins=200, price_min=4e4, price_max=9e4)
    first = bars[: N - 60] if stored == 1 else coarse(bars[: N - 60], 5)
    later = bars[N - 60 :] if live == 1 else coarse(bars[N - 60 :], 5)
    start = History.of(first)
    view = LiveView(query, "live", build_view(query, start, instrument(SYMBOL)))
    rows = History.of(later).rows()
    assert view.advance(rows, None) is not False
    if live == 1:
        # The ledger takes them one by one, as they come.
        assert not view.outdated
        assert view.end_ms == int(bars.start_ms[-1]) + MINUTE
    whole = build_for(query, start.extended(rows), instrument(SYMBOL))
    if not view.outdated:
        n = min(len(whole.start_ms), view.columns)
        np.testing.assert_array_equal(
            view._usd[view.columns - n : view.columns],
            (whole.long_usd + whole.short_usd)[-n:],
        )
    assert int(whole.start_ms[-1]) + 5 * MINUTE == int(bars.start_ms[-1]) + MINUTE
