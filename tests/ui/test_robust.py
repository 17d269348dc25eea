"""A server that goes away, comes back, falls silent or talks rubbish (all of it pretended).

Each time: the last picture stays, a plain message says what is wrong, nothing is logged as an
error, and once the server is well the page is well, without a reload.
"""

import gzip
import math
import re
import struct
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import until

#: Seconds after which the page takes a silent server for gone (SILENCE_MS in net/ws.ts).
SILENCE_S = 13


def open_page(page: Page) -> None:
    page.goto("/")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def picture_stays(page: Page) -> None:
    expect(page.locator(".stage canvas").first).to_be_visible()
    expect(page.get_by_test_id("error")).to_have_count(0)
    expect(page.locator(".price strong")).to_have_text(re.compile(r"\d"))


def is_well(page: Page, fake: Any, wire: Any) -> None:
    """Nothing is complained of, and a new column moves the price."""
    expect(page.get_by_test_id("problem")).to_have_count(0, timeout=20_000)
    expect(page.get_by_test_id("disconnected")).to_have_count(0, timeout=20_000)
    expect(page.locator(".busy")).to_have_count(0)
    fake.send(wire.dense(2, 2, wire.columns, 101.25))
    expect(page.locator(".price strong")).to_have_text("101.25")


def header(**change: Any) -> bytes:
    """Return a snapshot without columns whose header lies as told."""
    usual = {"magic": b"LQHM", "version": 1, "w": 120, "h": 80, "step": 300_000,
             "low": 90.0, "bin": 0.0025, "v_min": 500.0, "v_max": 5e7}  # fmt: skip
    is_ = {**usual, **change}
    body = struct.pack(
        "<4sBBBBIIqqddffQ",
        *(is_["magic"], is_["version"], 1, 1, 0, is_["w"], is_["h"], 0, is_["step"]),
        *(is_["low"], is_["bin"], is_["v_min"], is_["v_max"], 1),
    )
    # A body of the right length, so that only the header is at fault.
    cells = min(is_["w"] * is_["h"], 120 * 80)
    return struct.pack("<BQ", 1, 1) + gzip.compress(body + bytes(cells))


def truncated() -> bytes:
    whole = struct.pack("<BQ", 1, 1) + gzip.compress(bytes(range(256)) * 40)
    return whole[: len(whole) // 2]


RUBBISH = {
    "truncated gzip": truncated(),
    "no gzip": struct.pack("<BQ", 1, 1) + b"<html>502 Bad Gateway</html>",
    "magic": header(magic=b"PNG!"),
    "version": header(version=9),
    "huge": header(w=4_000_000_000, h=4_000_000_000),
    "no bins": header(h=0),
    "NaN prices": header(low=math.nan),
    "NaN step of prices": header(bin=math.nan),
    "no step": header(step=0),
    "NaN values": header(v_max=math.nan),
    "short body": header(h=81),
    "unknown type": b"\x63" + bytes(8),
    "empty": b"",
    "short column": struct.pack("<BQI", 2, 2, 120),
    "cut JSON": '{"type": "status", "mode":',
    "null": "null",
    "a number": "7",
}


@pytest.mark.parametrize("what", RUBBISH)
def test_rubbish_is_told_and_lived_through(
    page: Page, fake: Any, wire: Any, what: str
) -> None:
    open_page(page)
    fake.picture = False
    fake.send(RUBBISH[what])
    banner = page.get_by_test_id("problem")
    expect(banner).to_contain_text("unreadable")
    picture_stays(page)
    # The page asks for a whole picture by itself; till it comes the banner stays.
    until(page, lambda: len(fake.subscriptions) == 2, "asked again")
    expect(banner).to_be_visible()
    fake.picture = True
    page.get_by_role("button", name=re.compile("again|Retry", re.I)).first.click()
    is_well(page, fake, wire)


def test_rubbish_for_a_first_picture_is_an_error_with_a_way_out(
    page: Page, fake: Any, wire: Any
) -> None:
    fake.picture = False
    page.goto("/")
    until(page, lambda: fake.subscriptions, "subscribed")
    fake.send(RUBBISH["magic"])
    expect(page.get_by_test_id("error")).to_contain_text("unreadable")
    fake.picture = True
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=20_000)
    is_well(page, fake, wire)


@pytest.mark.parametrize(
    ("kind", "seq", "index"),
    [
        pytest.param(2, 7, 120, id="sequence skipped"),
        pytest.param(2, 1, 120, id="sequence repeated"),
        pytest.param(2, 2, 119, id="column again"),
        pytest.param(2, 2, 125, id="column too far"),
        pytest.param(3, 2, 4_000_000_000, id="replaces what is not there"),
    ],
)
def test_columns_out_of_order_fetch_the_picture_again(
    page: Page, fake: Any, wire: Any, kind: int, seq: int, index: int
) -> None:
    open_page(page)
    fake.send(wire.dense(kind, seq, index, 55.0))
    until(page, lambda: len(fake.subscriptions) == 2, "asked again")
    picture_stays(page)
    is_well(page, fake, wire)
    assert len(fake.subscriptions) == 2


def test_silence_is_a_lost_connection_and_a_heartbeat_is_not(
    page: Page, fake: Any, wire: Any
) -> None:
    page.clock.install()
    page.goto("/")
    # The page's clock runs by hand here: its data are as old as it says.
    for _ in range(50):
        page.clock.run_for(100)
        if page.locator("html[data-picture]").count():
            break
    page.clock.run_for((SILENCE_S - 2) * 1000)
    fake.send(struct.pack("<BQ", 5, 1))
    page.wait_for_timeout(200)
    page.clock.run_for((SILENCE_S - 2) * 1000)
    assert page.get_by_test_id("disconnected").count() == 0
    fake.refuse = True
    page.clock.run_for(3000)
    expect(page.get_by_test_id("disconnected")).to_contain_text("last picture")
    picture_stays(page)
    fake.refuse = False
    for _ in range(60):
        page.clock.run_for(1000)
        if not page.get_by_test_id("disconnected").count():
            break
    page.clock.resume()
    is_well(page, fake, wire)


def test_offline_and_online_again_does_not_wait_for_the_countdown(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page)
    fake.refuse = True
    page.context.set_offline(True)
    fake.sockets[-1].close()
    banner = page.get_by_test_id("disconnected")
    expect(banner).to_contain_text(re.compile(r"Retry in \d+ s"))
    picture_stays(page)
    # Many tries later the waits are long; coming online must not sit one out.
    until(page, lambda: len(fake.sockets) >= 4, "tried a few times")
    fake.refuse = False
    page.context.set_offline(False)
    is_well(page, fake, wire)


def test_a_server_which_restarts_with_another_window(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page)
    fake.send(wire.dense(2, 2, wire.columns, 103.0))
    expect(page.locator(".price strong")).to_have_text("103.00")
    fake.refuse = True
    fake.sockets[-1].close()
    expect(page.locator(".stage.dead")).to_be_visible()
    expect(page.locator(".price strong")).to_have_text("103.00")
    # It comes back, is not ready at first, then has a picture of its own.
    fake.picture = False
    fake.status = {"model_version": "test-2", "columns": 0}
    fake.refuse = False
    expect(page.get_by_test_id("disconnected")).to_have_count(0, timeout=20_000)
    picture_stays(page)
    fake.picture = True
    fake.status = {"model_version": "test-2", "columns": 120}
    fake.sockets[-1].close()
    is_well(page, fake, wire)
    expect(page.locator(".status")).to_contain_text("test-2")


def test_lists_which_fail_are_read_again(page: Page, fake: Any) -> None:
    broken = {"status": 503, "content_type": "application/json"}
    page.route("**/api/v1/instruments", lambda route: route.fulfill(**broken, body="{"))
    page.goto("/")
    expect(page.get_by_test_id("error")).to_contain_text("503")
    page.unroute("**/api/v1/instruments")
    page.route("**/api/v1/instruments", fake._instruments)
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=20_000)


@pytest.fixture
def console(page: Page) -> Any:
    """As everywhere, but what the browser itself says of a failed request is expected."""
    seen: list[str] = []
    page.on("console", lambda m: seen.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: seen.append(str(error)))
    yield seen
    assert [text for text in seen if "Failed to load resource" not in text] == []
