"""Who has not accepted yet that a deployment comes or goes: asked when proxies say something, and only of those."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref, cluster, ref
from xds_server.domain.sidecars import Sidecar
from xds_server.domain.words import few
from xds_server.fleet_order import Phase, Step
from xds_server.graph import builds_of
from xds_server.messages.fields import text_in
from xds_server.protocol.events import Node
from xds_server.records.models import AppDeployment
from xds_server.runtime.presence import Presence
from xds_server.runtime.worlds import GatewayWorlds, delivery_of, sidecar_of
from xds_server.snapshot import Resource, Snapshot, TypeUrl
from xds_server.transport.connections import Connection, Connections

SHOWN = 3
"""Proxies that are named where somebody waits for them; the rest are counted."""
ROUTING = (TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST)


@dataclass(slots=True)
class Owed:
    """The node ids of proxies that have not accepted a step. `late`: nobody waits for them any more.

    `record` is what comes or goes, and `builds` and `clusters` are its own.
    """

    app: Ref
    record: AppDeployment
    builds: Set[BuildId]
    clusters: Set[str]
    proxies: dict[str, None]
    late: bool = False


class Acceptance:
    """Of a proxy on several streams the newest tells what it holds.

    Who has lost its stream and may come back has accepted nothing. What a proxy has accepted of a step stays accepted:
    worlds that follow have it too. So each is asked once when the step begins, and then when it says something. What
    other apps have is asked of nobody; and nobody waits for what a proxy refuses, or is not told because another one
    did.
    """

    def __init__(self, worlds: GatewayWorlds, connections: Connections, presence: Presence) -> None:
        self._worlds = worlds
        self._connections = connections
        self._presence = presence
        self._owed: dict[Step, Owed] = {}

    def __contains__(self, step: Step) -> bool:
        return step in self._owed

    def __iter__(self) -> Iterator[Step]:
        return iter(list(self._owed))

    def begin(self, step: Step, app: Ref, record: AppDeployment) -> None:
        """Proxies have been told of it. `record` is what comes or goes."""
        clusters = frozenset(cluster(step.deployment, each) for each in record.spec.components)
        owed = self._owed[step] = Owed(app, record, builds_of(record), clusters, {})
        asked = self._presence.gateways if step.phase is Phase.LEAVING else self._presence.beside(app)
        owed.proxies = self._behind(owed, [each.id for each in asked if _owes(step, owed, each)])

    def forget(self, step: Step) -> None:
        self._owed.pop(step, None)

    def opened(self, node: Node) -> None:
        """A proxy that comes meanwhile may hold what there was before."""
        for step, owed in self._owed.items():
            if not owed.late and _owes(step, owed, node) and not self._worlds.objection(node):
                owed.proxies[node.id] = None

    def concerns(self, node: Node) -> bool:
        """Something waits for this proxy."""
        return any(node.id in owed.proxies for owed in self._owed.values())

    @property
    def waited_for(self) -> Set[str]:
        """The node ids of all proxies for which something waits."""
        return {proxy for owed in self._owed.values() for proxy in owed.proxies}

    def look_at(self, proxies: Iterable[str]) -> bool:
        """These have said something; whether that is news of any who is late."""
        asked, found = list(proxies), False
        for owed in self._owed.values():
            caught_up = [each for each in asked if each in owed.proxies and not self._is_behind(each, owed)]
            for each in caught_up:
                del owed.proxies[each]
            found |= owed.late and bool(caught_up)
        return found

    def is_over(self, step: Step) -> bool:
        """Everybody has accepted it."""
        return step in self._owed and not self._owed[step].proxies

    def give_up(self, step: Step) -> bool:
        """Nobody waits for it any more; whether there is a proxy that has not accepted it."""
        owed = self._owed[step]
        owed.proxies = self._behind(owed, filter(self._connections.of, owed.proxies))
        owed.late = bool(owed.proxies)
        return owed.late

    def owed(self, step: Step) -> str:
        """Who has not accepted it, as an operator knows them: some by name, of a thousand, too."""
        owed = self._owed.get(step)
        there = [each for each in owed.proxies if each in self._presence] if owed is not None else []
        return few([*map(self._name, there[:SHOWN]), *there[SHOWN:]], SHOWN)

    def app_of(self, step: Step) -> Ref:
        return self._owed[step].app

    def record_of(self, step: Step) -> AppDeployment:
        return self._owed[step].record

    def is_late(self, step: Step) -> bool:
        """Somebody is connected who has not accepted it, and for whom nobody waits any more."""
        owed = self._owed[step]
        return owed.late and any(map(self._connections.of, owed.proxies))

    def _name(self, proxy: str) -> str:
        node = self._presence.of(proxy)
        beside = sidecar_of(node)
        name = f"sidecar {proxy} beside {beside.word}" if beside is not None else f"gateway {proxy} of {node.cluster}"
        return name if self._connections.of(proxy) else f"{name}, which is not connected,"

    def _behind(self, owed: Owed, proxies: Iterable[str]) -> dict[str, None]:
        return dict.fromkeys(each for each in proxies if self._is_behind(each, owed))

    def _is_behind(self, proxy: str, owed: Owed) -> bool:
        """Nobody waits for what is told nothing."""
        streams = self._connections.of(proxy)
        if not streams:
            return proxy in self._presence
        newest = streams[-1]
        if self._worlds.objection(newest.node):
            return False
        beside = sidecar_of(newest.node)
        if beside is not None:
            return self._sidecar_is_behind(newest, beside)
        return self._gateway_is_behind(newest, owed.clusters)

    def _sidecar_is_behind(self, proxy: Connection, beside: Sidecar) -> bool:
        """It does not have all of its routes as they are now: they come after what they need."""
        told = self._worlds.told(beside)
        if told is None:
            return True
        known = told.known_to(proxy.node.envoy)
        return not all(proxy.stream.has(TypeUrl.ROUTES, each) for each in known.of(TypeUrl.ROUTES).values())

    def _gateway_is_behind(self, proxy: Connection, clusters: Set[str]) -> bool:
        """It holds routes that give requests to one of these, and will hold others."""
        told = self._worlds.told(ref(proxy.node.cluster), delivery_of(proxy.node, proxy.mode))
        if told is None:
            return False
        known = told.known_to(proxy.node.envoy)
        return any(
            self._is_to_change(proxy, kind, held, known) and _names(held, clusters)
            for kind in ROUTING
            for held in proxy.stream.holds(kind).values()
        )

    def _is_to_change(self, proxy: Connection, kind: TypeUrl, held: Resource, told: Snapshot) -> bool:
        """There is something newer, and it is told that or something else: what is refused anywhere it may not be."""
        found = told.find(kind, held.name)
        if found is None:
            return False
        newest = found.called(held.name)
        if newest.version == held.version:
            return False
        fleet, delivery = ref(proxy.node.cluster), delivery_of(proxy.node, proxy.mode)
        refused = proxy.stream.refuses(kind, newest) or self._worlds.holds_back(
            fleet, delivery, kind, found.name, found.version
        )
        return not (refused and proxy.stream.has(kind, held))


def _owes(step: Step, owed: Owed, node: Node) -> bool:
    """Gateways first have no deployment that goes; else it is those beside its builds."""
    found = sidecar_of(node)
    return found is None if step.phase is Phase.LEAVING else found is not None and found.build in owed.builds


def _names(held: Resource, clusters: Set[str]) -> bool:
    """It gives requests to one of these; of what a proxy holds since an earlier stream there may be no content."""
    return not held.body or any(text_in(held.body, each) for each in clusters)
