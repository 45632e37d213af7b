"""From what a source says to what proxies are told: one change at a time, saved before anyone hears of it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence, Set
from itertools import islice
from time import perf_counter
from typing import Protocol

import structlog
from typing_extensions import override

from xds_server.difference.history import RECORDS, Done, Event, Kind, Word, events, in_percent, waiting
from xds_server.difference.releases import ReleaseShift, RuleShift, release_shifts
from xds_server.difference.steering import check_pinned, given_back, rolled_back
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Severity
from xds_server.graph import distil, shift
from xds_server.ledger.carrier import versions_of
from xds_server.ledger.content import content_of
from xds_server.ledger.ledger import Change, Published
from xds_server.mesh import NO_MESH, compile_mesh
from xds_server.notifications.message import About
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.ports import Observer
from xds_server.records.admission import admit, pinned, reconsidered, restore, tick, unpinned, unreadable
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.readiness import ASSUMED
from xds_server.records.reading import Batch, Unreadable
from xds_server.records.saved import PROXY, UNFINISHED, Row
from xds_server.records.steered import rolling, unknown_in, unknown_row
from xds_server.records.world import World, app_of
from xds_server.resources.extensions import Call, Extensions
from xds_server.resources.gateways import GatewayParts
from xds_server.runtime.activating import Activating, Told
from xds_server.runtime.bookkeeping import Bookkeeping
from xds_server.runtime.clock import clock
from xds_server.runtime.connected import Connected
from xds_server.runtime.extending import Extending
from xds_server.runtime.extensions import Caller, Extender
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.ordering import Follower, Ordering
from xds_server.runtime.probing import over_the_network
from xds_server.runtime.refusals import Refusals, StandingRefusals
from xds_server.runtime.words import Words
from xds_server.runtime.worlds import Fleet, GatewayWorlds
from xds_server.snapshot import Delivery, TypeUrl
from xds_server.state.extended import extended_in, extended_key, extended_row
from xds_server.state.store import Store
from xds_server.transport.connections import Connections

log = structlog.get_logger()

SHOWN = 20
"""Names in one log line; the rest are counted."""


Later = Callable[[Callable[[], None]], object]


def at_once(act: Callable[[], None]) -> None:
    act()


class Reporter(Protocol):
    """Whoever finds something wrong that no record says."""

    def problems(self, admission: Admission) -> Iterable[Problem]: ...


class Control(Caller):
    """Holds what is in force and publishes what it compiles to. Belongs to one event loop; never awaits."""

    def __init__(
        self, folder: str, store: Store, metrics: Metrics, *, allow_empty: bool, extender: Extender | None = None
    ) -> None:
        self.worlds = GatewayWorlds()
        self.waiting_for: str | None = f"{folder} to be read for the first time"
        self._folder = folder
        self._allow_empty = allow_empty
        self._store = store
        self._metrics = metrics
        self._compilation = EMPTY
        self._mesh = NO_MESH
        self._told = Admission()
        self._heard = perf_counter()
        self._extending = Extending(extender or Extender())
        self._later: Later = at_once
        self._report_is_due = False
        self._refusals = Refusals(self._wanted, self.worlds.quarantined, self._report_soon)
        self._connected = Connected(self._report_soon)
        self.connections = Connections()
        standing = StandingRefusals(self._refusals, self.connections, self.worlds.holds_back, lambda: self._admission)
        self.books = Bookkeeping(store, self.connections, clock, standing)
        follower = Follower(self._keep_order, self._reorder, self.books.note, self._report_soon)
        self._ordering = Ordering(self.worlds, self.connections, follower)
        self.worlds.follow_sidecars(self._tell_sidecars)
        self._late: dict[Ref, frozenset[Ref]] = {}
        self._words = Words()
        self._found: frozenset[Problem] = frozenset()
        self._reporters: tuple[Reporter, ...] = ()
        self._problems_changed: Callable[[Set[Problem], Set[Problem]], None] = lambda _before, _after: None
        self._turned: Callable[[frozenset[Ref]], None] = lambda _apps: None
        metrics.trials(lambda: self.worlds.trials)
        self.turned = asyncio.Event()
        told = Told(self.worlds, self.connections, self.books.ledger)
        ask = over_the_network(lambda: self._admission.world.secrets)
        self.activating = Activating(told, ask, self._reconsider)
        rows = store.load()
        self._began_empty = not rows
        self.unknown = unknown_in(rows)
        """The releases of whose rollouts nobody knows how far they had come: with them, the state began."""
        self._admission = self._saved = restore(rows, clock()).asking(self.activating)
        self._unfinished = [row for row in rows if row.kind in (UNFINISHED, PROXY)]
        self._extending.recall(extended_in(rows))
        metrics.records(Counter(key.kind for key in self._admission.in_force).items())
        log.info("state read", records=len(self._admission.in_force))

    def end(self) -> None:
        """Do nothing by itself any more."""
        self._ordering.end()
        self.activating.end()

    @property
    def admission(self) -> Admission:
        return self._admission

    @property
    def compiled(self) -> tuple[Compilation, Extensions]:
        """What gateways are told, and what extensions make of it."""
        return self._compilation, self._extending.known

    def report_later(self, later: Later) -> None:
        """Problems are in no hurry, and may be many: `later` is given what tells of them, once proxies are told."""
        self._later = later

    def report_of(self, reporter: Reporter) -> None:
        """What this one says is wrong is a problem, too."""
        self._reporters = (*self._reporters, reporter)

    def report_soon(self) -> None:
        """A reporter has something else to say."""
        self._report_soon()

    def follow_problems(self, hear: Callable[[Set[Problem], Set[Problem]], None]) -> None:
        """`hear` is told what was wrong before and is now: at once, and with every change."""
        self._problems_changed = hear
        hear(frozenset(), self._told.findings | self._found)

    def waits_for(self, release: Ref) -> str:
        """What keeps gateways from being told of a release that is in force; empty if nothing does."""
        return self._ordering.waits_for(release)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who must hear what happens on streams."""
        return self._refusals, self._connected, self.books, self._ordering, self.activating

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is wrong, by place: with records, extensions, and what proxies refuse."""
        return tuple(sorted(self._admission.findings | self._found))

    def hear(self, said: Batch | Unreadable, word: Word = RECORDS) -> None:
        """The source has said something, and by whose word."""
        self._heard = perf_counter()
        if isinstance(said, Unreadable):
            self._turn(unreadable(self._admission, self._folder, said.why), compile_it=False)
            if self.waiting_for is not None:
                self.waiting_for = f"{self._folder}: {said.why}"
            return
        with self._metrics.admission.time():
            after = self._admitted(self._admission, said)
        self._words.note(self._admission, after, said.files, word)
        self._turn(after, word=word)

    def would_be(self, said: Batch) -> Admission:
        """What would be in force if the source said this now, once all that it gives is ready."""
        return self._admitted(self._admission.asking(ASSUMED), said)

    def _admitted(self, before: Admission, said: Batch) -> Admission:
        return admit(before, said, clock(), folder=self._folder, allow_empty=self._allow_empty)

    def rollback(self, release: Ref, to: Ref | None, word: Word) -> Event:
        """Give its users another deployment, or what they had before; and pin that. Raises `CannotSteer`."""
        weights = given_back(self._admission, release, to, self._store.events(release))
        ended = rolled_back(self._admission, release, weights, f"{word.who}: {word.why}")
        after = pinned(self._admission, release, weights, Pin(clock(), *word), ended)
        return self.steer(after, release, Done("pinned", word, Kind.ROLLED_BACK))

    def unpin(self, release: Ref, word: Word, *, only_say: bool = False) -> Event:
        """Let a release follow its record again, or only say what that would do. Raises `CannotSteer`."""
        check_pinned(self._admission, release)
        after = unpinned(self._admission, release, clock())
        done = Done("unpinned", word, Kind.UNPINNED)
        return _event(release, self._admission, after, done) if only_say else self.steer(after, release, done)

    def history(self, release: Ref) -> list[Event]:
        """What was done to a release, newest first."""
        return self._store.events(release)

    def content(self, release: Ref) -> str:
        """Of what is in force of a release; empty if nothing is."""
        return self.books.ledger.content(release) or ""

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
        """Something was done to a release that the source did not say. `rows` are kept with it, all or nothing."""
        self._heard = perf_counter()
        event = _event(release, self._admission, after, done)
        self._turn(after, event=event, also=rows)
        word = event.word
        log.info("steered", release=release.word, kind=event.kind, who=word.who, why=word.why, what=event.what)
        return event

    def keep(self, after: Admission, rows: Sequence[Row] = ()) -> None:
        """Something is to be remembered of a release, by which nothing moves."""
        self._heard = perf_counter()
        self._turn(after, also=rows)

    def follow_turns(self, hear: Callable[[frozenset[Ref]], None]) -> None:
        """`hear` is told which apps may differ, after each change; of the first complete read, all."""
        self._turned = hear

    def tick(self) -> None:
        """Time has passed: audiences may have ended."""
        self._heard = perf_counter()
        self._turn(tick(self._admission, clock()), compile_it=self.waiting_for is None)

    def _reconsider(self, releases: Iterable[Ref]) -> None:
        """What these releases wait for may be there. Before the first complete read nothing changes."""
        if self.waiting_for is None:
            self._heard = perf_counter()
            after = reconsidered(self._admission, releases, clock())
            self._turn(after, compile_it=bool(after.touched))

    def _turn(
        self,
        after: Admission,
        *,
        compile_it: bool = True,
        event: Event | None = None,
        also: Sequence[Row] = (),
        word: Word = RECORDS,
    ) -> None:
        """Compile, then save, then tell: what cannot be compiled is not saved, and what is not saved is not told."""
        before, compiled, first = self._admission, self._compilation, self.waiting_for is not None
        if compile_it:
            compiled = self._compile(after)
        rows, gone = self._ordering.unsaved(clock()) if compile_it else ([], [])
        shifts = release_shifts(before.world, after.world, after.touched)
        history: list[Event] = []
        if self.waiting_for is None or before.in_force:
            shifts = iter(found := list(shifts))
            history = [self._words.of(each, after) for each in _history(found, event, word)]
            history += waiting(before, after, clock())
        self._saved = after
        self.books.save_of({each.release for each in history})
        if first and self._began_empty:
            self.unknown |= rolling(after.wanted)
            also = [*also, *map(unknown_row, sorted(self.unknown))]
        kept, forgotten = [*after.rows, *rows, *also], [*after.forgotten, *gone]
        if kept or forgotten or history:
            self._store.save(kept, forgotten, history)
        self._admission = after
        self._count(before)
        if compile_it:
            self._follow(compiled)
            told = self._publish(compiled, after.touched)
            self._enter(World() if self.waiting_for is not None else before.world)
            self.waiting_for = None
            self._log(before.world, told, shifts)
        self.activating.follow(after)
        self.turned.set()
        self._report_soon()
        if self.waiting_for is None:
            apps = after.touched | {self._app_of(key.ref) for key in after.pinned}
            self._turned(frozenset(after.world.apps) if first else apps)

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

    def _compile(self, after: Admission) -> Compilation:
        with self._metrics.compilation.time():
            if self._compilation is EMPTY:
                self._resume(after)
                return compile_world(self._ordering.outside(after.world), EMPTY, None, self._extending.known)
            self._ordering.accept(self._admission.world, after.world, after.touched)
            world = self._ordering.outside(after.world)
            return compile_world(world, self._compilation, after.touched, self._extending.known)

    def _resume(self, after: Admission) -> None:
        """The fleet order, as it was. Without a state nobody knows what proxies have, and everybody is told all."""
        before = self._admission
        if before.in_force:
            self._ordering.resume(self._unfinished, before.world, clock())
            self._ordering.accept(before.world, after.world, after.touched | self._ordering.apps)
        self._unfinished = []

    def _publish(self, compiled: Compilation, apps: Iterable[Ref]) -> list[Ref]:
        """Tell who it concerns, and say who that was. Before the first complete read nobody is told (R7)."""
        self._compilation = compiled
        self._tell_sidecars(apps)
        for gone in self.worlds.forget(set(compiled.gateways)):
            self._metrics.gone(gone)
        return [ref for ref, parts in compiled.gateways.items() if self._tell(ref, parts)]

    def _tell_sidecars(self, touched: Iterable[Ref]) -> None:
        """Before the first complete read nobody is told (R7)."""
        if self._compilation is EMPTY:
            return
        before = self._mesh
        concerned = self.worlds.apps if before is NO_MESH else touched
        wanted = {app: kinds for app in concerned if (kinds := self.worlds.sidecars(app)) or app in before.sidecars}
        world = self._ordering.inside(self._admission.world)
        self._mesh = compile_mesh(world, self._compilation.secrets[None], before, wanted)
        for kind in self._mesh.changed if self._mesh is not before else ():
            self.worlds.publish(kind, dict.fromkeys(Delivery, self._mesh.snapshots[kind]))

    def _enter(self, before: World, apps: frozenset[Ref] | None = None) -> None:
        """Into the ledger: which releases differ from those of a world, and what their proxies are told."""
        admission, compiled = self._admission, self._compilation
        first = self.waiting_for is not None
        touched = frozenset(admission.world.apps) if first else admission.touched if apps is None else apps
        late = {**self._late, **{app: self._late_of(app) for app in touched}}
        self._late = {app: releases for app, releases in late.items() if releases}
        told = {
            (gateway, delivery): snapshot
            for gateway, parts in compiled.gateways.items()
            for delivery, snapshot in parts.snapshots.items()
        }
        changes = () if apps is not None else release_changes(before, admission, touched)
        behind = frozenset[Ref]().union(*self._late.values())
        self.books.publish(Published(compiled.serial, changes, told, behind, complete=first))

    def _late_of(self, app: Ref) -> frozenset[Ref]:
        """Its releases of which is not told yet all that their records say."""
        if self._extending.is_late(app):
            return frozenset(self._admission.world.app(app).releases)
        return self._ordering.held_back(app)

    def _log(self, before: World, concerned: list[Ref], shifts: Iterator[ReleaseShift]) -> None:
        touched = self._admission.touched
        for line in _shifts(before, self._admission.world, touched):
            log.info("builds shifted", **line)
        for shift_ in islice(shifts, SHOWN):
            log.info("release changed", **_release(shift_))
        if touched or concerned:
            log.info("world changed", apps=_few(touched), gateways=_few(frozenset(concerned)))

    def _follow(self, compiled: Compilation) -> None:
        if self._compilation is not EMPTY:
            self._extending.follow(compiled, self._admission.touched)
            return
        self._extending.follow(compiled, compiled.world.apps)
        unused = self._extending.forget_unused()
        if unused:
            self._store.save((), map(extended_key, unused))

    def _tell(self, gateway: Ref, parts: GatewayParts) -> bool:
        if self._extending.holds(gateway):
            self.worlds.expect(gateway)
            return False
        news = self.worlds.publish(gateway, parts.snapshots)
        if news:
            self._metrics.told(gateway, parts.snapshot, len(parts.hosts.bodies), self._heard)
            on_demand = parts.snapshots[Delivery.ON_DEMAND]
            if on_demand is not parts.snapshot:
                self._metrics.flips(on_demand, self._heard)
        return news

    @override
    def wants(self, call: Call) -> bool:
        return self._extending.wants(call)

    @override
    def extended(self, call: Call) -> None:
        """Something has come of a call of extensions."""
        self._heard = perf_counter()
        made = self._extending.settle(call)
        if made is not None:
            self._store.save([extended_row(call.slot, made, clock())], ())
        apps = frozenset[Ref]() if call.app is None else frozenset([call.app])
        concerned = self._again(apps)
        if concerned:
            log.info("extended", resource=call.slot.name, gateways=_few(frozenset(concerned)))

    def _keep_order(self) -> None:
        """Before the first complete read what is kept is what was."""
        if self._compilation is not EMPTY:
            rows, gone = self._ordering.unsaved(clock())
            if rows or gone:
                self._store.save(rows, gone)

    def _reorder(self, apps: frozenset[Ref]) -> None:
        """Proxies have accepted what others waited for."""
        self._heard = perf_counter()
        concerned = self._again(apps)
        log.info("next in order", apps=_few(apps), gateways=_few(frozenset(concerned)))

    def _again(self, apps: frozenset[Ref]) -> list[Ref]:
        """The records are the same, and something else differs of these apps: which gateways are told so."""
        world = self._ordering.outside(self._admission.world)
        compiled = compile_world(world, self._compilation, apps, self._extending.known)
        self._extending.follow(compiled, apps)
        concerned = self._publish(compiled, apps)
        self._enter(self._admission.world, apps)
        self._report_soon()
        return concerned

    def _wanted(self, fleet: Fleet, type_url: TypeUrl, name: str, version: str) -> bool:
        """Proxies of the fleet should have this content, in one delivery or another."""
        told = filter(None, (self.worlds.told(fleet, delivery) for delivery in Delivery))
        found = (snapshot.find(type_url, name) for snapshot in told)
        return any(each is not None and version in versions_of(each, name) for each in found)

    def _report_soon(self) -> None:
        if not self._report_is_due:
            self._report_is_due = True
            self._later(self._report)

    def _report(self) -> None:
        """Each problem is logged when it comes and when it goes."""
        self._report_is_due = False
        admission = self._admission
        proxies: tuple[Reporter, ...] = (self._refusals, self._connected, self._ordering, *self._reporters)
        by_proxies = (problem for each in proxies for problem in each.problems(admission))
        found = self._extending.problems(admission, self._connected.oldest).union(by_proxies)
        if admission.has_problems_of(self._told) and found == self._found:
            return
        before, after = self._told.findings | self._found, admission.findings | found
        for problem in sorted(after - before):
            tell = log.warning if problem.severity is Severity.ERROR else log.info
            tell("problem", reason=problem.reason.value, record=problem.record, problem=str(problem))
        for problem in sorted(before - after):
            log.info("problem gone", reason=problem.reason.value, record=problem.record, where=str(problem.where))
        self._told, self._found = admission, found
        self._metrics.problems(after)
        self.books.ring()
        self._problems_changed(before, after)


def _history(shifts: Iterable[ReleaseShift], event: Event | None, word: Word) -> list[Event]:
    """What is saved with a turn, before anyone is told: no traffic moves that the history does not show.

    `event`: why it was made, if somebody's word was the reason. `word`: whose it is that records changed.
    """
    found = events(shifts, clock(), word)
    if event is None:
        return list(found)
    return [event, *(each for each in found if each.release != event.release)]


def _event(release: Ref, before: Admission, after: Admission, done: Done) -> Event:
    """What was done to a release, with what moves by that."""
    now = clock()
    found = events(release_shifts(before.world, after.world, after.touched), now, done.word)
    moved = next((each for each in found if each.release == release), Event(release, now, done.word, "nothing moves"))
    return moved._replace(what=f"{done.what}; {moved.what}", kind=done.kind, numbers=done.numbers)


def release_changes(before: World, after: Admission, apps: Iterable[Ref]) -> Iterator[Change]:
    """The releases of these apps that are other records than before."""
    found: set[Ref] = set()
    for app in apps:
        one, two = before.app(app).releases, after.world.app(app).releases
        if one is not two:
            found.update(ref for ref in {*one, *two} if one.get(ref) is not two.get(ref))
    for ref in sorted(found):
        key = Key("Release", ref)
        entry = after.in_force.get(key)
        if entry is None or not isinstance(entry.record, Release):
            yield Change(ref, None)
        else:
            yield Change(ref, entry.record, content_of(key, entry.content))


def _shifts(before: World, after: World, touched: frozenset[Ref]) -> Iterator[dict[str, object]]:
    """What deploying and deleting did to the mesh."""
    for app in islice(sorted(touched), SHOWN):
        one, two = before.app(app), after.app(app)
        if one.deployments is not two.deployments:
            found = shift(distil(one.deployments.values()), distil(two.deployments.values()))
            names = {"arrived": found.arrived, "left": found.left, "now_shared": found.shared, "now_owned": found.owned}
            yield {"app": app.word, **{name: _few(frozenset(builds)) for name, builds in names.items() if builds}}


def _release(change: ReleaseShift) -> dict[str, object]:
    """Who gets what from now on, and got until now: weights in percent."""
    rules: dict[str, object] = {each.name: _rule(each) for each in change.rules[:SHOWN]}
    more = len(change.rules) - SHOWN
    hosts = {"hosts_came": change.came, "hosts_went": change.went}
    return {
        "app": change.app.word,
        "release": change.release.word,
        "rules": rules,
        **({"more_rules": more} if more > 0 else {}),
        **{
            name: _few(frozenset(f"{each.host} at {each.gateway.word}" for each in found))
            for name, found in hosts.items()
            if found
        },
    }


def _rule(change: RuleShift) -> dict[str, object]:
    found = {"before": in_percent(change.before), "after": in_percent(change.after)}
    return {**found, "others": True} if change.others else {**found}


def _few(things: frozenset[Ref] | frozenset[object]) -> list[str]:
    words = sorted(str(getattr(thing, "word", thing)) for thing in things)
    return [*words[:SHOWN], f"and {len(words) - SHOWN} more"] if len(words) > SHOWN else words
