"""Where clusters are warm, as proxies have said it; and who is told when nobody is waited for any more."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from immutables import Map
from typing_extensions import override

from tests.records.folder import SHOP, Content, Server, build, documents, release
from tests.runtime.test_ordering import Told as Worlds
from tests.runtime.test_ordering import settled
from xds_server.domain.names import Ref
from xds_server.ledger.ledger import Ledger
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import Acked, Nacked, Node, Stuck
from xds_server.records.admission import reconsidered
from xds_server.records.admitted import Admission
from xds_server.records.readiness import ASSUMED, Question
from xds_server.runtime.activating import Activating, Told
from xds_server.snapshot import Resource, Snapshot, TypeUrl
from xds_server.transport.connections import Connection, Connections

EDGE, SHOP_REF, V2 = (Ref("default", name) for name in ("edge", "shop", "v2"))
CDS = TypeUrl.CLUSTER
CLUSTER = Resource("v2/web", "1", b"")
CHECK = {"healthCheck": {"path": "/healthz"}}
FILES: dict[str, Content] = {**SHOP, "builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2", **CHECK))}
AT_V2: dict[str, Content] = {"shop.yaml": release("shop", "shop.test", to="v2")}


class Proxy(DeltaStream):
    """A client that holds the clusters it was last said to have accepted."""

    def __init__(self) -> None:
        super().__init__()
        self.clusters: set[Resource] = set()

    @override
    def has(self, type_url: TypeUrl, resource: Resource) -> bool:
        return type_url is CDS and resource in self.clusters


class Books(Ledger):
    """All that are connected have the release loaded."""

    def __init__(self, connections: Connections) -> None:
        super().__init__()
        self.connections = connections
        self.without: set[str] = set()

    @override
    def holding(self, release: Ref) -> Iterator[tuple[str, int]]:
        found = (each.node for each in self.connections if each.node.id not in self.without)
        return ((each.id, each.stream) for each in found)


class House(Server):
    """Gateways, and a server whose record wants v2. Its one instance is well."""

    def __init__(self, *, on_demand: bool = True, probes: bool = False) -> None:
        super().__init__(FILES)
        self.worlds, self.connections = Worlds(), Connections()
        self.books = Books(self.connections)
        self.reconsidered: list[list[Ref]] = []
        self.news = asyncio.Event()
        told = Told(self.worlds, self.connections, self.books)
        self.activating = Activating(told, self._ask, self._reconsider)
        if not probes:
            self.activating.ask_nobody()
        self.admission = self.admission.asking(self.activating)
        self.answer = ""
        self.tells(on_demand=on_demand)

    async def _ask(self, question: Question, address: str) -> str:
        await asyncio.sleep(0)
        return self.answer

    def _reconsider(self, releases: Iterable[Ref]) -> None:
        found = list(releases)
        self.reconsidered.append(found)
        self.news.set()
        self._turn(reconsidered(self.admission, found, self.now))

    @override
    def _turn(self, after: Admission) -> None:
        super()._turn(after)
        if after.conditions is not ASSUMED:
            self.activating.follow(after)

    def tells(self, *clusters: Resource, on_demand: bool = True) -> None:
        found = Map({each.name: each for each in clusters or (CLUSTER,)})
        self.worlds.snapshots[EDGE] = Snapshot({CDS: found}, serial=1, on_demand=on_demand)

    def opens(self, name: str, *held: Resource) -> Connection:
        proxy = Proxy()
        proxy.clusters.update(held)
        return self.connections.enter(Node(name, "edge", "gateway", version="1.40.0"), "delta", proxy)

    def closes(self, connection: Connection) -> None:
        self.connections.leave(connection)
        self.activating.closed(connection.node, "delta")

    async def warms(self, connection: Connection, resource: Resource = CLUSTER) -> None:
        assert isinstance(connection.stream, Proxy)
        connection.stream.clusters.add(resource)
        self.activating.acked(connection.node, Acked(CDS, "1", (resource,), ()))
        await settled()

    @property
    def lacks(self) -> str:
        """What the release waits for."""
        return "".join(each.what for each in self.admission.problems if each.record == "Release/default/shop")


@pytest.fixture
async def house() -> House:
    return House()


async def test_it_waits_for_each_gateway_that_has_it_loaded(house: House) -> None:
    one, other = house.opens("edge-1"), house.opens("edge-2")
    house.books.without.add(house.opens("edge-3").node.id)
    house.hears(AT_V2)
    assert house.lacks == (
        "waits: cluster v2/web is not warm yet at gateway edge-1 of edge, "
        "cluster v2/web is not warm yet at gateway edge-2 of edge"
    )
    [(_, pending)] = house.admission.waiting
    assert pending.listed == (V2,)

    await house.warms(one)
    assert house.reconsidered == [], "there is another one"
    await house.warms(other)
    assert house.reconsidered == [[SHOP_REF]]
    assert house.lacks == ""


async def test_where_it_is_warm_it_waits_for_nobody(house: House) -> None:
    house.opens("edge-1", CLUSTER)
    house.hears(AT_V2)
    assert house.lacks == ""
    assert not house.activating._owed, "nothing is kept of it"


async def test_of_what_gateways_are_told_anyway_nothing_is_listed() -> None:
    house = House(on_demand=False)
    house.opens("edge-1")
    house.hears(AT_V2)
    [(_, pending)] = house.admission.waiting
    assert pending.listed == ()


async def test_a_gateway_that_goes_is_not_waited_for(house: House) -> None:
    gone = house.opens("edge-1")
    house.hears(AT_V2)
    house.closes(gone)
    await settled()
    assert house.lacks == ""


async def test_one_that_comes_is_asked_before_it_is_over(house: House) -> None:
    one = house.opens("edge-1")
    house.hears(AT_V2)
    other = house.opens("edge-2")
    await house.warms(one)
    assert house.lacks == "waits: cluster v2/web is not warm yet at gateway edge-2 of edge"
    await house.warms(other)
    assert house.lacks == ""


async def test_a_cluster_that_does_not_warm_is_said_to(house: House) -> None:
    one = house.opens("edge-1")
    house.hears(AT_V2)
    house.activating.stuck(one.node, Stuck(("v2/web",)))
    await settled()
    assert house.lacks == "waits: cluster v2/web does not warm at gateway edge-1 of edge"

    await house.warms(one)
    assert house.lacks == ""


async def test_what_was_stuck_before_is_known_to_be(house: House) -> None:
    one = house.opens("edge-1")
    house.activating.stuck(one.node, Stuck(("v2/web",)))
    house.hears(AT_V2)
    assert house.lacks == "waits: cluster v2/web does not warm at gateway edge-1 of edge"


async def test_only_the_content_that_is_told_now_is_warm(house: House) -> None:
    newer = Resource("v2/web", "2", b"")
    one = house.opens("edge-1", CLUSTER)
    house.tells(newer)
    house.hears(AT_V2)
    await house.warms(one)
    assert house.lacks
    await house.warms(one, newer)
    assert not house.lacks


async def test_a_refusal_is_no_answer(house: House) -> None:
    one = house.opens("edge-1")
    house.hears(AT_V2)
    house.activating.nacked(one.node, Nacked(CDS, "1", "no", {"v2/web": "1"}))
    await settled()
    assert house.lacks


async def test_answers_of_instances_are_news_of_those_who_wait_for_them() -> None:
    house = House(probes=True)
    house.answer = "answered 503"
    house.hears(AT_V2)
    assert house.lacks.endswith("nobody has answered yet")
    async with asyncio.TaskGroup() as tasks:
        work = tasks.create_task(house.activating.probing.work())
        await house.news.wait()
        house.news.clear()
        assert house.lacks.endswith("answered 503")
        house.answer = ""
        await house.news.wait()
        work.cancel()
    assert house.lacks == ""
