"""What every ``Exchange`` must keep, held against each implementation we have."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from liqheat.errors import BadInputError
from liqheat.exchanges.base import Exchange, Kind
from liqheat.exchanges.replay import ReplayExchange
from liqheat.exchanges.simulated import SimulatedExchange
from liqheat.market.events import Bar, Event, Gap, Liquidation
from liqheat.market.instrument import SHIPPED
from liqheat.store import SCHEMAS, Store

MINUTE = 60_000
NOW = 1_790_035_200_000 + 17 * 3_600_000
KINDS: tuple[Kind, ...] = ("bars", "open_interest", "mark", "funding", "liquidations")
LINEAR, INVERSE = "simulated:BTCUSDT", "simulated:BTCUSD"
HOLE = (NOW - 100 * MINUTE, NOW - 80 * MINUTE)


class Clock:
    """A wall clock which only moves when somebody sleeps."""

    def __init__(self, at_ms: int) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        self.at_ms += math.ceil(seconds * 1000)
        await asyncio.sleep(0)


class Recorded:
    """Tables of a simulated day, with a hole in everything."""

    def __init__(self) -> None:
        clock = Clock(NOW)
        source = SimulatedExchange(history_days=0, now_ms=clock, sleep=clock.sleep, seed=3)

        def table(kind: Kind) -> pa.Table:
            rows = asyncio.run(source.fetch_history(LINEAR, kind, 0, NOW))
            times = rows["start_ms" if kind == "bars" else "event_ms"].to_numpy()
            return rows.filter(pa.array((times < HOLE[0]) | (times >= HOLE[1])))

        self.tables = {kind: table(kind) for kind in KINDS}
        self.tables["gaps"] = SCHEMAS["gaps"].empty_table()

    def read(self, kind: str, instrument: str, start_ms: int | None, end_ms: int | None):
        table = self.tables[kind]
        times = table["start_ms" if kind == "bars" else "event_ms"].to_numpy()
        ends = [0 if start_ms is None else start_ms, 2**62 if end_ms is None else end_ms]
        low, high = np.searchsorted(times, ends)
        return table.slice(low, max(0, high - low))

    def instruments(self) -> list:
        return [SHIPPED[LINEAR]]


@pytest.fixture(scope="module")
def recorded() -> Recorded:
    return Recorded()


Make = Callable[[], tuple[Exchange, Clock, str]]


@pytest.fixture(params=["simulated", "sampled", "inverse", "replay"])
def make(request: pytest.FixtureRequest, recorded: Recorded) -> Make:
    def build() -> tuple[Exchange, Clock, str]:
        if request.param == "replay":
            clock = Clock(0)
            replay = ReplayExchange(
                recorded, start_ms=NOW - 180 * MINUTE, now_ms=clock, sleep=clock.sleep
            )
            return replay, clock, LINEAR
        clock = Clock(NOW)
        feed = "sampled_1s_largest" if request.param == "sampled" else "full"
        simulated = SimulatedExchange(
            history_days=0, liquidation_feed=feed, now_ms=clock, sleep=clock.sleep,
            speed=60, regime="retail",
        )  # fmt: skip
        return simulated, clock, INVERSE if request.param == "inverse" else LINEAR

    return build


def history(exchange: Exchange, name: str, kind: Kind, start: int = 0, end: int = 2**60):
    table = asyncio.run(exchange.fetch_history(name, kind, start, end))
    assert table is not None
    return table


def listen(exchange: Exchange, name: str, start_ms: int, until_ms: int) -> list[Event]:
    async def run() -> list[Event]:
        heard: list[Event] = []
        stream = exchange.stream([name], start_ms)
        async for event in stream:
            heard.append(event)
            if clock_of(exchange) >= until_ms:
                break
        await stream.aclose()
        return heard

    return asyncio.run(run())


def clock_of(exchange: Exchange) -> int:
    return exchange.clock_ms()


def test_it_is_an_exchange_and_says_what_it_is(make: Make) -> None:
    exchange, _, name = make()
    assert isinstance(exchange, Exchange)
    assert exchange.mode in ("simulated", "replay")
    assert name in [each.name for each in asyncio.run(exchange.fetch_instruments())]
    assert all(isinstance(count, int) for count in exchange.counters.values())


@pytest.mark.parametrize("kind", KINDS)
def test_history_is_half_open_sorted_finite_and_can_be_stored(
    make: Make, kind: Kind, tmp_path: Path
) -> None:
    exchange, _, name = make()
    table = history(exchange, name, kind)
    assert table.num_rows > 0
    time = "start_ms" if kind == "bars" else "event_ms"
    times = table[time].to_numpy()
    assert (np.diff(times) >= 0).all()
    assert kind == "liquidations" or (np.diff(times) > 0).all()
    assert times[-1] + (MINUTE if kind == "bars" else 0) <= clock_of(exchange)
    low, high = int(times[len(times) // 3]), int(times[len(times) * 2 // 3])
    part = history(exchange, name, kind, low, high)
    assert part.equals(table.filter(pa.array((times >= low) & (times < high))))
    for column in table.columns:
        if pa.types.is_floating(column.type):
            assert np.isfinite(column.drop_null().to_numpy()).all()
    with Store.open(tmp_path) as store:
        assert store.write(kind, table).new == table.num_rows
        assert store.write(kind, table).same == table.num_rows


def test_stream_is_monotone_per_kind_and_keeps_the_coverage(make: Make) -> None:
    exchange, _, name = make()
    now = clock_of(exchange)
    last: dict[str, int] = defaultdict(int)
    for event in listen(exchange, name, now - 300 * MINUTE, now + 150 * MINUTE):
        kind = type(event).__name__
        if not isinstance(event, Gap):
            assert event.event_ms >= last[kind], kind
        last[kind] = event.event_ms
        for value in msgspec.structs.astuple(event):
            assert not isinstance(value, float) or math.isfinite(value)
        if isinstance(event, Liquidation):
            assert event.position_side in ("long", "short")
            assert event.completeness == exchange.coverage.liquidations
    coverage = exchange.coverage
    assert coverage.bars == ("Bar" in last)
    assert coverage.open_interest == ("OpenInterest" in last)
    assert coverage.mark == ("MarkPrice" in last)
    assert bool(coverage.liquidations) == ("Liquidation" in last)


def test_nothing_is_told_before_its_time(make: Make) -> None:
    exchange, _, name = make()
    now = clock_of(exchange)

    async def run() -> None:
        async for event in exchange.stream([name], now):
            closed = isinstance(event, Bar) and event.closed
            assert event.event_ms + MINUTE * closed <= clock_of(exchange)
            if clock_of(exchange) > now + 60 * MINUTE:
                return

    asyncio.run(run())


def test_history_and_stream_join_without_hole_or_jump(make: Make) -> None:
    exchange, _, name = make()
    now = clock_of(exchange)
    before = history(exchange, name, "bars")
    joint = before["start_ms"][-1].as_py() + MINUTE
    heard = listen(exchange, name, joint, now + 60 * MINUTE)
    bars = [event for event in heard if isinstance(event, Bar) and event.closed]
    assert bars[0].event_ms == joint
    assert bars[0].open == pytest.approx(before["close"][-1].as_py(), rel=0.002)
    later = history(exchange, name, "bars", joint, bars[-1].event_ms + 1).to_pylist()
    assert [(b.event_ms, b.open, b.high, b.low, b.close, b.qty) for b in bars] == [
        tuple(row[key] for key in ("start_ms", "open", "high", "low", "close", "qty"))
        for row in later
    ]
    dead = [event for event in heard if isinstance(event, Liquidation)]
    rows = history(exchange, name, "liquidations", joint, now + 50 * MINUTE)
    told = [event.price for event in dead if event.event_ms < now + 50 * MINUTE]
    assert told == rows["price"].to_pylist()


def test_cancelled_stream_starts_again_with_the_same_events(make: Make) -> None:
    exchange, _, name = make()
    start = clock_of(exchange) - 60 * MINUTE

    async def some(count: int) -> list[Event]:
        heard: list[Event] = []
        enough = asyncio.Event()

        async def consume() -> None:
            async for event in exchange.stream([name], start):
                heard.append(event)
                if len(heard) >= count:
                    enough.set()

        task = asyncio.create_task(consume())
        await enough.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [event for event in heard if getattr(event, "closed", True)]

    first, second = asyncio.run(some(150)), asyncio.run(some(150))
    count = min(len(first), len(second))
    assert count > 100
    assert first[:count] == second[:count]


def test_unknown_instrument_is_refused(make: Make) -> None:
    exchange, _, _ = make()
    with pytest.raises(BadInputError):
        asyncio.run(exchange.fetch_history("nowhere:X", "bars", 0, NOW))
    with pytest.raises(BadInputError):
        listen(exchange, "nowhere:X", NOW, NOW)


def test_a_cut_is_told_as_a_gap_before_what_follows(recorded: Recorded) -> None:
    clock = Clock(0)
    start = NOW - 180 * MINUTE
    replay = ReplayExchange(recorded, start_ms=start, now_ms=clock, sleep=clock.sleep)
    heard = listen(replay, LINEAR, start, NOW)
    at = next(i for i, event in enumerate(heard) if isinstance(event, Gap))
    gap = heard[at]
    assert isinstance(gap, Gap)
    assert (gap.event_ms, gap.end_ms, gap.kind) == (*HOLE, "bars")
    assert all(event.event_ms < HOLE[1] for event in heard[:at])
    assert all(event.event_ms >= HOLE[1] for event in heard[at + 1 :])
