"""Any order and overlap of writes, in any pieces, gives the same table and the same counts."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from liqheat.store import Store, WriteResult
from tests.conftest import make_bars, make_liquidations

BTC = "binance:BTCUSDT"
#: Pieces (start, length) of the same endless market, some without the optional column.
pieces = st.lists(
    st.tuples(st.integers(0, 40), st.integers(1, 20), st.booleans()), min_size=1, max_size=8
)


@settings(deadline=None, max_examples=40)
@given(pieces, st.randoms(use_true_random=False))
def test_any_order_and_overlap_of_writes_gives_one_table(drawn, random):
    tables = []
    for start, n, partial in drawn:
        table = make_bars(n, start=start)
        tables.append(table.drop_columns(["taker_buy_qty"]) if partial else table)
    results = []
    for order in (tables, random.sample(tables, len(tables)), tables + tables):
        with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
            total = WriteResult()
            for table in order:
                rows = list(range(len(table)))
                random.shuffle(rows)
                total += store.write("bars", table.take(rows))
            results.append(store.read("bars", BTC))
            assert total.new == len(results[-1]) == store.span("bars", BTC).rows
            assert total.new + total.changed + total.same == sum(map(len, order))
    assert results[0].equals(results[1])
    assert results[0].equals(results[2])
    assert set(results[0]["start_ms"].to_pylist()) == {
        time for table in tables for time in table["start_ms"].to_pylist()
    }


@settings(deadline=None, max_examples=20)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_equal_liquidations_are_counted_whatever_their_order(times):
    with TemporaryDirectory() as folder, Store.open(Path(folder)) as store:
        table = make_liquidations(times)
        assert store.write("liquidations", table).new == len(times)
        back = pa.concat_tables([table.slice(i, 1) for i in reversed(range(len(times)))])
        assert store.write("liquidations", back) == WriteResult(same=len(times))
