"""The heat layer drawn twice: WebGL2 and canvas 2D must give the same picture."""

import io
import json

import matplotlib.image
import numpy as np
import pytest
from playwright.sync_api import Page

#: Share of pixels which may differ, and by how much one must differ to count (of 255).
MOST_DIFFERENT, VISIBLE = 0.01, 16
#: The heat and its chart alone: what floats over it comes and goes with the connection.
ALONE = ".stage > :not(.chart) { display: none } .dead .chart { filter: none }"
LOSE = """() => {
  const gl = document.querySelector('.heat-canvas').getContext('webgl2');
  window.lost = gl.getExtension('WEBGL_lose_context');
  window.lost.loseContext();
}"""

#: Animation frames wait for a while, as on a busy machine.
LATE_FRAMES = """(() => {
  const [ask, cancel] = [requestAnimationFrame, cancelAnimationFrame].map((f) => f.bind(window));
  const held = new Map();
  let id = 1e6;
  window.requestAnimationFrame = (job) => { held.set(++id, job); return id; };
  window.cancelAnimationFrame = (one) => held.delete(one) || cancel(one);
  setTimeout(() => {
    window.requestAnimationFrame = ask;
    for (const job of held.values()) ask(job);
  }, %d);
})()"""


@pytest.fixture(autouse=True)
def nothing_to_show(fake) -> None:
    """Let no instrument come: its tick size would widen the axis between two pictures."""
    fake.instruments, fake.picture = [], False


def place(page: Page) -> dict[str, float]:
    """Return where the picture lies, once nothing moves it any more."""
    return json.loads(page.evaluate("liqheatBench.settled()"))


def shot(page: Page) -> np.ndarray:
    """Return the pixels of the heat's pane: axes and their letters are not compared."""
    pane, box = place(page), page.locator(".chart").bounding_box()
    assert box
    clip = {"x": box["x"], "y": box["y"], "width": pane["width"], "height": pane["height"]}
    png = page.screenshot(clip=clip)
    return 255 * matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3]


def picture(page: Page) -> np.ndarray:
    """Return the picture once it stands still: software graphics take their time."""
    before = shot(page)
    for _ in range(40):
        page.wait_for_timeout(200)
        now = shot(page)
        if now.shape == before.shape and np.array_equal(now, before):
            return now
        before = now
    pytest.fail("the picture does not stand still")


def wait_for_bench(page: Page) -> None:
    """Wait for the made-up matrix; polled from here, for the page's policy forbids eval."""
    for _ in range(300):
        if page.evaluate("window.liqheatBench !== undefined"):
            return
        page.wait_for_timeout(100)
    pytest.fail("the bench did not start")


def different(one: np.ndarray, other: np.ndarray) -> float:
    return float((np.abs(one - other).max(axis=-1) > VISIBLE).mean())


def open_bench(page: Page, renderer: str, size: str = "700x300", query: str = "") -> None:
    page.goto(f"/?bench={size}&renderer={renderer}&liq=0{query}")
    wait_for_bench(page)
    page.add_style_tag(content=ALONE)
    place(page)  # the renderer is chosen by then
    got = page.get_attribute(".chart", "data-renderer")
    if got != renderer:
        pytest.skip(f"this browser has no {renderer}")


@pytest.mark.parametrize("query", ["", "&ax=log"])
@pytest.mark.parametrize("size", ["700x300", "4000x1000"])
def test_both_renderers_draw_the_same_picture(page: Page, size, query):
    pictures = []
    for renderer in ("canvas2d", "webgl2"):
        open_bench(page, renderer, size, query)
        pictures.append(picture(page))
    assert different(*pictures) <= MOST_DIFFERENT


def test_the_same_after_the_ring_went_round(page: Page):
    pictures, places = [], []
    for renderer in ("canvas2d", "webgl2"):
        open_bench(page, renderer)
        before = picture(page)
        page.evaluate("liqheatBench.append(80)")
        after = picture(page)
        assert different(before, after) > MOST_DIFFERENT
        pictures.append(after)
        places.append(place(page))
    assert places[0] == pytest.approx(places[1])
    assert different(*pictures) <= MOST_DIFFERENT


@pytest.mark.parametrize("late_ms", [0, 60, 250])
def test_all_columns_are_in_sight_whenever_the_first_frame_comes(page: Page, late_ms):
    """The price axis gets its width in the first paint, before or after the data came."""
    page.add_init_script(LATE_FRAMES % late_ms)
    open_bench(page, "canvas2d")
    at = place(page)
    free = 156 / (at["width"] - 156) * 700  # the profile's room, in columns
    assert (at["from"], at["to"]) == pytest.approx((-0.5, 699.5 + free))
    page.set_viewport_size({"width": 1100, "height": 700})
    for _ in range(50):
        if (now := place(page))["width"] < at["width"]:
            break
    assert now["width"] < at["width"]
    assert now["from"] == pytest.approx(-0.5)


def test_a_lost_graphics_context_costs_nothing_to_see(page: Page):
    open_bench(page, "webgl2")
    before = picture(page)
    page.evaluate(LOSE)
    assert different(before, picture(page)) <= MOST_DIFFERENT
    page.evaluate("window.lost.restoreContext()")
    assert different(before, picture(page)) <= MOST_DIFFERENT
    assert page.locator(".heat-canvas").count() == 1


def test_software_graphics_get_the_bitmap(page: Page):
    page.goto("/?bench=700x300")
    wait_for_bench(page)
    assert page.get_attribute(".chart", "data-renderer") == "canvas2d"
