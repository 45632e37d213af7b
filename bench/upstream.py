"""A process that answers every request with 200, on every address of this machine. Its port is the argument.

With `PORT PART SEED` this part of its answers, drawn by chance, are 503.
"""

import asyncio
import random
import sys

from typing_extensions import override

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
FAILURE = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 2\r\n\r\nno"
MANY = 4096
"""Connections that may wait to be accepted: as many as an Envoy opens when this process had no turn for a while."""


class Answering(asyncio.Protocol):
    """One connection of HTTP/1 with requests that have no body."""

    def __init__(self, part: float, chance: random.Random) -> None:
        self._part = part
        self._chance = chance

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._unread = b""

    @override
    def data_received(self, data: bytes) -> None:
        *heads, self._unread = (self._unread + data).split(b"\r\n\r\n")
        self._transport.write(b"".join(self._answer() for _ in heads))

    def _answer(self) -> bytes:
        return FAILURE if self._part and self._chance.random() < self._part else ANSWER


async def main(port: int, part: float = 0.0, seed: float = 0.0) -> None:
    chance = random.Random(seed)
    server = await asyncio.get_running_loop().create_server(
        lambda: Answering(part, chance), "0.0.0.0", port, backlog=MANY
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
