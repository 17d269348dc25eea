"""Importing files: what is planned, in which words; and what is then in the store."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from liqheat.errors import StoreError, UnknownInstrumentError
from liqheat.exchanges import files
from liqheat.exchanges.files import plan_import, read_bars, run_import
from liqheat.store import Store
from tests.conftest import MINUTE, NATIVE, T0, make_bars, native_bars, refused, write_file

BTC = "binance:BTCUSDT"
NOW = T0 + 10**9


def open_interest(n: int = 5, qty: float = 8e4, **more: object) -> dict[str, object]:
    return {
        "time": T0 + MINUTE * np.arange(1, n + 1),
        "open_interest_base": [qty] * n,
        **more,
    }


def test_a_single_file_is_planned_and_imported_with_provenance(tmp_path):
    path = write_file(
        tmp_path / "x.csv", native_bars(open_interest_qty=[1e4, np.nan, 2e4, 3e4, 4e4])
    )
    plan = plan_import(path, BTC, now_ms=NOW)
    assert [(item.part.kind, item.rows) for item in plan.items] == [
        ("bars", 5), ("open_interest", 4),
    ]  # fmt: skip
    seen = []
    with Store.open(tmp_path / "data") as store:
        report = run_import(store, plan, lambda *a: seen.append(a), now_ms=NOW)
        assert (report.new, report.changed, report.same) == (9, 0, 0)
        bars = store.load_bars(BTC)
        np.testing.assert_array_equal(bars.open_interest_qty, [1e4, np.nan, 2e4, 3e4, 4e4])
        again = run_import(store, plan, now_ms=NOW + 1)
        assert (again.new, again.changed, again.same) == (0, 0, 9)
        rows = store.read("imports", BTC).to_pylist()
        assert [(r["kind"], r["new"], r["same"]) for r in rows] == [
            ("bars", 5, 0), ("open_interest", 4, 0), ("bars", 0, 5), ("open_interest", 0, 4),
        ]  # fmt: skip
        assert all(r["file"] == str(path) and len(r["sha256"]) == 64 for r in rows)
        assert store.read("bars", BTC)["source"][0].as_py() == "file:x.csv"
    assert seen == [(5, 9, "x.csv"), (9, 9, "x.csv")]
    assert any("5 new" in line for line in report.lines())


def test_native_bars_survive_import_and_load(tmp_path):
    taken = native_bars(
        50, taker_buy_qty=np.full(50, 3.0), open_interest_qty=np.arange(50) + 8e4
    )
    path = write_file(tmp_path / "x.parquet", taken)
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan_import(path, BTC), now_ms=NOW)
        stored, read = store.load_bars(BTC), read_bars(path)
    for name in (*NATIVE, "taker_buy_qty", "open_interest_qty", "mark_high", "mark_low"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(read, name))


def test_a_folder_prefers_the_exchanges_own_bars(tmp_path):
    write_file(tmp_path / "binance_btcusdt_1m.csv", native_bars())
    write_file(tmp_path / "bybit_btcusdt_1m.csv", native_bars(9))
    write_file(tmp_path / "binance_ethusdt_1m.csv", native_bars())
    (tmp_path / "notes.txt").write_text("hello")
    plan = plan_import(tmp_path, BTC)
    assert [item.file.name for item in plan.items] == ["binance_btcusdt_1m.csv"]
    assert dict(plan.skipped) == {
        "binance_ethusdt_1m.csv": "its name has no BTCUSDT",
        "bybit_btcusdt_1m.csv": "bars of bybit; binance's own are used",
    }


def test_bars_may_be_borrowed_and_say_so(tmp_path):
    write_file(tmp_path / "bybit_btcusdt_1m.csv", native_bars(9))
    write_file(tmp_path / "okx_btcusdt_1m.csv", native_bars(7))
    plan = plan_import(tmp_path, BTC)
    (item,) = plan.items
    assert item.borrowed_from == "bybit"
    assert "BORROWED from bybit" in plan.lines()[1]
    assert dict(plan.skipped) == {"okx_btcusdt_1m.csv": "bars of okx; bybit's are used"}
    with Store.open(tmp_path / "data") as store:
        own = make_bars(2, start=3)
        store.write("bars", own)
        report = run_import(store, plan, now_ms=NOW)
        assert (report.new, report.items[0].kept) == (7, 2)
        sources = store.read("bars", BTC)["source"].to_pylist()
        assert set(sources) == {"binance", "borrowed:bybit:bybit_btcusdt_1m.csv"}
        assert sources[3:5] == ["binance"] * 2
        assert run_import(store, plan, now_ms=NOW).same == 7
        # The exchange's own take the place of borrowed ones.
        store.write("bars", make_bars(9, seed=3))
        assert set(store.read("bars", BTC)["source"].to_pylist()) == {"binance"}


def test_open_interest_funding_and_mark_are_never_borrowed(tmp_path):
    write_file(tmp_path / "bybit_btcusdt_1m.csv", native_bars())
    write_file(tmp_path / "bybit_btcusdt_oi.csv", open_interest())
    write_file(
        tmp_path / "okx_btcusdt_funding.csv", {"funding_time": [T0], "funding_rate": [1e-4]}
    )
    prices = {"time": [T0], "mark_price": [4e4]}
    write_file(tmp_path / "okx_btcusdt_mark.csv", prices)
    plan = plan_import(tmp_path, BTC)
    assert [item.part.kind for item in plan.items] == ["bars"]
    assert dict(plan.skipped) == {
        "bybit_btcusdt_oi.csv": "open interest of bybit; never borrowed",
        "okx_btcusdt_funding.csv": "funding of okx; never borrowed",
        "okx_btcusdt_mark.csv": "mark of okx; never borrowed",
    }
    refused(plan_import, tmp_path / "bybit_btcusdt_oi.csv", BTC, words="never borrowed")


def test_a_bad_file_of_the_instrument_stops_the_plan_others_do_not(tmp_path):
    write_file(tmp_path / "binance_btcusdt_1m.csv", native_bars())
    (tmp_path / "binance_ethusdt_1m.csv").write_text("broken")
    assert len(plan_import(tmp_path, BTC).items) == 1
    (tmp_path / "binance_btcusdt_5m.parquet").write_bytes(b"PAR1 broken")
    refused(
        plan_import, tmp_path, BTC, words="binance_btcusdt_5m.parquet: the file is damaged"
    )


def test_folders_with_nothing_of_use_say_why(tmp_path):
    refused(
        plan_import, tmp_path, BTC, words="nothing here can be used for binance:BTCUSDT"
    )
    write_file(
        tmp_path / "binance_btcusdt_flow.csv", {"taker_buy_usd": [1], "taker_sell_usd": [2]}
    )
    refused(plan_import, tmp_path, BTC, words="binance_btcusdt_flow.csv: taker flow in USD")


def test_unknown_instruments_get_a_suggestion(tmp_path):
    path = write_file(tmp_path / "x.csv", native_bars())
    with pytest.raises(UnknownInstrumentError, match="binance:BTCUSDT"):
        plan_import(path, "binance:BTCUSD")


@pytest.mark.parametrize(
    ("name", "instrument", "ours"),
    [
        ("BTCUSDT-1m-2024-01.csv", BTC, True),
        ("btc_usdt.csv", BTC, True),
        ("my-btc-usdt-5m.csv", BTC, True),
        ("binance_btc_klines.csv", BTC, True),
        ("1000BTCUSDT.csv", BTC, False),
        ("BTCUSDTX.csv", BTC, False),
        ("hyperliquid_btc_klines.csv", "hyperliquid:BTC", True),
        ("binance_btc_klines.csv", "hyperliquid:BTC", False),
        ("okx_BTC-USDT-SWAP_1m.csv", "okx:BTC-USDT-SWAP", True),
        ("binance_btcusdt.csv", "okx:BTC-USDT-SWAP", True),
    ],
)
def test_files_are_chosen_by_the_symbol_in_their_name(tmp_path, name, instrument, ours):
    write_file(tmp_path / name, native_bars())
    if ours:
        assert len(plan_import(tmp_path, instrument).items) == 1
    else:
        refused(plan_import, tmp_path, instrument, words="its name has no")


def test_a_symbol_column_of_another_is_refused(tmp_path):
    columns = {"create_time": ["2024-01-01 00:05:00"], "symbol": ["ETHUSDT"],
               "sum_open_interest": [8e4], "sum_open_interest_value": [3.2e9]}  # fmt: skip
    path = write_file(tmp_path / "m.csv", columns)
    refused(
        plan_import, path, BTC, words=r"symbol column is not BTCUSDT's \(was 'ETHUSDT'\)"
    )
    plan = plan_import(path, "binance:ETHUSDT")
    assert plan.items[0].part.kind == "open_interest"


def test_binance_metrics_are_open_interest(tmp_path):
    head = "create_time,symbol,sum_open_interest,sum_open_interest_value,"
    head += "count_toptrader_long_short_ratio\n"
    (tmp_path / "BTCUSDT-metrics-2024-01-01.csv").write_text(
        head + "2024-01-01 00:05:00,BTCUSDT,80000.5,3200020000.0,1.5\n"
        "2024-01-01 00:10:00,BTCUSDT,80001.5,3200060000.0,1.5\n"
    )
    (item,) = plan_import(tmp_path, BTC).items
    assert item.part.table["open_interest_qty"].to_pylist() == [80000.5, 80001.5]
    assert item.part.start_ms == T0 + 5 * MINUTE


def test_funding_dumps_are_recognised_and_percent_is_refused(tmp_path):
    head = "calc_time,funding_interval_hours,last_funding_rate\n"
    (tmp_path / "a.csv").write_text(head + f"{T0},8,0.0001\n{T0 + 480 * MINUTE},8,0.0002\n")
    assert plan_import(tmp_path / "a.csv", BTC).items[0].part.kind == "funding"
    (tmp_path / "a.csv").write_text(head + f"{T0},8,1.5\n")
    refused(plan_import, tmp_path / "a.csv", BTC, words="not a fraction")


def test_open_interest_is_checked_against_its_own_usd_and_the_bars(tmp_path):
    write_file(tmp_path / "binance_btcusdt_1m.csv", native_bars())
    path = tmp_path / "binance_btcusdt_oi.csv"
    write_file(path, open_interest(open_interest_usd=[8e4 * 40_000.0] * 5))
    assert len(plan_import(tmp_path, BTC).items) == 2
    write_file(path, open_interest(open_interest_usd=[8e4] * 5))
    refused(plan_import, tmp_path, BTC, words="no price of these bars")
    write_file(path, open_interest(qty=3.2e9))
    refused(
        plan_import, tmp_path, BTC, words="btcusdt_oi.csv: open interest looks like USD"
    )


def test_open_interest_alone_is_checked_against_stored_bars(tmp_path):
    path = write_file(tmp_path / "oi.csv", open_interest(qty=3.2e9))
    plan = plan_import(path, BTC)
    with Store.open(tmp_path / "data") as store:
        store.write("bars", make_bars(9))
        refused(run_import, store, plan, now_ms=NOW, words="looks like USD")
        assert store.span("open_interest", BTC) is None
        assert store.span("imports", BTC) is None


def test_times_to_come_are_refused(tmp_path):
    path = write_file(tmp_path / "x.csv", native_bars())
    plan_import(path, BTC, now_ms=T0)
    refused(plan_import, path, BTC, now_ms=T0 - 2 * 86_400_000, words="end in the future")


def test_event_rows_out_of_order_or_doubled_are_refused(tmp_path):
    columns = open_interest()
    for other in (T0 + MINUTE, T0 + 2 * MINUTE):
        columns["time"][2] = other
        path = write_file(tmp_path / "oi.csv", columns)
        refused(
            plan_import,
            path,
            BTC,
            words="oi.csv line 4: 'time' is not after the row before",
        )


def test_mark_candles_become_readings(tmp_path):
    columns = {name: values for name, values in native_bars().items() if name != "qty"}
    write_file(tmp_path / "binance_btcusdt_mark_1m.csv", columns)
    (item,) = plan_import(tmp_path, BTC).items
    assert (item.part.kind, item.rows) == ("mark", 6)
    assert item.part.table["mark_price"].to_pylist()[:5] == list(columns["open"])
    assert "high and low have no time" in item.line()


def test_context_files_hold_two_kinds(tmp_path):
    columns = {"mark_price": [4e4, 4.1e4], "oracle_price": [4e4, None],
               "open_interest_base": [3e4, 3.1e4], "time": [T0, T0 + MINUTE]}  # fmt: skip
    plan = plan_import(write_file(tmp_path / "x.parquet", columns), "hyperliquid:BTC")
    assert [item.part.kind for item in plan.items] == ["open_interest", "mark"]
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        assert store.read("mark", "hyperliquid:BTC")["index_price"].to_pylist() == [
            4e4,
            None,
        ]


# -- Bybit counts both sides ---------------------------------------------------------------


def test_bybit_open_interest_needs_its_sides_said(tmp_path):
    path = write_file(tmp_path / "bybit_btcusdt_oi.csv", open_interest(qty=5e4))
    text = refused(plan_import, path, "bybit:BTCUSDT", words="counts both sides")
    assert "open_interest_qty=<column>/2" in text
    write_file(tmp_path / "bybit_btcusdt_1m.csv", native_bars())
    plan = plan_import(tmp_path, "bybit:BTCUSDT")
    assert [item.part.kind for item in plan.items] == ["bars"]
    assert "both sides" in dict(plan.skipped)["bybit_btcusdt_oi.csv"]
    plan = plan_import(
        tmp_path, "bybit:BTCUSDT", {"open_interest_qty": "open_interest_base/2"}
    )
    assert plan.items[1].part.table["open_interest_qty"].to_pylist() == [2.5e4] * 5
    assert "  mapped: open_interest_qty=open_interest_base/2" in plan.lines()
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        notes = store.read("imports", "bybit:BTCUSDT")["note"].to_pylist()
    assert all("mapped open_interest_qty=open_interest_base/2" in note for note in notes)


def test_a_mapped_column_which_no_file_has_is_an_error(tmp_path):
    write_file(tmp_path / "binance_btcusdt_1m.csv", native_bars())
    write_file(tmp_path / "binance_btcusdt_oi.csv", open_interest(oi2=[9e4] * 5))
    mapping = {"open_interest_qty": "oi2", "taker_buy_qty": "qty/2"}
    plan = plan_import(tmp_path, BTC, mapping)
    assert plan.items[0].part.table["taker_buy_qty"].to_pylist() == [
        qty / 2 for qty in native_bars()["qty"]
    ]
    assert plan.items[1].part.table["open_interest_qty"].to_pylist() == [9e4] * 5
    mapping["mark_high"] = "marc"
    refused(plan_import, tmp_path, BTC, mapping, words="no file has a mapped column.*marc")


def test_borrowed_bars_leave_mark_and_open_interest_behind(tmp_path):
    more = {"mark_high": [4e4] * 5, "mark_low": [3.9e4] * 5, "open_interest_qty": [8e4] * 5}
    path = write_file(tmp_path / "bybit_btcusdt.csv", native_bars(**more))
    plan = plan_import(path, BTC)
    (item,) = plan.items
    assert item.borrowed_from == "bybit"
    assert "mark_high" not in item.part.table.column_names
    assert plan.skipped == (
        ("bybit_btcusdt.csv", "open interest of bybit; never borrowed"),
    )


def test_a_name_without_exchange_is_noted(tmp_path):
    plan = plan_import(write_file(tmp_path / "BTCUSDT-1m.csv", native_bars()), BTC)
    assert "its name says no exchange: taken for binance's" in plan.lines()[1]
    write_file(tmp_path / "gateio_btcusdt_oi.csv", open_interest())
    assert (
        "open interest of gate; never borrowed"
        in dict(plan_import(tmp_path, BTC).skipped).values()
    )


def test_bybit_open_interest_under_our_name_is_one_sided(tmp_path):
    path = write_file(
        tmp_path / "bybit_btcusdt.csv", native_bars(open_interest_qty=[2e4] * 5)
    )
    assert len(plan_import(path, "bybit:BTCUSDT").items) == 2


def test_bybit_single_open_interest_needs_nothing_said(tmp_path):
    columns = {"timestamp": [T0], "openInterest": [5e4], "singleOpenInterest": [2.5e4]}
    plan = plan_import(write_file(tmp_path / "x.parquet", columns), "bybit:BTCUSDT")
    assert plan.items[0].part.table["open_interest_qty"].to_pylist() == [2.5e4]


# -- liquidations --------------------------------------------------------------------------


def tape(exchanges: list[str], **more: object) -> dict[str, object]:
    n = len(exchanges)
    return {"time": [T0 + 1] * n, "exchange": exchanges, "side": ["long"] * n,
            "price": [39_000.0] * n, "qty": [1.5] * n, **more}  # fmt: skip


def test_a_tape_of_several_exchanges_is_kept_whole(tmp_path):
    columns = tape(["binance", "bybit", "okx"], suspect_okx_inverse=[False, False, True],
                   ref_price=[39_200.0] * 3)  # fmt: skip
    plan = plan_import(write_file(tmp_path / "multi_btcusdt.parquet", columns), BTC)
    (item,) = plan.items
    assert "1 rows marked suspect_okx_inverse left out" in item.line()
    assert "of binance, bybit, okx" in item.line()
    with Store.open(tmp_path / "data") as store:
        assert run_import(store, plan, now_ms=NOW).new == 2
        rows = store.read("liquidations", BTC).to_pylist()
    assert [(r["exchange"], r["price_kind"], r["completeness"]) for r in rows] == [
        ("binance", "order", "sampled_1s"), ("bybit", "bankruptcy", "lower_bound"),
    ]  # fmt: skip
    assert rows[0]["notional_usd"] == 39_000.0 * 1.5
    assert rows[0]["mark_price"] == 39_200.0


def test_equal_rows_of_a_tape_are_all_kept(tmp_path):
    plan = plan_import(write_file(tmp_path / "x.csv", tape(["binance"] * 3)), BTC)
    with Store.open(tmp_path / "data") as store:
        assert run_import(store, plan, now_ms=NOW).new == 3
        assert run_import(store, plan, now_ms=NOW).same == 3


def test_a_tape_of_another_exchange_is_not_borrowed(tmp_path):
    path = write_file(tmp_path / "x.csv", tape(["bybit"] * 2))
    refused(plan_import, path, BTC, words="liquidations of bybit only; never borrowed")
    assert len(plan_import(path, "bybit:BTCUSDT").items) == 1


def test_a_tape_without_exchange_is_the_instruments(tmp_path):
    columns = tape(["binance"])
    del columns["exchange"]
    plan = plan_import(write_file(tmp_path / "x.csv", columns), BTC)
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        assert store.read("liquidations", BTC)["exchange"].to_pylist() == ["binance"]


def test_sides_of_orders_are_refused(tmp_path):
    path = write_file(tmp_path / "x.csv", tape(["binance"], side=["SELL"]))
    refused(plan_import, path, BTC, words="line 2: 'side' is not long or short.*'SELL'")


# -- interruption --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [KeyboardInterrupt, OSError(28, "No space left on device")]
)
def test_an_interrupted_import_leaves_nothing(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(files, "BATCH_ROWS", 10)
    plan = plan_import(write_file(tmp_path / "x.csv", native_bars(35)), BTC)

    def interrupt(done: int, total: int, name: str) -> None:
        assert total == 35
        if done == 20:
            raise fault

    with Store.open(tmp_path / "data") as store:
        with pytest.raises((KeyboardInterrupt, StoreError)):
            run_import(store, plan, interrupt, now_ms=NOW)
        assert store.span("bars", BTC) is None
        assert store.span("imports", BTC) is None
        report = run_import(store, plan, now_ms=NOW)
        assert (report.new, report.same) == (35, 0)
        assert store.read("imports", BTC)["rows"].to_pylist() == [35]


# -- recorded data -------------------------------------------------------------------------


def test_recorded_files_make_the_whole_of_binance_btcusdt(shared_data, tmp_path):
    plan = plan_import(shared_data, BTC)
    kinds = {item.part.kind: item for item in plan.items}
    assert kinds.keys() == {"bars", "open_interest", "funding", "liquidations", "gaps"}
    assert kinds["bars"].borrowed_from == "bybit"
    with Store.open(tmp_path) as store:
        assert run_import(store, plan, now_ms=NOW).new == plan.rows
        bars = store.load_bars(BTC)
        tape_rows = store.read("liquidations", BTC)
        # When the recorder was off; the bars have no hole.
        assert {gap.kind for gap in store.gaps(BTC)} == {"liquidations"}
    assert (len(bars), bars.interval_ms) == (44_652, 300_000)
    known = np.isfinite(bars.open_interest_qty)
    assert known.sum() > 25_000
    assert set(tape_rows["exchange"].unique().to_pylist()) == {
        "binance", "binance_or_okx", "bybit", "okx",
    }  # fmt: skip


def test_recorded_hyperliquid_has_taker_volume_and_gaps(shared_data, tmp_path):
    plan = plan_import(shared_data, "hyperliquid:BTC")
    assert sorted(item.part.kind for item in plan.items) == [
        "bars",
        "mark",
        "open_interest",
    ]
    with Store.open(tmp_path) as store:
        run_import(store, plan, now_ms=NOW)
        bars = store.load_bars("hyperliquid:BTC")
        assert len(store.gaps("hyperliquid:BTC")) == 2
    assert np.isfinite(bars.taker_buy_qty).all()
    assert np.isfinite(bars.open_interest_qty).mean() > 0.95


def test_recorded_bybit_open_interest_is_both_sides(shared_data):
    """The file continues the frames' ``openInterest``, twice their ``singleOpenInterest``."""
    import json

    market, frames = shared_data / "market", shared_data / "frames"
    table = pq.read_table(market / "bybit_btcusdt_perp_open_interest_1h_2020_2026.parquet")
    time = table["time"].cast(pa.int64()).to_numpy()
    qty = table["open_interest_base"].to_numpy()
    lines = map(json.loads, (frames / "tardis_bybit.ndjson").read_text().splitlines())
    ticker = next(x for x in lines if x.get("topic") == "tickers.BTCUSDT")
    at_frame = np.interp(ticker["ts"], time, qty)
    assert at_frame == pytest.approx(float(ticker["data"]["openInterest"]), rel=2e-3)
    shapes = json.loads((frames / "documented_shapes.json").read_text())
    later = next(v["data"] for k, v in shapes.items() if k.startswith("bybit_tickers"))
    both, single = float(later["openInterest"]), float(later["singleOpenInterest"])
    assert both == pytest.approx(2 * single, rel=1e-6)
    # Beside Binance's, one-sided for certain, either reading would do: it cannot decide.
    binance = pq.read_table(market / "binance_btcusdt_perp_open_interest_5m.parquet")
    other = np.interp(time, binance["time"].cast(pa.int64()).to_numpy(),
                      binance["open_interest_base"].to_numpy(), np.nan, np.nan)  # fmt: skip
    assert 0.5 < np.nanmedian(qty / other) < 0.6
