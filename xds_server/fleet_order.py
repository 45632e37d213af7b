"""In which order the proxies of one app hear of a deployment that comes or goes. Pure: time is what it is told.

A request may be given a deployment only where everybody on its way knows it. So with sidecars there are two worlds of
an app: `inside` is what its sidecars are told, `outside` what gateways are.

    comes    inside; outside once the sidecars beside its builds have accepted it, and releases that give it with it
    goes     not outside any more; once gateways have accepted that, a drain, never shorter than its longest timeout;
             then not inside either

Who does not answer in `PATIENCE` is waited for no longer, and that is said. What gives only deployments that are ready
waits for nobody: a release is a change of routes. An app without sidecars has one world.

A branch deployment that is edited is told to everybody at once: under one name there is one map of builds.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from typing import NamedTuple, TypeVar

from immutables import Map

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import builds_of
from xds_server.records.apps import AppSpec
from xds_server.records.models import AppDeployment, Build, Release
from xds_server.records.policies import TIMEOUT
from xds_server.records.world import AppWorld, build_id

Kept = TypeVar("Kept", Build, AppDeployment, Release)

PATIENCE = 10.0
"""Seconds that a deployment waits for proxies, to come or to go."""


class Phase(StrEnum):
    """Where a deployment is that has not arrived, or is not gone, everywhere."""

    APPEARING = "appearing"
    LEAVING = "leaving"
    DRAINING = "draining"


class Late(NamedTuple):
    """A deployment whose `phase` is over although proxies have not accepted it."""

    deployment: Ref
    phase: Phase


@dataclass(frozen=True, slots=True)
class _Step:
    phase: Phase
    record: AppDeployment
    until: float


class AppOrder:
    """One app. `inside` and `outside` are the same object as what was accepted when nothing is under way."""

    def __init__(self, app: AppWorld) -> None:
        self.accepted = self.inside = self.outside = app
        self._steps: dict[Ref, _Step] = {}

    @property
    def under_way(self) -> bool:
        return bool(self._steps)

    def of(self, phase: Phase) -> frozenset[Ref]:
        """The deployments that are in this phase."""
        return frozenset(ref for ref, step in self._steps.items() if step.phase is phase)

    @property
    def held_back(self) -> frozenset[Ref]:
        """Releases of which gateways are not told yet what their records say."""
        told = self.outside.releases
        return frozenset(ref for ref, each in self.accepted.releases.items() if told.get(ref) is not each)

    @property
    def wake_at(self) -> float | None:
        return min((step.until for step in self._steps.values()), default=None)

    def accept(self, app: AppWorld, now: float) -> None:
        """This is what the records say now."""
        before, self.accepted = self.accepted, app
        for ref, record in app.deployments.items():
            step = self._steps.get(ref)
            if step is not None and step.phase is not Phase.APPEARING:
                self._return(ref, record, step, now)
            elif ref not in before.deployments:
                self._steps[ref] = _Step(Phase.APPEARING, record, now + PATIENCE)
            elif step is not None:
                self._steps[ref] = replace(step, record=record)
        for ref, record in before.deployments.items():
            if ref not in app.deployments:
                self._go(ref, record, now)
        self._settle(now)

    def appeared(self, deployments: Iterable[Ref], now: float) -> None:
        """The sidecars beside the builds of these have accepted them."""
        for ref in deployments:
            if ref in self._steps and self._steps[ref].phase is Phase.APPEARING:
                del self._steps[ref]
        self._settle(now)

    def left(self, deployments: Iterable[Ref], now: float) -> None:
        """The gateways have accepted that these are gone."""
        for ref in deployments:
            step = self._steps.get(ref)
            if step is not None and step.phase is Phase.LEAVING and ref not in self.outside.deployments:
                self._steps[ref] = _Step(Phase.DRAINING, step.record, now + self._drain(step.record))
        self._settle(now)

    def wake(self, now: float) -> list[Late]:
        """Time has passed: who was too late."""
        over = [ref for ref, step in self._steps.items() if step.until <= now]
        late = [Late(ref, step.phase) for ref in over if (step := self._steps[ref]).phase is not Phase.DRAINING]
        for ref in over:
            step = self._steps.pop(ref)
            if step.phase is Phase.LEAVING:
                self._steps[ref] = _Step(Phase.DRAINING, step.record, now + self._drain(step.record))
        self._settle(now)
        return late

    def _return(self, ref: Ref, record: AppDeployment, step: _Step, now: float) -> None:
        """It was going. The same one never left; another one under its name has to appear."""
        if record.spec == step.record.spec:
            del self._steps[ref]
        else:
            self._steps[ref] = _Step(Phase.APPEARING, record, now + PATIENCE)

    def _go(self, ref: Ref, record: AppDeployment, now: float) -> None:
        step = self._steps.get(ref)
        if step is not None and step.phase is Phase.APPEARING:
            # Gateways were never told of it.
            del self._steps[ref]
        else:
            self._steps[ref] = _Step(Phase.LEAVING, record, now + PATIENCE)

    def _settle(self, now: float) -> None:
        if not self._steps:
            self.inside = self.outside = self.accepted
            return
        app = self.accepted
        releases = dict(self._told_releases())
        used = {release.refer(name) for release in releases.values() for name in release.spec.deployments}
        going = {ref: step.record for ref, step in self._steps.items() if step.phase is not Phase.APPEARING}
        coming = self.of(Phase.APPEARING)
        out = {ref: each for ref, each in app.deployments.items() if ref not in coming}
        out |= {ref: record for ref, record in going.items() if ref in used}
        within = {**going, **app.deployments}
        builds = {**dict(self._kept_builds(going.values())), **app.builds}
        kept = replace(app, builds=_same(self.inside.builds, builds), releases=_same(self.outside.releases, releases))
        self.outside = replace(kept, deployments=_same(self.outside.deployments, out))
        self.inside = replace(kept, deployments=_same(self.inside.deployments, within))
        for ref, step in list(self._steps.items()):
            if step.phase is Phase.LEAVING and ref in out:
                self._steps[ref] = replace(step, until=now + PATIENCE)  # gateways have not been told yet

    def _told_releases(self) -> Iterator[tuple[Ref, Release]]:
        """Those that give only deployments which are ready; of others, what was told before."""
        coming = self.of(Phase.APPEARING)
        for ref, record in self.accepted.releases.items():
            found = record if coming.isdisjoint(map(record.refer, record.spec.deployments)) else None
            found = found or self.outside.releases.get(ref)
            if found is not None:
                yield ref, found

    def _kept_builds(self, going: Iterable[AppDeployment]) -> Iterator[tuple[Ref, Build]]:
        """Where builds run that leave with a deployment: what is under way there shall end well."""
        needed: set[BuildId] = set().union(*map(builds_of, going))
        live = {each for record in self.accepted.deployments.values() for each in builds_of(record)}
        return ((ref, each) for ref, each in self.inside.builds.items() if build_id(each) in needed - live)

    def _drain(self, record: AppDeployment) -> float:
        """Seconds."""
        settings = self.accepted.settings.spec if self.accepted.settings is not None else AppSpec()
        timeouts = (each.policy.timeout or TIMEOUT for each in record.spec.components.values())
        longest: timedelta = max([settings.drain, *timeouts])
        return longest.total_seconds()


def _same(before: Map[Ref, Kept], after: dict[Ref, Kept]) -> Map[Ref, Kept]:
    """The map from before if nothing in it differs: compile reuses by identity."""
    same = len(before) == len(after) and all(before.get(ref) is each for ref, each in after.items())
    return before if same else Map(after)
