"""How fast the page draws: medians in a headless Chromium beside the budgets.

    python benchmarks/page.py --url http://127.0.0.1:8321
    python benchmarks/page.py --url http://127.0.0.1:8321 --heap 5

The second watches the page's heap while columns come in, best from a fast replay
(``liqheat up --replay FOLDER --speed 3000``: 5 minutes are 10 days).

The matrices are made up inside the page (``?bench=WxH``, marked SIMULATED), so the figures
do not depend on data; the first picture is timed on the real start page. Canvas 2D, no GPU.
On a busy machine the least of the samples says more than their median.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, sync_playwright

RUNS = 30
HEAP_SAMPLES = 12
HEAP_GROWTH = 0.05
SIZES = ("1440x400", "4000x1000")
VIEWPORT = {"width": 1440, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Row:
    """One line of the table [ms]."""

    what: str
    matrix: str
    least: float
    median: float
    p95: float
    budget: float

    def text(self) -> str:
        """Format the line."""
        verdict = "ok" if self.median <= self.budget else "OVER"
        numbers = f"{self.least:8.1f} {self.median:8.1f} {self.p95:8.1f} {self.budget:8.0f}"
        return f"{self.what:<14} {self.matrix:<10} {numbers}  {verdict}"


def row(what: str, matrix: str, samples: list[float], budget: float) -> Row:
    ordered = sorted(samples)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    return Row(what, matrix, ordered[0], statistics.median(ordered), p95, budget)


def open_page(browser: Browser, url: str) -> Any:
    page = browser.new_page(viewport=VIEWPORT)
    page.goto(url)
    page.locator("html[data-picture]").wait_for(state="attached", timeout=60_000)
    return page


def first_picture(browser: Browser, url: str) -> Row:
    samples = []
    for _ in range(RUNS):
        page = open_page(browser, url)
        mark = "performance.getEntriesByName('liqheat:first-picture')[0].startTime"
        samples.append(float(page.evaluate(mark)))
        page.close()
    return row("first picture", "as served", samples, 1000)


def matrix(browser: Browser, url: str, size: str) -> list[Row]:
    page = open_page(browser, f"{url}/?bench={size}")
    page.wait_for_timeout(500)
    out = []
    for what, budget in (("pan", 16), ("threshold", 20), ("append", 16), ("decode", 50)):
        samples = page.evaluate(f"liqheatBench.{what}({RUNS})")
        out.append(row(what, size, samples, budget))
    page.close()
    return out


def measure(url: str) -> list[Row]:
    chromium = os.environ.get("LIQHEAT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=FLAGS)
        rows = [line for size in SIZES for line in matrix(browser, url, size)]
        rows.append(first_picture(browser, url))
        browser.close()
    return rows


def heap(url: str, minutes: float) -> int:
    """Print the heap once in a while, after a full collection [MB]; 1 when it grows."""
    chromium = os.environ.get("LIQHEAT_CHROMIUM") or shutil.which("chromium")
    sizes: list[float] = []
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=FLAGS)
        page = open_page(browser, url)
        devtools = page.context.new_cdp_session(page)
        for i in range(HEAP_SAMPLES + 1):
            page.wait_for_timeout(minutes * 60_000 / HEAP_SAMPLES if i else 5_000)
            devtools.send("HeapProfiler.collectGarbage")
            sizes.append(devtools.send("Runtime.getHeapUsage")["usedSize"] / 1e6)
            print(
                f"{i * minutes / HEAP_SAMPLES:5.1f} min {sizes[-1]:7.2f} MB  {page.title()}"
            )
        browser.close()
    # The first half may still fill caches and the columns there is room for.
    half = len(sizes) // 2
    growth = statistics.mean(sizes[-3:]) / statistics.mean(sizes[half : half + 3]) - 1
    print(f"second half: {growth:+.1%}")
    return 0 if growth < HEAP_GROWTH else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8321")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--heap", type=float, metavar="MINUTES", help="watch the heap instead"
    )
    options = parser.parse_args()
    if options.heap:
        return heap(options.url.rstrip("/"), options.heap)
    rows = measure(options.url.rstrip("/"))
    if options.json:
        print(json.dumps([vars(line) for line in rows], indent=1))
    else:
        head = f"ms, n={RUNS}"
        names = ("least", "median", "p95", "budget")
        print(f"{head:<14} {'matrix':<10} " + " ".join(f"{name:>8}" for name in names))
        print("\n".join(line.text() for line in rows))
    return 0 if all(line.median <= line.budget for line in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
