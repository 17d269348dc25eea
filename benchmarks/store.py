"""How fast the store is, each figure beside Python's own sqlite3 in the same run.

    python benchmarks/store.py             # prints the table; under a minute

The reference does the same work with ``executemany`` and ``fetchall`` on the same table, with
the same journal and the same care for the disk (``synchronous = FULL``), and turns rows into
columns and back, since columns are what the engine takes. Wall-clock times, the best of some
repeats; on a busy machine read the ratios.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from liqheat.store import Store

BTC = "binance:BTCUSDT"
YEAR = 525_600
T0 = 1_700_000_040_000
MINUTE = 60_000
COLUMNS = ("start_ms", "open", "high", "low", "close", "qty", "taker_buy_qty", "mark_high",
           "mark_low")  # fmt: skip


def minutes(start: int, n: int) -> pa.Table:
    """Return ``n`` one-minute bars from minute ``start`` on."""
    rng = np.random.default_rng(start)
    close = 64_000 * np.exp(np.cumsum(rng.standard_t(4, n) * 6e-4).clip(-3, 3))
    open_ = np.r_[64_000, close[:-1]]
    qty = np.exp(rng.normal(4, 1, n))
    high, low = np.maximum(open_, close) * 1.0002, np.minimum(open_, close) * 0.9998
    return pa.table({
        "instrument": [BTC] * n, "interval_ms": np.full(n, MINUTE),
        "start_ms": T0 + (start + np.arange(n)) * MINUTE,
        "open": open_, "high": high, "low": low, "close": close, "qty": qty,
        "taker_buy_qty": qty * rng.random(n), "mark_high": high, "mark_low": low,
        "source": ["binance"] * n,
    })  # fmt: skip


def interest(n: int) -> pa.Table:
    """Return ``n`` readings of open interest, one a minute."""
    return pa.table({
        "instrument": [BTC] * n, "event_ms": T0 + (1 + np.arange(n)) * MINUTE,
        "open_interest_qty": 90_000 + np.random.default_rng(2).normal(0, 900, n),
        "source": ["binance"] * n,
    })  # fmt: skip


class Plain:
    """The same table through the standard library."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute(
            f"CREATE TABLE bars ({', '.join(names)}, "
            "PRIMARY KEY (instrument, interval_ms, start_ms)) WITHOUT ROWID"
        )
        sets = ", ".join(f"{name} = excluded.{name}" for name in names[3:])
        self.upsert = (
            f"INSERT INTO bars VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT DO UPDATE SET {sets}"
        )

    def write(self, table: pa.Table) -> None:
        """Insert or update rows."""
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        with self.connection:
            self.connection.execute("BEGIN IMMEDIATE")
            self.connection.executemany(self.upsert, rows)

    def read(self, start_ms: int, end_ms: int) -> list[object]:
        """Return columns of a range."""
        rows = self.connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM bars WHERE instrument = ? AND interval_ms = ? "
            "AND start_ms >= ? AND start_ms < ? ORDER BY start_ms",
            (BTC, MINUTE, start_ms, end_ms),
        ).fetchall()
        return [np.array(column) for column in zip(*rows, strict=True)]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the best of some runs."""
    best = float("inf")
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - begin)
    return best


def row(name: str, ours: float, plain: float | None = None) -> None:
    """Print one line."""
    ratio = f"{plain * 1e3:>10.1f} ms  {plain / ours:>6.1f}x" if plain else ""
    print(f"{name:<58}{ours * 1e3:>10.1f} ms{ratio}")


def appends(store: Store, plain: Plain) -> None:
    """Time 300 rows and a commit, a hundred times."""
    batches = [minutes(YEAR + number * 300, 300) for number in range(100)]
    ours, theirs = [], []
    for batch in batches:
        ours.append(seconds(lambda: store.write("bars", batch), 1))  # noqa: B023
        theirs.append(seconds(lambda: plain.write(batch), 1))  # noqa: B023
    row(
        "append 300 rows and commit, median",
        statistics.median(ours),
        statistics.median(theirs),
    )
    row("append 300 rows and commit, worst of 100", max(ours), max(theirs))


def main() -> None:
    """Print all figures."""
    folder = Path(tempfile.mkdtemp())
    year = minutes(0, YEAR)
    print(
        f"{'one year of 1m bars, 525,600 rows':<58}{'liqheat':>13}{'sqlite3':>13}{'ratio':>8}"
    )
    try:
        with Store.open(folder) as store:
            plain = Plain(folder, year.column_names)
            row("ingest", seconds(lambda: store.write("bars", year), 1),
                seconds(lambda: plain.write(year), 1))  # fmt: skip
            row("ingest again, nothing changes", seconds(lambda: store.write("bars", year), 2),
                seconds(lambda: plain.write(year), 1))  # fmt: skip
            end = T0 + YEAR * MINUTE
            ranges = (
                ("read all as columns", T0),
                ("read 18 days", end - 18 * 1440 * MINUTE),
            )
            for name, start in ranges:
                row(name, seconds(lambda: store.read("bars", BTC, start, end)),  # noqa: B023
                    seconds(lambda: plain.read(start, end)))  # noqa: B023  # fmt: skip
            store.write("open_interest", interest(YEAR))
            row("load_bars: the year with open interest, checked",
                seconds(lambda: store.load_bars(BTC)))  # fmt: skip
            row("load_bars: the last 3 days",
                seconds(lambda: store.load_bars(BTC, end - 3 * 1440 * MINUTE), 20))  # fmt: skip
            row("gaps of the year", seconds(lambda: store.gaps(BTC)))
            row("span", seconds(lambda: store.span("bars", BTC), 50))
            appends(store, plain)
            with contextlib.closing(plain.connection):
                pass
        size = (folder / "liqheat.db").stat().st_size / 1e6
        print(f"\nfile: {size:.0f} MB for {2 * YEAR + 30_000:,} rows")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
