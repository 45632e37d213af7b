"""A caller, and two instances of one build that it calls; sidecars and applications come and go as a test wants."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

from typing_extensions import override

from e2e.support import records
from e2e.support.client import Client, Reply, echo
from e2e.support.envoy import Envoy, EnvoyVersion, RunEnvoy
from e2e.support.mesh import APP, Place, bootstrap
from e2e.support.processes import free_ports
from e2e.support.records import Folder, Json
from e2e.support.relay import Relay
from e2e.support.server import Mode, Server
from e2e.support.upstream import Upstreams

RETRIES = {
    "retries": {
        "attempts": 2,
        "on": ["connect-failure", "reset", "gateway-error"],
        "budget": {"percent": 100, "minConcurrency": 20},
    }
}
"""With one of two instances gone, half of all requests are tried again: more than the usual budget allows."""
POLICIES: dict[str, Json] = {"v1": RETRIES, "v2": {}}


class Answering(BaseHTTPRequestHandler):
    """Keeps no connections, so that none outlives it; `/hold` waits until it is let go, `/many` has many headers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        assert isinstance(self.server, Application)
        if self.path == "/hold":
            self.server.held.set()
            self.server.let_go.wait(30)
        self.send_response(200)
        self.send_header("content-length", "2")
        self.send_header("connection", "close")
        for number in range(101 if self.path == "/many" else 0):
            self.send_header(f"x-{number}", "a")
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
    def starting(self, place: Place, *, run: bool = False, by: Relay | None = None) -> Iterator[Envoy]:
        """`by`: what is between it and the server."""
        said = bootstrap(self.server, self.mode, place)
        if by is not None:
            there, here = (f'"port_value": {port}' for port in (self.server.xds, by.port))
            said = json.loads(json.dumps(said).replace(there, here))
        said["node"]["id"] = f"{place.build}/{place.admin}"
        with (RunEnvoy if run else Envoy)(self.version, said, self.directory) as envoy:
            yield envoy

    def deploy(self, version: str, policy: Json) -> None:
        """`policy`: how calls of `api` are carried."""
        components: dict[str, Any] = {
            "ui": {"build": "u1", "routes": [{"pathPrefix": "/"}]},
            "api": {"build": "a1", "policy": policy},
        }
        self.folder.write(f"{version}.yaml", records.deployment(APP, version, components))

    def place(self, *instances: Place, drains: Place | None = None, reserve: Place | None = None, **build: Any) -> None:
        """The records say that `api` is there, and nowhere else; one of them may drain, or be a reserve."""
        more: dict[Place | None, Json] = {drains: {"draining": True}, reserve: {"priority": 1}}
        addresses = [{"address": f"127.0.0.1:{each.inbound}", **more.get(each, {})} for each in instances]
        self.folder.write("api.yaml", records.Build(APP, "api", "a1").record(addresses, **build))

    @contextmanager
    def instance(self, place: Place) -> Iterator[Envoy]:
        """A sidecar with its application."""
        with application(place), self.sidecar(place) as envoy:
            yield envoy


@contextmanager
def pair_of(
    mode: Mode, version: EnvoyVersion, directory: Path, policies: Mapping[str, Json] = POLICIES
) -> Iterator[Pair]:
    """`policies`: how calls of `api` are carried, for each version."""
    folder = Folder(directory / "records")
    folder.root.mkdir()
    ports = iter(free_ports(12))
    places = [Place(build, *(next(ports) for _ in range(4))) for build in ("ui@u1", "api@a1", "api@a1")]
    ui, first, second = places
    folder.write("ui.yaml", records.Build(APP, "ui", "u1").record([f"127.0.0.1:{ui.inbound}"]))
    with Server(folder.root, directory) as server:
        ready = Pair(mode, version, directory, folder, server, ui, first, second)
        ready.place(first, second)
        for number, policy in policies.items():
            ready.deploy(number, policy)
        yield ready


@dataclass(slots=True)
class Told:
    """A `Pair` that runs, with applications that do as they are told (`behaviours.py`), called `first` and `second`."""

    pair: Pair
    upstreams: Upstreams
    ui: Envoy
    places: Mapping[str, Place]
    stack: ExitStack
    sidecars: dict[str, Envoy] = field(default_factory=dict)

    def call(self, version: str, *headers: tuple[str, str], method: str = "GET") -> Reply:
        """`ui` calls `api`, over a connection of its own."""
        with Client(self.pair.ui.outbound, 30) as client:
            return client.get("api", "/", [context(version), *headers], method)

    def who(self, version: str, method: str = "GET") -> str:
        """Which instance answers."""
        reply = self.call(version, method=method)
        assert reply.status == 200, reply
        return echo(reply.body).instance

    def crowd(self, version: str, method: str = "GET", count: int = 20) -> list[str]:
        """Who answers each of so many calls, one after the other."""
        return [self.who(version, method) for _ in range(count)]

    def tell(self, act: str, *names: str) -> None:
        for name in names or self.places:
            self.upstreams.tell(name, act)

    def seen(self) -> dict[str, int]:
        """How many requests each instance has seen."""
        return {name: len(self.upstreams.seen(name)) for name in self.places}

    def stat(self, version: str, name: str) -> int:
        """A number of the cluster by which `ui` calls `api`."""
        return self.ui.stat(f"cluster.order-{version}/api.{name}")

    def place(self, *names: str, drains: str | None = None, reserve: str | None = None) -> None:
        """`api` is there and nowhere else, and `ui` has heard of it."""
        drained, second = (self.places[each] if each else None for each in (drains, reserve))
        self.pair.place(*(self.places[each] for each in names), drains=drained, reserve=second)
        where = {f"127.0.0.1:{self.places[each].inbound}" for each in names if each != drains}
        self.ui.wait_endpoints("order/api@a1", where)

    def start(self, name: str) -> None:
        self.sidecars[name] = self.stack.enter_context(self.pair.sidecar(self.places[name]))

    @contextmanager
    def killing(self, *names: str) -> Iterator[None]:
        """These are killed, as nobody can reach an instance without its sidecar; afterwards they are there again."""
        for each in names:
            self.sidecars[each].child.kill()
        try:
            yield
        finally:
            for each in names:
                self.start(each)

    @contextmanager
    def silent(self, name: str) -> Iterator[None]:
        """Its sidecar is there, and its application does not listen."""
        (nobody,) = free_ports(1)
        with self.killing(name), self.pair.sidecar(replace(self.places[name], application=nobody)):
            yield


def context(version: str) -> tuple[str, str]:
    return "x-deployment", f"{APP}-{version}"


@contextmanager
def told(mode: Mode, version: EnvoyVersion, directory: Path, policies: Mapping[str, Json]) -> Iterator[Told]:
    with ExitStack() as stack:
        pair = stack.enter_context(pair_of(mode, version, directory, policies))
        upstreams = stack.enter_context(Upstreams(directory))
        places = {
            name: replace(place, application=int(upstreams.start(name).rpartition(":")[2]))
            for name, place in {"first": pair.first, "second": pair.second}.items()
        }
        ready = Told(pair, upstreams, stack.enter_context(pair.sidecar(pair.ui)), places, stack)
        for name in places:
            ready.start(name)
        yield ready
