"""Envoys of one gateway: what the first of them refuses reaches no other, and silence holds nobody up."""

import copy
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from bench.fleet.proxy import Behaviour
from bench.fleet.proxy import Mode as FleetMode
from bench.fleet.running import Fleet, fleet
from e2e.support import records
from e2e.support.client import Client
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.gateways import wait_served
from e2e.support.processes import free_ports, wait_until
from e2e.support.relay import Relay, relay
from e2e.support.server import Mode
from e2e.support.world import GATEWAY, V1, V2, App, World
from e2e.support.world import world as new_world
from e2e.test_extensions import annotated

pytestmark = pytest.mark.e2e

COUNT = 20
SIMULATED, LATE = 100, 0.2
"""More proxies of the same kind, and how many seconds each takes to answer."""
TYPES = 4
"""Of which each is sent something when it begins."""
EXTENSION = "unheard_of"
REFUSED = "listener_manager.lds.update_rejected"
LISTENERS = "listener_manager.total_listeners_active"


@dataclass
class Crowd:
    """One gateway, and its Envoys."""

    world: World
    envoys: list[Envoy]
    app: App

    def listen(self, *ports: int, **annotations: str) -> None:
        """The gateway listens at its port, and at these; with annotations, its listeners are what nobody can read."""
        said = [("http", self.world.port), *((f"more-{port}", port) for port in ports)]
        listeners = [{"name": name, "address": "127.0.0.1", "port": port} for name, port in said]
        record = records.gateway(GATEWAY, self.world.port, listeners=listeners)
        if annotations:
            annotated(record, EXTENSION, **annotations)
        self.world.folder.write("gateway-edge.yaml", record)

    def refusals(self) -> int:
        return sum(envoy.stat(REFUSED) for envoy in self.envoys)

    def problems(self) -> list[dict[str, Any]]:
        return [each for each in self.world.server.problems() if each["reason"] == "Refused"]

    def wait_listeners(self, count: int) -> None:
        wait_until(
            lambda: all(envoy.stat(LISTENERS) == count for envoy in self.envoys), f"all have {count} listeners", 20
        )


@pytest.fixture(scope="module", params=list(Mode))
def crowd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    options = ("--extension", f"e2e.support.extensions:{EXTENSION}")
    directory = tmp_path_factory.mktemp("crowd")
    with new_world(request.param, EnvoyVersion.CURRENT, directory, *options) as world, ExitStack() as stack:
        others = list(strangers(world, stack))
        for envoy in others:
            envoy.wait_ready()
        app = world.app("crowded")
        app.released(app.deploy("v1", V1))
        yield Crowd(world, [world.envoy, *others], app)


def strangers(world: World, stack: ExitStack) -> Iterator[Envoy]:
    """All that are missing, started at once."""
    ports = free_ports(COUNT - 1)
    printed = world.server.bootstrap(GATEWAY, world.mode, ports[0], f"{GATEWAY}-2")
    for number, port in enumerate(ports, 2):
        bootstrap = copy.deepcopy(printed)
        bootstrap["node"]["id"] = f"{GATEWAY}-{number}"
        bootstrap["admin"]["address"]["socket_address"]["port_value"] = port
        yield stack.enter_context(Envoy(world.version, bootstrap, world.directory))


@pytest.fixture
def simulated(crowd: Crowd) -> Iterator[Fleet]:
    """As many more that take whatever they are sent, but never answer first: somebody else is asked before them."""
    mode = FleetMode.ON_DEMAND if crowd.world.mode is Mode.DELTA else FleetMode.SOTW
    with fleet(crowd.world.directory) as connected:
        connected.connect(crowd.world.server.xds, [(SIMULATED, Behaviour(mode=mode, delay=LATE))])
        connected.settle()
        wait_until(lambda: connected.counts()["accepted"] >= TYPES * SIMULATED, "all have answered")
        yield connected


def test_what_the_first_refuses_reaches_no_other(crowd: Crowd, simulated: Fleet) -> None:
    world, app = crowd.world, crowd.app
    before, told = world.server.metrics(), simulated.counts()["accepted"]

    crowd.listen(**{"unheard-of": "yes"})

    wait_until(lambda: bool(crowd.problems()), "it is a problem", 20)
    [problem] = crowd.problems()
    assert simulated.counts()["accepted"] == told, "nobody else was sent it"
    assert problem["record"] == f"Gateway/default/{GATEWAY}"
    assert "nobody.knows.This" in problem["what"], "Envoy's own words"
    app.released(app.deploy("v2", V2))
    assert app.get().served == "crowded-v2", "all else goes on"
    with world.another_envoy(f"{GATEWAY}-late", GATEWAY) as late:
        assert late.stat(REFUSED) == 0, "who connects gets last good"
        assert late.stat(LISTENERS) == 1
    after = world.server.metrics()
    assert crowd.refusals() == 1
    assert after["xds_server_nacks_total"] - before["xds_server_nacks_total"] == 1
    assert after["xds_server_quarantined_total"] - before["xds_server_quarantined_total"] == 1
    assert after["xds_server_trials"] == 0

    (port,) = free_ports(1)
    crowd.listen(port)

    wait_until(lambda: not crowd.problems(), "mended")
    crowd.wait_listeners(2)
    assert crowd.refusals() == 1
    crowd.listen()
    crowd.wait_listeners(1)


def test_who_is_silent_holds_nobody_up(crowd: Crowd) -> None:
    (port,) = free_ports(1)
    *silent, awake = crowd.envoys
    for envoy in silent:
        os.kill(envoy.child.pid, signal.SIGSTOP)
    try:
        crowd.listen(port)
        awake.wait_stat(LISTENERS, 2, within=20)
        with Client(port) as client:
            wait_served(client, crowd.app.host, "crowded-v2")
    finally:
        for envoy in silent:
            os.kill(envoy.child.pid, signal.SIGCONT)
    crowd.wait_listeners(2)
    assert crowd.problems() == []


UNTRIED = "xds_server_untried_total"
MOVED = "listener_manager.listener_modified"


@dataclass
class Wired(Crowd):
    """All but the first of its Envoys have a relay before their server."""

    relays: list[Relay]

    def move(self, port: int) -> None:
        """The gateway listens at its port, and at this one."""
        said = [("http", self.world.port), ("more", port)]
        listeners = [{"name": name, "address": "127.0.0.1", "port": port} for name, port in said]
        self.world.folder.write("gateway-edge.yaml", records.gateway(GATEWAY, self.world.port, listeners=listeners))


@pytest.fixture(params=list(Mode))
def wired(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wired]:
    options = ("--extension", f"e2e.support.extensions:{EXTENSION}")
    directory = tmp_path_factory.mktemp("wired")
    with new_world(request.param, EnvoyVersion.CURRENT, directory, *options) as world, ExitStack() as stack:
        relays = [stack.enter_context(relay(world.server.xds)) for _ in range(2)]
        envoys = [stack.enter_context(behind(world, wire, number)) for number, wire in enumerate(relays, 2)]
        for envoy in envoys:
            envoy.wait_ready()
        app = world.app("wired")
        app.released(app.deploy("v1", V1))
        yield Wired(world, [world.envoy, *envoys], app, relays)


def behind(world: World, wire: Relay, number: int) -> Envoy:
    (admin,) = free_ports(1)
    bootstrap = world.server.bootstrap(GATEWAY, world.mode, admin, f"{GATEWAY}-{number}")
    [cluster] = [each for each in bootstrap["static_resources"]["clusters"] if each["name"] == "xds-server"]
    [locality] = cluster["load_assignment"]["endpoints"]
    [server] = locality["lb_endpoints"]
    server["endpoint"]["address"]["socket_address"]["port_value"] = wire.port
    return Envoy(world.version, bootstrap, world.directory)


def test_who_answers_late_holds_nobody_up(wired: Wired) -> None:
    ports = free_ports(2)
    for wire in wired.relays:
        wire.requests.delay = 0.4
    for count in (1, 2):
        wired.listen(*ports[:count])
        wired.wait_listeners(1 + count)
    assert wired.world.server.metrics()[UNTRIED] == 0, "somebody has answered"
    assert wired.refusals() == 0
    assert wired.problems() == []


def test_everybody_is_told_what_nobody_answers(wired: Wired) -> None:
    """A listener moves: that needs no new subscription, which would be held up, too."""
    silent, *others = wired.envoys
    one, two = free_ports(2)
    wired.move(one)
    wired.wait_listeners(2)
    wait_until(lambda: wired.world.server.metrics()["xds_server_trials"] == 0, "all have answered")
    os.kill(silent.child.pid, signal.SIGSTOP)
    for wire in wired.relays:
        wire.requests.hold()
    try:
        wired.move(two)
        for envoy in others:
            envoy.wait_stat(MOVED, 1)
        wait_until(lambda: wired.world.server.metrics()[UNTRIED] == 1, "that is told")
    finally:
        os.kill(silent.child.pid, signal.SIGCONT)
    for wire in wired.relays:
        wire.requests.go_on()
    silent.wait_stat(MOVED, 1)
    assert wired.refusals() == 0


def test_a_port_that_one_host_lacks_is_asked_of_another_and_that_host_of_no_more(wired: Wired) -> None:
    first, *others = wired.envoys
    warm, port = free_ports(2)
    for wire in wired.relays:
        wire.requests.delay = 0.05
    wired.listen(warm)
    wired.wait_listeners(2)
    wait_until(lambda: wired.world.server.metrics()["xds_server_trials"] == 0, "all have answered")
    for wire in wired.relays:
        wire.responses.hold()
    with socket.create_server(("127.0.0.1", port)):
        wired.listen(warm, port)
        first.wait_stat(REFUSED, 1)
    for wire in wired.relays:
        wire.responses.go_on()
    wired.wait_listeners(3)
    assert wired.refusals() == 1, "it was free at who was asked then"

    for wire in wired.relays:
        wire.requests.delay = 0.0
    wired.listen(warm, port, **{"unheard-of": "yes"})

    wait_until(lambda: any("nobody.knows.This" in each["what"] for each in wired.problems()), "it is a problem")
    assert first.stat(REFUSED) == 1, "not the first, which is the fastest"
    # Of the two others one, unless it took more than a tenth of a second to say so: then the next is asked, too.
    assert any(envoy.stat(REFUSED) for envoy in others)
