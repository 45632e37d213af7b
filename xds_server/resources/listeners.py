"""What a gateway listens on. A release never changes a listener: that would drain connections."""

from collections.abc import Container
from datetime import timedelta

from xds_server.domain import names
from xds_server.messages.codec import pack
from xds_server.messages.envoy import Address, Filter, FilterChain, SocketAddress, TransportSocket
from xds_server.messages.envoy import Listener as EnvoyListener
from xds_server.messages.extensions import (
    CommonTlsContext,
    DownstreamTlsContext,
    SdsSecretConfig,
    TlsParameters,
    TlsParametersTlsProtocol,
)
from xds_server.records.models import Gateway, Listener
from xds_server.resources.connection_managers import connection_manager
from xds_server.resources.content import resource
from xds_server.resources.secrets import secrets_of
from xds_server.resources.sources import FROM_ADS
from xds_server.snapshot import Resource

BUFFER = 32 * 1024
HANDSHAKE_TIMEOUT = timedelta(seconds=10)
TLS = TlsParameters(tls_minimum_protocol_version=TlsParametersTlsProtocol.TLSv1_2)
"""The ciphers are Envoy's own: with TLS 1.2 those of forward secrecy and authenticated encryption only."""


def open_listeners(gateway: Gateway, secrets: Container[str]) -> tuple[Listener, ...]:
    """Those that are in force: one whose certificates were never good stays closed, for Envoy would wait for them."""
    return tuple(
        listener
        for listener in gateway.spec.listeners
        if all(name in secrets for name in secrets_of(gateway, listener))
    )


def route_names(gateway: Gateway, listeners: tuple[Listener, ...]) -> tuple[str, ...]:
    """The route configurations that these listeners ask for: a redirect needs none."""
    return tuple(names.listener(gateway.ref, each.name) for each in listeners if each.redirect is None)


def listener_resource(gateway: Gateway, listener: Listener) -> Resource:
    name = names.listener(gateway.ref, listener.name)
    manager = pack(connection_manager(gateway, listener))
    chain = FilterChain(
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=manager)],
        transport_socket=_tls(gateway, listener) if listener.tls else None,
        transport_socket_connect_timeout=HANDSHAKE_TIMEOUT if listener.tls else None,
    )
    message = EnvoyListener(
        name=name,
        address=Address(socket_address=SocketAddress(address=listener.address, port_value=listener.port)),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=BUFFER,
    )
    return resource(
        name,
        message,
        needs=route_names(gateway, (listener,)),
        occupies=(f"tcp/{listener.address}/{listener.port}",),
    )


def _tls(gateway: Gateway, listener: Listener) -> TransportSocket:
    certificates = [SdsSecretConfig(name=name, sds_config=FROM_ADS) for name in secrets_of(gateway, listener)]
    common = CommonTlsContext(
        tls_params=TLS, tls_certificate_sds_secret_configs=certificates, alpn_protocols=["h2", "http/1.1"]
    )
    return TransportSocket(
        name="envoy.transport_sockets.tls", typed_config=pack(DownstreamTlsContext(common_tls_context=common))
    )
