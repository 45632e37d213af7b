"""TLS at the edge: which certificate and protocol a client gets, and what a renewal does to those who are connected."""

import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from socket import create_connection

import pytest

from e2e.support import http3, records
from e2e.support.client import Client
from e2e.support.envoy import Envoy
from e2e.support.load import Load, Shot, lost
from e2e.support.processes import free_ports, wait_until
from e2e.support.world import V1, App, World
from tests.certificates import Pair, self_signed

pytestmark = pytest.mark.e2e

SHOP, PARTNER = "encrypted.example.com", "partner.example.com"
PARTNERS = self_signed(PARTNER)
EXPIRED = self_signed(SHOP, lasts=timedelta(seconds=1))
NAME = "encrypting"


@dataclass(slots=True)
class Edge:
    """A gateway with a listener for TLS that has a certificate of the shop and one of a partner."""

    world: World
    app: App
    envoy: Envoy
    port: int
    shown: Pair

    def renew(self, pair: Pair, *, key: str | None = None) -> None:
        """The key first: a certificate without its key is not in force."""
        write(self.world, "shop", Pair(pair.certificate, key or pair.key))
        self.shown = pair

    def wait_shown(self, pair: Pair) -> None:
        wait_until(lambda: handshake(self.port, SHOP).certificate == pair.certificate, "the certificate is shown")


def write(world: World, name: str, pair: Pair) -> None:
    world.folder.write_text(f"{NAME}-{name}.key", pair.key)
    world.folder.write_text(f"{NAME}-{name}.pem", pair.certificate)


@pytest.fixture(scope="module")
def edge(world: World) -> Iterator[Edge]:
    pair = self_signed(SHOP)
    write(world, "shop", pair)
    write(world, "partner", PARTNERS)
    plain, port = free_ports(2)
    listeners = [
        {"name": "http", "address": "127.0.0.1", "port": plain, "redirect": "https"},
        {
            "name": "https",
            "address": "127.0.0.1",
            "port": port,
            "tls": {"secrets": ["shop", "partner"]},
            "http3": True,
        },
    ]
    secrets = {
        name: {"certificate": f"{NAME}-{name}.pem", "privateKey": f"{NAME}-{name}.key"} for name in ("shop", "partner")
    }
    world.folder.write("gateway-encrypting.yaml", records.gateway(NAME, plain, listeners=listeners, secrets=secrets))
    app = world.app("encrypted")
    app.released(app.deploy("v1", V1), gateways=["edge", NAME])
    with world.another_envoy("encrypting-1", NAME) as envoy, Client(plain) as client:
        wait_until(lambda: client.get(SHOP).header("location") == f"https://{SHOP}:{port}/", "the plain one redirects")
        yield Edge(world, app, envoy, port, pair)


@dataclass(frozen=True, slots=True)
class Handshake:
    """What a client and Envoy agreed on; nothing if nobody listens."""

    certificate: str = ""
    alpn: str | None = None
    version: str | None = None


def handshake(port: int, host: str, *alpn: str) -> Handshake:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(alpn)
    try:
        with (
            create_connection(("127.0.0.1", port), 5) as plain,
            context.wrap_socket(plain, server_hostname=host) as tls,
        ):
            shown = tls.getpeercert(binary_form=True)
            assert shown is not None
            return Handshake(ssl.DER_cert_to_PEM_cert(shown), tls.selected_alpn_protocol(), tls.version())
    except OSError:
        return Handshake()


def test_a_client_is_shown_the_certificate_that_has_the_name_it_asks_for(edge: Edge) -> None:
    for host, pair in ((SHOP, edge.shown), (PARTNER, PARTNERS), ("other.example.com", edge.shown)):
        assert handshake(edge.port, host).certificate == pair.certificate


@pytest.mark.parametrize(
    ("offered", "chosen"),
    [(("h2", "http/1.1"), "h2"), (("http/1.1", "h2"), "h2"), (("http/1.1",), "http/1.1"), ((), None)],
)
def test_http2_is_chosen_where_the_client_has_it(edge: Edge, offered: tuple[str, ...], chosen: str | None) -> None:
    found = handshake(edge.port, SHOP, *offered)

    assert (found.alpn, found.version) == (chosen, "TLSv1.3")


def test_renewals_under_load_lose_nothing(edge: Edge) -> None:
    """New connections and kept ones, HTTP/1 and HTTP/2."""
    listeners = edge.envoy.stat("listener_manager.lds.update_success")
    answered = "http.encrypting/https.downstream_rq_2xx"
    with Load(edge.port, [Shot("shop", SHOP)], edge.world.directory, tls=True) as load:
        for _ in range(3):
            edge.renew(self_signed(SHOP))
            edge.wait_shown(edge.shown)
            edge.envoy.wait_stat(answered, edge.envoy.stat(answered) + 50)
        results = load.stop()

    assert lost(results.answers) == []
    assert {each.wire for each in results.answers} == {"h1", "h2", "h1-new", "h2-new"}
    assert edge.envoy.stat("listener_manager.lds.update_success") == listeners, "no listener was touched"


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(Pair("nonsense", "nonsense"), id="no-pem"),
        pytest.param(Pair(self_signed(SHOP).certificate, self_signed(SHOP).key), id="of-another-key"),
        pytest.param(EXPIRED, id="expired"),
    ],
)
def test_a_bad_certificate_is_a_problem_and_the_last_good_one_is_shown(edge: Edge, bad: Pair) -> None:
    good, logged = edge.shown, len(edge.world.server.log())
    write(edge.world, "shop", bad)
    wait_until(lambda: '"reason": "Certificate"' in edge.world.server.log()[logged:], "the problem is logged")

    assert handshake(edge.port, SHOP).certificate == good.certificate
    edge.renew(good)


def test_http3_serves_what_tcp_serves_and_shows_what_tcp_shows(edge: Edge) -> None:
    edge.renew(self_signed(SHOP))
    edge.wait_shown(edge.shown)
    wait_until(lambda: http3.get(edge.port, SHOP).certificate == edge.shown.certificate, "HTTP/3 shows it too")
    found = http3.get(edge.port, SHOP, "/x/..//cart?a=%2F")

    assert (found.reply.status, found.reply.served) == (200, "encrypted-v1")
    assert found.reply.header("alt-svc") == f'h3=":{edge.port}"; ma=86400'
    assert edge.envoy.stat("http.encrypting/https.downstream_cx_http3_total") > 0
