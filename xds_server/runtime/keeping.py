"""Whether the state directory can be written, in a running server: a disk that is full ends nothing.

What has to be written first is refused or waits, what is only kept is kept later. Here it is tried again and again
whether anything can be written, and said for as long as it cannot.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import structlog

from xds_server.domain.errors import StateUnwritable
from xds_server.domain.problems import Place, Problem, Reason
from xds_server.domain.words import few
from xds_server.records.admitted import Admission
from xds_server.runtime.control import Control

log = structlog.get_logger()

PAUSE, LONGEST = 1.0, 4.0
"""Seconds before it is tried again: at first, and at most."""
SETTLED = 1.0
"""Seconds in which all that waited has been tried: then it is over."""
SHOWN = 3
"""Files that are named of those that wait; the rest are counted."""


class Kept(Protocol):
    """A state directory."""

    file: Path

    def catch_up(self) -> None: ...


class Keeping:
    """Belongs to one event loop."""

    def __init__(self, store: Kept, control: Control, pause: float = PAUSE, settled: float = SETTLED) -> None:
        self._store = store
        self._control = control
        self._pause = pause
        self._settled = settled
        self._why = ""
        self._failed = asyncio.Event()

    def hear(self, why: str) -> None:
        """Something could not be written."""
        self._failed.set()
        if not self._why:
            self._why = why
            self._control.report_soon()

    async def work(self) -> None:
        """Until cancelled."""
        pause = self._pause
        while True:
            await self._failed.wait()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST)
            if self._again() and await self._is_over():
                pause, self._why = self._pause, ""
                self._control.report_soon()

    def _again(self) -> bool:
        self._failed.clear()
        try:
            self._store.catch_up()
        except StateUnwritable:
            return False
        self._control.catch_up()
        return not self._failed.is_set()

    async def _is_over(self) -> bool:
        """A disk may have room for little, and not for all that waits."""
        await asyncio.sleep(self._settled)
        return not self._failed.is_set()

    def problems(self, _admission: Admission) -> Iterator[Problem]:
        """For as long as something cannot be written."""
        if self._why:
            files = few(sorted(self._control.late), SHOWN)
            late = f". Not in force for that: what {files} says" if files else ""
            what = f"it cannot be written: {self._why}. What is in force serves, and no release moves{late}"
            fix = "Give its disk room, and the server the right to write there: it goes on by itself"
            yield Problem(Place(str(self._store.file)), Reason.STATE_UNWRITABLE, what, fix)
