"""The page's states and readings, with the socket and the REST calls pretended."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui.conftest import until

STAGE = ".stage"
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"


def open_page(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def y_of(page: Page, price: float) -> float:
    """Screen y of a price, found by moving the pointer: the tooltip tells the price."""
    box = page.locator(STAGE).bounding_box()
    assert box
    x = box["x"] + box["width"] * 0.5
    low, high = box["y"] + 4, box["y"] + box["height"] - 34
    for _ in range(14):
        middle = (low + high) / 2
        page.mouse.move(x, middle)
        text = page.get_by_test_id("tooltip").locator(".tip-price strong").inner_text()
        here = float(text.replace(",", ""))
        low, high = (middle, high) if here > price else (low, middle)
    return (low + high) / 2


def test_tooltip_says_longs_below_and_shorts_above(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page)
    tip = page.get_by_test_id("tooltip")
    y_of(page, wire.long_price)
    expect(tip.locator(".tip-cell")).to_have_text(re.compile(r"~\$(19|20)\.\d+M\s*▼ longs"))
    expect(tip.locator(".tip-distance")).to_have_text(re.compile(r"^−1\.\d\d %$"))
    expect(tip.locator(".tip-way")).to_have_text(re.compile(r"~\$\d+(\.\d+)?M longs"))
    y_of(page, wire.short_price)
    expect(tip.locator(".tip-cell")).to_have_text(re.compile(r"~\$1[12]\.\d+M\s*▲ shorts"))
    expect(tip.locator(".tip-distance")).to_have_text(re.compile(r"^\+1\.\d\d %$"))
    expect(tip.locator(".tip-way")).to_have_text(re.compile(r"shorts$"))
    for name in "OHLC":
        expect(tip.locator("dt", has_text=name)).to_be_visible()


def test_click_pins_and_escape_unpins(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    y = y_of(page, wire.long_price)
    box = page.locator(STAGE).bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.5, y)
    pinned = page.get_by_test_id("pinned")
    expect(pinned).to_contain_text("longs")
    page.mouse.move(box["x"] + 200, box["y"] + 100)
    expect(pinned).to_contain_text("longs")
    page.keyboard.press("Escape")
    expect(pinned).to_have_count(0)


def test_keyboard_cursor_reads_cells(page: Page, fake: Any) -> None:
    open_page(page)
    page.locator(".chart").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    tip = page.get_by_test_id("tooltip")
    expect(tip).to_be_visible()
    before = tip.locator(".tip-price strong").inner_text()
    page.keyboard.press("Shift+ArrowUp")
    expect(tip.locator(".tip-price strong")).not_to_have_text(before)
    expect(page.locator("[aria-live=polite]")).to_contain_text(re.compile("longs|shorts"))
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("pinned")).to_be_visible()


def test_keys_choose_and_are_silent_while_typing(page: Page, fake: Any) -> None:
    open_page(page)
    page.keyboard.press("5")
    expect(page).to_have_url(re.compile(r"[?&]r=1w"))
    page.keyboard.press("m")
    expect(page).to_have_url(re.compile(r"[?&]m=sharp"))
    page.keyboard.press("l")
    expect(page).to_have_url(re.compile(r"[?&]ax=log"))
    page.keyboard.press("]")
    expect(page).to_have_url(re.compile(r"[?&]thr=0\.0\d+-1"))
    page.keyboard.press("/")
    search = page.get_by_role("combobox", name="Search contracts")
    expect(search).to_be_focused()
    page.keyboard.type("eth m 1")
    expect(page).to_have_url(re.compile(r"[?&]r=1w"))
    search.fill("eth")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"s=test:ETHUSDT"))
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("move the cursor")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_live_columns_append_without_a_new_snapshot(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page)
    for i in range(3):
        fake.send(wire.dense(2, 2 + i, wire.columns + i, 100.5 + i))
    fake.send_status(last_price=102.5)
    expect(page.locator(".price strong")).to_have_text("102.50")
    assert len(fake.subscriptions) == 1


def test_hole_in_seq_asks_for_a_snapshot(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    fake.send(wire.dense(2, 9, wire.columns))
    until(page, lambda: len(fake.subscriptions) == 2, "asked again")
    expect(page.get_by_test_id("link")).to_have_count(2)


def test_closed_socket_shows_countdown_and_recovers(page: Page, fake: Any) -> None:
    open_page(page)
    fake.refuse = True
    fake.sockets[-1].close()
    banner = page.get_by_test_id("disconnected")
    expect(banner).to_contain_text("last picture")
    expect(banner).to_contain_text(re.compile(r"Retry in \d+ s"))
    expect(page.locator(".stage.dead")).to_be_visible()
    fake.refuse = False
    expect(banner).to_have_count(0, timeout=15_000)
    expect(page.locator(".stage.dead")).to_have_count(0)


def test_old_data_are_called_stale(page: Page, fake: Any) -> None:
    fake.status["data_ms"] = fake.now_ms() - 17 * 60_000
    open_page(page)
    expect(page.get_by_test_id("stale")).to_contain_text("17 min old")
    expect(page.locator(".head .chip.link")).to_have_class(re.compile("amber"))
    fake.send_status(data_ms=fake.now_ms())
    expect(page.get_by_test_id("stale")).to_have_count(0)


def test_no_data_says_what_is_being_collected(page: Page, fake: Any) -> None:
    fake.picture = False
    since = fake.now_ms() - 3_600_000
    fake.status = {"columns": 0, "columns_wanted": 864, "collecting_since_ms": since}
    page.goto("/")
    empty = page.get_by_test_id("empty")
    expect(empty).to_contain_text("0 of 864 columns")
    expect(empty).to_contain_text("liqheat import")


def test_no_instruments_says_what_to_do(page: Page, fake: Any) -> None:
    fake.instruments = []
    page.goto("/")
    expect(page.get_by_test_id("empty")).to_contain_text("liqheat up")


def test_instruments_which_come_later_are_shown(page: Page, fake: Any) -> None:
    fake.instruments = []
    page.goto("/")
    expect(page.get_by_role("heading", name="No contracts yet")).to_be_visible()
    fake.instruments = None
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def test_partial_history_is_counted(page: Page, fake: Any) -> None:
    fake.status = {"columns": 120, "columns_wanted": 864, "collecting_since_ms": 0}
    open_page(page)
    expect(page.get_by_test_id("partial")).to_contain_text("120 of 864")


def test_error_shows_its_detail_and_can_be_tried_again(page: Page, fake: Any) -> None:
    fake.problem = {
        "status": 422,
        "title": "Unknown instrument",
        "detail": "did you mean binance:BTCUSDT?",
        "field": "instrument",
    }
    page.goto("/?s=binance:BTC")
    error = page.get_by_test_id("error")
    expect(error).to_contain_text("did you mean binance:BTCUSDT?")
    expect(error).to_contain_text("422")
    fake.problem = None
    page.get_by_role("button", name="Try again").click()
    expect(error).to_have_count(0)


def test_unreadable_frame_is_a_banner_over_the_picture(page: Page, fake: Any) -> None:
    open_page(page)
    fake.picture = False  # the whole picture which the page asks for would end the banner
    fake.send(b"\x07junk")
    expect(page.get_by_test_id("problem")).to_contain_text("unreadable")
    expect(page.locator(".stage canvas").first).to_be_visible()


def test_simulated_data_cannot_be_overlooked(page: Page, fake: Any) -> None:
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_page(page)
    expect(page.locator(".head .badge.simulated")).to_have_text("SIMULATED")
    expect(page.locator(".watermark")).to_have_text("SIMULATED")


def test_replay_shows_its_speed(page: Page, fake: Any) -> None:
    fake.status = {"mode": "replay", "replay_speed": 60, "data_ms": 1}
    fake.flags = 4
    open_page(page)
    expect(page.locator(".head .badge.replay")).to_have_text("REPLAY 60×")
    expect(page.get_by_test_id("stale")).to_have_count(0)


def test_recorded_data_are_no_replay(page: Page, fake: Any) -> None:
    fake.status = {
        "mode": "replay",
        "data_ms": fake.now_ms() - 9 * 86_400_000,
        "exchanges": [
            {"exchange": "test", "state": "stale", "age_ms": 9 * 86_400_000, "detail": ""}
        ],
        "note": "Recorded data; nothing is collecting it.",
    }
    fake.flags = 4
    open_page(page)
    badge = page.locator(".head .badge")
    expect(badge).to_have_text("RECORDED")
    expect(badge).to_have_attribute("title", re.compile("nothing is collecting"))
    for chip in page.get_by_test_id("link").all():
        expect(chip).to_have_class(re.compile("amber"))
        expect(chip).to_contain_text("9 d old")
    expect(page).to_have_title(re.compile(r"^REC 100\.00 BTCUSDT"))


def test_resting_cursor_reads_the_exact_figure(page: Page, fake: Any, wire: Any) -> None:
    open_page(page)
    y = y_of(page, wire.long_price)
    tip = page.get_by_test_id("exact")
    expect(tip).to_contain_text("$1,234,567", timeout=15_000)
    expect(tip).to_contain_text("▼ longs")
    expect(tip).to_contain_text("$617,284")
    box = page.locator(STAGE).bounding_box()
    assert box
    fake.hold_columns = True
    page.mouse.move(box["x"] + box["width"] * 0.3, y)
    expect(tip).to_have_count(0)
    expect(page.get_by_test_id("tooltip")).to_contain_text("~$")


def test_realised_liquidations_are_drawn_told_and_switched_off(
    page: Page, fake: Any, wire: Any
) -> None:
    now = fake.now_ms()
    row = {
        "event_ms": now - 60 * 300_000,
        "instrument": "test:BTCUSDT",
        "position_side": "long",
        "price": wire.price,
        "qty": 1.0,
        "notional_usd": 2e6,
        "price_kind": "order",
    }
    late = {**row, "event_ms": now - 60_000, "position_side": "short", "notional_usd": 9e3}
    fake.liquidations = [row, {**row, "notional_usd": 1e6}, late]
    open_page(page)
    expect(page.locator(".last-liq")).to_have_text(re.compile(r"short \$9\.00K BTCUSDT"))
    y = y_of(page, wire.price * 0.9995)
    box = page.locator(STAGE).bounding_box()
    assert box
    told = page.get_by_test_id("liquidated")
    # The mark is a few pixels wide and lies about the middle: sweep over it.
    for k in range(240):
        page.mouse.move(box["x"] + box["width"] * (0.3 + k / 600), y)
        if told.count():
            break
    expect(told).to_contain_text(re.compile(r"liquidated ×2\s*\$3\.00M longs"))
    page.keyboard.press("r")
    expect(page).to_have_url(re.compile("liq=0"))
    page.mouse.move(box["x"] + box["width"] * (0.3 + k / 600) + 0.5, y)
    expect(told).to_have_count(0)


def test_relative_scale_is_said(page: Page, fake: Any) -> None:
    fake.status["usd_scale"] = "relative"
    open_page(page)
    expect(page.locator(".status .caption")).to_contain_text("Relative scale")
    expect(page.locator(".legend-unit")).to_have_text("relative")


def test_auto_model_says_which_one_it_is(page: Page, fake: Any) -> None:
    open_page(page)
    expect(page.locator(".stage > .model-line")).to_have_text(re.compile(r"^Sharp\. "))
    page.locator(".controls button[data-value=calibrated]").click()
    expect(page).to_have_url(re.compile("m=calibrated"))
    expect(page.locator(".stage > .model-line")).to_have_text(re.compile("^Weights learnt"))


def test_attribution_is_on_the_chart_and_in_about(page: Page, fake: Any) -> None:
    open_page(page)
    expect(page.locator(".stage a[href*='tradingview.com']")).to_be_visible()
    page.locator("[data-name=about]").click()
    about = page.get_by_role("dialog")
    expect(about).to_contain_text("Copyright (c) 2025 TradingView, Inc.")
    expect(about).to_contain_text("not a prediction")


def test_largest_levels_table(page: Page, fake: Any) -> None:
    open_page(page)
    page.keyboard.press("t")
    table = page.get_by_role("table")
    expect(table.locator("tbody tr").first).to_contain_text("▼ longs")
    expect(table.locator("tbody tr").nth(1)).to_contain_text("▲ shorts")


@pytest.mark.parametrize("width", [390, 360])
def test_phone_has_no_overflow_and_a_sheet(page: Page, fake: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    fake.status["mode"] = "simulated"
    fake.flags = 2
    open_page(page)
    too_wide = """() => [...document.querySelectorAll('#app *:not(.sr):not(.sr *)')]
        .filter((e) => !e.closest('.chart, .watermark'))
        .filter((e) => { const r = e.getBoundingClientRect();
                         return r.width && (r.right > innerWidth + 0.5 || r.left < -0.5); })
        .map((e) => e.className || e.tagName)"""
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(too_wide) == []
    expect(page.locator(".stage-badge .badge")).to_be_in_viewport()
    page.locator("[data-name=controls]").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_role("slider").first).to_be_visible()
    assert page.evaluate(too_wide) == []
    small = """() => [...document.querySelectorAll('.bottom button, .sheet button')]
        .map((e) => e.getBoundingClientRect())
        .filter((r) => r.width && (r.width < 43.5 || r.height < 43.5)).length"""
    assert page.evaluate(small) == 0


def axe(page: Page) -> list[str]:
    """Return what axe-core finds wrong."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python tools/web_build.py test")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    return [
        f"{rule['id']}: {node['html'][:120]}"
        for rule in found["violations"]
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_on_the_picture_and_the_dialogs(
    page: Page, fake: Any, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page)
    assert axe(page) == []
    for key in "?/t":
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        assert axe(page) == []
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_axe_finds_nothing_on_the_other_states(page: Page, fake: Any) -> None:
    fake.status = {"mode": "replay", "data_ms": 1, "usd_scale": "relative"}
    fake.flags = 4
    open_page(page)
    assert axe(page) == []
    fake.refuse = True
    fake.sockets[-1].close()
    expect(page.get_by_test_id("disconnected")).to_be_visible()
    assert axe(page) == []
    fake.refuse, fake.flags = False, 2
    fake.status = {"mode": "simulated", "columns": 0}
    fake.picture = False
    page.goto("/")
    expect(page.get_by_test_id("empty")).to_be_visible()
    assert axe(page) == []
    fake.problem = {"status": 422, "title": "Unknown instrument", "detail": "none such"}
    page.goto("/?s=none:SUCH")
    expect(page.get_by_test_id("error")).to_be_visible()
    assert axe(page) == []


def test_nothing_shifts_from_the_skeleton_to_the_picture(page: Page, fake: Any) -> None:
    page.add_init_script("""
        window.shifts = [];
        new PerformanceObserver((list) => {
          for (const e of list.getEntries()) window.shifts.push(
            [e.value, ...e.sources.map((s) => s.node?.className ?? '')]);
        }).observe({ type: 'layout-shift', buffered: true });""")
    open_page(page)
    fake.send_status(last_price=101.0)
    expect(page.locator(".price strong")).to_be_visible()
    shifts = page.evaluate("window.shifts")
    assert sum(shift[0] for shift in shifts) < 0.01, shifts


def test_focus_returns_to_what_opened_a_dialog(page: Page, fake: Any) -> None:
    open_page(page)
    for name, key in (("help", "Escape"), ("about", "Enter")):
        button = page.locator(f"[data-name={name}]")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.get_by_role("button", name="Close").focus()
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_have_count(0)
        expect(button).to_be_focused()


def test_keyboard_alone_reaches_everything(page: Page, fake: Any) -> None:
    open_page(page)
    names: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name = page.evaluate("""() => {
          const e = document.activeElement;
          return e?.getAttribute('aria-label') ?? e?.innerText ?? '';
        }""")
        if name in names:
            continue
        names.append(name)
    told = " | ".join(names)
    for wanted in ("BTCUSDT", "3d", "Sharp", "Liquidations", "Log price", "Threshold",
                   "Strongest", "Liquidation heatmap", "About"):  # fmt: skip
        assert wanted in told, told
