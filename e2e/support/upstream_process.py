"""The process behind `Upstreams`: a line of JSON in starts an upstream, a line of JSON out says on which port."""

import asyncio
import json
import sys
from asyncio import TaskGroup
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
import h2.config
import h2.connection
import h2.events
from aiohttp import web
from typing_extensions import override

from e2e.support.upstream import Protocol

Headers = Sequence[tuple[str, str]]
LONGEST_LINE = 1 << 20


@dataclass(frozen=True, slots=True)
class Instance:
    """One upstream, whatever it speaks."""

    name: str
    attempts: Counter[str] = field(default_factory=Counter)

    async def answer(self, path: str, headers: Headers) -> tuple[int, bytes]:
        """Status and body, after the behaviour that the request asks for."""
        asked = {name.lower(): value for name, value in headers}
        key, _, failures = asked.get("x-test-fail", "/0").partition("/")
        self.attempts[key] += 1
        attempt = self.attempts[key]
        if delay := asked.get("x-test-delay"):
            await asyncio.sleep(float(delay))
        said = {"instance": self.name, "path": path, "headers": headers, "attempt": attempt}
        return 503 if attempt <= int(failures) else 200, json.dumps(said).encode()


def http1(instance: Instance) -> web.Server:
    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        path = request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        status, body = await instance.answer(path, headers)
        return web.Response(status=status, body=body, content_type="application/json")

    return web.Server(answer, access_log=None, max_line_size=LONGEST_LINE, max_field_size=LONGEST_LINE)


class Http2(asyncio.Protocol):
    """One connection of HTTP/2 with prior knowledge. Answers are smaller than any flow control window."""

    def __init__(self, instance: Instance, tasks: TaskGroup) -> None:
        self._instance = instance
        self._tasks = tasks
        self._requests: dict[int, Headers] = {}
        settings = h2.config.H2Configuration(client_side=False, header_encoding="latin-1")
        self._connection = h2.connection.H2Connection(settings)

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
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
                self._requests[stream] = [(str(name), str(value)) for name, value in headers or ()]
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                self._connection.acknowledge_received_data(length, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._tasks.create_task(self._respond(stream, self._requests.pop(stream)))
            case h2.events.ConnectionTerminated():
                self._transport.close()
            case _:
                pass

    async def _respond(self, stream: int, headers: Headers) -> None:
        status, body = await self._instance.answer(dict(headers)[":path"], headers)
        if self._transport.is_closing() or self._connection.streams[stream].closed:
            return  # the request was given up: a timeout
        said = [(":status", str(status)), ("content-type", "application/json"), ("content-length", str(len(body)))]
        self._connection.send_headers(stream, said)
        self._connection.send_data(stream, body, end_stream=True)
        self._flush()

    def _flush(self) -> None:
        self._transport.write(self._connection.data_to_send())


class Grpc(grpc.GenericRpcHandler):
    """Answers every unary call of every service with the JSON that the HTTP upstreams answer."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    @override
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "grpc.RpcMethodHandler[bytes, bytes]":
        method = str(handler_call_details.method)

        async def answer(_: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            headers = [(str(name), str(value)) for name, value in context.invocation_metadata() or ()]
            status, body = await self._instance.answer(method, headers)
            if status != 200:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "asked to fail")
            return body

        return grpc.unary_unary_rpc_method_handler(answer)


class Process:
    """Starts upstreams, and holds them until it ends."""

    def __init__(self, stack: AsyncExitStack, tasks: TaskGroup) -> None:
        self._stack = stack
        self._tasks = tasks

    async def start(self, instance: Instance, protocol: Protocol) -> int:
        match protocol:
            case Protocol.HTTP1:
                return await self._listen(http1(instance))
            case Protocol.HTTP2:
                return await self._listen(lambda: Http2(instance, self._tasks))
            case Protocol.GRPC:
                return await self._grpc(instance)

    async def _listen(self, protocol: Callable[[], asyncio.BaseProtocol]) -> int:
        server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
        self._stack.callback(server.close)
        return int(server.sockets[0].getsockname()[1])

    async def _grpc(self, instance: Instance) -> int:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((Grpc(instance),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        self._stack.push_async_callback(server.stop, None)
        return port


async def lines_of_input(act: Callable[[str], Awaitable[None]]) -> None:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        await act(line.decode())


async def main() -> None:
    async with AsyncExitStack() as stack, TaskGroup() as tasks:
        process = Process(stack, tasks)

        async def start(line: str) -> None:
            order = json.loads(line)
            port = await process.start(Instance(order["instance"]), Protocol(order["protocol"]))
            print(json.dumps({"port": port}), flush=True)

        await lines_of_input(start)


if __name__ == "__main__":
    asyncio.run(main())
