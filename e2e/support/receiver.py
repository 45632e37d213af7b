"""Who is told by webhook: a real HTTP server that remembers what came, and answers when and what it is told to."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from typing_extensions import override

from e2e.support.processes import free_ports, wait_until
from xds_server.notifications.signing import keys_in, signed

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Message(NamedTuple):
    """One request."""

    id: str
    body: bytes
    is_ours: bool

    @property
    def said(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> Any:
        return self.said["data"]


class Receiver:
    """It listens from `start` to `stop`, again and again, at one address. `status`: what it answers to a message.

    While `free` is not set it answers nobody.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        [self.port] = free_ports(1)
        self.messages: list[Message] = []
        self.status: Callable[[Message], int] = lambda _message: 204
        self.free = threading.Event()
        self.free.set()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                if receiver._server is not self.server:
                    self.close_connection = True  # of one that has been stopped
                    return
                body = self.rfile.read(int(self.headers["content-length"]))
                name, at = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
                wanted = signed(keys_in(SECRET), name, at, body)["webhook-signature"]
                message = Message(name, body, wanted == self.headers["webhook-signature"])
                receiver.messages.append(message)
                receiver.free.wait()
                self.send_response(receiver.status(message))
                self.send_header("content-length", "0")
                self.end_headers()

            @override
            def log_message(self, *_: object) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            @override
            def handle_error(self, *_: object) -> None:
                """A client that was killed is no error of ours."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def of(self, release: str) -> list[Message]:
        return [each for each in self.messages if each.said.get("subject") == release]

    def wait_of(self, release: str, *kinds: str) -> list[Message]:
        """The messages about a release, once these have come in this order, some of them perhaps twice."""
        wait_until(lambda: once(self.of(release)) == [*kinds], f"{self.name} has heard of {release}: {kinds}")
        return self.of(release)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.free.set()
        self.stop()


def once(messages: list[Message]) -> list[str]:
    """The kinds of what came, each id once: it may come again, but nothing in front of what came before it."""
    found = dict.fromkeys((each.id, each.data["kind"]) for each in messages)
    return [kind for _, kind in found]


def webhooks(folder: Path, *receivers: Receiver) -> Path:
    """A file for `--webhooks` that names them."""
    (folder / "webhooks.secret").write_text(SECRET)
    named = [
        {"name": each.name, "url": f"http://127.0.0.1:{each.port}/", "secret": "webhooks.secret"} for each in receivers
    ]
    file = folder / "webhooks.yaml"
    file.write_text(yaml.safe_dump({"source": "xds-server://e2e", "webhooks": named}))
    return file
