"""Each adapter against its fake: what was sent is stored once, or lies in a recorded gap."""

from __future__ import annotations

import asyncio

import pytest

from liqheat.errors import RefusedError
from liqheat.market.events import Bar
from tests.fake_exchange import parity
from tests.fake_exchange.market import Market
from tests.fake_exchange.scenario import SCENARIOS
from tests.fake_exchange.server import venue_types

VENUES = list(venue_types())
COINS = ("BTC", "ETH", "DOGE")
#: Faults which cost frames, so that a part of the liquidations lies in gaps.
LOSSY = {"silent", "half-open", "close-each-second", "maintenance"}
FAULTLESS = {"normal", "reordered", "malformed", "unknown-fields", "retyped", "skew"}


def play(name: str, scenario: str, seconds: float) -> parity.Run:
    chosen = SCENARIOS[scenario]
    market = Market(coins=COINS, trades_per_s=chosen.trades_per_s, burst=chosen.burst)
    run = asyncio.run(parity.play({name: chosen}, seconds, market))
    assert run.failed == {}
    return run


def tells(name: str) -> bool:
    """Whether the exchange has a stream of liquidations."""
    return venue_types()[name].adapter.coverage.liquidations != "lower_bound"


def check(run: parity.Run) -> dict[str, parity.Parity]:
    rows = run.parities()
    table = "\n".join([parity.HEADER, *(row.line() for row in rows)])
    faults = [fault for row in rows for fault in row.faults]
    assert faults == [], f"\n{table}\n" + "\n".join(faults[:20])
    for name in run.fakes:
        assert parity.readings_faults(run.venue(name), run.heard[name]) == []
    return {row.kind: row for row in rows}


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("scenario", sorted(FAULTLESS))
def test_nothing_is_lost(name, scenario):
    run = play(name, scenario, 180.0)
    rows = check(run)
    assert rows["liquidations"].stored == rows["liquidations"].sent
    assert (rows["liquidations"].sent > 0) == tells(name)
    assert rows["bars"].stored == rows["bars"].sent > 0
    counters = run.adapters[name].counters
    assert (counters["bad_frames"] > 0) == (scenario == "malformed")
    assert counters["late_trades"] == 0


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("scenario", sorted(LOSSY))
def test_what_is_lost_lies_in_gaps(name, scenario):
    run = play(name, scenario, 500.0)
    rows = check(run)
    if "liquidations" in run.adapters[name].repairs:
        assert rows["liquidations"].stored == rows["liquidations"].sent, (
            "REST has them, too"
        )
    else:
        assert (rows["liquidations"].in_gaps > 0) == tells(name)
    assert rows["bars"].stored == rows["bars"].sent, "REST has them all"


@pytest.mark.slow
@pytest.mark.parametrize("name", VENUES)
def test_burst_of_5000_trades_a_second(name):
    rows = check(play(name, "burst", 120.0))
    assert rows["bars"].stored == rows["bars"].sent
    assert rows["liquidations"].stored == rows["liquidations"].sent


@pytest.mark.slow
@pytest.mark.parametrize("name", VENUES)
def test_cut_of_a_day(name):
    chosen = SCENARIOS["day-cut"]
    market = Market(coins=("BTC",), trades_per_s=0.1, readings_ms=60_000)
    run = asyncio.run(parity.play({name: chosen}, 86_400.0 + 600, market, step_ms=1_000))
    rows = check(run)
    lost = rows["liquidations"]
    assert lost.stored + lost.in_gaps == lost.sent
    assert lost.sent > 8_000 or not tells(name)
    assert rows["bars"].stored + rows["bars"].in_gaps == rows["bars"].sent >= 1_440


@pytest.mark.parametrize("name", VENUES)
@pytest.mark.parametrize("scenario", ["http-429", "http-500", "http-418"])
def test_stream_outlives_rest(name, scenario):
    run = play(name, scenario, 300.0)
    rows = check(run)
    assert rows["liquidations"].stored == rows["liquidations"].sent
    health = run.adapters[name].health()
    assert (health.throttled > 0) == (scenario == "http-429" and health.requests > 10)


@pytest.mark.parametrize("name", VENUES)
def test_refusal_by_region_is_told_and_not_repeated(name):
    run = asyncio.run(
        parity.play({name: SCENARIOS["http-451"]}, 60.0, Market(), calm_s=0.0)
    )
    assert isinstance(run.failed[name], RefusedError)
    assert "refused in this region" in str(run.failed[name])
    assert run.adapters[name].health().requests <= 3


@pytest.mark.parametrize("name", VENUES)
def test_exchanges_clock_closes_the_bars(name):
    run = play(name, "skew", 180.0)
    adapter = run.adapters[name]
    assert adapter.clock.offset_ms == pytest.approx(90_000, abs=600)
    last = max(
        one.event_ms for one in run.heard[name] if isinstance(one, Bar) and one.closed
    )
    assert last + 60_000 <= run.fakes[name].now_ms() < last + 60_000 * 3


def test_one_exchange_down_leaves_the_others_alone(monkeypatch):
    if len(VENUES) < 2:
        pytest.skip("one exchange only")
    scenarios = dict.fromkeys(VENUES[:2], SCENARIOS["normal"])
    first, second = scenarios

    class BrokenError(Exception):
        pass

    def decode(*_: object) -> None:
        raise BrokenError

    monkeypatch.setattr(venue_types()[first].adapter, "decode", decode)
    run = asyncio.run(parity.play(scenarios, 120.0, Market(coins=COINS)))
    rows = [row for row in run.parities() if row.exchange == second]
    assert [row.faults for row in rows] == [[], []]
    assert run.adapters[first].counters["bad_frames"] > 0
