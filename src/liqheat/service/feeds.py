"""Sources of data and their honesty: stores, collectors, instruments, freshness.

Rows of the simulated market, of a replay and of real exchanges never share a store; a ``Feed``
is one store and what is known of its filling. The ``Catalogue`` answers for all feeds together:
which instruments there are, which mode each is in, how old its data are. Its structs are what
every reply's honesty rests on.

``mode`` is "live" (an exchange feeds it, or fed it a moment ago), "simulated", or "replay"
(recorded data: played at ``replay_speed``, or, where that is None, merely shown).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from liqheat.errors import UnavailableError, UnknownInstrumentError
from liqheat.exchanges.base import Exchange, Mode, State
from liqheat.market.instrument import SHIPPED
from liqheat.market.units import DAY_MS
from liqheat.service.coin import coin_name, coin_of, nothing_of
from liqheat.store import Span, Store, StoredInstrument

ExchangeStateName = Literal["live", "late", "stale", "down", "refused"]

#: What a collector reports, or that there is none.
SourceState = State | Literal["not collected"]

#: Real data which nobody collects counts as recorded once it is older than this [ms].
RECORDED_AGE_MS = 3_600_000
#: Data older than this many bars is late, then stale.
LATE_BARS, STALE_BARS = 1.5, 3.0
#: Grace for delivery [ms].
GRACE_MS = 5_000


class ExchangeState(msgspec.Struct, frozen=True):
    """One source: how fresh it is."""

    exchange: str
    state: ExchangeStateName
    age_ms: int | None
    detail: str = ""
    #: Whether it is in what is shown; of a coin some may be switched off.
    included: bool = True


class CoverageFlags(msgspec.Struct, frozen=True):
    """Which inputs the instrument has."""

    open_interest: bool = False
    taker_volume: bool = False
    mark: bool = False
    liquidations: bool = False


class Status(msgspec.Struct, frozen=True, tag_field="type", tag="status"):
    """State of one view; sent as a text frame."""

    mode: Mode
    instrument: str
    model: str
    model_version: str
    server_ms: int
    note: str
    step_ms: int | None = None
    data_ms: int | None = None
    replay_speed: float | None = None
    columns: int = 0
    columns_wanted: int = 0
    collecting_since_ms: int | None = None
    coverage: CoverageFlags = CoverageFlags()
    warm_days: float = 0.0
    usd_scale: Literal["relative", "usd"] = "relative"
    last_price: float | None = None
    #: The instrument whose candles are drawn.
    candles_of: str | None = None
    #: The leverage tiers which the model has here, drawn or not.
    tiers: list[float] = []
    exchanges: list[ExchangeState] = []


class InstrumentRow(msgspec.Struct, frozen=True):
    """One instrument of ``/instruments``."""

    instrument: str
    exchange: str
    coin: str
    settlement: Literal["linear", "inverse"]
    tick_size: float
    mode: Mode
    state: ExchangeStateName
    age_ms: int | None
    start_ms: int | None
    end_ms: int | None
    bars: int
    interval_ms: int | None
    kinds: list[str]


def freshness(age_ms: int | None, interval_ms: int) -> ExchangeStateName:
    """Return live, late or stale for data of that age.

    >>> freshness(30_000, 60_000), freshness(120_000, 60_000), freshness(None, 60_000)
    ('live', 'late', 'stale')
    """
    if age_ms is None or age_ms > STALE_BARS * interval_ms + GRACE_MS:
        return "stale"
    return "late" if age_ms > LATE_BARS * interval_ms + GRACE_MS else "live"


def _state_name(state: SourceState) -> ExchangeStateName:
    # Before its first data an exchange is late, if nothing worse is known.
    return state if state in ("down", "refused") else "late"


def age_words(age_ms: int) -> str:
    """Return an age in the unit a person would use.

    >>> age_words(90_000), age_words(3 * 86_400_000)
    ('2 minutes', '3 days')
    """
    for unit, length in (("day", DAY_MS), ("hour", 3_600_000), ("minute", 60_000)):
        if age_ms >= length:
            n = round(age_ms / length)
            return f"{n} {unit}{'s' if n != 1 else ''}"
    return f"{max(age_ms, 0) // 1000} seconds"


@dataclass(eq=False, kw_only=True)
class Source:
    """An exchange which a collector of this process fills a store from.

    It has a clock of its own; ``state`` and ``detail`` are what its collector last reported.
    """

    exchange: Exchange | None = None
    clock_ms: Callable[[], int] = lambda: 0
    #: Which of the exchange's instruments are wanted; all where None.
    instruments: tuple[str, ...] | None = None
    state: SourceState = "starting"
    detail: str = ""
    #: When we last heard something, on our own clock; None before that.
    heard_ms: int | None = None
    #: Of its history, fetched and wanted [ms].
    fetched: tuple[int, int] = (0, 0)

    @property
    def answered(self) -> bool:
        """Whether it has told what it has, and has not failed since."""
        told = self.state == "live" or self.fetched[1] > 0
        return told and self.state not in ("down", "refused")


@dataclass(eq=False)
class Feed(Source):
    """One store and what fills it: itself a source, or with ``sources``, one an exchange.

    ``attached``: what fills it publishes what it hears in this process.
    """

    store: Store
    kind: Literal["real", "simulated", "replay"] = "real"
    attached: bool = False
    speed: float | None = None
    #: By exchange, of a store of real exchanges which are collected in this process.
    sources: dict[str, Source] = field(default_factory=dict)
    #: Coins which were asked for, in order.
    coins: tuple[str, ...] = ()
    #: Said with every note of this feed, e.g. why it is shown.
    remark: str = ""

    def all_sources(self) -> list[Source]:
        """Return what has an exchange."""
        own = [self] if self.exchange is not None else []
        return [*own, *self.sources.values()]


@dataclass(frozen=True)
class Entry:
    """One instrument: what it is, its feed, its stored spans."""

    stored: StoredInstrument
    feed: Feed

    @property
    def name(self) -> str:
        """Its instrument, ``exchange:symbol``."""
        return self.stored.instrument.name

    @property
    def bars(self) -> Span | None:
        """Where its bars lie."""
        return self.stored.spans.get("bars")

    @property
    def exchange(self) -> str:
        """The first half of its name."""
        return self.stored.instrument.exchange

    @property
    def coin(self) -> tuple[str, bool]:
        """Its coin, and whether it is simulated; see ``coin.coin_of``."""
        return self.stored.instrument.coin, self.feed.kind == "simulated"

    @property
    def source(self) -> Source | None:
        """What fills it in this process; None where nothing does."""
        found = self.feed.sources.get(self.exchange)
        return found or (self.feed if self.feed.attached else None)


class Catalogue:
    """All instruments of all feeds. Reads stores: call ``refresh`` in a thread."""

    def __init__(self, feeds: Sequence[Feed], clock_ms: Callable[[], int]) -> None:
        self.feeds = tuple(feeds)
        self._clock_ms = clock_ms
        self._entries: dict[str, Entry] = {}

    def add(self, feed: Feed) -> None:
        """Take in one more feed."""
        self.feeds = (*self.feeds, feed)

    def _real_is_live(self) -> bool:
        return any(
            source.heard_ms is not None
            for feed in self.feeds
            if feed.kind == "real"
            for source in feed.sources.values()
        )

    def _place(self, entry: Entry) -> tuple[int, ...]:
        # Coins and exchanges as they were asked for, linear contracts before inverse ones.
        names, coins, one = (
            list(entry.feed.sources),
            entry.feed.coins,
            entry.stored.instrument,
        )
        if one.exchange not in names:
            return ()
        coin = coins.index(one.coin) if one.coin in coins else len(coins)
        return (coin, names.index(one.exchange), one.is_inverse)

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
            key=lambda e: (
                e.feed.kind == "simulated" and self._real_is_live(),
                e.source is None,
                e.bars is None,
                self._place(e),
                e.name,
            ),
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

    def members(self, name: str) -> list[Entry]:
        """Return the entries of an instrument (one) or of a coin (those with bars).

        Raises
        ------
        UnknownInstrumentError, UnavailableError
            As ``find``.
        """
        coin = None if name in self._entries else coin_of(name)
        if coin is not None:
            found = [one for one in self.entries() if one.bars and one.coin == coin]
            if found:
                return found
            if any(one.coin == coin for one in self.entries()):
                raise nothing_of(name, None)
        return [self.find(name)]

    def coin_name(self, instrument: str) -> str:
        """Return the name of the coin which an instrument belongs to; "" if it is unknown."""
        found = self._entries.get(instrument)
        return "" if found is None else coin_name(found.stored.instrument)

    def is_coin(self, name: str) -> bool:
        """Return whether a name is a coin's, not an instrument's."""
        return name not in self._entries and coin_of(name) is not None

    def mode(self, entry: Entry) -> Mode:
        """Return what the instrument's data are."""
        if entry.feed.kind != "real":
            return entry.feed.kind
        source = entry.source
        if source is not None and (source.heard_ms is not None or source.answered):
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
        feed, source = entry.feed, entry.source
        age = self._data_age(entry)
        if feed.kind != "real":
            # The data's own clock is not ours: what counts is when we last heard something.
            heard = feed.heard_ms
            age = None if heard is None else max(0, self._clock_ms() - heard)
        elif data_ms is not None:
            age = max(0, self._clock_ms() - data_ms)
        interval = (entry.bars.interval_ms if entry.bars else None) or 60_000
        fresh: ExchangeStateName = freshness(age, interval)
        if entry.bars is None and source is not None:
            fresh = _state_name(source.state)
        if source is not None and source.state in ("down", "refused"):
            fresh = "refused" if source.state == "refused" else "down"
        return ExchangeState(entry.exchange, fresh, age, self.note(entry))

    def idle(self, feed: Feed) -> list[ExchangeState]:
        """Return the states of exchanges of a feed which have given no instrument yet."""
        known = {entry.exchange for entry in self._entries.values()}
        return [
            ExchangeState(name, _state_name(source.state), None, source.detail)
            for name, source in feed.sources.items()
            if name not in known
        ]

    def note(self, entry: Entry) -> str:
        """Return one honest sentence on an instrument's data."""
        return " ".join(filter(None, (self._note(entry), entry.feed.remark)))

    def _note(self, entry: Entry) -> str:
        feed, source = entry.feed, entry.source
        if source is not None and source.state != "live" and source.detail:
            return source.detail
        if feed.kind == "simulated":
            return "Simulated market: no real prices, no real positions."
        if feed.kind == "replay":
            if feed.state == "ended":
                return "Replay of recorded data: the recording has ended."
            speed = f" at {feed.speed:g}x" if feed.speed else ""
            return f"Replay of recorded data{speed}."
        if self.mode(entry) == "replay":
            age = self._data_age(entry)
            old = f"; the last bar is {age_words(age)} old" if age is not None else ""
            nobody = " Nothing is collecting it." if source is None else ""
            return f"Recorded data{old}.{nobody}"
        if source is not None and source.fetched[0] < source.fetched[1]:
            return f"Fetching history: {source.fetched[0] / source.fetched[1]:.0%}."
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
