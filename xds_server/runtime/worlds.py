"""Which snapshot a proxy follows: that of the gateway it says it serves, in the delivery that it is able to take; or
that of the build which it says it is beside.
"""

import asyncio
from collections.abc import Callable, Mapping, Set
from time import monotonic
from typing import Any, NamedTuple

from typing_extensions import override

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref, ref
from xds_server.domain.sidecars import PORTS, Ports, Sidecar
from xds_server.domain.versions import OLDEST, Minor, written
from xds_server.ports import Seat, Worlds
from xds_server.protocol.events import Node
from xds_server.protocol.stream import Stream
from xds_server.runtime.kinds import Hear, ServedKind
from xds_server.runtime.pacing import Pacing
from xds_server.snapshot import Delivery, Snapshot, TypeUrl

GATEWAY_ROLES = ("gateway", "")
SIDECAR = "sidecar"

Fleet = Ref | Sidecar
"""Proxies that follow the same world: those of a gateway, or those beside a build."""
ON_DEMAND_SINCE: Minor = (1, 37)
"""Envoys before refuse virtual hosts on demand over an aggregated stream, or lose first requests."""


def delivery_of(node: Node, mode: str) -> Delivery:
    """What this proxy is able to take: on demand exists in the delta dialect only (R38, R39)."""
    able = mode == "delta" and node.envoy >= ON_DEMAND_SINCE and node.role != SIDECAR
    return Delivery.ON_DEMAND if able else Delivery.FULL


def _never(node: Node) -> str:
    """Why this proxy is told nothing, whatever the records say."""
    if node.role not in (*GATEWAY_ROLES, SIDECAR):
        return f"role {node.role!r} is not served: only gateways and sidecars are"
    if node.role == SIDECAR and sidecar_of(node) is None:
        return "a sidecar says what it is beside: node.cluster APP/COMPONENT, and build in node.metadata"
    if node.envoy < OLDEST:
        return (
            f"Envoy {node.version} would drop fields that decide who gets what: {written(OLDEST)} is the oldest served"
        )
    return ""


def sidecar_of(node: Node) -> Sidecar | None:
    """Beside what it is; None if it does not say."""
    app, slash, component = node.cluster.partition("/")
    if not (slash and app and component and node.build):
        return None
    outbound, inbound, application = node.ports
    ports = Ports(outbound or PORTS.outbound, inbound or PORTS.inbound, application or None)
    return Sidecar(BuildId(ref(app), component, node.build), ports)


def fleet_of(node: Node, mode: str) -> tuple[Ref, Delivery] | None:
    """Which gateway's snapshot a proxy follows, and in which delivery; None if it follows none."""
    if _never(node) or node.role == SIDECAR:
        return None
    return ref(node.cluster), delivery_of(node, mode)


def takes_part(node: Node) -> bool:
    """It is told something, as soon as there is a record of its gateway."""
    return not _never(node)


def follows(node: Node) -> Fleet:
    """Whose world it is told, if it is told any."""
    return sidecar_of(node) or ref(node.cluster) if node.role == SIDECAR else ref(node.cluster)


class Due:
    """What the streams of a gateway are to be told together. `changed`: in which names it differs; None: compare."""

    __slots__ = ("changed",)

    def __init__(self) -> None:
        self.changed: dict[TypeUrl, frozenset[str]] | None = {}

    def add(self, before: Snapshot | None, after: Snapshot) -> None:
        if self.changed is None or before is None or after.since != before.serial:
            self.changed = None
            return
        for kind, names in after.changed.items():
            self.changed[kind] = self.changed.get(kind, frozenset()) | names

    @property
    def endpoints_alone(self) -> bool:
        changed = self.changed
        return changed is not None and not any(names for kind, names in changed.items() if kind != TypeUrl.ENDPOINTS)


class KindOf(NamedTuple):
    """Which proxies are told the same. Whatever name it has for its role, a gateway is a gateway."""

    fleet: Fleet
    delivery: Delivery
    envoy: Minor


class GatewayWorlds(Worlds):
    """The kinds of proxies that are connected, and what each gateway's are told.

    A kind is kept as long as it has streams, or a content in quarantine. A gateway whose record wants everything
    delivered has the full snapshot in both deliveries.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._told: dict[Fleet, dict[Delivery, Snapshot]] = {}
        self._gateways: set[Ref] = set()
        self._kinds: dict[Fleet, dict[KindOf, ServedKind]] = {}
        self._beside: dict[Ref, set[Sidecar]] = {}
        self._others: set[Ref] = set()
        self._due: dict[tuple[Fleet, Delivery], Due] = {}
        self._pacing = Pacing()
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._sidecars_changed: Callable[[frozenset[Ref]], None] = lambda _: None

    @override
    def objection(self, node: Node) -> str:
        never = _never(node)
        known = node.role == SIDECAR or ref(node.cluster) in self._told
        return never or ("" if known else f"there is no Gateway {node.cluster!r} yet (its node.cluster)")

    @override
    def join(self, node: Node, mode: str, stream: Stream[Any], hear: Hear) -> Seat:
        if _never(node):
            return ServedKind(node.envoy).join(stream, hear)
        return self._kind(KindOf(follows(node), delivery_of(node, mode), node.envoy)).join(stream, hear)

    @property
    def trials(self) -> int:
        """Contents that somebody tries now."""
        return sum(kind.running for kinds in self._kinds.values() for kind in kinds.values())

    @property
    def apps(self) -> Set[Ref]:
        """Those beside whose builds there are sidecars."""
        return self._beside.keys()

    def sidecars(self, app: Ref) -> frozenset[Sidecar]:
        """The kinds of sidecars of an app that are connected."""
        return frozenset(self._beside.get(app, ()))

    def follow_sidecars(self, changed: Callable[[frozenset[Ref]], None]) -> None:
        """`changed` is called with the apps of which there are others than before; it publishes what they are told."""
        self._sidecars_changed = changed

    def expect(self, fleet: Fleet) -> None:
        """There is such a gateway; its proxies wait for what they will be told."""
        self._told.setdefault(fleet, {})
        if not isinstance(fleet, Sidecar):
            self._gateways.add(fleet)

    def publish(self, fleet: Fleet, snapshots: Mapping[Delivery, Snapshot]) -> bool:
        """Tell its proxies, unless they have been told; whether there was anything to tell."""
        self.expect(fleet)
        told = self._told[fleet]
        news = [delivery for delivery in Delivery if told.get(delivery) is not snapshots[delivery]]
        for delivery in news:
            before, told[delivery] = told.get(delivery), snapshots[delivery]
            if any(each.delivery is delivery for each in self._kinds.get(fleet, ())):
                self._due.setdefault((fleet, delivery), Due()).add(before, snapshots[delivery])
        self._tell_in_time()
        return bool(news)

    def told(self, fleet: Fleet, delivery: Delivery = Delivery.FULL) -> Snapshot | None:
        """What its proxies should have, if there is such a gateway, or a sidecar beside such a build."""
        return self._told.get(fleet, {}).get(delivery)

    def quarantined(self, fleet: Fleet, type_url: TypeUrl, name: str, version: str) -> bool:
        """Some of its proxies are not told this, because one of them refused it."""
        kinds = self._kinds.get(fleet, {}).values()
        return any(kind.quarantined(type_url, name, version) for kind in kinds)

    def holds_back(self, fleet: Fleet, delivery: Delivery, type_url: TypeUrl, name: str, version: str) -> bool:
        """Some of its proxies are not told this, nor what needs it: of those that are connected, if any is."""
        kinds = [kind for of, kind in self._kinds.get(fleet, {}).items() if of.delivery is delivery]
        asked = [kind for kind in kinds if kind.served] or kinds
        return any(kind.holds_back(type_url, name, version) for kind in asked)

    def forget(self, gateways: set[Ref]) -> set[Ref]:
        """Only these are left: say which are gone. Their proxies keep what they were told."""
        gone = self._gateways - gateways
        self._gateways -= gone
        for gateway in gone:
            self._forget(gateway)
            for of in list(self._kinds.get(gateway, ())):
                self._drop_if_idle(of)
        return gone

    def _forget(self, fleet: Fleet) -> None:
        self._told.pop(fleet, None)
        for delivery in Delivery:
            self._due.pop((fleet, delivery), None)

    def _kind(self, of: KindOf) -> ServedKind:
        kinds = self._kinds.setdefault(of.fleet, {})
        kind = kinds.get(of)
        if kind is None:
            kind = kinds[of] = ServedKind(of.envoy, lambda: self._drop_if_idle(of), self._fanned_out)
            if isinstance(of.fleet, Sidecar) and of.fleet not in self._told:
                self._beside.setdefault(of.fleet.build.app, set()).add(of.fleet)
                self._tell_of_others(of.fleet.build.app)
            told = self.told(of.fleet, of.delivery)
            if told is not None:
                kind.offer(told)
        return kind

    def _fanned_out(self, responses: int, began: float) -> None:
        """What one has tried was told to others. It was no change of endpoints: those are told at once."""
        now = self._clock()
        self._pacing.took(now - (monotonic() - began), now, responses, endpoints_alone=False)

    def _drop_if_idle(self, of: KindOf) -> None:
        kinds = self._kinds.get(of.fleet, {})
        if of not in kinds or not kinds[of].idle:
            return
        del kinds[of]
        if not kinds:
            del self._kinds[of.fleet]
            if isinstance(of.fleet, Sidecar):
                self._leave(of.fleet)

    def _leave(self, sidecar: Sidecar) -> None:
        """There is none of this kind any more."""
        app = sidecar.build.app
        self._forget(sidecar)
        self._beside[app].discard(sidecar)
        if not self._beside[app]:
            del self._beside[app]
        self._tell_of_others(app)

    def _tell_of_others(self, app: Ref) -> None:
        """A fleet that comes back comes one by one: what is told to its kinds is made for many at once."""
        if not self._others:
            asyncio.get_running_loop().call_soon(self._told_of_others)
        self._others.add(app)

    def _told_of_others(self) -> None:
        others, self._others = frozenset(self._others), set()
        self._sidecars_changed(others)

    def _tell_in_time(self) -> None:
        """Tell what is due at once, or once it may be told."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._due:
            return
        wait = self._pacing.due(endpoints_alone=self._endpoints_alone) - self._clock()
        if wait > 0:
            self._timer = asyncio.get_running_loop().call_later(wait, self._tell_in_time)
        else:
            self._tell()

    @property
    def _endpoints_alone(self) -> bool:
        return all(due.endpoints_alone for due in self._due.values())

    def _tell(self) -> None:
        began, endpoints_alone = self._clock(), self._endpoints_alone
        ahead, self._due = self._due, {}
        responses = 0
        for (fleet, delivery), due in ahead.items():
            newest = self.told(fleet, delivery)
            assert newest is not None
            for of, kind in [each for each in self._kinds.get(fleet, {}).items() if each[0].delivery is delivery]:
                responses += kind.offer(newest, due.changed)
                if kind.idle:  # it was kept for a quarantine that has ended; who is being told now hears of it later
                    asyncio.get_running_loop().call_soon(self._drop_if_idle, of)
        self._pacing.took(began, self._clock(), responses, endpoints_alone=endpoints_alone)
