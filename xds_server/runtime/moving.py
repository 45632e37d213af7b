"""What is done to a rollout: it moves on, waits, ends, is taken back, or gets what somebody says.

A step, what it gives, the line in the history and how far it is are one transaction, before proxies are told: a server
that is killed finds all of it or nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from xds_server.difference.history import ROLLOUT, Done, Event, Kind, Word
from xds_server.difference.steering import rolled_back
from xds_server.domain.names import Ref
from xds_server.records.admission import moved, pinned, steered
from xds_server.records.admitted import Admission
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.progress import Ended
from xds_server.records.saved import Row
from xds_server.records.steered import Moved, Steered, identity_of
from xds_server.rollout import Decision, Finish, Held, MoveTo, Plan, RollBack, Wait
from xds_server.rollout.watched import Watched
from xds_server.runtime.attempts import Attempts
from xds_server.state.store import Store
from xds_server.state.watched import watched_row

EMPTY_STATE = "the state directory was empty when the server began, so that nobody knows how far it had come"


class Steers(Protocol):
    """What is in force, and how that is changed."""

    unknown: set[Ref]

    @property
    def admission(self) -> Admission: ...

    def steer(self, after: Admission, release: Ref, done: Done, rows: Sequence[Row] = ()) -> Event: ...

    def keep(self, after: Admission, rows: Sequence[Row] = ()) -> None: ...

    def report_soon(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """How a rollout stands. `watched` None: it was not judged by this server since it began."""

    record: Release
    plan: Plan
    steered: Steered
    watched: Watched | None
    decision: Decision | None

    @property
    def numbers(self) -> dict[str, float]:
        return {} if self.watched is None else self.watched.numbers


class Moving:
    """What was decided is done. Belongs to one event loop."""

    def __init__(self, control: Steers, store: Store, attempts: Attempts, clock: Callable[[], datetime]) -> None:
        self._control = control
        self._store = store
        self._attempts = attempts
        self._clock = clock

    def act(self, stands: Standing, decision: Decision) -> None:
        word = Word(ROLLOUT, decision.because)
        match decision:
            case Wait():
                self._hold(stands, decision)
            case MoveTo():
                self.move(stands, decision.step, word)
            case Finish():
                self.finish(stands, word)
            case RollBack():
                self._roll_back(stands, word)

    def _hold(self, stands: Standing, decision: Wait) -> None:
        """Whoever waits says so once at each step, for each thing that it waits for."""
        release, held = stands.record.ref, decision.held or ""
        seen = None if stands.watched is None else self._attempts.of(release)  # an audience may have been moved since
        if seen is None or held == seen.held:
            return
        seen = replace(seen, held=held)
        if held in ("", Held.PAUSED, *seen.said):
            self._attempts.learn(release, seen)
            return
        seen = replace(seen, said=(*seen.said, held))
        kind, what = Kind.GATE if held is Held.GATE else Kind.HELD, f"{held} at {where(stands.plan, seen.step)}"
        event = Event(release, self._clock(), Word(ROLLOUT, decision.because), what, kind=kind)
        self._store.save([watched_row(release, seen)], (), [event._replace(numbers=seen.numbers)])
        self._attempts.written(release, seen)

    def move(self, stands: Standing, step: int, word: Word, kind: Kind | None = None) -> Event:
        progress = stands.steered.progress
        weights = stands.plan.weights_at(step)
        begins = Kind.STARTED if progress.step < 0 else Kind.ADVANCED
        paused = "" if progress.paused == EMPTY_STATE else progress.paused
        to = replace(stands.steered, progress=replace(progress, paused=paused).at(step, word.why), weights=weights)
        went = way(stands.plan, stands.steered.progress.step, step)
        return self.steer(stands, to, Done(went, word, kind or begins, stands.numbers))

    def finish(self, stands: Standing, word: Word, kind: Kind = Kind.FINISHED) -> Event:
        weights = stands.plan.weights_at(len(stands.plan.steps) - 1)
        progress = stands.steered.progress.end(Ended.FINISHED, word.why)
        to = replace(stands.steered, progress=progress, weights=weights, also=identity_of(stands.record, weights))
        return self.steer(stands, to, Done("rollout finished", word, kind, stands.numbers))

    def _roll_back(self, stands: Standing, word: Word) -> None:
        admission, release, weights = self._control.admission, stands.record.ref, stands.plan.without
        ended = rolled_back(admission, release, weights, word.why)
        after = pinned(admission, release, weights, Pin(self._clock(), *word), ended)
        self._control.steer(after, release, Done("rolled back, and pinned", word, Kind.ROLLED_BACK, stands.numbers))

    def move_audience(self, stands: Standing, audience: str, because: str) -> None:
        admission, release = self._control.admission, stands.record.ref
        seen = self._attempts.of(release)
        if seen is None or seen.stable is None or audience in seen.moved:
            return
        word = Word(ROLLOUT, because)
        to = Moved(audience, seen.stable, Pin(self._clock(), *word))
        done = Done(f"audience {audience} moved, and pinned", word, Kind.MOVED, stands.numbers)
        seen = replace(seen, moved=(*seen.moved, audience))
        self.steer_with(seen, moved(admission, release, to), release, done)

    def steer(self, stands: Standing, to: Steered, done: Done) -> Event:
        """With what it was judged by until then."""
        release, seen = stands.record.ref, self._attempts.of(stands.record.ref)
        after = steered(self._control.admission, release, to, self._clock())
        if seen is None:
            return self._control.steer(after, release, done)
        return self.steer_with(seen, after, release, done)

    def steer_with(self, seen: Watched, after: Admission, release: Ref, done: Done) -> Event:
        """In one transaction with what it is judged by, which is known only once that is written."""
        event = self._control.steer(after, release, done, [watched_row(release, seen)])
        self._attempts.written(release, seen)
        return event

    def remember(self, stands: Standing, to: Steered) -> None:
        """By which nothing moves, and of which nobody has to be told."""
        release = stands.record.ref
        self._control.keep(steered(self._control.admission, release, to, self._clock()))


def where(plan: Plan, step: int) -> str:
    """A step, as people count them."""
    return f"step {step + 1} of {len(plan.steps)}"


def way(plan: Plan, before: int, step: int) -> str:
    """Where it goes, and what it passes over to get there."""
    passed = " and ".join(str(each + 1) for each in range(before + 1, step))
    gives = f"the record gives {plan.deployment.word} {plan.given / 100:.9g} % already"
    return where(plan, step) + (f" (past {passed}: {gives})" if passed else "")
