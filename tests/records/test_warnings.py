"""What holds together and still cannot be meant."""

from typing import Any

import pytest

from tests.records import order
from tests.records.folder import SHOP, Content, Server, build, deployment
from xds_server.domain.problems import Reason

ROUTES = [{"pathPrefix": "/"}]


def never_retried(protocol: str, **policy: Any) -> list[tuple[str, str]]:
    """Where retries are that never happen, and why."""
    web = {"build": "b1", "routes": ROUTES, "policy": policy}
    files = {
        **SHOP,
        "builds.yaml": build("web-1", "b1", protocol=protocol) + "---\n" + build("web-2", "b2"),
        "v1.yaml": deployment("v1", components={"web": web}),
    }
    found = [each for each in Server(files).admission.problems if each.reason is Reason.NEVER_RETRIED]
    return [(each.where.path, each.what) for each in found]


def test_a_status_of_a_call_that_nobody_may_repeat() -> None:
    [(path, what)] = never_retried("grpc", retries={"on": ["unavailable", "reset"]})

    assert path == "spec.components.web.policy.retries.on"
    assert what == "component web is to be retried on unavailable, but a gRPC call is a POST, which is not idempotent"
    assert never_retried("grpc", retries={"on": ["unavailable"], "methods": "any"}) == []


def test_a_try_that_is_longer_than_the_usual_timeout() -> None:
    [(path, what)] = never_retried("http1", retries={"perTryTimeout": "20s"})

    assert path == "spec.components.web.policy.retries.perTryTimeout"
    assert what.startswith("a try of component web may take 20 s, but all of its tries together 15 s")


@pytest.mark.parametrize(
    ("protocol", "policy"),
    [
        pytest.param("grpc", {"retries": {"perTryTimeout": "20s"}}, id="a-call-has-no-usual-timeout"),
        pytest.param("http1", {"retries": {"perTryTimeout": "20s"}, "timeout": "1m"}, id="a-longer-one-is-written"),
        pytest.param("http1", {"retries": {"perTryTimeout": "15s"}}, id="it-is-not-longer"),
        pytest.param("http1", {"retries": {"perTryTimeout": "20s"}, "timeout": "0s"}, id="there-is-none"),
    ],
)
def test_a_try_that_has_its_time(protocol: str, policy: dict[str, Any]) -> None:
    assert never_retried(protocol, **policy) == []


# --- calls without a context


def refused(**edits: Content) -> list[tuple[str, str]]:
    found = [each for each in order.server(**edits).admission.problems if each.reason is Reason.NO_CALLS_RELEASE]
    return [(f"{each.record} {each.where.path}", each.what) for each in found]


def test_a_release_that_calls_are_to_get_and_that_is_none() -> None:
    [(place, what)] = refused(app=order.settings({"release": "gone"}))

    assert place == "App/default/order spec.withoutContext"
    assert what == "calls without a context are refused: the app has no Release gone; it has: order"
    assert refused(app=order.settings({"release": "order"})) == []


TWO = order.order_release("two", v2=100)


def test_several_releases_of_which_none_is_named() -> None:
    [(place, what)] = refused(two=TWO)

    assert place == "Release/default/two spec.app"
    assert what == (
        "calls without a context from api@a2, and from any other build that deployments share, are refused: "
        "the app has several releases: order, two"
    )
    assert [place for place, _ in refused(two=TWO, app=order.settings("released"))] == [
        "App/default/order spec.withoutContext"
    ]


@pytest.mark.parametrize("said", ["refuse", {"release": "two"}])
def test_what_is_said_is_no_surprise(said: object) -> None:
    assert refused(two=TWO, app=order.settings(said)) == []


def test_where_nothing_is_shared_every_call_has_its_deployment() -> None:
    assert refused(two=order.order_release("two", v1=100), v2=None, v3=None) == []
