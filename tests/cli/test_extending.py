"""`xdsctl render` and `check` with a real extension."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.records.folder import SHOP, release
from xds_server.cli.ctl import app
from xds_server.records.extensions import ANNOTATION

GREETING = "e2e.support.extensions:greeting"
ROUTES = "type.googleapis.com/envoy.config.route.v3.RouteConfiguration"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    metadata = {"annotations": {ANNOTATION: "greeting", "greeting": "hello"}}
    broken = {"annotations": {ANNOTATION: "greeting"}}
    files = {
        **SHOP,
        "shop.yaml": release("shop", "shop.test", metadata=metadata),
        "broken.yaml": release("broken", "broken.test", metadata=broken),
    }
    for name, text in files.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


def test_render_shows_what_extensions_make_and_says_what_they_could_not(folder: Path) -> None:
    result = run("render", folder, "--extension", GREETING, "-o", "json")

    assert result.exit_code == 0
    [routes] = json.loads(result.stdout)["edge"][ROUTES]
    hosts = {host["domains"][0]: host for host in routes["virtual_hosts"]}
    [header] = hosts["shop.test"]["response_headers_to_add"]
    assert header["header"] == {"key": "x-greeting", "value": "hello from shop"}
    assert hosts["shop.test"]["name"] == "edge/http/shop.test"
    assert "Withheld" in json.dumps(hosts["broken.test"])
    assert "Release/default/broken: extension e2e.support.extensions:greeting for VirtualHost" in result.stderr


def test_check_lists_what_extensions_could_not_change(folder: Path) -> None:
    assert run("check", folder).exit_code == 0
    result = run("check", folder, "--extension", GREETING)

    assert result.exit_code == 1
    assert "[ExtensionFailed]" in result.stdout
    assert "1 error, 0 warnings" in result.stdout


@pytest.mark.parametrize("command", ["check", "render"])
def test_an_extension_that_cannot_be_loaded_is_said(command: str, folder: Path) -> None:
    result = run(command, folder, "--extension", "no_such_module:it")

    assert result.exit_code == 1
    assert result.stderr.startswith("xdsctl: cannot load --extension no_such_module:it: ModuleNotFoundError")


def test_a_server_does_not_start_without_its_extensions(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    state = tmp_path_factory.mktemp("state")
    command = [
        str(Path(sys.executable).parent / "xds-server"),
        "serve",
        "--records",
        str(folder),
        "--state",
        str(state),
    ]
    options = ["--xds", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--extension", "e2e.support.extensions:missing"]
    ended = subprocess.run([*command, *options], check=False, capture_output=True, text=True, timeout=60)

    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1] == (
        "xds-server: cannot load --extension e2e.support.extensions:missing: e2e.support.extensions has no function "
        "'missing'. A module is looked for on PYTHONPATH and in the current directory"
    )
