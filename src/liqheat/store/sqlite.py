"""The embedded store: one SQLite file in WAL mode, written and read as Arrow through ADBC.

    write(kind, table)  ->  rules  ->  temp.incoming  ->  upsert  ->  spans  ->  commit

One writer a file (an operating-system lock which dies with its process), any number of
readers, in this process or others. A write is one transaction: it is on disk when ``write``
returns, or has left no trace; kill -9 costs at most the write in progress. Writing the same
rows again changes nothing.

Threads: a ``Store`` may be shared. Writes take turns under a lock; each read takes an idle
connection of a pool for as long as it runs, and sees one state of the file throughout.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Self

import msgspec
import numpy as np
import pyarrow as pa
from adbc_driver_sqlite import dbapi
from numpy.typing import NDArray

from liqheat.errors import BadInputError, StoreError, UnavailableError
from liqheat.market.events import Bars, Gap
from liqheat.market.instrument import Instrument
from liqheat.market.instrument import instrument as shipped_instrument
from liqheat.store.connection import (
    check_version,
    connect_to_read,
    connect_to_write,
    discard,
    scalar,
    take_lock,
    told,
    transaction,
)
from liqheat.store.rows import conform, ranges
from liqheat.store.schema import KINDS, absent_to_null, select_sql, span_sql, upsert_sql
from liqheat.store.views import (
    Span,
    build_bars,
    covered,
    finest_covering,
    merge_gaps,
    overall,
)

FILE_NAME = "liqheat.db"
#: Rows of one Arrow batch on the way out; small ones cost, large ones only memory.
BATCH_ROWS = 65_536
_LOAD_COLUMNS = (
    "start_ms", "open", "high", "low", "close", "qty",
    "taker_buy_qty", "mark_high", "mark_low",
)  # fmt: skip


@dataclass(frozen=True)
class WriteResult:
    """What a write did: rows that were new, that changed a stored row, that were there."""

    new: int = 0
    changed: int = 0
    same: int = 0

    def __add__(self, other: WriteResult) -> WriteResult:
        """Return the sum of two results."""
        return WriteResult(
            self.new + other.new, self.changed + other.changed, self.same + other.same
        )


@dataclass(frozen=True)
class StoredInstrument:
    """An instrument of the store and where its rows lie, by kind."""

    instrument: Instrument
    spans: dict[str, Span]


class Store:
    """Inputs on disk. Made by ``Store.open``; close it, or use it as a context manager."""

    def __init__(self, file: Path, *, writable: bool, lock: int | None) -> None:
        self.file = file
        self._lock_fd = lock
        self._closed = False
        self._write_lock = threading.RLock()
        self._pool_lock = threading.Lock()
        self._idle: list[dbapi.Connection] = []
        self._known: set[str] = set()
        self._open_cursor: Any = None
        self._writer = connect_to_write(file) if writable else None
        if not writable:
            with self._reading() as cursor:
                check_version(cursor, file, writable=False)

    @classmethod
    def open(cls, path: Path, *, mode: Literal["rw", "r"] = "rw") -> Self:
        """Open the store in the data folder ``path``; "rw" makes both where missing.

        Raises
        ------
        StoreBusyError
            Another process (or another ``Store``) writes to it.
        SchemaVersionError
            It was written by a newer liqheat; or by an older one and ``mode`` is "r".
        StoreError
            The folder or file cannot be used; says why.
        UnavailableError
            ``mode`` is "r" and nothing is stored yet.
        """
        folder = Path(path)
        file = folder / FILE_NAME
        if mode == "r":
            if not file.exists():
                raise UnavailableError(
                    f"{folder}: nothing is stored here yet; import or collect"
                )
            return cls(file, writable=False, lock=None)
        lock = take_lock(folder)
        try:
            return cls(file, writable=True, lock=lock)
        except BaseException:
            os.close(lock)
            raise

    # -- writing -----------------------------------------------------------------------

    def write(self, kind: str, table: pa.Table) -> WriteResult:
        """Insert or update rows in one transaction; on disk when it returns.

        Parameters
        ----------
        kind : str
            A key of ``SCHEMAS``.
        table : pyarrow.Table
            Columns of the kind; nullable ones may be left out. A key given twice counts
            once: the last row stays. ``seq`` of liquidations is counted where absent.

        Raises
        ------
        BadInputError
            A column or row cannot be stored; nothing was written.
        StoreError
            The disk is full, read-only or damaged, or this store is open for reading.
        """
        incoming = conform(kind, table)
        rows = incoming.num_rows
        if rows == 0:
            return WriteResult()
        self._check_instruments(incoming)
        count = f"SELECT COALESCE(SUM(row_count), 0) FROM spans WHERE kind = '{kind}'"  # noqa: S608
        with self._writing() as cursor:
            for name, rows_in in (
                ("incoming", incoming),
                ("ranges", ranges(kind, incoming)),
            ):
                cursor.adbc_ingest(name, rows_in, mode="create", temporary=True)
            _refuse_shifted_bars(cursor)
            before = scalar(cursor, count)
            cursor.execute(span_sql(kind, "-"))
            cursor.execute(upsert_sql(kind))
            touched = scalar(cursor, "SELECT changes()")
            cursor.execute(span_sql(kind, "+"))
            new = scalar(cursor, count) - before
            cursor.execute("DROP TABLE temp.incoming")
            cursor.execute("DROP TABLE temp.ranges")
        return WriteResult(new=new, changed=touched - new, same=rows - touched)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make the writes of the block one transaction: all of them, or none.

        Other threads' writes wait until it ends; readers see nothing of it before.
        """
        with self._writing() as cursor:
            self._open_cursor = cursor
            try:
                yield
            finally:
                self._open_cursor = None

    def put_instrument(self, instrument: Instrument) -> None:
        """Store an instrument; it replaces a stored or shipped one of the same name."""
        body = msgspec.json.encode(instrument).decode()
        with self._writing() as cursor:
            cursor.execute(
                "INSERT INTO instruments VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET body = excluded.body",
                (instrument.name, body),
            )

    def _check_instruments(self, incoming: pa.Table) -> None:
        for name in incoming["instrument"].unique().to_pylist():
            if name not in self._known:
                self.instrument(name)
                self._known.add(name)

    # -- reading -----------------------------------------------------------------------

    def read(
        self, kind: str, instrument: str, start_ms: int | None = None,
        end_ms: int | None = None, *, interval_ms: int | None = None,
        columns: tuple[str, ...] | None = None,
    ) -> pa.Table:  # fmt: skip
        """Return the rows of ``[start_ms, end_ms)`` in the kind's schema, sorted by key.

        ``interval_ms`` is for bars; None picks the finest interval covering the range (see
        ``views.finest_covering``). Gaps are those which overlap the range. With ``columns``
        only these are read.
        """
        if kind not in KINDS:
            conform(kind, pa.table({}))
        with self._reading() as cursor:
            if kind == "bars" and interval_ms is None:
                span = finest_covering(_spans(cursor, kind, instrument), start_ms, end_ms)
                interval_ms = span.interval_ms if span else 0
            names = columns or tuple(KINDS[kind].schema.names)
            return _select(cursor, kind, names, instrument, start_ms, end_ms, interval_ms)

    def load_bars(
        self,
        instrument: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        interval_ms: int | None = None,
    ) -> Bars:
        """Return the engine's input: bars, open interest known at their ends, mark range.

        Parameters
        ----------
        instrument : str
            ``exchange:symbol``.
        start_ms, end_ms : int, optional
            Bars which begin in ``[start_ms, end_ms)``.
        interval_ms : int, optional
            None picks the finest interval which covers the range.

        Raises
        ------
        UnavailableError
            No bars are stored there.
        """
        with self._reading() as cursor:
            spans = _spans(cursor, "bars", instrument)
            if interval_ms is None:
                span = finest_covering(spans, start_ms, end_ms)
                interval_ms = (span.interval_ms if span else None) or 0
            found = _load(cursor, instrument, start_ms, end_ms, interval_ms)
        if found is None:
            _refuse_empty(instrument, spans)
        return found

    def load_pieces(
        self, instrument: str, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[Bars]:
        """Return ``load_bars`` of every stored interval which has bars there, finest first.

        Raises
        ------
        UnavailableError
            None has.
        """
        with self._reading() as cursor:
            spans = _spans(cursor, "bars", instrument)
            found = [
                _load(cursor, instrument, start_ms, end_ms, interval)
                for interval in sorted(span.interval_ms or 0 for span in spans)
            ]
        pieces = [bars for bars in found if bars is not None]
        if not pieces:
            _refuse_empty(instrument, spans)
        return pieces

    def span(self, kind: str, instrument: str) -> Span | None:
        """Return where rows lie, of bars those of all intervals together; or None."""
        with self._reading() as cursor:
            return overall(_spans(cursor, kind, instrument))

    def instruments(self) -> list[StoredInstrument]:
        """Return the instruments which have rows or were put, sorted by name."""
        with self._reading() as cursor:
            cursor.execute("SELECT name FROM instruments")
            spans: dict[str, dict[str, list[Span]]] = {
                row[0]: {} for row in cursor.fetchall()
            }
            cursor.execute(
                "SELECT instrument, kind, start_ms, end_ms, row_count, interval_ms FROM spans"
            )
            for name, kind, *span in cursor.fetchall():
                spans.setdefault(name, {}).setdefault(kind, []).append(_span(*span))
            return [
                StoredInstrument(
                    _instrument(cursor, name),
                    {kind: s for kind in KINDS if (s := overall(kinds.get(kind, ())))},
                )
                for name, kinds in sorted(spans.items())
            ]

    def instrument(self, name: str) -> Instrument:
        """Return the stored instrument of that name, else the shipped one.

        Raises
        ------
        UnknownInstrumentError
            Neither is there.
        """
        with self._reading() as cursor:
            return _instrument(cursor, name)

    def gaps(
        self,
        instrument: str,
        start_ms: int | None = None,
        end_ms: int | None = None,
        *,
        interval_ms: int | None = None,
    ) -> list[Gap]:
        """Return recorded gaps and the holes between stored bars, sorted by time.

        A hole is where no bar is stored, of any interval or, where given, of ``interval_ms``.
        """
        with self._reading() as cursor:
            spans = _spans(cursor, "bars", instrument)
            intervals = sorted({span.interval_ms or 0 for span in spans})
            stretches = [
                (_starts(cursor, instrument, start_ms, end_ms, one), one)
                for one in intervals
                if interval_ms in (None, one)
            ]
            columns = ("instrument", "event_ms", "end_ms", "kind", "reason")
            rows = _select(cursor, "gaps", columns, instrument, start_ms, end_ms)
        recorded = [Gap(**row) for row in rows.to_pylist()]
        return merge_gaps(instrument, covered(stretches), recorded)

    def close(self) -> None:
        """Close every connection and give the writer's place back."""
        with self._write_lock, self._pool_lock:
            self._closed = True
            for connection in [*self._idle, *([self._writer] if self._writer else [])]:
                discard(connection)
            self._idle.clear()
            self._writer = None
            if self._lock_fd is not None:
                os.close(self._lock_fd)
                self._lock_fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- connections -------------------------------------------------------------------

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Any]:
        with told(self.file, "read"):
            with self._pool_lock:
                if self._closed:
                    raise StoreError(f"{self.file}: the store is closed")
                idle = self._idle.pop() if self._idle else None
            connection = idle or connect_to_read(self.file)
            try:
                with (
                    contextlib.closing(connection.cursor()) as cursor,
                    transaction(cursor, "BEGIN"),
                ):
                    yield cursor
            except BaseException:
                discard(connection)
                raise
            with self._pool_lock:
                if not self._closed:
                    self._idle.append(connection)
                    return
            discard(connection)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Any]:
        with self._write_lock, told(self.file, "write"):
            if self._writer is None:
                state = "closed" if self._closed else "open for reading only"
                raise StoreError(f"{self.file}: cannot write; the store is {state}")
            if self._open_cursor is not None:  # this thread's: it holds the lock
                yield self._open_cursor
                return
            with (
                contextlib.closing(self._writer.cursor()) as cursor,
                transaction(cursor, "BEGIN IMMEDIATE"),
            ):
                yield cursor


# -- queries -------------------------------------------------------------------------------


def _select(
    cursor: Any,
    kind: str,
    columns: tuple[str, ...],
    instrument: str,
    start_ms: int | None,
    end_ms: int | None,
    interval_ms: int | None = None,
) -> pa.Table:
    time, key = KINDS[kind].time, KINDS[kind].key
    conditions, values = ["instrument = ?"], [instrument]
    for condition, value in (
        ("interval_ms = ?", interval_ms if "interval_ms" in key else None),
        ("end_ms > ?" if kind == "gaps" else f"{time} >= ?", start_ms),
        (f"{time} < ?", end_ms),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)  # type: ignore[arg-type]
    cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
    where = f"WHERE {' AND '.join(conditions)} ORDER BY {', '.join(key)}"
    cursor.execute(f"{select_sql(kind, columns)} {where}", tuple(values))
    return absent_to_null(cursor.fetch_arrow_table(), kind)


def _starts(
    cursor: Any, instrument: str, start_ms: int | None, end_ms: int | None, interval_ms: int
) -> NDArray[np.int64]:
    found = _select(
        cursor, "bars", ("start_ms",), instrument, start_ms, end_ms, interval_ms
    )
    return np.asarray(found["start_ms"].to_numpy(), np.int64)


def _load(
    cursor: Any, instrument: str, start_ms: int | None, end_ms: int | None, interval_ms: int
) -> Bars | None:
    bars = _select(cursor, "bars", _LOAD_COLUMNS, instrument, start_ms, end_ms, interval_ms)
    if bars.num_rows == 0:
        return None
    first = bars["start_ms"][0].as_py()
    last = bars["start_ms"][-1].as_py() + interval_ms
    # A reading at the very end of the last bar was known at its end.
    interest, mark = (
        _select(cursor, kind, ("event_ms", value), instrument, first, last + 1)
        for kind, value in (("open_interest", "open_interest_qty"), ("mark", "mark_price"))
    )
    columns = dict(zip(bars.column_names, bars.columns, strict=True))
    return build_bars(columns, interval_ms, interest, mark, f"stored bars of {instrument}")


def _spans(cursor: Any, kind: str, instrument: str) -> list[Span]:
    cursor.execute(
        "SELECT start_ms, end_ms, row_count, interval_ms FROM spans "
        "WHERE kind = ? AND instrument = ?",
        (kind, instrument),
    )
    return [_span(*row) for row in cursor.fetchall()]


def _span(start_ms: int, end_ms: int, rows: int, interval_ms: int) -> Span:
    return Span(start_ms, end_ms, rows, interval_ms or None)


def _instrument(cursor: Any, name: str) -> Instrument:
    cursor.execute("SELECT body FROM instruments WHERE name = ?", (name,))
    row = cursor.fetchone()
    return msgspec.json.decode(row[0], type=Instrument) if row else shipped_instrument(name)


def _refuse_shifted_bars(cursor: Any) -> None:
    """Refuse bars whose grid is not that of those stored: they could never be read again."""
    cursor.execute(
        "SELECT r.instrument, r.interval_ms, r.first, s.start_ms FROM temp.ranges r JOIN spans s "
        "ON s.kind = 'bars' AND s.instrument = r.instrument AND s.interval_ms = r.interval_ms "
        "WHERE r.interval_ms > 0 AND (r.first - s.start_ms) % r.interval_ms != 0 LIMIT 1"
    )
    row = cursor.fetchone()
    if row is not None:
        raise BadInputError(
            f"{row[1]} ms bars are shifted against the stored ones, which begin at {row[3]}",
            where=f"bars of {row[0]}", value=row[2], do="import bars of the same start",
        )  # fmt: skip


def _refuse_empty(instrument: str, spans: list[Span]) -> NoReturn:
    if not spans:
        raise UnavailableError(
            f"no bars of {instrument} are stored; import or collect some"
        )
    held = ", ".join(f"{s.interval_ms} ms from {s.start_ms} to {s.end_ms}" for s in spans)
    raise UnavailableError(f"no bars of {instrument} in that range; stored are: {held}")
