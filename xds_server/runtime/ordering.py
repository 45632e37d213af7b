"""The fleet order in a running server: it asks the streams who has accepted what, and keeps the time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import replace
from datetime import datetime
from time import monotonic
from typing import NamedTuple

import structlog
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.fleet_order import NOTHING_UNFINISHED, AppOrder, Phase, Step, late_problem
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined
from xds_server.records.admitted import Admission
from xds_server.records.saved import Row
from xds_server.records.world import AppWorld, World
from xds_server.runtime.acceptance import Acceptance
from xds_server.runtime.observers import Nobody
from xds_server.runtime.presence import Presence
from xds_server.runtime.worlds import GatewayWorlds, takes_part
from xds_server.state.unfinished import Moment, RowKey, Saved, proxies_in, proxy_row, unfinished_in
from xds_server.transport.connections import Connections

log = structlog.get_logger()

KEPT = 0.05
"""Seconds in which proxies that come or are gone are one transaction."""


class Follower(NamedTuple):
    """Who hears of it. `keep`: what is `unsaved` shall be saved, before anyone is told. `told`: the worlds of these
    apps are others than before. `note`: what became of a release. `problems`: they may have changed.
    """

    keep: Callable[[], None]
    told: Callable[[frozenset[Ref]], None]
    note: Callable[[Ref, str], None]
    problems: Callable[[], None]


class Ordering(Nobody):
    """The apps of which deployments come or go. Belongs to one event loop."""

    def __init__(
        self,
        worlds: GatewayWorlds,
        connections: Connections,
        follower: Follower,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._worlds = worlds
        self._presence = Presence(connections)
        self._acceptance = Acceptance(worlds, connections, self._presence)
        self._follower = follower
        self._clock = clock
        self._orders: dict[Ref, AppOrder] = {}
        self._heard: dict[str, None] = {}
        self._changed: set[Ref] = set()
        self._before: dict[Ref, AppOrder | None] = {}
        self._saved = Saved()
        self._timer: asyncio.TimerHandle | None = None
        self._keeping: asyncio.TimerHandle | None = None
        self._checking: asyncio.Handle | None = None

    def resume(self, rows: Iterable[Row], world: World, at: datetime) -> None:
        """Go on where the server ended. `world`: what was in force then; its proxies are told from now on."""
        known, moment = list(rows), Moment(self._clock(), at)
        self._presence.recall(proxies_in(known), moment.now)
        self._saved.recall(known)
        for app, unfinished in unfinished_in(known, moment).items():
            self._orders[app] = AppOrder.resumed(world.app(app), unfinished, moment.now)
            self._changed.add(app)

    def unsaved(self, at: datetime) -> tuple[list[Row], list[RowKey]]:
        """The rows that are others than when this was last asked, and those that are gone."""
        moment = Moment(self._clock(), at)
        proxies = self._presence.take_changed()
        rows = [proxy_row(node, at) for node in proxies.values() if node is not None]
        gone = [key for key, node in proxies.items() if node is None]
        changed, self._changed = self._changed, set()
        for app in changed:
            order = self._orders.get(app)
            more, fewer = self._saved.news(app, order.unfinished if order is not None else NOTHING_UNFINISHED, moment)
            rows += more
            gone += fewer
        return rows, gone

    def end(self) -> None:
        """Do nothing more."""
        for each in (self._timer, self._keeping, self._checking):
            if each is not None:
                each.cancel()

    @property
    def apps(self) -> Set[Ref]:
        """Those of which something is under way."""
        return self._orders.keys()

    def accept(self, before: World, after: World, touched: Iterable[Ref]) -> None:
        """Records have changed. Only apps that have sidecars are told in an order."""
        self._before = {}
        for app in touched:
            order = self._orders.get(app)
            self._before[app] = order and order.copy()
            if self._presence.beside(app):
                order = order or AppOrder(before.app(app))
                order.accept(after.app(app), self._clock())
                self._orders[app] = order
                self._changed.add(app)
            elif self._orders.pop(app, None) is not None:
                self._changed.add(app)
            self._forget(app, after.app(app))
        self._tidy()
        if self._orders:
            self._check_soon()

    def take_back(self) -> None:
        """What was accepted last does not come into force: the order is as it was. Proxies are asked anew."""
        for app, order in self._before.items():
            if order is None:
                self._orders.pop(app, None)
            else:
                self._orders[app] = order
        self._changed |= self._before.keys()
        self._before = {}
        self._tidy()
        if self._orders:
            self._check_soon()

    def outside(self, world: World) -> World:
        """What gateways are told."""
        return _with(world, ((app, order.outside) for app, order in self._orders.items()))

    def inside(self, world: World) -> World:
        """What sidecars are told."""
        return _with(world, ((app, order.inside) for app, order in self._orders.items()))

    def held_back(self, app: Ref) -> frozenset[Ref]:
        """Releases of the app of which gateways are not told yet what they say."""
        return frozenset(self._orders[app].held_back) if app in self._orders else frozenset()

    def waits_for(self, app: Ref, release: Ref) -> str:
        """What keeps gateways from being told of a release of an app: `waits for sidecar api-1 beside order/api@a2 to
        accept order-v2`. Empty: nothing does.
        """
        order = self._orders.get(app)
        if order is None:
            return ""
        waits = " and ".join(self._wait(order, each) for each in sorted(order.lacks(release)))
        return f"waits {waits}" if waits else ""

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """Proxies for which nobody waits any more, while they have not accepted what the others have."""
        for step in self._acceptance:
            if self._acceptance.is_late(step):
                yield late_problem(step, self._acceptance.owed(step), admission)

    @override
    def opened(self, node: Node, mode: str) -> None:
        if takes_part(node):
            self._presence.opened(node)
            self._acceptance.opened(node)
            self._keep_soon()

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self._hear(node)

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._hear(node)

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        """Others will not be told that, and have nothing to say about it."""
        self._hear_of(self._acceptance.waited_for)

    @override
    def closed(self, node: Node, mode: str) -> None:
        """It may come back."""
        self._presence.closed(node, self._clock())
        self._wake_in_time()

    def _hear(self, node: Node) -> None:
        if self._acceptance.concerns(node):
            self._hear_of([node.id])

    def _hear_of(self, proxies: Iterable[str]) -> None:
        self._heard |= dict.fromkeys(proxies)
        if self._heard:
            self._check_soon()

    def _check_soon(self) -> None:
        """Once the streams have taken in what was heard, and proxies are told what was accepted."""
        if self._checking is None:
            self._checking = asyncio.get_running_loop().call_soon(self._check)

    def _keep_soon(self) -> None:
        """A fleet that comes is kept in few transactions."""
        if self._keeping is None and self._presence.has_changed:
            self._keeping = asyncio.get_running_loop().call_later(KEPT, self._keep)

    def _keep(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            self._keeping = None
        self._follower.keep()

    def _check(self) -> None:
        self._checking = None
        heard, self._heard = self._heard, {}
        if self._acceptance.look_at(heard):
            self._follower.problems()
        self._tell(frozenset(app for app, order in self._orders.items() if self._go_on(app, order)))

    def _go_on(self, app: Ref, order: AppOrder) -> bool:
        """Whether proxies have accepted what this app waited for."""
        before, awaited = (order.inside, order.outside), order.awaited
        for step in awaited:
            self._begin(step, app, order)
        over = [step for step in awaited if self._acceptance.is_over(step)]
        if over:
            order.take(over, self._clock())
            self._changed.add(app)
        return (order.inside, order.outside) != before

    def _begin(self, step: Step, app: Ref, order: AppOrder) -> None:
        if step not in self._acceptance:
            self._acceptance.begin(step, app, order.record_of(step.deployment))

    def _tell(self, concerned: frozenset[Ref]) -> None:
        """Keep and say what is new, and come back when the next time is over."""
        self._tidy()
        if self._changed:
            self._keep()
        if concerned:
            self._follower.told(concerned)
            self._check_soon()
        self._wake_in_time()

    def _wake_in_time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [self._presence.wake_at, *(order.wake_at for order in self._orders.values())]
        first = min((each for each in times if each is not None), default=None)
        if first is not None:
            wait = max(0.0, first - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        gone = self._presence.wake(self._clock())
        if gone:
            self._hear_of(gone)
            self._keep_soon()
        concerned = frozenset(app for app, order in self._orders.items() if self._wake_order(app, order))
        self._tell(concerned)

    def _wake_order(self, app: Ref, order: AppOrder) -> bool:
        now = self._clock()
        if order.wake_at is None or order.wake_at > now:
            return False
        for step in order.awaited:
            self._begin(step, app, order)
        before, held = (order.inside, order.outside), order.held_back
        self._changed.add(app)
        for step in order.wake(now):
            if self._acceptance.give_up(step):
                self._report(app, step, [each for each, waits in held.items() if step.deployment in waits])
        return (order.inside, order.outside) != before

    def _report(self, app: Ref, step: Step, releases: Iterable[Ref]) -> None:
        who = self._acceptance.owed(step)
        word = step.deployment.word
        log.warning("proxies are late; the others go on", app=app.word, deployment=word, phase=step.phase, proxies=who)
        for release in sorted(releases):
            self._follower.note(release, f"did not wait any longer for {who} to accept {word}")
        self._follower.problems()

    def _wait(self, order: AppOrder, deployment: Ref) -> str:
        if deployment not in order.of(Phase.APPEARING):
            return f"until the {deployment.word} that was there before is gone"
        who = self._acceptance.owed(Step(deployment, Phase.APPEARING))
        return f"for {who or 'sidecars'} to accept {deployment.word}"

    def _forget(self, app: Ref, after: AppWorld) -> None:
        """The app's records are others: of a deployment that is another one now, ask anew. Of who is late that is no
        news.
        """
        for step in self._acceptance:
            if self._acceptance.app_of(step) != app:
                continue
            gone = step.phase in (Phase.APPEARING, Phase.CHANGING) and step.deployment not in after.deployments
            if gone or not (self._acceptance.is_late(step) or self._is_asked(step)):
                self._acceptance.forget(step)

    def _is_asked(self, step: Step) -> bool:
        """Proxies are asked for what is under way."""
        order = self._orders.get(self._acceptance.app_of(step))
        if order is None or step.deployment not in order.of(step.phase):
            return False
        return order.record_of(step.deployment) == self._acceptance.record_of(step)

    def _tidy(self) -> None:
        for app in [app for app, order in self._orders.items() if not order.under_way]:
            del self._orders[app]
        for step in self._acceptance:
            if not self._matters(step):
                self._acceptance.forget(step)

    def _matters(self, step: Step) -> bool:
        """Somebody waits for it, or is late while that makes a difference."""
        order = self._orders.get(self._acceptance.app_of(step))
        if order is not None and step.deployment in order.of(step.phase):
            return True
        going = order is not None and step.deployment in order.of(Phase.DRAINING)
        return self._acceptance.is_late(step) and (step.phase is not Phase.LEAVING or going)


def _with(world: World, apps: Iterable[tuple[Ref, AppWorld]]) -> World:
    others = [(app, each) for app, each in apps if each is not world.apps.get(app)]
    return replace(world, apps=world.apps.update(others)) if others else world
