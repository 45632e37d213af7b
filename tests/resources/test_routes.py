"""Routes that are put together from parts are what the messages themselves encode to."""

from typing import Any

import pytest

from xds_server.domain.names import Ref
from xds_server.messages.codec import encode
from xds_server.messages.envoy import (
    HeaderValue,
    HeaderValueOption,
    HeaderValueOptionHeaderAppendAction,
    Route,
    RouteAction,
)
from xds_server.records.matches import RouteRule
from xds_server.records.models import TrafficPolicy
from xds_server.resources.actions import IDEMPOTENT, ways
from xds_server.resources.routes import encoded_routes, route_match
from xds_server.traffic.intents import DeploymentRoutes, RouteIntent

DEPLOYMENT = Ref("prod", "shop-v1")
RULES: list[dict[str, Any]] = [
    {},
    {"path": "/exact"},
    {"pathPrefix": "/api"},
    {"pathRegex": "/a+", "methods": ["GET", "POST"]},
    {
        "headers": [{"name": "x-a", "exact": "1"}, {"name": "x-b", "present": False}],
        "query": [{"name": "q", "regex": "."}],
    },
]
POLICIES: list[dict[str, Any]] = [
    {},
    {"timeout": "0s", "idleTimeout": "0s"},
    {"retries": {"attempts": 2, "on": ["connect-failure"]}},
    {"retries": {"attempts": 2, "on": ["connect-failure", "5xx"], "perTryTimeout": "1s"}},
    {"loadBalancer": "maglev", "hash": {"cookie": {"name": "user", "maxAge": "1h"}}},
]


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rule", RULES)
def test_a_route(rule: dict[str, Any], policy: dict[str, Any], grpc: bool) -> None:
    intent = RouteIntent("web.0", RouteRule.model_validate(rule), "web", TrafficPolicy.model_validate(policy))

    found = encoded_routes(DeploymentRoutes(DEPLOYMENT, (intent,)), {"web"} if grpc else ())

    assert found.routes == tuple(("web.0", encode(each)) for each in built(intent, grpc=grpc))


def built(intent: RouteIntent, *, grpc: bool) -> list[Route]:
    context = HeaderValueOption(
        header=HeaderValue(key="x-deployment", value="prod.shop-v1"),
        append_action=HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )
    routes = []
    for way in ways(intent.policy, grpc=grpc):
        action = RouteAction(cluster="prod.shop-v1/web")
        action.MergeFrom(way.action)  # type: ignore[attr-defined]
        match = route_match(intent.rule, (IDEMPOTENT,) if way.idempotent_only else ())
        routes.append(Route(match=match, route=action, request_headers_to_add=[context]))
    return routes
