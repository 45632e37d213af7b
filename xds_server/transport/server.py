"""The gRPC server of the aggregated discovery service, in both dialects, and of client status discovery."""

from collections.abc import AsyncIterator, Awaitable, Callable
from secrets import token_hex

import grpc
import grpc.aio

from xds_server.ports import Observer, Worlds
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, SotwRequest
from xds_server.protocol.plan import Pace
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.stream import Request
from xds_server.transport.connections import Connections
from xds_server.transport.requests import delta_request, sotw_request
from xds_server.transport.session import Dialect, Session, Surroundings
from xds_server.transport.status import ClientStatus
from xds_server.transport.telemetry import Exports, Take, nobody_takes

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

PACE = Pace(patience=2.0, rest=5.0)

OPTIONS = (
    # A delta client that reconnects lists every resource it has, which passes the default of 4 MiB (R6).
    ("grpc.max_receive_message_length", 32 * 1024 * 1024),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_concurrent_streams", 1_000_000),
    # Half-open streams die within 40 s, and clients may ping as often as they like to find out on their side (R6).
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.http2.max_ping_strikes", 0),
    ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
    # Two servers on one port would share its clients at random.
    ("grpc.so_reuseport", 0),
)

Context = grpc.aio.ServicerContext[bytes, bytes]
Handler = Callable[[AsyncIterator[bytes], Context], Awaitable[None]]


class XdsServer:
    """Serves ADS to any number of proxies. `pace`: how long streams wait for what.

    `connections`: where the open streams are to be found by others. `take` is given what proxies export.
    """

    def __init__(
        self,
        worlds: Worlds,
        observer: Observer,
        connections: Connections | None = None,
        *,
        pace: Pace = PACE,
        take: Take = nobody_takes,
    ) -> None:
        open_streams = connections if connections is not None else Connections()
        self._surroundings = Surroundings(worlds, observer, open_streams)
        self._sessions: set[Session[SotwRequest] | Session[DeltaRequest]] = set()
        self._stopping = False
        self._server = grpc.aio.server(options=OPTIONS)
        sotw = Dialect("sotw", sotw_request, lambda: SotwStream(pace=pace, name=_stream_name()))
        delta = Dialect("delta", delta_request, lambda: DeltaStream(pace=pace, name=_stream_name()))
        methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._handler(sotw)),
            "DeltaAggregatedResources": grpc.stream_stream_rpc_method_handler(self._handler(delta)),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        self._server.add_generic_rpc_handlers((ClientStatus(open_streams).handler,))
        self._server.add_generic_rpc_handlers((Exports(open_streams, take).handler,))

    async def start(self, address: str, credentials: grpc.ServerCredentials | None = None) -> int:
        """Listen on `host:port`, in the clear without credentials; returns the port, which the system chose for 0."""
        if credentials is None:
            port = self._server.add_insecure_port(address)
        else:
            port = self._server.add_secure_port(address, credentials)
        await self._server.start()
        return port

    async def stop(self, grace: float) -> None:
        """End every stream once what is waiting is written, but after `grace` seconds in any case."""
        self._stopping = True
        for session in self._sessions:
            session.end()
        await self._server.stop(grace)

    def _handler(self, dialect: Dialect[Request]) -> Handler:
        async def converse(requests: AsyncIterator[bytes], context: Context) -> None:
            session = Session(dialect, self._surroundings, context.peer())
            self._sessions.add(session)
            try:
                await session.run(requests, context.write)
            finally:
                self._sessions.discard(session)
            if session.fault is not None:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(session.fault))
            if self._stopping:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "the server is stopping")

        return converse


def _stream_name() -> str:
    return f"{token_hex(4)}-"
