"""From the fake Hyperliquid's accounts to measured levels: what is held is what is shown."""

from __future__ import annotations

import asyncio

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from liqheat.engine.positions import joined, measured_levels
from liqheat.market.events import Bar, MarkPrice, OpenInterest, Position, to_rows
from liqheat.serve import replies
from liqheat.service import Feed, Query, Service
from liqheat.store import SCHEMAS, Store
from tests.fake_exchange import parity
from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import SCENARIOS
from tests.fake_exchange.venues.hyperliquid import ACCOUNTS, account, position_of

NAME = "hyperliquid:BTC"
COINS = ("BTC", "ETH")


@pytest.fixture(scope="module")
def run() -> parity.Run:
    market = Market(coins=COINS)
    return asyncio.run(parity.play({"hyperliquid": SCENARIOS["normal"]}, 180.0, market))


def held(run: parity.Run) -> list[dict]:
    price = run.venue("hyperliquid").market.price
    every = (position_of(account(i), list(COINS), price) for i in range(ACCOUNTS))
    rows = [one["position"] for one in every if one is not None]
    return [row for row in rows if row["coin"] == "BTC"]


def told(run: parity.Run) -> list[Position]:
    return [
        one for one in run.heard["hyperliquid"]
        if isinstance(one, Position) and one.instrument == NAME
    ]  # fmt: skip


def test_every_position_is_found_once_and_within_the_weight(run):
    found = {one.account: one for one in told(run)}
    assert len(found) == len(held(run))
    adapter = run.adapters["hyperliquid"]
    # Seven minutes in all; 40 % of 1,200 weight a minute are 240 accounts at most.
    assert adapter.health().requests < 7 * 240
    assert adapter.counters["poll_errors"] == 0


def test_measured_levels_are_what_is_held(run):
    events = run.heard["hyperliquid"]
    end = run.end_ms["hyperliquid"]
    mark = [one for one in events if isinstance(one, MarkPrice) and one.instrument == NAME][
        -1
    ]
    interest = [
        one for one in events if isinstance(one, OpenInterest) and one.instrument == NAME
    ][-1]
    edges = np.exp(np.linspace(np.log(40_000.0), np.log(90_000.0), 201))
    found = measured_levels(told(run), edges, mark.mark_price, end)
    rows = held(run)
    for side, sign in enumerate((1.0, -1.0)):
        sizes = [sign * float(row["szi"]) for row in rows if sign * float(row["szi"]) > 0]
        assert found.covered_qty[side] == pytest.approx(sum(sizes))
    unknown = [abs(float(row["szi"])) for row in rows if row["liquidationPx"] is None]
    assert found.never_qty.sum() == pytest.approx(sum(unknown))
    assert 0 <= found.age_ms < 600_000
    both = joined(np.ones(200), np.ones(200), found, interest.open_interest_qty)
    assert 0 < both.share[0] < 1
    assert both.long_usd.sum() > both.modelled_long_usd.sum()


def test_positions_enter_the_store(run, tmp_path):
    rows = [
        {**row, "source": "hyperliquid"}
        for one in told(run)
        for row in to_rows(one)
    ]  # fmt: skip
    with Store.open(tmp_path) as store:
        store.put_instrument(run.adapters["hyperliquid"].listings[NAME].instrument)
        table = pa.Table.from_pylist(rows, schema=SCHEMAS["positions"])
        assert store.write("positions", table).new == len(rows)


def stored(run: parity.Run, name: str, store: Store, until_ms: int) -> None:
    store.put_instrument(run.adapters["hyperliquid"].listings[name].instrument)
    kinds = {"bars": Bar, "open_interest": OpenInterest, "positions": Position}
    for kind, event in kinds.items():
        rows = [
            {**row, "source": "hyperliquid"}
            for one in run.heard["hyperliquid"]
            if isinstance(one, event) and one.instrument == name
            if one.event_ms + getattr(one, "interval_ms", 0) <= until_ms
            for row in to_rows(one)
        ]  # fmt: skip
        store.write(kind, pa.Table.from_pylist(rows, schema=SCHEMAS[kind]))


class Ear:
    def changed(self, deltas: object) -> None: ...
    def liquidated(self, rows: object) -> None: ...


@pytest.mark.parametrize(
    ("name", "side"), [("hyperliquid:BTC", "long"), ("hyperliquid:ETH", "short")]
)
def test_positions_reach_the_map_and_the_live_view(run, tmp_path, name, side):
    events = run.heard["hyperliquid"]
    ends = [
        one.event_ms + one.interval_ms
        for one in events
        if isinstance(one, Bar) and one.instrument == name
    ]
    early, late = ends[1], ends[-1]
    query = Query(name, model="zones", range="12h", step="1m", bins=200)

    async def check(store: Store) -> None:
        service = Service([Feed(store, "live")], clock_ms=lambda: late)
        await service.start()
        try:
            view = await service.watch(query, Ear())
            for one in events:
                if one.instrument == name and one.event_ms >= early - 60_000:
                    service.publish(one)
            await asyncio.sleep(0.3)
            stored(run, name, store, late)
            service.refreshed = -1e9
            heat = await service.heatmap(query)
            last = await service.heatmap(query, last_only=True)
            status = service.status(query, view)
            whole = heat.long_usd[-1] + heat.short_usd[-1]
            assert view.columns == len(heat.start_ms)
            np.testing.assert_array_equal(view.lead.usd[view.columns - 1], whole)
        finally:
            await service.close()
        reply = msgspec.json.decode(replies.map_json(last, "live"))
        [part] = reply["measured"]
        assert part["instrument"] == name
        assert 0 < reply[f"measured_share_{side}"] < 1
        assert reply["measured_age_ms"] >= 0
        below = np.array(reply["price"]) < reply["last_price"] * 0.995
        above = np.array(reply["price"]) > reply["last_price"] * 1.005
        assert not np.array(part["long_usd"])[above].any()
        assert not np.array(part["short_usd"])[below].any()
        assert sum(part[f"{side}_usd"]) > 0
        assert "of open interest measured" in status.exchanges[0].detail

    with Store.open(tmp_path) as store:
        stored(run, name, store, early)
        asyncio.run(check(store))
