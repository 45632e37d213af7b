"""One release of a running server, with everything that is known of it."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

from typing_extensions import override

from xds_server.api.descriptions import Describing, Description, Seen, described, release_of
from xds_server.api.release_reports import entry_report
from xds_server.api.rollouts import RolloutReport
from xds_server.api.steering import event_report
from xds_server.api.traffic import HOUR, ShareReport, share_report
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.records.admitted import Admission
from xds_server.records.models import Release
from xds_server.runtime.control import Control
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.watching import Watch
from xds_server.telemetry.comparing import now, shares
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.totals import Gap

Requests = dict[tuple[str, Ref], int]
RolloutOf = Callable[[Ref], RolloutReport | None]


def no_rollout(_release: Ref) -> RolloutReport | None:
    return None


class Descriptions(Describing):
    """What is counted is looked at in a thread, beside the event loop."""

    def __init__(
        self, control: Control, telemetry: Telemetry, watch: Watch, rollout_of: RolloutOf = no_rollout
    ) -> None:
        self._control = control
        self._telemetry = telemetry
        self._watch = watch
        self._rollout_of = rollout_of

    @override
    async def describe(self, release: Ref) -> Description | None:
        control, admission = self._control, self._control.admission
        history = control.history(release)
        record, ledger = release_of(admission, release), control.books.ledger
        if record is None and not history:
            return None
        entry = ledger.entry(release)
        seen = Seen(
            problems=control.problems,
            waits=control.waits_for(release),
            members=self._members(record),
            seconds=HOUR,
            rollout=self._rollout_of(release),
            entry=None if entry is None else entry_report(entry, ledger.holders(release)),
            history=tuple(map(event_report, history)),
        )
        first = [each for each in self._telemetry.gaps(HOUR) if each.gap is not Gap.SERVER]  # of users, too
        kept, same = [*first, *self._telemetry.last(HOUR)], self._watch.since_live(release, HOUR)
        return await asyncio.to_thread(_described, admission, release, seen, (kept, same))

    def _members(self, record: Release | None) -> dict[tuple[Ref, str], tuple[int, int]]:
        """As the proxy sees it that sees least."""
        named = set() if record is None else set(map(record.refer, record.spec.deployments))
        found = self._telemetry.totals.members()
        return {
            (deployment, component): (min(each[0] for each in said), min(each[1] for each in said))
            for (deployment, component), said in found.items()
            if deployment in named
        }


def _described(
    admission: Admission, release: Ref, seen: Seen, flushes: tuple[Sequence[Numbered], Sequence[Numbered]]
) -> Description:
    record = release_of(admission, release)
    if record is None:
        return described(admission, release, seen)
    kept, same = flushes
    counted = replace(seen, requests=_requests(record, admission, kept), shares=_shares(record, admission, same))
    return described(admission, release, counted)


def _entries(record: Release, admission: Admission) -> dict[Ref, tuple[str, ...]]:
    """The components that users ask for, of each deployment of a release."""
    deployments = admission.world.app(record.refer(record.spec.app)).deployments
    named = map(record.refer, record.spec.deployments)
    return {each: deployments[each].spec.entries for each in named if each in deployments}


def _requests(record: Release, admission: Admission, flushes: Sequence[Numbered]) -> Requests:
    entries = _entries(record, admission)
    found: Requests = {}
    for each in now(flushes, entries):
        if each.component in entries[each.deployment]:
            where = each.rule, each.deployment
            found[where] = found.get(where, 0) + each.requests
    return found


def _shares(record: Release, admission: Admission, flushes: Sequence[Numbered]) -> dict[str, ShareReport]:
    components = {component for each in _entries(record, admission).values() for component in each}
    found = shares(flushes, DEFAULT_RULE, components, dict(record.weights))
    return {each.deployment.word: share_report(each, sticky=record.spec.sticky is not None) for each in found}
