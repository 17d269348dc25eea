"""``liqheat up`` as a process: what it shows, that it stops cleanly, that it goes on."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from liqheat.store import Store
from tests.market import SYMBOL, fill, market

pytestmark = pytest.mark.slow


class Up:
    """A running ``liqheat up``."""

    def __init__(self, folder: Path, *args: str, command: str = "up") -> None:
        env = {k: v for k, v in os.environ.items() if not k.startswith("LIQHEAT_")}
        # Nobody listens there: every exchange is out of reach at once.
        env["LIQHEAT_EXCHANGE_URLS"] = "http://127.0.0.1:1"
        if command == "up":
            args = ("--no-browser", *args)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "liqheat", "--data-dir", str(folder), command,
             "--port", "0", *args],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
        )  # fmt: skip
        self.lines: list[str] = []
        self.url = ""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.strip())
            found = re.search(r"http://\S+", line)
            if found:
                self.url = found.group()
                break

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:
            return json.load(answer)

    def until(self, path: str, wanted: Any, seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while True:
            found = self.get(path)
            if wanted(found):
                return found
            assert time.monotonic() < end, found
            time.sleep(0.2)

    def stop(self, sign: int = signal.SIGINT) -> int:
        self.process.send_signal(sign)
        _, err = self.process.communicate(timeout=30)
        self.lines += err.splitlines()
        return self.process.returncode


def test_no_exchange_and_nothing_stored_is_the_simulated_market(tmp_path) -> None:
    up = Up(tmp_path, "--history-days", "1")
    try:
        health = up.until(
            "/api/v1/health",
            lambda r: r["exchanges"] and r["exchanges"][0]["state"] == "live",
        )
        assert "still trying" in health["exchanges"][0]["detail"]
        up.until("/api/v1/health", lambda r: states(r)["binance"]["state"] == "down")
        rows = up.get("/api/v1/instruments")
        assert {row["mode"] for row in rows["instruments"]} == {"simulated"}
    finally:
        up.stop()
    [line] = [line for line in up.lines if "SIMULATED" in line]
    assert "no exchange can be reached" in line


def states(health: Any) -> dict[str, Any]:
    return {one["exchange"]: one for one in health["exchanges"]}


def test_offline_nothing_stored_is_the_simulated_market_in_its_own_folder(tmp_path) -> None:
    up = Up(tmp_path, "--history-days", "1", "--offline")
    try:
        assert any("SIMULATED" in line for line in up.lines)
        rows = up.until(
            "/api/v1/instruments",
            lambda r: r["instruments"] and r["instruments"][0]["bars"],
        )
        assert rows["mode"] == "simulated"
        assert {row["mode"] for row in rows["instruments"]} == {"simulated"}
        up.until("/api/v1/health", lambda r: r["status"] == "ok")
    finally:
        code = up.stop()
    assert code == 130
    assert up.lines[-1] == "liqheat: stopped"
    assert not any("Traceback" in line for line in up.lines)
    assert not (tmp_path / "liqheat.db").exists()
    [folder] = (tmp_path / "simulated").iterdir()
    with Store.open(folder, mode="r") as store:
        before = store.span("bars", "simulated:BTCUSDT")
    assert before is not None
    goes_on(tmp_path, folder, before.start_ms)


def goes_on(tmp_path: Path, folder: Path, start_ms: int) -> None:
    up = Up(tmp_path, "--history-days", "1", "--offline")
    up.until("/api/v1/health", lambda r: r["status"] == "ok")
    assert up.stop(signal.SIGTERM) in (0, -signal.SIGTERM, 143)
    with Store.open(folder, mode="r") as store:
        after = store.span("bars", "simulated:BTCUSDT")
        assert after is not None
        assert after.start_ms == start_ms
        assert [g for g in store.gaps("simulated:BTCUSDT") if g.kind == "bars"] == []


def test_stored_data_are_shown_as_recorded(tmp_path) -> None:
    with Store.open(tmp_path) as store:
        fill(store, market(2000))
    for command in ("up", "serve"):
        up = Up(tmp_path, command=command)
        try:
            rows = up.get("/api/v1/instruments")
            assert [row["instrument"] for row in rows["instruments"]] == [SYMBOL]
            assert rows["instruments"][0]["state"] == "stale"
            assert rows["mode"] == "replay"
        finally:
            assert up.stop() == 130


def test_replay_plays_and_says_so(tmp_path) -> None:
    with Store.open(tmp_path / "rec") as store:
        fill(store, market(3000))
    up = Up(tmp_path / "own", "--replay", str(tmp_path / "rec"), "--speed", "600")
    try:
        first = up.until("/api/v1/instruments", lambda r: r["instruments"])
        assert first["mode"] == "replay"
        end = first["instruments"][0]["end_ms"]
        up.until("/api/v1/instruments", lambda r: r["instruments"][0]["end_ms"] > end)
    finally:
        assert up.stop() == 130
    assert not (tmp_path / "own").exists()


def test_port_in_use_is_one_line(tmp_path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "liqheat", "--data-dir", str(tmp_path), "up", "--port",
             str(port), "--no-browser"],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 6
    assert done.stderr.startswith(f"liqheat: port {port} on 127.0.0.1 is in use")
    assert len(done.stderr.splitlines()) == 1
