"""Panels side by side: add, link, choose, close; the address bar has them all."""

import re
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.ui.conftest import until

BOTH = "/?s=test:BTCUSDT&n=2&s.2=test:ETHUSDT"


def panel(page: Page, number: int) -> Locator:
    return page.locator(f"[data-panel='{number}']")


@pytest.fixture
def two(page: Page, fake: Any) -> Page:
    page.goto(BOTH)
    for number in (1, 2):
        expect(panel(page, number).locator(".legend-scale")).not_to_have_class(
            re.compile("blank")
        )
    return page


def test_compare_puts_a_panel_beside_and_close_takes_it_away(page: Page, fake: Any):
    page.goto("/?s=test:BTCUSDT")
    expect(page.locator("html")).to_have_attribute("data-picture", "shown")
    page.keyboard.press("c")
    page.get_by_role("button", name="Another model").click()
    expect(page.locator(".figure")).to_have_count(2)
    expect(panel(page, 2).locator(".panel-title")).to_contain_text("Zones")
    assert "n=2&m.2=zones" in page.url
    assert [asked["model"] for asked in fake.subscriptions] == ["auto", "zones"]
    page.go_back()
    expect(page.locator(".figure")).to_have_count(1)
    page.go_forward()
    expect(page.locator(".figure")).to_have_count(2)
    page.get_by_role("button", name="Close panel 1").click()
    expect(page.locator(".figure")).to_have_count(1)
    assert page.url.endswith("?s=test:BTCUSDT&m=zones")


def test_a_link_reproduces_the_panels(two: Page, fake: Any):
    asked = [one["instrument"] for one in fake.subscriptions]
    assert sorted(asked) == ["test:BTCUSDT", "test:ETHUSDT"]
    expect(panel(two, 1).locator(".panel-title strong")).to_have_text("BTCUSDT")
    expect(panel(two, 2).locator(".panel-title strong")).to_have_text("ETHUSDT")


def test_the_cursor_is_shown_on_all_panels(two: Page):
    box = panel(two, 1).locator(".chart").bounding_box()
    assert box is not None
    two.mouse.move(box["x"] + 200, box["y"] + 300)
    tips = two.get_by_test_id("tooltip")
    expect(tips).to_have_count(2)
    texts = [tip.locator(".tip-price").inner_text() for tip in tips.all()]
    assert texts[0] == texts[1]
    two.mouse.move(5, 5)
    expect(tips).to_have_count(0)


def test_panels_of_one_range_share_the_time_in_sight(two: Page):
    shot = panel(two, 2).locator(".chart").screenshot()
    box = panel(two, 1).locator(".chart").bounding_box()
    assert box is not None
    two.mouse.move(box["x"] + 300, box["y"] + 300)
    two.mouse.wheel(0, -600)
    two.mouse.move(5, 5)
    chart = panel(two, 2).locator(".chart")
    until(two, lambda: chart.screenshot() != shot, "the other panel moved too")


def test_the_toolbar_acts_on_the_panel_touched_last(two: Page, fake: Any):
    panel(two, 2).locator(".chart").click(position={"x": 200, "y": 200})
    two.locator(".controls").get_by_role("button", name="1w", exact=True).click()
    expect(two).to_have_url(re.compile(r"r\.2=1w"))
    panel(two, 1).locator(".chart").click(position={"x": 200, "y": 200})
    two.locator(".controls").get_by_role("button", name="2w", exact=True).click()
    expect(two).to_have_url(re.compile(r"r=2w.*r\.2=1w"))
    assert [one["range"] for one in fake.subscriptions][-2:] == ["1w", "2w"]


def test_one_panel_without_its_server_leaves_the_other_alone(two: Page, fake: Any):
    fake.refuse = True
    fake.sockets[1].close()
    expect(two.get_by_test_id("disconnected")).to_have_count(1)
    fake.refuse = False
    two.get_by_role("button", name="Retry now").click()
    expect(two.get_by_test_id("disconnected")).to_have_count(0)


def test_four_panels_are_the_most(page: Page, fake: Any):
    page.goto("/?s=test:BTCUSDT&n=4")
    expect(page.locator(".figure")).to_have_count(4)
    expect(page.locator("html")).to_have_attribute("data-picture", "shown")
    page.keyboard.press("c")
    expect(page.get_by_text("There are 4 panels already")).to_be_visible()


def test_on_a_phone_panels_lie_below_each_other(page: Page, fake: Any):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(BOTH)
    boxes = [panel(page, number).bounding_box() for number in (1, 2)]
    assert boxes[0]
    assert boxes[1]
    assert boxes[1]["y"] >= boxes[0]["y"] + boxes[0]["height"] >= 300
    assert boxes[0]["width"] == 390
