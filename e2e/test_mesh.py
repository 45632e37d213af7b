"""A request stays in its version, whatever shared instances it passes."""

import json
from collections.abc import Iterator

import pytest

from e2e.support.client import Client, Reply
from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import V1, V2, V3, Mesh, hops, mesh
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.wire import answer_to

pytestmark = pytest.mark.e2e

KEY = "xds.deployment"


@pytest.fixture(scope="module")
def order(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    mode, version = pair
    with mesh(mode, version, tmp_path_factory.mktemp("mesh")) as ready:
        ready.deploy("order-v1", V1)
        ready.deploy("order-v2", V2)
        ready.deploy("order-v3", V3)
        ready.release(order_v1=100)
        for name in ("order-v1", "order-v2", "order-v3"):
            ready.serves(name)
        yield ready


@pytest.mark.parametrize(
    ("deployment", "api"), [("order-v1", "api@a1"), ("order-v2", "api@a2"), ("order-v3", "api@a2")]
)
def test_a_shared_worker_calls_the_api_of_the_request(order: Mesh, deployment: str, api: str) -> None:
    reply = order.get("/worker/api", deployment)
    assert hops(reply.json) == [("worker@w1", deployment), (api, deployment)]


def test_a_new_version_passes_its_own_builds(order: Mesh) -> None:
    reply = order.get("/api/review", "order-v3")
    assert hops(reply.json) == [("ui@u2", "order-v3"), ("api@a2", "order-v3"), ("review@r1", "order-v3")]


def test_the_default_stays_in_its_version(order: Mesh) -> None:
    assert hops(order.get("/api/worker").json) == [
        (f"{name}@{V1[name]}", "order-v1") for name in ("ui", "api", "worker")
    ]


def test_what_a_deployment_lacks_is_refused(order: Mesh) -> None:
    reply = order.get("/api/review", "order-v2").json
    assert reply["build"] == "ui@u1"
    assert reply["then"]["build"] == "api@a2"
    assert reply["then"]["status"] == 502
    assert reply["then"]["then"]["reason"] == "ComponentAbsent"


def test_what_is_no_component_is_refused(order: Mesh) -> None:
    reply = order.call("worker@w1", "/nobody")
    assert (reply.status, reply.json["reason"]) == (502, "ComponentUnknown")


def test_without_a_context_a_shared_build_gets_the_release(order: Mesh) -> None:
    reply = order.call("worker@w1", "/api")
    assert hops(reply.json) == [("api@a1", "order-v1")]
    wait_until(
        lambda: order.sidecars["worker@w1"].total(r"vhost[.].*[.]route[.]no-context/.*[.]upstream_rq_total"),
        "it is counted",
    )


def test_without_a_context_a_build_of_one_deployment_gets_that(order: Mesh) -> None:
    assert hops(order.call("ui@u2", "/api").json) == [("api@a2", "order-v3")]


def test_the_port_and_the_app_in_a_host_change_nothing(order: Mesh) -> None:
    reply = order.call("ui@u2", "/api", host="api.order:8080")
    assert hops(reply.json) == [("api@a2", "order-v3")]


def test_a_dot_at_the_end_of_a_host_changes_nothing(order: Mesh) -> None:
    for host in ("api.", "api.order.:8080"):
        assert hops(order.call("ui@u2", "/api", host=host).json) == [("api@a2", "order-v3")]


def test_a_context_that_comes_twice_counts_once_and_two_are_refused(order: Mesh) -> None:
    v1, v2 = (("x-deployment", f"order-{each}") for each in ("v1", "v2"))
    assert hops(order.call("worker@w1", "/api", v2, v2).json) == [("api@a2", "order-v2")]
    reply = order.call("worker@w1", "/api", v1, v2)
    assert (reply.status, reply.json["reason"]) == (502, "ContextUnknown")


@pytest.mark.parametrize(
    ("said", "status", "reason"),
    [
        pytest.param(b"CONNECT api:80 HTTP/1.1\r\nhost: api:80", 404, "NoRoute", id="a-tunnel"),
        pytest.param(b"GET / HTTP/1.0\r\nhost: api", 426, "OldProtocol", id="http-1.0"),
        pytest.param(b"GET / HTTP/1.1", 400, "BadRequest", id="no-host"),
        pytest.param(b"nonsense", 400, "BadRequest", id="nonsense"),
        pytest.param(b"OPTIONS * HTTP/1.1\r\nhost: api", 404, "BadRequest", id="no-path"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: api" + b"\r\na: b" * 1001, 431, "HeadersTooLarge", id="many-headers"),
        pytest.param(
            b"GET / HTTP/1.1\r\nhost: api\r\nconnection: upgrade\r\nupgrade: other", 403, "UpgradeRefused", id="upgrade"
        ),
        pytest.param(
            b"POST / HTTP/1.1\r\nhost: api\r\ntransfer-encoding: gzip, chunked", 501, "BadRequest", id="coding"
        ),
    ],
)
def test_what_envoy_refuses_itself_is_json_that_says_why(order: Mesh, said: bytes, status: int, reason: str) -> None:
    """To applications that call, and to callers."""
    place = order.places["api@a1"]
    for port in (place.outbound, place.inbound):
        head, _, body = answer_to(port, said + b"\r\n\r\n").partition(b"\r\n\r\n")
        refused = json.loads(body)
        assert (int(head.split()[1]), refused["reason"]) == (status, reason)
        assert refused["message"]


def test_a_request_for_another_deployment_does_not_reach_a_build(order: Mesh) -> None:
    with Client(order.places["api@a1"].inbound) as client:
        reply = client.get("api", "/", [("x-deployment", "order-v2")])
        probe = client.get("api", "/healthz?deep=1")
    assert (reply.status, reply.json["reason"]) == (502, "ContextUnknown")
    assert probe.status == 200


def test_the_header_wins_over_baggage(order: Mesh) -> None:
    told = [("x-deployment", "order-v1"), ("baggage", f"{KEY}=order-v2,a=1")]
    assert carried(order.call("worker@w1", "/api", *told)) == [("api@a1", [f"{KEY}=order-v1,a=1"])]


@pytest.mark.parametrize(
    ("lines", "kept"),
    [
        pytest.param([f"{KEY}=order-v2,a=1,{KEY}=order-v1"], ["a=1"], id="the-first-of-two"),
        pytest.param([f"a=1,{KEY}=order-v2", f"{KEY}=order-v1,b=2"], ["a=1", "b=2"], id="the-first-of-two-lines"),
        pytest.param(["a=1", f"b=2,{KEY}=order-v2", "c=3"], ["a=1", "b=2", "c=3"], id="on-a-later-line"),
        pytest.param(["%78ds%2Edeploymen%74=order%2Dv2,a=%C3%BC"], ["a=%C3%BC"], id="percent-encoded"),
        pytest.param([f"a=1;p=%20; q ,  {KEY} = order-v2 ;p=1, b = two"], ["a=1;p=%20; q ", " b = two"], id="spaces"),
    ],
)
def test_the_context_is_found_in_baggage_and_left_there_once(order: Mesh, lines: list[str], kept: list[str]) -> None:
    said = [("baggage", line) for line in lines]
    expected = [",".join([f"{KEY}=order-v2", *kept])]
    assert carried(order.call("worker@w1", "/api", *said)) == [("api@a2", expected)]
    with Client(order.places["worker@w1"].inbound) as client:
        reply = client.get("worker", "/api", said)
    assert carried(reply) == [("worker@w1", expected), ("api@a2", expected)]


@pytest.mark.parametrize(
    "others",
    [
        pytest.param(",".join(f"key{each}=" + "%41" * 16 for each in range(200))[:8192], id="many"),
        pytest.param("a=" + "%41" * 2730, id="one"),
    ],
)
def test_8_kib_of_baggage_pass_every_hop_as_they_came(order: Mesh, others: str) -> None:
    """Ours is a line of its own then: with it, theirs would be longer than W3C Baggage lets a line be."""
    assert len(others) == 8192
    expected = [f"{KEY}=order-v2", others]
    reply = order.get("/api/worker", "order-v2", ("baggage", others))
    assert carried(reply) == [(build, expected) for build in ("ui@u1", "api@a2", "worker@w1")]
    inside = order.call("worker@w1", "/api", ("baggage", f"{KEY}=order-v2"), ("baggage", others))
    assert carried(inside) == [("api@a2", expected)]


def carried(reply: Reply) -> list[tuple[str, list[str]]]:
    """The builds of a chain, each with the lines of baggage that it was told."""
    found, said = [], reply.json
    while said is not None:
        found.append((said["build"], said["told"]["baggage"]))
        said = said.get("then")
    return found
