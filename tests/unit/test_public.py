import subprocess
import sys

import pytest

import liqheat

#: Names others build on: changing this list is a change of the contract.
FROZEN = [
    "MODEL_VERSION", "BadInputError", "Band", "Bars", "Column", "ConfigError", "Heatmap",
    "HeatmapParams", "Instrument", "LiqheatError", "Liquidation", "Liquidations", "LiveHeatmap",
    "MarginTier", "Quality", "ServeError", "Store", "StoreError", "UnavailableError", "Weights",
    "__version__", "build_heatmap", "calibrate", "decode_picture", "instrument",
    "liquidation_price", "read_bars", "save_png", "write_heatmap",
]  # fmt: skip


def test_public_names_are_the_frozen_list():
    assert liqheat.__all__ == FROZEN
    assert set(dir(liqheat)) >= set(FROZEN)


@pytest.mark.parametrize("name", FROZEN)
def test_public_name_is_there(name):
    assert getattr(liqheat, name) is not None


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'heatmap_of_tomorrow'"):
        liqheat.heatmap_of_tomorrow  # noqa: B018


def test_import_loads_nothing_heavy():
    code = "import liqheat, sys; print(*sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in out.stdout.split()}
    assert loaded.isdisjoint({"numba", "numpy", "pyarrow", "matplotlib", "litestar"})
