"""Replay: recorded tables behind the ``Exchange`` interface, on a clock of their own.

The replay clock starts at ``start_ms`` and runs ``speed`` times as fast as the wall clock; it
jumps over times in which nothing at all was recorded. What lies before it is history, what it
passes is streamed, each event when it was known: a bar at its end, everything else at its own
time. Nothing later than the clock is ever given.

Only what was recorded is given: no bar in progress is made up from a closed one. Holes are
told as ``Gap`` when the clock reaches their end. The stream ends with the data.

Instruments keep their names; that the data is old is said by ``mode``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from liqheat.errors import BadInputError, UnavailableError
from liqheat.exchanges.base import Coverage, Kind, Mode, wall_clock_ms
from liqheat.market.events import Completeness, Event, Gap, from_row
from liqheat.market.instrument import Instrument
from liqheat.market.units import DAY_MS

I64 = NDArray[np.int64]

#: History wanted before the first streamed event: the model's warm-up.
WARM_UP_MS = 30 * DAY_MS
#: How much is read and sorted at a time [ms of recorded time].
_PORTION_MS = DAY_MS // 4
_TICK_S = 1.0
#: Share of the recording which must be left to play after the start chosen for it.
_LEAST_LEFT = 0.25

#: Columns which must be finite numbers, by kind.
_REQUIRED: dict[str, tuple[str, ...]] = {
    "bars": ("open", "high", "low", "close", "qty"),
    "open_interest": ("open_interest_qty",),
    "mark": ("mark_price",),
    "funding": ("funding_rate",),
    "liquidations": ("price", "qty", "notional_usd"),
}
#: Order of kinds at equal times: a closed bar last, so that its open interest is known.
_ORDER = ("gaps", "liquidations", "mark", "open_interest", "funding", "bars")


class Tables(Protocol):
    """Where recorded tables come from: the reading half of the store."""

    def read(
        self, kind: str, instrument: str, start_ms: int | None, end_ms: int | None, /
    ) -> pa.Table:
        """Return rows of ``[start_ms, end_ms)``, sorted by time; empty where there are none."""
        ...

    def instruments(self) -> Sequence[Any]:
        """Return instruments, or objects which have one as ``.instrument``."""
        ...


class ReplayExchange:
    """Recorded data as if it happened now.

    Parameters
    ----------
    source : Tables
        A ``Store`` opened for reading, or anything with its ``read`` and ``instruments``.
    speed : float
        Recorded time per wall-clock time; 60 shows an hour in a minute.
    start_ms : int, optional
        Where the clock starts. Without it: after 30 days of bars (or a third of fewer), open
        interest and liquidations, where there are any; what becomes known when less than a
        quarter of the recording is left is not waited for.
    now_ms, sleep : callable, optional
        The wall clock and how to wait.

    Raises
    ------
    UnavailableError
        The source has no bars.
    BadInputError
        ``start_ms`` lies outside the data, or ``speed`` is not positive.
    """

    mode: Mode = "replay"

    def __init__(
        self, source: Tables, *, name: str = "replay", speed: float = 60.0,
        start_ms: int | None = None, now_ms: Callable[[], int] = wall_clock_ms,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:  # fmt: skip
        if not speed > 0:
            raise BadInputError("speed must be positive", where="speed", value=speed)
        self.name, self.speed, self._source = name, speed, source
        self.counters: dict[str, int] = {"bad_rows": 0}
        self._now_ms, self._sleep, self._origin_ms = now_ms, sleep, now_ms()
        self._instruments: dict[str, Instrument] = {}
        self._bars: dict[str, pa.Table] = {}
        self._intervals: dict[str, int] = {}
        for found in source.instruments():
            self._index(getattr(found, "instrument", found))
        if not self._bars:
            raise UnavailableError(
                "nothing to replay: no bars are recorded; import some first"
            )
        self._holes, self.first_ms, self.end_ms = self._common_holes()
        self.start_ms = self._first_moment(start_ms)
        self.coverage = self._coverage()

    def _index(self, instrument: Instrument) -> None:
        table = self._source.read("bars", instrument.name, None, None)
        if table.num_rows == 0:
            return
        interval = pc.min(table["interval_ms"]).as_py()
        table = table.filter(pc.equal(table["interval_ms"], interval))
        self._bars[instrument.name] = self._clean("bars", table)
        self._intervals[instrument.name] = interval
        self._instruments[instrument.name] = instrument

    def _clean(self, kind: str, table: pa.Table) -> pa.Table:
        # Sorted already; a row which is no measurement is counted and left out.
        good = np.ones(table.num_rows, dtype=np.bool_)
        for name in _REQUIRED[kind]:
            good &= np.isfinite(table[name].to_numpy())
        self.counters["bad_rows"] += int((~good).sum())
        return table if good.all() else table.filter(pa.array(good))

    def _common_holes(self) -> tuple[list[tuple[int, int]], int, int]:
        # Times in which no instrument has a bar: the clock jumps over them.
        spans = []
        for name, table in self._bars.items():
            starts = table["start_ms"].to_numpy()
            spans.append(np.stack([starts, starts + self._intervals[name]]))
        both = np.concatenate(spans, axis=1)
        both = both[:, np.argsort(both[0], kind="stable")]
        reach = np.maximum.accumulate(both[1])
        after = np.flatnonzero(both[0, 1:] > reach[:-1])
        holes = [(int(reach[i]), int(both[0, i + 1])) for i in after]
        return holes, int(both[0, 0]), int(reach[-1])

    def _first_moment(self, start_ms: int | None) -> int:
        if start_ms is not None:
            if not self.first_ms <= start_ms < self.end_ms:
                raise BadInputError(
                    "nothing is recorded there", where="start_ms", value=start_ms,
                    do=f"use a time from {self.first_ms} to {self.end_ms}",
                )  # fmt: skip
            return start_ms
        length = self.end_ms - self.first_ms
        warm = self.first_ms + (WARM_UP_MS if length > WARM_UP_MS else length // 3)
        latest = self.end_ms - _LEAST_LEFT * length
        known = [
            at for at in self._first_rows("open_interest", "liquidations") if at <= latest
        ]
        return -(-max(warm, *known, 0) // 60_000) * 60_000  # up: known already by then

    def _first_rows(self, *kinds: str) -> list[int]:
        # Since when each kind is known of every instrument which has it.
        tables = [
            self._source.read(kind, name, None, None)
            for kind in kinds
            for name in self._bars
        ]
        return [
            int(pc.min(table["event_ms"]).as_py()) for table in tables if table.num_rows
        ]

    def _coverage(self) -> Coverage:
        def recorded(kind: str) -> list[pa.Table]:
            return [self._source.read(kind, name, None, None) for name in self._bars]

        words: set[Completeness] = set()
        for table in recorded("liquidations"):
            if table.num_rows:
                words.update(table["completeness"].unique().to_pylist())
        bars = self._bars.values()
        return Coverage(
            taker_volume=any(_has(table, "taker_buy_qty") for table in bars),
            open_interest=any(table.num_rows for table in recorded("open_interest")),
            mark=any(_has(table, "mark_low") for table in bars)
            or any(table.num_rows for table in recorded("mark")),
            funding=any(table.num_rows for table in recorded("funding")),
            liquidations=None
            if not words
            else words.pop()
            if len(words) == 1
            else "unknown",
            history_days=(self.start_ms - self.first_ms) / DAY_MS,
        )

    # --- the clock --------------------------------------------------------------------------

    def clock_ms(self) -> int:
        """Return the replay's time; at the end of the data it stands still."""
        at = self.start_ms + int((self._now_ms() - self._origin_ms) * self.speed)
        for low, high in self._holes:
            if low >= at:
                break
            if high > self.start_ms:
                at += high - max(low, self.start_ms)
        return min(at, self.end_ms)

    @property
    def ended(self) -> bool:
        """Whether the clock has reached the end of the data."""
        return self.clock_ms() >= self.end_ms

    # --- Exchange ---------------------------------------------------------------------------

    async def fetch_instruments(self) -> list[Instrument]:
        """Return the recorded instruments which have bars."""
        return list(self._instruments.values())

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return what was recorded before the replay clock; None where nothing ever was."""
        self._known(instrument)
        end_ms = min(end_ms, self.clock_ms())
        if kind == "bars":
            # Only what had closed by then.
            end_ms = min(end_ms, self.clock_ms() - self._intervals[instrument] + 1)
            return _between(self._bars[instrument], "start_ms", start_ms, end_ms)
        table = self._source.read(kind, instrument, start_ms, max(start_ms, end_ms))
        if table.num_rows == 0 and not self._ever(kind, instrument):
            return None
        return self._clean(kind, table)

    async def stream(
        self, instruments: Sequence[str], start_ms: int
    ) -> AsyncIterator[Event]:
        """Yield what was recorded from ``start_ms`` on, when the clock passes it."""
        for name in instruments:
            self._known(name)
        low = start_ms
        while low <= self.end_ms:
            high = low + _PORTION_MS
            portion: list[tuple[int, int, Event]] = []
            for name in instruments:
                # The clock stands still at the end of the bars: nothing after it is told.
                found = self._portion(name, low, high, start_ms)
                portion.extend(item for item in found if item[0] <= self.end_ms)
            portion.sort(key=lambda item: item[:2])
            for known_ms, _, event in portion:
                while (wait_ms := known_ms - self.clock_ms()) > 0:
                    await self._sleep(min(_TICK_S, max(0.001, wait_ms / 1000 / self.speed)))
                yield event
            low = high
            # A turn for the others, also where nothing was recorded.
            await asyncio.sleep(0)

    async def close(self) -> None:
        """Do nothing: the source belongs to who gave it."""

    # --- inside -----------------------------------------------------------------------------

    def _known(self, name: str) -> None:
        if name not in self._bars:
            raise BadInputError(
                "not in the recording", where="instrument", value=name,
                do=f"use one of: {', '.join(self._bars)}",
            )  # fmt: skip

    def _ever(self, kind: str, instrument: str) -> bool:
        return bool(self._source.read(kind, instrument, None, None).num_rows)

    def _portion(
        self, name: str, low: int, high: int, start_ms: int
    ) -> Iterator[tuple[int, int, Event]]:
        # What became known in [low, high), with the time and the order at equal times.
        interval = self._intervals[name]
        first = max(start_ms, low - interval)
        bars = _between(self._bars[name], "start_ms", first, high - interval)
        for event in _events("bars", name, bars, interval):
            yield event.event_ms + interval, _ORDER.index("bars"), event
        for kind in ("liquidations", "mark", "open_interest", "funding"):
            table = self._clean(kind, self._source.read(kind, name, low, high))
            for event in _events(kind, name, table, 0):
                yield event.event_ms, _ORDER.index(kind), event
        for gap in self._gaps(name, low, high):
            yield gap.end_ms, _ORDER.index("gaps"), gap

    def _gaps(self, name: str, low: int, high: int) -> Iterator[Gap]:
        # Recorded gaps, and holes between bars which no recorded gap tells of.
        rows = self._source.read("gaps", name, None, high).to_pylist()
        recorded = [Gap(**row) for row in rows]
        yield from (gap for gap in recorded if low <= gap.end_ms < high)
        starts = self._bars[name]["start_ms"].to_numpy()
        interval = self._intervals[name]
        i = max(1, int(np.searchsorted(starts, low)))
        j = int(np.searchsorted(starts, high))
        for k in (np.flatnonzero(np.diff(starts[i - 1 : j]) > interval) + i).tolist():
            begin, end = int(starts[k - 1]) + interval, int(starts[k])
            told = any(
                gap.kind == "bars" and gap.event_ms <= begin and gap.end_ms >= end
                for gap in recorded
            )
            if not told:
                yield Gap(name, begin, end, "bars", "hole in the recording")


def _has(table: pa.Table, name: str) -> bool:
    # NaN where a null was meant is no measurement either.
    return name in table.column_names and bool(np.isfinite(table[name].to_numpy()).any())


def _between(table: pa.Table, time_column: str, start_ms: int, end_ms: int) -> pa.Table:
    low, high = np.searchsorted(table[time_column].to_numpy(), [start_ms, end_ms])
    return table.slice(int(low), max(0, int(high) - int(low)))


def _events(kind: str, name: str, table: pa.Table, interval_ms: int) -> Iterator[Event]:
    for row in table.to_pylist():
        yield from_row(kind, {**row, "instrument": name, "interval_ms": interval_ms})
