"""Everything a user may type or read is documented: flags, settings, routes, columns, names."""

import re

import liqheat
from liqheat.exchanges._layouts import ALIASES
from liqheat.serve.export import COLUMN_ARRAYS


def test_import_columns_are_documented(root):
    text = (root / "docs/data.md").read_text()
    names = {name for ours, aliases in ALIASES.items() for name in (ours, *aliases)}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_export_arrays_are_documented(root):
    text = (root / "docs/data.md").read_text()
    words = re.findall(r"`([a-z_*]+)`", text)
    patterns = [re.compile(word.replace("*", "(long|short)")) for word in words]
    assert [n for n in COLUMN_ARRAYS if not any(p.fullmatch(n) for p in patterns)] == []


def test_public_names_are_documented(root):
    text = (root / "docs/library.md").read_text()
    assert [name for name in liqheat.__all__ if f"`{name}`" not in text] == []
