"""TLS on the xDS port: a gateway shows a certificate and verifies the server, as its printed bootstrap says."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from e2e.support import records
from e2e.support.authority import Authority
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import free_ports, wait_until
from e2e.support.records import Folder
from e2e.support.server import Mode, Server

pytestmark = pytest.mark.e2e

NAME = "xds.test"
CONNECTED = "control_plane.connected_state"
CLOSED = "cluster.xds-server.upstream_cx_destroy"
UNVERIFIED = "cluster.xds-server.ssl.fail_verify_error"
MISNAMED = "cluster.xds-server.ssl.fail_verify_san"


@dataclass(frozen=True, slots=True)
class Secured:
    """A server that shows a certificate of one authority and asks proxies for one of another."""

    mode: Mode
    version: EnvoyVersion
    directory: Path
    server: Server

    def file(self, name: str, text: str) -> str:
        """Its name, as a bootstrap has it."""
        file = self.directory / name
        file.write_text(text)
        return str(file)

    def showing(self, proxies: Authority) -> list[str]:
        """The options with which a proxy shows a certificate of this authority."""
        pair = proxies.issue("edge-1.proxies.test")
        certificate, key = self.file("edge.pem", pair.certificate), self.file("edge.key", pair.key)
        return ["--xds-client-cert", certificate, "--xds-client-key", key]

    @contextmanager
    def envoy(self, *options: str) -> Iterator[Envoy]:
        (admin,) = free_ports(1)
        with Envoy(
            self.version, self.server.bootstrap("edge", self.mode, admin, "", *options), self.directory, "e-1"
        ) as envoy:
            envoy.wait_live()
            yield envoy


SERVERS, PROXIES, OTHERS = Authority(), Authority(), Authority()


@pytest.fixture(scope="module")
def secured(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    mode, version = pair
    directory = tmp_path_factory.mktemp("xds-tls")
    folder = Folder(directory / "records")
    folder.root.mkdir()
    folder.write("edge.yaml", records.gateway("edge", *free_ports(1)))
    shown = SERVERS.issue(NAME)
    files = {"xds-cert": shown.certificate, "xds-key": shown.key, "xds-client-ca": PROXIES.pem}
    for name, text in files.items():
        (directory / name).write_text(text)
    options = [word for name in files for word in (f"--{name}", str(directory / name))]
    with Server(folder.root, directory, *options) as server:
        yield Secured(mode, version, directory, server)


@pytest.fixture(scope="module")
def trusting(secured: Secured) -> list[str]:
    """The options with which a proxy verifies the server."""
    return ["--xds-ca", secured.file("ca.pem", SERVERS.pem), "--xds-name", NAME]


def no_stream(secured: Secured, envoy: Envoy) -> None:
    """Nor does Envoy think that it has one, but for the moment of a try."""
    wait_until(lambda: not secured.server.metrics().get("xds_server_streams"), "the server has no stream")
    wait_until(lambda: envoy.stat(CONNECTED) == 0, "the proxy has none")


def test_a_gateway_connects_by_mutual_tls(secured: Secured, trusting: list[str]) -> None:
    with secured.envoy(*trusting, *secured.showing(PROXIES)) as envoy:
        envoy.wait_ready()
        envoy.wait_stat(CONNECTED, 1)
        assert secured.server.metrics()["xds_server_streams"] == 1


def test_one_without_a_certificate_of_the_proxies_authority_is_refused(secured: Secured, trusting: list[str]) -> None:
    for shown in ([], secured.showing(OTHERS)):
        with secured.envoy(*trusting, *shown) as envoy:
            envoy.wait_stat(CLOSED, 2)
            assert envoy.stat(UNVERIFIED) == 0
            no_stream(secured, envoy)


def test_one_that_speaks_plain_text_is_refused(secured: Secured) -> None:
    with secured.envoy() as envoy:
        envoy.wait_stat(CLOSED, 2)
        no_stream(secured, envoy)


def test_a_gateway_refuses_a_server_that_is_not_the_one_it_trusts(secured: Secured, trusting: list[str]) -> None:
    shown = secured.showing(PROXIES)
    with secured.envoy("--xds-ca", secured.file("other.pem", OTHERS.pem), "--xds-name", NAME, *shown) as envoy:
        envoy.wait_stat(UNVERIFIED, 1)
        no_stream(secured, envoy)
    with secured.envoy(*trusting[:2], "--xds-name", "another.test", *shown) as envoy:
        envoy.wait_stat(MISNAMED, 1)
        no_stream(secured, envoy)
