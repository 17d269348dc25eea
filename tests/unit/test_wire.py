"""The bytes of the picture: both ways, and the fixture which the page's tests read too."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from liqheat.errors import BadInputError
from liqheat.serve.wire import (
    compress,
    decode_picture,
    delta_frame,
    encode_picture,
    heartbeat_frame,
    snapshot_frame,
)
from liqheat.service.picture import (
    Delta,
    Picture,
    price_scale,
    scale_top,
    to_codes,
)
from tests.frames import decode_frame, to_usd

GOLDEN = Path(__file__).parents[1] / "golden/wire"


def golden() -> tuple[bytes, Picture, np.ndarray]:
    data = json.loads((GOLDEN / "snapshot.json").read_text())
    rows = [data["candles"][name] for name in ("open", "high", "low", "close", "qty")]
    candles = np.array(
        [[np.nan if v is None else v for v in row] for row in rows], dtype=np.float32
    )
    picture = Picture(
        np.array(data["codes"], np.uint8), candles, data["t0_ms"], data["step_ms"],
        data["p_lo"], data["p_step"], data["v_min"], data["v_max"], data["log"], "simulated",
        "sharp", data["seq"],
    )  # fmt: skip
    return (
        (GOLDEN / "snapshot.bin").read_bytes(),
        picture,
        np.array(data["usd"], np.float32),
    )


def test_encode_golden_gives_the_same_bytes() -> None:
    raw, picture, _ = golden()
    assert encode_picture(picture) == raw


def test_codes_golden_values_give_the_same_codes() -> None:
    _, picture, usd = golden()
    np.testing.assert_array_equal(to_codes(usd, picture.v_max), picture.codes)


def test_decode_golden_gives_the_picture() -> None:
    raw, picture, _ = golden()
    assert_same(decode_picture(raw), picture)


def assert_same(a: Picture, b: Picture) -> None:
    np.testing.assert_array_equal(a.codes, b.codes)
    if b.candles is None:
        assert a.candles is None
    else:
        assert a.candles is not None
        np.testing.assert_array_equal(a.candles, b.candles)
    for name in ("t0_ms", "step_ms", "p_lo", "p_step", "log_scale", "mode", "model", "seq"):
        assert getattr(a, name) == getattr(b, name)
    assert np.float32(a.v_max) == np.float32(b.v_max)


codes = st.tuples(st.integers(1, 30), st.integers(1, 20)).flatmap(
    lambda shape: arrays(np.uint8, shape)
)


@settings(deadline=None)
@given(
    codes,
    st.sampled_from(["live", "simulated", "replay"]),
    st.sampled_from(["sharp", "zones", "calibrated"]),
    st.booleans(),
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.randoms(use_true_random=False),
)
def test_picture_round_trip(
    codes, mode, model, log_scale, with_candles, seq, random
) -> None:
    candles = None
    if with_candles:
        candles = np.array(
            [
                [random.choice([np.nan, random.random() * 1e5]) for _ in codes]
                for _ in range(5)
            ],
            np.float32,
        )
    picture = Picture(
        codes, candles, 1_700_000_000_000, 60_000, 100.0, 0.01, 1.0, 1e5, log_scale, mode,
        model, seq,
    )  # fmt: skip
    assert_same(decode_picture(encode_picture(picture)), picture)
    back = decode_frame(snapshot_frame(picture))
    assert isinstance(back, Picture)
    assert_same(back, picture)


@settings(deadline=None)
@given(
    arrays(np.uint8, st.integers(1, 2000)),
    st.sampled_from(["append", "replace", "sparse"]),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
)
def test_delta_round_trip(codes, kind, seq, column) -> None:
    bins = np.arange(len(codes), dtype=np.uint16) if kind == "sparse" else None
    candle = (1.0, 2.0, 0.5, 1.5, float("nan"))
    back = decode_frame(delta_frame(Delta(kind, seq, column, candle, codes, bins)))
    assert isinstance(back, Delta)
    assert (back.kind, back.seq, back.column) == (kind, seq, column)
    np.testing.assert_array_equal(back.candle, candle)
    np.testing.assert_array_equal(back.codes, codes)
    if bins is not None:
        np.testing.assert_array_equal(back.bins, bins)


def test_heartbeat_round_trip() -> None:
    assert decode_frame(heartbeat_frame(7)) == 7
    assert len(heartbeat_frame(7)) == 9


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_decode_garbage_says_so(data) -> None:
    for decode in (decode_picture, decode_frame):
        try:
            decode(data)
        except BadInputError:
            continue
        assert decode is decode_frame  # a heartbeat or a column, by chance


@pytest.mark.parametrize("cut", [-1, 1])
def test_decode_wrong_length_is_refused(cut) -> None:
    raw, _, _ = golden()
    with pytest.raises(BadInputError, match="header says"):
        decode_picture(raw[:cut] if cut < 0 else raw + b"x")


def test_compress_is_deterministic() -> None:
    data = bytes(range(256)) * 20
    assert compress(data) == compress(data)
    assert gzip.decompress(compress(data)) == data


@given(arrays(np.float32, 300, elements=st.floats(0, 2**30, width=32)))
@example(np.full(300, 1e-36, np.float32))
def test_codes_are_near_and_monotone(usd) -> None:
    v_max = scale_top(float(usd.max()))
    found = to_codes(usd, v_max)
    shown = usd >= np.float32(v_max / 1e5)
    assert ((found > 0) == shown).all()
    np.testing.assert_allclose(to_usd(found, v_max)[shown], usd[shown], rtol=0.024)
    order = np.argsort(usd)
    assert (np.diff(found[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("largest", [0.0, 1e-9, 1.0, 123_456.7, 9e11])
def test_scale_top_leaves_headroom(largest) -> None:
    top = scale_top(largest)
    assert top >= largest * 1.25
    assert scale_top(largest * 1.0001) <= top * 1.5


def test_scale_top_of_nothing_is_one() -> None:
    assert scale_top(0.0) == scale_top(float("nan")) == 1.0


@pytest.mark.parametrize("log_scale", [True, False])
def test_price_scale_gives_the_edges_back(log_scale) -> None:
    edges = np.geomspace(100, 200, 11) if log_scale else np.linspace(100, 200, 11)
    low, step = price_scale(edges, log_scale=log_scale)
    p = np.arange(11)
    back = low * np.exp(p * step) if log_scale else low + p * step
    np.testing.assert_allclose(back, edges, rtol=1e-12)
