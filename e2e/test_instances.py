"""Which instances of a build get requests: those that fail are left out, so are unwell ones and those that go.

`docs/promises.md` has a row for each of these.
"""

from typing import Any

import pytest

from e2e.support import records
from e2e.support.client import echo
from e2e.support.fleet import Fleet, fleet
from e2e.support.processes import free_ports, wait_until
from e2e.support.upstream import Protocol
from e2e.support.world import World

pytestmark = pytest.mark.e2e

HTTP1, HTTP2, GRPC = Protocol
NEVER = 1000
USUAL = {"consecutive5xx": NEVER, "consecutiveGatewayFailure": NEVER}
EJECTED = "outlier_detection.ejections_active"
SECONDS = 4.0
"""What a busy machine may add to any time."""


def ejecting(**outlier: Any) -> dict[str, Any]:
    return {"outlier": {**USUAL, "interval": "50ms", "baseEjection": "2s", **outlier}}


EJECTIONS = {
    "5xx": ({"consecutive5xx": 3}, "500", 3),
    "gateway-failure": ({"consecutiveGatewayFailure": 2}, "503", 2),
    "reset": ({"consecutiveGatewayFailure": 3}, "reset", 3),
    "too-late": ({"consecutiveGatewayFailure": 3}, "hold", 3),
    "too-late-is-5xx": ({"consecutive5xx": 3}, "hold", 3),
}


@pytest.mark.parametrize(("outlier", "word", "failures"), EJECTIONS.values(), ids=EJECTIONS)
def test_an_instance_that_fails_so_often_in_a_row_gets_nothing_for_a_while(
    pair_world: World, outlier: dict[str, int], word: str, failures: int
) -> None:
    two = fleet(pair_world, 2, policy={**ejecting(**outlier), "timeout": "300ms"})
    bad, good = two.names
    before = two.count(bad)
    two.upstreams.tell(bad, act=word)
    wait_until(lambda: two.get().status and two.stat(EJECTED) == 1, "one is out")
    assert two.count(bad) - before == failures
    assert two.crowd(20) == [good] * 20

    two.upstreams.tell(bad)
    wait_until(lambda: two.who() == bad, "it is back")
    last, first = two.seen(bad)[-2:]
    assert 2 <= first.at - last.at < 2 + SECONDS


def test_a_good_answer_in_between_keeps_an_instance(pair_world: World) -> None:
    one = fleet(pair_world, policy=ejecting(consecutive5xx=3))
    for word in ("500", "500", "200") * 4:
        one.upstreams.tell(one.names[0], act=word)
        assert one.get().status == int(word)
    assert one.stat(EJECTED) == 0
    one.upstreams.tell(one.names[0], act="500")
    assert [one.get().status for _ in range(3)] == [500] * 3
    one.wait_stat(EJECTED, 1)


def test_an_instance_that_nobody_can_connect_to_is_ejected(pair_world: World) -> None:
    (nobody,) = free_ports(1)
    two = fleet(pair_world, also=[f"127.0.0.1:{nobody}"], policy=ejecting(consecutiveGatewayFailure=2))
    wait_until(lambda: two.get().status and two.stat(EJECTED) == 1, "one is out")
    assert two.crowd(20) == two.names * 20


LATE: dict[str, tuple[Protocol, dict[str, Any], int]] = {
    "a-try": (GRPC, {"retries": {"attempts": 1, "on": ["unavailable"], "perTryTimeout": "100ms"}}, 1),
    "a-call": (GRPC, {"timeout": "100ms"}, 0),
    "an-idle-request": (HTTP1, {"timeout": "0s", "idleTimeout": "100ms"}, 0),
}


@pytest.mark.parametrize(("protocol", "policy", "out"), LATE.values(), ids=LATE)
def test_a_late_try_counts_but_neither_idleness_nor_the_deadline_of_a_call(
    pair_world: World, protocol: Protocol, policy: dict[str, Any], out: int
) -> None:
    speaks = HTTP2 if protocol is GRPC else protocol
    one = fleet(
        pair_world, protocol=protocol, speaks=speaks, policy={**ejecting(consecutiveGatewayFailure=2), **policy}
    )
    one.upstreams.tell(one.names[0], act="hold")
    assert [one.get().status for _ in range(4)] == [504] * 4
    assert one.stat(EJECTED) == out


def test_only_5xx_that_are_written_count(pair_world: World) -> None:
    one = fleet(pair_world, policy=ejecting(consecutiveGatewayFailure=2))
    one.upstreams.tell(one.names[0], act="500")
    assert [one.get().status for _ in range(10)] == [500] * 10
    assert one.stat(EJECTED) == 0
    one.upstreams.tell(one.names[0], act="502")
    assert [one.get().status for _ in range(2)] == [502] * 2
    one.wait_stat(EJECTED, 1)


@pytest.mark.parametrize(("percent", "out"), [(0, 0), (50, 1), (100, 2)])
def test_no_more_than_a_share_of_the_instances_is_out_at_once(pair_world: World, percent: int, out: int) -> None:
    two = fleet(pair_world, 2, policy=ejecting(consecutive5xx=2, baseEjection="60s", maxEjectionPercent=percent))
    for name in two.names:
        two.upstreams.tell(name, act="500")
    detected = "outlier_detection.ejections_detected_consecutive_5xx"
    wait_until(lambda: two.get().status == 500 and two.stat(detected) >= 2, "both have failed twice")
    two.wait_stat(EJECTED, out)
    before = sorted(two.count(name) for name in two.names)
    assert {two.get().status for _ in range(10)} == {500}
    after = sorted(two.count(name) for name in two.names)
    assert two.stat(EJECTED) == out
    assert out != 1 or after == [before[0], before[1] + 10]


CHECK = {"interval": "200ms", "timeout": "200ms", "unhealthyThreshold": 3, "healthyThreshold": 3}
WAYS = {
    "http1": (HTTP1, {"path": "/healthz", "host": "web.internal"}),
    "http2": (HTTP2, {"path": "/healthz", "host": "web.internal"}),
    "grpc": (GRPC, {"service": "shop.Cart"}),
}
UNWELL = {"an-error": "500", "a-redirect": "302", "an-answer-that-is-late": "hold+500"}


def checked(world: World, count: int, policy: dict[str, Any] | None = None, **check: Any) -> Fleet:
    return fleet(world, count, policy=policy, healthCheck={**CHECK, **check})


@pytest.mark.parametrize(("protocol", "asked"), WAYS.values(), ids=WAYS)
def test_each_instance_is_asked_in_its_protocol_and_told_of_no_deployment(
    pair_world: World, protocol: Protocol, asked: dict[str, str]
) -> None:
    two = fleet(pair_world, 2, protocol=protocol, healthCheck={**CHECK, **asked})
    two.wait_stat("membership_healthy", 2)
    for name in two.names:
        check = two.upstreams.checks(name)[0].asked
        assert check.path == asked.get("path", asked.get("service"))
        assert [*check.all("x-deployment"), *check.all("baggage")] == []
        assert [*check.all("host"), *check.all(":authority")] == ([] if protocol is GRPC else ["web.internal"])

    bad, good = two.names
    two.upstreams.tell(bad, health="503")
    who = two.calls if protocol is GRPC else two.who
    wait_until(lambda: {who() for _ in range(4)} == {good}, "one is out")
    assert {who() for _ in range(10)} == {good}
    two.upstreams.tell(bad)
    wait_until(lambda: who() == bad, "it is back")


@pytest.mark.parametrize("word", UNWELL.values(), ids=UNWELL)
def test_an_unwell_instance_gets_nothing_until_it_was_well_often_enough(pair_world: World, word: str) -> None:
    two = checked(pair_world, 2)
    two.wait_stat("membership_healthy", 2)
    bad, good = two.names
    two.upstreams.tell(bad, health=word)
    two.wait_stat("membership_healthy", 1)
    assert 3 <= two.stat("health_check.failure") <= 4
    two.wait_only(good)
    assert two.crowd(20) == [good] * 20

    before = len(two.upstreams.checks(bad))
    two.upstreams.tell(bad)
    two.upstreams.let_go(bad)
    two.wait_stat("membership_healthy", 2)
    said = [each.word for each in two.upstreams.checks(bad)[before:]]
    assert 3 <= said.count("200") <= 4
    two.wait_only(bad, good)


def test_any_2xx_is_well_and_one_bad_answer_takes_nobody_out(pair_world: World) -> None:
    one = checked(pair_world, 1, policy={"panicThreshold": 0}, unhealthyThreshold=2)
    one.wait_stat("membership_healthy", 1)
    [name] = one.names
    one.upstreams.tell(name, health="204")
    asked = one.stat("health_check.success")
    wait_until(lambda: one.stat("health_check.success") >= asked + 4, "it is well")
    one.upstreams.tell(name, health="500")
    one.wait_stat("health_check.failure", 1)
    one.upstreams.tell(name)
    asked = one.stat("health_check.success")
    wait_until(lambda: one.stat("health_check.success") >= asked + 4, "it is well")
    assert one.stat("health_check.failure") == 1
    assert one.crowd(10) == [name] * 10


def test_a_new_instance_whose_first_answer_is_good_takes_part_at_once(pair_world: World) -> None:
    two = checked(pair_world, 2, healthyThreshold=50)
    two.wait_stat("membership_healthy", 2)
    new = two.start()
    two.place(*two.names)
    two.wait_stat("membership_healthy", 3)
    assert 1 <= len(two.upstreams.checks(new)) <= 2
    two.wait_only(*two.names)


def test_a_new_instance_whose_first_answer_is_bad_gets_nothing_until_it_was_well_often_enough(
    pair_world: World,
) -> None:
    two = checked(pair_world, 2)
    two.wait_stat("membership_healthy", 2)
    old = set(two.names)
    new = two.start()
    two.upstreams.tell(new, health="500")
    two.place(*two.names)
    two.wait_stat("membership_total", 3)
    wait_until(lambda: two.upstreams.checks(new), "it was asked")
    two.wait_only(*old)
    assert two.crowd(20).count(new) == 0

    two.upstreams.tell(new)
    two.wait_stat("membership_healthy", 3)
    assert 3 <= [each.word for each in two.upstreams.checks(new)].count("200") <= 4
    two.wait_only(*two.names)


def test_each_deployment_asks_and_less_often_until_it_is_used(pair_world: World) -> None:
    """Twelve times less often: between eight and sixteen, as each question is up to a tenth later."""
    one = checked(pair_world, 1, interval="100ms")
    web = {"build": "a1", "routes": [{"pathPrefix": "/"}]}
    one.app.write(records.deployment(one.app.name, "v2", {"web": web}))
    used, unused = (f"cluster.{one.app.name}-{version}/web.health_check.attempt" for version in ("v1", "v2"))
    asked = pair_world.envoy.stat
    if pair_world.on_demand:
        pair_world.envoy.wait_stat(used, 20)
        assert asked(unused) == 0, "what nobody asks for is not there"
    else:
        pair_world.envoy.wait_stat(unused, 1)
        begun, before = asked(unused), asked(used)
        pair_world.envoy.wait_stat(unused, begun + 2)
        assert asked(used) - before > 8

    assert one.app.explicit(f"{one.app.name}-v2").status == 200
    pair_world.envoy.wait_stat(unused, asked(unused) + 2)
    begun, before = asked(unused), asked(used)
    pair_world.envoy.wait_stat(unused, begun + 10)
    assert asked(used) - before < 30


def test_an_instance_that_a_record_no_longer_names_is_gone_although_it_is_well(pair_world: World) -> None:
    two = checked(pair_world, 2)
    two.wait_stat("membership_healthy", 2)
    stays, _ = two.names
    two.place(stays)
    two.wait_stat("membership_total", 1)
    assert two.crowd(20) == [stays] * 20


@pytest.mark.parametrize(("threshold", "status"), [(50, 200), (0, 503)], ids=["panic", "never"])
def test_if_too_few_are_well_all_get_requests_unless_the_record_says_never(
    pair_world: World, threshold: int, status: int
) -> None:
    two = checked(pair_world, 2, policy={"panicThreshold": threshold})
    two.wait_stat("membership_healthy", 2)
    for name in two.names:
        two.upstreams.tell(name, health="500")
    two.wait_stat("membership_healthy", 0)
    counted = "lb_healthy_panic" if status == 200 else "upstream_cx_none_healthy"
    wait_until(lambda: two.get().status and two.stat(counted) > 0, "the worker has heard it")
    before = two.stat(counted)
    replies = [two.get() for _ in range(10)]
    assert {reply.status for reply in replies} == {status}
    assert two.stat(counted) == before + 10
    if status == 503:
        assert {reply.json["reason"] for reply in replies} == {"NoHealthyEndpoint"}
    else:
        assert {echo(reply.body).instance for reply in replies} == set(two.names)


@pytest.mark.parametrize("how", ["draining", "removed"])
@pytest.mark.parametrize("protocol", [HTTP1, HTTP2])
def test_an_instance_that_goes_finishes_what_it_has_and_gets_nothing_new(
    pair_world: World, protocol: Protocol, how: str
) -> None:
    two = fleet(pair_world, 2, protocol=protocol)
    for name in two.names:
        two.upstreams.tell(name, act="hold")
    with two.meanwhile([], []) as replies:
        for name in two.names:
            two.wait_held(name, 1)
        goes, stays = two.names
        two.upstreams.tell(stays)
        two.place(stays, *([{"address": two.addresses[goes], "draining": True}] if how == "draining" else []))
        assert two.crowd(20) == [stays] * 20
        two.upstreams.let_go(goes)
        two.upstreams.let_go(stays)
    assert [each.result().status for each in replies] == [200, 200]
    assert {echo(each.result().body).instance for each in replies} == {goes, stays}


def test_the_last_instance_gets_requests_even_if_it_drains(pair_world: World) -> None:
    one = fleet(pair_world)
    [name] = one.names
    one.place({"address": one.addresses[name], "draining": True}, drained=True)
    one.wait_stat("membership_healthy", 0)
    assert one.crowd(10) == [name] * 10


# --- reserves


def reserve(of: Fleet, name: str, priority: int = 1) -> dict[str, Any]:
    return {"address": of.addresses[name], "priority": priority}


def test_a_reserve_gets_what_those_before_it_cannot_carry(pair_world: World) -> None:
    """One of two is 70 % of what is enough. Of 200 requests 60 are for the reserve: 33 are five standard deviations."""
    three = checked(pair_world, 3)
    one, other, second = three.names
    three.place(one, other, reserve(three, second, 7))
    three.wait_only(one, other)
    assert set(three.crowd(40)) == {one, other}

    three.upstreams.tell(one, health="500")
    three.wait_only(other, second)
    assert 27 <= three.crowd(200).count(second) <= 93

    three.upstreams.tell(other, health="500")
    three.wait_only(second)
    assert three.crowd(40) == [second] * 40
    assert three.stat("lb_healthy_panic") == 0, "although two of three are unwell"

    for name in (one, other):
        three.upstreams.tell(name)
    three.wait_only(one, other)
    assert set(three.crowd(40)) == {one, other}


@pytest.mark.parametrize(("threshold", "answered"), [(50, True), (0, False)], ids=["panic", "never"])
def test_if_the_reserve_is_unwell_too_all_get_requests_unless_the_record_says_never(
    pair_world: World, threshold: int, answered: bool
) -> None:
    two = checked(pair_world, 2, policy={"panicThreshold": threshold})
    first, second = two.names
    two.place(first, reserve(two, second))
    for name in two.names:
        two.upstreams.tell(name, health="500")
    two.wait_stat("membership_healthy", 0)
    if answered:
        two.wait_only(first, second)
    else:
        wait_until(lambda: two.get().status == 503, "nobody is asked")
        assert two.get().json["reason"] == "NoHealthyEndpoint"


def test_five_of_seven_are_enough_whatever_the_threshold_says(pair_world: World) -> None:
    seven = checked(pair_world, 7, policy={"panicThreshold": 100})
    unwell, well = seven.names[:2], seven.names[2:]
    for name in unwell:
        seven.upstreams.tell(name, health="500")
    seven.wait_only(*well)
    assert set(seven.crowd(70)) == set(well)


def test_a_reserve_gets_nothing_because_another_drains_until_none_is_left(pair_world: World) -> None:
    three = fleet(pair_world, 3)
    one, other, second = three.names
    drains = {"draining": True}
    three.place(one, {"address": three.addresses[other], **drains}, reserve(three, second))
    assert three.crowd(40) == [one] * 40
    three.place(*({"address": three.addresses[each], **drains} for each in (one, other)), reserve(three, second))
    assert three.crowd(40) == [second] * 40
