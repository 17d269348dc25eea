"""A report of scores: JSON for programs, Markdown for documents, one HTML page for people.

The same input gives the same tables to the last digit; only ``made`` says when.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from liqheat.engine import MODEL_VERSION
from liqheat.study.figures import Estimate
from liqheat.study.score import RIVALS, Result, Row, Table

#: A normal interval of the mean over runs.
_Z = 1.959964


class Measure(NamedTuple):
    """One figure: its key, its heading, how many digits, and what it means."""

    key: str
    head: str
    digits: int
    words: str


#: Against really open positions of simulated markets.
TRUTH_MEASURES = (
    Measure("r", "r", 2, "correlation with the true map, rows of 10 bp within ±10 %"),
    Measure("turned", "turned", 2, "the same of the map turned over at the price: a swapped "
            "direction would show here"),
    Measure("acc", "ACC", 2, "the same of log anomalies from each map's own mean by distance, "
            "rows of 50 bp: not helped by knowing the distance alone"),
    Measure("emd", "EMD %", 2, "how far mass must move to be the true map, % of price, by side"),
    Measure("top5", "top 5", 2, "share of a side's five largest rows within 25 bp of a true one"),
    Measure("peaks", "peaks", 2, "the same of the five largest separate summits"),
    Measure("cap20", "cap 20", 2, "share of true USD in the map's largest fifth of the rows"),
    Measure("usd", "USD", 2, "modelled over true USD, geometric mean"),
    Measure("prho6", "ρ 6h", 2, "partial rank correlation of USD on the map's swept rows with "
            "USD liquidated in the next 6 h, given how far it went"),
    Measure("location", "place", 3, "where in the swept range: log of density over uniform, "
            "USD-weighted, nats"),
    Measure("conv", "stock/flow", 2, "true positions at risk over what the map expects to be "
            "liquidated, which stops and added margin make larger than 1"),
    Measure("zone50", "in 50 %", 2, "share of 50 bp zones whose true USD, by that ratio of "
            "earlier snapshots, lies within the 50 % band"),
    Measure("zone80", "in 80 %", 2, "share within the 80 % band"),
    Measure("zone90", "in 90 %", 2, "share within the 90 % band"),
)  # fmt: skip
#: Against realised liquidations.
HAPPENED_MEASURES = (
    Measure("rho", "ρ", 2, "Spearman: USD swept on the map before a bar, and USD liquidated in "
            "it, per bar and side"),
    Measure("partial", "ρ given d, v", 2, "the same given swept distance and volume"),
    Measure("hard", "ρ given d, v, f", 2, "the same given the fresh range as well"),
    Measure("top10", "top 10 %", 2, "share of liquidated USD in the tenth of bars with most "
            "swept"),
    Measure("rp", "R/P", 2, "realised over predicted USD"),
    Measure("slope", "slope", 2, "of ln realised on ln predicted, hourly"),
    Measure("cover50", "in 50 %", 2, "share of hours within the 50 % band"),
    Measure("cover80", "in 80 %", 2, "share of hours within the 80 % band"),
    Measure("cover90", "in 90 %", 2, "share of hours within the 90 % band"),
    Measure("gamma", "log score", 2, "mean log score of hourly USD, Gamma with the map's spread"),
)  # fmt: skip
#: Of differences, in the paired table.
PAIRED = ("r", "acc", "emd", "top5", "rho", "partial", "hard")


class Paired(msgspec.Struct):
    """A model less the CoinGlass-like map, run by run."""

    name: str
    measure: str
    mean: float
    error: float
    wins: int
    runs: int


class Summary(msgspec.Struct):
    """Means over simulated markets."""

    runs: int
    truth: Table
    happened: Table
    paired: list[Paired]
    regimes: dict[str, dict[str, float]]


class Content(msgspec.Struct):
    """All of a report."""

    version: str
    model_version: str
    made: str
    models: list[str]
    seed: int
    results: list[Result]
    summary: Summary | None = None


class Picture(NamedTuple):
    """One plot: its caption and its PNG."""

    caption: str
    png: bytes


class Report:
    """Results as they come in, and what can be made of them."""

    def __init__(self, *, models: list[str], seed: int, made_ms: int) -> None:
        made = str(np.datetime64(made_ms, "ms").astype("datetime64[m]")) + "Z"
        self.content = Content(version("liqheat"), MODEL_VERSION, made, models, seed, [])
        self.pictures: dict[str, list[Picture]] = {}

    def add(self, result: Result, pictures: Sequence[Picture] = ()) -> None:
        """Add what was found on one market."""
        self.content.results.append(result)
        self.pictures[result.market] = list(pictures)
        self.content.summary = summarise(self.content.results)

    def json(self) -> bytes:
        """Return the report as JSON; an unknown figure is null."""
        return msgspec.json.format(msgspec.json.encode(self.content), indent=1)

    def markdown(self) -> str:
        """Return the tables as Markdown."""
        parts = []
        summary = self.content.summary
        if summary is not None:
            parts += _summary_markdown(summary)
        for result in self.content.results:
            if result.source == "recorded" or summary is None:
                parts += _result_markdown(result)
        return "\n\n".join(parts)

    def html(self) -> str:
        """Return one page with everything in it: no other file, nothing fetched."""
        body = [_tables_html(self.markdown())]
        for result in self.content.results:
            pictures = self.pictures.get(result.market, [])
            if pictures:
                body.append(f"<h2>{html.escape(result.market)}</h2>")
            body += [_picture_html(picture) for picture in pictures]
        made = f"liqheat {self.content.version}, model {self.content.model_version}, "
        made += self.content.made
        return _PAGE.format(made=html.escape(made), body="\n".join(body))


def write_report(report: Report, folder: Path) -> list[Path]:
    """Write accuracy.json, accuracy.md and accuracy.html into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    out = []
    for name, data in (
        ("accuracy.json", report.json()),
        ("accuracy.md", report.markdown().encode() + b"\n"),
        ("accuracy.html", report.html().encode()),
    ):
        (folder / name).write_bytes(data)
        out.append(folder / name)
    return out


# -- means over runs -----------------------------------------------------------------------


def summarise(results: Sequence[Result]) -> Summary | None:
    """Return means over the simulated markets, None where there is none."""
    runs = [r for r in results if r.truth is not None]
    if not runs:
        return None
    truths = [r.truth for r in runs if r.truth is not None]
    happened = [r.happened for r in runs]
    regimes: dict[str, list[Table]] = {}
    for result in runs:
        if result.truth is not None:
            regimes.setdefault(result.market.rsplit("-", 1)[0], []).append(result.truth)
    return Summary(
        runs=len(runs), truth=_mean_table("truth", truths),
        happened=_mean_table("happened", happened),
        paired=_paired(truths) + _paired(happened),
        regimes={
            regime: {
                row.name: row.figures["r"].value for row in _mean_table("", tables).rows
            }
            for regime, tables in regimes.items()
        },
    )  # fmt: skip


def _mean_table(title: str, tables: Sequence[Table]) -> Table:
    first = tables[0]
    rows = []
    for row in first.rows:
        found = [r for t in tables if (r := t.row(row.name)) is not None]
        keys = [k for k in row.figures if " - " not in k]
        figures = {
            key: _mean([r.figures[key].value for r in found if key in r.figures])
            for key in keys
        }
        rows.append(Row(row.name, row.kind, row.words, figures))
    return Table(
        title, sum(t.bars for t in tables), len(tables), 0,
        sum(t.realised_usd for t in tables), rows,
    )  # fmt: skip


def _mean(values: Sequence[float]) -> Estimate:
    known = np.array([v for v in values if math.isfinite(v)])
    if len(known) == 0:
        return Estimate(math.nan)
    mean = float(known.mean())
    if len(known) < 2:
        return Estimate(mean)
    error = float(known.std(ddof=1)) / math.sqrt(len(known)) * _Z
    return Estimate(mean, mean - error, mean + error)


def _paired(tables: Sequence[Table], rival: str = "coinglass") -> list[Paired]:
    out = []
    for row in tables[0].rows:
        if row.kind != "model":
            continue
        for key in PAIRED:
            gains = np.array([_gain(table, row.name, rival, key) for table in tables])
            gains = gains[np.isfinite(gains)]
            if len(gains) == 0:
                continue
            better = gains < 0 if key == "emd" else gains > 0
            spread = float(gains.std(ddof=1)) if len(gains) > 1 else math.nan
            out.append(Paired(
                row.name, key, float(gains.mean()), spread / math.sqrt(len(gains)),
                int(better.sum()), len(gains),
            ))  # fmt: skip
    return out


def _gain(table: Table, name: str, rival: str, key: str) -> float:
    one, other = table.row(name), table.row(rival)
    if one is None or other is None or key not in one.figures or key not in other.figures:
        return math.nan
    return one.figures[key].value - other.figures[key].value


# -- Markdown ------------------------------------------------------------------------------


def _summary_markdown(summary: Summary) -> list[str]:
    out = [f"### Simulated markets, mean of {summary.runs} runs"]
    out.append("Against the really open positions:")
    out.append(table_markdown(summary.truth, TRUTH_MEASURES))
    out.append("Against realised liquidations, per bar and side:")
    out.append(table_markdown(summary.happened, HAPPENED_MEASURES))
    if summary.paired:
        heads = {m.key: m.head for m in (*TRUTH_MEASURES, *HAPPENED_MEASURES)}
        lines = [
            "| model less coinglass | difference | se | better in |",
            "|---|---|---|---|",
        ]
        lines += [
            f"| {p.name}: {heads[p.measure]} | {p.mean:+.3f} | {_plain(p.error, 3)} | "
            f"{p.wins} of {p.runs} |"
            for p in summary.paired
        ]
        out.append("\n".join(lines))
    names = [row.name for row in summary.truth.rows]
    lines = [f"| r by regime | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for regime, values in summary.regimes.items():
        cells = " | ".join(_plain(values.get(name, math.nan), 2) for name in names)
        lines.append(f"| {regime} | {cells} |")
    return [*out, "\n".join(lines)]


def _result_markdown(result: Result) -> list[str]:
    start, end = (
        str(np.datetime64(ms, "ms").astype("datetime64[m]")).replace("T", " ")
        for ms in (result.start_ms, result.end_ms)
    )
    out = [f"### {result.market}, {start} to {end}"]
    table = result.happened
    out.append(
        f"{result.covered_days:.1f} days of recorded liquidations ({result.completeness}), "
        f"{table.realised_usd / 1e6:,.1f} M USD in the scored bars; {table.bars:,} bars × sides; "
        f"intervals: {table.blocks} blocks of {table.block_days} d, 95 %."
    )
    out += [f"Note: {note}." for note in result.notes]
    out.append(table_markdown(table, HAPPENED_MEASURES, intervals=True))
    if result.truth is not None:
        out.append(table_markdown(result.truth, TRUTH_MEASURES))
    if result.slices:
        out.append(_slices_markdown(result))
    return out


def _slices_markdown(result: Result) -> str:
    keys = [
        m for m in HAPPENED_MEASURES if m.key in ("rho", "partial", "hard", "top10", "rp")
    ]
    lines = [f"| part | model | bars | {' | '.join(m.head for m in keys)} |",
             "|---" * (len(keys) + 3) + "|"]  # fmt: skip
    for table in result.slices:
        for row in table.rows:
            if row.kind == "model" or row.name in RIVALS:
                cells = " | ".join(_cell(row, m, intervals=False) for m in keys)
                lines.append(f"| {table.title} | {row.name} | {table.bars:,} | {cells} |")
    return "\n".join(lines)


def table_markdown(
    table: Table, measures: Sequence[Measure], *, intervals: bool = False
) -> str:
    """Return a table with a row a model or null, a column a measure which any of them has."""
    used = [
        m for m in measures
        if any(m.key in r.figures and math.isfinite(r.figures[m.key].value) for r in table.rows)
    ]  # fmt: skip
    lines = [
        f"| map | {' | '.join(m.head for m in used)} |",
        "|---" * (len(used) + 1) + "|",
    ]
    for row in table.rows:
        cells = " | ".join(_cell(row, m, intervals=intervals) for m in used)
        name = f"**{row.name}**" if row.kind == "model" else row.name
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines)


def _cell(row: Row, measure: Measure, *, intervals: bool) -> str:
    found = row.figures.get(measure.key)
    if found is None or not math.isfinite(found.value):
        return "–"
    text = _plain(found.value, measure.digits)
    if intervals and math.isfinite(found.low):
        text += (
            f" ({_plain(found.low, measure.digits)}…{_plain(found.high, measure.digits)})"
        )
    return text


def _plain(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "–"
    if value != 0 and abs(value) < 10.0**-digits:
        return f"{value:.1g}"
    return f"{value:.{digits}f}" if abs(value) < 100 else f"{value:,.0f}"


# -- HTML ----------------------------------------------------------------------------------

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>liqheat: accuracy</title>
<meta name="viewport" content="width=device-width">
<style>
body{{font:15px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 1rem;
color:#10141c;background:#fff}}
table{{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums}}
th,td{{border-bottom:1px solid #d8dde6;padding:.25rem .6rem;text-align:right}}
th:first-child,td:first-child{{text-align:left}}
figure{{margin:1rem 0}}img{{max-width:100%}}figcaption{{color:#5b6577}}
</style></head><body>
<h1>How right the map is</h1><p>{made}. Everything is prequential: nothing uses what came later.
Nulls are in the same tables; a model is worth what it adds to them.</p>
{body}
</body></html>
"""


def _picture_html(picture: Picture) -> str:
    data = base64.b64encode(picture.png).decode()
    words = html.escape(picture.caption)
    return (
        f'<figure><img alt="{words}" src="data:image/png;base64,{data}">'
        f"<figcaption>{words}</figcaption></figure>"
    )


def _tables_html(markdown: str) -> str:
    """Return our own Markdown (headings, tables, paragraphs) as HTML."""
    out = []
    for block in markdown.split("\n\n"):
        if block.startswith("### "):
            out.append(f"<h2>{html.escape(block[4:])}</h2>")
        elif block.startswith("|"):
            out.append(_table_html(block.split("\n")))
        else:
            out.append(f"<p>{html.escape(block)}</p>")
    words = [*TRUTH_MEASURES, *HAPPENED_MEASURES]
    out.append("<h2>The measures</h2><dl>")
    out += [
        f"<dt><b>{html.escape(m.head)}</b></dt><dd>{html.escape(m.words)}</dd>"
        for m in words
    ]
    return "\n".join([*out, "</dl>"])


def _table_html(lines: Sequence[str]) -> str:
    def cells(line: str, tag: str) -> str:
        found = line.strip().removeprefix("| ").removesuffix(" |").split(" | ")
        escaped = [html.escape(cell) for cell in found]
        return "".join(
            f"<{tag}><b>{cell.strip('*')}</b></{tag}>" if cell.startswith("**")
            else f"<{tag}>{cell}</{tag}>"
            for cell in escaped
        )  # fmt: skip

    rows = [f"<tr>{cells(lines[0], 'th')}</tr>"]
    rows += [f"<tr>{cells(line, 'td')}</tr>" for line in lines[2:]]
    return f"<table>{''.join(rows)}</table>"
