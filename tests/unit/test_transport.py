"""Rate budgets, refusals, the exchange's clock, and frames over a cut line."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from liqheat.errors import ExchangeError, RefusedError
from liqheat.exchanges.transport import Backoff, Bucket, Budget, ExchangeClock, Http
from tests.unit.lines import T0, Clock


class Jumping(Clock):
    """A clock which jumps to where a sleep ends."""

    async def sleep(self, seconds: float) -> None:
        self.at_ms += max(0, round(seconds * 1000))
        await asyncio.sleep(0)


def take(budget: Budget, weights: list[float]) -> float:
    """Return how long a run of requests takes [s]."""

    async def run() -> float:
        clock = Jumping()
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
        clock = Jumping()
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
        clock = Jumping()
        clock.at_ms += 15_000
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


# -- HTTP against a server on loopback -----------------------------------------------------


Answer = tuple[int, dict[str, str], bytes]


@contextlib.asynccontextmanager
async def server(answers: list[Answer | None], **options) -> AsyncIterator[tuple]:
    """Give a client of a server which answers so, the last for ever; None cuts the line."""
    asked: list[web.Request] = []
    clock = Jumping()

    async def answer(request: web.Request) -> web.Response:
        asked.append(request)
        found = answers[min(len(asked), len(answers)) - 1]
        if found is None:
            request.transport.abort()
            return web.Response()
        status, headers, body = found
        return web.Response(status=status, headers=headers, body=body)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    http = Http(
        "toy", base, budget=Budget(6_000), clock_ms=clock, sleep=clock.sleep,
        draw=lambda: 1.0, **options,
    )  # fmt: skip
    try:
        yield http, clock, asked
    finally:
        await http.close()
        await runner.cleanup()


OK: Answer = (200, {}, b"[]")


def test_passing_failures_are_tried_again():
    async def run() -> None:
        async with server([(502, {}, b""), (500, {}, b""), OK]) as (http, clock, asked):
            assert await http.get("/x", {"a": 1}) == b"[]"
            assert len(asked) == 3
            assert asked[0].query == {"a": "1"}
            assert clock() - T0 == 750, "waits of 0.25 and 0.5 s"

    asyncio.run(run())


def test_cut_line_is_an_error_in_the_end():
    async def run() -> None:
        async with server([None]) as (http, _, asked):
            with pytest.raises(ExchangeError, match="toy: cannot be reached"):
                await http.get("/x")
            assert len(asked) >= 4

    asyncio.run(run())


def test_lasting_failure_is_told_with_the_heads_of_the_answer():
    async def run() -> None:
        async with server([(503, {}, b"maintenance until noon")]) as (http, _, asked):
            with pytest.raises(ExchangeError, match="HTTP 503: maintenance") as caught:
                await http.get("/x")
            assert caught.value.code == 503
            assert len(asked) == 4

    asyncio.run(run())


def test_wrong_request_is_not_repeated():
    async def run() -> None:
        async with server([(400, {}, b'{"msg":"Invalid symbol."}')]) as (http, _, asked):
            with pytest.raises(ExchangeError, match="Invalid symbol"):
                await http.post("/x", {"a": [1]})
            assert len(asked) == 1

    asyncio.run(run())


def test_429_honours_retry_after_and_halves():
    async def run() -> None:
        throttled: Answer = (429, {"Retry-After": "30"}, b"")
        async with server([throttled, OK]) as (http, clock, _):
            assert await http.get("/x") == b"[]"
            assert clock() - T0 >= 30_000
            assert http.throttled == 1

    asyncio.run(run())


@pytest.mark.parametrize(("status", "seconds"), [(403, 600), (418, 600), (451, 3_600)])
def test_refusal_stops_all_requests_for_a_while(status, seconds):
    async def run() -> None:
        async with server([(status, {}, b"eligibility"), OK]) as (http, clock, asked):
            for _ in range(5):
                with pytest.raises(RefusedError, match="refused"):
                    await http.get("/x")
            assert len(asked) == 1
            clock.at_ms += seconds * 1000
            assert await http.get("/x") == b"[]"

    asyncio.run(run())


def test_ban_lasts_as_long_as_the_exchange_says():
    async def run() -> None:
        async with server([(418, {"Retry-After": "7200"}, b""), OK]) as (
            http,
            clock,
            asked,
        ):
            with pytest.raises(RefusedError, match="too many requests"):
                await http.get("/x")
            clock.at_ms += 7_100_000
            with pytest.raises(RefusedError):
                await http.get("/x")
            assert len(asked) == 1

    asyncio.run(run())


def test_date_and_used_weight_are_read():
    async def run() -> None:
        date = email.utils.formatdate((T0 + 90_000) / 1000, usegmt=True)
        headers = {"Date": date, "X-Used": "2400.0"}
        async with server([(200, headers, b"{}")]) as (http, clock, _):
            http.bucket.budget = Budget(6_000, header="X-Used")
            await http.get("/x")
            assert http.clock_offset_ms == pytest.approx(90_500, abs=600)
            assert http.latency_ms == 0.0
            await http.get("/x")
            assert clock() - T0 == 60_000, "the share of this minute was used up"

    asyncio.run(run())
