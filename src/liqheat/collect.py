r"""Collecting: an exchange's history and stream into the store and onto the bus.

    span of the store -> what is missing -> the newest of it -> stream
                                        \-> the older, beside the stream -> holes, every minute
    stream -> bus (everything)  ->  queue (all but bars in progress) -> batches -> store

First start and restart are the same path: what the store lacks is fetched, the newest first,
so that there is something to show at once; what the exchange does not have is a ``Gap``. The
queue is bounded and nothing in it is dropped: where the store is slow, the stream waits. A
batch goes to disk after a second or a thousand rows; on a stop, however it comes, the last one
is written. Each exchange has a run of its own: none waits for another, or fails with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, cast, get_args

import numpy as np
import pyarrow as pa

from liqheat.errors import LiqheatError, RefusedError, StoreError, UnavailableError
from liqheat.exchanges.base import Coverage, Exchange, Kind, Recalls, State
from liqheat.market.events import KIND_OF, Bar, Event, Gap, Position, from_row, to_rows
from liqheat.market.units import DAY_MS
from liqheat.store import SCHEMAS, Store

log = logging.getLogger("liqheat.collect")

#: (exchange, ms of history fetched, ms in all), over all its instruments and kinds.
Progress = Callable[[str, int, int], None]

#: Ages at which history is cut into fetches [days]: the first day comes before all else; the
#: second piece is what exchanges which keep 5,000 minutes can give as minutes.
CUTS_DAYS, CHUNK_DAYS = (1.0, 3.4), 7.0
#: What a batch may hold before it is written.
BATCH_S, BATCH_ROWS, QUEUE_ROWS = 1.0, 1_000, 20_000
#: Waits after a failed stream, fetch or write [s]; after a refusal at least the last.
FIRST_WAIT_S, LONGEST_WAIT_S, REFUSED_WAIT_S = 1.0, 60.0, 600.0
#: How often stored bars are looked through for holes [s], how far back, and how old a hole must
#: be: younger ones are still the stream's affair. One that could not be filled waits.
MEND_S, MEND_MS, MEND_AGE_MS, MEND_AGAIN_S = 60.0, 2 * DAY_MS, 180_000, 3_600.0
#: How far back stored positions are taken up after a restart [ms].
RECALLED_MS = DAY_MS
#: Reason of the gaps where an exchange has no history of a kind; not asked for again.
NO_HISTORY = "has no history of"


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
    run = _Run(exchange, store, bus, writer, clock_ms, history_days, progress)
    wait = FIRST_WAIT_S
    try:
        while True:
            began = clock_ms()
            try:
                await run.once(instruments)
                bus.report(exchange.name, "ended", "The recording has ended.")
                return
            except UnavailableError:
                raise
            except RefusedError as error:
                log.info("refused exchange=%s error=%s", exchange.name, error)
                bus.report(exchange.name, "refused", str(error))
                await asyncio.sleep(REFUSED_WAIT_S)
            except (LiqheatError, OSError, TimeoutError) as error:
                if clock_ms() - began > 600_000:
                    wait = FIRST_WAIT_S
                log.info("collect_failed exchange=%s error=%s", exchange.name, error)
                detail = f"Trying again in {wait:g} s: {error}"
                bus.report(exchange.name, "down", detail)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
    finally:
        writer.close()


class _Piece(NamedTuple):
    """One fetch of history."""

    name: str
    kind: Kind
    start_ms: int
    end_ms: int


class _Run:
    """One exchange's collecting, from what its store lacks to the end of its stream."""

    def __init__(
        self, exchange: Exchange, store: Store, bus: Bus, writer: _Writer,
        clock_ms: Callable[[], int], history_days: float, progress: Progress | None,
    ) -> None:  # fmt: skip
        self.exchange, self.store, self.bus = exchange, store, bus
        self.writer, self.clock_ms, self._progress = writer, clock_ms, progress
        self.days = min(history_days, exchange.coverage.history_days)
        self._done_ms = self._all_ms = 0
        self._hopeless: dict[tuple[str, int, int], float] = {}

    async def once(self, chosen: Sequence[str] | None) -> None:
        """Fetch the newest history, then stream while the older is fetched."""
        exchange = self.exchange
        self.bus.report(exchange.name, "starting", "Asking for its instruments.")
        names = await self._instruments(chosen)
        if isinstance(exchange, Recalls):
            exchange.recall(await asyncio.to_thread(self._last_told, names))
        self.bus.report(exchange.name, "starting", "Fetching history.")
        now = self.clock_ms()
        pieces = await asyncio.to_thread(self.plan, names, now)
        everything = [piece for part in pieces for piece in part]
        self._done_ms, self._all_ms = (
            0,
            sum(one.end_ms - one.start_ms for one in everything),
        )
        recent, older = pieces
        if self._progress is not None:
            self._progress(exchange.name, 0, self._all_ms)
        for piece in recent:
            await self._fetch(piece)
        self.bus.report(exchange.name, "live", "")
        deep = asyncio.create_task(self._patiently(older))
        mender = asyncio.create_task(self._mend(names, after=deep))
        try:
            await self._stream(names)
            await deep
        finally:
            for task in (deep, mender):
                task.cancel()
            await asyncio.gather(deep, mender, return_exceptions=True)

    async def _instruments(self, chosen: Sequence[str] | None) -> list[str]:
        offered = {one.name: one for one in await self.exchange.fetch_instruments()}
        names = [name for name in (chosen or offered) if name in offered]
        if not names:
            wanted = ", ".join(chosen or ()) or "any instrument"
            raise UnavailableError(
                f"{self.exchange.name} has not {wanted}; "
                f"it has {', '.join(sorted(offered)) or 'none'}"
            )
        for name in names:
            await asyncio.to_thread(self.store.put_instrument, offered[name])
        return names

    def _last_told(self, names: Sequence[str]) -> list[Position]:
        """Return the newest stored position of each account in each instrument, by time."""
        since, found = self.clock_ms() - RECALLED_MS, list[Position]()
        for name in names:
            table = self.store.read("positions", name, since)
            # Of equal times the open one is newer: the account has turned.
            order = np.lexsort((table["qty"].to_numpy() > 0, table["event_ms"].to_numpy()))
            account = table["account"].combine_chunks().dictionary_encode()
            last = np.zeros(len(account.dictionary), np.int64)
            last[account.indices.to_numpy()[order]] = order
            rows = table.take(pa.array(last)).to_pylist()
            found += [cast(Position, from_row("positions", row)) for row in rows]
        return sorted(found, key=lambda one: one.event_ms)

    # -- history -----------------------------------------------------------------------

    def plan(self, names: Sequence[str], now_ms: int) -> tuple[list[_Piece], list[_Piece]]:
        """Return what is fetched before the stream, and beside it.

        Before: the first instrument's last day, and what else would leave a hole which is not
        seen again. Beside: the last day of the others, then each one's rest.
        """
        if self.days <= 0:
            return [], []
        start = now_ms - int(self.days * DAY_MS)
        pieces: list[tuple[int, int, int, _Piece]] = []
        for place, name in enumerate(names):
            # Bars last: as soon as they are there, what belongs to them is too.
            kinds = sorted(_covered(self.exchange.coverage), key=lambda one: one == "bars")
            for order, kind in enumerate(kinds):
                for low, high in missing(self.store, kind, name, start, now_ms):
                    # Of other kinds than bars a hole inside is not seen again: these are
                    # continued in order, before the stream adds to them.
                    tail = kind != "bars" and low > start and high == now_ms
                    for age, first, last in _cut(low, high, now_ms):
                        stage = place if age and not tail else -1
                        if tail or not (age or place):
                            stage = -2
                        at = (stage, 0 if tail else age, place * len(kinds) + order)
                        pieces.append((*at, _Piece(name, kind, first, last)))
        pieces.sort()
        return (
            [piece for stage, *_, piece in pieces if stage < -1],
            [piece for stage, *_, piece in pieces if stage >= -1],
        )

    async def _fetch(self, piece: _Piece) -> None:
        name, kind, start, end = piece
        table = await self.exchange.fetch_history(name, kind, start, end)
        if table is None:
            reason = f"{self.exchange.name} {NO_HISTORY} {kind}"
            self.writer.add(Gap(name, start, end, kind, reason))
            await self.writer.flush()
        elif table.num_rows:
            await self.writer.write(kind, table)
        self._done_ms += end - start
        if self._progress is not None:
            self._progress(self.exchange.name, self._done_ms, self._all_ms)

    async def _patiently(self, pieces: Sequence[_Piece]) -> None:
        """Fetch what the stream need not wait for; what fails is tried again."""
        wait = FIRST_WAIT_S
        for piece in pieces:
            while True:
                try:
                    await self._fetch(piece)
                    wait = FIRST_WAIT_S
                    break
                except (LiqheatError, OSError, TimeoutError) as error:
                    log.info("fetch_failed %s error=%s", _words(piece), error)
                    refused = isinstance(error, RefusedError)
                    await asyncio.sleep(REFUSED_WAIT_S if refused else wait)
                    wait = min(wait * 2, LONGEST_WAIT_S)

    async def _mend(self, names: Sequence[str], after: asyncio.Task[None]) -> None:
        """Fill holes of stored bars as long as the stream runs."""
        await asyncio.wait({after})
        while self.days > 0:
            await asyncio.sleep(MEND_S)
            with contextlib.suppress(LiqheatError, OSError, TimeoutError):
                for piece in await asyncio.to_thread(self._holes, names):
                    key = (piece.name, piece.start_ms, piece.end_ms)
                    self._hopeless[key] = time.monotonic() + MEND_AGAIN_S
                    await self._fetch(piece)

    def _holes(self, names: Sequence[str]) -> list[_Piece]:
        now, at_s = self.clock_ms(), time.monotonic()
        self._hopeless = {k: at for k, at in self._hopeless.items() if at > at_s}
        found = [
            _Piece(name, "bars", gap.event_ms, gap.end_ms)
            for name in names
            for gap in self.store.gaps(name, now - MEND_MS, now - MEND_AGE_MS)
            if gap.kind == "bars"
        ]
        return [one for one in found if (one.name, *one[2:]) not in self._hopeless]

    # -- stream ------------------------------------------------------------------------

    async def _stream(self, names: Sequence[str]) -> None:
        spans = [await asyncio.to_thread(self.store.span, "bars", name) for name in names]
        now = self.clock_ms()
        start = min((span.end_ms for span in spans if span is not None), default=now)
        queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE_ROWS)

        async def read() -> None:
            async for event in self.exchange.stream(names, start):
                self.bus.publish(event)
                if not isinstance(event, Bar) or event.closed:
                    await queue.put(event)
            await queue.put(None)

        reader = asyncio.create_task(read())
        saver = asyncio.create_task(_save(queue, self.writer))
        try:
            # Whichever fails first ends both.
            done, _ = await asyncio.wait(
                {reader, saver}, return_when=asyncio.FIRST_EXCEPTION
            )
            for task in done:
                task.result()
        finally:
            for task in (reader, saver):
                task.cancel()
            await asyncio.gather(reader, saver, return_exceptions=True)
            while not queue.empty():
                event = queue.get_nowait()
                if event is not None:
                    self.writer.add(event)


def _covered(coverage: Coverage) -> list[Kind]:
    return [kind for kind in get_args(Kind) if getattr(coverage, kind)]


def _words(piece: _Piece) -> str:
    return (
        f"instrument={piece.name} kind={piece.kind} start_ms={piece.start_ms} "
        f"end_ms={piece.end_ms}"
    )


def _cut(start_ms: int, end_ms: int, now_ms: int) -> list[tuple[int, int, int]]:
    """Return a hole's fetches as (0 for the newest, 1, ...; start, end), the newest first."""
    out: list[tuple[int, int, int]] = []
    high, age = now_ms, 0
    while high > start_ms:
        days = CUTS_DAYS[age] if age < len(CUTS_DAYS) else None
        low = now_ms - int(days * DAY_MS) if days else high - int(CHUNK_DAYS * DAY_MS)
        first, last = max(low, start_ms), min(high, end_ms)
        if first < last:
            out.append((age, first, last))
        high, age = low, age + 1
    return out


def missing(
    store: Store, kind: Kind, name: str, start_ms: int, end_ms: int
) -> list[tuple[int, int]]:
    """Return what of ``[start_ms, end_ms)`` is not stored: before, between and after.

    Holes between are known for bars only; other kinds have no fixed interval. What is known
    not to exist is not missing.
    """
    span = store.span(kind, name)
    if span is None:
        holes = [(start_ms, end_ms)]
    else:
        holes = [(start_ms, span.start_ms)]
        if kind == "bars":
            holes += [
                (gap.event_ms, gap.end_ms)
                for gap in store.gaps(name, max(start_ms, span.start_ms), span.end_ms)
                if gap.kind == "bars"
            ]
        # Sparse kinds: what was told at the last moment may have had company.
        holes.append((max(start_ms, span.end_ms - (kind != "bars")), end_ms))
    table = store.read("gaps", name, start_ms, end_ms).to_pylist()
    for gap in table:
        if gap["kind"] == kind and NO_HISTORY in gap["reason"]:
            holes = _without(holes, gap["event_ms"], gap["end_ms"])
    return [(start, end) for start, end in holes if start < end]


def _without(
    holes: Sequence[tuple[int, int]], start_ms: int, end_ms: int
) -> list[tuple[int, int]]:
    out = []
    for start, end in holes:
        out += [(start, min(end, start_ms)), (max(start, end_ms), end)]
    return [(start, end) for start, end in out if start < end]


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
