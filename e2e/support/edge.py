"""A gateway and a naive application behind it, for those who want to know what strangers may send."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.support import records
from e2e.support.envoy import EnvoyVersion
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.wire import Application, Got, answer_to, status_of
from e2e.support.world import World
from e2e.support.world import world as new_world

HOST = b"hard.example.com"
ROUTES = {"web": {"build": "a1", "routes": [{"pathPrefix": "/"}]}}


@dataclass(frozen=True, slots=True)
class Edge:
    """A gateway and a naive application behind it."""

    world: World
    application: Application

    def send(self, said: bytes) -> tuple[int, list[Got]]:
        """The status of the answer, and what the application got because of it."""
        self.application.taken()
        answer = answer_to(self.world.port, said)
        return status_of(answer), self.application.taken()

    def passes(self, said: bytes) -> Got:
        status, got = self.send(said)
        assert status == 200
        [one] = got
        return one

    def lives(self) -> None:
        """Somebody else is still answered, over a new connection."""
        assert self.send(request())[0] == 200


@contextmanager
def running_edge(mode: Mode, version: EnvoyVersion, directory: Path) -> Iterator[Edge]:
    with new_world(mode, version, directory) as world, Application() as application:
        build = records.Build("hard", "web", "a1").record([application.address])
        deployment = records.deployment("hard", "v1", ROUTES)
        world.folder.write("hard.yaml", build, deployment, records.release("hard", {"hard-v1": 100}))
        wait_until(lambda: world.client.get(HOST.decode()).status == 200, "the application is served")
        yield Edge(world, application)


def request(line: bytes = b"GET / HTTP/1.1", *lines: bytes, body: bytes = b"", host: bytes = HOST) -> bytes:
    named = [b"Host: " + host] if host else []
    return b"\r\n".join([line, *named, *lines, b"Connection: close", b"", b""]) + body
