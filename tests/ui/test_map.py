"""The liquidation map page (``?view=map``), with the socket and the REST calls pretended."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

IMAGES = Path(__file__).parents[2] / "docs" / "img"
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"

# 100 bins of 0.4 % around 100: a wall of longs near 92, of shorts near 106.
BINS, STEP, PRICE = 100, 0.004, 100.0
LONG_AT, SHORT_AT = 29, 64


def edge(p: float) -> float:
    return PRICE * math.exp((p - BINS / 2 + 0.3) * STEP)


def center(p: int) -> float:
    return (edge(p) + edge(p + 1)) / 2


def levels() -> tuple[list[float], list[float]]:
    """Return a floor of 100 thousand with one wall a side; longs below, shorts above."""
    long = [1e5 if center(p) < PRICE else 0.0 for p in range(BINS)]
    short = [0.0 if center(p) < PRICE else 1e5 for p in range(BINS)]
    long[LONG_AT], short[SHORT_AT] = 20e6, 12e6
    return long, short


def share(values: list[float], part: float) -> list[float]:
    return [value * part for value in values]


def reply(as_of_ms: int) -> dict[str, Any]:
    long, short = levels()

    def part(k: float) -> dict[str, Any]:
        return {"long_usd": share(long, k), "short_usd": share(short, k)}

    return {
        "mode": "live",
        "instrument": "test:BTCUSDT",
        "model": "sharp",
        "model_version": "test-1",
        "as_of_ms": as_of_ms,
        "last_price": PRICE,
        "price": [center(p) for p in range(BINS)],
        "long_usd": long,
        "short_usd": short,
        "long_cumulative_usd": [sum(long[p:]) for p in range(BINS)],
        "short_cumulative_usd": [sum(short[: p + 1]) for p in range(BINS)],
        "tiers": [{"leverage": 10.0, **part(0.75)}, {"leverage": 50.0, **part(0.25)}],
        "quality": {"usd_scale": "usd", "notes": []},
        "measured_share_long": 0.0,
        "measured_share_short": 0.0,
        "measured_age_ms": None,
        "measured": [],
        "parts": [
            {"exchange": "binance", **part(0.7)},
            {"exchange": "bybit", **part(0.3)},
        ],
    }


@dataclass
class Maps:
    """Answers /api/v1/map as the test's fields say."""

    now_ms: Any
    change: dict[str, Any] = field(default_factory=dict)
    refuse: dict[str, Any] | None = None
    hold: bool = False
    asked: list[str] = field(default_factory=list)

    def answer(self, route: Any) -> None:
        self.asked.append(route.request.url)
        if self.hold:
            return
        if self.refuse is not None:
            route.fulfill(status=self.refuse["status"], json=self.refuse)
            return
        route.fulfill(json={**reply(self.now_ms()), **self.change})


@pytest.fixture
def maps(page: Page, fake: Any) -> Maps:
    server = Maps(fake.now_ms)
    page.route("**/api/v1/map?**", server.answer)
    return server


def open_map(page: Page, query: str = "") -> None:
    page.goto(f"/?view=map{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def hover(page: Page, price: float) -> None:
    """Put the pointer on a price: the axis is linear between two readings."""
    box = page.locator(".bars").bounding_box()
    assert box
    y = box["y"] + box["height"] * 0.8
    at: list[tuple[float, float]] = []
    for part in (0.2, 0.8):
        x = box["x"] + box["width"] * part
        page.mouse.move(x, y)
        text = page.get_by_test_id("map-reading").locator("strong").inner_text()
        at.append((x, float(text.replace(",", ""))))
    (x0, p0), (x1, p1) = at
    page.mouse.move(x0 + (x1 - x0) * (price - p0) / (p1 - p0), y)


def test_reading_says_longs_below_and_shorts_above(page: Page, maps: Maps) -> None:
    open_map(page)
    tip = page.get_by_test_id("map-reading")
    hover(page, center(LONG_AT))
    expect(tip.locator(".tip-cell")).to_contain_text(re.compile(r"~\$20\.\d+M\s*▼ longs"))
    expect(tip.locator(".tip-distance")).to_have_text(re.compile(r"^−7\.\d+ %$"))
    expect(tip.locator(".tip-way")).to_contain_text(re.compile(r"~\$22\.\d+M longs"))
    expect(tip.locator(".map-parts")).to_contain_text(re.compile(r"bybit\s*\$6\.\d+M"))
    expect(tip.locator(".map-parts")).to_contain_text(re.compile(r"binance\s*\$14\.\d+M"))
    hover(page, center(SHORT_AT))
    expect(tip.locator(".tip-cell")).to_contain_text(re.compile(r"~\$12\.\d+M\s*▲ shorts"))
    expect(tip.locator(".tip-distance")).to_have_text(re.compile(r"^\+6\.\d+ %$"))
    page.mouse.move(5, 5)
    expect(tip).to_have_count(0)


def test_sentences_speak_of_max_pain_then_of_the_price_chosen(
    page: Page, maps: Maps
) -> None:
    open_map(page)
    fall, rise = page.get_by_test_id("sentence-long"), page.get_by_test_id("sentence-short")
    expect(fall).to_contain_text(f"If BTCUSDT on test falls to ${center(LONG_AT):.2f}")
    expect(fall).to_contain_text("about $22.0M of longs stand to be liquidated")
    expect(fall).to_contain_text(re.compile(r"\(modelled; data \d+ s old\)"))
    expect(rise).to_contain_text(f"rises to ${center(SHORT_AT):.2f}")
    expect(rise).to_contain_text("max pain")
    page.get_by_label("Price to speak about").fill("110")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"[?&]px=110\b"))
    expect(rise).to_contain_text("If BTCUSDT on test rises to $110.00 (+10.0 %)")
    page.get_by_role("slider", name="Price").focus()
    page.keyboard.press("ArrowLeft")
    expect(rise).not_to_contain_text("$110.00")
    page.locator("[data-name=pain]").click()
    expect(page).not_to_have_url(re.compile("px="))
    expect(rise).to_contain_text(f"rises to ${center(SHORT_AT):.2f}")


def test_copy_and_its_fallback_say_copied(page: Page, maps: Maps) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_map(page)
    button = page.get_by_role("button", name="Copy the sentence about longs")
    button.click()
    expect(button).to_have_text("✓ Copied")
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("If BTCUSDT on test falls to $")
    assert "modelled; data" in text
    assert text.endswith("UTC).")
    page.evaluate("""() => {
      Object.defineProperty(navigator, 'clipboard', { value: undefined });
      document.addEventListener('copy', () => {
        window.copied = document.activeElement.value;
      });
    }""")
    other = page.get_by_role("button", name="Copy the sentence about shorts")
    other.click()
    expect(other).to_have_text("✓ Copied")
    assert "of shorts stand to be liquidated" in page.evaluate("window.copied")
    expect(other).to_be_focused()


def test_bars_are_split_as_chosen_and_back_undoes_it(page: Page, maps: Maps) -> None:
    open_map(page)
    parts = page.locator(".part")
    expect(parts.locator("span")).to_have_text(["binance", "bybit"])
    page.locator(".map-bar [data-value=tier]").click()
    expect(page).to_have_url(re.compile("by=tier"))
    expect(parts.locator("span")).to_have_text(["10x", "50x"])
    page.locator(".map-bar [data-value=side]").click()
    expect(parts.locator("span")).to_have_text(["modelled"])
    page.go_back()
    expect(parts.locator("span")).to_have_text(["10x", "50x"])
    page.go_forward()
    expect(page).to_have_url(re.compile("by=side"))
    parts.first.click()
    expect(parts.first).to_have_attribute("aria-pressed", "true")


def test_heatmap_and_map_share_their_choices(page: Page, maps: Maps, fake: Any) -> None:
    open_map(page, "&r=1w&m=zones")
    assert "range=1w" in maps.asked[0]
    assert "model=zones" in maps.asked[0]
    assert "parts=exchange" in maps.asked[0]
    page.keyboard.press("v")
    expect(page.locator(".chart")).to_be_visible()
    expect(page).not_to_have_url(re.compile("view="))
    expect(page).to_have_url(re.compile("r=1w.*m=zones"))
    page.locator(".controls button[data-value=map]").click()
    expect(page.locator(".bars")).to_be_visible()
    page.keyboard.press("2")
    expect(page).to_have_url(re.compile("r=24h.*view=map"))
    page.go_back()
    page.go_back()
    expect(page.locator(".chart")).to_be_visible()


def test_zoom_shows_fewer_prices_and_home_all(page: Page, maps: Maps) -> None:
    open_map(page)
    whole = page.get_by_role("button", name="Whole map")
    expect(whole).to_be_disabled()
    box = page.locator(".bars").bounding_box()
    assert box
    left = box["x"] + 80

    def price_at_left() -> float:
        page.mouse.move(left, box["y"] + 300)
        text = page.get_by_test_id("map-reading").locator("strong").inner_text()
        return float(text.replace(",", ""))

    before = price_at_left()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 300)
    page.mouse.wheel(0, -500)
    expect(whole).to_be_enabled()
    near = price_at_left()
    assert near > before + 1
    # Dragging to the right shows lower prices.
    page.mouse.down()
    page.mouse.move(left + 200, box["y"] + 300, steps=4)
    page.mouse.up()
    assert price_at_left() < near - 1
    expect(page).not_to_have_url(re.compile("px="))
    page.keyboard.press("Home")
    expect(whole).to_be_disabled()
    page.get_by_role("button", name="Zoom in").click()
    expect(whole).to_be_enabled()
    whole.click()
    expect(whole).to_be_disabled()
    assert price_at_left() == pytest.approx(before, abs=0.02)


def test_keyboard_reads_and_chooses(page: Page, maps: Maps) -> None:
    open_map(page)
    page.locator(".bars").focus()
    page.keyboard.press("Shift+ArrowLeft")
    tip = page.get_by_test_id("map-reading")
    expect(tip.locator(".tip-distance")).to_have_text(re.compile("^−"))
    spoken = page.locator(".map [aria-live=polite]")
    expect(spoken).to_contain_text(
        re.compile(r"On the way from the price: \$[\d.]+M longs")
    )
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("px=9"))
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page).not_to_have_url(re.compile("px="))
    page.keyboard.press("t")
    table = page.get_by_role("region", name="The largest bars")
    expect(table.get_by_role("row").nth(1)).to_contain_text("~$20.0M~$22.0M")
    page.keyboard.press("t")
    expect(table).to_have_count(0)


def test_error_names_the_request_and_the_last_map_stays(
    page: Page, maps: Maps, console: list[str]
) -> None:
    maps.refuse = {"status": 503, "title": "Busy", "request_id": "r-17"}
    page.goto("/?view=map")
    card = page.get_by_test_id("map-error")
    expect(card).to_contain_text("Busy")
    expect(card).to_contain_text("Status 503 · request r-17")
    maps.refuse = None
    card.get_by_role("button", name="Try again").click()
    expect(card).to_have_count(0)
    expect(page.get_by_test_id("sentence-long")).to_be_visible()
    maps.refuse = {"status": 500, "title": "Broken", "request_id": "r-18"}
    page.keyboard.press("1")
    banner = page.get_by_test_id("map-problem")
    expect(banner).to_contain_text("the last map received")
    expect(banner).to_contain_text("r-18")
    expect(page.get_by_test_id("sentence-long")).to_be_visible()
    maps.refuse = None
    banner.get_by_role("button", name="Retry now").click()
    expect(banner).to_have_count(0)
    assert all("status of 50" in line for line in console)
    console.clear()


def test_states_say_what_the_map_is(page: Page, maps: Maps, fake: Any) -> None:
    maps.hold = True
    page.goto("/?view=map")
    expect(page.get_by_test_id("skeleton")).to_contain_text("Loading the map of BTCUSDT")
    maps.hold = False
    maps.change = {
        "mode": "simulated",
        "quality": {"usd_scale": "relative", "notes": []},
        "measured_share_long": 0.31,
        "measured_age_ms": 2000,
    }
    page.keyboard.press("5")
    expect(page.locator(".map .watermark")).to_have_text("SIMULATED")
    expect(page.get_by_test_id("map-notes")).to_contain_text("Relative scale")
    expect(page.get_by_test_id("map-notes")).to_contain_text("31 % of longs'")
    line = page.get_by_test_id("sentence-long")
    expect(line).to_contain_text(
        "modelled, 31 % of open interest measured, relative scale; data"
    )
    maps.change = {}
    page.keyboard.press("6")
    expect(page.locator(".map .watermark")).to_have_count(0)
    fake.send_status(data_ms=fake.now_ms() - 3_600_000)
    expect(page.get_by_test_id("stale")).to_contain_text("old")
    expect(line).to_contain_text(re.compile(r"data (60 min|1 h) old"))
    empty = [0.0] * BINS
    maps.change = {"long_usd": empty, "short_usd": empty}
    page.keyboard.press("7")
    expect(page.get_by_test_id("map-empty")).to_contain_text("No levels in this map")


def test_switching_back_shows_the_map_at_once(page: Page, maps: Maps) -> None:
    open_map(page)
    expect(page.get_by_test_id("sentence-long")).to_be_visible()
    page.keyboard.press("v")
    expect(page.locator(".chart")).to_be_visible()
    maps.hold = True
    page.keyboard.press("v")
    expect(page.get_by_test_id("sentence-long")).to_be_visible()
    expect(page.get_by_test_id("skeleton")).to_have_count(0)
    # Of another instrument nothing is shown under the new name.
    page.keyboard.press("/")
    page.get_by_role("combobox", name="Search contracts").fill("eth")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("skeleton")).to_contain_text("ETHUSDT")


def test_map_of_the_real_server(page: Page, request: pytest.FixtureRequest) -> None:
    page.goto("/?view=map&by=tier")
    fall = page.get_by_test_id("sentence-long")
    expect(fall).to_contain_text(
        re.compile(r"If \w+ falls to \$[\d,.]+ \(−[\d.]+ %\), about \$"), timeout=60_000
    )
    rise = page.get_by_test_id("sentence-short")
    expect(rise).to_contain_text(re.compile(r"rises to \$[\d,.]+ \(\+"))
    expect(page.locator(".map .watermark")).to_have_text("SIMULATED")
    assert page.locator(".part").count() >= 4
    assert int(page.locator(".bars").get_attribute("data-bars") or 0) > 50
    if request.config.getoption("--update-screenshots"):
        field = page.get_by_label("Price to speak about")
        field.fill(str(round(float(field.input_value()) * 0.95)))
        field.press("Enter")
        page.screenshot(path=str(IMAGES / "map.png"))


def test_png_says_what_it_shows(page: Page, maps: Maps) -> None:
    maps.change = {"mode": "simulated"}
    open_map(page, "&px=92")
    with page.expect_download() as saved:
        page.get_by_role("button", name="PNG").click()
    assert re.fullmatch(
        r"liqheat-map-BTCUSDT-\d{8}-\d{4}\.png", saved.value.suggested_filename
    )
    picture = Path(saved.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG")
    width, height = (int.from_bytes(picture[at : at + 4], "big") for at in (16, 20))
    box = page.locator(".bars").bounding_box()
    assert box
    assert width == round(box["width"])
    assert height > box["height"] + 100


def test_map_of_the_past_says_so(
    page: Page, maps: Maps, fake: Any, console: list[str]
) -> None:
    page.route("**/api/v1/heatmap?**", lambda route: route.fulfill(status=404, json={}))
    at = (fake.now_ms() // 300_000 - 50) * 300_000
    maps.now_ms = lambda: at
    page.goto(f"/?view=map&at={at}&lev=L2,L4")
    line = page.get_by_test_id("sentence-long")
    expect(line).to_contain_text(
        re.compile(r"modelled, leverage 10x, 50x only; as known on .* UTC\)"),
        timeout=15_000,
    )
    assert f"as_of_ms={at}" in maps.asked[-1]
    assert "tiers=10%2C50" in maps.asked[-1]
    console.clear()


SEEN = """(state) => {
  Object.defineProperty(document, 'visibilityState', { value: state, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def expect_asked(page: Page, maps: Maps, times: int) -> None:
    """Wait for so many questions, and a moment longer for one too many."""
    for _ in range(60):
        if len(maps.asked) >= times:
            break
        page.wait_for_timeout(50)
    page.wait_for_timeout(100)
    assert len(maps.asked) == times


def test_map_is_asked_for_while_somebody_looks(page: Page, maps: Maps) -> None:
    page.clock.install()
    page.goto("/?view=map")
    expect(page.get_by_test_id("sentence-long")).to_be_visible(timeout=15_000)
    page.clock.run_for(5500)
    expect_asked(page, maps, 2)
    page.evaluate(SEEN, "hidden")
    page.clock.run_for(30_000)
    expect_asked(page, maps, 2)
    page.evaluate(SEEN, "visible")
    expect_asked(page, maps, 3)


def axe(page: Page) -> list[str]:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python tools/web_build.py test")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in found["violations"]]


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing(page: Page, maps: Maps, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_map(page, "&px=92")
    assert axe(page) == []
    page.keyboard.press("t")
    assert axe(page) == []


SMALL = """() =>
  [...document.querySelectorAll('.map :is(button, input), .bottom :is(button, select)')]
  .filter((one) => one.offsetParent !== null)
  .map((one) => [one.textContent || one.ariaLabel, one.getBoundingClientRect()])
  .filter(([, box]) => box.height < 44 || box.width < 44)
  .map(([name, box]) => `${name} ${box.width}x${box.height}`)"""


@pytest.mark.parametrize("width", [390, 360])
def test_phone_shows_all_with_targets_for_fingers(
    page: Page, maps: Maps, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 780})
    open_map(page)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(SMALL) == []
    box = page.locator(".bars").bounding_box()
    assert box
    assert box["height"] >= 240
    for name in ("sentence-long", "sentence-short"):
        expect(page.get_by_test_id(name).get_by_role("button")).to_be_in_viewport(ratio=1)
    page.locator("[data-name=view]").click()
    expect(page.locator(".chart")).to_be_visible()


def pinch(page: Page, x: float, y: float, before: int, after: int) -> None:
    """Move two fingers from `before` to `after` pixels apart, around a point."""
    cdp = page.context.new_cdp_session(page)

    def touch(kind: str, apart: float) -> None:
        points = [{"x": x + k * apart / 2, "y": y, "id": i} for i, k in enumerate((-1, 1))]
        fingers = [] if kind == "touchEnd" else points
        cdp.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    touch("touchStart", before)
    for k in range(1, 6):
        touch("touchMove", before + (after - before) * k / 5)
    touch("touchEnd", after)


def test_fingers_choose_and_zoom(browser: Any, base_url: str, maps: Maps) -> None:
    context = browser.new_context(
        base_url=base_url, viewport={"width": 390, "height": 780}, has_touch=True
    )
    page = context.new_page()
    page.route_web_socket("**/ws", lambda _ws: None)
    page.route("**/api/v1/map?**", maps.answer)
    page.goto("/?view=map&s=test:BTCUSDT")
    expect(page.get_by_test_id("sentence-long")).to_be_visible(timeout=15_000)
    box = page.locator(".bars").bounding_box()
    assert box
    page.touchscreen.tap(box["x"] + 60, box["y"] + box["height"] / 2)
    expect(page).to_have_url(re.compile(r"px=8\d"))
    expect(page.get_by_test_id("map-reading")).to_be_visible()
    whole = page.get_by_role("button", name="Whole map")
    expect(whole).to_have_count(0)
    chosen = page.url
    pinch(page, box["x"] + 190, box["y"] + box["height"] / 2, 80, 240)
    expect(whole).to_be_visible()
    assert page.url == chosen
    context.close()
