"""When a failed request is tried again, where and how often; how long one may take; how many there may be at once.

`docs/promises.md` has a row for each of these.
"""

import http.client
import itertools
import time
from typing import Any

import pytest

from e2e.support.client import Client, Reply, echo
from e2e.support.fleet import Fleet, fleet
from e2e.support.processes import free_ports, wait_until
from e2e.support.upstream import Protocol
from e2e.support.world import World, explicit_host

pytestmark = pytest.mark.e2e

HTTP1, HTTP2, GRPC = Protocol
IDEMPOTENT = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
GRPC_STATUSES = ("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable")
SECONDS = 3.0
"""What a busy machine may add to any time."""

_keys = (f"key-{number}" for number in itertools.count())


def act(words: str) -> tuple[str, tuple[str, str]]:
    """A new key, and the header that says what is done with requests that name it."""
    key = next(_keys)
    return key, ("x-test-act", f"{key}/{words}")


def tries(on: Fleet, words: str, method: str = "GET") -> tuple[int, Reply]:
    """How often one request reached an instance, and how it was answered in the end."""
    key, header = act(words)
    reply = on.alone([header], method)
    return on.count(key), reply


CONDITIONS = [
    (HTTP1, "5xx", "500", 3),
    (HTTP1, "5xx", "404", 1),
    (HTTP1, "gateway-error", "502", 3),
    (HTTP1, "gateway-error", "503", 3),
    (HTTP1, "gateway-error", "504", 3),
    (HTTP1, "gateway-error", "500", 1),
    (HTTP1, "retriable-4xx", "409", 3),
    (HTTP1, "retriable-4xx", "404", 1),
    (HTTP1, "reset", "reset", 3),
    (HTTP2, "reset", "reset", 3),
    (HTTP1, "reset", "503", 1),
    (HTTP1, "reset-before-request", "reset", 1),
    (HTTP2, "refused-stream", "refuse", 3),
    (HTTP2, "refused-stream", "reset", 1),
]


@pytest.mark.parametrize(("protocol", "on", "word", "times"), CONDITIONS, ids=str)
def test_a_request_is_tried_again_on_the_conditions_that_are_written_and_no_others(
    pair_world: World, protocol: Protocol, on: str, word: str, times: int
) -> None:
    one = fleet(pair_world, protocol=protocol, policy={"retries": {"attempts": 2, "on": [on]}})
    tried, reply = tries(one, word)
    assert tried == times
    assert reply.status == (int(word) if word.isdigit() else 503)
    assert word.isdigit() or reply.json["reason"] == "ConnectionReset"


@pytest.mark.parametrize("on", GRPC_STATUSES)
def test_a_call_is_tried_again_by_its_grpc_status(pair_world: World, on: str) -> None:
    policy = {"retries": {"attempts": 2, "on": [on], "methods": "any"}}
    one = fleet(pair_world, protocol=GRPC, speaks=HTTP2, policy=policy)
    tried = {word: tries(one, word, "POST")[0] for word in GRPC_STATUSES}
    assert tried == dict.fromkeys(GRPC_STATUSES, 1) | {on: 3}


@pytest.mark.parametrize("balancer", ["round_robin", "least_request", "random"])
def test_a_request_is_tried_again_at_another_instance(pair_world: World, balancer: str) -> None:
    two = fleet(pair_world, 2, policy={"loadBalancer": balancer, "retries": {"attempts": 1, "on": ["5xx"]}})
    keys = [act("503,200") for _ in range(100)]
    assert {two.get([header]).status for _, header in keys} == {200}
    assert {len({seen.instance for seen in two.seen(key)}) for key, _ in keys} == {2}


@pytest.mark.parametrize(("balancer", "fewest"), [("ring_hash", 100), ("maglev", 75)])
def test_a_hashed_request_is_tried_again_at_another_instance(pair_world: World, balancer: str, fewest: int) -> None:
    """Maglev looks for another one in neighbouring places of its table: one of 30 tables has long runs of one."""
    hashed = {"loadBalancer": balancer, "hash": {"header": "x-user"}}
    two = fleet(pair_world, 2, policy={**hashed, "retries": {"attempts": 1, "on": ["5xx"]}})
    keys = [act("503,200") for _ in range(100)]
    assert {two.get([header, ("x-user", key)]).status for key, header in keys} == {200}
    assert [len(two.seen(key)) for key, _ in keys] == [2] * 100
    assert sum(len({seen.instance for seen in two.seen(key)}) == 2 for key, _ in keys) >= fewest


RESERVED = {"attempts": 2, "on": ["connect-failure"], "budget": {"percent": 100, "minConcurrency": 3}}


def reserved(world: World, balancer: str, attempts: int, primaries: int) -> Fleet:
    """Nobody is at one address before the reserve, which is the last instance."""
    (nobody,) = free_ports(1)
    by = {"hash": {"header": "x-user"}} if balancer in {"ring_hash", "maglev"} else {}
    policy = {"loadBalancer": balancer, "retries": RESERVED | {"attempts": attempts}, **by}
    made = fleet(world, primaries, policy=policy)
    second = {"address": made.addresses[made.names[-1]], "priority": 1}
    made.place(f"127.0.0.1:{nobody}", *made.names[:-1], second)
    return made


@pytest.mark.parametrize("attempts", [1, 2])
@pytest.mark.parametrize("balancer", ["round_robin", "least_request", "random"])
def test_a_request_is_tried_again_at_the_reserve(pair_world: World, balancer: str, attempts: int) -> None:
    one = reserved(pair_world, balancer, attempts, 1)
    assert one.crowd(20) == one.names * 20
    assert {one.alone(method="POST").status for _ in range(10)} == {200}


def test_a_second_try_is_at_another_instance_before_the_reserve_unless_it_is_the_last(pair_world: World) -> None:
    many, once = (reserved(pair_world, "round_robin", attempts, 2) for attempts in (2, 1))
    assert many.crowd(20) == many.names[:1] * 20
    assert set(once.crowd(20)) == set(once.names)


@pytest.mark.parametrize("balancer", ["ring_hash", "maglev"])
def test_a_hashed_request_is_not_tried_again_at_the_reserve(pair_world: World, balancer: str) -> None:
    one = reserved(pair_world, balancer, 2, 1)
    wait_until(lambda: one.get([("x-user", "a")]).status == 503, "it is told")
    assert {one.get([("x-user", f"user-{number}")]).status for number in range(20)} == {503}


def test_a_body_of_more_than_32_kib_is_not_kept_for_another_try(pair_world: World) -> None:
    (nobody,) = free_ports(1)
    two = fleet(pair_world, also=[f"127.0.0.1:{nobody}"], policy={"retries": RESERVED})

    def posted(size: int) -> list[Reply]:
        replies = []
        for _ in range(10):
            with Client(pair_world.port) as client:
                replies.append(client.post(explicit_host(two.deployment), b"x" * size))
        return replies

    assert {each.status for each in posted(30_000)} == {200}
    failed = [each for each in posted(40_000) if each.status != 200]
    assert {each.status for each in failed} == {503}
    assert {each.json["reason"] for each in failed} <= {"ConnectionFailed", "RetryTooLarge"}


def test_a_post_that_was_not_delivered_is_tried_again_and_no_client_hears_of_it(pair_world: World) -> None:
    one = fleet(pair_world, policy={"retries": {"attempts": 1, "on": ON}})
    tried, reply = tries(one, "lie,200", "POST")
    assert (tried, reply.status) == (2, 200)
    tried, reply = tries(one, "lie", "POST")
    assert (tried, reply.status, reply.header("x-not-delivered")) == (2, 503, None)
    careful = fleet(pair_world, policy={"retries": {"attempts": 1, "on": ["5xx"]}})
    assert tries(careful, "lie", "POST")[0] == 1, "only where it is written"


ON = ["connect-failure", "5xx"]


@pytest.mark.parametrize("on", [ON, ["5xx"]], ids=["two-routes", "one-route"])
def test_only_idempotent_requests_are_tried_again_when_an_application_may_have_seen_them(
    pair_world: World, on: list[str]
) -> None:
    one = fleet(pair_world, policy={"retries": {"attempts": 1, "on": on}})
    tried = {method: tries(one, "503", method)[0] for method in (*IDEMPOTENT, "POST", "PATCH")}
    assert tried == dict.fromkeys(IDEMPOTENT, 2) | {"POST": 1, "PATCH": 1}


def test_any_method_is_tried_again_if_the_record_says_so(pair_world: World) -> None:
    one = fleet(pair_world, policy={"retries": {"attempts": 1, "on": ON, "methods": "any"}})
    assert [tries(one, "503", method)[0] for method in ("GET", "POST", "PATCH")] == [2, 2, 2]


def test_a_post_is_tried_again_if_no_instance_can_have_seen_it(pair_world: World) -> None:
    (nobody,) = free_ports(1)
    two = fleet(pair_world, also=[f"127.0.0.1:{nobody}"], policy={"retries": {"attempts": 2, "on": ON}})
    failed = two.stat("upstream_cx_connect_fail")
    assert [two.alone(method="POST").status for _ in range(20)] == [200] * 20
    assert two.stat("upstream_cx_connect_fail") > failed


def test_a_post_is_not_tried_again_where_only_seen_failures_are_written(pair_world: World) -> None:
    (nobody,) = free_ports(1)
    two = fleet(pair_world, also=[f"127.0.0.1:{nobody}"], policy={"retries": {"attempts": 2, "on": ["5xx"]}})
    replies = [two.alone(method="POST") for _ in range(20)]
    assert {reply.status for reply in replies} == {200, 503}
    assert {reply.json["reason"] for reply in replies if reply.status == 503} == {"ConnectionFailed"}
    assert {two.alone().status for _ in range(20)} == {200}


def test_without_retries_nothing_is_tried_again(pair_world: World) -> None:
    one = fleet(pair_world)
    assert [tries(one, word)[0] for word in ("503", "reset")] == [1, 1]


def test_a_try_that_takes_too_long_ends_and_another_begins(pair_world: World) -> None:
    retries = {"attempts": 1, "on": ["5xx"], "perTryTimeout": "200ms"}
    two = fleet(pair_world, 2, policy={"retries": retries})
    key, header = act("hold,200")
    reply = two.alone([header])
    first, second = two.seen(key)
    assert (reply.status, echo(reply.body).instance) == (200, second.instance)
    assert first.instance != second.instance
    assert 0.15 < second.at - first.at < 0.2 + 0.025 + SECONDS

    key, header = act("hold")
    late = two.alone([header])
    assert (late.status, late.json["reason"], two.count(key)) == (504, "Timeout", 2)


def waits(on: Fleet, words: str) -> list[float]:
    """How long it took from each try to the next."""
    key, header = act(words)
    on.alone([header])
    return [after.at - before.at for before, after in itertools.pairwise(on.seen(key))]


def test_a_retry_waits_a_random_time_that_is_bounded(pair_world: World) -> None:
    """Ten waits of at most 100 ms are less than 150 ms in all once in 50,000 times. Envoy's own would be 900 ms."""
    ten = {"attempts": 10, "on": ["5xx"]}
    slow = fleet(pair_world, policy={"retries": {**ten, "backOff": {"base": "100ms", "max": "100ms"}}})
    quick = fleet(pair_world, policy={"retries": {**ten, "backOff": {"base": "1ms", "max": "1ms"}}})
    found = [waits(slow, "503") for _ in range(3)]
    assert {len(each) for each in found} == {10}
    assert min(map(sum, found)) > 0.15
    assert min(map(max, found)) < 0.3, "a machine that has no time for it is slow now and then, not always"
    assert min(sum(waits(quick, "503")) for _ in range(3)) < 0.4


def test_a_retry_waits_longer_each_time(pair_world: World) -> None:
    """Up to 10, 20, 40, 80, 160, 320, then 500 ms: the last six are less than 200 ms in all once in 30,000 times.

    If they did not grow, they would be 60 ms at most.
    """
    back_off = {"base": "10ms", "max": "500ms"}
    one = fleet(pair_world, policy={"retries": {"attempts": 10, "on": ["5xx"], "backOff": back_off}})
    waited = waits(one, "503")
    assert sum(waited[4:]) > 0.2
    assert sum(waited) < 0.15 + 0.16 + 0.32 + 4 * 0.5 + SECONDS


BOUNDED = {
    "budget": ({"retries": {"budget": {"percent": 0, "minConcurrency": 2}}}, {2}),
    "the-usual-budget": ({"retries": {}}, {5, 6, 7, 8}),
    "a-number": ({"retries": {}, "circuitBreaker": {"maxRetries": 5}}, {5}),
}


@pytest.mark.parametrize(("policy", "allowed"), BOUNDED.values(), ids=BOUNDED)
def test_so_many_retries_may_be_under_way(pair_world: World, policy: dict[str, Any], allowed: set[int]) -> None:
    """Forty requests fail at once: 20 % of those under way are eight at first, and fewer with each that is over."""
    retries = {"attempts": 1, "on": ["5xx"], **policy["retries"]}
    one = fleet(pair_world, policy={**policy, "retries": retries})
    gate, header = act(",".join(["hold+503"] * 40 + ["hold"]))
    with one.meanwhile(*[[header]] * 40) as replies:
        one.wait_held(gate, 40)
        one.upstreams.let_go(gate)
        wait_until(lambda: one.stat("upstream_rq_retry") + one.stat("upstream_rq_retry_overflow") == 40, "all decided")
        again = one.stat("upstream_rq_retry")
        one.wait_held(gate, again)
        one.upstreams.let_go(gate)
    assert again in allowed
    assert sorted(each.result().status for each in replies) == [200] * again + [503] * (40 - again)


def test_an_answer_may_take_15_s_unless_something_else_is_written(pair_world: World) -> None:
    usual, endless = fleet(pair_world), fleet(pair_world, policy={"timeout": "0s"})
    gate, header = act("hold")
    with usual.meanwhile([header]) as (late,), endless.meanwhile([header]) as (patient,):
        usual.wait_held(gate, 2)
        begun = time.monotonic()
        reply = late.result()
        assert 14.5 < time.monotonic() - begun < 15 + SECONDS
        assert (reply.status, reply.json["reason"]) == (504, "Timeout")
        assert not patient.done()
        endless.upstreams.let_go(gate)
        assert patient.result().status == 200


def test_a_request_on_which_nothing_moves_ends(pair_world: World) -> None:
    one = fleet(pair_world, policy={"timeout": "0s", "idleTimeout": "400ms"})
    begun = time.monotonic()
    _, waited = tries(one, "hold")
    assert (waited.status, waited.json["reason"]) == (504, "Timeout")
    with pytest.raises(http.client.IncompleteRead):
        tries(one, "stall")
    assert 0.7 < time.monotonic() - begun < 0.8 + 2 * SECONDS
    _, moved = tries(one, "trickle")
    assert (moved.status, moved.body) == (200, b"." * 10)


DEADLINES = {
    "of-the-client": ({}, "300m", True),
    "none": ({}, None, False),
    "written": ({"timeout": "300ms"}, None, True),
    "written-and-shorter": ({"timeout": "300ms"}, "9S", True),
    "written-and-longer": ({"timeout": "9s"}, "300m", True),
}


@pytest.mark.parametrize(("policy", "asked", "ends"), DEADLINES.values(), ids=DEADLINES)
def test_a_call_ends_when_its_client_says_and_not_after_a_written_timeout(
    pair_world: World, policy: dict[str, str], asked: str | None, ends: bool
) -> None:
    one = fleet(pair_world, protocol=GRPC, speaks=HTTP2, policy=policy)
    gate, header = act("hold")
    said = [("grpc-timeout", asked)] if asked else []
    begun = time.monotonic()
    with one.meanwhile([header, ("content-type", "application/grpc"), ("te", "trailers"), *said]) as (call,):
        one.wait_held(gate, 1)
        if not ends:
            with pytest.raises(TimeoutError):
                call.result(timeout=0.6)
            one.upstreams.let_go(gate)
        reply = call.result()
    assert reply.header("grpc-status") == ("4" if ends else None)
    assert reply.status == 200
    assert not ends or 0.25 < time.monotonic() - begun < 0.3 + SECONDS


def test_what_is_no_call_ends_after_the_written_timeout_of_a_grpc_component_too(pair_world: World) -> None:
    one = fleet(pair_world, protocol=GRPC, speaks=HTTP2, policy={"timeout": "300ms"})
    tried, reply = tries(one, "hold")
    assert (tried, reply.status, reply.json["reason"]) == (1, 504, "Timeout")


BROKEN = {
    "requests": (HTTP1, {"maxRequests": 2}, 2),
    "streams": (HTTP2, {"maxRequests": 2}, 2),
    "pending": (HTTP1, {"maxConnections": 1, "maxPendingRequests": 1}, 1),
}


@pytest.mark.parametrize(("protocol", "limits", "active"), BROKEN.values(), ids=BROKEN)
def test_what_is_over_a_circuit_breaker_is_refused_and_the_others_are_served(
    pair_world: World, protocol: Protocol, limits: dict[str, int], active: int
) -> None:
    """Two requests are there, one of which may wait for a connection. A third is one too many."""
    one = fleet(pair_world, protocol=protocol, policy={"circuitBreaker": limits})
    gate, header = act("hold")
    with one.meanwhile([header], [header]) as replies:
        one.wait_held(gate, active)
        one.wait_stat("upstream_rq_pending_active", 2 - active)
        refused = one.alone()
        one.upstreams.let_go(gate)
        wait_until(lambda: one.count(gate) == 2, "both have arrived")
        one.upstreams.let_go(gate)
    assert (refused.status, refused.json["reason"]) == (503, "Overflow")
    assert [each.result().status for each in replies] == [200, 200]
    assert one.alone().status == 200


def test_over_max_connections_a_request_waits_for_one(pair_world: World) -> None:
    one = fleet(pair_world, policy={"circuitBreaker": {"maxConnections": 1}})
    gate, header = act("hold,200")
    with one.meanwhile([header]) as (first,):
        one.wait_held(gate, 1)
        with one.meanwhile([header]) as (second,):
            one.wait_stat("upstream_rq_pending_active", 1)
            one.upstreams.let_go(gate)
    assert (first.result().status, second.result().status) == (200, 200)
    assert one.stat("upstream_cx_total") == 1
