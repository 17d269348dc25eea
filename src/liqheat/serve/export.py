"""A heatmap as a file: everything (.npz), or its cells as a table (.parquet, .arrow).

::

    map.npz        every array of the heatmap, and "metadata", a JSON text
    map.parquet    one row a cell which holds anything:
    map.arrow          start_ms, price_low, price_high, long_usd, short_usd
                   schema metadata: "liqheat" (as above), "columns" (one number a step),
                   "price_edges" (the grid), all JSON

A file appears whole or not at all: it is written beside its place and renamed. Nothing here
reads a heatmap back; numpy, pyarrow, polars or DuckDB do that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from liqheat.errors import BadInputError

if TYPE_CHECKING:
    from liqheat.engine.heatmap import Heatmap

#: One number per step.
COLUMN_ARRAYS = (
    "start_ms", "open", "high", "low", "close", "qty", "open_interest_usd",
    "residual_long_usd", "residual_short_usd", "outside_long_usd", "outside_short_usd",
    "open_interest_qty", "level_long_qty", "level_short_qty", "capped",
)  # fmt: skip
FORMAT = "liqheat heatmap 1"


def write_heatmap(heatmap: Heatmap, path: Path) -> Path:
    """Write a heatmap in the format its suffix names, and return the path.

    Parameters
    ----------
    heatmap : Heatmap
        What to write.
    path : Path
        Ends in ``.npz``, ``.parquet`` or ``.arrow``. An existing file is replaced.

    Raises
    ------
    BadInputError
        Another suffix; or the folder is missing, not writable or full.
    """
    writer = _WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadInputError(
            "unknown export format", where=str(path), value=path.suffix,
            do=f"end the name in {', '.join(_WRITERS)}",
        )  # fmt: skip
    return replace_file(path, lambda part: writer(heatmap, part))


def replace_file(path: Path, fill: Callable[[Path], None]) -> Path:
    """Let ``fill`` write a file beside ``path``, then put it in its place in one step.

    Raises
    ------
    BadInputError
        The system refused: no such folder, no permission, no space left.
    """
    part = path.parent / f".{path.name}.{os.getpid()}.part"
    try:
        fill(part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        raise BadInputError(
            f"cannot write: {error.strerror or error}", where=str(path),
            do="choose a folder which exists, is yours and has space",
        ) from error  # fmt: skip
    finally:
        # Where the folder is none, even looking for the file fails.
        with contextlib.suppress(OSError):
            part.unlink()
    return path


def metadata(heatmap: Heatmap) -> dict[str, Any]:
    """Return what the numbers mean: instrument, parameters, model, quality, units."""
    return {
        "format": FORMAT,
        "instrument": heatmap.instrument,
        "params": heatmap.params,
        "model_version": heatmap.model_version,
        "step_ms": heatmap.step_ms,
        "start_ms": int(heatmap.start_ms[0]),
        "end_ms": int(heatmap.start_ms[-1]) + heatmap.step_ms,
        "simulated": heatmap.instrument.exchange == "simulated",
        "quality": heatmap.quality,
        "units": "prices in USD, *_usd in USD of modelled notional, qty in base units, times UTC",
        "note": "a column holds the state at the END of its step; longs below, shorts above",
    }


def cells(heatmap: Heatmap) -> pa.Table:
    """Return the cells which hold anything as a table, by time, then price."""
    held = (heatmap.long_usd > 0) | (heatmap.short_usd > 0)
    t, p = np.nonzero(held)
    table = pa.table(
        {
            "start_ms": heatmap.start_ms[t],
            "price_low": heatmap.price_edges[p],
            "price_high": heatmap.price_edges[p + 1],
            "long_usd": heatmap.long_usd[t, p],
            "short_usd": heatmap.short_usd[t, p],
        }
    )
    columns = {name: getattr(heatmap, name).tolist() for name in COLUMN_ARRAYS}
    return table.replace_schema_metadata(
        {
            "liqheat": msgspec.json.encode(metadata(heatmap)),
            "columns": msgspec.json.encode(columns),  # NaN becomes null
            "price_edges": msgspec.json.encode(heatmap.price_edges.tolist()),
        }
    )


def _write_npz(heatmap: Heatmap, path: Path) -> None:
    arrays = {name: getattr(heatmap, name) for name in COLUMN_ARRAYS}
    with path.open("wb") as file:
        np.savez_compressed(
            file, allow_pickle=False,
            metadata=np.array(msgspec.json.encode(metadata(heatmap)).decode()),
            price_edges=heatmap.price_edges,
            long_usd=heatmap.long_usd, short_usd=heatmap.short_usd, **arrays,
        )  # fmt: skip


def _write_parquet(heatmap: Heatmap, path: Path) -> None:
    from pyarrow import parquet

    parquet.write_table(cells(heatmap), path, compression="zstd")


def _write_arrow(heatmap: Heatmap, path: Path) -> None:
    table = cells(heatmap)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    with (
        path.open("wb") as file,
        pa.ipc.new_file(file, table.schema, options=options) as out,
    ):
        out.write_table(table)


_WRITERS: dict[str, Callable[[Heatmap, Path], None]] = {
    ".npz": _write_npz, ".parquet": _write_parquet, ".arrow": _write_arrow,
}  # fmt: skip
