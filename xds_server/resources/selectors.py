"""How selector and context are read before a request is routed, and what becomes of them after it."""

import re
from importlib.resources import files

from xds_server.domain.names import CONTEXT_HEADER
from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    DataSource,
    HeaderMutation,
    HeaderValue,
    HeaderValueOption,
    TypedExtensionConfig,
)
from xds_server.messages.extensions import HeaderMutation as EarlyHeaderMutation
from xds_server.messages.extensions import HttpFilter, Lua
from xds_server.records.models import Gateway
from xds_server.resources.headers import OVERWRITE
from xds_server.traffic.style import INTERNAL_SELECTOR, style_of


def _lua(name: str) -> str:
    return files("xds_server.resources").joinpath(f"{name}.lua").read_text("utf-8")


CONTEXT, GATEWAY = _lua("context"), _lua("gateway")
READS, STAMPS = (f"{CONTEXT}\n{_lua(name)}" for name in ("sidecar_reads", "sidecar_stamps"))


def selector_first(gateway: Gateway) -> list[TypedExtensionConfig]:
    """A selector by query becomes one by header before routing: matchers see headers only. The query wins.

    A client's context goes: the filter puts ours in its place later, if it does not fail.
    """
    mutations = [HeaderMutation(remove=CONTEXT_HEADER)]
    explicit = gateway.spec.explicit
    if explicit is not None and explicit.query is not None:
        selector = style_of(gateway).selector
        if selector == INTERNAL_SELECTOR:
            mutations.append(HeaderMutation(remove=selector))
        value = HeaderValue(key=selector, value=f"%QUERY_PARAM({explicit.query})%")
        mutations.append(HeaderMutation(append=HeaderValueOption(header=value, append_action=OVERWRITE)))
    extension = pack(EarlyHeaderMutation(mutations=mutations))
    return [TypedExtensionConfig(name="envoy.http.early_header_mutation.header_mutation", typed_config=extension)]


def lua_filter(gateway: Gateway) -> HttpFilter:
    """Strips the selector, stamps the context, says where an answer came from.

    What it takes off a request must not change what the request was given: the route is chosen once.
    """
    return _filter("envoy.filters.http.lua", lua_source(gateway), routes_again=False)


def sidecar_filters() -> list[HttpFilter]:
    """A context that comes in baggage alone chooses the route, too; what was chosen is stamped after that."""
    return [
        _filter("context", READS, routes_again=True),
        _filter("stamp", STAMPS, routes_again=False),
    ]


def _filter(name: str, source: str, *, routes_again: bool) -> HttpFilter:
    """`routes_again`: where it changes headers, the route is chosen anew."""
    lua = Lua(default_source_code=DataSource(inline_string=source), clear_route_cache=routes_again)
    return HttpFilter(name=name, typed_config=pack(lua))


def lua_source(gateway: Gateway) -> str:
    """The filter of this gateway. What is filled in is an HTTP token or a boolean: nothing that Lua could run."""
    explicit, reveal = gateway.spec.explicit, gateway.spec.reveal
    said = {
        "query": (explicit.query or "") if explicit else "",
        "reveal_deployment": "true" if reveal.deployment else "false",
        "reveal_rule": "true" if reveal.rule else "false",
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: said[found[1]], f"{CONTEXT}\n{GATEWAY}")
