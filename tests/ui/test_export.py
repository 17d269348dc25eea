"""What leaves the page: pictures and cells, and the whole screen."""

import io
import json
import re
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from playwright.sync_api import BrowserType, Download, Page, expect

#: The middle of the level of the pretend market which lies on the brightest colors.
NAME = r"liqheat_test-BTCUSDT_3d_sharp_(simulated_)?\d{8}T\d{4}Z\.{ending}$"


def open_page(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def saved(page: Page, name: str) -> Download:
    page.locator("[data-name=export]").first.click()
    with page.expect_download() as waiting:
        page.locator(f".export-choice[data-name={name}]").click()
    expect(page.locator(".export-outcome")).to_have_text(
        f"Saved {waiting.value.suggested_filename}"
    )
    return waiting.value


def pixels(path: Path) -> np.ndarray:
    return (255 * matplotlib.image.imread(path)[..., :3]).astype(int)


def yellow(picture: np.ndarray) -> np.ndarray:
    """Where the two levels of the pretend market are: no letter or candle has this color."""
    r, g, b = (picture[..., k] for k in range(3))
    return (r > 200) & (g > 200) & (b < 90)


def inked(picture: np.ndarray) -> np.ndarray:
    """Where something other than the ground is written."""
    return np.abs(picture - picture[2, 2]).max(axis=-1) > 60


@pytest.mark.parametrize("renderer", ["canvas2d", "webgl2"])
def test_png_holds_heat_legend_and_words(page: Page, fake: Any, renderer: str) -> None:
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_page(page, f"?renderer={renderer}")
    if page.locator(".chart").get_attribute("data-renderer") != renderer:
        pytest.skip(f"this browser has no {renderer}")
    got = saved(page, "png")
    assert re.match(NAME.replace("{ending}", "png"), got.suggested_filename)
    assert "simulated" in got.suggested_filename
    picture = pixels(Path(got.path()))
    box = page.locator(".chart").bounding_box()
    assert box
    tall, wide = picture.shape[:2]
    assert wide > box["width"] + 60
    assert tall > box["height"] + 60
    chart = picture[60:-50, 74:-12]
    # Two levels of five bins reach from edge to edge of the columns.
    assert yellow(chart).any(axis=0).mean() > 0.7
    assert inked(picture[:50]).mean() > 0.01, "title and details"
    assert inked(picture[-40:]).mean() > 0.01, "caption and stamp"
    legend = picture[90:-80, 13:25]
    assert len({tuple(color) for color in legend[:, 5]}) > 50, "the ramp"
    assert inked(picture[90:-80, 28:72]).mean() > 0.005, "its figures"


def test_png_has_the_pixels_of_the_screen(
    browser_type: BrowserType,
    browser_type_launch_args: dict[str, Any],
    base_url: str,
    fake_on: Any,
) -> None:
    # An emulated ratio does not reach the canvases' own measure: the browser must have it.
    flags = [*browser_type_launch_args["args"], "--force-device-scale-factor=2"]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": flags})
    page = browser.new_page(
        base_url=base_url, viewport={"width": 390, "height": 700}, device_scale_factor=2
    )
    fake_on(page)
    open_page(page)
    with page.expect_download() as waiting:
        page.keyboard.press("s")
    picture = pixels(Path(waiting.value.path()))
    box = page.locator(".chart").bounding_box()
    assert box
    assert picture.shape[1] == pytest.approx(2 * (box["width"] + 86), abs=2)
    assert yellow(picture).any(axis=0).mean() > 0.4
    browser.close()


def test_csv_and_json_hold_what_is_in_sight(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    text = Path(saved(page, "csv").path()).read_text()
    page.keyboard.press("Escape")
    head = [line for line in text.splitlines() if line.startswith("#")]
    for said in (
        "mode: live",
        "model: sharp",
        "model_version: test-1",
        "USD",
        "not a prediction",
    ):
        assert any(said in line for line in head), said
    gap = fake.t0_ms + 40 * 300_000
    assert f"# no_data_start_ms: {gap}" in head
    names, *rows = [line for line in text.splitlines() if not line.startswith("#")]
    assert names == "start_ms,price_low,price_high,long_usd,short_usd"
    cells = np.loadtxt(io.StringIO("\n".join(rows)), delimiter=",")
    assert len(np.unique(cells[:, 0])) == wire.columns - 1
    longs = cells[(cells[:, 1] < wire.long_price) & (wire.long_price < cells[:, 2])]
    assert longs[:, 3] == pytest.approx(20e6, rel=0.03)
    assert (longs[:, 4] == 0).all()
    page.keyboard.press("+")
    page.keyboard.press("+")
    body = json.loads(Path(saved(page, "json").path()).read_text())
    assert body["columns"] == len(body["start_ms"]) < wire.columns
    assert len(body["price_edges"]) == body["bins"] + 1 == len(body["long_usd"][-1]) + 1
    assert (body["mode"], body["step_ms"]) == ("live", 300_000)


def test_copying_says_what_came_of_it(page: Page, fake: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page)
    page.locator("[data-name=export]").first.click()
    page.locator(".export-choice[data-name=copy]").click()
    expect(page.locator(".export-outcome")).to_have_text("Picture copied")
    types = "navigator.clipboard.read().then((items) => items[0].types)"
    assert page.evaluate(types) == ["image/png"]
    page.evaluate(
        "() => { navigator.clipboard.write = () => Promise.reject(new Error('denied')); }"
    )
    page.locator(".export-choice[data-name=copy]").click()
    expect(page.locator(".export-outcome.failed")).to_have_text(
        re.compile(r"denied.*Save the PNG")
    )


def test_without_a_picture_it_says_so(page: Page, fake: Any) -> None:
    fake.picture = False
    fake.status = {"columns": 0}
    page.goto("/")
    expect(page.get_by_test_id("empty")).to_be_visible()
    page.keyboard.press("s")
    expect(page.locator(".export-outcome.failed")).to_have_text(re.compile("no heatmap"))


def test_whole_screen_and_back(page: Page, fake: Any) -> None:
    open_page(page)
    page.keyboard.press("x")
    expect(page.locator("html:fullscreen")).to_be_attached()
    page.locator("[data-name=fullscreen]").click()
    expect(page.locator("html:fullscreen")).to_have_count(0)
