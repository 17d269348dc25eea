"""Paste tables of ``liqheat study score`` into docs/accuracy.md, between their markers.

    python tools/accuracy.py simulated=build/study/simulated recorded=build/study/recorded

A section is what lies between ``<!-- begin NAME -->`` and ``<!-- end NAME -->``; the rest of the
document is not touched. Above the tables stands with what they were made.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "accuracy.md"


def section(folder: Path) -> str:
    """Return a report's tables with a line on how they came to be."""
    about = json.loads((folder / "accuracy.json").read_text())
    made = f"Model {about['model_version']}, made {about['made'][:10]} with `liqheat study score`"
    tables = (folder / "accuracy.md").read_text().strip()
    return f"{made}, seed {about['seed']} of the bootstrap.\n\n{tables}"


def paste(text: str, name: str, body: str) -> str:
    """Return a document with one section replaced; say so where it has no such section."""
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.S)
    if len(pattern.findall(text)) != 1:
        sys.exit(f"{DOCUMENT}: there is no one section {begin} ... {end}")
    return pattern.sub(lambda _: f"{begin}\n\n{body}\n\n{end}", text)


def main(given: list[str]) -> None:
    """Replace each section named on the command line, NAME=FOLDER."""
    text = DOCUMENT.read_text()
    for pair in given:
        name, equals, folder = pair.partition("=")
        if not equals:
            sys.exit(f"{pair!r} is not NAME=FOLDER")
        text = paste(text, name, section(Path(folder)))
    DOCUMENT.write_text(text)


if __name__ == "__main__":
    main(sys.argv[1:])
