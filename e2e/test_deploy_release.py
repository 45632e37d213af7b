"""Deploying makes a version reachable and changes nothing else; releasing moves the default."""

import pytest

from e2e.support.client import echo
from e2e.support.world import V1, V2, World

pytestmark = pytest.mark.e2e


def test_a_deployment_is_explicit_until_it_is_released(world: World) -> None:
    app = world.app("quiet")
    v1 = app.deploy("v1", V1)
    refused = app.get("/")
    assert (refused.status, refused.json["reason"]) == (404, "HostUnknown")
    assert [app.explicit(v1, path).served for path in ("/", "/cart", "/reviews/7")] == [v1] * 3
    app.released(v1)
    assert [app.get(path).served for path in ("/", "/cart", "/reviews/7")] == [v1] * 3
    assert [app.get(path).header("x-served-rule") for path in ("/", "/cart")] == ["default"] * 2


def test_each_component_answers_for_its_own_paths(world: World) -> None:
    app = world.app("paths")
    app.released(app.deploy("v1", V1))
    expected = {
        "/": ("web", "a1"),
        "/carts": ("web", "a1"),
        "/cart": ("cart", "b1"),
        "/cart/7?x=1": ("cart", "b1"),
        "/reviews": ("reviews", "c1"),
    }
    got = {path: echo(app.get(path).body) for path in expected}
    assert {path: said.instance for path, said in got.items()} == {
        path: app.instance(*build) for path, build in expected.items()
    }
    assert [said.path for said in got.values()] == list(expected)


def test_the_most_specific_rule_wins_in_whatever_order_they_are_written(world: World) -> None:
    app = world.app("rules")
    rules: dict[str, dict[str, object]] = {
        "any": {},
        "prefix": {"pathPrefix": "/api"},
        "query": {"pathPrefix": "/api", "query": [{"name": "beta", "exact": "1"}]},
        "header": {"pathPrefix": "/api", "headers": [{"name": "x-beta", "prefix": "y"}]},
        "method": {"pathPrefix": "/api", "methods": ["POST", "PUT"]},
        "deeper": {"pathPrefix": "/api/v2"},
        "regex": {"pathRegex": "/api/v[0-9]+/users"},
        "exact": {"path": "/api/v2/users"},
    }
    routes = {name: {"routes": [rule]} for name, rule in rules.items()}
    app.released(app.deploy("v1", dict.fromkeys(rules, "a1"), probe="/", **routes))
    for path, method, headers, expected in (
        ("/apis", "GET", [("x-beta", "yes")], "any"),
        ("/api", "GET", [("x-beta", "no")], "prefix"),
        ("/api/x?beta=1", "GET", [], "query"),
        ("/api/x?beta=1", "GET", [("x-beta", "yes")], "header"),
        ("/api/x?beta=1", "PUT", [("x-beta", "yes")], "method"),
        ("/api/v2/x", "POST", [("x-beta", "yes")], "deeper"),
        ("/api/v22/users", "GET", [], "regex"),
        ("/api/v2/users?beta=1", "POST", [("x-beta", "yes")], "exact"),
    ):
        reply = world.client.get(app.host, path, headers, method)
        assert echo(reply.body).instance == app.instance(expected, "a1"), (path, method, headers)


def test_a_version_brings_only_the_endpoints_of_what_is_new(world: World) -> None:
    app = world.app("distils")
    v1 = app.deploy("v1", V1)
    app.released(v1)
    before = world.envoy.endpoints()

    v2 = app.deploy("v2", V2)
    with_v2 = world.envoy.endpoints()
    assert with_v2.keys() - before.keys() == {app.instance("web", "a2")}
    assert before.items() <= with_v2.items()
    assert (app.get("/").served, app.explicit(v2).served, app.explicit(v1).served) == (v1, v2, v1)
    shared = [echo(app.explicit(version, "/cart").body).instance for version in (v1, v2)]
    assert shared == [app.instance("cart", "b1")] * 2

    v3 = app.deploy("v3", V2 | {"cart": "b3", "search": "d1"}, probe="/search")
    with_v3 = world.envoy.endpoints()
    assert with_v3.keys() - with_v2.keys() == {app.instance("cart", "b3"), app.instance("search", "d1")}
    assert with_v2.items() <= with_v3.items()
    assert (app.get("/").served, app.explicit(v2).served, app.explicit(v3).served) == (v1, v2, v3)


def test_releasing_and_rolling_back_move_the_default_only(world: World) -> None:
    app = world.app("moves")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    for version, build in ((v1, "a1"), (v2, "a2"), (v1, "a1")):
        app.released(version)
        assert echo(app.get().body).instance == app.instance("web", build)
        assert [app.explicit(each).served for each in (v1, v2)] == [v1, v2]


def test_a_release_of_one_app_does_not_reach_another(world: World) -> None:
    app, other = world.app("here"), world.app("there")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    other.released(other.deploy("v1", V1))
    app.released(v2)
    assert other.get().served == "there-v1"
    assert other.get(headers=[("x-explicit-deployment", v2)]).json["reason"] == "DeploymentUnknown"


def test_deploying_sends_no_listener(world: World) -> None:
    app = world.app("still")
    before = world.envoy.stats("^listener_manager[.]")
    app.released(app.deploy("v1", V1))
    app.released(app.deploy("v2", V2))
    assert world.envoy.stats("^listener_manager[.]") == before
