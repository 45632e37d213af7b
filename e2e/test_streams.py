"""Requests that stay open: what becomes of them when releases flip, and deployments, endpoints and listeners change.

`docs/streams.md` has a table, with a test here for each of its cells.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from e2e.support import records
from e2e.support.applications import Applications, Service
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.load import Shot, lost
from e2e.support.processes import free_ports, wait_until
from e2e.support.streams import Events, Grpc, Http2, Stream, Watch, WebSocket
from e2e.support.world import ANSWERED, App, World

pytestmark = pytest.mark.e2e

COMPONENTS = {"web": ("http1", "/"), "pipe": ("http2", "/pipe"), "calls": ("grpc", "/echo.Echo")}
OPEN: dict[str, Callable[[int, str], Stream]] = {
    "websocket": WebSocket,
    "events": Events,
    "http2": lambda port, host: Http2(port, host, "/pipe"),
    "grpc": Grpc,
}
CLOSED = {"websocket": "closed", "events": "closed", "http2": "closed", "grpc": "UNAVAILABLE"}
"""How each kind of client learns that its connection was closed under it."""
EXCHANGES = 5
DRAIN = 2
FLIPS = 25
CALLS = 20
WELL = {"interval": "100ms", "timeout": "1s", "unhealthyThreshold": 1, "healthyThreshold": 1}

_serial = itertools.count()


@dataclass(slots=True)
class Shop:
    """An app whose versions have an application of HTTP/1, of HTTP/2 and of gRPC each, with a name of its own."""

    app: App
    applications: Applications
    where: dict[str, str] = field(default_factory=dict)

    def deploy(self, version: str, policy: dict[str, Any] | None = None, **build: Any) -> str:
        name = f"{self.app.name}-{version}"
        service = Service(name, sick=self.applications.sick)
        self.where |= {
            f"web-{version}": self.applications.http1(name),
            f"pipe-{version}": self.applications.http2(name),
            f"calls-{version}": self.applications.grpc(service),
        }
        for component in COMPONENTS:
            self.place(component, version, self.where[f"{component}-{version}"], **build)
        components = {
            each: {"build": version, "routes": [{"pathPrefix": path}], "policy": policy or {}}
            for each, (_, path) in COMPONENTS.items()
        }
        self.app.write(records.deployment(self.app.name, version, components))
        wait_until(lambda: self.app.explicit(name).status == 200, f"{name} is live")
        return name

    def place(self, component: str, version: str, *addresses: Any, **build: Any) -> None:
        record = records.Build(self.app.name, component, version).record(addresses, COMPONENTS[component][0])
        record["spec"] |= build
        self.app.write(record)


@pytest.fixture
def shop(pair_world: World, applications: Applications) -> Shop:
    return Shop(pair_world.app(f"streams{next(_serial)}"), applications)


@dataclass(slots=True)
class Streams:
    """One of each kind."""

    each: dict[str, Stream] = field(default_factory=dict)

    def open(self, port: int, host: str) -> "Streams":
        for kind, opens in OPEN.items():
            self.each[kind] = opens(port, host)
        return self

    def answered_by(self, name: str, *kinds: str) -> None:
        """These, or all, still move in both directions, and it is still `name` that answers."""
        asked = kinds or tuple(self.each)
        for _ in range(EXCHANGES):
            assert {kind: self.each[kind].exchange() for kind in asked} == dict.fromkeys(asked, name)

    def ended(self, *kinds: str) -> dict[str, str]:
        return {kind: self.each[kind].end() for kind in kinds or self.each}

    def close(self) -> None:
        for each in self.each.values():
            each.close()


@pytest.fixture
def streams() -> Iterator[Streams]:
    opened = Streams()
    yield opened
    opened.close()


@pytest.fixture
def beside() -> Iterator[Streams]:
    """More of them."""
    opened = Streams()
    yield opened
    opened.close()


@pytest.fixture
def kept(pair_world: World, shop: Shop, streams: Streams) -> Streams:
    """Streams that are open on v1, which is the release."""
    shop.app.released(shop.deploy("v1"))
    return streams.open(pair_world.port, shop.app.host)


def test_streams_stay_on_their_version_through_flips_and_a_rollback(
    pair_world: World, shop: Shop, kept: Streams
) -> None:
    """What is asked for anew on the same connections gets the new version at once."""
    v1, v2 = shop.app.name + "-v1", shop.deploy("v2")
    http2, grpc = kept.each["http2"], kept.each["grpc"]
    assert isinstance(http2, Http2)
    assert isinstance(grpc, Grpc)
    faults = pair_world.faults()
    for now in (v2, v1, v2):
        shop.app.released(now)
        kept.answered_by(v1)
        assert http2.get()["x-served-deployment"] == now
        assert grpc.unary() == now
    assert pair_world.faults() == faults


def test_streams_outlive_their_deployment(pair_world: World, shop: Shop, kept: Streams) -> None:
    """Its clusters are gone from Envoy, and then its builds too."""
    shop.app.released(shop.deploy("v2"), policy={"history": 0})
    gone = {f"cluster/{shop.app.name}-v1/{each}" for each in COMPONENTS}
    assert gone <= pair_world.envoy.resources().keys()
    pair_world.folder.remove(f"appdeployment-{shop.app.name}-v1.yaml")
    wait_until(lambda: gone.isdisjoint(pair_world.envoy.resources()), "the clusters are gone")
    for each in COMPONENTS:
        pair_world.folder.remove(f"build-{shop.app.name}-{each}-v1.yaml")
    assert shop.app.explicit(f"{shop.app.name}-v1").status == 404

    kept.answered_by(f"{shop.app.name}-v1")


def test_streams_outlive_their_release(shop: Shop, kept: Streams, pair_world: World) -> None:
    pair_world.folder.remove(f"release-{shop.app.name}.yaml")
    wait_until(lambda: shop.app.get().status == 404, "the host is gone")

    kept.answered_by(f"{shop.app.name}-v1")


def test_streams_outlive_the_place_of_their_instance_in_the_records(
    pair_world: World, shop: Shop, kept: Streams
) -> None:
    """First it drains, then another takes its place, then there is none at all."""
    shop.deploy("v2")
    for each in COMPONENTS:
        old, new = shop.where[f"{each}-v1"], shop.where[f"{each}-v2"]
        build = f"{shop.app.name}/{each}@v1"
        shop.place(each, "v1", {"address": old, "draining": True}, new)
        pair_world.envoy.wait_endpoints(build, {new})
        shop.place(each, "v1")
        pair_world.envoy.wait_endpoints(build, set())
    wait_until(lambda: shop.app.get().status == 503, "no instance is left")

    kept.answered_by(f"{shop.app.name}-v1")


def test_streams_outlive_a_change_of_their_cluster(pair_world: World, shop: Shop, kept: Streams) -> None:
    changed = pair_world.envoy.stat("cluster_manager.cluster_modified")
    for each in COMPONENTS:
        shop.place(each, "v1", shop.where[f"{each}-v1"], healthCheck={"interval": "60s"})
    pair_world.envoy.wait_stat("cluster_manager.cluster_modified", changed + len(COMPONENTS))
    assert shop.app.get().status == 200

    kept.answered_by(f"{shop.app.name}-v1")


def test_streams_outlive_a_bad_answer_to_a_health_check(pair_world: World, shop: Shop, streams: Streams) -> None:
    v1 = shop.deploy("v1", {"panicThreshold": 0}, healthCheck=WELL)
    for each, path in (("web", "/healthz"), ("pipe", "/healthz")):
        shop.place(each, "v1", shop.where[f"{each}-v1"], healthCheck={**WELL, "path": path})
    shop.app.released(v1)
    streams.open(pair_world.port, shop.app.host)
    shop.applications.sick.add(v1)
    healthy = f"^cluster[.].*{shop.app.name}.*[.]membership_healthy$"
    wait_until(lambda: not any(pair_world.envoy.stats(healthy).values()), "no instance is well")
    assert shop.app.get().json["reason"] == "NoHealthyEndpoint"

    streams.answered_by(v1)


def test_streams_end_when_nothing_moves_for_the_idle_timeout(pair_world: World, shop: Shop, streams: Streams) -> None:
    shop.app.released(shop.deploy("v1", {"idleTimeout": "1s"}))
    streams.open(pair_world.port, shop.app.host)
    streams.answered_by(f"{shop.app.name}-v1")
    begun = time.monotonic()
    reset = "reset 0" if pair_world.version is EnvoyVersion.FLOOR else "reset 2"

    ended = {"websocket": "closed", "http2": reset, "grpc": "INTERNAL"}
    assert streams.ended(*ended) == ended
    assert 0.8 < time.monotonic() - begun < 10
    streams.answered_by(f"{shop.app.name}-v1", "events")  # they have moved all the time


def test_a_timeout_that_is_written_ends_answers_and_grpc_but_nothing_else_that_the_client_still_sends(
    pair_world: World, shop: Shop, streams: Streams
) -> None:
    shop.app.released(shop.deploy("v1", {"timeout": "1s"}))
    streams.open(pair_world.port, shop.app.host)
    begun = time.monotonic()

    ended = streams.ended("events", "grpc")
    assert ended["events"] == "closed"
    assert ended["grpc"] in {"INTERNAL", "DEADLINE_EXCEEDED"}, "as its answer has begun by then, or not"
    assert 0.5 < time.monotonic() - begun < 10
    streams.answered_by(f"{shop.app.name}-v1", "websocket", "http2")


def test_the_usual_timeout_of_15_seconds_ends_events_but_no_grpc_stream(
    pair_world: World, shop: Shop, streams: Streams
) -> None:
    v1 = shop.deploy("v1")
    shop.app.released(v1)
    streams.each = {"watch": Watch(pair_world.port, shop.app.host), "both": Grpc(pair_world.port, shop.app.host)}
    streams.answered_by(v1)
    begun = time.monotonic()
    streams.each["events"] = Events(pair_world.port, shop.app.host)

    assert streams.each["events"].end(30) == "closed"
    assert 14 < time.monotonic() - begun < 20
    streams.answered_by(v1, "watch", "both")


@dataclass(slots=True)
class Edge:
    """A gateway of its own with two listeners, and streams through one of them. Its Envoy drains for a short while."""

    world: World
    name: str
    ports: tuple[int, int]
    envoy: Envoy

    def write(self, *ports: int, **spec: Any) -> None:
        write_gateway(self.world, self.name, ports, **spec)


def write_gateway(world: World, name: str, ports: tuple[int, ...], **spec: Any) -> None:
    listeners = [{"name": f"port{at}", "address": "127.0.0.1", "port": port} for at, port in enumerate(ports)]
    world.folder.write(f"gateway-{name}.yaml", records.gateway(name, ports[0], listeners=listeners, **spec))


@pytest.fixture
def edge(pair_world: World, shop: Shop) -> Iterator[Edge]:
    name = f"edge-{shop.app.name}"
    one, two = free_ports(2)
    write_gateway(pair_world, name, (one, two))
    shop.app.released(shop.deploy("v1"), gateways=["edge", name])
    with pair_world.special(f"{name}-1", name, "--drain-time-s", str(DRAIN)) as envoy:
        yield Edge(pair_world, name, (one, two), envoy)


@pytest.mark.parametrize("change", ["is-changed", "is-removed", "moves"])
def test_streams_through_a_listener_that_changes_go_on_until_it_has_drained(
    shop: Shop, streams: Streams, beside: Streams, edge: Edge, change: str
) -> None:
    one, two = edge.ports
    streams.open(two, shop.app.host)
    beside.open(one, shop.app.host)
    taken = edge.envoy.stat("listener_manager.lds.update_success")
    (elsewhere,) = free_ports(1)
    match change:
        case "is-changed":
            edge.write(one, two, http={"headersKb": 61})
        case "is-removed":
            edge.write(one)
        case _:
            edge.write(one, elsewhere)
    edge.envoy.wait_stat("listener_manager.lds.update_success", taken + 1)
    begun = time.monotonic()

    streams.answered_by(f"{shop.app.name}-v1")
    assert streams.ended() == CLOSED
    assert DRAIN / 2 < time.monotonic() - begun < DRAIN * 3
    if change == "is-changed":  # of the gateway's http settings both have changed
        assert beside.ended() == CLOSED
    else:
        beside.answered_by(f"{shop.app.name}-v1")


def test_flips_under_load_reset_no_stream_of_http2_and_of_grpc(pair_world: World, shop: Shop, streams: Streams) -> None:
    versions = shop.deploy("v1"), shop.deploy("v2")
    shop.app.released(versions[0])
    streams.open(pair_world.port, shop.app.host)
    streams.each["calls"] = calls = Grpc(pair_world.port, shop.app.host)
    faults = pair_world.faults()
    served = []
    with pair_world.load([Shot("pipe", shop.app.host, "/pipe"), Shot("web", shop.app.host)]) as load:
        for flip in range(FLIPS):
            shop.app.release(versions[(flip + 1) % 2])
            served += calls.unaries(CALLS)
            shop.app.wait_served(versions[(flip + 1) % 2])
            served += calls.unaries(CALLS)
            assert calls.unary() == versions[(flip + 1) % 2]
        pair_world.envoy.wait_stat(ANSWERED, pair_world.envoy.stat(ANSWERED) + 1)
        results = load.stop()

    assert lost(results.answers) == []
    assert {each.wire for each in results.answers} == {"h1", "h2", "h1-new", "h2-new"}
    assert {each.served for each in results.of("pipe")} == set(versions) == set(served)
    assert len(served) == 2 * FLIPS * CALLS
    streams.answered_by(versions[0])
    assert pair_world.faults() == faults
