"""Which carriers a newer world changes."""

import pytest
from immutables import Map

from tests.ledger.facts import EDGE, HOSTS, ROUTES, resource
from xds_server.ledger.fleet import Fleet, Stream
from xds_server.ledger.standing import Nothing
from xds_server.snapshot import Delivery, Resource, Snapshot

SHOP, DEEP, BLOG = "edge/http/*.shop.test", "edge/http/*.eu.shop.test", "edge/http/*.blog.test"
HELD = ("edge/http/a.shop.test", "edge/http/b.eu.shop.test", "edge/http/a.blog.test", "edge/http/plain.test")
UNKNOWN = "edge/http/a.new.test"
BEFORE = {SHOP: "1", BLOG: "1", "edge/http/plain.test": "1"}


def made(name: str, version: str) -> Resource:
    return resource(name, version).for_names(lambda host: resource(host, f"{version}-{host}"))


def world(serial: int, hosts: dict[str, str], before: dict[str, str]) -> Snapshot:
    told = {ROUTES: Map({"edge/http": resource("edge/http", "r")})}
    told[HOSTS] = Map({name: made(name, each) if "*" in name else resource(name, each) for name, each in hosts.items()})
    changed = {HOSTS: frozenset(name for name in {*before, *hosts} if before.get(name) != hosts.get(name))}
    return Snapshot(told, serial, serial - 1, changed, on_demand=True)


@pytest.fixture
def stream() -> Stream:
    """Of a proxy that holds `HELD`, and has asked for a host that nobody has."""
    fleet = Fleet(EDGE, Delivery.ON_DEMAND, Nothing())
    stream = Stream(fleet, 1, "one")
    fleet.enter(stream)
    fleet.publish(world(1, BEFORE, {}))
    for name in (*HELD, UNKNOWN):
        fleet.hold(stream, HOSTS, name, "")
    return stream


@pytest.mark.parametrize(
    ("change", "differing"),
    [
        pytest.param({SHOP: "2"}, ["a.shop.test", "b.eu.shop.test"], id="a-wildcard"),
        pytest.param({SHOP: ""}, ["a.shop.test", "b.eu.shop.test"], id="a-wildcard-that-goes"),
        pytest.param({DEEP: "1"}, ["b.eu.shop.test"], id="a-wildcard-that-is-closer"),
        pytest.param({"edge/http/*.new.test": "1"}, ["a.new.test"], id="a-wildcard-over-what-was-unknown"),
        pytest.param({"edge/http/a.shop.test": "1"}, ["a.shop.test"], id="a-host-under-a-wildcard"),
        pytest.param({"edge/http/plain.test": "2"}, ["plain.test"], id="a-host"),
        pytest.param({"edge/http/*.other.test": "1"}, [], id="a-wildcard-over-nothing"),
    ],
)
def test_only_what_is_under_a_wildcard_differs_with_it(
    stream: Stream, change: dict[str, str], differing: list[str]
) -> None:
    after = {name: version for name, version in (BEFORE | change).items() if version}
    found = stream.fleet.publish(world(2, after, BEFORE))

    assert sorted(each.name for each in found) == [f"edge/http/{name}" for name in differing]
    for each in found:
        assert each.source == stream.fleet._found(HOSTS, each.name)[0]


def test_what_carries_a_wildcard_is_made_from_it(stream: Stream) -> None:
    def carrying(host: str) -> list[str]:
        return sorted(each.name.removeprefix("edge/http/") for each in stream.fleet.carrying([host]))

    assert carrying("*.shop.test") == ["a.shop.test", "b.eu.shop.test"]
    stream.fleet.publish(world(2, BEFORE | {DEEP: "1"}, BEFORE))
    assert carrying("*.shop.test") == ["a.shop.test"]
    assert carrying("*.eu.shop.test") == ["b.eu.shop.test"]
    stream.fleet.forget(stream)
    assert carrying("*.eu.shop.test") == []
