"""Files of weights: what is written is read; what is spoilt is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from liqheat.engine.weights import Weights
from liqheat.errors import BadInputError
from liqheat.market.instrument import instrument
from liqheat.study.calibrate import (
    calibrate_together,
    read_weights,
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
    return walk_forward(Small())


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


def test_markets_are_calibrated_together() -> None:
    found = calibrate_together([Small()], T0 + DAYS * DAY)
    assert found["simulated:BTCUSDT"] is not None
