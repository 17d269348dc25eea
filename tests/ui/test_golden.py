"""Pictures of the heat's pane kept in `golden/`, drawn by two browsers.

Every scene is drawn twice: in WebGL2 (SwiftShader), and in a browser which has no WebGL at all
and must fall back to canvas 2D although WebGL2 was asked for. The other tests of the page run
once, on canvas 2D, which is what software graphics get; `test_renderers.py` compares the two
renderers while columns come in and after a lost context, `test_export.py` on exported pictures.

    pytest tests/ui/test_golden.py --update-goldens
"""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from playwright.sync_api import Browser, BrowserType, Page

from tests.ui.test_renderers import (
    ALONE,
    MOST_DIFFERENT,
    different,
    picture,
    wait_for_bench,
)

GOLDEN = Path(__file__).parent / "golden"
SIZE = {"width": 560, "height": 420}
LIGHT = "localStorage.setItem('liqheat.prefs', JSON.stringify({ theme: 'light' }))"
#: The pane is as large wherever the tests run: no font has a say in it.
STAGE = ".stage { position: fixed; inset: 0 auto auto 0; width: 560px; height: 300px }"
LETTERS = """CanvasRenderingContext2D.prototype.measureText = (text) => ({
  width: 6 * text.length, actualBoundingBoxAscent: 8, actualBoundingBoxDescent: 2,
})"""
SCENES = {
    "default": "bench=700x1000",
    "threshold": "bench=700x1000&thr=0.35-0.9",
    "log": "bench=700x1000&ax=log&scale=linear",
    "pooled": "bench=4000x1000",
    "gaps": "bench=700x1000&gaps=1",
    "light": "bench=700x1000",
}


@pytest.fixture(scope="module")
def bare(
    browser_type: BrowserType, browser_type_launch_args: dict[str, Any]
) -> Iterator[Browser]:
    """Yield a browser in which getContext('webgl2') is null."""
    flags = [*browser_type_launch_args["args"], "--disable-software-rasterizer"]
    browser = browser_type.launch(**{**browser_type_launch_args, "args": flags})
    yield browser
    browser.close()


def draw(page: Page, scene: str) -> np.ndarray:
    page.add_init_script(LETTERS)
    if scene == "light":
        page.add_init_script(LIGHT)
    page.goto(f"/?{SCENES[scene]}&renderer=webgl2&liq=0&prof=0")
    wait_for_bench(page)
    page.add_style_tag(content=ALONE + STAGE)
    return picture(page)


def compare(drawn: np.ndarray, scene: str, *, update: bool) -> None:
    path = GOLDEN / f"{scene}.png"
    if update:
        GOLDEN.mkdir(exist_ok=True)
        matplotlib.image.imsave(path, drawn.astype(np.uint8))
    kept = (
        255 * matplotlib.image.imread(io.BytesIO(path.read_bytes()), format="png")[..., :3]
    )
    assert kept.shape == drawn.shape
    assert different(kept, drawn) <= MOST_DIFFERENT


@pytest.mark.parametrize("scene", SCENES)
def test_webgl2_draws_the_golden_picture(
    page: Page, fake: Any, request: pytest.FixtureRequest, scene: str
) -> None:
    fake.instruments, fake.picture = [], False
    page.set_viewport_size(SIZE)  # type: ignore[arg-type]
    drawn = draw(page, scene)
    if page.get_attribute(".chart", "data-renderer") != "webgl2":
        pytest.skip("this browser has no WebGL2")
    compare(drawn, scene, update=request.config.getoption("--update-goldens"))


@pytest.mark.parametrize("scene", SCENES)
def test_without_webgl_canvas_2d_draws_the_golden_picture(
    bare: Browser,
    base_url: str,
    fake_on: Any,
    browser_context_args: dict[str, Any],
    scene: str,
) -> None:
    args = {**browser_context_args, "base_url": base_url, "viewport": SIZE}
    context = bare.new_context(**args)
    page = context.new_page()
    fake = fake_on(page)
    fake.instruments, fake.picture = [], False
    drawn = draw(page, scene)
    assert page.get_attribute(".chart", "data-renderer") == "canvas2d"
    compare(drawn, scene, update=False)
    context.close()
