"""What came in lately for one instrument: bars the store may lack yet, and the one under way.

The store is written in batches, a second or so behind the stream. A build takes the stored bars
and then these; a live view takes these alone.
"""

from __future__ import annotations

from collections import deque

from liqheat.market.events import Bar, Liquidation, MarkPrice, OpenInterest, Position
from liqheat.service.history import NAN, BarRow, History
from liqheat.service.measured import Heard
from liqheat.store.views import MARK_READINGS_PER_BAR

#: Closed bars, readings and liquidations that are kept.
MAX_BARS, MAX_READINGS, MAX_LIQUIDATIONS = 4_096, 8_192, 4_096


class Tape:
    """Recent events of one instrument, bounded."""

    def __init__(self) -> None:
        self.interval_ms: int | None = None
        self.closed: deque[BarRow] = deque(maxlen=MAX_BARS)
        self.progress: BarRow | None = None
        self.liquidations: deque[Liquidation] = deque(maxlen=MAX_LIQUIDATIONS)
        self._open_interest: deque[tuple[int, float]] = deque(maxlen=MAX_READINGS)
        self._marks: deque[tuple[int, float]] = deque(maxlen=MAX_READINGS)
        self.heard = Heard()
        #: Newest time that any event spoke of; None before the first.
        self.data_ms: int | None = None

    @property
    def end_ms(self) -> int | None:
        """End of the last closed bar."""
        return self.closed[-1].end_ms if self.closed else None

    def take(self, event: object) -> bool:
        """Take in one event; return whether a picture may change by it."""
        match event:
            case Bar():
                return self._take_bar(event)
            case OpenInterest():
                self._open_interest.append((event.event_ms, event.open_interest_qty))
            case MarkPrice():
                self._marks.append((event.event_ms, event.mark_price))
            case Liquidation():
                self.liquidations.append(event)
            case Position():
                # Enters the picture with the next bar, closed or under way.
                self.heard.take(event)
                return False
            case _:
                return False
        self._saw(event.event_ms)
        return isinstance(event, Liquidation)

    def _saw(self, time_ms: int) -> None:
        self.data_ms = max(self.data_ms or 0, time_ms)

    def _take_bar(self, bar: Bar) -> bool:
        end_ms = self.end_ms
        if end_ms is not None and bar.event_ms < end_ms:
            return False
        if bar.interval_ms != self.interval_ms:
            self.closed.clear()
            self.interval_ms = bar.interval_ms
        row = self._row(bar)
        if bar.closed:
            self.closed.append(row)
            self.progress = None
            self._saw(bar.event_ms + bar.interval_ms)
        else:
            self.progress = row
            self._saw(bar.event_ms)
        return True

    def _row(self, bar: Bar) -> BarRow:
        start, end = bar.event_ms, bar.event_ms + bar.interval_ms
        interest = NAN
        for time, value in reversed(self._open_interest):
            if time <= end:
                interest = value if time > start else NAN
                break
        high, low = bar.mark_high, bar.mark_low
        if high is None or low is None:
            marks = [value for time, value in self._marks if start <= time < end]
            some = len(marks) >= MARK_READINGS_PER_BAR
            high, low = (max(marks), min(marks)) if some else (NAN, NAN)
        taker = NAN if bar.taker_buy_qty is None else bar.taker_buy_qty
        return BarRow(
            start, bar.open, bar.high, bar.low, bar.close, bar.qty, interest, high, low,
            taker, bar.interval_ms,
        )  # fmt: skip

    def copy(self) -> Tape:
        """Return a tape with the same closed bars, which will not move."""
        out = Tape()
        out.interval_ms, out.closed = self.interval_ms, self.closed.copy()
        return out

    def adopt(self, bars: History) -> None:
        """Take in closed bars which came by another way than events."""
        known = self.end_ms or 0
        rows = [row for row in bars.rows() if row.start_ms >= known]
        self.closed.extend(rows)
        if rows:
            self.interval_ms = rows[-1].length_ms
            self._saw(rows[-1].end_ms)

    def after(self, start_ms: int) -> list[BarRow]:
        """Return the closed bars which begin at ``start_ms`` or later, oldest first."""
        out: list[BarRow] = []
        for row in reversed(self.closed):
            if row.start_ms < start_ms:
                break
            out.append(row)
        return out[::-1]

    def extend(self, bars: History) -> History:
        """Return stored bars with the newer ones of this tape at their end."""
        return bars.extended(self.after(int(bars.end_ms[-1])))
