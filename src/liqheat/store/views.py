"""What is made of stored columns on the way out: bars with open interest, intervals, gaps.

Pure functions over arrays; ``sqlite`` reads for them.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from liqheat.market.events import F64, I64, Bars, Gap

#: A bar gets its mark range from single readings only where it holds this many: the
#: extremes of fewer say too little of how far the mark price went, and no range is better
#: than a wrong one (the engine then uses the traded range).
MARK_READINGS_PER_BAR = 10


@dataclass(frozen=True)
class Span:
    """Where rows of one kind lie: ``[start_ms, end_ms)``; ``interval_ms`` for bars only."""

    start_ms: int
    end_ms: int
    rows: int
    interval_ms: int | None = None


def finest_covering(
    spans: Sequence[Span], start_ms: int | None = None, end_ms: int | None = None
) -> Span | None:
    """Return the span of the finest interval which covers ``[start_ms, end_ms)``.

    The range is first cut to what is stored at any interval. A span covers it when it
    reaches both ends within one of the largest stored intervals (1m bars end later than 1h
    bars; both are complete). Where none covers it, the one which covers most is taken.
    Holes inside a span do not count.
    """
    if not spans:
        return None
    low = min(span.start_ms for span in spans)
    high = max(span.end_ms for span in spans)
    low = low if start_ms is None else min(max(low, start_ms), high)
    high = high if end_ms is None else max(min(high, end_ms), low)
    slack = max(span.interval_ms or 0 for span in spans)

    def rank(span: Span) -> tuple[bool, int, int]:
        covers = span.start_ms <= low + slack and span.end_ms >= high - slack
        covered = min(span.end_ms, high) - max(span.start_ms, low)
        return (covers, 0 if covers else covered, -(span.interval_ms or 0))

    return max(spans, key=rank)


def overall(spans: Sequence[Span]) -> Span | None:
    """Return where rows of all intervals lie together, and how many there are.

    The interval is the finest of those which reach the end within one of their own bars.
    """
    if not spans:
        return None
    end = max(span.end_ms for span in spans)
    newest = [s for s in spans if s.end_ms + (s.interval_ms or 0) >= end]
    finest = min(newest, key=lambda span: span.interval_ms or 0)
    start = min(span.start_ms for span in spans)
    rows = sum(span.rows for span in spans)
    return Span(start, end, rows, finest.interval_ms)


def covered(stretches: Sequence[tuple[I64, int]]) -> list[tuple[int, int]]:
    """Return the stretches which bars cover, joined: ``(starts, interval)`` per interval."""
    starts = np.concatenate([*(starts for starts, _ in stretches), np.zeros(0, np.int64)])
    ends = np.concatenate([*(s + length for s, length in stretches), np.zeros(0, np.int64)])
    if len(starts) == 0:
        return []
    order = np.argsort(starts, kind="stable")
    starts, reach = starts[order], np.maximum.accumulate(ends[order])
    after = np.flatnonzero(starts[1:] > reach[:-1])
    first = starts[np.append(0, after + 1)]
    last = reach[np.append(after, len(reach) - 1)]
    return list(zip(first.tolist(), last.tolist(), strict=True))


def build_bars(
    columns: Mapping[str, pa.ChunkedArray],
    interval_ms: int,
    open_interest: pa.Table,
    mark: pa.Table,
    where: str,
) -> Bars:
    """Return bars with the open interest known at their ends and the mark's range."""
    arrays = {name: column.to_numpy() for name, column in columns.items()}
    bars = Bars.from_columns(arrays, where=where, interval_ms=interval_ms)
    if open_interest.num_rows:
        bars = bars.with_open_interest(
            open_interest["event_ms"].to_numpy(),
            open_interest["open_interest_qty"].to_numpy(),
        )
    if mark.num_rows:
        bars = _with_mark(bars, mark["event_ms"].to_numpy(), mark["mark_price"].to_numpy())
    return bars


def _with_mark(bars: Bars, event_ms: I64, mark_price: F64) -> Bars:
    # Stored ranges stand; readings fill the others. reduceat runs over [first, last) of
    # each bar: pairs of bounds, of which every second result is the hole between two bars.
    first = np.searchsorted(event_ms, bars.start_ms)
    last = np.searchsorted(event_ms, bars.start_ms + bars.interval_ms)
    fill = (last - first >= MARK_READINGS_PER_BAR) & np.isnan(bars.mark_high)
    if not fill.any():
        return bars
    bounds = np.stack([first[fill], last[fill]], axis=1).ravel()
    padded = np.append(mark_price, np.nan)
    high, low = bars.mark_high.copy(), bars.mark_low.copy()
    high[fill] = np.maximum.reduceat(padded, bounds)[::2]
    low[fill] = np.minimum.reduceat(padded, bounds)[::2]
    return replace(bars, mark_high=high, mark_low=low)


def merge_gaps(
    instrument: str, stretches: Sequence[tuple[int, int]], recorded: Sequence[Gap]
) -> list[Gap]:
    """Return recorded gaps and the holes between covered stretches, sorted by time.

    A recorded gap in bars which the stored bars have since filled is a gap no longer; one
    which overlaps a hole lends it its reason; one outside the stored bars stays.
    """
    holes = [(a[1], b[0]) for a, b in itertools.pairwise(stretches)]
    bars = [gap for gap in recorded if gap.kind == "bars"]
    out = [gap for gap in recorded if gap.kind != "bars"]
    for begin, end in holes:
        reasons = [g.reason for g in bars if g.event_ms < end and g.end_ms > begin]
        reason = reasons[0] if reasons else "no bars between stored bars"
        out.append(Gap(instrument, begin, end, "bars", reason))
    if stretches:
        first, last = stretches[0][0], stretches[-1][1]
        out += [gap for gap in bars if gap.event_ms < first or gap.end_ms > last]
    else:
        out += bars
    return sorted(out, key=lambda gap: (gap.event_ms, gap.end_ms, gap.kind))
