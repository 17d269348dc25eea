"""Reading and importing files: what is recognised, what is refused and in which words."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from liqheat.errors import LiqheatError, UnknownInstrumentError
from liqheat.exchanges import files
from liqheat.exchanges.files import plan_import, read_bars, run_import
from liqheat.store import Store
from tests.conftest import MINUTE, T0, make_bars

BTC = "binance:BTCUSDT"
NOW = T0 + 10**9
NATIVE = ("start_ms", "open", "high", "low", "close", "qty")


def native(n: int = 5, **more: object) -> dict[str, object]:
    """Return columns of bars under our names."""
    table = make_bars(n)
    return {**{name: table[name].to_numpy() for name in NATIVE}, **more}


def write(path: Path, columns: dict[str, object]) -> Path:
    """Write columns in the format of the path's ending."""
    table = pa.table(
        {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in columns.items()}
    )
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix in (".arrow", ".stream"):
        new = pa.ipc.new_file if path.suffix == ".arrow" else pa.ipc.new_stream
        with new(path, table.schema) as writer:
            writer.write_table(table)
    else:
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        lines = [",".join(table.column_names)]
        lines += [",".join("" if v is None else str(v) for v in row) for row in rows]
        path.write_text("\n".join(lines) + "\n")
    return path


def refused(call, *arguments, words: str, **options) -> str:
    """Return the one line which a call is refused with."""
    with pytest.raises(LiqheatError, match=words) as caught:
        call(*arguments, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def binance_kline(n: int = 5, scale: int = 1) -> list[str]:
    """Return lines of Binance's 12-column kline file."""
    table = make_bars(n).to_pylist()
    return [
        f"{r['start_ms'] * scale},{r['open']},{r['high']},{r['low']},{r['close']},{r['qty']},"
        f"{(r['start_ms'] + MINUTE) * scale - 1},400000.0,77,4.0,160000.0,0"
        for r in table
    ]


KLINE_HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)


# -- formats and names ---------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".arrow", ".stream"])
def test_native_columns_come_back_from_every_format(tmp_path, suffix):
    columns = native(
        open_interest_qty=[1e4, 2e4, np.nan, 3e4, 4e4], taker_buy_qty=[1.0] * 5
    )
    bars = read_bars(write(tmp_path / f"x{suffix}", columns))
    assert bars.interval_ms == MINUTE
    for name, values in columns.items():
        np.testing.assert_array_equal(getattr(bars, name), values)


def test_content_decides_not_the_name(tmp_path):
    path = write(tmp_path / "x.parquet", native())
    assert len(read_bars(path.rename(tmp_path / "x.csv"))) == 5


@pytest.mark.parametrize("scale", [1, 1000, 10**6])
@pytest.mark.parametrize("header", [True, False])
def test_binance_klines_with_and_without_header_in_any_unit(tmp_path, header, scale):
    lines = [KLINE_HEADER] * header + binance_kline(scale=scale)
    (tmp_path / "BTCUSDT-1m-2024-01.csv").write_text("\n".join(lines))
    bars = read_bars(tmp_path / "BTCUSDT-1m-2024-01.csv")
    np.testing.assert_array_equal(bars.start_ms, T0 + np.arange(5) * MINUTE)
    np.testing.assert_array_equal(bars.taker_buy_qty, 4.0)
    np.testing.assert_array_equal(bars.qty, make_bars(5)["qty"].to_numpy())


def test_microseconds_are_noted_as_those_of_spot(tmp_path):
    (tmp_path / "BTCUSDT-1m.csv").write_text("\n".join(binance_kline(scale=1000)))
    plan = plan_import(tmp_path, BTC)
    assert "SPOT" in " ".join(plan.lines())


def test_old_names_of_binance_klines_are_known(tmp_path):
    head = "Open time,Open,High,Low,Close,Volume,Close time,Quote asset volume,Number of trades,"
    head += "Taker buy base asset volume,Taker buy quote asset volume,Ignore"
    (tmp_path / "x.csv").write_text("\n".join([head, *binance_kline()]))
    np.testing.assert_array_equal(read_bars(tmp_path / "x.csv").taker_buy_qty, 4.0)


def test_zipped_and_gzipped_dumps_are_read(tmp_path):
    text = "\n".join(binance_kline())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("BTCUSDT-1m-2024-01.csv", text)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(text.encode()))
    assert len(read_bars(tmp_path / "a.zip")) == len(read_bars(tmp_path / "a.csv.gz")) == 5


@pytest.mark.parametrize(
    "times",
    [
        (T0 + np.arange(5) * MINUTE) // 1000,
        ((T0 + np.arange(5) * MINUTE) / 1000),
        (T0 + np.arange(5) * MINUTE).astype(np.float64),
        (T0 + np.arange(5) * MINUTE) * 10**6,
        pa.array(T0 + np.arange(5) * MINUTE, pa.timestamp("ms")),
        pa.array((T0 + np.arange(5) * MINUTE) * 1000, pa.timestamp("us", "UTC")),
        pa.array((T0 + np.arange(5) * MINUTE) * 10**6, pa.timestamp("ns", "Asia/Tokyo")),
        [f"2024-01-01T00:0{n}:00Z" for n in range(5)],
        [f"2024-01-01 00:0{n}:00" for n in range(5)],
        [f"2024-01-01T09:0{n}:00+09:00" for n in range(5)],
    ],
    ids=[
        "s",
        "s float",
        "ms float",
        "ns",
        "ts",
        "ts us utc",
        "ts tokyo",
        "iso z",
        "iso",
        "iso +9",
    ],
)
@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_times_are_understood_in_every_form(tmp_path, times, suffix):
    bars = read_bars(write(tmp_path / f"x{suffix}", native(start_ms=times)))
    np.testing.assert_array_equal(bars.start_ms, T0 + np.arange(5) * MINUTE)


def test_semicolons_quotes_and_a_byte_order_mark(tmp_path):
    text = '\ufeff"time";"open";"high";"low";"close";"Volume"\n'
    text += f'{T0};"1.0";2.0;1.0;1.5;10\n{T0 + MINUTE};1.5;2.0;1.0;1.5;\t7\n'
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_bars(tmp_path / "x.csv").qty, [10.0, 7.0])


# -- mapping -------------------------------------------------------------------------------


def test_a_mapping_names_columns_and_factors(tmp_path):
    columns = native()
    columns = {"ts": columns["start_ms"], **{k: columns[k] for k in NATIVE[1:5]},
               "vol": columns["qty"], "OI": np.full(5, 2e4)}  # fmt: skip
    path = write(tmp_path / "x.csv", columns)
    bars = read_bars(
        path, {"start_ms": "ts", "qty": "vol*2", "open_interest_qty": "OI / 2"}
    )
    np.testing.assert_array_equal(bars.qty, make_bars(5)["qty"].to_numpy() * 2)
    np.testing.assert_array_equal(bars.open_interest_qty, 1e4)


def test_a_mapping_wins_over_a_known_name(tmp_path):
    path = write(tmp_path / "x.csv", native(volume=np.full(5, 3.0)))
    np.testing.assert_array_equal(read_bars(path, {"qty": "volume"}).qty, 3.0)


def test_wrong_mappings_get_a_suggestion(tmp_path):
    path = write(tmp_path / "x.csv", native(volumen=np.full(5, 3.0)))
    refused(read_bars, path, {"quantity": "volumen"}, words="did you mean qty")
    refused(
        read_bars, path, {"qty": "volumes"}, words="x.csv: no column for 'qty'.*volumen"
    )
    refused(read_bars, path, {"qty": "volumen*0"}, words="factor of 0")


def test_headerless_columns_can_be_mapped(tmp_path):
    lines = [",".join(line.split(",")[:6]) for line in binance_kline()]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    refused(read_bars, tmp_path / "x.csv", words="no header line.*start_ms=f0")
    mapping = {name: f"f{number}" for number, name in enumerate(NATIVE)}
    assert len(read_bars(tmp_path / "x.csv", mapping)) == 5


# -- refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "change", "words"),
    [
        (2, {"open": "nan"}, "open is not a positive price at row 2"),
        (2, {"close": ""}, "close is not a positive price at row 2"),
        (2, {"low": -5}, "low is not a positive price at row 2"),
        (2, {"high": "inf"}, "high is not a positive price at row 2"),
        (2, {"high": 1}, "high < low at row 2"),
        (2, {"qty": -1}, "qty is not >= 0 at row 2"),
        (2, {"qty": "many"}, r"bars.csv line 4: 'qty' is no number \(was 'many'\)"),
        (2, {"start_ms": T0}, "unordered bar at row 2"),
        (2, {"start_ms": T0 + MINUTE}, "doubled bar at row 2"),
        (2, {"start_ms": T0 + MINUTE + 7}, "mixed intervals: row 2"),
        (
            2,
            {"start_ms": 0},
            r"bars.csv line 4: the time 'start_ms' is outside 2009 .. 2100",
        ),
        (2, {"start_ms": (T0 + 2 * MINUTE) * 1000}, "line 4: the time 'start_ms' is in us"),
        (2, {"start_ms": "soon"}, r"line 4: 'start_ms' is no time \(was 'soon'\)"),
        (2, {"start_ms": ""}, "line 4: 'start_ms' is absent"),
        (4, {"start_ms": 9 * 10**18}, "line 6: the time 'start_ms' is outside"),
    ],
)
def test_a_bad_row_is_named_with_its_place_and_value(tmp_path, row, change, words):
    columns = {name: list(values) for name, values in native().items()}
    for name, value in change.items():
        columns[name][row] = value
        columns[name] = [str(v) for v in columns[name]]
    text = refused(read_bars, write(tmp_path / "bars.csv", columns), words=words)
    assert text.startswith("bars.csv")
    refused(plan_import, tmp_path / "bars.csv", BTC, words=words)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"start_ms,open,high,low,close,qty\n", "no rows"),
        (b"PAR1 and then nothing of use", "damaged or truncated"),
        (b"ARROW1\0\0 and then nothing of use", "damaged or truncated"),
        (b"\x1f\x8b\x08 not really gzip", "damaged or truncated"),
        (b"PK\x03\x04 not really zip", "damaged or truncated"),
        (b'{"a": 1}', "JSON or markup"),
        (b"<html>Not found</html>", "JSON or markup"),
        (b"just one line of prose", "one column"),
        (b"a,b\n1,2,3\n", "not a table.*Expected 2 columns, got 3"),
        (b"a,b\n1,2\n3\n", "not a table.*Expected 2 columns, got 1"),
        ("time,öpen\n1,2\n".encode("latin-1"), r"x.csv line 1: the text is not UTF-8"),
        ("time,open\n1,2\n".encode("utf-16"), "not UTF-8|binary data"),
        (b"\x00\x01\x02\x03\x04\xff\xfe" * 50, "not UTF-8|binary data"),
        (b"a,a,b\n1,2,3\n", "two columns have the same name"),
        (b"apples,pears\n1,2\n", "of no known kind"),
        (
            b"start_ms,opens,high,low,close,qty\n1,2,3,4,5,6\n",
            "no column 'open'.*open=opens",
        ),
        (b"start_ms,open,high,low,close\n1,2,3,4,5\n", "no volume column"),
    ],
)
def test_what_is_no_table_of_bars_is_said_in_one_line(tmp_path, content, words):
    (tmp_path / "x.csv").write_bytes(content)
    refused(read_bars, tmp_path / "x.csv", words=words)


def test_missing_files_folders_and_truncated_parquet(tmp_path):
    refused(
        read_bars, tmp_path / "none.csv", words="none.csv: cannot be read: No such file"
    )
    refused(read_bars, tmp_path, words="cannot be read: Is a directory")
    path = write(tmp_path / "x.parquet", native(2000))
    path.write_bytes(path.read_bytes()[:-500])
    refused(read_bars, path, words="x.parquet: the file is damaged or truncated")


def test_open_interest_in_usd_is_refused_where_bars_can_tell(tmp_path):
    columns = native(open_interest_qty=np.full(5, 3e9))
    refused(read_bars, write(tmp_path / "x.csv", columns), words="looks like USD")


# -- plans ---------------------------------------------------------------------------------


def open_interest(n: int = 5, qty: float = 8e4, **more: object) -> dict[str, object]:
    return {
        "time": T0 + MINUTE * np.arange(1, n + 1),
        "open_interest_base": [qty] * n,
        **more,
    }


def test_a_single_file_is_planned_and_imported_with_provenance(tmp_path):
    path = write(tmp_path / "x.csv", native(open_interest_qty=[1e4, np.nan, 2e4, 3e4, 4e4]))
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
    taken = native(
        50, taker_buy_qty=np.full(50, 3.0), open_interest_qty=np.arange(50) + 8e4
    )
    path = write(tmp_path / "x.parquet", taken)
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan_import(path, BTC), now_ms=NOW)
        stored, read = store.load_bars(BTC), read_bars(path)
    for name in (*NATIVE, "taker_buy_qty", "open_interest_qty", "mark_high", "mark_low"):
        np.testing.assert_array_equal(getattr(stored, name), getattr(read, name))


def test_a_folder_prefers_the_exchanges_own_bars(tmp_path):
    write(tmp_path / "binance_btcusdt_1m.csv", native())
    write(tmp_path / "bybit_btcusdt_1m.csv", native(9))
    write(tmp_path / "binance_ethusdt_1m.csv", native())
    (tmp_path / "notes.txt").write_text("hello")
    plan = plan_import(tmp_path, BTC)
    assert [item.file.name for item in plan.items] == ["binance_btcusdt_1m.csv"]
    assert dict(plan.skipped) == {
        "binance_ethusdt_1m.csv": "its name has no BTCUSDT",
        "bybit_btcusdt_1m.csv": "bars of bybit; binance's own are used",
    }


def test_bars_may_be_borrowed_and_say_so(tmp_path):
    write(tmp_path / "bybit_btcusdt_1m.csv", native(9))
    write(tmp_path / "okx_btcusdt_1m.csv", native(7))
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
    write(tmp_path / "bybit_btcusdt_1m.csv", native())
    write(tmp_path / "bybit_btcusdt_oi.csv", open_interest())
    write(
        tmp_path / "okx_btcusdt_funding.csv", {"funding_time": [T0], "funding_rate": [1e-4]}
    )
    prices = {"time": [T0], "mark_price": [4e4]}
    write(tmp_path / "okx_btcusdt_mark.csv", prices)
    plan = plan_import(tmp_path, BTC)
    assert [item.part.kind for item in plan.items] == ["bars"]
    assert dict(plan.skipped) == {
        "bybit_btcusdt_oi.csv": "open interest of bybit; never borrowed",
        "okx_btcusdt_funding.csv": "funding of okx; never borrowed",
        "okx_btcusdt_mark.csv": "mark of okx; never borrowed",
    }
    refused(plan_import, tmp_path / "bybit_btcusdt_oi.csv", BTC, words="never borrowed")


def test_a_bad_file_of_the_instrument_stops_the_plan_others_do_not(tmp_path):
    write(tmp_path / "binance_btcusdt_1m.csv", native())
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
    write(
        tmp_path / "binance_btcusdt_flow.csv", {"taker_buy_usd": [1], "taker_sell_usd": [2]}
    )
    refused(plan_import, tmp_path, BTC, words="binance_btcusdt_flow.csv: taker flow in USD")


def test_unknown_instruments_get_a_suggestion(tmp_path):
    path = write(tmp_path / "x.csv", native())
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
    write(tmp_path / name, native())
    if ours:
        assert len(plan_import(tmp_path, instrument).items) == 1
    else:
        refused(plan_import, tmp_path, instrument, words="its name has no")


def test_a_symbol_column_of_another_is_refused(tmp_path):
    columns = {"create_time": ["2024-01-01 00:05:00"], "symbol": ["ETHUSDT"],
               "sum_open_interest": [8e4], "sum_open_interest_value": [3.2e9]}  # fmt: skip
    path = write(tmp_path / "m.csv", columns)
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
    write(tmp_path / "binance_btcusdt_1m.csv", native())
    path = tmp_path / "binance_btcusdt_oi.csv"
    write(path, open_interest(open_interest_usd=[8e4 * 40_000.0] * 5))
    assert len(plan_import(tmp_path, BTC).items) == 2
    write(path, open_interest(open_interest_usd=[8e4] * 5))
    refused(plan_import, tmp_path, BTC, words="no price of these bars")
    write(path, open_interest(qty=3.2e9))
    refused(
        plan_import, tmp_path, BTC, words="btcusdt_oi.csv: open interest looks like USD"
    )


def test_open_interest_alone_is_checked_against_stored_bars(tmp_path):
    path = write(tmp_path / "oi.csv", open_interest(qty=3.2e9))
    plan = plan_import(path, BTC)
    with Store.open(tmp_path / "data") as store:
        store.write("bars", make_bars(9))
        refused(run_import, store, plan, now_ms=NOW, words="looks like USD")
        assert store.span("open_interest", BTC) is None
        assert store.span("imports", BTC) is None


def test_times_to_come_are_refused(tmp_path):
    path = write(tmp_path / "x.csv", native())
    plan_import(path, BTC, now_ms=T0)
    refused(plan_import, path, BTC, now_ms=T0 - 2 * 86_400_000, words="end in the future")


def test_event_rows_out_of_order_or_doubled_are_refused(tmp_path):
    columns = open_interest()
    for other in (T0 + MINUTE, T0 + 2 * MINUTE):
        columns["time"][2] = other
        path = write(tmp_path / "oi.csv", columns)
        refused(
            plan_import,
            path,
            BTC,
            words="oi.csv line 4: 'time' is not after the row before",
        )


def test_mark_candles_become_readings(tmp_path):
    columns = {name: values for name, values in native().items() if name != "qty"}
    write(tmp_path / "binance_btcusdt_mark_1m.csv", columns)
    (item,) = plan_import(tmp_path, BTC).items
    assert (item.part.kind, item.rows) == ("mark", 6)
    assert item.part.table["mark_price"].to_pylist()[:5] == list(columns["open"])
    assert "high and low have no time" in item.line()


def test_context_files_hold_two_kinds(tmp_path):
    columns = {"mark_price": [4e4, 4.1e4], "oracle_price": [4e4, None],
               "open_interest_base": [3e4, 3.1e4], "time": [T0, T0 + MINUTE]}  # fmt: skip
    plan = plan_import(write(tmp_path / "x.parquet", columns), "hyperliquid:BTC")
    assert [item.part.kind for item in plan.items] == ["open_interest", "mark"]
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        assert store.read("mark", "hyperliquid:BTC")["index_price"].to_pylist() == [
            4e4,
            None,
        ]


# -- Bybit counts both sides ---------------------------------------------------------------


def test_bybit_open_interest_needs_its_sides_said(tmp_path):
    path = write(tmp_path / "bybit_btcusdt_oi.csv", open_interest(qty=5e4))
    text = refused(plan_import, path, "bybit:BTCUSDT", words="counts both sides")
    assert "open_interest_qty=<column>/2" in text
    write(tmp_path / "bybit_btcusdt_1m.csv", native())
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


def test_bybit_single_open_interest_needs_nothing_said(tmp_path):
    columns = {"timestamp": [T0], "openInterest": [5e4], "singleOpenInterest": [2.5e4]}
    plan = plan_import(write(tmp_path / "x.parquet", columns), "bybit:BTCUSDT")
    assert plan.items[0].part.table["open_interest_qty"].to_pylist() == [2.5e4]


# -- liquidations --------------------------------------------------------------------------


def tape(exchanges: list[str], **more: object) -> dict[str, object]:
    n = len(exchanges)
    return {"time": [T0 + 1] * n, "exchange": exchanges, "side": ["long"] * n,
            "price": [39_000.0] * n, "qty": [1.5] * n, **more}  # fmt: skip


def test_a_tape_of_several_exchanges_is_kept_whole(tmp_path):
    columns = tape(["binance", "bybit", "okx"], suspect_okx_inverse=[False, False, True],
                   ref_price=[39_200.0] * 3)  # fmt: skip
    plan = plan_import(write(tmp_path / "multi_btcusdt.parquet", columns), BTC)
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
    plan = plan_import(write(tmp_path / "x.csv", tape(["binance"] * 3)), BTC)
    with Store.open(tmp_path / "data") as store:
        assert run_import(store, plan, now_ms=NOW).new == 3
        assert run_import(store, plan, now_ms=NOW).same == 3


def test_a_tape_of_another_exchange_is_not_borrowed(tmp_path):
    path = write(tmp_path / "x.csv", tape(["bybit"] * 2))
    refused(plan_import, path, BTC, words="liquidations of bybit only; never borrowed")
    assert len(plan_import(path, "bybit:BTCUSDT").items) == 1


def test_a_tape_without_exchange_is_the_instruments(tmp_path):
    columns = tape(["binance"])
    del columns["exchange"]
    plan = plan_import(write(tmp_path / "x.csv", columns), BTC)
    with Store.open(tmp_path / "data") as store:
        run_import(store, plan, now_ms=NOW)
        assert store.read("liquidations", BTC)["exchange"].to_pylist() == ["binance"]


def test_sides_of_orders_are_refused(tmp_path):
    path = write(tmp_path / "x.csv", tape(["binance"], side=["SELL"]))
    refused(plan_import, path, BTC, words="line 2: 'side' is not long or short.*'SELL'")


# -- interruption --------------------------------------------------------------------------


def test_ctrl_c_leaves_whole_batches_and_their_provenance(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BATCH_ROWS", 10)
    plan = plan_import(write(tmp_path / "x.csv", native(35)), BTC)

    def interrupt(done: int, total: int, name: str) -> None:
        assert total == 35
        if done == 20:
            raise KeyboardInterrupt

    with Store.open(tmp_path / "data") as store:
        with pytest.raises(KeyboardInterrupt):
            run_import(store, plan, interrupt, now_ms=NOW)
        assert store.span("bars", BTC).rows == 20
        assert store.read("imports", BTC)["rows"].to_pylist() == [20]
        report = run_import(store, plan, now_ms=NOW)
        assert (report.new, report.same) == (15, 20)


# -- recorded data -------------------------------------------------------------------------


def test_recorded_files_make_the_whole_of_binance_btcusdt(shared_data, tmp_path):
    plan = plan_import(shared_data, BTC)
    kinds = {item.part.kind: item for item in plan.items}
    assert kinds.keys() == {"bars", "open_interest", "funding", "liquidations"}
    assert kinds["bars"].borrowed_from == "bybit"
    with Store.open(tmp_path) as store:
        assert run_import(store, plan, now_ms=NOW).new == plan.rows
        bars = store.load_bars(BTC)
        tape_rows = store.read("liquidations", BTC)
        assert store.gaps(BTC) == []
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
