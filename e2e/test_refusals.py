"""What only Envoy can find is a problem on the record, too: last good serves, and nobody else notices."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from e2e.support.client import Client
from e2e.support.gateways import wait_served
from e2e.support.load import Load, Shot, lost
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import gateway
from e2e.support.server import BIN
from e2e.support.world import V1, App, World, explicit_host

pytestmark = pytest.mark.e2e

NAME = "refused"
RECORD = f"Gateway/default/{NAME}"
NOT_OURS = "203.0.113.9"
"""An address that no machine has (RFC 5737)."""


@pytest.fixture(scope="module")
def shop(world: World) -> App:
    app = world.app("refusing")
    app.released(app.deploy("v1", V1))
    return app


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Another process could not be ruder: it shares its port with nobody."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def listen(world: World, *listeners: tuple[str, str, int]) -> None:
    said = [{"name": name, "address": address, "port": port} for name, address, port in listeners]
    world.folder.write(f"gateway-{NAME}.yaml", gateway(NAME, 1, listeners=said))


def served(client: Client, host: str) -> str | None:
    with suppress(ConnectionRefusedError):  # Envoy listens a moment after it has accepted
        return client.get(host).served
    return None


def refusals(world: World) -> list[dict[str, Any]]:
    return [each for each in world.server.problems() if each["reason"] == "Refused" and each["record"] == RECORD]


def checked(world: World) -> subprocess.CompletedProcess[str]:
    """What an operator is told who asks the server."""
    command: list[str | Path] = [BIN / "xdsctl", "check", "--server", f"127.0.0.1:{world.server.admin}"]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def wait_refused(world: World, path: str, words: str) -> dict[str, Any]:
    def found() -> list[dict[str, Any]]:
        return [each for each in refusals(world) if each["path"] == path and words in each["what"]]

    wait_until(lambda: bool(found()), f"{path} is refused: {words}")
    [one] = found()
    return one


def test_a_listener_that_envoy_refuses_is_a_problem_until_it_is_accepted(world: World, shop: App) -> None:
    first, second, steady = free_ports(3)
    host = explicit_host("refusing-v1")
    listen(world, ("a", "127.0.0.1", first), ("steady", "127.0.0.1", steady))
    with world.another_envoy(f"{NAME}-1", NAME), Client(first) as old, Client(second) as new:
        wait_served(old, host, "refusing-v1")
        with Load(steady, [Shot("steady", host)], world.directory, rate=100) as load:
            with taken(second):
                listen(world, ("a", "127.0.0.1", second), ("steady", "127.0.0.1", steady))
                problem = wait_refused(world, "spec.listeners.0", "Address already in use")
                assert f"proxy {NAME}-1 refuses Listener {NAME}/a" in problem["what"]
                assert (problem["file"], problem["severity"]) == (f"gateway-{NAME}.yaml", "error")
                assert problem["line"] > 0
                told = checked(world)
                assert (told.returncode, problem["what"] in told.stdout) == (1, True)
                assert world.server.metrics()["xds_server_problems"] == len(world.server.problems())

                shop.deploy("v2", V1 | {"web": "a2"})
                shop.released("refusing-v2")
                assert old.get(shop.host).status == 404, "this gateway has no release"
                assert old.get(host).served == "refusing-v1", "last good serves"
                assert old.get(explicit_host("refusing-v2")).served == "refusing-v2", "its routes move on"
            wait_until(lambda: not refusals(world), "the problem is gone: the port became free")
            wait_until(lambda: served(new, host) == "refusing-v1", "it listens at the new port")
            results = load.stop()
        assert lost(results.answers) == []


@pytest.mark.parametrize(
    ("address", "words"),
    [(NOT_OURS, "Cannot assign requested address"), ("127.0.0.1", "Address already in use")],
)
def test_a_new_listener_that_cannot_be_is_a_problem_and_ends_with_its_record(
    world: World, shop: App, address: str, words: str
) -> None:
    good, bad = free_ports(2)
    host = explicit_host("refusing-v1")
    with taken(bad), Client(good) as client:
        listen(world, ("bad", address, bad), ("good", "127.0.0.1", good))
        with world.stranger(f"{NAME}-2", NAME) as envoy:
            wait_refused(world, "spec.listeners.0", words)
            wait_until(lambda: envoy.stat("listener_manager.total_listeners_active") == 1, "the good one listens")
            wait_served(client, host, "refusing-v1")
            listen(world, ("good", "127.0.0.1", good))
            wait_until(lambda: not refusals(world), "the problem is gone with the listener")
            assert client.get(host).served == "refusing-v1"
