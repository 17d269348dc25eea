"""Kill -9 of the writer, again and again, with a reader in another process all the while.

Every batch whose write returned is there, whole; none is there twice; the file stays sound;
and the next writer starts at once, because the lock died with the killed one.
"""

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from liqheat.store import Store
from liqheat.store.sqlite import FILE_NAME
from tests.conftest import MINUTE, T0

ROOT = Path(__file__).parents[2]
BTC = "binance:BTCUSDT"
#: Bars in one batch: a kill inside a write must leave all or none of them.
BATCH = 250
KILLS = 25
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}

WRITER = """
import sys; from pathlib import Path
from liqheat.store import Store
from tests.conftest import make_bars
folder, number, batch = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
with Store.open(folder) as store:
    while True:
        # Overlaps the batch before by half: what is there already must not be doubled.
        start = max(number * batch - batch // 2, 0)
        store.write("bars", make_bars((number + 1) * batch - start, start=start))
        print(number, flush=True)
        number += 1
"""

READER = """
import sys; from pathlib import Path
from liqheat.store import Store
folder, batch, reads, before = Path(sys.argv[1]), int(sys.argv[2]), 0, 0
with Store.open(folder, mode="r") as store:
    while not (folder / "stop").exists():
        n = len(store.load_bars("binance:BTCUSDT"))
        assert n % batch == 0, f"{n} bars: half a batch"
        assert n >= before, f"{n} bars where {before} were"
        reads, before = reads + 1, n
print(reads)
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=ENVIRONMENT, cwd=ROOT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def write_until_killed(folder: Path, first: int, seconds: float) -> int:
    """Return the number of the last acknowledged batch."""
    with start(WRITER, folder, first, BATCH) as writer:
        # Killed between two acknowledgements at a moment nobody chose.
        last = int(writer.stdout.readline())
        time.sleep(seconds)
        writer.send_signal(signal.SIGKILL)
        lines = writer.stdout.read().split()
    return int(lines[-1]) if lines else last


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
def test_a_killed_writer_loses_nothing_it_acknowledged(tmp_path):
    rng = random.Random(7)
    last = write_until_killed(tmp_path, 0, 0.02)
    with start(READER, tmp_path, BATCH) as reader:
        for _ in range(KILLS):
            last = write_until_killed(tmp_path, last + 1, rng.uniform(0.0, 0.06))
        (tmp_path / "stop").touch()
        out = reader.communicate()[0]
    assert reader.returncode == 0
    assert int(out) > KILLS
    with Store.open(tmp_path) as store:
        bars = store.load_bars(BTC)
        assert store.span("bars", BTC).rows == len(bars)
    # One batch more than acknowledged may be there: written, killed before it could say so.
    assert len(bars) // BATCH in (last + 1, last + 2)
    assert len(bars) % BATCH == 0
    np.testing.assert_array_equal(bars.start_ms, T0 + np.arange(len(bars)) * MINUTE)
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.skipif(sys.platform == "win32", reason="no kill -9 there")
def test_a_writer_killed_while_it_makes_the_file_leaves_a_usable_folder(tmp_path):
    rng = random.Random(11)
    code = "import sys; from pathlib import Path; from liqheat.store import Store\n"
    code += (
        "print('go', flush=True); Store.open(Path(sys.argv[1])); print('made', flush=True)"
    )
    for number in range(8):
        folder = tmp_path / str(number)
        with start(code, folder) as maker:
            maker.stdout.readline()
            time.sleep(rng.uniform(0.0, 0.02))
            maker.send_signal(signal.SIGKILL)
        with Store.open(folder) as store:
            assert store.instruments() == []
