"""Reading queries strictly, and choosing windows and rows."""

import math

import numpy as np
import pytest

from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.units import INTERVAL_MS, RANGE_MS
from liqheat.serve.replies import HeatmapQuery
from liqheat.service.history import History
from liqheat.service.query import (
    Query,
    UnknownParameterError,
    parse_query,
)
from liqheat.service.window import choose_rows, choose_window, is_too_near

MINUTE, DAY = 60_000, 86_400_000
NOW = 20_000 * DAY


def test_strings_are_converted() -> None:
    query = parse_query(
        {"instrument": "a:B", "bins": "100", "price_min": "1.5", "candles": "1"},
        HeatmapQuery,
    )
    assert (query.bins, query.price_min, query.candles, query.model) == (
        100,
        1.5,
        1,
        "auto",
    )


@pytest.mark.parametrize(
    ("raw", "field", "words"),
    [
        ({}, "instrument", "is required"),
        ({"bins": "x"}, "bins", "must be a whole number"),
        ({"bins": "49"}, "bins", ">= 50"),
        ({"bins": "2001"}, "bins", "<= 2000"),
        ({"model": "shrp"}, "model", "did you mean sharp"),
        ({"exchanges": "x" * 201}, "exchanges", "length"),
        ({"range": "4d"}, "range", "use one of 12h"),
        ({"step": "7m"}, "step", "use one of 1m"),
        ({"price_min": "0"}, "price_min", "positive"),
        ({"price_max": "nan"}, "price_max", "positive"),
        ({"price_min": "2", "price_max": "1"}, "price_min", "below price_max"),
        ({"leverage": "25"}, "leverage", "leverage:share"),
        ({"leverage": "25:1,25:2"}, "leverage", "mixture"),
        ({"leverage": "0.5:1"}, "leverage", "mixture"),
        ({"as_of_ms": "-1"}, "as_of_ms", ">= 0"),
        ({"instrument": "x" * 99}, "instrument", "length"),
    ],
)
def test_wrong_value_names_field_and_remedy(raw, field, words) -> None:
    full = raw if field == "instrument" else {"instrument": "a:B", **raw}
    with pytest.raises(BadInputError) as caught:
        parse_query(full, Query)
    assert caught.value.where == field
    assert words in str(caught.value)
    assert caught.value.status == 422


def test_unknown_name_says_the_nearest() -> None:
    with pytest.raises(UnknownParameterError, match="did you mean leverage") as caught:
        parse_query({"instrument": "a:B", "leverages": "x"}, Query)
    assert caught.value.status == 400


def bars(low=90.0, high=110.0, close=100.0, n=10) -> Bars:
    start = NOW + MINUTE * np.arange(n)
    column = np.full(n, close)
    return Bars.from_columns(
        {"start_ms": start, "open": column, "high": np.full(n, high), "low": np.full(n, low),
         "close": column, "qty": np.ones(n)}
    )  # fmt: skip


@pytest.mark.parametrize("name", list(RANGE_MS))
@pytest.mark.parametrize("interval", [MINUTE, 5 * MINUTE, 60 * MINUTE])
def test_auto_step_gives_a_readable_number_of_columns(name, interval) -> None:
    window = choose_window(Query("a:B", range=name), interval, 0, NOW)
    assert window.step_ms % interval == 0
    assert window.columns == window.wanted <= 1500
    # Enough of them, or as many as there are bars.
    assert window.wanted >= 288 or window.step_ms == interval
    assert window.start_ms % window.step_ms == window.end_ms % window.step_ms == 0


def test_window_ends_with_the_step_under_way_and_begins_with_the_data() -> None:
    query = Query("a:B", range="12h", step="5m")
    window = choose_window(query, MINUTE, NOW + MINUTE, NOW + 12 * MINUTE)
    assert (window.start_ms, window.end_ms) == (NOW, NOW + 15 * MINUTE)
    assert (window.columns, window.wanted) == (3, 144)


@pytest.mark.parametrize(
    ("query", "interval", "words"),
    [
        (Query("a:B", range="12h", step="1m"), 5 * MINUTE, "use one of 5m"),
        (Query("a:B", range="1Y", step="1h"), MINUTE, "use one of 4h"),
    ],
)
def test_impossible_step_says_which_are_possible(query, interval, words) -> None:
    with pytest.raises(BadInputError, match=words):
        choose_window(query, interval, 0, NOW)


@pytest.mark.parametrize("close", [91.0, 100.0, 109.0])
def test_rows_hold_the_window_and_the_near_levels(close) -> None:
    found = bars(close=close)
    window = choose_window(Query("a:B"), MINUTE, NOW, NOW + 10 * MINUTE)
    low, high = choose_rows(Query("a:B"), History.of(found), window)
    assert low < 90 * 0.97
    assert high > 110 * 1.03
    assert low < close * 0.92
    assert high > close * 1.08
    assert not is_too_near(Query("a:B"), close, low, high)
    assert is_too_near(Query("a:B"), low * 1.03, low, high)


def test_rows_do_not_shift_with_small_moves() -> None:
    window = choose_window(Query("a:B"), MINUTE, NOW, NOW + 10 * MINUTE)
    edges = {
        choose_rows(Query("a:B"), History.of(bars(close=100 + d / 100)), window)
        for d in range(50)
    }
    assert len(edges) <= 2
    for low, high in edges:
        assert math.log(low) / 0.02 == pytest.approx(round(math.log(low) / 0.02))
        assert math.log(high) / 0.02 == pytest.approx(round(math.log(high) / 0.02))


def test_given_edges_stand() -> None:
    query = Query("a:B", price_min=50.0, price_max=60.0)
    window = choose_window(query, MINUTE, NOW, NOW + 10 * MINUTE)
    assert choose_rows(query, History.of(bars()), window) == (50.0, 60.0)
    assert not is_too_near(query, 1000.0, 50.0, 60.0)


def test_one_given_edge_beyond_the_prices_is_refused() -> None:
    query = Query("a:B", price_min=500.0)
    window = choose_window(query, MINUTE, NOW, NOW + 10 * MINUTE)
    with pytest.raises(BadInputError, match="leaves no rows"):
        choose_rows(query, History.of(bars()), window)


def test_steps_of_the_query_are_intervals() -> None:
    for name in ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d"):
        assert name in INTERVAL_MS


def test_text_which_is_no_utf8_is_refused() -> None:
    with pytest.raises(BadInputError, match="is not valid text"):
        parse_query({"instrument": "binance:BTCUSDT", "price_max": "\udcff"}, Query)
