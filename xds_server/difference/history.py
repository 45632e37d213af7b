"""What was done to releases: since when, by whom and why they give what they give."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from xds_server.difference.releases import ReleaseShift, RuleShift, release_shifts
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.domain.words import few
from xds_server.ledger.entry import Entry
from xds_server.records.admitted import Admission
from xds_server.records.releases import Weights


class Word(NamedTuple):
    """Whose word it was, and why they said it."""

    who: str
    why: str = ""


RECORDS = Word("records")
"""Of what a record says, whoever wrote it."""
ROLLOUT = "rollout"
"""Who it is that moves a release by itself."""
LEDGER = Word("ledger")
"""Of what proxies have accepted."""


class Kind(StrEnum):
    """What kind of thing was done to a release, or became of it. Stable: receivers of notifications match on it."""

    CHANGED = "changed"
    STARTED = "started"
    ADVANCED = "advanced"
    ANEW = "anew"
    HELD = "held"
    GATE = "gate"
    FINISHED = "finished"
    STOPPED = "stopped"
    MOVED = "moved"
    ROLLED_BACK = "rolled-back"
    UNPINNED = "unpinned"
    PAUSED = "paused"
    RESUMED = "resumed"
    APPROVED = "approved"
    PROMOTED = "promoted"
    LIVE = "live"
    PENDING = "pending"
    FAILED = "failed"


OF_ROLLOUT = frozenset({Kind.STARTED, Kind.ADVANCED, Kind.PROMOTED, Kind.FINISHED})
"""What a rollout does to a default, by itself or because somebody says so."""


class Done(NamedTuple):
    """What is done to a release, whose word that is, and by which numbers it was decided."""

    what: str
    word: Word
    kind: Kind = Kind.CHANGED
    numbers: Mapping[str, float] = MappingProxyType({})


class Event(NamedTuple):
    """`what`: the rules that give something else, in words. `before` and `after`: what the default gave and gives.

    `numbers`: by which it was decided, by name.
    """

    release: Ref
    at: datetime
    word: Word
    what: str
    before: Weights = ()
    after: Weights = ()
    kind: Kind = Kind.CHANGED
    numbers: Mapping[str, float] = MappingProxyType({})


def events(shifts: Iterable[ReleaseShift], at: datetime, word: Word) -> Iterator[Event]:
    for shift in shifts:
        default = next((each for each in shift.rules if each.name == DEFAULT_RULE), RuleShift(DEFAULT_RULE, (), ()))
        yield Event(shift.release, at, word, "; ".join(_words(shift)), default.before, default.after)


def stopped(found: Iterable[Event], before: Admission, after: Admission, at: datetime) -> Iterator[Event]:
    """With the rollouts that are over because a record says what was set, by the word that was given before."""
    words = dict(_stops(before, after))
    for event in found:
        word = words.pop(event.release, None)
        yield event if word is None else _stopped(event, word)
    for release, word in words.items():
        yield _stopped(Event(release, at, word, "nothing moves"), word)


def _stops(before: Admission, after: Admission) -> Iterator[tuple[Ref, Word]]:
    for release in {key.ref for key in after.pinned}:
        was, now = before.steered.get(release), after.steered.get(release)
        stop = was.stop if was is not None else None
        if stop is not None and now is not None and now.progress.identity == stop.identity:
            yield release, Word(stop.who, stop.why)


def _stopped(event: Event, word: Word) -> Event:
    return event._replace(word=word, what=f"rollout stopped; {event.what}", kind=Kind.STOPPED)


def waiting(before: Admission, after: Admission, at: datetime, word: Word = RECORDS) -> Iterator[Event]:
    """The releases that begin to wait until what they newly give is ready, and those that have waited too long.

    `word`: whose it is that they shall give that.
    """
    for release in after.waited:
        was, is_ = before.pending.get(release), after.pending.get(release)
        if is_ is None or (was is not None and (was.content, was.failed) == (is_.content, is_.failed)):
            continue
        kind, what = (Kind.FAILED, "not ready in time") if is_.failed else (Kind.PENDING, "waits to be ready")
        yield Event(release, at, word, f"{what}: {few(is_.lacks.words)}", kind=kind)


def _words(shift: ReleaseShift) -> Iterator[str]:
    for rule in shift.rules:
        yield f"{rule.name}: {weights_words(rule.before)} -> {weights_words(rule.after)}"
    for word, claims in (("came", shift.came), ("went", shift.went)):
        if claims:
            yield f"hosts that {word}: {few(f'{each.host} at {each.gateway.word}' for each in claims)}"


def done_to(release: Ref, before: Admission, after: Admission, done: Done, at: datetime) -> Event:
    """What was done to a release, with what moves by that."""
    found = events(release_shifts(before.world, after.world, after.touched), at, done.word)
    moved = next((each for each in found if each.release == release), Event(release, at, done.word, "nothing moves"))
    return moved._replace(what=f"{done.what}; {moved.what}", kind=done.kind, numbers=done.numbers)


def live_event(entry: Entry) -> Event:
    """A content became live. It is no part of the history: the ledger has it."""
    assert entry.live is not None
    summary = entry.summary
    numbers = {"accepted": summary.accepted, "notLoaded": summary.not_loaded}
    return Event(entry.release, entry.live, LEDGER, f"live: {summary.counted}", kind=Kind.LIVE, numbers=numbers)


def in_percent(weights: Weights) -> dict[str, float]:
    return {deployment.word: weight / 100 for deployment, weight in weights}


def weights_words(weights: Weights) -> str:
    """`shop-v1 95 %, shop-v2 5 %`."""
    return ", ".join(f"{ref.word} {weight / 100:.9g} %" for ref, weight in weights if weight) or "nothing"
