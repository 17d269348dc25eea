"""Reading files: what is recognised, what is refused and in which words."""

import gzip
import zipfile

import numpy as np
import pyarrow as pa
import pytest

from liqheat.exchanges.files import plan_import, read_bars
from tests.conftest import MINUTE, NATIVE, T0, make_bars, native_bars, refused, write_file

BTC = "binance:BTCUSDT"


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
    columns = native_bars(
        open_interest_qty=[1e4, 2e4, np.nan, 3e4, 4e4], taker_buy_qty=[1.0] * 5
    )
    bars = read_bars(write_file(tmp_path / f"x{suffix}", columns))
    assert bars.interval_ms == MINUTE
    for name, values in columns.items():
        np.testing.assert_array_equal(getattr(bars, name), values)


def test_content_decides_not_the_name(tmp_path):
    path = write_file(tmp_path / "x.parquet", native_bars())
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
    bars = read_bars(write_file(tmp_path / f"x{suffix}", native_bars(start_ms=times)))
    np.testing.assert_array_equal(bars.start_ms, T0 + np.arange(5) * MINUTE)


def test_semicolons_quotes_and_a_byte_order_mark(tmp_path):
    text = '\ufeff"time";"open";"high";"low";"close";"Volume"\n'
    text += f'{T0};"1.0";2.0;1.0;1.5;10\n{T0 + MINUTE};1.5;2.0;1.0;1.5;\t7\n'
    (tmp_path / "x.csv").write_text(text, encoding="utf-8")
    np.testing.assert_array_equal(read_bars(tmp_path / "x.csv").qty, [10.0, 7.0])


# -- mapping -------------------------------------------------------------------------------


def test_a_mapping_names_columns_and_factors(tmp_path):
    columns = native_bars()
    columns = {"ts": columns["start_ms"], **{k: columns[k] for k in NATIVE[1:5]},
               "vol": columns["qty"], "OI": np.full(5, 2e4)}  # fmt: skip
    path = write_file(tmp_path / "x.csv", columns)
    bars = read_bars(
        path, {"start_ms": "ts", "qty": "vol*2", "open_interest_qty": "OI / 2"}
    )
    np.testing.assert_array_equal(bars.qty, make_bars(5)["qty"].to_numpy() * 2)
    np.testing.assert_array_equal(bars.open_interest_qty, 1e4)


def test_a_mapping_wins_over_a_known_name(tmp_path):
    path = write_file(tmp_path / "x.csv", native_bars(volume=np.full(5, 3.0)))
    np.testing.assert_array_equal(read_bars(path, {"qty": "volume"}).qty, 3.0)


def test_wrong_mappings_get_a_suggestion(tmp_path):
    path = write_file(tmp_path / "x.csv", native_bars(volumen=np.full(5, 3.0)))
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
    columns = {name: list(values) for name, values in native_bars().items()}
    for name, value in change.items():
        columns[name][row] = value
        columns[name] = [str(v) for v in columns[name]]
    text = refused(read_bars, write_file(tmp_path / "bars.csv", columns), words=words)
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
    refused(read_bars, tmp_path, words="is no regular file")
    path = write_file(tmp_path / "x.parquet", native_bars(2000))
    path.write_bytes(path.read_bytes()[:-500])
    refused(read_bars, path, words="x.parquet: the file is damaged or truncated")


def test_open_interest_in_usd_is_refused_where_bars_can_tell(tmp_path):
    columns = native_bars(open_interest_qty=np.full(5, 3e9))
    refused(read_bars, write_file(tmp_path / "x.csv", columns), words="looks like USD")
