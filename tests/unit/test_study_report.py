"""Tables and pages of a study, and their way into the document."""

import importlib.util
import json
import math
from pathlib import Path

import pytest

from liqheat.study.figures import Estimate
from liqheat.study.report import TRUTH_MEASURES, Report, summarise, table_markdown
from liqheat.study.score import Result, Row, Table

ROOT = Path(__file__).parents[2]


def tool():
    spec = importlib.util.spec_from_file_location("accuracy", ROOT / "tools/accuracy.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def result(name: str, r: float, rival: float) -> Result:
    rows = [
        Row("zones", "model", "", {"r": Estimate(r), "emd": Estimate(0.3)}),
        Row("coinglass", "null", "", {"r": Estimate(rival), "emd": Estimate(0.4)}),
    ]
    table = Table("truth", 10, 1, 0, 1e6, rows)
    return Result(
        name,
        "simulated:BTCUSDT",
        "simulated",
        "1",
        0,
        1,
        1.0,
        5,
        "full",
        table,
        truth=table,
    )


def test_summary_is_the_mean_over_runs_with_paired_differences():
    found = summarise([result("base-1", 0.7, 0.4), result("alt-1", 0.6, 0.2)])
    value, low, high = found.truth.row("zones").figures["r"]
    assert value == pytest.approx(0.65)
    assert low < value < high
    pair = next(p for p in found.paired if p.measure == "r")
    assert (pair.mean, pair.wins, pair.runs) == (pytest.approx(0.35), 2, 2)
    nearer = next(p for p in found.paired if p.measure == "emd")
    assert nearer.wins == 2  # less is better
    assert found.regimes["base"]["zones"] == 0.7


def test_tables_leave_out_what_nobody_has_and_mark_the_unknown():
    table = result("base-1", 0.712, math.nan).truth
    text = table_markdown(table, TRUTH_MEASURES)
    assert text.splitlines()[0] == "| map | r | EMD % |"
    assert "| **zones** | 0.71 | 0.30 |" in text
    assert "| coinglass | – | 0.40 |" in text


def test_reports_are_json_without_nan_and_a_page_of_one_file():
    report = Report(models=["zones"], seed=1, made_ms=1_767_225_600_000)
    report.add(result("base-1", 0.7, math.nan))
    content = json.loads(report.json())
    assert content["made"] == "2026-01-01T00:00Z"
    assert content["results"][0]["truth"]["rows"][1]["figures"]["r"][0] is None
    page = report.html()
    assert page.startswith("<!doctype html>")
    assert "<td><b>zones</b></td><td>0.70</td>" in page
    assert 'src="http' not in page


def test_tables_are_pasted_between_their_markers_only(tmp_path):
    text = "a\n<!-- begin x -->\nold\n<!-- end x -->\nb"
    new = tool().paste(text, "x", "new\\1")
    assert new == "a\n<!-- begin x -->\n\nnew\\1\n\n<!-- end x -->\nb"
    assert tool().paste(new, "x", "new\\1") == new
    with pytest.raises(SystemExit, match="no one section"):
        tool().paste(text, "y", "")


def test_the_document_has_the_sections_which_are_pasted():
    text = (ROOT / "docs/accuracy.md").read_text()
    for name in ("simulated", "recorded"):
        assert (
            text.count(f"<!-- begin {name} -->") == text.count(f"<!-- end {name} -->") == 1
        )
