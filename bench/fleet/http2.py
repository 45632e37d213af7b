"""One gRPC stream over an HTTP/2 connection of its own: as little of both as a client of one server needs.

grpcio takes 50 to 80 µs a message and threads of its own; a thousand of these share one event loop and two cores with
the server that they measure. What the server says in headers is not read: only whether the stream has ended.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import cast

from typing_extensions import override

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 1
END_HEADERS = 4
INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 4, 5
WINDOW, LARGEST = 65_535, (1 << 31) - 1
FRAME = 16_384
STREAM = 1
REPLENISH = 1 << 29
"""So many bytes are received before the server is given more room."""


class Connection(asyncio.Protocol):
    """A call of `path` that stays open. `heard` gets each message, `lost` is told once that the stream has ended."""

    def __init__(self, path: str, heard: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._path = path
        self._heard = heard
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._message = bytearray()
        self._unsaid: deque[bytes] = deque()
        self._room = {0: WINDOW, STREAM: WINDOW}
        self._initial = WINDOW
        self._taken = 0
        self.bytes = 0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        settings = _setting(INITIAL_WINDOW_SIZE, LARGEST) + _setting(MAX_FRAME_SIZE, 1 << 20)
        self._transport.write(
            PREFACE
            + _frame(SETTINGS, 0, 0, settings)
            + _frame(WINDOW_UPDATE, 0, 0, (LARGEST - WINDOW).to_bytes(4))
            + _frame(HEADERS, END_HEADERS, STREAM, _headers(self._path))
        )

    @override
    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        at = 0
        while len(received) - at >= 9:
            end = at + 9 + int.from_bytes(received[at : at + 3])
            if len(received) < end:
                break
            self._take(
                received[at + 3], received[at + 4], bytes(received[at + 5 : at + 9]), bytes(received[at + 9 : end])
            )
            at = end
        del received[:at]

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._end()

    def send(self, message: bytes) -> None:
        """Say one message, as soon as the server has room for it."""
        self._unsaid.append(b"\0" + len(message).to_bytes(4) + message)
        self._flush()

    def close(self) -> None:
        """Hang up. `lost` is not told."""
        self._lost = _nothing
        self._end()

    def _end(self) -> None:
        lost, self._lost = self._lost, _nothing
        if self._transport is not None:
            self._transport.abort()
        lost()

    def _take(self, kind: int, flags: int, stream: bytes, body: bytes) -> None:
        match kind:
            case 0:  # DATA
                self._take_data(body)
            case 4 if not flags & ACK:  # SETTINGS
                self._take_settings(body)
            case 6 if not flags & ACK:  # PING
                self._write(_frame(PING, ACK, 0, body))
            case 8:  # WINDOW_UPDATE
                self._room[int.from_bytes(stream)] += int.from_bytes(body)
                self._flush()
            case 3 | 7:  # RST_STREAM, GOAWAY
                self._end()
            case _:
                pass
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self._end()

    def _take_data(self, body: bytes) -> None:
        self.bytes += len(body)
        self._taken += len(body)
        if self._taken > REPLENISH:
            more, self._taken = self._taken.to_bytes(4), 0
            self._write(_frame(WINDOW_UPDATE, 0, 0, more) + _frame(WINDOW_UPDATE, 0, STREAM, more))
        message = self._message
        message += body
        while len(message) >= 5 and len(message) >= (end := 5 + int.from_bytes(message[1:5])):
            self._heard(bytes(message[5:end]))
            del message[:end]

    def _take_settings(self, body: bytes) -> None:
        for at in range(0, len(body), 6):
            if int.from_bytes(body[at : at + 2]) == INITIAL_WINDOW_SIZE:
                initial = int.from_bytes(body[at + 2 : at + 6])
                self._room[STREAM] += initial - self._initial
                self._initial = initial
        self._write(_frame(SETTINGS, ACK, 0, b""))
        self._flush()

    def _flush(self) -> None:
        while self._unsaid and (room := min(FRAME, *self._room.values())) > 0:
            said = self._unsaid.popleft()
            if len(said) > room:
                self._unsaid.appendleft(said[room:])
                said = said[:room]
            for stream in self._room:
                self._room[stream] -= len(said)
            self._write(_frame(DATA, 0, STREAM, said))

    def _write(self, frames: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(frames)


def _nothing() -> None:
    """Nobody is told."""


def _frame(kind: int, flags: int, stream: int, body: bytes) -> bytes:
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


def _setting(number: int, value: int) -> bytes:
    return number.to_bytes(2) + value.to_bytes(4)


def _headers(path: str) -> bytes:
    """HPACK without its tables: `:method: POST` and `:scheme: http` by number, the rest as literals."""
    authority = b"\x01" + _text("fleet")
    kind = b"\x0f\x10" + _text("application/grpc")
    trailers = b"\x00" + _text("te") + _text("trailers")
    return b"\x83\x86" + b"\x04" + _text(path) + authority + kind + trailers


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes((len(text),)) + text.encode()
