"""The routes of one deployment under one rule, as an encoded `RouteList`.

Each list ends with a catch-all: a 404, unless the deployment has one of its own.
"""

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.messages.codec import encode
from xds_server.messages.envoy import (
    DataSource,
    DirectResponseAction,
    HeaderMatcher,
    QueryParameterMatcher,
    RegexMatcher,
    Route,
    RouteMatch,
    StringMatcher,
)
from xds_server.messages.fields import message_field, text_field
from xds_server.records.matches import HeaderMatch, QueryMatch, RouteRule
from xds_server.records.policies import Retries, TrafficPolicy
from xds_server.resources.actions import IDEMPOTENT, ways
from xds_server.resources.headers import header
from xds_server.traffic.intents import DEPLOYMENT_UNKNOWN, NO_ROUTE, DeploymentRoutes, Refusal, RouteIntent

NAME = 14
"""The field number of `Route.name`: what comes before it is the same under every rule."""
ROUTES = 1
"""The field number of `RouteList.routes`."""
STAT_PREFIX = 19
"""The field number of `Route.stat_prefix`, its last field here."""
MATCH, ROUTE, REQUEST_HEADERS_TO_ADD, RESPONSE_HEADERS_TO_ADD = 1, 2, 9, 10
"""Field numbers of `Route`."""
CLUSTER = 1
"""The field number of `RouteAction.cluster`."""
REPEATED = (NO_ROUTE, DEPLOYMENT_UNKNOWN)
"""Refusals at the end of every list, and in every virtual host of a release."""


@dataclass(frozen=True, slots=True, eq=False)
class EncodedRoutes:
    """A deployment's routes as far as they are the same under every rule: each id, and all fields but the name.

    `complete`: every request matches one.
    """

    deployment: Ref
    routes: tuple[tuple[str, bytes], ...]
    complete: bool = False


def encoded_routes(listed: DeploymentRoutes, grpc: Collection[str] = (), usual: Retries | None = None) -> EncodedRoutes:
    """`grpc`: the components that speak it. `usual`: what is tried again unless a route says something else."""
    return EncodedRoutes(
        listed.deployment,
        tuple(
            (each.id, fields)
            for each in listed.routes
            for fields in _encoded(listed.deployment, each, usual, grpc=each.component in grpc)
        ),
        any(each.rule.everything for each in listed.routes),
    )


def _encoded(deployment: Ref, intent: RouteIntent, usual: Retries | None, *, grpc: bool) -> Iterator[bytes]:
    cluster = text_field(CLUSTER, names.cluster(deployment, intent.component))
    for match, action, more in _unbound(intent.rule, intent.policy, usual, grpc):
        yield match + message_field(ROUTE, cluster + action) + more


@lru_cache(maxsize=4096)
def _unbound(
    rule: RouteRule, policy: TrafficPolicy, usual: Retries | None, grpc: bool
) -> tuple[tuple[bytes, bytes, bytes], ...]:
    """Routes that go nowhere yet: the first field, the action but for its cluster, and the fields after it.
    Deployments share most.
    """
    return tuple(
        (
            message_field(MATCH, encode(route_match(rule, (IDEMPOTENT,) if way.idempotent_only else ()))),
            encode(way.action),
            b"".join(message_field(REQUEST_HEADERS_TO_ADD, encode(each)) for each in way.more),
        )
        for way in ways(policy, usual, grpc=grpc)
    )


def route_list(rule: str, listed: EncodedRoutes, set_cookie: bytes = b"") -> bytes:
    """Everything a request bound to this deployment may reach.

    `set_cookie`, an encoded `HeaderValueOption`, is added to every application's answer. The list is put together from
    encoded routes, because every rule of every release has one.
    """
    cookie = message_field(RESPONSE_HEADERS_TO_ADD, set_cookie) if set_cookie else b""
    last = b"" if listed.complete else message_field(ROUTES, refusal_route(NO_ROUTE, rule, listed.deployment.word))
    return _under(rule, listed, before=cookie) + last


def call_list(rule: str, listed: EncodedRoutes, *, counted: bool = True) -> bytes:
    """Of routes that match everything. `counted`: not of requests that somebody else has counted already."""
    return _under(rule, listed, counted=counted)


def _under(rule: str, listed: EncodedRoutes, *, before: bytes = b"", counted: bool = False) -> bytes:
    """The routes with their names under this rule, and the fields `before` that."""
    return b"".join(
        message_field(ROUTES, fields + before + _named(rule, listed.deployment, route_id, counted=counted))
        for route_id, fields in listed.routes
    )


def _named(rule: str, deployment: Ref, route_id: str, *, counted: bool) -> bytes:
    """What a route is called in access logs, and under what its requests are counted."""
    name = text_field(NAME, names.route(rule, deployment, route_id))
    component = route_id.rpartition(".")[0]
    return name + text_field(STAT_PREFIX, names.route_stat(rule, deployment, component)) if counted else name


def refusals(refusal: Refusal, rule: str = "-", deployment: str = "-") -> bytes:
    """A list that answers everything with the refusal."""
    return message_field(ROUTES, refusal_route(refusal, rule, deployment))


def refusal_route(refusal: Refusal, rule: str, deployment: str = "-") -> bytes:
    """An encoded catch-all that answers with the refusal.

    The body says what was wrong with the request; which rule and deployment it was is in the route's name, for access
    logs, and in the headers that the gateway reveals. What lists repeat has no body here: the listener has it
    (`local_replies`).
    """
    return _answer(refusal) + text_field(NAME, f"{rule}/{deployment}/{refusal.reason}")


def refusal_text(refusal: Refusal) -> str:
    """The body of an answer."""
    return json.dumps({"reason": refusal.reason, "message": refusal.message})


@cache
def _answer(refusal: Refusal) -> bytes:
    if refusal in REPEATED:
        return encode(Route(match=RouteMatch(prefix="/"), direct_response=DirectResponseAction(status=refusal.status)))
    body = refusal_text(refusal)
    return encode(
        Route(
            match=RouteMatch(prefix="/"),
            direct_response=DirectResponseAction(status=refusal.status, body=DataSource(inline_string=body)),
            response_headers_to_add=[header("content-type", "application/json")],
        )
    )


def route_match(rule: RouteRule, more: Iterable[HeaderMatcher] = ()) -> RouteMatch:
    """`more`: what a request must meet besides."""
    headers = [*map(_header_matcher, rule.headers), *more]
    if rule.methods:
        headers.append(_method_matcher(rule))
    query = [_query_matcher(match) for match in rule.query]
    if rule.path is not None:
        return RouteMatch(path=rule.path, headers=headers, query_parameters=query)
    if rule.path_regex is not None:
        return RouteMatch(safe_regex=RegexMatcher(regex=rule.path_regex), headers=headers, query_parameters=query)
    if rule.path_prefix in (None, "/"):
        return RouteMatch(prefix="/", headers=headers, query_parameters=query)
    return RouteMatch(path_separated_prefix=rule.path_prefix, headers=headers, query_parameters=query)


def _method_matcher(rule: RouteRule) -> HeaderMatcher:
    methods = "|".join(sorted(rule.methods))
    return HeaderMatcher(name=":method", string_match=StringMatcher(safe_regex=RegexMatcher(regex=methods)))


def _header_matcher(match: HeaderMatch) -> HeaderMatcher:
    if match.present is not None:
        return HeaderMatcher(name=match.name, present_match=match.present, invert_match=match.invert)
    # Inverted, a condition holds where the header is absent, as it does in an audience.
    return HeaderMatcher(
        name=match.name,
        string_match=_string_matcher(match),
        invert_match=match.invert,
        treat_missing_header_as_empty=match.invert,
    )


def _query_matcher(match: QueryMatch) -> QueryParameterMatcher:
    if match.present is not None:
        return QueryParameterMatcher(name=match.name, present_match=match.present)
    return QueryParameterMatcher(name=match.name, string_match=_string_matcher(match))


def _string_matcher(match: HeaderMatch | QueryMatch) -> StringMatcher:
    if match.exact is not None:
        return StringMatcher(exact=match.exact)
    if match.regex is not None:
        return StringMatcher(safe_regex=RegexMatcher(regex=match.regex))
    if match.prefix is not None:
        return StringMatcher(prefix=match.prefix)
    assert isinstance(match, HeaderMatch)
    if match.suffix is not None:
        return StringMatcher(suffix=match.suffix)
    return StringMatcher(contains=match.contains or "")
