"""A wire between a proxy and its server, on which either direction can be held up."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Direction:
    """Bytes go on after `delay` seconds, and not while it is `held`."""

    def __init__(self) -> None:
        self.delay = 0.0
        self._open = threading.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def go_on(self) -> None:
        self._open.set()

    def pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(self.delay)
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Relay:
    """Listens on a port of its own. `requests` go to the server, `responses` come from it."""

    def __init__(self, server_port: int) -> None:
        self.requests = Direction()
        self.responses = Direction()
        self._server_port = server_port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._server_port))
                except ConnectionRefusedError:  # the server may come back
                    client.close()
                    continue
                self._ends += [client, server]
                for direction, *ends in ((self.requests, client, server), (self.responses, server, client)):
                    threading.Thread(target=direction.pass_on, args=ends, daemon=True).start()

    def close(self) -> None:
        for direction in (self.requests, self.responses):
            direction.go_on()
        for end in (self._listener, *self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@contextmanager
def relay(server_port: int) -> Iterator[Relay]:
    """A relay to this port of loopback."""
    made = Relay(server_port)
    serving = threading.Thread(target=made.serve, daemon=True)
    serving.start()
    try:
        yield made
    finally:
        made.close()
        serving.join()
