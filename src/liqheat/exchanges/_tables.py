"""Bytes to tables: CSV, Parquet and Arrow files, told apart by content, not by name.

Gives columns as numpy arrays: times in milliseconds, numbers in float64, NaN where absent.
A fault is one ``BadInputError`` which names the file, the line (CSV, counted from 1) or row
(others, from 0), and the value as it stood there.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.ipc
import pyarrow.parquet
from numpy.typing import NDArray

from liqheat.errors import BadInputError
from liqheat.market.events import F64, I64

#: File name endings looked at in a folder.
SUFFIXES = (".csv", ".parquet", ".pq", ".arrow", ".feather", ".ipc", ".csv.gz", ".zip")
#: Binance's kline dumps had no header line before 2022, and spot dumps have none still.
HEADERLESS_KLINE = (
    "open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume",
    "count", "taker_buy_volume", "taker_buy_quote_volume", "ignore",
)  # fmt: skip
#: 2009-01-03 .. 2100-01-01 [s]: a number outside, in any unit, is no time of a market.
_FIRST_S, _LAST_S = 1_230_940_800, 4_102_444_800
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class FileTable:
    """A file's columns under normalised names, and how to speak of its rows."""

    name: str
    columns: dict[str, pa.ChunkedArray]
    #: Normalised name -> the file's own.
    spelled: dict[str, str]
    #: The line of the first data row; None where rows have no lines.
    first_line: int | None = None

    @property
    def where(self) -> str:
        """The file in messages which count rows from 0."""
        line = f" (row 0: line {self.first_line})" if self.first_line is not None else ""
        return self.name + line

    def at(self, row: int) -> str:
        """Return where a row is: ``x.csv line 17`` or ``x.parquet row 15``."""
        if self.first_line is None:
            return f"{self.name} row {row}"
        return f"{self.name} line {row + self.first_line}"


def spoken(name: str) -> str:
    r"""Return a file's name as text which can be printed and stored.

    >>> spoken("bars.csv"), spoken("bars\udcff.csv")
    ('bars.csv', 'bars\\xff.csv')
    """
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def normalised(name: str) -> str:
    """Return a column's name in snake case.

    >>> normalised("Open time"), normalised("sumOpenInterest")
    ('open_time', 'sum_open_interest')
    """
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name.strip())
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_")


def read_table(path: Path) -> FileTable:
    """Read a whole file.

    Raises
    ------
    BadInputError
        It is missing, unreadable, empty, truncated, in a wrong encoding, or not a table.
    """
    name = spoken(path.name)
    try:
        if path.exists() and not path.is_file():
            _refuse("is no regular file", name, "give a file, or a folder of files")
        with path.open("rb") as file:
            head = file.read(8)
    except OSError as error:
        _refuse(f"cannot be read: {error.strerror}", name, "give a file you may read")
    if not head:
        _refuse("the file is empty", name, "download it again")
    try:
        table, first_line = _read(path, head)
    except BadInputError:
        raise
    except Exception as error:
        # Decoders of others raise whatever they like on damaged bytes: RuntimeError for an
        # encrypted ZIP file, OverflowError for a length, UnicodeDecodeError for a name.
        text = " ".join(str(error).split()) or type(error).__name__
        _refuse(f"the file is damaged or truncated: {text}", name, "download it again")
    if table.num_rows == 0:
        _refuse("no rows", name, "give a file with at least one row")
    spelled = {normalised(column): column for column in table.column_names}
    if len(spelled) < table.num_columns:
        _refuse("two columns have the same name", name, "rename one")
    columns = {key: table[column] for key, column in spelled.items()}
    return FileTable(name, columns, spelled, first_line)


def _read(path: Path, head: bytes) -> tuple[pa.Table, int | None]:
    if head[:4] == b"PAR1":
        return _sound(pa.parquet.ParquetFile(path).read()), None
    if head[:6] == b"ARROW1":
        return _sound(pa.ipc.open_file(path).read_all()), None
    if head[:4] == b"\xff\xff\xff\xff":
        return _sound(pa.ipc.open_stream(path).read_all()), None
    name = spoken(path.name)
    if head[:2] == b"\x1f\x8b":
        return _read_csv(gzip.decompress(path.read_bytes()), name)
    if head[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.namelist() if m.lower().endswith(".csv")]
            if len(members) != 1:
                _refuse(f"{len(members)} CSV files inside", name, "unpack it first")
            return _read_csv(archive.read(members[0]), name)
    return _read_csv(path.read_bytes(), name)


def _sound(table: pa.Table) -> pa.Table:
    # Arrow trusts the offsets it reads: unchecked, damaged ones are read beyond the memory.
    table.validate(full=True)
    return table


def _read_csv(data: bytes, name: str) -> tuple[pa.Table, int]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if not data.isascii():
        _check_encoding(data, name)
    if data.lstrip()[:1] in (b"{", b"[", b"<"):
        _refuse("not a table, but JSON or markup", name, "give CSV, Parquet or Arrow")
    first = data.split(b"\n", 1)[0].decode()
    delimiter = max(",;\t|", key=first.count)
    fields = [field.strip().strip('"') for field in first.split(delimiter)]
    if len(fields) < 2:
        _refuse("not a table: one column", name, "give CSV, Parquet or Arrow")
    header = not re.fullmatch(r"-?\d+(\.\d+)?", fields[0])
    names = None if header else [f"f{number}" for number in range(len(fields))]
    if names is not None and len(fields) == len(HEADERLESS_KLINE):
        names = list(HEADERLESS_KLINE)
    try:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            pa.csv.ReadOptions(column_names=names),
            pa.csv.ParseOptions(delimiter=delimiter),
            pa.csv.ConvertOptions(strings_can_be_null=True),
        )
    except pa.ArrowInvalid as error:
        text = str(error).splitlines()[0]
        _refuse(
            f"not a table: {text}", name, "mend or drop that line, or download it again"
        )
    return table, 2 if header else 1


def _check_encoding(data: bytes, name: str) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInputError(
            "the text is not UTF-8", where=f"{name} line {line}",
            value=data[error.start : error.start + 8], do="save it as UTF-8",
        ) from error  # fmt: skip
    if b"\0" in data[:1024]:
        _refuse("not a table: binary data", name, "give CSV, Parquet or Arrow")


def _refuse(what: str, where: str, do: str, value: object = None) -> NoReturn:
    raise BadInputError(what, where=where, value=value, do=do)


def numbers(file: FileTable, column: str) -> F64:
    """Return a column as float64, NaN where absent.

    Raises
    ------
    BadInputError
        A value is no number.
    """
    values = file.columns[column]
    if pa.types.is_null(values.type):
        return np.full(len(values), np.nan)
    if not (
        pa.types.is_integer(values.type)
        or pa.types.is_floating(values.type)
        or pa.types.is_decimal(values.type)
        or _is_text(values)
    ):
        what = f"column {file.spelled[column]!r} holds {values.type}, no numbers"
        _refuse(what, file.name, "map another column")
    try:
        out = values.cast(pa.float64(), safe=False)
    except pa.ArrowInvalid:
        _refuse_first(file, column, pa.float64(), "is no number")
    return np.array(out.to_numpy(), dtype=np.float64)


def _is_text(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(values.type) or pa.types.is_large_string(values.type))


def _refuse_first(file: FileTable, column: str, kind: pa.DataType, what: str) -> NoReturn:
    row, found = 0, None
    for row, value in enumerate(file.columns[column]):  # noqa: B007
        try:
            value.cast(kind)
        except pa.ArrowInvalid:
            found = value.as_py()
            break
    _refuse(f"{file.spelled[column]!r} {what}", file.at(row), "mend or drop the row", found)


def texts(file: FileTable, column: str) -> list[str | None]:
    """Return a column as strings.

    Raises
    ------
    BadInputError
        It cannot be read as text.
    """
    values = file.columns[column]
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    try:
        return list(values.cast(pa.string()).to_pylist())
    except pa.ArrowException:
        what = f"column {file.spelled[column]!r} holds {values.type}, no text"
        _refuse(what, file.name, "drop the column, or write it as text")


def flags(file: FileTable, column: str) -> NDArray[np.bool_]:
    """Return a column of true and false, absent counted as false."""
    values = file.columns[column]
    if not pa.types.is_boolean(values.type):
        _refuse(f"column {file.spelled[column]!r} is not true or false", file.name,
                "drop the column")  # fmt: skip
    return np.array(values.fill_null(False).to_numpy(), dtype=bool)


def times_ms(file: FileTable, column: str) -> tuple[I64, str]:
    """Return a time column in milliseconds and the unit it came in.

    Takes Arrow timestamps and dates, ISO text, and numbers whose unit (s, ms, us, ns) shows
    in their size; one column has one unit. What is finer than a millisecond is cut off.

    Raises
    ------
    BadInputError
        A value is absent, no time, outside 2009 .. 2100, or in another unit than the rest.
    """
    values = file.columns[column]
    if values.null_count:
        row = int(pc.index(pc.is_null(values), value=True).as_py())
        _refuse(f"{file.spelled[column]!r} is absent", file.at(row), "drop the row")
    if pa.types.is_timestamp(values.type) or pa.types.is_date(values.type):
        zone = getattr(values.type, "tz", None)
        out = values.cast(pa.timestamp("ms", zone), safe=False).cast(pa.int64()).to_numpy()
        return _in_range(file, column, out, 1000), "timestamp"
    if _is_text(values):
        return _in_range(file, column, _iso_ms(file, column), 1000), "text"
    raw = numbers(file, column)
    known = raw[~np.isnan(raw)]
    unit = _unit(float(np.median(known))) if len(known) else None
    if unit is None:
        what = f"{file.spelled[column]!r} is no time of 2009 .. 2100 in s, ms, us or ns"
        _refuse(what, file.at(0), "map the column of times", raw[0].item())
    per_second = _PER_SECOND[unit]
    _in_range(file, column, raw, per_second)
    if pa.types.is_integer(values.type):
        # Exact: a time in ns does not fit a double.
        whole = values.cast(pa.int64()).to_numpy()
        scaled = whole * 1000 if unit == "s" else whole // (per_second // 1000)
    else:
        scaled = np.round(raw * (1000 / per_second)).astype(np.int64)
    return scaled, unit


def _unit(value: float) -> str | None:
    for unit, per_second in _PER_SECOND.items():
        if _FIRST_S <= value / per_second < _LAST_S:
            return unit
    return None


def _in_range(file: FileTable, column: str, values: I64 | F64, per_second: int) -> I64:
    good = (values >= _FIRST_S * per_second) & (values < _LAST_S * per_second)
    rows = np.flatnonzero(~good)
    if len(rows):
        row = int(rows[0])
        value = values[row].item()
        mixed = (
            f"in {_unit(value)}, others are not" if _unit(value) else "outside 2009 .. 2100"
        )
        if per_second == 1000 and _unit(value) == "ms":
            mixed = "outside 2009 .. 2100"
        _refuse(f"the time {file.spelled[column]!r} is {mixed}", file.at(row),
                "mend or drop the row", value)  # fmt: skip
    return values  # type: ignore[return-value]


def _iso_ms(file: FileTable, column: str) -> I64:
    values = file.columns[column]
    if re.fullmatch(r"\s*\d+(\.\d*)?\s*", str(values[0])):
        _refuse_first(file, column, pa.float64(), "is no time")
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            parsed = values.cast(kind)
        except pa.ArrowInvalid:
            continue
        out: I64 = parsed.cast(pa.int64()).to_numpy() // 1000
        return out
    zoned = str(values[0]).strip().endswith(("Z", "+00:00"))
    kind = pa.timestamp("us", "UTC") if zoned else pa.timestamp("us")
    _refuse_first(file, column, kind, "is no ISO time")
