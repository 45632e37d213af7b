"""What applying records would do to what is in force, for whoever asks before it is done."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from xds_server.difference.applying import Applied, as_applied, errors, objections
from xds_server.difference.change import Line, differing
from xds_server.difference.comparison import Difference, Served, difference
from xds_server.difference.lines import sections, summary
from xds_server.difference.rollouts import (
    Course,
    RolloutChange,
    StepShown,
    UsersMove,
    rollout_change,
    standing,
    stated,
    users_move,
)
from xds_server.difference.words import percent
from xds_server.domain.names import Ref
from xds_server.domain.words import count
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.values import WHOLE
from xds_server.records.world import World
from xds_server.traffic.slots import SLOTS

BEGIN = (Course.BEGINS, Course.BEGINS_ANEW)
MARKS = {Course.BEGINS: "+", Course.GOES_ON: "", Course.BEGINS_ANEW: "~", Course.ENDS: "-"}


@dataclass(frozen=True, slots=True)
class Planned:
    """The difference, with problems by their place in the applied files; the users that it moves; and rollouts."""

    difference: Difference
    users: tuple[UsersMove, ...]
    rollouts: tuple[RolloutChange, ...]


def planned(before: Served, after: Served, records: Sequence[Applied]) -> Planned:
    """What is refused is what would keep all of the records from being applied."""
    one, two = before.admission, after.admission
    found = difference(before, after)
    refused = errors(objections(one, two, records))
    warned = as_applied(found.warned, records, two)
    kept_out = {each.record for each in refused}
    releases = [
        each.key
        for each in records
        if each.key.kind == "Release" and (str(each.key) not in kept_out or each.key.ref in one.pins)
    ]
    rollouts = (_rollout_change(one, two, key) for key in releases)
    return Planned(
        replace(found, refused=refused, warned=warned),
        tuple(_users(one.world, two.world)),
        tuple(each for each in rollouts if each is not None),
    )


def plan_summary(plan: Planned) -> str:
    """In one line. A rollout that begins moves traffic as soon as it is live, though the record moves none."""
    begin = [each for each in plan.rollouts if each.course in BEGIN and not each.standing]
    said = summary(plan.difference)
    if plan.difference.refused or not begin:
        return said
    return f"{said}; {count(len(begin), 'rollout')} {'begins' if len(begin) == 1 else 'begin'}"


def _rollout_change(before: Admission, after: Admission, key: Key) -> RolloutChange | None:
    found = rollout_change(stated(before, key), stated(after, key))
    if found is None or (found.course is not Course.GOES_ON and key.ref not in before.pins):
        return found
    return replace(found, standing=standing(before, key.ref))


def _users(before: World, after: World) -> Iterator[UsersMove]:
    for app in sorted(differing(before.apps, after.apps)):
        one, two = before.app(app).releases, after.app(app).releases
        for release in sorted(differing(one, two)):
            found = users_move(one.get(release), two.get(release))
            if found is not None:
                yield found


def plan_sections(plan: Planned) -> Mapping[str, Sequence[Line]]:
    """By title, in the order in which they are read."""
    traffic, *others = sections(plan.difference).items()
    users = [_user_line(each) for each in plan.users]
    rollouts = [line for each in plan.rollouts for line in _rollout(each)]
    return dict([traffic, ("Sticky users", users), ("Rollouts", rollouts), *others])


def _user_line(users: UsersMove) -> Line:
    said = "are drawn anew" if users.drawn_anew else f"of {slots_words(users.slots)} get another deployment"
    return 2, "~", f"{users.release.word}:", f"users {said}"


def slots_words(slots: int) -> str:
    return f"{slots} of {SLOTS} slots ({percent(round(slots * WHOLE / SLOTS))})"


def _rollout(change: RolloutChange) -> Iterator[Line]:
    if change.course is Course.GOES_ON and change.standing:
        yield 2, "", f"{change.release.word}:", f"its rollout does not go on: {change.standing}"
        return
    yield 2, MARKS[change.course], f"{change.release.word}:", _course(change)
    if change.standing:
        yield 4, "!", "but", change.standing
        return
    for number, step in enumerate(change.steps, 1):
        yield 4, "", f"step {number}:", _step(change.deployment, step)


def _course(change: RolloutChange) -> str:
    match change.course:
        case Course.BEGINS:
            return f"its rollout begins: {change.deployment.word} rises"
        case Course.GOES_ON:
            return f"its rollout goes on, and keeps its progress: {change.deployment.word} rises"
        case Course.BEGINS_ANEW:
            return f"its rollout begins anew, because {change.because}: {change.deployment.word} rises"
        case Course.ENDS:
            return "its rollout is no more"


def _step(deployment: Ref, step: StepShown) -> str:
    if step.passed:
        return f"passed over: {deployment.word} has more than {percent(step.share or 0)} already"
    goes = [] if step.share is None else [f"{deployment.word} goes to {percent(step.share)}"]
    moves = [f"users of {slots_words(step.moves)} move"] if step.moves else []
    waits = [f"waits {step.waits}"] if step.waits else []
    return "; ".join((*goes, *moves, *waits))
