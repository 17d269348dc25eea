"""What is kept: one table a kind, its key, and what a row must satisfy to enter.

A *kind* is one sort of input. Its Arrow schema is the contract with collectors and
importers (a nullable field may be left out of a written table, any other may not); its SQL
table is made from the same schema, clustered by the key, so that a range read is one
contiguous scan. Only inputs are kept; heatmaps are computed again.

Times are integer milliseconds UTC. Absent is NULL, never 0. ``source`` says where a row
came from: an exchange's name, ``file:<name>``, or ``borrowed:<exchange>:<name>``.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from liqheat.errors import BadInputError

#: Raised with every change of the tables below; each step up needs an entry in MIGRATIONS.
SCHEMA_VERSION = 1
#: "LQHT", in the file's header: tells our file from any other SQLite file.
APPLICATION_ID = 0x4C514854
#: Statements which bring a file from version n to n + 1, run in one transaction.
MIGRATIONS: dict[int, tuple[str, ...]] = {}

_INT, _REAL, _TEXT = pa.int64(), pa.float64(), pa.string()
#: 2009-01-03 .. 2100-01-01: a time outside is in the wrong unit or corrupt.
TIME_RANGE_MS = (1_230_940_800_000, 4_102_444_800_000)
_TIME = f"BETWEEN {TIME_RANGE_MS[0]} AND {TIME_RANGE_MS[1]}"


def _price(name: str) -> tuple[str, str]:
    return f"{name} is a positive price", f"{name} > 0 AND {name} < 9e999"


def _amount(name: str) -> tuple[str, str]:
    return f"{name} is finite and not negative", f"{name} >= 0 AND {name} < 9e999"


def _maybe(rule: tuple[str, str], name: str) -> tuple[str, str]:
    return f"{rule[0]}, or absent", f"{name} IS NULL OR ({rule[1]})"


@dataclass(frozen=True)
class Kind:
    """One sort of input: its columns, its key, its time and the rules of its rows.

    ``rules`` are pairs of words and an SQL condition; a row which breaks one, or leaves it
    NULL, refuses the whole write.
    """

    schema: pa.Schema
    key: tuple[str, ...]
    time: str
    rules: tuple[tuple[str, str], ...]
    #: SQL for the end of a row's time, for spans; ``i`` is the row.
    end: str

    @property
    def values(self) -> tuple[str, ...]:
        """The columns outside the key."""
        return tuple(name for name in self.schema.names if name not in self.key)


def _schema(*fields: tuple[str, pa.DataType] | tuple[str, pa.DataType, bool]) -> pa.Schema:
    return pa.schema([pa.field(f[0], f[1], nullable=len(f) == 3) for f in fields])


_BARS = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("interval_ms", _INT), ("start_ms", _INT),
        ("open", _REAL), ("high", _REAL), ("low", _REAL), ("close", _REAL), ("qty", _REAL),
        ("taker_buy_qty", _REAL, True), ("mark_high", _REAL, True),
        ("mark_low", _REAL, True), ("source", _TEXT),
    ),
    key=("instrument", "interval_ms", "start_ms"),
    time="start_ms",
    end="i.start_ms + i.interval_ms",
    rules=(
        ("start_ms lies between 2009 and 2100", f"start_ms {_TIME}"),
        ("interval_ms is positive", "interval_ms > 0"),
        _price("open"), _price("high"), _price("low"), _price("close"),
        ("high is the highest price", "high >= MAX(open, close)"),
        ("low is the lowest price", "low <= MIN(open, close)"),
        _amount("qty"),
        ("taker_buy_qty lies within qty, or absent",
         "COALESCE(taker_buy_qty >= 0 AND taker_buy_qty <= qty*(1 + 1e-9), 1)"),
        _maybe(_price("mark_high"), "mark_high"), _maybe(_price("mark_low"), "mark_low"),
        ("mark_high is not below mark_low", "COALESCE(mark_high >= mark_low, 1)"),
    ),
)  # fmt: skip

_OPEN_INTEREST = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("open_interest_qty", _REAL),
        ("source", _TEXT),
    ),
    key=("instrument", "event_ms"),
    time="event_ms",
    end="i.event_ms + 1",
    rules=(
        ("event_ms lies between 2009 and 2100", f"event_ms {_TIME}"),
        _amount("open_interest_qty"),
    ),
)  # fmt: skip

_MARK = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("mark_price", _REAL),
        ("index_price", _REAL, True), ("source", _TEXT, True),
    ),
    key=("instrument", "event_ms"),
    time="event_ms",
    end="i.event_ms + 1",
    rules=(
        ("event_ms lies between 2009 and 2100", f"event_ms {_TIME}"),
        _price("mark_price"), _maybe(_price("index_price"), "index_price"),
    ),
)  # fmt: skip

_FUNDING = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("funding_rate", _REAL),
        ("source", _TEXT, True),
    ),
    key=("instrument", "event_ms"),
    time="event_ms",
    end="i.event_ms + 1",
    rules=(
        ("event_ms lies between 2009 and 2100", f"event_ms {_TIME}"),
        ("funding_rate is a fraction between -1 and 1", "ABS(funding_rate) < 1"),
    ),
)  # fmt: skip

_LIQUIDATIONS = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("exchange", _TEXT),
        ("position_side", _TEXT), ("price", _REAL), ("price_kind", _TEXT), ("qty", _REAL),
        ("notional_usd", _REAL), ("mark_price", _REAL, True), ("completeness", _TEXT),
        ("seq", _INT, True), ("source", _TEXT, True),
    ),
    # ``seq`` counts equal rows within one millisecond: two equal orders did happen twice.
    key=("instrument", "event_ms", "exchange", "position_side", "price", "qty", "seq"),
    time="event_ms",
    end="i.event_ms + 1",
    rules=(
        ("event_ms lies between 2009 and 2100", f"event_ms {_TIME}"),
        ("position_side is long or short", "position_side IN ('long', 'short')"),
        _price("price"),
        ("price_kind is known", "price_kind IN ('fill', 'order', 'bankruptcy', 'mark')"),
        _amount("qty"), _amount("notional_usd"), _maybe(_price("mark_price"), "mark_price"),
    ),
)  # fmt: skip

_GAPS = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("end_ms", _INT), ("kind", _TEXT),
        ("reason", _TEXT),
    ),
    key=("instrument", "kind", "event_ms"),
    time="event_ms",
    end="i.end_ms",
    rules=(
        ("event_ms lies between 2009 and 2100", f"event_ms {_TIME}"),
        ("end_ms is after event_ms", "end_ms > event_ms"),
    ),
)  # fmt: skip

_IMPORTS = Kind(
    schema=_schema(
        ("imported_ms", _INT), ("instrument", _TEXT), ("kind", _TEXT), ("file", _TEXT),
        ("sha256", _TEXT), ("rows", _INT), ("new", _INT), ("changed", _INT), ("same", _INT),
        ("source", _TEXT), ("note", _TEXT),
    ),
    key=("instrument", "imported_ms", "file", "kind"),
    time="imported_ms",
    end="i.imported_ms + 1",
    rules=(("imported_ms lies between 2009 and 2100", f"imported_ms {_TIME}"),),
)  # fmt: skip

KINDS: dict[str, Kind] = {
    "bars": _BARS, "open_interest": _OPEN_INTEREST, "mark": _MARK, "funding": _FUNDING,
    "liquidations": _LIQUIDATIONS, "gaps": _GAPS, "imports": _IMPORTS,
}  # fmt: skip

#: The Arrow schema of each kind: what ``Store.write`` takes and ``Store.read`` gives.
SCHEMAS: dict[str, pa.Schema] = {name: kind.schema for name, kind in KINDS.items()}

_SQL_TYPE = {_INT: "INTEGER", _REAL: "REAL", _TEXT: "TEXT"}


def _create(name: str, kind: Kind) -> str:
    columns = ", ".join(
        f"{f.name} {_SQL_TYPE[f.type]}"
        + ("" if f.nullable and f.name not in kind.key else " NOT NULL")
        for f in kind.schema
    )
    key = ", ".join(kind.key)
    return f"CREATE TABLE {name} ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID"


#: What a new file is made of. ``spans`` counts rows and ends per kind, instrument and
#: interval (0 where there is none) in the transaction of each write, so asking is free.
CREATE: tuple[str, ...] = (
    *(_create(name, kind) for name, kind in KINDS.items()),
    "CREATE TABLE instruments (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE spans (kind TEXT NOT NULL, instrument TEXT NOT NULL, "
    "interval_ms INTEGER NOT NULL, start_ms INTEGER NOT NULL, end_ms INTEGER NOT NULL, "
    "row_count INTEGER NOT NULL, PRIMARY KEY (kind, instrument, interval_ms)) "
    "WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)


def upsert_sql(name: str) -> str:
    """Return the statement which moves ``temp.incoming`` into a kind's table.

    Absent never overwrites known, so that partial rows may come in any order; a row whose
    values do not change is not written at all (``changes()`` counts only the others), and
    keeps its ``source``.
    """
    kind = KINDS[name]
    columns = ", ".join(kind.schema.names)
    sets, differs = [], []
    for column in kind.values:
        new = f"excluded.{column}"
        if kind.schema.field(column).nullable:
            new = f"COALESCE({new}, {name}.{column})"
        sets.append(f"{column} = {new}")
        if column != "source":
            differs.append(f"{name}.{column} IS NOT {new}")
    return (
        f"INSERT INTO {name} ({columns}) SELECT {columns} FROM temp.incoming WHERE true "  # noqa: S608
        f"ON CONFLICT DO UPDATE SET {', '.join(sets)} WHERE {' OR '.join(differs)}"
    )


def span_sql(name: str) -> str:
    """Return the statement which counts ``temp.incoming`` into ``spans``; upsert next."""
    kind = KINDS[name]
    interval = "i.interval_ms" if "interval_ms" in kind.key else "0"
    on = " AND ".join(f"t.{column} = i.{column}" for column in kind.key)
    return (
        f"INSERT INTO spans SELECT '{name}', i.instrument, {interval}, MIN(i.{kind.time}), "  # noqa: S608
        f"MAX({kind.end}), COUNT(*) - COUNT(t.instrument) "
        f"FROM temp.incoming i LEFT JOIN {name} t ON {on} WHERE true GROUP BY 2, 3 "
        "ON CONFLICT DO UPDATE SET start_ms = MIN(start_ms, excluded.start_ms), "
        "end_ms = MAX(end_ms, excluded.end_ms), row_count = row_count + excluded.row_count"
    )


def broken_rule_sql(name: str) -> str:
    """Return the query for the first incoming row which breaks a rule of its kind."""
    kind = KINDS[name]
    bad = " OR ".join(f"NOT COALESCE({sql}, 0)" for _, sql in kind.rules)
    cases = " ".join(
        f"WHEN NOT COALESCE({sql}, 0) THEN {number}"
        for number, (_, sql) in enumerate(kind.rules)
    )
    return f"SELECT CASE {cases} END, * FROM temp.incoming WHERE {bad} LIMIT 1"  # noqa: S608


def select_sql(name: str, columns: tuple[str, ...]) -> str:
    """Return ``SELECT columns FROM kind``; the caller adds the condition.

    What is absent comes as +inf or '' (see ``absent_to_null``), because the driver takes a
    column's type from its first rows: one beginning with NULLs would be read as integers.
    """
    schema = KINDS[name].schema
    blank = {_REAL: "9e999", _TEXT: "''"}
    parts = [
        f"COALESCE({c}, {blank[schema.field(c).type]}) AS {c}"
        if schema.field(c).nullable and schema.field(c).type in blank
        else c
        for c in columns
    ]
    return f"SELECT {', '.join(parts)} FROM {name}"  # noqa: S608


def absent_to_null(table: pa.Table, name: str) -> pa.Table:
    """Undo the stand-ins of ``select_sql`` and give the columns their types."""
    schema = KINDS[name].schema
    wanted = pa.schema([schema.field(column) for column in table.column_names])
    if table.num_rows == 0:
        return wanted.empty_table()
    columns = []
    for field, column in zip(wanted, table.columns, strict=True):
        if field.nullable and field.type == _REAL:
            column = pc.if_else(pc.is_inf(column), pa.scalar(None, _REAL), column)
        elif field.nullable and field.type == _TEXT:
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, _TEXT), column)
        columns.append(column)
    return pa.table(columns, names=wanted.names).cast(wanted)


def conform(name: str, table: pa.Table) -> pa.Table:
    """Return the table in its kind's schema, one row a key (the last one given stays).

    Raises
    ------
    BadInputError
        The kind or a column is unknown, a required column is missing, not of its type, or
        holds a null. Values are judged later, by the kind's rules.
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
    return _last_of_each_key(out, kind)


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
    return table.set_column(index, "seq", pa.array(numbers, _INT))


def _last_of_each_key(table: pa.Table, kind: Kind) -> pa.Table:
    time = table[kind.time].to_numpy()
    if (time[1:] > time[:-1]).all():
        return table
    row = pa.array(np.arange(table.num_rows))
    groups = table.select(kind.key).append_column("row", row).group_by(kind.key)
    rows = groups.aggregate([("row", "max")])["row_max"].to_numpy()
    return table if len(rows) == table.num_rows else table.take(np.sort(rows))
