"""The fleet order in a running server: it asks the streams who has accepted what, and keeps the time."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from time import monotonic
from typing import NamedTuple

import structlog
from typing_extensions import override

from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem
from xds_server.domain.words import few
from xds_server.fleet_order import AppOrder, Phase, Step, late_problem
from xds_server.protocol.events import Acked, Nacked, Node, Quarantined
from xds_server.records.admitted import Admission
from xds_server.records.world import AppWorld, World
from xds_server.runtime.acceptance import Acceptance
from xds_server.runtime.observers import Nobody
from xds_server.runtime.worlds import GatewayWorlds
from xds_server.transport.connections import Connections

log = structlog.get_logger()

SHOWN = 3
"""Proxies that are named where somebody waits for them; the rest are counted."""


class Follower(NamedTuple):
    """Who hears of it. `told`: the worlds of these apps are others than before. `note`: what became of a release.
    `problems`: they may have changed.
    """

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
        self._acceptance = Acceptance(worlds, connections)
        self._follower = follower
        self._clock = clock
        self._orders: dict[Ref, AppOrder] = {}
        self._heard: dict[str, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._check_is_due = False

    def accept(self, before: World, after: World, touched: Iterable[Ref]) -> None:
        """Records have changed. Only apps that have sidecars are told in an order."""
        for app in touched:
            order = self._orders.get(app)
            if self._worlds.sidecars(app):
                order = order or AppOrder(before.app(app))
                order.accept(after.app(app), self._clock())
                self._orders[app] = order
            else:
                self._orders.pop(app, None)
            self._forget(app, after.app(app))
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

    def waits_for(self, release: Ref) -> str:
        """What keeps gateways from being told of a release: `waits for sidecar api-1 beside order/api@a2 to accept
        order-v2`. Empty: nothing does.
        """
        for order in self._orders.values():
            found = sorted(order.held_back.get(release, ()))
            if found:
                return f"waits {' and '.join(self._wait(order, each) for each in found)}"
        return ""

    def problems(self, admission: Admission) -> Iterator[Problem]:
        """Proxies for which nobody waits any more, while they have not accepted what the others have."""
        for step in self._acceptance:
            if self._acceptance.is_late(step):
                yield late_problem(step, few(self._acceptance.owed(step), SHOWN), admission)

    @override
    def opened(self, node: Node, mode: str) -> None:
        self._acceptance.opened(node)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self._hear(node)

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._hear(node)

    @override
    def quarantined(self, node: Node, quarantined: Quarantined) -> None:
        """Others will not be told that, and have nothing to say about it."""
        self._heard |= dict.fromkeys(self._acceptance.waited_for)
        if self._heard:
            self._check_soon()

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._hear(node)

    def _hear(self, node: Node) -> None:
        if self._acceptance.concerns(node):
            self._heard[node.id] = None
            self._check_soon()

    def _check_soon(self) -> None:
        """Once the streams have taken in what was heard, and proxies are told what was accepted."""
        if not self._check_is_due:
            self._check_is_due = True
            asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._check_is_due = False
        heard, self._heard = self._heard, {}
        if self._acceptance.look_at(heard):
            self._follower.problems()
        self._tell(frozenset(app for app, order in self._orders.items() if self._go_on(app, order)))

    def _go_on(self, app: Ref, order: AppOrder) -> bool:
        """Whether proxies have accepted what this app waited for."""
        before, now = (order.inside, order.outside), self._clock()
        leaving, appearing = order.gone_outside, order.of(Phase.APPEARING)
        for each in leaving:
            self._begin(Step(each, Phase.LEAVING), app, order)
        for each in appearing:
            self._begin(Step(each, Phase.APPEARING), app, order)
        order.left([each for each in leaving if self._acceptance.is_over(Step(each, Phase.LEAVING))], now)
        order.appeared([each for each in appearing if self._acceptance.is_over(Step(each, Phase.APPEARING))], now)
        return (order.inside, order.outside) != before

    def _begin(self, step: Step, app: Ref, order: AppOrder) -> None:
        if step not in self._acceptance:
            self._acceptance.begin(step, app, order.inside.deployments[step.deployment])

    def _tell(self, concerned: frozenset[Ref]) -> None:
        """Say what is new, and come back when the next time is over."""
        self._tidy()
        if concerned:
            self._follower.told(concerned)
            self._check_soon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        times = [order.wake_at for order in self._orders.values() if order.wake_at is not None]
        if times:
            wait = max(0.0, min(times) - self._clock())
            self._timer = asyncio.get_running_loop().call_later(wait, self._wake)

    def _wake(self) -> None:
        concerned = frozenset(app for app, order in self._orders.items() if self._wake_order(app, order))
        self._tell(concerned)

    def _wake_order(self, app: Ref, order: AppOrder) -> bool:
        before, held = (order.inside, order.outside), order.held_back
        for step in order.wake(self._clock()):
            self._begin(step, app, order)
            if self._acceptance.give_up(step):
                self._report(app, step, [each for each, waits in held.items() if step.deployment in waits])
        return (order.inside, order.outside) != before

    def _report(self, app: Ref, step: Step, releases: Iterable[Ref]) -> None:
        who = few(self._acceptance.owed(step), SHOWN)
        word = step.deployment.word
        log.warning("proxies are late; the others go on", app=app.word, deployment=word, phase=step.phase, proxies=who)
        for release in sorted(releases):
            self._follower.note(release, f"did not wait any longer for {who} to accept {word}")
        self._follower.problems()

    def _wait(self, order: AppOrder, deployment: Ref) -> str:
        if deployment not in order.of(Phase.APPEARING):
            return f"until the {deployment.word} that was there before is gone"
        who = few(self._acceptance.owed(Step(deployment, Phase.APPEARING)), SHOWN)
        return f"for {who or 'sidecars'} to accept {deployment.word}"

    def _forget(self, app: Ref, after: AppWorld) -> None:
        """The app's records are others: ask anew. Of who is late that is no news."""
        for step in self._acceptance:
            gone = step.phase is Phase.APPEARING and step.deployment not in after.deployments
            if self._acceptance.app_of(step) == app and (gone or not self._acceptance.is_late(step)):
                self._acceptance.forget(step)

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
        draining = order is not None and step.deployment in order.of(Phase.DRAINING)
        return self._acceptance.is_late(step) and (step.phase is Phase.APPEARING or draining)


def _with(world: World, apps: Iterable[tuple[Ref, AppWorld]]) -> World:
    others = [(app, each) for app, each in apps if each is not world.apps.get(app)]
    return replace(world, apps=world.apps.update(others)) if others else world
