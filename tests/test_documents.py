"""What the pages say is so."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import charts
from bench.judges import table
from e2e import test_exhaustion, test_hardening

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("envoy/*.md")])
HARDENING = (ROOT / "docs" / "hardening.md").read_text("utf-8")
TRIED = ("test_hardening.py", "test_exhaustion.py")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def rows(page: str) -> Iterator[tuple[str, str, str]]:
    """What was tried, what the answer is, and which test it is."""
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[-1].startswith("`test_"):
            yield cells[0], cells[1], cells[-1].strip("`")


ROWS = [*rows(HARDENING)]


def found_in(name: str) -> set[str]:
    tree = ast.parse((ROOT / "e2e" / name).read_text("utf-8"))
    return {each.name for each in tree.body if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")}


def test_every_attack_that_is_tried_has_a_row_and_every_row_its_test() -> None:
    assert {test for _, _, test in ROWS} == {test for name in TRIED for test in found_in(name)}


@pytest.mark.parametrize(
    ("test", "tried"),
    [
        ("test_what_is_ambiguous_or_malformed_never_reaches_the_application", test_hardening.REFUSED),
        ("test_what_is_read_leniently_arrives_in_the_one_form_that_everybody_reads", test_hardening.TAKEN),
        ("test_an_http2_client_that_floods_is_disconnected", test_exhaustion.FLOODS),
        (
            "test_a_client_has_a_few_seconds_for_its_headers_however_slow_it_is",
            {**test_exhaustion.SLOW, **test_exhaustion.SLOW_HTTP2},
        ),
    ],
)
def test_every_variant_is_named_in_a_row_of_its_test(test: str, tried: dict[str, object]) -> None:
    named = {word.strip() for what, _, said in ROWS if said == test for word in what.split(";")}

    assert named == {name.replace("-", " ") for name in tried}


def test_every_variant_is_in_the_row_of_its_answer() -> None:
    said = {word.strip(): answer for what, answer, _ in ROWS for word in what.split(";")}

    assert {name: said[name.replace("-", " ")][:3] for name in test_hardening.REFUSED} == {
        name: str(status) for name, (status, _) in test_hardening.REFUSED.items()
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_that_is_there(page: Path) -> None:
    linked = LINK.findall(page.read_text("utf-8"))

    assert [link for link in linked if not (page.parent / link).exists()] == []


def test_the_charts_are_those_of_the_figures() -> None:
    page = charts.PAGE.read_text("utf-8")

    assert charts.redrawn(page, json.loads(charts.FIGURES.read_text("utf-8"))) == page


def test_the_tables_of_judges_are_those_of_the_figures() -> None:
    page = table.PAGE.read_text("utf-8")

    assert table.redrawn(page, json.loads(charts.FIGURES.read_text("utf-8"))) == page


def test_a_chart_has_a_bar_for_each_figure_that_was_measured() -> None:
    chart = charts.Chart("Flips", "ms", "flip", {"ten": "10 apps", "many": "1000 apps"})

    drawn = charts.drawn(chart, {"flip": {"10 apps": {"value": 6.25}}})
    assert 'x-axis ["ten"]' in drawn
    assert "bar [6.25]" in drawn
    assert charts.drawn(chart, {}) == ""
