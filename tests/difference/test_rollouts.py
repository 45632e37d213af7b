"""What rollouts would do, and how many users each step moves."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import NOON, SHOP, Server, deployment, release
from tests.records.test_steering import AT_TEN, SAID, Rolling
from xds_server.difference.rollouts import (
    Course,
    UsersMove,
    rollout_change,
    slots_moved,
    standing,
    stated,
    to_come,
    users_move,
)
from xds_server.domain.names import Ref
from xds_server.records.admission import pinned, steered, unpinned
from xds_server.records.documents import Key, read_documents
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.progress import Progress
from xds_server.records.releases import Weights
from xds_server.records.steered import Steered, identity_of
from xds_server.records.values import WHOLE
from xds_server.rollout.decide import Frozen
from xds_server.traffic.slots import SLOTS, slot_ranges

SHOP_REF, V1, V2, V3 = (Ref("default", name) for name in ("shop", "v1", "v2", "v3"))
STEPS = [{"to": 5, "for": "20m"}, {"to": 25, "need": "safe"}, {"gate": "release manager"}, {"to": 100}]
BOTH = [{"deployment": "v1", "weight": 100}, {"deployment": "v2", "weight": 0}]
GUARD = {"errors": {"maxRatio": 1.5}}
COOKIE = {"cookie": "shop-user"}


def shop(v2: float = 0, **spec: Any) -> Release:
    default = [{"deployment": "v1", "weight": 100 - v2}, {"deployment": "v2", "weight": v2}]
    [document] = read_documents("", release("shop", "shop.test", **{"default": default, **spec}))
    assert isinstance(document.record, Release), document.problems
    return document.record


def moving(v2: float = 0, **spec: Any) -> Release:
    return shop(v2, **{"sticky": COOKIE, "rollout": {"steps": STEPS, "guard": GUARD}, **spec})


def owners(weights: Weights) -> list[Ref]:
    """Of every slot."""
    return [each.deployment for each in slot_ranges(weights) for _ in range(each.low, each.high)]


def test_each_step_is_said_with_who_moves_by_it() -> None:
    change = rollout_change(None, moving())

    assert change is not None
    assert (change.release, change.course, change.deployment) == (SHOP_REF, Course.BEGINS, V2)
    assert [(each.share, each.waits, each.moves) for each in change.steps] == [
        (500, "for 20m", 3277),
        (2500, "until it is safe", 13107),
        (None, "for the word of release manager", 0),
        (10000, "", 49152),
    ]
    assert [dict(each.weights)[V2] for each in change.steps] == [500, 2500, 2500, 10000]


def test_a_step_below_what_the_canary_has_is_passed_over() -> None:
    change = rollout_change(None, moving(10))

    assert change is not None
    assert [each.passed for each in change.steps] == [True, False, False, False]
    assert [dict(each.weights)[V2] for each in change.steps] == [1000, 2500, 2500, 10000]
    assert [each.moves for each in change.steps] == [0, 9830, 0, 49152]


def test_where_every_request_draws_anew_nobody_moves() -> None:
    change = rollout_change(None, moving(sticky=None))

    assert change is not None
    assert {each.moves for each in change.steps} == {None}


@pytest.mark.parametrize(
    ("after", "course", "because"),
    [
        pytest.param(moving(hosts=["new.test"]), Course.GOES_ON, "", id="another field"),
        pytest.param(moving(10), Course.BEGINS_ANEW, "its default changes", id="default"),
        pytest.param(
            moving(rollout={"steps": STEPS[:2], "guard": GUARD}),
            Course.BEGINS_ANEW,
            "its rollout changes",
            id="rollout",
        ),
        pytest.param(
            moving(10, rollout={"steps": STEPS[:2], "guard": GUARD}),
            Course.BEGINS_ANEW,
            "its default and rollout change",
            id="both",
        ),
        pytest.param(shop(), Course.ENDS, "", id="without"),
        pytest.param(None, Course.ENDS, "", id="gone"),
    ],
)
def test_a_rollout_goes_on_while_default_and_rollout_stay(after: Release | None, course: Course, because: str) -> None:
    change = rollout_change(moving(), after)

    assert change is not None
    assert (change.course, change.because) == (course, because)


def test_where_nothing_moves_by_itself_there_is_nothing_to_say() -> None:
    assert rollout_change(shop(), shop(10)) is None
    assert rollout_change(None, None) is None


@pytest.mark.parametrize(
    ("before", "after", "move"),
    [
        pytest.param(shop(sticky=COOKIE), shop(25, sticky=COOKIE), UsersMove(SHOP_REF, 16384), id="a quarter"),
        pytest.param(shop(sticky=COOKIE), shop(sticky=COOKIE, hosts=["new.test"]), None, id="nobody"),
        pytest.param(shop(), shop(25), None, id="not sticky"),
        pytest.param(None, shop(25, sticky=COOKIE), None, id="new"),
        pytest.param(
            shop(25, sticky=COOKIE),
            shop(25, sticky={"cookie": "other"}),
            UsersMove(SHOP_REF, 0, drawn_anew=True),
            id="known by something else",
        ),
        pytest.param(shop(sticky=COOKIE), shop(sticky={"cookie": "other"}), None, id="one deployment for all"),
    ],
)
def test_who_stays_with_what_they_got_and_gets_something_else(
    before: Release | None, after: Release, move: UsersMove | None
) -> None:
    assert users_move(before, after) == move


CUTS = st.lists(st.integers(0, WHOLE), min_size=2, max_size=2).map(sorted)
SHARES = CUTS.map(lambda cuts: ((V1, cuts[0]), (V2, cuts[1] - cuts[0]), (V3, WHOLE - cuts[1])))


@given(SHARES, SHARES)
def test_as_many_slots_move_as_have_another_owner(before: Weights, after: Weights) -> None:
    pairs = zip(owners(before), owners(after), strict=True)

    assert len(owners(before)) == SLOTS
    assert slots_moved(before, after) == sum(1 for one, two in pairs if one != two)


def test_a_release_is_compared_as_its_file_says_it() -> None:
    key = Key("Release", SHOP_REF)
    server = Server(SHOP)
    server.hears({"shop.yaml": release("shop", "shop.test", to="v9")})
    held = stated(server.admission, key)
    assert held is not None
    assert held.spec.deployments == ("v9",)

    server.hears({"shop.yaml": "a: ["})
    assert stated(server.admission, key) == held
    server.hears({"shop.yaml": release("shop", "shop.test", gateways=[])})
    last_good = stated(server.admission, key)
    assert last_good is not None
    assert last_good.spec.deployments == ("v1",)
    assert stated(server.admission, Key("Release", V1)) is None


def test_why_one_does_nothing_by_itself_is_said() -> None:
    shop = Rolling()
    shop.steers(AT_TEN)
    assert standing(shop.admission, SHOP_REF) == ""
    shop.ends()
    assert standing(shop.admission, SHOP_REF).startswith("it has finished: ")
    shop._turn(pinned(shop.admission, SHOP_REF, SAID, Pin(NOON, "ada", "it fails")))
    assert standing(shop.admission, SHOP_REF) == (
        "pinned since 2026-11-23T12:00:00Z by ada: it fails; nothing comes of this before xdsctl unpin shop"
    )


def test_what_is_unpinned_says_what_comes_of_it_by_itself() -> None:
    shop = Rolling()
    assert to_come(shop.admission, SHOP_REF) == "its rollout begins: v2 goes to 10%"
    shop.steers(AT_TEN)
    assert to_come(shop.admission, SHOP_REF) == "its rollout goes on: v2 goes to 100%"
    shop.ends()
    assert to_come(shop.admission, SHOP_REF) == ""


def test_what_waits_for_a_word_moves_nothing_by_itself() -> None:
    shop = Rolling({**SHOP, "shop.yaml": release("shop", "shop.test", default=BOTH, rollout={"steps": STEPS[2:]})})
    assert to_come(shop.admission, SHOP_REF) == "its rollout begins: it waits for the word of release manager"


@pytest.mark.parametrize(
    ("rollout", "progress", "said"),
    [
        pytest.param(
            {"steps": STEPS[:2], "guard": GUARD},
            {"step": 0},
            "goes on: v2 goes to 25%, once it has stayed at 5% for 20m and it is known to be safe",
            id="time and evidence",
        ),
        pytest.param(
            {"steps": [STEPS[0], STEPS[3]]},
            {"step": 0},
            "goes on: v2 goes to 100%, once it has stayed at 5% for 20m",
            id="time",
        ),
        pytest.param(
            {"steps": STEPS[1:], "guard": GUARD},
            {"step": 0},
            "goes on: it waits for the word of release manager, once it is known to be safe",
            id="evidence before a gate",
        ),
        pytest.param(
            {"steps": STEPS[2:]}, {"step": 0}, "goes on: v2 goes to 100%, once release manager has approved", id="gate"
        ),
        pytest.param(
            {"steps": STEPS[2:]}, {"step": 0, "approved": frozenset({0})}, "goes on: v2 goes to 100%", id="approved"
        ),
        pytest.param(
            {"steps": STEPS[2:], "within": "Mon-Fri 09:00-16:00 UTC"},
            {"step": -1},
            "goes on: it waits for the word of release manager, once its window is open",
            id="window",
        ),
        pytest.param(
            {"steps": [STEPS[0], STEPS[3]]},
            {"step": 0, "paused": "ada: look first"},
            "is paused (ada: look first); after that v2 goes to 100%, once it has stayed at 5% for 20m",
            id="paused",
        ),
        pytest.param(
            {"steps": STEPS[3:], "freeze": True},
            {"step": -1},
            "is frozen by its record; after that v2 goes to 100%",
            id="frozen",
        ),
    ],
)
def test_what_comes_next_says_what_it_waits_for(rollout: dict[str, Any], progress: dict[str, Any], said: str) -> None:
    shop = Rolling({**SHOP, "shop.yaml": release("shop", "shop.test", default=BOTH, rollout=rollout)})
    found = Progress(identity_of(shop.record, SAID), **progress)
    shop._turn(steered(shop.admission, SHOP_REF, Steered(found, SAID, SAID), NOON))
    assert to_come(shop.admission, SHOP_REF) == f"its rollout {said}"


def test_while_every_rollout_is_frozen_none_goes_on() -> None:
    frozen = Frozen(NOON, "a holiday (ada)")
    assert to_come(Rolling().admission, SHOP_REF, frozen) == (
        "its rollout is frozen until 2026-11-23T12:00:00Z (a holiday (ada)); after that v2 goes to 10%"
    )


def test_what_is_not_ready_comes_into_force_later() -> None:
    shop = Rolling(SHOP)
    shop._turn(pinned(shop.admission, SHOP_REF, ((V1, WHOLE),), Pin(NOON, "ada", "it fails")))
    shop.hears({"v3.yaml": deployment("v3", "b9"), "shop.yaml": release("shop", "shop.test", to="v3")})
    after = unpinned(shop.admission, SHOP_REF, NOON)
    assert to_come(after, SHOP_REF) == "what its record says comes into force when it is ready"


def test_a_release_without_a_rollout_does_nothing_by_itself() -> None:
    assert to_come(Rolling(SHOP).admission, SHOP_REF) == ""
