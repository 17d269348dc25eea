"""``liqheat study calibrate``: what it writes, and what it says when there is nothing to learn."""

import json
import sys

import numpy as np
import pyarrow as pa
import pytest

from liqheat.cli import main
from liqheat.market.instrument import SHIPPED
from liqheat.store import Store
from liqheat.study.calibrate import read_weights, weights_path
from liqheat.study.market import simulated

NAME = "simulated:BTCUSDT"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a store which holds a simulated market of some weeks."""
    market = simulated("base", 3, 27.0)
    bars, events = market.bars, market.liquidations
    n, m = len(bars), len(events)
    folder = tmp_path_factory.mktemp("data")
    with Store.open(folder) as store:
        store.put_instrument(SHIPPED[NAME])
        names = ("start_ms", "open", "high", "low", "close", "qty", "mark_high", "mark_low")
        store.write("bars", pa.table({
            "instrument": [NAME] * n, "interval_ms": [60_000] * n, "source": ["test"] * n,
            **{name: getattr(bars, name) for name in names},
        }))  # fmt: skip
        known = np.isfinite(bars.open_interest_qty)
        store.write("open_interest", pa.table({
            "instrument": [NAME] * known.sum(), "source": ["test"] * known.sum(),
            "event_ms": bars.start_ms[known] + 60_000,
            "open_interest_qty": bars.open_interest_qty[known],
        }))  # fmt: skip
        store.write("liquidations", pa.table({
            "instrument": [NAME] * m, "event_ms": events.event_ms,
            "position_side": np.where(events.is_long, "long", "short").tolist(),
            "price": events.mark_price, "price_kind": ["fill"] * m, "qty": events.qty,
            "notional_usd": events.notional_usd, "mark_price": events.mark_price,
            "completeness": ["full"] * m, "exchange": ["simulated"] * m, "source": ["test"] * m,
        }))  # fmt: skip
    return folder


@pytest.fixture
def run(capsys, monkeypatch):
    """Return a function which runs the command: (folder, *args) -> (code, stdout, stderr)."""

    def call(folder, *args):
        words = ["liqheat", "--data-dir", str(folder), "study", "calibrate", *args]
        monkeypatch.setattr(sys, "argv", words)
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
        out = capsys.readouterr()
        return code, out.out, out.err

    return call


def test_weights_are_written_with_their_dates_and_used_as_of_them(folder, run):
    code, out, err = run(folder, "--json")
    assert code == 0, err
    (row,) = json.loads(out)
    assert row["instrument"] == NAME
    assert row["method"] in ("fitted", "scaled")
    weights = read_weights(folder, SHIPPED[NAME])
    assert len(weights) == row["days"] > 5
    assert weights[-1].as_of_ms == row["as_of_ms"]
    early = read_weights(folder, SHIPPED[NAME], as_of_ms=weights[3].as_of_ms)
    assert len(early) == 4


def test_a_dry_run_tells_and_writes_nothing(folder, run):
    path = weights_path(folder, SHIPPED[NAME])
    path.unlink(missing_ok=True)
    code, out, _ = run(folder, "--dry-run")
    assert code == 0
    assert "nothing written" in out
    assert not path.exists()


def test_what_is_missing_is_said_in_one_line(folder, run, tmp_path):
    with Store.open(tmp_path):
        pass
    code, _, err = run(tmp_path)
    assert code == 5
    assert "no instrument with bars and liquidations" in err
    code, _, err = run(folder, "--instrument", "binance:BTCUSDT")
    assert code == 5
    assert len(err.strip().splitlines()) == 1
