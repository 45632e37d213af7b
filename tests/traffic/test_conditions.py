from typing import Any

import pytest

from xds_server.records.matches import AudienceMatch, RouteRule
from xds_server.traffic.conditions import Verdict, audience, matches, route_rule
from xds_server.traffic.requests import Seen

Headers = dict[str, str]


def seen(path: str = "/", method: str = "GET", **headers: str) -> Seen:
    return Seen(method, path, {name.replace("_", "-"): tuple(value.split(";;")) for name, value in headers.items()})


@pytest.mark.parametrize(
    ("condition", "value", "holds", "because"),
    [
        ({"exact": "a"}, "a", True, "header x-a is 'a'"),
        ({"exact": "a"}, "b", False, "header x-a is 'b', not 'a'"),
        ({"exact": "a"}, None, False, "header x-a is absent"),
        ({"prefix": "a"}, "ab", True, "header x-a is 'ab', which begins with 'a'"),
        ({"prefix": "a"}, "b", False, "header x-a is 'b', which does not begin with 'a'"),
        ({"suffix": "b"}, "ab", True, "header x-a is 'ab', which ends with 'b'"),
        ({"contains": "b"}, "abc", True, "header x-a is 'abc', which contains 'b'"),
        ({"regex": "a+"}, "aa", True, "header x-a is 'aa', which matches a+"),
        ({"regex": "a+"}, "aab", False, "header x-a is 'aab', which does not match a+"),
        ({"present": True}, "", True, "header x-a is present"),
        ({"present": True}, None, False, "header x-a is absent"),
        ({"present": False}, None, True, "header x-a is absent"),
        ({"exact": "a", "invert": True}, "b", True, "header x-a is 'b', not 'a'"),
        ({"exact": "a", "invert": True}, "a", False, "header x-a is 'a'"),
        ({"present": True, "invert": True}, None, True, "header x-a is absent"),
    ],
)
def test_a_header_is_explained_by_what_is_so(condition: Any, value: str | None, holds: bool, because: str) -> None:
    request = seen() if value is None else seen(x_a=value)
    headers = [{"name": "x-a", **condition}]

    assert audience(AudienceMatch.model_validate({"headers": headers}), request) == Verdict(holds, because)
    rule = RouteRule.model_validate({"headers": headers})
    assert route_rule(rule, request) == Verdict(holds, f"every path is under / and {because}" if holds else because)


@pytest.mark.parametrize(
    ("condition", "lines", "audiences", "routes"),
    [
        ({"exact": "b"}, "a;;b", False, True),
        ({"exact": "a,b"}, "a;;b", True, False),
        ({"exact": "b", "invert": True}, "a;;b", True, False),
        ({"exact": "b", "invert": True}, "a;;c", True, True),
        ({"exact": "b", "invert": True}, None, True, True),
        ({"exact": "", "invert": True}, None, True, False),
        ({"present": True}, "a;;b", True, True),
    ],
)
def test_lines_of_one_header_are_one_value_for_an_audience_and_each_its_own_for_a_route(
    condition: Any, lines: str | None, audiences: bool, routes: bool
) -> None:
    request = seen() if lines is None else seen(x_a=lines)
    match = {"headers": [{"name": "x-a", **condition}]}

    assert audience(AudienceMatch.model_validate(match), request).holds == audiences
    assert route_rule(RouteRule.model_validate(match), request).holds == routes


@pytest.mark.parametrize(
    ("match", "path", "holds", "because"),
    [
        ({"exact": "1"}, "/?b=1", True, "query parameter b with '1' is present"),
        ({"exact": "1"}, "/?a&%62=%31", True, "query parameter b with '1' is present"),
        ({"exact": "1"}, "/?b=2", False, "query parameter b with '1' is absent"),
        ({"prefix": "1"}, "/?b=12", True, "query parameter b with '1'... is present"),
        ({"present": True}, "/?bb", False, "query parameter b is absent"),
        ({"present": False}, "/?bb", True, "query parameter b is absent"),
    ],
)
def test_a_query_parameter_of_an_audience(match: Any, path: str, holds: bool, because: str) -> None:
    found = AudienceMatch.model_validate({"query": [{"name": "b", **match}]})

    assert audience(found, seen(path)) == Verdict(holds, because)


@pytest.mark.parametrize(
    ("match", "cookie", "holds"),
    [
        ({"exact": "1"}, "a=2; b=1", True),
        ({"exact": "1"}, "b=12", False),
        ({"prefix": "1"}, "b=12", True),
        ({"present": True}, "xb=1", False),
        ({"present": False}, "xb=1", True),
    ],
)
def test_a_cookie_of_an_audience(match: Any, cookie: str, holds: bool) -> None:
    found = AudienceMatch.model_validate({"cookies": [{"name": "b", **match}]})

    assert audience(found, seen(cookie=cookie)).holds == holds


@pytest.mark.parametrize(
    ("rule", "path", "holds", "because"),
    [
        ({"path": "/cart"}, "/cart?a", True, "path is /cart"),
        ({"path": "/cart"}, "/cart/", False, "path is /cart/, not /cart"),
        ({"pathPrefix": "/cart"}, "/cart/a", True, "path /cart/a is under /cart"),
        ({"pathPrefix": "/cart"}, "/cartoon", False, "path /cartoon is not under /cart"),
        ({"pathRegex": "/c.*"}, "/cart?x", True, "path /cart matches /c.*"),
        ({"pathRegex": "/c"}, "/cart", False, "path /cart does not match /c"),
        ({}, "/x", True, "every path is under /"),
    ],
)
def test_the_path_of_a_route(rule: Any, path: str, holds: bool, because: str) -> None:
    assert route_rule(RouteRule.model_validate(rule), seen(path)) == Verdict(holds, because)


def test_the_first_condition_that_fails_is_the_reason() -> None:
    rule = RouteRule.model_validate({"methods": ["PUT", "GET"], "headers": [{"name": "x-a", "exact": "1"}]})

    assert route_rule(rule, seen(method="POST")).because == "method is POST, not GET or PUT"
    assert route_rule(rule, seen()).because == "header x-a is absent"
    assert route_rule(rule, seen(x_a="1")).because == "every path is under / and method is GET and header x-a is '1'"


@pytest.mark.parametrize(
    ("match", "path", "holds"),
    [
        ({"exact": "1"}, "/?q=1&q=2", True),
        ({"exact": "1"}, "/?q=2&q=1", False),
        ({"exact": "a b"}, "/?q=a%20b", False),
        ({"regex": "1|2"}, "/?q=2", True),
        ({"present": True}, "/?q", True),
        ({"present": False}, "/?q", False),
    ],
)
def test_a_route_sees_the_first_value_of_a_query_parameter_as_it_was_sent(match: Any, path: str, holds: bool) -> None:
    rule = RouteRule.model_validate({"query": [{"name": "q", **match}]})

    assert route_rule(rule, seen(path)).holds == holds


@pytest.mark.parametrize(("expression", "holds"), [(".", False), ("..", True), ("é", True), (r"\xc3\xa9", True)])
def test_an_expression_reads_bytes(expression: str, holds: bool) -> None:
    assert matches(expression, "é") is holds
