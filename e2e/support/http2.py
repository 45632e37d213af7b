"""HTTP/2 frame by frame: what no library would send."""

import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

import hpack

from e2e.support.wire import connected

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RESET, SETTINGS, PING, GOAWAY, WINDOW, CONTINUATION = 0, 1, 2, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1
ERRORS: Final = ("NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT")
ENHANCE_YOUR_CALM = 11
HEAD = 9


class Frame(NamedTuple):
    """One frame that came."""

    kind: int
    flags: int
    stream: int
    body: bytes


def frame(kind: int, flags: int = 0, stream: int = 0, body: bytes = b"") -> bytes:
    return struct.pack(">I", len(body))[1:] + struct.pack(">BBI", kind, flags, stream) + body


def headers(stream: int, host: str, *more: tuple[str, str], flags: int = END_STREAM | END_HEADERS) -> bytes:
    """A whole request without a body, which no table remembers."""
    said = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", host), *more]
    block = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(*each) for each in said])
    return frame(HEADERS, flags, stream, block)


def stream_ids() -> Iterator[int]:
    return iter(range(1, 1 << 31, 2))


def opened(port: int, room: int | None = None) -> socket.socket:
    connection = connected(port, room=room)
    connection.sendall(PREFACE + frame(SETTINGS))
    return connection


def told(connection: socket.socket, sayings: Sequence[bytes] | Iterator[bytes]) -> int:
    """Send one after another until the other side has closed; how many were sent."""
    count = 0
    with suppress(ConnectionError):
        for each in sayings:
            connection.sendall(each)
            count += 1
    return count


def frames(connection: socket.socket) -> Iterator[Frame]:
    """All that comes until the other side closes."""
    left = b""
    with suppress(ConnectionError):
        while said := connection.recv(1 << 16):
            left += said
            while len(left) >= HEAD and len(left) >= HEAD + (size := int.from_bytes(left[:3], "big")):
                kind, flags, stream = struct.unpack(">BBI", left[3:HEAD])
                yield Frame(kind, flags, stream, left[HEAD : HEAD + size])
                left = left[HEAD + size :]
