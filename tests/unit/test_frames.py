"""Frames of one socket: pings, cuts, waits, rotation, and a hole before what comes after."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp

from liqheat.exchanges._frames import frames
from liqheat.exchanges.transport import Hole, Socket, SocketStats
from tests.unit.lines import T0, Clock, Line


@contextlib.asynccontextmanager
async def feed(socket: Socket, *, answers: bool = True, **options) -> AsyncIterator[tuple]:
    """Run ``frames`` on lines by hand: gives clock, lines, what was heard, statistics."""
    clock, lines, heard = Clock(), [], []
    stats = SocketStats(socket.label)

    async def connect(_: Socket) -> Line:
        lines.append(Line(clock, answers))
        return lines[-1]

    async def listen() -> None:
        async for item in frames(
            socket, exchange="toy", clock_ms=clock, sleep=clock.sleep, stats=stats,
            connect=connect, draw=lambda: 1.0, **options,
        ):  # fmt: skip
            heard.append(item)

    task = asyncio.create_task(listen())
    await clock.move(1_000)
    try:
        yield clock, lines, heard, stats
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def test_subscriptions_are_paced_and_repeated_after_a_cut():
    async def run() -> None:
        socket = Socket("ws://x", "a", subscribe=("one", "two", "three"), pace_s=0.25)
        async with feed(socket) as (clock, lines, _, _):
            assert lines[0].sent == ["one", "two", "three"]
            lines[0].cut()
            await clock.move(3_000)
            assert lines[1].sent == ["one", "two", "three"]

    asyncio.run(run())


def test_hole_is_told_before_the_first_frame_after_a_cut():
    async def run() -> None:
        async with feed(Socket("ws://x", "a")) as (clock, lines, heard, _):
            lines[0].frame(1)
            await clock.move(20_000)
            cut_ms = clock()
            lines[0].cut()
            await clock.move(3_000)
            lines[1].frame(2)
            await clock.move(1_000)
            first, hole, second = heard
            assert (first, second) == (b"[1]", b"[2]")
            assert isinstance(hole, Hole)
            # All that was sent before the last pong was read; a second more on both ends.
            assert cut_ms - 12_000 <= hole.start_ms < cut_ms < hole.end_ms <= cut_ms + 3_000

    asyncio.run(run())


def test_silence_of_traffic_is_no_fault_but_silence_of_pongs_is():
    async def run() -> None:
        async with feed(Socket("ws://x", "a", silent_s=60)) as (clock, lines, _, stats):
            await clock.move(600_000, 1_000)
            assert len(lines) == 1
            assert stats.reconnects == 0
            lines[0].answers = False
            await clock.move(75_000, 1_000)
            assert lines[0].closed
            assert len(lines) == 2
            assert "silent for 60 s" in stats.detail or stats.state == "live"

    asyncio.run(run())


def test_application_ping_is_sent_and_its_pong_not_passed_on():
    async def run() -> None:
        socket = Socket("ws://x", "a", ping='{"op":"ping"}', ping_s=20)
        async with feed(socket, answers=False) as (clock, lines, heard, stats):
            await clock.move(4_000)
            for at in range(5):
                lines[0].frame(at)
                lines[0].put(aiohttp.WSMsgType.TEXT, b'{"op":"pong"}')
                await clock.move(20_000)
            assert lines[0].sent.count('{"op":"ping"}') == 5
            assert heard == [b"[0]", b"[1]", b"[2]", b"[3]", b"[4]"]
            assert stats.proven_ms > T0 + 60_000

    asyncio.run(run())


def test_frame_which_wants_an_answer_gets_it():
    async def run() -> None:
        socket = Socket(
            "ws://x", "a", reply=lambda frame: "yes" if b"test" in frame else None
        )
        async with feed(socket) as (clock, lines, _, _):
            lines[0].put(aiohttp.WSMsgType.TEXT, b'{"method":"test_request"}')
            lines[0].put(aiohttp.WSMsgType.PING, b"x")
            await clock.move(1_000)
            assert lines[0].sent == ["yes", "pong"]

    asyncio.run(run())


def test_rotation_overlaps_and_leaves_no_hole():
    async def run() -> None:
        socket = Socket("ws://x", "a", subscribe=("s",), rotate_s=600)
        async with feed(socket) as (clock, lines, heard, stats):
            for number in range(1_400):
                for line in lines:
                    if not line.closed:
                        line.frame(number)
                await clock.move(1_000, 500)
            assert [line.closed for line in lines] == [True, True, False]
            assert stats.reconnects == 0
            assert not any(isinstance(one, Hole) for one in heard)
            assert {int(one[1:-1]) for one in heard} == set(range(1_400))
            assert len(heard) > 1_400, "both lines were read for a while"

    asyncio.run(run())


def test_waits_grow_and_are_forgotten_after_a_steady_minute():
    async def run() -> None:
        async with feed(Socket("ws://x", "a")) as (clock, lines, _, _):
            waits = []
            for steady_ms in (*[5_000] * 9, 70_000, 5_000):
                await clock.move(steady_ms, 1_000)
                n, cut_ms = len(lines), clock()
                lines[-1].cut()
                while len(lines) == n:
                    await clock.move(250)
                waits.append((clock() - cut_ms) / 1000)
            # The cut is seen one step of the clock later.
            assert [one - 0.25 for one in waits] == [
                0.25,
                0.5,
                1,
                2,
                4,
                8,
                16,
                30,
                30,
                0.25,
                0.5,
            ]

    asyncio.run(run())
