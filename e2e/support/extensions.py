"""Extensions as an operator would write them, good ones and bad ones. `xds-server serve` loads them by name."""

import time
from datetime import timedelta

from envoy_data_plane.envoy.config.cluster.v3 import Cluster
from envoy_data_plane.envoy.config.core.v3 import HeaderValue, HeaderValueOption, TransportSocket
from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment
from envoy_data_plane.envoy.config.listener.v3 import Listener
from envoy_data_plane.envoy.config.route.v3 import VirtualHost
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, FaultAbortHeaderAbort, HttpFault
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager.v3 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy_data_plane.envoy.type.v3 import FractionalPercent
from envoy_data_plane.google.protobuf import Any

from xds_server.extension import Context


def teapot(listener: Listener, _context: Context) -> None:
    """Whoever sends `x-envoy-fault-abort-request` gets the status that it asks for."""
    fault = HttpFault(
        abort=FaultAbort(header_abort=FaultAbortHeaderAbort(), percentage=FractionalPercent(numerator=100))
    )
    for chain in listener.filter_chains:
        for each in chain.filters:
            manager = each.typed_config.unpack() if each.typed_config else None
            if isinstance(manager, HttpConnectionManager):
                manager.http_filters.insert(0, HttpFilter(name="fault", typed_config=Any.pack(fault)))
                each.typed_config = Any.pack(manager)


def tuned(cluster: Cluster, context: Context) -> object:
    """Waits as long as the annotation `seconds` says; with `trick`, gives what it may not give."""
    match context.annotations.get("trick"):
        case "rename":
            cluster.name = "another"
        case "nonsense":
            return "nonsense"
        case _:
            cluster.connect_timeout = timedelta(seconds=float(context.annotations["seconds"]))
    return cluster


def greeting(host: VirtualHost, context: Context) -> None:
    """Every answer says what the annotation `greeting` says."""
    said = HeaderValue(key="x-greeting", value=f"{context.annotations['greeting']} from {context.name}")
    host.response_headers_to_add.append(HeaderValueOption(header=said))


def endless(_host: VirtualHost, context: Context) -> None:
    """Never comes back, where the annotation `endless` is there."""
    if "endless" in context.annotations:
        time.sleep(3600)


def emptied(assignment: ClusterLoadAssignment, _context: Context) -> None:
    assignment.endpoints.clear()


def unheard_of(listener: Listener, context: Context) -> None:
    """A filter that no Envoy knows, where the annotation `unheard-of` is there: only a proxy can find that."""
    for chain in listener.filter_chains if "unheard-of" in context.annotations else ():
        for each in chain.filters:
            manager = each.typed_config.unpack() if each.typed_config else None
            if isinstance(manager, HttpConnectionManager):
                nobody = Any(type_url="type.googleapis.com/nobody.knows.This", value=b"")
                manager.http_filters.insert(0, HttpFilter(name="unheard-of", typed_config=nobody))
                each.typed_config = Any.pack(manager)


def unplugged(cluster: Cluster, context: Context) -> None:
    """Spoken to in a way that no Envoy knows, where the annotation `unplugged` is there."""
    if "unplugged" in context.annotations:
        nobody = Any(type_url="type.googleapis.com/nobody.knows.This", value=b"")
        cluster.transport_socket = TransportSocket(name="unheard-of", typed_config=nobody)


def misconfigured(host: VirtualHost, context: Context) -> None:
    """Configures a filter that no Envoy knows, where the annotation `misconfigured` is there."""
    if "misconfigured" in context.annotations:
        nobody = Any(type_url="type.googleapis.com/nobody.knows.This", value=b"")
        host.typed_per_filter_config["unheard-of"] = nobody
