"""docs/model.md gives every constant of the method, with the value in the code."""

import re

import pytest

from liqheat.engine import (
    fit,
    flow,
    grid,
    heatmap,
    kernels,
    learn,
    leverage,
    params,
    positions,
    quality,
    render,
    throttle,
)
from liqheat.market import margin

#: Places in arrays and units: no choices of the method.
NOT_METHOD = {
    "OPEN_INTEREST", "VOLUME_SINCE", "N_FLOW", "BASE", "BOUNDARY", "STARTED", "END_MS",
    "LEVEL_LONG", "LEVEL_SHORT", "OUTSIDE_LONG", "OUTSIDE_SHORT", "CAPPED", "N_ACCOUNT",
    "HOUR_MS", "DAY_MS", "MINUTE_MS", "WAITING_QTY", "WAITING_BIN", "SECOND_MS",
    "CANDLE", "CALIBRATED", "MODEL_VERSION", "MODELS", "INTERVAL_MS",
    "F32", "F64", "I64", "F",
}  # fmt: skip


def constants():
    for module in (
        margin,
        flow,
        leverage,
        kernels,
        render,
        fit,
        learn,
        throttle,
        params,
        grid,
        quality,
        heatmap,
        positions,
    ):
        for name, value in vars(module).items():
            if name.isupper() and name not in NOT_METHOD:
                yield name, value


@pytest.mark.parametrize(("name", "value"), sorted(dict(constants()).items()))
def test_constant_is_documented_with_its_value(name, value, root):
    text = (root / "docs/model.md").read_text()
    row = re.search(rf"^\| `{name}` \| ([^|]+) \|", text, re.M)
    assert row, f"{name} is not in the table of docs/model.md"
    if isinstance(value, float | int):
        assert float(row.group(1)) == value


def test_mixture_and_lifetimes_are_the_tables(root):
    text = (root / "docs/model.md").read_text()

    def row(start):
        cells = re.search(rf"^\| {start}[^|]*\| (.+) \|$", text, re.M).group(1).split(" | ")
        return [float(cell.rstrip("x")) for cell in cells]

    assert row("share") == list(leverage.PRIOR_MIXTURE.values())
    assert row("hours") == [hours for _, hours in leverage.LIFETIME_HOURS]
