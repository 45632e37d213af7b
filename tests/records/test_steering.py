"""A release gives what its rollout says, as long as its record asks for that rollout."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.records.folder import NOON, SHOP, Content, Server, release
from xds_server.domain.names import Ref
from xds_server.records.admission import moved, pinned, steered, unpinned
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.steered import Moved, Steered, identity_of

SHOP_REF, V1, V2 = (Ref("default", name) for name in ("shop", "v1", "v2"))
RELEASE = "Release/default/shop"
STEPS = {"steps": [{"to": 10}, {"to": 100}]}
SAID: Weights = ((V1, 10_000), (V2, 0))
AT_TEN: Weights = ((V1, 9_000), (V2, 1_000))
ALL: Weights = ((V1, 0), (V2, 10_000))


def at(v1: float, v2: float, **spec: Any) -> dict[str, Content]:
    shares = [{"deployment": "v1", "weight": v1}, {"deployment": "v2", "weight": v2}]
    return {"shop.yaml": release("shop", *spec.pop("hosts", ["shop.test"]), default=shares, rollout=STEPS, **spec)}


class Rolling(Server):
    """A shop whose release has a rollout, at its record's weights."""

    def __init__(self, files: Mapping[str, Content] | None = None) -> None:
        super().__init__({**SHOP, **at(100, 0)} if files is None else files)

    @property
    def record(self) -> Release:
        found = self.admission.world.app(SHOP_REF).releases[SHOP_REF]
        assert isinstance(found, Release)
        return found

    def steers(self, weights: Weights, **more: Any) -> None:
        progress = Progress(identity_of(self.record, SAID), 0, because="it begins")
        self._turn(steered(self.admission, SHOP_REF, Steered(progress, SAID, weights, **more), self.now))

    def ends(self) -> None:
        found = self.admission.steered[SHOP_REF]
        ended = replace(found, progress=found.progress.end(Ended.FINISHED, "done"), weights=ALL)
        also = identity_of(self.record, ALL)
        self._turn(steered(self.admission, SHOP_REF, replace(ended, also=also), self.now))

    def moves(self, audience: str, to: Ref) -> None:
        self._turn(moved(self.admission, SHOP_REF, Moved(audience, to, Pin(NOON, "rollout", "worse"))))

    @property
    def gives(self) -> dict[str, Any]:
        return {each["deployment"]: each.get("weight", 100) for each in self.serves[RELEASE]["default"]}


def test_it_gives_what_it_is_steered_to_and_no_problem_is_said() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    assert shop.gives == {"v1": 90, "v2": 10}
    assert shop.admission.touched == {SHOP_REF}
    assert not shop.errors


def test_what_else_is_edited_comes_into_force_and_the_rollout_goes_on() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.hears(at(100, 0, hosts=["shop.test", "new.test"]))
    assert shop.gives == {"v1": 90, "v2": 10}
    assert shop.hosts.keys() == {"shop.test", "new.test"}
    assert shop.admission.steered[SHOP_REF].progress.step == 0


def test_other_weights_in_the_record_end_it() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.hears(at(50, 50))
    assert shop.gives == {"v1": 50, "v2": 50}
    assert SHOP_REF not in shop.admission.steered
    assert not [key for key in shop.rows if key[0] == "Steered"]


def test_a_record_without_a_rollout_says_alone_what_it_gives() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    for v1 in (100, 30):
        shares = [{"deployment": "v1", "weight": v1}, {"deployment": "v2", "weight": 100 - v1}]
        shop.hears({"shop.yaml": release("shop", "shop.test", default=shares)})
        assert shop.gives == {"v1": v1, "v2": 100 - v1}
    assert SHOP_REF not in shop.admission.steered


def test_a_record_that_says_in_its_weights_what_is_in_force_asks_for_another_rollout() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.hears(at(90, 10))
    assert shop.gives == {"v1": 90, "v2": 10}
    assert SHOP_REF not in shop.admission.steered


def test_a_broken_edit_changes_nothing() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.hears(at(70, 70))
    assert shop.gives == {"v1": 90, "v2": 10}
    assert shop.admission.steered[SHOP_REF].progress.step == 0
    assert len(shop.errors) == 1


def test_a_restart_changes_nothing() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    before = shop.admission.steered[SHOP_REF]
    shop.restarts()
    assert shop.admission.steered[SHOP_REF] == before
    shop.reads({**SHOP, **at(100, 0)})
    assert shop.gives == {"v1": 90, "v2": 10}
    assert not shop.admission.touched


def test_a_record_that_says_how_it_has_ended_moves_nothing() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop.ends()
    shop.hears(at(0, 100))
    found = shop.admission.steered[SHOP_REF]
    assert (found.said, found.weights, found.also) == (ALL, ALL, "")
    assert found.progress.ended is Ended.FINISHED
    assert shop.gives == {"v1": 0, "v2": 100}
    shop.hears(at(100, 0))
    assert shop.gives == {"v1": 100, "v2": 0}, "whoever writes the old weights asks for the rollout anew"
    assert SHOP_REF not in shop.admission.steered


def test_what_is_gone_is_not_steered() -> None:
    shop = Rolling({**SHOP, **at(100, 0), "other.yaml": release("other", "other.test")})
    shop.steers(AT_TEN)
    shop.hears({"shop.yaml": None})
    assert not shop.admission.steered
    assert not [key for key in shop.rows if key[0] == "Steered"]


def test_a_rollback_ends_it_and_unpinned_it_stays_where_it_was_taken_to() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    found = shop.admission.steered[SHOP_REF]
    ended = replace(found, progress=found.progress.end(Ended.ROLLED_BACK, "worse"), weights=SAID)
    shop._turn(pinned(shop.admission, SHOP_REF, SAID, Pin(NOON, "rollout", "worse"), ended))
    assert shop.gives == {"v1": 100, "v2": 0}
    shop._turn(unpinned(shop.admission, SHOP_REF, NOON))
    assert shop.gives == {"v1": 100, "v2": 0}
    assert shop.admission.steered[SHOP_REF].progress.ended is Ended.ROLLED_BACK


def test_what_changed_while_it_was_pinned_begins_when_it_is_unpinned() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    shop._turn(pinned(shop.admission, SHOP_REF, SAID, Pin(NOON, "ada", "it fails")))
    shop.hears(at(20, 80))
    assert shop.gives == {"v1": 100, "v2": 0}
    shop._turn(unpinned(shop.admission, SHOP_REF, NOON))
    assert shop.gives == {"v1": 20, "v2": 80}
    assert SHOP_REF not in shop.admission.steered


def test_an_audience_that_is_moved_stays_so_until_it_is_unpinned() -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    shop = Rolling({**SHOP, **at(100, 0, audiences=[early])})
    shop.moves("early", V1)
    assert shop.serves[RELEASE]["audiences"] == [{**early, "deployment": "v1"}]
    assert shop.gives == {"v1": 100, "v2": 0}
    shop.restarts()
    shop.reads({**SHOP, **at(100, 0, audiences=[{**early, "why": "edited"}])})
    assert shop.serves[RELEASE]["audiences"] == [{**early, "deployment": "v1", "why": "edited"}]
    shop._turn(unpinned(shop.admission, SHOP_REF, NOON))
    assert shop.serves[RELEASE]["audiences"][0]["deployment"] == "v2"
    assert not [key for key in shop.rows if key[0] == "Moved"]
