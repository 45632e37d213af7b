"""What a gateway listens on. A release never changes a listener: that would drain connections."""

import re
from collections.abc import Container
from importlib.resources import files

from xds_server.domain import names
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    Address,
    DataSource,
    Filter,
    FilterChain,
    HeaderMutation,
    HeaderValue,
    HeaderValueOption,
    SocketAddress,
    TransportSocket,
    TypedExtensionConfig,
)
from xds_server.messages.envoy import Listener as EnvoyListener
from xds_server.messages.extensions import (
    CommonTlsContext,
    DownstreamTlsContext,
    HttpConnectionManager,
    HttpFilter,
    Lua,
    Rds,
    Router,
    SdsSecretConfig,
)
from xds_server.messages.extensions import HeaderMutation as EarlyHeaderMutation
from xds_server.records.models import Gateway, Listener
from xds_server.resources.content import resource
from xds_server.resources.headers import OVERWRITE
from xds_server.resources.local_replies import local_replies
from xds_server.resources.secrets import secrets_of
from xds_server.resources.sources import FROM_ADS
from xds_server.snapshot import Resource
from xds_server.traffic.style import INTERNAL_SELECTOR, style_of

LUA = files("xds_server.resources").joinpath("gateway.lua").read_text("utf-8")


def open_listeners(gateway: Gateway, secrets: Container[str]) -> tuple[Listener, ...]:
    """Those that are in force: one whose certificates were never good stays closed, for Envoy would wait for them."""
    return tuple(
        listener
        for listener in gateway.spec.listeners
        if all(name in secrets for name in secrets_of(gateway, listener))
    )


def listener_resource(gateway: Gateway, listener: Listener) -> Resource:
    name = names.listener(gateway.ref, listener.name)
    manager = HttpConnectionManager(
        stat_prefix=names.cluster_stat(name),
        rds=Rds(route_config_name=name, config_source=FROM_ADS),
        use_remote_address=True,
        early_header_mutation_extensions=_selector_first(gateway),
        local_reply_config=local_replies(),
        http_filters=[
            HttpFilter(name="envoy.filters.http.lua", typed_config=pack(_lua(gateway))),
            HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())),
        ],
    )
    chain = FilterChain(
        filters=[Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))],
        transport_socket=_tls(gateway, listener) if listener.tls else None,
    )
    address = Address(socket_address=SocketAddress(address=listener.address, port_value=listener.port))
    message = EnvoyListener(name=name, address=address, filter_chains=[chain])
    return resource(name, message, needs=(name,), occupies=(f"tcp/{listener.address}/{listener.port}",))


def _tls(gateway: Gateway, listener: Listener) -> TransportSocket:
    certificates = [SdsSecretConfig(name=name, sds_config=FROM_ADS) for name in secrets_of(gateway, listener)]
    common = CommonTlsContext(tls_certificate_sds_secret_configs=certificates, alpn_protocols=["h2", "http/1.1"])
    context = DownstreamTlsContext(common_tls_context=common)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _lua(gateway: Gateway) -> Lua:
    """What it takes off a request must not change what the request was given: the route is chosen once."""
    return Lua(default_source_code=DataSource(inline_string=lua_source(gateway)), clear_route_cache=False)


def lua_source(gateway: Gateway) -> str:
    """The filter of this gateway. What is filled in is an HTTP token or a boolean: nothing that Lua could run."""
    explicit, reveal = gateway.spec.explicit, gateway.spec.reveal
    said = {
        "query": (explicit.query or "") if explicit else "",
        "reveal_deployment": "true" if reveal.deployment else "false",
        "reveal_rule": "true" if reveal.rule else "false",
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: said[found[1]], LUA)


def _selector_first(gateway: Gateway) -> list[TypedExtensionConfig]:
    """A selector by query becomes one by header before routing: matchers see headers only. The query wins."""
    explicit = gateway.spec.explicit
    if explicit is None or explicit.query is None:
        return []
    selector = style_of(gateway).selector
    value = HeaderValue(key=selector, value=f"%QUERY_PARAM({explicit.query})%")
    mutations = [HeaderMutation(append=HeaderValueOption(header=value, append_action=OVERWRITE))]
    if selector == INTERNAL_SELECTOR:
        mutations.insert(0, HeaderMutation(remove=selector))
    extension = pack(EarlyHeaderMutation(mutations=mutations))
    return [TypedExtensionConfig(name="envoy.http.early_header_mutation.header_mutation", typed_config=extension)]
