"""Draw the page's icons, ``web/public/*.png``, from ``web/public/icon.svg``.

    python tools/icons.py

Run it after a change of the drawing, with the Chromium which the page's tests use, and commit
what it writes. The maskable icon has the drawing on a ground to the edge, inside the middle
four fifths which every launcher leaves.
"""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

PUBLIC = Path(__file__).resolve().parent.parent / "web" / "public"
GROUND = "#0b0f16"
#: File name, side in pixels, share of the side which the drawing takes, ground.
ICONS = (
    ("icon-192.png", 192, 1.0, "transparent"),
    ("icon-512.png", 512, 1.0, "transparent"),
    ("mask-512.png", 512, 0.86, GROUND),
    ("touch-180.png", 180, 0.94, GROUND),
)
#: Enough for six flat colors and their edges.
COLORS = 24
PAGE = """<body style="margin:0;display:grid;place-items:center;height:100vh;background:{ground}">
<div style="width:{percent}vw;height:{percent}vw">{svg}</div>"""


def draw() -> None:
    """Write every icon."""
    svg = (PUBLIC / "icon.svg").read_text(encoding="utf-8")
    chromium = os.environ.get("LIQHEAT_CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name, side, share, ground in ICONS:
            page = browser.new_page(viewport={"width": side, "height": side})
            page.set_content(PAGE.format(ground=ground, percent=100 * share, svg=svg))
            shot = Image.open(io.BytesIO(page.screenshot(omit_background=True)))
            few = shot.convert("RGBA").quantize(COLORS, Image.Quantize.FASTOCTREE)
            few.save(PUBLIC / name, optimize=True)
            page.close()
        browser.close()


if __name__ == "__main__":
    draw()
