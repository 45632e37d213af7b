"""A pinned release gives what it gave when it was pinned, whatever its record says."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from tests.records.folder import NOON, SHOP, Content, Server, deployment, record, release
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.records.admission import pinned, unpinned
from xds_server.records.documents import Key
from xds_server.records.pins import Pin
from xds_server.records.releases import Weights
from xds_server.records.rewritten import with_default

SHOP_REF, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
ALL_V1: Weights = ((V1, 10_000), (V2, 0))
PIN = Pin(NOON, "ada@desk", "it fails")
RELEASE = "Release/default/shop"


class Pinnable(Server):
    def pins(self, weights: Weights = ALL_V1) -> None:
        self._turn(pinned(self.admission, SHOP_REF, weights, PIN))

    def unpins(self) -> None:
        self._turn(unpinned(self.admission, SHOP_REF, self.now))

    @property
    def default(self) -> dict[str, Any]:
        return {each["deployment"]: each.get("weight", 100) for each in self.serves[RELEASE]["default"]}

    @property
    def reported(self) -> list[str]:
        return [each.what for each in self.admission.problems if each.reason is Reason.PINNED]


def at_v2(**spec: Any) -> dict[str, Content]:
    return {"shop.yaml": release("shop", "shop.test", to="v2", **spec)}


@pytest.fixture
def shop() -> Pinnable:
    """v2 is released."""
    return Pinnable({**SHOP, **at_v2()})


def test_it_gives_what_it_is_pinned_to_and_says_that_its_record_says_something_else(shop):
    shop.pins()
    assert shop.default == {"v1": 100, "v2": 0}
    assert shop.reported == [
        "says something else than what is in force, and is pinned since 2026-11-23T12:00:00Z by ada@desk: it fails"
    ]


def test_what_is_pinned_to_what_the_record_says_has_no_problem():
    shop = Pinnable(SHOP)
    shop.pins(((V1, 10_000),))
    shop.hears({"shop.yaml": release("shop", "shop.test", default=[{"deployment": "v1", "weight": 100}])})
    assert shop.reported == []


@pytest.mark.parametrize(
    "edit",
    [
        pytest.param(at_v2(audiences=[{"name": "a", "hosts": ["a.test"], "deployment": "v2"}]), id="an audience"),
        pytest.param({"shop.yaml": release("shop", "else.test")}, id="another host"),
        pytest.param({"shop.yaml": None, "other.yaml": release("other", "other.test")}, id="it is deleted"),
    ],
)
def test_an_edit_changes_nothing_and_is_reported(shop, edit: Mapping[str, Content]):
    shop.pins()
    before = shop.serves[RELEASE]
    shop.hears(edit)
    assert shop.serves[RELEASE] == before
    assert len(shop.reported) == 1
    assert shop.hosts["shop.test"] == "shop"


def test_others_move_on(shop):
    shop.pins()
    shop.hears({"other.yaml": release("other", "other.test")})
    assert shop.hosts == {"shop.test": "shop", "other.test": "other"}


def test_what_is_held_back_of_other_apps_is_not_looked_at(shop):
    shop.hears({"tea.yaml": release("tea", "tea.test", app="tea", to="gone")})
    held = Key("Release", Ref("default", "tea"))
    before = shop.admission.held[held]
    assert before

    shop.pins()
    assert shop.admission.held[held] is before


def test_a_host_that_a_pinned_release_gives_up_in_its_record_stays_its_own(shop):
    shop.pins()
    shop.hears({"shop.yaml": release("shop", "new.test"), "other.yaml": release("other", "shop.test")})
    assert shop.hosts == {"shop.test": "shop"}


def test_a_deployment_that_it_is_pinned_to_cannot_go(shop):
    shop.pins()
    shop.hears({"v1.yaml": None})
    assert "AppDeployment/default/v1" in shop.serves
    assert [each.reason for each in shop.admission.problems if each.record == "AppDeployment/default/v1"] == ["InUse"]


def test_a_restart_changes_nothing(shop):
    shop.pins()
    shop.restarts()
    assert shop.default == {"v1": 100, "v2": 0}
    shop.reads({**SHOP, **at_v2()})
    assert shop.default == {"v1": 100, "v2": 0}
    assert len(shop.reported) == 1


def test_an_audience_still_ends(shop):
    until = {"name": "a", "hosts": ["a.test"], "deployment": "v2", "until": "2026-11-23"}
    shop.hears(at_v2(audiences=[until]))
    shop.pins()
    shop.waits(timedelta(days=1))
    assert shop.admission.world.app(SHOP_REF).expired == {(SHOP_REF, "a")}


def test_unpinned_it_follows_its_record(shop):
    shop.pins()
    shop.hears(at_v2(hosts=["shop.test", "new.test"]))
    shop.unpins()
    assert (shop.default, shop.reported) == ({"v2": 100}, [])
    assert shop.hosts == {"shop.test": "shop", "new.test": "shop"}
    shop.restarts()
    assert not shop.admission.pins


def test_unpinned_it_goes_if_its_record_is_gone(shop):
    shop.pins()
    shop.hears({"shop.yaml": None, "other.yaml": release("other", "other.test")})
    shop.unpins()
    assert shop.hosts == {"other.test": "other"}


def test_unpinned_with_a_broken_record_it_stays_and_says_why(shop):
    shop.pins()
    shop.hears(at_v2(default=[{"deployment": "v9"}]))
    shop.unpins()
    assert shop.default == {"v1": 100, "v2": 0}
    assert [each.reason for each in shop.admission.problems] == [Reason.UNKNOWN_DEPLOYMENT]


def test_what_waited_for_its_hosts_gets_them_when_it_is_unpinned(shop):
    shop.pins()
    shop.hears({"shop.yaml": release("shop", "new.test"), "other.yaml": release("other", "shop.test")})
    shop.unpins()
    assert shop.hosts == {"new.test": "shop", "shop.test": "other"}


def test_a_pin_may_name_a_deployment_that_the_record_does_not(shop):
    shop.hears({"v3.yaml": deployment("v3", "b1")})
    shop.pins(((V2, 0), (Ref("default", "v3"), 10_000)))
    assert shop.default == {"v2": 0, "v3": 100}


def test_weights_are_written_as_one_would():
    key = Key("Release", Ref("prod", "shop"))
    said = record(
        "Release",
        "shop",
        {"app": "shop", "default": [], "gateways": ["edge"], "hosts": ["shop.test"]},
        namespace="prod",
    )
    found, text = with_default(key, said, ((Ref("prod", "v1"), 3_333), (Ref("default", "v2"), 6_667)))
    assert '[{"deployment":"v1","weight":33.33},{"deployment":"default.v2","weight":66.67}]' in text
    assert [found.refer(word) for word, _ in found.spec.shares] == [Ref("prod", "v1"), Ref("default", "v2")]
