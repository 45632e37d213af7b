"""What one Envoy at the edge takes at most, and what it gives up first when it is too much."""

from dataclasses import dataclass
from datetime import timedelta

from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    LayeredRuntime,
    OverloadAction,
    OverloadManager,
    ResourceMonitor,
    RuntimeLayer,
    RuntimeLayerAdminLayer,
    ThresholdTrigger,
    Trigger,
)
from xds_server.messages.extensions import DownstreamConnectionsConfig, FixedHeapConfig
from xds_server.messages.google import Struct, Value

MEGABYTE = 1024 * 1024
REFRESH = timedelta(milliseconds=250)
HEAP = "envoy.resource_monitors.fixed_heap"
CONNECTIONS = "envoy.resource_monitors.global_downstream_max_connections"
SHEDDING = {
    "envoy.overload_actions.shrink_heap": 0.90,
    "envoy.overload_actions.disable_http_keepalive": 0.92,
    "envoy.overload_actions.stop_accepting_connections": 0.95,
    "envoy.overload_actions.stop_accepting_requests": 0.98,
}
"""What is done from which share of the heap on: first what costs clients nothing, last what they notice."""

GUARDS = {
    "overload.premature_reset_total_stream_count": 500,
    "overload.premature_reset_min_stream_lifetime_seconds": 1,
    "http.max_requests_per_io_cycle": 1,
}
"""Against HTTP/2 clients that open and reset streams: a connection of which more than half of its first 500 streams
were reset within a second is closed, and no connection has more than one request begun before the others have theirs.
"""

RUNTIME = LayeredRuntime(
    layers=[
        RuntimeLayer(
            name="guards",
            static_layer=Struct(fields={name: Value(number_value=limit) for name, limit in GUARDS.items()}),
        ),
        RuntimeLayer(name="admin", admin_layer=RuntimeLayerAdminLayer()),
    ]
)
"""The last layer is what Envoy has by itself: an operator may still change a value by the admin interface."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How many connections of clients, and how much memory on the heap."""

    connections: int = 50_000
    heap_mb: int = 2048


def overload_manager(limits: Limits) -> OverloadManager:
    heap = FixedHeapConfig(max_heap_size_bytes=limits.heap_mb * MEGABYTE)
    connections = DownstreamConnectionsConfig(max_active_downstream_connections=limits.connections)
    return OverloadManager(
        refresh_interval=REFRESH,
        resource_monitors=[
            ResourceMonitor(name=HEAP, typed_config=pack(heap)),
            ResourceMonitor(name=CONNECTIONS, typed_config=pack(connections)),
        ],
        actions=[_action(name, share) for name, share in SHEDDING.items()],
    )


def _action(name: str, share: float) -> OverloadAction:
    return OverloadAction(name=name, triggers=[Trigger(name=HEAP, threshold=ThresholdTrigger(value=share))])
