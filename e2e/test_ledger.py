"""The ledger on real Envoys: what `xdsctl wait` ends with, and what a killed server still knows."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from e2e.support import records
from e2e.support.client import answers
from e2e.support.envoy import EnvoyVersion
from e2e.support.gateways import add_gateway
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.world import V1, V2, App, World
from e2e.support.world import world as new_world
from e2e.test_extensions import annotated
from xds_server.cli.ctl import app as app_of_ctl

pytestmark = pytest.mark.e2e

LIVE, SUPERSEDED, REFUSED, TIMEOUT, NO_PROXIES = 0, 3, 4, 5, 6
CTL = Path(sys.executable).parent / "xdsctl"
ENVOY_PATIENCE = "20s"


def words_of(world: World, *words: str | Path) -> list[str]:
    return ["wait", "--server", f"127.0.0.1:{world.server.admin}", *map(str, words)]


def waited(world: World, *words: str | Path) -> tuple[int, str]:
    """The exit code of `xdsctl wait`, and what it prints."""
    found = CliRunner().invoke(app_of_ctl, words_of(world, *words))
    return found.exit_code, found.stdout


def waiting_for(world: World, *words: str | Path) -> subprocess.Popen[bytes]:
    """`xdsctl wait` beside the test, from when it has told of the first answer."""
    process = subprocess.Popen([CTL, *words_of(world, *words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    assert b"0 of 1 accepted" in process.stderr.readline()
    return process


def said(world: World, path: str) -> Any:
    reply = answers(world.server.admin, path)
    assert reply is not None, f"{path} does not answer"
    return reply.json


def contents(world: World, app: App) -> list[tuple[str, str]]:
    """Every content of the app's release with its state, the newest first."""
    return [(each["content"], each["state"]) for each in said(world, f"/releases/{app.name}")["entries"]]


def file_of(world: World, app: App) -> Path:
    return world.folder.root / f"release-{app.name}.yaml"


@contextmanager
def paused(world: World) -> Iterator[None]:
    """Envoy is there, and does nothing."""
    os.kill(world.envoy.child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(world.envoy.child.pid, signal.SIGCONT)


def test_a_release_is_live_once_envoy_has_accepted_it(pair_world: World) -> None:
    world = pair_world
    app = world.app("lives")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.release(v1)
    assert waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)[0] == LIVE
    assert app.get().served == v1
    app.release(v2)

    code, printed = waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)

    assert code == LIVE, printed
    assert app.get().served == v2
    [(newest, state), (first, before)] = contents(world, app)
    assert (state, before) == ("live", "replaced")
    assert waited(world, app.name)[0] == LIVE
    assert waited(world, "--content", newest[:8])[0] == LIVE
    assert waited(world, "--content", first)[0] == LIVE


def test_a_record_that_is_held_back_is_refused(pair_world: World) -> None:
    world = pair_world
    app = world.app("broken")
    app.released(app.deploy("v1", V1))
    app.release("broken-v9")

    code, printed = waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)

    assert code == REFUSED
    assert "UnknownDeployment" in printed
    assert waited(world, app.name)[0] == REFUSED


def test_what_a_paused_envoy_has_not_accepted_is_not_live_and_may_be_superseded(pair_world: World) -> None:
    world = pair_world
    app = world.app("slow")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    wait_until(lambda: all(each["inSync"] for each in said(world, "/proxies")["proxies"]), "Envoy has answered")
    with paused(world):
        app.release(v2)
        code, printed = waited(world, "-f", file_of(world, app), "--timeout", "1s", "-o", "json")
        [answer] = json.loads(printed)
        assert (code, answer["entry"]["status"]) == (TIMEOUT, "0 of 1 accepted, 1 sent")
        with waiting_for(world, app.name) as waiting:
            app.release(weights={v1: 50, v2: 50})
            assert waiting.wait(30) == SUPERSEDED

    assert waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)[0] == LIVE


def test_what_came_and_went_before_it_was_asked_for_is_superseded(pair_world: World) -> None:
    world = pair_world
    app = world.app("brief")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    kept = shutil.copy2(file_of(world, app), world.directory / "brief.yaml")
    app.released(v2)

    code, printed = waited(world, "-f", kept, "--timeout", ENVOY_PATIENCE)

    assert code == SUPERSEDED
    assert "it was replaced before it was asked for" in printed
    assert "In force is content" in printed
    app.release(v1)
    assert waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)[0] == LIVE, "rolled back"


@pytest.fixture(scope="module", params=list(Mode))
def refusing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with extensions that make what Envoy refuses."""
    made = [f"e2e.support.extensions:{name}" for name in ("unplugged", "misconfigured")]
    options = [word for each in made for word in ("--extension", each)]
    with new_world(request.param, EnvoyVersion.CURRENT, tmp_path_factory.mktemp("refusing"), *options) as world:
        yield world


def test_a_cluster_that_envoy_refuses_keeps_the_release_from_being_live(refusing: World) -> None:
    world = refusing
    app = world.app("plugged")
    app.released(app.deploy("v1", V1))
    web = {"web": {"build": V1["web"], "routes": [{"pathPrefix": "/"}]}}
    bad = annotated(records.deployment(app.name, "v2", web), "unplugged", unplugged="yes")
    world.folder.write(records.file_of(bad), bad)
    # Before that the cluster is withheld, and routes do not wait for it.
    wait_until(lambda: '"resource": "plugged-v2/web"' in world.server.log(), "the extension has made the cluster")
    app.release("plugged-v2")

    code, printed = waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)

    assert code == REFUSED
    for word in (
        "AppDeployment/default/plugged-v2",
        "proxy edge-1 refuses Cluster plugged-v2/web",
        "nobody.knows.This",
    ):
        assert word in printed
    app.release("plugged-v1", policy={"history": 0})
    # Where everything is delivered, the routes name it as long as it is deployed.
    world.folder.remove(records.file_of(bad))
    wait_until(lambda: not world.server.problems(), "it is gone")
    assert waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)[0] == LIVE


def test_a_host_that_envoy_refuses_is_refused_with_its_words(refusing: World) -> None:
    world = refusing
    app = world.app("hosted")
    app.released(app.deploy("v1", V1))
    bad = records.release(app.name, {"hosted-v1": 100}, hosts=[app.host, "more.example.com"])
    world.folder.write(records.file_of(bad), annotated(bad, "misconfigured", misconfigured="yes"))

    code, printed = waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)

    assert (code, "nobody.knows.This" in printed) == (REFUSED, True)
    assert app.get().served == "hosted-v1", "last good"
    app.release("hosted-v1")
    assert waited(world, "-f", file_of(world, app), "--timeout", ENVOY_PATIENCE)[0] == LIVE


def test_nobody_is_there_to_accept_it(pair_world: World) -> None:
    world = pair_world
    app = world.app("lonely")
    v1 = app.deploy("v1", V1)
    add_gateway(world, "deserted")
    app.release(v1, gateways=["deserted"])

    assert waited(world, "-f", file_of(world, app), "--timeout", "1s")[0] == NO_PROXIES


def test_proxies_are_listed_with_what_they_hold(pair_world: World) -> None:
    world = pair_world
    world.app("listed").released(world.app("listed").deploy("v1", V1))

    def in_sync() -> Any:
        [found] = said(world, "/proxies")["proxies"]
        return found if found["inSync"] else None

    proxy = wait_until(in_sync, "the proxy is in sync")

    assert (proxy["id"], proxy["gateway"], proxy["envoy"], proxy["mode"]) == ("edge-1", "edge", *seen(world))
    held = {each["type"]: each["held"] for each in proxy["types"]}
    assert held["Listener"] == 1
    assert held["Cluster"] >= len(V1)


def seen(world: World) -> tuple[str, str]:
    return world.version.value, world.mode.value


def test_a_server_that_is_killed_during_a_flip_knows_all_of_it_when_it_returns(pair_world: World) -> None:
    world = pair_world
    app = world.app("killed")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    assert waited(world, app.name)[0] == LIVE
    pushed = world.pushes()
    with paused(world):
        app.release(v2)
        _, printed = waited(world, "-f", file_of(world, app), "--timeout", "1s", "-o", "json")
        waiting = waiting_for(world, "-f", file_of(world, app), "--timeout", "60s")
        world.server.child.kill()
    with waiting:
        world.server.start()
        assert waiting.wait(60) == LIVE

    now, before = said(world, f"/releases/{app.name}")["entries"]
    [pending] = json.loads(printed)
    same = ("number", "content", "accepted")
    assert [now[name] for name in same] == [pending["entry"][name] for name in same]
    assert (now["state"], before["state"]) == ("live", "replaced")
    routes = world.routes_counter
    assert world.pushes() == pushed | {routes: pushed[routes] + 1}


def test_a_release_that_is_removed_stays_in_the_history(pair_world: World) -> None:
    world = pair_world
    app = world.app("leaves")
    app.released(app.deploy("v1", V1))
    world.folder.remove(records.file_of(records.release(app.name, {})))

    wait_until(lambda: contents(world, app)[0][1] == "removed", "the release is gone")
