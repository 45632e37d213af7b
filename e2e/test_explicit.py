"""A request is given its deployment and then sees only that deployment's routes. Nothing falls back to another."""

from collections.abc import Iterable

import pytest

from e2e.support.client import Echo, Reply, echo
from e2e.support.world import V1, V2, App, World, explicit_host

pytestmark = pytest.mark.e2e

SELECTORS = ("host", "header", "query")


def select(app: App, selector: str, deployment: str, path: str = "/") -> Reply:
    match selector:
        case "host":
            return app.explicit(deployment, path)
        case "header":
            return app.get(path, headers=[("x-explicit-deployment", deployment)])
        case _:
            return app.get(f"{path}{'&' if '?' in path else '?'}explicit-deployment={deployment}")


def released_app(world: World, name: str) -> tuple[App, str, str]:
    """v1 is released; only v1 has `/old`, only v2 has `/new`, and both have the rest."""
    app = world.app(name)
    old = {"web": {"routes": [{"pathPrefix": "/both"}, {"pathPrefix": "/old"}]}}
    new = {"web": {"routes": [{"pathPrefix": "/both"}, {"pathPrefix": "/new"}]}}
    v1 = app.deploy("v1", V1, probe="/both", **old)
    v2 = app.deploy("v2", V2, probe="/both", **new)
    app.release(v1)
    app.wait_served(v1)
    return app, v1, v2


def same_version(replies: Iterable[tuple[Reply, Reply, Reply]], v1: str, v2: str) -> dict[str, int]:
    """How many were bound to each version. A user's three answers, for /both, /old and /new, must agree with it."""
    statuses = {v1: (200, 200, 404), v2: (200, 404, 200)}
    counted = {v1: 0, v2: 0}
    for three in replies:
        version = str(three[0].served)
        assert tuple(reply.status for reply in three) == statuses[version]
        assert [reply.served for reply in three] == [version] * 3
        counted[version] += 1
    return counted


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_names_the_deployment_and_is_stripped(world: World, selector: str) -> None:
    app = world.app(f"strip-{selector}")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    reply = select(app, selector, v2, "/a%20b/c?x=%7e&y=%0a&&z")
    received = echo(reply.body)
    assert (reply.served, reply.header("x-served-rule")) == (v2, "explicit")
    assert received.path == "/a%20b/c?x=%7e&y=%0a&&z"
    assert received.all("x-explicit-deployment") == []
    assert received.all("x-deployment") == [v2]


@pytest.mark.parametrize(
    ("asked", "received"),
    [
        pytest.param("/?explicit-deployment={}&x=1", "/?x=1", id="first"),
        pytest.param("/?x=1&explicit-deployment={}&y=2", "/?x=1&y=2", id="middle"),
        pytest.param("/?x=1&explicit-deployment={}", "/?x=1", id="last"),
        pytest.param("/?explicit-deployment={}", "/", id="alone"),
        pytest.param("/?not-explicit-deployment=a&explicit-deployment={}", "/?not-explicit-deployment=a", id="beside"),
    ],
)
def test_the_rest_of_the_query_arrives_byte_for_byte(world: World, asked: str, received: str) -> None:
    app = world.app("query")
    app.released(app.deploy("v1", V1))
    v2 = app.deploy("v2", V2)
    reply = app.get(asked.format(v2))
    assert (reply.served, echo(reply.body).path) == (v2, received)


@pytest.mark.parametrize("selector", SELECTORS)
def test_an_unknown_deployment_is_404_where_the_default_serves(world: World, selector: str) -> None:
    app = world.app("unknown")
    app.released(app.deploy("v1", V1))
    for deployment in ("unknown-v9", "unknown", "unknown-v11", "unknown-v1.unknown-v1"):
        reply = select(app, selector, deployment)
        assert (reply.status, reply.served) == (404, None), deployment
        assert reply.json["reason"] == "DeploymentUnknown"


@pytest.mark.parametrize(
    "selector", ["%0a", "%0d%0a", "unknown-v1%0a", "%0aunknown-v1", "%00", "%ff", "unknown%2Dv1%20"]
)
def test_a_selector_with_odd_bytes_names_nothing(world: World, selector: str) -> None:
    """It is a selector all the same: never the default."""
    app = world.app("odd")
    app.released(app.deploy("v1", V1))
    reply = app.get(f"/?explicit-deployment={selector}")
    assert reply.status in (400, 404), reply
    assert reply.served is None


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_path_that_the_named_deployment_lacks_is_404(world: World, selector: str) -> None:
    app, v1, v2 = released_app(world, "lacks")
    for deployment, has, lacks in ((v1, "/old", "/new"), (v2, "/new", "/old")):
        assert select(app, selector, deployment, has).served == deployment
        missed = select(app, selector, deployment, lacks)
        assert (missed.status, missed.json["reason"]) == (404, "NoRoute")
        assert (missed.header("x-served-rule"), missed.served) == ("explicit", deployment)


def test_a_query_beats_a_header_and_a_host_template_beats_both(world: World) -> None:
    app = world.app("order")
    v1, v2, v3 = app.deploy("v1", V1), app.deploy("v2", V2), app.deploy("v3", V1 | {"web": "a3"})
    app.released(v1)
    headers = [("x-explicit-deployment", v2)]
    assert app.get(f"/?explicit-deployment={v3}", headers=headers).served == v3
    by_host = app.get(f"/?explicit-deployment={v3}", explicit_host(v1), headers)
    assert by_host.served == v1
    received: Echo = echo(by_host.body)
    assert (received.path, received.all("x-explicit-deployment")) == ("/", [])


def test_by_draw_a_path_of_one_version_is_served_by_that_version_only(world: World) -> None:
    app, v1, v2 = released_app(world, "draw")
    app.release(weights={v1: 90, v2: 10})
    app.wait_served(v2)
    statuses = {"/old": {v1: 200, v2: 404}, "/new": {v1: 404, v2: 200}, "/both": {v1: 200, v2: 200}}
    for path, expected in statuses.items():
        replies = [app.get(path) for _ in range(300)]
        assert {(reply.served, reply.status) for reply in replies} == set(expected.items())
        assert {each.json["reason"] for each in replies if each.status == 404} <= {"NoRoute"}
        assert 3 <= sum(reply.served == v2 for reply in replies) <= 75


@pytest.mark.parametrize("sticky", ["cookie", "header"])
def test_a_sticky_user_meets_one_version_on_every_path(world: World, sticky: str) -> None:
    app, v1, v2 = released_app(world, f"sticky-{sticky}")
    name = "shop-user" if sticky == "cookie" else "x-user-id"
    app.release(weights={v1: 90, v2: 10}, sticky={sticky: name})
    app.wait_served(v2)
    users = []
    for number in range(150):
        if sticky == "cookie":
            cookie = str(app.get("/both").header("set-cookie")).partition(";")[0]
            users.append([("cookie", cookie)])
        else:
            users.append([(name, f"user-{number}")])
    threes = [tuple(app.get(path, headers=user) for path in ("/both", "/old", "/new")) for user in users]
    counted = same_version(((a, b, c) for a, b, c in threes), v1, v2)
    assert 1 <= counted[v2] <= 45


@pytest.mark.parametrize("sticky", [{}, {"sticky": {"cookie": "shop-user"}}], ids=["by-draw", "sticky"])
def test_an_audience_meets_its_version_on_every_path(world: World, sticky: dict[str, object]) -> None:
    app, v1, v2 = released_app(world, "sticky-audience" if sticky else "drawn-audience")
    host = f"acme.{app.host}"
    audiences = [
        {"name": "acme", "hosts": [host], "deployment": v2},
        {"name": "early", "match": {"headers": [{"name": "x-early", "exact": "true"}]}, "deployment": v2},
        {"name": "late", "match": {"headers": [{"name": "x-late", "exact": "true"}]}, "deployment": v1},
    ]
    app.release(weights={v1: 90, v2: 10}, audiences=audiences, **sticky)
    app.wait_served(v2, host)
    for where, headers, version in (
        (host, [], v2),
        (None, [("x-early", "true")], v2),
        (None, [("x-late", "true")], v1),
    ):
        three = [tuple(app.get(path, where, headers) for path in ("/both", "/old", "/new")) for _ in range(30)]
        assert same_version(((a, b, c) for a, b, c in three), v1, v2)[version] == 30
