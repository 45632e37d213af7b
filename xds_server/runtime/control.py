"""From what a source says to what is in force: one change at a time, saved before anyone hears of it.

While the state directory cannot be written, what would stand in the history waits: shares that move, audiences that
end, releases that become active. What is new of anything else (endpoints, say) comes into force and is kept later:
after a restart the records say it again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from datetime import timedelta
from time import monotonic, perf_counter

import structlog

from xds_server.difference.history import RECORDS, Done, Event, Word, done_to, events, stopped, waiting
from xds_server.difference.releases import ReleaseShift, release_shifts
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.ledger.content import content_of
from xds_server.notifications.message import About
from xds_server.pipeline import Compilation
from xds_server.ports import Observer
from xds_server.records.admission import admit, reconsidered, restore, set_by, tick, unreadable
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.readiness import ASSUMED
from xds_server.records.reading import Batch, Unreadable
from xds_server.records.saved import Row
from xds_server.records.steered import rolling, unknown_in, unknown_row
from xds_server.records.world import app_of
from xds_server.resources.extensions import Extensions
from xds_server.runtime.activating import Activating, Told
from xds_server.runtime.change_log import log_change
from xds_server.runtime.clock import clock
from xds_server.runtime.extensions import Extender
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.probing import over_the_network
from xds_server.runtime.publishing import Publishing
from xds_server.runtime.reporting import Reporting
from xds_server.runtime.words import Words
from xds_server.state.store import Store
from xds_server.state.unfinished import RowKey

log = structlog.get_logger()

SET = timedelta(seconds=1)
"""By more than this a clock was set, and does not only go a little wrong."""


class Control:
    """Holds what is in force and publishes what it compiles to. Belongs to one event loop; never awaits."""

    def __init__(
        self, folder: str, store: Store, metrics: Metrics, *, allow_empty: bool, extender: Extender | None = None
    ) -> None:
        self.waiting_for: str | None = f"{folder} to be read for the first time"
        self._folder = folder
        self._allow_empty = allow_empty
        self._store = store
        self._metrics = metrics
        self._heard = perf_counter()
        self._words = Words()
        self._turned: Callable[[frozenset[Ref]], None] = lambda _apps: None
        self.turned = asyncio.Event()
        self.reporting = Reporting(lambda: self._admission, self._reported)
        self.publishing = Publishing(
            store, metrics, extender or Extender(), lambda: self._admission, self.reporting.report_soon
        )
        self.reporting.report_of(self.publishing)
        self.worlds, self.connections = self.publishing.worlds, self.publishing.connections
        self.books = self.publishing.books
        told = Told(self.worlds, self.connections, self.books.ledger)
        ask = over_the_network(lambda: self._admission.world.secrets)
        self.activating = Activating(told, ask, self._reconsider)
        rows = store.load()
        self._began_empty = not rows
        self._late: Batch | None = None
        self.unknown = unknown_in(rows)
        """The releases of whose rollouts nobody knows how far they had come: with them, the state began."""
        self._admission = self._saved = restore(rows, clock()).asking(self.activating)
        self._offset = clock() - timedelta(seconds=monotonic())
        self.publishing.recall(rows)
        metrics.records(Counter(key.kind for key in self._admission.in_force).items())
        log.info("state read", records=len(self._admission.in_force))

    def end(self) -> None:
        """Do nothing by itself any more."""
        self.publishing.end()
        self.activating.end()

    @property
    def admission(self) -> Admission:
        return self._admission

    @property
    def compiled(self) -> tuple[Compilation, Extensions]:
        """What gateways are told, and what extensions make of it."""
        return self.publishing.compiled

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who must hear what happens on streams."""
        return *self.publishing.observers, self.activating

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, by place."""
        return self.reporting.problems

    def report_soon(self) -> None:
        """A reporter has something else to say."""
        self.reporting.report_soon()

    def waits_for(self, release: Ref) -> str:
        """What keeps gateways from being told of a release that is in force; empty if nothing does."""
        entry = self.admission.in_force.get(Key("Release", release))
        app = None if entry is None else app_of(entry.record)
        return "" if app is None else self.publishing.waits_for(app, release)

    def hear(self, said: Batch | Unreadable, word: Word = RECORDS) -> None:
        """The source has said something, and by whose word. What cannot be written now is heard again when it can be.

        Raises `StateUnwritable` before the first complete read.
        """
        self._keep_time()
        self._heard = perf_counter()
        if isinstance(said, Unreadable):
            self._turn(unreadable(self._admission, self._folder, said.why), compile_it=False)
            if self.waiting_for is not None:
                self.waiting_for = f"{self._folder}: {said.why}"
            return
        with self._metrics.admission.time():
            after = self._admitted(self._admission, said)
        before = self._admission
        # What waits already was said by whom it was said first: the watch of the folder tells it again.
        waiting = self._late.files if self._late is not None else {}
        news = [name for name, each in said.files.items() if waiting.get(name) != each]
        self._words.note(before, after, news, word)
        if self.waiting_for is not None:
            self._turn(after, word=word)
            return
        if self._tried(after, word=word):
            self._late = _still_late(self._late, said)
        else:
            self._words.note(before, after, news, word, in_force=before)
            self._late = _together(self._late, said)
            self.report_soon()

    @property
    def late(self) -> Set[str]:
        """The files of which is not in force what they say, because it cannot be written now."""
        return frozenset() if self._late is None else self._late.files.keys()

    def catch_up(self) -> None:
        """The state directory can be written again, it seems: whatever waited for that."""
        late, self._late = self._late, None
        if late is not None and not self._tried(self._admitted(self._admission, late)):
            self._late = late
        self.tick()
        self._reconsider([release for release, _ in self._admission.waiting])

    def check_writable(self) -> None:
        """What is done now can be written down, it seems. Raises `StateUnwritable`."""
        self._store.catch_up()

    def _tried(self, after: Admission, *, compile_it: bool = True, word: Word = RECORDS) -> bool:
        """False: it cannot be written now, and is not in force."""
        try:
            self._turn(after, compile_it=compile_it, word=word)
        except StateUnwritable:
            return False
        return True

    def would_be(self, said: Batch) -> Admission:
        """What would be in force if the source said this now, once all that it gives is ready."""
        return self._admitted(self._admission.asking(ASSUMED), said)

    def _admitted(self, before: Admission, said: Batch) -> Admission:
        return admit(before, said, clock(), folder=self._folder, allow_empty=self._allow_empty)

    def history(self, release: Ref) -> list[Event]:
        """What was done to a release, newest first."""
        return self._store.events(release)

    def past(self, release: Ref) -> Iterator[Event]:
        """The same, of which nothing is read before somebody asks for it."""
        return self._store.past(release)

    def about(self, release: Ref) -> About:
        """What is in force of a release as it was last saved, which may be before anyone is told; and of which app."""
        key = Key("Release", release)
        entry = self._saved.in_force.get(key)
        content = content_of(key, entry.content) if entry is not None else ""
        found = entry or self._admission.in_force.get(key)
        if found is None or not isinstance(found.record, Release):
            return About("", content)
        return About(found.record.refer(found.record.spec.app).word, content)

    def steer(self, after: Admission, release: Ref, done: Done, rows: Sequence[Row] = ()) -> Event:
        """Something was done to a release that the source did not say. `rows` are kept with it, all or nothing.

        Raises `StateUnwritable`, and then nothing was done.
        """
        self._heard = perf_counter()
        event = done_to(release, self._admission, after, done, clock())
        self._turn(after, event=event, also=rows)
        word = event.word
        log.info("steered", release=release.word, kind=event.kind, who=word.who, why=word.why, what=event.what)
        return event

    def keep(self, after: Admission, rows: Sequence[Row] = ()) -> None:
        """Something is to be remembered of a release, by which nothing moves. Raises `StateUnwritable`."""
        self._heard = perf_counter()
        self._turn(after, also=rows)

    def follow_turns(self, hear: Callable[[frozenset[Ref]], None]) -> None:
        """`hear` is told which apps may differ, after each change; of the first complete read, all."""
        self._turned = hear

    def tick(self) -> bool:
        """Time has passed: audiences may have ended. False: that cannot be written now."""
        self._keep_time()
        self._heard = perf_counter()
        return self._tried(tick(self._admission, clock()), compile_it=self.waiting_for is None)

    def _reconsider(self, releases: Iterable[Ref]) -> None:
        """What these releases wait for may be there. Before the first complete read nothing changes."""
        if self.waiting_for is None:
            self._keep_time()
            self._heard = perf_counter()
            after = reconsidered(self._admission, releases, clock())
            self._tried(after, compile_it=bool(after.touched))

    def _keep_time(self) -> None:
        """Who waits does not wait longer, or less long, because somebody has set the clock."""
        offset = clock() - timedelta(seconds=monotonic())
        by = offset - self._offset
        if abs(by) < SET:
            return
        after = set_by(self._admission, by)
        if after is self._admission or self._tried(after, compile_it=False):
            self._offset = offset
            log.info("clock set", by=by.total_seconds())

    def _turn(
        self,
        after: Admission,
        *,
        compile_it: bool = True,
        event: Event | None = None,
        also: Sequence[Row] = (),
        word: Word = RECORDS,
    ) -> None:
        """Compile, then save, then tell: what cannot be compiled is not saved, and what is not saved is not told.

        Raises `StateUnwritable`, and then everything is as it was.
        """
        before, first = self._admission, self.waiting_for is not None
        compiled = self.publishing.compile(after) if compile_it else None
        shifts = release_shifts(before.world, after.world, after.touched)
        history: list[Event] = []
        if self.waiting_for is None or before.in_force:
            shifts = iter(found := list(shifts))
            by_word = (self._words.of(each, after) for each in _history(found, event, word))
            history = [*stopped(by_word, before, after, clock()), *waiting(before, after, clock(), word)]
        order = self.publishing.unsaved() if compile_it else ([], [])
        try:
            self._save(after, history, also, order)
        except StateUnwritable:
            self._store.save_late(*order)
            if compiled is not None:
                self.publishing.take_back()
            raise
        self._admission = after
        self._words.over({each.release for each in history}, after)
        self._count(before)
        if compiled is not None:
            told = self.publishing.publish(compiled, before.world, self._heard)
            self.waiting_for = None
            log_change(before.world, after, told, shifts)
        self.activating.follow(after)
        self.turned.set()
        self.report_soon()
        if self.waiting_for is None:
            apps = after.touched | {self._app_of(key.ref) for key in after.pinned}
            self._turned(frozenset(after.world.apps) if first else apps)

    def _save(
        self,
        after: Admission,
        history: Sequence[Event],
        also: Sequence[Row],
        order: tuple[list[Row], list[RowKey]],
    ) -> None:
        """Before anyone is told. What moves nothing but what records say may be kept later."""
        if self._began_empty and any(key.kind == "Release" for key in after.wanted):
            # Not with the first read: a folder may be empty until what fills it has come.
            self._began_empty = False
            self.unknown |= rolling(after.wanted)
            self._store.save_late(map(unknown_row, sorted(self.unknown)), ())
        kept, forgotten = [*after.rows, *order[0], *also], [*after.forgotten, *order[1]]
        if not (history or also or after.pinned):
            self._saved = after
            if kept or forgotten:
                self._store.save_late(kept, forgotten)
            return
        # Whoever writes down what webhooks are to be told asks what is in force.
        before, self._saved = self._saved, after
        try:
            self.books.save_of({each.release for each in history})
            self._store.save(kept, forgotten, history)
        except StateUnwritable:
            self._saved = before
            raise

    def _app_of(self, release: Ref) -> Ref:
        record = self._admission.in_force.get(Key("Release", release))
        return release if record is None else app_of(record.record) or release

    def _count(self, before: Admission) -> None:
        after = self._admission
        known = before.in_force
        rows = (row for row in after.upserts if not known or Key(row.kind, Ref(row.namespace, row.name)) not in known)
        found = Counter(row.kind for row in rows)
        found.subtract(key.kind for key in after.deletes)
        self._metrics.records(found.items())

    def _reported(self, problems: Set[Problem]) -> None:
        self._metrics.problems(problems)
        self.books.ring()


def _together(late: Batch | None, said: Batch) -> Batch:
    """What could not be written, with what is said by now."""
    if late is None or said.complete:
        return said
    return Batch({**late.files, **said.files}, late.complete)


def _still_late(late: Batch | None, said: Batch) -> Batch | None:
    """What could not be written, where what is said now is in force."""
    if late is None or said.complete:
        return None
    if late.complete:
        return _together(late, said)
    files = {name: each for name, each in late.files.items() if name not in said.files}
    return Batch(files) if files else None


def _history(shifts: Iterable[ReleaseShift], event: Event | None, word: Word) -> list[Event]:
    """What is saved with a turn, before anyone is told: no traffic moves that the history does not show.

    `event`: why it was made, if somebody's word was the reason. `word`: whose it is that records changed.
    """
    found = events(shifts, clock(), word)
    if event is None:
        return list(found)
    return [event, *(each for each in found if each.release != event.release)]
