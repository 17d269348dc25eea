"""Sub-panes under the heat: chosen, remembered, linked in time, honest about what is unknown."""

import io
import json
import math
import re
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import FloatRect, Locator, Page, expect

from tests.ui.conftest import until
from tests.ui.test_states import axe, open_page

COLUMNS = 120
ALL = "oi,funding,volume,cvd,rsi,liq"
#: Colors of the dark theme: the line of open interest, bars of liquidated longs and shorts.
OPEN_INTEREST, LONGS, SHORTS = (110, 231, 183), (64, 131, 182), (186, 117, 52)


def legend(page: Page, kind: str) -> Locator:
    return page.locator(f".pane-legend[data-pane={kind}]")


def pane_box(page: Page, index: int) -> FloatRect:
    """Return the screen box of the canvas of a pane; 0 is the heat."""
    cell = (
        page.locator(".chart table tr:has(td:nth-child(3))").nth(index).locator("td").nth(1)
    )
    box = cell.bounding_box()
    assert box
    return box


def pixels(page: Page, index: int) -> NDArray[Any]:
    png = page.screenshot(clip=pane_box(page, index))
    return np.asarray(
        255 * matplotlib.image.imread(io.BytesIO(png), format="png")[..., :3], np.float64
    )


def near(image: NDArray[Any], color: tuple[int, int, int]) -> NDArray[Any]:
    found: NDArray[Any] = np.abs(image - np.array(color)).max(axis=-1) < 40
    return found


def column_x(page: Page, column: int) -> float:
    """Screen x of a column: the line of open interest runs from the first to the newest."""
    page.mouse.move(0, 0)
    drawn = np.flatnonzero(near(pixels(page, 1)[20:], OPEN_INTEREST).any(axis=0))
    first, last = float(drawn[0]), float(drawn[-1])
    return pane_box(page, 1)["x"] + first + (last - first) * column / (COLUMNS - 1)


def test_a_pane_is_switched_and_the_address_bar_says_so(page: Page, fake: Any) -> None:
    open_page(page)
    assert fake.series_asked == []
    page.keyboard.press("i")
    menu = page.get_by_role("dialog", name="Panes")
    menu.get_by_role("checkbox", name="Open interest").check()
    menu.get_by_role("checkbox", name="RSI").check()
    expect(page).to_have_url(re.compile(r"[?&]sub=oi,rsi"))
    page.keyboard.press("Escape")
    page.mouse.move(0, 0)  # the newest values, not those under the pointer
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    expect(legend(page, "rsi")).to_contain_text("50.0")
    assert pane_box(page, 2)["height"] > 40
    legend(page, "oi").get_by_role("button").click()
    page.mouse.move(0, 0)
    expect(page).to_have_url(re.compile(r"[?&]sub=rsi"))
    expect(legend(page, "oi")).to_have_count(0)
    page.go_back()
    expect(legend(page, "oi")).to_be_visible()
    page.reload()
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    # A plain address opens with the last choice, and says so.
    page.goto("/")
    expect(legend(page, "rsi")).to_be_visible()
    expect(page).to_have_url(re.compile(r"[?&]sub=rsi"))
    assert legend(page, "oi").count() == 0


def test_the_crosshair_reads_every_pane_at_one_time(page: Page, fake: Any) -> None:
    open_page(page, "?sub=oi,liq,funding,volume")
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    expect(legend(page, "volume")).to_contain_text("67 % bought by takers")
    x = column_x(page, 30)
    page.mouse.move(x, pane_box(page, 0)["y"] + 200)
    heat, first = pane_box(page, 0), pane_box(page, 1)
    expect(legend(page, "oi")).to_contain_text("$1.03B")
    expect(legend(page, "funding")).to_contain_text("+0.0100 %")
    expect(legend(page, "funding")).to_contain_text("longs pay")
    expect(page.get_by_test_id("tooltip")).to_be_visible()
    # On a sub-pane there is a time to read, and no price of the heat.
    page.mouse.move(x, first["y"] + first["height"] / 2)
    tip = page.get_by_test_id("time-tip")
    expect(tip).to_contain_text("UTC")
    expect(tip).to_contain_text("C 100.00")
    expect(page.get_by_test_id("tooltip")).to_have_count(0)
    expect(legend(page, "oi")).to_contain_text("$1.03B")
    box = tip.bounding_box()
    assert box
    assert box["y"] > heat["y"]
    assert box["y"] + box["height"] <= first["y"]
    # A click there pins nothing: it has no price.
    page.mouse.click(x, first["y"] + first["height"] / 2)
    expect(page.get_by_test_id("pinned")).to_have_count(0)
    page.mouse.move(heat["x"] + 300, 40)
    expect(tip).to_have_count(0)
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    page.locator(".chart").focus()
    page.keyboard.press("Shift+ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(legend(page, "liq")).to_contain_text("▲ shorts $0")
    expect(legend(page, "oi")).to_contain_text(re.compile(r"\$1\.(09|10)B"))


def test_unknown_is_a_hole_and_each_side_has_its_way(page: Page, fake: Any) -> None:
    open_page(page, "?sub=oi,liq")
    expect(legend(page, "liq")).to_contain_text("lower bound")
    # Columns 60 to 69 are unknown: the line ends at 59 and begins at 70.
    left, right = column_x(page, 59), column_x(page, 70)
    box = pane_box(page, 1)
    page.mouse.move((left + right) / 2, box["y"] + 30)
    expect(legend(page, "oi")).to_contain_text("unknown")
    page.mouse.move(0, 0)
    line: NDArray[Any] = np.any(near(pixels(page, 1)[20:], OPEN_INTEREST), axis=0)
    a, b = int(left - box["x"]), int(right - box["x"])
    assert not line[a + 4 : b - 3].any()  # no line over what nobody measured
    # (a thin line between two rows of pixels is fainter than its color)
    assert line[40 : a - 3].mean() > 0.7
    assert line[b + 4 : b + 60].mean() > 0.7
    image = pixels(page, 2)[20:]
    longs, shorts = (np.flatnonzero(near(image, of).any(axis=1)) for of in (LONGS, SHORTS))
    assert len(longs) > len(shorts) > 0  # 7 million of longs against 2 of shorts
    assert shorts.max() < longs.min()  # shorts upwards, longs downwards


def test_says_why_a_pane_is_empty(page: Page, fake: Any, console: list[str]) -> None:
    fake.series_status = 503
    open_page(page, f"?sub={ALL}")
    oi = legend(page, "oi")
    expect(oi.get_by_role("alert")).to_contain_text("The store is busy")
    none: list[None] = [None] * 120
    fake.series = {
        "taker_buy_usd": none, "taker_sell_usd": none, "liquidated_long_usd": none,
        "liquidated_short_usd": none, "liquidations_completeness": None,
    }  # fmt: skip
    fake.series_status = 200
    oi.get_by_role("button", name="Retry").click()
    page.mouse.move(0, 0)
    expect(oi).to_contain_text("$1.12B")
    expect(legend(page, "cvd")).to_contain_text("no split into buys and sells")
    expect(legend(page, "liq")).to_contain_text("none recorded here")
    # The browser itself logs the refused request.
    console[:] = [line for line in console if "503" not in line]


def test_live_columns_ask_for_the_newest_hours_only(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page, "?sub=oi,rsi")
    expect(legend(page, "rsi")).to_contain_text("50.0")
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    assert [asked["range"] for asked in fake.series_asked] == [["3d"]]
    fake.send(wire.dense(2, 2, wire.columns, 101.0))
    expect(legend(page, "rsi")).to_contain_text("100.0above 70")
    fake.send(wire.dense(3, 3, wire.columns, 100.0))
    expect(legend(page, "rsi")).to_contain_text("50.0")
    until(page, lambda: len(fake.series_asked) > 1, "asked for more")
    page.wait_for_timeout(1000)
    assert [asked["range"] for asked in fake.series_asked[1:]] == [["12h"]]
    assert fake.series_asked[1]["step"] == ["5m"]


def test_the_heat_keeps_its_share_and_a_drag_is_remembered(page: Page, fake: Any) -> None:
    open_page(page, f"?sub={ALL}&renderer=webgl2")
    expect(legend(page, "liq")).to_contain_text("shorts")
    heat = pane_box(page, 0)
    panes = [pane_box(page, i) for i in range(1, 7)]
    whole = heat["height"] + sum(pane["height"] for pane in panes)
    assert heat["height"] / whole > 0.54
    assert min(pane["height"] for pane in panes) > 40

    def apart(i: int, kind: str) -> float:
        box = legend(page, kind).bounding_box()
        return box["y"] - pane_box(page, i + 1)["y"] if box else math.inf

    # The chart lays the panes out over a few frames.
    kinds = list(enumerate(ALL.split(",")))
    until(page, lambda: all(-4 <= apart(*one) <= 6 for one in kinds), "legends in place")
    rects = """() => ['.heat-canvas', '.chart table td canvas'].map((of) => {
        const { x, y, width, height } = document.querySelector(of).getBoundingClientRect();
        return [x, y, width, height];
    })"""
    under, over = page.evaluate(rects)
    assert under == over  # the heat lies exactly under its own pane
    page.goto("/?sub=oi")
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    before = pane_box(page, 1)
    page.mouse.move(before["x"] + 300, before["y"] - 1)
    page.mouse.down()
    page.mouse.move(before["x"] + 300, before["y"] - 61, steps=4)
    page.mouse.up()

    def taller() -> float:
        return pane_box(page, 1)["height"] - before["height"]

    until(page, lambda: abs(taller() - 60) < 4, "60 pixels taller")
    page.reload()
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    assert abs(taller() - 60) < 8
    kept = json.loads(page.evaluate("localStorage.getItem('liqheat.prefs')"))
    assert kept["subpanes"] == ""
    assert 0.1 < kept["paneShares"]["oi"] < 0.3


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_with_panes_and_their_menu(
    page: Page, fake: Any, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    open_page(page, f"?sub={ALL}")
    expect(legend(page, "oi")).to_contain_text("$1.12B")
    assert legend(page, "funding").count() == 1
    assert (legend(page, "volume").count() == 1) == (width > 600)
    assert axe(page) == []
    if width > 600:
        page.keyboard.press("i")
    else:
        page.locator("[data-name=controls]").click()
    switches = page.get_by_role("group", name="Panes under the heatmap")
    expect(switches.get_by_role("checkbox")).to_have_count(6)
    if width < 600:
        expect(switches).to_contain_text("room for 2")
        heights = switches.locator("label").evaluate_all(
            "all => all.map((e) => e.getBoundingClientRect().height)"
        )
        assert min(heights) >= 44
    assert axe(page) == []
