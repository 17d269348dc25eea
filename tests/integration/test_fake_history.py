"""Each adapter's history, over HTTP from its fake: it can be stored, and it is what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest

from liqheat.exchanges.base import Kind
from liqheat.exchanges.live import LiveExchange
from liqheat.store import Store
from tests.fake_exchange.market import Market
from tests.fake_exchange.parity import T0
from tests.fake_exchange.scenario import SCENARIOS
from tests.fake_exchange.server import FakeExchange, venue_types
from tests.fake_exchange.venue import FakeVenue

VENUES = list(venue_types())
HOUR, MINUTE = 3_600_000, 60_000
#: The clock runs so much faster than the wall's, or budgets would make this take minutes.
SPEED = 200.0


class Clock:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self) -> int:
        return T0 + 30_000 + round((time.monotonic() - self._began) * 1000 * SPEED)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)


def ask(name: str, wanted: Callable[[LiveExchange, FakeVenue], Awaitable[None]]) -> None:
    async def run() -> None:
        clock = Clock()
        market = Market(coins=("BTC",), readings_ms=10_000)
        fake = FakeExchange([name], market, SCENARIOS["normal"], clock, clock.sleep)
        base, venue = await fake.start(), fake.venues[name]
        exchange = venue.adapter(
            venue.adapter.urls_at(base), clock_ms=clock, sleep=clock.sleep
        )
        try:
            await exchange.fetch_instruments()
            await wanted(exchange, venue)
        finally:
            await exchange.close()
            await fake.stop()

    asyncio.run(run())


@pytest.mark.parametrize("name", VENUES)
def test_every_kind_of_history_can_be_stored(name, tmp_path) -> None:
    async def wanted(exchange: LiveExchange, venue: FakeVenue) -> None:
        with Store.open(tmp_path) as store:
            for one in await exchange.fetch_instruments():
                store.put_instrument(one)
            for instrument in venue.instruments():
                for kind in get_args(Kind):
                    if getattr(exchange.coverage, kind):
                        await stored(exchange, store, instrument, kind)

    ask(name, wanted)


async def stored(exchange: LiveExchange, store: Store, name: str, kind: Kind) -> None:
    start, end = T0 - 9 * HOUR, T0
    table = await exchange.fetch_history(name, kind, start, end)
    if table is None or (kind == "long_short" and table.num_rows == 0):
        return  # none is kept, or only the newest
    times = table["start_ms" if kind == "bars" else "event_ms"].to_numpy()
    assert len(times) > 0, kind
    assert (np.diff(times) >= 0).all(), kind
    assert start <= times[0], kind
    assert times[-1] < end, kind
    for column in table.columns:
        if pa.types.is_floating(column.type):
            assert np.isfinite(column.drop_null().to_numpy()).all(), kind
    assert store.write(kind, table).new == table.num_rows, kind


@pytest.mark.parametrize("name", VENUES)
def test_bars_of_history_are_those_which_happened(name) -> None:
    async def wanted(exchange: LiveExchange, venue: FakeVenue) -> None:
        start, end = T0 - 3 * HOUR, T0
        for symbol in venue.listed:
            table = await exchange.fetch_history(f"{name}:{symbol}", "bars", start, end)
            assert table is not None
            bars = venue.bars_of(symbol, start, end)
            assert table["start_ms"].to_pylist() == [bar.event_ms for bar in bars]
            for what in ("open", "high", "low", "close"):
                assert table[what].to_pylist() == pytest.approx(
                    [getattr(bar, what) for bar in bars], rel=1e-9
                )
            # An inverse bar is in base units at its close here, at each trade there.
            slack = 0.02 if symbol in venue.contract_usd else 1e-6
            assert table["qty"].to_pylist() == pytest.approx(
                [bar.qty for bar in bars], rel=slack
            )

    ask(name, wanted)
