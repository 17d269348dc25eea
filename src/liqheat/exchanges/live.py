"""What all real exchanges share: an adapter gives messages' meaning, this gives the rest.

    adapter                                  LiveExchange
    urls, budget, fetch_*, sockets      ->   connections, budgets, pings, reconnection
    decode(label, frame) -> events      ->   bars from trades, order, thinning, back-pressure
    fetch_history("bars")               ->   holes repaired; what cannot be is told as a Gap

An adapter is a subclass in a file of its own; see ``LiveExchange`` for what it must give. Its
``decode`` is pure but for the adapter's own state, so it is tested with recorded frames.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from typing import ClassVar, Literal
from urllib.parse import urlsplit

import msgspec
import pyarrow as pa

from liqheat.exchanges._bars import BarBuilder
from liqheat.exchanges._listed import COINS, Listings
from liqheat.exchanges._stream import Stream
from liqheat.exchanges._wire import BadFrameError, Seen
from liqheat.exchanges.base import Coverage, Kind, Mode, wall_clock_ms
from liqheat.exchanges.transport import (
    Bucket,
    Budget,
    ExchangeClock,
    Http,
    Sessions,
    Sleep,
    Socket,
    SocketStats,
)
from liqheat.market.events import Event
from liqheat.market.instrument import Instrument

log = logging.getLogger("liqheat.exchanges")

__all__ = ["BadFrameError", "BarBuilder", "Health", "LiveExchange", "Seen"]


class Health(msgspec.Struct, frozen=True):
    """How an exchange fares, for ``liqheat doctor`` and the page. Times on our clock."""

    exchange: str
    latency_ms: float | None
    clock_offset_ms: float | None
    requests: int
    throttled: int
    sockets: tuple[SocketStats, ...]
    counters: dict[str, int]
    #: Newest event of all, on the exchange's clock; None before the first.
    last_event_ms: int | None


class LiveExchange:
    """Base of all adapters of real exchanges; implements ``base.Exchange``.

    A subclass gives the class attributes and ``fetch_instruments``, ``fetch_history``,
    ``sockets`` and ``decode``; ``polls`` and ``ping`` where the exchange needs them.

    Parameters
    ----------
    urls : mapping of str to str, optional
        Addresses which replace those of the class; ``urls_at`` makes them for a server
        which stands in for the exchange.
    coins : collection of str
        Base coins whose contracts are taken.
    clock_ms, sleep : callable, optional
        Our clock [ms], and how to wait [s].

    Attributes
    ----------
    name : str
        First half of the instruments' names.
    coverage : Coverage
        What the exchange gives.
    listings : Listings
        The contracts which are taken, once they were fetched.
    urls : mapping of str to str
        Addresses by key; "rest" is that of ``http``. No slash at the end.
    budget : Budget
        What may be asked of it.
    bars_from : "trades" or "klines"
        Whether bars are built from ``Trade`` events, or ``decode`` gives ``Bar`` events which
        carry the taker split.
    grace_ms : int
        How long after its end a minute still takes trades.
    repairs : frozenset of str
        Kinds which ``fetch_history`` can fill into a hole, besides what collecting does at
        start. Other kinds of a hole become a ``Gap``.
    poll_s : float
        How often ``polls`` is called; 0 is never. ``poll_carries`` are the kinds it gives.
    ping_path : str or None
        A cheap GET for latency and the clock, asked every five minutes; or override ``ping``.
    connect_pace_s : float
        Least time between two connection attempts of this exchange.
    http : Http
        For requests to ``urls["rest"]``; ``new_http`` makes others.
    counters : dict of str to int
        "trades" decoded, "bad_frames", "bad_events" (impossible price, quantity or time),
        "late_trades" (their bar was closed), "repaired_bars", "gaps", "poll_errors", "deaf".
    stats : dict of str to SocketStats
        By label, since the last start of ``stream``.
    """

    mode: Mode = "live"
    name: ClassVar[str]
    coverage: ClassVar[Coverage]
    default_urls: ClassVar[Mapping[str, str]]
    budget: ClassVar[Budget]
    bars_from: ClassVar[Literal["trades", "klines"]] = "trades"
    grace_ms: ClassVar[int] = 2_000
    repairs: ClassVar[frozenset[str]] = frozenset({"bars"})
    poll_s: ClassVar[float] = 0.0
    poll_carries: ClassVar[tuple[str, ...]] = ("open_interest",)
    ping_path: ClassVar[str | None] = None
    connect_pace_s: ClassVar[float] = 0.35

    def __init__(
        self,
        urls: Mapping[str, str] | None = None,
        *,
        coins: Collection[str] = COINS,
        clock_ms: Callable[[], int] = wall_clock_ms,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.listings = Listings(self.name, coins)
        self.urls = {**self.default_urls, **(urls or {})}
        self.our_ms, self.sleep = clock_ms, sleep
        self.counters: dict[str, int] = dict.fromkeys(
            ("trades", "bad_frames", "bad_events", "late_trades", "repaired_bars", "gaps",
             "poll_errors", "deaf"), 0,
        )  # fmt: skip
        self.stats: dict[str, SocketStats] = {}
        self.sessions = Sessions()
        self.clock = ExchangeClock()
        self._bucket = Bucket(self.budget, clock_ms, sleep)
        self._https: list[Http] = []
        self.http = self.new_http("rest")
        self._tiers_failed = False

    # -- for the adapter to give

    async def fetch_instruments(self) -> list[Instrument]:
        """Return what can be streamed, with tick sizes and margin tiers."""
        raise NotImplementedError

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return one kind of history in ``[start_ms, end_ms)`` as the store's table, or None.

        Sorted; only closed bars; None where the exchange has no such history. Pages, and
        limits to what the exchange keeps, are the adapter's affair. Must not fail for an
        exchange which is merely short of rows: give those it has.
        """
        raise NotImplementedError

    def sockets(self, instruments: Sequence[str]) -> list[Socket]:
        """Return the connections which carry these instruments (``exchange:symbol``)."""
        raise NotImplementedError

    def decode(self, label: str, frame: bytes, received_ms: int) -> Iterable[Event]:
        """Return the events of one frame; none for an acknowledgement.

        Instruments which nobody asked for may be among them: they are left out. Events that
        came before (overlap, replays after subscribing) are dropped here, with ``Seen``.

        Raises
        ------
        BadFrameError
            It does not parse: counted, sampled into the log, skipped.
        ExchangeError
            The exchange refuses the subscription: the connection is made anew.
        """
        raise NotImplementedError

    async def polls(self, instruments: Sequence[str]) -> Iterable[Event]:
        """Return what only REST has, e.g. open interest; called every ``poll_s``."""
        return ()

    async def ping(self) -> None:
        """Ask the exchange for its time, or for anything."""
        if self.ping_path is not None:
            await self.http.get(self.ping_path)

    # -- for the adapter to use

    def new_http(
        self,
        key: str,
        budget: Budget | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Http:
        """Return the REST client of ``urls[key]``; it shares the budget where none is given."""
        limit = self._bucket if budget is None else budget
        http = Http(
            self.name, self.urls[key], budget=limit, clock_ms=self.our_ms, sleep=self.sleep,
            headers=headers, sessions=self.sessions, clock=self.clock,
        )  # fmt: skip
        self._https.append(http)
        return http

    def tiers_failed(self, error: Exception) -> None:
        """Log that margin tiers are not refreshed: a warning at first, later a detail."""
        level = logging.INFO if self._tiers_failed else logging.WARNING
        self._tiers_failed = True
        log.log(level, "tiers_not_refreshed exchange=%s error=%s", self.name, error)

    # -- for everybody

    @classmethod
    def urls_at(cls, base: str) -> dict[str, str]:
        """Return addresses below one server which stands in for all exchanges.

        ``http://127.0.0.1:9000`` gives ``http://127.0.0.1:9000/<name>/<key>`` for each key,
        with ``ws`` for the WebSocket addresses.

        Examples
        --------
        >>> class Okx(LiveExchange):
        ...     name = "okx"
        ...     default_urls = {"rest": "https://www.okx.com", "public": "wss://ws.okx.com/ws"}
        >>> Okx.urls_at("http://127.0.0.1:9000")["public"]
        'ws://127.0.0.1:9000/okx/public'
        """
        found = urlsplit(base)
        secure = "s" if found.scheme == "https" else ""
        out = {}
        for key, url in cls.default_urls.items():
            scheme = "ws" if url.startswith("ws") else "http"
            out[key] = f"{scheme}{secure}://{found.netloc}{found.path}/{cls.name}/{key}"
        return out

    def clock_ms(self) -> int:
        """Return the exchange's time, as far as it is known."""
        return self.our_ms() + round(self.clock.offset_ms)

    def stream(self, instruments: Sequence[str], start_ms: int) -> AsyncGenerator[Event]:
        """Yield events from ``start_ms`` on, as they happen, until cancelled.

        Bars: growing at most once a second, closed once and in order, on the exchange's
        clock. Mark prices and open interest: the last reading of each minute, before its bar.
        What lies between ``start_ms`` and the first connection is a hole like any other.

        Raises
        ------
        RefusedError
            The exchange serves none of the connections from here.
        """
        return Stream(self, tuple(instruments), start_ms).events()

    def health(self) -> Health:
        """Return how the exchange fares."""
        seen = [one.last_event_ms for one in self.stats.values() if one.last_event_ms]
        latency = [one.latency_ms for one in self._https if one.latency_ms is not None]
        return Health(
            self.name, min(latency, default=None),
            self.clock.offset_ms if self.clock.known else None,
            sum(one.requests for one in self._https),
            sum(one.throttled for one in self._https),
            tuple(self.stats.values()), dict(self.counters), max(seen, default=None),
        )  # fmt: skip

    async def close(self) -> None:
        """Close all connections."""
        await self.sessions.close()
