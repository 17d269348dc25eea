"""Dark and light, high contrast, paper, and what makes the page installable."""

import io
import json
from typing import Any

import matplotlib.image
import pytest
from playwright.sync_api import Page, expect

from tests.ui.test_states import axe, open_page

#: Shares of the chart's box, where the pretend market has only its faint floor.
GROUND = (0.3, 0.5)


def color_at(page: Page, x: float, y: float) -> tuple[float, ...]:
    """Return R, G, B (0 to 255) at a point of the chart given in shares of its box."""
    png = page.locator(".chart").screenshot()
    picture = matplotlib.image.imread(io.BytesIO(png), format="png")
    height, width = picture.shape[:2]
    return tuple(255 * picture[int(y * height), int(x * width), :3])


def expect_ground(page: Page, *, light: bool) -> None:
    """Wait until the chart is drawn in a theme."""
    for _ in range(20):
        channels = color_at(page, *GROUND)
        if (min(channels) > 200) if light else (max(channels) < 80):
            return
        page.wait_for_timeout(100)
    pytest.fail(f"the ground is {channels}")


def choose(page: Page, theme: str) -> None:
    """Have a theme chosen before the page is opened."""
    prefs = json.dumps(json.dumps({"theme": theme}))
    page.add_init_script(f"localStorage.setItem('liqheat.prefs', {prefs})")


def theme_of(page: Page) -> str:
    return str(page.evaluate("document.documentElement.dataset.theme"))


def background_of(page: Page, selector: str) -> str:
    return str(
        page.locator(selector).first.evaluate("e => getComputedStyle(e).backgroundColor")
    )


def test_button_changes_page_and_chart_and_is_remembered(page: Page, fake: Any) -> None:
    open_page(page)
    expect_ground(page, light=False)
    button = page.locator("[data-name=theme]")
    expect(button).to_have_attribute("aria-label", "Theme: dark (D)")
    button.click()
    expect(button).to_have_attribute("aria-label", "Theme: light (D)")
    expect_ground(page, light=True)
    assert background_of(page, ".top") == "rgb(255, 255, 255)"
    frame = page.locator("meta[name=theme-color]")
    expect(frame).to_have_attribute("content", "#ffffff")
    page.reload()
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)
    expect_ground(page, light=True)


def test_light_page_never_starts_dark(page: Page, fake: Any) -> None:
    choose(page, "light")
    empty = {"body": "", "content_type": "text/javascript"}
    page.route("**/assets/*.js", lambda route: route.fulfill(**empty))
    page.goto("/")
    assert theme_of(page) == "light"
    assert background_of(page, "html") == "rgb(244, 246, 249)"


def test_unknown_theme_is_dark(page: Page, fake: Any) -> None:
    choose(page, "neon")
    open_page(page)
    assert theme_of(page) == "dark"


def test_system_is_followed_while_the_page_is_open(page: Page, fake: Any) -> None:
    choose(page, "system")
    open_page(page)
    expect_ground(page, light=False)
    page.emulate_media(color_scheme="light")
    expect_ground(page, light=True)
    page.emulate_media(color_scheme="dark")
    expect_ground(page, light=False)
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(page.locator("[data-name=theme]")).to_have_attribute(
        "aria-label", "Theme: light (D)"
    )
    expect_ground(page, light=True)


def test_palettes_are_shown_and_chosen_in_both_themes(page: Page, fake: Any) -> None:
    open_page(page)
    before = color_at(page, *GROUND)
    page.keyboard.press("p")
    expect(page).to_have_url("/?s=test:BTCUSDT&pal=cividis")
    page.locator("[data-name=about]").click()
    palettes = page.get_by_role("group", name="Palette")
    expect(palettes.get_by_role("button")).to_have_count(5)
    cividis = palettes.get_by_role("button", name="Cividis")
    expect(cividis).to_have_attribute("aria-pressed", "true")
    palettes.get_by_role("button", name="Greys").click()
    expect(page).to_have_url("/?s=test:BTCUSDT&pal=greys")
    page.get_by_role("group", name="Theme").get_by_role("button", name="Light").click()
    page.keyboard.press("Escape")
    expect_ground(page, light=True)
    red, green, blue = color_at(page, *GROUND)
    assert max(red, green, blue) - min(red, green, blue) < 6 < max(before) - min(before)


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_in_light_colors(page: Page, fake: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    choose(page, "light")
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_page(page)
    box = page.locator(".chart").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.5)
    expect(page.get_by_test_id("pinned")).to_be_visible()
    assert axe(page) == []
    for key in "?/t":
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert axe(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator("[data-name=about]" if width > 760 else "[data-name=controls]").click()
    assert axe(page) == []


def test_axe_finds_nothing_on_light_states(page: Page, fake: Any) -> None:
    choose(page, "light")
    fake.status["data_ms"] = fake.now_ms() - 17 * 60_000
    open_page(page)
    expect(page.get_by_test_id("stale")).to_be_visible()
    assert axe(page) == []
    fake.refuse = True
    fake.sockets[-1].close()
    expect(page.get_by_test_id("disconnected")).to_be_visible()
    assert axe(page) == []


def test_high_contrast_keeps_states_and_picture_visible(page: Page, fake: Any) -> None:
    page.emulate_media(forced_colors="active", color_scheme="dark")
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_page(page)
    highlight = page.evaluate("""() => {
      const e = document.body.appendChild(document.createElement('i'));
      e.style.cssText = 'background: Highlight; forced-color-adjust: none';
      const color = getComputedStyle(e).backgroundColor;
      e.remove();
      return color; }""")
    expect(page.locator("[aria-pressed=true]").first).to_have_css(
        "background-color", highlight
    )
    assert background_of(page, ".segments [aria-pressed=false]") != highlight
    ramp = page.locator(".legend-ramp").evaluate("e => getComputedStyle(e).backgroundImage")
    assert "gradient" in ramp
    assert background_of(page, ".watermark") == "rgba(0, 0, 0, 0)"
    border = "e => getComputedStyle(e).borderTopWidth"
    assert page.locator("[data-name=theme]").evaluate(border) == "1px"


def test_nothing_moves_for_who_wants_no_motion(page: Page, fake: Any) -> None:
    fake.picture, fake.status = False, {"columns": 7}
    page.goto("/")
    expect(page.get_by_test_id("skeleton")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate("document.getAnimations().length") > 0


def test_paper_is_light_and_has_the_picture_with_its_caption(page: Page, fake: Any) -> None:
    open_page(page)
    page.locator("[data-name=about]").wait_for()
    page.locator(
        "body[data-stamp]"
    ).wait_for()  # the part which prints comes after the picture
    page.emulate_media(media="print")
    expect_ground(page, light=True)
    expect(page.locator(".controls")).to_be_hidden()
    for part in (".legend-ramp", ".caption", ".price strong"):
        expect(page.locator(part).first).to_be_visible()
    stamp = page.evaluate("getComputedStyle(document.body, '::after').content")
    assert "printed 20" in stamp
    assert "UTC" in stamp
    page.emulate_media(media="screen")
    expect_ground(page, light=False)
    expect(page.locator(".controls")).to_be_visible()


@pytest.mark.parametrize("renderer", ["canvas2d", "webgl2"])
def test_printing_takes_a_still_picture_in_light_colors(
    page: Page, fake: Any, renderer: str
) -> None:
    open_page(page, f"?renderer={renderer}")
    expect(page.locator(".chart")).to_have_attribute("data-renderer", renderer)
    page.locator("[data-name=about]").wait_for()
    page.locator("body[data-stamp]").wait_for()
    # Listeners run in the order they were added: this one sees what the page prepared.
    page.evaluate("""() => addEventListener('beforeprint', () => {
      const picture = document.querySelector('.stage .still');
      const at = (y) => [picture.width * 0.3, picture.height * y, 1, 1];
      const read = (y) => [...picture.getContext('2d').getImageData(...at(y)).data];
      window.printed = [read(0.5), read(0.15)];
    })""")
    pdf = page.pdf(prefer_css_page_size=True)
    assert pdf.count(b"/Type /Page\n") == 1
    ground, level = page.evaluate("window.printed")
    assert min(ground) > 200
    assert min(level[:3]) < 150
    assert level[3] == 255
    expect(page.locator(".still")).to_have_count(0)
    expect_ground(page, light=False)


def test_page_can_be_installed(page: Page, fake: Any) -> None:
    open_page(page)
    session = page.context.new_cdp_session(page)
    answer = session.send("Page.getAppManifest")
    assert answer["errors"] == []
    manifest = json.loads(answer["data"])
    assert manifest["display"] == "standalone"
    assert manifest["start_url"] == "./"
    for icon in manifest["icons"]:
        reply = page.request.get(f"/{icon['src']}")
        assert reply.headers["content-type"].startswith(icon["type"])
    trouble = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    # A profile without a name, as tests have, may not install anything.
    assert [e["errorId"] for e in trouble if e["errorId"] != "in-incognito"] == []
