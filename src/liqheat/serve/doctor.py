"""What ``liqheat doctor`` looks at: exchanges, the store, its gaps, the page, the port."""

from __future__ import annotations

import platform
import textwrap
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from liqheat import __version__
from liqheat.config import Config
from liqheat.engine import MODEL_VERSION
from liqheat.errors import LiqheatError
from liqheat.market.units import interval_name
from liqheat.serve.pages import Pages
from liqheat.serve.run import Server
from liqheat.serve.venues import (
    HEADS,
    SocketRow,
    VenueRow,
    aligned,
    ask_server,
    cells,
    given,
    is_mute,
    is_well,
    probe,
    words,
)
from liqheat.store import FILE_NAME, Store, StoredInstrument

#: Longest line of the text.
WIDTH = 100

State = Literal["ok", "note", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    what: str
    state: State
    detail: str
    #: Of an exchange, everything known.
    venue: VenueRow | None = None


def examine(config: Config) -> list[Finding]:
    """Return what was found; nothing is changed."""
    out = [
        Finding(
            "version", "ok",
            f"liqheat {__version__}, model {MODEL_VERSION}, Python "
            f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        )
    ]  # fmt: skip
    folders = [config.folder, *sorted((config.folder / "simulated").glob("*"))]
    for folder in folders:
        out += _store(folder, required=folder == config.folder)
    built = Pages().built
    out.append(
        Finding("page", "ok" if built else "note", "built" if built else "run `make web`")
    )
    running = ask_server(config)
    out.append(_port(config) if running is None else _running(config))
    if running is None and not config.offline:
        running = probe(config, _stored(config))
    for row in running or []:
        state: State = "ok" if is_well(row) else "note"
        out.append(Finding(f"exchange {row.exchange}", state, words(row), row))
    return out


def lines(findings: list[Finding]) -> list[str]:
    """Return the findings as text for a terminal, the exchanges as a table."""
    out: list[str] = []
    rows = [(one.state, one.venue) for one in findings if one.venue is not None]
    for one in findings:
        if one.venue is None:
            out += _wrapped(f"{one.state:>7}  {one.what}: {one.detail}")
    if rows:
        out += ["", " " * 9 + aligned(head for head, _ in HEADS)]
    for state, venue in rows:
        out.append(f"{state:>7}  {aligned(cells(venue))}".rstrip())
        if venue.fetched is not None and venue.fetched < 1:
            out += _wrapped(f"{'':11}history {venue.fetched:.0%} fetched")
        mute = "a stream lives, but tells nothing" if is_mute(venue) else ""
        notes = [venue.detail, mute, *(_socket(each) for each in venue.sockets)]
        for note in dict.fromkeys(filter(None, notes)):
            out += _wrapped(f"{'':11}{note}")
        out += _wrapped(f"{'':11}{given(venue)}")
    return out


def _socket(row: SocketRow) -> str:
    if row.state == "live":
        return ""
    return f"stream {row.label} {row.state}: {row.detail or 'no word yet'}"


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * 11, drop_whitespace=True)


def _running(config: Config) -> Finding:
    return Finding("server", "ok", f"liqheat runs on {config.host}:{config.port}")


def _stored(config: Config) -> list[StoredInstrument]:
    try:
        with Store.open(config.folder, mode="r") as store:
            return store.instruments()
    except LiqheatError:
        return []  # said already, with the store


def _store(folder: Path, *, required: bool) -> list[Finding]:
    if not (folder / FILE_NAME).exists():
        words = f"{folder}: nothing is stored yet"
        return [Finding("store", "note", words)] if required else []
    try:
        with Store.open(folder, mode="r") as store:
            found = [Finding("store", "ok", str(folder))]
            return found + [_instrument(store, one) for one in store.instruments()]
    except LiqheatError as error:
        return [Finding("store", "broken", str(error))]


def _instrument(store: Store, stored: StoredInstrument) -> Finding:
    name, bars = stored.instrument.name, stored.spans.get("bars")
    if bars is None:
        return Finding(name, "note", "no bars")
    gaps = [gap for gap in store.gaps(name) if gap.kind == "bars"]
    text = f"{bars.rows:,} {interval_name(bars.interval_ms or 0)} bars, "
    text += f"{_day(bars.start_ms)} to {_day(bars.end_ms)}"
    others = [k for k in stored.spans if k not in ("bars", "gaps", "imports")]
    text += f"; {', '.join(others)}" if others else ""
    if gaps:
        hours = sum(gap.end_ms - gap.event_ms for gap in gaps) / 3_600_000
        text += f"; {len(gaps)} gaps of {hours:,.1f} hours in all"
    return Finding(name, "note" if gaps else "ok", text)


def _port(config: Config) -> Finding:
    try:
        Server(config).socket.close()
    except LiqheatError as error:
        return Finding("port", "note", str(error))
    return Finding("port", "ok", f"{config.host}:{config.port} is free")


def _day(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")
