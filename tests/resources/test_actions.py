"""How a route carries its requests."""

from datetime import timedelta
from typing import Any

import pytest

from xds_server.messages.codec import pack
from xds_server.messages.envoy import (
    HeaderMatcher,
    RetryPolicy,
    RouteAction,
    RouteActionMaxStreamDuration,
    RouteActionUpgradeConfig,
)
from xds_server.messages.extensions import PreviousPrioritiesConfig
from xds_server.records.models import TrafficPolicy
from xds_server.records.policies import TIMEOUT
from xds_server.resources.actions import usual_policy, usual_retries, ways

SECOND = timedelta(seconds=1)
RETRIES = {"attempts": 1, "on": ["connect-failure", "5xx"]}


def action(policy: TrafficPolicy, *, grpc: bool = False) -> RouteAction:
    [way] = ways(policy, grpc=grpc)
    return way.action


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        pytest.param({}, RouteActionMaxStreamDuration(grpc_timeout_header_max=timedelta(0)), id="by-its-client"),
        pytest.param(
            {"timeout": "0s"}, RouteActionMaxStreamDuration(grpc_timeout_header_max=timedelta(0)), id="by-no-more"
        ),
        pytest.param(
            {"timeout": "1s"},
            RouteActionMaxStreamDuration(max_stream_duration=SECOND, grpc_timeout_header_max=SECOND),
            id="by-what-is-written",
        ),
    ],
)
def test_a_call_is_bounded(written: dict[str, str], bound: RouteActionMaxStreamDuration) -> None:
    assert action(TrafficPolicy.model_validate(written), grpc=True).max_stream_duration == bound


def test_what_is_no_call_has_a_timeout_alone_and_the_usual_one_is_envoys() -> None:
    usual = RouteAction(idle_timeout=timedelta(minutes=5))

    assert timedelta(seconds=15) == TIMEOUT
    assert action(TrafficPolicy()) == action(TrafficPolicy.model_validate({"timeout": "15s"})) == usual
    assert action(TrafficPolicy.model_validate({"timeout": "1s"})) == RouteAction(
        timeout=SECOND, idle_timeout=timedelta(minutes=5)
    )


def test_only_what_differs_from_the_listener_is_said_of_upgrades() -> None:
    none = RouteActionUpgradeConfig(upgrade_type="websocket", enabled=False)
    other = RouteActionUpgradeConfig(upgrade_type="foo")

    assert list(action(TrafficPolicy(upgrades=())).upgrade_configs) == [none]
    assert list(action(TrafficPolicy(upgrades=("foo",))).upgrade_configs) == [none, other]
    assert list(action(TrafficPolicy(upgrades=("websocket", "foo"))).upgrade_configs) == [other]


def test_conditions_of_both_kinds_are_two_ways_and_the_last_is_for_all() -> None:
    policy = TrafficPolicy.model_validate({"retries": RETRIES})

    said = [(way.idempotent_only, way.action.retry_policy) for way in ways(policy, grpc=False)]
    assert [(only, retries and retries.retry_on) for only, retries in said] == [
        (True, "connect-failure,5xx,retriable-headers"),
        (False, "connect-failure,retriable-headers"),
    ]


NOT_DELIVERED = HeaderMatcher(name="x-not-delivered", present_match=True)


@pytest.mark.parametrize(
    ("on", "said", "headers"),
    [
        (["connect-failure"], "connect-failure,retriable-headers", [NOT_DELIVERED]),
        (["refused-stream", "connect-failure"], "refused-stream,connect-failure,retriable-headers", [NOT_DELIVERED]),
        (["5xx"], "5xx", []),
        (["refused-stream"], "refused-stream", []),
    ],
)
def test_a_sidecar_that_could_not_connect_is_a_connection_that_failed(
    on: list[str], said: str, headers: list[HeaderMatcher]
) -> None:
    [way] = ways(policy(on=on), grpc=False)

    assert way.action.retry_policy is not None
    assert (way.action.retry_policy.retry_on, way.action.retry_policy.retriable_headers) == (said, headers)


@pytest.mark.parametrize(("attempts", "tries"), [(1, 1), (2, 2), (5, 2)])
def test_the_last_of_two_retries_or_the_only_one_is_for_the_next_priority(attempts: int, tries: int) -> None:
    retries = policy(attempts=attempts).retries
    assert retries is not None
    said = usual_policy(retries).retry_priority

    assert said is not None
    assert said.typed_config == pack(PreviousPrioritiesConfig(update_frequency=tries))


def policy(**retries: Any) -> TrafficPolicy:
    return TrafficPolicy.model_validate({"retries": retries})


def test_the_usual_retries_are_those_of_most_and_of_several_the_first() -> None:
    one, other = policy(attempts=1), policy(attempts=2)
    budgeted = policy(attempts=2, budget={"percent": 1})

    assert usual_retries([TrafficPolicy(), policy(attempts=0)]) is None
    assert usual_retries([one, other]) == one.retries
    assert usual_retries([one, other, budgeted]) == other.retries, "the budget is the cluster's"


def test_what_the_virtual_host_says_no_route_says_again() -> None:
    plain = policy(on=["connect-failure"])
    [way] = ways(plain, plain.retries, grpc=False)

    assert way == (False, action(TrafficPolicy()), ())
    assert plain.retries is not None
    assert usual_policy(plain.retries) == action(plain).retry_policy


def test_conditions_for_idempotent_requests_alone_are_added_by_headers() -> None:
    both = policy(on=["connect-failure", "5xx", "reset", "unavailable"])
    first, last = ways(both, both.retries, grpc=False)

    said = {each.header.key: each.header.value for each in first.more if each.header}
    assert said == {"x-envoy-retry-on": "5xx,reset", "x-envoy-retry-grpc-on": "unavailable"}
    assert (first.idempotent_only, first.action, last) == (True, last.action, (False, action(TrafficPolicy()), ()))
    assert both.retries is not None
    assert usual_policy(both.retries).retry_on == "connect-failure,retriable-headers"


def test_a_route_that_tries_something_anotheror_nothing_says_so() -> None:
    usual = policy(on=["connect-failure"]).retries
    [nothing] = ways(TrafficPolicy(), usual, grpc=False)
    other = policy(attempts=5, on=["connect-failure"])
    [another] = ways(other, usual, grpc=False)

    assert nothing.action.retry_policy == RetryPolicy()
    assert another.action == action(other)
