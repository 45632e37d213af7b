from datetime import timedelta

import pytest

from tests.records.folder import NOON, SHOP, Server, deployment, release
from xds_server.difference.unused import unused, users, users_of
from xds_server.domain.names import Ref
from xds_server.records.admission import pinned
from xds_server.records.pins import Pin

SHOP_REF, V1, V2, V3 = (Ref("default", name) for name in ("shop", "v1", "v2", "v3"))
DAY = timedelta(days=1)


@pytest.fixture
def shop() -> Server:
    """v1 is released, v2 was never."""
    return Server(SHOP)


def may_go(server: Server, older_than: timedelta = DAY, app: Ref | None = None) -> list[str]:
    return [each.deployment.word for each in unused(server.admission, server.now - older_than, app)]


def test_what_no_release_uses_may_go_once_it_is_old_enough(shop):
    assert may_go(shop) == []
    shop.waits(DAY)
    assert may_go(shop) == [], "not before that time is over"
    shop.waits(timedelta(seconds=1))
    [found] = unused(shop.admission, shop.now - DAY)
    assert (found.deployment, found.app, found.file, found.accepted) == (V2, SHOP_REF, "v2.yaml", NOON)
    assert [each.word for each in found.builds] == ["shop/web@b2"]


def test_one_may_ask_for_an_app_alone(shop):
    shop.waits(2 * DAY)
    assert (may_go(shop, app=SHOP_REF), may_go(shop, app=Ref("default", "other"))) == (["v2"], [])


def test_a_build_that_others_have_stays_until_all_that_may_go_have_gone(shop):
    shop.hears({"v3.yaml": deployment("v3", "b1"), "v4.yaml": deployment("v4", "b2")})
    shop.waits(2 * DAY)
    found = {each.deployment.word: [build.word for build in each.builds] for each in unused(shop.admission, shop.now)}
    assert found == {"v2": ["shop/web@b2"], "v3": [], "v4": ["shop/web@b2"]}


@pytest.mark.parametrize(
    ("files", "user"),
    [
        pytest.param(
            {"shop.yaml": release("shop", "shop.test", audiences=[{"name": "a", "hosts": ["a"], "deployment": "v2"}])},
            "Release shop",
            id="an audience",
        ),
        pytest.param({"new.yaml": release("new", "new.test", to="v2")}, "Release new", id="another release"),
        pytest.param(
            {"new.yaml": release("new", "shop.test", to="v2")}, "the record of Release new", id="one that waits"
        ),
    ],
)
def test_what_a_release_gives_or_asks_for_stays(shop, files, user):
    shop.hears(files)
    shop.waits(2 * DAY)
    assert may_go(shop) == []
    assert users_of(shop.admission, V2)[0] == user


def test_what_history_can_go_back_to_stays(shop):
    shop.hears({"shop.yaml": release("shop", "shop.test", to="v2")})
    shop.waits(2 * DAY)
    assert may_go(shop) == []
    assert users_of(shop.admission, V1) == ["the history of Release shop"]
    shop.hears({"shop.yaml": release("shop", "shop.test", to="v2", policy={"history": 0})})
    assert may_go(shop) == ["v1"]


def test_what_a_pinned_release_gives_stays_and_what_its_record_asks_for(shop):
    shop._turn(pinned(shop.admission, SHOP_REF, ((V2, 10_000),), Pin(NOON, "ada", "why")))
    shop.waits(2 * DAY)
    assert may_go(shop) == []
    assert users_of(shop.admission, V1) == ["the history of Release shop", "the record of Release shop"]


def test_nobody_uses_what_is_not_there(shop):
    assert users_of(shop.admission, V3) == []


def test_without_those_that_ask_only_what_is_in_force_counts(shop):
    shop.hears({"new.yaml": release("new", "shop.test", to="v2")})
    assert list(users(shop.admission, shop.admission.world.app(SHOP_REF), V2)) == []
