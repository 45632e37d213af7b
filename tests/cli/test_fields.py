from pathlib import Path

import pytest

from xds_server.cli.fields import fields_data, page, sections, type_of
from xds_server.records.later import LATER, as_written
from xds_server.records.models import KINDS
from xds_server.records.schema import schema

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
    assert [each.name for each in sections("App")] == [
        "App",
        "Metadata",
        "AppSpec",
        "FromRelease",
        "WithoutContext",
        "AccessLog",
    ]


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


MARKED = [
    (model.__name__, as_written(model, name), until) for model, said in LATER.items() for name, until in said.items()
]


@pytest.mark.parametrize(("model", "field", "until_then"), MARKED)
def test_what_is_not_in_force_yet_is_marked_wherever_it_is_told(model: str, field: str, until_then: str) -> None:
    [row] = [each for each in fields_data(KINDS)[model]["fields"] if each["name"] == field]
    [line] = [each for each in page().splitlines() if each.startswith(f"| `{field}` |") and until_then in each]

    assert row["not_in_force_yet"] == until_then
    assert f"| *Not in force yet.* {until_then}. " in line
    described = schema()["$defs"][model]["properties"][field]["description"]
    assert described.startswith(f"Not in force yet. {until_then}.")


def test_a_part_that_only_such_fields_have_is_not_in_force_either() -> None:
    marked = {each.name for kind in KINDS for each in sections(kind) if each.what.startswith("Not in force yet.")}

    assert not marked
