"""Two hundred releases and rollbacks under load: nothing is lost, nothing is wrong, and only routes are pushed."""

import time

import pytest

from e2e.support import records
from e2e.support.load import Legal, Shot, lost
from e2e.support.processes import wait_until
from e2e.support.records import Build
from e2e.support.world import V1, V2, World, explicit_host

pytestmark = pytest.mark.e2e

FLIPS = 200
TURNS = 60
REQUESTS = 5
"""As many are answered at least between one change and the next."""
MEASURED = "xds_server_flip_seconds_count"
UNCHANGED = (
    "listener_manager.lds.update_success",
    "listener_manager.listener_added",
    "listener_manager.listener_modified",
    "cluster_manager.cds.update_success",
    "cluster_manager.cluster_added",
    "cluster_manager.cluster_modified",
    "cluster_manager.cluster_removed",
)


def test_flips_under_load_lose_nothing_and_push_routes_only(world: World) -> None:
    app = world.app("flips")
    versions = (app.deploy("v1", V1), app.deploy("v2", V2))
    acme = {"name": "acme", "hosts": [f"acme.{app.host}"], "deployment": versions[1]}
    app.released(versions[0], audiences=[acme])
    shots = [
        Shot("default", app.host),
        Shot("default", app.host, "/cart/7"),
        Shot("v1", explicit_host(versions[0])),
        Shot("v2", app.host, "/reviews", (("x-explicit-deployment", versions[1]),)),
        Shot("v2", f"acme.{app.host}"),
    ]
    assert app.get(host=f"acme.{app.host}").served == versions[1]
    before, faults, taken = world.envoy.stats(), world.faults(), world.updates()
    measured = world.server.metrics()[MEASURED]
    timeline = []
    with world.load(shots) as load:
        since = 0.0
        for flip in range(FLIPS):
            old, new = versions[flip % 2], versions[(flip + 1) % 2]
            asked = time.monotonic()
            app.release(new, audiences=[acme])
            app.wait_served(new)
            timeline.append(Legal(since, time.monotonic(), frozenset({old})))
            since = asked
            world.wait_answered(REQUESTS)
        timeline.append(Legal(since, float("inf"), frozenset({versions[FLIPS % 2]})))
        results = load.stop()

    always = {f"v{number}": [Legal(0.0, float("inf"), frozenset({versions[number - 1]}))] for number in (1, 2)}
    assert lost(results.answers) == []
    assert results.illegal({"default": timeline, **always}) == []
    assert {"default", "v1", "v2"} == {answer.shot for answer in results.answers}
    assert len(results.answers) >= FLIPS * REQUESTS
    assert results.per_second >= 300
    assert world.faults() == faults
    after = world.envoy.stats()
    assert {name: after[name] for name in UNCHANGED} == {name: before[name] for name in UNCHANGED}
    assert world.updates()["routes"] - taken["routes"] == FLIPS
    wait_until(lambda: world.server.metrics()[MEASURED] == measured + FLIPS, "the server has measured each flip")


def test_versions_that_replace_each_other_whole_lose_nothing(world: World) -> None:
    """Each turn is one file: a new build, its deployment and release, and what was there before is gone. So Envoy must
    have the new cluster warm before it is told the routes, and must keep the old one until it has taken them.
    """
    app = world.app("replaces")
    address = world.upstreams.start("web")

    def turn(number: int) -> str:
        build = Build(app.name, "web", f"a{number}")
        web = {"build": build.hash, "routes": [{"pathPrefix": "/"}]}
        deployment = records.deployment(app.name, f"v{number}", {"web": web})
        name = str(deployment["metadata"]["name"])
        release = records.release(app.name, {name: 100})
        world.folder.write("replaces.yaml", build.record([address]), deployment, release)
        return name

    app.wait_served(turn(0))
    faults, timeline, since = world.faults(), [], 0.0
    with world.load([Shot("default", app.host)]) as load:
        for number in range(TURNS):
            asked = time.monotonic()
            app.wait_served(turn(number + 1))
            timeline.append(Legal(since, time.monotonic(), frozenset({f"{app.name}-v{number}"})))
            since = asked
            world.wait_answered(REQUESTS)
        timeline.append(Legal(since, float("inf"), frozenset({f"{app.name}-v{TURNS}"})))
        results = load.stop()

    assert lost(results.answers) == []
    assert results.illegal({"default": timeline}) == []
    assert results.per_second >= 300
    assert world.faults() == faults
    clusters = {name for name in world.envoy.resources() if name.startswith(f"cluster/{app.name}-")}
    assert clusters == {f"cluster/{app.name}-v{TURNS}/web"}
