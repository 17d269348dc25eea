"""Weights in the running service: read, dated, learnt once a day, and never in the way."""

import asyncio

import numpy as np
import pytest

from liqheat.exchanges.simulated import SimulatedExchange
from liqheat.service import Feed, learning
from liqheat.service.feeds import Catalogue, Source
from liqheat.service.learning import Learning, stored_weights
from liqheat.service.query import Query
from liqheat.service.window import build_stored
from liqheat.store import Store
from liqheat.study.calibrate import read_weights, weights_path, write_weights
from tests.market import DAY

pytestmark = pytest.mark.slow

NAME = "simulated:BTCUSDT"
DAYS = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a store of a simulated market with its liquidations."""
    path = tmp_path_factory.mktemp("learning")
    exchange = SimulatedExchange(seed=3, history_days=DAYS, regime="base")
    with Store.open(path) as store:

        async def fill() -> None:
            end = exchange.clock_ms()
            for one in await exchange.fetch_instruments():
                store.put_instrument(one)
            for kind in ("bars", "open_interest", "mark", "liquidations"):
                table = await exchange.fetch_history(NAME, kind, end - DAYS * DAY, end)
                store.write(kind, table)

        asyncio.run(fill())
    return path


@pytest.fixture
def catalogue(folder):
    with Store.open(folder) as store:
        feed = Feed(store, "simulated", attached=True)
        found = Catalogue([feed], lambda: 0)
        found.refresh()
        yield found
    for file in (folder / "weights").glob("*"):
        file.unlink()


def test_learning_writes_dated_weights_which_maps_then_use(catalogue, folder) -> None:
    one, entry = Learning(catalogue, lambda: 0), catalogue.find(NAME)
    assert one.weights(NAME) == ()
    assert one._is_due(entry)
    asyncio.run(one.learn([entry]))
    found = one.weights(NAME)
    assert found
    dates = [each.as_of_ms for each in found]
    assert dates == sorted(set(dates))
    assert not one._is_due(entry) or entry.bars.end_ms - dates[-1] >= DAY
    store = entry.feed.store
    query = Query(NAME, range="24h", step="15m", bins=100)
    heat = build_stored(store, query, stored_weights(store))
    assert heat.params.model == "calibrated"
    assert heat.quality.weights_as_of_ms == dates[-1]
    assert heat.quality.weights_method == found[-1].method
    early = Query(NAME, range="24h", step="15m", bins=100, as_of_ms=dates[0] - 1)
    before = build_stored(store, early, stored_weights(store))
    assert before.quality.weights_as_of_ms is None
    own = Query(NAME, range="24h", step="15m", bins=100, leverage="25:1")
    assert build_stored(store, own, stored_weights(store)).params.model == "sharp"
    assert build_stored(store, query).params.model == "sharp"
    sums = np.abs(heat.long_usd).sum()
    assert np.isfinite(sums)
    one.close()


def test_dates_already_written_stay_as_they_were(catalogue, folder) -> None:
    one, entry = Learning(catalogue, lambda: 0), catalogue.find(NAME)
    asyncio.run(one.learn([entry]))
    kept = one.weights(NAME)[:-1]
    write_weights(folder, entry.stored.instrument, kept)
    before = weights_path(folder, entry.stored.instrument).read_bytes()
    asyncio.run(one.learn([entry]))
    after = read_weights(folder, entry.stored.instrument)
    assert tuple(after[: len(kept)]) == kept
    assert len(after) == len(kept) + 1
    assert weights_path(folder, entry.stored.instrument).read_bytes() != before
    one.close()


def test_a_broken_file_is_said_once_and_passed_over(catalogue, folder, caplog) -> None:
    one, entry = Learning(catalogue, lambda: 0), catalogue.find(NAME)
    path = weights_path(folder, entry.stored.instrument)
    path.parent.mkdir(exist_ok=True)
    path.write_text("[{")
    assert one.weights(NAME) == one.weights(NAME) == ()
    assert caplog.text.count("weights_unused") == 1
    assert one.weights("nope:X") == ()
    one.close()


def test_who_has_too_little_or_is_not_collected_is_not_learnt_of(
    catalogue, monkeypatch
) -> None:
    one, entry = Learning(catalogue, lambda: 0), catalogue.find(NAME)
    monkeypatch.setattr(learning, "LEAST_EVENTS", 10**9)
    assert one.groups() == []
    monkeypatch.setattr(learning, "LEAST_EVENTS", 1)
    assert one.groups() == [[entry]]
    assert one._is_due(entry)
    entry.feed.attached = False
    assert one.groups() == []
    entry.feed.sources["simulated"] = Source()
    assert one.groups() == [[entry]]
    one.close()
