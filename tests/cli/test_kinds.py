import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from xds_server.cli.ctl import app
from xds_server.cli.kinds import Kind
from xds_server.records.models import KINDS

ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, env={"COLUMNS": "200"})


@pytest.mark.parametrize("kind", ["Release", "release"])
def test_fields_of_a_kind(kind: str) -> None:
    result = run("fields", kind)

    assert result.exit_code == 0
    assert "  maxAge  duration  default: 365d\n" in result.stdout
    assert "BuildSpec" not in result.stdout


def test_fields_of_all_kinds_are_the_page_of_the_docs() -> None:
    assert run("fields", "-o", "markdown").stdout == (ROOT / "docs" / "fields.md").read_text("utf-8")


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_fields_as_data(style: str) -> None:
    said = run("fields", "App", "-o", style).stdout
    found = json.loads(said) if style == "json" else yaml.safe_load(said)

    assert list(found) == ["App", "Metadata", "AppSpec", "FromRelease", "WithoutContext", "AccessLog"]
    assert found["WithoutContext"]["words"] == ["released", "refuse"]
    assert found["FromRelease"]["fields"] == [
        {
            "name": "release",
            "required": True,
            "type": "record's name",
            "default": "-",
            "example": "shop",
            "envoy": "",
            "what": "Which release of the app.",
            "not_in_force_yet": "",
        }
    ]


@pytest.mark.parametrize("kind", ["", "gateway"])
def test_schemas_are_those_of_the_folder(kind: str) -> None:
    result = run("schema", *([kind] if kind else []))

    assert result.stdout == (ROOT / "manifests" / "schema" / f"{kind or 'records'}.json").read_text("utf-8")


def test_a_kind_that_is_none_is_a_wrong_use_that_names_them() -> None:
    result = run("schema", "Pod")

    assert result.exit_code == 2
    assert "'Pod' is no kind of record; there is Build, AppDeployment, Release, Gateway, App" in result.stderr


def test_the_kinds_that_can_be_asked_for_are_all_there_are() -> None:
    assert [each.value for each in Kind] == list(KINDS)
