"""A coin over its instruments: parts sum to the whole, live equals batch, late ones fade."""

import numpy as np
import pytest

from liqheat.errors import BadInputError, UnavailableError, UnknownInstrumentError
from liqheat.market.events import Bars
from liqheat.market.instrument import instrument
from liqheat.service.coin import chosen_exchanges, coin_of, total
from liqheat.service.history import History
from liqheat.service.live import LiveView
from liqheat.service.part import Built, build_part
from liqheat.service.query import Query
from liqheat.service.window import (
    Member,
    build_coin,
    build_stored,
    lead_first,
    plan_coin,
    stored_members,
)
from liqheat.store import Store
from tests.market import MINUTE, SYMBOL, fill, market

N = 3 * 1440
NAMES = (SYMBOL, "bybit:BTCUSDT", "okx:BTC-USDT-SWAP", "hyperliquid:BTC")
QUERY = Query("BTC", range="12h", step="5m", bins=150, price_min=5e4, price_max=7e4)


def bars_of(name: str, n: int = N + 60) -> Bars:
    """Return one market seen by several exchanges: the same prices, other volumes."""
    seed = NAMES.index(name)
    bars = market(n)
    share = (1.0, 0.6, 0.4, 0.2)[seed]
    noise = np.random.default_rng(seed).uniform(0.5, 1.5, n)
    names = ("start_ms", "open", "high", "low", "close")
    return Bars.from_columns(
        {name: getattr(bars, name) for name in names}
        | {"qty": bars.qty * share * noise,
           "open_interest_qty": bars.open_interest_qty * share}
    )  # fmt: skip


def members(n: int = N, names: tuple[str, ...] = NAMES) -> list[Member]:
    return [Member(instrument(name), History.of(bars_of(name)[:n])) for name in names]


def view_of(found: list[Member], query: Query = QUERY) -> LiveView:
    lead, *rest = lead_first(found)
    window, params = plan_coin(query, lead.history, [one.history for one in rest])
    parts = tuple(build_part(window, params, one) for one in (lead, *rest))
    return LiveView(query, "live", Built(window, params, parts))


def rows(name: str, first: int, last: int) -> list:
    return History.of(bars_of(name)[first:last]).rows()


def usd(view: LiveView) -> np.ndarray:
    return view._usd[: view.columns]


def test_parts_sum_to_the_whole_to_the_last_bit() -> None:
    heat = build_coin(QUERY, members())
    assert list(heat.parts) == ["binance", "bybit", "hyperliquid", "okx"]
    for side, name in enumerate(("long_usd", "short_usd")):
        summed = total((exchange, one[side]) for exchange, one in heat.parts.items())
        np.testing.assert_array_equal(summed, getattr(heat, name))
        assert summed.dtype == np.float32
    tiers = [heat.tier_usd(k) for k in range(len(heat.tiers))]
    np.testing.assert_allclose(
        sum(one[0].astype(float) for one in tiers), heat.long_usd, rtol=1e-4, atol=1.0
    )
    interest = sum(one.open_interest_usd for one in heat.members)
    np.testing.assert_allclose(heat.open_interest_usd, interest)
    np.testing.assert_allclose(heat.open_interest_qty * heat.close, interest)


def test_the_most_traded_fresh_linear_instrument_leads() -> None:
    assert build_coin(QUERY, members()[::-1]).quality.notes[0] == f"candles of {SYMBOL}"
    late = [
        Member(instrument(SYMBOL), History.of(bars_of(SYMBOL)[: N - 30])),
        *members()[1:],
    ]
    heat = build_coin(QUERY, late)
    assert heat.members[0].instrument.name == "bybit:BTCUSDT"
    assert heat.instrument.name == "BTC"


def test_an_instrument_without_bars_in_the_window_is_left_out_and_named() -> None:
    old = Member(instrument("okx:BTC-USDT-SWAP"), History.of(bars_of(NAMES[2])[:1440]))
    heat = build_coin(QUERY, [*members()[:2], old])
    assert list(heat.parts) == ["binance", "bybit"]
    assert any("okx:BTC-USDT-SWAP is left out" in note for note in heat.quality.notes)


def test_a_live_coin_equals_the_batch_whatever_order_bars_come_in() -> None:
    view, rng = view_of(members()), np.random.default_rng(5)
    waiting = {name: rows(name, N, N + 60) for name in NAMES}
    while any(waiting.values()):
        name = NAMES[rng.integers(len(NAMES))]
        count = int(rng.integers(1, 4))
        news, waiting[name] = waiting[name][:count], waiting[name][count:]
        view.advance_all({name: (news, waiting[name][0] if waiting[name] else None)})
        assert not view.outdated
        assert view.outdated_parts == []
    heat = build_coin(QUERY, members(N + 60))
    n = min(view.columns, len(heat.start_ms))
    np.testing.assert_array_equal(usd(view)[-n:], total_of(heat)[-n:])
    picture = view.picture()
    np.testing.assert_array_equal(
        picture.candles[3, -n:], heat.close[-n:].astype(np.float32)
    )


def total_of(heat) -> np.ndarray:  # type: ignore[no-untyped-def]
    """Return long + short as a live view adds them: instrument by instrument."""
    return total(
        (one.instrument.exchange, one.long_usd + one.short_usd) for one in heat.members
    )


def test_a_late_instrument_fades_and_comes_back() -> None:
    view = view_of(members())
    for name in NAMES[:3]:
        view.advance_all({name: (rows(name, N, N + 30), None)})
    part = view.parts["hyperliquid:BTC"]
    last = view.columns - 1
    assert part.columns < view.columns
    assert 0 < part.usd[last].sum() < part.usd[part.columns - 1].sum()
    np.testing.assert_array_equal(view._usd[last], view._total(last))
    faded = build_coin(QUERY, [*members(N + 30, NAMES[:3]), *members(N, NAMES[3:])])
    np.testing.assert_array_equal(usd(view)[-3:-1], total_of(faded)[-3:-1])
    view.advance_all({"hyperliquid:BTC": (rows("hyperliquid:BTC", N, N + 30), None)})
    whole = build_coin(QUERY, members(N + 30))
    np.testing.assert_array_equal(usd(view)[-6:], total_of(whole)[-6:])


def test_others_wait_for_the_lead_to_open_a_column() -> None:
    view = view_of(members())
    before = view.columns
    ahead = rows("bybit:BTCUSDT", N, N + 10)
    deltas = view.advance_all({"bybit:BTCUSDT": (ahead, None)})
    assert view.columns == before
    assert all(delta.kind != "append" for delta in deltas or [])
    view.advance_all({SYMBOL: (rows(SYMBOL, N, N + 10), None)})
    assert view.columns == before + 2
    assert not view.parts["bybit:BTCUSDT"].outdated


def test_a_part_is_taken_in_later_or_left_out() -> None:
    view = view_of(members(names=NAMES[:2]))
    seq = view.seq
    for name in NAMES[:2]:
        view.advance_all({name: (rows(name, N, N + 10), None)})
    window = type(view.window)(
        view.t0_ms,
        view.t0_ms + view.columns * view.step_ms,
        view.step_ms,
        view.window.wanted,
    )
    [late] = members(N + 10, NAMES[2:3])
    assert view.adopt_part(build_part(window, view.params, late))
    assert view.seq > seq
    heat = build_coin(QUERY, members(N + 10, NAMES[:3]))
    np.testing.assert_array_equal(usd(view)[-20:], total_of(heat)[-20:])
    view.drop_part(late.instrument.name)
    assert list(view.parts) == list(NAMES[:2])
    other = Query("BTC", range="12h", step="5m", bins=99, price_min=5e4, price_max=7e4)
    _, params = plan_coin(other, late.history, [])
    assert not view.adopt_part(build_part(window, params, late))


def test_exchanges_are_switched_without_building_anything() -> None:
    view = view_of(members())
    only = Query(**{**{n: getattr(QUERY, n) for n in QUERY.__struct_fields__},
                    "exchanges": "okx,bybit"})  # fmt: skip
    some = view.chosen(only, [NAMES[1], NAMES[2]])
    assert list(some.parts) == ["bybit:BTCUSDT", "okx:BTC-USDT-SWAP"]
    fresh = build_coin(only, members(names=NAMES[1:3]))
    np.testing.assert_array_equal(usd(some), total_of(fresh))
    whole = some.chosen(QUERY, NAMES)
    assert list(whole.parts) == [SYMBOL, *sorted(NAMES[1:])]
    for one in (view, some, whole):
        for name in NAMES:
            one.advance_all({name: (rows(name, N, N + 20), None)})
    np.testing.assert_array_equal(usd(whole), usd(view))
    fresh = build_coin(only, members(N + 20, NAMES[1:3]))
    np.testing.assert_array_equal(usd(some)[-10:], total_of(fresh)[-10:])
    picture = some.picture()
    assert picture.candles[3, -1] == np.float32(fresh.close[-1])
    assert view.chosen(QUERY, [*NAMES, "gate:BTC_USDT"]) is None


@pytest.mark.parametrize(
    ("name", "found"),
    [("BTC", ("BTC", False)), ("btc", ("BTC", False)), ("simulated:ETH", ("ETH", True)),
     ("binance:BTCUSDT", None), ("a:b:c", None)],
)  # fmt: skip
def test_names_of_coins(name, found) -> None:
    assert coin_of(name) == found


def test_a_filter_names_the_exchanges_there_are() -> None:
    assert chosen_exchanges(None, ["okx"]) is None
    assert chosen_exchanges("okx, bybit", ["okx", "bybit", "gate"]) == {"okx", "bybit"}
    for wrong in ("kraken", "okx,kraken", "", ","):
        with pytest.raises(BadInputError, match="use any of bybit, okx"):
            chosen_exchanges(wrong, ["okx", "bybit"])


def test_a_stored_coin_is_built_with_and_without_a_filter(tmp_path) -> None:
    with Store.open(tmp_path) as store:
        for name in NAMES[:3]:
            fill(store, bars_of(name, 1500), name)
        query = Query("BTC", range="12h", step="5m", bins=100)
        assert list(stored_members(store, query)) == sorted(NAMES[:3])
        heat = build_stored(store, query)
        assert heat.instrument.name == "BTC"
        assert len(heat.members) == 3
        only = Query("BTC", range="12h", step="5m", bins=100, exchanges="okx")
        assert build_stored(store, only).members[0].instrument.exchange == "okx"
        one = Query(SYMBOL, range="12h", step="5m", bins=100)
        assert build_stored(store, one).instrument.name == SYMBOL
        with pytest.raises(BadInputError, match="is for a coin"):
            build_stored(store, Query(SYMBOL, exchanges="okx"))
        with pytest.raises(UnavailableError):
            build_stored(store, Query("simulated:BTC"))
        with pytest.raises(UnknownInstrumentError):
            build_stored(store, Query("NOPE"))


def test_bars_of_another_interval_join_the_coin() -> None:
    five = bars_of("bybit:BTCUSDT")[:N]
    coarse = Bars.from_columns(
        {"start_ms": five.start_ms[::5], "open": five.open[::5], "close": five.close[4::5],
         "high": five.high.reshape(-1, 5).max(axis=1),
         "low": five.low.reshape(-1, 5).min(axis=1),
         "qty": five.qty.reshape(-1, 5).sum(axis=1)},
        interval_ms=5 * MINUTE,
    )  # fmt: skip
    found = [*members(names=NAMES[:1]), Member(instrument(NAMES[1]), History.of(coarse))]
    assert build_coin(Query("BTC", range="12h"), found).step_ms == 5 * MINUTE
    heat = build_coin(Query("BTC", range="12h", step="1m"), found)
    assert list(heat.parts) == ["binance"]
    assert any("bybit:BTCUSDT is left out" in note for note in heat.quality.notes)
