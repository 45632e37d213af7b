"""Which world a proxy is told of, and when."""

import asyncio
from dataclasses import replace

import pytest
from typing_extensions import override

from tests.protocol.worlds import CDS, EDS, RDS, world
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Ports, Sidecar
from xds_server.ports import Seat
from xds_server.protocol.delta import DeltaStream
from xds_server.protocol.events import DeltaRequest, Effect, End, Nacked, Node, Send, SotwRequest
from xds_server.protocol.sotw import SotwStream
from xds_server.protocol.stream import Stream
from xds_server.runtime.pacing import Pacing
from xds_server.runtime.worlds import GatewayWorlds, delivery_of, fleet_of, sidecar_of
from xds_server.snapshot import Delivery, Snapshot

EDGE = Ref("default", "edge")


class Proxy:
    """A stream that wants the endpoints `pods`, or something else, and accepts what it is sent."""

    def __init__(self, worlds: GatewayWorlds, node: Node, mode: str = "delta", wants: str = EDS) -> None:
        self.heard: list[Effect] = []
        self.told = asyncio.Event()
        self._wants = wants
        stream: Stream[DeltaRequest] | Stream[SotwRequest]
        if mode == "delta":
            stream = DeltaStream()
            stream.receive(DeltaRequest(wants, ("pods",), node=node))
        else:
            stream = SotwStream()
            stream.receive(SotwRequest(wants, ("pods",), node=node))
        self.seat: Seat = worlds.join(node, mode, stream, self._hear)

    @property
    def versions(self) -> list[str]:
        """Of what it was sent, in order."""
        return [each.version for effect in self.heard if isinstance(effect, Send) for each in effect.resources]

    def accepts(self) -> None:
        [*_, last] = [effect.nonce for effect in self.heard if isinstance(effect, Send)]
        self.seat.receive(DeltaRequest(self._wants, nonce=last))

    def refuses(self, why: str) -> None:
        [*_, last] = [effect.nonce for effect in self.heard if isinstance(effect, Send)]
        self.seat.receive(DeltaRequest(self._wants, nonce=last, error=why))

    def _hear(self, effects: list[Effect]) -> None:
        self.heard += effects
        self.told.set()


def node(cluster: str = "edge", role: str = "gateway", version: str = "") -> Node:
    return Node("edge-1", cluster, role, version=version)


def pods(version: int, after: Snapshot | None = None) -> Snapshot:
    return world(endpoints=[f"pods={version}"], after=after)


ONE = pods(1)
TWO = pods(2, ONE)


def both(snapshot: Snapshot) -> dict[Delivery, Snapshot]:
    return dict.fromkeys(Delivery, snapshot)


class AtOnce(Pacing):
    """Nobody waits for a turn, however long the last one took."""

    @override
    def due(self, *, endpoints_alone: bool) -> float:
        return 0.0


@pytest.fixture
async def worlds() -> GatewayWorlds:
    made = GatewayWorlds()
    made._pacing = AtOnce()
    return made


async def test_a_gateways_proxies_are_told_its_snapshots(worlds: GatewayWorlds) -> None:
    assert worlds.publish(EDGE, both(ONE))
    proxy = Proxy(worlds, node())
    assert not worlds.objection(node())
    assert proxy.versions == ["1"]

    proxy.accepts()
    assert worlds.publish(EDGE, both(TWO))
    assert proxy.versions == ["1", "2"]


async def test_what_was_told_is_not_told_again(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(ONE))
    assert not worlds.publish(EDGE, both(ONE))


async def test_an_unknown_gateway_waits_and_is_served_when_it_appears(worlds: GatewayWorlds) -> None:
    proxy = Proxy(worlds, node("prod.edge"))
    assert worlds.objection(node("prod.edge"))

    worlds.publish(EDGE, both(ONE))
    assert proxy.versions == []
    worlds.publish(Ref("prod", "edge"), both(TWO))
    assert proxy.versions == ["2"]


async def test_an_expected_gateway_is_known_and_told_nothing_yet(worlds: GatewayWorlds) -> None:
    worlds.expect(EDGE)
    assert not worlds.objection(node())
    assert Proxy(worlds, node()).versions == []


async def test_proxies_of_a_gateway_that_is_gone_keep_what_they_have_and_see_it_return(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(ONE))
    proxy = Proxy(worlds, node())
    proxy.accepts()

    assert worlds.forget(set()) == {EDGE}
    assert worlds.objection(node())
    assert proxy.versions == ["1"]
    worlds.publish(EDGE, both(pods(3)))

    assert not worlds.objection(node())
    assert proxy.versions == ["1", "3"]


async def test_what_is_no_gateway_is_told_nothing_of_one(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(ONE))

    assert worlds.objection(node(role="sidecar"))
    assert Proxy(worlds, node(role="sidecar")).versions == []
    assert not worlds.objection(node(role=""))
    assert Proxy(worlds, node(role="")).versions == ["1"]


BESIDE = Node("web-1-1", "shop/web", "sidecar", "b1", ports=(15001, 0, 8080))
SHOP = Ref("default", "shop")
WEB = Sidecar(BuildId(SHOP, "web", "b1"), Ports(15001, 15006, 8080))


def tell(worlds: GatewayWorlds, fleet: Sidecar) -> None:
    worlds.publish(fleet, both(TWO))


@pytest.mark.parametrize("mode", ["delta", "sotw"])
async def test_a_sidecars_kind_is_known_while_it_is_connected(worlds: GatewayWorlds, mode: str) -> None:
    known: list[frozenset[Sidecar]] = []
    worlds.follow_sidecars(lambda apps: known.extend(worlds.sidecars(app) for app in apps))

    one, two = Proxy(worlds, BESIDE, mode), Proxy(worlds, replace(BESIDE, id="web-1-2"), mode)
    await asyncio.sleep(0)
    assert known == [{WEB}], "who is beside the same build is no news"
    one.seat.leave()
    await asyncio.sleep(0)
    assert known == [{WEB}]
    assert worlds.apps == {SHOP}
    two.seat.leave()
    await asyncio.sleep(0)
    assert known == [{WEB}, frozenset()]
    assert worlds.told(WEB) is None
    assert not worlds.apps


async def test_a_sidecar_is_told_what_its_build_is_and_nothing_else(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(ONE))
    worlds.follow_sidecars(lambda _: tell(worlds, WEB))
    proxy = Proxy(worlds, BESIDE)
    await proxy.told.wait()

    assert not worlds.objection(BESIDE)
    assert proxy.versions == ["2"]
    worlds.publish(EDGE, both(pods(3)))
    assert proxy.versions == ["2"]


async def test_other_ports_or_another_envoy_are_another_kind(worlds: GatewayWorlds) -> None:
    for node in (BESIDE, replace(BESIDE, ports=(1, 0, 8080)), replace(BESIDE, version="1.40.0")):
        Proxy(worlds, node)

    assert worlds.sidecars(SHOP) == {WEB, WEB._replace(ports=Ports(1, 15006, 8080))}


async def test_gateways_that_go_leave_sidecars_as_they_are(worlds: GatewayWorlds) -> None:
    worlds.follow_sidecars(lambda _: tell(worlds, WEB))
    Proxy(worlds, BESIDE)
    await asyncio.sleep(0)
    worlds.publish(EDGE, both(ONE))

    assert worlds.forget(set()) == {EDGE}
    assert worlds.told(WEB) is TWO


@pytest.mark.parametrize(
    ("cluster", "build", "expected"),
    [
        ("shop/web", "b1", WEB._replace(ports=Ports())),
        ("prod.shop/web", "b1", Sidecar(BuildId(Ref("prod", "shop"), "web", "b1"))),
        ("shop/web", "", None),
        ("shop", "b1", None),
        ("/web", "b1", None),
        ("shop/", "b1", None),
    ],
)
async def test_what_a_sidecar_says_that_it_is_beside(
    worlds: GatewayWorlds, cluster: str, build: str, expected: Sidecar | None
) -> None:
    said = Node("web-1-1", cluster, "sidecar", build)

    assert sidecar_of(said) == expected
    assert bool(worlds.objection(said)) is (expected is None)
    assert fleet_of(said, "delta") is None, "it holds no release's host"


async def test_a_sidecar_is_told_everything_whatever_it_is_able_to_take() -> None:
    assert delivery_of(replace(BESIDE, version="1.40.0"), "delta") is Delivery.FULL


async def test_an_envoy_that_would_understand_half_of_it_is_told_nothing(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(ONE))
    old, oldest = node(version="1.35.7"), node(version="1.36.0")

    assert worlds.objection(old) == (
        "Envoy 1.35.7 would drop fields that decide who gets what: 1.36 is the oldest served"
    )
    assert Proxy(worlds, old).versions == []
    assert not worlds.objection(oldest)
    assert Proxy(worlds, oldest).versions == ["1"]


async def test_a_proxy_that_loads_on_demand_is_told_what_is_told_on_demand(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, {Delivery.FULL: ONE, Delivery.ON_DEMAND: TWO})
    able, old = node(version="1.37.0"), node(version="1.36.4")

    assert Proxy(worlds, able).versions == ["2"]
    assert Proxy(worlds, able, "sotw").versions == ["1"]
    assert Proxy(worlds, old).versions == ["1"]


async def test_another_delivery_ends_the_stream_and_the_next_one_gets_it(worlds: GatewayWorlds) -> None:
    on_demand = Snapshot(TWO.resources, serial=TWO.serial, since=TWO.since, changed=TWO.changed, on_demand=True)
    worlds.publish(EDGE, both(ONE))
    proxy = Proxy(worlds, node(version="1.40.0"))
    full = Proxy(worlds, node(version="1.40.0"), "sotw")

    worlds.publish(EDGE, {Delivery.FULL: TWO, Delivery.ON_DEMAND: on_demand})

    assert isinstance(proxy.heard[-1], End)
    assert not any(isinstance(effect, End) for effect in full.heard)
    again = Proxy(worlds, node(version="1.40.0"))
    assert again.versions == ["2"]
    proxy.seat.leave()
    again.accepts()
    worlds.publish(EDGE, {Delivery.FULL: TWO, Delivery.ON_DEMAND: both(pods(3, on_demand))[Delivery.FULL]})
    assert isinstance(again.heard[-1], End)


async def test_a_storm_of_endpoints_is_told_together() -> None:
    now = [0.0]
    worlds, newest = GatewayWorlds(lambda: now[0]), ONE
    worlds.publish(EDGE, both(ONE))
    proxies = [Proxy(worlds, node()) for _ in range(100)]
    for proxy in proxies:
        proxy.accepts()
    for number in range(2, 50):
        newest = pods(number, newest)
        worlds.publish(EDGE, both(newest))
        for proxy in proxies:
            proxy.accepts()
    assert proxies[0].versions == ["1", "2"], "the first goes at once"

    now[0] = 60.0
    async with asyncio.timeout(30):
        while proxies[0].versions[-1] != "49":
            proxies[0].told.clear()
            await proxies[0].told.wait()
    assert proxies[0].versions == ["1", "2", "49"]


async def test_a_release_never_waits_behind_endpoints() -> None:
    now = [0.0]
    worlds = GatewayWorlds(lambda: now[0])
    before = world(endpoints=["pods=1"], routes=["pods=1"])
    worlds.publish(EDGE, both(before))
    proxies = [Proxy(worlds, node()) for _ in range(100)]
    [releasing] = [Proxy(worlds, node(), wants=RDS)]
    for proxy in (*proxies, releasing):
        proxy.accepts()
    now[0] = 1.0
    churned = world(endpoints=["pods=2"], routes=["pods=1"], after=before)
    worlds.publish(EDGE, both(churned))
    waiting = world(endpoints=["pods=3"], routes=["pods=1"], after=churned)
    worlds.publish(EDGE, both(waiting))
    for proxy in proxies:
        assert proxy.versions == ["1", "2"], "the second waits for its turn"
        proxy.accepts()

    worlds.publish(EDGE, both(world(endpoints=["pods=3"], routes=["pods=2"], after=waiting)))

    assert releasing.versions == ["1", "2"]
    assert proxies[0].versions == ["1", "2", "3"], "and goes along"


async def test_what_is_in_quarantine_is_known_while_its_refuser_is_away(worlds: GatewayWorlds) -> None:
    before = world(clusters=["pods=1"])
    worlds.publish(EDGE, both(before))
    proxies = [Proxy(worlds, node(version="1.36.4"), wants=CDS) for _ in range(2)]
    for proxy in proxies:
        proxy.accepts()
    worlds.publish(EDGE, both(world(clusters=["pods=2"], after=before)))
    assert worlds.trials == 1
    [first] = [proxy for proxy in proxies if proxy.versions == ["1", "2"]]
    first.refuses("pods: no")

    assert any(isinstance(effect, Nacked) for effect in first.heard)
    assert first.versions == ["1", "2", "1"], "last good"
    for proxy in proxies:
        assert worlds.quarantined(EDGE, CDS, "pods", "2")
        proxy.seat.leave()
    assert worlds.quarantined(EDGE, CDS, "pods", "2")
    assert not worlds.quarantined(EDGE, CDS, "pods", "1")
    assert Proxy(worlds, node(version="1.36.4"), wants=CDS).versions == ["1"], "last good"


async def test_a_kind_without_streams_goes_when_its_quarantine_ends() -> None:
    now = [0.0]
    worlds = GatewayWorlds(lambda: now[0])
    worlds.publish(EDGE, both(before := world(clusters=["pods=1"])))
    proxy = Proxy(worlds, node(version="1.36.4"), wants=CDS)
    proxy.accepts()
    now[0] = 60.0
    worlds.publish(EDGE, both(bad := world(clusters=["pods=2"], after=before)))
    proxy.refuses("pods: no")
    proxy.seat.leave()
    assert worlds._kinds, "it is kept for what is in quarantine"

    now[0] = 120.0
    worlds.publish(EDGE, both(world(clusters=["pods=3"], after=bad)))
    await asyncio.sleep(0)
    assert not worlds._kinds


async def test_a_cluster_that_nobody_has_holds_back_what_needs_it(worlds: GatewayWorlds) -> None:
    def holds_back(delivery: Delivery = Delivery.FULL) -> bool:
        assert worlds.quarantined(EDGE, CDS, "pods", "1")
        return worlds.holds_back(EDGE, delivery, CDS, "pods", "1")

    worlds.publish(EDGE, both(world()))
    proxy = Proxy(worlds, node(version="1.36.4"), wants=CDS)
    proxy.accepts()
    worlds.publish(EDGE, both(world(clusters=["pods=1"])))
    proxy.refuses("pods: no")
    assert holds_back()
    assert not holds_back(Delivery.ON_DEMAND), "they were not asked"
    another = Proxy(worlds, node(version="1.37.0"), "sotw", wants=CDS)
    proxy.seat.leave()
    assert not holds_back(), "nobody is left who is kept from it"
    another.seat.leave()
    assert holds_back(), "nobody is left at all"


async def test_a_cluster_of_which_there_is_last_good_holds_nothing_back(worlds: GatewayWorlds) -> None:
    worlds.publish(EDGE, both(before := world(clusters=["pods=1"])))
    proxy = Proxy(worlds, node(version="1.36.4"), wants=CDS)
    proxy.accepts()
    worlds.publish(EDGE, both(world(clusters=["pods=2"], after=before)))
    proxy.refuses("pods: no")

    assert worlds.quarantined(EDGE, CDS, "pods", "2")
    assert not worlds.holds_back(EDGE, Delivery.FULL, CDS, "pods", "2")


async def test_what_is_told_after_it_was_tried_counts_as_a_fan_out() -> None:
    now = [100.0]
    worlds = GatewayWorlds(lambda: now[0])
    before = world(clusters=["pods=1"])
    worlds.publish(EDGE, both(before))
    proxies = [Proxy(worlds, node(), wants=CDS) for _ in range(100)]
    for proxy in proxies:
        proxy.accepts()
    tried = world(clusters=["pods=2"], after=before)
    worlds.publish(EDGE, both(tried))
    now[0] += 1.0
    [first] = [proxy for proxy in proxies if proxy.versions == ["1", "2"]]
    first.accepts()
    for proxy in proxies:
        assert proxy.versions == ["1", "2"]
        if proxy is not first:
            proxy.accepts()

    worlds.publish(EDGE, both(world(clusters=["pods=3"], after=tried)))

    assert all(proxy.versions == ["1", "2"] for proxy in proxies), "as much time as that took is left to all else"
