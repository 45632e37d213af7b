"""What stands behind a gateway: HTTP/1, HTTP/2 and gRPC upstreams, their timeouts and retries."""

import json
import time
from typing import Any

import grpc
import pytest

from e2e.support.client import echo
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Build
from e2e.support.upstream import Protocol
from e2e.support.world import App, World, explicit_host

pytestmark = pytest.mark.e2e


def deploy(app: App, version: str, build: str, **component: Any) -> str:
    return app.deploy(version, {"web": build}, web=component)


@pytest.mark.parametrize("protocol", [Protocol.HTTP1, Protocol.HTTP2])
def test_an_upstream_is_spoken_to_in_its_protocol(world: World, protocol: Protocol) -> None:
    app = world.app(f"speaks-{protocol}")
    app.place("web", "a1", protocol)
    app.released(deploy(app, "v1", "a1"))
    reply = app.get("/x?y=%2f", headers=[("x-twice", "b"), ("x-twice", "a")])
    received = echo(reply.body)
    assert (received.instance, received.path) == (app.instance("web", "a1"), "/x?y=%2f")
    assert received.all("x-twice") == ["b", "a"]
    assert bool(received.all(":authority")) is (protocol is Protocol.HTTP2)


class Calls:
    """A gRPC client of one host of the gateway."""

    def __init__(self, world: World, host: str) -> None:
        self.channel = grpc.insecure_channel(f"127.0.0.1:{world.port}", [("grpc.default_authority", host)])

    def add(self, *metadata: tuple[str, str]) -> bytes:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary("/shop.Cart/Add")
        return call(b"", metadata=metadata, timeout=5, wait_for_ready=True)


def grpc_app(world: World, name: str, **component: Any) -> tuple[App, str]:
    """gRPC answers nothing to a plain GET, so this waits for a call that succeeds."""
    app = world.app(name)
    app.place("cart", "a1", Protocol.GRPC)
    app.place("page", "p1")
    cart = {"routes": [{"pathPrefix": "/shop.Cart"}], **component}
    return app, app.deploy("v1", {"cart": "a1", "page": "p1"}, probe="/page", cart=cart)


def test_grpc_is_routed_by_host_and_by_metadata(world: World) -> None:
    app, v1 = grpc_app(world, "calls")
    app.release(v1)
    app.wait_served(v1)
    by_host, by_metadata = Calls(world, explicit_host(v1)), Calls(world, app.host)
    for said in (by_host.add(), by_metadata.add(), by_metadata.add(("x-explicit-deployment", v1))):
        received = echo(said)
        assert (received.instance, received.path) == (app.instance("cart", "a1"), "/shop.Cart/Add")
        assert received.all("x-deployment") == [v1]
        assert received.all("x-explicit-deployment") == []
    with pytest.raises(grpc.RpcError) as refused:
        by_metadata.add(("x-explicit-deployment", "calls-v9"))
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert json.loads(str(refused.value.details()))["reason"] == "DeploymentUnknown"


def test_grpc_is_retried_by_its_status(world: World) -> None:
    app, v1 = grpc_app(world, "recalls", policy={"retries": {"attempts": 2, "on": ["unavailable"], "methods": "any"}})
    calls = Calls(world, explicit_host(v1))
    assert echo(calls.add(("x-test-fail", f"{world.directory.name}-a/2"))).attempt == 3
    with pytest.raises(grpc.RpcError) as failed:
        calls.add(("x-test-fail", f"{world.directory.name}-b/3"))
    assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    assert app.explicit(v1, "/page").status == 200


@pytest.mark.parametrize("protocol", [Protocol.HTTP1, Protocol.HTTP2])
def test_a_slow_answer_ends_at_the_timeout(world: World, protocol: Protocol) -> None:
    app = world.app(f"slow-{protocol}")
    app.place("web", "a1", protocol)
    v1 = deploy(app, "v1", "a1", policy={"timeout": "300ms"})
    assert app.explicit(v1, headers=[("x-test-delay", "0.05")]).status == 200
    begun = time.monotonic()
    late = app.explicit(v1, headers=[("x-test-delay", "5")])
    assert (late.status, late.json["reason"]) == (504, "Timeout")
    assert 0.25 < time.monotonic() - begun < 4, "it would answer after 5 s"


def test_a_failed_request_is_retried_as_often_as_the_policy_says(world: World) -> None:
    app = world.app("retries")
    never = deploy(app, "v1", "a1")
    twice = deploy(app, "v2", "a1", policy={"retries": {"attempts": 2, "on": ["5xx"]}})
    assert app.explicit(never, headers=[("x-test-fail", "never/1")]).status == 503
    reply = app.explicit(twice, headers=[("x-test-fail", "twice/2")])
    assert (reply.status, echo(reply.body).attempt) == (200, 3)
    assert app.explicit(twice, headers=[("x-test-fail", "thrice/3")]).status == 503


def test_a_connection_that_fails_is_tried_at_another_instance(world: World) -> None:
    app = world.app("connects")
    (nobody,) = free_ports(1)
    address = world.upstreams.start(app.instance("web", "a1"))
    app.write(Build(app.name, "web", "a1").record([f"127.0.0.1:{nobody}", address]))
    world.addresses[app.instance("web", "a1")] = address
    v1 = deploy(app, "v1", "a1", policy={"retries": {"attempts": 2, "on": ["connect-failure"]}})
    assert [app.explicit(v1).status for _ in range(20)] == [200] * 20


def test_draining_instances_get_nothing_new_and_weights_hold(world: World) -> None:
    app = world.app("weighs")
    names = ("light", "heavy", "draining")
    light, heavy, draining = (world.upstreams.start(name) for name in names)
    members = [light, {"address": heavy, "weight": 3}, {"address": draining, "draining": True}]
    app.write(Build(app.name, "web", "a1").record(members))
    world.addresses[app.instance("web", "a1")] = light
    v1 = deploy(app, "v1", "a1")
    said = [echo(app.explicit(v1).body).instance for _ in range(400)]
    assert said.count("draining") == 0
    assert abs(said.count("heavy") - 300) <= 5


def test_endpoints_that_move_are_followed_without_a_new_version(world: World) -> None:
    app = world.app("follows")
    v1 = deploy(app, "v1", "a1")
    app.released(v1)
    before = world.updates()
    elsewhere = world.upstreams.start("elsewhere")
    app.write(Build(app.name, "web", "a1").record([elsewhere]))
    world.envoy.wait_endpoints(app.instance("web", "a1"), {elsewhere})
    assert echo(app.get().body).instance == "elsewhere"
    assert world.updates() == before


def test_a_build_without_endpoints_is_answered_with_the_reason(world: World) -> None:
    app = world.app("nowhere")
    v1 = deploy(app, "v1", "a1")
    app.write(Build(app.name, "web", "a1").record([]))
    wait_until(lambda: app.explicit(v1).status == 503, "the endpoints are gone")
    reply = app.explicit(v1)
    assert (reply.header("content-type"), reply.json["reason"]) == ("application/json", "NoHealthyEndpoint")
    assert reply.served == v1
