"""Replay: recorded order, its own clock, holes, the end, and no look-ahead."""

from __future__ import annotations

import asyncio
import math

import numpy as np
import pyarrow as pa
import pytest

from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges.replay import ReplayExchange
from liqheat.market.events import Bar, Event, Gap, Liquidation, MarkPrice, OpenInterest
from liqheat.market.instrument import SHIPPED

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
START = 1_780_012_800_000
NAME, OTHER = "binance:BTCUSDT", "binance:ETHUSDT"


class Clock:
    def __init__(self) -> None:
        self.at_ms = 0
        self.naps = 0

    def __call__(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        self.at_ms += math.ceil(seconds * 1000)
        self.naps += 1
        await asyncio.sleep(0)


class Source:
    """Recorded tables in memory: bars of the given starts, and whatever is added."""

    def __init__(self) -> None:
        self.tables: dict[tuple[str, str], pa.Table] = {}

    def add_bars(
        self, name: str, starts: list[int], interval: int = MINUTE, **columns
    ) -> None:
        n = len(starts)
        price = 100.0 + np.arange(n)
        self.tables["bars", name] = pa.table({
            "interval_ms": pa.array([interval] * n, pa.int64()),
            "start_ms": pa.array(starts, pa.int64()),
            "open": price, "high": price + 1, "low": price - 1, "close": price,
            "qty": pa.array(np.ones(n)),
        } | columns)  # fmt: skip

    def add(self, kind: str, name: str, /, **columns: list) -> None:
        self.tables[kind, name] = pa.table(columns)

    def read(
        self, kind: str, name: str, start_ms: int | None, end_ms: int | None
    ) -> pa.Table:
        table = self.tables.get((kind, name))
        if table is None:
            return pa.table({"event_ms": pa.array([], pa.int64())} | {
                key: pa.array([], pa.float64())
                for key in (
                    "open_interest_qty", "mark_price", "funding_rate", "price", "qty",
                    "notional_usd", "completeness", "position_side", "price_kind",
                )
            })  # fmt: skip
        times = table["start_ms" if kind == "bars" else "event_ms"].to_numpy()
        low = 0 if start_ms is None else start_ms
        high = 2**62 if end_ms is None else end_ms
        return table.filter(pa.array((times >= low) & (times < high)))

    def instruments(self) -> list:
        names = dict.fromkeys(name for _, name in self.tables)
        return [SHIPPED[name] for name in names]


def minutes(first: int, count: int) -> list[int]:
    return [first + i * MINUTE for i in range(count)]


def play(
    replay: ReplayExchange, names: list[str], start_ms: int
) -> list[tuple[int, Event]]:
    async def run() -> list[tuple[int, Event]]:
        return [(replay.clock_ms(), e) async for e in replay.stream(names, start_ms)]

    return asyncio.run(run())


def replay_of(source: Source, clock: Clock, **given) -> ReplayExchange:
    return ReplayExchange(source, now_ms=clock, sleep=clock.sleep, **given)


def test_starts_after_thirty_days_or_a_third_or_where_told() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 32 * 1440)[::60], HOUR)
    assert replay_of(source, Clock()).start_ms == START + 30 * DAY
    source.add_bars(NAME, minutes(START, 180))
    assert replay_of(source, Clock()).start_ms == START + HOUR
    assert replay_of(source, Clock(), start_ms=START + 5).start_ms == START + 5
    with pytest.raises(BadInputError, match="start_ms"):
        replay_of(source, Clock(), start_ms=START - 1)
    with pytest.raises(BadInputError, match="speed"):
        replay_of(source, Clock(), speed=0)


def test_starts_where_all_kinds_are_known_if_a_quarter_is_left() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 100 * 1440)[::60], HOUR)
    source.add("open_interest", NAME, event_ms=[START + 50 * DAY], open_interest_qty=[5.0])
    assert replay_of(source, Clock()).start_ms == START + 50 * DAY
    late = START + 60 * DAY + 1
    row = {"price": [1.0], "qty": [1.0], "notional_usd": [1.0], "completeness": ["unknown"]}
    source.add("liquidations", NAME, event_ms=[late], **row)
    assert replay_of(source, Clock()).start_ms == START + 60 * DAY + MINUTE
    source.add("liquidations", NAME, event_ms=[START + 80 * DAY], **row)
    assert replay_of(source, Clock()).start_ms == START + 50 * DAY
    source.add("liquidations", NAME, event_ms=[START], **row)
    source.add("open_interest", NAME, event_ms=[START], open_interest_qty=[5.0])
    assert replay_of(source, Clock()).start_ms == START + 30 * DAY


def test_without_bars_there_is_nothing_to_replay() -> None:
    with pytest.raises(UnavailableError):
        replay_of(Source(), Clock())


def test_history_ends_at_the_clock() -> None:
    source, clock = Source(), Clock()
    source.add_bars(NAME, minutes(START, 60))
    source.add("open_interest", NAME, event_ms=minutes(START + MINUTE, 60),
               open_interest_qty=[float(i) for i in range(60)])  # fmt: skip
    replay = replay_of(source, clock, start_ms=START + 10 * MINUTE + 30_000, speed=60)
    bars = asyncio.run(replay.fetch_history(NAME, "bars", 0, 2**60))
    assert bars["start_ms"].to_pylist() == minutes(START, 10)
    interest = asyncio.run(replay.fetch_history(NAME, "open_interest", 0, 2**60))
    assert interest["event_ms"].to_pylist() == minutes(START + MINUTE, 10)
    clock.at_ms += 1000  # one second of ours is one minute of the recording
    bars = asyncio.run(replay.fetch_history(NAME, "bars", 0, 2**60))
    assert bars["start_ms"].to_pylist() == minutes(START, 11)
    assert asyncio.run(replay.fetch_history(NAME, "funding", 0, 2**60)) is None


def test_events_keep_their_order_and_come_at_their_time() -> None:
    source, clock = Source(), Clock()
    source.add_bars(NAME, minutes(START, 30))
    at = START + 12 * MINUTE
    source.add("open_interest", NAME, event_ms=[at], open_interest_qty=[5.0])
    source.add("mark", NAME, event_ms=[at - 1], mark_price=[7.0])
    source.add(
        "liquidations", NAME, event_ms=[at - 30_000, at - 30_000], position_side=["long", "short"],
        price=[99.0, 98.0], price_kind=["order"] * 2, qty=[1.0, 2.0],
        notional_usd=[99.0, 196.0], completeness=["sampled_1s"] * 2,
    )  # fmt: skip
    replay = replay_of(source, clock, start_ms=START + 10 * MINUTE)
    assert replay.coverage.liquidations == "sampled_1s"
    told = play(replay, [NAME], START + 10 * MINUTE)
    assert [type(event) for _, event in told[:6]] == [
        Bar, Liquidation, Liquidation, MarkPrice, OpenInterest, Bar,
    ]  # fmt: skip
    assert [told[i][1].position_side for i in (1, 2)] == ["long", "short"]
    for known, event in told:
        assert known >= event.event_ms + MINUTE * isinstance(event, Bar)
        assert known <= event.event_ms + MINUTE * isinstance(event, Bar) + 1000
    assert told[-1][1].event_ms == START + 29 * MINUTE


def test_speed_is_recorded_time_per_our_time() -> None:
    source, clock = Source(), Clock()
    source.add_bars(NAME, minutes(START, 120))
    play(replay_of(source, clock, start_ms=START, speed=60), [NAME], START)
    assert clock.at_ms == pytest.approx(120_000, abs=300)


def test_a_hole_is_jumped_over_and_told() -> None:
    source, clock = Source(), Clock()
    source.add_bars(NAME, minutes(START, 10) + minutes(START + 5 * DAY, 10))
    replay = replay_of(source, clock, start_ms=START, speed=60)
    told = [event for _, event in play(replay, [NAME], START)]
    assert told[10] == Gap(
        NAME, START + 10 * MINUTE, START + 5 * DAY, "bars", "hole in the recording"
    )
    assert len(told) == 21
    assert clock.at_ms < 30_000  # twenty minutes at 60x, not five days
    assert replay.ended


def test_a_recorded_gap_is_told_once_at_its_end() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 5) + minutes(START + 9 * MINUTE, 5))
    source.add("gaps", NAME, instrument=[NAME], event_ms=[START + 5 * MINUTE],
               end_ms=[START + 9 * MINUTE], kind=["bars"], reason=["socket closed"])  # fmt: skip
    told = play(replay_of(source, Clock(), start_ms=START), [NAME], START)
    gaps = [event for _, event in told if isinstance(event, Gap)]
    assert [gap.reason for gap in gaps] == ["socket closed"]


def test_a_hole_of_one_instrument_does_not_stop_the_other() -> None:
    source, clock = Source(), Clock()
    source.add_bars(NAME, minutes(START, 10) + minutes(START + 50 * MINUTE, 10))
    source.add_bars(OTHER, minutes(START, 60))
    replay = replay_of(source, clock, start_ms=START)
    told = [event for _, event in play(replay, [NAME, OTHER], START)]
    assert sum(isinstance(event, Bar) for event in told) == 80
    assert [event.instrument for event in told if isinstance(event, Gap)] == [NAME]
    assert clock.at_ms == pytest.approx(60_000, abs=300)


def test_nothing_after_the_last_bar_is_waited_for() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 10))
    source.add("open_interest", NAME, event_ms=[START + HOUR], open_interest_qty=[1.0])
    replay = replay_of(source, Clock(), start_ms=START)
    told = play(replay, [NAME], START)
    assert len(told) == 10
    assert replay.clock_ms() == START + 10 * MINUTE
    assert play(replay, [NAME], replay.clock_ms() + 1) == []


def test_rows_which_are_no_measurement_are_counted_and_left_out() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 10), taker_buy_qty=[math.nan] * 10)
    table = source.tables["bars", NAME]
    close = table["close"].to_numpy().copy()
    close[4] = math.nan
    source.tables["bars", NAME] = table.set_column(
        table.column_names.index("close"), "close", pa.array(close, from_pandas=False)
    )
    replay = replay_of(source, Clock(), start_ms=START)
    assert replay.counters == {"bad_rows": 1}
    told = [event for _, event in play(replay, [NAME], START)]
    bars = [event for event in told if isinstance(event, Bar)]
    assert len(bars) == 9
    assert all(bar.taker_buy_qty is None for bar in bars)
    assert sum(isinstance(event, Gap) for event in told) == 1


def test_coarse_bars_are_given_as_they_are() -> None:
    source = Source()
    source.add_bars(NAME, minutes(START, 60)[::5], 5 * MINUTE)
    told = play(replay_of(source, Clock(), start_ms=START), [NAME], START)
    assert all(event.closed and event.interval_ms == 5 * MINUTE for _, event in told)
    assert len(told) == 12
