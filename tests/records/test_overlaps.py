"""What is said of two conditions is tried on every request of a small world, as Envoy tries them."""

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from typing import Any

import pytest

from xds_server.records.matches import (
    AudienceMatch,
    AudienceQueryMatch,
    CookieMatch,
    HeaderMatch,
    QueryMatch,
    RouteRule,
)
from xds_server.records.overlaps import Condition, all_imply, excludes, exclusions, implies, of_audience, of_route
from xds_server.traffic import conditions
from xds_server.traffic.requests import Seen

VALUES = ("", "a", "ab", "abc", "b", "bab")
TEXTS = ("a", "ab", "b")
SAID: list[dict[str, Any]] = [
    *({"exact": text} for text in ("", "ba", *TEXTS)),
    *({how: text} for how, text in product(("prefix", "suffix", "contains"), TEXTS)),
    *({"regex": text} for text in ("a.*", ".*", "ab?")),
    {"present": True},
    {"present": False},
]


def several() -> Iterator[tuple[str, ...]]:
    """No value, one, and two."""
    yield ()
    yield from ((value,) for value in VALUES)
    yield from product(VALUES, repeat=2)


def with_headers() -> Iterator[Seen]:
    yield from (Seen("GET", "/", {"x-a": lines} if lines else {}) for lines in several())


def with_query() -> Iterator[Seen]:
    yield from (Seen("GET", "/?" + "&".join(f"x-a={value}" for value in values), {}) for values in several())


def with_cookies() -> Iterator[Seen]:
    for values in several():
        line = "; ".join(f"x-a={value}" for value in values)
        yield Seen("GET", "/", {"cookie": (line,)} if values else {})


def written(model: Any, said: Iterable[dict[str, Any]]) -> list[Any]:
    known = set(model.model_fields)
    return [model.model_validate({"name": "x-a", **each}) for each in said if set(each) <= known]


HEADERS = written(HeaderMatch, [*SAID, *({**each, "invert": True} for each in SAID)])


def route(**said: Any) -> Callable[[Seen], bool]:
    rule = RouteRule.model_validate(said)
    return lambda request: conditions.route_rule(rule, request).holds


def audience(**said: Any) -> Callable[[Seen], bool]:
    match = AudienceMatch.model_validate(said)
    return lambda request: conditions.audience(match, request).holds


KINDS: list[Any] = [
    pytest.param(HEADERS, True, with_headers, audience, "headers", id="an audience's headers"),
    pytest.param(HEADERS, False, with_headers, route, "headers", id="a route's headers"),
    pytest.param(written(QueryMatch, SAID), True, with_query, route, "query", id="a route's query"),
    pytest.param(written(AudienceQueryMatch, SAID), False, with_query, audience, "query", id="an audience's query"),
    pytest.param(written(CookieMatch, SAID), False, with_cookies, audience, "cookies", id="an audience's cookies"),
]


@pytest.mark.parametrize(("said", "one_value", "world", "asked", "field"), KINDS)
def test_what_is_said_of_two_conditions_holds_for_every_request(
    said: list[Condition], one_value: bool, world: Any, asked: Any, field: str
):
    requests = list(world())
    met = [frozenset(i for i, each in enumerate(requests) if asked(**{field: [one]})(each)) for one in said]

    for (i, one), (j, other) in product(enumerate(said), repeat=2):
        if implies(one, other, one_value=one_value):
            assert met[i] <= met[j], f"{one!r} does not imply {other!r}"
        if excludes(one, other, one_value=one_value):
            assert not met[i] & met[j], f"{one!r} does not exclude {other!r}"


def header(**said: Any) -> HeaderMatch:
    return HeaderMatch.model_validate({"name": "x-a", **said})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param(header(exact="ab"), header(exact="ab"), id="the same"),
        pytest.param(header(exact="ab"), header(prefix="a"), id="a value and its beginning"),
        pytest.param(header(exact="ab"), header(suffix="b"), id="a value and its end"),
        pytest.param(header(exact="ab"), header(contains="a"), id="a value and a part of it"),
        pytest.param(header(exact="ab"), header(regex="a.*"), id="a value and an expression that has it"),
        pytest.param(header(exact="ab"), header(present=True), id="a value and presence"),
        pytest.param(header(exact="ab"), header(exact="c", invert=True), id="a value and not another"),
        pytest.param(header(prefix="ab"), header(prefix="a"), id="a longer beginning"),
        pytest.param(header(suffix="ab"), header(suffix="b"), id="a longer end"),
        pytest.param(header(prefix="ab"), header(contains="b"), id="a beginning and a part of it"),
        pytest.param(header(prefix="a", invert=True), header(exact="ab", invert=True), id="not the wider"),
        pytest.param(header(present=False), header(present=True, invert=True), id="absence in two ways"),
    ],
)
def test_a_condition_that_implies_another(one: HeaderMatch, other: HeaderMatch):
    assert implies(one, other, one_value=True)
    assert one == other or other.present is False or not implies(other, one, one_value=True) or one.present is False


@pytest.mark.parametrize(
    ("one", "other", "one_value"),
    [
        pytest.param(header(exact="a"), header(exact="b"), True, id="two values"),
        pytest.param(header(exact="a"), header(prefix="b"), True, id="a value and another beginning"),
        pytest.param(header(prefix="a"), header(prefix="b"), True, id="two beginnings"),
        pytest.param(header(suffix="a"), header(suffix="b"), True, id="two ends"),
        pytest.param(header(exact="a"), header(regex="b+"), True, id="a value and an expression without it"),
        pytest.param(header(exact="a"), header(exact="a", invert=True), False, id="a condition and its inverse"),
        pytest.param(header(exact="ab"), header(prefix="a", invert=True), False, id="a value and not its beginning"),
        pytest.param(header(present=False), header(exact="a"), False, id="absence and a value"),
        pytest.param(header(present=False), header(present=True), False, id="absence and presence"),
    ],
)
def test_conditions_that_exclude_each_other(one: HeaderMatch, other: HeaderMatch, one_value: bool):
    assert excludes(one, other, one_value=one_value)
    assert excludes(other, one, one_value=one_value)


def test_two_lines_of_a_header_may_meet_what_one_cannot():
    assert not excludes(header(exact="a"), header(exact="b"), one_value=False)


def test_conditions_on_other_names_have_nothing_to_do_with_each_other():
    other = HeaderMatch(name="x-b", exact="a")

    assert not implies(header(exact="a"), other, one_value=True)
    assert not excludes(header(exact="a"), other, one_value=True)


def test_a_match_with_more_conditions_is_narrower():
    wide = AudienceMatch.model_validate({"headers": [{"name": "x-a", "prefix": "a"}]})
    narrow = AudienceMatch.model_validate(
        {"headers": [{"name": "x-a", "exact": "ab"}], "cookies": [{"name": "c", "present": True}]}
    )

    assert all_imply(of_audience(narrow), of_audience(wide))
    assert not all_imply(of_audience(wide), of_audience(narrow))
    assert all_imply(of_audience(wide), of_audience(None))


def test_exclusions_say_where_both_conditions_are():
    rule = RouteRule.model_validate(
        {
            "headers": [{"name": "x-a", "exact": "1"}, {"name": "x-a", "present": False}],
            "query": [{"name": "q", "exact": "1"}, {"name": "q", "exact": "2"}],
        }
    )

    assert list(exclusions(of_route(rule))) == [("headers.0", "headers.1", "x-a"), ("query.0", "query.1", "q")]
