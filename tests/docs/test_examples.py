"""Every example in a docstring or a document runs."""

import doctest
import importlib
import pkgutil
import re

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import liqheat

from .conftest import ROOT, tracked_files

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(liqheat.__path__, "liqheat.")
    if not module.name.endswith("__main__")
)
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.failed == 0


def code_of(path):
    return [
        code for language, code in FENCE.findall(path.read_text()) if language == "python"
    ]


WITH_CODE = [path for path in tracked_files() if path.suffix == ".md" and code_of(path)]


@pytest.fixture
def bars_file(tmp_path):
    """``bars.parquet``, as the documents name it, in an empty folder."""
    rng = np.random.default_rng(1)
    n = 3_000
    close = 64_000 * np.exp(np.cumsum(rng.normal(0, 0.0008, n)))
    opened = np.concatenate([[64_000.0], close[:-1]])
    table = pa.table(
        {
            "start_ms": 1_700_000_100_000 + 300_000 * np.arange(n),
            "open": opened,
            "high": np.maximum(opened, close) * 1.0004,
            "low": np.minimum(opened, close) * 0.9996,
            "close": close,
            "qty": rng.gamma(2, 60, n),
            "open_interest_qty": 80_000 + np.cumsum(rng.normal(0, 40, n)),
        }
    )
    parquet.write_table(table, tmp_path / "bars.parquet")
    return tmp_path


@pytest.mark.parametrize("path", WITH_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_document_examples_run(path, bars_file, monkeypatch):
    monkeypatch.chdir(bars_file)
    names = {"__name__": "example"}
    for code in code_of(path):
        exec(compile(code, f"{path.name} example", "exec"), names)
