"""Figures beside the map: columns of the heatmap, units, one side, and what is not known."""

import numpy as np
import pyarrow as pa
import pytest

from liqheat.errors import BadInputError, UnavailableError
from liqheat.market.events import Bars, Liquidation
from liqheat.market.instrument import instrument
from liqheat.service.query import Query
from liqheat.service.recorded import Realised, Recording, joint_completeness
from liqheat.service.series import Series, build_series
from liqheat.service.tape import Tape
from liqheat.service.window import build_stored
from liqheat.store import Store
from tests.market import DAY, HOUR, MINUTE, SYMBOL, T0, bar, fill, market

N = 2 * 1440
INVERSE, OKX, HYPER = "simulated:BTCUSD", "okx:BTC-USDT-SWAP", "hyperliquid:BTC"
QUERY = Query(SYMBOL, range="12h", step="30m", bins=50)
COIN = Query("BTC", range="12h", step="30m", bins=50)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        yield opened


def put(
    store: Store, bars: Bars, name: str = SYMBOL, *, taker: float | None = None
) -> None:
    store.put_instrument(instrument(name))
    fill(store, bars, name)
    if taker is not None:
        store.write("bars", pa.table({
            "instrument": [name] * len(bars), "interval_ms": [MINUTE] * len(bars),
            **{c: getattr(bars, c) for c in ("start_ms", "open", "high", "low", "close", "qty")},
            "taker_buy_qty": bars.qty * taker, "source": ["test"] * len(bars),
        }))  # fmt: skip


def forced(name: str, at: int, side: str = "long", usd: float = 1e4, **more) -> Liquidation:
    return Liquidation(name, at, side, 6e4, "order", usd / 6e4, usd, **more)


def write(store: Store, *rows: Liquidation) -> None:
    columns = ("instrument", "event_ms", "position_side", "price", "price_kind", "qty",
               "notional_usd", "completeness")  # fmt: skip
    store.write("liquidations", pa.table(
        {name: [getattr(row, name) for row in rows] for name in columns}
        | {"exchange": [row.instrument.partition(":")[0] for row in rows]}
    ))  # fmt: skip


def funded(store: Store, rates: dict[int, float], name: str = SYMBOL) -> None:
    store.write("funding", pa.table({
        "instrument": [name] * len(rates), "event_ms": list(rates),
        "funding_rate": list(rates.values()),
    }))  # fmt: skip


def lost(store: Store, kind: str, start: int, end: int, name: str = SYMBOL) -> None:
    store.write("gaps", pa.table({
        "instrument": [name], "event_ms": [start], "end_ms": [end], "kind": [kind],
        "reason": ["lost"],
    }))  # fmt: skip


def series(store: Store, query: Query = QUERY, *names: str, **more) -> Series:
    held = {one.instrument.name: one for one in store.instruments()}
    found = [
        Recording(store, held[name], Tape(), **{"collected": True, **more})
        for name in (names or held)
    ]
    return build_series(query, found, coin=":" not in query.instrument)


def plain(n: int = N, price: float = 6e4, **columns) -> Bars:
    """Bars of one price, 2 traded a minute, 1000 open."""
    return Bars.from_columns({
        "start_ms": T0 + MINUTE * np.arange(n), **dict.fromkeys(
            ("open", "high", "low", "close"), np.full(n, price)),
        "qty": np.full(n, 2.0), "open_interest_qty": np.full(n, 1000.0), **columns,
    })  # fmt: skip


# -- the columns of the heatmap ------------------------------------------------------------


@pytest.mark.parametrize("more", [
    {}, {"step": "5m"}, {"step": None}, {"range": "3M", "step": None}, {"range": "24h"},
    {"as_of_ms": T0 + DAY + 7 * HOUR + 12_345}, {"as_of_ms": T0 + 9 * DAY},
], ids=str)  # fmt: skip
def test_columns_and_open_interest_are_those_of_the_heatmap(store, more) -> None:
    put(store, market(N - 7))
    query = Query(SYMBOL, **{"range": "12h", "step": "30m", "bins": 50, **more})
    heat, found = build_stored(store, query), series(store, query)
    np.testing.assert_array_equal(found.start_ms, heat.start_ms)
    assert found.step_ms == heat.step_ms
    np.testing.assert_allclose(found.open_interest_usd, heat.open_interest_usd, rtol=1e-12)
    assert np.nansum(found.qty_usd) > 0


def test_columns_of_a_coin_are_those_of_its_heatmap(store) -> None:
    put(store, market(N))
    put(store, market(N - 60, seed=2), OKX)
    put(store, market(300, seed=3), HYPER)  # long before the window
    for query in (COIN, Query("BTC", range="1M"), Query("BTC", range="24h", exchanges="okx"),
                  Query("BTC", range="12h", as_of_ms=T0 + DAY)):  # fmt: skip
        names = (OKX,) if query.exchanges else ()
        heat, found = build_stored(store, query), series(store, query, *names)
        np.testing.assert_array_equal(found.start_ms, heat.start_ms)
        if query.range != "1M":
            known = np.isfinite(found.open_interest_usd)
            assert known.all()
        left = [note for note in heat.quality.notes if "left out" in note]
        assert [note for note in found.notes if "left out" in note] == left


def test_a_hole_before_the_window_does_not_move_its_start(store) -> None:
    bars = market(20 * 1440)
    put(store, bars[: 10 * 1440])
    put(store, bars[20 * 1440 - 300 :])
    query = Query(SYMBOL, range="3d", step="1h")
    heat, found = build_stored(store, query), series(store, query)
    np.testing.assert_array_equal(found.start_ms, heat.start_ms)
    assert np.isnan(found.qty_usd[0])
    assert np.isnan(found.open_interest_usd[0])  # ten days old by then
    assert np.isfinite(found.qty_usd[-1])


def test_what_cannot_be_drawn_is_refused_as_the_map_refuses_it(store) -> None:
    put(store, market(N))
    with pytest.raises(BadInputError, match="at most 4000"):
        series(store, Query(SYMBOL, range="1Y", step="1m"))
    with pytest.raises(UnavailableError):
        series(store, Query(SYMBOL, as_of_ms=T0 - DAY))


def test_nothing_later_than_as_of_is_used(store) -> None:
    put(store, market(N))
    write(store, *(forced(SYMBOL, T0 + i * HOUR + 5) for i in range(48)))
    funded(store, {T0 + i * 8 * HOUR: 1e-4 * i for i in range(1, 6)})
    as_of = T0 + 40 * HOUR + 5
    query = Query(SYMBOL, range="12h", step="1h", as_of_ms=as_of)
    before = series(store, query)
    assert np.nansum(before.liquidated_long_usd) == 12e4
    assert before.funding_rate[-1] == pytest.approx(5e-4)
    put(store, market(N + 600)[N:])
    write(store, forced(SYMBOL, as_of + 1), forced(SYMBOL, as_of + HOUR))
    funded(store, {as_of + 1: 0.5})
    after = series(store, query)
    for name in ("liquidated_long_usd", "funding_rate", "open_interest_usd", "qty_usd"):
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))


# -- units ---------------------------------------------------------------------------------


def test_traded_usd_is_base_units_times_price_not_contracts(store) -> None:
    # A contract of OKX is 0.01 BTC; the store holds base units already.
    assert instrument(OKX).contract_size == 0.01
    put(store, plain(), OKX)
    found = series(store, Query(OKX, range="12h", step="30m"))
    np.testing.assert_allclose(found.qty_usd, 30 * 2 * 6e4)
    np.testing.assert_allclose(found.open_interest_usd, 1000 * 6e4)


def test_open_interest_is_of_one_side_not_of_both(store) -> None:
    put(store, plain())
    assert series(store).open_interest_usd[-1] == 1000 * 6e4


def test_open_interest_of_an_inverse_contract_does_not_move_with_the_price(store) -> None:
    # 6e7 USD open while the price doubles within the column: read once, at its start.
    close = np.full(N, 6e4)
    close[-20:] = 12e4
    interest = np.full(N, 1000.0)
    interest[-20:] = np.nan
    bars = plain(open=close, high=close, low=close, close=close, open_interest_qty=interest)
    put(store, bars, INVERSE)
    found = series(store, Query(INVERSE, range="12h", step="30m"))
    assert found.open_interest_usd[-1] == 1000 * 6e4
    # Its volume is contracts: base units at each bar's own close.
    assert found.qty_usd[-1] == pytest.approx(2 * (10 * 6e4 + 20 * 12e4))
    put(store, bars, SYMBOL)
    linear = series(store, QUERY, SYMBOL)
    assert linear.open_interest_usd[-1] == 1000 * 12e4


def test_liquidations_are_their_notional_not_quantity_times_close(store) -> None:
    put(store, plain(), INVERSE)
    at = T0 + (N - 10) * MINUTE
    write(store, Liquidation(INVERSE, at, "short", 5e4, "bankruptcy", 0.2, 1e4))
    found = series(store, Query(INVERSE, range="12h", step="30m"))
    assert found.liquidated_short_usd[-1] == 1e4
    assert found.liquidated_long_usd[-1] == 0.0


def test_cvd_counts_only_bars_which_tell_buys_from_sells(store) -> None:
    # The second instrument has no split: its volume must not count as sells.
    put(store, plain(), SYMBOL, taker=0.75)
    put(store, plain(), OKX)
    found = series(store, COIN)
    np.testing.assert_allclose(found.qty_usd, 2 * 30 * 2 * 6e4)
    np.testing.assert_allclose(found.taker_buy_usd, 30 * 1.5 * 6e4)
    np.testing.assert_allclose(found.taker_sell_usd, 30 * 0.5 * 6e4)
    assert f"taker buys and sells: not known of {OKX}" in found.notes
    alone = series(store, Query(OKX, range="12h", step="30m"), OKX)
    assert np.isnan(alone.taker_buy_usd).all()
    assert np.isnan(alone.taker_sell_usd).all()


def test_cvd_of_a_column_with_some_bars_split(store) -> None:
    put(store, plain())
    put(store, plain()[N - 10 :], taker=0.75)
    found = series(store)
    assert found.taker_buy_usd[-1] == pytest.approx(10 * 1.5 * 6e4)
    assert found.taker_sell_usd[-1] == pytest.approx(10 * 0.5 * 6e4)
    assert np.isnan(found.taker_buy_usd[:-1]).all()
    assert any(note.startswith(f"taker buys and sells of {SYMBOL}") for note in found.notes)


def test_linear_and_inverse_add_up_in_usd(store) -> None:
    put(store, plain(), "simulated:BTCUSDT")
    put(store, plain(), INVERSE)
    found = series(store, Query("simulated:BTC", range="12h", step="30m"))
    np.testing.assert_allclose(found.open_interest_usd, 2 * 1000 * 6e4)
    assert set(found.open_interest_of) == {2}
    assert found.lead == "simulated:BTCUSDT"


# -- what is not known ---------------------------------------------------------------------


def test_open_interest_which_was_never_read_is_null_not_zero(store) -> None:
    put(store, plain(open_interest_qty=np.full(N, np.nan)))
    found = series(store)
    assert np.isnan(found.open_interest_usd).all()
    assert set(found.open_interest_of) == {0}
    assert f"open interest: not known of {SYMBOL}" in found.notes


def test_open_interest_of_zero_is_no_reading(store) -> None:
    interest = np.full(N, 1000.0)
    interest[-5:] = 0.0
    put(store, plain(open_interest_qty=interest))
    assert series(store).open_interest_usd[-1] == 1000 * 6e4


def test_open_interest_is_null_before_the_first_reading_and_where_stale(store) -> None:
    interest = np.full(N, np.nan)
    interest[N - 300] = 1000.0
    put(store, plain(open_interest_qty=interest))
    found = series(store, Query(SYMBOL, range="12h", step="30m"))
    known = np.isfinite(found.open_interest_usd)
    read = 24 - 300 // 30
    # Its own column, and the next until it is an hour old.
    assert np.flatnonzero(known).tolist() == [read, read + 1]


def test_open_interest_of_each_five_minutes_is_known_each_minute(store) -> None:
    interest = np.full(N, np.nan)
    interest[4::5] = 1000.0
    put(store, plain(open_interest_qty=interest))
    found = series(store, Query(SYMBOL, range="12h", step="1m"))
    assert np.isfinite(found.open_interest_usd).all()
    assert found.notes == (f"taker buys and sells: not known of {SYMBOL}",
                           f"liquidations: not known of {SYMBOL}")  # fmt: skip


def test_open_interest_in_a_recorded_gap_is_null(store) -> None:
    interest = np.full(N, 1000.0)
    interest[N - 40 : N - 10] = np.nan
    put(store, plain(open_interest_qty=interest))
    begin = T0 + (N - 40) * MINUTE
    assert np.isfinite(
        series(store, Query(SYMBOL, range="12h", step="5m")).open_interest_usd
    ).all()
    lost(store, "open_interest", begin + 5_000, begin + 30 * MINUTE)
    found = series(store, Query(SYMBOL, range="12h", step="5m"))
    assert np.flatnonzero(np.isnan(found.open_interest_usd)).tolist() == list(
        range(136, 142)
    )


def test_a_sum_tells_of_how_many_instruments_it_is(store) -> None:
    put(store, plain())
    interest = np.full(N, np.nan)
    interest[N - 90 :] = 500.0
    put(store, plain(open_interest_qty=interest), OKX)
    found = series(store, COIN)
    assert found.open_interest_of.tolist() == [1] * 21 + [2] * 3
    assert found.open_interest_usd[20] == 1000 * 6e4
    assert found.open_interest_usd[21] == 1500 * 6e4
    assert any(
        "open interest of okx:BTC-USDT-SWAP: known for 12%" in n for n in found.notes
    )


def test_a_column_without_a_bar_has_no_volume_rather_than_none(store) -> None:
    bars = plain()
    put(store, bars[: N - 120])
    put(store, bars[N - 60 :])
    found = series(store)
    assert np.flatnonzero(np.isnan(found.qty_usd)).tolist() == [20, 21]


def test_no_liquidations_are_zero_only_while_they_were_recorded(store) -> None:
    put(store, plain())
    assert np.isnan(series(store).liquidated_long_usd).all()
    first = T0 + (N - 300) * MINUTE
    write(store, forced(SYMBOL, first, completeness="sampled_1s"))
    found = series(store)
    assert np.flatnonzero(np.isfinite(found.liquidated_long_usd)).tolist() == list(
        range(14, 24)
    )
    assert found.liquidated_long_usd[14] == 1e4
    assert set(found.liquidated_long_usd[15:]) == {0.0}
    assert found.liquidations_completeness == "sampled_1s"
    # A hole of an hour: its two columns are not known, those it touches are lower bounds.
    lost(store, "liquidations", first + HOUR, first + 2 * HOUR)
    found = series(store)
    assert np.flatnonzero(np.isnan(found.liquidated_short_usd)[14:]).tolist() == [2, 3]
    # Nobody collects here: after the last row nothing is known.
    found = series(store, collected=False)
    assert np.flatnonzero(np.isfinite(found.liquidated_long_usd)).tolist() == [14]


def test_a_feed_without_a_row_yet_is_recorded_from_the_end_of_its_first_gap(store) -> None:
    put(store, plain())
    lost(store, "liquidations", T0 - 30 * DAY, T0 + (N - 60) * MINUTE)
    found = series(store, feed="full")
    assert np.flatnonzero(found.liquidated_long_usd == 0).tolist() == [22, 23]
    assert found.liquidations_completeness == "full"


def test_all_stored_liquidations_are_summed_not_the_largest(store) -> None:
    put(store, plain())
    start = T0 + (N - 720) * MINUTE
    write(store, *(forced(SYMBOL, start + i * 10_000, usd=1.0 + i) for i in range(4000)))
    found = series(store)
    assert np.nansum(found.liquidated_long_usd) == sum(1.0 + i for i in range(4000))


def test_a_row_both_stored_and_live_counts_once(store) -> None:
    put(store, plain())
    start = T0 + (N - 60) * MINUTE
    rows = [forced(SYMBOL, start + i * 1000, usd=100.0) for i in range(30)]
    late = forced(SYMBOL, start + 500, usd=7.0)
    write(store, *rows[:20])
    # Live are some which are stored, those not written yet, and one that came late.
    found = series(store, live=(*rows[10:], late))
    assert np.nansum(found.liquidated_long_usd) == 30 * 100.0 + 7.0


def test_a_feed_beside_one_without_is_a_lower_bound() -> None:
    assert joint_completeness([None, None]) is None
    assert joint_completeness(["sampled_1s", "full"]) == "lower_bound"


def test_covered_time_is_shared_out_to_columns() -> None:
    empty = np.zeros(0)
    known = Realised(empty.astype(np.int64), empty.astype(bool), empty,
                     ((10, 20), (25, 60)), "full")  # fmt: skip
    edges = np.array([0, 10, 15, 22, 30, 70, 80])
    assert known.covered_ms(edges).tolist() == [0, 5, 5, 5, 30, 0]


# -- funding -------------------------------------------------------------------------------


def test_funding_is_the_last_rate_paid_by_the_end_of_the_column(store) -> None:
    put(store, plain())
    end = T0 + N * MINUTE
    funded(store, {end - 16 * HOUR: 1e-4, end - 8 * HOUR: -2e-4, end: 3e-4})
    found = series(store, Query(SYMBOL, range="12h", step="1h"))
    np.testing.assert_allclose(found.funding_rate, [1e-4] * 3 + [-2e-4] * 8 + [3e-4])
    assert found.funding_interval_ms == 8 * HOUR


def test_funding_of_a_coin_is_its_leads_and_old_rates_are_forgotten(store) -> None:
    put(store, plain())
    put(store, plain(qty=np.full(N, 9.0)), OKX)
    funded(store, {T0 + HOUR: 1e-4}, SYMBOL)
    funded(store, {T0 + HOUR: 7e-4}, OKX)
    found = series(store, Query("BTC", range="48h", step="1h"))
    assert found.lead == OKX
    assert f"funding of {OKX}" in found.notes
    assert found.funding_rate[0] == 7e-4  # paid at its very end
    assert found.funding_rate[24] == 7e-4
    assert np.isnan(found.funding_rate[26:]).all()


def test_live_bars_reach_the_series_before_they_are_stored(store) -> None:
    bars = plain(N + 30)
    put(store, bars[:N])
    tape = Tape()
    for i in range(N, N + 30):
        tape.take(bar(bars, i))
    [held] = store.instruments()
    found = build_series(QUERY, [Recording(store, held, tape)], coin=False)
    assert found.start_ms[-1] == T0 + N * MINUTE
    assert found.qty_usd[-1] == pytest.approx(30 * 2 * 6e4)
