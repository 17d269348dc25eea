"""Everything a user may type or read is documented: flags, settings, routes, columns, names."""

import json
import re
import shlex
from typing import get_args

import click
import msgspec
import numpy as np
import pytest
from litestar.handlers import HTTPRouteHandler

import liqheat
from liqheat import cli, errors
from liqheat.config import Config
from liqheat.engine.heatmap import Quality
from liqheat.exchanges._layouts import ALIASES
from liqheat.serve import app, replies
from liqheat.serve.export import COLUMN_ARRAYS
from liqheat.serve.replies import ColumnQuery, HeatmapQuery
from liqheat.service.feeds import InstrumentRow, Status
from liqheat.service.query import RangeName, StepName


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


def test_settings_are_documented_with_their_defaults(root):
    text = (root / "docs/cli.md").read_text()
    for field in msgspec.structs.fields(Config):
        row = re.search(rf"^\| `{field.name}` \| ([^|]*) \|", text, re.M)
        assert row, f"{field.name} is not in the table of docs/cli.md"
        if field.default is not msgspec.NODEFAULT:
            default = json.dumps(field.default).strip('"')
            default = {"null": "none", "[]": "none"}.get(default, default)
            assert row.group(1).strip(" `") == default


def test_routes_are_documented(root):
    text = (root / "docs/api.md").read_text()
    handlers = [h for h in vars(app).values() if isinstance(h, HTTPRouteHandler)]
    paths = {path for handler in handlers for path in handler.paths if "{" not in path}
    assert len(paths) > 5
    assert [p for p in sorted(paths - {"/"}) if f"GET {p}`" not in text] == []


@pytest.mark.parametrize("query", [HeatmapQuery, ColumnQuery])
def test_parameters_are_documented_with_their_choices(root, query):
    text = (root / "docs/api.md").read_text()
    for field in msgspec.structs.fields(query):
        assert f"`{field.name}`" in text
    for name in (*get_args(RangeName), *get_args(StepName)):
        assert f"`{name}`" in text


def test_reply_members_are_documented(root):
    text = (root / "docs/api.md").read_text()
    structs = [s for s in vars(replies).values() if isinstance(s, type)
               and issubclass(s, msgspec.Struct) and s.__module__ == replies.__name__
               and s.__name__.endswith("Reply")]  # fmt: skip
    assert len(structs) >= 5
    missing = {
        f"{struct.__name__}.{name}"
        for struct in [*structs, Status, InstrumentRow, Quality]
        for name in struct.__struct_fields__
        if f"`{name}`" not in text
    }
    assert missing == set()


def test_the_documented_reader_reads_the_binary_body(root):
    code = re.search(
        r"```python\n(.*?)```", (root / "docs/api.md").read_text(), re.S
    ).group(1)
    names = {}
    exec(code, names)
    n = 600
    close = 60_000 * np.exp(np.cumsum(np.random.default_rng(2).normal(0, 0.001, n)))
    opened = np.r_[60_000.0, close[:-1]]
    bars = liqheat.Bars.from_columns({
        "start_ms": 1_700_000_100_000 + 300_000 * np.arange(n), "open": opened, "close": close,
        "high": np.maximum(opened, close), "low": np.minimum(opened, close),
        "qty": np.full(n, 50.0),
    })  # fmt: skip
    heat = liqheat.build_heatmap(
        bars, liqheat.instrument("simulated:BTCUSDT"), liqheat.HeatmapParams(bins=80),
        start_ms=int(bars.start_ms[300]),
    )  # fmt: skip
    body = replies.heatmap_bytes(heat, "simulated", candles=True)
    head, usd, candles = names["read_heat"](body)
    whole = heat.long_usd + heat.short_usd
    shown = whole >= head["v_min"]
    assert head["flags"] == 1 | 2 | 8
    assert head["start_ms"] == heat.start_ms[0]
    assert np.abs(usd[shown] / whole[shown] - 1).max() < 0.024
    assert usd[~shown].max(initial=0.0) == 0.0
    assert np.allclose(candles[3], heat.close, rtol=1e-6)
    edges = head["p_lo"] * np.exp(head["p_step"] * np.arange(81))
    assert np.allclose(edges, heat.price_edges, rtol=1e-9)


def commands():
    """Yield (name, command): the program, its commands, and those of its groups."""
    yield "", cli.cli
    for name, command in cli.cli.commands.items():
        yield name, command
        for part, inner in getattr(command, "commands", {}).items():
            yield f"{name} {part}", inner


@pytest.mark.parametrize(("name", "command"), [*commands()])
def test_flags_are_documented_with_their_command(name, command, root):
    text = (root / "docs/cli.md").read_text()
    assert f"`liqheat {name}".strip() in text
    for option in command.params:
        flags = (
            [*option.opts, *option.secondary_opts]
            if isinstance(option, click.Option)
            else []
        )
        for flag in flags:
            rows = [line for line in text.splitlines() if re.search(rf"`{flag}[`\s]", line)]
            of = [row for row in rows if not name or name in row.split("|")[2]]
            assert of, f"{flag} of {name or 'liqheat'}"


def test_exit_codes_are_documented(root):
    text = (root / "docs/cli.md").read_text()
    codes = {e.exit_code for e in vars(errors).values() if isinstance(e, type)}
    assert [code for code in codes if f"\n| {code} | " not in text] == []


def test_commands_in_documents_exist(markdown, root):
    wrong = []
    for path, text in markdown.items():
        shell = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S))
        for line in re.findall(r"^(?:\.venv/bin/)?liqheat (.+)$", shell, re.M):
            words = shlex.split(line, comments=True)
            group = [w for w in words if w in cli.cli.commands]
            name = next(iter(group), None)
            known = {o for p in cli.cli.params for o in (*p.opts, *p.secondary_opts)}
            if name is not None:
                command = cli.cli.commands[name]
                inner = getattr(command, "commands", {})
                params = [*command.params]
                params += [p for word in words if word in inner for p in inner[word].params]
                known |= {o for p in params for o in (*p.opts, *p.secondary_opts)}
            used = [w.split("=")[0] for w in words if w.startswith("-")]
            bad = [w for w in used if w not in known | {"-h", "--help"}]
            if bad or (name is None and not used):
                wrong.append(f"{path.relative_to(root)}: liqheat {line}")
    assert wrong == []
