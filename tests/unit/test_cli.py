"""The command line: exit codes, one-line errors, JSON, and that help is quick."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pyarrow import parquet

import liqheat
from liqheat.cli import main
from liqheat.store import Store
from tests.market import SYMBOL, fill, market, tables


def call(capsys, monkeypatch, *args: str) -> tuple[int, str, str]:
    """Run the command line; return (exit code, stdout, stderr)."""
    monkeypatch.setattr(sys, "argv", ["liqheat", *args])
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    out = capsys.readouterr()
    return code, out.out, out.err


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("LIQHEAT_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def stored(folder):
    with Store.open(folder) as store:
        fill(store, market(3 * 1440))
    return folder


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["up", "--prot", "1"], 2, "--port"),
        (["up", "--port", "70000"], 2, "liqheat: flags: port = 70000"),
        (["build", "--instrument", SYMBOL, "-o", "x.npz"], 5, "nothing is stored here yet"),
        (["serve"], 5, "nothing is stored here yet"),
        (["collect", "--exchanges", "binanse"], 2, "did you mean binance"),
        (["collect", "--coins", "BTC-USDT"], 2, "'BTC-USDT' is no coin"),
        (["import", "none.parquet", "--instrument", SYMBOL], 3, "none.parquet"),
        (["import", "x", "--instrument", "binance:BTCUSD"], 3, "binance:BTCUSDT"),
        (["up", "--replay", "/nowhere", "--port", "0"], 3, "no such file or folder"),
    ],
)
def test_error_is_one_line_and_an_exit_code(
    capsys, monkeypatch, folder, args, code, words
) -> None:
    found, out, err = call(capsys, monkeypatch, *args)
    assert (found, out) == (code, "")
    assert words in err
    if code != 2 or err.startswith("liqheat:"):
        lines = err.strip().splitlines()
        assert lines[-1].startswith("liqheat: ")
        assert len(lines) == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (["--step", "7m"], 3, "step: no such choice"),
        (["--exchanges", "okx"], 3, "is for a coin"),
        (["--bins", "x"], 3, "bins: must be a whole number"),
        (["--as-of", "noon"], 3, "--as-of: is no time"),
        (["--as-of", "2011-01-01"], 5, "no bars"),
        (["--instrument", "okx:BTC-USDT-SWAP"], 5, "no bars are stored"),
        (["--instrument", "x:Y"], 3, "unknown instrument"),
    ],
)
def test_wrong_query_is_named(
    capsys, monkeypatch, stored, tmp_path, args, code, words
) -> None:
    base = [
        "build",
        "--instrument",
        SYMBOL,
        "-o",
        str(tmp_path / "x.npz"),
        "--range",
        "12h",
    ]
    found, _, err = call(capsys, monkeypatch, *base, *args)
    assert found == code
    assert words in err
    assert not (tmp_path / "x.npz").exists()


def test_build_writes_what_json_says(capsys, monkeypatch, stored, tmp_path) -> None:
    file = tmp_path / "x.npz"
    args = [
        "build",
        "--instrument",
        SYMBOL,
        "-o",
        str(file),
        "--range",
        "12h",
        "--bins",
        "100",
    ]
    code, out, _ = call(capsys, monkeypatch, *args, "--json")
    assert code == 0
    said = json.loads(out)
    with np.load(file) as data:
        assert data["long_usd"].shape == (said["steps"], said["bins"]) == (720, 100)
    assert call(capsys, monkeypatch, *args)[1].startswith(f"{file}: {SYMBOL}, 720 steps")


def test_plot_writes_a_picture(capsys, monkeypatch, stored, tmp_path) -> None:
    file = tmp_path / "x.png"
    args = ["plot", "--instrument", SYMBOL, "-o", str(file), "--range", "12h", "--width", "400",
            "--height", "300"]  # fmt: skip
    assert call(capsys, monkeypatch, *args)[0] == 0
    assert file.read_bytes()[:4] == b"\x89PNG"


def test_import_twice_changes_nothing(capsys, monkeypatch, folder, tmp_path) -> None:
    _, table = next(tables(market(100)))
    table = table.drop_columns(["instrument", "interval_ms", "source"])
    parquet.write_table(table, tmp_path / "bars.parquet")
    args = ["import", str(tmp_path / "bars.parquet"), "--instrument", SYMBOL, "--json"]
    code, out, err = call(capsys, monkeypatch, *args, "--dry-run")
    assert (code, json.loads(out)["rows"]) == (0, 100)
    assert "100 rows to import" in err
    assert not folder.exists()
    for new, same in ((100, 0), (0, 100)):
        code, out, _ = call(capsys, monkeypatch, *args)
        assert code == 0
        assert json.loads(out) == {
            "dry_run": False, "instrument": SYMBOL, "rows": 100, "new": new, "changed": 0,
            "same": same,
        }  # fmt: skip


def test_import_mapping_must_be_a_pair(capsys, monkeypatch, folder) -> None:
    code, _, err = call(
        capsys, monkeypatch, "import", "x", "--instrument", SYMBOL, "--map", "qty"
    )
    assert code == 2
    assert "OURS=THEIRS" in err


def test_doctor_tells_what_is_stored(capsys, monkeypatch, stored) -> None:
    code, out, _ = call(capsys, monkeypatch, "doctor", "--offline", "--json")
    assert code == 0
    found = {finding["what"]: finding for finding in json.loads(out)}
    assert "4,320 1m bars" in found[SYMBOL]["detail"]
    assert {"version", "store", "page", "port"} <= set(found)


def test_doctor_asks_each_exchange_where_no_server_runs(
    capsys, monkeypatch, stored
) -> None:
    monkeypatch.setattr("liqheat.serve.venues.PROBE_S", 0.5)
    monkeypatch.setenv("LIQHEAT_EXCHANGE_URLS", "http://127.0.0.1:1")
    args = ["doctor", "--json", "--exchanges", "binance,okx", "--port", "1"]
    code, out, _ = call(capsys, monkeypatch, *args)
    found = {finding["what"]: finding for finding in json.loads(out)}
    assert code == 0
    assert found["exchange okx"]["venue"]["reachable"] is False
    binance = found["exchange binance"]
    assert (binance["state"], binance["venue"]["state"]) == ("note", "down")
    assert binance["venue"]["rows"]["bars"] == 4_320
    assert binance["venue"]["coverage"]["bars"] is True
    assert "rows stored; gives bars" in binance["detail"]


def test_doctor_of_a_damaged_store_fails(capsys, monkeypatch, folder) -> None:
    folder.mkdir()
    (folder / "liqheat.db").write_bytes(b"not a database" * 100)
    code, out, _ = call(capsys, monkeypatch, "doctor", "--offline")
    assert code == 1
    assert "broken" in out


def test_version_and_help(capsys, monkeypatch) -> None:
    assert call(capsys, monkeypatch, "--version")[1] == f"liqheat {liqheat.__version__}\n"
    code, out, _ = call(capsys, monkeypatch, "--help")
    assert code == 0
    for words in ("Exit codes:", "130", "up", "import", "doctor"):
        assert words in out
    for name in ("up", "serve", "collect", "import", "build", "plot", "doctor"):
        assert call(capsys, monkeypatch, name, "--help")[0] == 0


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, liqheat.cli as c\n"
        "try: c.cli.main(['up', '--help'], standalone_mode=False)\n"
        "finally: print([m for m in ('numpy', 'numba', 'pyarrow', 'litestar', 'rich')"
        " if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
