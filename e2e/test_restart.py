"""The server may die at any time: traffic goes on, and a server that returns repeats nothing and forgets nothing."""

import pytest

from e2e.support import records
from e2e.support.client import echo
from e2e.support.load import STEADY, Legal, Shot, lost
from e2e.support.processes import wait_until
from e2e.support.records import Build, Document, record
from e2e.support.world import V1, V2, App, World, explicit_host

pytestmark = pytest.mark.e2e

WARMING = "cluster_manager.warming_clusters"


def test_a_killed_server_is_not_missed_and_repeats_nothing_when_it_returns(own_world: World) -> None:
    world = own_world
    app = world.app("survives")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    pushed, faults = world.pushes(), world.faults()
    shots = [Shot("default", app.host), Shot("default", app.host, "/cart"), Shot("v2", explicit_host(v2))]
    with world.load(shots) as load:
        world.wait_answered(100)
        world.server.child.kill()
        world.wait_answered(300)
        world.server.start()
        world.wait_connected()
        world.wait_answered(100)
        results = load.stop()
    assert lost(results.answers) == []
    legal = {"default": v1, "v2": v2}
    always = {shot: [Legal(0.0, float("inf"), frozenset({each}))] for shot, each in legal.items()}
    assert results.illegal(always) == []
    assert results.per_second >= STEADY
    assert world.faults() == faults

    # Whatever the server would repeat, it would have sent before this release.
    app.released(v2)
    routes = world.routes_counter
    assert world.pushes() == pushed | {routes: pushed[routes] + 1}


def branch(app: App, timeout: str) -> Document:
    """A deployment that may change: it has no version."""
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}], "policy": {"timeout": timeout}}
    return record("AppDeployment", f"{app.name}-branch", {"app": app.name, "components": {"web": web}})


def test_clusters_that_came_or_changed_meanwhile_get_their_unchanged_endpoints(own_world: World) -> None:
    world = own_world
    app = world.app("needs")
    app.released(app.deploy("v1", V1))
    app.write(branch(app, timeout="10s"))
    wait_until(lambda: app.explicit("needs-branch").status == 200, "the branch is served")
    world.server.child.kill()
    app.write(branch(app, timeout="200ms"))
    cart = {"build": "b1", "routes": [{"pathPrefix": "/cart"}]}
    app.write(records.deployment(app.name, "v2", {"cart": cart}))
    world.server.start()
    # Envoy tells no route that needs a cluster before it has the cluster's endpoints.
    wait_until(lambda: app.explicit("needs-v2", "/cart").status == 200, "v2 is served")
    late = [("x-test-delay", "0.5")]
    wait_until(lambda: app.explicit("needs-branch", headers=late).status == 504, "the branch has its new timeout")
    assert world.envoy.stat(WARMING) == 0


def test_endpoints_and_versions_flow_again_after_a_restart(own_world: World) -> None:
    world = own_world
    app = world.app("flows")
    v1 = app.deploy("v1", V1)
    app.released(v1)
    world.server.child.kill()
    world.server.start()
    moved = world.upstreams.start("moved")
    app.write(Build(app.name, "web", "a1").record([moved]))
    world.envoy.wait_endpoints(app.instance("web", "a1"), {moved})
    assert echo(app.get().body).instance == "moved"
    app.released(app.deploy("v2", V2))
    assert world.envoy.stat(WARMING) == 0


def test_what_changed_while_the_server_was_down_is_live_when_it_returns(own_world: World) -> None:
    world = own_world
    app = world.app("misses")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    world.server.child.kill()
    app.release(v2)
    assert app.get().served == v1
    world.server.start()
    app.wait_served(v2)
    assert app.explicit(v1).status == 200


def test_an_envoy_that_starts_later_is_told_the_same(own_world: World) -> None:
    world = own_world
    app = world.app("twin")
    app.deploy("v1", V1)
    app.released(app.deploy("v2", V2))
    with world.another_envoy("edge-2") as twin:
        assert world.told_as_well(twin)
        assert twin.endpoints().items() <= world.envoy.endpoints().items()
        assert world.on_demand or twin.endpoints() == world.envoy.endpoints()
