"""The harness itself: it finds what is lost and what is illegal, on every Envoy, before it judges the product."""

import itertools
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from e2e.support.client import Client, echo
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.load import Answer, Legal, Load, Shot, illegal, lost
from e2e.support.processes import Child, free_ports, held_ports, wait_until
from e2e.support.upstream import Protocol, Upstreams

pytestmark = pytest.mark.e2e


HTTP = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


def bootstrap(port: int, admin: int, upstreams: dict[str, tuple[str, Protocol]]) -> dict[str, Any]:
    """A gateway without a control plane: host NAME goes to upstream NAME, and the answer says so."""
    manager = {
        "@type": HTTP,
        "stat_prefix": "edge",
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
        "route_config": {"name": "edge", "virtual_hosts": [virtual_host(name) for name in upstreams]},
    }
    listener = {
        "name": "edge",
        "address": socket_address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    clusters = [cluster(name, *where) for name, where in upstreams.items()]
    return {
        "node": {"id": "static", "cluster": "edge"},
        "admin": {"address": socket_address(admin)},
        "static_resources": {"listeners": [listener], "clusters": clusters},
    }


def socket_address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def virtual_host(name: str) -> dict[str, Any]:
    reveal = {"header": {"key": "x-served-deployment", "value": name}}
    route = {"match": {"prefix": "/"}, "route": {"cluster": name}, "response_headers_to_add": [reveal]}
    return {"name": name, "domains": [name], "routes": [route]}


def cluster(name: str, address: str, protocol: Protocol) -> dict[str, Any]:
    port = int(address.rpartition(":")[2])
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {
            "http_protocol_options" if protocol is Protocol.HTTP1 else "http2_protocol_options": {}
        },
    }
    members = [{"lb_endpoints": [{"endpoint": {"address": socket_address(port)}}]}]
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": members},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


class Edge:
    """A static Envoy in front of one upstream of each protocol."""

    def __init__(self, version: EnvoyVersion, upstreams: Upstreams, directory: Path) -> None:
        self.port, admin = free_ports(2)
        addresses = {protocol.value: (upstreams.start(protocol, protocol), protocol) for protocol in Protocol}
        self.upstreams = upstreams
        self.envoy = Envoy(version, bootstrap(self.port, admin, addresses), directory)


@pytest.fixture
def edge(envoy_version: EnvoyVersion, tmp_path: Path) -> Iterator[Edge]:
    with Upstreams(tmp_path) as upstreams:
        edge = Edge(envoy_version, upstreams, tmp_path)
        with edge.envoy as envoy:
            envoy.wait_ready()
            yield edge


@pytest.mark.parametrize("host", [Protocol.HTTP1, Protocol.HTTP2])
def test_an_upstream_tells_path_and_headers_byte_for_byte(edge: Edge, host: Protocol) -> None:
    path = "/a//b/../%2F%0a?q=%7e&empty=&x=1;y"
    with Client(edge.port) as client:
        reply = client.get(host, path, [("x-twice", "b"), ("x-twice", "a"), ("x-long", "v" * 8192)])
    received = echo(reply.body)
    assert (reply.status, reply.served, received.instance, received.path) == (200, host, host, path)
    assert received.all("x-twice") == ["b", "a"]
    assert received.all("x-long") == ["v" * 8192]


def test_an_upstream_speaks_grpc(edge: Edge) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{edge.port}", [("grpc.default_authority", "grpc")]) as channel:
        add: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/shop.Cart/Add")
        said = add(b"", metadata=(("x-a", "1"),), timeout=5)
    received = echo(said)
    assert (received.instance, received.path, received.all("x-a")) == ("grpc", "/shop.Cart/Add", ["1"])


@pytest.mark.parametrize("host", [Protocol.HTTP1, Protocol.HTTP2])
def test_an_upstream_fails_as_often_as_it_is_asked(edge: Edge, host: Protocol) -> None:
    with Client(edge.port) as client:
        replies = [client.get(host, headers=[("x-test-fail", "key/2")]) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert [echo(reply.body).attempt for reply in replies] == [1, 2, 3]


@pytest.mark.alone
def test_load_through_a_healthy_envoy_loses_nothing_and_is_cheap(edge: Edge, tmp_path: Path) -> None:
    shots = [Shot("one", "http1"), Shot("two", "http2", "/deep", (("x-a", "1"),))]
    with Load(edge.port, shots, tmp_path) as load:
        edge.envoy.wait_stat("http.edge.downstream_rq_completed", 600)
        results = load.stop()
    assert len(results.answers) >= 600
    assert lost(results.answers) == []
    assert {(each.shot, each.wire) for each in results.answers} == set(
        itertools.product(("one", "two"), ("h1", "h1-new", "h2", "h2-new"))
    )
    always = Legal(0.0, float("inf"), frozenset({"http1"}))
    assert illegal(results.of("one"), [always]) == []
    assert illegal(results.of("two"), [always]) == results.of("two")
    assert edge.envoy.stat("http.edge.downstream_rq_2xx") == len(results.answers)
    assert results.per_second >= 300
    assert results.cpu / len(results.answers) < 0.002


def test_load_reports_what_is_lost_when_an_upstream_dies(edge: Edge, tmp_path: Path) -> None:
    with Load(edge.port, [Shot("one", "http1"), Shot("two", "http2")], tmp_path) as load:
        edge.envoy.wait_stat("http.edge.downstream_rq_2xx", 100)
        edge.upstreams.child.kill()
        edge.envoy.wait_stat("http.edge.downstream_rq_5xx", 30)
        results = load.stop()
    assert {each.shot for each in lost(results.answers)} == {"one", "two"}
    assert {each.status for each in lost(results.answers)} == {503}


def test_load_reports_what_is_lost_when_envoy_dies(edge: Edge, tmp_path: Path) -> None:
    with Load(edge.port, [Shot("one", "http1")], tmp_path) as load:
        edge.envoy.wait_stat("http.edge.downstream_rq_2xx", 100)
        edge.envoy.child.kill()
        load.wait_failure()
        results = load.stop()
    assert lost(results.answers)
    assert all(each.error for each in lost(results.answers))


AN_ANSWER = Answer("one", "h1", start=10.0, end=11.0, status=200, served="v1")


@pytest.mark.parametrize(
    ("answer", "wrong"),
    [
        pytest.param(AN_ANSWER, False, id="legal-all-the-time"),
        pytest.param(replace(AN_ANSWER, end=30.0, served="v2"), False, id="legal-before-its-end"),
        pytest.param(replace(AN_ANSWER, start=19.0, end=40.0), False, id="legal-at-its-start"),
        pytest.param(replace(AN_ANSWER, start=21.0, end=40.0), True, id="too-late"),
        pytest.param(replace(AN_ANSWER, served="v2"), True, id="too-early"),
        pytest.param(replace(AN_ANSWER, served=None), True, id="nobody-says-that-it-served"),
    ],
)
def test_an_answer_is_legal_if_its_version_was_right_at_some_moment(answer: Answer, wrong: bool) -> None:
    timeline = [Legal(0.0, 20.0, frozenset({"v1"})), Legal(18.0, 50.0, frozenset({"v2"}))]
    assert bool(illegal([answer], timeline)) is wrong


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(replace(AN_ANSWER, status=503), id="server-error"),
        pytest.param(replace(AN_ANSWER, status=404), id="unexpected-404"),
        pytest.param(replace(AN_ANSWER, error="connection lost"), id="connection-lost-after-the-status"),
    ],
)
def test_an_answer_that_is_not_the_expected_one_is_lost(answer: Answer) -> None:
    assert lost([AN_ANSWER, answer]) == [answer]


def test_a_child_that_ends_early_is_shown_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ChildProcessError) as raised:
        Child("echo", ["sh", "-c", "echo not today; exit 3"], tmp_path).wait_ready(lambda: False)
    assert "ended with 3" in str(raised.value)
    assert raised.value.__notes__ == ["not today\n"]


def test_waiting_is_bounded() -> None:
    with pytest.raises(TimeoutError, match=r"not within 0\.02 s: the end of days"):
        wait_until(lambda: False, "the end of days", within=0.02)


def test_a_held_port_is_free_for_an_envoy_and_for_nobody_else() -> None:
    with held_ports(1) as [port]:
        with socket.socket() as anybody, pytest.raises(OSError, match="in use"):
            anybody.bind(("127.0.0.1", port))
        with socket.create_server(("127.0.0.1", port), reuse_port=True) as envoy:
            assert envoy.getsockname() == ("127.0.0.1", port)
