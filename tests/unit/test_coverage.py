"""A recorder's coverage file: when liquidations were recorded, kept as the gaps between."""

import numpy as np

from liqheat.exchanges.files import plan_import, run_import
from liqheat.store import Store
from tests.conftest import T0, native_bars, refused, write_file

BTC = "binance:BTCUSDT"
NOW = T0 + 10**9


def coverage(**more: object) -> dict[str, object]:
    day = np.array([T0, T0 + 7_200_000, T0 + 100, T0 + 3_600_000], dtype="datetime64[ms]")
    return {"symbol": ["BTC", "BTC", "ETH", "BTC"], "session": [0, 1, 1, 1], "start": day,
            "end_minute": day + np.timedelta64(20, "m"), **more}  # fmt: skip


def test_a_recorders_coverage_becomes_gaps_of_liquidations(tmp_path):
    write_file(tmp_path / "binance_btcusdt_1m.csv", native_bars())
    write_file(tmp_path / "liquidation_recorder_coverage.parquet", coverage())
    # A folder's hours belong to its tape; where there is none, they are named, not taken.
    plan = plan_import(tmp_path, BTC, now_ms=NOW)
    assert [item.part.kind for item in plan.items] == ["bars"]
    path = tmp_path / "liquidation_recorder_coverage.parquet"
    plan = plan_import(path, BTC, now_ms=NOW)
    assert [item.part.kind for item in plan.items] == ["gaps"]
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        again = run_import(store, plan, now_ms=NOW + 1)
        gaps = store.gaps(BTC)
    minute = (
        60_000  # the last minute recorded is covered whole: 20 min after the start, and it
    )
    assert [(g.event_ms - T0, g.end_ms - T0, g.kind) for g in gaps] == [
        (21 * minute, 60 * minute, "liquidations"), (81 * minute, 120 * minute, "liquidations"),
    ]  # fmt: skip
    assert again.new == again.changed == 0


def test_coverage_of_other_symbols_or_without_holes_is_left_out(tmp_path):
    path = write_file(tmp_path / "coverage.parquet", coverage(symbol=["ETH"] * 4))
    assert "covers no such symbol" in refused(plan_import, path, BTC, words="coverage")
    one = write_file(tmp_path / "one.parquet", {k: v[:1] for k, v in coverage().items()})
    assert "without a hole" in refused(plan_import, one, BTC, words="one recording")
    late = coverage(end_minute=np.array([T0 - 10**6] * 4, dtype="datetime64[ms]"))
    refused(
        plan_import,
        write_file(tmp_path / "x.parquet", late),
        BTC,
        words="not after the start",
    )
