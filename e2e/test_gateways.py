"""Many proxies on one server: each is told what its own gateway says, and whoever has no gateway is told nothing."""

from contextlib import ExitStack
from typing import Any

import pytest

from e2e.support import records
from e2e.support.client import Client
from e2e.support.envoy import Envoy
from e2e.support.gateways import add_gateway, running, wait_served
from e2e.support.processes import free_ports, wait_until
from e2e.support.world import V1, V2, World, explicit_host

pytestmark = pytest.mark.e2e

CONNECTED = "control_plane.connected_state"


def wait_changed(envoy: Envoy, before: dict[str, Any]) -> None:
    wait_until(lambda: envoy.resources() != before, "the release is taken")


def test_each_gateway_has_its_own_releases_and_selectors(world: World) -> None:
    app = world.app("many")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    with ExitStack() as stack:
        inside = stack.enter_context(running(world, "inside", explicit=None))
        partner = stack.enter_context(running(world, "partner", explicit={"header": "x-version", "access": "denied"}))
        before = world.pushes()
        release = records.release(app.name, {v2: 100}, gateways=["inside", "partner"])
        release["metadata"]["name"] = "many-inside"
        world.folder.write("release-many-inside.yaml", release)
        for client in (inside, partner):
            wait_served(client, app.host, v2)
        assert app.get().served == v1
        assert world.pushes() == before

        # No `explicit`: no selector is read, and none is stripped.
        by_header = inside.get(app.host, headers=[("x-explicit-deployment", v1)])
        by_query = inside.get(app.host, f"/?explicit-deployment={v1}")
        assert [reply.served for reply in (by_header, by_query)] == [v2] * 2
        assert b"x-explicit-deployment" in by_header.body
        assert inside.get(explicit_host(v1)).json["reason"] == "HostUnknown"
        # `denied`: a selector is refused and not overlooked. The name of another gateway's selector means nothing.
        refused = partner.get(app.host, headers=[("x-version", v2)])
        assert (refused.status, refused.json["reason"]) == (403, "ExplicitDenied")
        assert partner.get(app.host, headers=[("x-explicit-deployment", v1)]).served == v2


def test_a_proxy_of_an_unknown_gateway_is_told_nothing_until_there_is_one(world: World) -> None:
    counter = "xds_server_unknown_proxies_total"
    counted, logged = world.server.metrics()[counter], len(world.server.log())
    with world.stranger("lost-1", "nowhere") as envoy:
        wait_until(lambda: world.server.metrics()[counter] == counted + 1, "the proxy is counted")
        assert "this proxy is told nothing" in world.server.log()[logged:]
        app = world.app("meanwhile")
        v1 = app.deploy("v1", V1)
        assert envoy.stat(CONNECTED) == 1
        assert envoy.resources() == {}
        port = add_gateway(world, "nowhere")
        envoy.wait_ready()
        with Client(port) as client:
            assert client.get(explicit_host(v1)).served == v1


def test_two_streams_of_one_node_are_both_served_logged_and_counted(world: World) -> None:
    counter = "xds_server_duplicate_node_ids_total"
    app = world.app("doubles")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    gateways = ["edge", "doubles"]
    add_gateway(world, "doubles", delivery="full")
    app.released(v1, gateways=gateways)
    counted, logged = world.server.metrics()[counter], len(world.server.log())
    with world.another_envoy("doubles-1", "doubles") as one, world.another_envoy("doubles-1", "doubles") as twin:
        assert world.server.metrics()[counter] == counted + 1
        assert "node id is on two streams" in world.server.log()[logged:]
        before = twin.resources()
        app.release(v2, gateways=gateways)
        for envoy in (twin, one):
            wait_changed(envoy, before)
        assert twin.resources() == one.resources()
        assert one.stat(CONNECTED) == twin.stat(CONNECTED) == 1


def test_a_listener_may_be_renamed_and_moved_while_it_runs(world: World) -> None:
    app = world.app("moving")
    v1 = app.deploy("v1", V1)
    first, second = free_ports(2)

    def listen(**ports: int) -> None:
        listeners = [{"name": name, "address": "127.0.0.1", "port": port} for name, port in ports.items()]
        world.folder.write("gateway-moving.yaml", records.gateway("moving", first, listeners=listeners))

    def wait_listeners(envoy: Envoy, *names: str) -> None:
        wanted = {f"listener/moving/{name}" for name in names}
        wait_until(
            lambda: {each for each in envoy.resources() if each.startswith("listener/")} == wanted,
            f"the listeners are {names}",
        )

    listen(http=first)
    world.folder.write("release-moving.yaml", records.release(app.name, {v1: 100}, gateways=["moving"]))
    with world.another_envoy("moving-1", "moving") as envoy, Client(first) as one, Client(second) as two:
        wait_served(one, app.host, v1)
        listen(
            web=first
        )  # another name on the same port: Envoy takes it only if the old one leaves in the same response
        wait_listeners(envoy, "web")
        wait_served(one, app.host, v1)
        listen(web=first, more=second)
        wait_listeners(envoy, "web", "more")
        wait_served(two, app.host, v1)
        listen(web=second)  # another port for the same name
        wait_listeners(envoy, "web")
        wait_served(two, app.host, v1)
        assert envoy.stat("listener_manager.lds.update_rejected") == 0
