"""One build for many: a byte-bounded cache in which equal requests share one computation.

Builds run in threads (the kernels release the GIL). The future, not the value, is what waiting
callers hold, so a caller who goes away does not cancel the build for the others. What fails is
not kept. When too many different builds wait, the next is refused rather than queued for ever.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

from liqheat.errors import UnavailableError

T = TypeVar("T")


class BusyError(UnavailableError):
    """Too many different heatmaps are being built."""

    status = 503
    title = "Busy"


class BuildCache(Generic[T]):
    """Least-recently-used results by key, at most ``max_bytes`` of them.

    Parameters
    ----------
    executor : ThreadPoolExecutor
        Where builds run.
    size : callable
        Bytes that a result holds.
    max_bytes, max_waiting : int
        What is kept, and how many different builds may be under way.
    """

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        size: Callable[[T], int],
        *,
        max_bytes: int,
        max_waiting: int = 64,
    ) -> None:
        self._executor, self._size = executor, size
        self._max_bytes, self._max_waiting = max_bytes, max_waiting
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._under_way: dict[Hashable, asyncio.Future[T]] = {}
        self._bytes = 0
        #: Builds started; tests and /health read it.
        self.builds = 0

    def kept(self, key: Hashable) -> T | None:
        """Return the result for a key if it is there."""
        if key not in self._kept:
            return None
        self._kept.move_to_end(key)
        return self._kept[key]

    async def get(self, key: Hashable, build: Callable[[], T]) -> T:
        """Return the result for a key, building it at most once at a time.

        Raises
        ------
        BusyError
            ``max_waiting`` builds are under way.
        """
        found = self.kept(key)
        if found is not None:
            return found
        future = self._under_way.get(key)
        if future is None:
            if len(self._under_way) >= self._max_waiting:
                msg = f"{len(self._under_way)} heatmaps are being built; ask again in a second"
                raise BusyError(msg)
            future = asyncio.get_running_loop().run_in_executor(self._executor, build)
            self.builds += 1
            self._under_way[key] = future
            future.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(future)

    def _finish(self, key: Hashable, future: asyncio.Future[T]) -> None:
        self._under_way.pop(key, None)
        if future.cancelled() or future.exception() is not None:
            return
        result = future.result()
        self._kept[key] = result
        self._bytes += self._size(result)
        while self._bytes > self._max_bytes and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            self._bytes -= self._size(old)
