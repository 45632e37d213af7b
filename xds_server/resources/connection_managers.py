"""What a gateway takes from its clients: HTTP as an edge should (Envoy's defaults are those of a mesh).

Each value and its reason is in `docs/gateways.md`. What is not said here is Envoy's default, and that is meant.
"""

from datetime import timedelta

from xds_server.domain import names
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    CidrRange,
    HeaderMatcher,
    HeaderMutation,
    Http2ProtocolOptions,
    Http3ProtocolOptions,
    HttpProtocolOptions,
    HttpProtocolOptionsHeadersWithUnderscoresAction,
    QuicProtocolOptions,
    RedirectAction,
    RedirectActionRedirectResponseCode,
    RegexMatcher,
    Route,
    RouteConfiguration,
    RouteMatch,
    StringMatcher,
    VirtualHost,
)
from xds_server.messages.extensions import (
    GrpcStats,
    HeaderMutationFilter,
    HttpConnectionManager,
    HttpConnectionManagerCodecType,
    HttpConnectionManagerInternalAddressConfig,
    HttpConnectionManagerPathWithEscapedSlashesAction,
    HttpConnectionManagerUpgradeConfig,
    HttpFilter,
    Mutations,
    Rds,
    Router,
)
from xds_server.records.models import Gateway, Http, Listener, Underscores
from xds_server.resources.access_logs import gateway_logs
from xds_server.resources.actions import WEBSOCKET
from xds_server.resources.first_requests import ON_DEMAND
from xds_server.resources.headers import header
from xds_server.resources.local_replies import local_replies, local_replies_on_demand
from xds_server.resources.selectors import lua_filter, selector_first
from xds_server.resources.sources import FROM_ADS

REQUEST_HEADERS_TIMEOUT = timedelta(seconds=10)
STREAM_IDLE_TIMEOUT = timedelta(minutes=5)
ANSWERED_WITHIN = timedelta(seconds=4.5)
"""On demand: how long a request may wait for its virtual host, so that every request is answered within 5 s.

From 1.40 on Envoy gives a request that has waited its route's own limit, but begins it when something moves: until then
this one runs on, and an application that says nothing meanwhile is answered for. So it is as long as it may be.
"""
HTTPS = 443
STREAMS = 100
STREAM_WINDOW = 64 * 1024
CONNECTION_WINDOW = 1024 * 1024
REDIRECTED = "redirect/-/https"
"""The name of a redirect in access logs, in the form that every route's name has."""
ROUTER = HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router()))
GRPC_STATUS = HttpFilter(name="envoy.filters.http.grpc_stats", typed_config=pack(GrpcStats()))
"""Counts the statuses of gRPC calls, whose HTTP status is 200 whatever becomes of them."""
HTTP2 = Http2ProtocolOptions(
    max_concurrent_streams=STREAMS,
    initial_stream_window_size=STREAM_WINDOW,
    initial_connection_window_size=CONNECTION_WINDOW,
)
HTTP3 = Http3ProtocolOptions(
    quic_protocol_options=QuicProtocolOptions(
        max_concurrent_streams=STREAMS,
        initial_stream_window_size=STREAM_WINDOW,
        initial_connection_window_size=CONNECTION_WINDOW,
    )
)
NOBODY = HttpConnectionManagerInternalAddressConfig(
    cidr_ranges=[CidrRange(address_prefix="255.255.255.255", prefix_len=32)]
)
"""Who may steer Envoy by `x-envoy-*` headers: an empty list would mean every private address, loopback too."""

UNDERSCORES = {
    Underscores.REJECT: HttpProtocolOptionsHeadersWithUnderscoresAction.REJECT_REQUEST,
    Underscores.DROP: HttpProtocolOptionsHeadersWithUnderscoresAction.DROP_HEADER,
    Underscores.ALLOW: HttpProtocolOptionsHeadersWithUnderscoresAction.ALLOW,
}


def connection_manager(
    gateway: Gateway, listener: Listener, *, quic: bool = False, on_demand: bool = False
) -> HttpConnectionManager:
    """Serves what the gateway's releases say, or sends everything to https. `quic`: for HTTP/3, which has a listener of
    its own. `on_demand`: a host is asked for when the first request for it comes.
    """
    name = names.listener(gateway.ref, listener.name)
    http = gateway.spec.http
    asks = on_demand and listener.redirect is None
    elsewhere = _redirects(name, gateway.spec.https_port(listener)) if listener.redirect is not None else None
    return HttpConnectionManager(
        stat_prefix=names.cluster_stat(name),
        rds=None if elsewhere else Rds(route_config_name=name, config_source=FROM_ADS),
        route_config=elsewhere,
        http_filters=[ROUTER] if elsewhere else _filters(gateway, listener, on_demand=asks),
        early_header_mutation_extensions=[] if elsewhere else selector_first(gateway),
        local_reply_config=local_replies_on_demand(gateway) if asks else local_replies(),
        access_log=gateway_logs(gateway, name),
        strip_any_host_port=True if elsewhere else None,
        upgrade_configs=[] if elsewhere else [HttpConnectionManagerUpgradeConfig(upgrade_type=WEBSOCKET)],
        use_remote_address=True,
        xff_num_trusted_hops=http.trusted_hops,
        internal_address_config=NOBODY,
        normalize_path=True,
        merge_slashes=True,
        path_with_escaped_slashes_action=HttpConnectionManagerPathWithEscapedSlashesAction.UNESCAPE_AND_REDIRECT,
        common_http_protocol_options=_common(http),
        codec_type=HttpConnectionManagerCodecType.HTTP3 if quic else HttpConnectionManagerCodecType.AUTO,
        http2_protocol_options=None if quic else HTTP2,
        http3_protocol_options=HTTP3 if quic else None,
        max_request_headers_kb=http.headers_kb,
        request_headers_timeout=REQUEST_HEADERS_TIMEOUT,
        stream_idle_timeout=ANSWERED_WITHIN if asks else STREAM_IDLE_TIMEOUT,
    )


def _filters(gateway: Gateway, listener: Listener, *, on_demand: bool) -> list[HttpFilter]:
    asks = [ON_DEMAND] if on_demand else []
    return [*asks, *_http3_offer(listener), lua_filter(gateway), GRPC_STATUS, ROUTER]


def _common(http: Http) -> HttpProtocolOptions:
    return HttpProtocolOptions(
        idle_timeout=http.idle_timeout, headers_with_underscores_action=UNDERSCORES[http.underscores]
    )


def _http3_offer(listener: Listener) -> list[HttpFilter]:
    """Clients come by TCP first, and are told where else they may."""
    if listener.http3_port is None:
        return []
    offer = header("alt-svc", f'h3=":{listener.http3_port}"; ma=86400')
    mutations = Mutations(response_mutations=[HeaderMutation(append=offer)])
    return [
        HttpFilter(
            name="envoy.filters.http.header_mutation", typed_config=pack(HeaderMutationFilter(mutations=mutations))
        )
    ]


def _redirects(name: str, port: int) -> RouteConfiguration:
    """In the listener itself: they change with its record alone."""
    routes = [
        _redirect(_reads(), port, RedirectActionRedirectResponseCode.MOVED_PERMANENTLY),
        _redirect(RouteMatch(prefix="/"), port, RedirectActionRedirectResponseCode.PERMANENT_REDIRECT),
    ]
    return RouteConfiguration(name=name, virtual_hosts=[VirtualHost(name="*", domains=["*"], routes=routes)])


def _reads() -> RouteMatch:
    """What every client follows; the rest is answered with a code that keeps method and body."""
    methods = StringMatcher(safe_regex=RegexMatcher(regex="GET|HEAD"))
    return RouteMatch(prefix="/", headers=[HeaderMatcher(name=":method", string_match=methods)])


def _redirect(match: RouteMatch, port: int, code: RedirectActionRedirectResponseCode) -> Route:
    """The host has lost its port: it is that of this listener."""
    said = 0 if port == HTTPS else port
    action = RedirectAction(https_redirect=True, port_redirect=said, response_code=code)
    return Route(name=REDIRECTED, match=match, redirect=action)
