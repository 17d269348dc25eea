"""Some leverage tiers alone: parts of the whole, which add up to it, live as in batch."""

import msgspec
import numpy as np
import pytest

from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.leverage import PRIOR_MIXTURE
from liqheat.engine.measured import MeasuredHeatmap
from liqheat.engine.positions import Told
from liqheat.errors import BadInputError
from liqheat.market.instrument import instrument
from liqheat.serve import replies
from liqheat.service.history import History
from liqheat.service.live import LiveView
from liqheat.service.part import build_view
from liqheat.service.query import Query, parse_query
from liqheat.service.window import Member, build_coin, build_for
from tests.market import SYMBOL
from tests.unit import test_coin as coins
from tests.unit.test_measured_map import NAME, N, told
from tests.unit.test_measured_map import QUERY as HYPER

INVERSE = "simulated:BTCUSD"
GROUPS = ("2,3,5", "10", "20,25", "50", "75,100,125")
QUERY = Query(SYMBOL, range="12h", step="15m", bins=120, price_min=5e4, price_max=7e4)
ALL = ",".join(f"{tier:g}" for tier in PRIOR_MIXTURE)


def heat(query: Query = QUERY, *, positions: bool = False, **more):
    query = msgspec.structs.replace(query, **more)
    name = query.instrument
    bars = coins.bars_of(name if name in coins.NAMES else SYMBOL)[:N]
    known = Told.of(told()) if positions else None
    return build_for(query, History.of(bars), instrument(name), told=known)


def same(one, other) -> None:
    for name in ("long_usd", "short_usd", "outside_long_usd", "outside_short_usd",
                 "residual_long_usd", "level_short_qty", "open_interest_usd"):  # fmt: skip
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@pytest.mark.parametrize("model", ["sharp", "zones", "calibrated"])
@pytest.mark.parametrize("name", [SYMBOL, INVERSE, NAME])
def test_all_tiers_are_the_unfiltered_map_to_the_last_bit(model, name) -> None:
    query = msgspec.structs.replace(QUERY, instrument=name, model=model)
    whole = heat(query)
    same(heat(query, tiers=ALL), whole)
    own = ",".join(f"{tier:g}" for tier in whole.tiers)
    same(heat(query, tiers=own), whole)


@pytest.mark.parametrize("model", ["sharp", "zones", "calibrated"])
def test_one_tier_is_its_part_of_the_whole_and_parts_add_up(model) -> None:
    query = msgspec.structs.replace(QUERY, model=model)
    whole, total = heat(query), None
    for k, tier in enumerate(whole.tiers):
        one = heat(query, tiers=f"{tier:g}")
        assert one.shown_tiers == (tier,)
        np.testing.assert_array_equal(one.long_usd, whole.tier_usd(k)[0])
        np.testing.assert_array_equal(one.short_usd, whole.tier_usd(k)[1])
        total = one.long_usd if total is None else total + one.long_usd
    np.testing.assert_array_equal(total, whole.long_usd)  # in order, in float32
    parts = [heat(query, tiers=group) for group in GROUPS]
    for name in ("long_usd", "short_usd", "outside_long_usd"):
        total = sum(getattr(one, name).astype(np.float64) for one in parts)
        np.testing.assert_allclose(total, getattr(whole, name), rtol=1e-6, atol=1e-3)


def test_tiers_are_not_scaled_up_and_leave_the_residual_alone() -> None:
    whole, few = heat(), heat(tiers="10,100")
    assert 0 < few.long_usd.sum() < whole.long_usd.sum()
    assert (few.long_usd <= whole.long_usd).all()
    np.testing.assert_array_equal(few.residual_long_usd, whole.residual_long_usd)
    np.testing.assert_array_equal(few.level_long_qty, whole.level_long_qty)


def test_a_largest_leverage_between_two_goes_with_the_nearer() -> None:
    # Hyperliquid allows 40x: what the prior holds at 50x and above is there.
    whole = heat(HYPER)
    assert whole.tiers == (2, 3, 5, 10, 20, 25, 40)
    top = heat(HYPER, tiers="50")
    assert top.shown_tiers == (40,)
    np.testing.assert_array_equal(top.long_usd, heat(HYPER, tiers="40").long_usd)
    assert not heat(HYPER, tiers="75,100,125").long_usd.any()
    total = sum(heat(HYPER, tiers=group).long_usd.astype(float) for group in GROUPS)
    np.testing.assert_allclose(total, whole.long_usd, rtol=1e-6, atol=1e-3)


def test_tiers_of_a_mixture_of_ones_own() -> None:
    whole = heat(leverage="25:.5,33:.5")
    for tier in (25, 33):
        one = heat(leverage="25:.5,33:.5", tiers=str(tier))
        assert one.shown_tiers == (tier,)
        assert 0 < one.long_usd.sum() < whole.long_usd.sum()
    assert not heat(leverage="25:.5,33:.5", tiers="10").long_usd.any()


@pytest.mark.parametrize(
    "text", ["", "x", "5,,10", "0", "-5", "1", "nan", "inf", "5;10", "25:.5"]
)
def test_what_is_no_list_of_leverages_is_refused(text) -> None:
    with pytest.raises(BadInputError, match=r"^tiers: not a list of leverages"):
        parse_query({"instrument": SYMBOL, "tiers": text}, Query)


def test_an_unknown_tier_is_named_beside_those_there_are() -> None:
    with pytest.raises(
        BadInputError, match=r"^tiers: .*\(was '7'\); use any of 2, 3, 5, 10, 20"
    ):
        heat(tiers="5,7")
    with pytest.raises(BadInputError, match=r"\(was '40'\)"):
        heat(tiers="40")
    with pytest.raises(BadInputError, match=r"use any of 2, .*125") as caught:
        build_heatmap(
            coins.bars_of(SYMBOL)[:N], instrument(SYMBOL), HeatmapParams(tiers=(33.0,))
        )
    assert (caught.value.where, caught.value.status) == ("tiers", 422)


# -- measured ------------------------------------------------------------------------------


def test_measured_levels_belong_to_the_tier_of_their_distance() -> None:
    whole = heat(HYPER, positions=True)
    assert isinstance(whole, MeasuredHeatmap)
    all_of_them = heat(HYPER, positions=True, tiers=ALL)
    same(all_of_them, whole)
    np.testing.assert_array_equal(all_of_them.measured_long_usd, whole.measured_long_usd)
    parts = [heat(HYPER, positions=True, tiers=group) for group in GROUPS]
    for name in ("long_usd", "short_usd", "measured_long_usd", "measured_short_usd",
                 "modelled_long_usd", "outside_long_usd", "outside_short_usd"):  # fmt: skip
        total = sum(getattr(one, name).astype(np.float64) for one in parts)
        np.testing.assert_allclose(total, getattr(whole, name), rtol=1e-5, atol=0.01)
    # High leverage is near the price, low leverage far away.
    t, price = -1, np.sqrt(whole.price_edges[1:] * whole.price_edges[:-1])
    away = [
        np.average(
            np.abs(np.log(price / whole.close[t])), weights=one.measured_short_usd[t]
        )
        for one in parts
        if one.measured_short_usd[t].any()
    ]
    assert len(away) >= 3
    assert away == sorted(away, reverse=True)
    np.testing.assert_array_equal(parts[0].measured_share, whole.measured_share)


# -- live and coins ------------------------------------------------------------------------


@pytest.mark.parametrize("tiers", ["10", "20,25,50", ALL])
def test_live_columns_are_those_of_the_batch(tiers) -> None:
    query, first = msgspec.structs.replace(HYPER, tiers=tiers), N - 20
    bars, known = coins.bars_of(NAME), Told.of(told())
    built = build_view(query, History.of(bars[:first]), instrument(NAME), (), known)
    view = LiveView(query, "live", built)
    for row in History.of(bars[first:N]).rows():
        view.advance([], row)
        view.advance([row], None)
    batch = heat(query, positions=True)
    np.testing.assert_array_equal(
        view.lead.usd[view.columns - 1], batch.long_usd[-1] + batch.short_usd[-1]
    )
    assert view.tiers == [2, 3, 5, 10, 20, 25, 40]


def test_a_coin_draws_of_each_instrument_the_tiers_it_has() -> None:
    members = coins.members(N)
    whole = build_coin(coins.QUERY, members)
    every = ",".join(f"{tier:g}" for tier in whole.tiers)
    assert 40 in whole.tiers
    for names in (ALL, every):
        found = build_coin(msgspec.structs.replace(coins.QUERY, tiers=names), members)
        same(found, whole)
        assert found.shown_tiers == whole.tiers
    parts = [
        build_coin(msgspec.structs.replace(coins.QUERY, tiers=group), members)
        for group in GROUPS
    ]
    total = sum(one.short_usd.astype(np.float64) for one in parts)
    np.testing.assert_allclose(total, whole.short_usd, rtol=1e-6, atol=1e-3)
    assert parts[3].shown_tiers == (40, 50)
    only = build_coin(msgspec.structs.replace(coins.QUERY, tiers="40"), members)
    assert set(only.parts) == set(whole.parts)  # those without it are there, and empty
    assert [name for name, (usd, _) in only.parts.items() if usd.any()] == ["hyperliquid"]
    with pytest.raises(BadInputError, match=r"\(was '7'\); use any of .*40, 50"):
        build_coin(msgspec.structs.replace(coins.QUERY, tiers="7"), members)


def test_a_live_coin_with_tiers_equals_the_batch() -> None:
    query = msgspec.structs.replace(coins.QUERY, tiers="5,40,100")
    from liqheat.service.part import Built, build_part
    from liqheat.service.window import lead_first, params_for, plan_coin

    lead, *rest = lead_first(coins.members())
    window, params = plan_coin(query, lead.history, [one.history for one in rest])
    parts = tuple(
        build_part(window, params_for(query, params, one), one) for one in (lead, *rest)
    )
    view = LiveView(query, "live", Built(window, params, parts))
    for name in coins.NAMES:
        view.advance_all({name: (coins.rows(name, coins.N, coins.N + 60), None)})
    batch = build_coin(query, coins.members(coins.N + 60))
    n = min(view.columns, len(batch.start_ms))
    np.testing.assert_array_equal(coins.usd(view)[-n:], coins.total_of(batch)[-n:])


def test_replies_list_the_tiers_shown() -> None:
    reply = msgspec.json.decode(replies.map_json(heat(tiers="10,50"), "live"))
    assert [one["leverage"] for one in reply["tiers"]] == [10, 50]
    total = np.sum([one["long_usd"] for one in reply["tiers"]], axis=0)
    np.testing.assert_allclose(total, reply["long_usd"], rtol=1e-5, atol=0.05)


def test_a_member_which_has_no_such_mixture_is_left_out_not_refused() -> None:
    query = msgspec.structs.replace(coins.QUERY, leverage="25:.5,100:.5", tiers="100")
    members = [
        Member(instrument(n), History.of(coins.bars_of(n)[:N])) for n in (SYMBOL, NAME)
    ]
    found = build_coin(query, members)
    assert list(found.parts) == ["binance"]
    assert any("hyperliquid:BTC is left out" in note for note in found.quality.notes)
