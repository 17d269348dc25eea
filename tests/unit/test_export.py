import json

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from liqheat.engine.heatmap import Heatmap, HeatmapParams, build_heatmap
from liqheat.errors import BadInputError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.serve import export


def make_heatmap(*, name="simulated:BTCUSDT", n=300, hole=True, **params) -> Heatmap:
    rng = np.random.default_rng(7)
    close = 60_000 * np.exp(np.cumsum(rng.normal(0, 0.001, n)))
    opened = np.concatenate([[60_000.0], close[:-1]])
    start = 1_700_000_100_000 + 300_000 * np.arange(n)
    keep = np.ones(n, bool)
    if hole:
        keep[200:212] = False
    bars = Bars.from_columns(
        {
            "start_ms": start[keep],
            "open": opened[keep],
            "high": (np.maximum(opened, close) * 1.0005)[keep],
            "low": (np.minimum(opened, close) * 0.9995)[keep],
            "close": close[keep],
            "qty": rng.gamma(2, 50, n)[keep],
            "open_interest_qty": (80_000 + np.cumsum(rng.normal(0, 50, n)))[keep],
        }
    )
    return build_heatmap(
        bars,
        instrument(name),
        HeatmapParams(bins=120, **params),
        start_ms=int(start[100]),
        step_ms=900_000,
    )


def read_arrow(path):
    return pa.ipc.open_file(path).read_all()


@pytest.fixture(scope="module")
def heatmap():
    return make_heatmap()


def test_npz_holds_every_array_and_the_metadata(heatmap, tmp_path):
    path = export.write_heatmap(heatmap, tmp_path / "map.npz")
    with np.load(path, allow_pickle=False) as file:
        for name in ("price_edges", "long_usd", "short_usd", *export.COLUMN_ARRAYS):
            assert np.array_equal(
                file[name], getattr(heatmap, name), equal_nan=file[name].dtype.kind == "f"
            )
        facts = json.loads(str(file["metadata"]))
    assert facts["format"] == export.FORMAT
    assert facts["model_version"] == heatmap.model_version
    assert facts["instrument"]["symbol"] == "BTCUSDT"
    assert facts["simulated"] is True
    assert facts["end_ms"] - facts["start_ms"] == len(heatmap.start_ms) * heatmap.step_ms


@pytest.mark.parametrize("suffix", [".parquet", ".arrow"])
def test_table_rebuilds_the_whole_map(heatmap, tmp_path, suffix):
    path = export.write_heatmap(heatmap, tmp_path / f"map{suffix}")
    table = {".parquet": parquet.read_table, ".arrow": read_arrow}[suffix](path)
    edges = np.array(json.loads(table.schema.metadata[b"price_edges"]))
    assert np.array_equal(edges, heatmap.price_edges)
    t = np.searchsorted(heatmap.start_ms, table["start_ms"].to_numpy())
    p = np.searchsorted(edges, table["price_low"].to_numpy())
    for name in ("long_usd", "short_usd"):
        rebuilt = np.zeros_like(heatmap.long_usd)
        rebuilt[t, p] = table[name].to_numpy()
        assert np.array_equal(rebuilt, getattr(heatmap, name))
    assert np.array_equal(table["price_high"].to_numpy(), edges[p + 1])


def test_table_metadata_says_gaps_as_null(heatmap):
    columns = json.loads(export.cells(heatmap).schema.metadata[b"columns"])
    close = np.array(columns["close"], dtype=float)
    assert np.array_equal(close, heatmap.close, equal_nan=True)
    assert None in columns["close"]


def test_unknown_suffix_is_refused_with_the_known_ones(heatmap, tmp_path):
    with pytest.raises(BadInputError, match=r"unknown export format.*\.npz, \.parquet"):
        export.write_heatmap(heatmap, tmp_path / "map.csv")
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_refused_with_a_reason(heatmap, tmp_path):
    with pytest.raises(BadInputError, match=r"cannot write: No such file"):
        export.write_heatmap(heatmap, tmp_path / "nowhere" / "map.npz")


def test_failed_write_leaves_the_old_file_and_no_rest(heatmap, tmp_path, monkeypatch):
    path = tmp_path / "map.npz"
    path.write_bytes(b"old")

    def full_disk(file, **_):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full_disk)
    with pytest.raises(BadInputError, match="No space left"):
        export.write_heatmap(heatmap, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["map.npz"]


def test_same_heatmap_gives_the_same_table_bytes(heatmap, tmp_path):
    first = export.write_heatmap(heatmap, tmp_path / "a.parquet").read_bytes()
    assert export.write_heatmap(heatmap, tmp_path / "b.parquet").read_bytes() == first
