"""How a route carries its requests."""

from datetime import timedelta

import pytest

from xds_server.messages.envoy import RouteAction, RouteActionMaxStreamDuration, RouteActionUpgradeConfig
from xds_server.records.models import TrafficPolicy
from xds_server.records.policies import TIMEOUT
from xds_server.resources.actions import ways

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


def test_what_is_no_call_has_a_timeout_alone() -> None:
    websocket = RouteActionUpgradeConfig(upgrade_type="websocket")

    assert action(TrafficPolicy()) == RouteAction(
        timeout=TIMEOUT, idle_timeout=timedelta(minutes=5), upgrade_configs=[websocket]
    )


def test_conditions_of_both_kinds_are_two_ways_and_the_last_is_for_all() -> None:
    policy = TrafficPolicy.model_validate({"retries": RETRIES})

    said = [(way.idempotent_only, way.action.retry_policy) for way in ways(policy, grpc=False)]
    assert [(only, retries and retries.retry_on) for only, retries in said] == [
        (True, "connect-failure,5xx"),
        (False, "connect-failure"),
    ]
