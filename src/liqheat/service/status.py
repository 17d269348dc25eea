"""What the service says of itself: the structs that every reply's honesty rests on.

``mode`` is "live" (an exchange feeds it, or fed it a moment ago), "simulated", or "replay"
(recorded data: played at ``replay_speed``, or, where that is None, merely shown).
"""

from __future__ import annotations

from typing import Literal

import msgspec

from liqheat.service.picture import Mode

ExchangeStateName = Literal["live", "late", "stale", "down", "refused"]
DAY_MS = 86_400_000

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


class CoverageFlags(msgspec.Struct, frozen=True):
    """Which inputs the instrument has."""

    open_interest: bool
    taker_volume: bool
    mark: bool
    liquidations: bool


class Status(msgspec.Struct, frozen=True, tag_field="type", tag="status"):
    """State of one view; sent as a text frame."""

    mode: Mode
    instrument: str
    model: str
    model_version: str
    step_ms: int | None
    data_ms: int | None
    server_ms: int
    replay_speed: float | None
    columns: int
    columns_wanted: int
    collecting_since_ms: int | None
    coverage: CoverageFlags
    warm_days: float
    usd_scale: Literal["relative", "usd"]
    last_price: float | None
    exchanges: list[ExchangeState]
    note: str


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
