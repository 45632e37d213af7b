"""In which order the proxies of one app hear of a deployment that comes or goes. Pure: time is what it is told.

A request may be given a deployment only where everybody on its way knows it. So with sidecars there are two worlds of
an app: `inside` is what its sidecars are told, `outside` what gateways are.

    comes    inside; outside once the sidecars beside its builds have accepted it, and releases that give it with it
    goes     not outside any more; once gateways have accepted that, a drain, never shorter than its longest timeout;
             then no call is given it, but who is called still knows it; once sidecars have accepted that, not inside
    changes  (a branch deployment that has other builds) the sidecars beside its new builds know it; once they have
             accepted that it is changed everywhere, and those beside builds that it had know it for a drain more

Who does not answer in `PATIENCE` is waited for no longer, and that is said. What gives only deployments that are ready
waits for nobody: a release is a change of routes. An app without sidecars has one world.

What comes back while it goes has never left; once no call is given it, it comes as at first. Another deployment under
its name comes when it is gone, and what gives that one waits; but while gateways still give the old one it is told to
everybody at once, as is what changes of a deployment but its builds.

A release that waits is told as it was before, but for hosts that it gives up: from then on they may be another app's.

What is under way and in no record that is in force is `unfinished`; with it and the records an order is `resumed`.
"""

from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from math import inf
from typing import NamedTuple, Self, TypeVar

from immutables import Map

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.graph import builds_of
from xds_server.records.admitted import Admission
from xds_server.records.apps import AppSpec
from xds_server.records.claims import claims_of, only_at
from xds_server.records.documents import Key
from xds_server.records.models import App, AppDeployment, Build, Release
from xds_server.records.policies import TIMEOUT
from xds_server.records.wants import place_in
from xds_server.records.world import AppWorld, build_id

Kept = TypeVar("Kept", Build, AppDeployment, Release)

PATIENCE = 10.0
"""Seconds that a deployment waits for proxies, to come or to go."""

GONE = Place("(gone)")
"""The place of a record that is in no file any more."""


class Phase(StrEnum):
    """Where a deployment is that has not arrived, or is not gone, everywhere."""

    APPEARING = "appearing"
    LEAVING = "leaving"
    DRAINING = "draining"
    VANISHING = "vanishing"
    CHANGING = "changing"
    CHANGED = "changed"


class Step(NamedTuple):
    """A deployment, and a phase of it."""

    deployment: Ref
    phase: Phase


WAITING = (Phase.APPEARING, Phase.LEAVING, Phase.VANISHING, Phase.CHANGING)
"""Those that proxies end, by what they accept."""
EDITS = (Phase.CHANGING, Phase.CHANGED)
"""Those of what gateways have all the while."""


@dataclass(frozen=True, slots=True)
class Progress:
    """`record` is what comes or goes. `until`: when the phase is over, if nothing ends it before. `settings`: those of
    the app when it went. `former`: what `record` takes the place of.
    """

    phase: Phase
    record: AppDeployment
    until: float
    settings: App | None = None
    former: AppDeployment | None = None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """What is under way of an app. `builds`: where those run that leave with a deployment. `releases`: what gateways
    are told of those that are held back, and `expired`, the audiences that have ended in them.
    """

    steps: Mapping[Ref, Progress]
    builds: Mapping[Ref, Build]
    releases: Mapping[Ref, Release]
    expired: frozenset[tuple[Ref, str]] = frozenset()


NOTHING_UNFINISHED = Unfinished({}, {}, {})


class AppOrder:
    """One app. `inside` and `outside` are the same object as what was accepted when nothing is under way."""

    def __init__(self, app: AppWorld) -> None:
        self.accepted = self.inside = self.outside = app
        self._steps: dict[Ref, Progress] = {}

    @classmethod
    def resumed(cls, app: AppWorld, unfinished: Unfinished, now: float) -> Self:
        """As it was, with `app` as what was accepted. Proxies have the whole time anew; drains have what is left."""
        order = cls(app)
        order._steps = dict(_resumable(app, unfinished.steps, now))
        there = {*app.deployments, *order._steps}
        releases = {ref: each for ref, each in unfinished.releases.items() if there.issuperset(given(each))}
        order.inside = replace(app, builds=app.builds.update(unfinished.builds))
        order.outside = replace(app, releases=Map(releases), expired=unfinished.expired)
        order._settle(now)
        return order

    def copy(self) -> Self:
        """As it is now, whatever becomes of this one."""
        found = copy(self)
        self._steps = dict(self._steps)
        return found

    @property
    def unfinished(self) -> Unfinished:
        told, accepted = self.inside, self.accepted
        return Unfinished(
            dict(self._steps),
            dict(_others(told.builds, accepted.builds)),
            dict(_others(told.releases, accepted.releases)),
            self._kept_expired(told.releases),
        )

    @property
    def under_way(self) -> bool:
        return bool(self._steps)

    def of(self, phase: Phase) -> frozenset[Ref]:
        """The deployments that are in this phase."""
        return frozenset(ref for ref, step in self._steps.items() if step.phase is phase)

    def record_of(self, ref: Ref) -> AppDeployment:
        """What is under way of this deployment."""
        return self._steps[ref].record

    @property
    def awaited(self) -> frozenset[Step]:
        """What proxies are told and shall accept before it goes on."""
        found = self._steps.items()
        return frozenset(Step(ref, each.phase) for ref, each in found if each.phase in WAITING and each.until < inf)

    @property
    def held_back(self) -> Mapping[Ref, frozenset[Ref]]:
        """Releases of which gateways are not told yet what their records say; each with what is not ready for it."""
        told, coming = self.outside.releases, self._coming
        return {
            ref: coming.intersection(given(each))
            for ref, each in self.accepted.releases.items()
            if told.get(ref) is not each
        }

    def lacks(self, release: Ref) -> frozenset[Ref]:
        """What is not ready for a release; empty if gateways are told what its record says, or there is none."""
        record = self.accepted.releases.get(release)
        if record is None or self.outside.releases.get(release) is record:
            return frozenset()
        return self._coming.intersection(given(record))

    @property
    def wake_at(self) -> float | None:
        """When the next phase is over."""
        until = min((step.until for step in self._steps.values()), default=inf)
        return until if until < inf else None

    def accept(self, app: AppWorld, now: float) -> None:
        """This is what the records say now."""
        before, self.accepted = self.accepted, app
        for ref, record in app.deployments.items():
            if ref in self._steps:
                self._meet(ref, record, now)
            elif ref not in before.deployments:
                self._appear(ref, now)
            else:
                self._edit(ref, before.deployments[ref], now)
        for ref in before.deployments:
            if ref not in app.deployments:
                self._go(ref, before.settings)
        self._settle(now)

    def take(self, steps: Iterable[Step], now: float) -> None:
        """Proxies have accepted these."""
        over = self.awaited.intersection(steps)
        for each in over:
            self._end(each.deployment, now)
        if over:
            self._settle(now)

    def wake(self, now: float) -> list[Step]:
        """Time has passed: the steps that are over although proxies may not have accepted them."""
        over = {ref: step for ref, step in self._steps.items() if step.until <= now}
        for ref in over:
            self._end(ref, now)
        if over:
            self._settle(now)
        return [Step(ref, step.phase) for ref, step in over.items() if step.phase in WAITING]

    @property
    def _coming(self) -> frozenset[Ref]:
        """What the records have and gateways shall not be told of yet."""
        there = self.accepted.deployments
        return frozenset(ref for ref, step in self._steps.items() if ref in there and step.phase not in EDITS)

    def _appear(self, ref: Ref, now: float) -> None:
        self._steps[ref] = Progress(Phase.APPEARING, self.accepted.deployments[ref], now + PATIENCE)

    def _edit(self, ref: Ref, former: AppDeployment, now: float) -> None:
        record = self.accepted.deployments[ref]
        if builds_of(former) != builds_of(record):
            self._steps[ref] = Progress(Phase.CHANGING, record, now + PATIENCE, former=former)

    def _meet(self, ref: Ref, record: AppDeployment, now: float) -> None:
        """It is in the records, and something of it is under way."""
        step = self._steps[ref]
        if step.phase is Phase.APPEARING:
            self._steps[ref] = replace(step, record=record)
        elif step.phase in EDITS:
            self._edit_again(ref, step, now)
        elif record.spec == step.record.spec or ref in self.outside.deployments:
            self._come_back(ref, now)

    def _edit_again(self, ref: Ref, step: Progress, now: float) -> None:
        record = self.accepted.deployments[ref]
        if builds_of(record) == builds_of(step.record):
            self._steps[ref] = replace(step, record=record)
            return
        del self._steps[ref]
        told = step.former if step.phase is Phase.CHANGING else step.record
        assert told is not None
        self._edit(ref, told, now)

    def _come_back(self, ref: Ref, now: float) -> None:
        vanishing = self._steps.pop(ref).phase is Phase.VANISHING
        if vanishing:
            self._appear(ref, now)

    def _go(self, ref: Ref, settings: App | None) -> None:
        step = self._steps.get(ref)
        if step is None or step.phase in EDITS:
            self._steps[ref] = Progress(Phase.LEAVING, self.outside.deployments[ref], inf, settings)
        elif step.phase is Phase.APPEARING:
            del self._steps[ref]  # gateways were never told of it

    def _end(self, ref: Ref, now: float) -> None:
        """Its phase is over. After the last one there may be another deployment under its name."""
        step = self._steps.pop(ref)
        if step.phase is Phase.LEAVING:
            self._steps[ref] = replace(step, phase=Phase.DRAINING, until=now + self._drain(step))
        elif step.phase is Phase.DRAINING:
            self._steps[ref] = replace(step, phase=Phase.VANISHING, until=now + PATIENCE)
        elif step.phase is Phase.CHANGING:
            self._steps[ref] = replace(step, phase=Phase.CHANGED, until=now + self._drain(step))
        elif step.phase is Phase.VANISHING and ref in self.accepted.deployments:
            self._appear(ref, now)

    def _settle(self, now: float) -> None:
        if not self._steps:
            self.inside = self.outside = self.accepted
            return
        app, coming = self.accepted, self._coming
        releases = dict(self._told_releases(coming))
        used = set().union(*map(given, releases.values()))
        going, vanishing = self._records(Phase.LEAVING, Phase.DRAINING), self._records(Phase.VANISHING)
        unchanged, former = self._formers(Phase.CHANGING), self._formers(Phase.CHANGED)
        inbound = vanishing | former | self._records(Phase.CHANGING)
        inner = {ref: each for ref, each in app.deployments.items() if ref not in vanishing} | going | unchanged
        outer = {ref: each for ref, each in app.deployments.items() if ref not in coming} | unchanged
        outer |= {ref: record for ref, record in going.items() if ref in used}
        needed = (*going.values(), *unchanged.values(), *inbound.values())
        builds = {**dict(self._kept_builds(needed)), **app.builds}
        kept = replace(
            app,
            builds=_same(app.builds, self.inside.builds, builds),
            releases=_same(app.releases, self.inside.releases, releases),
            settings=self._kept_settings(),
            expired=app.expired | self._kept_expired(releases),
        )
        self.inside, self.outside = (
            replace(
                kept,
                deployments=_same(app.deployments, self.inside.deployments, inner),
                inbound=_same(app.inbound, self.inside.inbound, inbound),
            ),
            replace(kept, deployments=_same(app.deployments, self.outside.deployments, outer)),
        )
        self._begin_to_wait(now)

    def _records(self, *phases: Phase) -> dict[Ref, AppDeployment]:
        return {ref: step.record for ref, step in self._steps.items() if step.phase in phases}

    def _formers(self, phase: Phase) -> dict[Ref, AppDeployment]:
        found = ((ref, step.former) for ref, step in self._steps.items() if step.phase is phase)
        return {ref: former for ref, former in found if former is not None}

    def _begin_to_wait(self, now: float) -> None:
        """Gateways have time from when they are told; that is when no release gives it any more."""
        for ref in self.of(Phase.LEAVING).difference(self.outside.deployments):
            step = self._steps[ref]
            if step.until == inf:
                self._steps[ref] = replace(step, until=now + PATIENCE)

    def _told_releases(self, coming: frozenset[Ref]) -> Iterator[tuple[Ref, Release]]:
        """Those that give only deployments which are ready; of others, what was told before at hosts that still wait.

        A host that moves to another release that waits is not given up.
        """
        releases = self.accepted.releases
        waiting = {ref for ref, each in releases.items() if not coming.isdisjoint(given(each))}
        kept = frozenset(claim for ref in waiting for claim in claims_of(releases[ref]))
        for ref, record in releases.items():
            before = self.outside.releases.get(ref)
            found = record if ref not in waiting else before and only_at(before, kept)
            if found is not None:
                yield ref, found

    def _kept_expired(self, releases: Mapping[Ref, Release]) -> frozenset[tuple[Ref, str]]:
        """Audiences that had ended in what is still told of a release."""
        newest = self.accepted.releases
        return frozenset(each for each in self.outside.expired if releases.get(each[0]) is not newest.get(each[0]))

    def _kept_builds(self, going: Iterable[AppDeployment]) -> Iterator[tuple[Ref, Build]]:
        """Where builds run that leave with a deployment: what is under way there shall end well."""
        needed: set[BuildId] = set().union(*map(builds_of, going))
        if not needed:
            return iter(())
        live = {each for record in self.accepted.deployments.values() for each in builds_of(record)}
        return ((ref, each) for ref, each in self.inside.builds.items() if build_id(each) in needed - live)

    def _drain(self, step: Progress) -> float:
        """Seconds."""
        drained = step.former or step.record
        said = self.accepted.settings or step.settings
        settings = said.spec if said is not None else AppSpec()
        timeouts = (each.policy.timeout or TIMEOUT for each in drained.spec.components.values())
        longest: timedelta = max([settings.drain, *timeouts])
        return longest.total_seconds()

    def _kept_settings(self) -> App | None:
        """Of an app that goes as a whole, those that it had: what is under way shall end as it began."""
        if self.accepted.settings is not None or self.accepted.deployments:
            return self.accepted.settings
        return next((step.settings for step in self._steps.values() if step.settings is not None), None)


def given(release: Release) -> Iterator[Ref]:
    """The deployments that a release gives."""
    return map(release.refer, release.spec.deployments)


def late_problem(step: Step, who: str, admission: Admission) -> Problem:
    """`who` has not accepted the step of a deployment, and is waited for no longer."""
    word, key = step.deployment.word, Key("AppDeployment", step.deployment)
    if step.phase is Phase.APPEARING:
        what = f"{who} did not accept {word} in {PATIENCE:.0f} s: gateways give it requests all the same"
        fix = "Look with xdsctl proxies at what keeps it: until then calls of the deployment may fail there"
    elif step.phase is Phase.CHANGING:
        what = f"{who} did not accept the new builds of {word} in {PATIENCE:.0f} s: the others use them all the same"
        fix = "Look with xdsctl proxies at what keeps it: until then calls of the deployment may fail there"
    elif step.phase is Phase.LEAVING:
        what = f"{who} did not accept in {PATIENCE:.0f} s that {word} is gone: it is drained all the same"
        fix = "Look with xdsctl proxies at what keeps it: after the drain, requests that it still gives to it fail"
    else:
        what = f"{who} did not accept in {PATIENCE:.0f} s that {word} is gone: the others forget it all the same"
        fix = "Look with xdsctl proxies at what keeps it: calls that it still gives to it fail"
    where = place_in(admission, key, ("spec",)) if key in admission.in_force else GONE
    return Problem(where, Reason.LATE_PROXY, what, fix, str(key), Severity.WARNING)


def _resumable(app: AppWorld, steps: Mapping[Ref, Progress], now: float) -> Iterator[tuple[Ref, Progress]]:
    """What comes and what changes is in the records; what goes is not, or is another there."""
    for ref, step in steps.items():
        record = app.deployments.get(ref)
        there = record is not None and record.spec == step.record.spec
        if there == (step.phase in (Phase.APPEARING, *EDITS)):
            yield ref, _anew(step, now)


def _anew(step: Progress, now: float) -> Progress:
    match step.phase:
        case Phase.LEAVING:
            return replace(step, until=inf)
        case Phase.APPEARING | Phase.VANISHING | Phase.CHANGING:
            return replace(step, until=now + PATIENCE)
        case _:
            return step


def _others(told: Map[Ref, Kept], accepted: Map[Ref, Kept]) -> Iterator[tuple[Ref, Kept]]:
    if told is not accepted:
        yield from ((ref, each) for ref, each in told.items() if accepted.get(ref) is not each)


def _same(newest: Map[Ref, Kept], before: Map[Ref, Kept], found: Mapping[Ref, Kept]) -> Map[Ref, Kept]:
    """One of these maps if it has what was found: compile reuses by identity."""
    for each in (newest, before):
        if len(each) == len(found) and all(each.get(ref) is record for ref, record in found.items()):
            return each
    return Map(found)
