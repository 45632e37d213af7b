"""Which snapshot a proxy follows: that of the gateway it says it serves, in the delivery that it is able to take."""

from collections.abc import Mapping
from weakref import WeakValueDictionary

from typing_extensions import override

from xds_server.domain.names import Ref, ref
from xds_server.domain.versions import OLDEST, Minor, written
from xds_server.latest import Latest
from xds_server.ports import Worlds
from xds_server.protocol.events import Node
from xds_server.snapshot import Delivery, Snapshot

GATEWAY_ROLES = ("gateway", "")
ON_DEMAND_SINCE: Minor = (1, 37)
"""Envoys before refuse virtual hosts on demand over an aggregated stream, or lose first requests."""


def delivery_of(node: Node, mode: str) -> Delivery:
    """What this proxy is able to take: on demand exists in the delta dialect only (R38, R39)."""
    return Delivery.ON_DEMAND if mode == "delta" and node.envoy >= ON_DEMAND_SINCE else Delivery.FULL


def _never(node: Node) -> str:
    """Why this proxy is told nothing, whatever the records say."""
    if node.role not in GATEWAY_ROLES:
        return f"role {node.role!r} is not served: only gateways are"
    if node.envoy < OLDEST:
        return (
            f"Envoy {node.version} would drop fields that decide who gets what: {written(OLDEST)} is the oldest served"
        )
    return ""


def fleet_of(node: Node, mode: str) -> tuple[Ref, Delivery] | None:
    """Whose snapshot a proxy follows, and in which delivery; None if it is never told anything."""
    return None if _never(node) else (ref(node.cluster), delivery_of(node, mode))


class GatewayWorlds(Worlds):
    """A cell for each gateway and delivery. One that no record speaks of is kept only as long as a stream waits at it.

    A gateway whose record wants everything delivered has the full snapshot in both cells.
    """

    def __init__(self) -> None:
        self._served: dict[Ref, Mapping[Delivery, Latest[Snapshot]]] = {}
        self._cells: WeakValueDictionary[tuple[Ref, Delivery], Latest[Snapshot]] = WeakValueDictionary()

    @override
    def objection(self, node: Node) -> str:
        never = _never(node)
        known = ref(node.cluster) in self._served
        return never or ("" if known else f"there is no Gateway {node.cluster!r} yet (its node.cluster)")

    @override
    def world_of(self, node: Node, mode: str) -> Latest[Snapshot]:
        return Latest() if _never(node) else self._cell(ref(node.cluster), delivery_of(node, mode))

    def expect(self, gateway: Ref) -> None:
        """There is such a gateway; its proxies wait for what they will be told."""
        if gateway not in self._served:
            self._served[gateway] = {delivery: self._cell(gateway, delivery) for delivery in Delivery}

    def publish(self, gateway: Ref, snapshots: Mapping[Delivery, Snapshot]) -> bool:
        """Tell the gateway's proxies, unless they have been told; whether there was anything to tell."""
        self.expect(gateway)
        news = False
        for delivery, cell in self._served[gateway].items():
            if cell.value is not snapshots[delivery]:
                cell.put(snapshots[delivery])
                news = True
        return news

    def told(self, gateway: Ref, delivery: Delivery = Delivery.FULL) -> Snapshot | None:
        """What the gateway's proxies should have, if there is such a gateway."""
        return self._served[gateway][delivery].value if gateway in self._served else None

    def forget(self, gateways: set[Ref]) -> set[Ref]:
        """Only these are left: say which are gone. Their proxies keep what they were told."""
        gone = self._served.keys() - gateways
        for each in gone:
            del self._served[each]
        return gone

    def _cell(self, gateway: Ref, delivery: Delivery) -> Latest[Snapshot]:
        cell = self._cells.get((gateway, delivery))
        if cell is None:
            cell = self._cells[gateway, delivery] = Latest()
        return cell
