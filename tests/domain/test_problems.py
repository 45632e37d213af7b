import re
from pathlib import Path

import pytest

from xds_server.domain.problems import Place, Problem, Reason, Severity


@pytest.mark.parametrize(
    ("place", "text"),
    [
        pytest.param(Place("a.yaml"), "a.yaml", id="a-file"),
        pytest.param(Place("a.yaml", 0, 3), "a.yaml:3", id="a-line"),
        pytest.param(Place("a.yaml", 2, 14, "spec.default"), "a.yaml:14 (document 2)", id="a-field"),
    ],
)
def test_a_place_as_editors_read_it(place: Place, text: str) -> None:
    assert str(place) == text


def test_a_problem_says_where_what_and_what_to_do() -> None:
    problem = Problem(Place("a.yaml", 1, 2), Reason.WEIGHTS, "weights sum to 90", "Change it", "Release/default/a")
    asked = Problem(Place("a.yaml"), Reason.MALFORMED, "what", "Did you mean b?", severity=Severity.WARNING)

    assert str(problem) == "a.yaml:2 (document 1): error: Release/default/a: weights sum to 90. Change it. [Weights]"
    assert str(asked) == "a.yaml: warning: what. Did you mean b? [Malformed]"


def test_problems_are_in_the_order_of_their_places() -> None:
    places = [Place("b"), Place("a", 2, 1), Place("a", 1, 9), Place("a", 1, 2)]
    problems = [Problem(place, Reason.WEIGHTS, "", "") for place in places]

    assert [each.where for each in sorted(problems)] == list(reversed(places))


def test_every_reason_is_explained() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    explained = [reason for row in rows for reason in re.findall(r"`(\w+)`", row)]

    assert sorted(explained) == sorted(reason.value for reason in Reason)
