"""Measured levels on the map: sums, sides, no look-ahead, live as in batch, coins, replies."""

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from liqheat.engine.heatmap import HeatmapParams, build_heatmap
from liqheat.engine.measured import MeasuredHeatmap, with_measured
from liqheat.engine.positions import STALE_HOURS, Told
from liqheat.market.events import Position, to_rows
from liqheat.market.instrument import instrument
from liqheat.serve import replies
from liqheat.service.history import History
from liqheat.service.live import LiveView
from liqheat.service.measured import Heard, kept_bytes, measured_parts, read_told
from liqheat.service.part import build_view
from liqheat.service.query import Query
from liqheat.service.window import Member, build_coin, build_for, build_stored
from liqheat.store import SCHEMAS, Store
from tests.market import MINUTE, T0, fill
from tests.unit.test_bands import HEAT
from tests.unit.test_coin import bars_of

NAME = "hyperliquid:BTC"
N = 2 * 1440
END = T0 + N * MINUTE
QUERY = Query(NAME, model="zones", range="12h", step="5m", bins=150, price_min=5e4,
              price_max=7e4)  # fmt: skip


def told(count: int = 60, first_ms: int = END - 180 * MINUTE) -> list[Position]:
    """Return positions told one by one over three hours; some die, close and turn."""
    rng = np.random.default_rng(7)
    price = float(bars_of(NAME).close[N - 1])
    out = []
    for i in range(count):
        side = "long" if i % 2 == 0 else "short"
        away = rng.uniform(-0.15, 0.01) if side == "long" else rng.uniform(-0.01, 0.15)
        at = price * float(np.exp(away)) if i % 7 else None
        qty = 0.0 if i % 11 == 10 else float(rng.uniform(20, 400))
        when = first_ms + i * 3 * MINUTE
        leverage = None if i % 3 else 10.0
        account = f"0x{i % 40}"
        out.append(Position(NAME, when, account, side, qty, price, at, leverage))
    return out


def heat(positions: list[Position], n: int = N) -> MeasuredHeatmap:
    params = HeatmapParams(model="zones", bins=150, price_min=5e4, price_max=7e4)
    bars = bars_of(NAME)[:n]
    whole = build_heatmap(
        bars, instrument(NAME), params, start_ms=END - 720 * MINUTE, step_ms=5 * MINUTE
    )
    found = with_measured(whole, Told.of(positions))
    assert isinstance(found, MeasuredHeatmap)
    return found


def test_the_whole_is_the_float32_sum_of_measured_and_modelled() -> None:
    found = heat(told())
    plain = build_for(QUERY, History.of(bars_of(NAME)[:N]), instrument(NAME))
    for side in ("long", "short"):
        whole, measured, modelled = (
            getattr(found, f"{kind}{side}_usd") for kind in ("", "measured_", "modelled_")
        )
        assert whole.dtype == np.float32
        np.testing.assert_array_equal(whole, measured + modelled)
        assert measured[-1].sum() > 0
        # Before anything was told, the map is the model's, to the last bit.
        first = int(np.flatnonzero(found.positions)[0])
        np.testing.assert_array_equal(whole[:first], getattr(plain, f"{side}_usd")[:first])
        level, residual = (getattr(found, f"{k}_{side}_qty") for k in ("level", "residual"))
        known = np.isfinite(found.open_interest_qty)
        total = (level + residual)[known]
        np.testing.assert_allclose(total, found.open_interest_qty[known], rtol=1e-6)
    shown = [found.tier_usd(k)[0] for k in range(len(found.tiers))]
    np.testing.assert_allclose(sum(shown), found.modelled_long_usd, rtol=1e-4, atol=1.0)


def test_measured_longs_lie_below_and_shorts_above() -> None:
    found = heat(told())
    low, high = found.price_edges[:-1], found.price_edges[1:]
    for t in np.flatnonzero(found.positions):
        assert not found.measured_long_usd[t][low > found.close[t]].any()
        assert not found.measured_short_usd[t][high < found.close[t]].any()


def test_no_column_knows_positions_told_after_its_end() -> None:
    rows = told()
    whole = heat(rows)
    for cut in (rows[20].event_ms, rows[45].event_ms):
        part = heat([one for one in rows if one.event_ms <= cut])
        t = int(np.searchsorted(whole.start_ms + whole.step_ms, cut, side="right"))
        np.testing.assert_array_equal(whole.long_usd[:t], part.long_usd[:t])
        np.testing.assert_array_equal(whole.short_usd[:t], part.short_usd[:t])
        assert not np.array_equal(whole.long_usd[-1], part.long_usd[-1])


def test_positions_fall_out_of_the_map_when_they_are_stale() -> None:
    early = [one for one in told(20, END - 700 * MINUTE) if one.qty > 0]
    found = heat(early)
    stale = early[-1].event_ms + STALE_HOURS * 3_600_000
    ends = found.start_ms + found.step_ms
    assert found.positions[ends < stale].max() > 0
    assert not found.positions[ends > stale].any()
    assert np.isnan(found.measured_age_ms[-1])


def test_live_column_equals_the_batch_column() -> None:
    rows, first = told(), N - 20
    bars = bars_of(NAME)
    start = T0 + first * MINUTE
    known = Told.of(one for one in rows if one.event_ms <= start)
    heard = Heard()
    built = build_view(
        QUERY, History.of(bars[:first]), instrument(NAME), (), known, heard
    )  # fmt: skip
    view = LiveView(QUERY, "live", built)
    coming = [one for one in rows if one.event_ms > start]
    for row in History.of(bars[first:N]).rows():
        # What is told just after a bar's end may come before the bar.
        while coming and coming[0].event_ms <= row.end_ms + 2_000:
            heard.take(coming.pop(0))
        view.advance([row], None)
    batch = build_for(
        QUERY, History.of(bars[:N]), instrument(NAME), told=Told.of(rows)
    )  # fmt: skip
    assert isinstance(batch, MeasuredHeatmap)
    np.testing.assert_array_equal(
        view.lead.usd[view.columns - 1], batch.long_usd[-1] + batch.short_usd[-1]
    )
    assert view.lead.measured == batch.quality.notes[-1]
    assert "of open interest measured" in view.lead.measured


def test_a_coin_is_the_exact_sum_of_its_parts_with_measured_levels() -> None:
    names = ("binance:BTCUSDT", NAME)
    found = [
        Member(
            instrument(name), History.of(bars_of(name)[:N]), (),
            Told.of(told()) if name == NAME else None,
        )
        for name in names
    ]  # fmt: skip
    query = msgspec.structs.replace(QUERY, instrument="BTC")
    coin = build_coin(query, found)
    parts = list(coin.parts.values())
    np.testing.assert_array_equal(coin.long_usd, parts[0][0] + parts[1][0])
    np.testing.assert_array_equal(coin.short_usd, parts[0][1] + parts[1][1])
    [part] = measured_parts(coin)
    assert part.instrument == NAME
    reply = msgspec.json.decode(replies.map_json(coin, "live", "exchange"))
    # Hyperliquid's open interest is a sixth of both: its share counts so much less.
    alone = reply["measured"][0]["long_share"]
    assert reply["measured_share_long"] == pytest.approx(alone / 6, rel=0.01)
    assert any("Hyperliquid: " in note for note in reply["quality"]["notes"])


def test_replies_tell_measured_from_modelled() -> None:
    found = heat(told())
    reply = msgspec.json.decode(replies.column_json(found, "live", None))
    [one] = reply["measured"]
    assert one["positions"] == found.positions[-1]
    assert reply["measured_share_long"] == one["long_share"] > 0
    assert reply["measured_age_ms"] == round(found.measured_age_ms[-1])
    np.testing.assert_allclose(one["short_usd"], found.measured_short_usd[-1], atol=0.02)
    before = msgspec.json.decode(
        replies.column_json(found, "live", int(found.start_ms[0]))
    )  # fmt: skip
    assert (before["measured"], before["measured_age_ms"]) == ([], None)
    assert before["measured_share_long"] == 0


def test_stored_positions_reach_the_map(tmp_path) -> None:
    rows = [{**row, "source": "hyperliquid"} for one in told() for row in to_rows(one)]
    with Store.open(tmp_path) as store:
        store.put_instrument(instrument(NAME))
        fill(store, bars_of(NAME)[:N], NAME)
        assert read_told(store, NAME, T0) is None
        store.write("positions", pa.Table.from_pylist(rows, schema=SCHEMAS["positions"]))
        whole = build_stored(store, QUERY)
        early = msgspec.structs.replace(QUERY, as_of_ms=END - 60 * MINUTE)
        past = build_stored(store, early)
    assert isinstance(whole, MeasuredHeatmap)
    assert isinstance(past, MeasuredHeatmap)
    np.testing.assert_array_equal(
        whole.measured_long_usd[-1], heat(told()).measured_long_usd[-1]
    )
    assert past.told.event_ms.max() <= END - 60 * MINUTE


def test_memory_counts_all_maps_of_a_heatmap() -> None:
    found = heat(told())
    assert kept_bytes(found) == 6 * found.long_usd.nbytes


def test_bands_keep_their_width_for_the_modelled_part_alone() -> None:
    price = float(HEAT.close[-1])
    end = int(HEAT.source.column_end_ms[-1])
    interest = float(HEAT.open_interest_qty[-1])
    one = Position(NAME, end, "0xa", "long", interest / 4, price, price * 0.955, 10.0)
    found = with_measured(HEAT, Told.of([one]))
    edges = price * np.array([0.94, 0.95, 0.96, 0.97])
    plain, band = HEAT.bands(edges), found.bands(edges)
    for before, after in zip(plain, band, strict=True):
        np.testing.assert_allclose(after[[0, 2]], 0.75 * before[[0, 2]])
    measured = interest / 4 * np.sqrt(edges[1] * edges[2])
    np.testing.assert_allclose(band.low_usd[1], measured + 0.75 * plain.low_usd[1])
