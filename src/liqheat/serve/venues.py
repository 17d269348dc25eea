"""How each exchange fares, for ``/api/v1/health`` and ``liqheat doctor``: one row an exchange.

From the running server where there is one; else by a probe, which asks each exchange for its
time and its instruments, and looks at what is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from liqheat.config import Config
from liqheat.errors import LiqheatError, RefusedError
from liqheat.exchanges.base import wall_clock_ms
from liqheat.exchanges.directory import open_exchange
from liqheat.exchanges.live import Health, LiveExchange
from liqheat.service import Service
from liqheat.service.feeds import Source
from liqheat.store import StoredInstrument

#: How long a probe waits for one exchange [s].
PROBE_S = 10.0
#: A live stream without an event for so long is worth a note [ms].
MUTE_MS = 60_000
#: Kinds of stored rows which are no data.
_OTHER = ("gaps", "imports")


class SocketRow(msgspec.Struct, frozen=True):
    """One connection of an exchange."""

    label: str
    state: Literal["connecting", "live", "waiting", "refused"]
    frames: int
    bad_frames: int
    reconnects: int
    detail: str = ""


class VenueRow(msgspec.Struct, frozen=True):
    """One exchange: reachable, how fast, on which clock, what streams, what is stored."""

    exchange: str
    state: Literal["starting", "live", "down", "refused", "ended", "not collected"]
    detail: str
    reachable: bool
    latency_ms: float | None
    clock_offset_ms: float | None
    sockets: list[SocketRow]
    last_event_age_ms: int | None
    instruments: int
    rows: dict[str, int]
    gaps: int
    fetched: float | None  # share of the history wanted
    coverage: dict[str, Any]
    counters: dict[str, int]


def venue_rows(service: Service) -> list[VenueRow]:
    """Return the exchanges which this process collects from."""
    now = service.clock_ms()
    found = []
    for feed in service.catalogue.feeds:
        held = [entry.stored for entry in service.catalogue.entries() if entry.feed is feed]
        for name, source in feed.sources.items():
            own = [one for one in held if one.instrument.exchange == name]
            found.append(_row(name, source, own, now))
    return found


def _row(
    name: str, source: Source, stored: Iterable[StoredInstrument], now_ms: int
) -> VenueRow:
    stored = list(stored)
    exchange = source.exchange
    health: Health | None = (
        exchange.health() if isinstance(exchange, LiveExchange) else None
    )
    done, wanted = source.fetched
    last = health.last_event_ms if health else None
    # The event's time is the exchange's, whose clock may be another than ours.
    venue_ms = now_ms + round((health.clock_offset_ms if health else None) or 0)
    lost = _lost(source, health)
    return VenueRow(
        exchange=name, state="down" if lost else source.state,
        detail=lost or source.detail, reachable=source.answered and not lost,
        latency_ms=_rounded(health.latency_ms if health else None),
        clock_offset_ms=_rounded(health.clock_offset_ms if health else None),
        sockets=[
            SocketRow(one.label, one.state, one.frames, one.bad_frames, one.reconnects, one.detail)
            for one in (health.sockets if health else ())
        ],
        last_event_age_ms=None if last is None else max(0, venue_ms - last),
        instruments=len(stored), rows=rows_of(stored),
        gaps=sum(one.spans["gaps"].rows for one in stored if "gaps" in one.spans),
        fetched=round(done / wanted, 3) if wanted else None,
        coverage=msgspec.to_builtins(exchange.coverage) if exchange else {},
        counters=dict(exchange.counters) if exchange else {},
    )  # fmt: skip


def _lost(source: Source, health: Health | None) -> str:
    # Why no stream at all lives, of a source which was live; else an empty text.
    sockets = health.sockets if health and source.state == "live" else ()
    if any(one.state == "live" or not one.reconnects for one in sockets):
        return ""
    return next((f"no stream: {one.detail}" for one in sockets if one.detail), "")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def rows_of(stored: Iterable[StoredInstrument]) -> dict[str, int]:
    """Return how many rows of each kind are stored."""
    out: dict[str, int] = {}
    for one in stored:
        for kind, span in one.spans.items():
            if kind not in _OTHER:
                out[kind] = out.get(kind, 0) + span.rows
    return out


def ask_server(config: Config) -> list[VenueRow] | None:
    """Return the rows of the server which runs with these settings; None where none does."""
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"http://{host}:{config.port}/api/v1/health"
    with contextlib.suppress(OSError, http.client.HTTPException, msgspec.MsgspecError):
        with urllib.request.urlopen(url, timeout=3) as answer:
            body = msgspec.json.decode(answer.read())
        return msgspec.convert(body["venues"], list[VenueRow])
    return None


def probe(config: Config, stored: list[StoredInstrument]) -> list[VenueRow]:
    """Ask each exchange once, all at the same time."""

    async def ask() -> list[VenueRow]:
        return await asyncio.gather(
            *(_probe_one(name, config, stored) for name in config.exchanges)
        )

    return asyncio.run(ask())


async def _probe_one(name: str, config: Config, stored: list[StoredInstrument]) -> VenueRow:
    exchange = open_exchange(name, config.coins, config.exchange_urls)
    source = Source(exchange=exchange, state="not collected")  # type: ignore[arg-type]
    own = [one for one in stored if one.instrument.exchange == name]
    offered = 0
    try:
        async with asyncio.timeout(PROBE_S):
            await exchange.ping()
            offered = len(await exchange.fetch_instruments())
        source.fetched = (0, 1)
    except RefusedError as error:
        source.state, source.detail = "refused", str(error)
    except TimeoutError:
        source.state, source.detail = "down", f"no answer within {PROBE_S:g} s"
    except (LiqheatError, OSError) as error:
        source.state, source.detail = "down", str(error)
    finally:
        await exchange.close()
    row = _row(name, source, own, wall_clock_ms())
    detail = row.detail or f"{offered} instruments of {', '.join(config.coins)}"
    return msgspec.structs.replace(row, detail=detail, fetched=None)


def words(row: VenueRow) -> str:
    """Return a row as one line."""
    parts: list[str] = [row.state]
    if row.latency_ms is not None:
        parts.append(f"{row.latency_ms:.0f} ms")
    if row.clock_offset_ms is not None:
        parts.append(f"clock {round(row.clock_offset_ms):+d} ms")
    if row.sockets:
        parts.append(f"{_live(row)} of {len(row.sockets)} streams live")
    if row.last_event_age_ms is not None:
        parts.append(f"last event {row.last_event_age_ms / 1000:.1f} s ago")
    total = sum(row.rows.values())
    parts.append(
        f"{row.instruments} instruments, {total:,} rows stored"
        if total
        else "nothing stored"
    )
    if row.fetched is not None and row.fetched < 1:
        parts.append(f"history {row.fetched:.0%} fetched")
    if row.gaps:
        parts.append(f"{row.gaps} gaps recorded")
    parts.append(given(row))
    return "; ".join(parts) + (f"; {row.detail}" if row.detail else "")


#: Heads of the table of exchanges, and the widths of its columns; the first two are text.
HEADS = (
    ("exchange", 12), ("state", 13), ("answers", 7), ("latency", 7), ("clock", 9),
    ("streams", 7), ("last event", 10), ("rows", 10), ("gaps", 6),
)  # fmt: skip


def cells(row: VenueRow) -> tuple[str, ...]:
    """Return a row's cells below ``HEADS``; "-" is what is not known."""

    def known(value: float | None, text: str) -> str:
        return "-" if value is None else text.format(value)

    clock, age = row.clock_offset_ms, row.last_event_age_ms
    return (
        row.exchange, row.state, "yes" if row.reachable else "no",
        known(row.latency_ms, "{:.0f} ms"),
        known(None if clock is None else round(clock), "{:+d} ms"),
        f"{_live(row)}/{len(row.sockets)}" if row.sockets else "-",
        known(None if age is None else age / 1000, "{:,.1f} s"),
        f"{sum(row.rows.values()):,}", f"{row.gaps:,}",
    )  # fmt: skip


def aligned(found: Iterable[str]) -> str:
    """Return cells or heads as a line of the table."""
    return " ".join(
        f"{text:<{width}}" if at < 2 else f"{text:>{width}}"
        for at, (text, (_, width)) in enumerate(zip(found, HEADS, strict=True))
    )


def given(row: VenueRow) -> str:
    """Return what an exchange gives, in words, and how completely it tells liquidations."""
    kinds = [
        f"{kind} ({value})" if isinstance(value, str) else kind
        for kind, value in row.coverage.items()
        if value and kind != "history_days"
    ]
    return f"gives {', '.join(kinds)}".replace("_", " ")


def is_well(row: VenueRow) -> bool:
    """Whether it answers, all its streams live, and they tell something."""
    return row.reachable and _live(row) == len(row.sockets) and not is_mute(row)


def is_mute(row: VenueRow) -> bool:
    """Whether a stream lives which has told nothing for long, or nothing yet."""
    age = row.last_event_age_ms
    return _live(row) > 0 and (age is None or age > MUTE_MS)


def _live(row: VenueRow) -> int:
    return sum(one.state == "live" for one in row.sockets)
