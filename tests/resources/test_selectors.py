from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.resources.edge import gateway, unpacked
from tests.resources.lua import Filter, Line
from xds_server.domain.names import rule_stat
from xds_server.records.models import Gateway
from xds_server.resources.selectors import READS, STAMPS, lua_source, selector_first

LUA = Filter(lua_source(gateway(reveal={"deployment": True, "rule": True})))
QUIET = Filter(lua_source(gateway(explicit=None)))
READ, STAMP = Filter(READS), Filter(STAMPS)
ROUTE = "default/shop-v2/web.0"


# --- the path: the selector's parameter goes, every other byte stays


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a?b=c", "/a?b=c"),
        ("/a?explicit-deployment=v2", "/a"),
        ("/a?explicit-deployment", "/a"),
        ("/a?b=c&explicit-deployment=v2&d", "/a?b=c&d"),
        ("/a?explicit-deployment=1&explicit-deployment=2&", "/a?"),
        ("/a?%65xplicit%2Ddeployment=v2&b=%2f%zz+%", "/a?b=%2f%zz+%"),
        ("/a?b=explicit-deployment=v2", "/a?b=explicit-deployment=v2"),
        ("/explicit-deployment=v2", "/explicit-deployment=v2"),
        ("/a?&&b", "/a?&&b"),
        ("/a?", "/a?"),
        ("/a?b?explicit-deployment=v2", "/a?b?explicit-deployment=v2"),
    ],
)
def test_the_selector_is_taken_out_of_the_query(path: str, expected: str) -> None:
    assert LUA.request(ROUTE, (":path", path)).of(":path") == [expected]
    assert QUIET.request(ROUTE, (":path", path)).of(":path") == [path]


def written(name: str) -> st.SearchStrategy[str]:
    """A name with any of its characters percent-encoded, in small or capital letters."""
    letters = [st.sampled_from([char, f"%{ord(char):02x}", f"%{ord(char):02X}"]) for char in name]
    return st.tuples(*letters).map("".join)


OCTETS = st.characters(min_codepoint=0x21, max_codepoint=0xFF)
PARAMETER = st.text(OCTETS, max_size=12).map(lambda text: text.replace("&", ""))
SELECTOR = st.builds("{}{}".format, written("explicit-deployment"), st.just("") | PARAMETER.map("={}".format))


@given(st.text(OCTETS, max_size=20).map(lambda text: text.replace("?", "")), st.lists(PARAMETER | SELECTOR, max_size=6))
def test_every_other_byte_of_the_path_stays(path: str, parameters: list[str]) -> None:
    def is_selector(parameter: str) -> bool:
        return unquote_to_bytes(parameter.partition("=")[0].encode("latin-1")) == b"explicit-deployment"

    kept = [each for each in parameters if not is_selector(each)]
    before = f"{path}?{'&'.join(parameters)}"
    after = f"{path}?{'&'.join(kept)}" if kept else path

    found = LUA.request(ROUTE, (":path", before)).of(":path")
    assert found == [before if kept == parameters else after]


# --- the context header: ours, in place of any that came


@given(st.lists(st.sampled_from(["shop-v1", "", "shop-v2", "a,b"]), max_size=3))
def test_the_context_header_is_ours_alone(forged: list[str]) -> None:
    headers = LUA.request(ROUTE, (":path", "/"), *(("x-deployment", value) for value in forged))

    assert headers.of("x-deployment") == ["shop-v2"]


# --- baggage: our member goes in front, theirs of that name goes, every other byte stays


def members(lines: list[str]) -> list[str]:
    return [member for line in lines for member in line.split(",")]


def is_ours(member: str) -> bool:
    """As the libraries that read baggage may see it: once decoded, with or without `+` as a space."""
    key = member.partition(";")[0].partition("=")[0]
    seen = {unquote_to_bytes(form.encode("latin-1")).strip(b" \t\n\r\v\f") for form in (key, key.replace("+", " "))}
    return b"xds.deployment" in seen


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        pytest.param([], ["xds.deployment=shop-v2"], id="none"),
        pytest.param(["a=b"], ["xds.deployment=shop-v2,a=b"], id="another-member"),
        pytest.param(["xds.deployment=v1"], ["xds.deployment=shop-v2"], id="forged"),
        pytest.param(["a=b , xds.deployment = v1;p=q,c=d;e"], ["xds.deployment=shop-v2,a=b ,c=d;e"], id="in-between"),
        pytest.param(["xds%2edeployment=v1,a=%2C"], ["xds.deployment=shop-v2,a=%2C"], id="encoded"),
        pytest.param(["+xds.deployment+=v1"], ["xds.deployment=shop-v2"], id="with-plus-as-space"),
        pytest.param(["XDS.deployment=v1"], ["xds.deployment=shop-v2,XDS.deployment=v1"], id="another-key"),
        pytest.param(["a=xds.deployment=v1"], ["xds.deployment=shop-v2,a=xds.deployment=v1"], id="in-a-value"),
        pytest.param(["a=1", "xds.deployment=v1", "b=2"], ["xds.deployment=shop-v2,a=1,b=2"], id="on-lines"),
        pytest.param([" ", "\t"], ["xds.deployment=shop-v2"], id="blank"),
        pytest.param([",,"], ["xds.deployment=shop-v2,,,"], id="commas"),
        pytest.param(["a=" + "x" * 8190], ["xds.deployment=shop-v2", "a=" + "x" * 8190], id="beyond-the-limit"),
        pytest.param(["a=" + "x" * 8167], ["xds.deployment=shop-v2,a=" + "x" * 8167], id="at-the-limit"),
        pytest.param(["a=" + "x" * 8168], ["xds.deployment=shop-v2", "a=" + "x" * 8168], id="one-more"),
    ],
)
def test_the_context_is_stamped_into_the_baggage(before: list[str], expected: list[str]) -> None:
    headers = LUA.request(ROUTE, (":path", "/"), *(("baggage", line) for line in before))

    assert headers.of("baggage") == expected


SPACE = st.sampled_from(["", "", " ", "\t", "+", "%20"])
MEMBER = st.text(OCTETS | st.just(" "), max_size=16).map(lambda text: text.replace(",", ""))
FORGED = st.builds("{}{}{}{}".format, SPACE, written("xds.deployment"), SPACE, st.just("") | MEMBER.map("={}".format))


@given(st.lists(st.lists(MEMBER | FORGED, min_size=1, max_size=5).map(",".join), max_size=4))
@example(["a", "", "b"])
def test_no_form_of_our_key_survives_and_every_other_byte_stays(lines: list[str]) -> None:
    ours, *theirs = members(LUA.request(ROUTE, (":path", "/"), *(("baggage", line) for line in lines)).of("baggage"))

    assert ours == "xds.deployment=shop-v2"
    assert not any(map(is_ours, theirs))
    kept = [[each for each in line.split(",") if not is_ours(each)] for line in lines]
    assert theirs == [each for line in kept if ",".join(line).strip(" \t\n\r\v\f") for each in line]


@pytest.mark.parametrize("route", ["", "-/-/HostUnknown", "explicit/-/DeploymentUnknown", "no slashes"])
def test_a_request_without_a_deployment_is_left_as_it_is(route: str) -> None:
    lines = [(":path", "/?explicit-deployment=a"), ("baggage", "xds.deployment=a")]

    assert LUA.request(route, *lines).lines == lines


@pytest.mark.parametrize(
    ("route", "told"),
    [
        (ROUTE, [("x-served-deployment", "shop-v2"), ("x-served-rule", "default")]),
        ("acme/prod.shop-v2/NoRoute", [("x-served-deployment", "prod.shop-v2"), ("x-served-rule", "acme")]),
        ("explicit/-/DeploymentUnknown", [("x-served-rule", "explicit")]),
        ("-/-/HostUnknown", []),
        ("", []),
    ],
)
def test_answers_say_where_they_came_from(route: str, told: list[tuple[str, str]]) -> None:
    assert LUA.answer(route).lines == told
    assert LUA.answer(route, ("x-served-deployment", "forged")).of("x-served-deployment") == [
        value for name, value in told if name == "x-served-deployment"
    ] or ["forged"]


def test_what_a_gateway_does_not_reveal_is_not_said() -> None:
    rule = Filter(lua_source(gateway(reveal={"rule": True})))

    assert not QUIET.answers
    assert rule.answer(ROUTE).lines == [("x-served-rule", "default")]


@pytest.mark.parametrize(
    ("route", "said"),
    [
        (ROUTE, {"rule": "default", "deployment": "shop-v2"}),
        ("explicit/-/DeploymentUnknown", {"rule": "explicit", "reason": "DeploymentUnknown"}),
        ("acme/shop-v2/NoRoute", {"rule": "acme", "deployment": "shop-v2", "reason": "NoRoute"}),
        ("-/-/HostUnknown", {"reason": "HostUnknown"}),
        ("", {}),
    ],
)
def test_the_access_log_is_told_which_rule_and_deployment_it_was(route: str, said: dict[str, str]) -> None:
    assert QUIET.request(route, (":path", "/"), ("x-deployment", "forged")).said == said


COUNTED = "x-envoy-upstream-alt-stat-name"


@pytest.mark.parametrize(
    ("route", "rule"), [(ROUTE, "default"), ("acme/prod.shop-v2/web.0", "acme"), ("explicit/-/DeploymentUnknown", None)]
)
def test_a_request_is_counted_under_its_rule_whatever_the_client_says(route: str, rule: str | None) -> None:
    counted = LUA.request(route, (":path", "/"), (COUNTED, "forged")).of(COUNTED)

    assert counted == ([rule_stat(rule)] if rule else ["forged"]), "a refusal is nobody's"


# --- the selector by query, before routing


def mutations(record: Gateway) -> list[Any]:
    return [each for extension in selector_first(record) for each in unpacked(extension)["mutations"]]


def test_a_selector_by_query_becomes_one_by_header_before_routing() -> None:
    [context, named] = mutations(gateway())
    assert context == {"remove": "x-deployment"}, "a client's context goes, whatever becomes of the filter"
    assert named["append"]["header"] == {"key": "x-explicit-deployment", "value": "%QUERY_PARAM(explicit-deployment)%"}

    _, removed, internal = mutations(gateway(explicit={"query": "v"}))
    assert removed == {"remove": "x-xds-server-explicit"}, "a client cannot set it"
    assert internal["append"]["header"] == {"key": "x-xds-server-explicit", "value": "%QUERY_PARAM(v)%"}

    assert mutations(gateway(explicit={"header": "x-v"})) == [context]
    assert mutations(gateway(explicit=None)) == [context]


# --- at a sidecar: the context is read before routing


def context(*lines: Line) -> list[str]:
    """What the request is routed by."""
    return READ.request("", *lines).of("x-deployment")


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param([], [], id="none"),
        pytest.param(["xds.deployment=v2"], ["v2"], id="in baggage"),
        pytest.param(["a=b,xds.deployment=v2,c=d"], ["v2"], id="in between"),
        pytest.param(["a=b", "c=d", "xds.deployment=v2"], ["v2"], id="on a later line"),
        pytest.param(["xds.deployment=v2,xds.deployment=v1"], ["v2"], id="the first of several"),
        pytest.param(["xds.deployment=v2", "xds.deployment=v1"], ["v2"], id="on the first line"),
        pytest.param(["xds.deployment=,xds.deployment=v1"], ["v1"], id="an empty one names nothing"),
        pytest.param(["\txds.deployment = v2 ;p=1;q"], ["v2"], id="blanks and properties"),
        pytest.param(["xds%2Edeployment=prod%2ev%32"], ["prod.v2"], id="encoded"),
        pytest.param(["xds.deployment;p=v2"], [], id="a property is no value"),
        pytest.param(["XDS.deployment=v2,a=xds.deployment=v2"], [], id="other keys"),
        pytest.param(["", ",,", "=", ";"], [], id="nothing at all"),
        pytest.param(["a=" + "x" * 8192, "xds.deployment=v2,b=" + "y" * 8192], ["v2"], id="8 KiB and more"),
    ],
)
def test_a_sidecar_finds_the_context_in_baggage(lines: list[str], expected: list[str]) -> None:
    assert context(*(("baggage", line) for line in lines)) == expected


def test_the_context_header_wins_unless_it_is_empty() -> None:
    member = ("baggage", "xds.deployment=v2")

    assert context(("x-deployment", "v1"), member) == ["v1"]
    assert context(("x-deployment", "v1"), ("x-deployment", "v3"), member) == ["v1", "v3"], (
        "and is no deployment's name"
    )
    assert context(("x-deployment", ""), member) == ["v2"]
    assert context(("x-deployment", "")) == [], "an empty one is none"


@given(st.lists(st.lists(MEMBER | FORGED, min_size=1, max_size=5).map(",".join), max_size=4))
def test_reading_the_context_changes_no_other_byte(lines: list[str]) -> None:
    found = READ.request("", *(("baggage", line) for line in lines))

    assert found.of("baggage") == lines
    assert {name for name, _ in found.lines} <= {"baggage", "x-deployment"}


@given(st.lists(st.lists(MEMBER, min_size=1, max_size=5).map(",".join), max_size=4), st.sampled_from(["v1", "prod.v2"]))
def test_what_was_stamped_is_what_the_next_hop_reads(lines: list[str], deployment: str) -> None:
    stamped = STAMP.request(f"context/{deployment}/web.0", *(("baggage", line) for line in lines))

    assert context(*(line for line in stamped.lines if line[0] == "baggage")) == [deployment]


# --- and stamped once


def test_a_sidecar_stamps_the_deployment_that_it_chose() -> None:
    found = STAMP.request("owner/v3/api.0", ("baggage", "a=b,xds.deployment=v1"))

    assert found.of("x-deployment") == ["v3"]
    assert found.of("baggage") == ["xds.deployment=v3,a=b"]
    assert found.said == {"rule": "owner", "deployment": "v3"}


def test_stamping_again_changes_nothing() -> None:
    once = STAMP.request("context/v3/api.0", ("baggage", "a=b"), ("x-deployment", "v3"))

    assert sorted(STAMP.request("context/v3/api.0", *once.lines).lines) == sorted(once.lines)


@pytest.mark.parametrize(
    ("route", "said"),
    [
        ("probe/-/api.0", {"rule": "probe"}),
        ("context/-/ContextUnknown", {"rule": "context", "reason": "ContextUnknown"}),
        ("-/-/ComponentUnknown", {"reason": "ComponentUnknown"}),
    ],
)
def test_what_is_in_no_deployment_is_stamped_nothing(route: str, said: dict[str, str]) -> None:
    lines = [("baggage", "xds.deployment=v1"), ("x-deployment", "v1")]
    found = STAMP.request(route, *lines)

    assert (found.lines, found.said) == (lines, said)


def test_a_sidecars_answers_reveal_nothing() -> None:
    assert not any(each.answers for each in (READ, STAMP))
