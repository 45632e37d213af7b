"""What proxies are told: what is in force is compiled, and whom it concerns is told.

The same records come to mean something else when proxies have accepted what others waited for, when an extension has
made something of a resource, and when sidecars come.
"""

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter

import structlog
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.ledger.carrier import versions_of
from xds_server.ledger.content import content_of
from xds_server.ledger.ledger import Change, Published
from xds_server.mesh import NO_MESH, compile_mesh
from xds_server.pipeline import EMPTY, Compilation, compile_world
from xds_server.ports import Observer
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import Release
from xds_server.records.saved import PROXY, UNFINISHED, Row
from xds_server.records.world import World
from xds_server.resources.extensions import Call, Extensions
from xds_server.resources.gateways import GatewayParts
from xds_server.runtime.bookkeeping import Bookkeeping
from xds_server.runtime.change_log import some_of
from xds_server.runtime.clock import clock
from xds_server.runtime.connected import Connected
from xds_server.runtime.extending import Extending
from xds_server.runtime.extensions import Caller, Extender
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.ordering import Follower, Ordering
from xds_server.runtime.refusals import Refusals, StandingRefusals
from xds_server.runtime.worlds import Fleet, GatewayWorlds
from xds_server.snapshot import Delivery, TypeUrl
from xds_server.state.extended import extended_in, extended_key, extended_row
from xds_server.state.store import Store
from xds_server.state.unfinished import RowKey
from xds_server.transport.connections import Connections

log = structlog.get_logger()


class Publishing(Caller):
    """Belongs to one event loop; never awaits.

    `admission` is what is in force, `changed` is called when `problems` may have changed.
    """

    def __init__(
        self,
        store: Store,
        metrics: Metrics,
        extender: Extender,
        admission: Callable[[], Admission],
        changed: Callable[[], None],
    ) -> None:
        self.worlds = GatewayWorlds()
        self.connections = Connections()
        self.refusals = Refusals(self._wanted, self.worlds.quarantined, changed)
        standing = StandingRefusals(self.refusals, self.connections, self.worlds.holds_back, admission)
        self.books = Bookkeeping(store, self.connections, clock, standing)
        follower = Follower(self.keep_order, self._reorder, self.books.note, changed)
        self._ordering = Ordering(self.worlds, self.connections, follower)
        self._store = store
        self._metrics = metrics
        self._admission = admission
        self._changed = changed
        self._connected = Connected(changed)
        self._extending = Extending(extender)
        self._compilation = EMPTY
        self._mesh = NO_MESH
        self._late: dict[Ref, frozenset[Ref]] = {}
        self._unfinished: list[Row] = []
        self._heard = perf_counter()
        self.worlds.follow_sidecars(self._tell_sidecars)
        metrics.trials(lambda: self.worlds.trials)

    def recall(self, rows: Iterable[Row]) -> None:
        """What was told, and made by extensions, before this process began."""
        known = list(rows)
        self._unfinished = [row for row in known if row.kind in (UNFINISHED, PROXY)]
        self._extending.recall(extended_in(known))

    def end(self) -> None:
        """Do nothing by itself any more."""
        self._ordering.end()

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Who must hear what happens on streams."""
        return self.refusals, self._connected, self.books, self._ordering

    @property
    def compiled(self) -> tuple[Compilation, Extensions]:
        """What gateways are told, and what extensions make of it."""
        return self._compilation, self._extending.known

    def waits_for(self, app: Ref, release: Ref) -> str:
        """What keeps gateways from being told of a release of an app that is in force; empty if nothing does."""
        return self._ordering.waits_for(app, release)

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """What extensions, and what proxies say and are, makes wrong."""
        yield from self._extending.problems(admission, self._connected.oldest)
        yield from self.refusals.problems(admission)
        yield from self._connected.problems(admission)
        yield from self._ordering.problems(admission)

    def compile(self, after: Admission) -> Compilation:
        """What gateways would be told once this is in force, which it is not yet."""
        with self._metrics.compilation.time():
            if self._compilation is EMPTY:
                self._resume(after)
                return compile_world(self._ordering.outside(after.world), EMPTY, None, self._extending.known)
            self._ordering.accept(self._admission().world, after.world, after.touched)
            world = self._ordering.outside(after.world)
            return compile_world(world, self._compilation, after.touched, self._extending.known)

    def take_back(self) -> None:
        """What was compiled last does not come into force."""
        self._ordering.take_back()
        self.keep_order()

    def _resume(self, after: Admission) -> None:
        """The fleet order, as it was. Without a state nobody knows what proxies have, and everybody is told all."""
        before = self._admission()
        if before.in_force:
            self._ordering.resume(self._unfinished, before.world, clock())
            self._ordering.accept(before.world, after.world, after.touched | self._ordering.apps)
        self._unfinished = []

    def publish(self, compiled: Compilation, before: World, heard: float) -> list[Ref]:
        """What is in force now is compiled so: which gateways are told something else.

        `before`: what was in force, if that was told. `heard`: when the change was heard of, by `perf_counter`.
        """
        self._heard = heard
        self._follow(compiled)
        first = self._compilation is EMPTY
        told = self._publish(compiled, self._admission().touched)
        self._enter(World() if first else before, complete=first)
        return told

    def _follow(self, compiled: Compilation) -> None:
        if self._compilation is not EMPTY:
            self._extending.follow(compiled, self._admission().touched)
            return
        self._extending.follow(compiled, compiled.world.apps)
        unused = self._extending.forget_unused()
        if unused:
            self._store.save_late((), map(extended_key, unused))

    def _publish(self, compiled: Compilation, apps: Iterable[Ref]) -> list[Ref]:
        """Tell who it concerns, and say who that was. Before the first complete read nobody is told (R7)."""
        self._compilation = compiled
        self._tell_sidecars(apps)
        for gone in self.worlds.forget(set(compiled.gateways)):
            self._metrics.gone(gone)
        return [ref for ref, parts in compiled.gateways.items() if self._tell(ref, parts)]

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

    def _tell_sidecars(self, touched: Iterable[Ref]) -> None:
        """Before the first complete read nobody is told (R7)."""
        if self._compilation is EMPTY:
            return
        before = self._mesh
        concerned = self.worlds.apps if before is NO_MESH else touched
        wanted = {app: kinds for app in concerned if (kinds := self.worlds.sidecars(app)) or app in before.sidecars}
        world = self._ordering.inside(self._admission().world)
        self._mesh = compile_mesh(world, self._compilation.secrets[None], before, wanted)
        for kind in self._mesh.changed if self._mesh is not before else ():
            self.worlds.publish(kind, dict.fromkeys(Delivery, self._mesh.snapshots[kind]))

    def _enter(self, before: World, apps: frozenset[Ref] | None = None, *, complete: bool = False) -> None:
        """Into the ledger: which releases differ from those of a world, and what their proxies are told."""
        admission, compiled = self._admission(), self._compilation
        touched = frozenset(admission.world.apps) if complete else admission.touched if apps is None else apps
        late = {**self._late, **{app: self._late_of(app) for app in touched}}
        self._late = {app: releases for app, releases in late.items() if releases}
        told = {
            (gateway, delivery): snapshot
            for gateway, parts in compiled.gateways.items()
            for delivery, snapshot in parts.snapshots.items()
        }
        changes = () if apps is not None else _changes(before, admission, touched)
        behind = frozenset[Ref]().union(*self._late.values())
        self.books.publish(Published(compiled.serial, changes, told, behind, complete=complete))

    def _late_of(self, app: Ref) -> frozenset[Ref]:
        """Its releases of which is not told yet all that their records say."""
        if self._extending.is_late(app):
            return frozenset(self._admission().world.app(app).releases)
        return self._ordering.held_back(app)

    @override
    def wants(self, call: Call) -> bool:
        return self._extending.wants(call)

    @override
    def extended(self, call: Call) -> None:
        """Something has come of a call of extensions."""
        self._heard = perf_counter()
        made = self._extending.settle(call)
        if made is not None:
            self._store.save_late([extended_row(call.slot, made, clock())], ())
        apps = frozenset[Ref]() if call.app is None else frozenset([call.app])
        concerned = self._again(apps)
        if concerned:
            log.info("extended", resource=call.slot.name, gateways=some_of(frozenset(concerned)))

    def unsaved(self) -> tuple[list[Row], list[RowKey]]:
        """The rows of the fleet order that are others than when this was last asked, and those that are gone."""
        return self._ordering.unsaved(clock())

    def keep_order(self) -> None:
        """Before the first complete read what is kept is what was."""
        if self._compilation is not EMPTY:
            rows, gone = self.unsaved()
            if rows or gone:
                self._store.save_late(rows, gone)

    def _reorder(self, apps: frozenset[Ref]) -> None:
        """Proxies have accepted what others waited for."""
        self._heard = perf_counter()
        concerned = self._again(apps)
        log.info("next in order", apps=some_of(apps), gateways=some_of(frozenset(concerned)))

    def _again(self, apps: frozenset[Ref]) -> list[Ref]:
        """The records are the same, and something else differs of these apps: which gateways are told so."""
        world = self._ordering.outside(self._admission().world)
        compiled = compile_world(world, self._compilation, apps, self._extending.known)
        self._extending.follow(compiled, apps)
        concerned = self._publish(compiled, apps)
        self._enter(self._admission().world, apps)
        self._changed()
        return concerned

    def _wanted(self, fleet: Fleet, type_url: TypeUrl, name: str, version: str) -> bool:
        """Proxies of the fleet should have this content, in one delivery or another."""
        told = filter(None, (self.worlds.told(fleet, delivery) for delivery in Delivery))
        found = (snapshot.find(type_url, name) for snapshot in told)
        return any(each is not None and version in versions_of(each, name) for each in found)


def _changes(before: World, after: Admission, apps: Iterable[Ref]) -> Iterator[Change]:
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
