"""One server and one browser for the page's tests, and a pretend socket for its states.

``base_url`` is the only place the server's address comes from: ``LIQHEAT_UI_URL`` when
set, else a ``liqheat up --offline`` started here. Without a Chromium the tests skip.
"""

import gzip
import json
import math
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("LIQHEAT_CHROMIUM") or shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 90


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-screenshots", action="store_true", help="rewrite docs/img")
    parser.addoption(
        "--update-goldens", action="store_true", help="rewrite tests/ui/golden"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.ui)
            if CHROMIUM is None:
                item.add_marker(pytest.mark.skip(reason="no chromium"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _plain_environment() -> dict[str, str]:
    """Drop the settings of whoever runs the tests: an unknown one stops the server."""
    return {k: v for k, v in os.environ.items() if not k.startswith("LIQHEAT_")}


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(f"{url}/api/v1/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.25)
    pytest.fail(f"liqheat did not come up:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    given = os.environ.get("LIQHEAT_UI_URL")
    if given:
        yield given.rstrip("/")
        return
    home = tmp_path_factory.mktemp("liqheat")
    port = _free_port()
    command = ["up", "--offline", "--no-browser", "--port", str(port)]
    log = home / "server.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "liqheat", *command],
            env={**_plain_environment(), "LIQHEAT_DATA_DIR": str(home)},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url, server, log)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, Any]:
    return {"executable_path": CHROMIUM, "args": FLAGS}


@pytest.fixture
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {
        **browser_context_args,
        "viewport": {"width": 1440, "height": 900},
        "timezone_id": "Europe/Berlin",
        "locale": "en-GB",
        "color_scheme": "dark",
        "reduced_motion": "reduce",
    }


@pytest.fixture(autouse=True)
def console(page: Any) -> Iterator[list[str]]:
    """Fail a test during which the page logged an error or threw one."""
    seen: list[str] = []
    page.on("console", lambda m: seen.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    yield seen
    assert seen == []


def until(page: Any, true: Callable[[], object], what: str) -> None:
    """Wait for something on our side of the wire; Playwright must go on meanwhile."""
    for _ in range(150):
        if true():
            return
        page.wait_for_timeout(100)
    pytest.fail(f"not within 15 s: {what}")


# ---- a pretend server behind the real page ----

STEP_MS = 300_000
COLUMNS, BINS = 120, 80
P_LO, P_STEP = 90.0, 0.0025
V_MAX = 50e6
V_MIN = V_MAX * 1e-5
#: Bins which hold a level, and its USD: longs below 100, shorts above.
LONG_BIN, LONG_USD = 36, 20e6
SHORT_BIN, SHORT_USD = 47, 12e6
PRICE = 100.0


def edge(bin_: float) -> float:
    """Price of an edge; half numbers are bin centers."""
    return P_LO * math.exp(bin_ * P_STEP)


def code(usd: float) -> int:
    return 1 + round(254 * math.log(usd / V_MIN) / math.log(V_MAX / V_MIN))


def column() -> bytes:
    """Return a column with the two levels, five bins thick, over a faint floor."""
    out = bytearray([code(20e3)] * BINS)
    for at, usd in ((LONG_BIN, LONG_USD), (SHORT_BIN, SHORT_USD)):
        out[at - 2 : at + 3] = bytes([code(usd)] * 5)
    return bytes(out)


def candle(price: float = PRICE) -> bytes:
    return struct.pack("<5f", price, price * 1.001, price * 0.999, price, 3.0)


def snapshot(seq: int, *, flags: int = 0, gap: int | None = None, t0_ms: int = 0) -> bytes:
    head = struct.pack(
        "<4sBBBBIIqqddffQ",
        *(b"LQHM", 1, 1 | 8 | flags, 1, 0, COLUMNS, BINS, t0_ms, STEP_MS),
        *(P_LO, P_STEP, V_MIN, V_MAX, seq),
    )
    body = column() + bytes(BINS * (COLUMNS - 1))
    series = b""
    for factor in (1.0, 1.001, 0.999, 1.0, 0.03):
        values = [PRICE * factor] * COLUMNS
        if gap is not None:
            values[gap] = math.nan
        raw = struct.pack(f"<{COLUMNS}f", *values)
        series += b"".join(raw[k::4] for k in range(4))
    return struct.pack("<BQ", 1, seq) + gzip.compress(head + body + series)


def dense(kind: int, seq: int, index: int, price: float = PRICE) -> bytes:
    return struct.pack("<BQI", kind, seq, index) + candle(price) + column()


SIDES = ("long_usd", "short_usd")


def both_sides(usd: dict[int, float]) -> dict[str, list[float]]:
    """Return USD per bin and side: bins below the price hold longs."""
    long = [usd.get(p, 0.0) if edge(p + 0.5) < PRICE else 0.0 for p in range(BINS)]
    short = [usd.get(p, 0.0) if edge(p + 0.5) >= PRICE else 0.0 for p in range(BINS)]
    return {"long_usd": long, "short_usd": short}


#: Columns of which the series know nothing, and the one with liquidations.
UNKNOWN = range(60, 70)
LIQUIDATED = 100


def series_columns() -> dict[str, list[float | None]]:
    """Return figures by column: open interest is 1000 + column millions."""

    def known(value: Callable[[int], float]) -> list[float | None]:
        return [None if i in UNKNOWN else value(i) for i in range(COLUMNS)]

    return {
        "open_interest_usd": known(lambda i: 1e9 + i * 1e6),
        "open_interest_of": [0 if i in UNKNOWN else 1 for i in range(COLUMNS)],
        "funding_rate": known(lambda i: 1e-4 if i < 90 else -5e-5),
        "qty_usd": known(lambda i: 3e6),
        "taker_buy_usd": known(lambda i: 2e6),
        "taker_sell_usd": known(lambda i: 1e6),
        "liquidated_long_usd": known(lambda i: 7e6 if i == LIQUIDATED else 0.0),
        "liquidated_short_usd": known(lambda i: 2e6 if i == LIQUIDATED else 0.0),
    }


@dataclass
class FakeServer:
    """Answers the page's socket and REST calls as the test's fields say."""

    page: Any
    status: dict[str, Any] = field(default_factory=dict)
    problem: dict[str, Any] | None = None
    flags: int = 0
    sockets: list[Any] = field(default_factory=list)
    subscriptions: list[dict[str, Any]] = field(default_factory=list)
    refuse: bool = False
    picture: bool = True
    instruments: list[dict[str, Any]] | None = None
    liquidations: list[dict[str, Any]] = field(default_factory=list)
    #: Queries for exact columns so far; none is answered while `hold_columns`.
    columns_asked: list[str] = field(default_factory=list)
    hold_columns: bool = False
    #: Members which the reply about series has otherwise; its status; what was asked so far.
    series: dict[str, Any] = field(default_factory=dict)
    series_status: int = 200
    series_asked: list[dict[str, list[str]]] = field(default_factory=list)
    t0_ms: int = 0
    #: What each exchange holds [USD per bin], longs below the price; replaces the one level.
    parts: dict[str, dict[int, float]] = field(default_factory=dict)
    #: Levels of "test:BTCUSDT" read from positions [USD per bin], and their age.
    measured: dict[int, float] = field(default_factory=dict)
    measured_age_ms: int = 120_000
    #: Queries for maps so far.
    maps_asked: list[dict[str, list[str]]] = field(default_factory=list)

    def start(self) -> None:
        self.page.route_web_socket("**/ws", self._connect)
        self.page.route("**/api/v1/instruments", self._instruments)
        self.page.route("**/api/v1/health", self._health)
        self.page.route("**/api/v1/column?**", self._column)
        self.page.route("**/api/v1/map?**", self._map)
        self.page.route("**/api/v1/series?**", self._series)

    def send(self, data: bytes | str) -> None:
        self.sockets[-1].send(data)

    def send_status(self, **change: Any) -> None:
        self.status.update(change)
        self.send(self._json({**self._status(), **self.status}))

    def _json(self, value: object) -> str:
        return json.dumps(value)

    def _connect(self, ws: Any) -> None:
        self.sockets.append(ws)
        if self.refuse:
            ws.close()
            return
        ws.on_message(lambda message: self._on_message(ws, message))

    def _on_message(self, ws: Any, message: str) -> None:
        asked = json.loads(message)
        self.subscriptions.append(asked)
        if self.problem is not None:
            ws.send(self._json({"type": "error", **self.problem}))
            return
        ws.send(
            self._json({**self._status(), "instrument": asked["instrument"], **self.status})
        )
        if self.picture:
            self.t0_ms = self.now_ms() // STEP_MS * STEP_MS - (COLUMNS - 1) * STEP_MS
            ws.send(snapshot(1, flags=self.flags, gap=40, t0_ms=self.t0_ms))
        if self.liquidations:
            ws.send(self._json({"type": "liquidations", "rows": self.liquidations}))

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def _status(self) -> dict[str, Any]:
        covered = ("open_interest", "taker_volume", "mark", "liquidations")
        return {
            "type": "status",
            "mode": "live",
            "instrument": "test:BTCUSDT",
            "model": "sharp",
            "model_version": "test-1",
            "step_ms": STEP_MS,
            "data_ms": self.now_ms() - 1000,
            "server_ms": self.now_ms(),
            "replay_speed": None,
            "columns": COLUMNS,
            "columns_wanted": COLUMNS,
            "collecting_since_ms": None,
            "coverage": dict.fromkeys(covered, True),
            "warm_days": 30.0,
            "usd_scale": "usd",
            "last_price": PRICE,
            "exchanges": [
                {"exchange": "test", "state": "live", "age_ms": 400, "detail": ""},
            ],
            "note": "",
        }

    def _instruments(self, route: Any) -> None:
        row = {
            "instrument": "test:BTCUSDT",
            "exchange": "test",
            "coin": "BTC",
            "settlement": "linear",
            "tick_size": 0.01,
            "start_ms": 0,
            "end_ms": self.now_ms(),
            "bars": 1000,
            "interval_ms": 60_000,
            "kinds": ["bars", "open_interest"],
        }
        other = {**row, "instrument": "test:ETHUSDT", "coin": "ETH"}
        rows = [row, other] if self.instruments is None else self.instruments
        route.fulfill(json={"mode": "live", "instruments": rows})

    def _column(self, route: Any) -> None:
        asked = parse_qs(urlparse(route.request.url).query)
        self.columns_asked.append(asked["t"][0])
        if self.hold_columns:
            return
        usd = [1_234_567.4 if p == LONG_BIN else 0.0 for p in range(BINS)]
        facts = {
            "mode": "live",
            "start_ms": int(asked["t"][0]),
            "price_edges": [edge(p) for p in range(BINS + 1)],
            "long_usd": usd,
            "short_usd": [value / 2 for value in usd],
        }
        route.fulfill(json=facts | self._split(asked["instrument"][0], exact=True))

    def _split(self, instrument: str, *, exact: bool = False) -> dict[str, Any]:
        """Return the levels of an instrument, or of a coin all, and what they are made of."""
        if not self.parts:
            levels = both_sides({LONG_BIN: LONG_USD, SHORT_BIN: SHORT_USD})
            return {"measured": [], "parts": None} | ({} if exact else levels)
        only, _, _ = instrument.rpartition(":")
        parts = {k: v for k, v in self.parts.items() if only in ("", k)}
        whole: dict[int, float] = {}
        for part in parts.values():
            for bin_, usd in part.items():
                whole[bin_] = whole.get(bin_, 0.0) + usd
        measured = {
            "instrument": "test:BTCUSDT",
            "positions": 3,
            "age_ms": self.measured_age_ms,
            "long_share": 0.1,
            "short_share": 0.1,
            **both_sides(self.measured),
        }
        return {
            **both_sides(whole),
            "parts": [{"exchange": k, **both_sides(v)} for k, v in parts.items()],
            "measured": [measured] if self.measured else [],
        }

    def _map(self, route: Any) -> None:
        asked = parse_qs(urlparse(route.request.url).query)
        self.maps_asked.append(asked)
        split = self._split(asked["instrument"][0])
        tiers = [
            {"leverage": leverage, **{k: [share * x for x in split[k]] for k in SIDES}}
            for leverage, share in ((10, 0.6), (25, 0.3), (100, 0.1))
        ]
        facts = {
            "mode": "live",
            "instrument": asked["instrument"][0],
            "last_price": PRICE,
            "price": [(edge(p) + edge(p + 1)) / 2 for p in range(BINS)],
            "tiers": tiers,
        }
        route.fulfill(json=facts | split)

    def _series(self, route: Any) -> None:
        self.series_asked.append(parse_qs(urlparse(route.request.url).query))
        if self.series_status != 200:
            fault = {"status": self.series_status, "title": "The store is busy"}
            route.fulfill(status=self.series_status, json=fault)
            return
        starts = [self.t0_ms + i * STEP_MS for i in range(COLUMNS)]
        facts = {
            "mode": "live",
            "instrument": "test:BTCUSDT",
            "lead": "test:BTCUSDT",
            "step_ms": STEP_MS,
            "start_ms": starts,
            "funding_interval_ms": 8 * 3_600_000,
            "liquidations_completeness": "sampled_1s",
            "notes": [],
            **series_columns(),
            **self.series,
        }
        route.fulfill(json=facts)

    def _health(self, route: Any) -> None:
        facts = {
            "status": "ok",
            "mode": "live",
            "version": "9.9",
            "model_version": "test-1",
        }
        route.fulfill(json=facts)


@pytest.fixture
def fake(page: Any) -> FakeServer:
    server = FakeServer(page)
    server.start()
    return server


@pytest.fixture
def fake_on() -> Callable[[Any], FakeServer]:
    """For a test which opens a page of its own."""

    def start(page: Any) -> FakeServer:
        server = FakeServer(page)
        server.start()
        return server

    return start


@dataclass(frozen=True)
class Wire:
    """The pretend market's numbers, for tests to aim at."""

    columns: int = COLUMNS
    long_bin: int = LONG_BIN
    short_bin: int = SHORT_BIN
    long_price: float = edge(LONG_BIN + 0.5)
    short_price: float = edge(SHORT_BIN + 0.5)
    price: float = PRICE
    dense: Callable[..., bytes] = dense
    snapshot: Callable[..., bytes] = snapshot


@pytest.fixture
def wire() -> Wire:
    return Wire()
