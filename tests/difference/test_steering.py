from datetime import timedelta
from typing import Any

import pytest

from tests.records.folder import NOON, SHOP, Server, deployment, release
from xds_server.difference.history import RECORDS, Event, Kind
from xds_server.difference.steering import CannotSteer, NoSuchRelease, check_pinned, given_back, weights_set
from xds_server.domain.names import Ref
from xds_server.records.admission import pinned
from xds_server.records.admitted import Admission
from xds_server.records.pins import Pin
from xds_server.records.releases import Weights

SHOP_REF, V1, V2, V3 = (Ref("default", name) for name in ("shop", "v1", "v2", "v3"))
ALL_V1, ALL_V2 = ((V1, 10_000),), ((V2, 10_000),)
HALF = ((V1, 5_000), (V2, 5_000))


def admission(**spec: Any) -> Admission:
    """v2 is released."""
    return Server({**SHOP, "shop.yaml": release("shop", "shop.test", to="v2", **spec)}).admission


def event(before: Weights, after: Weights) -> Event:
    return Event(SHOP_REF, NOON, RECORDS, "", before, after)


@pytest.mark.parametrize(
    ("history", "weights"),
    [
        pytest.param([event(ALL_V1, ALL_V2)], ((V2, 0), (V1, 10_000)), id="the one before"),
        pytest.param([event((), ()), event(ALL_V1, ALL_V2)], ((V2, 0), (V1, 10_000)), id="others moved audiences"),
        pytest.param([event(HALF, ALL_V2), event(ALL_V1, HALF)], ((V2, 5_000), (V1, 5_000)), id="a step"),
        pytest.param([event(ALL_V2, HALF), event(ALL_V1, ALL_V2)], ((V2, 0), (V1, 10_000)), id="not what it gives"),
    ],
)
def test_a_rollback_gives_what_the_default_gave_before(history, weights):
    assert given_back(admission(), SHOP_REF, None, history) == weights


def test_or_what_is_named():
    assert given_back(admission(), SHOP_REF, V1, []) == ((V2, 0), (V1, 10_000))
    assert given_back(admission(), SHOP_REF, V2, []) == ((V2, 10_000),)


@pytest.mark.parametrize(
    ("release_ref", "to", "said"),
    [
        pytest.param(SHOP_REF, None, "what its default gave before v2 100 %: name a deployment", id="no history"),
        pytest.param(SHOP_REF, V3, "v3 is not deployed for app shop; there is v1, v2", id="not there"),
        pytest.param(Ref("default", "shap"), V1, "no Release shap is in force; there is shop", id="no such release"),
    ],
)
def test_what_cannot_be_done_is_said(release_ref, to, said):
    with pytest.raises(CannotSteer, match=said):
        given_back(admission(), release_ref, to, [])


def test_what_was_taken_back_is_not_given_again_by_taking_it_back_once_more():
    history = [event(HALF, ALL_V2)._replace(kind=Kind.ROLLED_BACK), event(ALL_V2, HALF)]
    with pytest.raises(CannotSteer, match=r"was taken back already, .* it gives v2 100 %; name a deployment with --to"):
        given_back(admission(), SHOP_REF, None, history)
    assert given_back(admission(), SHOP_REF, V1, history) == ((V2, 0), (V1, 10_000))


@pytest.mark.parametrize(
    "asked",
    [
        {"to": "v3"},
        {
            "default": [{"deployment": "v2", "weight": 100}, {"deployment": "v3", "weight": 0}],
            "rollout": {"steps": [{"to": 100}]},
        },
    ],
    ids=["a version", "a rollout"],
)
def test_while_a_version_waits_to_be_ready_it_is_asked_which_one_is_meant(asked):
    """Who thinks that v3 is out and bad would move everybody from v2 to v1."""
    server = Server({**SHOP, "v3.yaml": deployment("v3", "b9"), "shop.yaml": release("shop", "shop.test", to="v2")})
    server.hears({"shop.yaml": release("shop", "shop.test", **asked)})
    assert SHOP_REF in server.admission.pending
    with pytest.raises(CannotSteer, match=r"gives v2 100 %; .* waits to be ready, and nobody gets it: say with --to"):
        given_back(server.admission, SHOP_REF, None, [event(ALL_V1, ALL_V2)])
    assert given_back(server.admission, SHOP_REF, V2, []) == ((V2, 10_000),)


def test_what_waited_in_vain_is_no_question():
    """Days later a rollback is about what everybody gets."""
    server = Server({**SHOP, "v3.yaml": deployment("v3", "b9"), "shop.yaml": release("shop", "shop.test", to="v2")})
    server.hears({"shop.yaml": release("shop", "shop.test", to="v3")})
    server.waits(timedelta(hours=2))
    assert server.admission.pending[SHOP_REF].failed
    assert given_back(server.admission, SHOP_REF, None, [event(ALL_V1, ALL_V2)]) == ((V2, 0), (V1, 10_000))


def test_an_audience_that_waits_is_no_question_of_the_default():
    server = Server({**SHOP, "v3.yaml": deployment("v3", "b9"), "shop.yaml": release("shop", "shop.test", to="v2")})
    audience = {"name": "a", "hosts": ["shop.test"], "deployment": "v3"}
    server.hears({"shop.yaml": release("shop", "shop.test", to="v2", audiences=[audience])})
    assert SHOP_REF in server.admission.pending
    assert given_back(server.admission, SHOP_REF, None, [event(ALL_V1, ALL_V2)]) == ((V2, 0), (V1, 10_000))


def test_a_deployment_without_an_entry_is_no_way_back():
    inner = deployment("v3", components={"web": {"build": "b1"}})
    server = Server({**SHOP, "v3.yaml": inner})
    with pytest.raises(CannotSteer, match="v3 has no component with routes"):
        given_back(server.admission, SHOP_REF, V3, [])


def test_audiences_alone_have_no_default():
    audience = {"name": "a", "hosts": ["a.test"], "deployment": "v2"}
    with pytest.raises(CannotSteer, match="has audiences only"):
        given_back(admission(hosts=[], default=[], audiences=[audience]), SHOP_REF, V1, [])


def test_only_what_is_pinned_can_be_unpinned():
    with pytest.raises(CannotSteer, match="is not pinned"):
        check_pinned(admission(), SHOP_REF)
    with pytest.raises(NoSuchRelease):
        check_pinned(admission(), V1)
    check_pinned(pinned(admission(), SHOP_REF, ALL_V2, Pin(NOON, "ada", "why")), SHOP_REF)


# --- shares that are set


@pytest.fixture
def three() -> Server:
    shares = [{"deployment": "v1", "weight": 60}, {"deployment": "v2", "weight": 40}]
    return Server(
        {**SHOP, "v3.yaml": deployment("v3", "b2"), "shop.yaml": release("shop", "shop.test", default=shares)}
    )


def test_shares_are_set_and_the_others_shrink_in_proportion(three: Server) -> None:
    assert weights_set(three.admission, SHOP_REF, {V2: 1000}) == ((V1, 9000), (V2, 1000))
    assert weights_set(three.admission, SHOP_REF, {V3: 1000}) == ((V1, 5400), (V2, 3600), (V3, 1000))
    assert weights_set(three.admission, SHOP_REF, {V1: 0, V2: 10000}) == ((V1, 0), (V2, 10000))


@pytest.mark.parametrize(
    ("shares", "why"),
    [
        pytest.param({V1: 6000, V2: 6000}, "sum to 120 %, which is more than 100", id="too-much"),
        pytest.param({V1: 6000, V2: 3000}, "the rest is 10 %, and nobody else is there to have it", id="too-little"),
        pytest.param({Ref("default", "v9"): 100}, "v9 is not deployed for app shop", id="unknown"),
    ],
)
def test_why_shares_are_not_set(three: Server, shares: dict[Ref, int], why: str) -> None:
    with pytest.raises(CannotSteer, match=why):
        weights_set(three.admission, SHOP_REF, shares)


def test_of_several_that_have_nothing_it_is_not_guessed_who_has_the_rest(three: Server) -> None:
    shares = [{"deployment": name, "weight": 100 * (name == "v2")} for name in ("v1", "v2", "v3")]
    three.hears({"shop.yaml": release("shop", "shop.test", default=shares)})

    with pytest.raises(CannotSteer, match="the rest is 10 %, and v1, v3 have nothing now: say which"):
        weights_set(three.admission, SHOP_REF, {V2: 9000})
    assert weights_set(three.admission, SHOP_REF, {V2: 9000, V3: 1000}) == ((V1, 0), (V2, 9000), (V3, 1000))


def test_shares_are_set_of_what_is_in_force_alone(three: Server) -> None:
    three.hears({"shop.yaml": release("shop", "shop.test", to="v9")})
    with pytest.raises(CannotSteer, match="what the folder says of Release shop is not in force"):
        weights_set(three.admission, SHOP_REF, {V2: 1000})

    audience = {"name": "a", "hosts": ["a.test"], "deployment": "v2"}
    only_audiences = release("shop", default=[], audiences=[audience])
    only = Server({**SHOP, "shop.yaml": only_audiences})
    with pytest.raises(CannotSteer, match="has audiences only"):
        weights_set(only.admission, SHOP_REF, {V2: 1000})
    with pytest.raises(NoSuchRelease, match="no Release shap"):
        weights_set(only.admission, Ref("default", "shap"), {V2: 1000})


def test_of_a_pinned_release_nothing_is_set(three: Server) -> None:
    after = pinned(three.admission, SHOP_REF, ((V1, 10000),), Pin(NOON, "ada", "it fails"))

    with pytest.raises(CannotSteer, match=r"is pinned since .* by ada: it fails\. xdsctl unpin shop comes"):
        weights_set(after, SHOP_REF, {V2: 1000})
