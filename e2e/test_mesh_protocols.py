"""HTTP/2 and gRPC in the mesh: from the gateway to an application, and from its sidecar to whom it calls.

The tests are the applications: they call by the sidecar beside `ui` (gRPC) and `web` (HTTP/2) with the baggage that
these were told, and nothing else.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import grpc
import httpx
import pytest

from e2e.support.applications import Applications
from e2e.support.client import Client, Echo, Headers, Reply, echo
from e2e.support.envoy import EnvoyVersion
from e2e.support.mesh import HOST
from e2e.support.pair import Pair, application, context, pair_of
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.streams import WebSocket
from e2e.support.talking import Talking, talking

pytestmark = pytest.mark.e2e

WITHIN = 10.0
PIECES = [b"a", b"", b"bc"]
OTHERS = "a=1;p, b = two"
KINDS = ["Unary", "Client", "Server", "Both"]
VERSIONS = pytest.mark.parametrize(("deployment", "number"), [("order-v1", 1), ("order-v2", 2)], ids=["v1", "v2"])


@pytest.fixture(scope="module")
def order(
    pair: tuple[Mode, EnvoyVersion], applications: Applications, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Talking]:
    with talking(*pair, tmp_path_factory.mktemp("talking"), applications) as ready:
        for deployment in ("order-v1", "order-v2", "order-v3"):
            wait_served(ready, deployment)
        yield ready


def wait_served(order: Talking, deployment: str) -> None:
    named = explicit(deployment)

    def served() -> bool:
        with suppress(grpc.RpcError):
            return called(order.port, HOST, "Unary", named) == [b"abc"] and got(order.port, HOST, named).status == 200
        return False

    wait_until(served, f"{deployment} is served")


def explicit(deployment: str) -> list[tuple[str, str]]:
    return [("x-explicit-deployment", deployment)]


def called(port: int, authority: str, kind: str, metadata: Headers) -> list[bytes]:
    """What a call of gRPC is answered. It raises what it is refused with."""
    usual: dict[str, Any] = {"timeout": WITHIN, "metadata": tuple(metadata)}
    options = [("grpc.default_authority", authority)]
    channel: Any
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        kinds: dict[str, Callable[[], Iterable[bytes]]] = {
            "Unary": lambda: [channel.unary_unary("/echo.Echo/Unary")(b"abc", **usual)],
            "Client": lambda: [channel.stream_unary("/echo.Echo/Client")(iter(PIECES), **usual)],
            "Server": lambda: channel.unary_stream("/echo.Echo/Server")(b"abc", **usual),
            "Both": lambda: channel.stream_stream("/echo.Echo/Both")(iter(PIECES), **usual),
        }
        return list(kinds[kind]())


def answers(kind: str, build: str) -> list[bytes]:
    """What an application answers to it."""
    name = build.encode()
    return {"Server": [b"a", b"b", b"c"], "Both": [name + b" " + each for each in PIECES]}.get(kind, [b"abc"])


def got(port: int, authority: str, headers: Headers) -> Reply:
    """Over HTTP/2, as the first words say."""
    with httpx.Client(http1=False, http2=True, timeout=WITHIN, trust_env=False) as client:
        reply = client.get(f"http://127.0.0.1:{port}/", headers=[("host", authority), *headers])
    assert reply.http_version == "HTTP/2"
    return Reply(reply.status_code, tuple(reply.headers.multi_items()), reply.content)


@VERSIONS
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_grpc_stays_in_its_version(order: Talking, kind: str, deployment: str, number: int) -> None:
    ui, api = order.services["ui@u1"], order.services[f"api@a{number}"]
    said = [*explicit(deployment), ("baggage", OTHERS)]
    assert called(order.port, HOST, kind, said) == answers(kind, ui.name)
    told = ui.got[-1]
    assert (told["x-deployment"], told["baggage"]) == (deployment, f"xds.deployment={deployment},{OTHERS}")

    before = len(api.got)
    assert called(order.outbound("ui@u1"), "api", kind, [("baggage", told["baggage"])]) == answers(kind, api.name)
    assert len(api.got) == before + 1
    assert (api.got[-1]["x-deployment"], api.got[-1]["baggage"]) == (deployment, told["baggage"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("authority", "context", "reason"),
    [
        pytest.param("api", "order-v3", "ComponentAbsent", id="absent"),
        pytest.param("api", "order-v9", "ContextUnknown", id="unknown"),
        pytest.param("nobody", "order-v1", "ComponentUnknown", id="no-component"),
    ],
)
def test_a_refusal_is_unavailable_to_grpc(order: Talking, kind: str, authority: str, context: str, reason: str) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        called(order.outbound("ui@u1"), authority, kind, [("baggage", f"xds.deployment={context}")])
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason in str(refused.value.details())


@pytest.mark.parametrize("kind", KINDS)
def test_a_build_refuses_calls_of_grpc_for_another_deployment(order: Talking, kind: str) -> None:
    before = len(order.services["api@a1"].got)
    with pytest.raises(grpc.RpcError) as refused:
        called(order.places["api@a1"].inbound, "api", kind, [("x-deployment", "order-v2")])
    assert isinstance(refused.value, grpc.Call)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(order.services["api@a1"].got) == before


@VERSIONS
def test_a_request_of_http2_stays_in_its_version(order: Talking, deployment: str, number: int) -> None:
    at_web = echo(got(order.port, HOST, [*explicit(deployment), ("baggage", OTHERS)]).body)
    context = ([deployment], [f"xds.deployment={deployment},{OTHERS}"])
    assert (at_web.instance, contexts(at_web)) == ("web@w1", context)

    forwarded = [("baggage", each) for each in at_web.all("baggage")]
    at_cart = echo(got(order.outbound("web@w1"), "cart", forwarded).body)
    assert (at_cart.instance, contexts(at_cart)) == (f"cart@c{number}", context)


def test_8_kib_of_baggage_pass_by_http2_as_they_came(order: Talking) -> None:
    others = "a=" + "%41" * 2730
    at_web = echo(got(order.port, HOST, [*explicit("order-v2"), ("baggage", others)]).body)
    at_cart = echo(got(order.outbound("web@w1"), "cart", [("baggage", each) for each in at_web.all("baggage")]).body)
    for told in (at_web, at_cart):
        assert told.all("baggage") == ["xds.deployment=order-v2", others]


def test_many_requests_of_http2_on_one_connection_stay_in_their_versions(order: Talking) -> None:
    """They are open at once, in turn of v1 and v2."""
    versions = [1, 2] * 50
    found = asyncio.run(multiplexed(order.outbound("web@w1"), "cart", [f"order-v{each}" for each in versions]))
    assert [each.instance for each in found] == [f"cart@c{each}" for each in versions]
    assert [contexts(each)[0] for each in found] == [[f"order-v{each}"] for each in versions]


async def multiplexed(port: int, authority: str, deployments: Iterable[str]) -> list[Echo]:
    one = httpx.Limits(max_connections=1)
    async with (
        httpx.AsyncClient(http1=False, http2=True, limits=one, timeout=WITHIN, trust_env=False) as client,
        asyncio.TaskGroup() as tasks,
    ):
        url = f"http://127.0.0.1:{port}/"
        asked = [
            tasks.create_task(client.get(url, headers={"host": authority, "baggage": f"xds.deployment={each}"}))
            for each in deployments
        ]
    return [echo(each.result().content) for each in asked]


@pytest.mark.parametrize(
    ("context", "reason"), [("order-v3", "ComponentAbsent"), ("order-v9", "ContextUnknown")], ids=["absent", "unknown"]
)
def test_a_request_of_http2_is_refused_with_the_reason(order: Talking, context: str, reason: str) -> None:
    reply = got(order.outbound("web@w1"), "cart", [("baggage", f"xds.deployment={context}")])
    assert (reply.status, reply.json["reason"]) == (502, reason)


def contexts(told: Echo) -> tuple[list[str], list[str]]:
    return told.all("x-deployment"), told.all("baggage")


@pytest.fixture
def apart(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with pair_of(*pair, tmp_path_factory.mktemp("apart"), {"v1": {}}) as ready:
        yield ready


def test_a_web_socket_passes_the_sidecar_of_a_build_that_speaks_http2(apart: Pair, applications: Applications) -> None:
    """And what else is under way between the two sidecars goes on: they have one connection."""
    place = replace(apart.first, application=int(applications.http2("a1").rpartition(":")[2]))
    apart.place(place, protocol="http2")
    with apart.sidecar(place), apart.sidecar(apart.ui):
        one, other = (WebSocket(apart.ui.outbound, "api", headers=[context("v1")]) for _ in range(2))
        assert [each.exchange() for each in (one, other, one)] == ["a1"] * 3
        for each in (one, other):
            each.close()


def test_an_answer_that_cannot_be_read_is_refused_with_a_reason(apart: Pair) -> None:
    with application(apart.first), apart.sidecar(apart.first), Client(apart.first.inbound) as client:
        reply = client.get("api", "/many", [context("v1")])
    assert (reply.status, reply.json["reason"]) == (502, "ProtocolError")
