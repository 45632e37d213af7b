import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.records.folder import SHOP, deployment, gateway, release
from xds_server.cli.ctl import app

SAMPLE = Path(__file__).parents[2] / "manifests" / "shop"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A shop in two versions, and one release that is held back."""
    files = {**SHOP, "bad.yaml": release("bad", "bad.test", to="v9"), "v3.yaml": deployment("v3", "b3", version=None)}
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def data(result: Result, style: str) -> Any:
    return json.loads(result.stdout) if style == "json" else yaml.safe_load(result.stdout)


@pytest.mark.parametrize("command", ["check", "render", "builds"])
def test_a_folder_that_is_not_there_is_a_wrong_use(command: str, tmp_path: Path) -> None:
    assert run(command, tmp_path / "none").exit_code == 2
    assert run(command, "-o", "xml", tmp_path).exit_code == 2


SHARED = "shop/cart@77aa01bc, shop/reviews@0b5e99d1"


def test_check_of_a_good_folder() -> None:
    result = run("check", SAMPLE)

    assert (result.exit_code, result.stderr) == (0, "")
    *shared, summary = result.stdout.splitlines()
    assert summary == "8 records in force; 0 errors, 0 warnings"
    assert shared == [f"{SHARED}: shared, so calls without a context get what Release shop gives a user"]


def test_check_lists_every_problem_with_its_place(folder: Path) -> None:
    result = run("check", folder)

    assert result.exit_code == 1
    first, second, last = result.stdout.splitlines()
    assert first.startswith("bad.yaml:1 (document 1): error: Release/default/bad: app shop has no deployment 'v9'.")
    assert second.startswith("v3.yaml:1 (document 1): warning: AppDeployment/default/v3: component web is at build b3")
    assert last == "7 records in force; 1 error, 1 warning"


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_check_as_data(folder: Path, style: str) -> None:
    result = run("check", folder, "-o", style)

    assert result.exit_code == 1
    error, warning = data(result, style)
    assert error == {
        "file": "bad.yaml",
        "document": 1,
        "line": 1,
        "path": "spec.default.0.deployment",
        "record": "Release/default/bad",
        "severity": "error",
        "reason": "UnknownDeployment",
        "what": "app shop has no deployment 'v9'",
        "fix": "Deploy it with an AppDeployment record",
    }
    assert warning["severity"] == "warning"


def test_warnings_alone_are_no_failure(folder: Path) -> None:
    (folder / "bad.yaml").unlink()

    assert run("check", folder).exit_code == 0


def test_an_empty_folder_is_a_warning_for_it_may_be_the_wrong_one(tmp_path: Path) -> None:
    result = run("check", tmp_path)
    fix = f"Records are in files that end in .yaml, .yml or .json: is {tmp_path} the right folder?"

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        f"{tmp_path}: warning: no record was found, so nothing is in force. {fix} [NoRecords]",
        "0 records in force; 0 errors, 1 warning",
    ]
    assert data(run("render", tmp_path), "yaml") == {}


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_render_is_what_envoy_would_be_told(style: str) -> None:
    result = run("render", SAMPLE, "-o", style)

    assert (result.exit_code, result.stderr) == (0, "")
    found = data(result, style)
    assert list(found) == ["edge"]
    names = {
        url.rpartition(".")[2]: [each.get("name", each.get("cluster_name")) for each in found["edge"][url]]
        for url in found["edge"]
    }
    assert names["Listener"] == names["RouteConfiguration"] == ["edge/http"]
    assert "shop-v1/web" in names["Cluster"]
    assert "shop/web@9f1c2d7e" in names["ClusterLoadAssignment"]


def test_render_leaves_out_what_is_held_back_and_says_so(folder: Path) -> None:
    (folder / "inner.yaml").write_text(gateway("inner", namespace="prod"), "utf-8")

    result = run("render", folder)
    assert result.exit_code == 0
    assert list(data(result, "yaml")) == ["edge", "prod.inner"]
    assert "bad.test" not in result.stdout
    assert "Release/default/bad" in result.stderr
    assert "warning" not in result.stderr

    assert list(data(run("render", folder, "-g", "prod.inner"), "yaml")) == ["prod.inner"]


def test_render_of_a_gateway_that_is_not_there(folder: Path, tmp_path: Path) -> None:
    result = run("render", folder, "--gateway", "egde")

    assert (result.exit_code, result.stdout) == (1, "")
    assert f"xdsctl: there is no gateway 'egde' in {folder}; there is: edge" in result.stderr


def test_builds_show_what_each_deployment_has_to_itself_and_what_it_shares() -> None:
    result = run("builds", SAMPLE)

    assert result.exit_code == 0
    shared = [line for line in result.stdout.splitlines() if "shop/cart@77aa01bc" in line]
    owned = [line for line in result.stdout.splitlines() if "shop/web@4b20a9c3" in line]
    assert ["shop-v2" in shared[0], "shop-v1" in shared[1]] == [True, True]
    assert len(owned) == 1
    assert "only here" in owned[0]


@pytest.mark.parametrize("style", ["json", "yaml"])
def test_builds_as_data(style: str) -> None:
    first, second = data(run("builds", SAMPLE, "-o", style), style)

    assert first == {
        "app": "shop",
        "deployment": "shop-v1",
        "owns": ["shop/web@9f1c2d7e"],
        "shares": {"shop/cart@77aa01bc": ["shop-v2"], "shop/reviews@0b5e99d1": ["shop-v2"]},
        "withoutContext": {"shop/cart@77aa01bc": {"release": "shop"}, "shop/reviews@0b5e99d1": {"release": "shop"}},
    }
    assert second["owns"] == ["shop/web@4b20a9c3"]
