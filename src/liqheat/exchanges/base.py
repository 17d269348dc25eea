"""The one interface between the outer world and liqheat.

An ``Exchange`` gives instruments, history and a live stream, all as the events of
``market.events``. Recorded files, the simulated market and (one file each) the real exchanges
implement it; nothing above this layer knows which one it talks to, except by asking for its
``Coverage`` and its ``mode``, which the page and every API reply show.

Rules for implementations
    - times never go backwards within one instrument and kind;
    - no NaN and no infinity: what is absent is None;
    - a hole is told as a ``Gap`` before the first event after it;
    - corrupt input dies in a ``parse_*`` function, is counted in ``counters`` and skipped;
    - ``stream`` may be cancelled at any await and started again.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol, runtime_checkable

import msgspec
import pyarrow as pa

from liqheat.market.events import Completeness, Event, Position
from liqheat.market.instrument import Instrument

Mode = Literal["live", "simulated", "replay"]
#: How collecting from an exchange fares.
State = Literal["starting", "live", "down", "refused", "ended"]
#: The kinds of history an exchange may be asked for; the store has a table for each.
Kind = Literal["bars", "open_interest", "mark", "funding", "liquidations", "long_short"]


def wall_clock_ms() -> int:
    """Return the machine's time in milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Coverage(msgspec.Struct, frozen=True):
    """What an exchange can give, and how honestly."""

    bars: bool = True
    taker_volume: bool = False
    open_interest: bool = False
    mark: bool = False
    funding: bool = False
    liquidations: Completeness | None = None
    positions: bool = False
    long_short: bool = False
    depth: bool = False
    history_days: float = 0.0


@runtime_checkable
class Exchange(Protocol):
    """One source of market data."""

    name: str
    mode: Mode
    coverage: Coverage
    #: Counted, never raised: {"bad_frames": 3, ...}.
    counters: dict[str, int]

    async def fetch_instruments(self) -> list[Instrument]:
        """Return what can be streamed, with tick sizes and margin tiers."""
        ...

    async def fetch_history(
        self, instrument: str, kind: Kind, start_ms: int, end_ms: int
    ) -> pa.Table | None:
        """Return one kind of history as the store's table (``store.SCHEMAS``), or None.

        Rows lie in ``[start_ms, end_ms)``, sorted; only closed bars. None means: this
        exchange has no such history, and a ``Gap`` is to be recorded.
        """
        ...

    def stream(self, instruments: Sequence[str], start_ms: int) -> AsyncIterator[Event]:
        """Yield events from ``start_ms`` on, as they happen, until cancelled."""
        ...

    async def close(self) -> None:
        """Release sockets and files."""
        ...


@runtime_checkable
class Recalls(Protocol):
    """An exchange whose positions are public, and which goes on from those it found before."""

    def recall(self, told: Sequence[Position]) -> None:
        """Take what each account held when it was last told, in order of time."""
        ...
