"""Releases and rollbacks under load: nothing is lost, nothing is wrong, and nothing is pushed that did not change."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from e2e.support import records
from e2e.support.load import Legal, Shot, lost
from e2e.support.processes import wait_until
from e2e.support.records import Build
from e2e.support.world import V1, V2, App, World, explicit_host

pytestmark = [pytest.mark.e2e, pytest.mark.alone]

FLIPS = 100
THOUSAND = 1000
CHURN = 50.0
"""Changes of endpoints a second."""
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


class Turning:
    """An app of which every version replaces the one before last: clusters come and go, and builds with them.

    Every third flip is a rollback, which names nothing new.
    """

    def __init__(self, app: App) -> None:
        self.app = app
        self.addresses = [app.world.upstreams.start("web") for _ in range(2)]
        self.newest = 0
        self.turns = 0

    def turn(self) -> str:
        """Release another version than before; say which."""
        self.turns += 1
        back = self.turns % 3 == 0
        if not back:
            self.newest += 1
        numbers = range(max(1, self.newest - 1), self.newest + 1)
        builds = [Build(self.app.name, "web", f"a{number}") for number in numbers]
        deployments = [
            records.deployment(
                self.app.name, f"v{number}", {"web": {"build": build.hash, "routes": [{"pathPrefix": "/"}]}}
            )
            for number, build in zip(numbers, builds, strict=True)
        ]
        name = f"{self.app.name}-v{self.newest - 1 if back else self.newest}"
        release = records.release(self.app.name, {name: 100}, policy={"history": 0})
        placed = [build.record(self.addresses) for build in builds]
        self.app.world.folder.write(f"{self.app.name}.yaml", *placed, *deployments, release)
        return name


def clusters_of(app: App) -> set[str]:
    return {name for name in app.world.envoy.resources() if name.startswith(f"cluster/{app.name}-")}


@contextmanager
def moving(app: App) -> Iterator[list[int]]:
    """Meanwhile the endpoints of an app in use change all the time: one instance, the other, both."""
    build = Build(app.name, "web", "a1")
    places = [app.world.upstreams.start(build.identity) for _ in range(2)]
    shapes = [places[:1], places, places[1:]]
    app.write(build.record(places))
    app.write(records.deployment(app.name, "v1", {"web": {"build": "a1", "routes": [{"pathPrefix": "/"}]}}))
    app.released(f"{app.name}-v1")
    over = threading.Event()
    made: list[int] = []

    def move() -> None:
        while not over.wait(1 / CHURN):
            app.write(build.record(shapes[len(made) % len(shapes)]))
            made.append(1)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        yield made
    finally:
        over.set()
        mover.join()


def test_a_thousand_flips_amid_churn_lose_nothing(pair_world: World) -> None:
    """Clusters are added and removed, builds replaced, and endpoints change fifty times a second."""
    app, other = pair_world.app("turning"), pair_world.app("moving")
    turning = Turning(app)
    version = turning.turn()
    app.wait_served(version)
    timeline, since = [], 0.0
    with moving(other) as moves:
        faults, began = pair_world.faults(), time.monotonic()
        with pair_world.load([Shot("turning", app.host), Shot("moving", other.host)]) as load:
            for _ in range(THOUSAND):
                asked, before, version = time.monotonic(), version, turning.turn()
                app.wait_served(version)
                timeline.append(Legal(since, time.monotonic(), frozenset({before})))
                since = asked
                pair_world.wait_answered(REQUESTS)
            timeline.append(Legal(since, float("inf"), frozenset({version})))
            took = time.monotonic() - began
            results = load.stop()

    always = [Legal(0.0, float("inf"), frozenset({f"{other.name}-v1"}))]
    assert lost(results.answers) == []
    assert results.illegal({"turning": timeline, "moving": always}) == []
    assert results.per_second >= 300
    assert pair_world.faults() == faults
    assert len(moves) > CHURN * took / 2, "the endpoints were to change all the time"
    newest = {f"cluster/{app.name}-v{number}/web" for number in (turning.newest - 1, turning.newest)}
    wait_until(lambda: clusters_of(app) == newest, "the clusters that are gone have rested", within=20)
