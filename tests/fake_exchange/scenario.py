"""What goes wrong, and when: windows of faults, and shares of frames which are spoilt."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Literal

#: cut: connections end now, and new ones are taken at once.
#: silent: connected, pings answered, nothing sent. half_open: nothing answered either.
#: down: no connection and no HTTP at all. maintenance: closed politely, HTTP 503.
#: http: REST answers with ``Window.status``. refused: REST and handshakes, too.
Fault = Literal["cut", "silent", "half_open", "down", "maintenance", "http", "refused"]


@dataclass(frozen=True)
class Window:
    """A fault in ``[start_s, end_s)`` after the server's start; no venues named: of all."""

    start_s: float
    end_s: float
    fault: Fault
    status: int = 503
    venues: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scenario:
    """How an exchange behaves.

    Parameters
    ----------
    windows : tuple of Window
        Faults in time.
    every_s : float
        The windows come again every so many seconds; 0 is once.
    skew_ms : int
        The exchange's clock is that far ahead of ours.
    duplicate, reorder, malformed, unknown, retyped : float
        Shares of frames sent twice; sent after the next one; followed by a broken copy;
        with fields nobody knows; with numbers for texts.
    trades_per_s : float
        Of each coin.
    burst : (first second, seconds, trades per second), optional
        In each minute, of the first coin.
    """

    name: str
    windows: tuple[Window, ...] = ()
    every_s: float = 0.0
    skew_ms: int = 0
    duplicate: float = 0.0
    reorder: float = 0.0
    malformed: float = 0.0
    unknown: float = 0.0
    retyped: float = 0.0
    trades_per_s: float = 2.0
    burst: tuple[int, int, int] | None = None

    def active(self, at_s: float, venue: str) -> Window | None:
        """Return a venue's fault of a moment."""
        if self.every_s:
            at_s %= self.every_s
        for window in self.windows:
            hit = not window.venues or venue in window.venues
            if hit and window.start_s <= at_s < window.end_s:
                return window
        return None


def _once(
    name: str, start_s: float, end_s: float, fault: Fault, status: int = 503
) -> Scenario:
    return Scenario(name, (Window(start_s, end_s, fault, status),))


SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for one in (
        Scenario("normal"),
        Scenario("burst", burst=(30, 2, 5_000)),
        _once("silent", 97, 400, "silent"),
        _once("half-open", 90, 240, "half_open"),
        Scenario("close-each-second", (Window(0.5, 1.0, "cut"),), every_s=1.0),
        Scenario("reordered", duplicate=0.1, reorder=0.1),
        Scenario("malformed", malformed=0.1),
        Scenario("unknown-fields", unknown=0.3),
        Scenario("retyped", retyped=0.5),
        _once("http-429", 100, 160, "http", 429),
        _once("http-500", 100, 160, "http", 500),
        _once("http-418", 100, 1e9, "http", 418),
        _once("http-451", 0, 1e9, "refused", 451),
        Scenario("skew", skew_ms=90_000),
        _once("day-cut", 120, 120 + 86_400, "down"),
        _once("maintenance", 90, 390, "maintenance"),
        Scenario(
            "some",
            (
                Window(0, 1e9, "refused", 451, ("okx",)),
                Window(0, 1e9, "refused", 403, ("bybit",)),
                Window(90, 1e9, "maintenance", 503, ("gate",)),
                Window(90, 1e9, "http", 500, ("bitget",)),
            ),
        ),
        Scenario(
            "mute",
            (
                Window(90, 1e9, "silent", venues=("binance", "deribit", "dydx", "okx")),
                Window(90, 1e9, "half_open", venues=("bitget", "gate")),
            ),
            skew_ms=90_000,
        ),
    )
}


def soak(seconds: float, seed: int = 1) -> Scenario:
    """Return a fault a minute, of a kind, start and length drawn at random."""
    rng = random.Random(seed)
    windows: list[Window] = []
    kinds: tuple[tuple[Fault, float], ...] = (
        ("cut", 0.5), ("silent", 110), ("half_open", 40), ("down", 25), ("maintenance", 30),
        ("http", 20), ("cut", 1.0),
    )  # fmt: skip
    for minute in range(1, int(seconds / 60)):
        fault, longest = rng.choice(kinds)
        # A line which is deaf for less than a minute, and then hears again, cannot be told
        # from a quiet market; nor can its last ten seconds before a minute's end.
        start = minute * 60 + rng.uniform(0, 40 if fault == "silent" else 59)
        end = start + rng.uniform(0.8, 1) * longest
        status = rng.choice((429, 500, 502, 503))
        windows.append(Window(start, end, fault, status))
    spoilt = Scenario("soak", duplicate=0.02, reorder=0.02, malformed=0.01, unknown=0.02)
    return replace(spoilt, windows=tuple(windows))
