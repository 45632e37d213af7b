"""A caller, and two instances of one build that it calls; sidecars and applications come and go as a test wants."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from typing_extensions import override

from e2e.support import records
from e2e.support.envoy import Envoy, EnvoyVersion, RunEnvoy
from e2e.support.mesh import APP, Place, bootstrap
from e2e.support.processes import free_ports
from e2e.support.records import Folder
from e2e.support.server import Mode, Server

RETRIES = {
    "retries": {
        "attempts": 2,
        "on": ["connect-failure", "reset", "gateway-error"],
        "budget": {"percent": 100, "minConcurrency": 20},
    }
}
"""A sidecar whose application does not listen answers 503, which is a `gateway-error`. With one of two instances gone,
half of all requests are tried again: more than the usual budget allows.
"""


class Answering(BaseHTTPRequestHandler):
    """Keeps no connections, so that none outlives it; `/hold` waits until it is let go."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Application)
        if self.path == "/hold":
            self.server.held.set()
            self.server.let_go.wait(30)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """It has nothing to say."""


class Application(ThreadingHTTPServer):
    """An instance that listens until its `with` block ends."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, place: Place) -> None:
        super().__init__(("127.0.0.1", place.application), Answering)
        self.held, self.let_go = Event(), Event()


@contextmanager
def application(place: Place) -> Iterator[Application]:
    with Application(place) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


@dataclass(slots=True)
class Pair:
    """`ui` calls `api`, of which there are two instances, `first` and `second`. Only the server runs.

    In `order-v1` calls are tried again, in `order-v2` they are not.
    """

    mode: Mode
    version: EnvoyVersion
    directory: Path
    folder: Folder
    server: Server
    ui: Place
    first: Place
    second: Place

    @contextmanager
    def sidecar(self, place: Place, *, run: bool = False) -> Iterator[Envoy]:
        """Running, and ready. `run`: by `xds-server run`."""
        with self.starting(place, run=run) as envoy:
            envoy.wait_ready()
            yield envoy

    @contextmanager
    def starting(self, place: Place, *, run: bool = False) -> Iterator[Envoy]:
        said = bootstrap(self.server, self.mode, place)
        said["node"]["id"] = f"{place.build}/{place.admin}"
        with (RunEnvoy if run else Envoy)(self.version, said, self.directory) as envoy:
            yield envoy

    def place(self, *instances: Place) -> None:
        """The records say that `api` is there, and nowhere else."""
        self.folder.write("api.yaml", _placed(*instances))

    @contextmanager
    def instance(self, place: Place) -> Iterator[Envoy]:
        """A sidecar with its application."""
        with application(place), self.sidecar(place) as envoy:
            yield envoy


@contextmanager
def pair_of(mode: Mode, version: EnvoyVersion, directory: Path) -> Iterator[Pair]:
    folder = Folder(directory / "records")
    folder.root.mkdir()
    ports = iter(free_ports(12))
    places = [Place(build, *(next(ports) for _ in range(4))) for build in ("ui@u1", "api@a1", "api@a1")]
    ui, first, second = places
    folder.write("ui.yaml", _placed(ui))
    folder.write("api.yaml", _placed(first, second))
    for number, policy in {"v1": RETRIES, "v2": {}}.items():
        components: dict[str, Any] = {
            "ui": {"build": "u1", "routes": [{"pathPrefix": "/"}]},
            "api": {"build": "a1", "policy": policy},
        }
        folder.write(f"{number}.yaml", records.deployment(APP, number, components))
    with ExitStack() as stack:
        server = stack.enter_context(Server(folder.root, directory))
        yield Pair(mode, version, directory, folder, server, ui, first, second)


def _placed(*places: Place) -> records.Document:
    build = records.Build(APP, places[0].component, places[0].hash)
    return build.record([f"127.0.0.1:{each.inbound}" for each in places])
