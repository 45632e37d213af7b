"""One request over HTTP/3, and the certificate that was shown for it."""

import asyncio
import ssl
from typing import NamedTuple

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import QuicEvent
from cryptography.hazmat.primitives.serialization import Encoding
from typing_extensions import override

from e2e.support.client import TIMEOUT, Reply


class Answered(NamedTuple):
    """What came back, and the certificate in PEM."""

    reply: Reply
    certificate: str


class _Exchange(QuicConnectionProtocol):
    """A connection that waits for one answer."""

    @property
    def certificate(self) -> str:
        shown = self._quic.tls._peer_certificate  # noqa: SLF001 - there is no other way to it
        assert shown is not None
        return shown.public_bytes(Encoding.PEM).decode()

    async def get(self, host: str, path: str) -> Reply:
        self._http = H3Connection(self._quic)
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = b""
        self._answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        asked = {":method": "GET", ":scheme": "https", ":authority": host, ":path": path}
        stream = self._quic.get_next_available_stream_id()
        self._http.send_headers(stream, [(name.encode(), value.encode()) for name, value in asked.items()], True)
        self.transmit()
        return await asyncio.wait_for(self._answer, TIMEOUT)

    @override
    def quic_event_received(self, event: QuicEvent) -> None:
        for each in self._http.handle_event(event) if hasattr(self, "_http") else ():
            if isinstance(each, HeadersReceived):
                self._headers = tuple((name.decode(), value.decode()) for name, value in each.headers)
            if isinstance(each, DataReceived):
                self._body += each.data
            if isinstance(each, DataReceived | HeadersReceived) and each.stream_ended:
                self._answer.set_result(Reply(int(dict(self._headers)[":status"]), self._headers, self._body))


def get(port: int, host: str, path: str = "/") -> Answered:
    async def exchange() -> Answered:
        settings = QuicConfiguration(alpn_protocols=["h3"], verify_mode=ssl.CERT_NONE, server_name=host)
        async with connect("127.0.0.1", port, configuration=settings, create_protocol=_Exchange) as client:
            assert isinstance(client, _Exchange)
            return Answered(await client.get(host, path), client.certificate)

    return asyncio.run(asyncio.wait_for(exchange(), TIMEOUT))
