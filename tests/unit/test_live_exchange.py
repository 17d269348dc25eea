"""Bars from trades, readings thinned, holes told and repaired: the stream of an adapter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import aiohttp
import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from liqheat.errors import ExchangeError
from liqheat.exchanges._bars import BarBuilder
from liqheat.exchanges._stream import Stream
from liqheat.exchanges._wire import BadFrameError, history_table
from liqheat.exchanges.base import Coverage, Exchange
from liqheat.exchanges.live import LiveExchange
from liqheat.exchanges.transport import Budget, Socket
from liqheat.market.events import (
    Bar,
    Event,
    Gap,
    Liquidation,
    MarkPrice,
    OpenInterest,
    Trade,
)
from tests.unit.lines import T0, Clock, Line

MINUTE = 60_000
NAME = "toy:BTC"


# -- bars ----------------------------------------------------------------------------------


def test_bar_is_told_by_time_not_by_arrival():
    builder = BarBuilder(NAME, T0)
    for at, price, qty, is_buy in (
        (30_000, 101.0, 2.0, True), (59_999, 99.0, 1.0, False), (0, 100.0, 1.0, True),
        (45_000, 105.0, 0.5, False),
    ):  # fmt: skip
        assert builder.add_trade(T0 + at, price, qty, is_buy)
    builder.add_mark(T0 + 10_000, 100.5)
    builder.add_mark(T0 + 20_000, 99.5)
    assert builder.close() == Bar(
        NAME, T0, MINUTE, 100.0, 105.0, 99.0, 99.0, 4.5, 3.0, 100.5, 99.5
    )


def test_minute_without_a_trade_carries_the_last_close():
    builder = BarBuilder(NAME, T0)
    assert builder.close() is None, "nothing is known yet"
    builder.add_trade(T0 + MINUTE, 100.0, 1.0, True)
    builder.close()
    builder.add_mark(T0 + 2 * MINUTE, 100.25)
    bar = builder.close()
    assert (bar.open, bar.close, bar.qty, bar.mark_high) == (100.0, 100.0, 0.0, 100.25)


def test_trade_of_a_minute_given_away_comes_too_late():
    builder = BarBuilder(NAME, T0)
    builder.close()
    assert not builder.add_trade(T0 + 59_999, 100.0, 1.0, True)
    assert builder.add_trade(T0 + MINUTE, 100.0, 1.0, True)


def test_closed_kline_does_not_grow_again():
    def kline(qty: float, closed: bool) -> Bar:
        return Bar(NAME, T0, MINUTE, 1.0, 2.0, 1.0, 2.0, qty, 1.0, closed=closed)

    builder = BarBuilder(NAME, T0)
    builder.add_kline(kline(3.0, False))
    builder.add_kline(kline(2.0, False))
    assert builder.qty() == 3.0
    builder.add_kline(kline(5.0, True))
    builder.add_kline(kline(4.0, False))
    assert builder.is_final()
    assert builder.close().qty == 5.0


@given(st.lists(st.tuples(st.integers(0, 179_999), st.integers(1, 999), st.booleans()),
                min_size=1, max_size=60, unique_by=lambda one: one[0]), st.randoms())  # fmt: skip
def test_order_of_arrival_does_not_matter(trades, rng):
    def build(rows: list) -> list[Bar | None]:
        builder = BarBuilder(NAME, T0)
        for at, price, is_buy in rows:
            builder.add_trade(T0 + at, price / 8, price / 4, is_buy)
        return [builder.close() for _ in range(3)]

    mixed = list(trades)
    rng.shuffle(mixed)
    bars = build(sorted(trades))
    assert bars == build(mixed)
    assert sum(bar.qty for bar in bars if bar) == sum(one[1] for one in trades) / 4
    for bar in bars:
        if bar is not None:
            assert (
                bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
            )
            assert 0 <= bar.taker_buy_qty <= bar.qty


# -- the whole stream ----------------------------------------------------------------------


class Toy(LiveExchange):
    """An adapter whose frames are rows: [kind, ms after T0, numbers]."""

    name = "toy"
    coverage = Coverage(taker_volume=True, liquidations="full")
    default_urls = {"rest": "https://toy.invalid", "ws": "wss://toy.invalid"}  # noqa: RUF012
    budget = Budget(600)

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock_ms=clock, sleep=clock.sleep)
        self.lines: list[Line] = []
        self.history: dict[int, Bar] | None = {}
        self.asked: list[tuple[int, int]] = []
        self.fails = False
        self.sessions.connect = self._connect

    async def _connect(self, _: Socket) -> Line:
        self.lines.append(Line(self.our_ms))
        return self.lines[-1]

    def sockets(self, instruments) -> list[Socket]:
        return [Socket(self.urls["ws"], "all")]

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        try:
            rows = msgspec.json.decode(frame)
        except msgspec.DecodeError as error:
            raise BadFrameError("toy", label, "", str(error)) from error
        for kind, at, *numbers in rows:
            match kind:
                case "t":
                    side = "buy" if numbers[1] > 0 else "sell"
                    yield Trade(NAME, T0 + at, numbers[0], abs(numbers[1]), side)
                case "m":
                    yield MarkPrice(NAME, T0 + at, numbers[0])
                case "o":
                    yield OpenInterest(NAME, T0 + at, numbers[0])
                case "l":
                    yield Liquidation(
                        NAME, T0 + at, "long", numbers[0], "bankruptcy", 1.0, numbers[0]
                    )
                case "e":
                    raise ExchangeError("toy", "no such channel")

    async def fetch_history(self, instrument, kind, start_ms, end_ms) -> pa.Table | None:
        self.asked.append((start_ms, end_ms))
        if self.fails:
            raise ExchangeError("toy", "cannot be reached")
        if self.history is None:
            return None
        return history_table("bars", self.history.values(), "toy", start_ms, end_ms)


@contextlib.asynccontextmanager
async def toy() -> AsyncIterator[tuple[Clock, Toy, list[Event]]]:
    clock, heard = Clock(), []
    exchange = Toy(clock)

    async def listen() -> None:
        async for event in exchange.stream([NAME], T0):
            heard.append(event)

    task = asyncio.create_task(listen())
    await clock.move(1_000)
    try:
        yield clock, exchange, heard
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await exchange.close()


def rest_bar(minute: int, qty: float = 7.0) -> Bar:
    return Bar(NAME, T0 + minute * MINUTE, MINUTE, 100.0, 110.0, 90.0, 105.0, qty)


def closed(heard: list[Event]) -> list[Bar]:
    return [one for one in heard if isinstance(one, Bar) and one.closed]


async def trade(clock: Clock, exchange: Toy, minutes: float) -> None:
    """Trade one unit at 100 each five seconds."""
    for _ in range(round(minutes * 12)):
        exchange.lines[-1].frame(("t", clock() - T0, 100.0, 1.0))
        await clock.move(5_000, 500)


def test_exchange_protocol_is_kept():
    assert isinstance(Toy(Clock()), Exchange)


def test_bars_close_on_the_clock_and_once():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(0).event_ms: rest_bar(0)}
            await trade(clock, exchange, 4)
            bars = closed(heard)
            # The first minute had begun before the stream: REST has all of it.
            assert bars[0] == rest_bar(0)
            assert [bar.event_ms for bar in bars] == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
            assert {bar.qty for bar in bars[1:]} == {12.0}
            growing = [one for one in heard if isinstance(one, Bar) and not one.closed]
            assert 30 < len(growing) <= 4 * 60
            times = [one.event_ms for one in heard if isinstance(one, Bar)]
            assert times == sorted(times)

    asyncio.run(run())


def test_late_trade_within_the_grace_counts_later_is_counted():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            await trade(clock, exchange, 1.95)
            await clock.move(T0 + 2 * MINUTE + 1_000 - clock())
            exchange.lines[0].frame(("t", 2 * MINUTE - 1, 130.0, 1.0))
            await trade(clock, exchange, 0.5)
            assert closed(heard)[-1].high == 130.0
            exchange.lines[0].frame(("t", 2 * MINUTE - 1, 140.0, 1.0))
            await clock.move(1_000)
            assert exchange.counters["late_trades"] == 1
            assert closed(heard)[-1].high == 130.0

    asyncio.run(run())


def test_minute_touched_by_a_hole_comes_from_rest():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(n).event_ms: rest_bar(n) for n in (0, 2, 3)}
            await trade(clock, exchange, 2.5)
            exchange.lines[0].cut()
            await clock.move(3_000)
            await trade(clock, exchange, 2)
            assert [bar.qty for bar in closed(heard)] == [7.0, 12.0, 7.0, 12.0]
            gaps = [one for one in heard if isinstance(one, Gap)]
            assert {gap.kind for gap in gaps} == {"liquidations"}
            assert all(gap.end_ms > gap.event_ms for gap in gaps)
            assert "connection lost" in gaps[-1].reason

    asyncio.run(run())


def test_hole_which_rest_cannot_fill_becomes_a_gap_and_bars_go_on():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            await trade(clock, exchange, 1.5)
            exchange.fails = True
            exchange.lines[0].cut()
            await clock.move(3_000)
            await trade(clock, exchange, 3)
            gaps = [one for one in heard if isinstance(one, Gap) and one.kind == "bars"]
            assert [gap.event_ms for gap in gaps][-1] == T0 + MINUTE
            assert closed(heard)[-1].event_ms >= T0 + 2 * MINUTE
            assert closed(heard)[-1].qty == 12.0

    asyncio.run(run())


def test_nothing_newer_is_told_while_nothing_can_be_reached():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(n).event_ms: rest_bar(n) for n in range(30)}
            await trade(clock, exchange, 2)
            count = len(closed(heard))
            exchange.fails = True
            kept, exchange.sessions.connect = exchange.sessions.connect, refuse
            exchange.lines[0].cut()
            await clock.move(20 * MINUTE, 1_000)
            assert len(closed(heard)) == count
            exchange.fails, exchange.sessions.connect = False, kept
            await clock.move(70_000, 500)
            await trade(clock, exchange, 1.2)
            bars = closed(heard)
            assert [bar.event_ms for bar in bars] == [
                T0 + n * MINUTE for n in range(len(bars))
            ]
            assert len(bars) >= 23
            assert not any(isinstance(one, Gap) and one.kind == "bars" for one in heard)

    async def refuse(_: Socket) -> Line:
        raise ConnectionRefusedError

    asyncio.run(run())


def test_deaf_line_is_found_out_and_replaced():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(n).event_ms: rest_bar(n, 12.0) for n in range(9)}
            await trade(clock, exchange, 2)
            deaf_ms = clock()
            await clock.move(2 * MINUTE, 500)
            assert exchange.counters["deaf"] == 1
            assert len(exchange.lines) == 2
            gap = next(
                one for one in heard if isinstance(one, Gap) and "deaf" in one.reason
            )
            assert gap.event_ms <= deaf_ms
            assert [bar.qty for bar in closed(heard)] == [12.0] * 3

    asyncio.run(run())


def test_trades_told_again_at_subscribing_do_not_prove_that_the_line_hears():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(n).event_ms: rest_bar(n, 12.0) for n in range(9)}
            await trade(clock, exchange, 2)
            while len(exchange.lines) < 2:
                await clock.move(250)
            # The new line is deaf for another eight seconds, but begins with old trades.
            exchange.lines[1].frame(("t", clock() - T0 - 250, 100.0, 1.0))
            await clock.move(8_000)
            hears_ms = clock()
            await trade(clock, exchange, 1)
            spans = [
                (one.event_ms, one.end_ms) for one in heard
                if isinstance(one, Gap) and "deaf" in one.reason
            ]  # fmt: skip
            for missed_ms in range(T0 + 2 * MINUTE + 2_000, hears_ms, 500):
                assert any(start <= missed_ms < end for start, end in spans), missed_ms

    asyncio.run(run())


def test_failure_is_a_warning_once_until_it_works_again(caplog):
    caplog.set_level("INFO", "liqheat.exchanges")
    stream = Stream(Toy(Clock()), (NAME,), T0)
    for _ in range(3):
        stream.failed("poll_failed", "HTTP 503")
        stream.exchange.tiers_failed(ExchangeError("toy", "cannot be reached"))
    stream.worked("poll_failed")
    stream.failed("poll_failed", "HTTP 500")
    told = [
        one.getMessage().split()[0] for one in caplog.records if one.levelname == "WARNING"
    ]
    assert told == ["poll_failed", "tiers_not_refreshed", "poll_failed"]
    assert len(caplog.records) == 7


def test_quiet_market_is_no_deaf_line():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.history = {rest_bar(n).event_ms: rest_bar(n, 0.0) for n in range(9)}
            await trade(clock, exchange, 1)
            await clock.move(3 * MINUTE, 500)
            assert exchange.counters["deaf"] == 0
            assert len(exchange.lines) == 1
            assert [bar.qty for bar in closed(heard)[2:]] == [0.0] * len(closed(heard)[2:])

    asyncio.run(run())


def test_last_reading_of_a_minute_is_told_before_its_bar():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            for second in range(150):
                exchange.lines[0].frame(
                    ("t", clock() - T0, 100.0, 1.0), ("m", clock() - T0, 100.0 + second),
                    ("o", clock() - T0, 50.0 + second),
                )  # fmt: skip
                await clock.move(1_000, 500)
            marks = [one for one in heard if isinstance(one, MarkPrice)]
            interest = [one for one in heard if isinstance(one, OpenInterest)]
            assert [one.event_ms for one in marks] == [T0 + MINUTE, T0 + 2 * MINUTE]
            assert len(interest) == 2
            bar = closed(heard)[-1]
            assert (bar.mark_high - bar.mark_low) == 59.0
            assert heard.index(interest[1]) < heard.index(bar)

    asyncio.run(run())


def test_liquidation_gets_the_mark_price_of_its_time():
    async def run() -> None:
        async with toy() as (clock, exchange, heard):
            exchange.lines[0].frame(("m", 1_000, 101.0), ("l", 1_500, 95.0))
            await clock.move(30_000)
            exchange.lines[0].frame(("l", 30_000, 95.0))
            await clock.move(1_000)
            found = [one for one in heard if isinstance(one, Liquidation)]
            assert [one.mark_price for one in found] == [101.0, None]

    asyncio.run(run())


@pytest.mark.parametrize(
    "frame", [b"", b"{", b"null", b'[["t"]]', b'[["t",0,"x",1]]', b"\xff\xfe", b"[[[]]]"]
)
def test_bad_frame_is_counted_and_skipped(frame, caplog):
    async def run() -> None:
        async with toy() as (clock, exchange, _):
            for _ in range(20):
                exchange.lines[0].put(aiohttp.WSMsgType.TEXT, frame)
            await trade(clock, exchange, 1.3)
            assert exchange.counters["bad_frames"] == 20
            assert exchange.stats["all"].bad_frames == 20
            assert exchange.counters["trades"] == 16

    asyncio.run(run())
    samples = [one for one in caplog.messages if "bad_frame" in one]
    assert 1 <= len(samples) <= 6, "a few a minute"
    assert "label=all" in samples[0]


@pytest.mark.parametrize(
    "row", [("t", 9e7, 100.0, 1.0), ("t", 0, -5.0, 1.0), ("t", 0, 1e300, 1.0),
            ("t", 0, 100.0, 0.0), ("m", 0, 0.0), ("o", 0, -1.0)],
)  # fmt: skip
def test_impossible_event_is_counted_and_skipped(row):
    async def run() -> None:
        async with toy() as (clock, exchange, _):
            exchange.lines[0].frame(row)
            await clock.move(1_000)
            assert exchange.counters["bad_events"] == 1
            assert exchange.counters["trades"] == 0

    asyncio.run(run())


def test_refused_subscription_makes_the_connection_anew():
    async def run() -> None:
        async with toy() as (clock, exchange, _):
            exchange.lines[0].frame(("e", 0))
            await clock.move(3_000)
            assert len(exchange.lines) == 2
            assert exchange.lines[0].closed

    asyncio.run(run())


def test_stream_which_nobody_reads_holds_the_sockets_and_loses_nothing(monkeypatch):
    monkeypatch.setattr("liqheat.exchanges._stream.OUTBOX", 50)

    async def run() -> None:
        clock = Clock()
        exchange = Toy(clock)
        stream = exchange.stream([NAME], T0)
        first = asyncio.ensure_future(anext(stream))
        await clock.move(1_000)
        for number in range(1_000):
            exchange.lines[0].frame(("l", number, 95.0))
        await clock.move(5_000)
        assert exchange.lines[0].inbox.qsize() > 900, "the socket is not read"
        heard = [await first]
        while len(heard) < 1_001:  # one gap, and all of them
            heard.append(await asyncio.wait_for(anext(stream), 1))
        await stream.aclose()
        await exchange.close()
        times = [one.event_ms for one in heard if isinstance(one, Liquidation)]
        assert times == [T0 + number for number in range(1_000)]

    asyncio.run(run())


def test_urls_at_a_stand_in():
    assert Toy.urls_at("http://127.0.0.1:9") == {
        "rest": "http://127.0.0.1:9/toy/rest", "ws": "ws://127.0.0.1:9/toy/ws"
    }  # fmt: skip
