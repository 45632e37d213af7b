"""The deployments of a running server that nothing uses any more."""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from typing_extensions import override

from xds_server.api.traffic import HOUR
from xds_server.api.unused import Collecting
from xds_server.difference.history import Word
from xds_server.difference.unused import Unused, unused
from xds_server.domain.names import EXPLICIT_RULE, Ref
from xds_server.records.admitted import Admission
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.writing import Writing
from xds_server.telemetry.comparing import now
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.ticks import ERRORS


class Collector(Collecting):
    """What may go is looked for in a thread, beside the event loop; who asked for it, a deployment at a time."""

    def __init__(self, control: Control, telemetry: Telemetry, writing: Writing) -> None:
        self._control = control
        self._telemetry = telemetry
        self._writing = writing

    @override
    async def unused(self, older_than: timedelta, app: Ref | None) -> Sequence[tuple[Unused, int]] | None:
        admission, telemetry = self._control.admission, self._telemetry
        flushes = [*telemetry.last(HOUR), *telemetry.gaps(HOUR)]  # what a proxy tells first is of users, too
        if app is not None and app not in admission.world.apps:
            return None
        found = await asyncio.to_thread(_unused, admission, clock() - older_than, app, flushes)
        counted = []
        for each, requests in found:
            counted.append((each, max(requests, self._before(each.deployment))))
            await asyncio.sleep(0)  # others have their turn: there may be thousands
        return counted

    def _before(self, deployment: Ref) -> int:
        """Requests of the whole minutes of the last hour, also where the server began in it."""
        minutes = self._telemetry.minutes.past([deployment], EXPLICIT_RULE, ERRORS)
        return sum(each.requests for each in minutes)

    @override
    async def remove(self, deployments: Collection[Ref], word: Word) -> tuple[str, ...]:
        return await self._writing.remove(deployments, word)


def _unused(
    admission: Admission, before: datetime, app: Ref | None, flushes: Sequence[Numbered]
) -> list[tuple[Unused, int]]:
    found = list(unused(admission, before, app))
    entries = {each.deployment: _entries(admission, each) for each in found}
    requests = dict.fromkeys(entries, 0)
    for each in now(flushes, entries):
        if each.component in entries[each.deployment]:
            requests[each.deployment] += each.requests
    return [(each, requests[each.deployment]) for each in found]


def _entries(admission: Admission, found: Unused) -> tuple[str, ...]:
    return admission.world.app(found.app).deployments[found.deployment].spec.entries
