"""The page over hours of live updates, compressed: its heap stays flat.

Each second of the time pretended is a sparse update, each minute a new column, every five
seconds a status and a liquidation, with the feed open. They are sent as fast as the page takes
them; the heap is read after a full collection at eight marks. One hour by default,
SOAK_HOURS=8 pytest tests/soak/test_page.py -s for a night.
"""

import json
import os
import struct
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.ui import conftest as ui

HOURS = min(8.0, float(os.environ.get("SOAK_HOURS", "1")))
MARKS = 8
GROWTH = 0.05
#: Rows which fill every list of the page (engine/feed.ts SHELF_MOST, engine/tape.ts ROWS_MOST).
LISTS = 11_000
#: What the page may hold more than at the first mark in any case: caches fill late.
SLACK_MB = 0.3

base_url = ui.base_url
browser_type_launch_args = ui.browser_type_launch_args
browser_context_args = ui.browser_context_args
console = ui.console
fake = ui.fake

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.skipif(ui.CHROMIUM is None, reason="no chromium"),
]


def sparse(seq: int, index: int, price: float) -> bytes:
    """Return an update of twenty bins of a column."""
    bins = [(seq * 7 + k) % ui.BINS for k in range(20)]
    codes = bytes(1 + (seq + 11 * k) % 255 for k in range(20))
    head = struct.pack("<BQI", 4, seq, index) + ui.candle(price)
    return head + struct.pack("<H20H", 20, *bins) + codes


def liquidations(fake: Any, first: int, count: int) -> str:
    rows = [
        {
            "event_ms": fake.now_ms() - count + k,
            "instrument": "test:BTCUSDT",
            "position_side": "long" if k % 2 else "short",
            "price": ui.PRICE + (first + k) % 7 / 10,
            "qty": 1.0,
            "notional_usd": 1000.0 + first + k,
            "price_kind": "order",
        }
        for k in range(count)
    ]
    return json.dumps({"type": "liquidations", "rows": rows})


def no_rows(fake: Any, route: Any) -> None:
    """Answer the feed's question for older rows."""
    window = {"long_usd": 0.0, "short_usd": 0.0, "count": 0, "complete": True}
    totals = {name: window for name in ("1h", "4h", "24h")}
    facts = {"mode": "live", "rows": [], "more": False, "as_of_ms": fake.now_ms()}
    route.fulfill(json={**facts, "totals": totals, "completeness": {"test": "full"}})


class Feeder:
    """Sends what a server would, second by second."""

    def __init__(self, fake: Any) -> None:
        self.fake = fake
        self.seq, self.second, self.column, self.price = 1, 0, ui.COLUMNS - 1, ui.PRICE

    def run(self, seconds: int) -> None:
        for _ in range(seconds):
            self.second += 1
            self.seq += 1
            self.price = ui.PRICE + (self.second % 97) / 100
            if self.second % 60 == 0:
                self.column += 1
                self.fake.send(ui.dense(2, self.seq, self.column, self.price))
            else:
                self.fake.send(sparse(self.seq, self.column, self.price))
            if self.second % 5 == 0:
                self.fake.send_status()
                self.fake.send(liquidations(self.fake, self.second, 1))


def test_hours_of_updates_leave_the_heap_flat(page: Page, fake: Any) -> None:
    page.route("**/api/v1/liquidations?**", lambda route: no_rows(fake, route))
    page.goto("/?feed=1")
    expect(page.locator("html[data-picture]")).to_be_attached(timeout=30_000)
    devtools = page.context.new_cdp_session(page)
    feeder, sizes = Feeder(fake), []
    # Lists which have a bound are filled first: what grows afterwards is a leak.
    for batch in range(LISTS // 500):
        fake.send(liquidations(fake, 500 * batch, 500))
    feeder.run(60 * (ui.COLUMNS + 64))
    for mark in range(MARKS):
        feeder.run(round(HOURS * 3600 / MARKS))
        # The title has the price in two decimals: the last update has been taken.
        ui.until(page, lambda: f"{feeder.price:.2f}" in page.title(), "the last update")
        page.wait_for_timeout(500)
        devtools.send("HeapProfiler.collectGarbage")
        sizes.append(devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
        print(
            f"{HOURS * (mark + 1) / MARKS:6.2f} h {feeder.seq:7} frames {sizes[-1]:7.2f} MB"
        )
    assert len(fake.subscriptions) == 1, "a frame was not taken"
    # Compiled code and caches come with the first eighth.
    grown = sizes[-1] - sizes[1]
    print(f"from the second mark: {grown:+.2f} MB, {grown / sizes[1]:+.1%}")
    assert grown <= max(SLACK_MB, GROWTH * sizes[1])
