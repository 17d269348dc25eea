"""Collecting: backfill of what is missing, batches, gaps, and stopping at any moment."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pyarrow as pa
import pytest

from liqheat import collect
from liqheat.errors import ExchangeError, RefusedError, StoreError, UnavailableError
from liqheat.exchanges.base import Coverage
from liqheat.market.events import (
    Bar,
    Bars,
    DepthSnapshot,
    Event,
    Gap,
    Liquidation,
    LongShortRatio,
    OpenInterest,
    Position,
)
from liqheat.market.instrument import SHIPPED
from liqheat.store import Store
from tests.market import DAY, MINUTE, SYMBOL, bar, fill, market, tables

N = 2 * 1440


class FakeExchange:
    """Bars and open interest of a made-up market; streams what it is told to."""

    name, mode = "fake", "live"
    coverage = Coverage(bars=True, open_interest=True, mark=True, history_days=2.0)

    def __init__(self, bars: Bars, stream: list[Event] | None = None) -> None:
        self.bars, self.events = bars, stream or []
        self.counters: dict[str, int] = {}
        self.asked: list[tuple[str, int, int]] = []
        self.streamed_from: list[int] = []
        self.fail: list[Exception] = []
        self.hold = False

    async def fetch_instruments(self) -> list[Any]:
        return [SHIPPED[SYMBOL]]

    async def fetch_history(
        self, instrument: str, kind: str, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        self.asked.append((kind, start_ms, end_ms))
        found = dict(tables(self.bars))
        if kind not in found:
            return None
        time = "start_ms" if kind == "bars" else "event_ms"
        times = found[kind][time].to_numpy()
        return found[kind].filter(pa.array((times >= start_ms) & (times < end_ms)))

    async def stream(self, names: Sequence[str], start_ms: int) -> AsyncIterator[Event]:
        self.streamed_from.append(start_ms)
        if self.fail:
            raise self.fail.pop(0)
        for event in self.events:
            yield event
        if self.hold:
            await asyncio.Event().wait()

    async def close(self) -> None:
        pass


class Heard:
    def __init__(self, wanted: int = 0) -> None:
        self.wanted, self.all = wanted, asyncio.Event()
        self.events: list[Event] = []
        self.states: list[tuple[str, str]] = []

    def publish(self, event: Event) -> None:
        self.events.append(event)
        if len(self.events) == self.wanted:
            self.all.set()

    def report(self, exchange: str, state: str, detail: str) -> None:
        self.states.append((state, detail))


def clock_of(bars: Bars) -> int:
    return int(bars.start_ms[-1]) + MINUTE


def run(exchange: FakeExchange, store: Store, heard: Heard, **more: Any) -> None:
    asyncio.run(
        collect.run(
            exchange, store, heard, clock_ms=lambda: clock_of(exchange.bars), **more
        )  # type: ignore[arg-type]
    )


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        yield opened


async def until(holds: Callable[[], Any]) -> None:
    for _ in range(1_000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never came")


def liquidation(at: int, qty: float = 1.0) -> Liquidation:
    return Liquidation(SYMBOL, at, "long", 6e4, "fill", qty, 6e4 * qty)


def test_first_start_fetches_history_and_tells_what_there_is_not(store) -> None:
    bars = market(N)
    exchange, heard, seen = FakeExchange(bars), Heard(), []
    run(exchange, store, heard, progress=lambda *args: seen.append(args))
    assert store.span("bars", SYMBOL).rows == N
    assert store.span("open_interest", SYMBOL).rows >= N - 1
    gaps = [gap for gap in store.gaps(SYMBOL) if gap.kind == "mark"]
    assert {gap.reason for gap in gaps} == {"fake has no history of mark"}
    assert seen[-1] == ("fake", 6 * DAY, 6 * DAY)
    assert [state for state, _ in heard.states] == ["starting", "starting", "live", "ended"]
    assert exchange.streamed_from == [clock_of(bars)]


def test_positions_ratios_and_books_are_kept(store) -> None:
    bars = market(N)
    at = clock_of(bars)
    events = [
        Position(SYMBOL, at, "0xa", "short", 2.0, 6e4, 7e4, 10.0),
        LongShortRatio(SYMBOL, at, 1.25),
        DepthSnapshot(SYMBOL, at, ((6e4, 1.0), (5.9e4, 2.0)), ((6.1e4, 3.0),)),
    ]
    run(FakeExchange(bars, events), store, Heard())
    row = store.read("positions", SYMBOL).to_pylist()[0]
    assert (row["account"], row["liquidation_price"], row["source"]) == ("0xa", 7e4, "fake")
    assert store.read("long_short", SYMBOL)["accounts_ratio"].to_pylist() == [1.25]
    book = store.read("depth", SYMBOL)
    assert book["book_side"].to_pylist() == ["ask", "bid", "bid"]
    assert book["price"].to_pylist() == [6.1e4, 5.9e4, 6e4]
    assert book["qty"].to_pylist() == [3.0, 2.0, 1.0]


def test_restart_fetches_only_what_is_missing(store) -> None:
    bars = market(N)
    run(FakeExchange(bars[:1000]), store, Heard())
    exchange = FakeExchange(bars)
    run(exchange, store, Heard())
    asked = sorted((start, end) for kind, start, end in exchange.asked if kind == "bars")
    stored_end, now = int(bars.start_ms[1000]), clock_of(bars)
    assert asked == [(stored_end, now - DAY), (now - DAY, now)]
    assert store.span("bars", SYMBOL).rows == N
    # What the exchange has not is not asked for again, but for the time since.
    asked = [(start, end) for kind, start, end in exchange.asked if kind == "mark"]
    assert min(asked)[0] == stored_end


def test_the_newest_history_comes_first_and_the_rest_beside_the_stream(store) -> None:
    bars = market(N)
    exchange, order = FakeExchange(bars), []
    fetch, stream = exchange.fetch_history, exchange.stream

    async def fetch_history(name: str, kind: str, start: int, end: int) -> Any:
        order.append((kind, end == clock_of(bars)))
        return await fetch(name, kind, start, end)

    def streaming(names: Sequence[str], start: int) -> Any:
        order.append("stream")
        return stream(names, start)

    exchange.fetch_history, exchange.stream = fetch_history, streaming
    run(exchange, store, Heard())
    assert order[:3] == [("open_interest", True), ("mark", True), ("bars", True)]
    rest = [one for one in order[3:] if one != "stream"]
    assert len(rest) == len(order) - 4 == 3
    assert rest == [("open_interest", False), ("mark", False), ("bars", False)]


def test_a_fetch_that_fails_beside_the_stream_is_tried_again(store, monkeypatch) -> None:
    monkeypatch.setattr(collect, "FIRST_WAIT_S", 0.01)
    bars = market(N)
    exchange, failures = FakeExchange(bars), [2]
    fetch = exchange.fetch_history

    async def fetch_history(name: str, kind: str, start: int, end: int) -> Any:
        if end < clock_of(bars) and failures[0]:
            failures[0] -= 1
            raise ExchangeError("fake", "busy")
        return await fetch(name, kind, start, end)

    exchange.fetch_history = fetch_history
    run(exchange, store, heard := Heard())
    assert failures == [0]
    assert store.span("bars", SYMBOL).rows == N
    assert "down" not in [state for state, _ in heard.states]


def test_a_refusal_is_said_and_not_retried_at_once(store, monkeypatch) -> None:
    monkeypatch.setattr(collect, "REFUSED_WAIT_S", 0.01)
    bars = market(N)
    exchange, heard = FakeExchange(bars), Heard()
    exchange.fail = [RefusedError("fake", "refused in this region", code=451)]
    run(exchange, store, heard)
    assert [state for state, _ in heard.states].count("refused") == 1
    assert "refused in this region" in dict(heard.states)["refused"]


def test_a_hole_is_mended_while_the_stream_runs(store, monkeypatch) -> None:
    monkeypatch.setattr(collect, "MEND_S", 0.01)
    bars = market(N)
    exchange = FakeExchange(bars)
    exchange.hold = True
    fetch = exchange.fetch_history
    patchy = [True]

    async def fetch_history(name: str, kind: str, start: int, end: int) -> Any:
        table = await fetch(name, kind, start, end)
        if kind == "bars" and patchy[0] and end == clock_of(bars):
            return pa.concat_tables([table.slice(0, 100), table.slice(110)])
        return table

    exchange.fetch_history = fetch_history

    async def main() -> None:
        task = asyncio.create_task(
            collect.run(exchange, store, Heard(), clock_ms=lambda: clock_of(bars))  # type: ignore[arg-type]
        )
        await until(lambda: store.gaps(SYMBOL, interval_ms=MINUTE))
        patchy[0] = False
        await until(lambda: store.read("bars", SYMBOL).num_rows == N)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())


def test_hole_between_stored_bars_is_mended(store) -> None:
    bars = market(N)
    fill(store, bars[:500])
    fill(store, bars[600:])
    exchange = FakeExchange(bars)
    run(exchange, store, Heard())
    asked = [(start, end) for kind, start, end in exchange.asked if kind == "bars"]
    assert asked == [(int(bars.start_ms[500]), int(bars.start_ms[600]))]
    assert store.span("bars", SYMBOL).rows == N


def test_stream_is_stored_and_progress_is_not(store) -> None:
    bars = market(N + 3)
    end = int(bars.start_ms[N]) + MINUTE
    events: list[Event] = [
        bar(bars, N, closed=False),
        liquidation(end - 5),
        liquidation(end - 5),
        OpenInterest(SYMBOL, end, 5e4),
        bar(bars, N),
        Gap(SYMBOL, end, end + 10, "liquidations", "socket closed"),
    ]
    exchange, heard = FakeExchange(bars[:N], events), Heard()
    run(exchange, store, heard)
    assert heard.events == events
    assert store.span("bars", SYMBOL).rows == N + 1
    assert store.read("liquidations", SYMBOL).num_rows == 2
    assert store.read("liquidations", SYMBOL)["exchange"].to_pylist() == ["fake"] * 2
    assert any(gap.reason == "socket closed" for gap in store.gaps(SYMBOL))


def test_stop_at_any_moment_writes_the_last_batch(store) -> None:
    bars = market(N)
    exchange = FakeExchange(bars, [liquidation(clock_of(bars) + i) for i in range(2_500)])
    exchange.hold = True

    async def main() -> None:
        heard = Heard(2_500)
        task = asyncio.create_task(
            collect.run(exchange, store, heard, clock_ms=lambda: clock_of(bars))  # type: ignore[arg-type]
        )
        await heard.all.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert store.read("liquidations", SYMBOL).num_rows == 2_500


def test_failed_stream_is_tried_again_from_where_the_store_ends(store, monkeypatch) -> None:
    monkeypatch.setattr(collect, "FIRST_WAIT_S", 0.01)
    bars = market(N)
    exchange, heard = FakeExchange(bars, [liquidation(clock_of(bars))]), Heard()
    exchange.fail = [OSError("cut"), ConnectionResetError("again")]
    run(exchange, store, heard)
    states = [state for state, _ in heard.states]
    assert states.count("down") == 2
    assert states[-1] == "ended"
    assert len(exchange.streamed_from) == 3
    assert store.read("liquidations", SYMBOL).num_rows == 1


def test_store_which_cannot_be_written_delays_but_loses_nothing(store, monkeypatch) -> None:
    monkeypatch.setattr(collect, "FIRST_WAIT_S", 0.01)
    bars = market(N)
    exchange = FakeExchange(bars, [liquidation(clock_of(bars) + i) for i in range(50)])
    write, refusals = store.write, [3]

    def sometimes(kind: str, table: pa.Table) -> Any:
        if kind == "liquidations" and refusals[0]:
            refusals[0] -= 1
            raise StoreError("the disk is full")
        return write(kind, table)

    monkeypatch.setattr(store, "write", sometimes)
    run(exchange, store, Heard())
    assert refusals == [0]
    assert store.read("liquidations", SYMBOL).num_rows == 50


def test_unknown_instrument_is_an_error(store) -> None:
    with pytest.raises(UnavailableError, match="fake has not nope"):
        run(FakeExchange(market(10)), store, Heard(), instruments=["nope"])


def test_bus_hears_bars_in_progress(store) -> None:
    bars = market(N + 1)
    exchange, heard = FakeExchange(bars[:N], [bar(bars, N, closed=False)]), Heard()
    run(exchange, store, heard)
    assert [event.closed for event in heard.events if isinstance(event, Bar)] == [False]
    assert store.span("bars", SYMBOL).rows == N


def test_restart_recalls_the_newest_position_of_each_account(store) -> None:
    bars = market(N)
    now = int(bars.start_ms[-1]) + MINUTE

    def told(account: str, age: int, side: Any, qty: float) -> Position:
        return Position(SYMBOL, now - age * MINUTE, account, side, qty, 6e4, 5e4, None)

    class Remembers(FakeExchange):
        recalled: Sequence[Position] = ()

        def recall(self, told: Sequence[Position]) -> None:
            self.recalled = told

    before = [
        told("0xa", 50, "long", 1.0), told("0xa", 40, "long", 2.0),
        told("0xb", 30, "long", 0.0), told("0xb", 30, "short", 3.0),
        told("0xc", 20, "short", 0.0), told("0xold", 3 * 1440, "short", 5.0),
    ]  # fmt: skip
    run(FakeExchange(bars, before), store, Heard())
    again = Remembers(bars)
    run(again, store, Heard())
    assert list(again.recalled) == [before[1], before[3], before[4]]
