"""Design, section 4: what a call gets at a sidecar, cell by cell."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from immutables import Map

from tests.records.folder import Content, Server, record
from tests.records.order import FILES, ORDER, V1, V2, V3, build_of, order, order_release, server, settings, version
from xds_server.domain.names import Ref
from xds_server.graph import distil
from xds_server.records.models import AppDeployment
from xds_server.records.world import NO_DEPLOYMENTS, AppWorld
from xds_server.traffic.calls import Calls, Oldest, Target, Without, calls_of, without_context
from xds_server.traffic.intents import (
    BUILD_UNKNOWN,
    CALL_UNDECLARED,
    COMPONENT_ABSENT,
    NO_CONTEXT,
    DefaultIntent,
    Refusal,
)
from xds_server.traffic.slots import width

REF = {name: Ref("default", name) for name in ("v1", "v2", "v3")}
RELEASED = settings("released")
REFUSE = settings("refuse")


def calls(build: str, **edits: Content) -> Calls:
    return calls_of(order(**edits), build_of(build))


def gets(found: Calls, component: str, deployment: str) -> str | Refusal:
    """A call to `component` that carries the context `deployment`: the cluster that it goes to, or why to none."""
    [callee] = [each for each in found.callees if each.component == component]
    given = callee.contexts[REF[deployment]]
    return f"{given.deployment.word}/{given.component}" if isinstance(given, Target) else given


# --- a context that contains the build


@pytest.mark.parametrize("deployment", ["v1", "v2", "v3"])
def test_a_call_goes_to_the_component_of_its_own_deployment(deployment: str):
    worker = calls("worker@w1")

    assert worker.contexts == tuple(REF.values())
    assert gets(worker, "api", deployment) == f"{deployment}/api"


def test_a_component_that_the_deployment_lacks_is_reached_in_no_other():
    worker = calls("worker@w1")

    assert gets(worker, "review", "v3") == "v3/review"
    assert gets(worker, "review", "v2") == COMPONENT_ABSENT


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        pytest.param({}, "v1/api", id="absent: every component"),
        pytest.param({"worker": []}, CALL_UNDECLARED, id="none"),
        pytest.param({"worker": ["ui"]}, CALL_UNDECLARED, id="another"),
        pytest.param({"worker": ["ui", "api"]}, "v1/api", id="listed"),
    ],
)
def test_only_declared_calls_are_made(declared: dict[str, list[str]], expected: str | Refusal):
    assert gets(calls("worker@w1", v1=version("v1", V1, **declared)), "api", "v1") == expected


def test_each_deployment_declares_for_itself():
    worker = calls("worker@w1", v1=version("v1", V1, worker=[]))

    assert gets(worker, "api", "v1") == CALL_UNDECLARED
    assert gets(worker, "api", "v2") == "v2/api"


def test_what_a_deployment_lacks_is_absent_whether_the_call_is_declared_or_not():
    assert gets(calls("worker@w1", v2=version("v2", V2, worker=[])), "review", "v2") == COMPONENT_ABSENT


def test_a_component_may_call_itself():
    assert gets(calls("worker@w1"), "worker", "v2") == "v2/worker"


# --- a context that does not


def test_a_build_knows_the_deployments_that_contain_it_and_no_other():
    assert calls("api@a1").contexts == (REF["v1"],)
    assert calls("api@a2").contexts == (REF["v2"], REF["v3"])
    assert all(set(each.contexts) == {REF["v2"], REF["v3"]} for each in calls("api@a2").callees)


def test_a_build_is_called_in_what_is_given_to_no_call_any_more():
    before = order()
    inbound = NO_DEPLOYMENTS.set(REF["v1"], before.deployments[REF["v1"]])
    world = replace(before, deployments=before.deployments.delete(REF["v1"]), inbound=inbound)
    worker, a2 = (calls_of(world, build_of(build)) for build in ("worker@w1", "api@a2"))

    assert worker.contexts == (REF["v2"], REF["v3"])
    assert worker.inbound == (REF["v1"], REF["v2"], REF["v3"])
    assert all(REF["v1"] not in each.contexts for each in worker.callees)
    assert a2.inbound == a2.contexts, "it was in none of v1"


def test_of_a_deployment_that_changes_a_build_sees_what_it_is_in():
    """v2 had api a1, has api a2; the worker is in both."""
    before = order()
    v1, v2 = REF["v1"], REF["v2"]
    former = before.deployments[v1].model_copy(update={"metadata": before.deployments[v2].metadata})
    world = replace(before, deployments=before.deployments.delete(v1), inbound=NO_DEPLOYMENTS.set(v2, former))
    worker, a1, a2 = (calls_of(world, build_of(build)) for build in ("worker@w1", "api@a1", "api@a2"))

    def api_of(found: Calls) -> AppDeployment:
        [target] = [each.contexts[v2] for each in found.callees if each.component == "api"]
        assert isinstance(target, Target)
        return target.record

    assert (a1.contexts, a1.inbound, a1.records) == ((v2,), (v2,), (former,))
    assert a2.records[0] is worker.records[0] is before.deployments[v2]
    assert api_of(a1) is former
    assert api_of(worker) is before.deployments[v2]


def test_a_build_that_no_deployment_contains_calls_nobody():
    gone = calls("api@a9")

    assert (gone.contexts, gone.callees) == ((), ())
    assert gone.without == gone.to_nobody == BUILD_UNKNOWN


def test_what_no_deployment_of_the_build_has_is_no_name_for_it():
    assert "review" not in {each.component for each in calls("api@a1").callees}


# --- names


def test_a_component_has_its_name_and_one_with_its_app():
    [api] = [each for each in calls("worker@w1").callees if each.component == "api"]

    assert api.hosts == ("api", "api.", "api.order", "api.order.")


def test_in_another_namespace_it_has_one_with_that_too():
    elsewhere = Ref("prod", "order")
    records = {Ref("prod", ref.name): each for ref, each in order().deployments.items()}
    moved = {
        ref: each.model_copy(update={"metadata": each.metadata.model_copy(update={"namespace": "prod"})})
        for ref, each in records.items()
    }
    world = AppWorld(elsewhere, deployments=order().deployments.update(moved))

    [api] = [
        each
        for each in calls_of(world, build_of("worker@w1")._replace(app=elsewhere)).callees
        if each.component == "api"
    ]
    assert api.hosts == ("api", "api.", "api.order", "api.order.", "api.order.prod", "api.order.prod.")
    assert set(api.contexts) == set(moved)


# --- no context


@pytest.mark.parametrize("said", [None, RELEASED, REFUSE, settings({"release": "order"})])
def test_a_build_of_one_deployment_says_whose_its_calls_are(said: Content):
    assert calls("api@a1", app=said).without == REF["v1"]


def shares(given: Without) -> dict[str, int]:
    assert isinstance(given, DefaultIntent)
    found: Counter[str] = Counter()
    for each in given.ranges:
        found[each.deployment.word] += width(each)
    return found


@pytest.mark.parametrize("said", [None, RELEASED])
def test_from_a_shared_build_the_release_gives_it_a_deployment_by_weight(said: Content):
    worker = calls("worker@w1", app=said, release=order_release(v1=75, v2=25))

    assert shares(worker.without) == {"v1": 3 << 14, "v2": 1 << 14}


def test_or_it_is_refused():
    assert calls("worker@w1", app=REFUSE).without == NO_CONTEXT


def test_of_several_releases_none_is_meant_until_one_is_named():
    two = {"two": order_release("two", v2=100)}

    assert calls("worker@w1", **two).without == NO_CONTEXT
    assert shares(calls("worker@w1", **two, app=settings({"release": "two"})).without) == {"v2": 1 << 16}


@pytest.mark.parametrize("release", [None, order_release(v1=100)])
@pytest.mark.parametrize("two", [None, order_release("two", v2=100)])
def test_a_release_that_is_named_and_is_none_gives_nothing(release: Content, two: Content):
    assert calls("worker@w1", release=release, two=two, app=settings({"release": "gone"})).without == NO_CONTEXT


def test_only_the_weights_of_deployments_that_contain_the_build_count():
    assert shares(calls("api@a2", release=order_release(v1=50, v2=37.5, v3=12.5)).without) == {
        "v2": 3 << 14,
        "v3": 1 << 14,
    }
    assert shares(calls("api@a2", release=order_release(v1=99, v2=1, v3=0)).without) == {"v2": 1 << 16}


ONE = {"name": "a", "hosts": ["a.test"], "deployment": "v1"}
FOR_ONE = record("Release", "order", {"app": "order", "gateways": ["edge"], "audiences": [ONE]})


@pytest.mark.parametrize(
    ("build", "release", "because"),
    [
        pytest.param("worker@w1", None, "the app has no release", id="no release"),
        pytest.param("worker@w1", FOR_ONE, "Release order is for its audiences only", id="audiences only"),
        pytest.param("api@a2", order_release(v1=100), "Release order gives users none that has it", id="not released"),
        pytest.param("api@a2", order_release(v1=100, v2=0), "Release order gives users none that has it", id="warm"),
    ],
)
def test_what_no_release_gives_is_the_oldests(build: str, release: Content, because: str):
    found = calls(build, release=release)

    assert found.without == Oldest(found.contexts[0], because)
    assert calls(build, release=release, app=settings({"release": "order"})).without == (
        NO_CONTEXT if release is None else found.without
    )


# --- the oldest


def days(deployment: str, number: int) -> str:
    """The deployment, made on this day."""
    made = json.loads(version(deployment, VERSIONS[deployment]))
    made["metadata"]["creationTimestamp"] = f"2026-11-{number:02}"
    return json.dumps(made)


VERSIONS = {"v1": V1, "v2": V2, "v3": V3}


def oldest(app: AppWorld) -> str:
    found = without_context(app, tuple(REF[name] for name in sorted(VERSIONS) if REF[name] in app.deployments))
    return found.deployment.word if isinstance(found, Oldest) else str(found)


def test_it_is_the_one_that_was_made_first_else_accepted_first_else_the_first_by_name():
    assert oldest(order(release=None)) == "v1"
    assert oldest(order(release=None, v1=days("v1", 3), v2=days("v2", 2), v3=days("v3", 1))) == "v3"
    assert oldest(order(release=None, v2=days("v2", 22))) == "v2", "the others were accepted later"


def test_one_that_comes_later_is_never_older():
    of = server(release=None, v1=None, v2=None)
    of.waits(timedelta(days=1))
    of.hears({"v1.yaml": version("v1", V1)})
    of.restarts()
    of.waits(timedelta(days=1))
    of.reads(FILES | {"release.yaml": None})

    assert oldest(of.admission.world.app(ORDER)) == "v3"


def test_one_that_is_on_its_way_out_is_so_only_if_all_are():
    app = order(release=None)
    without = {name: replace(app, since=app.since.delete(REF[name])) for name in VERSIONS}

    assert {name: oldest(each) for name, each in without.items()} == {"v1": "v2", "v2": "v1", "v3": "v1"}
    assert oldest(replace(app, since=Map())) == "v1"


# --- deploying changes nothing for anyone

HISTORIES = st.permutations(sorted(VERSIONS))
RELEASES = st.sampled_from([None, FOR_ONE, *(order_release(v1=each, v2=100 - each) for each in (100, 75, 0))])


@hypothesis.settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60, deadline=None)
@hypothesis.given(HISTORIES, RELEASES, st.sampled_from([None, RELEASED]))
def test_what_is_deployed_changes_no_answer(names: list[str], release: Content, said: Content):
    """Only a release does; it comes as soon as what it gives is there."""
    of = server(release=None, app=said, **dict.fromkeys(VERSIONS))
    for name in names:
        before = answers(of)
        of.waits(timedelta(seconds=1))
        of.hears({f"{name}.yaml": version(name, VERSIONS[name])})
        after = answers(of)
        assert {build: after[build] for build in before} == before
        if released_by(release) <= set(of.admission.world.app(ORDER).deployments):
            of.hears({"release.yaml": release})


def released_by(release: Content) -> set[Ref]:
    return {ref for name, ref in REF.items() if isinstance(release, str) and f'"{name}"' in release}


def answers(of: Server) -> dict[str, Mapping[str, int]]:
    """What calls without a context get from every build that is live: how much of which deployment."""
    app = of.admission.world.app(ORDER)
    found: dict[str, Mapping[str, int]] = {}
    for build, users in distil(app.deployments.values()).items():
        given = without_context(app, tuple(sorted(users)))
        assert not isinstance(given, Refusal)
        found[build.word] = shares(given) if isinstance(given, DefaultIntent) else {deployment_of(given): 1 << 16}
    return found


def deployment_of(given: Ref | Oldest) -> str:
    return given.deployment.word if isinstance(given, Oldest) else given.word


def test_what_another_app_does_changes_no_value():
    assert calls("worker@w1") == calls("worker@w1", other=version("other", V3).replace('"order"', '"another"'))
