"""Telemetry in a running server: exports are folded one after the other, and written down, in the way of nobody.

Of each proxy only its newest export waits: it says all that the ones before did. Work is done in slices, between which
streams have their turn.
"""

import asyncio
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import count, islice
from time import monotonic
from typing import Any

import structlog

from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.messages.metrics import Malformed, attribute, export, metrics
from xds_server.resources.telemetry import NODE_ID
from xds_server.runtime.clock import clock as time_of_day
from xds_server.state.counted import Counted
from xds_server.telemetry import Change, Flush, Flushes, Process, Reading, Totals
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.minutes import Minutes
from xds_server.telemetry.totals import Gap

log = structlog.get_logger()

MOST_BYTES = 16 * 1024 * 1024
"""Of one export."""
MOST_WAITING = 64 * 1024 * 1024
"""Bytes of all exports that wait."""
EARLY = "no stream yet"
LOST = ("malformed", "unknown", EARLY, "too large", "no room", "other edges")
"""Why an export is not taken."""
AT_ONCE = 400
"""Metrics between two turns of others: about a millisecond."""
WRITTEN_AT_ONCE = 10_000
"""Totals, of several processes, in one transaction: about two milliseconds. Those of one process are never divided."""
SAVED = 0.5
"""Seconds between two times that totals are written. What a killed server had not written comes again, from those who
are still there."""
RECENT = 15.0
"""Seconds for which what a proxy said of its instances holds."""
SILENT = 3600.0
"""Seconds after which a process that says nothing is let go."""
SWEPT = 3600.0
"""Seconds after which it is looked at what proxies tell of no more."""


class Telemetry:
    """Belongs to one event loop. `lost` counts exports that were not taken, by why."""

    def __init__(
        self,
        counted: Counted,
        now: Callable[[], float] = monotonic,
        clock: Callable[[], datetime] = time_of_day,
        has_stream: Callable[[str], bool] = lambda _node: True,
    ) -> None:
        self.totals: Totals = counted.load().totals(now())
        self.flushes = Flushes(self.totals.names)
        self.minutes = Minutes(self.totals.names, counted.minutes.load())
        counted.minutes.forget(self.minutes.begin(_minute_of(clock())))
        self.taken = 0
        self.bytes = 0
        self.lost: Tally[str] = Tally(dict.fromkeys(LOST, 0))
        self._counted = counted
        self._now = now
        self._clock = clock
        self._has_stream = has_stream
        self._waiting: dict[str, bytes] = {}
        self._strangers = count()
        self._swept = now()
        self._leaving: list[Process] = []
        self._size = 0
        self._some = asyncio.Event()
        self._followers: list[Callable[[Change], None]] = []
        self.settled = 0
        """The number of the last flush that is written down with all before it: what a restart does not tell again."""

    def follow(self, hear: Callable[[Change], None]) -> None:
        """`hear` is told what each flush added. Must not raise."""
        self._followers.append(hear)

    def last(self, seconds: float) -> list[Numbered]:
        """The whole flushes of so many last seconds, the oldest first."""
        return self.flushes.heard_since(self._now() - seconds)

    def gaps(self, seconds: float) -> list[Numbered]:
        """Those that are not whole."""
        return self.flushes.gaps_since(self._now() - seconds)

    def is_dead(self, components: Iterable[tuple[Ref, str]]) -> bool:
        """One of these components in a deployment has no healthy instance at any proxy that has it."""
        since = self._now() - RECENT
        found = (self.totals.members_of(each, since) for each in components)
        return any(said and not any(healthy for healthy, _ in said) for said in found)

    def take(self, node: str, encoded: bytes) -> bool:
        """An export of a node, or of one that says itself who it is. False: there is no room."""
        key = node or f"/{next(self._strangers)}"
        size = self._size - len(self._waiting.get(key, b"")) + len(encoded)
        if len(encoded) > MOST_BYTES or size > MOST_WAITING:
            self._lose("too large" if len(encoded) > MOST_BYTES else "no room", node)
            return False
        self._waiting.pop(key, None)
        self._waiting[key] = encoded
        self._size = size
        self._some.set()
        return True

    async def work(self) -> None:
        """Fold what comes, until cancelled."""
        while True:
            await self._some.wait()
            while self._waiting:
                key = next(iter(self._waiting))
                encoded = self._waiting.pop(key)
                self._size -= len(encoded)
                await self._fold("" if key.startswith("/") else key, encoded)
            self._some.clear()

    async def _fold(self, node: str, encoded: bytes) -> None:
        """Whatever is wrong with an export, the next one is taken."""
        try:
            said = export(encoded)
            who = node or attribute(said, NODE_ID)
            flush = await self._read(metrics(said))
        except Malformed:
            self._lose("malformed", node)
            return
        if not who or flush is None:
            self._lose("unknown", who)
            return
        if not node and not self._is_believed(who, flush):
            self.lost[EARLY] += 1
            return
        self.taken += 1
        self.bytes += len(encoded)
        self._hear(self.totals.fold(who, flush, self._now()))

    def _is_believed(self, who: str, flush: Flush) -> bool:
        """A proxy may have been named anew when it was started, and then says here what it is not: it would be counted
        twice. Its stream, which is about to come, says who it is.
        """
        return self._has_stream(who) or self.totals.knows(who, flush)

    async def _read(self, found: Iterator[Any]) -> Flush | None:
        reading = Reading(self.totals.names)
        while part := list(islice(found, AT_ONCE)):
            reading.take(part)
            await asyncio.sleep(0)
        if reading.strange:
            self._lose("other edges", "")
        return reading.flush()

    def _hear(self, change: Change) -> None:
        self.flushes.hear(change)
        if change.gap is Gap.AGAIN:
            log.info("telemetry of a proxy began again", node=change.process.node)
        for hear in self._followers:
            hear(change)

    def _lose(self, why: str, node: str) -> None:
        self.lost[why] += 1
        if self.lost[why] == 1:  # the rest is in the metrics
            log.warning("an export of telemetry is not taken", because=why, node=node)

    async def save(self) -> None:
        """Write down what is new, again and again, until cancelled; what is left then, too."""
        try:
            while True:
                await asyncio.sleep(SAVED)
                with suppress(StateUnwritable):  # it stays what is new
                    await self._save()
        finally:
            with suppress(StateUnwritable):
                self._save_rest()

    async def _save(self) -> None:
        while self.totals.unsaved:
            self.keep()
            await asyncio.sleep(0)
        await self.settle()
        self.let_go()

    def _save_rest(self) -> None:
        while self.totals.unsaved:
            self.keep()
        for flush in self.flushes.since(self.settled):
            self._remember(flush)
        for _ in self._closed():
            pass

    def keep(self) -> None:
        """Write a part of what is new that is written fast. Raises `StateUnwritable`, and forgets nothing."""
        unsaved, names = self.totals.unsaved, self.totals.names
        size, kept = 0, list[Process]()
        for each in unsaved:
            if size >= WRITTEN_AT_ONCE:
                break
            kept.append(each)
            size += len(each.last)
        self._counted.keep(names.unsaved, kept)
        names.unsaved.clear()
        for each in kept:
            del unsaved[each]

    async def settle(self) -> None:
        """All that was heard until now is written down. So is a minute that is over."""
        for flush in [*self.flushes.since(self.settled)]:
            self._remember(flush)
            await asyncio.sleep(0)
        await self._turn()

    def _remember(self, flush: Numbered) -> None:
        self.minutes.hear(flush)
        self.settled = flush.number

    async def _turn(self) -> None:
        minute = _minute_of(self._clock())
        if minute != self.minutes.now:
            for _ in self._closed():
                await asyncio.sleep(0)
            self._counted.minutes.forget(self.minutes.begin(minute))

    def _closed(self) -> Iterator[None]:
        """Write down the minute that goes on, in parts between which others may have their turn."""
        for told in self.minutes.close():
            try:
                self._counted.minutes.keep(self.minutes.now, told)
            except StateUnwritable:
                self.minutes.take_back(told)
                raise
            yield

    def let_go(self) -> None:
        """Who has said nothing for long is no more, nor is what nobody tells of any more. Raises `StateUnwritable`."""
        if self._now() - self._swept >= SWEPT:
            self._swept = self._now()
            self._counted.forget(self.totals.sweep())
        for process in self.totals.silent(self._now() - SILENT):
            self.totals.let_go(process)
            self._leaving.append(process)
            log.info("telemetry of a proxy ended", node=process.node)
        while self._leaving:
            self._counted.retire(self._leaving[0])
            del self._leaving[0]


def _minute_of(time: datetime) -> int:
    return int(time.timestamp()) // 60
