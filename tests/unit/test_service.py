"""Parts of the service: the tape, the single-flight cache, what feeds say of themselves."""

import asyncio
import math
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from liqheat.errors import UnavailableError, UnknownInstrumentError
from liqheat.market.events import Bar, Bars, Liquidation, MarkPrice, OpenInterest
from liqheat.service import Feed
from liqheat.service.cache import BuildCache, BusyError
from liqheat.service.feeds import Catalogue
from liqheat.service.history import History
from liqheat.service.tape import MAX_LIQUIDATIONS, Tape
from liqheat.store import Store
from tests.market import DAY, MINUTE, SYMBOL, T0, bar, fill, market


def play(tape: Tape, bars: Bars, first: int, last: int) -> None:
    for i in range(first, last):
        end = int(bars.start_ms[i]) + MINUTE
        tape.take(OpenInterest(SYMBOL, end, float(bars.open_interest_qty[i])))
        assert tape.take(bar(bars, i))


def test_tape_continues_stored_bars_as_the_store_would() -> None:
    bars, tape = market(50), Tape()
    play(tape, bars, 10, 50)
    whole = tape.extend(History.of(bars[:30])).bars
    for name in ("start_ms", "close", "qty", "open_interest_qty"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(bars, name))
    stored = History.of(bars)
    assert tape.extend(stored) is stored
    assert [row.start_ms for row in tape.after(int(bars.start_ms[48]))] == [
        int(bars.start_ms[48]), int(bars.start_ms[49]),
    ]  # fmt: skip


def test_tape_takes_each_bar_once_and_forgets_another_interval() -> None:
    bars, tape = market(5), Tape()
    play(tape, bars, 0, 5)
    assert not tape.take(bar(bars, 3))
    assert len(tape.closed) == 5
    five = Bar(SYMBOL, T0 + 5 * MINUTE, 5 * MINUTE, 1, 1, 1, 1, 1)
    assert tape.take(five)
    assert len(tape.closed) == 1
    joined = tape.extend(History.of(bars))
    assert joined.length_ms.tolist() == [MINUTE] * 5 + [5 * MINUTE]
    assert joined.bars.start_ms[-1] == T0 + 9 * MINUTE


def test_tape_reads_old_open_interest_as_none() -> None:
    tape = Tape()
    tape.take(OpenInterest(SYMBOL, T0, 5.0))
    tape.take(Bar(SYMBOL, T0, MINUTE, 1, 1, 1, 1, 1))
    tape.take(OpenInterest(SYMBOL, T0 + MINUTE + 1, 7.0))
    tape.take(Bar(SYMBOL, T0 + MINUTE, MINUTE, 1, 1, 1, 1, 1))
    assert math.isnan(tape.closed[0].open_interest_qty)
    assert tape.closed[1].open_interest_qty == 7.0


@pytest.mark.parametrize(("readings", "known"), [(9, False), (10, True)])
def test_tape_takes_a_mark_range_from_enough_readings(readings, known) -> None:
    tape = Tape()
    for i in range(readings):
        tape.take(MarkPrice(SYMBOL, T0 + 1000 * i, 100.0 + i))
    tape.take(Bar(SYMBOL, T0, MINUTE, 1, 1, 1, 1, 1))
    row = tape.closed[0]
    if known:
        assert (row.mark_low, row.mark_high) == (100.0, 99.0 + readings)
    else:
        assert math.isnan(row.mark_low)


def test_tape_is_bounded() -> None:
    tape = Tape()
    for i in range(MAX_LIQUIDATIONS + 10):
        tape.take(Liquidation(SYMBOL, T0 + i, "long", 1, "fill", 1, 1))
    assert len(tape.liquidations) == MAX_LIQUIDATIONS
    assert tape.data_ms == T0 + MAX_LIQUIDATIONS + 9


def cache_of(threads: ThreadPoolExecutor, **limits: int) -> BuildCache[bytes]:
    return BuildCache(threads, len, **{"max_bytes": 100, **limits})


def test_cache_builds_once_for_all_who_wait() -> None:
    async def check() -> None:
        with ThreadPoolExecutor(2) as threads:
            cache, built = cache_of(threads), []

            def build() -> bytes:
                built.append(1)
                time.sleep(0.05)
                return b"x"

            one = asyncio.create_task(cache.get("a", build))
            await asyncio.sleep(0.01)
            others = [asyncio.create_task(cache.get("a", build)) for _ in range(9)]
            one.cancel()  # who goes away does not stop the others
            assert await asyncio.gather(*others) == [b"x"] * 9
            assert await cache.get("a", build) == b"x"
            assert len(built) == 1

    asyncio.run(check())


def test_cache_keeps_no_failure_and_forgets_the_oldest() -> None:
    async def check() -> None:
        with ThreadPoolExecutor(2) as threads:
            cache = cache_of(threads)
            with pytest.raises(ZeroDivisionError):
                await cache.get("bad", lambda: bytes(1 // 0))
            assert await cache.get("bad", lambda: b"good") == b"good"
            for name in "abc":
                await cache.get(name, lambda: bytes(40))
            assert [cache.kept(name) is None for name in ("bad", "a", "b", "c")] == [
                True, True, False, False,
            ]  # fmt: skip

    asyncio.run(check())


def test_cache_refuses_too_many_builds() -> None:
    async def check() -> None:
        gate = threading.Event()

        def build() -> bytes:
            gate.wait(5)
            return b""

        with ThreadPoolExecutor(2) as threads:
            cache = cache_of(threads, max_waiting=3)
            tasks = [asyncio.create_task(cache.get(i, build)) for i in range(3)]
            await asyncio.sleep(0.01)
            with pytest.raises(BusyError):
                await cache.get("one more", build)
            gate.set()
            await asyncio.gather(*tasks)

    asyncio.run(check())


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path) as opened:
        fill(opened, market(100))
        yield opened


@pytest.mark.parametrize(
    ("kind", "attached", "age", "mode", "state", "words"),
    [
        (
            "real",
            False,
            DAY,
            "replay",
            "stale",
            "last bar is 1 day old. Nothing is collecting",
        ),
        ("real", False, 5 * MINUTE, "live", "stale", ""),
        ("real", True, DAY, "live", "stale", ""),
        ("real", True, MINUTE, "live", "live", ""),
        ("real", True, 3 * MINUTE, "live", "late", ""),
        ("simulated", True, DAY, "simulated", "live", "no real prices"),
        ("replay", True, DAY, "replay", "live", "at 60x"),
    ],
)
def test_feed_says_what_its_data_are(
    store, kind, attached, age, mode, state, words
) -> None:
    now = T0 + 100 * MINUTE + age
    feed = Feed(store, kind, attached=attached, speed=60 if kind == "replay" else None)
    feed.heard_ms, feed.state = now - 1000, "live"
    catalogue = Catalogue([feed], lambda: now)
    catalogue.refresh()
    [row] = [catalogue.row(entry) for entry in catalogue.entries()]
    assert (row.mode, row.state, row.bars) == (mode, state, 100)
    assert words in catalogue.note(catalogue.find(SYMBOL))
    assert catalogue.overall_mode() == mode


def test_feed_that_is_down_says_why(store) -> None:
    feed = Feed(store, attached=True, state="down", detail="Trying again in 4 s: cut")
    catalogue = Catalogue([feed], lambda: T0 + 100 * MINUTE)
    catalogue.refresh()
    state = catalogue.state(catalogue.find(SYMBOL))
    assert (state.state, state.detail) == ("down", "Trying again in 4 s: cut")


def test_unknown_symbol_says_the_nearest(store) -> None:
    catalogue = Catalogue([Feed(store)], lambda: T0)
    catalogue.refresh()
    with pytest.raises(UnknownInstrumentError, match="use one of: binance:BTCUSDT"):
        catalogue.find("binance:BTCUSD")
    with pytest.raises(UnavailableError, match="no data are stored"):
        catalogue.find("binance:ETHUSDT")
