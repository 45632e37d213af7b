import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rollout.releases import planned, release
from xds_server.domain.names import ref
from xds_server.records.releases import Weights
from xds_server.records.values import WHOLE
from xds_server.rollout import moved, plan_of
from xds_server.rollout.plan import with_shares

V1, V2, V3 = (ref(f"shop-v{number}") for number in (1, 2, 3))


def weights(**shares: int) -> Weights:
    return tuple((ref(f"shop-{name}"), share * 100) for name, share in shares.items())


def test_a_release_without_a_rollout_has_no_plan():
    assert plan_of(release(rollout=None)) is None


def test_it_moves_the_last_deployment_unless_the_record_names_one():
    assert planned().deployment == V2
    assert planned(rollout={"deployment": "shop-v1", "steps": [{"to": 100}]}).deployment == V1


def test_before_the_first_step_the_records_weights_are_in_force():
    plan = planned(steps=[{"gate": "release manager"}, {"to": 5}, {"gate": "both"}, {"to": 100}])
    assert [plan.share(step) for step in range(-1, 4)] == [None, None, 500, 500, WHOLE]
    assert plan.weights_at(0) == weights(v1=100, v2=0)
    assert plan.weights_at(2) == weights(v1=95, v2=5)


def test_a_step_that_would_take_from_the_canary_is_passed_over():
    steps = [{"gate": "qa"}, {"to": 5}, {"to": 25}, {"gate": "ops"}, {"to": 50}]
    plan = planned({"shop-v1": 70, "shop-v2": 30}, steps)
    assert [plan.after(step) for step in range(-1, 5)] == [0, 3, 3, 3, 4, None]
    assert [plan.share(step) for step in range(5)] == [None, None, None, None, 5000]
    assert plan.weights_at(3) == weights(v1=70, v2=30)
    assert planned({"shop-v1": 95, "shop-v2": 5}, steps).after(0) == 1
    assert planned({"shop-v1": 0, "shop-v2": 100}, steps).after(3) is None


def test_it_has_everything_where_nobody_else_has_anything():
    plan = planned({"shop-v1": 60, "shop-v3": 40, "shop-v2": 0}, [{"to": 99.99}, {"to": 100}, {"gate": "qa"}])
    assert [plan.is_whole(step) for step in range(-1, 3)] == [False, False, True, True]


def test_a_rollback_gives_it_nothing():
    plan = planned(default={"shop-v1": 60, "shop-v3": 30, "shop-v2": 10})
    assert plan.without == ((V1, 6667), (V3, 3333), (V2, 0))


@pytest.mark.parametrize(
    ("before", "share", "after"),
    [
        pytest.param({"v1": 100, "v2": 0}, 25, {"v1": 75, "v2": 25}, id="two"),
        pytest.param({"v1": 60, "v3": 20, "v2": 20}, 60, {"v1": 30, "v3": 10, "v2": 60}, id="in proportion"),
        pytest.param({"v1": 0, "v3": 0, "v2": 100}, 10, {"v1": 90, "v3": 0, "v2": 10}, id="the others had nothing"),
        pytest.param({"v2": 100}, 10, {"v2": 100}, id="alone"),
    ],
)
def test_the_others_keep_their_proportions(before, share, after):
    assert moved(weights(**before), V2, share * 100) == weights(**after)


@pytest.mark.parametrize(
    ("before", "shares", "after"),
    [
        pytest.param({"v1": 60, "v3": 20, "v2": 20}, {"v2": 30, "v3": 30}, {"v1": 40, "v3": 30, "v2": 30}, id="two"),
        pytest.param({"v1": 60, "v3": 40}, {"v2": 10}, {"v1": 54, "v3": 36, "v2": 10}, id="one more"),
        pytest.param({"v1": 60, "v3": 40}, {"v1": 0, "v3": 0, "v2": 100}, {"v1": 0, "v3": 0, "v2": 100}, id="all"),
    ],
)
def test_several_have_their_shares_and_the_others_keep_their_proportions(before, shares, after):
    assert with_shares(weights(**before), dict(weights(**shares))) == weights(**after)


@given(st.lists(st.integers(0, WHOLE), min_size=1, max_size=6), st.integers(0, WHOLE))
def test_shares_are_whole(others, share):
    before = tuple((ref(f"shop-w{number}"), weight) for number, weight in enumerate(others))
    after = moved((*before, (V2, 0)), V2, share)
    assert sum(weight for _, weight in after) == WHOLE
    assert [each for each, _ in after] == [each for each, _ in before] + [V2]
    assert dict(after)[V2] == share
    assert all(weight >= 0 for _, weight in after)


def test_the_identity_is_of_default_and_rollout_alone():
    plan = planned()
    assert planned(hosts=["else.example.com"]).identity == plan.identity
    assert planned(default={"shop-v1": 90, "shop-v2": 10}).identity != plan.identity
    assert planned(steps=[{"to": 100}]).identity != plan.identity
