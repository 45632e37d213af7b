"""Sidecars hear of a deployment before gateways do, and gateways of its end before sidecars."""

import json
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from e2e.support import records
from e2e.support.client import answers
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.load import Answer, Load, Shot, lost
from e2e.support.mesh import APP, HOST, V1, V2, V3, Mesh, bootstrap, hops, mesh
from e2e.support.mesh_process import STRICT
from e2e.support.processes import wait_until
from e2e.support.relay import Relay, relay
from e2e.support.server import Mode
from xds_server.fleet_order import PATIENCE

pytestmark = pytest.mark.e2e

DELAY = 2.0
DRAIN = 2.0
LONG_DRAIN = 20.0
RATE = 60
MANY = 100
"""Requests in turn, so that load has some in the meantime."""
STRICTLY = (STRICT, "yes")
EXPLICITLY = ("x-explicit-deployment", "branch")
BESIDE_A2 = "api@a2"


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """v1 is released. Nothing takes long, so that a drain is short."""
    mode, version = pair
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
        ready.timeout = f"{DRAIN:g}s"
        ready.folder.write("app.yaml", records.record("App", APP, {"drain": f"{DRAIN:g}s"}))
        ready.deploy("order-v1", V1)
        ready.release(order_v1=100)
        ready.serves("order-v1")
        yield ready


@pytest.fixture
def directory(order: Mesh) -> Path:
    return order.folder.root.parent


def test_a_sidecar_that_comes_later_serves_what_was_deployed_before(
    order: Mesh, pair: tuple[Mode, EnvoyVersion], directory: Path
) -> None:
    """Nobody waits for who is not there."""
    order.sidecars[BESIDE_A2].close()
    order.deploy("order-v2", V2)
    wait_until(lambda: order.get("/", "order-v2").status == 200, "v2 is there", within=20)
    assert order.get("/api", "order-v2", STRICTLY).status == 500, "but nothing serves its api"

    with Envoy(pair[1], bootstrap(order.server, order.mode, order.places[BESIDE_A2]), directory):
        wait_until(lambda: order.get("/api", "order-v2", STRICTLY).status == 200, "v2 is served")
        assert hops(order.get("/api", "order-v2").json) == [("ui@u1", "order-v2"), ("api@a2", "order-v2")]
        order.folder.remove("deployment-order-v2.yaml")
        wait_until(lambda: not knows(order.sidecars["worker@w1"], "order-v2"), "v2 is gone")


def test_versions_come_and_go_in_order_and_nothing_is_lost_while_a_sidecar_hears_late(
    order: Mesh, pair: tuple[Mode, EnvoyVersion], directory: Path
) -> None:
    shots = [
        Shot("released", HOST, "/api", (STRICTLY,)),
        Shot("worker", HOST, "/worker/api", (STRICTLY,)),
        *(explicit(name) for name in ("v1", "v2", "v3")),
    ]
    order.sidecars[BESIDE_A2].close()
    with relay(order.server.xds) as wire, Envoy(pair[1], relayed(order, wire), directory) as late:
        late.wait_ready()
        order.deploy("order-v2", V2)
        order.serves("order-v2")
        wire.requests.delay = wire.responses.delay = DELAY
        with Load(order.port, shots, directory, rate=RATE) as load:
            v2_from = time.monotonic()
            v3_from = [appears(order, late)]
            order.release(order_v3=100)
            gives(order, "order-v3")
            order.release(order_v1=100)
            gives(order, "order-v1")
            v2_until = goes(order, "order-v2")
            v3_until = [goes(order, "order-v3")]
            v3_from.append(appears(order, late))
            assert {order.get("/api", "order-v3", STRICTLY).status for _ in range(MANY)} == {200}
            v3_until.append(time.monotonic())
            assert hops(order.get("/api", "order-v3").json) == [("ui@u2", "order-v3"), ("api@a2", "order-v3")]
            results = load.stop()

    for shot in ("released", "worker", "v1"):
        assert len(results.of(shot)) > RATE
        assert lost(results.of(shot)) == []
    assert {each.served for each in results.of("released")} == {"order-v1", "order-v3"}
    assert lost(between(results.of("v2"), v2_from, v2_until)) == []
    for begin, end in zip(v3_from, v3_until, strict=True):
        found = between(results.of("v3"), begin, end)
        assert found
        assert lost(found) == []


def test_what_is_under_way_goes_on_after_the_server_was_killed(
    order: Mesh, pair: tuple[Mode, EnvoyVersion], directory: Path
) -> None:
    """A drain for the rest of its time, and what comes waits for the sidecar that has not answered."""
    order.sidecars[BESIDE_A2].close()
    before = len(order.server.log())
    order.folder.write("app.yaml", records.record("App", APP, {"drain": f"{LONG_DRAIN:g}s"}))
    with relay(order.server.xds) as wire, Envoy(pair[1], relayed(order, wire), directory) as late:
        late.wait_ready()
        order.release(order_v1=100)
        order.deploy("order-v2", V2)
        order.serves("order-v2")
        with Load(order.port, [Shot("released", HOST, "/api", (STRICTLY,))], directory, rate=RATE) as load:
            order.folder.remove("deployment-order-v2.yaml")
            wait_until(lambda: order.get("/api", "order-v2").status == 404, "order-v2 is gone at the gateway")
            gone = time.monotonic()
            wire.requests.hold()
            order.deploy("order-v4", V3)
            order.release(order_v4=100)
            wait_until(lambda: knows(order.sidecars["ui@u2"], "order-v4"), "the sidecar of u2 knows v4")
            order.server.child.kill()
            order.server.start()
            wait_until(lambda: "beside order/api@a2" in waiting(order), "it waits for the same sidecar as before")
            assert "beside order/api@a2" in pending(order)
            assert order.get("/api", "order-v4").status == 404
            assert contexts(order) == {"order-v1"}
            wire.requests.go_on()

            wait_until(lambda: order.get("/api", "order-v4").status == 200, "v4 is there")
            assert knows(late, "order-v4")
            gives(order, "order-v4")
            assert time.monotonic() - gone < LONG_DRAIN
            inside = order.call("worker@w1", "/api", ("x-deployment", "order-v2"))
            assert hops(inside.json) == [(BESIDE_A2, "order-v2")], "what is under way finds it for all of the drain"
            caller = order.sidecars["worker@w1"]
            wait_until(lambda: not knows(caller, "order-v2"), "the drain is over", within=2 * LONG_DRAIN)
            assert time.monotonic() - gone >= LONG_DRAIN
            results = load.stop()

    assert "proxies are late" not in order.server.log()[before:]
    assert lost(results.of("released")) == []
    assert {each.served for each in results.of("released")} == {"order-v1", "order-v4"}


def test_a_branch_is_edited_and_nothing_is_lost_while_the_sidecar_of_its_new_build_hears_late(
    order: Mesh, pair: tuple[Mode, EnvoyVersion], directory: Path
) -> None:
    """Nobody calls a2 in the branch before it knows that it is in it; and a1 knows it for a drain more."""
    order.sidecars[BESIDE_A2].close()
    order.folder.write("app.yaml", records.record("App", APP, {"drain": f"{4 * DRAIN:g}s"}))
    with relay(order.server.xds) as wire, Envoy(pair[1], relayed(order, wire), directory) as late:
        late.wait_ready()
        branch(order, V1)
        order.serves("branch")
        with Load(order.port, [Shot("branch", HOST, "/api", (EXPLICITLY, STRICTLY))], directory, rate=RATE) as load:
            wire.requests.delay = wire.responses.delay = DELAY / 4
            for found, components in ((BESIDE_A2, V2), ("api@a1", V1), (BESIDE_A2, V2)):
                branch(order, components)
                wait_until(partial(has, order, found), f"the branch has {found}")
                assert {hops(branched(order))[-1][0] for _ in range(MANY)} == {found}
            assert knows(late, "branch")
            inside = order.call("api@a1", "/worker", ("x-deployment", "branch"))
            assert hops(inside.json) == [("worker@w1", "branch")], "what is under way there goes on"
            results = load.stop()

    assert len(results.of("branch")) > RATE
    assert lost(results.of("branch")) == []
    wait_until(lambda: not knows(order.sidecars["api@a1"], "branch"), "the drain is over", within=2 * PATIENCE)


def branch(order: Mesh, components: Mapping[str, str]) -> None:
    """Deploy or edit the deployment that has no version."""
    routes = {"ui": {"routes": [{"pathPrefix": "/"}]}}
    found = {
        each: {"build": build, "policy": {"timeout": order.timeout}} | routes.get(each, {})
        for each, build in components.items()
    }
    order.folder.write("branch.yaml", records.record("AppDeployment", "branch", {"app": APP, "components": found}))


def has(order: Mesh, build: str) -> bool:
    return hops(branched(order))[-1][0] == build


def branched(order: Mesh) -> Any:
    return order.get("/api", "branch").json


def pending(order: Mesh) -> str:
    """Why the release is pending, as `xdsctl describe` says it."""
    said = order.server.ask(f"/releases/{APP}/describe")
    assert said["status"] == "Pending"
    why: str = said["because"]
    return why


def waiting(order: Mesh) -> str:
    """What the release waits for, as `xdsctl wait` says it."""
    reply = answers(order.server.admin, f"/releases/{APP}/wait?timeout=0")
    assert reply is not None
    why: str = reply.json["why"]
    return why


def explicit(name: str) -> Shot:
    return Shot(name, HOST, "/api", (("x-explicit-deployment", f"order-{name}"), STRICTLY))


def relayed(order: Mesh, wire: Relay) -> dict[str, object]:
    """The bootstrap of the sidecar beside a2, whose control plane is behind the relay."""
    said = json.dumps(bootstrap(order.server, order.mode, order.places[BESIDE_A2]))
    port = '"port_value": '
    assert f"{port}{order.server.xds}" in said
    found: dict[str, object] = json.loads(said.replace(f"{port}{order.server.xds}", f"{port}{wire.port}"))
    return found


def appears(order: Mesh, late: Envoy) -> float:
    """Deploy v3: gateways wait for the sidecar that hears late. When they had it."""
    began = time.monotonic()
    order.deploy("order-v3", V3)
    wait_until(lambda: knows(order.sidecars["ui@u2"], "order-v3"), "the sidecar of u2 knows v3")
    assert order.get("/api", "order-v3").status == 404
    order.serves("order-v3")
    assert knows(late, "order-v3")
    assert time.monotonic() - began >= 2 * DELAY, "there and back"
    return time.monotonic()


def goes(order: Mesh, deployment: str) -> float:
    """Delete it: gateways first, sidecars after the drain. When it was deleted."""
    deleted = time.monotonic()
    order.folder.remove(f"deployment-{deployment}.yaml")
    wait_until(lambda: order.get("/api", deployment).status == 404, f"{deployment} is gone at the gateway")
    inside = order.call("worker@w1", "/api", ("x-deployment", deployment))
    assert hops(inside.json) == [(BESIDE_A2, deployment)], "what is under way finds it during the drain"
    wait_until(lambda: not knows(order.sidecars["worker@w1"], deployment), "the drain is over")
    assert time.monotonic() - deleted >= DRAIN
    return deleted


def gives(order: Mesh, deployment: str) -> None:
    wait_until(lambda: hops(order.get("/api").json)[0][1] == deployment, f"{deployment} is released")
    assert {each for _ in range(MANY) for each in contexts(order)} == {deployment}


def contexts(order: Mesh) -> set[str]:
    return {context for _, context in hops(order.get("/api").json)}


def between(answers: list[Answer], begin: float, end: float) -> list[Answer]:
    return [each for each in answers if begin <= each.start <= end]


def knows(sidecar: Envoy, deployment: str) -> bool:
    return any(deployment in name for name in sidecar.resources() if name.startswith("cluster/"))
