"""The fleet order in a running server: it asks the streams who has accepted what, and keeps the time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from time import monotonic

import structlog
from typing_extensions import override

from xds_server.domain.names import Ref, ref
from xds_server.fleet_order import AppOrder, Late, Phase
from xds_server.graph import builds_of
from xds_server.protocol.events import Acked, Nacked, Node
from xds_server.records.world import AppWorld, World
from xds_server.runtime.observers import Nobody
from xds_server.runtime.worlds import GatewayWorlds, delivery_of, sidecar_of
from xds_server.snapshot import Snapshot, TypeUrl
from xds_server.transport.connections import Connection, Connections

log = structlog.get_logger()

ROUTING = (TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST)


class Ordering(Nobody):
    """The apps of which deployments come or go. `changed` is called when their worlds are others than before.

    Belongs to one event loop.
    """

    def __init__(
        self, worlds: GatewayWorlds, connections: Connections, changed: Callable[[frozenset[Ref]], None]
    ) -> None:
        self._worlds = worlds
        self._connections = connections
        self._changed = changed
        self._orders: dict[Ref, AppOrder] = {}
        self._behind: dict[tuple[Ref, Phase], Connection] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._check_is_due = False

    def accept(self, before: World, after: World, touched: Iterable[Ref]) -> None:
        """Records have changed. Only apps that have sidecars are told in an order."""
        with_sidecars = {each.build.app for each in self._worlds.sidecars}
        for app in touched:
            order = self._orders.get(app)
            if app in with_sidecars:
                order = order or AppOrder(before.app(app))
                order.accept(after.app(app), monotonic())
                self._orders[app] = order
            else:
                self._orders.pop(app, None)
        self._tidy()
        self._check_soon()

    def outside(self, world: World) -> World:
        """What gateways are told."""
        return _with(world, ((app, order.outside) for app, order in self._orders.items()))

    def inside(self, world: World) -> World:
        """What sidecars are told."""
        return _with(world, ((app, order.inside) for app, order in self._orders.items()))

    def holds_back(self, app: Ref) -> bool:
        """Gateways are not told yet what a release of the app says."""
        return app in self._orders and bool(self._orders[app].held_back)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self._check_soon()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._check_soon()

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._check_soon()

    def _check_soon(self) -> None:
        if self._orders and not self._check_is_due:
            self._check_is_due = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_is_due = False
        concerned = frozenset(app for app, order in self._orders.items() if self._go_on(app, order))
        self._tell(concerned)

    def _go_on(self, app: Ref, order: AppOrder) -> bool:
        """Whether proxies have accepted what this app waited for."""
        before = order.inside, order.outside
        now = monotonic()
        order.appeared([each for each in order.of(Phase.APPEARING) if self._has_appeared(order, each)], now)
        leaving = order.of(Phase.LEAVING).difference(order.outside.deployments)
        if leaving and not self._are_behind((app, Phase.LEAVING), self._gateways(), self._gateway_is_behind):
            order.left(leaving, now)
        return (order.inside, order.outside) != before

    def _has_appeared(self, order: AppOrder, deployment: Ref) -> bool:
        builds = builds_of(order.accepted.deployments[deployment])
        beside = (each for each in self._connections if (found := sidecar_of(each.node)) and found.build in builds)
        return not self._are_behind((deployment, Phase.APPEARING), beside, self._sidecar_is_behind)

    def _are_behind(
        self, what: tuple[Ref, Phase], proxies: Iterable[Connection], behind: Callable[[Connection], bool]
    ) -> bool:
        """Who was behind the last time is asked first: as a rule nobody else has to be."""
        last = self._behind.pop(what, None)
        found = last if last is not None and last in self._connections.of(last.node.id) and behind(last) else None
        found = found or next((each for each in proxies if behind(each)), None)
        if found is not None:
            self._behind[what] = found
        return found is not None

    def _gateways(self) -> Iterator[Connection]:
        return (each for each in self._connections if sidecar_of(each.node) is None)

    def _sidecar_is_behind(self, proxy: Connection) -> bool:
        found = sidecar_of(proxy.node)
        told = self._worlds.told(found) if found is not None else None
        if told is None:
            return True
        return not all(proxy.stream.has(TypeUrl.ROUTES, each) for each in told.of(TypeUrl.ROUTES).values())

    def _gateway_is_behind(self, proxy: Connection) -> bool:
        """It holds routes that are not the newest ones."""
        told = self._worlds.told(ref(proxy.node.cluster), delivery_of(proxy.node, proxy.mode))
        if told is None:
            return False
        known = told.known_to(proxy.node.envoy)
        return any(
            _newest(known, kind, name) not in (None, held.version)
            for kind in ROUTING
            for name, held in proxy.stream.holds(kind).items()
        )

    def _tell(self, concerned: frozenset[Ref]) -> None:
        """Say what is new, and come back when the next time is over."""
        self._tidy()
        if concerned:
            self._changed(concerned)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [order.wake_at for order in self._orders.values() if order.wake_at is not None]
        if times:
            wait = max(0.0, min(times) - monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        for app, order in self._orders.items():
            for late in order.wake(monotonic()):
                self._report(app, late)
        self._tell(frozenset(self._orders))

    def _report(self, app: Ref, late: Late) -> None:
        behind = self._behind.get((late.deployment if late.phase is Phase.APPEARING else app, late.phase))
        log.warning(
            "proxies are late; the others go on",
            app=app.word,
            deployment=late.deployment.word,
            phase=late.phase.value,
            proxy=behind.node.id if behind else None,
        )

    def _tidy(self) -> None:
        for app in [app for app, order in self._orders.items() if not order.under_way]:
            del self._orders[app]
        live = {*self._orders, *(each for order in self._orders.values() for each in order.of(Phase.APPEARING))}
        self._behind = {what: proxy for what, proxy in self._behind.items() if what[0] in live}


def _with(world: World, apps: Iterable[tuple[Ref, AppWorld]]) -> World:
    others = [(app, each) for app, each in apps if each is not world.apps.get(app)]
    return replace(world, apps=world.apps.update(others)) if others else world


def _newest(told: Snapshot, kind: TypeUrl, name: str) -> str | None:
    found = told.find(kind, name)
    if found is not None and found.exact is not None and found.name != name:
        found = found.exact(name)
    return None if found is None else found.version
