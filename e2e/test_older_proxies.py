"""A fleet of Envoys of several versions: each is told what it knows whole, and nothing is ever widened."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from e2e.install_envoy import install
from e2e.known_since import FILE, VERSIONS, known, minor, news
from e2e.support import records
from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import free_ports, wait_until
from e2e.support.server import Mode
from e2e.support.world import V1, World
from e2e.support.world import world as new_world

pytestmark = pytest.mark.e2e

PATIENCE = 40.0
INSIDER = [("cookie", "insider=yes")]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One server, an Envoy of today and one of the oldest version, each with a port of its own."""

    world: World
    old: Client


@pytest.fixture(scope="module", params=list(Mode))
def fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    mode, directory = Mode(request.param), tmp_path_factory.mktemp("fleet")
    with new_world(mode, EnvoyVersion.CURRENT, directory, "--extension", "e2e.support.newer:insiders") as world:
        port, admin = free_ports(2)
        world.folder.write("gateway-older.yaml", records.gateway("older", port))
        bootstrap = world.server.bootstrap("older", mode, admin, "older-1")
        with Envoy(EnvoyVersion.FLOOR, bootstrap, directory) as envoy, Client(port) as old:
            envoy.wait_ready()
            yield Fleet(world, old)


def newer(world: World) -> list[dict[str, Any]]:
    return [each for each in world.server.problems() if each["reason"] == "NewerEnvoy"]


def test_what_an_older_envoy_would_widen_it_refuses_and_the_newer_one_serves(fleet: Fleet) -> None:
    app, other = fleet.world.app("inside"), fleet.world.app("beside")
    gateways = ["edge", "older"]
    v1, beside = app.deploy("v1", V1), other.deploy("v1", V1)
    other.released(beside, gateways=gateways)
    app.released(v1, gateways=gateways)

    release = records.release(app.name, {v1: 100}, gateways=gateways)
    release["metadata"]["annotations"] = {"xds-server.dev/extension": "insiders"}
    app.write(release)
    wait_until(lambda: app.get(headers=INSIDER).body == b"inside", "the newer one serves insiders", PATIENCE)
    assert app.get().body == b"outside"

    wait_until(lambda: fleet.old.get(app.host).status == 503, "the older one refuses the host", PATIENCE)
    assert fleet.old.get(app.host).json["reason"] == "ProxyTooOld", "never inside for everybody"
    assert fleet.old.get(other.host).served == beside
    [problem] = wait_until(lambda: newer(fleet.world), "it is said what the older one does not know")
    assert (problem["record"], problem["severity"]) == ("Release/default/inside", "warning")
    assert "before 1.37 do not know (config.route.v3.RouteMatch.cookies)" in problem["what"]

    app.released(v1, gateways=gateways)
    wait_until(lambda: fleet.old.get(app.host).served == v1, "it is served there again")
    wait_until(lambda: not newer(fleet.world), "nothing is left to say")


def test_the_table_of_what_is_new_is_that_of_the_binaries() -> None:
    """The versions in between need `make since`; the oldest and the newest are here."""
    table: dict[str, list[str]] = json.loads(FILE.read_text())
    listed = {name for names in table.values() for name in names}
    current = files("envoy").joinpath("_bin", "envoy")
    assert isinstance(current, Path)
    oldest, newest = known(install(EnvoyVersion.FLOOR)), known(current)

    assert list(table) == [minor(version) for version in VERSIONS[1:]]
    assert listed.isdisjoint(oldest)
    assert set(news(oldest, newest)) <= listed
