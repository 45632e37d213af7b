"""What a record forbids inside the mesh is refused with the reason, and what is deployed beside it changes nothing."""

from collections.abc import Iterator

import pytest

from e2e.support import records
from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import APP, V1, V2, Mesh, hops, mesh
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


def counted(order: Mesh) -> int:
    """Calls of the worker that the release gave their deployment, after one more."""
    order.call("worker@w1", "/api")
    return order.sidecars["worker@w1"].total(r"vhost[.].*[.]route[.]no-context[.]upstream_rq_total")


def test_a_call_that_is_not_declared_is_refused(order: Mesh) -> None:
    order.deploy("order-v4", V1, calls={"api": []})
    order.serves("order-v4")
    refused = order.call("api@a1", "/worker", ("baggage", "xds.deployment=order-v4"))
    declared = order.call("api@a1", "/worker", ("baggage", "xds.deployment=order-v1"))

    assert (refused.status, refused.json["reason"]) == (502, "CallUndeclared")
    assert hops(declared.json) == [("worker@w1", "order-v1")]


def test_without_a_context_a_shared_build_is_refused_if_its_app_says_so(order: Mesh) -> None:
    order.deploy("order-v2", V2)
    order.serves("order-v2")
    order.folder.write("app.yaml", records.record("App", APP, {"withoutContext": "refuse"}))
    wait_until(lambda: order.call("worker@w1", "/api").status == 400, "the sidecar is told")
    refused = order.call("worker@w1", "/api")
    within = order.call("worker@w1", "/api", ("baggage", "xds.deployment=order-v2"))

    assert refused.json["reason"] == "NoContext"
    assert hops(within.json) == [("api@a2", "order-v2")]
