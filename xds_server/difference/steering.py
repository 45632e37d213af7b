"""What somebody's word may do to a release, and why not."""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from xds_server.difference.history import OF_ROLLOUT, Event, Kind, weights_words
from xds_server.difference.rollouts import stated
from xds_server.domain.errors import XdsServerError
from xds_server.domain.names import Ref
from xds_server.domain.words import few
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.steered import Steered, identity_of
from xds_server.records.values import WHOLE
from xds_server.rollout import plan_of
from xds_server.rollout.plan import with_shares


class CannotSteer(XdsServerError):
    """Why a word is not followed, and what to do."""


class NoSuchRelease(CannotSteer):
    """There is none by that name in force."""


def given_back(admission: Admission, release: Ref, to: Ref | None, history: Iterable[Event]) -> Weights:
    """What a rollback gives: one deployment everything, or what the default gave before it last changed.

    The deployments that the record lists stay listed, and warm. Raises `CannotSteer`.
    """
    record = in_force(admission, release)
    weights = record.weights
    if not weights:
        raise CannotSteer(f"Release {release.word} has audiences only: there is no default to take back")
    wanted = {to: WHOLE} if to is not None else dict(_taken_from(admission, record, history))
    _check_there(admission, record, wanted)
    listed = dict.fromkeys([*(deployment for deployment, _ in weights), *wanted])
    return tuple((deployment, wanted.get(deployment, 0)) for deployment in listed)


def weights_set(admission: Admission, release: Ref, shares: Mapping[Ref, int]) -> Weights:
    """These deployments have these shares of the default, and the others shrink or grow in proportion.

    Raises `CannotSteer`, also of a release of which the folder says something that is not in force.
    """
    record = in_force(admission, release)
    _check_stated(admission, release)
    weights = record.weights
    if not weights:
        raise CannotSteer(f"Release {release.word} has audiences only: there is no default to set")
    rest = WHOLE - sum(shares.values())
    if rest < 0:
        raise CannotSteer(f"the shares sum to {(WHOLE - rest) / 100:.9g} %, which is more than 100")
    others = [(deployment, weight) for deployment, weight in weights if deployment not in shares]
    if rest and (not others or (len(others) > 1 and not any(weight for _, weight in others))):
        who = few(each.word for each, _ in others)
        left = f"{who} have nothing now: say which of them has it" if others else "nobody else is there to have it"
        raise CannotSteer(f"the rest is {rest / 100:.9g} %, and {left}")
    _check_there(admission, record, shares)
    return with_shares(weights, shares)


def _check_stated(admission: Admission, release: Ref) -> None:
    """The folder says what is in force, or no more than what a command may write over."""
    pin, key = admission.pins.get(release), Key("Release", release)
    if pin is not None:
        raise CannotSteer(
            f"Release {release.word} is pinned {pin.words}. xdsctl unpin {release.word} comes first: that puts into "
            "force what its record says, which xdsctl apply may change before"
        )
    stated = admission.wanted.get(key, ())
    if len(stated) != 1 or stated[0].record is None or admission.held.get(key):
        raise CannotSteer(
            f"what the folder says of Release {release.word} is not in force: xdsctl check --server says why"
        )


def check_pinned(admission: Admission, release: Ref) -> None:
    """Raises `CannotSteer`."""
    in_force(admission, release)
    if release not in admission.pins and release not in admission.moved:
        raise CannotSteer(f"Release {release.word} is not pinned: it follows its record")


def in_force(admission: Admission, release: Ref) -> Release:
    """Raises `NoSuchRelease`."""
    entry = admission.in_force.get(Key("Release", release))
    if entry is None or not isinstance(entry.record, Release):
        known = sorted(key.ref.word for key in admission.in_force if key.kind == "Release")
        near = difflib.get_close_matches(release.word, known, 3) or known
        raise NoSuchRelease(f"no Release {release.word} is in force{f'; there is {few(near)}' if near else ''}")
    return entry.record


def running(admission: Admission, release: Ref) -> Steered | None:
    """Its rollout, if it has one that has not ended."""
    found = admission.steered.get(release)
    return None if found is None or found.progress.ended is not None else found


def rolled_back(admission: Admission, release: Ref, weights: Weights, why: str) -> Steered | None:
    """Its rollout, ended in these weights; None: there is none that could end.

    One that has finished, and whose record does not say so yet, ends so, too: nobody shall write it any more.
    """
    found = admission.steered.get(release)
    if found is None or not (found.progress.ended is None or is_unwritten(found)):
        return None
    return replace(found, progress=found.progress.end(Ended.ROLLED_BACK, why), weights=weights, also="")


def is_unwritten(found: Steered) -> bool:
    """It has finished, and its record does not say so."""
    return found.progress.ended is Ended.FINISHED and found.said != found.weights


def is_asked_otherwise(admission: Admission, release: Ref, progress: Progress) -> bool:
    """Its record is held back, and does not ask for this rollout."""
    return any(each != progress.identity for each in asked_for(admission, release))


def asked_for(admission: Admission, release: Ref) -> list[str | None]:
    """The identities of its records that are held back; None: of a broken one."""
    key = Key("Release", release)
    records = [each.record for each in admission.wanted.get(key, ())] if key in admission.held else []
    return [identity_of(each) if isinstance(each, Release) else None for each in records]


def _taken_from(admission: Admission, record: Release, history: Iterable[Event]) -> Weights:
    """What there is to go back to, where nobody says to what."""
    without = _without(admission, record)
    if without is not None:
        return without
    _check_that_nothing_waits(admission, record)
    return _before(record.ref, record.weights, history)


def _check_that_nothing_waits(admission: Admission, record: Release) -> None:
    """Who takes back a version that nobody gets yet does not mean the one that everybody gets. Raises `CannotSteer`."""
    release = record.ref
    said = stated(admission, Key("Release", release)) if admission.waits(release) else None
    if said is None or (said.weights == record.weights and said.spec.rollout == record.spec.rollout):
        return
    raise CannotSteer(
        f"Release {release.word} gives {weights_words(record.weights)}; what its record asks for "
        f"({weights_words(said.weights)}) waits to be ready, and nobody gets it: say with --to what shall be pinned"
    )


def _without(admission: Admission, record: Release) -> Weights | None:
    """What the release gives without the canary of a rollout that runs."""
    found = running(admission, record.ref)
    plan = None if found is None else plan_of(record, found.said)
    return None if plan is None else plan.without


def _before(release: Ref, weights: Weights, history: Iterable[Event]) -> Weights:
    """What was given before the last change. All that a rollout did is one.

    What was taken back is never given again like that: two may take back the same at the same time, a guard and a hand.
    """
    now = {deployment: weight for deployment, weight in weights if weight}
    found: Weights = ()
    for event in history:
        if not event.before or event.before == event.after:
            continue
        if event.kind is Kind.ROLLED_BACK and not found:
            raise CannotSteer(_taken_back(event))
        by_rollout = event.kind in OF_ROLLOUT
        if found and not by_rollout:
            break
        if found or dict(event.before) != now:
            found = event.before
        if found and (not by_rollout or event.kind is Kind.STARTED):
            break
    if found:
        return found
    raise CannotSteer(
        f"the history of Release {release.word} does not say what its default gave before {weights_words(weights)}: "
        "name a deployment with --to"
    )


def _taken_back(event: Event) -> str:
    """Why a release is not taken back once more."""
    return (
        f"Release {event.release.word} was taken back already, at {event.at:%Y-%m-%dT%H:%M:%SZ} by {event.word.who}: "
        f"it gives {weights_words(event.after)}; name a deployment with --to to give another one"
    )


def _check_there(admission: Admission, record: Release, wanted: Iterable[Ref]) -> None:
    app = admission.world.app(record.refer(record.spec.app))
    gone = sorted(each.word for each in wanted if each not in app.deployments)
    if gone:
        there = few(sorted(each.word for each in app.deployments))
        raise CannotSteer(f"{few(gone)} is not deployed for app {app.app.word}; there is {there}")
    without = [each.word for each in wanted if not app.deployments[each].spec.entries]
    if without:
        raise CannotSteer(f"{few(without)} has no component with routes, so no request could reach it")
