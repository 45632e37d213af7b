"""A person's word about a rollout: on with it, wait, go on, a gate is open, no more; and how it stands."""

from collections.abc import Container, Iterator
from dataclasses import replace
from datetime import datetime

from typing_extensions import override

from xds_server.api.rollouts import FreezeReport, Rolling, RolloutReport, VerdictReport
from xds_server.difference.history import Done, Event, Kind, Word
from xds_server.difference.statuses import RolloutSaid
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.rollout import Step
from xds_server.records.steered import Stop, by, identity_of
from xds_server.records.values import duration_text
from xds_server.rollout import Frozen, Judgement, Plan, Wait
from xds_server.runtime.moving import Standing, where
from xds_server.runtime.rollouts import Rollouts


class AskedOfRollouts(Rolling):
    """What people ask of rollouts, and tell them."""

    def __init__(self, rollouts: Rollouts) -> None:
        self._rollouts = rollouts

    @override
    def report(self, release: Ref) -> RolloutReport | None:
        found = self._rollouts.standing(release)
        return None if found is None else _report(found)

    def found(self, release: Ref) -> RolloutReport | None:
        """None also of what is not in force."""
        found = self._rollouts.find(release)
        return None if found is None else _report(found)

    def said(self, release: Ref) -> RolloutSaid | None:
        """What its rollout says, if this is a release that has one."""
        found = self.found(release)
        return None if found is None else found.said

    @override
    def promote(self, release: Ref, from_step: int, word: Word) -> Event:
        stands = self._stands(release, (Ended.FINISHED, Ended.STOPPED))
        progress = stands.steered.progress
        if from_step != progress.step + 1:
            raise CannotSteer(
                f"the rollout of Release {release.word} is at step {progress.step + 1}, not at {from_step}: look at it "
                f"again (xdsctl describe {release.word}), and promote it from there"
            )
        if progress.ended is Ended.ROLLED_BACK:
            return self._rollouts.restart(stands, word)
        following = stands.plan.after(progress.step)
        if following is None:
            return self._rollouts.moving.finish(stands, word, Kind.PROMOTED)
        return self._rollouts.moving.move(stands, following, word, Kind.PROMOTED)

    @override
    def pause(self, release: Ref, word: Word) -> Event:
        stands = self._stands(release)
        if stands.steered.progress.paused:
            raise CannotSteer(
                f"the rollout of Release {release.word} is paused already: {stands.steered.progress.paused}"
            )
        paused = by(*word)
        return self._progress(
            stands, replace(stands.steered.progress, paused=paused), Done("paused", word, Kind.PAUSED)
        )

    @override
    def resume(self, release: Ref, word: Word) -> Event:
        stands = self._stands(release)
        if not stands.steered.progress.paused:
            raise CannotSteer(
                f"the rollout of Release {release.word} is not paused; xdsctl rollout {release.word} says why it waits"
            )
        return self._progress(stands, replace(stands.steered.progress, paused=""), Done("resumed", word, Kind.RESUMED))

    @override
    def approve(self, release: Ref, gate: str, word: Word) -> Event:
        stands = self._stands(release)
        progress, steps = stands.steered.progress, stands.plan.steps
        at = steps[progress.step].gate if progress.step >= 0 else None
        if at != gate:
            gates = [each.gate for each in steps if each.gate is not None]
            where = f"waits at gate {at!r}" if at is not None else f"is at step {progress.step + 1}, which is no gate"
            known = f"its gates: {', '.join(gates)}" if gates else "it has no gate"
            raise CannotSteer(
                f"the rollout of Release {release.word} {where}: gate {gate!r} cannot be approved; {known}"
            )
        approved = replace(progress, approved=progress.approved | {progress.step})
        return self._progress(stands, approved, Done(f"gate {gate} approved", word, Kind.APPROVED))

    def running(self, release: Ref) -> str:
        """Why nobody else may set what a release gives; empty if its rollout does not run."""
        stands = self._rollouts.find(release)
        if stands is None or stands.steered.progress.ended is not None:
            return ""
        return f"Release {release.word} moves by itself, and is at {where(stands.plan, stands.steered.progress.step)}"

    def stop(self, release: Ref, weights: Weights, word: Word) -> Event | None:
        """It moves no more, and these weights, which its record says, are in force. None: it has none."""
        stands = self._rollouts.find(release)
        if stands is None:
            return None
        progress = stands.steered.progress
        to = replace(stands.steered, progress=progress.end(Ended.STOPPED, by(*word)), weights=weights, also="")
        if progress.ended is None or to.weights != stands.steered.weights:
            what = "rollout stopped" if progress.ended is None else "set"
            return self._rollouts.moving.steer(stands, to, Done(what, word, Kind.STOPPED))
        return None

    def stop_with(self, release: Ref, weights: Weights, word: Word) -> None:
        """It moves no more once its record says these weights, and does not begin anew by that. Until then it goes on,
        and so it does if its record never says them.
        """
        stands = self._rollouts.find(release)
        if stands is not None:
            stop = Stop(identity_of(stands.record, weights), *word)
            self._rollouts.moving.remember(stands, replace(stands.steered, stop=stop))

    def _stands(self, release: Ref, over: Container[Ended | None] = tuple(Ended)) -> Standing:
        """A rollout that has not ended so."""
        found = self._rollouts.standing(release)
        if found is None:
            raise CannotSteer(
                f"Release {release.word} has no rollout in force: its record, or a pin, says what it gives"
            )
        ended = found.steered.progress.ended
        if ended in over:
            raise CannotSteer(
                f"the rollout of Release {release.word} has {ended}: {found.steered.progress.because}; {_way_on(found)}"
            )
        return found

    def _progress(self, stands: Standing, progress: Progress, done: Done) -> Event:
        return self._rollouts.moving.steer(stands, replace(stands.steered, progress=progress), done)

    @override
    def freeze(self, until: datetime, word: Word) -> None:
        self._rollouts.freezing.freeze(Frozen(until, f"{word.why} ({word.who})"), word)

    @override
    def unfreeze(self, word: Word) -> None:
        self._rollouts.freezing.unfreeze(word)

    @override
    def frozen(self) -> FreezeReport:
        found = self._rollouts.freezing.frozen
        return FreezeReport(until=found and found.until, why=found and found.why)


def _way_on(found: Standing) -> str:
    if found.steered.progress.ended is Ended.ROLLED_BACK:
        step = found.steered.progress.step + 1
        return f"xdsctl promote {found.record.ref.word} --from-step {step} lets it begin again"
    return "another `default` or `rollout` in its record begins another"


def _report(found: Standing) -> RolloutReport:
    plan, progress, decision = found.plan, found.steered.progress, found.decision
    waits = decision if isinstance(decision, Wait) and progress.ended is None else None
    share = dict(found.record.weights).get(plan.deployment, 0)
    verdicts = () if found.watched is None else (*found.watched.health().judgements, *found.watched.audiences)
    return RolloutReport(
        release=found.record.ref.word,
        deployment=plan.deployment.word,
        step=progress.step + 1,
        steps=tuple(_step(plan, number, progress.ended) for number in range(len(plan.steps))),
        share=share / 100,
        stayed=progress.stayed.total_seconds(),
        ended=progress.ended,
        held=waits and waits.held,
        because=waits.because if waits is not None else progress.because,
        until=waits and waits.until,
        verdicts=tuple(map(_verdict, verdicts)),
    )


def _step(plan: Plan, number: int, ended: Ended | None) -> str:
    """Once it has finished, the record gives what the last step did, and does not tell which were passed over."""
    passes = plan.passes(number) and ended is not Ended.FINISHED
    passed = f", passed over: {plan.deployment.word} has more already" if passes else ""
    return " ".join(_words(plan.steps[number])) + passed


def _words(step: Step) -> Iterator[str]:
    if step.gate is not None:
        yield f"gate: {step.gate}"
    if step.to is not None:
        yield f"to {step.to / 100:.9g} %"
    if step.for_ is not None:
        yield f"for {duration_text(step.for_)}"
    if step.need is not None:
        yield f"until {step.need}"


def _verdict(said: Judgement) -> VerdictReport:
    return VerdictReport(
        cohort=said.cohort, guard=said.guard, verdict=said.verdict, because=said.because, missing=said.missing
    )
