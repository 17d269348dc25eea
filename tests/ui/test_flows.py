"""What a trader does, against a real server (``base_url`` of conftest)."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

IMAGES = Path(__file__).parents[2] / "docs" / "img"

# Pixels of the chart's canvases which are clearly neither background nor grid.
LIT = """() => {
  let lit = 0;
  for (const canvas of document.querySelectorAll('.chart canvas')) {
    if (canvas.width < 200 || canvas.height < 200) continue;
    const { width, height } = canvas;
    const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
    for (let i = 0; i < data.length; i += 4 * 97)
      if (data[i + 3] > 0 && data[i] + data[i + 1] + data[i + 2] > 150) lit++;
  }
  return lit;
}"""
PICTURE = """() => {
  const canvas = [...document.querySelectorAll('.chart canvas')]
    .find((c) => c.width > 200 && c.height > 200);
  return canvas.toDataURL();
}"""


def open_page(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=60_000)
    settle(page)


def settle(page: Page) -> None:
    """Wait until the picture asked for is the one shown."""
    expect(page.locator(".busy")).to_have_count(0, timeout=60_000)
    page.evaluate(
        "new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
    )


def test_picture_appears(page: Page) -> None:
    open_page(page)
    assert page.evaluate(LIT) > 500
    expect(page.locator(".price strong")).to_have_text(re.compile(r"\d"))
    expect(page.locator(".status .caption")).to_contain_text("not a prediction")


def test_choices_change_url_and_picture_and_back_undoes(page: Page) -> None:
    open_page(page)
    first = page.evaluate(PICTURE)
    page.locator(".controls button[data-value='24h']").click()
    expect(page).to_have_url(re.compile(r"[?&]r=24h"))
    settle(page)
    assert page.evaluate(PICTURE) != first
    page.locator(".controls button[data-value=zones]").click()
    expect(page).to_have_url(re.compile(r"r=24h.*m=zones"))
    settle(page)
    page.go_back()
    expect(page).not_to_have_url(re.compile("zones"))
    pressed = page.locator(".controls button[aria-pressed=true]")
    expect(pressed.filter(has_text="Auto")).to_be_visible()
    page.go_back()
    expect(page).not_to_have_url(re.compile("r=24h"))
    page.go_forward()
    expect(page).to_have_url(re.compile("r=24h"))


def test_link_reproduces_the_view(page: Page) -> None:
    open_page(page, "?r=1w&m=zones&thr=0.2-0.9&scale=linear&ax=log&tz=local")
    for text in ("1w", "Zones", "Lin", "Log price"):
        expect(
            page.locator("[aria-pressed=true]").filter(has_text=text).first
        ).to_be_visible()
    expect(page.locator("[data-name=zone]").first).to_have_text(re.compile(r"UTC\+0[12]"))
    low = page.get_by_role("slider", name="Threshold")
    assert abs(int(low.input_value()) - 200) <= 2


def test_threshold_drag_hides_levels_and_replaces_the_url(page: Page) -> None:
    open_page(page)
    before = page.evaluate(LIT)
    entries = page.evaluate("history.length")
    box = page.locator(".legend-scale").first.bounding_box()
    cut = page.locator(".legend-cut.lo").first.bounding_box()
    assert box
    assert cut
    x = box["x"] + 11
    page.mouse.move(x, cut["y"])
    page.mouse.down()
    page.mouse.move(x, box["y"] + box["height"] * 0.5, steps=8)
    page.mouse.move(x, box["y"] + box["height"] * 0.25, steps=8)
    page.mouse.up()
    expect(page).to_have_url(re.compile(r"thr=0\.[4-7]\d*-1"))
    assert page.evaluate("history.length") == entries
    settle(page)
    assert page.evaluate(LIT) < before
    value = page.get_by_role("slider", name="Threshold").get_attribute("aria-valuetext")
    assert value
    assert re.match(r"\$[\d.]+[KMB]?, \d+ percent", value)


def test_local_time_and_reset(page: Page) -> None:
    open_page(page, "?thr=0.5-1")
    page.locator("[data-name=zone]").first.click()
    expect(page).to_have_url(re.compile("tz=local"))
    page.locator("[data-name=reset]").first.click()
    expect(page).not_to_have_url(re.compile("thr="))


def test_zoom_out_and_go_to_live(page: Page) -> None:
    open_page(page)
    box = page.locator(".stage").bounding_box()
    assert box
    page.mouse.move(box["x"] + 400, box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] + 1100, box["y"] + 300, steps=5)
    page.mouse.up()
    button = page.locator(".axes [data-name=live]")
    expect(button).to_be_enabled()
    button.click()
    expect(button).to_be_disabled()


@pytest.mark.parametrize("ratio", [2, 3])
def test_dense_screens_draw_the_same_picture(
    browser: object, base_url: str, ratio: int
) -> None:
    context = browser.new_context(  # type: ignore[attr-defined]
        base_url=base_url, device_scale_factor=ratio, viewport={"width": 900, "height": 600}
    )
    page = context.new_page()
    open_page(page)
    assert page.evaluate(LIT) > 500
    context.close()


def test_screenshot_for_the_documents(page: Page, request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("--update-screenshots"):
        pytest.skip("only with --update-screenshots")
    IMAGES.mkdir(parents=True, exist_ok=True)
    open_page(page, "?r=3d")
    # A market just started is late for a while.
    expect(page.locator(".status .chip.amber")).to_have_count(0, timeout=90_000)
    expect(page.get_by_test_id("link").first).to_have_text(
        re.compile(r"^[0-9] s$"), timeout=90_000
    )
    settle(page)
    page.screenshot(path=str(IMAGES / "heatmap.png"))
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, "?r=3d")
    settle(page)
    page.screenshot(path=str(IMAGES / "phone.png"))
