"""An app of one component whose build runs on several instances."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import grpc

from e2e.support import records
from e2e.support.behaviours import Seen
from e2e.support.client import Client, Headers, Reply, echo
from e2e.support.processes import wait_until
from e2e.support.records import Build, Json
from e2e.support.upstream import Protocol, Upstreams
from e2e.support.world import App, World, explicit_host

_serial = itertools.count(1)
LETTERS = "abcdefgh"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Its deployment is asked for by its own host. `addresses` has each instance that was started, by its name."""

    app: App
    deployment: str
    addresses: dict[str, str]
    protocol: Protocol
    build: Mapping[str, Any]
    """More of its Build record."""

    @property
    def world(self) -> World:
        return self.app.world

    @property
    def upstreams(self) -> Upstreams:
        return self.world.upstreams

    @property
    def names(self) -> list[str]:
        return list(self.addresses)

    def get(self, headers: Headers = (), method: str = "GET", path: str = "/") -> Reply:
        return self.world.client.get(explicit_host(self.deployment), path, headers, method)

    def who(self, headers: Headers = (), path: str = "/") -> str:
        """Which instance answers."""
        reply = self.get(headers, path=path)
        assert reply.status == 200
        return echo(reply.body).instance

    def wait_only(self, *names: str) -> None:
        """Envoy's worker has heard that only these get requests: of changes of health up to a second late."""
        wait_until(lambda: set(self.crowd(4 * len(self.addresses))) == set(names), f"only {names} answer")

    def crowd(self, count: int) -> list[str]:
        """Which instance answers each of so many requests, one after the other."""
        return [self.who() for _ in range(count)]

    def alone(
        self, headers: Headers = (), method: str = "GET", within: float = 30.0, source: str = "127.0.0.1"
    ) -> Reply:
        """Over a connection of its own."""
        with Client(self.world.port, within, source) as client:
            return client.get(explicit_host(self.deployment), "/", headers, method)

    def answers(self) -> bool:
        return self.get().status == 200

    def calls(self) -> str | None:
        """Which instance answers a call, if one does."""
        target, host = f"127.0.0.1:{self.world.port}", explicit_host(self.deployment)
        with grpc.insecure_channel(target, [("grpc.default_authority", host)]) as channel:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/shop.Cart/Add")
            with suppress(grpc.RpcError):
                return echo(call(b"", timeout=5)).instance
        return None

    @contextmanager
    def meanwhile(self, *each: Headers) -> Iterator[list[Future[Reply]]]:
        """Requests that are under way at once."""
        with ThreadPoolExecutor(len(each)) as pool:
            yield [pool.submit(self.alone, headers) for headers in each]

    def wait_held(self, gate: str, count: int) -> None:
        """So many requests wait there."""
        wait_until(lambda: self.upstreams.held(gate) == count, f"{count} requests are held at {gate}")

    def seen(self, key: str) -> list[Seen]:
        return self.upstreams.seen(key)

    def count(self, key: str) -> int:
        return len(self.seen(key))

    def stat(self, name: str) -> int:
        """A number of the cluster."""
        return self.world.envoy.stat(self._stat(name))

    def wait_stat(self, name: str, value: int) -> None:
        """Until it has exactly this value."""
        wait_until(lambda: self.stat(name) == value, f"{self._stat(name)} is {value}")

    def wait_weights(self, *weights: int) -> None:
        """Envoy has heard how much each instance counts."""
        name = self.app.instance("web", "a1")
        wait_until(lambda: self.world.envoy.weights().get(name) == sorted(weights), f"the weights are {weights}")

    def start(self, protocol: Protocol | None = None) -> str:
        """One more instance, which no record names yet."""
        name = f"{self.app.name}-{LETTERS[len(self.addresses)]}"
        self.addresses[name] = self.upstreams.start(name, protocol or self.protocol)
        return name

    def place(self, *members: Any, drained: bool = False) -> None:
        """The build runs there and nowhere else: a name of an instance, or a mapping with `address`.

        Draining ones are left out, unless there are no others (`drained`).
        """
        placed = [self.addresses.get(each, each) if isinstance(each, str) else each for each in members]
        self.app.write(Build(self.app.name, "web", "a1").record(placed, self.protocol, **self.build))
        name = self.app.instance("web", "a1")
        if name in self.world.addresses:
            where = {
                each if isinstance(each, str) else each["address"]
                for each in placed
                if drained or "draining" not in each
            }
            self.world.envoy.wait_endpoints(name, where)

    def _stat(self, name: str) -> str:
        return f"cluster.{self.deployment}/web.{name}"


def fleet(
    world: World,
    count: int = 1,
    *,
    policy: Json | None = None,
    protocol: Protocol = Protocol.HTTP1,
    speaks: Protocol | None = None,
    also: Sequence[str] = (),
    **build: Any,
) -> Fleet:
    """So many new instances, and a deployment that is carried by this policy.

    `speaks`: what they do, if it is not what their record says. `also`: addresses where nobody is.
    """
    app = world.app(f"fleet-{next(_serial)}")
    made = Fleet(app, f"{app.name}-v1", {}, protocol, build)
    made.place(*[made.start(speaks) for _ in range(count)], *also)
    world.addresses[app.instance("web", "a1")] = made.addresses[made.names[0]]
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}], "policy": dict(policy or {})}
    app.write(records.deployment(app.name, "v1", {"web": web}))
    answers = made.calls if (speaks or protocol) is Protocol.GRPC else made.answers
    wait_until(answers, f"{made.deployment} answers")
    return made
