"""The releases that move by themselves: watched, judged, and moved one step after the other.

What is decided is pure (`rollout.decide`); here is who asks again and again, and `moving` acts. What is judged has been
written down before (`Telemetry.settled`), so that nothing is counted twice.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from xds_server.difference.history import ROLLOUT, Done, Event, Kind, Word
from xds_server.difference.steering import CannotSteer, asked_for, in_force, is_asked_otherwise
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.records.admission import steered, unpinned
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Release
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.saved import UNKNOWN
from xds_server.records.steered import Steered
from xds_server.records.wants import place_in
from xds_server.rollout import Decision, Held, Plan, RollBack, Verdict, Wait, decide, plan_of
from xds_server.rollout.watched import Builds, Past, Watched, builds_of, shifted, watched
from xds_server.runtime.attempts import Attempts
from xds_server.runtime.finishing import Owed
from xds_server.runtime.freezing import Freezing
from xds_server.runtime.judging import Judging, Ticks
from xds_server.runtime.moving import EMPTY_STATE, Moving, Standing, Steers, way, where
from xds_server.state.store import Store
from xds_server.state.watched import watched_row
from xds_server.telemetry.flushes import Numbered

LOOKED = 0.5
"""Seconds between two looks at every rollout."""
LONGEST = timedelta(seconds=5)
"""More than this between two looks was watched by nobody: the process did not run."""
SETTLED = timedelta(seconds=5)
"""How long a share is in force before what proxies say of instances is about it."""
BEGUN_AT_ONCE = 10
"""Rollouts that begin before those that run are looked at again: each reads what is remembered of its past."""
WAITED_FOR = (Held.GATE, Held.EVIDENCE, Held.LIVE)
"""What may be missing for `maxHold` at most."""


@dataclass(frozen=True, slots=True)
class Shell:
    """What rollouts are given of the world outside. `live`: since when what is in force of a release is live.

    `write` puts weights into the record of a release, and raises `NotWritten`.
    """

    live: Callable[[Ref], datetime | None]
    write: Callable[[Ref, Weights], None]
    clock: Callable[[], datetime]
    monotonic: Callable[[], float]


class Rollouts:
    """Belongs to one event loop. People freeze all of them by `freezing`, and move one by `moving`; what is `owed` to
    records is written beside all that.
    """

    def __init__(self, control: Steers, store: Store, judging: Judging, shell: Shell) -> None:
        self._control = control
        self._store = store
        self._judging = judging
        self._shell = shell
        rows = store.load()
        self.freezing = Freezing(store, rows, shell.clock)
        self.owed = Owed(control, shell.write, shell.monotonic)
        self._attempts = Attempts(store, rows)
        self.moving = Moving(control, store, self._attempts, shell.clock)
        self._poked = asyncio.Event()
        self._concerned: set[Ref] = set()
        self._swept = True
        self._running: set[Ref] = set()
        self._decisions: dict[Ref, Decision] = {}
        self._ticks: dict[Ref, Ticks] = {}
        self._plans: dict[Ref, tuple[Release, Weights, Plan | None]] = {}
        self._builds: dict[Ref, tuple[Plan, Mapping[Ref, AppDeployment], Builds]] = {}
        self._looked = shell.monotonic()

    def hear(self, apps: frozenset[Ref]) -> None:
        """Releases of these apps may be others."""
        self._concerned |= apps
        self._poked.set()

    async def work(self) -> None:
        """Until cancelled. A record whose folder does not answer keeps nobody from being looked at."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_again())
            tasks.create_task(self.owed.work())

    async def _look_again(self) -> None:
        """At every rollout again and again, and at what is new at once."""
        while True:
            due = self._shell.monotonic() + LOOKED
            while (left := due - self._shell.monotonic()) > 0:
                try:
                    async with asyncio.timeout(left):
                        await self._poked.wait()
                except TimeoutError:
                    break
                await self._hear()
            await self.look()

    async def look(self) -> None:
        """Once. Others have their turn between two rollouts."""
        await self._hear()
        elapsed, flushes = self._elapsed(), self._judging.flushes()
        for release in sorted(self._running):
            with suppress(StateUnwritable):  # it is decided again at the next look
                self._look_at(release, elapsed, flushes)
            await asyncio.sleep(0)
        if not self._swept:
            self._sweep()
        await self._attempts.keep(self._running)

    async def _hear(self) -> None:
        """Of what is new; of more than begins at once, what is left is heard next. So is what cannot be written now."""
        self._poked.clear()
        begun, late = 0, set[Ref]()
        while self._concerned and begun < BEGUN_AT_ONCE:
            self._swept = False
            app = self._concerned.pop()
            try:
                begun += await self._hear_of(app)
            except StateUnwritable:
                late.add(app)
        if self._concerned:
            self._poked.set()
        self._concerned |= late
        self.owed.wake()

    def _sweep(self) -> None:
        """Of releases that have no rollout any more nothing is remembered."""
        self._swept = True
        releases = self._control.admission.steered
        for each in [each for each in self._plans if each not in releases]:
            del self._plans[each]
        self._attempts.sweep(releases)

    def standing(self, release: Ref) -> Standing | None:
        """None of a release that does not move by itself. Raises `CannotSteer`."""
        in_force(self._control.admission, release)
        return self.find(release)

    def find(self, release: Ref) -> Standing | None:
        """None of what is no release, or does not move by itself."""
        found, record = self._control.admission.steered.get(release), self._in_force(release)
        plan = None if found is None or record is None else self._plan(record, found.said)
        if found is None or record is None or plan is None:
            return None
        seen = self._attempts.of(release)
        if seen is not None and not seen.is_of(found.progress):
            seen = None
        return Standing(record, plan, _as_seen(found, seen), seen, self._decisions.get(release))

    def _plan(self, record: Release, said: Weights) -> Plan | None:
        """Made once: to find out what it is of takes long, and every look asks."""
        known = self._plans.get(record.ref)
        if known is None or known[0] is not record or known[1] != said:
            known = self._plans[record.ref] = (record, said, plan_of(record, said))
        return known[2]

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """What is wrong with rollouts."""
        for release in self._running:
            found = admission.steered.get(release)
            if found is not None and found.progress.paused == EMPTY_STATE:
                what = f"the rollout waits where its record's weights are: {EMPTY_STATE}"
                fix = f"xdsctl resume {release.word} lets it begin; or write how far it shall be into its weights"
                yield _problem(admission, release, Reason.ROLLOUT_UNKNOWN, what, fix)
        for release, why in self.owed.refused():
            found = admission.steered.get(release)
            if found is not None:
                what = f"the rollout has {found.progress.ended}, and its record does not say so: {why}"
                words = ", ".join(f"{each.word}: {weight / 100:.9g}" for each, weight in found.weights)
                fix = f"Write these weights into its default: {words}"
                yield _problem(admission, release, Reason.ROLLOUT_NOT_WRITTEN, what, fix)
        for release, those in admission.moved.items():
            for each in those:
                what = f"audience {each.audience} gets {each.deployment.word}, whatever it says, {each.pin.words}"
                fix = f"xdsctl unpin {release.word} gives it what it says"
                yield _problem(admission, release, Reason.PINNED, what, fix)

    def restart(self, stands: Standing, word: Word) -> Event:
        """One that was rolled back and pinned begins again, with nothing learnt. Raises `CannotSteer`."""
        release, now = stands.record.ref, self._shell.clock()
        follows = unpinned(self._control.admission, release, now).steered.get(release)
        if follows is None or follows.progress.identity != stands.steered.progress.identity:
            raise CannotSteer(
                f"the record of Release {release.word} says something else by now: xdsctl unpin {release.word} puts "
                "that into force, and its rollout begins"
            )
        first = stands.plan.after(-1)
        assert first is not None, "with nothing to do it ends when it begins"
        progress = stands.steered.progress.again().at(first, word.why)
        to = replace(stands.steered, progress=progress, weights=stands.plan.weights_at(first), also="")
        past = self._past(stands.record, stands.plan)
        begun = watched(stands.record, stands.plan, progress, past, self._builds_of(stands.record, stands.plan))
        done = Done(f"again, {way(stands.plan, -1, first)}", word, Kind.PROMOTED)
        after = steered(self._control.admission, release, to, now, unpin=True)
        return self.moving.steer_with(begun, after, release, done)

    async def _hear_of(self, app: Ref) -> int:
        """How many may have begun."""
        begun = 0
        for release in list(self._control.admission.world.app(app).releases):
            admission, record = self._control.admission, self._in_force(release)
            found = admission.steered.get(release)
            if found is not None:
                self._settle(release, self._without_a_word_in_vain(release, found))
            elif record is not None and release not in admission.pins:
                begun += self._begin(record)
            await asyncio.sleep(0)
        return begun

    def _settle(self, release: Ref, found: Steered) -> None:
        """One that is known runs, or has ended: then its record shall say so."""
        if found.progress.ended is None:
            self._running.add(release)
            if found.progress.paused:
                self._control.report_soon()
            return
        self._forget(release)
        self.owed.hear(release, found)

    def _without_a_word_in_vain(self, release: Ref, found: Steered) -> Steered:
        """A record that was to stop it was not written, or says something else by now."""
        record = self._in_force(release)
        if found.stop is None or record is None or found.stop.identity in asked_for(self._control.admission, release):
            return found
        found = replace(found, stop=None)
        self._control.keep(steered(self._control.admission, release, found, self._shell.clock()))
        return found

    def _begin(self, record: Release) -> bool:
        """Whether there was one to begin."""
        release, plan = record.ref, plan_of(record)
        if plan is None:
            return False
        progress = Progress(plan.identity)
        last = len(plan.steps) - 1
        if plan.weights_at(last) == plan.weights:
            progress = progress.at(last, "").end(Ended.FINISHED, "its record gives no less than its last step")
        elif release in self._control.unknown:
            progress = replace(progress, paused=EMPTY_STATE)
        begun = watched(record, plan, progress, self._past(record, plan), self._builds_of(record, plan))
        to, rows = Steered(progress, plan.weights, plan.weights), [watched_row(release, begun)]
        self._control.keep(steered(self._control.admission, release, to, self._shell.clock()), rows)
        self._attempts.written(release, begun)
        self._settle(release, to)
        if release in self._control.unknown:
            self._control.unknown.discard(release)
            self._store.save_late((), [(UNKNOWN, *release)])
        return True

    def _in_force(self, release: Ref) -> Release | None:
        entry = self._control.admission.in_force.get(Key("Release", release))
        return entry.record if entry is not None and isinstance(entry.record, Release) else None

    def _past(self, record: Release, plan: Plan) -> Past:
        return self._judging.past(plan.deployment, self._deployments(record))

    def _builds_of(self, record: Release, plan: Plan) -> Builds:
        """Made once for the deployments that there are, too."""
        known, deployments = self._builds.get(record.ref), self._deployments(record)
        if known is None or known[0] is not plan or known[1] is not deployments:
            known = self._builds[record.ref] = (plan, deployments, builds_of(plan, deployments))
        return known[2]

    def _deployments(self, record: Release) -> Mapping[Ref, AppDeployment]:
        return self._control.admission.world.app(record.refer(record.spec.app)).deployments

    def _elapsed(self) -> timedelta:
        now = self._shell.monotonic()
        elapsed, self._looked = timedelta(seconds=now - self._looked), now
        return min(elapsed, LONGEST)

    def _look_at(self, release: Ref, elapsed: timedelta, flushes: Sequence[Numbered]) -> None:
        stands = self._watch(release, elapsed, flushes)
        if stands is None:
            self._forget(release)
            return
        assert stands.watched is not None
        for each in stands.watched.audiences:
            if each.verdict is Verdict.WORSE:
                self.moving.move_audience(stands, each.cohort, each.because)
        health, progress = stands.watched.health(self._dead(stands)), stands.steered.progress
        decision = decide(stands.plan, progress, health, self._shell.clock(), self.freezing.frozen)
        if not isinstance(decision, RollBack) and is_asked_otherwise(self._control.admission, release, progress):
            decision = Wait("its record says something else by now, and that is not in force yet", held=Held.RECORD)
        self._decisions[release] = decision
        self.moving.act(stands, decision)

    def _forget(self, release: Ref) -> None:
        """Of one that does not run any more, what is only in memory."""
        self._running.discard(release)
        self._decisions.pop(release, None)
        self._ticks.pop(release, None)
        self._builds.pop(release, None)

    def _watch(self, release: Ref, elapsed: timedelta, flushes: Sequence[Numbered]) -> Standing | None:
        """With what was counted and the time since the last look; None: it does not run any more."""
        stands = self.find(release)
        if stands is None or stands.steered.progress.ended is not None or release in self._control.admission.pins:
            return None
        builds = self._builds_of(stands.record, stands.plan)
        if stands.watched is not None and stands.watched.builds != builds:
            stands = self._judge_anew(stands, stands.watched, builds)
        progress = stands.steered.progress
        seen = (stands.watched or watched(stands.record, stands.plan, progress, builds=builds)).at(progress.step)
        if flushes and not seen.settles:
            ticks = self._ticks_of(release, seen)
            seen = seen.after(ticks.hear(flushes), outage=ticks.outage(flushes))
        seen = seen.later(elapsed, live=self._shell.live(release) is not None)
        if seen.held in WAITED_FOR and self.freezing.frozen is None and not stands.plan.freeze:
            seen = replace(seen, waited=seen.waited + elapsed)
        self._attempts.learn(release, seen)
        return replace(stands, steered=_as_seen(stands.steered, seen), watched=seen)

    def _judge_anew(self, stands: Standing, seen: Watched, builds: Builds) -> Standing:
        """What was learnt is of builds that do not run any more."""
        release, begun = stands.record.ref, seen.anew(builds)
        to = replace(stands.steered, progress=stands.steered.progress.anew())
        word = Word(ROLLOUT, f"what it is judged by is about other builds now: {shifted(seen.builds, builds)}")
        done = Done(f"judged anew at {where(stands.plan, to.progress.step)}", word, Kind.ANEW, stands.numbers)
        after = steered(self._control.admission, release, to, self._shell.clock())
        self.moving.steer_with(begun, after, release, done)
        return replace(stands, steered=to, watched=begun)

    def _ticks_of(self, release: Ref, seen: Watched) -> Ticks:
        found = self._ticks.get(release)
        if found is None or not found.are_of(seen):
            self._ticks[release] = found = Ticks(seen)
        return found

    def _dead(self, stands: Standing) -> str:
        """Why no request of the canary can succeed."""
        canary, progress = stands.plan.deployment, stands.steered.progress
        if not dict(stands.steered.weights).get(canary) or progress.stayed < SETTLED:
            return ""
        deployments = self._deployments(stands.record)
        entries = deployments[canary].spec.entries if canary in deployments else {}
        dead = self._judging.is_dead((canary, component) for component in entries)
        return f"{canary.word} has no healthy instance at any proxy that has it" if dead else ""


def _as_seen(found: Steered, seen: Watched | None) -> Steered:
    """With the times for which it was watched at its step."""
    if seen is None or seen.step != found.progress.step:
        return found
    return replace(found, progress=found.progress.watched(seen.stayed, seen.waited, seen.dark))


def _problem(admission: Admission, release: Ref, reason: Reason, what: str, fix: str) -> Problem:
    key = Key("Release", release)
    place = place_in(admission, key, ("spec", "audiences" if reason is Reason.PINNED else "rollout"))
    return Problem(place, reason, what, fix, str(key), severity=Severity.WARNING)
