"""The feed of realised liquidations, with the socket and the recorded rows pretended."""

import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.tape import HOUR_MS, Tape

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"


@pytest.fixture
def tape(page: Page, fake: Any) -> Tape:
    tape = Tape()
    page.route("**/api/v1/liquidations?**", tape.answer)
    return tape


def open_feed(page: Page, query: str = "?feed=1") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)
    expect(page.locator(".feed-columns")).to_be_visible()


def rows_of(page: Page) -> Any:
    return page.locator(".feed-row")


def tell(fake: Any, *rows: dict[str, Any]) -> None:
    """Send rows as they happen."""
    fake.send(fake._json({"type": "liquidations", "rows": list(rows)}))


def test_feed_opens_with_key_button_and_address(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(60_000, 2e6, position_side="short", price=101.25, price_kind="bankruptcy")
    tape.add(120_000, 1234)
    page.goto("/")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)
    assert tape.asked == []
    page.keyboard.press("f")
    expect(page).to_have_url(re.compile("feed=1"))
    first = rows_of(page).first
    expect(first).to_have_text(re.compile(r"▲\s*Short\s*\$2\.00M\s*101\.25\*\s*test"))
    expect(first).to_have_class(re.compile("large"))
    expect(first).to_have_attribute("title", re.compile(r"\$2,000,000.*bankruptcy price"))
    expect(rows_of(page).nth(1)).to_have_text(re.compile(r"▼\s*Long\s*\$1\.23K"))
    expect(rows_of(page).nth(1)).not_to_have_class(re.compile("large"))
    expect(page.locator(".feed-end")).to_have_text("Nothing older is recorded.")
    page.locator(".head [data-name=feed]").click()
    expect(page.locator("#feed")).to_have_count(0)
    page.go_back()
    expect(rows_of(page)).to_have_count(2)
    page.get_by_role("button", name="Close the feed").click()
    expect(page).not_to_have_url(re.compile("feed="))


def test_filters_choose_rows_and_survive_a_reload(
    page: Page, fake: Any, tape: Tape
) -> None:
    for i in range(30):
        tape.add(i * 1000, 10.0 ** (2 + i % 5), position_side="short" if i % 2 else "long")
    open_feed(page)
    expect(rows_of(page)).to_have_count(30)
    page.locator(".feed-filters button[data-value=short]").click()
    expect(rows_of(page)).to_have_count(15)
    page.get_by_label("Smallest size").select_option("100000")
    expect(rows_of(page)).to_have_count(6)
    page.reload()
    expect(rows_of(page)).to_have_count(6)
    pressed = page.locator(".feed-filters [aria-pressed=true]")
    expect(pressed).to_have_text(re.compile("Shorts"))
    tell(fake, tape.row(-1000, 5e5, position_side="short"), tape.row(-1500, 5e6))
    expect(rows_of(page)).to_have_count(7)
    page.locator(".feed-filters button[data-value=long]").click()
    page.get_by_label("Smallest size").select_option("1000000")
    expect(rows_of(page)).to_have_count(4)
    page.get_by_label("Mark large ones").select_option("off")
    expect(page.locator(".feed-row.large")).to_have_count(0)


def test_nothing_passes_the_filter_and_show_all(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(1000, 500)
    open_feed(page)
    expect(rows_of(page)).to_have_count(1)
    page.get_by_label("Smallest size").select_option("1000000")
    expect(page.locator(".feed-end").first).to_contain_text("passes the filters")
    page.get_by_role("button", name="Show all").click()
    expect(rows_of(page)).to_have_count(1)


def test_totals_add_live_rows_once(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(60_000, 1e6)
    tape.add(2 * HOUR_MS, 5e5, position_side="short")
    fake.liquidations = [dict(tape.rows[0])]
    open_feed(page)
    hour = page.locator("[data-window='1h']")
    expect(hour).to_have_text(re.compile(r"1h.*longs \$1\.00M.*shorts \$0$"))
    expect(page.locator("[data-window='4h']")).to_contain_text("$500K")
    row = tape.row(-50, 2e6)
    tell(fake, row, dict(tape.rows[0]))
    expect(hour).to_contain_text("$3.00M")
    tell(fake, row, tape.row(-80, 1e6, position_side="short"))
    expect(hour).to_have_text(re.compile(r"longs \$3\.00M.*shorts \$1\.00M"))
    expect(rows_of(page)).to_have_count(4)
    # Told that it missed some, the page reads them.
    tape.add(90_000, 4e3)
    fake.send(fake._json({"type": "liquidations", "rows": [], "missed": True}))
    expect(rows_of(page)).to_have_count(5)
    # After a cut the window is told again; the server's sums have the row by then.
    tape.rows.append(row)
    tape.now_ms += 60
    fake.sockets[-1].close()
    expect(page.get_by_test_id("disconnected")).to_have_count(0, timeout=10_000)
    expect(hour).to_have_text(re.compile(r"longs \$3\.00M.*shorts \$1\.00M"))
    expect(rows_of(page)).to_have_count(5)


def test_sampled_feeds_are_called_a_lower_bound(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(1000, 1e6, price_kind="order")
    tape.completeness = {"test": "sampled_1s_largest"}
    open_feed(page)
    expect(page.locator("[data-window='1h'] .long")).to_contain_text("≥ $1.00M")
    honesty = page.get_by_test_id("feed-honesty")
    expect(honesty).to_contain_text("Lower bound. test tells the largest of each second")
    expect(honesty).to_contain_text("not of a fill")
    tape.complete, tape.completeness = False, {"test": "full"}
    page.reload()
    expect(page.locator("[data-window='24h'] .long")).to_contain_text("≥ $1.00M")
    expect(page.locator("[data-window='24h']")).to_have_attribute(
        "title", re.compile("not recorded over all")
    )


def test_hover_pauses_and_the_pill_goes_on(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(60_000, 1000)
    open_feed(page)
    expect(rows_of(page)).to_have_count(1)
    box = page.locator(".feed-scroll").bounding_box()
    assert box
    page.mouse.move(box["x"] + 100, box["y"] + 200)
    expect(page.locator(".feed-paused")).to_be_visible()
    tell(fake, tape.row(-100, 2000), tape.row(-200, 3000))
    pill = page.get_by_test_id("feed-pill")
    expect(pill).to_contain_text("2 new")
    expect(rows_of(page)).to_have_count(1)
    pill.click()
    expect(pill).to_have_count(0)
    expect(rows_of(page).first).to_contain_text("$3.00K")
    page.mouse.move(box["x"] - 200, box["y"] + 200)
    expect(page.locator(".feed-paused")).to_have_count(0)
    tell(fake, tape.row(-300, 4000))
    expect(rows_of(page).first).to_contain_text("$4.00K")


def test_scrolled_list_stands_still_and_reads_older_pages(
    page: Page, fake: Any, tape: Tape
) -> None:
    for i in range(1400):
        tape.add(i * 2000, 1000 + i)
    tape.add(30 * HOUR_MS, 7777)
    open_feed(page)
    scroll = page.locator(".feed-scroll")
    expect(rows_of(page).first).to_have_attribute("aria-setsize", "999")
    scroll.evaluate("e => e.scrollTop = 300 * 24")
    expect(page.locator(".feed-paused")).to_be_visible()
    tell(fake, tape.row(-100, 2000))
    expect(page.get_by_test_id("feed-pill")).to_contain_text("1 new")
    scroll.evaluate("e => e.scrollTop = e.scrollHeight")
    older = page.get_by_test_id("feed-older")
    expect(older).to_be_visible()
    older.click()
    expect(rows_of(page).last).to_have_attribute("aria-setsize", "1401")
    scroll.evaluate("e => e.scrollTop = e.scrollHeight")
    expect(rows_of(page).last).to_contain_text("$7.78K")
    expect(page.locator(".feed-end")).to_have_text("Nothing older is recorded.")
    assert rows_of(page).count() < 80
    page.get_by_test_id("feed-pill").click()
    expect(rows_of(page).first).to_contain_text("$2.00K")


def test_thousand_rows_a_second_stay_bounded(page: Page, fake: Any, tape: Tape) -> None:
    open_feed(page)
    client = page.context.new_cdp_session(page)

    def heap() -> int:
        client.send("HeapProfiler.collectGarbage")
        return int(client.send("Runtime.getHeapUsage")["usedSize"])

    heaps, shown = [], []
    for frame in range(100):
        rows = [
            tape.row(-100 * frame - i - 1, 50.0 if i % 2 else 2000.0, price=99 + i / 50)
            for i in range(100)
        ]
        began = time.monotonic()
        tell(fake, *rows)
        if frame % 5 == 4:
            shown.append(page.evaluate("document.querySelectorAll('.feed-row').length"))
        if frame in (59, 99):
            heaps.append(heap())
        page.wait_for_timeout(max(0, 100 - 1000 * (time.monotonic() - began)))
    assert min(shown[2:]) > 10
    assert max(shown) < 80
    # 4,000 more rows went through a full list; kept, they would be well over a megabyte.
    assert heaps[1] - heaps[0] < 1_000_000, heaps
    expect(rows_of(page).first).to_have_attribute(
        "aria-setsize", re.compile(r"^[2-5]\d{3}$")
    )
    expect(page.locator("[data-window='1h']")).to_have_attribute(
        "title", re.compile("10000 liquidations")
    )


def test_click_pins_the_place_on_the_chart(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(20 * 300_000, 9e5, price=100.4)
    tape.add(23 * HOUR_MS, 8e5, price=100.4)
    open_feed(page)
    rows_of(page).first.click()
    pinned = page.get_by_test_id("pinned")
    expect(pinned.locator(".tip-price strong")).to_have_text("100.40")
    # The crosshair is there as well, but says nothing twice.
    page.wait_for_timeout(200)
    expect(page.get_by_test_id("tooltip")).to_have_count(0)
    rows_of(page).nth(1).click()
    expect(page.locator(".feed-notice")).to_contain_text("choose a longer range")


def test_keyboard_chooses_rows(page: Page, fake: Any, tape: Tape) -> None:
    for i in range(100):
        tape.add(i * 1000, 1000 + i, price=100 + i / 100)
    open_feed(page)
    rows = page.get_by_role("listbox", name=re.compile("newest first"))
    rows.focus()
    for key in ("ArrowDown", "ArrowDown", "PageDown", "Home", "ArrowDown"):
        page.keyboard.press(key)
    chosen = page.locator(".feed-row[aria-selected=true]")
    expect(chosen).to_contain_text("100.01")
    assert rows.get_attribute("aria-activedescendant") == chosen.get_attribute("id")
    tell(fake, tape.row(-100, 2000))
    expect(page.get_by_test_id("feed-pill")).to_contain_text("1 new")
    page.keyboard.press("Enter")
    pinned = page.get_by_test_id("pinned")
    expect(pinned.locator(".tip-price strong")).to_have_text("100.01")
    page.keyboard.press("End")
    expect(chosen).to_contain_text("100.99")
    page.keyboard.press("Escape")
    expect(rows_of(page).first).to_contain_text("$2.00K")
    expect(pinned).to_be_visible()


def test_says_why_there_is_nothing(page: Page, fake: Any, tape: Tape) -> None:
    open_feed(page)
    expect(page.locator(".feed-end")).to_have_text("No liquidations in this window.")
    covered = ("open_interest", "taker_volume", "mark")
    fake.status["coverage"] = {**dict.fromkeys(covered, True), "liquidations": False}
    tape.completeness = {"test": None}
    page.reload()
    expect(page.get_by_test_id("feed-none")).to_contain_text("does not publish")
    expect(page.get_by_test_id("feed-honesty")).to_contain_text("test publishes none")
    expect(page.locator("[data-window='24h'] .long")).to_contain_text("–")


def test_unreadable_history_is_said_and_tried_again(
    page: Page, fake: Any, tape: Tape, console: list[str]
) -> None:
    tape.add(1000, 5000)
    tape.problem = True
    open_feed(page)
    expect(page.get_by_test_id("feed-problem")).to_contain_text("busy")
    tell(fake, tape.row(-5000, 6000))
    expect(rows_of(page)).to_have_count(1)
    tape.problem = False
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_test_id("feed-problem")).to_have_count(0)
    expect(rows_of(page)).to_have_count(2)
    assert all("503" in line for line in console)
    console.clear()


def coin(fake: Any, tape: Tape) -> None:
    names = ("binance", "bybit")
    fake.instruments = [
        {
            "instrument": f"{name}:BTCUSDT", "exchange": name, "coin": "BTC",
            "settlement": "linear", "tick_size": 0.01, "start_ms": 0,
            "end_ms": fake.now_ms(), "bars": 1000, "interval_ms": 60_000,
            "kinds": ["bars", "liquidations"],
        }
        for name in names
    ]  # fmt: skip
    fake.status["exchanges"] = [
        {"exchange": name, "state": "live", "age_ms": 400, "detail": ""} for name in names
    ]
    tape.completeness = {"binance": "sampled_1s_largest", "bybit": "full"}
    for i, name in enumerate(names * 5):
        tape.add(i * 1000, 1e5, instrument=f"{name}:BTCUSDT")


def test_of_a_coin_exchanges_are_chosen(page: Page, fake: Any, tape: Tape) -> None:
    coin(fake, tape)
    open_feed(page, "?s=BTC&feed=1")
    expect(rows_of(page)).to_have_count(10)
    expect(rows_of(page).first).to_contain_text("binance BTCUSDT")
    hour = page.locator("[data-window='1h'] .long")
    expect(hour).to_contain_text("$1.00M")
    page.locator(".feed-exchanges summary").click()
    page.get_by_label("binance").uncheck()
    expect(rows_of(page)).to_have_count(5)
    expect(page.get_by_label("bybit")).to_be_disabled()
    expect(hour).to_contain_text("$500K")
    tell(
        fake,
        tape.row(-100, 1e5, instrument="binance:BTCUSDT"),
        tape.row(-100, 1e5, instrument="bybit:BTCUSDT"),
    )
    expect(rows_of(page)).to_have_count(6)
    expect(hour).to_contain_text("$600K")
    assert tape.asked[-1]["exchanges"] == "bybit"
    page.reload()
    expect(page.locator(".feed-exchanges summary")).to_contain_text("1/2")


def test_width_is_dragged_remembered_and_moves_nothing_later(
    page: Page, fake: Any, tape: Tape
) -> None:
    page.add_init_script("""
        window.shifts = [];
        new PerformanceObserver((list) => {
          for (const e of list.getEntries()) window.shifts.push(
            [e.value, ...e.sources.map((s) => s.node?.className ?? '')]);
        }).observe({ type: 'layout-shift', buffered: true });""")
    tape.add(1000, 5000)
    open_feed(page)
    expect(rows_of(page)).to_have_count(1)
    shifts = page.evaluate("window.shifts")
    assert sum(shift[0] for shift in shifts) < 0.01, shifts
    pane = page.locator("#feed")
    box = pane.bounding_box()
    assert box
    page.mouse.move(box["x"], box["y"] + 300)
    page.mouse.down()
    page.mouse.move(box["x"] - 60, box["y"] + 300, steps=4)
    page.mouse.up()
    grip = page.get_by_role("separator", name="Width of the feed")
    grip.press("ArrowLeft")
    wide = pane.bounding_box()
    assert wide
    assert wide["width"] == box["width"] + 76
    page.reload()
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)
    after = pane.bounding_box()
    stage = page.locator(".stage").bounding_box()
    assert after
    assert stage
    assert after["width"] == wide["width"]
    assert stage["x"] + stage["width"] <= after["x"]


def test_in_the_past_only_what_was_known(page: Page, fake: Any, tape: Tape) -> None:
    tape.add(HOUR_MS, 1000)
    tape.add(5 * HOUR_MS, 2000)
    tape.add(6 * HOUR_MS, 3000)
    open_feed(page)
    expect(rows_of(page)).to_have_count(3)
    page.keyboard.press("w")
    expect(page.locator(".feed-paused")).to_have_text(
        re.compile(r"as of \d+ \w{3} \d\d:\d\d")
    )
    expect(rows_of(page)).to_have_count(2)
    expect(page.locator("[data-window='1h'] .long")).to_contain_text("$0")
    expect(page.locator("[data-window='4h'] .long")).to_contain_text("$5.00K")
    tell(fake, tape.row(-100, 4000))
    page.wait_for_timeout(200)
    expect(rows_of(page)).to_have_count(2)
    tape.rows.append(tape.row(-100, 4000))
    tape.now_ms += 200
    page.get_by_role("button", name="Back to live").click()
    expect(rows_of(page)).to_have_count(4)


def too_wide(page: Page) -> list[str]:
    found = page.evaluate("""() => [...document.querySelectorAll('#app *:not(.sr)')]
        .filter((e) => !e.closest('.chart, .watermark, .sr'))
        .filter((e) => { const r = e.getBoundingClientRect();
                         return r.width && (r.right > innerWidth + 0.5 || r.left < -0.5); })
        .map((e) => e.className || e.tagName)""")
    return list(found)


@pytest.mark.parametrize("width", [390, 360])
def test_phone_has_it_below_the_chart(
    page: Page, fake: Any, tape: Tape, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    for i in range(40):
        tape.add(i * 1000, 1000 + i)
    page.goto("/")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)
    page.locator(".bottom [data-name=feed]").click()
    expect(rows_of(page).first).to_be_in_viewport()
    expect(page.locator(".chart")).to_be_in_viewport()
    assert too_wide(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    row = rows_of(page).first.bounding_box()
    assert row
    assert row["height"] == 36
    page.get_by_role("button", name="Full height").click()
    expect(page.locator(".chart")).not_to_be_in_viewport()
    expect(page.locator("[data-window='24h']")).to_be_visible()
    assert too_wide(page) == []
    rows_of(page).first.click()
    expect(page.get_by_test_id("pinned")).to_be_in_viewport()


@pytest.mark.parametrize(
    ("width", "theme"), [(1440, "dark"), (1440, "light"), (390, "light")]
)
def test_axe_finds_nothing(
    page: Page, fake: Any, tape: Tape, width: int, theme: str
) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python tools/web_build.py test")
    page.set_viewport_size({"width": width, "height": 844})
    page.add_init_script(
        f"localStorage.setItem('liqheat.prefs', '{{\"theme\":\"{theme}\"}}')"
    )
    coin(fake, tape)
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_feed(page, "?s=BTC&feed=1")
    expect(rows_of(page).first).to_be_visible()
    if width > 760:
        page.locator(".feed-exchanges summary").click()
        page.get_by_role("listbox").focus()
        page.keyboard.press("ArrowDown")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ] == []
    expect(page.locator(".feed-head .badge")).to_have_text("SIMULATED")
