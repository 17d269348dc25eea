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
import gzip
import json
import os
import re
import shutil
import statistics
import sys
import urllib.request
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, sync_playwright

RUNS = 30
HEAP_SAMPLES = 12
HEAP_GROWTH = 0.05
SIZES = ("1440x400", "4000x1000")
#: Medians of the prototype the renderers were chosen by [ms]: bitmap, and WebGL2's script.
REFERENCE = {
    ("pan", "1440x400"): 3.6,
    ("threshold", "1440x400"): 4.3,
    ("append", "1440x400"): 3.4,
    ("decode", "1440x400"): 3.5,
    ("pan", "4000x1000"): 10.3,
    ("threshold", "4000x1000"): 18.8,
    ("append", "4000x1000"): 7.4,
    ("decode", "4000x1000"): 27.0,
    ("pan, script", "1440x400"): 1.6,
    ("threshold, script", "1440x400"): 0.2,
    ("pan, script", "4000x1000"): 3.0,
    ("threshold, script", "4000x1000"): 0.2,
}
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
    #: What the prototype took when the renderers were chosen; None where it was not timed.
    reference: float | None = None

    def text(self) -> str:
        """Format the line."""
        verdict = "ok" if self.median <= self.budget else "OVER"
        numbers = f"{self.least:8.1f} {self.median:8.1f} {self.p95:8.1f} {self.budget:8.0f}"
        reference = "-" if self.reference is None else f"{self.reference:.1f}"
        return f"{self.what:<17} {self.matrix:<10} {numbers} {reference:>9}  {verdict}"


def row(what: str, matrix: str, samples: list[float], budget: float) -> Row:
    ordered = sorted(samples)
    p95 = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    reference = REFERENCE.get((what, matrix))
    return Row(what, matrix, ordered[0], statistics.median(ordered), p95, budget, reference)


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


def webgl2(browser: Browser, url: str, size: str) -> list[Row]:
    """Time the script's part in WebGL2: the rest is the graphics chip's, which is not here."""
    page = open_page(browser, f"{url}/?bench={size}&renderer=webgl2")
    page.wait_for_timeout(500)
    out = []
    if page.get_attribute(".chart", "data-renderer") == "webgl2":
        for what, budget in (("pan", 4), ("threshold", 4)):
            page.evaluate(f"liqheatBench.{what}({RUNS})")
            out.append(
                row(f"{what}, script", size, page.evaluate("liqheatBench.script()"), budget)
            )
    page.close()
    return out


def first_load_kb(url: str) -> float:
    """Return what the page fetches before its first picture, gzip -9 [KB of 1000 B]."""
    with urllib.request.urlopen(f"{url}/") as reply:
        index = reply.read()
    parts = re.findall(rb'(?:src|href)="(?:\./)?(assets/[^"]+\.(?:js|css))"', index)
    files = [index]
    for part in parts:
        with urllib.request.urlopen(f"{url}/{part.decode()}") as reply:
            files.append(reply.read())
    return sum(len(gzip.compress(data, 9)) for data in files) / 1000


def measure(url: str) -> list[Row]:
    chromium = os.environ.get("LIQHEAT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as tool:
        browser = tool.chromium.launch(executable_path=chromium, args=FLAGS)
        rows = [line for size in SIZES for line in matrix(browser, url, size)]
        rows += [line for size in SIZES for line in webgl2(browser, url, size)]
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
        columns = " ".join(f"{name:>8}" for name in names)
        print(f"{head:<17} {'matrix':<10} {columns} {'reference':>9}")
        print("\n".join(line.text() for line in rows))
        size = first_load_kb(options.url.rstrip("/"))
        print(f"first load {size:.1f} KB gzip, budget 100 KB (all files: make web-test)")
    return 0 if all(line.median <= line.budget for line in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
