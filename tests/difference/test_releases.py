from collections.abc import Mapping
from datetime import timedelta

import pytest

from tests.difference.edits import FILES, header, shares, shop
from tests.records.folder import NOON, Content, Server, deployment, gateway, release
from xds_server.difference.releases import ReleaseShift, RuleShift, release_shifts
from xds_server.domain.names import Ref
from xds_server.records.claims import Claim

SHOP = Ref("default", "shop")
EDGE = Ref("default", "edge")
V1, V2 = Ref("default", "v1"), Ref("default", "v2")
HALF = ((V1, 5000), (V2, 5000))
HERE = Claim(EDGE, "shop.test")


def shifts(before: str, after: Mapping[str, Content]) -> list[ReleaseShift]:
    server = Server({**FILES, "shop.yaml": before})
    world = server.admission.world
    server.hears(after)
    return list(release_shifts(world, server.admission.world, server.admission.touched))


def rules(before: str, after: str) -> list[RuleShift]:
    [found] = shifts(before, {"shop.yaml": after})
    assert (found.app, found.release, found.came, found.went) == (SHOP, SHOP, (), ())
    return list(found.rules)


def test_weights():
    assert rules(shop(), shop(default=shares(v1=50, v2=50))) == [RuleShift("default", ((V1, 10000),), HALF)]


def test_only_rules_that_give_something_else_are_said():
    before = shop(audiences=[header("a", "v1"), header("b", "v1"), header("c", "v2")])
    after = shop(audiences=[header("a", "v1"), header("b", "v2"), header("d", "v2")])

    assert rules(before, after) == [
        RuleShift("b", ((V1, 10000),), ((V2, 10000),)),
        RuleShift("d", (), ((V2, 10000),)),
        RuleShift("c", ((V2, 10000),), ()),
    ]


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        (shop(audiences=[header("a", "v2")]), shop(audiences=[header("a", "v2", "2")]), "a"),
        (
            shop(default=shares(v1=50, v2=50), sticky={"cookie": "u"}),
            shop(default=shares(v1=50, v2=50), sticky={"cookie": "w"}),
            "default",
        ),
    ],
    ids=["other-conditions", "other-stickiness"],
)
def test_the_same_given_to_others(before: str, after: str, rule: str):
    [found] = rules(before, after)

    assert (found.name, found.others) == (rule, True)
    assert found.before == found.after


def test_hosts_that_come_and_go():
    [found] = shifts(shop(), {"shop.yaml": release("shop", "new.test")})

    assert (found.rules, found.came, found.went) == ((), (Claim(EDGE, "new.test"),), (HERE,))


def test_releases_that_come_and_go():
    files = {"other.yaml": release("other", "other.test", to="v2"), "shop.yaml": None}

    came, went = shifts(shop(), files)

    assert came == ReleaseShift(
        SHOP,
        Ref("default", "other"),
        (RuleShift("default", (), ((V2, 10000),)),),
        came=(Claim(EDGE, "other.test"),),
        went=(),
    )
    assert went == ReleaseShift(SHOP, SHOP, (RuleShift("default", ((V1, 10000),), ()),), came=(), went=(HERE,))


def test_what_gives_nobody_anything_else_is_not_said():
    assert shifts(shop(), {"shop.yaml": shop(default=shares(v1=100, v2=0))}) == []
    assert shifts(shop(), {"v4.yaml": deployment("v4", "b1"), "inner.yaml": gateway("inner")}) == []


def test_an_audience_that_ends_gives_nothing_any_more():
    audience = header("a", "v2", until=(NOON + timedelta(hours=1)).isoformat())
    server = Server({**FILES, "shop.yaml": shop(audiences=[audience])})
    world = server.admission.world
    server.waits(timedelta(hours=2))

    [found] = release_shifts(world, server.admission.world, server.admission.touched)

    assert found.rules == (RuleShift("a", ((V2, 10000),), ()),)
