from typing import Any

import pytest

from tests.records.folder import SHOP, Server, build, deployment, record, release
from xds_server.difference.inventory import Item, Wanted, items, names_of
from xds_server.difference.statuses import RolloutSaid
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission

SHOP_REF, OTHER = Ref("default", "shop"), Ref("prod", "other")
ELSEWHERE = record("AppDeployment", "o1", {"app": "other", "components": {"web": {"build": "b1"}}}, namespace="prod")


@pytest.fixture
def shop() -> Admission:
    waits = release("new", "new.test", to="v9")
    empty = build("web-3", "b3", endpoints={"addresses": []})
    return Server({**SHOP, "new.yaml": waits, "o.yaml": ELSEWHERE, "b3.yaml": empty}).admission


def found(admission: Admission, kind: str, **which: Any) -> dict[str, Item]:
    names = names_of(admission, Wanted(kind, **which))
    return {each.key.ref.word: each for each in items(admission, kind, names)}


def test_releases_are_those_in_force_and_those_that_wait(shop):
    said = {name: (each.status, each.accepted is None) for name, each in found(shop, "Release").items()}
    assert said == {"new": ("Failed", True), "shop": ("Active", False)}


def test_a_release_that_moves_says_so(shop):
    [item] = items(shop, "Release", [SHOP_REF], lambda _: RolloutSaid(held=True, because="paused"))
    assert (item.status, item.because) == ("Holding", "paused")


def test_a_deployment_is_ready_where_users_can_be_sent():
    server = Server({**SHOP, "v3.yaml": deployment("v3", "b3")})
    said = {name: (each.status, each.because) for name, each in found(server.admission, "AppDeployment").items()}
    assert said["v1"] == ("Ready", "")
    assert said["v3"] == ("NoEndpoints", "web: no Build record places it at an address that takes requests")


def test_who_uses_what_is_said(shop):
    assert [each.used_by for each in found(shop, "AppDeployment", app=SHOP_REF).values()] == [("Release shop",), ()]
    builds = found(shop, "Build")
    assert (builds["web-1"].used_by, builds["web-3"].used_by) == (("v1",), ())
    assert (builds["web-1"].status, builds["web-3"].status) == ("Ready", "NoEndpoints")
    assert found(shop, "Gateway")["edge"].used_by == ("shop",)


def test_an_app_is_one_without_a_record_too():
    settings = record("App", "other", {"drain": "1m"}, namespace="prod")
    server = Server({**SHOP, "o.yaml": ELSEWHERE, "other.yaml": settings})
    apps = found(server.admission, "App")
    assert (apps["shop"].document, apps["shop"].holds) == ({}, {"releases": 1, "deployments": 2, "builds": 2})
    assert apps["prod.other"].document["spec"] == {"drain": "1m"}


@pytest.mark.parametrize(
    ("which", "names"),
    [
        ({}, ["v1", "v2", "prod.o1"]),
        ({"name": Ref("default", "v2")}, ["v2"]),
        ({"app": OTHER}, ["prod.o1"]),
        ({"namespace": "default"}, ["v1", "v2"]),
        ({"namespace": "default", "app": OTHER}, []),
    ],
    ids=str,
)
def test_one_asks_for_some(shop, which, names):
    assert list(found(shop, "AppDeployment", **which)) == names


def test_of_a_name_that_is_not_there_is_nothing(shop):
    assert list(items(shop, "Release", [Ref("default", "none")])) == []
