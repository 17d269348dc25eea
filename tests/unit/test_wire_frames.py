"""Frames of any exchange: number or text, bounds, and errors which name field and value."""

import msgspec
import pytest

from liqheat.exchanges._wire import BadFrameError, Price, Qty, Rate, TimeMs, lax, unpack


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
