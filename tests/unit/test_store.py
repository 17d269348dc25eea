"""The embedded store's own affairs: its file, its lock, its faults, its pure parts."""

import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pyarrow as pa
import pytest
from adbc_driver_sqlite import dbapi

from liqheat.errors import (
    LiqheatError,
    SchemaVersionError,
    StoreBusyError,
    StoreError,
    UnavailableError,
)
from liqheat.store import Span, Store, WriteResult, schema
from liqheat.store.sqlite import FILE_NAME
from liqheat.store.views import covered, finest_covering, merge_gaps
from tests.conftest import MINUTE, T0, make_bars

BTC = "binance:BTCUSDT"
ROOT = Path(__file__).parents[2]


def one_line(error: BaseException) -> str:
    text = str(error)
    assert isinstance(error, LiqheatError)
    assert "\n" not in text
    return text


def count(folder: Path) -> int:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        rows = connection.execute("SELECT COUNT(*) FROM bars").fetchone()[0]
    connection.close()
    return rows


def in_another_process(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        check=False, capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- one writer, many readers --------------------------------------------------------------


def test_a_second_writer_is_told_who_is_first(tmp_path):
    with Store.open(tmp_path):
        with pytest.raises(
            StoreBusyError, match=f"process {os.getpid()} is already"
        ) as caught:
            Store.open(tmp_path)
        one_line(caught.value)
    Store.open(tmp_path).close()


def test_a_second_process_gets_the_same_answer_but_may_read(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(3))
        out = in_another_process(
            """
            import sys; from pathlib import Path
            from liqheat.store import Store; from liqheat.errors import StoreBusyError
            try: Store.open(Path(sys.argv[1]))
            except StoreBusyError as error: print(error)
            print(len(Store.open(Path(sys.argv[1]), mode="r").load_bars("binance:BTCUSDT")))
            """,
            tmp_path,
        )
    assert "already writing here" in out
    assert out.splitlines()[-1] == "3"


def test_readers_see_each_write_when_it_is_done(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(3))
        with Store.open(tmp_path, mode="r") as reader:
            assert len(reader.load_bars(BTC)) == 3
            store.write("bars", make_bars(5))
            assert len(reader.load_bars(BTC)) == 5
            with pytest.raises(StoreError, match="open for reading only"):
                reader.write("bars", make_bars(1))


def test_reading_where_nothing_is_stored_yet(tmp_path):
    with pytest.raises(UnavailableError, match="nothing is stored here yet"):
        Store.open(tmp_path, mode="r")
    (tmp_path / FILE_NAME).touch()
    with pytest.raises(UnavailableError, match="nothing is stored here yet"):
        Store.open(tmp_path, mode="r")


def test_a_closed_store_says_so(tmp_path):
    store = Store.open(tmp_path)
    store.close()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.load_bars(BTC)
    with pytest.raises(StoreError, match="closed"):
        store.write("bars", make_bars(1))


def test_an_interrupted_write_leaves_no_trace(tmp_path, monkeypatch):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(3))

        def interrupted(kind: str) -> str:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("liqheat.store.sqlite.upsert_sql", interrupted)
            with pytest.raises(KeyboardInterrupt):
                store.write("bars", make_bars(9))
        assert store.span("bars", BTC).rows == store.read("bars", BTC).num_rows == 3
        assert store.write("bars", make_bars(9)) == WriteResult(new=6, same=3)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals between threads there")
def test_ctrl_c_in_the_middle_is_never_lost_and_never_half(tmp_path):
    out = in_another_process(
        """
        import random, signal, sys, threading; from pathlib import Path
        from liqheat.store import Store; from tests.conftest import make_bars
        tables = [make_bars(500, start=number * 100) for number in range(7)]
        main, rng, hits = threading.main_thread().ident, random.Random(1), 0
        store = Store.open(Path(sys.argv[1]))
        for number in range(60):
            delay = rng.uniform(0.0005, 0.02)
            timer = threading.Timer(delay, signal.pthread_kill, (main, signal.SIGINT))
            try:
                timer.start()
                for number in range(10_000):
                    store.write("bars", tables[number % 7])
                    store.span("bars", "binance:BTCUSDT")
            except KeyboardInterrupt:
                hits += 1
            timer.join()
            assert store.write("bars", tables[0]).changed == 0
        rows = store.read("bars", "binance:BTCUSDT").num_rows
        print(hits, rows, store.span("bars", "binance:BTCUSDT").rows)
        """,
        tmp_path,
    )
    hits, read, known = map(int, out.split())
    # How far each round gets is the machine's affair; what was begun is there whole.
    assert hits == 60
    assert read == known
    assert read in range(500, 1101, 100)


def test_a_folder_with_odd_letters_works(tmp_path):
    folder = tmp_path / "my data #1 ?%41 ü"
    with Store.open(folder) as store:
        store.write("bars", make_bars(2))
    assert (folder / FILE_NAME).exists()
    with Store.open(folder, mode="r") as store:
        assert len(store.load_bars(BTC)) == 2


# -- versions ------------------------------------------------------------------------------


def set_version(folder: Path, version: int) -> None:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_newer_file_is_refused_with_both_versions(tmp_path, mode):
    Store.open(tmp_path).close()
    set_version(tmp_path, 99)
    with pytest.raises(SchemaVersionError, match=r"version 99.*knows 2; install") as caught:
        Store.open(tmp_path, mode=mode)
    one_line(caught.value)


def make_version_1(folder: Path) -> None:
    """Write a store as the first version of the schema left it."""
    with Store.open(folder) as store:
        store.write("bars", make_bars(3))
    with sqlite3.connect(folder / FILE_NAME) as connection:
        for table in ("positions", "long_short", "depth"):
            connection.execute(f"DROP TABLE {table}")
    connection.close()
    set_version(folder, 1)


def test_a_file_of_version_1_is_migrated_by_a_writer_only(tmp_path):
    make_version_1(tmp_path)
    with pytest.raises(SchemaVersionError, match=r"version 1.*open it once for writing"):
        Store.open(tmp_path, mode="r")
    ratio = pa.table({"instrument": [BTC], "event_ms": [T0], "accounts_ratio": [1.5]})
    with Store.open(tmp_path) as store:
        assert len(store.load_bars(BTC)) == 3
        assert store.write("long_short", ratio).new == 1
        assert store.read("positions", BTC).num_rows == 0
        assert store.read("depth", BTC).num_rows == 0
    with Store.open(tmp_path, mode="r") as store:
        assert store.read("long_short", BTC)["accounts_ratio"].to_pylist() == [1.5]


def test_a_migrated_file_has_the_tables_of_a_new_one(tmp_path):
    make_version_1(tmp_path / "old")
    Store.open(tmp_path / "old").close()
    Store.open(tmp_path / "new").close()

    def tables(folder: Path) -> list[tuple[str, str]]:
        with sqlite3.connect(folder / FILE_NAME) as connection:
            found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name")
            rows = found.fetchall() + connection.execute("PRAGMA user_version").fetchall()
        connection.close()
        return rows

    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def test_a_failed_migration_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    make_version_1(tmp_path)
    monkeypatch.setitem(schema.MIGRATIONS, 1, ("CREATE TABLE extra (x)", "nonsense"))
    with pytest.raises(StoreError):
        Store.open(tmp_path)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
        tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_master")]
    connection.close()
    assert "extra" not in tables


# -- faults --------------------------------------------------------------------------------


def test_another_programs_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    for mode in ("rw", "r"):
        with pytest.raises(StoreError, match="no liqheat store") as caught:
            Store.open(tmp_path, mode=mode)
        one_line(caught.value)
    assert (tmp_path / FILE_NAME).read_bytes() == before


@pytest.mark.parametrize("mode", ["rw", "r"])
def test_a_file_which_is_no_database_is_left_alone(tmp_path, mode):
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all, but long enough " * 100)
    with pytest.raises(StoreError, match="no liqheat store; move it away") as caught:
        Store.open(tmp_path, mode=mode)
    one_line(caught.value)
    assert (tmp_path / FILE_NAME).read_bytes().startswith(b"not a database")


def test_a_damaged_file_is_said_to_be_damaged(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(20_000))
    file = tmp_path / FILE_NAME
    data = bytearray(file.read_bytes())
    data[50_000:-50_000] = b"\xff" * (len(data) - 100_000)
    file.write_bytes(data)
    with (
        Store.open(tmp_path, mode="r") as store,
        pytest.raises(StoreError, match="damaged; move it away") as caught,
    ):
        store.load_bars(BTC)
    one_line(caught.value)


def test_a_full_disk_leaves_what_was_there(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(100))
        with store._writer.cursor() as cursor:
            cursor.execute("PRAGMA max_page_count = 40")
            cursor.fetchall()
        with pytest.raises(StoreError, match="disk is full; free some space") as caught:
            store.write("bars", make_bars(50_000))
        one_line(caught.value)
        assert store.span("bars", BTC).rows == len(store.load_bars(BTC)) == 100
        assert store.write("bars", make_bars(100)) == WriteResult(same=100)


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit there")
def test_a_disk_which_refuses_more_leaves_what_was_there(tmp_path):
    out = in_another_process(
        """
        import resource, signal, sys; from pathlib import Path
        from liqheat.store import Store; from liqheat.errors import StoreError
        from tests.conftest import make_bars
        store = Store.open(Path(sys.argv[1])); store.write("bars", make_bars(100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        try: store.write("bars", make_bars(50_000))
        except StoreError as error: print(error)
        print(len(store.load_bars("binance:BTCUSDT")))
        store.close()
        """,
        tmp_path,
    )
    message, rows = out.splitlines()
    assert "disk" in message
    assert rows == "100"
    with Store.open(tmp_path) as store:
        assert store.write("bars", make_bars(200)) == WriteResult(new=100, same=100)


@pytest.mark.skipif(sys.platform == "win32", reason="rights work differently there")
def test_a_read_only_folder_can_be_read_and_says_why_not_written(tmp_path):
    folder = tmp_path / "data"
    with Store.open(folder) as store:
        store.write("bars", make_bars(3))
    for file in folder.glob("*"):
        file.chmod(0o444)
    folder.chmod(0o555)
    for parent in (tmp_path, *list(tmp_path.parents)[:2]):
        if os.geteuid() == 0:
            parent.chmod(parent.stat().st_mode | 0o055)
    try:
        out = in_another_process(
            """
            import os, sys; from pathlib import Path
            from liqheat.store import Store; from liqheat.errors import StoreError
            folder, elsewhere = Path(sys.argv[1]), Path(sys.argv[2])
            Store.open(elsewhere).close()  # everything is loaded now
            # Rights mean nothing to root, so root goes on as another user.
            if os.geteuid() == 0: os.setuid(65534)
            print(len(Store.open(folder, mode="r").load_bars("binance:BTCUSDT")))
            for place in (folder, folder / "new"):
                try: Store.open(place)
                except StoreError as error: print(error)
            """,
            folder, tmp_path / "elsewhere",
        )  # fmt: skip
    finally:
        folder.chmod(0o755)
    rows, *messages = out.splitlines()
    assert rows == "3"
    assert len(messages) == 2
    assert all("choose a folder you may write to" in message for message in messages)


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot open") as caught:
        Store.open(tmp_path / "file")
    one_line(caught.value)


def test_a_lock_of_another_program_is_waited_for_then_told(tmp_path, monkeypatch):
    monkeypatch.setattr("liqheat.store.connection.BUSY_TIMEOUT_MS", 50)
    with Store.open(tmp_path) as store:
        # In a process of its own: locks of one process do not exclude each other.
        code = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        code += "c.execute('BEGIN IMMEDIATE'); print('held', flush=True); input()"
        with subprocess.Popen(
            [sys.executable, "-c", code, tmp_path / FILE_NAME],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as other:  # fmt: skip
            assert other.stdout.readline() == "held\n"
            with pytest.raises(StoreBusyError, match="another program holds the file"):
                store.write("bars", make_bars(3))
            other.communicate("\n")
        assert store.write("bars", make_bars(3)).new == 3


def test_a_copy_of_a_live_store_opens(tmp_path):
    with Store.open(tmp_path / "a") as store:
        store.write("bars", make_bars(500))
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with Store.open(tmp_path / "b") as store:
        assert len(store.load_bars(BTC)) == 500


def test_many_reading_threads_leave_few_connections(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(50))
        for _ in range(10):
            thread = threading.Thread(target=store.load_bars, args=(BTC,))
            thread.start()
            thread.join()
        assert len(store._idle) == 1


def test_the_log_does_not_grow_without_end(tmp_path):
    with Store.open(tmp_path) as store:
        for number in range(60):
            store.write("bars", make_bars(2_000, start=number * 2_000))
        log = (tmp_path / f"{FILE_NAME}-wal").stat().st_size
    assert log < 12e6
    assert not (tmp_path / f"{FILE_NAME}-wal").exists()
    assert count(tmp_path) == 120_000


def test_driver_text_which_nobody_foresaw_stays_one_line(tmp_path):
    with Store.open(tmp_path) as store:
        with pytest.raises(StoreError) as caught, store._writing() as cursor:
            cursor.execute("SELECT nothing\nFROM nowhere")
        one_line(caught.value)
        assert isinstance(caught.value.__cause__, dbapi.Error)


# -- pure parts ----------------------------------------------------------------------------


def span(start: int, end: int, interval: int) -> Span:
    return Span(start, end, (end - start) // interval, interval)


def test_finest_covering_prefers_the_finest_which_reaches_both_ends():
    day, hour = 86_400_000, 3_600_000
    coarse, fine = span(0, 100 * day, hour), span(95 * day, 100 * day + 7 * MINUTE, MINUTE)
    assert finest_covering([]) is None
    assert finest_covering([coarse, fine]) == coarse
    assert finest_covering([coarse, fine], 96 * day) == fine
    assert finest_covering([coarse, fine], 95 * day - hour) == fine
    assert finest_covering([coarse, fine], 90 * day) == coarse
    # Outside all that is stored the nearest end counts; beyond it nothing changes.
    assert finest_covering([coarse, fine], 96 * day, 500 * day) == fine
    # None reaches both ends: the one which covers most.
    early, late = span(0, 10 * day, MINUTE), span(20 * day, 50 * day, hour)
    assert finest_covering([early, late]) == late
    assert finest_covering([early, late], 0, 5 * day) == early


def test_merge_gaps_without_bars_returns_what_was_recorded():
    from liqheat.market.events import Gap

    gap = Gap(BTC, T0, T0 + MINUTE, "bars", "down")
    assert merge_gaps(BTC, [], [gap]) == [gap]
    assert covered([]) == []


def test_a_hole_is_where_no_interval_has_a_bar(tmp_path):
    with Store.open(tmp_path) as store:
        store.write("bars", make_bars(4, interval=5 * MINUTE))  # 0 to 20 min
        store.write("bars", make_bars(5, start=17))  # 17 to 22 min
        store.write("bars", make_bars(5, start=30))
        holes = [(gap.event_ms, gap.end_ms) for gap in store.gaps(BTC)]
        assert holes == [(T0 + 22 * MINUTE, T0 + 30 * MINUTE)]
        assert len(store.gaps(BTC, interval_ms=5 * MINUTE)) == 0
        span = store.span("bars", BTC)
        assert (span.start_ms, span.end_ms) == (T0, T0 + 35 * MINUTE)
        assert span.interval_ms == MINUTE
        assert [bars.interval_ms for bars in store.load_pieces(BTC)] == [
            MINUTE, 5 * MINUTE,
        ]  # fmt: skip
