"""Records are written by commands: one command at a time, checked before it writes, in force when it is answered.

What is written is heard at once, with whose word it was; that the folder's watch tells of it a moment later changes
nothing any more.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

import structlog

from xds_server.difference.applying import (
    Application,
    Applied,
    Faulty,
    applied,
    check_content,
    check_expected,
    check_read,
    errors,
    homes,
    objections,
    rewritten,
)
from xds_server.difference.comparison import Served
from xds_server.difference.history import Event, Word, events
from xds_server.difference.planning import Planned, planned
from xds_server.difference.releases import release_shifts
from xds_server.difference.removing import files_of, without
from xds_server.difference.steering import CannotSteer, weights_set
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.ledger.content import document_content
from xds_server.pipeline import compile_world
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.editing import NotEdited, weights_written
from xds_server.records.models import Release
from xds_server.records.reading import Batch, FileChange, Readable
from xds_server.records.releases import Weights
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.sources.writing import NotWritten, Writer

log = structlog.get_logger()


class Rollouts(Protocol):
    """Who moves releases by itself."""

    def running(self, release: Ref) -> str:
        """Why nobody else may set what a release gives; empty if its rollout does not run, and will not."""

    def stop(self, release: Ref, weights: Weights, word: Word) -> Event | None:
        """Its rollout goes no further, and gives these weights, which its record says. What that moves."""

    def stop_with(self, release: Ref, weights: Weights, word: Word) -> None:
        """Its rollout goes no further once its record says these weights, and does not begin anew by that."""


class Writing:
    """Writes records for who asks for it. Belongs to the event loop of its control."""

    def __init__(self, control: Control, writer: Writer, rollouts: Rollouts) -> None:
        self._control = control
        self._writer = writer
        self._rollouts = rollouts
        self._one_at_a_time = asyncio.Lock()

    async def apply(
        self, files: Mapping[str, str], word: Word, expected: Mapping[Ref, str], *, dry_run: bool
    ) -> Application:
        """All of the records, or none. Raises `CannotSteer`, and `StateUnwritable` if they are written and wait."""
        async with self._one_at_a_time:
            records, changes = await self._rewritten(files)
            check_expected(self._control.admission, records, expected)
            problems = objections(self._control.admission, self._after(changes), records)
            if any(each.reason is not Reason.PINNED for each in errors(problems)):
                raise Faulty(errors(problems))
            with _reasons():
                for each in changes:
                    self._writer.check(each.name)
            at = clock()
            if changes and not dry_run:
                await self._write(changes, word)
            return Application(at, records, problems)

    async def plan(self, files: Mapping[str, str]) -> Planned:
        """What applying these files would do. Raises `CannotSteer`. The comparison is made beside the event loop."""
        records, changes = await self._rewritten(files)
        before, after = self._control.admission, self._after(changes)
        compiled, extensions = self._control.compiled

        def compared() -> Planned:
            one = compile_world(before.world, compiled, after.touched, extensions)
            two = compile_world(after.world, one, after.touched, extensions)
            return planned(Served(before, one), Served(after, two), records)

        return await asyncio.to_thread(compared)

    async def set(
        self, release: Ref, shares: Mapping[Ref, int], word: Word, expected: str, *, stop_rollout: bool
    ) -> Event:
        """Write the default of a release. Raises `CannotSteer` and `StateUnwritable`."""
        async with self._one_at_a_time:
            check_readable(self._control)
            admission, key = self._control.admission, Key("Release", release)
            weights = weights_set(admission, release, shares)
            check_content(admission, release, expected)
            running = self._rollouts.running(release)
            if running and not stop_rollout:
                raise CannotSteer(f"{running}; with --stop-rollout it is stopped, and this is set")
            change = await asyncio.to_thread(self._reweighted, admission, key, weights)
            event = self._judged(change, release, word)
            if _says(admission, key, weights):
                return self._rollouts.stop(release, weights, word) or event

            def announce() -> None:
                weights_set(self._control.admission, release, shares)  # a guard may have taken it back meanwhile
                self._rollouts.stop_with(release, weights, word)

            await self._write([change], word, announce)
            return event

    async def remove(self, deployments: Collection[Ref], word: Word) -> tuple[str, ...]:
        """Take deployments that nothing uses out of their files: all, or none. Which files. Raises `CannotSteer`."""
        async with self._one_at_a_time:
            check_readable(self._control)
            admission = self._control.admission
            changes = await asyncio.to_thread(self._without, admission, deployments)
            await self._write(changes, word)
            files = tuple(each.name for each in changes)
            words = sorted(each.word for each in deployments)
            log.info("deployments removed", deployments=words, files=files, who=word.who, why=word.why)
            return files

    def content(self, release: Ref) -> str:
        """Of what the folder states of a release, which may be in force only later; empty if it states nothing."""
        stated = self._control.admission.wanted.get(Key("Release", release), ())
        return document_content(stated[0]) or "" if stated else ""

    def _without(self, admission: Admission, deployments: Collection[Ref]) -> tuple[FileChange, ...]:
        texts = {name: self._text(name) for name in files_of(admission, deployments)}
        return without(admission, deployments, texts)

    async def _rewritten(self, files: Mapping[str, str]) -> tuple[tuple[Applied, ...], tuple[FileChange, ...]]:
        """What applying these files writes. Texts may be long: they are read and made beside the event loop."""
        check_readable(self._control)
        admission = self._control.admission

        def made() -> tuple[tuple[Applied, ...], tuple[FileChange, ...]]:
            records = applied(admission, files)
            texts = {name: self._text(name) for name in homes(records)}
            return records, rewritten(admission, records, files, texts)

        return await asyncio.to_thread(made)

    def _reweighted(self, admission: Admission, key: Key, weights: Weights) -> FileChange:
        name = admission.wanted[key][0].place.file
        before = self._text(name) or ""
        check_read(admission, name, before)
        try:
            return FileChange(name, before, weights_written(before, key, weights))
        except NotEdited as error:
            raise CannotSteer(f"{name}: {error}") from None

    def _after(self, changes: Sequence[FileChange]) -> Admission:
        """What would be in force."""
        return self._control.would_be(Batch(_said(changes)))

    def _judged(self, change: FileChange, release: Ref, word: Word) -> Event:
        """What it does. Raises `Faulty`."""
        before, after = self._control.admission, self._after([change])
        held = errors(after.held.get(Key("Release", release), ()))
        if held:
            raise Faulty(held)
        found = events(release_shifts(before.world, after.world, after.touched), clock(), word)
        nothing = Event(release, clock(), word, "nothing moves")
        return next((each for each in found if each.release == release), nothing)

    async def _write(
        self, changes: Sequence[FileChange], word: Word, announce: Callable[[], None] = lambda: None
    ) -> None:
        """A disk may take its time. Once the texts are on it, they are put in place and heard in one go.

        `announce`: what shall be known of them before that, and hold only if they are put in place.
        """
        self._control.check_writable()
        with _reasons(), ExitStack() as stack:
            commit: Callable[[], None] = await asyncio.to_thread(stack.enter_context, self._writer.prepared(changes))
            announce()
            commit()
            self._control.hear(Batch(_said(changes)), word)
        late = sorted(self._control.late & {each.name for each in changes})
        if late:
            raise StateUnwritable(
                f"{', '.join(late)} is written, and comes into force by itself when the state directory can be written"
            )

    def _text(self, name: str) -> str | None:
        with _reasons():
            return self._writer.text(name)


@contextmanager
def _reasons() -> Iterator[None]:
    try:
        yield
    except NotWritten as error:
        raise CannotSteer(str(error)) from error


def check_readable(control: Control) -> None:
    """The folder was read, and is believed. Raises `CannotSteer`."""
    away = errors(control.admission.source)
    if control.waiting_for is not None or away:
        why = away[0].what if away else f"the server waits for {control.waiting_for}"
        raise CannotSteer(f"nothing is written now: {why}")


def _says(admission: Admission, key: Key, weights: Weights) -> bool:
    """The folder says so already, but for what is in force meanwhile."""
    return any(isinstance(each.record, Release) and each.record.weights == weights for each in admission.wanted[key])


def _said(changes: Sequence[FileChange]) -> dict[str, Readable | None]:
    return {each.name: Readable(each.after) if each.after else None for each in changes}
