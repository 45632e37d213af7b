"""Sidecars hear of a deployment before gateways do, and gateways of its end before sidecars."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support import records
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.mesh import APP, V1, V2, Mesh, hops, mesh
from e2e.support.processes import wait_until
from e2e.support.server import Mode


@pytest.fixture
def order(pair: tuple[Mode, EnvoyVersion], tmp_path: Path) -> Iterator[Mesh]:
    mode, version = pair
    with mesh(mode, version, tmp_path) as ready:
        ready.folder.write("app.yaml", records.record("App", APP, {"drain": "16s"}))
        ready.deploy("order-v1", V1)
        ready.release(order_v1=100)
        ready.serves("order-v1")
        yield ready


def test_a_deployment_comes_inside_first_and_goes_outside_first(order: Mesh) -> None:
    a2 = order.sidecars["api@a2"]
    os.kill(a2.child.pid, signal.SIGSTOP)
    order.deploy("order-v2", V2)
    wait_until(lambda: knows(order.sidecars["worker@w1"], "order-v2"), "the worker's sidecar knows v2")
    assert order.get("/", "order-v2").status == 404, "gateways wait for the sidecar of a2"
    order.release(order_v2=100)
    assert hops(order.get("/api").json) == [("ui@u1", "order-v1"), ("api@a1", "order-v1")]

    os.kill(a2.child.pid, signal.SIGCONT)
    wait_until(lambda: hops(order.get("/api").json)[0][1] == "order-v2", "v2 is released")
    assert hops(order.get("/api").json) == [("ui@u1", "order-v2"), ("api@a2", "order-v2")]

    order.release(order_v1=100)
    wait_until(lambda: hops(order.get("/api").json)[0][1] == "order-v1", "v1 is back")
    order.folder.remove("deployment-order-v2.yaml")
    wait_until(lambda: order.get("/", "order-v2").status == 404, "v2 is gone at the gateway")
    late = order.call("worker@w1", "/api", ("x-deployment", "order-v2"))
    assert hops(late.json) == [("api@a2", "order-v2")], "what is under way finds it during the drain"
    wait_until(lambda: not knows(order.sidecars["worker@w1"], "order-v2"), "the drain is over", within=25)


def knows(sidecar: Envoy, deployment: str) -> bool:
    return any(deployment in name for name in sidecar.resources() if name.startswith("cluster/"))
