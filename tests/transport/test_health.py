"""What one instance is asked, and what its answer means."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest
import trustme
from typing_extensions import override

from xds_server.domain.addresses import Address
from xds_server.records.secrets import Secret
from xds_server.transport.health import HEALTH, Asked, ask, tls_context

Speak = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPBACK, NAME = "127.0.0.1", "web.internal"
PATIENT, AT_ONCE = 10.0, 0.01
NEVER = datetime(2100, 1, 1, tzinfo=UTC)
CHECK = Asked("web.shop", "/healthz")


@asynccontextmanager
async def listening(speak: Speak, tls: ssl.SSLContext | None = None) -> AsyncIterator[Address]:
    async def served(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await speak(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(served, LOOPBACK, 0, ssl=tls) as server:
        yield Address(*server.sockets[0].getsockname()[:2])


def http1(status: int, heard: list[bytes] | None = None) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readuntil(b"\r\n\r\n")
        if heard is not None:
            heard.append(asked)
        writer.write(f"HTTP/1.1 {status} as it is\r\nContent-Length: 0\r\n\r\n".encode())
        await writer.drain()

    return speak


def http2(status: int, heard: list[Any] | None = None) -> Speak:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        server.initiate_connection()
        while data := await reader.read(1 << 16):
            for event in server.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    assert event.stream_id is not None
                    if heard is not None:
                        heard.append(dict(event.headers or ()))
                    server.send_headers(event.stream_id, [(":status", str(status))], end_stream=True)
            writer.write(server.data_to_send())

    return speak


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()
    await asyncio.Event().wait()


async def closing(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read(1)


async def babbling(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.test ESMTP\r\n")
    await writer.drain()


@pytest.mark.parametrize(
    ("status", "answer"),
    [pytest.param(200, "", id="well"), (204, ""), (302, "answered 302"), (503, "answered 503")],
)
@pytest.mark.parametrize("http", [http1, http2])
async def test_any_2xx_is_well(http: Callable[[int], Speak], status: int, answer: str) -> None:
    async with listening(http(status)) as where:
        said = await ask(where, Asked("web.shop", "/healthz", http2=http is http2), PATIENT)
    assert said == (f"{where} {answer}" if answer else "")


async def test_it_is_asked_for_the_path_on_its_host() -> None:
    heard: list[bytes] = []
    async with listening(http1(200, heard)) as where:
        await ask(where, CHECK, PATIENT)
    assert heard[0].startswith(b"GET /healthz HTTP/1.1\r\nHost: web.shop\r\nUser-Agent: xds-server\r\n")

    told: list[Any] = []
    async with listening(http2(200, told)) as where:
        await ask(where, Asked("web.shop", "/healthz", http2=True), PATIENT)
    [headers] = told
    assert (headers[":method"], headers[":path"], headers[":authority"]) == ("GET", "/healthz", "web.shop")


@pytest.mark.parametrize(
    ("speak", "over_http2", "words"),
    [
        pytest.param(silent, False, "did not answer in 0.01 s", id="nothing"),
        pytest.param(silent, True, "did not answer in 0.01 s", id="nothing-over-http2"),
        pytest.param(closing, False, "does not answer as it should: that is not HTTP/1.1", id="the-end"),
        pytest.param(closing, True, "does not answer as it should: the connection was closed", id="the-end-over-http2"),
        pytest.param(babbling, False, "does not answer as it should: that is not HTTP/1.1", id="something-else"),
        pytest.param(http1(200), True, "does not answer as it should", id="http1-to-http2"),
    ],
)
async def test_what_is_no_answer_is_said(speak: Speak, over_http2: bool, words: str) -> None:
    async with listening(speak) as where:
        seconds = AT_ONCE if speak is silent else PATIENT
        said = await ask(where, Asked("web.shop", http2=over_http2), seconds)
    assert said.startswith(f"{where} {words}")


async def test_where_nobody_listens_nobody_is_well() -> None:
    async with listening(silent) as where:
        pass
    said = await ask(where, CHECK, PATIENT)
    assert said == f"{where} cannot be asked: Connection refused"


class Health(grpc.GenericRpcHandler):
    """Answers for the services that it knows: `well`, and the server as a whole."""

    @override
    def service(self, details: grpc.HandlerCallDetails) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._check) if details.method == HEALTH else None

    async def _check(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        asked = request[2:].decode()
        if asked == "unknown":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return b"\x08\x01" if asked in ("", "well") else b"\x08\x02"


@pytest.mark.parametrize(
    ("service", "words"),
    [("", ""), ("well", ""), ("ill", "is not serving"), ("unknown", "answered with gRPC status 5")],
)
async def test_grpc_is_asked_by_its_own_protocol(service: str, words: str) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Health(),))
    where = Address(LOOPBACK, server.add_insecure_port(f"{LOOPBACK}:0"))
    await server.start()
    try:
        said = await ask(where, Asked("web.shop", http2=True, service=service), PATIENT)
    finally:
        await server.stop(0)
    assert said == (f"{where} {words}" if words else "")


async def test_a_server_without_the_protocol_is_not_well() -> None:
    async with listening(http2(404)) as where:
        said = await ask(where, Asked("web.shop", http2=True, service=""), PATIENT)
    assert said == f"{where} answered 404"


class Authority:
    """Who signs instances, and who signs us."""

    def __init__(self) -> None:
        self.ca = trustme.CA()

    @property
    def trusted(self) -> Secret:
        return Secret(NEVER, authorities=self.ca.cert_pem.bytes().decode())

    def server(
        self, name: str, *, clients: "Authority | None" = None, protocols: tuple[str, ...] = ()
    ) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.ca.issue_cert(name).configure_cert(context)
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            clients.ca.configure_trust(context)
        if protocols:
            context.set_alpn_protocols(protocols)
        return context

    @property
    def shown(self) -> Secret:
        issued = self.ca.issue_cert("xds.internal")
        chain = "".join(blob.bytes().decode() for blob in issued.cert_chain_pems)
        return Secret(NEVER, chain, issued.private_key_pem.bytes().decode())


def over_tls(trusted: Secret | None, shown: Secret | None = None, *, over_http2: bool = False) -> Asked:
    context = tls_context(trusted, shown, http2=over_http2)
    return Asked(NAME, http2=over_http2, tls=context, server_name=NAME)


async def test_an_instance_proves_who_it_is() -> None:
    ours, others = Authority(), Authority()
    async with listening(http1(200), ours.server(NAME)) as where:
        assert await ask(where, over_tls(ours.trusted), PATIENT) == ""
        assert "TLS fails: " in await ask(where, over_tls(others.trusted), PATIENT)
        assert "TLS fails: " in await ask(where, over_tls(None), PATIENT)
    async with listening(http1(200), ours.server("other.internal")) as where:
        assert "web.internal" in await ask(where, over_tls(ours.trusted), PATIENT)


async def test_a_certificate_is_shown_to_an_instance() -> None:
    instances, servers = Authority(), Authority()
    context = instances.server(NAME, clients=servers, protocols=("h2",))
    async with listening(http2(200), context) as where:
        assert await ask(where, over_tls(instances.trusted, servers.shown, over_http2=True), PATIENT) == ""
        assert await ask(where, over_tls(instances.trusted, over_http2=True), PATIENT) != ""
