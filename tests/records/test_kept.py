"""What the history of a release can go back to stays in force, as long as the release remembers it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.folder import SHOP, Content, Server, build, deployment, documents, record, release
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.records.admission import pinned
from xds_server.records.documents import Key
from xds_server.records.kept import kept_after
from xds_server.records.models import Release
from xds_server.records.pins import Pin

SHOP_REF = Ref("default", "shop")
V1, V2, V3 = (Ref("default", name) for name in ("v1", "v2", "v3"))
FILES = {
    **SHOP,
    "builds.yaml": documents(*(build(f"web-{number}", f"b{number}") for number in (1, 2, 3))),
    "v3.yaml": deployment("v3", "b3"),
}


class Remembering(Server):
    def releases(self, *, history: int | None = None, other: dict[str, Content] | None = None, **weights: int) -> None:
        """With these files in the same change."""
        policy: dict[str, Any] = {} if history is None else {"policy": {"history": history}}
        default = [{"deployment": name, "weight": weight} for name, weight in weights.items()]
        self.hears({"shop.yaml": release("shop", "shop.test", default=default, **policy), **(other or {})})

    @property
    def kept(self) -> list[str]:
        return [each.word for each in self.admission.kept.get(SHOP_REF, ())]

    @property
    def deployed(self) -> set[str]:
        return {each.word for each in self.admission.world.app(SHOP_REF).deployments}

    @property
    def placed(self) -> list[str]:
        return sorted(key.ref.word for key in self.admission.in_force if key.kind == "Build")

    @property
    def in_use(self) -> list[str]:
        return [each.what for each in self.admission.problems if each.reason is Reason.IN_USE]


@pytest.fixture
def shop() -> Remembering:
    """v1 is released."""
    return Remembering(FILES)


def test_what_had_default_traffic_before_cannot_go_and_the_problem_says_why(shop):
    shop.releases(v2=100)
    shop.hears({"v1.yaml": None, "v3.yaml": None})

    assert shop.deployed == {"v1", "v2"}
    assert shop.in_use == [
        "is gone from the records, but the history of Release shop (policy.history: 10) can go back to it"
    ]
    shop.hears({"v1.yaml": FILES["v1.yaml"]})
    assert shop.in_use == []


def test_not_even_in_the_change_that_moves_its_traffic(shop):
    shop.releases(v2=100, other={"v1.yaml": None})
    assert shop.deployed == {"v1", "v2", "v3"}


def test_weight_0_is_no_traffic(shop):
    shop.releases(v1=100, v3=0)
    shop.releases(v2=100)
    assert shop.kept == ["v1"]


def test_of_those_that_it_gave_at_once_the_largest_is_the_nearest(shop):
    shop.releases(v1=10, v3=90)
    shop.releases(v2=100)
    assert shop.kept == ["v3", "v1"]


def test_each_is_kept_once_and_not_while_it_has_traffic(shop):
    shop.releases(v2=100)
    shop.releases(v1=100)
    assert shop.kept == ["v2"]
    shop.releases(v3=100)
    assert shop.kept == ["v1", "v2"]


def test_only_so_many_as_its_policy_says_and_the_oldest_goes_when_another_comes(shop):
    shop.releases(v2=100, history=1)
    shop.hears({"v1.yaml": None})
    assert shop.deployed == {"v1", "v2", "v3"}
    shop.releases(v3=100, history=1)
    assert (shop.kept, shop.deployed) == (["v2"], {"v2", "v3"})


def test_with_a_history_of_0_it_keeps_nothing(shop):
    shop.releases(v2=100, other={"v1.yaml": None})
    shop.releases(v2=100, history=0)
    assert (shop.kept, shop.deployed, shop.in_use) == ([], {"v2", "v3"}, [])


def test_what_rolls_back_keeps_what_it_came_from(shop):
    shop.releases(v2=100)
    shop._turn(pinned(shop.admission, SHOP_REF, ((V1, 10_000),), Pin(shop.now, "ada", "why")))
    shop.hears({"v2.yaml": None})
    assert shop.deployed == {"v1", "v2", "v3"}


def test_a_release_that_goes_keeps_nothing(shop):
    shop.releases(v2=100)
    shop.hears({"v1.yaml": None, "other.yaml": release("other", "other.test", to="v3")})
    shop.hears({"shop.yaml": None})
    assert (shop.kept, shop.deployed) == ([], {"v2", "v3"})
    shop.releases(v2=100)
    assert shop.kept == []


def test_of_another_app_there_is_nothing_to_go_back_to(shop):
    other = {"app": "other", "version": "1", "components": {"web": {"build": "b1", "routes": [{"pathPrefix": "/"}]}}}
    placed = {"app": "other", "component": "web", "build": "b1", "endpoints": {"addresses": ["10.0.0.9:80"]}}
    shop.hears({"o.yaml": documents(record("AppDeployment", "o1", other), record("Build", "o", placed))})
    shop.releases(v2=100)
    shop.hears({"shop.yaml": release("shop", "shop.test", app="other", to="o1"), "v1.yaml": None})
    assert (shop.kept, shop.deployed) == ([], {"v2", "v3"})


def test_a_restart_remembers(shop):
    shop.releases(v2=100)
    shop.releases(v3=100)
    shop.restarts()
    assert shop.kept == ["v2", "v1"]
    assert (shop.admission.rows, shop.admission.forgotten) == ((), ())
    shop.reads({**FILES, "v1.yaml": None, "shop.yaml": release("shop", "shop.test", to="v3")})
    assert shop.deployed == {"v1", "v2", "v3"}


def test_what_is_remembered_is_saved_and_let_go_with_the_change_itself(shop):
    row = ("Kept", "default", "shop")
    assert row not in shop.rows
    shop.releases(v2=100)
    assert shop.rows[row].document == '["v1"]'
    shop.cannot_read("nobody knows why")
    assert shop.admission.rows == ()
    shop.releases(v2=100, history=0)
    assert row not in shop.rows


NAMES = ("v1", "v2", "v3", "v4")
SHARES = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True)


def a_release(names: list[str], history: int) -> Release:
    default = [{"deployment": name, "weight": 100 if name == names[0] else 0} for name in names]
    spec: dict[str, Any] = {"app": "shop", "gateways": ["edge"], "hosts": ["a.test"], "default": default}
    said = {"apiVersion": "xds-server.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"}}
    return Release.model_validate({**said, "spec": spec | {"policy": {"history": history}}})


@given(st.lists(st.tuples(SHARES, st.integers(0, 3)), max_size=12))
def test_it_is_the_last_distinct_ones_that_have_no_traffic_now(turns):
    """Where the policy is the same all the time, by its definition; else never more than that."""
    kept: tuple[Ref, ...] = ()
    before, had = None, list[Ref]()
    for names, history in turns:
        after = a_release(names, history)
        kept = kept_after(kept, before, after)
        before = after
        [now] = [ref for ref, weight in after.weights if weight]
        last = [each for each in dict.fromkeys(reversed(had)) if each != now]
        assert len(kept) <= history
        assert len({each for _, each in turns}) > 1 or list(kept) == last[:history]
        had.append(now)


TURNS = st.lists(
    st.tuples(st.sampled_from(["v1", "v2", "v3"]), st.integers(0, 2), st.sets(st.sampled_from(["v1", "v2", "v3"]))),
    min_size=1,
    max_size=6,
)


@given(TURNS, st.booleans())
def test_what_it_can_go_back_to_is_always_there_and_who_stays_against_its_file_has_a_problem(turns, restarting):
    """`turns`: to which it goes, how many it keeps, and which files there are."""
    shop = Remembering(FILES)
    for to, history, there in turns:
        files: dict[str, Content] = {f"{each}.yaml": FILES[f"{each}.yaml"] for each in there}
        files["shop.yaml"] = release("shop", "shop.test", to=to, policy={"history": history})
        if restarting:
            shop.restarts()
        shop.reads({"edge.yaml": FILES["edge.yaml"], "builds.yaml": FILES["builds.yaml"], **files})
        assert set(shop.kept) <= shop.deployed
        against = {each.record.rpartition("/")[2] for each in shop.admission.problems if each.reason is Reason.IN_USE}
        assert against == shop.deployed - there
        [given] = shop.serves["Release/default/shop"]["default"]
        assert shop.deployed - there <= {*shop.kept, given["deployment"], to}


def test_the_key_of_what_is_kept_is_no_record(shop):
    shop.releases(v2=100)
    shop.restarts()
    assert Key("Kept", SHOP_REF) not in shop.admission.in_force


def test_a_build_that_goes_with_a_deployment_that_stays_stays_with_it(shop):
    """Else whoever deletes a version as a whole takes its instances from requests that are still on their way."""
    without = documents(*(build(f"web-{number}", f"b{number}") for number in (2, 3)))
    shop.releases(v2=100, other={"v1.yaml": None, "builds.yaml": without})
    assert shop.placed == ["web-1", "web-2", "web-3"]
    assert shop.in_use[0] == "is gone from the records, but AppDeployment v1 runs on it, which is gone too and stays"

    shop.releases(v2=100, history=0)
    assert shop.placed == ["web-2", "web-3"]
    assert shop.in_use == []


def test_the_endpoints_of_a_deployment_that_is_still_written_may_go(shop):
    shop.releases(v2=100)
    shop.hears({"builds.yaml": documents(*(build(f"web-{number}", f"b{number}") for number in (2, 3)))})
    assert shop.in_use == []
