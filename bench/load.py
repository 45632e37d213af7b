"""Requests over kept connections: on each, the next is sent when the one before is answered."""

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from time import perf_counter

END = b"\r\n\r\nok"
"""Of every answer of `bench.upstream`, whoever has carried it."""
PATIENCE = 10.0


class Connections:
    """Some to one address, kept between blocks of requests. One that is closed, or another answer, ends it all."""

    def __init__(self, kept: list[socket.socket]) -> None:
        self._kept = kept

    def ask(self, request: bytes, count: int) -> list[float]:
        """Seconds of each of so many requests, which all connections share."""
        times: list[float] = []
        began: dict[int, float] = {}
        by_number = {each.fileno(): each for each in self._kept}
        unsent = count
        with select.epoll() as poll:
            for number, each in list(by_number.items())[:count]:
                poll.register(number, select.EPOLLIN)
                began[number] = perf_counter()
                each.sendall(request)
                unsent -= 1
            while len(times) < count:
                for number, _ in poll.poll(PATIENCE) or _nobody(count - len(times)):
                    _take(by_number[number])
                    now = perf_counter()
                    times.append(now - began[number])
                    if unsent:
                        unsent -= 1
                        began[number] = perf_counter()
                        by_number[number].sendall(request)
        return times


@contextmanager
def connections(port: int, count: int) -> Iterator[Connections]:
    with ExitStack() as stack:
        kept = [stack.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE)) for _ in range(count)]
        for each in kept:
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Connections(kept)


def _take(one: socket.socket) -> None:
    """An answer that has begun to come."""
    said = one.recv(1 << 16)
    while not said.endswith(END):
        more = one.recv(1 << 16)
        assert more, f"closed after {said!r}"
        said += more
    assert said.startswith(b"HTTP/1.1 200 "), said


def _nobody(open_: int) -> list[tuple[int, int]]:
    raise TimeoutError(f"{open_} requests are not answered in {PATIENCE:g} s")
