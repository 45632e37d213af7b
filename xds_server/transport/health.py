"""One instance is asked whether it is well, as a proxy would ask it: over HTTP, or by gRPC's health protocol."""

import asyncio
import os
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterable
from dataclasses import dataclass

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import H2Error

from xds_server.domain.addresses import Address
from xds_server.messages.fields import text_field
from xds_server.records.secrets import Secret

HEALTH = "/grpc.health.v1.Health/Check"
SERVING = b"\x08\x01"
"""A `HealthCheckResponse` that says so."""
SERVICE = 1
"""Field number of `HealthCheckRequest`."""
FRAME = 5
"""Bytes before a message on a gRPC stream: whether it is compressed, and its length."""
WELL = range(200, 300)
CHUNK = 65536
LONGEST = 256
"""Bytes of a status line."""
AGENT = "xds-server"

Headers = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Asked:
    """How it is asked. `service`: by gRPC, about that, or if empty about the server; None: by a GET of `path`."""

    host: str
    path: str = "/"
    http2: bool = False
    service: str | None = None
    tls: ssl.SSLContext | None = None
    server_name: str | None = None


class _NoAnswer(Exception):
    """What came is none."""


async def ask(instance: Address, asked: Asked, seconds: float) -> str:
    """Empty if it is well; else why it is not."""
    try:
        async with asyncio.timeout(seconds):
            said = await _ask(instance, asked)
    except TimeoutError:
        said = f"did not answer in {seconds:.3g} s"
    except ssl.SSLError as error:
        said = f"TLS fails: {getattr(error, 'verify_message', '') or error.reason or error}"
    except OSError as error:
        said = f"cannot be asked: {os.strerror(error.errno) if error.errno else error}"
    except (EOFError, ValueError, H2Error, _NoAnswer) as error:
        said = f"does not answer as it should: {error}"
    return f"{instance} {said}" if said else ""


async def _ask(instance: Address, asked: Asked) -> str:
    reader, writer = await asyncio.open_connection(
        instance.host, instance.port, ssl=asked.tls, server_hostname=asked.server_name if asked.tls else None
    )
    try:
        if asked.service is not None:
            return await _by_grpc(reader, writer, asked, asked.service)
        status = await (_http2_status if asked.http2 else _http1_status)(reader, writer, asked)
    finally:
        writer.transport.abort()  # TLS would wait for the other side's last word
    return "" if status in WELL else f"answered {status}"


async def _http1_status(reader: StreamReader, writer: StreamWriter, asked: Asked) -> int:
    lines = (f"GET {asked.path} HTTP/1.1", f"Host: {asked.host}", f"User-Agent: {AGENT}", "Connection: close", "", "")
    writer.write("\r\n".join(lines).encode())
    line = (await reader.readline())[:LONGEST].split(None, 2)
    if len(line) < 2 or not line[0].startswith(b"HTTP/1."):
        raise _NoAnswer("that is not HTTP/1.1")
    return int(line[1])


async def _http2_status(reader: StreamReader, writer: StreamWriter, asked: Asked) -> int:
    http = _Http2(reader, writer)
    http.request([(":method", "GET"), *_about(asked, asked.path), ("user-agent", AGENT)])
    return await http.status()


async def _by_grpc(reader: StreamReader, writer: StreamWriter, asked: Asked, service: str) -> str:
    message = text_field(SERVICE, service)
    more = (("te", "trailers"), ("content-type", "application/grpc"), ("user-agent", AGENT))
    http = _Http2(reader, writer)
    http.request([(":method", "POST"), *_about(asked, HEALTH), *more], bytes([0, *len(message).to_bytes(4)]) + message)
    status = await http.status()
    await http.end()
    code = http.headers.get("grpc-status", "none")
    if status not in WELL:
        return f"answered {status}"
    if code != "0":
        return f"answered with gRPC status {code}"
    return "" if http.body[FRAME:] == SERVING else "is not serving"


def _about(asked: Asked, path: str) -> Headers:
    return (":scheme", "https" if asked.tls else "http"), (":path", path), (":authority", asked.host)


class _Http2:
    """A connection with one request. `headers` has the trailers, too."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.headers: dict[str, str] = {}
        self.body = b""
        self._reader = reader
        self._writer = writer
        self._ended = False
        self._protocol = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))

    def request(self, headers: Headers, body: bytes = b"") -> None:
        self._protocol.initiate_connection()
        stream = self._protocol.get_next_available_stream_id()
        self._protocol.send_headers(stream, list(headers), end_stream=not body)
        if body:
            self._protocol.send_data(stream, body, end_stream=True)
        self._writer.write(self._protocol.data_to_send())

    async def status(self) -> int:
        while ":status" not in self.headers:
            await self._hear()
        return int(self.headers[":status"])

    async def end(self) -> None:
        while not self._ended:
            await self._hear()

    async def _hear(self) -> None:
        data = await self._reader.read(CHUNK)
        if not data:
            raise EOFError("the connection was closed")
        for event in self._protocol.receive_data(data):
            self._take(event)
        self._writer.write(self._protocol.data_to_send())

    def _take(self, event: Event) -> None:
        match event:
            case ResponseReceived() | TrailersReceived():
                self.headers.update((str(name), str(value)) for name, value in event.headers)
            case DataReceived():
                self.body += event.data
            case StreamEnded():
                self._ended = True
            case StreamReset() | ConnectionTerminated():
                raise _NoAnswer(f"it ended with HTTP/2 error {event.error_code}")
            case _:
                pass


def tls_context(trusted: Secret | None, shown: Secret | None, *, http2: bool) -> ssl.SSLContext:
    """What an instance must prove, and what is shown to it. Nobody `trusted`: whom this machine trusts."""
    context = ssl.create_default_context(cadata=trusted.authorities if trusted is not None else None)
    if http2:
        context.set_alpn_protocols(["h2"])
    if shown is not None:
        _show(context, shown)
    return context


def _show(context: ssl.SSLContext, shown: Secret) -> None:
    """OpenSSL reads a file. This one is in no folder, and gone with its descriptor."""
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:
        file.write(f"{shown.certificate}\n{shown.private_key}\n".encode())
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
