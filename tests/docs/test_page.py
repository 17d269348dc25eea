"""docs/page.md names every key of the address bar and every key of the keyboard."""

import re


def test_every_key_of_the_address_bar_is_documented(root):
    source = (root / "web/src/state/query.ts").read_text()
    fields = source[source.index("const FIELDS") : source.index("/** What all panels")]
    keys = re.findall(r"\bkey: '(\w+)'|\b(?:choice|flag)\('(\w+)'", fields)
    names = [a or b for a, b in keys]
    assert len(names) > 12
    text = (root / "docs/page.md").read_text()
    missing = [name for name in [*names, "n"] if f"| `{name}` |" not in text]
    assert missing == []


def test_every_shortcut_is_documented(root):
    source = (root / "web/src/ui/Dialogs.tsx").read_text()
    table = source[source.index("const KEYS") :]
    table = table[: table.index("];")]
    keys = re.findall(r"^  \['([^']+)', '([^']+)'\]", table, re.M)
    assert len(keys) > 10
    text = (root / "docs/page.md").read_text()
    missing = [f"| `{key}` | {what} |" for key, what in keys]
    assert [row for row in missing if row not in text] == []
