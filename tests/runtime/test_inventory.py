from pathlib import Path

import pytest

from tests.records.folder import deployment, release, shop_in
from tests.runtime.test_waiting import house
from xds_server.difference.inventory import Wanted
from xds_server.runtime.inventory import Inventory


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


async def test_a_release_says_how_far_it_is(records: Path) -> None:
    async with house(records) as here, here.proxy():
        await here.wait()
        [said] = await here.get("/records/releases")
        assert (said["name"], said["status"], said["live"], said["ledger"]) == (
            "shop",
            "Active",
            "live",
            "1 of 1 accepted",
        )
        assert said["record"]["spec"]["hosts"] == ["shop.test"]


async def test_a_release_of_which_gateways_are_not_told_yet_says_what_it_waits_for(records: Path) -> None:
    async with house(records) as here:
        control, waits = here.control, "waits for sidecars to accept v2"
        inventory = Inventory(lambda: control.admission, lambda: control.books.ledger, lambda _: waits)
        [said] = await inventory.page(Wanted("Release"), None, 10)
        builds = await inventory.page(Wanted("Build"), None, 10)

    assert said.status == "Pending"
    assert said.because.startswith(waits)
    assert builds


async def test_pages_follow_each_other(records: Path) -> None:
    async with house(records) as here:
        for name in ("v3", "v4"):
            here.write(f"{name}.yaml", deployment(name))
        here.write("new.yaml", release("new", "new.test", to="v4"))
        await here.until(lambda: len(here.control.books.ledger.releases) == 2)
        first = await here.get("/records/deployments?limit=3&app=shop")
        then = await here.get(f"/records/deployments?limit=3&after={first[-1]['name']}")
        assert [each["name"] for each in (*first, *then)] == ["v1", "v2", "v3", "v4"]


async def test_what_is_not_there_is_said(records: Path) -> None:
    async with house(records) as here:
        said = await here.get("/records/builds?name=none", 404)
        assert said["error"] == "there is no Build 'none': xdsctl get builds lists what there is"
        assert await here.get("/records/builds?namespace=none") == []
        assert "path kind" in (await here.get("/records/secrets", 400))["error"]
