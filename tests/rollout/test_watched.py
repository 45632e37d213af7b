from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from tests.rollout.releases import planned, release
from xds_server.domain.names import Ref
from xds_server.records.models import AppDeployment
from xds_server.records.progress import Progress
from xds_server.rollout import Verdict, plan_of
from xds_server.rollout.watched import (
    ALPHA,
    SETTLES,
    Past,
    Watched,
    builds_of,
    nothing_past,
    shifted,
    stable_of,
    watched,
)
from xds_server.stats import Counts, Tick

BOTH = {"errors": {"maxRatio": 1.5}, "slow": {"over": "250ms", "maxRatio": 1.3}}
EARLY = {"name": "early", "match": {"headers": [{"name": "x-early", "exact": "1"}]}, "deployment": "shop-v2"}
V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")


def begun(past: Past = nothing_past, guard: Any = BOTH, **spec: Any) -> Watched:
    made = release(rollout={"steps": [{"to": 5}], "guard": guard}, **spec)
    plan = plan_of(made)
    assert plan is not None
    return watched(made, plan, Progress(plan.identity), past)


def test_alpha_is_divided_among_guards_and_cohorts() -> None:
    asked = begun(audiences=[EARLY]).asked
    assert [(each.cohort, each.guard, each.over) for each in asked] == [
        ("default", "errors", 0),
        ("default", "slow", 250),
        ("early", "errors", 0),
        ("early", "slow", 250),
    ]
    assert {each.limits.worse for each in asked} == {each.limits.safe for each in asked} == {ALPHA / 4}


def test_only_the_canarys_audiences_are_judged() -> None:
    acme = {"name": "acme", "hosts": ["acme.example.com"], "deployment": "shop-v1"}
    assert {each.cohort for each in begun(audiences=[acme]).asked} == {"default"}


def test_without_a_guard_nobody_can_object() -> None:
    assert begun(guard=None).health().verdict is Verdict.SAFE


def test_an_audience_is_held_to_its_own_past_or_to_an_absolute_limit() -> None:
    asked: list[tuple[str, Ref | None, float]] = []

    def past(cohort: str, deployment: Ref | None, over: float) -> Sequence[Counts]:
        asked.append((cohort, deployment, over))
        return [Counts(800, 16), Counts(800, 16)] if not over else [Counts(10, 1)]

    found = begun(past, audiences=[EARLY])
    assert asked[0] == ("default", V1, 0)
    assert asked[2] == ("early", None, 0)
    assert [each.limit for each in found.asked] == [0, 0, 0.03, 0.2]


def test_bursts_of_the_past_are_no_evidence() -> None:
    quiet = [Counts(1000, 10)] * 100
    bursts = [Counts(1000, 100 * (number % 10 == 0)) for number in range(100)]
    assert begun(lambda *_: quiet).asked[0].limits.dispersion == 1
    assert begun(lambda *_: bursts).asked[0].limits.dispersion > 10


def test_what_is_worse_is_said_with_numbers() -> None:
    found = begun()
    for _ in range(60):
        found = found.after([[Tick(Counts(100, 10), Counts(100, 1))], []])
    assert found.health().verdict is Verdict.WORSE
    assert found.numbers["default.errors.canary.bad"] == 600
    assert found.numbers["default.errors.evalue"] > found.numbers["default.errors.limit"] == 40
    assert "600 of 6,000" in found.health().because


def test_what_was_found_to_be_worse_stays_so_however_well_it_does_later() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}}).after([[Tick(Counts(400, 32), Counts(3_600, 36))]])
    assert "32 of 400" in found.worse
    found = found.after([[Tick(Counts(10_000, 0), Counts(100_000, 1_000))] * 2])
    assert found.health().verdict is not Verdict.WORSE
    assert "32 of 400" in found.health().hopeless


def test_an_audience_that_is_bad_says_nothing_of_the_others() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}}, audiences=[EARLY])
    found = found.after([[], [Tick(Counts(100, 60), Counts())] * 3])
    assert [each.verdict for each in found.audiences] == [Verdict.WORSE]
    assert found.health().verdict is Verdict.UNKNOWN
    assert found.numbers["early.errors.canary.bad"] == 180


def test_an_outage_of_everybody_is_not_held_against_an_audience() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}}, audiences=[EARLY])
    bad = Tick(Counts(100, 100), Counts())
    found = found.after([[], [bad] * 10], outage=True)
    assert [each.verdict for each in found.audiences] == [Verdict.UNKNOWN]
    found = found.after([[], [bad]])
    assert [each.verdict for each in found.audiences] == [Verdict.WORSE]


def test_errors_of_both_are_an_outage_and_slowness_of_both_is_how_they_are() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}, "slow": {"over": "250ms", "maxRatio": 1.5}})
    most = [Tick(Counts(500, 300), Counts(500, 300))] * 100
    found = found.after([most, most])
    assert [each.verdict for each in found.health().judgements] == [Verdict.UNKNOWN, Verdict.SAFE]
    found = found.later(timedelta(minutes=10), live=True).after([[Tick(Counts(500, 0), Counts(500, 0))], []])
    assert "are needed" in found.health().judgements[0].because


def test_what_fails_at_once_is_hopeless() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}}).after([[Tick(Counts(10, 6), Counts(100, 1))]])
    assert "6 of 10" in found.health().hopeless
    assert found.health("nobody is there").hopeless == "nobody is there"


def test_a_step_takes_away_nothing_but_the_time() -> None:
    found = replace(begun().after([[Tick(Counts(10, 1), Counts(10, 1))], []]), stayed=timedelta(minutes=1), held="gate")
    moved = found.at(1)
    assert (moved.known, moved.stayed, moved.held) == (found.known, timedelta(), "")
    assert moved.at(1) is moved
    assert replace(found, said=("gate",)).at(1).said == ()


def deployed(**builds: str) -> Mapping[Ref, AppDeployment]:
    components = {name: {"build": build} for name, build in builds.items()}
    head = {"apiVersion": "xds-server.dev/v1alpha1", "kind": "AppDeployment"}
    names = ("shop-v1", "shop-v2", "shop-v3")
    spec = {"app": "shop", "components": components}
    made = [AppDeployment.model_validate({**head, "metadata": {"name": name}, "spec": spec}) for name in names]
    return {each.ref: each for each in made}


def test_what_runs_is_the_builds_of_canary_and_stable() -> None:
    plan = planned({"shop-v3": 10, "shop-v1": 90, "shop-v2": 0})
    builds = builds_of(plan, deployed(web="aa", cart="bb"))
    assert builds == ((V2, "cart", "bb"), (V2, "web", "aa"), (V1, "cart", "bb"), (V1, "web", "aa"))
    assert builds_of(plan, {}) == ()


def test_what_has_shifted_is_said() -> None:
    before, after = ((V2, "cart", "bb"), (V2, "web", "aa")), ((V2, "news", "cc"), (V2, "web", "dd"))
    words = "cart of shop-v2 (gone, was bb), news of shop-v2 (cc, was none), web of shop-v2 (dd, was aa)"
    assert shifted(before, after) == words


def test_of_other_builds_nothing_is_known() -> None:
    found = begun(guard={"errors": {"maxRatio": 1.5}}, audiences=[EARLY])
    found = found.after([[Tick(Counts(400, 32), Counts(3_600, 36))], []]).at(1).later(timedelta(minutes=1), live=True)
    assert found.worse
    anew = replace(found, moved=("early",), held="gate", said=("gate",)).anew(((V2, "web", "bb"),))
    fresh = begun(guard={"errors": {"maxRatio": 1.5}}, audiences=[EARLY])
    assert anew == replace(fresh, attempt=2, step=1, builds=((V2, "web", "bb"),), settles=SETTLES)


def test_time_settles_what_runs_wherever_it_is() -> None:
    waits = replace(begun(), settles=timedelta(seconds=2))
    assert waits.later(timedelta(seconds=1), live=False) == replace(waits, settles=timedelta(seconds=1))
    later = waits.at(0).later(timedelta(seconds=5), live=True)
    assert (later.settles, later.stayed) == (timedelta(), timedelta(seconds=5))
    dark = waits.at(0).later(timedelta(seconds=1), live=False)
    assert (dark.settles, dark.stayed, dark.dark) == (timedelta(seconds=1), timedelta(), timedelta(seconds=1))


def test_stable_is_the_largest_other_one() -> None:
    plan = plan_of(release({"shop-v0": 30, "shop-v1": 60, "shop-v2": 10}))
    assert plan is not None
    assert stable_of(plan) == V1
    alone = plan_of(release({"shop-v2": 100}))
    assert alone is not None
    assert stable_of(alone) is None
