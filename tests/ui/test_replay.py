"""Time travel: the map as it was known, played, stepped, linked to, and left again."""

import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from playwright.sync_api import Page, expect

from tests.ui.test_states import y_of

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
STEP_MS = 300_000
PIXELS = """() => [...document.querySelectorAll('.chart canvas')]
  .find((c) => c.width > 200 && c.height > 200).toDataURL()"""


@pytest.fixture(autouse=True)
def recorded(page: Page, fake: Any) -> None:
    """Answer for the tape of a window as the server does."""

    def answer(route: Any) -> None:
        query = parse_qs(urlparse(route.request.url).query)
        since, until = int(query["since_ms"][0]), int(query["until_ms"][0])
        rows = [row for row in fake.liquidations if since <= row["event_ms"] < until]
        route.fulfill(json={"rows": rows[::-1]})

    page.route("**/api/v1/liquidations?**", answer)


def open_page(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def enter(page: Page) -> None:
    expect(page.locator(".price strong")).to_have_text(re.compile(r"\d"))
    page.keyboard.press("w")
    expect(page.get_by_test_id("travel")).to_be_visible()
    expect(page.get_by_test_id("as-of").first).to_be_visible()


def column(page: Page) -> int:
    return int(page.get_by_label("Moment shown").input_value())


def at(page: Page) -> int:
    return int(parse_qs(urlparse(page.url).query).get("at", ["0"])[0])


def test_entering_shows_the_past_and_back_to_live_the_newest(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page)
    fake.send(wire.dense(2, 2, wire.columns, 105.0))
    price = page.locator(".price strong")
    expect(price).to_have_text("105.00")
    page.locator(".head [data-name=travel]").click()
    badge = page.get_by_test_id("as-of")
    expect(badge).to_have_text(re.compile(r"AS OF \d+ \w{3} \d\d:\d\d UTC · .+ ago"))
    expect(price).to_have_text("100.00")
    assert page.title().startswith("PAST 100.00")
    expect(page).to_have_url(re.compile(r"[?&]at=\d{13}$"))
    assert at(page) == fake.t0_ms + round(0.75 * (wire.columns + 1)) * STEP_MS
    # Nothing plays by itself, and what comes meanwhile is not seen.
    before = column(page)
    fake.send(wire.dense(3, 3, wire.columns, 106.0))
    fake.send(wire.dense(2, 4, wire.columns + 1, 107.0))
    page.wait_for_timeout(300)
    assert column(page) == before
    expect(price).to_have_text("100.00")
    assert len(fake.subscriptions) == 1
    page.get_by_role("button", name="Back to live").click()
    expect(price).to_have_text("107.00")
    expect(badge).to_have_count(0)
    expect(page.get_by_test_id("travel")).to_have_count(0)
    fake.send(wire.dense(2, 5, wire.columns + 2, 108.0))
    expect(price).to_have_text("108.00")


def test_play_pause_step_and_seek(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    enter(page)
    page.locator(".chart").focus()
    start = column(page)
    page.keyboard.press(",")
    assert column(page) == start - 1
    page.keyboard.press(".")
    page.keyboard.press(".")
    assert column(page) == start + 1
    page.get_by_label("Speed").select_option("10")
    page.locator(".chart").focus()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.wait_for_function(
        "k => Number(document.querySelector('.scrub').value) >= k", arg=start + 4
    )
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play")).to_be_visible()
    rest = column(page)
    page.wait_for_timeout(400)
    assert column(page) == rest
    slider = page.get_by_label("Moment shown")
    slider.fill("10")
    words = slider.get_attribute("aria-valuetext")
    assert words
    assert re.match(r"\w{3} \d+ \w{3} \d{4} \d\d:\d\d UTC$", words)
    slider.press("ArrowRight")
    assert column(page) == 11
    slider.press("End")
    assert column(page) == int(slider.get_attribute("max") or 0)
    # At the newest moment there is nothing left to play.
    page.get_by_role("button", name="Play").click()
    expect(page.get_by_role("button", name="Play")).to_be_visible()


def test_a_link_is_the_frozen_moment_and_back_and_forward_work(
    page: Page, fake: Any, wire: Any
) -> None:
    t0 = fake.now_ms() // STEP_MS * STEP_MS - (wire.columns - 1) * STEP_MS
    moment = t0 + 50 * STEP_MS
    open_page(page, f"?at={moment}")
    expect(page.get_by_test_id("as-of")).to_be_visible()
    assert column(page) == 49
    assert page.get_by_label("Speed").input_value() == "2"
    page.get_by_role("button", name="Back to live").click()
    expect(page).not_to_have_url(re.compile("at="))
    page.go_back()
    expect(page.get_by_test_id("as-of")).to_be_visible()
    assert column(page) == 49
    page.go_forward()
    expect(page.get_by_test_id("as-of")).to_have_count(0)
    # A way there is one entry of the history, however long.
    enter(page)
    entries = page.evaluate("history.length")
    for _ in range(5):
        page.keyboard.press(",")
    page.wait_for_timeout(400)
    assert page.evaluate("history.length") == entries
    assert at(page) == t0 + (column(page) + 1) * STEP_MS


def test_liquidations_appear_when_they_happened(page: Page, fake: Any, wire: Any) -> None:
    t0 = fake.now_ms() // STEP_MS * STEP_MS - (wire.columns - 1) * STEP_MS
    fake.liquidations = [{
        "event_ms": t0 + 60 * STEP_MS + 1000, "instrument": "test:BTCUSDT",
        "position_side": "long", "price": wire.price, "qty": 1.0, "notional_usd": 2e6,
        "price_kind": "order",
    }]  # fmt: skip
    open_page(page, f"?at={t0 + 60 * STEP_MS}&prof=0")
    expect(page.get_by_test_id("as-of")).to_be_visible()
    expect(page.locator(".last-liq")).to_have_count(0)
    told = page.get_by_test_id("liquidated")

    box = page.locator(".stage").bounding_box()
    assert box

    def sweep() -> bool:
        # The column is the middle one of the window; its mark is a few pixels wide.
        y = y_of(page, wire.price * 0.9998)
        for k in range(90):
            page.mouse.move(box["x"] + box["width"] * (0.4 + k / 600), y)
            if told.count():
                return True
        return False

    assert not sweep()
    page.keyboard.press(".")
    expect(page.get_by_label("Moment shown")).to_have_value("60")
    assert sweep()


def test_what_followed_is_shown_only_on_request(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    enter(page)
    followed = page.get_by_role("button", name="What followed")
    expect(followed).to_have_attribute("aria-pressed", "false")
    hidden = page.evaluate(PIXELS)
    followed.click()
    expect(followed).to_have_attribute("aria-pressed", "true")
    page.wait_for_timeout(200)
    assert page.evaluate(PIXELS) != hidden
    # The readings stay those of the moment, and the next moment hides it again.
    expect(page.locator(".price strong")).to_have_text("100.00")
    page.keyboard.press(".")
    expect(followed).to_have_attribute("aria-pressed", "false")


def past_body(t0_ms: int, columns: int) -> bytes:
    """Return a binary heat body of empty columns at a price of 50."""
    head = struct.pack(
        "<4sBBBBIIqqddffQ", b"LQHM", 1, 9, 1, 0, columns, 80, t0_ms, STEP_MS,
        45.0, 0.0025, 500.0, 50e6, 1,
    )  # fmt: skip
    raw = struct.pack(f"<{columns}f", *([50.0] * columns))
    planes = b"".join(raw[k::4] for k in range(4))
    return head + bytes(80 * columns) + planes * 5


def test_an_older_moment_is_fetched_and_what_is_not_stored_is_said(
    page: Page, fake: Any, wire: Any
) -> None:
    asked: list[dict[str, list[str]]] = []

    def heatmap(route: Any) -> None:
        query = parse_qs(urlparse(route.request.url).query)
        asked.append(query)
        end = int(query["as_of_ms"][0])
        body = past_body(end - wire.columns * STEP_MS, wire.columns)
        route.fulfill(body=body, content_type="application/octet-stream")

    now = fake.now_ms()
    start = now - 3 * 86_400_000
    page.route("**/api/v1/heatmap?**", heatmap)
    fake.instruments = [{
        "instrument": "test:BTCUSDT", "exchange": "test", "coin": "BTC", "kinds": ["bars"],
        "settlement": "linear", "tick_size": 0.01, "start_ms": start, "end_ms": now,
        "bars": 4000, "interval_ms": 60_000,
    }]  # fmt: skip
    open_page(page)
    enter(page)
    page.locator("[data-name=earlier]").click()
    expect(page.locator(".price strong")).to_have_text("50.00")
    query = asked[-1]
    moment, end = at(page), int(query["as_of_ms"][0])
    assert moment < fake.t0_ms
    assert moment <= end <= moment + wire.columns * STEP_MS
    assert query["format"] == ["bin"]
    assert query["candles"] == ["1"]
    assert query["range"] == ["3d"]
    # By date, in the page's zone; before the history there is nothing to show.
    field = page.get_by_label(re.compile("Go to a time, UTC"))
    field.fill("2019-03-01T12:00")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_have_text(
        re.compile(r"No data are stored that early \(history starts .+ UTC\)\.")
    )
    expect(page.locator(".price strong")).to_have_text("50.00")
    page.get_by_role("button", name="Back to live").click()
    expect(page.locator(".price strong")).to_have_text("100.00")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_panels_travel_together(page: Page, fake: Any, wire: Any) -> None:
    open_page(page, "?n=2&s.2=test:ETHUSDT")
    enter(page)
    badges = page.get_by_test_id("as-of")
    expect(badges).to_have_count(2)
    page.keyboard.press(",")
    expect(badges.first).to_have_text(badges.last.inner_text())


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_and_a_thumb_hits(page: Page, fake: Any, width: int) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python tools/web_build.py test")
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page)
    enter(page)
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [rule["id"] for rule in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if width == 390:
        for part in page.locator(".travel button, .travel select, .travel input").all():
            box = part.bounding_box()
            assert box
            assert box["height"] >= 44, part.get_attribute("aria-label")
