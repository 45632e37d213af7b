"""What a record forbids inside the mesh is refused with the reason, and what is deployed beside it changes nothing."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.support import records
from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.mesh import APP, V1, V2, V3, Mesh, hops, mesh
from e2e.support.processes import wait_until
from e2e.support.server import Mode

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    mode, version = pair
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
        ready.folder.write("app.yaml", records.record("App", APP, {"accessLog": {}}))
        ready.deploy("order-v1", V1)
        ready.release(order_v1=100)
        ready.serves("order-v1")
        yield ready


def test_a_timer_works_after_another_version_is_deployed_as_it_did_before(order: Mesh) -> None:
    before = order.call("worker@w1", "/api")
    order.deploy("order-v2", V2)
    order.serves("order-v2")
    wait_until(lambda: counted(order), "the build is shared: what has no context is the release's")
    after = order.call("worker@w1", "/api")

    assert before.status == after.status == 200
    assert hops(before.json) == hops(after.json) == [("api@a1", "order-v1")]


def counted(order: Mesh, build: str = "worker@w1") -> int:
    """Calls without a context of a build that is shared, after one more."""
    order.call(build, "/api")
    return order.sidecars[build].total(r"vhost[.].*[.]route[.]no-context/.*[.]upstream_rq_total")


def test_a_call_that_is_not_declared_is_refused(order: Mesh) -> None:
    order.deploy("order-v4", V1, calls={"api": []})
    order.serves("order-v4")
    refused = order.call("api@a1", "/worker", ("baggage", "xds.deployment=order-v4"))
    declared = order.call("api@a1", "/worker", ("baggage", "xds.deployment=order-v1"))

    assert (refused.status, refused.json["reason"]) == (502, "CallUndeclared")
    assert hops(declared.json) == [("worker@w1", "order-v1")]


def test_a_timer_gets_none_of_a_release_that_lacks_its_build(order: Mesh) -> None:
    """Nobody runs worker@w2: what went there would fail."""
    order.deploy("order-v2", V2)
    placed = {"addresses": ["127.0.0.1:1"]}
    other = {"app": APP, "component": "worker", "build": "w2", "endpoints": placed}
    order.folder.write("build-worker-w2.yaml", records.record("Build", "worker-w2", other))
    order.deploy("order-v5", V1 | {"worker": "w2"})
    for name in ("order-v2", "order-v5"):
        order.serves(name)
    order.release(order_v1=40, order_v2=40, order_v5=20)
    wait_until(lambda: timer(order, "worker@w1") == "order-v2", "the release gives calls both that have w1")
    given = Counter(timer(order, "worker@w1") for _ in range(200))

    assert set(given) == {"order-v1", "order-v2"}


def timer(order: Mesh, build: str) -> str:
    """Which deployment a call without a context is told that it is."""
    reply = order.call(build, "/api")
    assert reply.status == 200
    [(_, deployment)] = hops(reply.json)
    return deployment


def test_a_timer_of_what_is_not_released_stays_where_it_was(order: Mesh) -> None:
    order.deploy("order-v3", V3)
    order.serves("order-v3")
    before = timer(order, "ui@u2")
    order.deploy("order-a3", V3)
    order.serves("order-a3")
    wait_until(lambda: counted(order, "ui@u2"), "the build is shared")
    after = {timer(order, "ui@u2") for _ in range(200)}
    order.folder.remove("deployment-order-v3.yaml")
    wait_until(lambda: timer(order, "ui@u2") == "order-a3", "the older one goes, and the younger has the calls")

    assert before == "order-v3"
    assert after == {"order-v3"}


def test_what_is_refused_is_counted_by_its_reason(order: Mesh) -> None:
    order.deploy("order-a3", V3)
    order.serves("order-a3")
    worker, api = order.sidecars["worker@w1"], order.sidecars["api@a1"]
    before = refusals(worker, "outbound"), refusals(api, "inbound")
    order.call("worker@w1", "/review", ("x-deployment", "order-v1"))
    order.call("worker@w1", "/nobody")
    order.call("worker@w1", "/api", ("x-deployment", "order-v1"))
    with Client(order.places["api@a1"].inbound) as client:
        client.get("api", "/", [("baggage", "xds.deployment=order-v9")])

    came = refusals(worker, "outbound") - before[0], refusals(api, "inbound") - before[1]
    assert came == ({"ComponentAbsent": 1, "ComponentUnknown": 1}, {"ContextUnknown": 1})
    assert "Deprecated" not in worker.child.log.read_text()


def refusals(sidecar: Envoy, direction: str) -> Counter[str]:
    found = sidecar.stats(f"/{direction}[.]rbac[.]refused[.]policy")
    return Counter({name.split(".")[-2]: count for name, count in found.items()})


def test_calls_are_logged_on_both_sides_where_the_app_wants_it(order: Mesh) -> None:
    ours = [("user-agent", "logged"), ("x-deployment", "order-v1")]
    with Client(order.places["api@a1"].inbound) as client:
        assert client.get("api", "/healthz", ours[:1]).status == 200
    order.call("worker@w1", "/review", *ours)
    order.call("worker@w1", "/api/?token=hunter2", *ours)
    refused, called = logged(order, "worker@w1", "outbound", 2)
    [answered] = logged(order, "api@a1", "inbound", 1)

    assert said_of(refused) == ("order/worker@w1", "context", "order-v1", None, 502)
    assert refused["reason"] == "ComponentAbsent"
    assert said_of(called) == ("order/worker@w1", "context", "order-v1", "a1", 200)
    assert called["upstream"] == f"127.0.0.1:{order.places['api@a1'].inbound}"
    assert said_of(answered) == (None, "context", "order-v1", "a1", 200), "a probe is nothing to tell"
    assert answered["upstream"] == f"127.0.0.1:{order.places['api@a1'].application}"
    assert called["request_id"] == answered["request_id"]
    assert {"duration_ms", "start_time"} <= called.keys() & answered.keys()
    assert "hunter2" not in json.dumps([called, answered])


def logged(order: Mesh, build: str, direction: str, count: int) -> list[dict[str, Any]]:
    """What a listener has said of our requests, once it is so much."""

    def lines() -> list[dict[str, Any]]:
        text = order.sidecars[build].child.log.read_text()
        said = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        return [each for each in said if each["listener"].endswith(direction) and each.get("user_agent") == "logged"]

    wait_until(lambda: len(lines()) >= count, f"{build} tells of {count}")
    return lines()


def said_of(line: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(line.get(name) for name in ("caller", "rule", "deployment", "build", "status"))


def test_without_a_context_a_shared_build_is_refused_if_its_app_says_so(order: Mesh) -> None:
    order.deploy("order-v2", V2)
    order.serves("order-v2")
    order.folder.write("app.yaml", records.record("App", APP, {"withoutContext": "refuse"}))
    wait_until(lambda: order.call("worker@w1", "/api").status == 400, "the sidecar is told")
    refused = order.call("worker@w1", "/api")
    within = order.call("worker@w1", "/api", ("baggage", "xds.deployment=order-v2"))

    assert refused.json["reason"] == "NoContext"
    assert hops(within.json) == [("api@a2", "order-v2")]
