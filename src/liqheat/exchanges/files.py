"""Files on disk through the same events: read bars, plan an import, run it.

``read_bars`` gives one file as ``Bars``. An import has two steps: ``plan_import`` reads and
checks everything and writes nothing; ``run_import`` writes the plan in one transaction and
records where each part came from.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import pyarrow as pa
import pyarrow.compute as pc

from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges._layouts import map_columns, parse_file
from liqheat.exchanges._plan import ImportPlan, PlanItem, check_open_interest, plan_import
from liqheat.exchanges._tables import read_table, spoken
from liqheat.market.events import Bars
from liqheat.market.instrument import Instrument

__all__ = [
    "ImportPlan", "ImportReport", "ItemReport", "PlanItem", "Progress", "TableStore",
    "plan_import", "read_bars", "run_import",
]  # fmt: skip

#: Rows handed over at once: between two batches there is progress to show.
BATCH_ROWS = 50_000

#: Called with rows done, rows in all, and the name of the file at work.
Progress = Callable[[int, int, str], None]


class _Written(Protocol):
    @property
    def new(self) -> int: ...
    @property
    def changed(self) -> int: ...
    @property
    def same(self) -> int: ...


class TableStore(Protocol):
    """What ``run_import`` asks of a store; ``liqheat.store.Store`` is one."""

    def together(self) -> contextlib.AbstractContextManager[None]:
        """Make the writes of a block one transaction."""
        ...

    def write(self, kind: str, table: pa.Table) -> _Written:
        """Insert or update rows in one transaction."""
        ...

    def read(
        self, kind: str, instrument: str, start_ms: int | None = None,
        end_ms: int | None = None, *, interval_ms: int | None = None,
    ) -> pa.Table:  # fmt: skip
        """Return rows."""
        ...

    def load_bars(
        self, instrument: str, start_ms: int | None = None, end_ms: int | None = None,
    ) -> Bars:  # fmt: skip
        """Return bars."""
        ...


def read_bars(path: str | Path, mapping: Mapping[str, str] | None = None) -> Bars:
    """Read one CSV, Parquet or Arrow file of bars.

    Parameters
    ----------
    path : path
        Columns are recognised: ours, Binance kline files with and without a header, and
        common names (``time, open, high, low, close, volume``).
    mapping : mapping of str to str, optional
        Our column -> the file's, with a factor where needed:
        ``{"start_ms": "ts", "qty": "vol", "open_interest_qty": "oi/2"}``.

    Raises
    ------
    BadInputError
        The file is no table of bars or a row of it is wrong; says which.
    """
    table, _ = map_columns(read_table(Path(path)), mapping or {}, strict=True)
    parts = parse_file(table)
    for part in parts:
        if part.bars is not None:
            return part.bars
    raise BadInputError(
        f"it holds {parts[0].kind.replace('_', ' ')}, no bars", where=table.name,
        do="give a file with start_ms, open, high, low, close, qty",
    )  # fmt: skip


@dataclass
class ItemReport:
    """What became of one item; ``kept`` rows were stored already from the own exchange."""

    item: PlanItem
    new: int = 0
    changed: int = 0
    same: int = 0
    kept: int = 0


@dataclass
class ImportReport:
    """What an import wrote."""

    plan: ImportPlan
    items: list[ItemReport] = field(default_factory=list)

    @property
    def new(self) -> int:
        """Rows which were not there before."""
        return sum(item.new for item in self.items)

    @property
    def changed(self) -> int:
        """Rows which replaced others."""
        return sum(item.changed for item in self.items)

    @property
    def same(self) -> int:
        """Rows which were there already."""
        return sum(item.same for item in self.items)

    def lines(self) -> list[str]:
        """Return the report in words."""
        out = []
        for done in self.items:
            text = f"{done.item.part.kind.replace('_', ' ')}: {done.new:,} new, "
            text += f"{done.changed:,} changed, {done.same:,} there already"
            if done.kept:
                text += f", {done.kept:,} not borrowed where the exchange's own are stored"
            out.append(f"{text} ({done.item.name})")
        return out


def run_import(
    store: TableStore, plan: ImportPlan, progress: Progress | None = None, *, now_ms: int
) -> ImportReport:
    """Write a plan whole or not at all, with where it came from in kind "imports".

    Any fault or interruption (Ctrl-C, kill, a full disk) leaves the store as it was; the same
    plan twice changes nothing.

    Raises
    ------
    BadInputError
        Open interest is in USD, by the bars which the store holds; or its bars have another
        grid; or a row breaks a rule of the store.
    StoreError
        The store cannot be written.
    """
    for item in plan.items:
        _check_against_store(store, plan, item)
    with store.together():
        return _write_plan(store, plan, progress, now_ms)


def _write_plan(
    store: TableStore, plan: ImportPlan, progress: Progress | None, now_ms: int
) -> ImportReport:
    report, done = ImportReport(plan), 0
    for item in plan.items:
        table = _complete(item, plan.instrument)
        result = ItemReport(item)
        report.items.append(result)
        for offset in range(0, item.rows, BATCH_ROWS):
            batch = table.slice(offset, BATCH_ROWS)
            if item.borrowed_from:
                kept = _without_own(store, batch)
                result.kept += batch.num_rows - kept.num_rows
                batch = kept
            wrote = store.write(item.part.kind, batch)
            result.new += wrote.new
            result.changed += wrote.changed
            result.same += wrote.same
            done += min(BATCH_ROWS, item.rows - offset)
            if progress is not None:
                progress(done, plan.rows, item.name)
        _record(store, result, plan, now_ms)
    return report


def _check_against_store(store: TableStore, plan: ImportPlan, item: PlanItem) -> None:
    part = item.part
    if part.kind != "open_interest" or any(i.part.bars is not None for i in plan.items):
        return
    with contextlib.suppress(UnavailableError):
        bars = store.load_bars(plan.instrument.name, part.start_ms, part.end_ms)
        check_open_interest(item, [bars])


def _complete(item: PlanItem, instrument: Instrument) -> pa.Table:
    """Add what the file does not say: whose rows they are and where they come from."""
    table = item.part.table
    if item.part.kind == "liquidations" and not any(item.part.exchanges):
        index = table.schema.get_field_index("exchange")
        own = pa.array([instrument.exchange] * len(table))
        table = table.set_column(index, "exchange", own)
    columns = [("instrument", instrument.name)]
    if item.part.kind != "gaps":  # a hole has no source: its reason says enough
        columns.append(("source", item.source))
    for name, value in columns:
        table = table.append_column(name, pa.array([value] * len(table)))
    return table


def _without_own(store: TableStore, batch: pa.Table) -> pa.Table:
    """Drop bars which the store holds of the instrument's own exchange: those stand."""
    times = batch["start_ms"]
    stored = store.read(
        "bars", batch["instrument"][0].as_py(), times[0].as_py(), times[-1].as_py() + 1,
        interval_ms=batch["interval_ms"][0].as_py(),
    )  # fmt: skip
    own = stored.filter(pc.invert(pc.starts_with(stored["source"], "borrowed:")))
    return batch.filter(pc.invert(pc.is_in(times, own["start_ms"].combine_chunks())))


def _record(store: TableStore, result: ItemReport, plan: ImportPlan, now_ms: int) -> None:
    item = result.item
    row = {
        "imported_ms": now_ms, "instrument": plan.instrument.name, "kind": item.part.kind,
        "file": spoken(str(item.file)), "sha256": item.sha256, "source": item.source,
        "rows": result.new + result.changed + result.same, "new": result.new,
        "changed": result.changed, "same": result.same,
        "note": "; ".join((*item.part.notes, *(f"mapped {m}" for m in plan.mapping))),
    }  # fmt: skip
    store.write("imports", pa.Table.from_pylist([row]))
