"""Gateways on demand: a host, and what it needs, is loaded when the first request for it comes.

`XDS_MINORS=all` tries every minor version of Envoy that can (`make test-envoys`), else the oldest and the current one.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.support import records
from e2e.support.applications import Applications, Service
from e2e.support.client import Client, echo
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.gateways import running
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Build
from e2e.support.server import Mode
from e2e.support.streams import Grpc, WebSocket
from e2e.support.wire import answer_to, status_of
from e2e.support.world import App, World
from e2e.support.world import world as new_world

pytestmark = pytest.mark.e2e

OLDEST = [EnvoyVersion.V37]
BETWEEN = [EnvoyVersion.V38, EnvoyVersion.V39]
VERSIONS = [*OLDEST, *(BETWEEN if os.environ.get("XDS_MINORS") == "all" else []), EnvoyVersion.CURRENT]
WITHIN = 5.0
"""Seconds in which every request is answered, whatever the server does."""


@pytest.fixture(scope="module", params=VERSIONS, ids=lambda version: version.name.lower())
def world(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with new_world(Mode.DELTA, request.param, tmp_path_factory.mktemp("on-demand")) as ready:
        kept = ready.app("kept")  # a folder that loses its last release is taken for one that was not read
        kept.release(write(kept))
        yield ready


def write(app: App, version: str = "v1", protocol: str = "http1", address: str = "", **component: Any) -> str:
    """Deploy, and ask for nothing."""
    if address:
        app.write(Build(app.name, "web", version).record([address], protocol))
    else:
        app.place("web", version)
    web = {"build": version, "routes": [{"pathPrefix": "/"}], **component}
    app.write(records.deployment(app.name, version, {"web": web}))
    return f"{app.name}-{version}"


def loaded(world: World, host: str) -> bool:
    return f"virtual_host/edge/http/{host}" in world.envoy.resources()


def live(world: World, app: App) -> None:
    """The server has told of the app all that there was to tell, before anybody asks for its host."""
    probe = f"probe.{app.host}"
    app.release(f"{app.name}-v1", hosts=[app.host, probe])
    wait_until(lambda: app.get(host=probe).served, f"{app.name} is served")


def test_404_then_deployed_then_200_then_gone_then_back(world: World) -> None:
    app = world.app("story")
    unknown = app.get()
    assert (unknown.status, unknown.json["reason"]) == (404, "HostUnknown")
    v1 = write(app)
    app.released(v1)
    for _ in range(2):
        world.folder.remove("release-story.yaml")
        wait_until(lambda: app.get().status == 404, "the release is gone")
        assert app.get().json == unknown.json
        app.released(v1)


def test_what_no_gateway_knows_is_answered_as_where_everything_is_delivered(world: World) -> None:
    with running(world, "whole", delivery="full") as whole:
        for host in ("nobody.example.com", "nobody.preview.example.com", "NOBODY.preview.example.com:81"):
            expected, told = (client.get(host) for client in (whole, world.client))
            assert (told.status, told.body, told.served) == (expected.status, expected.body, expected.served)
            kept = ("content-type", "x-served-rule")
            assert {name: told.header(name) for name in kept} == {name: expected.header(name) for name in kept}


def test_a_tunnel_is_refused_as_one_whether_its_host_is_there_or_not(world: World) -> None:
    app = world.app("tunnel")
    write(app)
    live(world, app)
    assert app.get().status == 200
    for host in (app.host, "nobody.example.com"):
        said = f"CONNECT {host}:80 HTTP/1.1\r\nhost: {host}:80\r\n\r\n"
        head, _, body = answer_to(world.port, said.encode()).partition(b"\r\n\r\n")
        assert (int(head.split()[1]), json.loads(body)["reason"]) == (404, "NoRoute")


def test_a_wildcard_serves_each_name_until_it_has_a_release_of_its_own(world: World) -> None:
    wide, own = world.app("wide"), world.app("own")
    v1, mine = write(wide), write(own)
    wide.release(v1, hosts=["*.wide.example.com"])
    host = "own.wide.example.com"
    wide.wait_served(v1, host)
    assert wide.get(host="other.wide.example.com:8080").served == v1
    own.release(mine, hosts=[host])
    own.wait_served(mine, host)
    assert wide.get(host="third.wide.example.com").served == v1
    world.folder.remove("release-own.yaml")
    own.wait_served(v1, host)
    unasked = world.version is not EnvoyVersion.CURRENT
    assert ("virtual_host/edge/http/*.wide.example.com" in world.envoy.resources()) == unasked


def test_a_host_is_the_same_with_a_port_and_in_capitals_and_arrives_as_it_was_sent(world: World) -> None:
    app = world.app("ports")
    write(app)
    live(world, app)
    for host in (f"{app.host}:8080", app.host.upper(), f"{app.host}:1"):
        reply = app.get(host=host)
        assert (reply.status, echo(reply.body).all("host")) == (200, [host])


def test_a_host_that_is_longer_than_names_may_be_is_nobodys_and_is_asked_of_nobody(world: World) -> None:
    app = world.app("wide-open")
    write(app)
    app.release("wide-open-v1", hosts=["*.open.example.com"])
    longest = f"{'a' * (253 - len('.open.example.com'))}.open.example.com"
    app.wait_served("wide-open-v1", f"{longest}:65535")
    before = responses(world)
    for number in range(10):
        unknown = app.get(host=f"{number}{'.a' * 20_000}:8080")
        assert (unknown.status, unknown.json["reason"]) == (404, "HostUnknown")
    assert responses(world) == before
    assert app.get(host="x.open.example.com").served == "wide-open-v1"


def responses(world: World) -> float:
    return world.server.metrics()["xds_server_responses_total"]


def test_deploying_behind_a_host_template_pushes_nothing_and_is_loaded_when_it_is_asked_for(world: World) -> None:
    app = world.app("lazy")
    (port,) = free_ports(1)
    template = {"host": "{deployment}.lazy.example.com"}
    world.folder.write("gateway-lazy.yaml", records.gateway("lazy", port, explicit=template))
    with world.another_envoy("lazy-1", "lazy") as envoy, Client(port) as client:
        assert client.get("probe.lazy.example.com").json["reason"] == "DeploymentUnknown"
        before = pushes(envoy)
        v1, v2 = write(app), write(app, "v2")
        wait_until(lambda: app.explicit(v2).status == 200, "it is deployed")
        if world.version is EnvoyVersion.CURRENT:
            assert pushes(envoy) == before
        assert [client.get(f"{each}.lazy.example.com").served for each in (v1, v2)] == [v1, v2]


def pushes(envoy: Envoy) -> dict[str, int]:
    """Without those of clusters, which come and go with them."""
    return {name: count for name, count in envoy.stats("update_success$").items() if not name.startswith("cluster.")}


def test_a_header_leads_to_a_deployment_that_is_not_loaded(world: World) -> None:
    app = world.app("named")
    v1, v2 = write(app), write(app, "v2")
    app.released(v1)
    wait_until(lambda: app.get(headers=[("x-explicit-deployment", v2)]).served == v2, "its cluster is found")
    assert app.get(headers=[("x-explicit-deployment", v2)]).status == 200


def test_a_first_request_may_have_a_body(world: World) -> None:
    app = world.app("posts")
    write(app)
    live(world, app)
    size = 100_000
    head = f"POST / HTTP/1.1\r\nhost: {app.host}\r\nconnection: close\r\ncontent-length: {size}\r\n\r\n"
    assert status_of(answer_to(world.port, head.encode() + b"x" * size)) == 200


def test_a_first_request_may_be_a_web_socket(world: World, applications: Applications) -> None:
    app = world.app("sockets")
    write(app, address=applications.http1("web"))
    live(world, app)
    app.release("sockets-v1", hosts=[app.host, f"*.{app.host}"])
    app.wait_served("sockets-v1", f"another.{app.host}")
    for host in (app.host, f"any.{app.host}"):
        socket = WebSocket(world.port, host)
        assert [socket.exchange() for _ in range(3)] == ["web"] * 3
        socket.close()


@pytest.mark.parametrize("kind", ["unary", "stream"])
def test_a_first_request_may_be_a_call_of_grpc(world: World, applications: Applications, kind: str) -> None:
    app = world.app(f"grpc-{kind}")
    write(app, protocol="grpc", address=applications.grpc(Service("web")))
    live(world, app)
    calls = Grpc(world.port, app.host)
    assert (calls.unary() if kind == "unary" else calls.exchange()) == "web"
    calls.close()


def test_a_first_request_may_be_answered_slowly(world: World) -> None:
    app = world.app("slow")
    write(app)
    live(world, app)
    assert app.get(headers=[("x-test-delay", "3.5")]).status == 200


def test_where_first_answers_take_longer_no_limit_for_silence_is_the_way_around(world: World) -> None:
    app = world.app("slower")
    write(app, policy={"idleTimeout": "0s"})
    live(world, app)
    assert app.get(headers=[("x-test-delay", "5.5")]).status == 200


def test_every_listener_has_its_own(world: World) -> None:
    app = world.app("twice")
    v1 = write(app)
    ports = free_ports(2)
    listeners = [{"name": f"http{port}", "address": "127.0.0.1", "port": port} for port in ports]
    world.folder.write("gateway-twice.yaml", records.gateway("twice", 1, listeners=listeners))
    app.release(v1, gateways=["twice"])
    with world.another_envoy("twice-1", "twice"):
        for port in ports:
            with Client(port) as client:
                assert client.get("nobody.example.com").json["reason"] == "HostUnknown"
                assert client.get(app.host).served == v1


def test_a_server_that_is_gone_leaves_what_is_loaded_and_answers_the_rest_in_time(
    world: World, applications: Applications
) -> None:
    app = world.app("alone")
    v1 = write(app, address=applications.http1("web"))
    app.released(v1)
    socket = WebSocket(world.port, app.host)
    assert socket.exchange() == "web"
    begun = time.monotonic()
    world.server.child.kill()
    asked = time.monotonic()
    late = app.get(host="unheard.example.com")
    assert time.monotonic() - asked < WITHIN
    assert (late.status, late.json["reason"]) == (504, "Timeout")
    assert app.get().served == v1
    time.sleep(max(0.0, begun + 20 - time.monotonic()))  # nothing moves for longer than a first request may take
    assert socket.exchange() == "web"
    world.server.start()
    world.wait_connected()
    wait_until(lambda: app.get(host="unheard.example.com").status == 404, "it is known that there is none")
    assert app.get().served == v1
    socket.close()


def test_a_gateway_may_want_everything(world: World) -> None:
    app = world.app("full")
    v1 = write(app)
    app.release(v1, gateways=["edge", "everything"])
    with running(world, "everything", delivery="full") as client:
        wait_until(lambda: client.get(app.host).served == v1, "it is served")
