"""How one of several instances is chosen, and that a user stays at one where the record says by what.

`docs/promises.md` has a row for each of these.
"""

import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from e2e.support.client import echo
from e2e.support.fleet import Fleet, fleet
from e2e.support.world import World

pytestmark = pytest.mark.e2e

HASHING = ["ring_hash", "maglev"]


def test_round_robin_takes_turns(pair_world: World) -> None:
    three = fleet(pair_world, 3)
    said = three.crowd(60)
    assert {name: said.count(name) for name in three.names} == dict.fromkeys(three.names, 20)
    assert all(set(turn) == set(three.names) for turn in zip(said[::3], said[1::3], said[2::3], strict=True))


HEAVY = {"round_robin": (300, 5), "least_request": (300, 60), "ring_hash": (300, 60), "maglev": (300, 60)}


@pytest.mark.parametrize("balancer", [*HEAVY, "random"])
def test_an_instance_gets_its_weights_share_but_at_random(pair_world: World, balancer: str) -> None:
    """A quarter and three quarters of 400: five standard deviations of a fair draw are 43, and of halves 50."""
    by = {"hash": {"header": "x-user"}} if balancer in HASHING else {}
    two = fleet(pair_world, 2, policy={"loadBalancer": balancer, **by})
    light, heavy = two.names
    two.place(light, {"address": two.addresses[heavy], "weight": 3})
    two.wait_weights(1, 3)
    said = [two.who([("x-user", f"user-{number}")]) for number in range(400)]
    expected, tolerance = HEAVY.get(balancer, (200, 50))
    assert abs(said.count(heavy) - expected) <= tolerance


def test_zones_do_not_steer(pair_world: World) -> None:
    four = fleet(pair_world, 4)
    zones = zip(four.names, "abbb", strict=True)
    four.place(*[{"address": four.addresses[name], "zone": zone} for name, zone in zones])
    pair_world.envoy.wait_stat(f"cluster.{four.deployment}/web.membership_total", 4)
    said = four.crowd(80)
    assert {name: said.count(name) for name in four.names} == dict.fromkeys(four.names, 20)


def shares(on: Fleet, slow: str) -> tuple[int, int]:
    """Of 200 requests, eight at once: how many a slow instance and all others answer."""
    with ThreadPoolExecutor(8) as pool:
        replies = pool.map(lambda _: on.alone([("x-test-slow", f"{slow}/0.1")]), range(200))
        said = [echo(reply.body).instance for reply in replies]
    return said.count(slow), len(said) - said.count(slow)


def test_least_request_spares_an_instance_that_is_busy(pair_world: World) -> None:
    fair, sparing = (fleet(pair_world, 2, policy={"loadBalancer": each}) for each in ("round_robin", "least_request"))
    assert shares(fair, fair.names[0]) == (100, 100)
    slow, quick = shares(sparing, sparing.names[0])
    assert slow < 0.7 * quick


def test_random_is_even_and_takes_no_turns(pair_world: World) -> None:
    """Of 200 fair draws between two, 65 to 135 are five standard deviations, and repeats in a row are certain."""
    two = fleet(pair_world, 2, policy={"loadBalancer": "random"})
    said = two.crowd(200)
    assert 65 <= said.count(two.names[0]) <= 135
    assert any(first == second for first, second in itertools.pairwise(said))


def hashed(world: World, balancer: str, by: dict[str, Any], count: int = 3) -> Fleet:
    return fleet(world, count, policy={"loadBalancer": balancer, "hash": by})


USERS = range(40)
MANY = range(120)


def chosen(on: Fleet, users: range = USERS) -> list[str]:
    """Which instance each user gets."""
    return [on.who([("x-user", f"user-{number}")]) for number in users]


@pytest.mark.parametrize("balancer", HASHING)
def test_a_header_chooses_the_instance(pair_world: World, balancer: str) -> None:
    three = hashed(pair_world, balancer, {"header": "x-user"})
    first = chosen(three)
    assert set(first) == set(three.names)
    assert [chosen(three) for _ in range(2)] == [first, first]
    assert len(set(three.crowd(40))) > 1


@pytest.mark.parametrize("balancer", HASHING)
def test_a_query_parameter_chooses_the_instance(pair_world: World, balancer: str) -> None:
    three = hashed(pair_world, balancer, {"query": "user"})
    said = [[three.who(path=f"/{n}?page={n}&user={number}") for n in range(3)] for number in USERS]
    assert {len(set(each)) for each in said} == {1}
    assert {each[0] for each in said} == set(three.names)


@pytest.mark.parametrize("balancer", HASHING)
def test_a_cookie_of_the_application_chooses_the_instance(pair_world: World, balancer: str) -> None:
    three = hashed(pair_world, balancer, {"cookie": {"name": "session"}})
    said = [{three.who([("cookie", f"a=b; session=user-{number}")]) for _ in range(3)} for number in USERS]
    assert {len(each) for each in said} == {1}
    assert set.union(*said) == set(three.names)
    assert three.get().header("set-cookie") is None


@pytest.mark.parametrize("balancer", HASHING)
def test_a_cookie_of_envoys_chooses_the_instance(pair_world: World, balancer: str) -> None:
    three = hashed(pair_world, balancer, {"cookie": {"name": "instance", "maxAge": "1h"}})
    came = set()
    for _ in range(20):
        reply = three.alone()
        cookie, *attributes = str(reply.header("set-cookie")).split("; ")
        assert {each.lower() for each in attributes} >= {"max-age=3600", "path=/", "httponly"}
        again = three.get([("cookie", cookie)])
        assert again.header("set-cookie") is None
        assert {three.who([("cookie", cookie)]) for _ in range(3)} == {echo(reply.body).instance}
        came.add(cookie)
    assert len(came) == 20


@pytest.mark.parametrize("balancer", HASHING)
def test_the_clients_address_chooses_the_instance(pair_world: World, balancer: str) -> None:
    three = hashed(pair_world, balancer, {"sourceIp": True})
    clients = [f"127.0.1.{number}" for number in range(1, 21)]
    said = [{echo(three.alone(source=each).body).instance for _ in range(3)} for each in clients]
    assert {len(each) for each in said} == {1}
    assert len(set.union(*said)) > 1


@pytest.mark.parametrize("balancer", HASHING)
def test_few_users_move_when_an_instance_is_added(pair_world: World, balancer: str) -> None:
    """Of 120 a quarter has to move, and with a ring a third does; without consistent hashing three quarters would."""
    four = hashed(pair_world, balancer, {"header": "x-user"})
    before = chosen(four, MANY)
    new = four.start()
    four.place(*four.names)
    four.wait_stat("membership_total", 4)
    after = chosen(four, MANY)
    moved = [now for then, now in zip(before, after, strict=True) if then != now]
    assert len(moved) <= 72
    assert moved.count(new) >= 10
