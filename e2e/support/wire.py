"""Bytes on sockets: a client that sends anything, and an application that keeps what it got, byte for byte."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

HEAD_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
KEPT = 1 << 20
"""Bytes of a body that are kept; of the others it is counted how many there are."""


@dataclass(frozen=True, slots=True)
class Got:
    """One request as the application got it."""

    head: bytes
    body: bytes
    size: int

    @property
    def line(self) -> str:
        return self.head.partition(b"\r\n")[0].decode("latin-1")

    def all(self, name: str) -> list[str]:
        lines = (line.partition(b":") for line in self.head.split(b"\r\n")[1:])
        return [value.strip().decode("latin-1") for key, _, value in lines if key.lower() == name.encode()]


@dataclass(slots=True)
class Application:
    """Listens on loopback, answers 200 to everything, and keeps what it got: naive on purpose."""

    got: list[Got] = field(default_factory=list)
    _listener: socket.socket = field(default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128))

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def taken(self) -> list[Got]:
        """What came since the last time."""
        got, self.got = self.got, []
        return got

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError, EOFError), connection:
            stream = Reader(connection)
            while True:
                head = stream.until(HEAD_END)
                body, size = b"", 0
                for piece in stream.body(head):
                    size += len(piece)
                    body += piece if len(body) < KEPT else b""
                self.got.append(Got(head, body, size))
                connection.sendall(ANSWER)


@dataclass(slots=True)
class Reader:
    """A request's head and body from a connection. `EOFError`: it has ended."""

    connection: socket.socket
    left: bytes = b""

    def until(self, end: bytes) -> bytes:
        while end not in self.left:
            self._more()
        found, _, self.left = self.left.partition(end)
        return found + end

    def body(self, head: bytes) -> Iterator[bytes]:
        if CHUNKED.search(head):
            while size := int(self.until(b"\r\n"), 16):
                yield from self._pieces(size)
                self.until(b"\r\n")
            self.until(b"\r\n")
        elif length := LENGTH.search(head):
            yield from self._pieces(int(length[1]))

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            if not self.left:
                self._more()
            piece, self.left = self.left[:size], self.left[size:]
            size -= len(piece)
            yield piece

    def _more(self) -> None:
        said = self.connection.recv(1 << 16)
        if not said:
            raise EOFError
        self.left += said


def connected(port: int, within: float = 20.0, room: int | None = None) -> socket.socket:
    """`room`: so many bytes the kernel keeps for who does not read; absent: as many as it likes, some MiB."""
    connection = socket.socket()
    connection.settimeout(within)
    if room is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    connection.connect(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def answer_to(port: int, said: bytes) -> bytes:
    """The first answer, whole; without a length, what comes until the other side closes."""
    with connected(port) as connection:
        with suppress(ConnectionError):
            connection.sendall(said)
        return read_answer(connection)


def read_answer(connection: socket.socket) -> bytes:
    stream = Reader(connection)
    with suppress(ConnectionError, EOFError):
        head = stream.until(HEAD_END)
        return head + b"".join(stream.body(head))
    return stream.left


def status_of(answer: bytes) -> int:
    """0: closed without a word."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0
