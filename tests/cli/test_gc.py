"""`xdsctl gc` against a real server."""

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.test_get import ran
from tests.records.folder import shop_in
from tests.runtime.test_waiting import house
from xds_server.cli.ctl import app
from xds_server.domain.names import Ref

ALL = ("--older-than", "0s")


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


async def test_without_yes_it_is_only_said(records: Path) -> None:
    async with house(records) as here:
        assert await ran(here, "gc") == ["every deployment is used, or too new"]
        why, head, line, last = await ran(here, "gc", *ALL)
        assert why == "no release gives these or asks for them, and none can go back to them:"
        assert head == "DEPLOYMENT APP AGE REQUESTS IN 1H FILE LEAVES WITH IT"
        name, of, age, requests, file, build = line.split()
        assert (name, of, requests, file, build) == ("v2", "shop", "0", "v2.yaml", "shop/web@b2")
        assert age.endswith("s")
        assert last == "Nothing is done; with --yes they are taken out of their files."
        assert await ran(here, "gc", "--dry-run", *ALL) == [why, head, line, last]
        assert (records / "v2.yaml").exists()


async def test_with_yes_they_go(records: Path) -> None:
    async with house(records) as here:
        said = await ran(here, "gc", "--yes", "--why", "tidy", *ALL)
        assert said[-1] == "v2: taken out of v2.yaml"
        assert not (records / "v2.yaml").exists()
        assert {each.name for each in here.control.admission.world.app(Ref("default", "shop")).deployments} == {"v1"}
        assert await ran(here, "gc", "--yes", *ALL) == ["every deployment is used, or too new"]


async def test_they_are_data_too(records: Path) -> None:
    async with house(records) as here:
        [found] = json.loads("".join(await ran(here, "gc", "-o", "json", *ALL)))
        assert (found["deployment"], found["builds"], found["requests"]) == ("v2", ["shop/web@b2"], 0)


async def test_what_cannot_go_is_said(records: Path) -> None:
    async with house(records) as here:
        (records / "..data").symlink_to("elsewhere")
        line = ["gc", "--yes", *ALL, "--server", f"127.0.0.1:{here.admin}"]
        result: Result = await asyncio.to_thread(CliRunner().invoke, app, line)
        assert (result.exit_code, "is a mount of Kubernetes" in result.stderr) == (1, True)


def test_it_is_done_or_only_said() -> None:
    result = CliRunner().invoke(app, ["gc", "--yes", "--dry-run"])
    assert (result.exit_code, "not both" in result.stderr) == (2, True)
