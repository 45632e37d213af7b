"""Users of a host, who ask at a steady rate over a few kept connections; and who answered how.

Where all of them wait for an answer, what is due is asked as soon as one has come, and the rate is caught up with.
An answer of `bench.upstream` is the application's own, whether it is good or bad. Every other one, and none, is lost.
"""

import asyncio
from collections import Counter
from itertools import count

from typing_extensions import override

from bench.upstream import ANSWER, FAILURE

END = b"\r\n\r\n"
GOOD, BAD = (each.rpartition(END)[2] for each in (ANSWER, FAILURE))
SERVED = b"\r\nx-served-deployment: "
LENGTH = b"\r\ncontent-length: "
PATIENCE = 10.0
CONNECTIONS = 20


class Users:
    """`rate`: requests a second. `answered`, `failed`: by the deployment that the gateway names. `lost`: what came in
    place of an answer.
    """

    def __init__(self, port: int, host: str, rate: float) -> None:
        self.asked = 0
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.lost: list[str] = []
        self.idle: list[Connection] = []
        self.request = f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode()
        self._port = port
        self._rate = rate
        self._due = 0
        self._seconds = 0.0

    @property
    def per_second(self) -> float:
        """How often they have asked."""
        return self.asked / self._seconds

    async def ask(self, stop: asyncio.Event) -> None:
        """Until that is set; then wait for the answers that are due."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", self._port)
        began = loop.time()
        for number in count():
            try:
                async with asyncio.timeout_at(began + number / self._rate):
                    await stop.wait()
                break
            except TimeoutError:
                self._due += 1
                self._go_on()
        self._seconds = loop.time() - began
        self._due = 0
        deadline = loop.time() + PATIENCE
        while self._open and loop.time() < deadline:
            await asyncio.sleep(0.01)
        self.lost += ["no answer"] * self._open
        for each in self.idle:
            each.close()

    def free(self, connection: "Connection") -> None:
        """It can take another request."""
        self.idle.append(connection)
        self._go_on()

    def hear(self, head: bytes, body: bytes) -> None:
        """An answer has come."""
        deployment = _after(head, SERVED)
        if not deployment or body not in (GOOD, BAD):
            self.lost.append(f"{head!r} {body!r}")
            return
        self.answered[deployment] += 1
        self.failed[deployment] += body == BAD

    def _go_on(self) -> None:
        while self._due and self.idle:
            self._due -= 1
            self.asked += 1
            self.idle.pop().ask()

    @property
    def _open(self) -> int:
        return self.asked - self.answered.total() - len(self.lost)


class Connection(asyncio.Protocol):
    """One request at a time; idle after it."""

    def __init__(self, users: Users) -> None:
        self._users = users
        self._said = b""
        self._asking = False

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._users.free(self)

    def ask(self) -> None:
        self._said, self._asking = b"", True
        self._transport.write(self._users.request)

    def close(self) -> None:
        self._transport.close()

    @override
    def data_received(self, data: bytes) -> None:
        self._said += data
        head, complete, body = self._said.partition(END)
        if complete and len(body) >= int(_after(head, LENGTH) or 0):
            self._asking = False
            self._users.hear(head, body)
            self._users.free(self)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self in self._users.idle:
            self._users.idle.remove(self)
        if self._asking:
            self._users.lost.append(f"connection lost: {exc}")


def _after(head: bytes, name: bytes) -> str:
    """What a header says; empty if it is not there."""
    return head.partition(name)[2].partition(b"\r\n")[0].decode()
