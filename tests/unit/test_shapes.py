"""A measured map teaches the shape it was made with."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from liqheat.engine import kernels
from liqheat.engine.band import component_usd
from liqheat.engine.fit import component_distance
from liqheat.engine.leverage import build_bank
from liqheat.engine.params import bar_matrix
from liqheat.engine.shapes import MeasuredMap, measured_shape, transfer_shape
from liqheat.errors import BadInputError
from liqheat.market.instrument import instrument
from tests.market import DAY, T0, market

BTC = instrument("simulated:BTCUSDT")
BARS = market(10 * 1440)
BANK, _ = build_bank(BTC, "calibrated", None)
EDGES = 60_000 * np.exp(np.arange(-0.5, 0.5, 0.005))


def known(gain: np.ndarray) -> list[MeasuredMap]:
    """Return the maps of two days if the weights were the prior's times exp(gain)."""
    rng, maps, rows = np.random.default_rng(3), [], bar_matrix(BARS)
    for day in (6, 8, 10):
        ledger = kernels.new_ledger(BANK)
        end = T0 + day * DAY
        kernels.advance(ledger, BANK, False, 60_000, BARS.start_ms + 60_000, rows, 0, end)
        usd = component_usd(ledger, BANK, EDGES, end)
        sides = np.einsum("skp,k->sp", usd, BANK.weight * np.exp(gain))
        sides = sides * rng.gamma(50, 1 / 50, sides.shape)
        maps.append(MeasuredMap(end, EDGES, sides[0], sides[1]))
    return maps


def test_the_shape_of_a_measured_map_is_found() -> None:
    true = np.sin(1.5 * np.log(component_distance(BANK)))
    true -= BANK.weight @ true
    found = measured_shape(BARS, BTC, known(true + 2.0), 1e5)
    assert BANK.weight @ found == pytest.approx(0, abs=1e-9)
    assert np.corrcoef(found, true)[0, 1] > 0.9
    error = np.sqrt(BANK.weight @ (found - true) ** 2)
    assert error < 0.5 * np.sqrt(BANK.weight @ true**2)


def test_a_shape_moves_to_another_instrument_by_distance() -> None:
    other, _ = build_bank(instrument("hyperliquid:BTC"), "calibrated", None)
    slope = np.log(component_distance(BANK))
    moved = transfer_shape(slope, BANK, other)
    np.testing.assert_allclose(moved, np.log(component_distance(other)), atol=0.02)
    np.testing.assert_allclose(transfer_shape(slope, BANK, BANK), slope)


@pytest.mark.parametrize(
    ("maps", "says"),
    [
        ([], "no snapshot"),
        ([MeasuredMap(T0, EDGES, EDGES[1:], EDGES[1:])], "older than the first bar"),
        ([MeasuredMap(T0 + DAY, EDGES, -EDGES[1:], EDGES[1:])], "negative"),
        ([MeasuredMap(T0 + DAY, EDGES, EDGES, EDGES)], "do not fit"),
    ],
)
def test_odd_snapshots_are_refused(maps: Any, says: str) -> None:
    with pytest.raises(BadInputError, match=says):
        measured_shape(BARS, BTC, maps, 1e5)
