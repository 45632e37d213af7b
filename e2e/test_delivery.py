"""What becomes of a call when an instance dies, is slow, fails or goes: `ui` calls two instances of `api` by its
sidecar, and each row of `docs/guaranteed-delivery.md` is what it gets.
"""

import http.client
import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from threading import Event
from typing import Any

import grpc
import pytest

from e2e.support.client import Client, Reply, echo
from e2e.support.envoy import EnvoyVersion
from e2e.support.pair import RETRIES, Told, application, context, pair_of, told
from e2e.support.processes import wait_until
from e2e.support.relay import relay
from e2e.support.server import Mode
from e2e.support.upstream import Protocol, Upstreams

pytestmark = pytest.mark.e2e

FIRST, SECOND = "first", "second"
CALLERS, CALLS = 8, 100
EJECTED = "outlier_detection.ejections_active"
AGAIN: dict[str, Any] = RETRIES["retries"]
FAILING = {"consecutive5xx": 2, "baseEjection": "60s", "maxEjectionPercent": 100}
POLICIES: dict[str, Any] = {
    "plain": {},
    "again": {"retries": AGAIN},
    "seldom": {"retries": AGAIN},
    "hasty": {"retries": AGAIN | {"perTryTimeout": "1s"}},
    "any": {"retries": AGAIN | {"methods": "any"}},
    "ejecting": {
        "retries": AGAIN,
        "outlier": {"consecutiveGatewayFailure": 3, "baseEjection": "60s"},
    },
    "reserved": {"outlier": {"consecutiveGatewayFailure": 2, "baseEjection": "1s", "interval": "50ms"}},
    "panicking": {"outlier": FAILING},
    "strict": {"outlier": FAILING, "panicThreshold": 0},
    "frugal": {"retries": AGAIN | {"budget": {"percent": 0, "minConcurrency": 1}}},
    "brief": {"timeout": "300ms"},
}
"""Versions of the app that differ in this alone. What an Envoy knows of instances that fail is each version's own."""

_keys = (f"key-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def running(pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    with told(*pair, tmp_path_factory.mktemp("delivery"), POLICIES) as ready:
        yield ready


@pytest.fixture
def order(running: Told) -> Iterator[Told]:
    """Both instances are well, before and after."""
    yield running
    running.tell("200")
    for name in running.places:
        running.upstreams.let_go(name)


def reason(reply: Reply) -> tuple[int, str]:
    return reply.status, reply.json["reason"]


# --- an instance dies


def test_one_instance_of_two_that_is_killed_fails_no_idempotent_request(order: Told) -> None:
    over, answered = Event(), list[Reply]()

    def calls() -> None:
        while not over.is_set():
            answered.append(order.call("again"))

    with ThreadPoolExecutor() as pool:
        callers = [pool.submit(calls) for _ in range(CALLERS)]
        try:
            wait_until(lambda: len(answered) > CALLS, "calls are under way")
            with order.killing(FIRST):
                begun = len(answered)
                wait_until(lambda: len(answered) > begun + CALLS, "calls go on")
        finally:
            over.set()
    for each in callers:
        each.result()

    assert {each.status for each in answered} == {200}
    assert {echo(each.body).instance for each in answered} == {FIRST, SECOND}
    assert order.stat("again", "upstream_rq_retry_success") > 0


def test_a_request_that_waits_for_an_instance_that_is_killed_is_tried_at_another(order: Told) -> None:
    reply, saw = killed_while_asked(order, "GET")

    assert reply.status == 200
    assert saw == 2


def test_a_post_that_waits_for_an_instance_that_is_killed_is_not_repeated(order: Told) -> None:
    reply, saw = killed_while_asked(order, "POST")

    assert reason(reply) == (503, "ConnectionReset")
    assert saw == 1


@pytest.fixture
def reserved(order: Told) -> Iterator[Told]:
    """The second is the reserve of the first."""
    order.place(FIRST)
    order.place(FIRST, SECOND, reserve=SECOND)
    yield order
    order.place(FIRST)
    order.place(FIRST, SECOND)


def test_the_reserve_answers_when_all_before_it_are_killed_and_is_asked_no_more_when_they_return(
    reserved: Told,
) -> None:
    assert reserved.crowd("again") == [FIRST] * 20
    with reserved.killing(FIRST):
        with ThreadPoolExecutor(CALLERS) as pool:
            answered = list(pool.map(lambda _: reserved.who("again"), range(CALLS)))
        assert answered == [SECOND] * CALLS
        assert reserved.crowd("seldom", "POST") == [SECOND] * 20
    assert reserved.crowd("again") == [FIRST] * 20


def test_requests_that_an_instance_has_when_it_is_killed_are_answered_by_the_reserve(reserved: Told) -> None:
    reply, saw = killed_while_asked(reserved, "GET")

    assert (echo(reply.body).instance, saw) == (SECOND, 2)


def test_the_reserve_answers_for_one_that_fails_until_it_is_well(reserved: Told) -> None:
    reserved.tell("503", FIRST)
    wait_until(lambda: reserved.call("reserved").status == 200, "it is out")
    before = reserved.seen()
    assert reserved.crowd("reserved") == [SECOND] * 20
    assert reserved.seen()[FIRST] == before[FIRST]

    reserved.tell("200", FIRST)
    wait_until(lambda: reserved.who("reserved") == FIRST, "it is back")
    assert reserved.crowd("reserved") == [FIRST] * 20


def killed_while_asked(order: Told, method: str) -> tuple[Reply, int]:
    """The answer to a request whose instance is killed, and how many instances have seen it."""
    key = next(_keys)
    before = order.seen()
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(order.call, "again", ("x-test-act", f"{key}/hold,200"), method=method)
        wait_until(lambda: order.upstreams.held(key) == 1, "an instance has it")
        [name] = (name for name, count in order.seen().items() if count > before[name])
        with order.killing(name):
            reply = asked.result(10)
    order.upstreams.let_go(key)
    return reply, len(order.upstreams.seen(key))


def test_a_post_to_an_instance_that_is_gone_is_tried_at_another(order: Told) -> None:
    with order.killing(FIRST):
        assert order.crowd("seldom", "POST") == [SECOND] * 20
        assert order.stat("seldom", "upstream_rq_retry_success") > 0


def test_a_post_to_an_application_that_does_not_listen_is_tried_at_another(order: Told) -> None:
    with order.silent(FIRST):
        assert order.crowd("seldom", "POST") == [SECOND] * 20
        assert order.stat("seldom", "upstream_rq_retry_success") > 0


def test_a_body_of_a_mib_is_kept_for_another_try(order: Told) -> None:
    with order.silent(FIRST), Client(order.pair.ui.outbound, 30) as caller:
        replies = [caller.post("api", b"x" * 1_000_000, [context("again")]) for _ in range(10)]

    assert [echo(each.body).instance for each in replies] == [SECOND] * 10


def test_only_proxies_say_and_hear_that_a_request_was_not_delivered(order: Told) -> None:
    with order.silent(FIRST), order.silent(SECOND):
        refused = order.call("seldom", method="POST")
    key = next(_keys)
    said = order.call("seldom", ("x-test-act", f"{key}/lie,200"), method="POST")

    assert reason(refused) == (503, "ConnectionFailed")
    assert (said.status, len(order.upstreams.seen(key))) == (503, 1)
    assert [each.header("x-not-delivered") for each in (refused, said)] == [None, None]


def test_an_answer_that_has_begun_is_cut_when_its_instance_is_killed(order: Told) -> None:
    before = order.seen()
    order.tell("stall")
    asking = http.client.HTTPConnection("127.0.0.1", order.pair.ui.outbound, 10)
    asking.request("GET", "/", headers={"host": "api", **dict([context("again")])})
    begun = asking.getresponse()
    [name] = (name for name, count in order.seen().items() if count > before[name])
    with order.killing(name), pytest.raises(http.client.IncompleteRead):
        begun.read()
    asking.close()

    assert begun.status == 200
    assert sum(order.seen().values()) == sum(before.values()) + 1


def test_with_no_instance_left_a_call_is_told_so(order: Told) -> None:
    with order.killing(FIRST, SECOND):
        assert reason(order.call("again")) == (503, "ConnectionFailed")
    assert order.call("again").status == 200


# --- an instance is slow, or fails


def test_a_try_at_a_slow_instance_ends_and_another_one_answers(order: Told) -> None:
    before = order.seen()
    order.tell("hold", FIRST)

    assert order.crowd("hasty", count=6) == [SECOND] * 6
    assert order.seen()[FIRST] > before[FIRST], "so some were seen by both"


def test_a_call_that_nobody_answers_ends_at_its_timeout(order: Told) -> None:
    order.tell("hold")
    assert reason(order.call("brief")) == (504, "Timeout")


@pytest.mark.parametrize("act", ["503", "reset"])
def test_what_an_instance_fails_is_answered_by_another(order: Told, act: str) -> None:
    before = order.seen()
    order.tell(act, FIRST)

    assert order.crowd("again") == [SECOND] * 20
    assert order.seen()[FIRST] > before[FIRST]


def test_an_instance_that_fails_in_a_row_is_asked_no_more(order: Told) -> None:
    before = order.seen()
    order.tell("503", FIRST)
    wait_until(lambda: order.who("ejecting") == SECOND and order.stat("ejecting", EJECTED), "it is out")
    assert order.seen()[FIRST] == before[FIRST] + 3

    order.tell("200", FIRST)
    assert order.crowd("ejecting") == [SECOND] * 20


@pytest.mark.parametrize("act", ["503", "reset"])
def test_a_post_that_an_application_has_seen_is_not_repeated(order: Told, act: str) -> None:
    key = next(_keys)
    reply = order.call("again", ("x-test-act", f"{key}/{act},200"), method="POST")

    assert reply.status == 503
    assert len(order.upstreams.seen(key)) == 1


def test_a_post_is_repeated_if_the_record_says_so(order: Told) -> None:
    key = next(_keys)
    reply = order.call("any", ("x-test-act", f"{key}/503,200"), method="POST")

    assert reply.status == 200
    assert len(order.upstreams.seen(key)) == 2


def test_nothing_is_repeated_unless_it_is_written(order: Told) -> None:
    key = next(_keys)
    reply = order.call("plain", ("x-test-act", f"{key}/503,200"))

    assert reply.status == 503
    assert len(order.upstreams.seen(key)) == 1


def test_an_answer_that_is_no_failure_of_an_instance_is_the_answer(order: Told) -> None:
    found = {}
    for status in ("404", "500"):
        key = next(_keys)
        found[status] = order.call("again", ("x-test-act", f"{key}/{status},200")).status, order.upstreams.seen(key)

    assert {status: (answer, len(seen)) for status, (answer, seen) in found.items()} == {
        "404": (404, 1),
        "500": (500, 1),
    }


def test_what_fails_everywhere_is_told_as_it_failed(order: Told) -> None:
    key = next(_keys)
    reply = order.call("again", ("x-test-act", f"{key}/503"))

    assert reply.status == 503
    assert len(order.upstreams.seen(key)) == 1 + AGAIN["attempts"]


def test_over_the_budget_a_call_gets_the_failure(order: Told) -> None:
    held, other = next(_keys), next(_keys)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(order.call, "frugal", ("x-test-act", f"{held}/503,hold+200"))
        wait_until(lambda: order.upstreams.held(held) == 1, "a retry is under way")
        refused = order.call("frugal", ("x-test-act", f"{other}/503,200"))
        order.upstreams.let_go(held)

        assert first.result(10).status == 200
    assert refused.status == 503
    assert len(order.upstreams.seen(other)) == 1


# --- all are ill, or one goes


def test_if_all_are_out_all_are_still_asked(order: Told) -> None:
    order.tell("503")
    wait_until(
        lambda: order.call("panicking").status == 503 and order.stat("panicking", "lb_healthy_panic"), "both are out"
    )
    order.tell("200")

    assert set(order.crowd("panicking")) == {FIRST, SECOND}
    assert order.stat("panicking", EJECTED) == 2


def test_if_all_are_out_nobody_is_asked_if_the_record_says_so(order: Told) -> None:
    order.tell("503")
    wait_until(lambda: order.call("strict").json.get("reason"), "both are out")
    order.tell("200")
    before = order.seen()

    assert reason(order.call("strict")) == (503, "NoHealthyEndpoint")
    assert order.seen() == before


@pytest.mark.parametrize("how", ["draining", "removed"])
def test_an_instance_that_goes_finishes_what_it_has_and_is_asked_no_more(order: Told, how: str) -> None:
    before = order.seen()
    order.tell("hold")
    with ThreadPoolExecutor() as pool:
        asked = pool.submit(order.call, "plain")
        wait_until(lambda: order.seen() != before, "an instance has it")
        goes, stays = sorted(order.places, key=lambda name: order.seen()[name] == before[name])
        order.tell("200")
        if how == "draining":
            order.place(goes, stays, drains=goes)
        else:
            order.place(stays)
        assert order.crowd("plain") == [stays] * 20
        order.upstreams.let_go(goes)

        assert echo(asked.result(10).body).instance == goes
    order.place(FIRST, SECOND)


# --- an instance hears late


def test_a_sidecar_that_hears_late_of_a_deployment_is_well_for_its_callers(
    pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """It refuses what comes in that deployment, and no check does."""
    with (
        pair_of(*pair, tmp_path_factory.mktemp("late"), {"v1": {}}) as order,
        application(order.first),
        relay(order.server.xds) as wire,
        Client(order.ui.outbound) as caller,
    ):
        order.place(order.first, healthCheck={"path": "/healthz", "interval": "100ms", "unhealthyThreshold": 1})
        with order.starting(order.first, by=wire) as late, order.sidecar(order.ui) as ui:
            late.wait_ready()
            wire.responses.hold()
            order.deploy("v2", {"panicThreshold": 0})
            ui.wait_stat("cluster.order-v2/api.health_check.success", 1)
            wait_until(lambda: caller.get("api", "/", [context("v2")]).status == 502, "a caller has heard of it")
            ui.wait_stat("cluster.order-v2/api.health_check.success", 5)
            assert ui.stat("cluster.order-v2/api.health_check.failure") == 0
            assert reason(caller.get("api", "/", [context("v2")])) == (502, "ContextUnknown")
            wire.responses.go_on()
            wait_until(lambda: caller.get("api", "/", [context("v2")]).status == 200, "it has heard")


# --- calls of gRPC


def test_a_call_of_grpc_to_an_application_that_does_not_listen_is_tried_at_another(
    pair: tuple[Mode, EnvoyVersion], tmp_path_factory: pytest.TempPathFactory
) -> None:
    policies: dict[str, Any] = {"again": {"retries": {"attempts": 1, "on": ["connect-failure"]}}, "plain": {}}
    with ExitStack() as stack:
        order = stack.enter_context(pair_of(*pair, tmp_path_factory.mktemp("grpc"), policies))
        upstreams = stack.enter_context(Upstreams(order.directory))
        order.place(order.first, order.second, protocol="grpc")
        port = int(upstreams.start(SECOND, Protocol.GRPC).rpartition(":")[2])
        for each in (order.ui, order.first, replace(order.second, application=port)):
            stack.enter_context(order.sidecar(each))
        target, options = f"127.0.0.1:{order.ui.outbound}", [("grpc.default_authority", "api")]
        channel = stack.enter_context(grpc.insecure_channel(target, options))

        said = {version: {_called(channel, version) for _ in range(10)} for version in policies}
    assert said == {"again": {grpc.StatusCode.OK}, "plain": {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}}


def _called(channel: grpc.Channel, version: str) -> Any:
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/shop.Cart/Add")
    try:
        return call.with_call(b"", timeout=5, metadata=(context(version),))[1].code()
    except grpc.RpcError as error:
        return error.code()
