"""A process that answers every request with 200, on every address of this machine. Its port is the argument."""

import asyncio
import sys

from typing_extensions import override

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Answering(asyncio.Protocol):
    """One connection of HTTP/1 with requests that have no body."""

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._unread = b""

    @override
    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(heads))


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Answering, "0.0.0.0", port)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
