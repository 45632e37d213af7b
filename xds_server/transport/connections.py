"""Who is connected now, and over which streams: looked at when somebody asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from time import monotonic
from typing import Any, NamedTuple

from xds_server.ports import Seat
from xds_server.protocol.events import Nacked, Node
from xds_server.protocol.state import TypeProgress, TypeState
from xds_server.protocol.stream import Stream


class Refused(NamedTuple):
    """What a proxy refused of a resource, and its own words for why."""

    version: str
    reason: str


@dataclass(slots=True, eq=False)
class Connection:
    """An open stream of a proxy that has said who it is. `mode` is `sotw` or `delta`, `since` a `monotonic()`.

    `refused` is what the proxy refused last, by type and name. `seat` is there as soon as it is told anything. `peer`:
    the other end of its connection, as gRPC names it.
    """

    node: Node
    mode: str
    since: float
    stream: Stream[Any]
    refused: dict[tuple[str, str], Refused] = field(default_factory=dict)
    seat: Seat | None = None
    peer: str = ""

    def note(self, nacked: Nacked) -> None:
        for name, version in nacked.refused.items():
            self.refused[nacked.type_url, name] = Refused(version, nacked.reason)

    def states(self) -> dict[str, TypeState]:
        """What the client has of each type. What it was the first to refuse is in quarantine, and it was sent last good
        again: it is refused for as long as the world has it.
        """
        found = self.stream.state().items()
        return {kind: replace(each, refused=self._refused(kind, each.refused)) for kind, each in found}

    def progress(self) -> dict[str, TypeProgress]:
        """The same, counted: at no cost that grows with what the client holds."""
        found = self.stream.progress().items()
        return {kind: replace(each, refused=self._refused(kind, each.refused)) for kind, each in found}

    def _refused(self, kind: str, refused: Mapping[str, str]) -> dict[str, str]:
        held_back = {
            name: version
            for (type_url, name), (version, _) in self.refused.items()
            if type_url == kind and self.seat is not None and self.seat.quarantined(kind, name, version)
        }
        return {**held_back, **refused}


class Connections:
    """The open streams of each node id, the oldest first."""

    def __init__(self) -> None:
        self._open: dict[str, list[Connection]] = {}
        self._at: dict[str, Connection] = {}
        self._numbers = count(1)

    def enter(self, node: Node, mode: str, stream: Stream[Any], peer: str = "") -> Connection:
        """Its node has the number of the stream."""
        made = Connection(replace(node, stream=next(self._numbers)), mode, monotonic(), stream, peer=peer)
        self._open.setdefault(node.id, []).append(made)
        self._at[peer] = made
        return made

    def leave(self, connection: Connection) -> None:
        left = self._open[connection.node.id]
        left.remove(connection)
        if not left:
            del self._open[connection.node.id]
        if self._at.get(connection.peer) is connection:
            del self._at[connection.peer]

    def node_at(self, peer: str) -> str:
        """The node id of who has a stream on the connection with this other end; empty if nobody has."""
        found = self._at.get(peer)
        return "" if found is None else found.node.id

    def of(self, node_id: str) -> list[Connection]:
        return self._open.get(node_id, [])

    def on(self, node: Node) -> Connection | None:
        """The stream of this number."""
        return next((each for each in self.of(node.id) if each.node.stream == node.stream), None)

    def __iter__(self) -> Iterator[Connection]:
        for each in list(self._open.values()):
            yield from each
