"""Sources of data and their honesty: stores, collectors, instruments, freshness.

Rows of the simulated market, of a replay and of real exchanges never share a store; a ``Feed``
is one store and what is known of its filling. The ``Catalogue`` answers for all feeds together:
which instruments there are, which mode each is in, how old its data are.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from liqheat.errors import UnavailableError, UnknownInstrumentError
from liqheat.exchanges.base import Coverage
from liqheat.market.instrument import SHIPPED
from liqheat.service.picture import Mode
from liqheat.service.status import (
    ExchangeState,
    ExchangeStateName,
    InstrumentRow,
    age_words,
    freshness,
)
from liqheat.store import Span, Store, StoredInstrument

#: Real data which nobody collects counts as recorded once it is older than this [ms].
RECORDED_AGE_MS = 3_600_000


@dataclass(eq=False)
class Feed:
    """One store and its source.

    ``attached``: a collector of this process publishes what it hears. ``state`` and
    ``detail`` are what it last reported.
    """

    store: Store
    kind: Literal["real", "simulated", "replay"] = "real"
    attached: bool = False
    speed: float | None = None
    coverage: Coverage | None = None
    state: Literal["starting", "live", "down", "refused", "ended"] = "starting"
    detail: str = ""
    #: Newest event of the feed on the caller's clock; None before the first.
    heard_ms: int | None = field(default=None)


@dataclass(frozen=True)
class Entry:
    """One instrument: what it is, its feed, its stored spans."""

    stored: StoredInstrument
    feed: Feed

    @property
    def bars(self) -> Span | None:
        """Where its bars lie."""
        return self.stored.spans.get("bars")


class Catalogue:
    """All instruments of all feeds. Reads stores: call ``refresh`` in a thread."""

    def __init__(self, feeds: Sequence[Feed], clock_ms: Callable[[], int]) -> None:
        self.feeds = tuple(feeds)
        self._clock_ms = clock_ms
        self._entries: dict[str, Entry] = {}

    def refresh(self) -> None:
        """Read instruments and spans again; of two feeds with one instrument the first stands."""
        entries: dict[str, Entry] = {}
        for feed in self.feeds:
            for stored in feed.store.instruments():
                entries.setdefault(stored.instrument.name, Entry(stored, feed))
        self._entries = entries

    def entries(self) -> list[Entry]:
        """Return all instruments, those with a collector first, then by name."""
        return sorted(
            self._entries.values(),
            key=lambda e: (not e.feed.attached, e.bars is None, e.stored.instrument.name),
        )

    def find(self, instrument: str) -> Entry:
        """Return the entry of an instrument.

        Raises
        ------
        UnknownInstrumentError
            No feed has it, and it is not shipped.
        UnavailableError
            It is shipped, but nothing is stored.
        """
        found = self._entries.get(instrument)
        if found is not None:
            return found
        names = list(self._entries)
        near = difflib.get_close_matches(instrument, names, n=3, cutoff=0.5) or names[:3]
        do = f"use one of: {', '.join(near)}" if near else "import or collect some first"
        if instrument in SHIPPED:
            raise UnavailableError(f"{instrument}: no data are stored; {do}")
        raise UnknownInstrumentError(
            "unknown instrument", where="instrument", value=instrument[:80], do=do
        )

    def mode(self, entry: Entry) -> Mode:
        """Return what the instrument's data are."""
        if entry.feed.kind != "real":
            return entry.feed.kind
        if entry.feed.attached:
            return "live"
        age = self._data_age(entry)
        return "live" if age is not None and age <= RECORDED_AGE_MS else "replay"

    def overall_mode(self) -> Mode:
        """Return the mode of the first instrument: what the page opens with."""
        for entry in self.entries():
            return self.mode(entry)
        kind = self.feeds[0].kind if self.feeds else "real"
        return "live" if kind == "real" else kind

    def _data_age(self, entry: Entry) -> int | None:
        return None if entry.bars is None else max(0, self._clock_ms() - entry.bars.end_ms)

    def state(self, entry: Entry, data_ms: int | None = None) -> ExchangeState:
        """Return how fresh an instrument is; ``data_ms`` is newer than the store knows."""
        feed, name = entry.feed, entry.stored.instrument.exchange
        age = self._data_age(entry)
        if feed.kind != "real":
            # The data's own clock is not ours: what counts is when we last heard something.
            age = (
                None if feed.heard_ms is None else max(0, self._clock_ms() - feed.heard_ms)
            )
        elif data_ms is not None:
            age = max(0, self._clock_ms() - data_ms)
        interval = (entry.bars.interval_ms if entry.bars else None) or 60_000
        fresh: ExchangeStateName = freshness(age, interval)
        if feed.attached and feed.state in ("down", "refused"):
            fresh = "refused" if feed.state == "refused" else "down"
        return ExchangeState(name, fresh, age, self.note(entry))

    def note(self, entry: Entry) -> str:
        """Return one honest sentence on an instrument's data."""
        feed = entry.feed
        if feed.attached and feed.state != "live" and feed.detail:
            return feed.detail
        if feed.kind == "simulated":
            return "Simulated market: no real prices, no real positions."
        if feed.kind == "replay":
            if feed.state == "ended":
                return "Replay of recorded data: the recording has ended."
            speed = f" at {feed.speed:g}x" if feed.speed else ""
            return f"Replay of recorded data{speed}."
        if not feed.attached and self.mode(entry) == "replay":
            age = self._data_age(entry)
            old = f"; the last bar is {age_words(age)} old" if age is not None else ""
            return f"Recorded data{old}. Nothing is collecting it."
        return ""

    def row(self, entry: Entry) -> InstrumentRow:
        """Return the instrument as ``/instruments`` lists it."""
        instrument, bars, state = entry.stored.instrument, entry.bars, self.state(entry)
        kinds = [kind for kind in entry.stored.spans if kind not in ("gaps", "imports")]
        return InstrumentRow(
            instrument=instrument.name, exchange=instrument.exchange, coin=instrument.coin,
            settlement=instrument.settlement, tick_size=instrument.tick_size,
            mode=self.mode(entry), state=state.state, age_ms=state.age_ms,
            start_ms=bars.start_ms if bars else None, end_ms=bars.end_ms if bars else None,
            bars=bars.rows if bars else 0, interval_ms=bars.interval_ms if bars else None,
            kinds=kinds,
        )  # fmt: skip
