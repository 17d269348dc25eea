"""Holes of a stream: which minutes they touch, and filling them from REST.

Minutes are filled in order, one task an instrument. As long as the exchange cannot be reached
at all, filling waits: there is nothing newer to tell. When the stream is back and REST still
does not answer, the minutes become a ``Gap``, and later ones go on.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, get_args

import pyarrow as pa

from liqheat.errors import ExchangeError, LiqheatError, RefusedError
from liqheat.exchanges._bars import MINUTE_MS, BarBuilder
from liqheat.exchanges.base import Kind
from liqheat.exchanges.transport import Hole, Socket
from liqheat.market.events import Bar, Event, Gap, from_row

if TYPE_CHECKING:
    from liqheat.exchanges._stream import Stream

log = logging.getLogger("liqheat.exchanges")

#: Tries while the stream lives, and waits between them [s].
TRIES, FIRST_WAIT_S, LONGEST_WAIT_S = 5, 1.0, 30.0
#: Longest range asked of REST at once [ms].
RANGE_MS = 1_440 * MINUTE_MS
#: Share of a minute's volume which a stream may lack beside REST before it counts as deaf:
#: inverse contracts are counted at other prices there.
DEAF_SHARE = 0.05
#: Holes in readings are told when longer than this [ms]; of liquidations always.
READING_HOLE_MS = 120_000


class Repairs:
    """The holes of one stream, and the tasks which fill them."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._holes: dict[str, list[tuple[int, int, str]]] = {}
        self._busy: set[str] = set()
        #: Connections made anew because they were deaf, and have not given a trade yet.
        self.mute: dict[str, tuple[Socket, Hole]] = {}

    def busy(self, name: str) -> bool:
        """Whether bars of an instrument are being filled: nothing newer is told meanwhile."""
        return name in self._busy

    def hole(self, socket: Socket, hole: Hole) -> None:
        """Take a hole of a socket: on our clock, for all its instruments and kinds."""
        exchange = self._stream.exchange
        offset = round(exchange.clock.offset_ms)
        stats = exchange.stats[socket.label]
        start, end = hole.start_ms + offset, hole.end_ms + offset
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

    def _give(self, builder: BarBuilder, found: dict[int, Bar] | None) -> None:
        stream, at = self._stream, builder.next_ms
        why = self.touched(builder.instrument, at)
        bar = (found or {}).get(at)
        if bar is not None:
            if not why and bar.qty * (1 - DEAF_SHARE) > builder.qty():
                self._deaf(builder.instrument, at)
            stream.exchange.counters["repaired_bars"] += 1
            stream.emit(builder.replace(bar, seen_all=not why))
            return
        if not why and (found is None or builder.is_empty()):
            # Nothing was missed and nobody says more: a minute without a trade.
            closed = builder.close()
            if closed is not None:
                stream.emit(closed)
            return
        builder.skip()
        reason = why or "no proof that the minute is complete"
        stream.emit(Gap(builder.instrument, at, at + MINUTE_MS, "bars", reason))

    def _deaf(self, name: str, start_ms: int) -> None:
        # REST has trades which the connection did not give: alive, subscribed, and deaf.
        stream, exchange = self._stream, self._stream.exchange
        offset = round(exchange.clock.offset_ms)
        for socket in stream.carriers(name):
            stats, since = (
                exchange.stats[socket.label],
                stream.quiet_since(socket, start_ms),
            )
            replaced = (stats.live_ms or 0) + offset > start_ms + MINUTE_MS
            if since is None or replaced or stats.kick:
                continue
            exchange.counters["deaf"] += 1
            stats.kick = "deaf: REST has trades which the stream had not"
            stats.doubt_ms = max(since, stream.start_ms) - offset

    async def _fetch_bars(self, name: str, start: int, end: int) -> dict[int, Bar] | None:
        # Rows by start; None where REST has no bars at all, or gives none in the end.
        exchange, tries, wait = self._stream.exchange, 0, FIRST_WAIT_S
        while True:
            try:
                table = await exchange.fetch_history(name, "bars", start, end)
                if table is None:
                    return None
                rows = {
                    bar.event_ms: bar
                    for bar in _events("bars", table)
                    if isinstance(bar, Bar)
                }
                # The newest bar may be late on REST; one that is missing in between stays so.
                if tries + 1 >= TRIES or end - MINUTE_MS in rows:
                    return rows
                error: object = "the last bar is not there yet"
            except RefusedError:
                return {}
            except (LiqheatError, OSError) as caught:
                error = caught
            live = all(
                exchange.stats[s.label].state == "live" for s in self._stream.carriers(name)
            )
            tries += live
            if tries >= TRIES:
                log.warning("repair_failed instrument=%s error=%s", name, error)
                return {}
            await exchange.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT_S)

    # -- other kinds

    async def _fill_events(
        self, name: str, kind: str, start: int, end: int, reason: str
    ) -> None:
        stream, exchange = self._stream, self._stream.exchange
        table = None
        if kind in get_args(Kind):
            try:
                table = await exchange.fetch_history(name, kind, start, end)  # type: ignore[arg-type]
            except ExchangeError as error:
                log.warning(
                    "repair_failed instrument=%s kind=%s error=%s", name, kind, error
                )
        if table is None:
            stream.emit(Gap(name, start, end, kind, reason))
            return
        for event in _events(kind, table):
            stream.emit(event)
            await stream.room()


def _events(kind: str, table: pa.Table) -> list[Event]:
    return [from_row(kind, row) for row in table.to_pylist()]
