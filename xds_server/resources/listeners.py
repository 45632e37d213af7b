"""What a gateway listens on. A release never changes a listener: that would drain connections."""

from collections.abc import Container
from dataclasses import dataclass
from datetime import timedelta

from xds_server.domain import names
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    Address,
    Filter,
    FilterChain,
    QuicListenerOptions,
    SocketAddress,
    SocketAddressProtocol,
    TransportSocket,
    UdpListenerConfig,
)
from xds_server.messages.envoy import Listener as EnvoyListener
from xds_server.messages.extensions import (
    CommonTlsContext,
    DownstreamTlsContext,
    QuicDownstreamTransport,
    SdsSecretConfig,
    TlsParameters,
    TlsParametersTlsProtocol,
)
from xds_server.records.models import Gateway, Listener
from xds_server.resources.connection_managers import connection_manager
from xds_server.resources.content import resource
from xds_server.resources.sources import FROM_ADS
from xds_server.snapshot import Delivery, Resource
from xds_server.traffic.listening import lacking, secrets_of

BUFFER = 32 * 1024
HANDSHAKE_TIMEOUT = timedelta(seconds=10)
TLS = TlsParameters(tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2)
"""The ciphers are Envoy's own: with TLS 1.2 those of forward secrecy and authenticated encryption only."""


@dataclass(frozen=True, slots=True)
class Transport:
    """What carries HTTP."""

    protocol: SocketAddressProtocol
    socket: TransportSocket | None
    udp: UdpListenerConfig | None = None


def open_listeners(gateway: Gateway, secrets: Container[str]) -> tuple[Listener, ...]:
    """Those that are in force."""
    return tuple(listener for listener in gateway.spec.listeners if not lacking(gateway, listener, secrets))


def route_names(gateway: Gateway, listeners: tuple[Listener, ...]) -> tuple[str, ...]:
    """The route configurations that these listeners ask for: a redirect needs none."""
    return tuple(names.listener(gateway.ref, each.name) for each in listeners if each.redirect is None)


def listener_resources(
    gateway: Gateway, listener: Listener, delivery: Delivery = Delivery.FULL
) -> tuple[Resource, ...]:
    """What Envoy listens on because of one listener: HTTP/3 comes by UDP, and that is another one to Envoy."""
    own = names.listener(gateway.ref, listener.name)
    tcp = _resource(gateway, listener, own, _tcp(gateway, listener), delivery)
    if listener.http3_port is None:
        return (tcp,)
    own = names.http3_listener(gateway.ref, listener.name)
    return tcp, _resource(gateway, listener, own, _quic(gateway, listener), delivery)


def _resource(gateway: Gateway, listener: Listener, name: str, transport: Transport, delivery: Delivery) -> Resource:
    quic, on_demand = transport.protocol is SocketAddressProtocol.UDP, delivery is Delivery.ON_DEMAND
    manager = pack(connection_manager(gateway, listener, quic=quic, on_demand=on_demand))
    chain = FilterChain(
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=manager)],
        transport_socket=transport.socket,
        transport_socket_connect_timeout=HANDSHAKE_TIMEOUT if transport.socket else None,
    )
    socket = SocketAddress(protocol=transport.protocol, address=listener.address, port_value=listener.port)
    message = EnvoyListener(
        name=name,
        address=Address(socket_address=socket),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=BUFFER,
        udp_listener_config=transport.udp,
    )
    place = f"{transport.protocol.name.lower()}/{listener.address}/{listener.port}"
    return resource(name, message, needs=route_names(gateway, (listener,)), occupies=(place,))


def _tcp(gateway: Gateway, listener: Listener) -> Transport:
    if listener.tls is None:
        return Transport(SocketAddressProtocol.TCP, None)
    tls = pack(_tls(gateway, listener, ["h2", "http/1.1"]))
    return Transport(SocketAddressProtocol.TCP, TransportSocket(name="envoy.transport_sockets.tls", typed_config=tls))


def _quic(gateway: Gateway, listener: Listener) -> Transport:
    quic = pack(QuicDownstreamTransport(downstream_tls_context=_tls(gateway, listener, ["h3"])))
    socket = TransportSocket(name="envoy.transport_sockets.quic", typed_config=quic)
    return Transport(SocketAddressProtocol.UDP, socket, UdpListenerConfig(quic_options=QuicListenerOptions()))


def _tls(gateway: Gateway, listener: Listener, protocols: list[str]) -> DownstreamTlsContext:
    certificates = [SdsSecretConfig(name=name, sds_config=FROM_ADS) for name in secrets_of(gateway, listener)]
    common = CommonTlsContext(tls_params=TLS, tls_certificate_sds_secret_configs=certificates, alpn_protocols=protocols)
    return DownstreamTlsContext(common_tls_context=common)
