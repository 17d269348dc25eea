"""Collecting: an exchange's history and stream into the store and onto the bus.

    span of the store -> what is missing -> fetch, write, or record a Gap -> stream
    stream -> bus (everything)  ->  queue (all but bars in progress) -> batches -> store

First start and restart are the same path: what the store lacks is fetched. The queue is
bounded and nothing in it is dropped: where the store is slow, the stream waits. A batch goes
to disk after a second or a thousand rows; on a stop, however it comes, the last one is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, get_args

import pyarrow as pa

from liqheat.errors import LiqheatError, StoreError, UnavailableError
from liqheat.exchanges.base import Coverage, Exchange, Kind, State
from liqheat.market.events import KIND_OF, Bar, Event, Gap, to_rows
from liqheat.market.units import DAY_MS
from liqheat.store import SCHEMAS, Store

log = logging.getLogger("liqheat.collect")

#: (instrument, kind, ms done, ms in all)
Progress = Callable[[str, str, int, int], None]

#: One fetch of history, and what a batch may hold before it is written.
CHUNK_MS = 7 * DAY_MS
BATCH_S, BATCH_ROWS, QUEUE_ROWS = 1.0, 1_000, 20_000
#: Waits after a failed stream or write [s].
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0


class Bus(Protocol):
    """Who hears events as they happen, and how the collector fares."""

    def publish(self, event: Event) -> None:
        """Take one event."""

    def report(self, exchange: str, state: State, detail: str) -> None:
        """Take the collector's state, with a sentence for people where it is not live."""


class _Writer:
    """Batches of rows on their way to the store, one write at a time."""

    def __init__(self, store: Store, source: str) -> None:
        self._store, self._source = store, source
        self._rows: dict[str, list[dict[str, Any]]] = {}
        self._count = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="liqheat-write")

    def add(self, event: Event) -> None:
        """Take the row of an event which is to be kept."""
        kind = KIND_OF.get(type(event))
        if kind is not None:
            origin = {"source": self._source, "exchange": self._source}
            rows = [{**row, **origin} for row in to_rows(event)]
            self._rows.setdefault(kind, []).extend(rows)
            self._count += len(rows)

    @property
    def full(self) -> bool:
        """Whether it is time to write by the number of rows."""
        return self._count >= BATCH_ROWS

    async def write(self, kind: str, table: pa.Table) -> None:
        """Write a table; try again as long as the store cannot take it."""
        wait = FIRST_WAIT_S
        while True:
            try:
                await asyncio.get_running_loop().run_in_executor(
                    self._thread, self._store.write, kind, table
                )
                return
            except StoreError as error:
                log.error(
                    "write_failed kind=%s rows=%d error=%s", kind, table.num_rows, error
                )
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)

    async def flush(self) -> None:
        """Write what has been added. A cancelled flush keeps its rows for the next."""
        for kind, rows in list(self._rows.items()):
            taken = len(rows)
            await self.write(kind, _table(kind, rows))
            # Rows added meanwhile stay.
            del rows[:taken]
            self._count -= taken

    def close(self) -> None:
        """Write the last batch, after the write under way, and end. Blocks; rows are few."""
        for kind, rows in self._rows.items():
            if rows:
                try:
                    self._thread.submit(
                        self._store.write, kind, _table(kind, rows)
                    ).result()
                except LiqheatError as error:
                    log.error("last_write_failed kind=%s error=%s", kind, error)
        self._rows.clear()
        self._thread.shutdown(wait=True)


def _table(kind: str, rows: list[dict[str, Any]]) -> pa.Table:
    # Takes of a row what the schema has. seq, which it has not, is counted by the store.
    return pa.Table.from_pylist(rows, schema=SCHEMAS[kind])


async def run(
    exchange: Exchange,
    store: Store,
    bus: Bus,
    *,
    clock_ms: Callable[[], int],
    history_days: float = 30.0,
    instruments: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Collect until cancelled or until the stream ends by itself (a replay does).

    Parameters
    ----------
    exchange : Exchange
        The source; closed by the caller.
    store : Store
        Open for writing.
    bus : Bus
        Hears every event, bars in progress included.
    clock_ms : callable
        Now, on the exchange's clock.
    history_days : float
        How far back the store is to reach.
    instruments : sequence of str, optional
        Which of the exchange's instruments; all where None.
    progress : callable, optional
        Told how much of the history is fetched.

    Raises
    ------
    UnavailableError
        The exchange has none of the instruments.
    """
    writer = _Writer(store, exchange.name)
    wait = FIRST_WAIT_S
    try:
        while True:
            began = clock_ms()
            try:
                bus.report(exchange.name, "starting", "Fetching history.")
                names = await _instruments(exchange, store, instruments)
                await _backfill(
                    exchange, store, writer, names, clock_ms, history_days, progress
                )
                bus.report(exchange.name, "live", "")
                await _stream(exchange, store, writer, bus, names, clock_ms)
                bus.report(exchange.name, "ended", "The recording has ended.")
                return
            except UnavailableError:
                raise
            except (LiqheatError, OSError, TimeoutError) as error:
                if clock_ms() - began > 600_000:
                    wait = FIRST_WAIT_S
                log.warning("collect_failed exchange=%s error=%s", exchange.name, error)
                detail = f"Trying again in {wait:g} s: {error}"
                bus.report(exchange.name, "down", detail)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
    finally:
        writer.close()


async def _instruments(
    exchange: Exchange, store: Store, chosen: Sequence[str] | None
) -> list[str]:
    offered = {one.name: one for one in await exchange.fetch_instruments()}
    names = [name for name in (chosen or offered) if name in offered]
    if not names:
        wanted = ", ".join(chosen or ()) or "any instrument"
        raise UnavailableError(
            f"{exchange.name} has not {wanted}; it has {', '.join(sorted(offered)) or 'none'}"
        )
    for name in names:
        await asyncio.to_thread(store.put_instrument, offered[name])
    return names


# -- history -------------------------------------------------------------------------------


def _covered(coverage: Coverage) -> list[Kind]:
    return [kind for kind in get_args(Kind) if getattr(coverage, kind)]


async def _backfill(
    exchange: Exchange,
    store: Store,
    writer: _Writer,
    names: Sequence[str],
    clock_ms: Callable[[], int],
    history_days: float,
    progress: Progress | None,
) -> None:
    if exchange.coverage.history_days <= 0:
        return
    days = min(history_days, exchange.coverage.history_days)
    for name in names:
        # Bars last: as soon as they are there, what belongs to them is too.
        for kind in sorted(_covered(exchange.coverage), key=lambda one: one == "bars"):
            now = clock_ms()
            holes = await asyncio.to_thread(
                missing, store, kind, name, now - int(days * DAY_MS), now
            )
            total, done = sum(end - start for start, end in holes), 0
            for start, end in holes:
                for at in range(start, end, CHUNK_MS):
                    stop = min(at + CHUNK_MS, end)
                    await _fetch(exchange, writer, name, kind, at, stop)
                    done += stop - at
                    if progress is not None:
                        progress(name, kind, done, total)


async def _fetch(
    exchange: Exchange, writer: _Writer, name: str, kind: Kind, start: int, end: int
) -> None:
    table = await exchange.fetch_history(name, kind, start, end)
    if table is None:
        reason = f"{exchange.name} has no history of {kind}"
        writer.add(Gap(name, start, end, kind, reason))
        await writer.flush()
    elif table.num_rows:
        await writer.write(kind, table)


def missing(
    store: Store, kind: Kind, name: str, start_ms: int, end_ms: int
) -> list[tuple[int, int]]:
    """Return what of ``[start_ms, end_ms)`` is not stored: before, between and after.

    Holes between are known for bars only; other kinds have no fixed interval.
    """
    span = store.span(kind, name)
    if span is None:
        return [(start_ms, end_ms)]
    holes = [(start_ms, span.start_ms)]
    if kind == "bars":
        holes += [
            (gap.event_ms, gap.end_ms)
            for gap in store.gaps(name, max(start_ms, span.start_ms), span.end_ms)
            if gap.kind == "bars"
        ]
    # Sparse kinds: what was told at the last moment may have had company.
    holes.append((max(start_ms, span.end_ms - (kind != "bars")), end_ms))
    return [(start, end) for start, end in holes if start < end]


# -- stream --------------------------------------------------------------------------------


async def _stream(
    exchange: Exchange,
    store: Store,
    writer: _Writer,
    bus: Bus,
    names: Sequence[str],
    clock_ms: Callable[[], int],
) -> None:
    spans = [await asyncio.to_thread(store.span, "bars", name) for name in names]
    start = min((span.end_ms for span in spans if span is not None), default=clock_ms())
    queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_ROWS)

    async def read() -> None:
        async for event in exchange.stream(names, start):
            bus.publish(event)
            if not isinstance(event, Bar) or event.closed:
                await queue.put(event)
        await queue.put(None)

    reader = asyncio.create_task(read())
    saver = asyncio.create_task(_save(queue, writer))
    try:
        # Whichever fails first ends both.
        done, _ = await asyncio.wait({reader, saver}, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in (reader, saver):
            task.cancel()
        await asyncio.gather(reader, saver, return_exceptions=True)
        while not queue.empty():
            event = queue.get_nowait()
            if event is not None:
                writer.add(event)


async def _save(queue: asyncio.Queue[Event | None], writer: _Writer) -> None:
    loop = asyncio.get_running_loop()
    while True:
        event = await queue.get()
        deadline = loop.time() + BATCH_S
        while event is not None:
            writer.add(event)
            if writer.full:
                break
            try:
                async with asyncio.timeout_at(deadline):
                    event = await queue.get()
            except TimeoutError:
                break
        await writer.flush()
        if event is None:
            return
