"""Frames of any exchange: number or text, bounds, and errors which name field and value."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.exchanges._wire import (
    BadFrameError,
    Price,
    Qty,
    Rate,
    Seen,
    TimeMs,
    coarse_side,
    history_table,
    lax,
    number,
    unpack,
)
from liqheat.market.events import Bar, Liquidation
from liqheat.store import Store


class Row(msgspec.Struct):
    p: Price
    q: Qty = 0.0
    r: Rate = 0.0
    t: TimeMs = 1_700_000_000_000


class Frame(msgspec.Struct):
    data: list[Row]


FRAMES = lax(Frame)


def test_numbers_and_texts_of_numbers_are_alike_and_unknown_fields_ignored():
    rows = unpack(
        FRAMES,
        b'{"new":{"x":[1]},"data":[{"p":"1.5","q":2},{"p":1.5,"q":"2","z":null}]}',
        "gate",
        "trades",
    ).data
    assert rows[0] == rows[1] == Row(1.5, 2.0)


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ('{"p":""}', "data[0].p", ""),
        ('{"p":"NaN"}', "data[0].p", "NaN"),
        ('{"p":"Infinity"}', "data[0].p", "Infinity"),
        ('{"p":"0"}', "data[0].p", "0"),
        ('{"p":-3}', "data[0].p", -3),
        ('{"p":true}', "data[0].p", True),
        ('{"p":null}', "data[0].p", None),
        ('{"p":1,"q":"-1"}', "data[0].q", "-1"),
        ('{"p":1,"r":"1.5"}', "data[0].r", "1.5"),
        ('{"p":1,"t":1700000000}', "data[0].t", 1_700_000_000),
        ('{"p":1,"t":"soon"}', "data[0].t", "soon"),
        ('{"q":1}', "data[0]", {"q": 1}),
    ],
)
def test_a_bad_field_is_named_with_its_value(text, field, value):
    with pytest.raises(BadFrameError) as caught:
        unpack(FRAMES, f'{{"data":[{text}]}}', "bybit", "tickers")
    assert caught.value.field == field
    assert caught.value.value == value
    assert str(caught.value).startswith(f"bybit tickers, field {field}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "frame",
    [b"", b"{", b"[]", b"null", b'{"data":', b"\xff\xfe", b'{"data":[{"p":1}]}x',
     b'{"data":' + b"[" * 100_000, b'{"\xff":1}', "\ud800"],
)  # fmt: skip
def test_what_is_no_message_is_a_bad_frame(frame):
    with pytest.raises(BadFrameError, match=r"^okx trades"):
        unpack(FRAMES, frame, "okx", "trades")


@pytest.mark.parametrize("absent", [None, ""])
def test_absent_is_none_never_zero(absent):
    assert number(absent, "bybit", "tickers", "markPrice") is None
    assert number("0", "bybit", "tickers", "fundingRate") == 0.0


@pytest.mark.parametrize("wrong", ["nan", "-Infinity", "soon", "1,5", float("inf")])
def test_a_number_which_is_none_is_a_bad_frame(wrong):
    with pytest.raises(BadFrameError, match="field markPrice: no finite number"):
        number(wrong, "bybit", "tickers", "markPrice")


def test_seen_remembers_at_least_its_size_and_forgets_in_the_end():
    new = Seen(10)
    assert all(new(key) for key in range(35))
    assert not any(new(key) for key in range(25, 35))
    assert new(0)


def test_history_is_cut_sorted_and_without_doubles_and_enters_the_store(tmp_path):
    name = "bybit:BTCUSDT"
    at = 1_786_539_600_000
    bars = [
        Bar(name, at + i * 60_000, 60_000, 2.0, 3.0, 1.0, 2.5, 7.0) for i in (2, 0, 1, 1)
    ]
    table = history_table("bars", bars, "bybit", at, at + 120_000)
    assert table["start_ms"].to_pylist() == [at, at + 60_000]
    dead = Liquidation(name, at, "long", 2.0, "bankruptcy", 1.0, 2.0, None, "full")
    both = history_table("liquidations", [dead, dead], "bybit", at, at + 1)
    assert both.num_rows == 2
    with Store.open(tmp_path) as store:
        assert store.write("bars", table).new == 2
        assert store.write("liquidations", both).new == 2
        empty = history_table("funding", [], "bybit", at, at + 1)
        assert store.write("funding", empty).new == 0


@given(st.lists(st.tuples(st.floats(1.0, 100.0), st.floats(0.0, 1e6))))
def test_a_coarse_book_keeps_the_quantity_within_a_tenth(levels):
    levels.sort(reverse=True)
    coarse = coarse_side(levels, 100.0)
    near = sum(qty for price, qty in levels if abs(price / 100.0 - 1.0) <= 0.1)
    assert sum(qty for _, qty in coarse) == pytest.approx(near)
    assert len(coarse) <= 14
    assert [price for price, _ in coarse] == sorted((p for p, _ in coarse), reverse=True)
