"""A release waits until what it newly gives is ready, and what is in force serves meanwhile."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.gateways import add_gateway, wait_served
from e2e.support.load import Shot, lost
from e2e.support.processes import wait_until
from e2e.support.records import Build
from e2e.support.server import Mode
from e2e.support.upstream import Protocol
from e2e.support.world import App, World
from e2e.support.world import world as new_world
from xds_server.cli.ctl import app as app_of_ctl

pytestmark = pytest.mark.e2e

CHECK = {"interval": "100ms", "timeout": "1s"}
REFUSED, TIMEOUT = 4, 5


def checked(app: App, build: str, protocol: Protocol = Protocol.HTTP1, **check: Any) -> str:
    """A build of `web` whose instances are asked whether they are well; the name of its one instance."""
    name = app.instance("web", build)
    address = app.world.addresses[name] = app.world.upstreams.start(name, protocol)
    place(app, build, [address], protocol, **check)
    return name


def place(app: App, build: str, addresses: Sequence[Any], protocol: Protocol = Protocol.HTTP1, **check: Any) -> None:
    app.write(Build(app.name, "web", build).record(addresses, protocol, healthCheck={**CHECK, **check}))


def held(app: App) -> tuple[str, str]:
    """Why what the record of the release says is not in force, and in which words."""
    record = f"Release/default/{app.name}"
    found = [each for each in app.world.server.problems() if each["record"] == record]
    return next(((each["reason"], each["what"]) for each in found), ("", ""))


def wait_held(app: App, reason: str, words: str) -> None:
    wait_until(lambda: held(app)[0] == reason and words in held(app)[1], f"{app.name}: {reason}: {words}")


def waited(app: App, timeout: str = "1ms") -> tuple[int, str]:
    words = ["wait", app.name, "--server", f"127.0.0.1:{app.world.server.admin}", "--timeout", timeout]
    found = CliRunner().invoke(app_of_ctl, words)
    return found.exit_code, found.stdout


def start(world: World, name: str) -> App:
    app = world.app(name)
    app.released(app.deploy("v1", {"web": "a1"}))
    return app


def test_it_waits_until_an_instance_is_well_and_no_request_is_lost(pair_world: World) -> None:
    app = start(pair_world, "unwell")
    instance = checked(app, "a2")
    pair_world.upstreams.tell(instance, health="503")
    v2 = app.deploy("v2", {"web": "a2"})
    with pair_world.load([Shot("default", app.host)]) as load:
        app.release(v2)
        wait_held(app, "Pending", "answered 503")
        code, words = waited(app)
        assert code == TIMEOUT
        assert "component web of unwell-v2 (build a2) has not passed its health check" in words
        pair_world.wait_answered(20)
        assert app.get().served == "unwell-v1"

        pair_world.upstreams.tell(instance, health="200")
        app.wait_served(v2)
        pair_world.wait_answered(20)
        results = load.stop()
    assert lost(results.answers) == []
    assert held(app) == ("", "")


@pytest.mark.parametrize("protocol", [Protocol.HTTP2, Protocol.GRPC])
def test_it_is_asked_in_its_protocol(pair_world: World, protocol: Protocol) -> None:
    app = start(pair_world, f"asked-{protocol}")
    instance = checked(app, "a2", protocol)
    pair_world.upstreams.tell(instance, health="503")
    web = {"build": "a2", "routes": [{"pathPrefix": "/"}]}
    app.place("page", "p1")
    v2 = app.deploy("v2", {"web": "a2", "page": "p1"}, probe="/page", web=web)
    app.release(v2)
    wait_held(app, "Pending", "is not serving" if protocol is Protocol.GRPC else "answered 503")

    pair_world.upstreams.tell(instance, health="200")
    wait_until(lambda: app.get("/page").served == v2, f"{v2} is released")


def test_an_endpoint_that_comes_later(pair_world: World) -> None:
    app = start(pair_world, "unplaced")
    address = pair_world.upstreams.start(app.instance("web", "a2"))
    app.write(Build(app.name, "web", "a2").record([{"address": address, "draining": True}]))
    pair_world.addresses[app.instance("web", "a2")] = address
    v2 = app.deploy("v2", {"web": "a2"})
    app.release(v2)
    wait_held(app, "Pending", "component web of unplaced-v2 has no endpoint that takes requests (build a2)")
    assert app.get().served == "unplaced-v1"

    app.write(Build(app.name, "web", "a2").record([address]))
    app.wait_served(v2)


def test_after_the_deadline_traffic_stays_until_a_record_is_corrected(pair_world: World) -> None:
    app = start(pair_world, "late")
    instance = checked(app, "a2")
    pair_world.upstreams.tell(instance, health="503")
    v2 = app.deploy("v2", {"web": "a2"})
    app.release(v2, policy={"activationDeadline": "1s"})
    wait_held(app, "ActivationFailed", "was not ready within 1s (policy.activationDeadline): component web of late-v2")
    code, words = waited(app)
    assert code == REFUSED
    assert "answered 503" in words
    assert app.get().served == "late-v1"

    pair_world.upstreams.tell(instance, health="200")
    app.release(v2, policy={"activationDeadline": "1m"})
    app.wait_served(v2)
    assert held(app) == ("", "")


@contextmanager
def paused(envoy: Envoy) -> Iterator[None]:
    """It is there, and does nothing."""
    os.kill(envoy.child.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(envoy.child.pid, signal.SIGCONT)


def test_a_cluster_is_waited_for_at_every_gateway_that_has_the_release(pair_world: World) -> None:
    app = pair_world.app("both")
    port = add_gateway(pair_world, "second")
    v1 = app.deploy("v1", {"web": "a1"})
    with pair_world.another_envoy("second-1", "second") as second, Client(port) as client:
        app.released(v1, gateways=["edge", "second"])
        wait_served(client, app.host, v1)
        with paused(second):
            checked(app, "a2")
            v2 = app.deploy("v2", {"web": "a2"})
            app.release(v2, gateways=["edge", "second"])
            wait_held(app, "Pending", "cluster both-v2/web is not warm yet at gateway second-1 of second")
            assert app.get().served == v1
        app.wait_served(v2)
        wait_served(client, app.host, v2)


def test_a_cluster_that_does_not_warm_is_named(pair: tuple[Mode, EnvoyVersion], tmp_path: Path) -> None:
    """The server asks nobody, and an instance never answers Envoy, whose cluster is warm once it has."""
    with new_world(*pair, tmp_path, "--no-probe") as world:
        app = start(world, "stuck")
        instance = checked(app, "a2", timeout="60s")
        world.upstreams.tell(instance, health="hold")
        web = {"build": "a2", "routes": [{"pathPrefix": "/"}]}
        v2 = app.deploy("v2", {"web": "a2", "page": "p1"}, probe="/page", web=web)
        app.release(v2)
        wait_held(app, "Pending", f"cluster {v2}/web does not warm at gateway edge-1 of edge")
        assert app.get().served == "stuck-v1"

        world.upstreams.tell(instance, health="200")
        world.upstreams.let_go(instance)
        app.wait_served(v2)
        assert {each.asked.all("user-agent")[0] for each in world.upstreams.checks(instance)} == {"Envoy/HC"}


def test_a_server_that_is_killed_goes_on_waiting(pair_world: World) -> None:
    app = start(pair_world, "killed")
    instance = checked(app, "a2")
    pair_world.upstreams.tell(instance, health="503")
    v2 = app.deploy("v2", {"web": "a2"})
    with pair_world.load([Shot("default", app.host)]) as load:
        app.release(v2)
        wait_held(app, "Pending", "answered 503")
        pair_world.server.child.kill()
        pair_world.server.start()
        pair_world.wait_connected()
        wait_held(app, "Pending", "answered 503")
        pair_world.wait_answered(20)
        assert app.get().served == "killed-v1"

        pair_world.upstreams.tell(instance, health="200")
        app.wait_served(v2)
        results = load.stop()
    assert lost(results.answers) == []
