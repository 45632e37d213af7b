from collections.abc import Mapping

import pytest

from tests.difference.edits import FILES, edited, shares, shop
from tests.records.folder import Content, deployment, record, release
from xds_server.difference.builds import Bound, BuildChange, Turned
from xds_server.domain.names import Ref

V1, V2, V3, V4 = (Ref("default", f"v{number}") for number in (1, 2, 3, 4))
SHOP = Ref("default", "shop")
V4_SHARES = {"v4.yaml": deployment("v4", "b1")}
ACME = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2"}
AUDIENCES_ONLY = {"app": "shop", "gateways": ["edge"], "audiences": [ACME]}
FROM_SHOP = Bound(release=SHOP)


def app(without_context: object) -> str:
    return record("App", "shop", {"withoutContext": without_context})


def only(*edits: Mapping[str, Content]) -> BuildChange:
    [change] = edited(*edits).builds
    return change


def test_a_build_arrives_with_its_deployment_and_leaves_with_it():
    arrives = only({"v4.yaml": deployment("v4", "b4")})
    leaves = only({"v3.yaml": None})

    assert (arrives.build.word, arrives.turned, arrives.after) == ("shop/web@b4", Turned.ARRIVES, (V4,))
    assert (leaves.build.word, leaves.turned, leaves.before) == ("shop/web@b3", Turned.LEAVES, (V3,))


def test_a_build_that_turns_shared_no_longer_says_whose_a_call_is():
    change = only(V4_SHARES)

    assert (change.turned, change.before, change.after) == (Turned.SHARED, (V1,), (V1, V4))
    assert (change.bound_before, change.bound_after) == (Bound(deployment=V1), FROM_SHOP)


def test_a_build_that_turns_owned_says_it_again():
    change = only({"v4.yaml": None}, {**FILES, **V4_SHARES})

    assert (change.turned, change.bound_before, change.bound_after) == (Turned.OWNED, FROM_SHOP, Bound(deployment=V1))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({"app.yaml": app("refuse")}, Bound(refused="withoutContext is refuse"), id="refuse"),
        pytest.param({"app.yaml": app({"release": "shop"})}, FROM_SHOP, id="a release by name"),
        pytest.param(
            {"app.yaml": app({"release": "gone"})},
            Bound(refused="there is no Release gone"),
            id="an unknown release",
        ),
        pytest.param(
            {"two.yaml": release("two", "two.test")},
            Bound(refused="the app has several releases"),
            id="several",
        ),
        pytest.param(
            {"shop.yaml": record("Release", "shop", AUDIENCES_ONLY)}, Bound(deployment=V1), id="audiences only"
        ),
        pytest.param({"shop.yaml": shop(default=[{"deployment": "v2"}])}, Bound(deployment=V1), id="another's"),
        pytest.param(
            {"shop.yaml": shop(default=shares(v1=60, v2=40))}, Bound(release=SHOP, lacking=(V2,)), id="and another's"
        ),
        pytest.param({"shop.yaml": None}, Bound(deployment=V1), id="no release"),
    ],
)
def test_what_calls_without_a_context_get_from_a_shared_build(files: dict[str, str | None], expected: Bound):
    assert only(V4_SHARES, {**FILES, **files}).bound_after == expected


def test_a_second_release_changes_what_calls_without_a_context_get():
    change = only({"two.yaml": release("two", "two.test")}, {**FILES, **V4_SHARES})

    assert (change.turned, change.bound_before) == (Turned.CALLS, FROM_SHOP)
    assert change.bound_after == Bound(refused="the app has several releases")


@pytest.mark.parametrize("name", ["v4", "a4"])
def test_who_comes_later_changes_nothing_of_what_calls_without_a_context_get(name: str):
    change = only({"v4.yaml": deployment(name, "b1")}, {**FILES, "shop.yaml": None})

    assert change.turned is Turned.SHARED
    assert change.bound_before == change.bound_after == Bound(deployment=V1)
    assert change.bound_after.because == "the app has no release"


def test_a_release_of_both_then_does():
    both = shop(default=shares(v1=80, v4=20))
    change = only({"shop.yaml": both}, {**FILES, **V4_SHARES, "shop.yaml": None})

    assert (change.turned, change.bound_before, change.bound_after) == (Turned.CALLS, Bound(deployment=V1), FROM_SHOP)


def test_a_flip_touches_no_build():
    assert edited({"shop.yaml": shop(default=[{"deployment": "v2"}])}).builds == ()
