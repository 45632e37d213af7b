"""What a finished rollout gives becomes what its record says: a lost state directory never undoes it."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Protocol

from xds_server.difference.applying import check_read
from xds_server.difference.steering import CannotSteer, is_asked_otherwise, is_unwritten
from xds_server.domain.errors import XdsServerError
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.editing import NotEdited, weights_written
from xds_server.records.releases import Weights
from xds_server.records.steered import Steered
from xds_server.sources.writing import NotWritten as FileNotWritten
from xds_server.sources.writing import Writer

TRIED_AGAIN = 60.0
"""Seconds after which a record that could not be written is tried again."""


class NotWritten(XdsServerError):
    """The weights of a finished rollout are not in its record, and why."""


class Says(Protocol):
    """What is in force, and how what is wrong is said."""

    @property
    def admission(self) -> Admission: ...

    def report_soon(self) -> None: ...


class Owed:
    """Finished rollouts whose records do not say so yet. Belongs to one event loop.

    `write` puts weights into the record of a release, and raises `NotWritten`.
    """

    def __init__(self, control: Says, write: Callable[[Ref, Weights], None], monotonic: Callable[[], float]) -> None:
        self._control = control
        self._write = write
        self._monotonic = monotonic
        self._unwritten: dict[Ref, tuple[float, str]] = {}
        self._asked = asyncio.Event()

    def hear(self, release: Ref, found: Steered) -> None:
        """Of one that has ended: its record shall say so."""
        if is_unwritten(found):
            self._unwritten.setdefault(release, (self._monotonic(), ""))
        elif self._unwritten.pop(release, None) is not None:
            self._control.report_soon()

    def wake(self) -> None:
        """What is in force, or in the records, may be something else."""
        if self._unwritten:
            self._asked.set()

    def refused(self) -> Iterator[tuple[Ref, str]]:
        """Those that could not be written, and why."""
        return ((release, why) for release, (_, why) in self._unwritten.items() if why)

    async def work(self) -> None:
        """When there is something to write, and when that could not be done."""
        while True:
            self._asked.clear()
            await self.write()
            due = min((when for when, _ in self._unwritten.values()), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(0.0, due - self._monotonic())):
                    await self._asked.wait()

    async def write(self) -> None:
        """What is in force shall be in the records, so that nothing but records has to be kept."""
        now = self._monotonic()
        for release, (when, before) in list(self._unwritten.items()):
            admission = self._control.admission
            found = admission.steered.get(release)
            if found is None or not is_unwritten(found) or release in admission.pins:
                del self._unwritten[release]
                self._control.report_soon()
            elif when <= now:
                why = await self._written(release, found)
                if release in self._unwritten:
                    self._unwritten[release] = (self._monotonic() + TRIED_AGAIN, why)
                if why != before:
                    self._control.report_soon()

    async def _written(self, release: Ref, found: Steered) -> str:
        """Why its record does not say how it has ended; empty: it does, and will be read."""
        if is_asked_otherwise(self._control.admission, release, found.progress):
            return "it says something else by now, which is not in force yet"
        try:
            await asyncio.to_thread(self._write, release, found.weights)
        except NotWritten as error:
            return str(error)
        return ""


class Finishing:
    """Writes weights into the file that states a release, as it was read; all else in it stays as it is written."""

    def __init__(self, writer: Writer, admission: Callable[[], Admission]) -> None:
        self._writer = writer
        self._admission = admission

    def write(self, release: Ref, weights: Weights) -> None:
        """Raises `NotWritten`."""
        admission, key = self._admission(), Key("Release", release)
        documents = admission.wanted.get(key, ())
        if len(documents) != 1:
            raise NotWritten("no file states it" if not documents else "more than one file states it")
        name = documents[0].place.file
        try:
            text = self._writer.text(name)
            if text is None:
                raise NotWritten(f"{name} is gone")
            check_read(admission, name, text)
            self._writer.write(name, text, weights_written(text, key, weights))
        except (FileNotWritten, NotEdited, CannotSteer) as error:
            raise NotWritten(str(error)) from error
