"""Holes of a stream: which minutes they touch, and filling them from REST.

Minutes are filled in order, one task an instrument. As long as the exchange cannot be reached
at all, filling waits: there is nothing newer to tell. When the stream is back and REST still
does not answer, the minutes become a ``Gap``, and later ones go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

import pyarrow as pa

from liqheat.errors import LiqheatError, RefusedError
from liqheat.exchanges._bars import MINUTE_MS, BarBuilder
from liqheat.exchanges.base import Kind
from liqheat.exchanges.transport import Hole, Socket
from liqheat.market.events import Bar, Event, Gap, from_row

if TYPE_CHECKING:
    from liqheat.exchanges._stream import Stream


#: Tries while the stream lives, and waits between them [s].
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 5, 1.0, 30.0
#: Longest range asked of REST at once [ms].
RANGE_MS = 1_440 * MINUTE_MS
#: Share of a minute's volume which a stream may lack beside REST before it counts as deaf:
#: inverse contracts are counted at other prices there.
DEAF_SHARE = 0.05
#: Holes in readings are told when longer than this [ms]; of liquidations always.
READING_HOLE_MS = 120_000


@dataclass(frozen=True)
class _Found:
    """Bars of REST by start; not ``sure`` where it failed, so that none means nothing."""

    bars: dict[int, Bar]
    sure: bool


class Repairs:
    """The holes of one stream, and the tasks which fill them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._holes: dict[str, list[tuple[int, int, str]]] = {}
        self._busy: set[str] = set()
        self._doubted: set[tuple[str, int, int]] = set()
        #: Connections made anew because they were deaf, and have not given a trade yet.
        self.mute: dict[str, tuple[Socket, Hole]] = {}
        #: By label, the end of the newest hole, on the exchange's clock.
        self.joined_ms: dict[str, int] = {}

    def busy(self, name: str) -> bool:
        """Whether bars of an instrument are being filled: nothing newer is told meanwhile."""
        return name in self._busy

    def hole(self, socket: Socket, hole: Hole) -> None:
        """Take a hole of a socket: on our clock, for all its instruments and kinds."""
        exchange = self._stream.exchange
        offset = round(exchange.clock.offset_ms)
        stats = exchange.stats[socket.label]
        start, end = hole.start_ms + offset, hole.end_ms + offset
        self.joined_ms[socket.label] = end
        # What was decoded proves that the line worked, later than the last pong did.
        if hole.doubted:
            self.mute[socket.label] = socket, hole
        else:
            start = min(max(start, stats.last_event_ms - socket.lag_ms), end - 1)
        self._spread(socket, start, end, hole.reason)

    def _spread(self, socket: Socket, start: int, end: int, reason: str) -> None:
        # A gap in every kind the socket carries, of every instrument; on the exchange's clock.
        stream, repairs = self._stream, self._stream.exchange.repairs
        for name in socket.instruments or stream.names:
            for kind in socket.carries:
                if kind == "bars":
                    self._holes.setdefault(name, []).append((start, end, reason))
                elif kind in repairs:
                    stream.spawn(self._fill_events(name, kind, start, end, reason))
                elif kind == "liquidations" or end - start > READING_HOLE_MS:
                    stream.emit(Gap(name, start, end, kind, reason))

    def heard(self, label: str, event_ms: int) -> None:
        """Take the first trade after a deaf spell: what came before it is doubted still."""
        socket, hole = self.mute.pop(label)
        start = hole.end_ms + round(self._stream.exchange.clock.offset_ms)
        if event_ms > start:
            self._spread(socket, start, event_ms, hole.reason)

    def touched(self, name: str, start_ms: int) -> str:
        """Return why a minute is not whole, or an empty text."""
        holes = self._holes.get(name)
        if not holes:
            return ""
        holes[:] = [one for one in holes if one[1] > start_ms]
        return next((why for a, _, why in holes if a < start_ms + MINUTE_MS), "")

    def start(self, name: str, builder: BarBuilder, now: int) -> None:
        """Fill the minutes from the builder's next on which are due and not whole."""
        last_due = now - self._stream.exchange.grace_ms - MINUTE_MS
        start = builder.next_ms
        end = start + MINUTE_MS
        while end <= last_due and end - start < RANGE_MS and self.touched_at(name, end):
            end += MINUTE_MS
        self._busy.add(name)
        self._stream.spawn(self._fill_bars(name, builder, start, end))

    def touched_at(self, name: str, start_ms: int) -> str:
        """Return why a later minute is not whole, or an empty text."""
        holes = self._holes.get(name, [])
        return next(
            (why for a, b, why in holes if a < start_ms + MINUTE_MS and b > start_ms), ""
        )

    # -- bars

    async def _fill_bars(
        self, name: str, builder: BarBuilder, start: int, end: int
    ) -> None:
        try:
            found = await self._fetch_bars(name, start, end)
            while builder.next_ms < end:
                self._give(builder, found)
                await self._stream.room()
        finally:
            self._busy.discard(name)

    def _give(self, builder: BarBuilder, found: _Found) -> None:
        stream, at, name = self._stream, builder.next_ms, builder.instrument
        why, bar = self.touched(name, at), found.bars.get(at)
        if bar is None:
            if not found.sure:
                self._doubt(name, at)
            if not why and found.sure and stream.complete(builder):
                stream.close(builder)
                return
            builder.skip()
            reason = why or "no proof that the minute is complete"
            stream.emit(Gap(name, at, at + MINUTE_MS, "bars", reason))
            return
        if bar.qty * (1 - DEAF_SHARE) > builder.qty():
            if why:
                self._doubt(name, at)
            else:
                self._deaf(name, at)
        stream.exchange.counters["repaired_bars"] += 1
        stream.emit(builder.replace(bar, seen_all=not why))

    def _deaf(self, name: str, start_ms: int) -> None:
        # REST has trades which the connection did not give: alive, subscribed, and deaf.
        stream, exchange = self._stream, self._stream.exchange
        offset = round(exchange.clock.offset_ms)
        for socket in stream.carriers(name):
            stats, quiet = exchange.stats[socket.label], stream.quiet(socket, start_ms)
            if not quiet or stats.kick:
                continue
            since = quiet[0][0]
            self._doubt_bars(socket, since)
            if (
                stats.state != "live"
                or (stats.live_ms or 0) + offset > start_ms + MINUTE_MS
            ):
                self._doubt(name, start_ms)  # another connection has replaced it since
                continue
            exchange.counters["deaf"] += 1
            stats.kick = "deaf: REST has trades which the stream had not"
            stats.doubt_ms = since - offset

    def _doubt(self, name: str, start_ms: int) -> None:
        # What the stream lacks may be the hole's, or the line was deaf before or after it.
        for socket in self._stream.carriers(name):
            for begin, end in self._stream.quiet(socket, start_ms):
                if (socket.label, begin, end) not in self._doubted:
                    self._doubted.add((socket.label, begin, end))
                    self._spread(socket, begin, end, "no trade beside a hole")

    def _doubt_bars(self, socket: Socket, since_ms: int) -> None:
        # The line fell deaf in the last seconds of a minute which was given away as built.
        start = since_ms - since_ms % MINUTE_MS
        for name in socket.instruments or self._stream.names:
            if self._stream.builders[name].built_ms == start:
                reason = "the line was deaf at its end"
                self._stream.emit(Gap(name, start, start + MINUTE_MS, "bars", reason))

    async def _fetch_bars(self, name: str, start: int, end: int) -> _Found:
        exchange, tries, wait = self._stream.exchange, 0, FIRST_WAIT_S
        most = TRIES if self.touched_at(name, start) else 2
        while True:
            try:
                table = await exchange.fetch_history(name, "bars", start, end)
                self._stream.worked("repair_failed")
                if table is None:
                    return _Found({}, True)
                events = _events("bars", table)
                rows = {one.event_ms: one for one in events if isinstance(one, Bar)}
                # The newest bar may be late on REST; one that is missing in between stays so.
                if tries + 1 >= most or end - MINUTE_MS in rows:
                    return _Found(rows, True)
                error: object = "the last bar is not there yet"
            except RefusedError:
                return _Found({}, False)
            except (LiqheatError, OSError) as caught:
                error = caught
            sockets = self._stream.carriers(name)
            tries += all(exchange.stats[one.label].state == "live" for one in sockets)
            if tries >= TRIES:
                self._stream.failed("repair_failed", error)
                return _Found({}, False)
            await exchange.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    # -- other kinds

    async def _fill_events(
        self, name: str, kind: str, start: int, end: int, reason: str
    ) -> None:
        stream, exchange = self._stream, self._stream.exchange
        table = None
        # A hole ends a little in the future; what has not happened yet cannot be asked for.
        await exchange.sleep(max(0, end - exchange.clock_ms()) / 1000)
        if kind in get_args(Kind):
            try:
                table = await exchange.fetch_history(name, kind, start, end)  # type: ignore[arg-type]
            except LiqheatError as error:
                stream.failed("repair_failed", error)
        if table is None:
            stream.emit(Gap(name, start, end, kind, reason))
            return
        for event in _events(kind, table):
            stream.emit(event)
            await stream.room()


def _events(kind: str, table: pa.Table) -> list[Event]:
    return [from_row(kind, row) for row in table.to_pylist()]
