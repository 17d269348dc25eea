"""Rows on their way in: in the kind's schema, by its rules, one a key."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from liqheat.errors import BadInputError
from liqheat.store.schema import KINDS, Kind


def conform(name: str, table: pa.Table) -> pa.Table:
    """Return the table in its kind's schema, one row a key (the last one given stays).

    Raises
    ------
    BadInputError
        The kind or a column is unknown; a required column is missing, not of its type, or
        holds a null; a row breaks one of the kind's rules.
    """
    kind = KINDS.get(name)
    if kind is None:
        raise BadInputError(
            "unknown kind", where="store", value=name, do=_near(name, KINDS)
        )
    for column in table.column_names:
        if column not in kind.schema.names:
            raise BadInputError(
                f"kind {name!r} has no column {column!r}",
                where="store", do=_near(column, kind.schema.names),
            )  # fmt: skip
    columns = [_column(name, field, table) for field in kind.schema]
    out = pa.table(columns, schema=pa.schema([f.with_nullable(True) for f in kind.schema]))
    if name == "liquidations" and out["seq"].null_count:
        out = _count_equal_rows(out, kind.key)
    _refuse_broken_row(name, kind, out)
    if name == "bars":
        _refuse_mixed_bars(out)
    return _last_of_each_key(out, kind)


def _refuse_broken_row(name: str, kind: Kind, table: pa.Table) -> None:
    columns = {column: table[column].to_numpy() for column in table.column_names}
    for words, holds in kind.rules:
        good = holds(columns)
        if good.all():
            continue
        found = table.slice(int(np.argmin(good)), 1).to_pylist()[0]
        raise BadInputError(
            f"a row breaks the rule {words!r}",
            where=f"{name} of {found['instrument']} at {found[kind.time]}",
            value={column: found[column] for column in kind.values},
            do="mend or drop the row; nothing was written",
        )


def _refuse_mixed_bars(table: pa.Table) -> None:
    shift = table["start_ms"].to_numpy() % table["interval_ms"].to_numpy()
    groups = table.select(["instrument", "interval_ms"]).append_column(
        "shift", pa.array(shift)
    )
    found = groups.group_by(["instrument", "interval_ms"])
    for row in found.aggregate([("shift", "min"), ("shift", "max")]).to_pylist():
        if row["shift_min"] != row["shift_max"]:
            raise BadInputError(
                f"{row['interval_ms']} ms bars are not whole intervals apart",
                where=f"bars of {row['instrument']}", value=row["shift_max"] - row["shift_min"],
                do="write one interval at a time",
            )  # fmt: skip


def _near(word: str, words: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(words), n=3, cutoff=0.5)
    return (
        f"did you mean {' or '.join(near)}?" if near else f"use one of: {', '.join(words)}"
    )


def _column(name: str, field: pa.Field, table: pa.Table) -> pa.ChunkedArray | pa.Array:
    if field.name not in table.column_names:
        if field.nullable:
            return pa.nulls(table.num_rows, field.type)
        raise BadInputError(
            f"kind {name!r} needs a column {field.name!r}",
            where="store", value=table.column_names, do="give it",
        )  # fmt: skip
    column = table[field.name]
    try:
        column = column.cast(field.type)
    except pa.ArrowException as error:
        raise BadInputError(
            f"column {field.name!r} of kind {name!r} is {column.type}, not {field.type}",
            where="store", do=str(error).splitlines()[0],
        ) from error  # fmt: skip
    if column.null_count and not field.nullable:
        row = int(pc.index(pc.is_null(column), value=True).as_py())
        raise BadInputError(
            f"column {field.name!r} of kind {name!r} is absent at row {row}",
            where="store", do="drop the row or find the value",
        )  # fmt: skip
    return column


def _count_equal_rows(table: pa.Table, key: tuple[str, ...]) -> pa.Table:
    seen: Counter[tuple[object, ...]] = Counter()
    numbers = []
    for row in zip(*(table[c].to_pylist() for c in key if c != "seq"), strict=True):
        numbers.append(seen[row])
        seen[row] += 1
    index = table.schema.get_field_index("seq")
    return table.set_column(index, "seq", pa.array(numbers, pa.int64()))


def _last_of_each_key(table: pa.Table, kind: Kind) -> pa.Table:
    time = table[kind.time].to_numpy()
    if (time[1:] > time[:-1]).all():
        return table
    row = pa.array(np.arange(table.num_rows))
    groups = table.select(kind.key).append_column("row", row).group_by(kind.key)
    rows = groups.aggregate([("row", "max")])["row_max"].to_numpy()
    return table if len(rows) == table.num_rows else table.take(np.sort(rows))


def ranges(name: str, incoming: pa.Table) -> pa.Table:
    """Return where a conformed table's rows lie, per instrument and interval."""
    kind = KINDS[name]
    time = incoming[kind.time]
    interval = pa.array(np.zeros(incoming.num_rows, dtype=np.int64))
    end = incoming["end_ms"] if name == "gaps" else pc.add(time, 1)
    if "interval_ms" in kind.key:
        interval = incoming["interval_ms"]
        end = pc.add(time, interval)
    groups = pa.table({
        "instrument": incoming["instrument"], "interval_ms": interval,
        "first": time, "last": time, "end_ms": end,
    }).group_by(["instrument", "interval_ms"])  # fmt: skip
    found = groups.aggregate([("first", "min"), ("last", "max"), ("end_ms", "max")])
    return found.rename_columns(["instrument", "interval_ms", "first", "last", "end_ms"])
