from pathlib import Path

import pytest

from xds_server.cli.fields import page, sections, type_of
from xds_server.records.models import KINDS

PAGE = Path(__file__).parents[2] / "docs" / "fields.md"


def test_the_page_is_what_is_generated(update_golden: bool) -> None:
    if update_golden:
        PAGE.write_text(page(), "utf-8")

    assert PAGE.read_text("utf-8") == page(), "run pytest --update-golden and read the diff"


def test_every_link_of_the_page_leads_to_a_section_of_it() -> None:
    names = {each.name for kind in KINDS for each in sections(kind)}
    linked = {part.partition(")")[0] for part in page().split("](#")[1:]}

    assert linked <= {name.lower() for name in names}


def test_a_part_is_told_right_after_what_names_it() -> None:
    assert [each.name for each in sections("App")] == ["App", "Metadata", "AppSpec", "FromRelease", "WithoutContext"]


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param({"type": "array", "items": {"title": "host", "type": "string"}}, "list of host", id="a-list"),
        pytest.param({"$ref": "#/$defs/Sticky"}, "[Sticky]", id="a-part"),
        pytest.param({"oneOf": [{"type": "boolean"}, {"const": "a"}]}, "true or false or `a`", id="one-of-two"),
        pytest.param({"type": "integer", "minimum": 1, "maximum": 9}, "whole number, from 1 to 9", id="limits"),
        pytest.param({"type": "number", "exclusiveMinimum": 1}, "number, above 1", id="one-limit"),
        pytest.param(
            {"type": "object", "patternProperties": {"^a$": {"$ref": "#/$defs/A"}}}, "map from name to [A]", id="a-map"
        ),
        pytest.param({"type": "string"}, "string", id="plain"),
    ],
)
def test_a_type_is_said_in_an_operators_words(said: dict[str, object], words: str) -> None:
    assert type_of(said) == words
