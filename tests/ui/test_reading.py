"""Reading aids and filters: details of a level, bands, profile, sides, leverage, exchanges."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
PHONE = {"width": 360, "height": 740}

# How many pixels of the heat between two screen heights are brighter than the ground.
BRIGHT = """([from, to]) => {
  const pane = document.querySelector('.chart').getBoundingClientRect();
  let lit = 0;
  for (const canvas of document.querySelectorAll('.chart canvas')) {
    const box = canvas.getBoundingClientRect();
    if (canvas.width < 200 || box.top > pane.top + 5) continue;
    const ratio = canvas.height / box.height;
    const y = Math.round((from - box.top) * ratio), h = Math.round((to - from) * ratio);
    const { data } = canvas.getContext('2d').getImageData(60, y, 200, h);
    for (let i = 0; i < data.length; i += 4)
      if (data[i + 3] > 200 && data[i + 1] > 90) lit++;
  }
  return lit;
}"""


@pytest.fixture
def coin(fake: Any, wire: Any) -> Any:
    """A coin of four exchanges: three share the long wall, gate has one of its own."""
    names = ("binance", "okx", "bybit", "gate")
    row = {
        "exchange": "test",
        "coin": "BTC",
        "settlement": "linear",
        "tick_size": 0.01,
        "start_ms": 0,
        "end_ms": fake.now_ms(),
        "bars": 1000,
        "interval_ms": 60_000,
        "kinds": ["bars"],
    }
    fake.instruments = [
        {**row, "instrument": f"{name}:BTCUSDT", "exchange": name} for name in names
    ]
    at = wire.long_bin
    fake.parts = {
        "gate": {at + 20: 3e6},
        "bybit": {at - 1: 2e6},
        "okx": {at: 4e6, wire.short_bin: 1e6},
        "binance": {at: 6e6, at + 1: 5e6, wire.short_bin: 9e6},
    }
    exchanges = [
        {"exchange": name, "state": "live", "age_ms": 400, "detail": "", "included": True}
        for name in names
    ]
    exchanges[2] |= {"state": "late", "age_ms": 70_000, "detail": "no trades for a minute"}
    exchanges.append(
        {"exchange": "dydx", "state": "refused", "age_ms": None, "detail": "HTTP 451"}
    )
    fake.status = {"exchanges": exchanges, "candles_of": "binance:BTCUSDT"}
    return fake


def open_page(page: Page, query: str = "") -> None:
    page.goto(f"/{query}")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=15_000)


def y_of(page: Page, price: float, share: float = 0.5) -> float:
    """Screen y of a price, found by moving the pointer: the tooltip tells the price."""
    box = page.locator(".stage").bounding_box()
    assert box
    x = box["x"] + box["width"] * share
    low, high = box["y"] + 4, box["y"] + box["height"] - 34
    for _ in range(14):
        middle = (low + high) / 2
        page.mouse.move(x, middle)
        text = page.get_by_test_id("tooltip").locator(".tip-price strong").inner_text()
        low, high = (
            (middle, high) if float(text.replace(",", "")) > price else (low, middle)
        )
    return (low + high) / 2


def accessible(page: Page) -> None:
    """Expect axe-core to find nothing wrong."""
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: python tools/web_build.py test")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({ resultTypes: ['violations'] })")
    assert [
        f"{r['id']}: {n['html']}" for r in found["violations"] for n in r["nodes"]
    ] == []


def test_rest_says_by_exchange_and_where_the_cluster_is(
    page: Page, coin: Any, wire: Any
) -> None:
    open_page(page, "?s=BTC")
    y_of(page, wire.long_price)
    tip = page.get_by_test_id("tooltip")
    expect(tip.get_by_test_id("exact")).to_contain_text("$10,000,000 ▼ longs")
    rows = tip.get_by_test_id("shares").locator("li")
    expect(rows).to_have_text(
        [re.compile(r"binance\$6.00M60 %"), re.compile(r"okx\$4.00M40 %")]
    )
    expect(tip.get_by_test_id("origin")).to_have_text("modelled")
    expect(tip.get_by_test_id("agreement")).to_contain_text(
        "on 3 of 4 exchanges: binance, okx, bybit; not on gate"
    )


def test_measured_levels_are_marked_with_share_and_age(
    page: Page, coin: Any, wire: Any
) -> None:
    coin.measured = {wire.long_bin: 2.5e6}
    open_page(page, "?s=BTC")
    y_of(page, wire.long_price)
    origin = page.get_by_test_id("origin")
    expect(origin).to_have_text("measured 25 %, read 2 min ago; the rest modelled")


def test_one_exchange_asks_the_others_only_about_a_cluster(
    page: Page, coin: Any, wire: Any
) -> None:
    open_page(page, "?s=binance:BTCUSDT")
    tip = page.get_by_test_id("tooltip")
    y_of(page, wire.price * 1.05)
    expect(tip.get_by_test_id("exact")).to_contain_text("no level here")
    asked = len(coin.columns_asked)
    y_of(page, wire.short_price)
    expect(tip.get_by_test_id("agreement")).to_contain_text("on 1 of 4 exchanges: binance")
    expect(tip.get_by_test_id("shares")).to_have_count(0)
    assert len(coin.columns_asked) > asked


def test_a_coin_of_one_exchange_says_so(page: Page, fake: Any, wire: Any) -> None:
    fake.parts = {"test": {wire.long_bin: 2e6}}
    open_page(page)
    y_of(page, wire.long_price)
    expect(page.get_by_test_id("agreement")).to_contain_text("this exchange only")


def test_the_pin_keeps_its_details(page: Page, coin: Any, wire: Any) -> None:
    open_page(page, "?s=BTC")
    y = y_of(page, wire.long_price)
    box = page.locator(".stage").bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] / 2, y)
    page.mouse.move(box["x"] + 300, box["y"] + 60)
    pinned = page.get_by_test_id("pinned")
    expect(pinned.get_by_test_id("agreement")).to_contain_text("on 3 of 4 exchanges")
    accessible(page)


def test_tooltip_is_whole_on_a_small_phone(page: Page, coin: Any, wire: Any) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, "?s=BTC")
    for share in (0.2, 0.7):
        y_of(page, wire.long_price, share)
        tip = page.get_by_test_id("tooltip")
        expect(tip.get_by_test_id("agreement")).to_be_visible()
        page.wait_for_timeout(100)
        box, stage = tip.bounding_box(), page.locator(".stage").bounding_box()
        assert box
        assert stage
        assert box["x"] >= stage["x"]
        assert box["y"] >= stage["y"]
        assert box["x"] + box["width"] <= PHONE["width"]
        assert box["y"] + box["height"] <= stage["y"] + stage["height"]


def test_bands_come_and_go_with_their_key(page: Page, fake: Any) -> None:
    open_page(page, "?bands=1")
    toggle = page.locator(".top [data-name=bands]")
    expect(toggle).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("b")
    expect(page).not_to_have_url(re.compile("bands"))
    expect(toggle).to_have_attribute("aria-pressed", "false")


def test_filters_have_keys(page: Page, coin: Any) -> None:
    open_page(page, "?s=BTC")
    expect(page.locator(".top [data-name=exchanges]")).to_be_visible()
    page.keyboard.press("o")
    expect(page).to_have_url(re.compile("side=long"))
    for key, words in (("k", "Tiers drawn"), ("e", "Only okx")):
        page.keyboard.press(key)
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text(words).or_(dialog.get_by_label(words))).to_be_visible()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)


def test_side_hides_the_other_sides_cells_but_not_their_reading(
    page: Page, fake: Any, wire: Any
) -> None:
    open_page(page, "?renderer=canvas2d&prof=0&liq=0")
    tip = page.get_by_test_id("tooltip")
    walls = [y_of(page, price) for price in (wire.long_price, wire.short_price)]
    page.mouse.move(5, 5)

    def lit() -> list[bool]:
        page.wait_for_timeout(150)
        return [page.evaluate(BRIGHT, [y - 3, y + 3]) > 200 for y in walls]

    assert lit() == [True, True]
    side = page.locator(".top").get_by_role("group", name="Side")
    side.get_by_role("button", name="Shorts").click()
    expect(page).to_have_url(re.compile("side=short"))
    assert lit() == [False, True]
    fake.send(wire.dense(2, 2, wire.columns))
    assert lit() == [False, True]
    y_of(page, wire.long_price)
    expect(tip.locator(".tip-cell")).to_contain_text("longs")
    page.mouse.move(5, 5)
    side.get_by_role("button", name="Longs").click()
    assert lit() == [True, False]
    side.get_by_role("button", name="Both").click()
    expect(page).not_to_have_url(re.compile("side="))
    assert lit() == [True, True]


def test_profile_is_split_by_exchange_and_by_leverage(
    page: Page, coin: Any, wire: Any
) -> None:
    open_page(page, "?s=BTC")
    chooser = page.get_by_role("combobox", name="Profile")
    chooser.select_option("exchange")
    expect(page).to_have_url(re.compile("pf=exchange"))
    legend = page.get_by_test_id("profile-legend")
    expect(legend.locator("li")).to_have_text(["binance", "okx", "gate", "bybit"])
    expect(page.locator(".profile-pain")).to_contain_text("max pain")
    assert coin.maps_asked[-1]["parts"] == ["exchange"]
    y_of(page, wire.long_price, 0.87)
    tip = page.get_by_test_id("tooltip")
    expect(tip).to_contain_text("profile of the newest column")
    expect(tip.get_by_test_id("shares").locator("li")).to_have_count(2)
    expect(tip).to_contain_text(re.compile("max pain.*\\$10.0M"))
    chooser.select_option("tier")
    expect(legend.locator("li")).to_have_text(["10x", "20–25x", "≥ 75x"])
    accessible(page)
    chooser.select_option("side")
    expect(legend).to_have_count(0)
    expect(page).not_to_have_url(re.compile("pf="))


def test_profile_says_when_its_split_cannot_be_loaded(
    page: Page, coin: Any, console: list[str]
) -> None:
    page.route("**/api/v1/map?**", lambda route: route.fulfill(status=503, json={}))
    open_page(page, "?s=BTC&pf=tier")
    expect(page.locator(".profile-head [role=alert]")).to_contain_text(
        "could not be loaded"
    )
    console.clear()


def test_tiers_are_asked_for_once_the_clicks_rest(page: Page, fake: Any) -> None:
    open_page(page)
    page.locator(".top [data-name=leverage]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-tier=L4]")).to_be_visible()
    page.evaluate(
        "['L4', 'L5'].forEach((t) => document.querySelector(`[data-tier=${t}]`).click())"
    )
    expect(page).to_have_url(re.compile("lev=L1,L2,L3"))
    expect(page.locator(".stage .overlay")).to_have_count(0)
    page.wait_for_timeout(600)
    assert [one.get("tiers") for one in fake.subscriptions] == [None, "2,3,5,10,20,25"]
    for tier in ("L1", "L2"):
        dialog.locator(f"[data-tier={tier}]").click()
    last = dialog.locator("[data-tier=L3]")
    expect(last).to_have_attribute("aria-disabled", "true")
    last.click(force=True)
    expect(page).to_have_url(re.compile("lev=L3"))
    accessible(page)
    dialog.locator("[data-name=all-tiers]").click()
    expect(page).not_to_have_url(re.compile("lev="))


def test_own_mixture_is_shown_and_taken_back_by_one_click(page: Page, fake: Any) -> None:
    open_page(page)
    page.locator(".top [data-name=leverage]").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="High").click()
    expect(page).to_have_url(re.compile(r"mix=25:.2,50:.4,100:.4"))
    slider = dialog.get_by_role("slider", name="Share of 50x")
    for value in (30, 20, 10, 0):
        slider.fill(str(value))
    page.wait_for_timeout(600)
    sent = [one.get("leverage") for one in fake.subscriptions]
    assert sent[-1] == "25:.2,100:.4"
    assert len(sent) <= 4
    page.keyboard.press("Escape")
    chip = page.locator(".top [data-name=own-mixture]")
    expect(chip).to_contain_text("own mixture")
    expect(page.locator(".stage > .model-line")).to_contain_text("Own mixture")
    chip.click()
    expect(page).not_to_have_url(re.compile("mix="))
    expect(chip).to_have_count(0)
    page.wait_for_timeout(400)
    assert "leverage" not in fake.subscriptions[-1]


def test_exchanges_are_chosen_with_their_states_in_words(page: Page, coin: Any) -> None:
    open_page(page, "?s=BTC")
    page.locator(".top [data-name=exchanges]").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("[data-exchange=bybit]")).to_contain_text(
        "late, 70 s old: no trades for a minute"
    )
    expect(dialog.locator("[data-exchange=dydx]")).to_contain_text(
        "refused, no data: HTTP 451"
    )
    expect(dialog.get_by_role("checkbox", name="dydx")).to_be_disabled()
    accessible(page)
    dialog.get_by_role("checkbox", name="gate").click()
    expect(page).to_have_url(re.compile("ex=binance,okx,bybit"))
    dialog.get_by_role("button", name="Only okx").click()
    expect(page).to_have_url(re.compile(r"ex=okx(&|$)"))
    assert coin.subscriptions[-1]["exchanges"] == "okx"


def test_phone_has_the_filters_in_its_sheet(page: Page, coin: Any) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, "?s=BTC")
    page.locator(".bottom [data-name=controls]").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="Longs").click()
    expect(page).to_have_url(re.compile("side=long"))
    sheet.locator("[data-name=leverage]").click()
    expect(page.get_by_role("dialog")).to_contain_text("Tiers drawn")
    box = page.get_by_role("dialog").bounding_box()
    assert box
    assert box["width"] <= PHONE["width"]
    accessible(page)
