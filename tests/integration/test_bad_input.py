"""Wrong input through the real command line: one line, the documented code, nothing changed."""

import contextlib
import gzip
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from liqheat.cli import main
from liqheat.store import Store
from liqheat.store.schema import KINDS, SCHEMA_VERSION
from tests.conftest import MINUTE, T0, make_bars, native_bars, write_file

BTC = "binance:BTCUSDT"
N = 3000
Result = tuple[int, str, str]


def rows(folder: Path) -> dict[str, Any]:
    """Return every row of the store, and which instruments it has."""
    with Store.open(folder, mode="r") as store:
        names = [one.instrument.name for one in store.instruments()]
        return {
            f"{name} {kind}": store.read(kind, name).to_pylist()
            for name in names
            for kind in KINDS
        }


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("stored")
    with Store.open(folder) as store:
        store.write("bars", make_bars(N))
    return folder


@pytest.fixture
def call(capsys, monkeypatch, stored) -> Callable[..., Result]:
    def run(*args: object, folder: Path = stored) -> Result:
        argv = ["liqheat", "--data-dir", str(folder), *map(str, args)]
        monkeypatch.setattr(sys, "argv", argv)
        code: Any = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code
        out = capsys.readouterr()
        return code, out.out, out.err

    return run


def one_line(result: Result, code: int, *words: str) -> None:
    found, out, err = result
    assert (found, out) == (code, ""), err
    lines = err.splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("liqheat: ")
    assert len(lines[0]) < 1500
    for word in words:
        assert re.search(word, lines[0]), (word, lines[0])


# -- files ---------------------------------------------------------------------------------

#: Column, row 3's value, and what must be said besides file, row and value.
ROWS: dict[str, tuple[str, float, str]] = {
    "nan": ("close", np.nan, "close is not a positive price at row 3.*was nan"),
    "inf": ("high", np.inf, "high is not a positive price at row 3.*was inf"),
    "negative": ("low", -1.0, r"low is not a positive price at row 3.*was -1\.0"),
    "zero": ("open", 0.0, r"open is not a positive price at row 3.*was 0\.0"),
    "absurd": ("high", 1e300, r"high is not a positive price at row 3.*was 1e\+300"),
    "high < low": ("high", 1.0, r"high < low at row 3.*was 1\.0"),
    "quantity": ("qty", -2.0, r"qty is not >= 0 at row 3.*was -2\.0"),
    "unordered": ("start_ms", T0, f"unordered bar at row 3.*was {T0}"),
    "doubled": (
        "start_ms",
        T0 + 2 * MINUTE,
        f"doubled bar at row 3.*was {T0 + 2 * MINUTE}",
    ),
    "mixed": ("start_ms", T0 + 3 * MINUTE - 1000, "mixed intervals: row 3 is 59000 ms"),
    "no time": ("start_ms", 0, r"'start_ms' is outside 2009 .. 2100 \(was 0"),
    "other unit": ("start_ms", T0 // 1000, "'start_ms' is in s, others are not"),
}


@pytest.mark.parametrize("suffix", ["csv", "parquet", "arrow"])
@pytest.mark.parametrize("name", ROWS)
def test_a_wrong_row(call, stored, tmp_path, name, suffix) -> None:
    column, value, words = ROWS[name]
    columns = native_bars(20)
    columns[column] = np.array(columns[column], copy=True)
    columns[column][3] = value  # type: ignore[index]
    path = write_file(tmp_path / f"bad.{suffix}", columns)
    before = rows(stored)
    one_line(call("import", path, "--instrument", BTC), 3, rf"bad\.{suffix}", words, "; ")
    assert rows(stored) == before


def damaged(tmp_path: Path, name: str) -> Path:
    good = write_file(tmp_path / "good.csv", native_bars(20)).read_bytes()
    parquet = write_file(tmp_path / "good.parquet", native_bars(20)).read_bytes()
    arrow = write_file(tmp_path / "good.arrow", native_bars(20)).read_bytes()
    path = tmp_path / name
    if name.endswith(".zip"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", good)
        raw = bytearray(path.read_bytes())
        at = raw.rfind(b"PK\x01\x02")
        bit, place = (1, 6) if name == "secret.zip" else (99, 8)
        raw[place] |= bit
        raw[at + place + 2] |= bit
        path.write_bytes(raw)
        return path
    if name == "long.csv":
        return tmp_path / ("n" * 400)
    if name == "pipe.csv":
        os.mkfifo(path)
        return path
    bodies = {
        "cut.parquet": parquet[: len(parquet) // 2], "tail.parquet": parquet[:-1],
        "flip.parquet": parquet[:200] + bytes([parquet[200] ^ 255]) + parquet[201:],
        "cut.arrow": arrow[: len(arrow) // 2], "cut.csv.gz": gzip.compress(good)[:100],
        "empty.csv": b"", "header.csv": good.splitlines()[0] + b"\n", "latin.csv": b"a,\xff\n",
        "ragged.csv": good + b"1,2\n", "json.csv": b'{"a": 1}', "null.csv": bytes(99),
        "wide.csv": b",".join(b"c%d" % n for n in range(9999)) + b"\n" + b"1," * 9998 + b"1\n",
        "twice.csv": b"a,a\n1,2\n", "word.csv": good.replace(b"40", b"x", 1),
    }  # fmt: skip
    if name in bodies:
        path.write_bytes(bodies[name])
    return path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cut.parquet", "damaged or truncated"),
        ("tail.parquet", "damaged or truncated"),
        ("flip.parquet", ""),
        ("cut.arrow", "damaged or truncated"),
        ("cut.csv.gz", "damaged or truncated"),
        ("secret.zip", "encrypted"),
        ("method.zip", "compression method"),
        ("empty.csv", "is empty"),
        ("header.csv", "no rows"),
        ("latin.csv", r"line 1.*not UTF-8.*\\xff"),
        ("ragged.csv", "Expected 6 columns, got 2"),
        ("json.csv", "JSON"),
        ("null.csv", "not a table"),
        ("wide.csv", "no known kind"),
        ("twice.csv", "two columns have the same name"),
        ("word.csv", "is no .*was '"),
        ("absent.csv", "No such file"),
        ("long.csv", "File name too long"),
        pytest.param("pipe.csv", "no regular file", marks=pytest.mark.skipif(
            sys.platform == "win32", reason="no pipes in folders there")),
    ],
)  # fmt: skip
def test_a_damaged_file(call, stored, tmp_path, name, words) -> None:
    path = damaged(tmp_path, name)
    before = rows(stored)
    result = call("import", path, "--instrument", BTC)
    if name == "flip.parquet" and result[0] == 0:
        pytest.skip("the flipped byte is nobody's")
    one_line(result, 3, re.escape(path.name[:40]), words, "; ")
    assert rows(stored) == before


def of_columns(**changed: Any) -> dict[str, Any]:
    columns = {**native_bars(20), **changed}
    return {name: values for name, values in columns.items() if values is not None}


COLUMNS: dict[str, tuple[dict[str, Any], str]] = {
    "missing": (of_columns(close=None), "no column 'close'.*map it"),
    "renamed": (of_columns(close=None, c_lose=[4e4] * 20), "close=c_lose"),
    "list": (of_columns(close=pa.array([[1.0]] * 20)), "'close' holds list"),
    "times nan": (of_columns(start_ms=np.full(20, np.nan)), "no time of 2009"),
    "times null": (of_columns(start_ms=pa.nulls(20)), "is absent"),
    "times text": (of_columns(start_ms=["2024-13-45"] * 20), "no ISO time.*2024-13-45"),
    "symbol list": (of_columns(symbol=pa.array([[1]] * 20)), "'symbol' holds list"),
    "symbol bytes": (of_columns(symbol=pa.array([b"\xff"] * 20)), "'symbol' holds binary"),
    "other symbol": (of_columns(symbol=["ETHUSDT"] * 20), "symbol column.*was 'ETHUSDT'"),
    "interest in USD": (
        of_columns(open_interest_qty=[3.2e9] * 20),
        "looks like USD.*map the column of base units, or divide",
    ),
    "interest in USD, bars in the store": (
        {"time": T0 + MINUTE * np.arange(1, 9), "open_interest_qty": [3.2e9] * 8},
        "looks like USD",
    ),
    "shifted against the store": (
        of_columns(start_ms=T0 + 7 + MINUTE * np.arange(20)), f"shifted.*was {T0 + 7}",
    ),
    "order sides": (
        {"time": [T0], "side": ["buy"], "price": [4e4], "qty": [1.0]}, "line|row.*was 'buy'",
    ),
    "percent": ({"time": [T0], "funding_rate": [1.5]}, "not a fraction.*was 1.5"),
    "a rule of the store": (
        {"time": [T0] * 2, "side": ["long"] * 2, "price": [4e4] * 2, "qty": [1.0] * 2,
         "notional_usd": [1.0, -5.0]}, "notional_usd",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COLUMNS)
def test_wrong_columns(call, stored, tmp_path, name) -> None:
    columns, words = COLUMNS[name]
    path = write_file(tmp_path / "bad.parquet", columns)
    before = rows(stored)
    one_line(call("import", path, "--instrument", BTC), 3, words, r"was|holds|absent", "; ")
    assert rows(stored) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ["--instrument", "binance:BTCUSD"],
            "instrument: unknown.*'binance:BTCUSD'.*BTCUSDT",
        ),
        (["--instrument", "x" * 100_000], "unknown instrument"),
        (["--instrument", BTC, "--map", "foo=bar"], "mapping: no such column.*'foo'"),
        (["--instrument", BTC, "--map", "qty=vol"], "good.csv: no column for 'qty'.*'vol'"),
        (
            ["--instrument", BTC, "--map", "qty=qty*0"],
            "mapping: a factor of 0.*qty.0.*; leave",
        ),
        (["--instrument", BTC, "--map", "qty=qty*1e999"], "qty is not >= 0.*was inf"),
    ],
)
def test_wrong_flags_of_import(call, stored, tmp_path, args, words) -> None:
    path = write_file(tmp_path / "good.csv", native_bars(20))
    before = rows(stored)
    one_line(call("import", path, *args), 3, words)
    assert rows(stored) == before


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text there")
def test_a_file_name_which_is_no_text_is_imported(call, tmp_path) -> None:
    path = tmp_path / os.fsdecode(b"btcusdt\xff.csv")
    write_file(tmp_path / "good.csv", native_bars(20)).replace(path)
    code, out, _ = call("import", path, "--instrument", BTC, folder=tmp_path / "own")
    assert (code, out.startswith("bars: 20 new")) == (0, True)
    assert rows(tmp_path / "own")[f"{BTC} bars"][0]["source"] == r"file:btcusdt\xff.csv"


# -- maps ----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["build", "plot"])
@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--bins", "1e400"], 3, "bins"),
        (["--bins", "9" * 5000], 3, "bins"),
        (["--price-min", "nan"], 3, "price_min: must be a positive price.*nan.*; give"),
        (["--price-max", "1e308"], 3, r"price_max.*1e\+308"),
        (["--price-min", "5", "--price-max", "4"], 3, "price_min must be below"),
        (["--as-of", "²"], 3, "--as-of: is no time.*; give"),
        (["--as-of", "9" * 5000], 3, "--as-of: is no time"),
        (["--as-of", "0001-01-01"], 3, "as_of_ms"),
        (["--leverage", "25:nan"], 3, "leverage.*'25:nan'.*; write"),
        (["--range", "1Y", "--step", "1m"], 3, "step: 1Y has 525600 columns.*; use"),
        (["--instrument", "ü"], 3, "unknown instrument.*; use"),
        (["--instrument", "\udcff"], 3, "instrument: is no instrument.*; give"),
        (["--instrument", "okx:BTC-USDT-SWAP"], 5, "no bars are stored; import"),
    ],
)
def test_a_wrong_map(call, stored, tmp_path, command, args, code, words) -> None:
    out = tmp_path / ("x.npz" if command == "build" else "x.png")
    one_line(call(command, "--instrument", BTC, "-o", out, *args), code, words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["build", "plot"])
@pytest.mark.parametrize("name", ["x.txt", "", ".", "/", "none/x", "file/x", "n" * 300])
def test_a_wrong_output(call, tmp_path, monkeypatch, command, name) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    if name.endswith(("x", "n")):
        name += ".npz" if command == "build" else ".png"
    result = call(command, "--instrument", BTC, "--range", "12h", "-o", name)
    one_line(result, 3, "; ")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# -- folders and disks ---------------------------------------------------------------------


@contextlib.contextmanager
def disk(folder: Path, *options: str) -> Iterator[Path]:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", *options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not permitted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill_up(folder: Path, leave: int) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "ballast").write_bytes(bytes(free - leave))


def test_a_full_disk(call, tmp_path) -> None:
    path = write_file(tmp_path / "good.parquet", native_bars(60_000))
    with disk(tmp_path / "disk", "size=1m") as small:
        with Store.open(small / "data") as store:
            store.write("bars", make_bars(500))
        before = rows(small / "data")
        args = ("import", path, "--instrument", BTC)
        one_line(call(*args, folder=small / "data"), 4, "liqheat.db", "disk is full; free")
        assert rows(small / "data") == before
        fill_up(small, 4096)
        for command, name in (("build", "x.npz"), ("build", "x.parquet"),
                              ("build", "x.arrow"), ("plot", "x.png")):  # fmt: skip
            result = call(
                command, "--instrument", BTC, "--range", "12h", "-o", small / name
            )
            one_line(result, 3, f"{name}: cannot write: .*[Nn]o space.*; choose")
        left = {path.name for path in small.iterdir()}
        assert left == {"data", "ballast"}
        fill_up(small / "data", 0)
        one_line(call(*args, folder=small / "new"), 4, "full|refuses")


def test_a_read_only_disk(call, tmp_path) -> None:
    path = write_file(tmp_path / "good.parquet", native_bars(20))
    with disk(tmp_path / "disk", "size=4m") as folder:
        with Store.open(folder) as store:
            store.write("bars", make_bars(N))
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        before = rows(folder)
        for command in (
            ["import", path, "--instrument", BTC],
            ["collect", "--simulated", "--history-days", "1"],
            ["up", "--simulated", "--no-browser", "--port", "0"],
        ):
            result = call(*command, folder=folder)
            one_line(result, 4, "read-only; choose a folder")
        out = call("build", "--instrument", BTC, "-o", folder / "x.npz", folder=folder)
        one_line(out, 3, "x.npz: cannot write: Read-only file system; choose")
        assert call("doctor", "--offline", folder=folder)[0] == 0
        assert rows(folder) == before


@pytest.mark.parametrize(
    ("kind", "code", "words"),
    [
        ("file", 4, "no folder; choose"),
        ("under a file", 4, "no folder; choose"),
        ("long", 2, "File name too long; choose"),
        ("store is a folder", 4, "liqheat.db: .*no file; move it away"),
        ("not ours", 4, "no liqheat store"),
        ("newer", 4, f"schema version {SCHEMA_VERSION + 1}, .*install a newer liqheat"),
        ("busy", 4, f"process {os.getpid()} is already writing here; stop it first"),
    ],
)
def test_a_wrong_data_folder(call, tmp_path, kind, code, words) -> None:
    path = write_file(tmp_path / "good.csv", native_bars(20))
    folder = tmp_path / "data"
    with contextlib.ExitStack() as stack:
        if kind == "file":
            folder = path
        elif kind == "under a file":
            folder = path / "data"
        elif kind == "long":
            folder = tmp_path / ("n" * 400)
        elif kind == "store is a folder":
            (folder / "liqheat.db").mkdir(parents=True)
        elif kind == "not ours":
            folder.mkdir()
            (folder / "liqheat.db").write_bytes(b"something else " * 99)
        else:
            store = stack.enter_context(Store.open(folder))
            store.write("bars", make_bars(9))
        if kind == "newer":
            store.close()
            with contextlib.closing(sqlite3.connect(folder / "liqheat.db")) as connection:
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
            before = (folder / "liqheat.db").read_bytes()
        one_line(call("import", path, "--instrument", BTC, folder=folder), code, words)
        if kind in ("newer", "not ours", "store is a folder"):
            out = tmp_path / "x.npz"
            build = call("build", "--instrument", BTC, "-o", out, folder=folder)
            one_line(build, 4, "liqheat.db")
            one_line(call("serve", "--port", "0", folder=folder), 4, "liqheat.db")
            assert call("doctor", "--offline", folder=folder)[0] == 1
        if kind == "newer":
            assert (folder / "liqheat.db").read_bytes() == before
        if kind == "busy":
            assert len(store.load_bars(BTC)) == 9


# -- servers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--host", "a" * 70], 6, "cannot listen on a+: .*; check --host"),
        (["--host", "1.2.3.4"], 6, "1.2.3.4:0: .*; check --host"),
        (["--speed", "nan"], 2, "speed = nan"),
        (["--history-days", "inf"], 2, "history_days = inf"),
        (["--seed", "9" * 40], 2, "seed = 9+"),
        (["--simulated", "--regime", "../x"], 3, "regime: unknown regime.*'../x'.*; use"),
        (["--replay", "/dev/null"], 3, "--replay: cannot tell.*; add --instrument"),
        (["--replay", "n" * 400], 3, "--replay: there is no such file.*; give"),
    ],
)
def test_a_wrong_start(call, tmp_path, args, code, words) -> None:
    result = call("up", "--no-browser", "--port", "0", *args, folder=tmp_path / "own")
    one_line(result, code, words)
    assert not (tmp_path / "own").exists()


def test_a_replay_of_what_is_not_there(call, stored, tmp_path) -> None:
    args = ("up", "--no-browser", "--port", "0", "--replay", stored, "--instrument", "x:y")
    one_line(
        call(*args, folder=tmp_path), 3, "no bars of it.*'x:y'.*; it has: binance:BTCUSDT"
    )


@pytest.mark.parametrize("command", [["up", "--no-browser"], ["serve"]])
def test_a_port_in_use(call, stored, command) -> None:
    before = rows(stored)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = call(*command, "--port", port)
    one_line(result, 6, f"port {port} on 127.0.0.1 is in use; stop .*--port")
    assert rows(stored) == before


# -- interruptions -------------------------------------------------------------------------


def importing(folder: Path, path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "liqheat", "--data-dir", str(folder), "import", str(path),
         "--instrument", BTC],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_writing(folder: Path, process: subprocess.Popen[str]) -> None:
    """Return when the import's transaction has begun to reach the disk, or it has ended."""
    log = folder / "liqheat.db-wal"
    while process.poll() is None:
        with contextlib.suppress(OSError):
            if log.stat().st_size > 200_000:
                return
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals there")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_import_changes_nothing(call, tmp_path, sign) -> None:
    path = write_file(tmp_path / "good.parquet", native_bars(400_000))
    folder = tmp_path / "data"
    with Store.open(folder) as store:
        store.write("bars", make_bars(500))
    before = rows(folder)
    with importing(folder, path) as process:
        wait_for_writing(folder, process)
        process.send_signal(sign)
        out, err = process.communicate(timeout=30)
    if process.returncode == 0:
        pytest.skip("it was faster than the signal")
    assert (process.returncode, out) == (-9 if sign == signal.SIGKILL else 130, "")
    # Click ends the terminal's line of ^C first.
    assert err.strip() == ("" if sign == signal.SIGKILL else "liqheat: stopped")
    assert rows(folder) == before
    for new in ("399,500 new, 0 changed, 500", "0 new, 0 changed, 400,000"):
        assert call("import", path, "--instrument", BTC, folder=folder)[1].count(new) == 1
    with Store.open(folder, mode="r") as store:
        assert store.span("bars", BTC).rows == 400_000
