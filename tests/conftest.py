"""What several kinds of tests share: recorded data where it is at hand, and tables of rows."""

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from liqheat.errors import LiqheatError

#: A minute of 2024 from which test rows begin.
T0 = 1_704_067_200_000
MINUTE = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the browser's tests last: its driver keeps an event loop running in this thread."""

    def in_a_browser(item: pytest.Item) -> bool:
        return "ui" in item.path.parts or item.get_closest_marker("ui") is not None

    items.sort(key=in_a_browser)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of recorded market data, or skip: it is no part of the project."""
    root = Path(__file__).parents[1]
    for place in (os.environ.get("LIQHEAT_SHARED_DATA"), root.parent / "shared" / "data"):
        if place and (Path(place) / "market").is_dir():
            return Path(place)
    pytest.skip("no recorded data here: set LIQHEAT_SHARED_DATA to its folder")


def make_bars(
    n: int = 10, *, start: int = 0, instrument: str = "binance:BTCUSDT", interval: int = MINUTE,
    seed: int = 1, source: str = "binance",
) -> pa.Table:  # fmt: skip
    """Return bars ``start .. start + n`` of one endless market: overlapping calls agree."""
    number = np.arange(start, start + n)
    close = 40_000.0 + 100 * np.sin(number * 0.7 + seed) + (number * 7919 % 13)
    opened = close + np.cos(number)
    return pa.table({
        "instrument": [instrument] * n,
        "interval_ms": np.full(n, interval),
        "start_ms": T0 + number * interval,
        "open": opened,
        "high": np.maximum(opened, close) + 1.0,
        "low": np.minimum(opened, close) - 1.0,
        "close": close,
        "qty": 10.0 + number % 5,
        "taker_buy_qty": np.where(number % 3 == 0, np.nan, 4.0),
        "source": [source] * n,
    })  # fmt: skip


def make_events(kind: str, n: int = 10, *, start: int = 0, step: int = MINUTE) -> pa.Table:
    """Return ``n`` rows of a kind of single readings."""
    number = np.arange(start, start + n)
    values = {
        "open_interest": {"open_interest_qty": 80_000.0 + number},
        "mark": {"mark_price": 40_000.0 + number},
        "funding": {"funding_rate": 1e-4 + number * 1e-7},
    }[kind]
    return pa.table({
        "instrument": ["binance:BTCUSDT"] * n, "event_ms": T0 + number * step,
        "source": ["binance"] * n, **values,
    })  # fmt: skip


def make_liquidations(times: list[int], qty: float = 1.5) -> pa.Table:
    """Return liquidations at the given offsets [ms], equal but for their times."""
    n = len(times)
    return pa.table({
        "instrument": ["binance:BTCUSDT"] * n, "event_ms": [T0 + time for time in times],
        "exchange": ["binance"] * n, "position_side": ["long"] * n,
        "price": [39_000.0] * n, "price_kind": ["order"] * n, "qty": [qty] * n,
        "notional_usd": [39_000.0 * qty] * n, "completeness": ["sampled_1s"] * n,
    })  # fmt: skip


def make_gap(start: int, end: int, kind: str, reason: str = "feed lost") -> pa.Table:
    """Return one gap, in minutes."""
    return pa.table({
        "instrument": ["binance:BTCUSDT"], "event_ms": [T0 + start * MINUTE],
        "end_ms": [T0 + end * MINUTE], "kind": [kind], "reason": [reason],
    })  # fmt: skip


#: Columns which bars must have.
NATIVE = ("start_ms", "open", "high", "low", "close", "qty")


def native_bars(n: int = 5, **more: object) -> dict[str, object]:
    """Return columns of bars under our names."""
    table = make_bars(n)
    return {**{name: table[name].to_numpy() for name in NATIVE}, **more}


def write_file(path: Path, columns: dict[str, object]) -> Path:
    """Write columns in the format of the path's ending."""
    table = pa.table(
        {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()}
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix in (".arrow", ".stream"):
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table)
    else:
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        lines = [",".join(table.column_names)]
        lines += [",".join("" if v is None else str(v) for v in row) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    return path


def refused(call, *arguments, words: str, **options) -> str:
    """Return the one line which a call is refused with."""
    with pytest.raises(LiqheatError, match=words) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text
