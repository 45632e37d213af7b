import asyncio
import gc
from collections.abc import AsyncIterator
from typing import TypeVar
from weakref import ref as weakly

from xds_server.domain.names import Ref
from xds_server.protocol.events import Node
from xds_server.runtime.worlds import GatewayWorlds
from xds_server.snapshot import Delivery, Snapshot

EDGE = Ref("default", "edge")
ONE, TWO = Snapshot({}, serial=1), Snapshot({}, serial=2)

T = TypeVar("T")


def node(cluster: str = "edge", role: str = "gateway") -> Node:
    return Node("edge-1", cluster, role)


def both(snapshot: Snapshot) -> dict[Delivery, Snapshot]:
    return dict.fromkeys(Delivery, snapshot)


async def soon(awaited: AsyncIterator[T]) -> T:
    async with asyncio.timeout(5):
        return await anext(awaited)


async def test_a_gateways_proxies_follow_its_snapshots() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, both(ONE))
    following = worlds.world_of(node(), "delta").follow()

    assert not worlds.objection(node())
    assert await soon(following) is ONE
    worlds.publish(EDGE, both(TWO))
    assert await soon(following) is TWO


async def test_what_was_told_is_not_told_again() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, both(ONE))
    following = worlds.world_of(node(), "delta").follow()
    await soon(following)

    worlds.publish(EDGE, both(ONE))
    worlds.publish(EDGE, both(TWO))

    assert await soon(following) is TWO


async def test_an_unknown_gateway_waits_and_is_served_when_it_appears() -> None:
    worlds = GatewayWorlds()
    following = worlds.world_of(node("prod.edge"), "delta").follow()
    assert worlds.objection(node("prod.edge"))

    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(soon(following))
        await asyncio.sleep(0)
        worlds.publish(EDGE, both(ONE))
        worlds.publish(Ref("prod", "edge"), both(TWO))

    assert waiting.result() is TWO


async def test_proxies_of_a_gateway_that_is_gone_keep_what_they_have_and_see_it_return() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, both(ONE))
    following = worlds.world_of(node(), "delta").follow()
    await soon(following)

    worlds.forget(set())
    assert worlds.objection(node())
    worlds.publish(EDGE, both(TWO))

    assert not worlds.objection(node())
    assert await soon(following) is TWO


def test_a_world_is_kept_only_as_long_as_somebody_wants_it() -> None:
    worlds = GatewayWorlds()
    nobody = [weakly(worlds.world_of(node(f"g{number}"), "delta")) for number in range(10)]
    worlds.publish(EDGE, both(ONE))
    served = weakly(worlds.world_of(node(), "delta"))
    gc.collect()

    assert [each() for each in nobody] == [None] * 10
    assert served() is not None
    worlds.forget(set())
    gc.collect()
    assert served() is None


def test_what_is_no_gateway_is_told_nothing_of_one() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, both(ONE))

    assert worlds.objection(node(role="sidecar"))
    assert worlds.world_of(node(role="sidecar"), "delta") is not worlds.world_of(node(), "delta")
    assert not worlds.objection(node(role=""))


def test_an_envoy_that_would_understand_half_of_it_is_told_nothing() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, both(ONE))
    old, oldest = (Node("edge-1", "edge", "gateway", version=version) for version in ("1.35.7", "1.36.0"))

    assert worlds.objection(old) == (
        "Envoy 1.35.7 would drop fields that decide who gets what: 1.36 is the oldest served"
    )
    assert worlds.world_of(old, "delta").value is None
    assert not worlds.objection(oldest)
    assert worlds.world_of(oldest, "delta").value is ONE


async def test_a_proxy_that_loads_on_demand_follows_what_is_told_on_demand() -> None:
    worlds = GatewayWorlds()
    worlds.publish(EDGE, {Delivery.FULL: ONE, Delivery.ON_DEMAND: TWO})

    able, old = Node("n", "edge", "gateway", version="1.37.0"), Node("n", "edge", "gateway", version="1.36.4")

    assert await soon(worlds.world_of(able, "delta").follow()) is TWO
    assert await soon(worlds.world_of(able, "sotw").follow()) is ONE
    assert await soon(worlds.world_of(old, "delta").follow()) is ONE
