"""Files, locks and connections of the embedded store, and what their faults mean.

Owns everything that can go wrong with the file: who may write, which schema version it has,
and one line for a person per fault.

Never open the file with Python's own ``sqlite3`` in a process which has it open here: POSIX
locks belong to the process, so two SQLite libraries in one do not see each other's, and
either drops the other's locks by closing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pyarrow as pa
from adbc_driver_manager import dbapi as manager
from adbc_driver_sqlite import dbapi

from liqheat.errors import SchemaVersionError, StoreBusyError, StoreError, UnavailableError
from liqheat.store.schema import APPLICATION_ID, CREATE, MIGRATIONS, SCHEMA_VERSION

LOCK_NAME = "liqheat.lock"
#: How long a statement waits for a lock held by a program which is not liqheat.
BUSY_TIMEOUT_MS = 5_000
#: What faults of the driver, of Arrow on its way, or of the system are raised as.
FAULTS = (dbapi.Error, pa.ArrowException, OSError)

#: What SQLite says -> what a person should read and do.
_MEANINGS: tuple[tuple[str, type[StoreError], str], ...] = (
    ("is full", StoreError, "the disk is full; free some space there and run it again"),
    ("no space", StoreError, "the disk is full; free some space there and run it again"),
    ("readonly", StoreError, "it is read-only; choose a folder you may write to"),
    ("read-only", StoreError, "it is read-only; choose a folder you may write to"),
    ("permission denied", StoreError, "no right to it; choose a folder you may write to"),
    ("not a database", StoreError, "it is no liqheat store; move it away and import again"),
    ("malformed", StoreError, "the file is damaged; move it away and import again"),
    ("locked", StoreBusyError, "another program holds the file; close it and run it again"),
    ("unable to open", StoreError, "it cannot be opened; check the folder and its rights"),
    ("i/o error", StoreError, "the disk refuses to read or write (full, or failing?)"),
    ("not a directory", StoreError, "it is no folder; choose another data folder"),
    ("file exists", StoreError, "it is no folder; choose another data folder"),
    ("no such file", StoreError, "the folder cannot be made; choose another data folder"),
    # SQLite's word for a path it cannot open at all, such as a folder.
    ("failed to allocate", StoreError, "it is no file; move it away and import again"),
    ("file too large", StoreError, "the disk refuses to write (a file size limit?)"),
)


def _call(function: Any, arguments: Any, options: Any, cancel: object) -> Any:
    return function(*arguments, **options)


# In the main thread the driver manager catches Ctrl-C around each call and asks the driver to
# cancel. SQLite's cannot: what comes is another error, or now and then nothing at all. Without
# that, Python raises KeyboardInterrupt as soon as the call is done, and we roll back.
manager._blocking_call = _call  # type: ignore[attr-defined,assignment]


@contextlib.contextmanager
def told(file: Path, doing: str) -> Iterator[None]:
    """Turn a driver's fault into one line which says what to do."""
    try:
        yield
    except FAULTS as error:
        _raise(error, file, doing)


def _raise(error: BaseException, file: Path, doing: str) -> NoReturn:
    text = str(error)
    for sign, kind, words in _MEANINGS:
        if sign in text.lower():
            raise kind(f"{file}: cannot {doing}: {words}") from error
    raise StoreError(f"{file}: cannot {doing}: {' '.join(text.split())}") from error


def take_lock(folder: Path) -> int:
    """Take the writer's place in ``folder`` and return the lock's file descriptor."""
    file = folder / LOCK_NAME
    with told(folder, "open"):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _lock_exclusively(lock)
    except OSError as error:
        holder = os.read(lock, 20).decode(errors="replace").strip() or "?"
        os.close(lock)
        raise StoreBusyError(
            f"{folder}: process {holder} is already writing here; stop it first "
            "(reading at the same time is fine)"
        ) from error
    with contextlib.suppress(OSError):
        os.ftruncate(lock, 0)
        os.write(lock, f"{os.getpid()}\n".encode())
    return lock


def _lock_exclusively(lock: int) -> None:
    """Lock or raise OSError at once; the system unlocks it when the process ends."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        # A byte far behind the process id, which others may then still read.
        os.lseek(lock, 1 << 20, os.SEEK_SET)
        msvcrt.locking(lock, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        os.lseek(lock, 0, os.SEEK_SET)
    else:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _connect(file: Path, query: str) -> dbapi.Connection:
    connection = dbapi.connect(f"{file.resolve().as_uri()}?{query}", autocommit=True)
    try:
        with contextlib.closing(connection.cursor()) as cursor:
            scalar(cursor, f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            scalar(cursor, "PRAGMA temp_store = MEMORY")
            scalar(cursor, "PRAGMA cache_size = -16000")
            scalar(cursor, "PRAGMA user_version")
    except BaseException:
        discard(connection)
        raise
    return connection


def discard(connection: dbapi.Connection) -> None:
    """Close a connection whatever state it is in: nothing uncommitted is wanted."""
    # RuntimeError: an interruption kept a statement of it from being closed.
    with contextlib.suppress(*FAULTS, RuntimeError):
        connection.close()


def connect_to_read(file: Path) -> dbapi.Connection:
    """Return a connection which cannot write, also from a read-only folder."""
    try:
        return _connect(file, "mode=ro")
    except dbapi.Error:
        # Readers of a WAL file leave a mark beside it. Where the folder is read-only that
        # cannot be; without a log to replay the file alone is the whole truth.
        log = file.with_name(file.name + "-wal")
        if os.access(file.parent, os.W_OK) or (log.exists() and log.stat().st_size > 0):
            raise
        return _connect(file, "mode=ro&immutable=1")


def connect_to_write(file: Path) -> dbapi.Connection:
    """Return the writer's connection to a file which has our tables."""
    with told(file, "open"):
        connection = _connect(file, "mode=rwc")
        try:
            with contextlib.closing(connection.cursor()) as cursor:
                version = check_version(cursor, file, writable=True)
                if scalar(cursor, "PRAGMA journal_mode = WAL") != "wal":
                    raise StoreError(
                        f"{file}: this disk has no shared locks; choose a local one"
                    )
                # FULL: a commit is on the disk itself, not only in the system's memory.
                scalar(cursor, "PRAGMA synchronous = FULL")
                _upgrade(cursor, version)
        except BaseException:
            discard(connection)
            raise
    return connection


def check_version(cursor: Any, file: Path, *, writable: bool) -> int:
    """Return the file's schema version, 0 for an empty file; refuse what is not ours."""
    version = int(scalar(cursor, "PRAGMA user_version"))
    ours = scalar(cursor, "PRAGMA application_id") == APPLICATION_ID
    tables = scalar(cursor, "SELECT COUNT(*) FROM sqlite_master")
    if tables and not ours:
        raise StoreError(f"{file}: it is no liqheat store; choose another data folder")
    if not tables and not writable:
        raise UnavailableError(f"{file}: nothing is stored here yet; import or collect")
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f"{file}: schema version {version}, this liqheat knows {SCHEMA_VERSION}; "
            "install a newer liqheat, or choose another data folder"
        )
    if tables and version < SCHEMA_VERSION and not writable:
        raise SchemaVersionError(
            f"{file}: schema version {version}, this liqheat reads {SCHEMA_VERSION}; "
            "open it once for writing (collect or import) to bring it up to date"
        )
    return version


def _upgrade(cursor: Any, version: int) -> None:
    """Make the tables of a new file, or bring an older one up to date, at one stroke."""
    if version == SCHEMA_VERSION:
        return
    steps = list(CREATE) if version == 0 else []
    for older in range(version, SCHEMA_VERSION) if version else ():
        steps += [*MIGRATIONS[older], f"PRAGMA user_version = {older + 1}"]
    with transaction(cursor, "BEGIN IMMEDIATE"):
        for step in steps:
            cursor.execute(step)


@contextlib.contextmanager
def transaction(cursor: Any, begin: str) -> Iterator[None]:
    """Run the body between ``begin`` and COMMIT; roll back on anything raised."""
    try:
        # Inside, because Ctrl-C may come when it has begun and we do not know it yet.
        _begin(cursor, begin)
        yield
        cursor.execute("COMMIT")
    except BaseException:
        # Some faults come before it has begun, after some SQLite has rolled back by itself.
        with contextlib.suppress(*FAULTS):
            cursor.execute("ROLLBACK")
        raise


def _begin(cursor: Any, begin: str) -> None:
    try:
        cursor.execute(begin)
    except dbapi.Error as error:
        if "within a transaction" not in str(error):
            raise
        # Ctrl-C between two with statements left one open; nothing of it is wanted.
        cursor.execute("ROLLBACK")
        cursor.execute(begin)


def scalar(cursor: Any, sql: str) -> Any:
    """Return the first column of the first row, or None."""
    cursor.execute(sql)
    row = cursor.fetchone()
    return row[0] if row else None
