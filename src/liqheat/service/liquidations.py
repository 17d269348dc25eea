"""The tape of realised liquidations: rows newest first, and what they sum to.

    LiquidationsQuery, recordings -> find_liquidations() -> LiquidationsFound

Times are those of the data: of a replay or a recording, not ours. A sum counts every row
before ``as_of_ms``, whatever is listed; it is ``complete`` when each instrument's feed was
recorded all the time it spans. What a feed leaves out by itself its completeness tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta

from liqheat.market.events import Completeness, Liquidation, Side
from liqheat.market.units import DAY_MS
from liqheat.service.coin import LEAD_AGE_MS
from liqheat.service.recorded import (
    Realised,
    Recording,
    joint_completeness,
    liquidations_of,
)

HOUR_MS = 3_600_000
#: What is summed up: the last 1, 4 and 24 hours [ms].
SPANS_MS = {"1h": HOUR_MS, "4h": 4 * HOUR_MS, "24h": DAY_MS}
#: Rows are looked for an hour back, then four times as far each time.
_FARTHER = 4

Time = Annotated[int, Meta(ge=0, le=10**14)]


class LiquidationsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Query of /liquidations."""

    instrument: Annotated[
        str,
        Meta(description="exchange:symbol, or a coin, as in /heatmap", max_length=80),
    ]
    exchanges: Annotated[
        Annotated[str, Meta(max_length=200)] | None,
        Meta(description="of a coin: only these, e.g. binance,okx"),
    ] = None
    since_ms: Annotated[
        Time | None, Meta(description="no rows before; a day before the end if not given")
    ] = None
    until_ms: Annotated[
        Time | None,
        Meta(description="only rows before, and sums up to it; now if not given"),
    ] = None
    side: Annotated[
        Side | None, Meta(description="rows of positions on this side alone")
    ] = None
    min_usd: Annotated[float, Meta(ge=0, description="no rows smaller than this [USD]")] = (
        0.0
    )
    limit: Annotated[int, Meta(ge=1, le=1000, description="rows at most")] = 100


class LiquidationTotals(msgspec.Struct, frozen=True):
    """What was liquidated in a span which ends at ``as_of_ms``, of all sizes and both sides.

    ``complete``: the feeds were recorded all the time; else it is what is known of it.
    """

    long_usd: float
    short_usd: float
    count: int
    complete: bool


@dataclass(frozen=True, eq=False)
class LiquidationsFound:
    """Rows, newest first; whether there are older ones; sums by span; feeds by exchange."""

    as_of_ms: int
    rows: list[Liquidation]
    more: bool
    totals: dict[str, LiquidationTotals]
    completeness: dict[str, Completeness | None]


def find_liquidations(
    query: LiquidationsQuery, recordings: Sequence[Recording], now_ms: int
) -> LiquidationsFound:
    """Return rows and sums of instruments; ``now_ms`` counts where there are no data."""
    newest = max((one.end_ms for one in recordings), default=0) or now_ms
    as_of = newest if query.until_ms is None else min(query.until_ms, newest)
    since = as_of - DAY_MS if query.since_ms is None else query.since_ms
    rows = [row for one in recordings for row in _newest(query, one, since, as_of)]
    rows.sort(key=lambda row: row.event_ms, reverse=True)
    known = [
        (one, one.realised(as_of - DAY_MS, as_of, min(one.end_ms, as_of)))
        for one in recordings
    ]
    exchanges = dict.fromkeys(one.instrument.exchange for one in recordings)
    return LiquidationsFound(
        as_of, rows[: query.limit], len(rows) > query.limit,
        {name: _totals(known, as_of - span, as_of) for name, span in SPANS_MS.items()},
        {
            name: joint_completeness(
                found.completeness for one, found in known if one.instrument.exchange == name
            )
            for name in exchanges
        },
    )  # fmt: skip


def _totals(
    known: Sequence[tuple[Recording, Realised]], start_ms: int, end_ms: int
) -> LiquidationTotals:
    usd, count, complete = [0.0, 0.0], 0, bool(known)
    for recording, found in known:
        inside = found.event_ms >= start_ms
        count += int(inside.sum())
        for place, rows in enumerate((found.is_long, ~found.is_long)):
            usd[place] += float(found.usd[inside & rows].sum())
        stop = min(recording.end_ms, end_ms)
        covered = int(found.covered_ms(np.array([start_ms, max(stop, start_ms)]))[0])
        late = end_ms - stop > LEAD_AGE_MS
        complete &= not late and covered >= stop - start_ms
    return LiquidationTotals(round(usd[0], 2), round(usd[1], 2), count, complete)


def _newest(
    query: LiquidationsQuery, recording: Recording, since_ms: int, until_ms: int
) -> list[Liquidation]:
    """Return the newest rows asked for, and one more where there are more."""
    span = recording.stored.spans.get("liquidations")
    recent = recording.recent(since_ms, until_ms)
    out = [row for row in recent[::-1] if _is_asked(query, row)]
    end = min([until_ms, *(row.event_ms for row in recent)])
    stop = max(since_ms, span.start_ms) if span else end
    reach = HOUR_MS
    while end > stop and len(out) <= query.limit:
        start = max(stop, end - reach)
        table = recording.store.read("liquidations", recording.name, start, end)
        table = _asked(query, table)
        kept = table.slice(max(0, table.num_rows - query.limit - 1))
        out += liquidations_of(kept)[::-1]
        end, reach = start, reach * _FARTHER
    return out[: query.limit + 1]


def _is_asked(query: LiquidationsQuery, row: Liquidation) -> bool:
    side = query.side is None or row.position_side == query.side
    return side and row.notional_usd >= query.min_usd


def _asked(query: LiquidationsQuery, table: pa.Table) -> pa.Table:
    keep = table["notional_usd"].to_numpy() >= query.min_usd
    if query.side is not None:
        keep &= np.array(table["position_side"].to_pylist()) == query.side
    return table.filter(pa.array(keep))
