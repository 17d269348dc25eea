"""One answer for all who ask for about the same stretch of the recent past.

A connection which is cut each second leaves a hole each second, and each hole asks REST for
what it lost. Those who had to wait for the answer before theirs find their rows in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

#: How wrong what we think the exchange's time is may be [ms]: its clock is told in seconds.
DOUBT_MS = 2_000
#: ``fetch(start_ms, end_ms)``: the rows, None where they cannot be had.
Fetch = Callable[[int, int], Awaitable[list[T] | None]]


class Recent(Generic[T]):
    """Rows by key, of which each is fetched by one at a time.

    Parameters
    ----------
    clock_ms : callable
        The exchange's clock.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._locks: dict[str, asyncio.Lock] = {}
        #: start, time of the answer, rows.
        self._kept: dict[str, tuple[int, int, list[T]]] = {}

    async def rows(
        self, key: str, start_ms: int, end_ms: int, fetch: Fetch[T]
    ) -> list[T] | None:
        """Return rows which include those of ``[start_ms, end_ms)``; None: they are not had."""
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and kept[0] <= start_ms and end_ms <= kept[1] - DOUBT_MS:
                return kept[2]
            now = self._clock_ms()
            found = await fetch(start_ms, max(end_ms, now + DOUBT_MS))
            if found is not None:
                self._kept[key] = (start_ms, now, found)
            return found
