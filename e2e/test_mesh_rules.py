"""What a record forbids inside the mesh is refused with the reason, and what is deployed beside it changes nothing."""

from collections import Counter
from collections.abc import Iterator

import pytest

from e2e.support import records
from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import APP, V1, V2, V3, Mesh, hops, mesh
from e2e.support.processes import wait_until
from e2e.support.server import Mode

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    mode, version = pair
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
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
    return order.sidecars[build].total(r"vhost[.].*[.]route[.]no-context[.]upstream_rq_total")


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


def test_without_a_context_a_shared_build_is_refused_if_its_app_says_so(order: Mesh) -> None:
    order.deploy("order-v2", V2)
    order.serves("order-v2")
    order.folder.write("app.yaml", records.record("App", APP, {"withoutContext": "refuse"}))
    wait_until(lambda: order.call("worker@w1", "/api").status == 400, "the sidecar is told")
    refused = order.call("worker@w1", "/api")
    within = order.call("worker@w1", "/api", ("baggage", "xds.deployment=order-v2"))

    assert refused.json["reason"] == "NoContext"
    assert hops(within.json) == [("api@a2", "order-v2")]
