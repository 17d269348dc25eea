"""Live collecting with a fault a minute: each row sent is stored once, or lies in a gap.

``make soak`` plays a day; without SOAK_HOURS it is a quarter of an hour. SOAK_EXCHANGES
(``dydx,okx``) plays some of them alone, each in the same scenario as with the others.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.fake_exchange import parity
from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import soak
from tests.fake_exchange.server import venue_types

HOURS = float(os.environ.get("SOAK_HOURS", "0.25"))
SEED = int(os.environ.get("SOAK_SEED", "1"))
ONLY = os.environ.get("SOAK_EXCHANGES", ",".join(venue_types())).split(",")


@pytest.mark.slow
def test_day_with_a_fault_a_minute(caplog):
    caplog.set_level("ERROR")  # bad frames are sampled, for a day
    seconds = HOURS * 3600
    market = Market(
        SEED, ("BTC", "DOGE"), trades_per_s=0.7, readings_ms=15_000, liquidations_per_min=4
    )
    scenarios = {
        name: soak(seconds, SEED + number)
        for number, name in enumerate(venue_types())
        if name in ONLY
    }
    run = asyncio.run(parity.play(scenarios, seconds, market, step_ms=500, calm_s=600))
    assert run.failed == {}
    rows = run.parities()
    print("\n" + "\n".join([parity.HEADER, *(row.line() for row in rows)]))
    for name, adapter in run.adapters.items():
        reconnects = sum(one.reconnects for one in adapter.stats.values())
        print(f"{name:<12}reconnects={reconnects} {adapter.counters}")
        assert reconnects > seconds / 60 / 5
    assert sum(len(row.faults) for row in rows) == 0, [row.faults[:5] for row in rows]
