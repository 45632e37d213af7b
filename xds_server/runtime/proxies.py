"""Who is connected, for those who ask: read from the streams themselves, so that nothing is kept for it meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from time import monotonic
from typing import Any

from typing_extensions import override

from xds_server.api.proxies import Proxies
from xds_server.api.proxy_reports import (
    ConnectedProxy,
    Fleet,
    ProxyDetail,
    RefusalReport,
    ResourceReport,
    TypeReport,
)
from xds_server.domain.names import ref
from xds_server.domain.sidecars import Sidecar
from xds_server.domain.versions import written
from xds_server.graph import builds_of
from xds_server.protocol.events import Nacked, Node
from xds_server.protocol.sotw import version_of
from xds_server.protocol.state import TypeProgress
from xds_server.records.world import World
from xds_server.runtime.bookkeeping import Bookkeeping
from xds_server.runtime.clock import clock
from xds_server.runtime.observers import Nobody
from xds_server.runtime.worlds import ON_DEMAND_SINCE, SIDECAR, GatewayWorlds, delivery_of, follows
from xds_server.snapshot import Delivery, kind_of
from xds_server.transport.connections import Connection, Connections


class ConnectedProxies(Nobody, Proxies):
    """`connections` are the open streams, `worlds` what they are told; `books` hears when something happens. `world` is
    what is in force.
    """

    def __init__(
        self, connections: Connections, worlds: GatewayWorlds, books: Bookkeeping, world: Callable[[], World]
    ) -> None:
        self._connections = connections
        self._worlds = worlds
        self._books = books
        self._world = world
        self._refusals: dict[str, RefusalReport] = {}
        # Fixed once, so that a stream has begun at the same time whenever somebody asks.
        self._epoch = clock() - timedelta(seconds=monotonic())

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._refusals[node.id] = RefusalReport(
            at=clock(), type=kind_of(nacked.type_url), names=nacked.names, reason=nacked.reason
        )

    @override
    def closed(self, node: Node, mode: str) -> None:
        if not self._connections.of(node.id):
            self._refusals.pop(node.id, None)

    @override
    async def change(self, revision: int, seconds: float) -> None:
        if revision > self._books.revision:
            return  # that of a server that ran before this one
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._books.revision == revision:
                    await self._books.change()

    @override
    async def fleet(self, names: frozenset[str]) -> Fleet:
        revision = self._books.revision
        found = []
        chosen = (each for each in self._connections if not names or each.node.id in names)
        for connection in sorted(chosen, key=lambda each: each.node.id):
            found.append(ConnectedProxy(**self._said(connection, whole=bool(names))))
            await asyncio.sleep(0)  # many take long, as does who is named and holds much: others have their turn
        return Fleet(revision=revision, proxies=tuple(found))

    @override
    def detail(self, name: str) -> ProxyDetail | None:
        open_streams = self._connections.of(name)
        if not open_streams:
            return None
        connection = open_streams[-1]
        resources = (
            ResourceReport(type=kind_of(kind), name=each.name, version=each.version, status=each.status)
            for kind, state in connection.states().items()
            for each in state.resources()
        )
        return ProxyDetail(**self._said(connection, whole=True), resources=tuple(resources))

    def _said(self, connection: Connection, *, whole: bool) -> dict[str, Any]:
        """`whole`: with the versions of all that it holds, each of which is looked at for that."""
        node, mode = connection.node, connection.mode
        progress = connection.progress()
        states = connection.states() if whole else {}
        versions = {kind: version_of(each.held.values()) for kind, each in states.items()}
        objection = self._worlds.objection(node)
        return {
            "id": node.id,
            "gateway": "" if node.role == SIDECAR else node.cluster,
            "build": follows(node).word if node.role == SIDECAR else "",
            "role": node.role or "gateway",
            "envoy": node.version,
            "mode": mode,
            "since": self._epoch + timedelta(seconds=connection.since),
            "delivery": "" if objection else self._delivery(node, mode)[0],
            "because": "" if objection else self._delivery(node, mode)[1],
            "objection": objection,
            "streams": len(self._connections.of(node.id)),
            "in_sync": not objection and all(each.in_sync for each in progress.values()),
            "types": tuple(_type(kind, each, versions.get(kind)) for kind, each in progress.items()),
            "last_refusal": self._refusals.get(node.id),
        }

    def _is_live(self, node: Node) -> bool:
        """Beside a build that is mistyped, or has left, it serves nothing."""
        kind = follows(node)
        deployments = self._world().app(kind.build.app).deployments if isinstance(kind, Sidecar) else {}
        return isinstance(kind, Sidecar) and any(kind.build in builds_of(each) for each in deployments.values())

    def _delivery(self, node: Node, mode: str) -> tuple[str, str]:
        """How it is told, and if that is everything, why."""
        if node.role == SIDECAR:
            return "full", "a sidecar" if self._is_live(node) else "no deployment contains its build"
        snapshot = self._worlds.told(ref(node.cluster), delivery_of(node, mode))
        if snapshot is not None and snapshot.on_demand:
            unasked = node.envoy < snapshot.unasked_before
            needs = f"(it needs {written(snapshot.unasked_before)})"
            return "on demand", f"but hosts, which Envoy {written(node.envoy)} gets unasked {needs}" if unasked else ""
        if mode == "sotw":
            return "full", "SotW"
        if delivery_of(node, mode) is Delivery.FULL:
            return "full", f"Envoy {written(node.envoy)} (on demand needs {written(ON_DEMAND_SINCE)})"
        return "full", "delivery: full in the record"


def _type(kind: str, progress: TypeProgress, version: str | None) -> TypeReport:
    return TypeReport(
        type=kind_of(kind),
        version=version,
        held=progress.held,
        owed=progress.owed,
        refused=tuple(sorted(progress.refused)),
        awaited=progress.nonce,
    )
