"""What a sidecar does with a call, and the reason that is given for it."""

from collections import defaultdict
from typing import Any

import pytest

from tests.records.folder import Content
from tests.records.order import V1, order_release, placed, server, settings, version
from xds_server.traffic.calling import caller_of, context_of, decide_call
from xds_server.traffic.decisions import Decision
from xds_server.traffic.requests import CannotExplain, read_request, seen


def call(caller: str, url: str, *headers: str, **edits: Content) -> Decision:
    world = server(**edits).admission.world
    return decide_call(world, caller_of(world, caller), read_request("GET", url, headers))


def gets(found: Decision) -> list[str]:
    """Route, or status and reason, of each outcome."""
    return [
        f"{each.answer.status} {each.answer.reason}" if each.answer else each.destination.route  # type: ignore[union-attr]
        for each in found.outcomes
    ]


def steps(found: Decision) -> list[tuple[bool, str]]:
    return [(each.matched, f"{each.what}: {each.because}") for each in found.steps]


V2 = "x-deployment: v2"


def test_a_call_stays_in_its_deployment():
    found = call("worker@w1", "http://api.order:8080/cart?a=b", V2)

    assert found.arrives
    assert gets(found) == ["context/v2/api.0"]
    [outcome] = found.outcomes
    assert outcome.destination is not None
    assert (outcome.destination.cluster, outcome.destination.build) == ("v2/api", "order/api@a2")
    assert [each.address for each in outcome.destination.endpoints] == ["10.0.0.2:8080"]
    assert (found.caller, found.gateway, found.app) == ("order/worker@w1", "", "order")
    assert steps(found) == [
        (True, "host api.order: it names component api of app order"),
        (True, "context: header x-deployment is 'v2'"),
        (True, "v2 calls api: worker declares no calls: it may call every component"),
    ]


@pytest.mark.parametrize(
    ("url", "headers", "edits", "expected"),
    [
        pytest.param("http://API/", [V2], {}, "context/v2/api.0", id="upper case"),
        pytest.param("http://review/", [V2], {}, "502 ComponentAbsent", id="absent"),
        pytest.param("http://cart/", [V2], {}, "502 ComponentUnknown", id="no component"),
        pytest.param("http://api.shop/", [V2], {}, "502 ComponentUnknown", id="another app's"),
        pytest.param("http://api/", ["x-deployment: v9"], {}, "502 ContextUnknown", id="no deployment"),
        pytest.param("http://api/", [V2, "x-deployment: v1"], {}, "502 ContextUnknown", id="two contexts"),
        pytest.param(
            "http://api/", ["x-deployment: v1"], {"v1": version("v1", V1, worker=[])}, "502 CallUndeclared", id="calls"
        ),
        pytest.param("http://api/", [V2], {"api-a2": None}, "503 NoHealthyEndpoint", id="not placed"),
        pytest.param("http://api/", [], {}, "no-context/v1/api.0", id="released"),
        pytest.param("http://api/", [], {"app": settings("refuse")}, "400 NoContext", id="refuse"),
        pytest.param("http://api/", [], {"release": None}, "no-context/v1/api.0", id="no release"),
        pytest.param("http://review/", [], {}, "502 ComponentAbsent", id="the released one lacks it"),
    ],
)
def test_what_a_call_gets(url: str, headers: list[str], edits: dict[str, Content], expected: str):
    assert gets(call("worker@w1", url, *headers, **edits)) == [expected]


def test_a_build_of_one_deployment_says_whose_its_calls_are():
    found = call("ui@u2", "http://api/")

    assert gets(found) == ["owner/v3/api.0"]
    assert found.steps[1].because.endswith("the build is in v3 alone")


def test_what_is_released_without_the_build_is_not_given_to_its_calls():
    found = call("api@a2", "http://worker/")

    assert gets(found) == ["no-context/v2/worker.0"]
    assert found.steps[1].because.endswith(
        "v2, v3 share the build, and Release order gives users none that has it: v2 is the oldest of them"
    )
    assert not found.steps[1].matched


def test_of_a_release_the_deployments_that_contain_the_build_have_all():
    found = call("api@a2", "http://worker/", release=order_release(v1=60, v2=30, v3=10))

    assert [(each.share, each.deployment) for each in found.outcomes] == [(75.0, "v2"), (25.0, "v3")]
    assert "v2, v3 share the build, so the release decides among them" in found.steps[1].because


def test_a_user_keeps_the_deployment_that_the_gateway_gives():
    """Of three, of which the one in the middle does not contain the build."""
    sticky = order_release(v1=50, v2=30, v3=20).replace('"default"', '"sticky": {"header": "x-user"}, "default"', 1)
    v2 = version("v2", {**V1, "worker": "w2"})
    users = [f"x-user: {number}" for number in range(40)]
    at_the_gateway = {0: "v1", 1 << 15: "v2", 52429: "v3"}
    given: defaultdict[str, set[str]] = defaultdict(set)
    for user in users:
        edits = {"release": sticky, "v2": v2, "worker-w2": placed("worker", "w2")}
        [outcome] = call("worker@w1", "http://api/", user, **edits).outcomes
        assert outcome.slot is not None
        given[at_the_gateway[max(low for low in at_the_gateway if low <= outcome.slot)]].add(outcome.deployment)

    assert given == {"v1": {"v1"}, "v2": {"v1", "v3"}, "v3": {"v3"}}


@pytest.mark.parametrize(("request_id", "expected"), [("0000", "v1"), ("ffff", "v2")])
def test_the_id_that_a_request_has_decides_its_draw(request_id: str, expected: str):
    line = f"x-request-id: {request_id}0000-1111-4222-8333-444455556666"
    found = call("worker@w1", "http://api/", line, release=order_release(v1=75, v2=25))

    assert [each.deployment for each in found.outcomes] == [expected]


def test_the_user_of_a_sticky_release_keeps_their_deployment_and_nobody_gets_a_cookie():
    sticky = order_release(v1=75, v2=25).replace(
        '"default"', '"sticky": {"cookie": "user", "maxAge": "1d"}, "default"', 1
    )
    known = call("worker@w1", "http://api/", "cookie: user=ffff0000-1111-4222-8333-444455556666", release=sticky)
    new = call("worker@w1", "http://api/", release=sticky)

    assert [each.deployment for each in known.outcomes] == ["v2"]
    assert [(each.share, each.sets_cookie) for each in new.outcomes] == [(75.0, ""), (25.0, "")]


# --- where a context is found


def context(*lines: str) -> str:
    return context_of(seen(read_request("GET", "http://api/", lines)))[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ""),
        (["x-deployment: v1", "baggage: xds.deployment=v2"], "v1"),
        (["x-deployment:", "baggage: xds.deployment=v2"], "v2"),
        (["baggage: a=b, xds.deployment = v2 ;p=1,xds.deployment=v3"], "v2"),
        (["baggage: a=b", "baggage: xds%2edeployment=%762"], "v2"),
        (["baggage: xds.deployment=,xds.deployment=v2"], "v2"),
        (["baggage: xds.deployment;p=v2", "baggage: a=xds.deployment=v2"], ""),
    ],
)
def test_the_header_first_then_baggage(lines: list[str], expected: str):
    assert context(*lines) == expected


# --- which build is meant


def elsewhere() -> dict[str, Any]:
    other = version("other", V1).replace('"order"', '"more"')
    return {"other": other, "other-ui": placed("ui", "u9").replace('"order"', '"more"')}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("worker", "'worker' is no build: write COMPONENT@BUILD, or APP/COMPONENT@BUILD"),
        ("worker@w9", "no deployment in force contains worker@w9"),
        ("shop/worker@w1", "no deployment in force contains shop/worker@w1"),
        ("worker@w1", "several apps have worker@w1; write one of: more/worker@w1, order/worker@w1"),
    ],
)
def test_a_caller_that_is_none(word: str, said: str):
    world = server(**elsewhere() if "several" in said else {}).admission.world

    with pytest.raises(CannotExplain) as error:
        caller_of(world, word)
    assert str(error.value) == said


def test_a_caller_by_its_app():
    world = server(**elsewhere()).admission.world

    assert caller_of(world, "more/worker@w1").word == "more/worker@w1"
