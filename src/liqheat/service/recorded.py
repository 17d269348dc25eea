"""What was recorded of one instrument: its bars, funding, liquidations, and when it was not.

    store, tape -> Recording -> History, Realised    each row once, stored or not yet

Silence of a liquidation feed says that nothing was liquidated only as long as it was recorded:
from its first row, or the end of the first gap, on, but for gaps; and where nobody collects it
here, until its last row. Everything but making a ``Recording`` reads the store: for threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from liqheat.market.events import F64, I64, Completeness, Gap, Liquidation, from_row
from liqheat.market.instrument import Instrument
from liqheat.service.history import History
from liqheat.service.query import Query
from liqheat.service.tape import Tape
from liqheat.service.window import load_for
from liqheat.store import Store, StoredInstrument
from liqheat.study.market import covered_intervals

_COLUMNS = ("event_ms", "position_side", "notional_usd", "completeness")


@dataclass(frozen=True, eq=False)
class Realised:
    """Liquidations of one instrument as columns, and when they were recorded.

    ``covered`` are sorted, disjoint ``[start_ms, end_ms)``; ``completeness`` is that of the
    feed while it was recorded, None where there is no feed.
    """

    event_ms: I64
    is_long: NDArray[np.bool_]
    usd: F64
    covered: tuple[tuple[int, int], ...]
    completeness: Completeness | None

    def covered_ms(self, edges: I64) -> I64:
        """Return how long it was recorded between neighbouring edges [ms], shape (n - 1,)."""
        if not self.covered:
            return np.zeros(len(edges) - 1, np.int64)
        begin, stop = np.array(self.covered, np.int64).T
        before = np.concatenate([[0], np.cumsum(stop - begin)])
        at = np.searchsorted(begin, edges, side="right") - 1
        inside = np.minimum(edges - begin[at], (stop - begin)[at])
        until = np.where(at < 0, 0, before[at] + inside)
        return np.diff(until).astype(np.int64)

    def per_step(self, edges: I64) -> tuple[F64, F64]:
        """Return (long, short) [USD] between neighbouring edges; NaN where not recorded."""
        n = len(edges) - 1
        at = np.searchsorted(edges, self.event_ms, side="right") - 1
        inside = (at >= 0) & (at < n)
        known = self.covered_ms(edges) > 0
        known[at[inside]] = True
        long, short = (
            np.where(known, np.bincount(at[rows], self.usd[rows], n), np.nan)
            for rows in (inside & self.is_long, inside & ~self.is_long)
        )
        return long, short


def joint_completeness(kinds: Iterable[Completeness | None]) -> Completeness | None:
    """Return how complete a sum of feeds is; None where there is none at all.

    >>> joint_completeness(["full", "full"]), joint_completeness(["full", None])
    ('full', 'lower_bound')
    """
    every = set(kinds)
    if every <= {None}:
        return None
    return every.pop() if len(every) == 1 else "lower_bound"


@dataclass(frozen=True, eq=False)
class Recording:
    """One instrument: where its data lie, stored and live.

    ``tape`` is a copy which does not move, ``live`` the liquidations that came in lately;
    ``collected``: somebody fills the store now; ``feed`` is what they say of liquidations;
    ``heard_ms``: the newest time that was spoken of.
    """

    store: Store
    stored: StoredInstrument
    tape: Tape
    live: tuple[Liquidation, ...] = ()
    collected: bool = False
    feed: Completeness | None = None
    heard_ms: int | None = None

    @property
    def end_ms(self) -> int:
        """Where its data end, stored or heard of; nothing is later. 0 where there are none."""
        spans = (self.stored.spans.get(kind) for kind in ("bars", "liquidations"))
        heard = 0 if self.heard_ms is None else self.heard_ms + 1
        return max([heard, *(span.end_ms for span in spans if span)])

    @property
    def instrument(self) -> Instrument:
        """Whose it is."""
        return self.stored.instrument

    @property
    def name(self) -> str:
        """Its instrument, ``exchange:symbol``."""
        return self.instrument.name

    def history(self, query: Query, warmup_ms: int) -> History:
        """Return the bars of a query's window and so long before it; as ``load_for``."""
        own = msgspec.structs.replace(query, instrument=self.name)
        end = self.stored.spans["bars"].end_ms
        return load_for(self.store, own, end, self.tape.extend, warmup_ms)

    @cached_property
    def _gaps(self) -> list[Gap]:
        rows = self.store.read("gaps", self.name).to_pylist()
        return [cast(Gap, from_row("gaps", row)) for row in rows]

    def gaps(self, kind: str) -> list[Gap]:
        """Return the recorded gaps of a kind, by time."""
        return sorted((g for g in self._gaps if g.kind == kind), key=lambda g: g.event_ms)

    def funding(self, start_ms: int, end_ms: int) -> tuple[I64, F64]:
        """Return times and rates of ``[start_ms, end_ms)``."""
        table = self.store.read("funding", self.name, start_ms, end_ms)
        return table["event_ms"].to_numpy(), table["funding_rate"].to_numpy()

    def realised(self, start_ms: int, end_ms: int, until_ms: int) -> Realised:
        """Return the liquidations of ``[start_ms, end_ms)``; ``until_ms``: end of its data."""
        recent = self.recent(start_ms, end_ms)
        cut = min([end_ms, *(row.event_ms for row in recent)])
        table = self.store.read("liquidations", self.name, start_ms, cut, columns=_COLUMNS)
        event_ms, usd = (
            np.concatenate([table[name].to_numpy(), [getattr(r, name) for r in recent]])
            for name in ("event_ms", "notional_usd")
        )
        is_long = pc.equal(table["position_side"], "long").to_numpy()
        recent_long = [row.position_side == "long" for row in recent]
        kinds = [*table["completeness"].unique().to_pylist()]
        return Realised(
            event_ms.astype(np.int64), np.concatenate([is_long, recent_long]).astype(bool),
            usd.astype(np.float64), self._covered(until_ms),
            self._completeness([*kinds, *(row.completeness for row in recent)]),
        )  # fmt: skip

    def recent(self, start_ms: int, end_ms: int) -> list[Liquidation]:
        """Return the rows since the oldest live one, stored or not yet, oldest first.

        A row which is stored counts as the store has it: what an exchange tells again is one
        row there.
        """
        live = [row for row in self.live if start_ms <= row.event_ms < end_ms]
        if not live:
            return []
        since = min(row.event_ms for row in live)
        rows = liquidations_of(self.store.read("liquidations", self.name, since, end_ms))
        rows += unheld(live, rows, start_ms)
        return sorted(rows, key=lambda row: row.event_ms)

    def _covered(self, until_ms: int) -> tuple[tuple[int, int], ...]:
        span, gaps = self.stored.spans.get("liquidations"), self.gaps("liquidations")
        firsts = [gap.event_ms for gap in gaps[:1]] + [row.event_ms for row in self.live]
        firsts += [span.start_ms] if span else []
        if not firsts:
            return ()
        end = until_ms if self.collected else span.end_ms if span else 0
        return covered_intervals(min(firsts), end, gaps)

    def _completeness(self, kinds: Sequence[Completeness]) -> Completeness | None:
        span = self.stored.spans.get("liquidations")
        if not kinds and span is not None and self.feed is None:
            last: Any = self.store.read(
                "liquidations", self.name, span.end_ms - 1, columns=("completeness",)
            )
            kinds = last["completeness"].to_pylist()
        return joint_completeness(kinds or [self.feed])


def _key(row: Liquidation) -> tuple[object, ...]:
    return row.event_ms, row.position_side, row.price, row.qty


def unheld(
    live: Iterable[Liquidation], stored: Iterable[Liquidation], start_ms: int
) -> list[Liquidation]:
    """Return the live rows since ``start_ms`` which are not among stored ones."""
    held = {_key(row) for row in stored}
    return [row for row in live if row.event_ms >= start_ms and _key(row) not in held]


def liquidations_of(table: pa.Table) -> list[Liquidation]:
    """Return the events of rows of the kind ``liquidations``."""
    return [cast(Liquidation, from_row("liquidations", r)) for r in table.to_pylist()]
