"""Routes that are put together from parts are what the messages themselves encode to."""

from typing import Any

import pytest

from xds_server.domain.names import Ref
from xds_server.messages.codec import decode, encode
from xds_server.messages.envoy import (
    Route,
    RouteAction,
    RouteList,
)
from xds_server.records.matches import RouteRule
from xds_server.records.models import Retries, TrafficPolicy
from xds_server.resources.actions import IDEMPOTENT, ways
from xds_server.resources.headers import header
from xds_server.resources.routes import encoded_routes, route_list, route_match
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

USUAL = Retries.model_validate(POLICIES[3]["retries"])


@pytest.mark.parametrize("grpc", [False, True])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("usual", [None, Retries(), USUAL], ids=["no-usual", "another-usual", "usual"])
def test_a_route(rule: dict[str, Any], policy: dict[str, Any], usual: Retries | None, grpc: bool) -> None:
    intent = RouteIntent("web.0", RouteRule.model_validate(rule), "web", TrafficPolicy.model_validate(policy))

    found = encoded_routes(DeploymentRoutes(DEPLOYMENT, (intent,)), {"web"} if grpc else (), usual)

    assert found.routes == tuple(("web.0", encode(each)) for each in built(intent, usual, grpc=grpc))


def built(intent: RouteIntent, usual: Retries | None, *, grpc: bool) -> list[Route]:
    routes = []
    for way in ways(intent.policy, usual, grpc=grpc):
        action = RouteAction(cluster="prod.shop-v1/web")
        action.MergeFrom(way.action)  # type: ignore[attr-defined]
        match = route_match(intent.rule, (IDEMPOTENT,) if way.idempotent_only else ())
        routes.append(Route(match=match, route=action, request_headers_to_add=list(way.more)))
    return routes


@pytest.mark.parametrize("rule", RULES)
def test_a_list_ends_with_an_answer_for_everything(rule: dict[str, Any]) -> None:
    """Who gets none of the application's is nobody's user yet."""
    intent = RouteIntent("web.0", RouteRule.model_validate(rule), "web", TrafficPolicy())
    listed = encoded_routes(DeploymentRoutes(DEPLOYMENT, (intent,)))
    routes = decode(RouteList, route_list("default", listed, encode(header("set-cookie", "user=1")))).routes

    *others, last = routes
    assert encode(last.match) == encode(route_match(RouteRule()))
    assert last.HasField("route") is (not rule)
    assert not last.HasField("direct_response") or not last.response_headers_to_add
    assert all(each.response_headers_to_add for each in others)
