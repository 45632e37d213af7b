"""The process behind `Upstreams`: each line of JSON in is an order or a question, each line of JSON out its answer."""

import asyncio
import json
import sys
from asyncio import TaskGroup
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import grpc
import h2.config
import h2.connection
import h2.errors
import h2.events
from aiohttp import web
from typing_extensions import override

from e2e.support.behaviours import Act, Answer, Headers, Instance, Stage
from e2e.support.upstream import Protocol

LONGEST_LINE = 1 << 20
PIECES = 10
PAUSE = 0.1
HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"
STATUSES = {code.name.lower().replace("_", "-"): str(code.value[0]) for code in grpc.StatusCode}
ERRORS = {Act.RESET: h2.errors.ErrorCodes.INTERNAL_ERROR, Act.REFUSE: h2.errors.ErrorCodes.REFUSED_STREAM}


def http1(instance: Instance) -> web.Server:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        path = request.raw_path.encode("utf-8", "surrogateescape").decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers]
        said = await instance.answer(path, headers)
        if said.word == Act.RESET and request.transport is not None:
            request.transport.abort()
        if said.word in {Act.STALL, Act.TRICKLE}:
            return await piecemeal(request, said)
        if said.word == Act.LIE:
            return web.Response(status=503, headers={"x-not-delivered": "true"})
        return web.Response(status=said.status, body=said.body, content_type="application/json")

    async def piecemeal(request: web.BaseRequest, said: Answer) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(PIECES):
            await response.write(b".")
            if said.word == Act.STALL:
                await instance.stage.hold(instance.name)
            await asyncio.sleep(PAUSE)
        return response

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
        word, body = answer = await self._instance.answer(dict(headers)[":path"], headers)
        if self._transport.is_closing() or self._connection.streams[stream].closed:
            return  # the request was given up: a timeout
        if word in ERRORS:
            self._connection.reset_stream(stream, ERRORS[Act(word)])
        elif word in STATUSES:
            said = [(":status", "200"), ("content-type", "application/grpc"), ("grpc-status", STATUSES[word])]
            self._connection.send_headers(stream, said, end_stream=True)
        else:
            length = ("content-length", str(len(body)))
            said = [(":status", str(answer.status)), ("content-type", "application/json"), length]
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

        async def answer(asked: bytes, context: "grpc.aio.ServicerContext[bytes, bytes]") -> bytes:
            headers = [(str(name), str(value)) for name, value in context.invocation_metadata() or ()]
            if method == HEALTH:
                service = asked[2:].decode()  # after the tag and the length of a short string
                well = await self._instance.checked(service, headers) == "200"
                return SERVING if well else NOT_SERVING
            word, body = said = await self._instance.answer(method, headers)
            if not word.isdigit():
                await context.abort(grpc.StatusCode[word.upper().replace("-", "_")], "asked to fail")
            if said.status != 200:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "asked to fail")
            return body

        return grpc.unary_unary_rpc_method_handler(answer)


class Process:
    """Starts upstreams, and holds them until it ends."""

    def __init__(self, stack: AsyncExitStack, tasks: TaskGroup) -> None:
        self._stack = stack
        self._tasks = tasks
        self._stage = Stage()
        self._instances: dict[str, Instance] = {}

    async def obey(self, order: dict[str, str]) -> Any:
        match order:
            case {"start": name, "protocol": protocol}:
                self._instances[name] = Instance(name, self._stage)
                return await self._start(self._instances[name], Protocol(protocol))
            case {"tell": name, "act": act, "health": health}:
                self._instances[name].act, self._instances[name].health = act, health
            case {"seen": key}:
                return self._stage.seen[key]
            case {"checks": name}:
                return self._instances[name].checks
            case {"held": gate}:
                return self._stage.held[gate]
            case {"let_go": gate}:
                return self._stage.let_go(gate)
            case _:
                raise ValueError(order)
        return None

    async def _start(self, instance: Instance, protocol: Protocol) -> int:
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

        async def obey(line: str) -> None:
            print(json.dumps(await process.obey(json.loads(line))), flush=True)

        await lines_of_input(obey)


if __name__ == "__main__":
    asyncio.run(main())
