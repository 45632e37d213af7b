"""Which snapshot a proxy follows: that of the gateway it says it serves."""

from weakref import WeakValueDictionary

from typing_extensions import override

from xds_server.domain.names import Ref, ref
from xds_server.domain.versions import OLDEST, written
from xds_server.latest import Latest
from xds_server.ports import Worlds
from xds_server.protocol.events import Node
from xds_server.snapshot import Snapshot

GATEWAY_ROLES = ("gateway", "")


def _never(node: Node) -> str:
    """Why this proxy is told nothing, whatever the records say."""
    if node.role not in GATEWAY_ROLES:
        return f"role {node.role!r} is not served: only gateways are"
    if node.envoy < OLDEST:
        return (
            f"Envoy {node.version} would drop fields that decide who gets what: {written(OLDEST)} is the oldest served"
        )
    return ""


class GatewayWorlds(Worlds):
    """A cell for each gateway. One that no record speaks of is kept only as long as a stream waits at it."""

    def __init__(self) -> None:
        self._served: dict[Ref, Latest[Snapshot]] = {}
        self._cells: WeakValueDictionary[Ref, Latest[Snapshot]] = WeakValueDictionary()

    @override
    def objection(self, node: Node) -> str:
        never = _never(node)
        known = ref(node.cluster) in self._served
        return never or ("" if known else f"there is no Gateway {node.cluster!r} yet (its node.cluster)")

    @override
    def world_of(self, node: Node) -> Latest[Snapshot]:
        return Latest() if _never(node) else self._cell(ref(node.cluster))

    def expect(self, gateway: Ref) -> None:
        """There is such a gateway; its proxies wait for what they will be told."""
        self._served.setdefault(gateway, self._cell(gateway))

    def publish(self, gateway: Ref, snapshot: Snapshot) -> bool:
        """Tell the gateway's proxies, unless they have been told; whether there was anything to tell."""
        cell = self._served.setdefault(gateway, self._cell(gateway))
        if cell.value is snapshot:
            return False
        cell.put(snapshot)
        return True

    def told(self, gateway: Ref) -> Snapshot | None:
        """What the gateway's proxies should have, if there is such a gateway."""
        return self._served[gateway].value if gateway in self._served else None

    def forget(self, gateways: set[Ref]) -> set[Ref]:
        """Only these are left: say which are gone. Their proxies keep what they were told."""
        gone = self._served.keys() - gateways
        for each in gone:
            del self._served[each]
        return gone

    def _cell(self, gateway: Ref) -> Latest[Snapshot]:
        cell = self._cells.get(gateway)
        if cell is None:
            cell = self._cells[gateway] = Latest()
        return cell
