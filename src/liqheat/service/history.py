"""Bars of several intervals as one history: each bar stands at its end on a common grid.

    5m  |----|----|----|----|              what was stored first, or reaches further back
    1m                    ||||||||||       what came later, or live
        .....#....#....#..||||||||||       the history: a bar at the end of its interval

The ledger asks only when a bar ended and what was traded in it, so a coarse bar warms it up as
well as its minutes would, but for the order of events inside the bar. Nothing is known before
its bar has ended, and where intervals overlap the finer one stands. A column must not be
shorter than the longest bar inside the window (see ``coarsest_ms``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from liqheat.market.events import Bars

I64 = NDArray[np.int64]

NAN = float("nan")


class BarRow(NamedTuple):
    """One bar as the live engine takes it; absent is NaN."""

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    qty: float
    open_interest_qty: float = NAN
    mark_high: float = NAN
    mark_low: float = NAN
    taker_buy_qty: float = NAN
    length_ms: int = 60_000

    @property
    def end_ms(self) -> int:
        """End of the bar."""
        return self.start_ms + self.length_ms

    def engine_row(self) -> tuple[float, float, float, float, float, float, float]:
        """Return the row in ``LiveHeatmap.push``'s order."""
        return self[2:9]


#: The columns of ``Bars`` that a row carries besides its times.
_VALUES = BarRow._fields[1:-1]


@dataclass(frozen=True, eq=False)
class History:
    """Bars on a grid all their intervals are multiples of, and how long each really is.

    ``bars.start_ms`` is ``end - bars.interval_ms``; ``length_ms`` has shape (n,).
    """

    bars: Bars
    length_ms: I64

    @classmethod
    def of(cls, bars: Bars) -> History:
        """Return the history of bars of one interval."""
        return cls(bars, np.full(len(bars), bars.interval_ms, np.int64))

    def __len__(self) -> int:
        """Return the number of bars."""
        return len(self.bars)

    def __getitem__(self, item: slice) -> History:
        """Return a part of it."""
        return History(self.bars[item], self.length_ms[item])

    @property
    def end_ms(self) -> I64:
        """End of each bar."""
        return self.bars.start_ms + self.bars.interval_ms

    @property
    def start_ms(self) -> I64:
        """True start of each bar."""
        return self.end_ms - self.length_ms

    def known_at(self, time_ms: int) -> History:
        """Return the bars which had ended by a time."""
        return self[: int(np.searchsorted(self.end_ms, time_ms, side="right"))]

    def coarsest_ms(self, start_ms: int) -> int:
        """Return the shortest step that bars ending after ``start_ms`` allow."""
        inside = self.length_ms[self.end_ms > start_ms]
        return (
            int(np.lcm.reduce(np.unique(inside))) if len(inside) else self.bars.interval_ms
        )

    def gaps(self) -> list[tuple[int, int]]:
        """Return the holes between bars as ``(start_ms, end_ms)``."""
        ends, starts = self.end_ms[:-1], self.start_ms[1:]
        holes = starts > ends
        return list(zip(ends[holes].tolist(), starts[holes].tolist(), strict=True))

    def rows(self) -> list[BarRow]:
        """Return the bars one by one."""
        columns = [self.start_ms.tolist()]
        columns += [getattr(self.bars, name).tolist() for name in _VALUES]
        columns.append(self.length_ms.tolist())
        return [BarRow(*values) for values in zip(*columns, strict=True)]

    def extended(self, rows: Sequence[BarRow]) -> History:
        """Return it with newer bars at its end."""
        if not rows:
            return self
        grid = math.gcd(self.bars.interval_ms, *(row.length_ms for row in rows))
        columns = dict(zip(BarRow._fields, zip(*rows, strict=True), strict=True))
        lengths = np.concatenate([self.length_ms, np.array(columns["length_ms"], np.int64)])
        ends = np.concatenate(
            [self.end_ms, np.array([row.end_ms for row in rows], np.int64)]
        )
        values: dict[str, Any] = {
            name: np.concatenate([getattr(self.bars, name), np.array(columns[name], float)])
            for name in _VALUES
        }
        return History(
            replace(self.bars, interval_ms=grid, start_ms=ends - grid, **values), lengths
        )


def merge(pieces: Sequence[Bars]) -> History:
    """Return bars of several intervals as one history; where they overlap the finer stands.

    Parameters
    ----------
    pieces : sequence of Bars
        One an interval, of one instrument; not empty.
    """
    pieces = sorted(pieces, key=lambda bars: bars.interval_ms)
    if len(pieces) == 1:
        return History.of(pieces[0])
    grid = math.gcd(*(bars.interval_ms for bars in pieces))
    chosen = History.of(pieces[0])
    for bars in pieces[1:]:
        added = History.of(bars)
        keep = ~_overlaps(added, chosen)
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(chosen.bars, name), getattr(bars, name)[keep]])
            for name in _VALUES
        }
        ends = np.concatenate([chosen.end_ms, added.end_ms[keep]])
        lengths = np.concatenate([chosen.length_ms, added.length_ms[keep]])
        order = np.argsort(ends, kind="stable")
        joined = {name: values[order] for name, values in joined.items()}
        ends, lengths = ends[order], lengths[order]
        chosen = History(
            replace(bars, interval_ms=grid, start_ms=ends - grid, **joined), lengths
        )
    return chosen


def _overlaps(added: History, chosen: History) -> NDArray[np.bool_]:
    # The first chosen bar which ends after a start: it overlaps where it begins before the end.
    index = np.searchsorted(chosen.end_ms, added.start_ms, side="right")
    starts = np.append(chosen.start_ms, np.iinfo(np.int64).max)
    return starts[index] < added.end_ms
