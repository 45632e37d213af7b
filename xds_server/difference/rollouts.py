"""What a rollout would do: whether one that has begun goes on, which share each step goes to, and who moves by that."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from xds_server.difference.words import percent
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.progress import Progress
from xds_server.records.releases import Weights
from xds_server.records.rollout import Step
from xds_server.records.steered import Steered
from xds_server.records.values import duration_text
from xds_server.rollout.decide import Frozen
from xds_server.rollout.plan import Plan, plan_of
from xds_server.traffic.slots import slot_ranges


class Course(StrEnum):
    """What becomes of a rollout when its release's record is another."""

    BEGINS = "begins"
    GOES_ON = "goes on"
    BEGINS_ANEW = "begins anew"
    ENDS = "ends"


@dataclass(frozen=True, slots=True)
class StepShown:
    """A step: the share that it goes to, what it waits for, the weights that it gives, and who moves to get there.

    `share` is None where a step does not go anywhere; `moves`, in slots of users, where users do not stay with what
    they got. `passed`: it is passed over, because the record gives more already.
    """

    share: int | None
    waits: str
    weights: Weights
    moves: int | None
    passed: bool = False


@dataclass(frozen=True, slots=True)
class RolloutChange:
    """A release with a rollout, as its record is or would be. `because`: why one that may have begun begins anew."""

    release: Ref
    course: Course
    because: str
    deployment: Ref
    steps: tuple[StepShown, ...]
    standing: str = ""
    """Why it does nothing by itself, where that is so."""


@dataclass(frozen=True, slots=True)
class UsersMove:
    """Of the users of a release's default who stay with what they got, so many slots change what they get.

    `drawn_anew`: all users are divided anew, because they are known by something else.
    """

    release: Ref
    slots: int
    drawn_anew: bool = False


def slots_moved(before: Weights, after: Weights) -> int:
    """How many slots belong to another deployment than before."""
    one, two = slot_ranges(before), slot_ranges(after)
    stay = (
        min(old.high, new.high) - max(old.low, new.low)
        for old in one
        for new in two
        if old.deployment == new.deployment
    )
    return sum(old.high - old.low for old in one) - sum(each for each in stay if each > 0)


def users_move(before: Release | None, after: Release | None) -> UsersMove | None:
    """None: nobody who stays with what they got gets something else."""
    if before is None or after is None or not (before.weights and after.weights and after.spec.sticky):
        return None
    if before.spec.sticky is None or _identity(before) != _identity(after):
        several = before.spec.sticky is not None and len(slot_ranges(after.weights)) > 1
        return UsersMove(after.ref, 0, drawn_anew=True) if several else None
    slots = slots_moved(before.weights, after.weights)
    return UsersMove(after.ref, slots) if slots else None


def _identity(release: Release) -> tuple[str | None, str | None] | None:
    sticky = release.spec.sticky
    return (sticky.cookie, sticky.header) if sticky else None


def rollout_change(before: Release | None, after: Release | None) -> RolloutChange | None:
    """None: there was no rollout, and is none."""
    old, new = plan_of(before) if before else None, plan_of(after) if after else None
    if new is None or after is None:
        return RolloutChange(before.ref, Course.ENDS, "", old.deployment, ()) if old and before else None
    steps = tuple(_steps(new, sticky=after.spec.sticky is not None))
    if old is None or before is None:
        return RolloutChange(after.ref, Course.BEGINS, "", new.deployment, steps)
    if old.identity == new.identity:
        return RolloutChange(after.ref, Course.GOES_ON, "", new.deployment, steps)
    fields = ("default", "rollout")
    others = [name for name in fields if getattr(before.spec, name) != getattr(after.spec, name)]
    because = f"its {' and '.join(others)} {'changes' if len(others) == 1 else 'change'}"
    return RolloutChange(after.ref, Course.BEGINS_ANEW, because, new.deployment, steps)


def _steps(plan: Plan, *, sticky: bool) -> Iterator[StepShown]:
    weights = plan.weights
    for number, step in enumerate(plan.steps):
        following = plan.weights_at(number)
        moves = slots_moved(weights, following) if sticky else None
        yield StepShown(step.to, _words(step), following, moves, plan.passes(number))
        weights = following


def _words(step: Step) -> str:
    """What it waits for."""
    if step.gate is not None:
        return f"for the word of {step.gate}"
    said = [f"for {duration_text(step.for_)}"] if step.for_ is not None else []
    said += ["until it is safe"] if step.need is not None else []
    return " and ".join(said)


def stated(admission: Admission, key: Key) -> Release | None:
    """A release as its file says it, or, where that cannot be, as it is in force."""
    documents = admission.wanted.get(key, ())
    record = documents[0].record if len(documents) == 1 else None
    if record is None and key in admission.in_force:
        record = admission.in_force[key].record
    return record if isinstance(record, Release) else None


def standing(admission: Admission, release: Ref) -> str:
    """Why a rollout in force does nothing by itself; empty: it does."""
    pin, found = admission.pins.get(release), admission.steered.get(release)
    if pin is not None:
        return f"pinned {pin.words}; nothing comes of this before xdsctl unpin {release.word}"
    if found is not None and found.progress.ended is not None:
        return f"it has {found.progress.ended}: as long as `default` and `rollout` are these, it does not begin again"
    return ""


def to_come(admission: Admission, release: Ref, frozen: Frozen | None = None) -> str:
    """What a release that is not pinned does by itself next, and what that waits for; empty: nothing.

    `frozen`: what keeps every rollout where it is.
    """
    if admission.waits(release):
        return "what its record says comes into force when it is ready"
    entry, found = admission.in_force.get(Key("Release", release)), admission.steered.get(release)
    record = entry.record if entry is not None else None
    plan = plan_of(record, None if found is None else found.said) if isinstance(record, Release) else None
    if plan is None or (found is not None and found.progress.ended is not None):
        return ""
    progress = Progress(plan.identity) if found is None else found.progress
    step = plan.after(progress.step)
    if step is None:
        return ""
    gate = plan.steps[step].gate
    what = (
        f"{plan.deployment.word} goes to {_share(plan, step)}" if gate is None else f"it waits for the word of {gate}"
    )
    once = " and ".join(_conditions(plan, progress))
    does = f"{what}, once {once}" if once else what
    stays = _stays(plan, progress, frozen)
    return f"its rollout {stays}; after that {does}" if stays else f"its rollout {_course(found)}: {does}"


def _course(found: Steered | None) -> Course:
    return Course.BEGINS if found is None else Course.GOES_ON


def _stays(plan: Plan, progress: Progress, frozen: Frozen | None) -> str:
    """What somebody has told a rollout, so that it stays where it is whatever comes; empty: nothing."""
    if progress.paused:
        return f"is paused ({progress.paused})"
    if plan.freeze:
        return "is frozen by its record"
    return "" if frozen is None else f"is frozen until {frozen.until:%Y-%m-%dT%H:%M:%SZ} ({frozen.why})"


def _conditions(plan: Plan, progress: Progress) -> Iterator[str]:
    """What a rollout waits for where it is."""
    if progress.step >= 0:
        step = plan.steps[progress.step]
        if step.gate is not None and progress.step not in progress.approved:
            yield f"{step.gate} has approved"
        if step.for_ is not None:
            yield f"it has stayed at {_share(plan, progress.step)} for {duration_text(step.for_)}"
        if plan.needs_safe(progress.step):
            yield "it is known to be safe"
    if plan.within is not None:
        yield "its window is open"


def _share(plan: Plan, step: int) -> str:
    """What the canary has there."""
    share = plan.share(step)
    return percent(plan.given if share is None else share)
