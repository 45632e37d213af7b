"""What the shell around the streams is given: the worlds that proxies are told of, and someone to tell the facts."""

from collections.abc import Callable
from typing import Any, Protocol

from xds_server.protocol.events import Acked, Effect, Nacked, Node, Quarantined, Send, Stuck, Untried
from xds_server.protocol.stream import Request, Stream


class Seat(Protocol):
    """The place of one stream among those that are told the same. What it says is heard by who joined it."""

    def receive(self, request: Request) -> None:
        """Its client said something. Raises `PeerMisbehaved`."""

    def elapsed(self, token: str) -> None:
        """The time that it asked for is over."""

    def quarantined(self, type_url: str, name: str, version: str) -> bool:
        """Nobody is told this content, because the first who was sent it refused it."""

    def leave(self) -> None:
        """It has ended."""


class Worlds(Protocol):
    """Which world a proxy is to be told of."""

    def objection(self, node: Node) -> str:
        """Why this proxy is told nothing; empty if it is told what its gateway's proxies are."""

    def join(self, node: Node, mode: str, stream: Stream[Any], hear: Callable[[list[Effect]], None]) -> Seat:
        """Tell the stream of this proxy's world from now on, if there is one for it. `hear` is given what it says.

        The stream knows its node, and has seen no world. `mode` as for an `Observer`.
        """


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

    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        """It refused what it was the first to be sent."""

    def untried(self, node: Node, untried: Untried) -> None:
        """It did not answer what it was the first to be sent, nor did others in its place."""
