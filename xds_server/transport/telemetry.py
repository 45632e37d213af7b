"""The metrics service of OpenTelemetry (OTLP), to which Envoys export their totals.

Who exports is known by the connection: an Envoy has its xDS stream on the same one, and has said there who it is. Where
something in between mixes connections it is what the export says of itself. What is exported is handed on as it came,
and answered at once: totals that are not taken now come again with the next flush.
"""

from collections.abc import Callable

import grpc
import grpc.aio

from xds_server.messages.metrics import SERVICE
from xds_server.transport.connections import Connections

Context = grpc.aio.ServicerContext[bytes, bytes]
Take = Callable[[str, bytes], bool]
"""Is given a node id, empty if nobody knows, and an encoded export. False: there is no room for it now."""
ANSWER = b""
"""An `ExportMetricsServiceResponse` that says nothing."""


class Exports:
    """Takes what the proxies of a server export."""

    def __init__(self, connections: Connections, take: Take) -> None:
        self._connections = connections
        self._take = take

    @property
    def handler(self) -> grpc.GenericRpcHandler:
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Export": grpc.unary_unary_rpc_method_handler(self._export)
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _export(self, encoded: bytes, context: Context) -> bytes:
        if not self._take(self._connections.node_at(context.peer()), encoded):
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "others are before this one")
        return ANSWER


def nobody_takes(_node: str, _encoded: bytes) -> bool:
    return True
