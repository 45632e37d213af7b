"""What a sidecar listens on: for its application's calls, on loopback; and for callers, in front of its application."""

from datetime import timedelta

from xds_server.domain import names
from xds_server.domain.builds import BuildId
from xds_server.domain.sidecars import Ports
from xds_server.messages.codec import pack
from xds_server.messages.envoy import AccessLog as EnvoyAccessLog
from xds_server.messages.envoy import (
    Address,
    Filter,
    FilterChain,
    Http2ProtocolOptions,
    HttpProtocolOptions,
    SocketAddress,
    TrafficDirection,
)
from xds_server.messages.envoy import Listener as EnvoyListener
from xds_server.messages.extensions import (
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerUpgradeConfig,
    Rds,
)
from xds_server.records.models import AccessLog
from xds_server.resources.access_logs import inbound_logs, outbound_logs
from xds_server.resources.actions import WEBSOCKET
from xds_server.resources.connection_managers import (
    CONNECTION_WINDOW,
    GRPC_STATUS,
    NOBODY,
    REQUEST_HEADERS_TIMEOUT,
    ROUTER,
    STREAM_WINDOW,
    STREAMS,
)
from xds_server.resources.content import resource
from xds_server.resources.listeners import BUFFER
from xds_server.resources.local_replies import local_replies_inside, local_replies_to_callers
from xds_server.resources.refusal_counts import COUNT_REFUSALS
from xds_server.resources.selectors import sidecar_filters
from xds_server.resources.sources import FROM_ADS
from xds_server.snapshot import Resource

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"  # noqa: S104 - callers come from other machines
OUTBOUND_IDLE_TIMEOUT, INBOUND_IDLE_TIMEOUT = timedelta(minutes=5), timedelta(0)
"""Of a request on which nothing moves. For calls the route's own holds; of a caller's it is the caller who gives up."""
OUTBOUND_HTTP2 = Http2ProtocolOptions(allow_connect=True)
INBOUND_HTTP2 = Http2ProtocolOptions(
    max_concurrent_streams=STREAMS,
    initial_stream_window_size=STREAM_WINDOW,
    initial_connection_window_size=CONNECTION_WINDOW,
    allow_connect=True,
)
"""WebSockets in HTTP/2 (RFC 8441): a caller's Envoy sends them to a build that speaks it, and who does not know them
would end the connection, and everybody's requests on it.
"""
HEADERS_KB, HEADERS = 8192, 1000
"""How large a request's headers may be, and how many: as large as any gateway lets in, and what it adds to them."""


def sidecar_listeners(build: BuildId, ports: Ports, log: AccessLog | None = None) -> list[Resource]:
    """`log`: where requests are logged."""
    name = names.outbound(build.word)
    found = [_listener(name, (LOOPBACK, ports.outbound), TrafficDirection.OUTBOUND, outbound_logs(log, build, name))]
    if ports.application is not None:
        name, place = names.inbound(build.word), (EVERYWHERE, ports.inbound)
        found.append(_listener(name, place, TrafficDirection.INBOUND, inbound_logs(log, build, name)))
    return found


def _listener(name: str, place: tuple[str, int], direction: TrafficDirection, logs: list[EnvoyAccessLog]) -> Resource:
    """`direction`: one that ends refuses callers, and still carries the calls that their requests need.

    Callers come from other machines: they are held to what a gateway takes from its clients.
    """
    inbound, (address, port) = direction is TrafficDirection.INBOUND, place
    manager = HttpConnectionManager(
        stat_prefix=names.cluster_stat(name),
        rds=Rds(route_config_name=name, config_source=FROM_ADS),
        http_filters=[*sidecar_filters(), COUNT_REFUSALS, *([] if inbound else [GRPC_STATUS]), ROUTER],
        local_reply_config=local_replies_to_callers() if inbound else local_replies_inside(),
        access_log=logs,
        upgrade_configs=[HttpConnectionManagerUpgradeConfig(upgrade_type=WEBSOCKET)],
        preserve_external_request_id=True,
        internal_address_config=NOBODY,
        codec_type=HttpConnectionManagerCodecType.AUTO,
        common_http_protocol_options=HttpProtocolOptions(max_headers_count=HEADERS),
        http2_protocol_options=INBOUND_HTTP2 if inbound else OUTBOUND_HTTP2,
        max_request_headers_kb=HEADERS_KB,
        request_headers_timeout=REQUEST_HEADERS_TIMEOUT if inbound else None,
        stream_idle_timeout=INBOUND_IDLE_TIMEOUT if inbound else OUTBOUND_IDLE_TIMEOUT,
    )
    chain = FilterChain(
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))]
    )
    message = EnvoyListener(
        name=name,
        address=Address(socket_address=SocketAddress(address=address, port_value=port)),
        filter_chains=[chain],
        per_connection_buffer_limit_bytes=BUFFER if inbound else None,
        traffic_direction=direction,
    )
    return resource(name, message, needs=(name,), occupies=(f"tcp/{address}/{port}",))
