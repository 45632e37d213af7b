"""The fleet order among proxies: who is asked, when, and what is said of those who do not answer."""

import asyncio
import json
from time import monotonic
from typing import Any

import pytest
from immutables import Map
from structlog.testing import capture_logs
from typing_extensions import override

from tests.records import folder
from tests.records.folder import SHOP, Server
from tests.runtime import test_control as control
from tests.state.full import full
from tests.test_fleet_order import APP, B1, B2, DRAIN, V1, V2, at, deployment, ref, refs, release, world
from xds_server.api.release_reports import Question
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Sidecar
from xds_server.fleet_order import PATIENCE
from xds_server.messages.fields import text_field
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined, SotwRequest
from xds_server.protocol.sotw import SotwStream
from xds_server.records.saved import PROXY, UNFINISHED, Row
from xds_server.records.world import World
from xds_server.runtime.ordering import Follower, Ordering
from xds_server.runtime.presence import GRACE
from xds_server.runtime.waiting import Waiting
from xds_server.runtime.worlds import Fleet, GatewayWorlds
from xds_server.snapshot import Delivery, Resource, Snapshot, TypeUrl
from xds_server.state.store import Store
from xds_server.state.unfinished import RowKey
from xds_server.transport.connections import Connection, Connections

ROUTES = TypeUrl.ROUTES
GATEWAY = Node("edge-1", "edge", "gateway", version="1.40.0")


def sidecar(name: str, build: str) -> Node:
    return Node(name, "shop/web", "sidecar", version="1.40.0", build=build)


class Proxy(SotwStream):
    """A client that holds the routes it was last told to accept."""

    def __init__(self) -> None:
        super().__init__()
        self.routes: dict[str, Resource] = {}
        self.refused: set[str] = set()
        self.asked = 0

    @override
    def has(self, type_url: TypeUrl, resource: Resource) -> bool:
        self.asked += 1
        return self.routes.get(resource.name) == resource

    @override
    def refuses(self, type_url: TypeUrl, resource: Resource) -> bool:
        return resource.version in self.refused

    @override
    def holds(self, kind: TypeUrl) -> dict[str, Resource]:
        return self.routes if kind is ROUTES else {}


class Told(GatewayWorlds):
    """What each fleet is told, as the test publishes it."""

    def __init__(self) -> None:
        super().__init__()
        self.snapshots: dict[Fleet, Snapshot] = {}
        self.in_quarantine: set[str] = set()

    @override
    def holds_back(self, fleet: Fleet, delivery: Delivery, type_url: TypeUrl, name: str, version: str) -> bool:
        return version in self.in_quarantine

    @override
    def told(self, fleet: Fleet, delivery: Delivery = Delivery.FULL) -> Snapshot | None:
        return self.snapshots.get(fleet)

    @override
    def objection(self, node: Node) -> str:
        return "too old" if node.version == "1.20.0" else ""


class House:
    """A gateway, and sidecars beside both builds. It begins with v1, everywhere."""

    def __init__(self, *sidecars: Node) -> None:
        self.now = 100.0
        self.world = World(Map({APP: world(V1, B1, release("shop", "v1"))}))
        self.other: dict[str, Resource] = {}
        self.worlds, self.connections = Told(), Connections()
        self.published = 0
        self.notes: list[tuple[Ref, str]] = []
        self.rung = 0
        self.rows: dict[RowKey, Row] = {}
        self.saved = 0
        follower = Follower(
            self._keep, self._told, lambda release, what: self.notes.append((release, what)), self._ring
        )
        self.ordering = Ordering(self.worlds, self.connections, follower, lambda: self.now)
        self.open: dict[str, Connection] = {}
        for node in (GATEWAY, *sidecars):
            self.opens(node)
        self._publish()
        for name in self.open:
            self.takes(name)

    def opens(self, node: Node) -> None:
        self.open[node.id] = self.connections.enter(node, "sotw", Proxy())
        self.ordering.opened(node, "sotw")
        self.worlds.snapshots.setdefault(_fleet(node), Snapshot({}, serial=1))

    def closes(self, name: str) -> None:
        connection = self.open.pop(name)
        self.connections.leave(connection)
        self.ordering.closed(connection.node, "sotw")

    def says(self, *records: Any) -> None:
        before, self.world = self.world, World(Map({APP: world(*records)}))
        self.ordering.accept(before, self.world, [APP])
        self._keep()
        self._publish()

    def takes(self, name: str) -> None:
        """It accepts what it is told."""
        connection = self.open[name]
        proxy = self.proxy(name)
        proxy.routes = dict(self.worlds.snapshots[_fleet(connection.node)].of(ROUTES))
        self.ordering.acked(connection.node, Acked(ROUTES, "1", tuple(proxy.routes.values()), ()))

    def proxy(self, name: str) -> Proxy:
        stream = self.open[name].stream
        assert isinstance(stream, Proxy)
        return stream

    async def waits(self, seconds: float) -> None:
        """Time passes, and somebody says something: then it is seen that it has."""
        self.now += seconds
        self.ordering._tell(frozenset())
        await settled()

    @property
    def told(self) -> tuple[str, str]:
        """The deployments inside, and those outside."""
        return _words(self.ordering.inside(self.world)), _words(self.ordering.outside(self.world))

    @property
    def problems(self) -> list[str]:
        return [each.what for each in self.ordering.problems(Server(SHOP).admission)]

    @property
    def steps(self) -> list[str]:
        """What is under way, as it is saved."""
        found = [row for row in self.rows.values() if row.namespace == "step shop"]
        return sorted(f"{row.name} {json.loads(row.document)['phase']}" for row in found)

    def _keep(self) -> None:
        rows, gone = self.ordering.unsaved(at(self.now))
        self.saved += bool(rows or gone)
        for key in gone:
            self.rows.pop(key, None)
        self.rows |= {row[:3]: row for row in rows}

    def _told(self, apps: frozenset[Ref]) -> None:
        assert self.ordering.unsaved(at(self.now)) == ([], []), "it is saved before"
        assert apps == {APP}
        self.published += 1
        self._publish()

    def _publish(self) -> None:
        for fleet in self.worlds.snapshots:
            mine = self.ordering.inside if isinstance(fleet, Sidecar) else self.ordering.outside
            words = _words(mine(self.world))
            body = b"".join(text_field(1, f"{each}/web") for each in words.split())
            routes = Map({"edge/http": Resource("edge/http", words, body), **self.other})
            self.worlds.snapshots[fleet] = Snapshot({ROUTES: routes}, serial=1)

    async def goes(self) -> None:
        """v2 has come, and goes again: sidecars wait for the gateway."""
        self.says(*BOTH, release("shop", "v1"))
        self.takes("web-2")
        await settled()
        self.takes("edge-1")
        self.says(V1, B1, release("shop", "v1"))
        await settled()

    def _ring(self) -> None:
        self.rung += 1


def _words(world: World) -> str:
    return " ".join(sorted(each.name for each in world.app(APP).deployments))


def _fleet(node: Node) -> Fleet:
    return Sidecar(BuildId(APP, "web", node.build)) if node.role == "sidecar" else ref(node.cluster)


async def settled() -> None:
    """Until all that is due at once has been done."""
    for _ in range(5):
        await asyncio.sleep(0)


ONE, TWO = sidecar("web-1", "b1"), sidecar("web-2", "b2")
BOTH = (V1, V2, B1, B2)


async def test_gateways_wait_for_the_sidecars_beside_its_builds_alone() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    assert house.told == ("v1 v2", "v1")
    house.takes("web-1")
    await settled()
    assert house.told == ("v1 v2", "v1")

    house.takes("web-2")
    await settled()
    assert house.told == ("v1 v2", "v1 v2")
    assert house.published == 1


async def test_sidecars_wait_for_gateways_and_the_drain() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    house.takes("web-2")
    await settled()
    house.takes("edge-1")
    house.says(V1, B1, release("shop", "v1"))
    await settled()
    house.takes("web-2")
    await house.waits(PATIENCE - 1)
    assert house.told == ("v1 v2", "v1")
    house.takes("edge-1")
    await settled()
    await house.waits(DRAIN - 1)
    assert house.told == ("v1 v2", "v1")
    await house.waits(1)
    assert house.told == ("v1", "v1")
    assert house.problems == []


async def test_what_another_app_has_is_nothing_to_wait_for() -> None:
    """The gateway does not take it, for whatever reason: that is news of the other app alone."""
    house = House(ONE, TWO)
    held, newer = (Resource("edge/blog", each, text_field(1, "first/web")) for each in ("1", "2"))
    house.other = {"edge/blog": newer}
    await house.goes()
    house.takes("edge-1")
    house.proxy("edge-1").routes["edge/blog"] = held
    await settled()
    await house.waits(DRAIN)
    assert (house.told, house.problems) == (("v1", "v1"), [])


async def test_what_a_gateway_holds_since_an_earlier_stream_may_be_anything() -> None:
    house = House(ONE, TWO)
    house.other = {"edge/blog": Resource("edge/blog", "2", b"")}
    await house.goes()
    house.takes("edge-1")
    house.proxy("edge-1").routes["edge/blog"] = Resource("edge/blog", "1", b"")
    await settled()
    await house.waits(PATIENCE)
    assert len(house.problems) == 1


@pytest.mark.parametrize("who", ["itself", "another"])
async def test_nobody_waits_for_a_gateway_to_accept_what_was_refused(who: str) -> None:
    house = House(ONE, TWO)
    await house.goes()
    assert house.ordering._acceptance.waited_for == {"edge-1"}
    if who == "itself":
        house.proxy("edge-1").refused.add("v1")
        house.ordering.nacked(GATEWAY, Nacked(ROUTES, "2", "no", {"edge/http": "v1"}))
    else:
        house.worlds.in_quarantine.add("v1")
        house.ordering.quarantined(Node("edge-2", "edge"), Quarantined(ROUTES, "edge/http", "v1", "no"))
    await settled()
    await house.waits(DRAIN)
    assert (house.told, house.problems) == (("v1", "v1"), [])


async def test_what_a_release_gives_until_another_has_come_is_gone_when_gateways_are_told_so() -> None:
    """v2 arrives, and with it the release moves and v1 goes: gateways have that to accept, too."""
    house = House(ONE, TWO)
    house.says(V2, B2, release("shop", "v2"))
    await settled()
    house.takes("web-2")
    await settled()
    assert house.told == ("v1 v2", "v2")
    await house.waits(PATIENCE - 1)
    house.takes("edge-1")
    await settled()
    await house.waits(DRAIN - 1)
    assert house.told == ("v1 v2", "v2")
    await house.waits(1)
    assert house.told == ("v2", "v2")


async def test_a_sidecar_that_is_told_nothing_is_not_waited_for() -> None:
    house = House(ONE, Node("web-3", "shop/web", "sidecar", version="1.20.0", build="b2"))
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    assert house.told == ("v1 v2", "v1 v2")


async def test_a_sidecar_that_is_lost_is_waited_for_a_moment() -> None:
    """It goes on with what it holds; most come back."""
    house = House(ONE, TWO)
    house.closes("web-2")
    house.says(*BOTH, release("shop", "v2"))
    await settled()
    assert house.told == ("v1 v2", "v1")
    who = "sidecar web-2 beside shop/web@b2, which is not connected,"
    assert house.ordering.waits_for(APP, ref("shop")) == f"waits for {who} to accept v2"
    house.opens(TWO)
    await settled()
    assert house.told == ("v1 v2", "v1")
    house.takes("web-2")
    await settled()
    assert house.told == ("v1 v2", "v1 v2")


async def test_a_sidecar_that_does_not_come_back_is_not_late() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    await house.waits(1)
    house.closes("web-2")
    await house.waits(PATIENCE - 1)
    assert house.told == ("v1 v2", "v1 v2")
    assert (house.notes, house.problems) == ([], [])


async def test_a_sidecar_that_has_been_gone_for_long_is_waited_for_no_more() -> None:
    house = House(ONE, TWO)
    house.closes("web-2")
    await house.waits(GRACE)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    assert house.told == ("v1 v2", "v1 v2")


async def test_who_is_gone_for_good_keeps_nobody_waiting() -> None:
    house = House(ONE, TWO)
    house.closes("web-2")
    await house.waits(GRACE - 1)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    assert house.told == ("v1 v2", "v1")
    await house.waits(1)
    assert house.told == ("v1 v2", "v1 v2")


async def test_an_order_outlives_the_last_sidecar_for_a_moment() -> None:
    house = House(TWO)
    house.says(*BOTH, release("shop", "v1"))
    house.takes("web-2")
    await settled()
    house.closes("web-2")
    house.says(V1, B1, release("shop", "v1"))
    assert house.told == ("v1 v2", "v1")
    house.opens(TWO)
    house.says(V1, B1, B2, release("shop", "v1"))
    assert house.told == ("v1 v2", "v1")
    house.closes("web-2")
    await house.waits(GRACE)
    house.says(V1, B1, release("shop", "v1"))
    assert house.told == ("v1", "v1")
    assert not [row for row in house.rows.values() if row.kind == UNFINISHED]


async def test_what_is_under_way_has_rows_and_what_proxies_say_has_none() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v2"))
    assert house.steps == ["v2 appearing"]
    await settled()
    house.saved = 0
    house.takes("web-1")
    await settled()
    assert house.saved == 0
    house.takes("web-2")
    await settled()
    house.takes("edge-1")
    assert (house.steps, house.saved) == ([], 1)

    house.says(V1, B1, release("shop", "v1"))
    assert house.steps == ["v2 leaving"]
    await settled()
    house.saved = 0
    house.takes("web-1")
    await settled()
    assert house.saved == 0
    house.takes("edge-1")
    await settled()
    assert (house.steps, house.saved) == (["v2 draining"], 1)
    await house.waits(DRAIN)
    assert house.steps == ["v2 vanishing"]
    assert house.told == ("v1", "v1")
    house.takes("web-2")
    await settled()
    assert house.steps == []


async def test_a_fleet_that_comes_and_goes_is_kept_in_few_transactions() -> None:
    many = [sidecar(f"web-{number}", "b2") for number in range(100)]
    house = House(*many)
    house.saved = 0
    house.ordering._keep()
    assert house.saved == 1
    assert sorted(row.name for row in house.rows.values()) == sorted(["edge-1", *(each.id for each in many)])
    for each in many:
        house.closes(each.id)
        house.opens(each)
    house.ordering._keep()
    assert house.saved == 1, "nobody came who was not there"


async def test_a_sidecar_that_comes_meanwhile_is_waited_for() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    house.opens(sidecar("web-3", "b2"))
    house.takes("web-2")
    await settled()
    assert house.told == ("v1 v2", "v1")
    house.takes("web-3")
    await settled()
    assert house.told == ("v1 v2", "v1 v2")


async def test_without_sidecars_there_is_one_world() -> None:
    house = House()
    house.says(*BOTH, release("shop", "v1"))
    assert house.told == ("v1 v2", "v1 v2")
    house.says(V1, B1, release("shop", "v1"))
    assert house.told == ("v1", "v1")


async def test_a_release_says_what_it_waits_for() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v2"))
    assert house.ordering.waits_for(APP, ref("shop")) == "waits for sidecars to accept v2"
    await settled()
    assert house.ordering.held_back(APP) == refs("shop")
    assert house.ordering.waits_for(APP, ref("shop")) == "waits for sidecar web-2 beside shop/web@b2 to accept v2"
    assert house.ordering.waits_for(APP, ref("other")) == ""
    assert house.ordering.waits_for(ref("other"), ref("shop")) == "", "only its own app is looked at"
    house.takes("web-2")
    await settled()
    assert house.ordering.waits_for(APP, ref("shop")) == ""
    assert house.ordering.held_back(APP) == frozenset()


async def test_a_release_of_another_one_under_the_name_of_what_goes_waits_for_its_end() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    house.takes("web-2")
    await settled()
    house.says(V1, B1, release("shop", "v1"))
    await settled()
    house.says(V1, deployment("v2", "b3"), B1, release("shop", "v2"))
    await settled()
    assert house.ordering.waits_for(APP, ref("shop")) == "waits until the v2 that was there before is gone"


async def test_who_is_late_is_said_until_it_accepts() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v2"))
    await settled()
    assert house.problems == []
    with capture_logs() as logged:
        await house.waits(PATIENCE)
    late = "sidecar web-2 beside shop/web@b2"
    assert [(each["log_level"], each["deployment"], each["proxies"]) for each in logged] == [("warning", "v2", late)]
    assert house.notes == [(ref("shop"), f"did not wait any longer for {late} to accept v2")]
    assert house.told == ("v1 v2", "v1 v2"), "the others go on"
    assert house.problems == [f"{late} did not accept v2 in 10 s: gateways give it requests all the same"]

    house.says(*BOTH, release("shop", "v1"))
    await settled()
    assert len(house.problems) == 1, "it is late still"
    rung = house.rung
    house.takes("web-2")
    await settled()
    assert house.problems == []
    assert house.rung == rung + 1


async def test_who_has_accepted_it_is_not_late_however_often_other_records_change() -> None:
    house = House(ONE, TWO, sidecar("web-3", "b2"))
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    house.takes("web-2")
    await settled()
    house.other = {"edge/https": Resource("edge/https", "others", b"")}
    house.says(*BOTH, release("shop", "v1", "v2"))
    await house.waits(PATIENCE)

    assert house.problems == [
        "sidecar web-3 beside shop/web@b2 did not accept v2 in 10 s: gateways give it requests all the same"
    ]


async def test_of_a_deployment_that_is_edited_before_it_has_come_all_are_asked_anew() -> None:
    house = House(ONE, TWO, sidecar("web-3", "b2"))
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    house.takes("web-2")
    await settled()
    house.other = {"edge/https": Resource("edge/https", "others", b"")}
    house.says(V1, deployment("v2", "b2", "20s"), B1, B2, release("shop", "v1"))
    await settled()
    house.takes("web-3")
    await settled()
    assert house.told == ("v1 v2", "v1")
    house.takes("web-2")
    await settled()
    assert house.told == ("v1 v2", "v1 v2")


async def test_what_is_late_ends_with_the_proxy_or_the_deployment() -> None:
    for ends in ("proxy", "deployment"):
        house = House(ONE, TWO)
        house.says(*BOTH, release("shop", "v1"))
        await settled()
        await house.waits(PATIENCE)
        assert len(house.problems) == 1
        if ends == "proxy":
            house.closes("web-2")
            assert house.problems == [], "at once"
        else:
            house.says(V1, B1, release("shop", "v1"))
        await settled()
        assert house.problems == []


async def test_a_gateway_that_is_late_is_said_until_the_drain_is_over() -> None:
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    house.takes("web-2")
    await settled()
    house.takes("edge-1")
    house.says(V1, B1, release("shop", "v1"))
    await settled()
    await house.waits(PATIENCE)
    assert house.problems == [
        "gateway edge-1 of edge did not accept in 10 s that v2 is gone: it is drained all the same"
    ]
    assert house.notes == []
    house.says(V1, B1, release("shop", "v1"))
    await settled()
    assert len(house.problems) == 1, "other records are no news of that"
    await house.waits(DRAIN)
    assert house.told == ("v1", "v1")
    assert house.problems == []


@pytest.mark.parametrize("records", [(*BOTH, release("shop", "v1")), (V1, B1, release("shop", "v1"))])
async def test_time_may_be_over_before_anybody_was_asked(records: tuple[Any, ...]) -> None:
    """Records that change are asked about anew; time may be over just then."""
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v1"))
    house.takes("web-2")
    await settled()
    house.says(V1, B1, release("shop", "v1"))
    await house.waits(PATIENCE)
    await house.waits(DRAIN)
    assert house.steps == ["v2 vanishing"]
    house.now += PATIENCE
    house.says(*records)
    house.ordering._wake()
    await settled()
    assert house.told[0] == ("v1 v2" if len(records) > 3 else "v1")


async def test_who_accepts_without_a_word_is_not_late() -> None:
    """One that comes back with all there is has nothing to acknowledge."""
    house = House(ONE, TWO)
    house.says(*BOTH, release("shop", "v2"))
    await settled()
    house.proxy("web-2").routes = dict(house.worlds.snapshots[_fleet(TWO)].of(ROUTES))
    await house.waits(PATIENCE)
    assert house.told == ("v1 v2", "v1 v2")
    assert (house.notes, house.problems) == ([], [])


class Running(control.Server):
    """A server with a gateway, and sidecars that take what they are told when they shall."""

    def connects(self, node: Node) -> None:
        stream = SotwStream()
        stream.receive(SotwRequest(ROUTES, (), node=node))
        self.control.connections.enter(node, "sotw", stream)
        for each in self.control.observers:
            each.opened(node, "sotw")
        self.control.worlds.join(node, "sotw", stream, lambda effects: None)

    def later(self, seconds: float) -> None:
        """So many seconds after now."""
        ordering = self.control.publishing._ordering
        ordering._clock = lambda: monotonic() + seconds
        ordering._wake_in_time()

    def inside(self, node: Node) -> str:
        """The deployments of which sidecars beside this build are told."""
        snapshot = self.control.worlds.told(_fleet(node))
        assert snapshot is not None
        return " ".join(sorted({name.partition("/")[0] for name in snapshot.of(TypeUrl.CLUSTER) if "/web" in name}))

    def outside(self) -> str:
        """The released deployments, at the gateway."""
        snapshot = self.snapshot()
        assert snapshot is not None
        body = snapshot.of(ROUTES)["edge/http"].body
        return " ".join(name for name in ("v1", "v2", "v3") if f"{name}/web".encode() in body)

    def body_of(self, host: str) -> bytes:
        """Its virtual host, at the gateway."""
        told = self.control.worlds.told(ref("edge"), Delivery.ON_DEMAND)
        assert told is not None
        found = told.of(TypeUrl.VIRTUAL_HOST).get(f"edge/http/{host}")
        return b"" if found is None else found.body


PLACE = {"addresses": ["10.0.0.9:8080"]}
V3_RELEASED = {
    "b3.yaml": folder.build("web-3", "b3"),
    "v3.yaml": folder.deployment("v3", "b3"),
    "shop.yaml": folder.release("shop", "shop.test", to="v3"),
}
BESIDE_B2, BESIDE_B3 = sidecar("web-2", "b2"), sidecar("web-3", "b3")


async def test_what_does_not_come_into_force_leaves_the_order_as_it_was() -> None:
    """Whatever is under way: nothing, v2 that comes, v2 that goes."""
    for under_way in ((V1, B1, release("shop", "v1")), (*BOTH, release("shop", "v1")), ()):
        house = House(ONE, TWO)
        if under_way:
            house.says(*under_way)
            await settled()
        else:
            await house.goes()
        before, told, steps = house.world, house.told, house.steps
        for records in ((B1, V2, B2, release("shop", "v2")), (*BOTH, release("shop", "v2")), ()):
            house.ordering.accept(before, World(Map({APP: world(*records)})), [APP])
            house._keep()
            house.ordering.take_back()
            house._keep()
            assert (house.told, house.steps) == (told, steps)

        await settled()
        house.says(*BOTH, release("shop", "v2"))
        await settled()
        house.takes("web-2")
        house.takes("edge-1")
        await settled()
        assert house.told == ("v1 v2", "v1 v2")


async def test_while_nothing_can_be_written_nobody_is_told_of_a_release_that_moves(store: Store) -> None:
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(GATEWAY)
    server.connects(BESIDE_B2)
    await settled()
    news = {"v3.yaml": folder.deployment("v3", "b1"), "shop.yaml": folder.release("shop", "shop.test", to="v3")}
    with full(store):
        server.hears(news)
        server.connects(ONE)
        await settled()
        assert (server.inside(ONE), server.outside()) == ("v1", "v1")
        server.hears({"v4.yaml": folder.deployment("v4", "b1")})
        await settled()
        assert server.inside(ONE) == "v1 v4", "of what no history shows"

    server.control.catch_up()
    await settled()
    assert server.inside(ONE) == "v1 v3 v4"
    found = [(row.name, json.loads(row.document)["phase"]) for row in store.load() if row.namespace == "step shop"]
    assert found == [("v3", "appearing"), ("v4", "appearing")]


async def test_who_waits_for_a_release_hears_what_it_waits_for_and_the_ledger_keeps_who_was_late(store: Store) -> None:
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(GATEWAY)
    server.connects(BESIDE_B3)
    server.hears(V3_RELEASED)
    await settled()
    waiting = Waiting(server.control.books, lambda: server.control.admission, server.control.waits_for)
    answer = await waiting.wait(Question(release=ref("shop")), 0)
    late = "sidecar web-3 beside shop/web@b3"
    assert (answer.verdict, answer.why) == ("pending", f"waits for {late} to accept v3")
    assert "v3" not in server.outside()

    server.later(PATIENCE)
    await settled()
    assert "v3" in server.outside()
    answer = await waiting.wait(Question(release=ref("shop")), 0)
    assert answer.entry is not None
    assert (answer.why, answer.entry.note) == (
        "0 of 1 accepted, 1 pending",
        f"did not wait any longer for {late} to accept v3",
    )
    assert [each.reason for each in server.control.problems] == ["LateProxy"]
    server.control.books.save_all()
    assert store.history(ref("shop"))[0].note == answer.entry.note


async def test_what_was_under_way_goes_on_after_a_restart(store: Store) -> None:
    """Whoever comes back first: gateways lose nothing, and a drain goes on."""
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(GATEWAY)
    server.connects(BESIDE_B2)
    server.connects(BESIDE_B3)
    server.hears({"v2.yaml": None})
    server.hears(V3_RELEASED)
    await settled()
    assert ("v2" in server.inside(BESIDE_B2), server.outside()) == (True, "v1")
    before = server.snapshot()
    server.control.end()

    again = Running(store)
    again.hears({**SHOP, "v2.yaml": None, **V3_RELEASED}, complete=True)
    await settled()
    after = again.snapshot()
    assert before is not None
    assert after is not None
    assert dict(after.of(ROUTES)) == dict(before.of(ROUTES))
    who = "sidecar web-3 beside shop/web@b3"
    assert again.control.waits_for(ref("shop")) == f"waits for {who}, which is not connected, to accept v3"
    again.connects(GATEWAY)
    again.connects(BESIDE_B2)
    again.connects(BESIDE_B3)
    await settled()
    assert ("v2" in again.inside(BESIDE_B2), again.outside()) == (True, "v1")
    assert again.control.waits_for(ref("shop")) == f"waits for {who} to accept v3"

    again.later(PATIENCE)
    await settled()
    assert ("v2" in again.inside(BESIDE_B2), again.outside()) == (True, "v3")
    again.later(PATIENCE + DRAIN)
    await settled()
    assert "v2" not in again.inside(BESIDE_B2)
    again.later(PATIENCE + DRAIN + PATIENCE)
    await settled()
    assert [row for row in store.load() if row.kind == UNFINISHED] == []


async def test_records_that_change_while_the_server_does_not_run_are_told_in_order(store: Store) -> None:
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(BESIDE_B3)
    server.hears({"b2.yaml": folder.build("web-2", "b2")})
    server.control.end()

    again = Running(store)
    again.hears({**SHOP, "v2.yaml": None, **V3_RELEASED}, complete=True)
    await settled()
    assert again.outside() == "v1"
    again.connects(BESIDE_B3)
    await settled()
    assert ("v2" in again.inside(BESIDE_B3), "v3" in again.inside(BESIDE_B3)) == (False, True)
    again.later(PATIENCE)
    await settled()
    assert again.outside() == "v3"


async def test_an_app_whose_sidecars_do_not_come_back_after_a_restart_has_no_order(store: Store) -> None:
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(BESIDE_B3)
    server.control.publishing.keep_order()
    server.control.end()

    again = Running(store)
    again.hears(SHOP, complete=True)
    again.later(GRACE)
    await settled()
    again.hears(V3_RELEASED)
    assert again.outside() == "v3"
    again.control.publishing.keep_order()
    assert [row for row in store.load() if row.kind in (PROXY, UNFINISHED)] == []


async def test_without_a_state_everybody_is_told_all_at_once(store: Store) -> None:
    """Gateways may hold what the state would have said: nothing is taken from them for sidecars to accept first."""
    server = Running(store)
    server.connects(GATEWAY)
    server.connects(BESIDE_B2)
    server.hears({**SHOP, **V3_RELEASED}, complete=True)
    assert server.outside() == "v3"
    await settled()
    assert "v2" in server.inside(BESIDE_B2)
    server.hears({"v2.yaml": None})
    await settled()
    assert "v2" in server.inside(BESIDE_B2), "from then on there is an order"


async def test_before_the_first_read_nothing_is_forgotten(store: Store) -> None:
    """Proxies may be there before the records are."""
    server = Running(store)
    server.hears(SHOP, complete=True)
    server.connects(BESIDE_B3)
    server.hears(V3_RELEASED)
    await settled()
    server.control.end()
    rows = store.load()

    again = Running(store)
    again.connects(GATEWAY)
    again.connects(BESIDE_B3)
    again.control.tick()
    again.control.publishing.keep_order()
    assert store.load() == rows
    again.hears({**SHOP, **V3_RELEASED}, complete=True)
    await settled()
    assert again.outside() == "v1"


async def test_a_host_that_goes_to_another_app_stays_there_whatever_its_first_one_waits_for(store: Store) -> None:
    """The shop has a new deployment, for which it waits, and gives up a host that the blog takes at once."""
    blog = folder.record("Build", "blog-1", {"app": "blog", "component": "web", "build": "c1", "endpoints": PLACE})
    server = Running(store)
    server.hears({**SHOP, "shop.yaml": folder.release("shop", "shop.test", "new.test")}, complete=True)
    server.connects(GATEWAY)
    server.connects(BESIDE_B3)
    server.hears({**V3_RELEASED, "shop.yaml": folder.release("shop", "shop.test", to="v3")})
    server.hears(
        {
            "blog.yaml": blog,
            "first.yaml": folder.deployment("first", "c1", app="blog"),
            "release.yaml": folder.release("blog", "new.test", to="first", app="blog"),
        }
    )
    await settled()
    assert server.outside() == "v1", "the shop waits"
    taken = server.body_of("new.test")
    assert b"first/web" in taken
    server.hears({"v2.yaml": folder.deployment("v2", "b1")})
    assert server.body_of("new.test") == taken, "whoever is compiled last"

    server.later(PATIENCE)
    await settled()
    assert "v3" in server.outside()
    assert server.body_of("new.test") == taken


async def test_each_of_a_thousand_sidecars_is_asked_twice() -> None:
    """Once when it is told, once when it answers: whoever answers first or last."""
    many = [sidecar(f"web-{number}", "b2") for number in range(1000)]
    house = House(*many)
    house.says(*BOTH, release("shop", "v1"))
    await settled()
    for each in many:
        assert house.told == ("v1 v2", "v1")
        house.takes(each.id)
        await settled()
    assert house.told == ("v1 v2", "v1 v2")
    assert sum(house.proxy(each.id).asked for each in many) == 2 * len(many)
