"""What a rollout is judged by, from its beginning to its end: no step, pause or restart takes anything of it away.

It is about what runs. Where a branch deployment gets other builds meanwhile, nothing is known of those: the answers,
the time at this step and what was approved there begin anew (an *attempt*), at the same step.

The questions are asked when it begins, and stay what they are: who is compared with whom, within which limits, and how
much may be said wrongly (alpha is divided among them). The answers grow with every tick.

Users who are drawn by weight are compared with stable's. An audience is never compared with them: its rate is held to a
limit, which is its own of before, times `maxRatio`, or an absolute one.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import exp, log

from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.domain.words import few
from xds_server.records.models import AppDeployment, Release
from xds_server.records.progress import NONE, Progress
from xds_server.records.rollout import Guard
from xds_server.rollout.health import Health, Judgement, Verdict, hopeless, judged
from xds_server.rollout.plan import Plan
from xds_server.stats import Counts, Evidence, Lately, Limits, Outset, OverLimit, Tick, dispersion

ERRORS, SLOW = "errors", "slow"
ALPHA = 0.05
"""How often a rollout, at most, says `worse` or `safe` although it is not so: each, all questions together."""
SLOW_FLOOR = 0.01
"""The part of slow requests that is never too much."""
MOST = 700.0
"""The largest logarithm of which there is a number."""
ENOUGH = 1_000
"""Requests of an audience's own past from which on its rate is something to compare with."""
SETTLES = timedelta(seconds=15)
"""For how long, after builds have changed, requests are still counted of those before: gateways are told once sidecars
have accepted it, or after 10 s, and say a moment later what they have counted."""

Builds = tuple[tuple[Ref, str, str], ...]
"""Of some deployments: each component, and its build."""


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one cohort by one guard. `over`: milliseconds from which on a request is slow; 0: of errors.

    `limit`: the rate that is too much, of an audience; 0: it is compared with `stable`.
    """

    cohort: str
    guard: str
    limits: Limits
    over: float = 0.0
    limit: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of one question."""

    evidence: Evidence = field(default_factory=Evidence)
    outset: Outset = field(default_factory=Outset)
    above: OverLimit = field(default_factory=OverLimit)
    lately: Lately = field(default_factory=Lately)

    def later(self, elapsed: timedelta) -> "Answer":
        return replace(self, lately=self.lately.later(elapsed)) if self.lately.requests else self


@dataclass(frozen=True, slots=True)
class Watched:
    """Of one attempt of a rollout. `stayed`: for how long it was watched at this step. `held`: what it waits for, and
    `said` what it has said that it waits for.

    `waited` and `dark` as in `Progress`. `moved`: the audiences that were moved: whoever unpins one has the last word.
    `worse`: why it was found to be worse, once: it stays so, however well it does later. `builds`: what runs, of canary
    and stable. `settles`: for how long what is counted may still be about builds that ran before.
    """

    identity: str
    attempt: int
    canary: Ref
    stable: Ref | None
    asked: tuple[Question, ...] = ()
    known: tuple[Answer, ...] = ()
    step: int = -1
    stayed: timedelta = NONE
    waited: timedelta = NONE
    dark: timedelta = NONE
    held: str = ""
    said: tuple[str, ...] = ()
    moved: tuple[str, ...] = ()
    worse: str = ""
    builds: Builds = ()
    settles: timedelta = NONE

    def is_of(self, progress: Progress) -> bool:
        return (self.identity, self.attempt) == (progress.identity, progress.attempt)

    def at(self, step: int) -> "Watched":
        if step == self.step:
            return self
        return replace(self, step=step, stayed=NONE, waited=NONE, dark=NONE, held="", said=())

    def anew(self, builds: Builds) -> "Watched":
        """The next attempt, at the same step: of what runs now nothing is known."""
        known = (Answer(),) * len(self.asked)
        begun = Watched(self.identity, self.attempt + 1, self.canary, self.stable, self.asked, known, self.step)
        return replace(begun, builds=builds, settles=SETTLES)

    def later(self, elapsed: timedelta, *, live: bool) -> "Watched":
        """After so much time, through which somebody watched."""
        found = self
        if self.settles or any(each.lately.requests for each in self.known):
            known = tuple(each.later(elapsed) for each in self.known)
            found = replace(self, known=known, settles=max(self.settles - elapsed, NONE))
        if self.step < 0:
            return found
        if not live:
            return replace(found, dark=found.dark + elapsed)
        return replace(found, stayed=found.stayed + elapsed, dark=NONE)

    def after(self, ticks: Sequence[Iterable[Tick]], *, outage: bool = False) -> "Watched":
        """`ticks`: of each question. An audience's have nothing on stable's side.

        `outage`: most requests that stable was given fail; those of an audience say nothing about its deployment then.
        """
        of_each = [() if outage and asked.limit else found for asked, found in zip(self.asked, ticks, strict=True)]
        pairs = zip(self.asked, self.known, of_each, strict=True)
        found = replace(self, known=tuple(_after(question, answer, found) for question, answer, found in pairs))
        return found if found.worse else replace(found, worse=found.health().worse)

    def health(self, dead: str = "") -> Health:
        """Of the users who are drawn by weight. `dead`: why no request can succeed, where that is so."""
        mine = [(asked, known) for asked, known in zip(self.asked, self.known, strict=True) if not asked.limit]
        judgements = tuple(
            judged(asked.guard, asked.cohort, known.evidence, asked.limits, known.lately) for asked, known in mine
        )
        found = dead or self.worse or hopeless((asked.guard, known.outset) for asked, known in mine)
        return Health(judgements, found)

    @property
    def numbers(self) -> dict[str, float]:
        """What was counted, and what it is worth as evidence that it is worse (an e-value), by name."""
        found: dict[str, float] = {}
        for asked, known in zip(self.asked, self.known, strict=True):
            name = f"{asked.cohort}.{asked.guard}"
            sides = {"canary": known.above.counted} if asked.limit else _sides(known.evidence)
            for side, counts in sides.items():
                found |= {f"{name}.{side}.requests": counts.requests, f"{name}.{side}.bad": counts.bad}
            value = known.above.value if asked.limit else known.evidence.worse_value
            found |= {f"{name}.evalue": exp(min(value, MOST)), f"{name}.limit": 1 / asked.limits.worse}
        return found

    @property
    def audiences(self) -> tuple[Judgement, ...]:
        """What is said of each audience."""
        pairs = zip(self.asked, self.known, strict=True)
        return tuple(_judged_alone(asked, known.above) for asked, known in pairs if asked.limit)


def _sides(evidence: Evidence) -> dict[str, Counts]:
    return {"canary": evidence.canary, "stable": evidence.stable}


def _after(question: Question, answer: Answer, ticks: Iterable[Tick]) -> Answer:
    for tick in ticks:
        if question.limit:
            above = answer.above.after(tick.canary, question.limit, question.limits.dispersion)
            answer = replace(answer, above=above)
        else:
            of_errors = question.guard == ERRORS
            outage = of_errors and tick.is_outage
            answer = replace(answer, evidence=answer.evidence.after(tick, question.limits, outage=outage))
            if of_errors:
                answer = replace(answer, outset=answer.outset.after(tick), lately=answer.lately.after(tick))
    return answer


def _judged_alone(question: Question, known: OverLimit) -> Judgement:
    worse = known.value >= -log(question.limits.worse)
    counted = f"{question.guard}: {known.counted.words} of audience {question.cohort}"
    because = f"{counted}; limit {question.limit:.2%}"
    return Judgement(question.guard, question.cohort, Verdict.WORSE if worse else Verdict.UNKNOWN, because)


Past = Callable[[str, Ref | None, float], Sequence[Counts]]
"""What was counted before, minute by minute: of a cohort at a deployment (None: at any but the canary), of
errors or of what took longer than so many milliseconds (0: of errors)."""


def nothing_past(_cohort: str, _deployment: Ref | None, _over: float) -> Sequence[Counts]:
    return ()


def watched(
    release: Release, plan: Plan, progress: Progress, past: Past = nothing_past, builds: Builds = ()
) -> Watched:
    """What is asked of a rollout that begins."""
    stable = stable_of(plan)
    cohorts = [DEFAULT_RULE] if stable is not None else []
    cohorts += [each.name for each in release.spec.audiences if release.refer(each.deployment) == plan.deployment]
    guards = [*_guards(plan.guard)]
    parts = max(1, len(cohorts) * len(guards))
    asked = tuple(_question(cohort, guard, stable, parts, past) for cohort in cohorts for guard in guards)
    known = (Answer(),) * len(asked)
    return Watched(progress.identity, progress.attempt, plan.deployment, stable, asked, known, builds=builds)


def stable_of(plan: Plan) -> Ref | None:
    """The deployment besides the canary that has most of the default; of equals the first."""
    others = [(ref, weight) for ref, weight in plan.weights if ref != plan.deployment]
    return max(others, key=lambda each: each[1])[0] if others else None


def builds_of(plan: Plan, deployments: Mapping[Ref, AppDeployment]) -> Builds:
    """What runs of canary and stable, of those that are there."""
    compared = [deployments[each] for each in (plan.deployment, stable_of(plan)) if each and each in deployments]
    return tuple(
        (each.ref, component, said.build)
        for each in compared
        for component, said in sorted(each.spec.components.items())
    )


def shifted(before: Builds, after: Builds) -> str:
    """What runs in place of what, in words."""
    old, new = ({(ref, component): build for ref, component, build in each} for each in (before, after))
    other = sorted(each for each in old.keys() | new.keys() if old.get(each) != new.get(each))
    return few(f"{each[1]} of {each[0].word} ({new.get(each, 'gone')}, was {old.get(each, 'none')})" for each in other)


@dataclass(frozen=True, slots=True)
class _Guarding:
    name: str
    max_ratio: float
    floor: float
    limit: float
    over: float = 0.0


def _guards(guard: Guard | None) -> Iterator[_Guarding]:
    if guard is not None and guard.errors is not None:
        said = guard.errors
        yield _Guarding(ERRORS, said.max_ratio, said.floor / 100, said.limit / 100)
    if guard is not None and guard.slow is not None:
        over = guard.slow.over.total_seconds() * 1000
        yield _Guarding(SLOW, guard.slow.max_ratio, SLOW_FLOOR, guard.slow.limit / 100, over)


def _question(cohort: str, guard: _Guarding, stable: Ref | None, parts: int, past: Past) -> Question:
    users = cohort == DEFAULT_RULE
    before = past(cohort, stable if users else None, guard.over)
    limits = Limits(guard.max_ratio, guard.floor, dispersion(before), ALPHA / parts, ALPHA / parts)
    return Question(cohort, guard.name, limits, guard.over, 0.0 if users else _limit(guard, before))


def _limit(guard: _Guarding, before: Iterable[Counts]) -> float:
    """An audience's own rate of before times `maxRatio`, or what is absolutely too much."""
    own = Counts()
    for each in before:
        own = own.plus(each)
    return max(guard.max_ratio * own.rate, guard.floor) if own.requests >= ENOUGH else guard.limit
