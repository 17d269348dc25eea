"""Rate budgets, refusals, the exchange's clock, and frames over a cut line."""

from __future__ import annotations

import asyncio

import pytest

from liqheat.exchanges.transport import Backoff, Bucket, Budget, ExchangeClock


class Clock:
    """A clock which only moves when somebody sleeps."""

    def __init__(self, at_ms: int = 1_790_035_200_000) -> None:
        self.at_ms = at_ms

    def __call__(self) -> int:
        return self.at_ms

    async def sleep(self, seconds: float) -> None:
        self.at_ms += max(0, round(seconds * 1000))
        await asyncio.sleep(0)


def take(budget: Budget, weights: list[float]) -> float:
    """Return how long a run of requests takes [s]."""

    async def run() -> float:
        clock = Clock()
        bucket, began = Bucket(budget, clock, clock.sleep), clock()
        for weight in weights:
            await bucket.take(weight)
        return (clock() - began) / 1000

    return asyncio.run(run())


def test_budget_is_kept_over_ten_minutes():
    # 40 % of 1,200 a minute: 480; ten seconds' worth may come at once.
    spent = take(Budget(1_200), [20.0] * 240)
    assert spent == pytest.approx(600 - 10, abs=1)


def test_request_heavier_than_the_bucket_goes_and_leaves_a_debt():
    assert take(Budget(60, share=0.5), [30.0, 1.0]) == pytest.approx(52, abs=0.1)


def test_429_halves_the_rate_for_a_minute():
    async def run() -> list[float]:
        clock = Clock()
        bucket, began = Bucket(Budget(600, share=1.0), clock, clock.sleep), clock()
        bucket.halve()
        done = []
        for _ in range(600):
            await bucket.take(1.0)
            done.append((clock() - began) / 1000)
        return done

    done = asyncio.run(run())
    assert sum(at <= 60 for at in done) == pytest.approx(300, abs=2)
    assert done[-1] == pytest.approx(60 + 30, abs=0.5)


def test_used_weight_of_others_counts():
    async def run() -> int:
        clock = Clock(1_790_035_215_000)
        bucket = Bucket(Budget(2_400, header="X-MBX-USED-WEIGHT-1M"), clock, clock.sleep)
        bucket.note_used(959)
        await bucket.take(1.0)
        assert clock() == 1_790_035_215_000
        bucket.note_used(960)
        await bucket.take(1.0)
        return clock()

    assert asyncio.run(run()) == 1_790_035_260_000


def test_clock_in_whole_seconds_becomes_precise():
    clock, true_offset = ExchangeClock(), 90_123
    assert not clock.known
    assert clock.offset_ms == 0.0
    for i in range(50):
        sent = 1_790_035_200_000 + i * 7_137
        received = sent + 40 + i % 3 * 30
        told = (sent + 20 + true_offset) // 1000 * 1000
        clock.note(told, sent, received, step_ms=999)
    assert clock.offset_ms == pytest.approx(true_offset, abs=60)


def test_clock_which_was_set_is_believed():
    clock = ExchangeClock()
    clock.note(1_000_100, 1_000_000, 1_000_010)
    clock.note(1_005_000, 1_001_000, 1_001_010)
    assert clock.offset_ms == pytest.approx(3_995)


def test_backoff_grows_and_is_jittered():
    most = [Backoff(lambda: 1.0, tries).next_s() for tries in range(10)]
    assert most == [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30, 30]
    assert Backoff(lambda: 0.0, 5).next_s() == 0.0
