"""What there is to go back to stays, what nothing uses may go, and a release says what becomes of it."""

import json
import time
from collections import Counter
from typing import Any

import pytest
from typer.testing import CliRunner

from e2e.support.processes import wait_until
from e2e.support.world import V1, V2, App, World
from xds_server.cli.ctl import app as ctl

pytestmark = pytest.mark.e2e

V3 = V1 | {"web": "a3"}
SHOTS = 400
SETTLED = 4.0
"""Seconds after which what is counted is that of the release alone."""
EARLY = ("x-early-adopter", "true")
AUDIENCE = {"name": "early", "match": {"headers": [{"name": EARLY[0], "exact": EARLY[1]}]}}


def said(world: World, *words: str) -> str:
    result = CliRunner().invoke(ctl, [*words, "--server", f"127.0.0.1:{world.server.admin}"])
    assert result.exit_code == 0, result.output
    return result.stdout


def described(world: World, app: App) -> Any:
    return json.loads(said(world, "describe", app.name, "-o", "json"))


def counted(world: World, app: App) -> Counter[str | None]:
    """Of the default, by deployment."""
    found = described(world, app)["deployments"]
    return Counter({each["deployment"]: each["share"]["requests"] for each in found if each["share"]})


def in_use(world: World, deployment: str) -> list[str]:
    return [
        each["what"]
        for each in world.server.problems()
        if each["record"] == f"AppDeployment/default/{deployment}" and each["reason"] == "InUse"
    ]


def test_a_release_says_what_its_deployments_had_of_what_was_set(world: World) -> None:
    app = world.app("told")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    app.release(weights={v1: 75, v2: 25}, audiences=[{**AUDIENCE, "deployment": v2}])
    app.wait_served(v2, headers=[EARLY])
    wait_until(lambda: described(world, app)["ledger"]["current"]["state"] == "live", "the release is live")
    live = time.monotonic()
    wait_until(lambda: time.monotonic() > live + SETTLED, "it has been for a while")

    served = Counter(app.get().served for _ in range(SHOTS))
    for _ in range(7):
        assert app.get(headers=[EARLY]).served == v2

    wait_until(lambda: counted(world, app).total() == SHOTS, "every request is counted")
    wait_until(lambda: described(world, app)["audiences"][0]["requests"] >= 7, "those of the audience, too")
    assert counted(world, app) == served
    found = described(world, app)
    assert [(each["set"], each["status"]) for each in found["deployments"]] == [(75, "Ready"), (25, "Ready")]
    for deployment in found["deployments"]:
        assert {(each["healthy"], each["endpoints"]) for each in deployment["components"]} == {(1, 1)}
    web = next(each for each in found["deployments"][1]["components"] if each["component"] == "web")
    cart = next(each for each in found["deployments"][1]["components"] if each["component"] == "cart")
    assert (web["sharedWith"], cart["sharedWith"]) == ([], [v1])
    tree = said(world, "describe", app.name)
    assert f"set 75 %, had {served[v1] / SHOTS * 100:.2f} %" in tree
    row = next(line for line in said(world, "get", "releases", app.name).splitlines() if line.startswith(app.name))
    assert row.split()[-3:-1] == ["Active", "live"]


def test_what_there_is_to_go_back_to_stays_also_when_the_server_is_killed(pair_world: World) -> None:
    world = pair_world
    app = world.app("kept")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    app.released(v2)
    world.folder.remove(f"appdeployment-{v1}.yaml")
    wait_until(lambda: in_use(world, v1) != [], "the server says why it stays")
    assert in_use(world, v1) == [
        f"is gone from the records, but the history of Release {app.name} (policy.history: 10) can go back to it"
    ]

    world.server.child.kill()
    world.server.start()
    world.wait_connected()
    wait_until(lambda: in_use(world, v1) != [], "it says so again")
    assert app.explicit(v1).served == v1
    said(world, "rollback", app.name, "--why", "it fails", "--who", "ada")
    app.wait_served(v1)

    said(world, "unpin", app.name, "--why", "mended", "--who", "ada", "--yes")
    app.wait_served(v2)
    app.release(v2, policy={"history": 0})
    wait_until(lambda: app.explicit(v1).status == 404, "it goes when nothing can go back to it")
    assert in_use(world, v1) == []


def test_what_nothing_uses_goes_and_nothing_else(world: World) -> None:
    app = world.app("swept")
    v1, v2, v3 = app.deploy("v1", V1), app.deploy("v2", V2), app.deploy("v3", V3)
    app.released(v1)
    app.released(v2)
    assert said(world, "gc", "--app", app.name) == "every deployment is used, or too new\n"
    which = ("--app", app.name, "--older-than", "0s")
    _, _, row, _ = said(world, "gc", "--dry-run", *which).splitlines()
    assert (row.split()[0], row.split()[-1]) == (v3, f"{app.name}/web@a3")
    assert app.explicit(v3).served == v3

    assert said(world, "gc", "--yes", "--why", "never released", *which).splitlines()[-1] == (
        f"{v3}: taken out of appdeployment-{v3}.yaml"
    )

    wait_until(lambda: app.explicit(v3).status == 404, "it is gone")
    assert (app.explicit(v1).served, app.get().served) == (v1, v2)
    assert not (world.folder.root / f"appdeployment-{v3}.yaml").exists()
