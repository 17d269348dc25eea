"""A cascade: a thousand liquidations a second reach every viewer once, in order."""

import asyncio
import time
from typing import Any

import websockets

from liqheat.market.events import Liquidation
from liqheat.serve import push
from tests.integration.test_coin import OTHERS, fill_others
from tests.integration.world import FIRST, Viewer, World, run, viewer
from tests.market import SYMBOL

RATE, SECONDS = 1_000, 3


def forced(w: World, i: int, name: str = SYMBOL) -> Liquidation:
    # Several in one millisecond, told apart by their size.
    at = int(w.bars.start_ms[FIRST]) + i // 3
    return Liquidation(
        name, at, "long" if i % 2 else "short", 6e4, "order", 1.0, float(i + 1)
    )


def numbers(texts: list[dict[str, Any]]) -> list[int]:
    return [
        int(row["notional_usd"]) - 1
        for text in texts
        if text["type"] == "liquidations"
        for row in text["rows"]
    ]


async def cascade(w: World, names: tuple[str, ...] = (SYMBOL,)) -> list[float]:
    """Publish at the rate; return when each row was."""
    sent, began = [], time.monotonic()
    while len(sent) < RATE * SECONDS:
        due = min(RATE * SECONDS, int((time.monotonic() - began) * RATE) + 1)
        for i in range(len(sent), due):
            w.bus.publish(forced(w, i, names[i % len(names)]))
            sent.append(time.monotonic())
        await asyncio.sleep(0.002)
    return sent


async def collect(v: Viewer, count: int) -> list[float]:
    """Take what comes until so many rows are there; return when each was."""
    seen: list[float] = []
    while len(seen) < count:
        await v.step()
        seen += [time.monotonic()] * (len(numbers(v.texts)) - len(seen))
    return seen


def test_a_thousand_rows_a_second_reach_viewers_once_and_in_order(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v, viewer(w, step="1m") as other:
            sending = asyncio.create_task(cascade(w))
            seen, _, sent = await asyncio.gather(
                collect(v, RATE * SECONDS), collect(other, RATE * SECONDS), sending
            )
            late = sorted(b - a for a, b in zip(sent, seen, strict=True))
            print(f"row to viewer: median {late[len(late) // 2] * 1000:.0f} ms, "
                  f"99 % {late[len(late) * 99 // 100] * 1000:.0f} ms")  # fmt: skip
            assert numbers(v.texts) == list(range(RATE * SECONDS))
            assert numbers(other.texts) == list(range(RATE * SECONDS))
            assert not any(text.get("missed") for text in v.texts)

    run(check, tmp_path)


def test_rows_of_a_coin_come_in_order_from_all_its_instruments(tmp_path) -> None:
    async def check(w: World) -> None:
        fill_others(w)
        await asyncio.sleep(1.1)
        async with websockets.connect(w.ws, max_size=None) as socket:
            v = Viewer(socket)
            await v.send(op="subscribe", instrument="BTC", range="12h", step="5m", bins=50)
            await v.until(lambda: v.picture is not None)
            await asyncio.gather(collect(v, RATE * SECONDS), cascade(w, (SYMBOL, *OTHERS)))
            assert numbers(v.texts) == list(range(RATE * SECONDS))

    run(check, tmp_path, kind="real")


def test_a_burst_is_split_into_frames_none_is_cut(tmp_path) -> None:
    async def check(w: World) -> None:
        many = 12 * push.MAX_ROWS + 7
        async with viewer(w, step="5m") as v:
            for i in range(many):  # before the loop runs again: one flush
                w.bus.publish(forced(w, i))
            await collect(v, many)
            assert numbers(v.texts) == list(range(many))
            frames = [t for t in v.texts if t["type"] == "liquidations"]
            assert max(len(frame["rows"]) for frame in frames) == push.MAX_ROWS

    run(check, tmp_path)


def test_who_joins_in_the_middle_gets_each_row_once(tmp_path) -> None:
    async def check(w: World) -> None:
        for i in range(400):
            w.bus.publish(forced(w, i))

        async def join(after_s: float) -> list[int]:
            await asyncio.sleep(after_s)
            async with websockets.connect(w.ws, max_size=None) as socket:
                v = Viewer(socket)
                await v.subscribe(step="5m")
                await collect(v, 900)
                return numbers(v.texts)

        async with viewer(w, step="5m") as first:
            sending = asyncio.create_task(cascade_from(w, 400, 900))
            found = await asyncio.gather(
                collect(first, 900), *(join(0.1 * n) for n in range(6))
            )
            for rows in (numbers(first.texts), *found[1:]):
                assert rows == list(range(900))
            await sending

    run(check, tmp_path)


async def cascade_from(w: World, first: int, last: int) -> None:
    for i in range(first, last):
        w.bus.publish(forced(w, i))
        await asyncio.sleep(0.001)


def test_rows_outlive_a_full_queue_and_losing_them_is_told(tmp_path) -> None:
    async def check(w: World) -> None:
        async with viewer(w, step="5m") as v:
            [watched] = w.service.markets[SYMBOL].views.values()
            [channel] = watched.listeners
            [held] = channel.viewers
            # Nobody reads: pictures are dropped for a newer one, rows are not.
            for i in range(push.MAX_WAITING * 3):
                channel.send_status()
                channel.liquidated([forced(w, i)])
            assert held.behind
            before = v.kinds.count("snapshot")
            await collect(v, push.MAX_WAITING * 3)
            assert numbers(v.texts) == list(range(push.MAX_WAITING * 3))
            assert v.kinds.count("snapshot") == before + 1
            for i in range(push.MAX_ROWS_WAITING + 5):
                channel.liquidated([forced(w, i)])
            v.texts.clear()
            await v.quiet()
            assert [t["missed"] for t in v.texts if "missed" in t] == [True]
            assert numbers(v.texts)[-1] == push.MAX_ROWS_WAITING + 4

    run(check, tmp_path)
