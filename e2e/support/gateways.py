"""Gateways of a test's own, on the server of its world."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.support import records
from e2e.support.client import Client
from e2e.support.processes import free_ports, wait_until
from e2e.support.world import World


def add_gateway(world: World, name: str, **spec: Any) -> int:
    """A gateway with a port of its own."""
    (port,) = free_ports(1)
    world.folder.write(f"gateway-{name}.yaml", records.gateway(name, port, **spec))
    return port


@contextmanager
def running(world: World, name: str, **spec: Any) -> Iterator[Client]:
    """A gateway with an Envoy, and a client of it."""
    port = add_gateway(world, name, **spec)
    with world.another_envoy(f"{name}-1", name), Client(port) as client:
        yield client


def wait_served(client: Client, host: str, deployment: str) -> None:
    wait_until(lambda: client.get(host).served == deployment, f"{host} gets {deployment}")
