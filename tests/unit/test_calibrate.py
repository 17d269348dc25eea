"""Files of weights: what is written is read; what is spoilt is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from liqheat.engine.band import covariance_of
from liqheat.engine.fit import component_distance
from liqheat.engine.leverage import build_bank
from liqheat.engine.positions import Told
from liqheat.engine.shapes import transfer_shape, walk_shapes
from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError
from liqheat.market.instrument import instrument
from liqheat.study.calibrate import (
    read_weights,
    together,
    walk_forward,
    weights_path,
    write_weights,
)
from tests.market import DAY, T0
from tests.unit.test_learn import BARS, BTC, DAYS, EVENTS


class Small:
    bars, instrument, liquidations = BARS, BTC, EVENTS
    covered, left_out = ((T0, T0 + DAYS * DAY),), 0


@pytest.fixture(scope="module")
def weights() -> list[Weights]:
    return walk_forward([Small()])[0]


def test_what_is_written_is_read_as_of_any_day(tmp_path: Path, weights: Any) -> None:
    assert read_weights(tmp_path, BTC) == []
    path = write_weights(tmp_path, BTC, weights)
    assert path == tmp_path / "weights/simulated_BTCUSDT.json"
    assert list(path.parent.iterdir()) == [path]  # nothing half-written is left
    assert read_weights(tmp_path, BTC) == weights
    known = read_weights(tmp_path, BTC, as_of_ms=T0 + 6 * DAY)
    assert known == [each for each in weights if each.as_of_ms <= T0 + 6 * DAY]
    assert known[-1].as_of_ms == T0 + 6 * DAY


def test_a_symbol_with_odd_letters_stays_in_its_folder(tmp_path: Path) -> None:
    odd = msgspec.structs.replace(BTC, symbol="../BTC/USDT:USDT")
    assert weights_path(tmp_path, odd).parent == tmp_path / "weights"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda text: text[: len(text) // 2], "not a file of weights"),
        (lambda text: text.replace(b'"events":', b'"surprise":'), "not a file of weights"),
        (lambda text: b"\xff\xfe", "not a file of weights"),
        (lambda text: edit(text, log_gain=None, at=0), "not a file of weights"),
        (lambda text: edit(text, model_version="2020.1.1"), "another model version"),
        (lambda text: edit(text, log_gain=[0.0]), "do not fit the model's"),
        (lambda text: edit(text, shape=-1.0), "not positive"),
        (lambda text: edit(text, zone_shape=0.0), "not positive"),
        (lambda text: edit(text, event_size=0.0), "not positive"),
        (lambda text: edit(text, side_gain=2000.0), "beyond what any fit gives"),
        (lambda text: edit(text, shape=1e-300), "beyond what any fit gives"),
        (lambda text: edit(text, zone_shape=1e-300), "beyond what any fit gives"),
        (lambda text: edit(text, instrument="okx:X"), "another instrument"),
    ],
)
def test_spoilt_files_are_refused_in_one_line(
    tmp_path: Path, weights: Any, spoil: Any, says: str
) -> None:
    path = write_weights(tmp_path, BTC, weights)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadInputError, match=says) as error:
        read_weights(tmp_path, BTC)
    text = str(error.value)
    assert "\n" not in text
    assert str(path) in text
    assert "liqheat study calibrate" in text


def test_a_path_which_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    weights_path(tmp_path, BTC).mkdir(parents=True)
    with pytest.raises(BadInputError, match="cannot be read"):
        read_weights(tmp_path, BTC)


def edit(text: bytes, at: int | None = None, **changes: Any) -> bytes:
    rows = json.loads(text)
    if at is not None:
        rows[-1]["log_gain"][at] = None  # how JSON says NaN
        return json.dumps(rows).encode()
    rows[-1].update(changes)
    return json.dumps(rows).encode()


def test_weights_of_another_instrument_are_not_written(
    tmp_path: Path, weights: Any
) -> None:
    with pytest.raises(BadInputError, match="another instrument"):
        write_weights(tmp_path, instrument("binance:BTCUSDT"), weights)
    assert list(tmp_path.iterdir()) == []


class Lent(Small):
    """Another exchange with the same coin and the same evidence."""

    instrument = instrument("hyperliquid:BTC")


def test_markets_are_learnt_together_day_by_day(weights: list[Weights]) -> None:
    both = walk_forward([Small(), Lent()])
    assert [len(one) for one in both] == [len(weights)] * 2
    assert "together with 1 others" in both[0][-1].note
    # Two witnesses of one coin are surer than one.
    alone, lent = weights[-1], both[0][-1]
    assert alone.method == lent.method == "fitted"
    assert variance(lent) < variance(alone)
    # One which is not yet there on the first days changes nothing of them.
    assert both[0][0] == weights[0] or weights[0].method == "fitted"


def variance(one: Weights) -> float:
    return float(np.diag(covariance_of(one))[:-1].mean())


def test_many_instruments_are_parted_by_coin() -> None:
    names = [f"{coin}{i}" for i in range(10) for coin in ("BTC", "ETH")]
    many = [msgspec.structs.replace(BTC, coin=name[:3], symbol=name) for name in names]
    assert together(many[:12]) == [list(range(12))]
    assert together(many) == [list(range(0, 20, 2)), list(range(1, 20, 2))]
    assert [len(group) for group in together([BTC] * 30)] == [12, 12, 6]
    assert together([]) == []


def test_a_measured_shape_is_lent_to_the_coin_and_uses_nothing_told_later() -> None:
    hyper = instrument("hyperliquid:BTC")
    rng = np.random.default_rng(5)
    days = range(4, DAYS + 1)
    n = 200
    at = np.concatenate([np.full(n, T0 + day * DAY - 1_800_000) for day in days])
    side = np.tile(np.arange(n) % 2, len(days))
    close = np.interp(at, BARS.start_ms, BARS.close)
    # All of them die far from the price: more of the slow, far components than the prior has.
    away = rng.uniform(0.15, 0.35, len(at))
    price = np.where(side == 0, close * (1 - away), close * (1 + away))
    account = np.tile(np.arange(n), len(days))
    names = [str(i) for i in range(n)]
    ones = np.ones(len(at))
    told = Told.in_order(at, account, side, ones, price, np.zeros(len(at), bool), names)
    shapes = walk_shapes(BARS, hyper, told)
    assert [one.as_of_ms for one in shapes] == [T0 + day * DAY for day in days]
    distance = np.log(component_distance(build_bank(hyper, "calibrated", None)[0]))
    assert np.corrcoef(shapes[-1].log_gain, distance)[0, 1] > 0.5
    known = told.event_ms < T0 + 7 * DAY
    early = Told.in_order(
        at[known], account[known], side[known], ones[known], price[known],
        np.zeros(known.sum(), bool), names,
    )  # fmt: skip
    for mine, its in zip(walk_shapes(BARS, hyper, early), shapes, strict=False):
        assert mine.as_of_ms == its.as_of_ms
        np.testing.assert_array_equal(mine.log_gain, its.log_gain)
        if mine.as_of_ms >= T0 + 7 * DAY:
            break

    # The other instrument of the coin takes it over by distance, and leans towards it.
    plain, lent = (
        walk_forward([Small(), Lent()], [None, one])[0][-1] for one in (None, told)
    )
    bank = build_bank(BTC, "calibrated", None)[0]
    here = transfer_shape(
        shapes[-1].log_gain, build_bank(hyper, "calibrated", None)[0], bank
    )
    moved = np.subtract(lent.log_gain, plain.log_gain)
    assert np.corrcoef(moved, here)[0, 1] > 0.3


def test_too_few_positions_say_nothing() -> None:
    few = Told.in_order(
        np.array([T0 + 5 * DAY - 1]), np.zeros(1, np.int64), np.zeros(1, np.int64),
        np.ones(1), np.array([40_000.0]), np.zeros(1, bool), ["a"],
    )  # fmt: skip
    assert walk_shapes(BARS, BTC, few) == []
