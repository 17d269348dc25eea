"""What every implementation of the store must do; a new one is added to ``OPENERS``."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from liqheat.errors import BadInputError, UnavailableError, UnknownInstrumentError
from liqheat.market.instrument import instrument as shipped
from liqheat.store import SCHEMAS, Span, Store, WriteResult
from tests.conftest import (
    MINUTE,
    T0,
    make_bars,
    make_events,
    make_gap,
    make_liquidations,
)

OPENERS: dict[str, Callable[[Path], Store]] = {"sqlite": Store.open}
BTC = "binance:BTCUSDT"


@pytest.fixture(params=OPENERS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with OPENERS[request.param](tmp_path) as opened:
        yield opened


@pytest.fixture(params=OPENERS)
def reopen(request: pytest.FixtureRequest) -> Callable[[Path], Store]:
    return OPENERS[request.param]


def full(table: pa.Table, kind: str) -> pa.Table:
    """Return what reading the table back must give."""
    columns = {
        field.name: table[field.name] if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in SCHEMAS[kind]
    }  # fmt: skip
    for name, column in columns.items():
        if pa.types.is_floating(column.type):
            columns[name] = pa.array(np.asarray(column, dtype=float), from_pandas=True)
    return pa.table(columns).cast(SCHEMAS[kind])


EXAMPLES = {
    "bars": make_bars(20),
    "open_interest": make_events("open_interest"),
    "mark": make_events("mark"),
    "funding": make_events("funding"),
    "liquidations": make_liquidations([0, 5, 5_000]),
    "positions": pa.table({
        "instrument": [BTC] * 2, "event_ms": [T0, T0], "account": ["0xa", "0xb"],
        "position_side": ["long", "short"], "qty": [1.5, 0.0], "entry_price": [6e4, 6e4],
        "liquidation_price": [5e4, None], "leverage": [10.0, None],
    }),
    "long_short": pa.table(
        {"instrument": [BTC], "event_ms": [T0], "accounts_ratio": [1.5]}
    ),
    "depth": pa.table({
        "instrument": [BTC] * 3, "event_ms": [T0] * 3, "book_side": ["ask", "bid", "bid"],
        "price": [60_001.0, 59_998.0, 59_999.0], "qty": [1.0, 3.0, 2.0],
    }),
    "gaps": make_gap(3, 5, "liquidations"),
    "imports": pa.table({
        "imported_ms": [T0], "instrument": [BTC], "kind": ["bars"], "file": ["a.csv"],
        "sha256": ["00"], "rows": [20], "new": [20], "changed": [0], "same": [0],
        "source": ["file:a.csv"], "note": [""],
    }),
}  # fmt: skip


def test_examples_cover_every_kind():
    assert EXAMPLES.keys() == SCHEMAS.keys()


@pytest.mark.parametrize("kind", EXAMPLES)
def test_rows_come_back_as_written_and_twice_is_once(store, kind):
    table = EXAMPLES[kind]
    assert store.write(kind, table) == WriteResult(new=len(table))
    assert store.write(kind, table) == WriteResult(same=len(table))
    found = store.read(kind, BTC)
    assert found.schema == SCHEMAS[kind]
    if kind == "liquidations":
        table = table.append_column("seq", pa.array([0] * len(table)))
    assert found.equals(full(table, kind).sort_by(SCHEMAS[kind].names[1]))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_unknown_instrument_reads_as_no_rows_of_the_schema(store, kind):
    found = store.read(kind, "nowhere:NOTHING")
    assert (found.num_rows, found.schema) == (0, SCHEMAS[kind])
    assert store.span(kind, "nowhere:NOTHING") is None


def test_a_write_counts_new_changed_and_same_exactly(store):
    store.write("bars", make_bars(10))
    table = make_bars(10, start=5)
    qty = table["qty"].to_numpy().copy()
    qty[1:3] += 1.0
    table = table.set_column(table.schema.get_field_index("qty"), "qty", pa.array(qty))
    assert store.write("bars", table) == WriteResult(new=5, changed=2, same=3)
    np.testing.assert_array_equal(store.read("bars", BTC)["qty"].to_numpy()[5:], qty)


def test_ranges_are_half_open(store):
    store.write("bars", make_bars(10))
    found = store.read("bars", BTC, T0 + 2 * MINUTE, T0 + 5 * MINUTE)
    assert found["start_ms"].to_pylist() == [T0 + n * MINUTE for n in (2, 3, 4)]


def test_absent_never_overwrites_known(store):
    table = make_bars(6)
    store.write("bars", table)
    result = store.write("bars", table.drop_columns(["taker_buy_qty"]))
    assert result == WriteResult(same=6)
    assert store.read("bars", BTC).equals(full(table, "bars"))


def test_absent_is_filled_in_later(store):
    table = make_bars(6)
    store.write("bars", table.drop_columns(["taker_buy_qty"]))
    known = int(np.isfinite(table["taker_buy_qty"].to_numpy()).sum())
    assert store.write("bars", table) == WriteResult(changed=known, same=6 - known)


def test_a_column_which_begins_absent_keeps_its_type(store):
    table = make_bars(3_000)
    taker = np.full(3_000, np.nan)
    taker[-1] = 2.5
    index = table.schema.get_field_index("taker_buy_qty")
    store.write("bars", table.set_column(index, "taker_buy_qty", pa.array(taker)))
    assert store.read("bars", BTC)["taker_buy_qty"][-1].as_py() == 2.5


def test_the_last_of_one_key_in_a_write_stays(store):
    twice = pa.concat_tables([make_bars(3), make_bars(3, seed=2)])
    assert store.write("bars", twice) == WriteResult(new=3)
    assert store.read("bars", BTC).equals(full(make_bars(3, seed=2), "bars"))


def test_equal_liquidations_within_a_millisecond_are_two(store):
    table = make_liquidations([7, 7, 9])
    assert store.write("liquidations", table) == WriteResult(new=3)
    assert store.write("liquidations", table) == WriteResult(same=3)
    assert store.read("liquidations", BTC)["seq"].to_pylist() == [0, 1, 0]


def test_rows_of_several_instruments_and_intervals_stay_apart(store):
    parts = [
        make_bars(4), make_bars(5, instrument="binance:ETHUSDT"), make_bars(3, interval=300_000),
    ]  # fmt: skip
    assert store.write("bars", pa.concat_tables(parts)) == WriteResult(new=12)
    assert len(store.read("bars", BTC, interval_ms=MINUTE)) == 4
    assert len(store.read("bars", BTC, interval_ms=300_000)) == 3
    assert len(store.read("bars", "binance:ETHUSDT")) == 5


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("open", -1.0, "open is a positive price"),
        ("close", np.nan, "close is a positive price"),
        ("high", np.inf, "high is a positive price"),
        ("high", 1.0, "high is the highest"),
        ("low", 1e9, "low is the lowest"),
        ("qty", -1.0, "qty is finite"),
        ("taker_buy_qty", 1e9, "taker_buy_qty lies within"),
        ("start_ms", 5, "between 2009 and 2100"),
        ("start_ms", 17 * 10**17, "between 2009 and 2100"),
        ("interval_ms", 0, "interval_ms is positive"),
    ],
)
def test_a_bad_row_refuses_the_whole_write(store, column, value, words):
    table = make_bars(5)
    values = table[column].to_numpy().copy()
    values[3] = value
    index = table.schema.get_field_index(column)
    with pytest.raises(BadInputError, match=words) as caught:
        store.write("bars", table.set_column(index, column, pa.array(values)))
    assert "\n" not in str(caught.value)
    assert store.read("bars", BTC).num_rows == 0
    assert store.span("bars", BTC) is None


@pytest.mark.parametrize(
    ("kind", "column", "value", "words"),
    [
        ("positions", "position_side", "buy", "long or short"),
        ("positions", "qty", -1.0, "qty is finite and not negative"),
        ("positions", "entry_price", 0.0, "entry_price is a positive price"),
        ("positions", "liquidation_price", -5.0, "liquidation_price is a positive price"),
        ("positions", "leverage", 0.0, "leverage is positive"),
        ("long_short", "accounts_ratio", np.inf, "accounts_ratio is finite"),
        ("depth", "book_side", "buy", "bid or ask"),
        ("depth", "price", 0.0, "price is a positive price"),
    ],
)
def test_a_bad_reading_is_refused(store, kind, column, value, words):
    table = EXAMPLES[kind]
    values = [value, *table[column].to_pylist()[1:]]
    index = table.schema.get_field_index(column)
    with pytest.raises(BadInputError, match=words):
        store.write(kind, table.set_column(index, column, pa.array(values)))
    assert store.read(kind, BTC).num_rows == 0


def test_tables_which_do_not_fit_are_refused_by_name(store):
    table = make_bars(2)
    with pytest.raises(BadInputError, match="did you mean bars"):
        store.write("bar", table)
    with pytest.raises(BadInputError, match="no column 'volume'"):
        store.write("bars", table.append_column("volume", table["qty"]))
    with pytest.raises(BadInputError, match="needs a column 'open'"):
        store.write("bars", table.drop_columns(["open"]))
    with pytest.raises(BadInputError, match="'open' of kind 'bars' is"):
        store.write("bars", table.set_column(3, "open", pa.array(["a", "b"])))
    with pytest.raises(BadInputError, match="absent at row 1"):
        store.write("bars", table.set_column(9, "source", pa.array(["x", None])))
    with pytest.raises(UnknownInstrumentError, match="binance:BTCUSDT"):
        store.write("bars", make_bars(2, instrument="binance:BTCUSD"))
    with pytest.raises(BadInputError, match="did you mean"):
        store.read("barz", BTC)
    assert store.instruments() == []


def test_bars_off_the_stored_grid_are_refused(store):
    def shifted(by: int) -> pa.Table:
        table = make_bars(2)
        return table.set_column(2, "start_ms", pa.array(table["start_ms"].to_numpy() + by))

    with pytest.raises(BadInputError, match="not whole intervals apart"):
        store.write("bars", pa.concat_tables([make_bars(2), shifted(1_000)]))
    store.write("bars", make_bars(2))
    with pytest.raises(BadInputError, match=f"shifted against the stored .* begin at {T0}"):
        store.write("bars", shifted(10 * MINUTE + 1_000))
    assert store.write("bars", shifted(10 * MINUTE)).new == 2


def test_no_rows_are_no_write(store):
    assert store.write("bars", make_bars(0)) == WriteResult()


def test_load_bars_merges_open_interest_known_at_each_end(store):
    store.write("bars", make_bars(4))
    events = pa.table({
        "instrument": [BTC] * 3, "source": ["x"] * 3,
        # In the middle of bar 0; at the end of bar 1 exactly; after the end of the last.
        "event_ms": [T0 + 30_000, T0 + 2 * MINUTE, T0 + 4 * MINUTE + 1],
        "open_interest_qty": [10.0, 20.0, 30.0],
    })  # fmt: skip
    store.write("open_interest", events)
    bars = store.load_bars(BTC)
    np.testing.assert_array_equal(bars.open_interest_qty, [10.0, 20.0, np.nan, np.nan])
    assert bars.interval_ms == MINUTE
    np.testing.assert_array_equal(bars.qty, make_bars(4)["qty"].to_numpy())


def test_load_bars_takes_the_mark_range_where_readings_are_dense(store):
    table = make_bars(3).append_column("mark_high", pa.array([None, None, 41_000.0]))
    store.write("bars", table.append_column("mark_low", pa.array([None, None, 40_500.0])))
    store.write("mark", make_events("mark", 12, step=5_000))
    store.write("mark", make_events("mark", 60, start=24, step=5_000))
    bars = store.load_bars(BTC)
    # Bar 0 has twelve readings, bar 1 none, bar 2 its own stored range.
    np.testing.assert_array_equal(bars.mark_high, [40_011.0, np.nan, 41_000.0])
    np.testing.assert_array_equal(bars.mark_low, [40_000.0, np.nan, 40_500.0])


def test_load_bars_says_what_is_there_when_there_is_nothing(store):
    with pytest.raises(UnavailableError, match=r"no bars of binance:BTCUSDT are stored"):
        store.load_bars(BTC)
    store.write("bars", make_bars(3))
    with pytest.raises(UnavailableError, match="in that range; stored are: 60000 ms"):
        store.load_bars(BTC, T0 + 10**9, T0 + 2 * 10**9)


def test_the_finest_interval_covering_the_range_is_picked(store):
    store.write("bars", make_bars(1_000, interval=300_000))
    store.write("bars", make_bars(100, start=4_900))
    end = T0 + 1_000 * 300_000
    assert store.load_bars(BTC).interval_ms == 300_000
    assert store.load_bars(BTC, end - 90 * MINUTE).interval_ms == MINUTE
    assert (
        store.load_bars(BTC, end - 90 * MINUTE, interval_ms=300_000).interval_ms == 300_000
    )
    assert store.span("bars", BTC) == Span(T0, end, 1_100, MINUTE)


def test_spans_and_instruments_follow_the_writes(store):
    assert store.instruments() == []
    store.write("bars", make_bars(5, start=3))
    store.write("bars", make_bars(5))
    span = store.span("bars", BTC)
    assert (span.start_ms, span.end_ms) == (T0, T0 + 8 * MINUTE)
    assert (span.rows, span.interval_ms) == (8, MINUTE)
    store.write("funding", make_events("funding", 2))
    assert store.span("funding", BTC).end_ms == T0 + MINUTE + 1
    (found,) = store.instruments()
    assert found.instrument == shipped(BTC)
    assert found.spans.keys() == {"bars", "funding"}


def test_a_stored_instrument_replaces_the_shipped_one(store):
    changed = replace_tick(BTC, 0.5)
    store.put_instrument(changed)
    store.put_instrument(changed)
    assert store.instrument(BTC) == changed
    assert store.instrument("bybit:BTCUSDT") == shipped("bybit:BTCUSDT")
    new = replace_tick(BTC, 0.5, symbol="NEWUSDT", coin="NEW")
    store.put_instrument(new)
    assert store.write("bars", make_bars(2, instrument="binance:NEWUSDT")).new == 2
    with pytest.raises(UnknownInstrumentError):
        store.instrument("binance:NOPE")


def replace_tick(name: str, tick: float, **others: str):
    import msgspec

    return msgspec.structs.replace(shipped(name), tick_size=tick, **others)


def test_missing_bars_are_gaps(store):
    store.write("bars", pa.concat_tables([make_bars(3), make_bars(3, start=5)]))
    (gap,) = store.gaps(BTC)
    assert (gap.event_ms, gap.end_ms, gap.kind) == (
        T0 + 3 * MINUTE,
        T0 + 5 * MINUTE,
        "bars",
    )
    store.write("bars", make_bars(2, start=3))
    assert store.gaps(BTC) == []


def test_recorded_gaps_are_kept_and_lend_their_reason(store):
    store.write("bars", pa.concat_tables([make_bars(3), make_bars(3, start=5)]))
    store.write("gaps", make_gap(3, 4, "bars", "socket closed"))
    store.write("gaps", make_gap(1, 2, "bars", "filled since"))
    store.write("gaps", make_gap(6, 9, "liquidations", "feed lost"))
    store.write("gaps", make_gap(8, 99, "bars", "exchange down"))
    found = [((g.event_ms - T0) // MINUTE, (g.end_ms - T0) // MINUTE, g.kind, g.reason)
             for g in store.gaps(BTC)]  # fmt: skip
    assert found == [
        (3, 5, "bars", "socket closed"),
        (6, 9, "liquidations", "feed lost"),
        (8, 99, "bars", "exchange down"),
    ]
    # A gap belongs to every range it overlaps.
    assert len(store.gaps(BTC, T0 + 50 * MINUTE, T0 + 60 * MINUTE)) == 1


def test_what_was_written_is_there_after_reopening(reopen, tmp_path):
    with reopen(tmp_path) as store:
        store.write("bars", make_bars(5))
    with reopen(tmp_path) as store:
        assert store.read("bars", BTC).equals(full(make_bars(5), "bars"))
        assert store.write("bars", make_bars(5)) == WriteResult(same=5)


def test_threads_read_and_write_at_once(store):
    store.write("bars", make_bars(100))

    def work(number: int) -> int:
        if number % 2:
            return store.write("bars", make_bars(100, start=number * 100)).new
        return len(store.load_bars(BTC, T0, T0 + 100 * MINUTE))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(40))) == [100] * 40
    assert store.span("bars", BTC).rows == 100 + 20 * 100
