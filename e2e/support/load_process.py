"""The process behind `Load`. No task per request on a kept connection: measuring leaves room for the measured."""

import asyncio
import json
import ssl
import sys
import time
from asyncio import AbstractEventLoop, TaskGroup
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
from typing_extensions import override

from e2e.support.load import UNANSWERED, Answer, Shot

PATIENCE = 10.0
STREAMS = 50
WIRES = ("h1", "h2", "h1", "h2", "h1", "h2", "h1", "h2", "h1-new", "h2-new")


@dataclass(slots=True)
class Seen:
    """Everything that was sent: what was answered, and what is still open."""

    answers: list[Answer] = field(default_factory=list)
    open: set["Request"] = field(default_factory=set)
    quiet: asyncio.Event = field(default_factory=asyncio.Event)
    failed: bool = False

    def ended(self, request: "Request", answer: Answer) -> None:
        """Only the first end of a request counts. The first failure is told at once."""
        if request in self.open:
            self.open.remove(request)
            self.answers.append(answer)
            if answer.error and not self.failed:
                self.failed = True
                print("failed", flush=True)
        if not self.open:
            self.quiet.set()


@dataclass(slots=True, eq=False)
class Request:
    """One request that is on its way."""

    shot: Shot
    wire: str
    seen: Seen
    start: float = field(default_factory=time.monotonic)
    status: int = 0
    served: str | None = None

    def __post_init__(self) -> None:
        self.seen.open.add(self)

    @property
    def kept(self) -> bool:
        return not self.wire.endswith("new")

    def finish(self, error: str | None = None) -> None:
        end = time.monotonic()
        answer = Answer(self.shot.name, self.wire, self.start, end, self.status, self.served, error)
        self.seen.ended(self, answer)


class Http1(asyncio.Protocol):
    """A connection of HTTP/1: one request at a time, and idle after it if both sides keep it."""

    alpn = "http/1.1"

    def __init__(self, idle: list["Http1"]) -> None:
        self._idle = idle
        self._request: Request | None = None
        self._received = b""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: Request) -> None:
        self._request = request
        self._received = b""
        shot = request.shot
        lines = [
            f"GET {shot.path} HTTP/1.1",
            f"Host: {shot.host}",
            *(f"{name}: {value}" for name, value in shot.headers),
        ]
        keep = [] if request.kept else ["Connection: close"]
        self._transport.write("\r\n".join([*lines, *keep, "", ""]).encode("latin-1"))

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, complete, body = self._received.partition(b"\r\n\r\n")
        if not complete or self._request is None:
            return
        status, headers = parse_head(head.decode("latin-1"))
        if len(body) < int(headers.get("content-length", "0")):
            return
        request, self._request = self._request, None
        request.status, request.served = status, headers.get("x-served-deployment")
        request.finish()
        if request.kept and headers.get("connection") != "close":
            self._idle.append(self)
        else:
            self._transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._idle:
            self._idle.remove(self)
        if self._request is not None:
            self._request.finish(f"connection lost: {exc}")


def parse_head(head: str) -> tuple[int, dict[str, str]]:
    """Status and headers of an answer, whose body has a length: our upstreams and Envoy's own answers do."""
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if "transfer-encoding" in headers:
        raise ValueError(f"the load generator reads only bodies with a content-length: {head}")
    return int(first.split(" ", 2)[1]), headers


class Http2(asyncio.Protocol):
    """A connection of HTTP/2: many requests at a time, until the peer says GOAWAY."""

    alpn = "h2"

    def __init__(self, usable: list["Http2"]) -> None:
        self._usable = usable
        self._requests: dict[int, Request] = {}
        settings = h2.config.H2Configuration(
            header_encoding="latin-1", validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self._connection = h2.connection.H2Connection(settings)

    @property
    def full(self) -> bool:
        return len(self._requests) >= STREAMS

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._usable.append(self)
        self._connection.initiate_connection()

    def send(self, request: Request) -> None:
        shot = request.shot
        stream = self._connection.get_next_available_stream_id()
        self._requests[stream] = request
        pseudo = [(":method", "GET"), (":scheme", "http"), (":authority", shot.host), (":path", shot.path)]
        self._connection.send_headers(stream, [*pseudo, *shot.headers], end_stream=True)
        self._flush()

    @override
    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            self._receive(event)
        self._flush()

    def _receive(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                said = {str(name): str(value) for name, value in headers or ()}
                self._requests[stream].status = int(said[":status"])
                self._requests[stream].served = said.get("x-served-deployment")
            case h2.events.DataReceived(stream_id=int(stream), flow_controlled_length=int(length)):
                self._connection.acknowledge_received_data(length, stream)
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._finish(stream, None)
            case h2.events.StreamReset(stream_id=int(stream), error_code=code):
                self._finish(stream, f"stream reset: {code}")
            case h2.events.ConnectionTerminated():
                self._retire()
            case _:
                pass

    def _finish(self, stream: int, error: str | None) -> None:
        request = self._requests.pop(stream)
        request.finish(error)
        if not request.kept:
            self._transport.close()

    def _retire(self) -> None:
        """Nothing new is sent here; what is open may still be answered."""
        if self in self._usable:
            self._usable.remove(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._retire()
        for request in self._requests.values():
            request.finish(f"connection lost: {exc}")

    def _flush(self) -> None:
        if pending := self._connection.data_to_send():
            self._transport.write(pending)


def trusting(alpn: str) -> ssl.SSLContext:
    """Takes any certificate: whether it is the right one is asked elsewhere."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context


TLS = {alpn: trusting(alpn) for alpn in ("http/1.1", "h2")}


class Generator:
    """Sends each request when it is due, over an idle connection if there is one, else over a new one."""

    def __init__(self, port: int, tasks: TaskGroup, *, tls: bool) -> None:
        self.seen = Seen()
        self._port = port
        self._tls = tls
        self._tasks = tasks
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._idle: list[Http1] = []
        self._usable: list[Http2] = []

    async def run(self, shots: list[Shot], rate: float, stop: asyncio.Event) -> None:
        began = self._loop.time()
        for number in count():
            try:
                async with asyncio.timeout_at(began + number / rate):
                    await stop.wait()
                return
            except TimeoutError:
                turn, lap = number % len(WIRES), number // len(WIRES)
                self._send(Request(shots[(turn + lap) % len(shots)], WIRES[turn], self.seen))

    async def settle(self) -> None:
        """Wait for what is open; what is not answered then has no answer."""
        if self.seen.open:
            self.seen.quiet.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self.seen.quiet.wait(), PATIENCE)
        for request in list(self.seen.open):
            request.finish(UNANSWERED)

    def _send(self, request: Request) -> None:
        match request.wire:
            case "h1" if self._idle:
                self._idle.pop().send(request)
            case "h1" | "h1-new":
                self._tasks.create_task(self._connect(request, Http1(self._idle)))
            case "h2" if free := next((each for each in self._usable if not each.full), None):
                free.send(request)
            case "h2":
                self._tasks.create_task(self._connect(request, Http2(self._usable)))
            case _:
                self._tasks.create_task(self._connect(request, Http2([])))

    async def _connect(self, request: Request, wire: Http1 | Http2) -> None:
        try:
            context, name = (TLS[wire.alpn], request.shot.host) if self._tls else (None, None)
            await self._loop.create_connection(lambda: wire, "127.0.0.1", self._port, ssl=context, server_hostname=name)
        except OSError as error:
            request.finish(str(error))
        else:
            wire.send(request)


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    order: dict[str, Any] = json.loads(await reader.readline())
    shots = [Shot(**shot) for shot in order["shots"]]
    stop = asyncio.Event()
    async with TaskGroup() as tasks:
        generator = Generator(order["port"], tasks, tls=order["tls"])
        running = tasks.create_task(generator.run(shots, order["rate"], stop))
        before = time.process_time()
        print("started", flush=True)
        await reader.read()
        stop.set()
        await running
        await generator.settle()
        cpu = time.process_time() - before
    answers = [astuple(answer) for answer in generator.seen.answers]
    Path(order["results"]).write_text(json.dumps({"answers": answers, "cpu": cpu}))


if __name__ == "__main__":
    asyncio.run(main())
