"""Mutated files never give anything but an import or a ``LiqheatError`` of one line.

``make fuzz`` runs long; the normal suite a fraction of a second. ``FUZZ_SECONDS`` is the time
for each test, ``FUZZ_SEED`` the first number.
"""

import gzip
import os
import random
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from liqheat.errors import LiqheatError
from liqheat.exchanges.files import plan_import, read_bars, run_import
from liqheat.store import Store
from tests.conftest import MINUTE, T0, native_bars, write_file

BTC = "binance:BTCUSDT"
SECONDS = float(os.environ.get("FUZZ_SECONDS", "0.7"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
#: What breaks parsers, in text.
WORDS = (
    b"", b"nan", b"inf", b"-inf", b"1e999", b"-1", b"0", b"1e-320", b'"', b"''", b",", b"\n",
    b"\r",
    b"\x00", b"\xff", "²".encode(), b"9" * 400, b"true", b"null", b"2024-01-01", b"0x10", b"1_000",
    b"start_ms", b"1704067200000000000", b"\xef\xbb\xbf", b";", b"\t", b"[1]", b"{",
)  # fmt: skip


def seeds(folder: Path) -> Iterator[Path]:
    n = 12
    bars = native_bars(
        n, taker_buy_qty=[1.0] * n, open_interest_qty=[8e4] * n, symbol=["BTCUSDT"] * n
    )
    times = T0 + MINUTE * np.arange(1, n + 1)
    tables = {
        "bars": bars,
        "interest": {"time": times, "open_interest_qty": [8e4] * n,
                     "open_interest_usd": [3.2e9] * n},
        "funding": {"time": times, "funding_rate": [1e-4] * n},
        "mark": {"time": times, "mark_price": [4e4] * n, "index_price": [4e4] * n},
        "tape": {"time": times, "side": ["long", "short"] * (n // 2), "price": [4e4] * n,
                 "qty": [1.0] * n, "exchange": ["binance"] * n,
                 "suspect_okx_inverse": [False] * n},
    }  # fmt: skip
    for name, columns in tables.items():
        for suffix in ("csv", "parquet", "arrow", "stream"):
            yield write_file(folder / f"{name}.{suffix}", columns)
    text = (folder / "bars.csv").read_bytes()
    (folder / "bars.csv.gz").write_bytes(gzip.compress(text))
    yield folder / "bars.csv.gz"
    with zipfile.ZipFile(folder / "bars.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bars.csv", text)
    yield folder / "bars.zip"


def mutated(data: bytes, rng: random.Random) -> bytes:
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if not out:
            return b""
        at = rng.randrange(len(out))
        length = rng.choice((1, 2, 4, 16, 200))
        match rng.randrange(7):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at : at + length] = rng.randbytes(len(out[at : at + length]))
            case 2:
                del out[at : at + length]
            case 3:
                del out[at:]
            case 4:
                out[at:at] = rng.choice(WORDS)
            case 5:
                out[at:at] = out[at : at + length]
            case _:
                ends = [i for i, byte in enumerate(out) if byte in b",\n"] or [at]
                first = rng.randrange(len(ends))
                last = ends[first + 1] if first + 1 < len(ends) else len(out)
                out[ends[first] + 1 : last] = rng.choice(WORDS)
    return bytes(out)


def check(path: Path, folder: Path) -> bool:
    """Return whether the file was taken."""
    try:
        plan = plan_import(path, BTC, now_ms=T0 + 10**9)
    except LiqheatError as error:
        assert_one_line(error)
        return False
    with Store.open(folder) as store:
        before = [(one.instrument.name, one.spans) for one in store.instruments()]
        try:
            run_import(store, plan, now_ms=T0 + 10**9)
        except LiqheatError as error:
            assert_one_line(error)
            after = [(one.instrument.name, one.spans) for one in store.instruments()]
            assert after == before
            return False
        assert run_import(store, plan, now_ms=T0 + 10**9).new == 0
    return True


def assert_one_line(error: LiqheatError) -> None:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 2000


@pytest.mark.filterwarnings("error")
def test_mutated_files(tmp_path) -> None:
    rng = random.Random(SEED)
    files = [(path.name, path.read_bytes()) for path in seeds(tmp_path)]
    end, runs, taken = time.monotonic() + SECONDS, 0, 0
    while time.monotonic() < end or runs < 50:
        name, data = files[runs % len(files)]
        path = tmp_path / f"btcusdt_mutated_{name}"
        path.write_bytes(mutated(data, rng))
        # On a failure the file is left in pytest's folder.
        if rng.randrange(20) == 0:
            taken += check(path, tmp_path / "data")
        else:
            plan_or_refuse(path)
        runs += 1
    print(f"{runs} files, {taken} taken")


def plan_or_refuse(path: Path) -> None:
    for call in (lambda: plan_import(path, BTC), lambda: read_bars(path)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                call()
        except LiqheatError as error:
            assert_one_line(error)
