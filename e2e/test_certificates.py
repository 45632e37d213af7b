"""Certificates come from files beside the records: renewed ones are shown at once, bad ones never."""

import ssl
from collections.abc import Iterator
from datetime import timedelta
from socket import create_connection

import pytest

from e2e.support import records
from e2e.support.envoy import Envoy
from e2e.support.processes import free_ports, wait_until
from e2e.support.world import V1, World
from tests.certificates import Pair, self_signed

pytestmark = pytest.mark.e2e

HOST = "secure.example.com"
ONE, TWO = self_signed(HOST), self_signed(HOST)


def write(world: World, name: str, pair: Pair) -> None:
    """The key first: a certificate without its key is not in force."""
    world.folder.write_text(f"{name}.key", pair.key)
    world.folder.write_text(f"{name}.pem", pair.certificate)


def secure(world: World, name: str) -> int:
    """A gateway with one plain listener and one that shows the certificate of its files."""
    plain, port = free_ports(2)
    listeners = [
        {"name": "http", "address": "127.0.0.1", "port": plain},
        {"name": "https", "address": "127.0.0.1", "port": port, "tls": {"secret": "cert"}},
    ]
    secrets = {"cert": {"certificate": f"{name}.pem", "privateKey": f"{name}.key"}}
    world.folder.write(f"gateway-{name}.yaml", records.gateway(name, port, listeners=listeners, secrets=secrets))
    return port


def shown(port: int) -> str:
    """The certificate that a client is shown, whoever signed it; nothing if nobody listens."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=HOST) as tls,
        ):
            found = tls.getpeercert(binary_form=True)
    except OSError:
        return ""
    assert found is not None
    return ssl.DER_cert_to_PEM_cert(found)


@pytest.fixture
def gateway(world: World) -> Iterator[tuple[str, int, Envoy]]:
    name = f"tls-{world.mode}-{world.version.name.lower()}"
    write(world, name, ONE)
    port = secure(world, name)
    with world.another_envoy(f"{name}-1", name) as envoy:
        yield name, port, envoy
    world.folder.remove(f"gateway-{name}.yaml")


def test_a_renewed_certificate_is_shown_at_once_and_a_bad_one_never(
    world: World, gateway: tuple[str, int, Envoy]
) -> None:
    name, port, envoy = gateway
    wait_until(lambda: shown(port) == ONE.certificate, "the listener is open")
    listeners = envoy.stat("listener_manager.lds.update_success")

    write(world, name, TWO)
    wait_until(lambda: shown(port) == TWO.certificate, "the renewed certificate is shown")

    write(world, name, self_signed(HOST, lasts=timedelta(seconds=1)))
    world.folder.write_text(f"{name}.pem", "nonsense")
    app = world.app(f"later-{name}")
    app.released(app.deploy("v1", V1))  # what comes after it is in force
    assert shown(port) == TWO.certificate
    assert envoy.stat("listener_manager.lds.update_success") == listeners, "no listener was touched"
    assert envoy.stats("update_rejected$") == {} or not any(envoy.stats("update_rejected$").values())


def test_a_listener_opens_when_its_certificate_comes(world: World) -> None:
    name = f"late-{world.mode}-{world.version.name.lower()}"
    port = secure(world, name)
    with world.another_envoy(f"{name}-1", name):
        assert shown(port) == ""
        write(world, name, ONE)
        wait_until(lambda: shown(port) == ONE.certificate, "the listener is open")
    world.folder.remove(f"gateway-{name}.yaml")
