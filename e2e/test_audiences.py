"""Audiences get their version beside the default, on the same running instances, for as long as the operator says."""

from datetime import UTC, datetime, timedelta

import pytest

from e2e.support.client import Reply, echo
from e2e.support.processes import wait_until
from e2e.support.world import V1, V2, World

pytestmark = pytest.mark.e2e


def now() -> datetime:
    return datetime.now(tz=UTC)  # noqa: TID251 - the record under test is about the real time


def facts(reply: Reply) -> tuple[str | None, str | None]:
    return reply.served, reply.header("x-served-rule")


def test_a_subdomain_gets_its_version_from_the_same_endpoints(world: World) -> None:
    app = world.app("acme")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    host = f"acme.{app.host}"
    app.release(v1, audiences=[{"name": "acme-uat", "hosts": [host], "deployment": v2}])
    app.wait_served(v2, host)
    for _ in range(20):
        theirs, ours = app.get("/cart", host), app.get("/cart")
        assert (facts(theirs), facts(ours)) == ((v2, "acme-uat"), (v1, "default"))
        assert echo(theirs.body).instance == echo(ours.body).instance == app.instance("cart", "b1")
        assert echo(theirs.body).all("x-deployment") == [v2]
        assert echo(ours.body).all("x-deployment") == [v1]


def test_early_adopters_are_known_by_header_query_or_cookie(world: World) -> None:
    app = world.app("early")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    audiences = [
        {"name": "header", "match": {"headers": [{"name": "x-early-adopter", "exact": "true"}]}, "deployment": v2},
        {"name": "query", "match": {"query": [{"name": "early", "exact": "yes"}]}, "deployment": v2},
        {"name": "cookie", "match": {"cookies": [{"name": "early", "exact": "on"}]}, "deployment": v2},
    ]
    app.release(v1, audiences=audiences)
    app.wait_served(v1)
    assert facts(app.get(headers=[("x-early-adopter", "true")])) == (v2, "header")
    assert facts(app.get("/?a=1&early=yes")) == (v2, "query")
    assert facts(app.get(headers=[("cookie", "a=b; early=on")])) == (v2, "cookie")
    for path, headers in (
        ("/", [("x-early-adopter", "false")]),
        ("/?early=no", []),
        ("/?very-early=yes", []),
        ("/", [("cookie", "early=only; not-early=on")]),
    ):
        assert facts(app.get(path, headers=headers)) == (v1, "default"), (path, headers)


def test_the_first_audience_that_matches_wins_and_both_conditions_count(world: World) -> None:
    app = world.app("first")
    v1, v2, v3 = app.deploy("v1", V1), app.deploy("v2", V2), app.deploy("v3", V1 | {"web": "a3"})
    host = f"uat.{app.host}"
    team = {"headers": [{"name": "x-team", "exact": "blue"}]}
    audiences = [
        {"name": "uat-blue", "hosts": [host], "match": team, "deployment": v3},
        {"name": "blue", "match": team, "deployment": v2},
    ]
    app.release(v1, audiences=audiences)
    app.wait_served(v1)
    blue = [("x-team", "blue")]
    assert facts(app.get(host=host, headers=blue)) == (v3, "uat-blue")
    assert facts(app.get(headers=blue)) == (v2, "blue")
    assert app.get(host=host).json["reason"] == "NoDefault"


def test_an_audience_ends_at_its_instant_and_its_host_never_gets_the_default(world: World) -> None:
    app = world.app("until")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    host = f"trial.{app.host}"
    end = now() + timedelta(seconds=2)
    header = {"headers": [{"name": "x-trial", "present": True}]}
    audiences = [
        {"name": "trial", "hosts": [host], "deployment": v2, "until": end.isoformat()},
        {"name": "over", "match": header, "deployment": v2, "until": "2020-01-31"},
    ]
    app.release(v1, audiences=audiences)
    app.wait_served(v2, host)
    assert facts(app.get(headers=[("x-trial", "1")])) == (v1, "default")
    wait_until(lambda: app.get(host=host).status == 404, "the audience ends")
    assert now() >= end
    assert app.get(host=host).json["reason"] == "AudienceExpired"
    assert app.get().served == v1


def test_an_audience_does_not_move_with_the_default(world: World) -> None:
    app = world.app("pinned")
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    audiences = [{"name": "pinned", "match": {"headers": [{"name": "x-pin", "present": True}]}, "deployment": v1}]
    app.released(v1, audiences=audiences)
    app.released(v2, audiences=audiences)
    assert facts(app.get(headers=[("x-pin", "1")])) == (v1, "pinned")
