from tests.difference.edits import FILES, edited, shop, state
from tests.records.folder import SHOP, deployment
from xds_server.difference.comparison import difference
from xds_server.domain.problems import Reason

UNPLACED = {"v9.yaml": deployment("v9", "b9")}


def test_a_state_is_not_different_from_itself():
    running = state(FILES)
    found = difference(running, running)

    assert not found.changes
    assert (found.refused, found.warned, found.solved) == ((), (), ())


def test_what_a_server_would_refuse_is_said_and_changes_nothing():
    found = edited({"v1.yaml": deployment("v1", "b2")})

    assert [each.reason for each in found.refused] == [Reason.IMMUTABLE]
    assert not found.changes


def test_a_deployment_in_use_cannot_go():
    assert [each.reason for each in edited({"v1.yaml": None}).refused] == [Reason.IN_USE]


def test_an_incumbent_keeps_its_host():
    found = edited({"a.yaml": shop().replace('"name": "shop"', '"name": "a"')})

    assert [each.reason for each in found.refused] == [Reason.ROUTE_CONFLICT]
    assert found.traffic == ()


def test_a_folder_that_loses_every_release_is_not_believed():
    assert [each.reason for each in edited({"shop.yaml": None}).refused] == [Reason.SOURCE_UNREADABLE]


def test_a_problem_that_was_there_before_is_no_difference():
    found = edited({"v9.yaml": "# moved down\n" + UNPLACED["v9.yaml"]}, {**SHOP, **UNPLACED})

    assert (found.warned, found.solved) == ((), ())


def test_problems_that_come_and_go():
    assert [each.reason for each in edited(UNPLACED).warned] == [Reason.UNPLACED_BUILD]
    assert [each.reason for each in edited({"v9.yaml": None}, {**FILES, **UNPLACED}).solved] == [Reason.UNPLACED_BUILD]
