"""Servers that Envoy itself asks or tells, and no request is routed to: each at one address known beforehand."""

from datetime import timedelta

from xds_server.domain.addresses import Address, is_ip
from xds_server.messages.codec import pack
from xds_server.messages.envoy import Address as EnvoyAddress
from xds_server.messages.envoy import (
    Cluster,
    ClusterDiscoveryType,
    ClusterLoadAssignment,
    Endpoint,
    Http2ProtocolOptions,
    KeepaliveSettings,
    LbEndpoint,
    LocalityLbEndpoints,
    SocketAddress,
    TransportSocket,
)
from xds_server.messages.extensions import HttpProtocolOptions, HttpProtocolOptionsExplicitHttpConfig
from xds_server.resources.clusters import HTTP_OPTIONS

KEEPALIVE = KeepaliveSettings(interval=timedelta(seconds=10), timeout=timedelta(seconds=5))
"""A server that is gone without a word is noticed within 15 s; of a control plane, another replica is found."""


def grpc_cluster(name: str, place: Address, tls: TransportSocket | None = None) -> Cluster:
    http2 = Http2ProtocolOptions(connection_keepalive=KEEPALIVE)
    options = HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptionsExplicitHttpConfig(http2_protocol_options=http2)
    )
    socket = SocketAddress(address=place.host, port_value=place.port)
    endpoint = LbEndpoint(endpoint=Endpoint(address=EnvoyAddress(socket_address=socket)))
    return Cluster(
        name=name,
        type=ClusterDiscoveryType.STATIC if is_ip(place.host) else ClusterDiscoveryType.STRICT_DNS,
        connect_timeout=timedelta(seconds=1),
        load_assignment=ClusterLoadAssignment(
            cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        transport_socket=tls,
        typed_extension_protocol_options={HTTP_OPTIONS: pack(options)},
    )
