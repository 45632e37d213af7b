"""Applications that keep requests open: WebSockets, server-sent events, HTTP/2 streams and gRPC, plain or by TLS.

They run in a thread of the test's own process, so that a test sees what they saw. Each says its name in every message.
"""

import asyncio
import ssl
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

import grpc
import h2.config
import h2.connection
import h2.events
import h2.settings
from aiohttp import web
from typing_extensions import override
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.utils import accept_key

ANY = "127.0.0.1:0"
PAUSE = 0.02
CALLS = 64
"""gRPC calls that may be open at once."""

Result = TypeVar("Result")


class Applications:
    """Starts applications on ports of 127.0.0.1, and ends them with its `with` block."""

    def __init__(self) -> None:
        self.sick: set[str] = set()
        """Names of those that say at `/healthz`, or by gRPC's health protocol, that they are not well."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stack = ExitStack()

    def http1(self, name: str, tls: ssl.SSLContext | None = None, at: str = ANY) -> str:
        """`/ws`: a WebSocket that echoes. `/events`: server-sent events without an end. `/who`: the certificate of the
        client, on a connection that is closed with the answer. Else: its name.
        """
        server = web.Server(_Http1(name, self.sick).answer, loop=self._loop, access_log=None)
        self._stack.callback(lambda: self._run(server.shutdown(PAUSE)))
        return self._listen(server, tls, at)

    def http2(self, name: str, tls: ssl.SSLContext | None = None) -> str:
        """A POST or an extended CONNECT is echoed while it comes; a WebSocket by its messages. Else: its name."""
        return self._listen(lambda: _Http2(name, self.sick), tls)

    def switching(self, name: str) -> str:
        """Switches an HTTP/1 connection to whatever protocol is asked for, and echoes bytes."""
        return self._listen(lambda: _Switching(name), None)

    def grpc(self, service: "Service", credentials: grpc.ServerCredentials | None = None) -> str:
        server = grpc.server(ThreadPoolExecutor(CALLS))
        server.add_generic_rpc_handlers((service,))
        port = server.add_secure_port(ANY, credentials) if credentials else server.add_insecure_port(ANY)
        server.start()
        self._stack.callback(lambda: server.stop(None).wait())
        return f"127.0.0.1:{port}"

    def _listen(self, protocol: Callable[[], asyncio.BaseProtocol], tls: ssl.SSLContext | None, at: str = ANY) -> str:
        host, _, port = at.rpartition(":")
        server = self._run(self._loop.create_server(protocol, host, int(port), ssl=tls))
        self._stack.callback(self._run, _closed(server))
        return f"{host}:{server.sockets[0].getsockname()[1]}"

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()
        self._run(_end_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _closed(server: asyncio.Server) -> None:
    server.close()


async def _end_all() -> None:
    for transport in _Wire.open:
        transport.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Http1:
    name: str
    sick: set[str]

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.path:
            case "/ws":
                return await self._web_socket(request)
            case "/events":
                return await self._events(request)
            case "/who":
                return self._who(request)
            case _:
                await request.read()
                ill = request.path == "/healthz" and self.name in self.sick
                return web.Response(text=self.name, status=500 if ill else 200)

    def _who(self, request: web.BaseRequest) -> web.Response:
        shown = request.get_extra_info("ssl_object").getpeercert(binary_form=True)
        response = web.Response(text=ssl.DER_cert_to_PEM_cert(shown))
        response.force_close()
        return response

    async def _web_socket(self, request: web.BaseRequest) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(f"{self.name} {message.data}")
        return socket

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        """Each event says when it was sent, on the clock that all processes share."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(f"data: {self.name} {time.monotonic()}\n\n".encode())
                await asyncio.sleep(PAUSE)
        return response


class _Wire(asyncio.Protocol):
    """A connection that ends with the applications."""

    open: ClassVar[set[asyncio.Transport]] = set()

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.open.add(transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.open.discard(self.transport)


class _Http2(_Wire):
    """Messages are smaller than any flow control window."""

    def __init__(self, name: str, sick: set[str]) -> None:
        self._name = name.encode()
        self._sick = sick
        self._sockets: dict[int, ServerProtocol] = {}
        self._echoes: set[int] = set()
        settings = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._connection = h2.connection.H2Connection(settings)
        self._connection.local_settings = h2.settings.Settings(
            client=False, initial_values={h2.settings.SettingCodes.ENABLE_CONNECT_PROTOCOL: 1}
        )

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connection.initiate_connection()
        self._flush()

    @override
    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            self._receive(event)
        self._flush()

    def _receive(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(stream), headers=headers):
                self._begin(stream, {str(name): str(value) for name, value in headers or ()})
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(length)):
                self._connection.acknowledge_received_data(length, stream)
                self._echo(stream, data)
            case h2.events.StreamEnded(stream_id=int(stream)) if stream in self._echoes:
                self._connection.end_stream(stream)
            case _:
                pass

    def _begin(self, stream: int, asked: dict[str, str]) -> None:
        streams = asked[":method"] in ("POST", "CONNECT")
        ill = asked.get(":path") == "/healthz" and self._name.decode() in self._sick
        more = [] if streams else [("content-length", str(len(self._name)))]
        if "sec-websocket-key" in asked:  # HTTP/2 has no need of it; a client of HTTP/1 believes nobody without
            more.append(("sec-websocket-accept", accept_key(asked["sec-websocket-key"])))
        self._connection.send_headers(stream, [(":status", "500" if ill else "200"), *more])
        if not streams:
            self._connection.send_data(stream, self._name, end_stream=True)
            return
        self._echoes.add(stream)
        if asked.get(":protocol") == "websocket":
            self._sockets[stream] = ServerProtocol(state=State.OPEN)

    def _echo(self, stream: int, data: bytes) -> None:
        socket = self._sockets.get(stream)
        if socket is None:
            self._connection.send_data(stream, self._name + b" " + data)
            return
        socket.receive_data(data)
        for frame in socket.events_received():
            if isinstance(frame, Frame) and frame.opcode is Opcode.TEXT:
                socket.send_text(self._name + b" " + bytes(frame.data))
        for piece in socket.data_to_send():
            self._connection.send_data(stream, piece, end_stream=not piece)

    def _flush(self) -> None:
        self.transport.write(self._connection.data_to_send())


class _Switching(_Wire):
    def __init__(self, name: str) -> None:
        self._name = name.encode()
        self._head = b""
        self._switched = False

    @override
    def data_received(self, data: bytes) -> None:
        if self._switched:
            self.transport.write(self._name + b" " + data)
            return
        self._head += data
        head, complete, _ = self._head.partition(b"\r\n\r\n")
        if complete:
            lines = (line.partition(b": ") for line in head.split(b"\r\n")[1:])
            token = {name.lower(): value for name, _, value in lines}[b"upgrade"]
            self._switched = True
            self.transport.write(
                b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: " + token + b"\r\n\r\n"
            )


@dataclass(slots=True)
class Service(grpc.GenericRpcHandler):
    """`/echo.Echo/{Unary,Client,Server,Both}`: echoes messages, with its name where a stream is answered. `Watch`: its
    name, again and again.

    `Unary` and `Server` fail in the way that the metadata `x-test-status` and `x-test-details` ask for. `Both` keeps
    what it got in `got`, and counts the calls that were given up in `cancelled`.
    """

    name: str
    got: list[dict[str, Any]] = field(default_factory=list)
    cancelled: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    sick: set[str] = field(default_factory=set)

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[Any, Any] | None":
        return self._handlers().get(handler_call_details.method)

    def _handlers(self) -> "dict[str, grpc.RpcMethodHandler[Any, Any]]":
        return {
            "/echo.Echo/Unary": grpc.unary_unary_rpc_method_handler(self._unary),
            "/echo.Echo/Client": grpc.stream_unary_rpc_method_handler(self._client),
            "/echo.Echo/Server": grpc.unary_stream_rpc_method_handler(self._server),
            "/echo.Echo/Both": grpc.stream_stream_rpc_method_handler(self._both),
            "/echo.Echo/Watch": grpc.unary_stream_rpc_method_handler(self._watch),
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self._health),
        }

    def _open(self, context: grpc.ServicerContext) -> dict[str, Any]:
        said: dict[str, Any] = dict(context.invocation_metadata())
        self.got.append(said | {"remaining": context.time_remaining()})
        if "x-test-wait" not in said:
            context.send_initial_metadata((("x-name", self.name),))
        context.set_trailing_metadata((("x-name", self.name), ("x-bytes-bin", b"\x00\xff\x80")))
        return said

    def _close(self, context: grpc.ServicerContext, said: dict[str, Any]) -> None:
        for code in grpc.StatusCode:
            if str(code.value[0]) == said.get("x-test-status"):
                context.set_code(code)
                context.set_details(said["x-test-details-bin"].decode())

    def _unary(self, request: bytes, context: grpc.ServicerContext) -> bytes:
        said = self._open(context)
        if "x-test-wait" in said:
            self._await_end(context)
        self._close(context, said)
        return request

    def _client(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> bytes:
        self._open(context)
        return b"".join(requests)

    def _server(self, request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        said = self._open(context)
        yield from (request[at : at + 1] for at in range(len(request)))
        self._close(context, said)

    def _both(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self._open(context)
        context.add_callback(self.cancelled.release)
        with suppress(grpc.RpcError):
            for each in requests:
                yield self.name.encode() + b" " + each

    def _watch(self, _request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
        ended = threading.Event()
        context.add_callback(ended.set)
        while not ended.wait(PAUSE):
            yield f"{self.name} {time.monotonic()}".encode()

    def _health(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return b"\x08\x02" if self.name in self.sick else b"\x08\x01"

    def _await_end(self, context: grpc.ServicerContext) -> None:
        """Until the client gives up, or its deadline is over."""
        ended = threading.Event()
        if context.add_callback(ended.set):
            ended.wait(30)
        self.cancelled.release()
