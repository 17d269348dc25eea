"""What is kept: one table a kind, its key, and what a row must satisfy to enter.

A *kind* is one sort of input. Its Arrow schema is the contract with collectors and
importers (a nullable field may be left out of a written table, any other may not); its SQL
table is made from the same schema, clustered by the key, so that a range read is one
contiguous scan. Only inputs are kept; heatmaps are computed again.

Times are integer milliseconds UTC. Absent is NULL, never 0. ``source`` says where a row
came from: an exchange's name, ``file:<name>``, or ``borrowed:<exchange>:<name>``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from liqheat.market.events import Completeness, PriceKind

#: Raised with every change of the tables below; each step up needs an entry in MIGRATIONS.
SCHEMA_VERSION = 2
#: "LQHT", in the file's header: tells our file from any other SQLite file.
APPLICATION_ID = 0x4C514854
_INT, _REAL, _TEXT = pa.int64(), pa.float64(), pa.string()
#: 2009-01-03 .. 2100-01-01: a time outside is in the wrong unit or corrupt.
TIME_RANGE_MS = (1_230_940_800_000, 4_102_444_800_000)

#: Words, and the test of them: columns -> which rows hold.
Columns = Mapping[str, NDArray[Any]]
Rule = tuple[str, Callable[[Columns], NDArray[np.bool_]]]


def _price(name: str) -> Rule:
    return f"{name} is a positive price", lambda c: (c[name] > 0) & (c[name] < np.inf)


def _amount(name: str) -> Rule:
    words = f"{name} is finite and not negative"
    return words, lambda c: (c[name] >= 0) & (c[name] < np.inf)


def _maybe(rule: Rule, name: str) -> Rule:
    return f"{rule[0]}, or absent", lambda c: np.isnan(c[name]) | rule[1](c)


def _time(name: str) -> Rule:
    first, last = TIME_RANGE_MS
    words = f"{name} lies between 2009 and 2100"
    return words, lambda c: (c[name] >= first) & (c[name] <= last)


def _one_of(name: str, *words: str) -> Rule:
    return f"{name} is {' or '.join(words)}", lambda c: np.isin(c[name].astype(str), words)


@dataclass(frozen=True)
class Kind:
    """One sort of input: its columns, its key, its time and the rules of its rows.

    A row which breaks one of the ``rules`` refuses the whole write.
    """

    schema: pa.Schema
    key: tuple[str, ...]
    time: str
    rules: tuple[Rule, ...]

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
    rules=(
        _time("start_ms"),
        ("interval_ms is positive", lambda c: c["interval_ms"] > 0),
        _price("open"), _price("high"), _price("low"), _price("close"),
        ("high is the highest price",
         lambda c: c["high"] >= np.maximum(c["open"], c["close"])),
        ("low is the lowest price", lambda c: c["low"] <= np.minimum(c["open"], c["close"])),
        _amount("qty"),
        _maybe(("taker_buy_qty lies within qty", lambda c: (c["taker_buy_qty"] >= 0)
                & (c["taker_buy_qty"] <= c["qty"] * (1 + 1e-9))), "taker_buy_qty"),
        _maybe(_price("mark_high"), "mark_high"), _maybe(_price("mark_low"), "mark_low"),
        ("mark_high is not below mark_low", lambda c: ~(c["mark_high"] < c["mark_low"])),
    ),
)  # fmt: skip

_OPEN_INTEREST = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("open_interest_qty", _REAL),
        ("source", _TEXT),
    ),
    key=("instrument", "event_ms"),
    time="event_ms",
    rules=(
        _time("event_ms"),
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
    rules=(
        _time("event_ms"),
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
    rules=(
        _time("event_ms"),
        ("funding_rate is a fraction between -1 and 1",
         lambda c: np.abs(c["funding_rate"]) < 1),
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
    rules=(
        _time("event_ms"),
        _one_of("position_side", "long", "short"),
        _price("price"),
        _one_of("price_kind", *get_args(PriceKind)),
        _one_of("completeness", *get_args(Completeness)),
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
    rules=(
        _time("event_ms"),
        ("end_ms is after event_ms", lambda c: c["end_ms"] > c["event_ms"]),
    ),
)  # fmt: skip

_POSITIONS = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("account", _TEXT),
        ("position_side", _TEXT), ("qty", _REAL), ("entry_price", _REAL),
        ("liquidation_price", _REAL, True), ("leverage", _REAL, True),
        ("source", _TEXT, True),
    ),
    # An account which has closed is a row of qty 0.
    key=("instrument", "event_ms", "account", "position_side"),
    time="event_ms",
    rules=(
        _time("event_ms"),
        _one_of("position_side", "long", "short"),
        _amount("qty"), _price("entry_price"),
        _maybe(_price("liquidation_price"), "liquidation_price"),
        _maybe(("leverage is positive", lambda c: c["leverage"] > 0), "leverage"),
    ),
)  # fmt: skip

_LONG_SHORT = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("accounts_ratio", _REAL),
        ("source", _TEXT, True),
    ),
    key=("instrument", "event_ms"),
    time="event_ms",
    rules=(_time("event_ms"), _amount("accounts_ratio")),
)  # fmt: skip

_DEPTH = Kind(
    schema=_schema(
        ("instrument", _TEXT), ("event_ms", _INT), ("book_side", _TEXT), ("price", _REAL),
        ("qty", _REAL), ("source", _TEXT, True),
    ),
    key=("instrument", "event_ms", "book_side", "price"),
    time="event_ms",
    rules=(
        _time("event_ms"), _one_of("book_side", "bid", "ask"), _price("price"),
        _amount("qty"),
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
    rules=(_time("imported_ms"),),
)  # fmt: skip

KINDS: dict[str, Kind] = {
    "bars": _BARS, "open_interest": _OPEN_INTEREST, "mark": _MARK, "funding": _FUNDING,
    "liquidations": _LIQUIDATIONS, "positions": _POSITIONS, "long_short": _LONG_SHORT,
    "depth": _DEPTH, "gaps": _GAPS, "imports": _IMPORTS,
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

#: Statements which bring a file from version n to n + 1, run in one transaction.
MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: tuple(_create(name, KINDS[name]) for name in ("positions", "long_short", "depth")),
}


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


def span_sql(name: str, sign: Literal["-", "+"]) -> str:
    """Return the statement which counts a kind's rows within ``temp.ranges`` into ``spans``.

    Run with "-" before the upsert and "+" after it, it adds what the upsert added.
    """
    kind = KINDS[name]
    same = "AND t.interval_ms = r.interval_ms " if "interval_ms" in kind.key else ""
    return (
        f"INSERT INTO spans SELECT '{name}', instrument, interval_ms, first, end_ms, {sign}("  # noqa: S608
        f"SELECT COUNT(*) FROM {name} t WHERE t.instrument = r.instrument {same}"
        f"AND t.{kind.time} BETWEEN r.first AND r.last) FROM temp.ranges r WHERE true "
        "ON CONFLICT DO UPDATE SET start_ms = MIN(start_ms, excluded.start_ms), "
        "end_ms = MAX(end_ms, excluded.end_ms), row_count = row_count + excluded.row_count"
    )


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
