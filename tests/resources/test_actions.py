"""How a route carries requests."""

from datetime import timedelta

import pytest

from xds_server.messages.envoy import RouteAction, RouteActionMaxStreamDuration
from xds_server.records.models import TrafficPolicy
from xds_server.resources.actions import ways


@pytest.mark.parametrize(
    ("written", "limit"),
    [
        pytest.param(None, timedelta(0), id="the-client-says"),
        pytest.param("0s", timedelta(0), id="no-limit"),
        pytest.param("20s", timedelta(seconds=20), id="written"),
    ],
)
def test_a_timeout_that_is_written_holds_for_grpc_whether_or_not_the_client_has_a_deadline(
    written: str | None, limit: timedelta
) -> None:
    policy = TrafficPolicy.model_validate({} if written is None else {"timeout": written})
    [way] = ways("v1/web", policy, grpc=True)

    both = RouteActionMaxStreamDuration(grpc_timeout_header_max=limit, max_stream_duration=limit)
    assert (way.action.timeout, way.action.max_stream_duration) == (RouteAction(timeout=limit).timeout, both)
