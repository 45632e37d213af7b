from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import SHOP, Server, deployment, gateway, record, release
from xds_server.domain.problems import Problem, Reason
from xds_server.records.models import AppDeployment, Release
from xds_server.records.shadows import never_given, never_routed
from xds_server.records.world import AppWorld
from xds_server.traffic import conditions
from xds_server.traffic.hosts import released_hosts
from xds_server.traffic.intents import DefaultIntent
from xds_server.traffic.requests import Seen
from xds_server.traffic.routes import deployment_routes


def found(files: dict[str, str]) -> list[Problem]:
    return Server({**SHOP, **files}).warnings


def of_routes(*routes: dict[str, Any]) -> list[Problem]:
    components = {"web": {"build": "b1", "routes": list(routes)}}
    return found({"v3.yaml": deployment("v3", components=components)})


def of_audiences(*audiences: dict[str, Any], **spec: Any) -> list[Problem]:
    return found({"shop.yaml": release("shop", *spec.pop("hosts", ["shop.test"]), audiences=list(audiences), **spec)})


def reasons(problems: list[Problem]) -> list[str]:
    return [f"{problem.reason} {problem.where.path}" for problem in problems]


def header(name: str = "x-a", **said: Any) -> dict[str, Any]:
    return {"name": name, **said}


def audience(name: str, *headers: dict[str, Any], hosts: tuple[str, ...] = (), **said: Any) -> dict[str, Any]:
    match = {"match": {"headers": list(headers)}} if headers else {}
    return {"name": name, "deployment": "v1", **match, **({"hosts": list(hosts)} if hosts else {}), **said}


SECOND = "ShadowedRule spec.components.web.routes.1"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({}, {"pathPrefix": "/"}, id="no path is every path"),
        pytest.param(
            {"path": "/a", "methods": ["GET", "POST"]}, {"path": "/a", "methods": ["GET"]}, id="fewer methods"
        ),
        pytest.param(
            {"pathRegex": "/a+", "headers": [header(prefix="a")]},
            {"pathRegex": "/a+", "headers": [header(exact="ab")]},
            id="a narrower header",
        ),
        pytest.param(
            {"query": [{"name": "q", "present": True}]}, {"query": [{"name": "q", "exact": "1"}]}, id="a narrower query"
        ),
        pytest.param(
            {"headers": [header("x-a", exact="1"), header("x-b", exact="2")]},
            {"headers": [header("x-b", exact="2"), header("x-a", exact="1")]},
            id="the same in another order",
        ),
    ],
)
def test_a_rule_behind_a_wider_one(first: dict[str, Any], second: dict[str, Any]):
    [problem] = of_routes(first, second)

    assert reasons([problem]) == [SECOND]
    assert "components.web.routes.0 is tried before it" in problem.what


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param({"pathPrefix": "/"}, {"pathPrefix": "/a"}, id="the longer prefix comes first"),
        pytest.param({"pathPrefix": "/a"}, {"path": "/a"}, id="an exact path comes first"),
        pytest.param({"pathPrefix": "/a"}, {"pathPrefix": "/a", "methods": ["GET"]}, id="methods come first"),
        pytest.param({"methods": ["GET"]}, {"methods": ["POST"]}, id="other methods"),
        pytest.param({"headers": [header(exact="1")]}, {"headers": [header(exact="2")]}, id="another value"),
        pytest.param(
            {"methods": ["GET"]}, {"headers": [header(exact="1")]}, id="what has no method in common with the first"
        ),
        pytest.param({"pathRegex": "/a.*"}, {"pathRegex": "/a+"}, id="expressions are not compared"),
    ],
)
def test_rules_that_have_requests_of_their_own(first: dict[str, Any], second: dict[str, Any]):
    assert of_routes(first, second) == []


def test_rules_of_two_components_are_named_both():
    components = {name: {"build": "b1", "routes": [{"pathPrefix": "/"}]} for name in ("cart", "web")}
    components["web"]["routes"] = [{}]
    problems = [
        each
        for each in found({"v3.yaml": deployment("v3", components=components)})
        if each.reason is Reason.SHADOWED_RULE
    ]

    [problem] = problems
    assert problem.what.startswith("components.web.routes.0 is never used: components.cart.routes.0 is tried before it")


def test_a_rule_whose_conditions_exclude_each_other():
    [problem] = of_routes({}, {"headers": [header(exact="1"), header(present=False)]})

    assert reasons([problem]) == ["Contradiction spec.components.web.routes.1"]
    assert "headers.0 and headers.1 exclude each other on 'x-a'" in problem.what


def test_an_audience_behind_one_that_asks_less():
    [problem] = of_audiences(audience("wide", header(prefix="a")), audience("narrow", header(exact="ab")))

    assert reasons([problem]) == ["ShadowedAudience spec.audiences.1"]
    assert problem.what == "audience narrow gets no request: all of them go to wide, which comes before it"


def test_an_audience_behind_one_that_takes_every_request_of_its_host():
    [problem] = of_audiences(
        audience("all", hosts=("a.test",)), audience("some", header(exact="1"), hosts=("a.test", "b.test"))
    )

    assert reasons([problem]) == ["ShadowedAudience spec.audiences.1"]
    assert "gets no request on a.test: all of them go to all" in problem.what


def test_two_audiences_may_take_the_hosts_of_a_third_together():
    problems = of_audiences(
        audience("one", hosts=("a.test",)),
        audience("two", hosts=("b.test",)),
        audience("third", header(exact="1"), hosts=("a.test", "b.test")),
    )

    assert [each.what for each in problems] == [
        "audience third gets no request: all of them go to one, two, which comes before it"
    ]


@pytest.mark.parametrize(
    "audiences",
    [
        pytest.param([audience("a", header(exact="1")), audience("b", header(exact="2"))], id="other values"),
        pytest.param([audience("a", header(exact="ab")), audience("b", header(prefix="a"))], id="the narrower first"),
        pytest.param([audience("a", hosts=("a.test",)), audience("b", header(exact="1"))], id="other hosts too"),
        pytest.param(
            [audience("a", header(exact="1"), hosts=("a.test",)), audience("b", header(exact="1"), hosts=("b.test",))],
            id="other hosts",
        ),
    ],
)
def test_audiences_that_have_requests_of_their_own(audiences: list[dict[str, Any]]):
    assert of_audiences(*audiences) == []


def test_an_audience_that_has_ended_is_said_and_hides_nobody():
    ended = audience("ended", header(exact="1"), until="2026-11-01")

    [problem] = of_audiences(ended, audience("same", header(exact="1")))

    assert reasons([problem]) == ["AudienceEnded spec.audiences.0.until"]
    assert "ended 2026-11-01 23:59 UTC" in problem.what


def test_an_audience_whose_conditions_exclude_each_other():
    [problem] = of_audiences(audience("nobody", header(exact="1"), header(exact="2")))

    assert reasons([problem]) == ["Contradiction spec.audiences.0"]


def test_a_default_that_no_host_reaches():
    [problem] = of_audiences(audience("all", hosts=("shop.test",)))

    assert reasons([problem]) == ["UnreachedDefault spec.default"]
    assert of_audiences(audience("all", hosts=("shop.test",)), hosts=("shop.test", "www.test")) == []


SELECTING = record(
    "Gateway", "edge", {"listeners": [{"name": "http", "port": 8080}], "explicit": {"header": "x-explicit"}}
)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"exact": "v1"}, ["SelectorWins spec.audiences.0.match.headers.0"]),
        ({"prefix": "v"}, ["SelectorWins spec.audiences.0.match.headers.0"]),
        ({"exact": "v1", "invert": True}, []),
        ({"present": True}, []),
        ({"present": False}, []),
        ({"regex": ".*"}, []),
    ],
)
def test_an_audience_by_the_selector_of_the_gateway(condition: dict[str, Any], expected: list[str]):
    """Any value of it makes the request explicit; an empty one is no selector, and may meet a condition."""
    shop = release("shop", "shop.test", audiences=[audience("a", header("x-explicit", **condition))])

    assert reasons(found({"shop.yaml": shop, "edge.yaml": SELECTING})) == expected
    assert found({"shop.yaml": shop}) == []


def test_a_header_that_the_gateway_lets_not_through():
    shop = release("shop", "shop.test", audiences=[audience("a", header("x_beta", exact="1"))])
    allowing = record(
        "Gateway", "edge", {"listeners": [{"name": "http", "port": 8080}], "http": {"underscores": "allow"}}
    )

    assert reasons(found({"shop.yaml": shop})) == ["StrippedHeader spec.audiences.0.match.headers.0"]
    assert found({"shop.yaml": shop, "edge.yaml": allowing}) == []


def test_one_gateway_at_which_an_audience_can_match_is_enough():
    shop = release(
        "shop", "shop.test", gateways=["edge", "inner"], audiences=[audience("a", header("x-explicit", exact="v1"))]
    )

    assert found({"shop.yaml": shop, "edge.yaml": SELECTING, "inner.yaml": gateway("inner")}) == []


def test_another_gateway_is_looked_at_again():
    shop = release("shop", "shop.test", audiences=[audience("a", header("x-explicit", exact="v1"))])
    server = Server({**SHOP, "shop.yaml": shop})
    assert server.warnings == []

    server.hears({"edge.yaml": SELECTING})
    assert [each.reason for each in server.warnings] == [Reason.SELECTOR_WINS]

    server.hears({"edge.yaml": SHOP["edge.yaml"]})
    assert server.warnings == []


def test_a_warning_names_the_line_of_its_field():
    [problem] = of_audiences(audience("nobody", header(exact="1"), header(exact="2")))

    assert (problem.where.file, problem.where.document, problem.where.path) == ("shop.yaml", 1, "spec.audiences.0")


HOLDS: list[dict[str, Any]] = [
    {"exact": "a"},
    {"exact": "ab"},
    {"prefix": "a"},
    {"regex": "a.*"},
    {"present": True},
    {"present": False},
    {"exact": "a", "invert": True},
]
NAMED = st.builds(lambda name, said: {"name": name, **said}, st.sampled_from(["x-a", "x-b"]), st.sampled_from(HOLDS))
PLAIN = NAMED.filter(lambda said: "invert" not in said)
COOKIES = PLAIN.filter(lambda said: "regex" not in said)
PATHS: list[dict[str, Any]] = [{}, {"pathPrefix": "/"}, {"pathPrefix": "/a"}, {"path": "/a"}, {"pathRegex": "/a.*"}]


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    return {
        **draw(st.sampled_from(PATHS)),
        "methods": draw(st.lists(st.sampled_from(["GET", "POST"]), unique=True, max_size=2)),
        "headers": draw(st.lists(NAMED, max_size=2)),
        "query": draw(st.lists(PLAIN, max_size=1)),
    }


LINES = [(), ("",), ("a",), ("ab",), ("b",), ("a", "ab")]
REQUESTS = [
    Seen(method, path + query, {name: lines for name, lines in (("x-a", one), ("x-b", two)) if lines})
    for method, path, query in product(("GET", "POST"), ("/", "/a", "/ab", "/a/b"), ("", "?x-a=a", "?x-a=ab&x-a=b"))
    for one, two in product(LINES, repeat=2)
]


@given(st.lists(rules(), min_size=2, max_size=6))
def test_a_route_that_is_called_never_used_is_never_used(routes: list[dict[str, Any]]):
    said = {"app": "shop", "components": {"web": {"build": "b1", "routes": routes}}}
    made = AppDeployment.model_validate(
        {"apiVersion": "xds-server.dev/v1alpha1", "kind": "AppDeployment", "metadata": {"name": "v1"}, "spec": said}
    )
    never = {f"web.{finding.path[-1]}" for finding in never_routed(made)}
    if not never:
        return
    ordered = deployment_routes(made).routes
    for request in REQUESTS:
        winner = next((each.id for each in ordered if conditions.route_rule(each.rule, request).holds), None)
        assert winner not in never


HOSTS = ("a.test", "b.test")


@st.composite
def audiences(draw: st.DrawFn) -> dict[str, Any]:
    hosts = draw(st.lists(st.sampled_from(HOSTS), unique=True, max_size=2))
    match = draw(
        st.fixed_dictionaries({"headers": st.lists(NAMED, max_size=2), "cookies": st.lists(COOKIES, max_size=1)})
    )
    some = any(match.values())
    return {
        "deployment": "v1",
        **({"match": match} if some else {}),
        **({"hosts": hosts} if hosts or not some else {}),
        **({} if hosts or some else {"hosts": ["a.test"]}),
    }


@given(st.lists(audiences(), min_size=1, max_size=5), st.sets(st.integers(0, 4), max_size=1))
def test_an_audience_that_is_called_shadowed_gets_nobody(said: list[dict[str, Any]], ended: set[int]):
    named = [{"name": f"n{index}", **each} for index, each in enumerate(said)]
    spec = {"app": "shop", "gateways": ["edge"], "hosts": ["a.test"], "default": [{"deployment": "v1"}]}
    made = Release.model_validate(
        {
            "apiVersion": "xds-server.dev/v1alpha1",
            "kind": "Release",
            "metadata": {"name": "shop"},
            "spec": {**spec, "audiences": named},
        }
    )
    expired = frozenset((made.ref, f"n{index}") for index in ended)
    findings = [*never_given(made, SOME_GATEWAYS, expired)]
    never = {f"n{f.path[2]}" for f in findings if f.reason in NEVER and " on " not in f.what.partition(":")[0]}
    hosts = released_hosts(AppWorld(made.ref, expired=expired), made)
    for host, request in product(hosts, REQUESTS):
        winner = next(
            (
                each.name
                for each in host.audiences
                if each.match is None or conditions.audience(each.match, request).holds
            ),
            None,
        )
        assert winner not in never
        if winner is None and isinstance(host.otherwise, DefaultIntent):
            assert not any(f.reason is Reason.UNREACHED_DEFAULT for f in findings)


NEVER = (Reason.SHADOWED_AUDIENCE, Reason.CONTRADICTION)
SOME_GATEWAYS = Server(SHOP).admission.world.gateways
