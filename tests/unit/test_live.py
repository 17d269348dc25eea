"""A live view: deltas applied in order give the picture, and the picture is the batch's."""

import math

import numpy as np
import pytest

from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.service.history import BarRow, History
from liqheat.service.live import LiveView
from liqheat.service.part import build_view
from liqheat.service.picture import Delta, Picture
from liqheat.service.query import Query
from tests.market import MINUTE, SYMBOL, market

QUERY = Query(SYMBOL, range="12h", step="5m", bins=200)


def row(bars: Bars, i: int) -> BarRow:
    return History.of(bars[i : i + 1]).rows()[0]


def view_of(bars: Bars, query: Query = QUERY) -> LiveView:
    return LiveView(query, "live", build_view(query, History.of(bars), instrument(SYMBOL)))


class Client:
    """What a viewer holds."""

    def __init__(self, picture: Picture) -> None:
        self.take_picture(picture)

    def take_picture(self, picture: Picture) -> None:
        assert picture.candles is not None
        self.codes = [column.copy() for column in picture.codes]
        self.candles = [tuple(c) for c in picture.candles.T]
        self.seq = picture.seq

    def take(self, delta: Delta) -> None:
        assert delta.seq == self.seq + 1
        self.seq = delta.seq
        candle = tuple(np.float32(v) for v in delta.candle)
        if delta.kind == "append":
            assert delta.column == len(self.codes)
            self.codes.append(delta.codes.copy())
            self.candles.append(candle)
            return
        self.candles[delta.column] = candle
        if delta.bins is None:
            self.codes[delta.column] = delta.codes.copy()
        else:
            self.codes[delta.column][delta.bins] = delta.codes

    def assert_equals(self, picture: Picture) -> None:
        assert picture.candles is not None
        assert self.seq == picture.seq
        np.testing.assert_array_equal(np.array(self.codes), picture.codes)
        np.testing.assert_array_equal(np.array(self.candles).T, picture.candles)


def test_deltas_give_the_picture_and_the_picture_is_the_batch() -> None:
    bars = market(3 * 1440 + 70)
    first = 3 * 1440 + 3
    view = view_of(bars[:first])
    client, kinds = Client(view.picture()), set()
    for i in range(first, len(bars)):
        half = row(bars, i)._replace(qty=bars.qty[i] / 2)
        for closed, progress in (([], half), ([row(bars, i)], None)):
            deltas = view.advance(closed, progress)
            if deltas is None:
                client.take_picture(view.picture())
                continue
            kinds |= {delta.kind for delta in deltas}
            for delta in deltas:
                client.take(delta)
        client.assert_equals(view.picture())
    assert kinds == {"append", "sparse"} or kinds == {"append", "sparse", "replace"}
    assert_same_columns(view, view_of(bars))


def assert_same_columns(live: LiveView, fresh: LiveView) -> None:
    a, b = live.picture(), fresh.picture()
    n = min(len(a.codes), len(b.codes))
    assert a.t0_ms + len(a.codes) * a.step_ms == b.t0_ms + len(b.codes) * b.step_ms
    np.testing.assert_array_equal(a.candles[:4, -n:], b.candles[:4, -n:])
    np.testing.assert_allclose(a.candles[4, -n:], b.candles[4, -n:], rtol=1e-6)
    # Rows and v_max may differ; what is held for a column may not.
    if (live.price_min, live.price_max) == (fresh.price_min, fresh.price_max):
        np.testing.assert_array_equal(
            live._usd[: live.columns][-n:], fresh._usd[: fresh.columns][-n:]
        )


def test_many_bars_at_once_are_one_picture() -> None:
    bars = market(2 * 1440)
    view = view_of(bars[:1440])
    seq = view.seq
    assert view.advance([row(bars, i) for i in range(1440, 1800)], None) is None
    assert view.seq == seq + 1
    assert_same_columns(view, view_of(bars[:1800]))


def test_several_bars_of_one_column_are_one_delta() -> None:
    bars = market(1500)
    view = view_of(bars[:1440])
    deltas = view.advance([row(bars, i) for i in range(1440, 1444)], None)
    assert [delta.kind for delta in deltas] == ["append"]


def test_nothing_new_is_no_delta() -> None:
    bars = market(1500)
    view = view_of(bars[:1444])
    assert view.advance([row(bars, i) for i in range(1400, 1444)], None) == []
    progress = row(bars, 1444)
    assert len(view.advance([], progress)) == 1
    assert view.advance([], progress) == []


def test_bar_after_a_hole_leaves_the_view_outdated() -> None:
    bars = market(1500)
    view = view_of(bars[:1440])
    assert view.advance([row(bars, 1445)], None) == []
    assert view.outdated
    assert view.advance([row(bars, 1440)], None) == []
    holed = Bars.from_columns(
        {n: np.delete(getattr(bars, n), slice(1440, 1445))
         for n in ("start_ms", "open", "high", "low", "close", "qty", "open_interest_qty")}
    )  # fmt: skip
    seq = view.seq
    view.adopt(build_view(QUERY, History.of(holed), instrument(SYMBOL)))
    assert not view.outdated
    assert view.seq == seq + 1
    assert np.isnan(view.picture().candles[3]).sum() == 1


def test_price_near_the_edge_leaves_the_view_outdated() -> None:
    bars = market(1440)
    view = view_of(bars)
    at = int(bars.start_ms[-1]) + MINUTE
    price = view.price_max * 0.97
    last = float(bars.close[-1])
    view.advance([BarRow(at, last, price, last, price, 1.0)], None)
    assert view.outdated


def test_window_drops_its_oldest_columns_now_and_then() -> None:
    bars = market(2 * 1440 + 300)
    view = view_of(bars[:1440])
    wanted, drops = view.window.wanted, 0
    for i in range(1440, len(bars)):
        t0 = view.t0_ms
        if view.advance([row(bars, i)], None) is None and view.t0_ms > t0:
            drops += 1
            assert view.columns == wanted
        assert wanted - 1 <= view.columns <= wanted + wanted // 8 + 1
        if view.outdated:
            view.adopt(build_view(QUERY, History.of(bars[: i + 1]), instrument(SYMBOL)))
    assert drops >= 3
    assert view.t0_ms + view.columns * view.step_ms == end_of(bars)


def end_of(bars: Bars) -> int:
    end = int(bars.start_ms[-1]) + MINUTE
    return -(-end // (5 * MINUTE)) * 5 * MINUTE


def test_larger_levels_move_v_max() -> None:
    bars = market(1500)
    view = view_of(bars[:1440])
    v_max = view.v_max
    huge = row(bars, 1440)._replace(qty=1e7, open_interest_qty=1e7)
    assert view.advance([huge], None) is None
    assert view.v_max > v_max
    picture = view.picture()
    assert picture.codes.max() < 255


@pytest.mark.parametrize("step", ["1m", "15m", "1h"])
def test_short_history_has_fewer_columns_than_wanted(step) -> None:
    view = view_of(market(90), Query(SYMBOL, range="24h", step=step, bins=50))
    assert view.columns < view.window.wanted
    assert view.first_bar_ms == view.t0_ms or step == "1h"
    assert math.isfinite(view.last_price)
    assert view.warm_from_ms < view.first_bar_ms
