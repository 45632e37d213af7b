"""The proxies that wait to be told in an order: those that are connected, and those that were a moment ago.

A proxy that has lost its stream goes on with what it holds, and most come back at once. So it counts for `GRACE` more;
and after a restart of the server all count that did before, from when the others are told.
"""

from collections.abc import Collection, Iterable

from xds_server.domain.names import Ref
from xds_server.protocol.events import Node
from xds_server.runtime.worlds import sidecar_of
from xds_server.state.unfinished import RowKey, proxy_key
from xds_server.transport.connections import Connections

GRACE = 10.0
"""Seconds."""


class Presence:
    """By node id; the newest place of one that says several."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._nodes: dict[str, Node] = {}
        self._beside: dict[Ref, dict[str, Node]] = {}
        self._gateways: dict[str, Node] = {}
        self._lost: dict[str, float] = {}
        self._changed: dict[RowKey, Node | None] = {}

    def __contains__(self, proxy: str) -> bool:
        return proxy in self._nodes

    def beside(self, app: Ref) -> Collection[Node]:
        """The sidecars of an app."""
        return self._beside.get(app, {}).values()

    @property
    def gateways(self) -> Collection[Node]:
        return self._gateways.values()

    def of(self, proxy: str) -> Node:
        return self._nodes[proxy]

    def opened(self, node: Node) -> None:
        self._lost.pop(node.id, None)
        before = self._nodes.get(node.id)
        if before is None or _place(before) != _place(node):
            self._leave(node.id)
            self._enter(node)
            self._changed[proxy_key(node)] = node

    def closed(self, node: Node, now: float) -> None:
        if node.id in self._nodes and not self._connections.of(node.id):
            self._lost[node.id] = now + GRACE

    def recall(self, nodes: Iterable[Node], now: float) -> None:
        """These were there when the server ended."""
        for node in nodes:
            if node.id not in self._nodes:
                self._enter(node)
                self._lost[node.id] = now + GRACE

    @property
    def wake_at(self) -> float | None:
        """When the next one is gone."""
        return next(iter(self._lost.values()), None)

    def wake(self, now: float) -> list[str]:
        """Time has passed: who did not come back."""
        gone = []
        for proxy, until in self._lost.items():
            if until > now:
                break
            gone.append(proxy)
        for proxy in gone:
            del self._lost[proxy]
            self._leave(proxy)
        return gone

    @property
    def has_changed(self) -> bool:
        """Others are to be kept for after a restart."""
        return bool(self._changed)

    def take_changed(self) -> dict[RowKey, Node | None]:
        """Who came, and who is gone, since this was last asked."""
        found, self._changed = self._changed, {}
        return found

    def _enter(self, node: Node) -> None:
        self._nodes[node.id] = node
        sidecar = sidecar_of(node)
        if sidecar is None:
            self._gateways[node.id] = node
        else:
            self._beside.setdefault(sidecar.build.app, {})[node.id] = node

    def _leave(self, proxy: str) -> None:
        node = self._nodes.pop(proxy, None)
        if node is None:
            return
        self._changed[proxy_key(node)] = None
        sidecar = sidecar_of(node)
        if sidecar is None:
            del self._gateways[proxy]
            return
        others = self._beside[sidecar.build.app]
        del others[proxy]
        if not others:
            del self._beside[sidecar.build.app]


def _place(node: Node) -> tuple[str, str]:
    return node.cluster, node.build
