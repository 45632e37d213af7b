"""Who is connected now, and over which streams: looked at when somebody asks."""

from collections.abc import Iterator
from time import monotonic
from typing import Any, NamedTuple

from xds_server.protocol.events import Node
from xds_server.protocol.stream import Stream


class Connection(NamedTuple):
    """An open stream of a proxy that has said who it is. `mode` is `sotw` or `delta`, `since` a `monotonic()`.

    `reasons` are the proxy's own words for what it refused last, by type and name.
    """

    node: Node
    mode: str
    since: float
    stream: Stream[Any]
    reasons: dict[tuple[str, str], str]


class Connections:
    """The open streams of each node id, the oldest first."""

    def __init__(self) -> None:
        self._open: dict[str, list[Connection]] = {}

    def enter(self, node: Node, mode: str, stream: Stream[Any]) -> Connection:
        made = Connection(node, mode, monotonic(), stream, {})
        self._open.setdefault(node.id, []).append(made)
        return made

    def leave(self, connection: Connection) -> None:
        left = self._open[connection.node.id]
        left.remove(connection)
        if not left:
            del self._open[connection.node.id]

    def of(self, node_id: str) -> list[Connection]:
        return self._open.get(node_id, [])

    def __iter__(self) -> Iterator[Connection]:
        for each in list(self._open.values()):
            yield from each
