"""What people ask of telemetry: what becomes of requests now, and how two deployments compare.

It is put together in a thread, beside the event loop.
"""

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import NamedTuple

from typing_extensions import override

from xds_server.api.traffic import (
    CannotCompare,
    CompareReport,
    TrafficReport,
    Watching,
    left_out_report,
    row_report,
    share_report,
    traffic_report,
)
from xds_server.domain.names import DEFAULT_RULE, Ref
from xds_server.records.models import Release
from xds_server.records.world import AppWorld, World
from xds_server.runtime.telemetry import Telemetry
from xds_server.telemetry.comparing import compared, left_out, now, shares
from xds_server.telemetry.flushes import Numbered

SETTLED = 2.0


class Heard(NamedTuple):
    """In the time that is looked at; `since_live`: since what is in force of the release is live."""

    flushes: list[Numbered]
    gaps: list[Numbered]
    since_live: list[Numbered]


class Watch(Watching):
    """`live`: since when what is in force of a release is live; None: it is not."""

    def __init__(
        self,
        telemetry: Telemetry,
        world: Callable[[], World],
        live: Callable[[Ref], datetime | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._telemetry = telemetry
        self._world = world
        self._live = live
        self._clock = clock

    @override
    async def traffic(self, app: Ref | None, seconds: float) -> list[TrafficReport] | None:
        apps = [each for each in self._world().apps.values() if app in (None, each.app)]
        if app is not None and not apps:
            return None
        return await asyncio.to_thread(_traffic, apps, self._telemetry.last(seconds), seconds)

    @override
    async def compare(self, release: Ref, deployments: tuple[Ref, ...], seconds: float) -> CompareReport:
        app, record = self._find(release)
        first, second = deployments or _sides(record)
        for each in (first, second):
            if each not in app.deployments:
                raise CannotCompare(f"{app.app.word} has no deployment {each.word!r}: it has {_words(app.deployments)}")
        heard = Heard(self._telemetry.last(seconds), self._telemetry.gaps(seconds), self.since_live(release, seconds))
        return await asyncio.to_thread(_compared, record, (first, second), heard)

    def since_live(self, release: Ref, seconds: float) -> list[Numbered]:
        """The flushes of so many last seconds in which what is in force of a release was live at all proxies: but for
        those in which it became so.
        """
        live = self._live(release)
        if live is None:
            return []
        return self._telemetry.last(min(seconds, max(0.0, (self._clock() - live).total_seconds() - SETTLED)))

    def _find(self, release: Ref) -> tuple[AppWorld, Release]:
        for app in self._world().apps.values():
            if release in app.releases:
                return app, app.releases[release]
        raise CannotCompare(f"there is no release {release.word!r}: xdsctl get lists those in force")


def _traffic(apps: Iterable[AppWorld], flushes: list[Numbered], seconds: float) -> list[TrafficReport]:
    return [
        traffic_report(app.app, each, seconds) for app in apps for each in now(flushes, sorted(app.deployments.keys()))
    ]


def _compared(record: Release, sides: tuple[Ref, Ref], heard: Heard) -> CompareReport:
    first, second = sides
    flushes = heard.flushes
    rows = compared(flushes, first, second)
    weights = dict(record.weights)
    entries = {row.component for row in rows if row.rule == DEFAULT_RULE}
    sticky = record.spec.sticky is not None
    return CompareReport(
        release=record.ref.word,
        first=first.word,
        second=second.word,
        seconds=flushes[-1].heard - flushes[0].heard if flushes else 0.0,
        rows=tuple(map(row_report, rows)),
        shares=tuple(
            share_report(each, sticky=sticky) for each in shares(heard.since_live, DEFAULT_RULE, entries, weights)
        ),
        left_out=tuple(map(left_out_report, left_out(heard.gaps, sides))),
        sticky=sticky,
    )


def _sides(record: Release) -> tuple[Ref, Ref]:
    """Stable, which has most of the default besides, and what rises."""
    weights = record.weights
    if len(weights) < 2:
        raise CannotCompare(f"release {record.ref.word!r} has one deployment by default: write which two to compare")
    rollout = record.spec.rollout
    named = rollout.deployment if rollout is not None else None
    canary = weights[-1][0] if named is None else record.refer(named)
    return max((each for each in weights if each[0] != canary), key=lambda each: each[1])[0], canary


def _words(deployments: Iterable[Ref]) -> str:
    return ", ".join(sorted(each.word for each in deployments))
