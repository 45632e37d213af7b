"""`xdsctl get` of a folder, and of a server."""

import asyncio
import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.records.folder import build, deployment, release, shop_in
from tests.runtime.test_waiting import House, house
from xds_server.api.inventory import KIND_OF, Listed
from xds_server.cli import get
from xds_server.cli.ctl import app
from xds_server.cli.get import COLUMNS
from xds_server.cli.looking import KINDS
from xds_server.records.documents import read_documents


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


def run(*words: str | Path, code: int = 0) -> Result:
    result = CliRunner().invoke(app, [str(each) for each in words])
    assert result.exit_code == code, result.output
    return result


def rows(*words: str | Path) -> list[list[str]]:
    return [line.split() for line in run("get", *words).stdout.splitlines()]


def test_kinds_are_those_that_a_server_lists() -> None:
    assert list(KINDS) == list(Listed) == list(KIND_OF) == list(COLUMNS)


@pytest.mark.parametrize("kind", ["deployments", "Deployment", "appdeployments", "AppDeployment"])
def test_a_kind_may_be_written_in_several_ways(records: Path, kind: str) -> None:
    assert [each[0] for each in rows(kind, records)] == ["NAME", "v1", "v2"]


def test_without_a_kind_it_is_releases(records: Path) -> None:
    assert rows(records)[1] == ["shop", "shop", "edge", "shop.test", "v1", "100%", "Active", "-", "-"]
    assert rows("shop", records) == rows("releases", records)


@pytest.mark.parametrize(
    ("filters", "names"), [(["--app", "shop"], ["v1", "v2"]), (["-n", "prod"], []), (["--app", "prod.shop"], [])]
)
def test_one_asks_for_some(records: Path, filters: list[str], names: list[str]) -> None:
    assert [each[0] for each in rows("deployments", records, *filters)[1:]] == names


def test_where_there_is_none_that_is_said(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["get", "builds", str(tmp_path)])
    assert (found.exit_code, found.stderr) == (0, f"there are no builds in {tmp_path}\n")


def test_what_is_printed_as_yaml_can_be_a_file_again(records: Path) -> None:
    """Also where a hash looks like a number to one reader of YAML or another."""
    (records / "v3.yaml").write_text(deployment("v3", "1e5"), "utf-8")
    (records / "b3.yaml").write_text(build("b3", "1e5"), "utf-8")

    text = run("get", "deployments", records, "-o", "yaml").stdout

    again = read_documents("again.yaml", text)
    assert [str(each.key) for each in again] == [f"AppDeployment/default/v{number}" for number in (1, 2, 3)]
    assert [each.problems for each in again] == [(), (), ()]
    assert 'build: "1e5"' in text


def test_one_as_data_is_itself_and_all_are_a_list(records: Path) -> None:
    one = json.loads(run("get", "gateway", "edge", records, "-o", "json").stdout)
    assert (one["kind"], [one]) == ("Gateway", json.loads(run("get", "gateways", records, "-o", "json").stdout))
    assert yaml.safe_load(run("get", "gateway", "edge", records, "-o", "yaml").stdout) == one
    assert json.loads(run("get", "apps", records, "-o", "json").stdout) == [], "of an app no record says anything"


def test_a_folder_that_could_be_a_name_is_said_to_be_one(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(records.parent)
    for words in (["release", "records"], ["records"]):
        found = run("get", *words)
        assert found.stderr == (
            "records is a folder here, so this is what its records say; with --server it is a name\n"
        )
    for words in (["release", "shop", "records"], ["release", "./records"]):
        assert run("get", *words).stderr == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["release", "none", "{}"], 1, "there is no Release 'none' in"),
        (["release", "shop", "more"], 2, "kinds are releases, deployments, builds, gateways, apps"),
        (["release", "{}", "--server", "127.0.0.1:1"], 2, "not both"),
        (["release", "--server", "127.0.0.1:1"], 1, "does not answer"),
    ],
    ids=["no such name", "too many words", "both", "no server"],
)
def test_what_cannot_be_listed_is_said(records: Path, words: list[str], code: int, said: str) -> None:
    result = run("get", *(each.format(records) for each in words), code=code)
    assert said in " ".join(result.stderr.replace("│", " ").split())


async def ran(here: House, *words: str) -> list[str]:
    line = [*words, "--server", f"127.0.0.1:{here.admin}"]
    result = await asyncio.to_thread(CliRunner().invoke, app, line)
    assert result.exit_code == 0, result.output
    # The server of the test logs to the same place.
    said = (line for line in result.stdout.splitlines() if "[info" not in line and "[warning" not in line)
    return [" ".join(each.split()) for each in said]


async def test_a_server_is_asked_for_what_is_in_force(records: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get, "PAGE", 1)
    async with house(records) as here, here.proxy():
        here.write("bad.yaml", release("bad", "bad.test", to="v9"))
        await here.until(lambda: bool(here.control.problems))
        table = await ran(here, "get", "-o", "wide")
        assert table[0] == "NAME APP GATEWAYS HOSTS DEFAULT STATUS LIVE AGE PROXIES BECAUSE"
        assert table[1] == "bad shop edge bad.test v9 100% Failed - - - app shop has no deployment 'v9'"
        assert table[2].startswith("shop shop edge shop.test v1 100% Active live ")
        assert table[2].endswith("s 1 of 1 accepted -")
        assert [each.split()[0] for each in await ran(here, "get", "deployments")] == ["NAME", "v1", "v2"]
