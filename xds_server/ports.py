"""What the shell around the streams is given: the worlds that proxies are told of, and someone to tell the facts."""

from collections.abc import AsyncIterator
from typing import Protocol

from xds_server.protocol.events import Acked, Nacked, Node, Send, Stuck
from xds_server.snapshot import Snapshot


class World(Protocol):
    """The newest snapshot for one kind of proxy, and each newer one. `Latest` is one."""

    def follow(self) -> AsyncIterator[Snapshot]:
        """Yield the newest snapshot as soon as there is one, then newer ones. What is superseded may be skipped."""


class Worlds(Protocol):
    """Which world a proxy is to be told of."""

    def objection(self, node: Node) -> str:
        """Why this proxy is told nothing; empty if it is told what its gateway's proxies are."""

    def world_of(self, node: Node, mode: str) -> World:
        """The proxy's world; one that stays empty as long as the proxy is told nothing. `mode` as for an `Observer`."""


class Observer(Protocol):
    """Hears what happens on xDS streams, when it happens. Must not block and must not raise.

    `mode` is `sotw` or `delta`. Responses are reported as they are handed to gRPC.
    """

    def opened(self, node: Node, mode: str) -> None: ...

    def closed(self, node: Node, mode: str) -> None: ...

    def unknown(self, node: Node) -> None:
        """This proxy is told nothing, perhaps because no record speaks of it yet. Its stream stays open."""

    def duplicate(self, node: Node) -> None:
        """Another live stream has the same node id. Both are served: it may be a half-open one that is dying."""

    def sent(self, node: Node, send: Send) -> None: ...

    def acked(self, node: Node, acked: Acked) -> None: ...

    def nacked(self, node: Node, nacked: Nacked) -> None: ...

    def stuck(self, node: Node, stuck: Stuck) -> None: ...
