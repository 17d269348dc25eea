"""One answer for all who ask for about the same stretch of the recent past."""

import asyncio

from liqheat.exchanges._recent import Recent


def test_those_who_waited_find_their_rows_in_the_answer_before_theirs():
    now = [10_000]
    asked: list[tuple[int, int]] = []

    async def run() -> list[list[int] | None]:
        recent: Recent[int] = Recent(lambda: now[0])

        async def fetch(start: int, end: int) -> list[int]:
            asked.append((start, end))
            await asyncio.sleep(0)
            return [start, end]

        found = await asyncio.gather(
            recent.rows("a", 200, 300, fetch),
            recent.rows("a", 400, 900, fetch),
            recent.rows("a", 100, 200, fetch),
            recent.rows("b", 400, 500, fetch),
        )
        now[0] = 20_000
        # About the time of the answer, or later: asked anew.
        return [*found, await recent.rows("a", 9_000, 9_500, fetch)]

    found = asyncio.run(run())
    assert asked == [(200, 12_000), (400, 12_000), (100, 12_000), (9_000, 22_000)]
    assert found[0] is found[1]
    assert found[4] == [9_000, 22_000]


def test_nothing_is_kept_of_what_cannot_be_had():
    async def run() -> list[list[int] | None]:
        recent: Recent[int] = Recent(lambda: 1_000)

        async def none(start: int, end: int) -> None:
            return None

        async def some(start: int, end: int) -> list[int]:
            return [1]

        return [await recent.rows("a", 0, 9, none), await recent.rows("a", 0, 9, some)]

    assert asyncio.run(run()) == [None, [1]]
