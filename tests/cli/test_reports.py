"""What is printed of a folder with one fault of many kinds, as a user sees it in a pipe."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import Golden
from tests.records.folder import SHOP, build, deployment, documents, gateway, release
from xds_server.cli.ctl import app


def header(name: str, to: str, **said: str) -> dict[str, object]:
    return {"name": name, "deployment": to, "match": {"headers": [{"name": "x-group", **said}]}}


ACME = {"name": "acme", "deployment": "v2", "hosts": ["acme.test"], "until": "2026-01-31"}
AUDIENCES = [header("wide", "v2", prefix="beta"), header("narrow", "v1", exact="beta-1"), ACME]
ROUTES = [{"pathPrefix": "/"}, {"headers": [{"name": "x-a", "exact": "1"}, {"name": "x-a", "present": False}]}]
FILES = {
    **SHOP,
    "edge.yaml": gateway(template=".preview.test"),
    "builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2"), build("web-3", "b2", protocol="http2")),
    "bad.yaml": release("bad", "bad.test", to="v9"),
    "taken.yaml": release("taken", "shop.test"),
    "shop.yaml": release("shop", "shop.test", audiences=AUDIENCES),
    "v3.yaml": deployment("v3", "b3", version=None, components={"web": {"build": "b3", "routes": ROUTES}}),
    "v4.yaml": deployment("v4", "b1"),
    "broken.yaml": "a: [",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, "utf-8")
    return tmp_path


@pytest.mark.parametrize("command", ["check", "builds"])
@pytest.mark.parametrize("style", ["text", "json", "yaml"])
def test_what_is_printed(command: str, style: str, folder: Path, golden: Golden) -> None:
    result = CliRunner().invoke(app, [command, str(folder), "-o", style], env={"COLUMNS": "120"})

    assert result.exit_code == (1 if command == "check" else 0)
    golden.check(f"{command}.{'txt' if style == 'text' else style}", result.stdout)
    golden.check("stderr.txt", result.stderr)
