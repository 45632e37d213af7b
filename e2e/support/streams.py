"""Requests that stay open, from the client's side, in four kinds."""

import queue
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import grpc
import h2.config
import h2.connection
import h2.events
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from e2e.support.client import Headers
from e2e.support.wire import HEAD_END, Reader, connected

WITHIN = 10.0


class Stream(Protocol):
    """One open request. `exchange` says which application answers now; `end` waits until the stream was ended."""

    def exchange(self) -> str: ...

    def end(self, within: float = WITHIN) -> str: ...

    def close(self) -> None: ...


class WebSocket:
    """A WebSocket over HTTP/1."""

    def __init__(self, port: int, host: str, path: str = "/ws", headers: Headers = ()) -> None:
        self._count = 0
        self._stack = ExitStack()
        opening = connect(
            f"ws://{host}{path}", sock=connected(port), additional_headers=list(headers), proxy=None, compression=None
        )
        self._socket: ClientConnection = self._stack.enter_context(opening)

    def exchange(self) -> str:
        self._count += 1
        self._socket.send(str(self._count))
        name, _, number = str(self._socket.recv(WITHIN)).partition(" ")
        assert number == str(self._count)
        return name

    def end(self, within: float = WITHIN) -> str:
        try:
            self._socket.recv(within)
        except ConnectionClosed as closed:
            return "closed" if closed.rcvd is None else str(closed.rcvd)
        raise AssertionError("the stream goes on")

    def close(self) -> None:
        self._stack.close()


class Events:
    """Server-sent events over HTTP/1."""

    def __init__(self, port: int, host: str) -> None:
        self._connection = connected(port, WITHIN)
        self._connection.sendall(f"GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        self._stream = Reader(self._connection)
        head = self._stream.until(HEAD_END)
        assert head.startswith(b"HTTP/1.1 200"), head
        self._body = self._stream.body(head)

    def exchange(self) -> str:
        """From an event that was sent after this was asked."""
        asked = time.monotonic()
        for event in self._body:
            _, name, sent = event.split()[-3:]  # the last, where several came at once
            if float(sent) > asked:
                return name.decode()
        raise AssertionError("the events have ended in order")

    def end(self, within: float = WITHIN) -> str:
        self._connection.settimeout(within)
        deadline = time.monotonic() + within
        with suppress(EOFError, ConnectionError):
            for _ in self._body:
                assert time.monotonic() < deadline, "the stream goes on"
            return "in order"
        return "closed"

    def close(self) -> None:
        self._connection.close()


@dataclass(slots=True)
class _Got:
    """What came on a stream."""

    headers: dict[str, str] | None = None
    data: bytes = b""
    ended: str = ""


class Http2:
    """A connection of HTTP/2 with an open POST, and other requests beside it."""

    def __init__(self, port: int, host: str, path: str = "/stream") -> None:
        self._host, self._count = host, 0
        self._socket = connected(port, WITHIN)
        settings = h2.config.H2Configuration(header_encoding="latin-1")
        self._h2 = h2.connection.H2Connection(settings)
        self._h2.initiate_connection()
        self._got: dict[int, _Got] = {}
        self.goaway = False
        self._stream = self._begin("POST", path, end=False)
        self._until(lambda: self._got[self._stream].headers is not None)

    def exchange(self) -> str:
        self._count += 1
        got = self._got[self._stream]
        self._h2.send_data(self._stream, f"{self._count};".encode())
        self._until(lambda: got.data.endswith(b";") or got.ended)
        assert not got.ended, got.ended
        name, _, number = got.data.decode().partition(" ")
        assert number == f"{self._count};"
        got.data = b""
        return name

    def get(self, path: str = "/") -> dict[str, str]:
        """The headers of the answer to one more request on this connection."""
        stream = self._begin("GET", path, end=True)
        got = self._got[stream]
        self._until(lambda: got.ended)
        assert got.ended == "in order", got.ended
        return got.headers or {}

    def end(self, within: float = WITHIN) -> str:
        self._socket.settimeout(within)
        got = self._got[self._stream]
        self._until(lambda: got.ended)
        return got.ended

    def wait_goaway(self) -> None:
        self._until(lambda: self.goaway)

    def close(self) -> None:
        self._socket.close()

    def _begin(self, method: str, path: str, *, end: bool) -> int:
        stream = self._h2.get_next_available_stream_id()
        pseudo = [(":method", method), (":scheme", "http"), (":authority", self._host), (":path", path)]
        self._h2.send_headers(stream, pseudo, end_stream=end)
        self._got[stream] = _Got()
        return stream

    def _until(self, done: "Done") -> None:
        while True:
            with suppress(ConnectionError):
                self._socket.sendall(self._h2.data_to_send())
            if done():
                return
            try:
                said = self._socket.recv(1 << 16)
            except ConnectionError:
                said = b""
            for each in self._h2.receive_data(said) if said else ():
                self._receive(each)
            if not said:
                for got in self._got.values():
                    got.ended = got.ended or "closed"

    def _receive(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                self._got[stream].headers = {str(name): str(value) for name, value in headers or ()}
            case h2.events.DataReceived(stream_id=int(stream), data=bytes(data), flow_controlled_length=int(length)):
                self._h2.acknowledge_received_data(length, stream)
                self._got[stream].data += data
            case h2.events.StreamEnded(stream_id=int(stream)):
                self._got[stream].ended = "in order"
            case h2.events.StreamReset(stream_id=int(stream), error_code=code):
                self._got[stream].ended = f"reset {code}"
            case h2.events.ConnectionTerminated():
                self.goaway = True
            case _:
                pass


class Done(Protocol):
    """Is what was waited for there?"""

    def __call__(self) -> object: ...


class Grpc:
    """A bidirectional gRPC stream, and unary calls beside it on the same connection."""

    def __init__(self, port: int, host: str) -> None:
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{port}", [("grpc.default_authority", host), ("grpc.use_local_subchannel_pool", 1)]
        )
        self._messages: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._count = 0
        both: grpc.StreamStreamMultiCallable[bytes, bytes] = self.channel.stream_stream("/echo.Echo/Both")
        self._call = both(iter(self._messages.get, None))
        self.exchange()

    def exchange(self) -> str:
        self._count += 1
        self._messages.put(str(self._count).encode())
        name, _, number = next(iter(self._call)).decode().partition(" ")
        assert number == str(self._count)
        return name

    def unary(self) -> str:
        """Who answers one more call."""
        return self.unaries(1)[0]

    def unaries(self, count: int) -> list[str]:
        """Who answers so many more calls that are made at once."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary("/echo.Echo/Unary")
        made = [call.future(b"", timeout=WITHIN) for _ in range(count)]
        return [_name(each.initial_metadata()) for each in made if each.result() == b""]

    def end(self, within: float = WITHIN) -> str:
        return _ended(self._call, within)

    def close(self) -> None:
        self._messages.put(None)
        self._call.cancel()
        self.channel.close()


def _name(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    return str(dict(metadata)["x-name"])


class Watch:
    """A gRPC call that is answered by a stream without an end, as `Events` is."""

    def __init__(self, port: int, host: str) -> None:
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.default_authority", host)])
        watch: grpc.UnaryStreamMultiCallable[bytes, bytes] = self._channel.unary_stream("/echo.Echo/Watch")
        self._call = watch(b"")

    def exchange(self) -> str:
        asked = time.monotonic()
        for event in self._call:
            name, sent = event.decode().split()
            if float(sent) > asked:
                return name
        raise AssertionError("the stream has ended in order")

    def end(self, within: float = WITHIN) -> str:
        return _ended(self._call, within)

    def close(self) -> None:
        self._call.cancel()
        self._channel.close()


def _ended(call: Any, within: float) -> str:
    """`CANCELLED`: it went on, and is given up."""
    patience = threading.Timer(within, call.cancel)
    patience.start()
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return str(error.code().name)
    finally:
        patience.cancel()
    return "in order"
