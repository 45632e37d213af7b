"""Telling webhooks: what the state directory has for each is sent until it is taken, each webhook for itself."""

import asyncio
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import random
from time import monotonic
from typing import Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from xds_server.api.notifications import Failed, Notifications, PingReport, WebhookReport
from xds_server.difference.history import Event
from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.notifications.configuration import read_configuration
from xds_server.notifications.message import About, ping
from xds_server.notifications.outbox import Outbox
from xds_server.notifications.outcome import Outcome, Verdict
from xds_server.notifications.webhook import Notification, Notifying, Webhook
from xds_server.records.admitted import Admission
from xds_server.state.notifications import Unsent

log = structlog.get_logger()

TOO_MANY = "so many wait that the oldest are dropped"
READ = 200
"""Notifications that are read at once."""
METRIC = "xds_server_notifications"
FAILING = 5
"""Tries in vain, one after the other, after which it is a problem."""


class Poster(Protocol):
    """Who sends to one webhook."""

    def open(self) -> AbstractAsyncContextManager[object]: ...

    async def post(self, name: str, body: bytes) -> Outcome: ...


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of tries since the server began. `vain`: those since the last that was not."""

    delivered: int = 0
    failed: int = 0
    given_up: int = 0
    dropped: int = 0
    vain: int = 0
    last_success: datetime | None = None
    last_error: Failed | None = None
    trouble: str = ""


class Courier:
    """Tells one webhook. Belongs to one event loop."""

    def __init__(self, webhook: Webhook, poster: Poster, unsent: Unsent, clock: Callable[[], datetime]) -> None:
        self.webhook = webhook
        self.outbox = Outbox(random)
        self.tally = Tally()
        self.woken = asyncio.Event()
        self.changed: Callable[[], object] = lambda: None
        """Called when `tally.trouble` comes or goes."""
        self._poster = poster
        self._unsent = unsent
        self._clock = clock
        self._last = 0

    async def work(self) -> None:
        """Until cancelled. What is on its way then is sent again by the next server."""
        async with self._poster.open(), asyncio.TaskGroup() as tasks:
            while True:
                await asyncio.sleep(0)  # much that waits is read in parts, between which others have their turn
                self.woken.clear()
                self._read()
                for number in self.outbox.take(monotonic()):
                    tasks.create_task(self._try(number))
                wakes = self.outbox.wakes()
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if wakes is None else wakes - monotonic()):
                        await self.woken.wait()

    async def ping(self, source: str) -> Outcome:
        """One try to say that nothing happened, beside what waits."""
        name, now = uuid4().hex, self._clock()
        return await self._poster.post(name, ping(self.webhook.name, source, name, now).encode())

    @property
    def oldest(self) -> timedelta:
        """For how long that has waited which has waited longest."""
        oldest = self.outbox.oldest
        return timedelta() if oldest is None else max(self._clock() - oldest.at, timedelta())

    def _read(self) -> None:
        """What the state directory has more than before."""
        found = self._unsent.after(self.webhook.name, self._last, READ)
        if not found:
            return
        self._last = found[-1].number
        dropped = self.outbox.add(found)
        if dropped:
            self._unsent.forget(dropped)
            self._count(replace(self.tally, dropped=self.tally.dropped + len(dropped)), TOO_MANY)
            log.warning("notifications dropped", webhook=self.webhook.name, count=len(dropped))
        if len(found) == READ:
            self.woken.set()

    async def _try(self, number: int) -> None:
        message = self._unsent.message(number)
        outcome = await self._poster.post(message.id, message.body.encode())
        tries = self.outbox.tries(number) + 1
        found = self.outbox.heard(number, outcome, monotonic())
        if found is Verdict.AGAIN:
            self._unsent.tried(number, tries)
        else:
            self._unsent.forget([number])
        self._hear(outcome, found, message.id)
        self.woken.set()

    def _hear(self, outcome: Outcome, verdict: Verdict, name: str) -> None:
        now, tally = self._clock(), self.tally
        if verdict is Verdict.DELIVERED:
            self._count(replace(tally, delivered=tally.delivered + 1, vain=0, last_success=now))
            return
        if verdict is Verdict.GIVEN_UP:
            log.warning("notification given up", webhook=self.webhook.name, id=name, why=outcome.why)
        elif not tally.vain:
            log.info("notification not taken", webhook=self.webhook.name, id=name, why=outcome.why)
        given_up = tally.given_up + (verdict is Verdict.GIVEN_UP)
        tally = replace(tally, failed=tally.failed + 1, vain=tally.vain + 1, given_up=given_up)
        trouble = outcome.why if tally.vain >= FAILING else ""
        self._count(replace(tally, last_error=Failed(at=now, why=outcome.why)), trouble)

    def _count(self, tally: Tally, trouble: str = "") -> None:
        """A trouble stays what it was at first, so that it is one problem, until something is taken."""
        before = self.tally.trouble
        self.tally = replace(tally, trouble=(before or trouble) if tally.vain else trouble)
        if before != self.tally.trouble:
            self.changed()


class Notifier(Notifications, Collector):
    """All webhooks of a server. `source`: what messages say that they are from. `file`: that names the webhooks."""

    def __init__(self, couriers: Sequence[Courier] = (), source: str = "", file: str = "") -> None:
        self._couriers = couriers
        self._source = source
        self._file = file

    def listen(self, unsent: Unsent, about: Callable[[Ref], About], changed: Callable[[], None]) -> None:
        """From now on what is saved is told. `changed` is called when `problems` may have changed."""
        if not self._couriers:
            return
        webhooks = tuple(each.webhook for each in self._couriers)
        notifying = Notifying(webhooks, self._source, about, lambda: uuid4().hex)
        gone = unsent.forget_others(each.name for each in webhooks)
        if gone:
            log.warning("notifications dropped", count=gone, because="their webhooks are not configured any more")

        def notify(told: Iterable[tuple[Event, str]]) -> Iterator[Notification]:
            """Whoever is told reads it when it is saved: nobody has a turn before."""
            found = list(notifying.notifications(told))
            concerned = {each.webhook for each in found}
            for each in self._couriers:
                if each.webhook.name in concerned:
                    each.woken.set()
            return iter(found)

        unsent.notify = notify
        for each in self._couriers:
            each.changed = changed

    async def work(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in self._couriers:
                tasks.create_task(each.work())

    def problems(self, _admission: Admission) -> Iterator[Problem]:
        """Webhooks that do not take what they are told."""
        for each in self._couriers:
            if each.tally.trouble:
                what = f"webhook {each.webhook.name} does not take what it is told: {each.tally.trouble}"
                fix = "Mend the receiver, or what the file says of it; look with xdsctl notifications"
                yield Problem(Place(self._file), Reason.UNDELIVERED, what, fix, severity=Severity.WARNING)

    @override
    def reports(self) -> tuple[WebhookReport, ...]:
        return tuple(map(_report, self._couriers))

    @override
    async def ping(self, webhook: str) -> PingReport | None:
        found = next((each for each in self._couriers if webhook in (each.webhook.name, each.webhook.url)), None)
        if found is None:
            return None
        outcome = await found.ping(self._source)
        return PingReport(
            webhook=found.webhook.name, delivered=outcome.is_delivered, status=outcome.status, why=outcome.why
        )

    @override
    def collect(self) -> Iterator[Metric]:
        """Asked for when somebody looks."""
        delivered = CounterMetricFamily(f"{METRIC}_delivered", "Notifications delivered.", labels=["webhook"])
        failed = CounterMetricFamily(f"{METRIC}_failed", "Tries to deliver one in vain.", labels=["webhook"])
        lost = CounterMetricFamily(f"{METRIC}_lost", "Notifications not delivered.", labels=["webhook", "reason"])
        waiting = GaugeMetricFamily(f"{METRIC}_waiting", "Notifications not taken yet.", labels=["webhook"])
        oldest = GaugeMetricFamily(f"{METRIC}_oldest_seconds", "Since when the oldest waits.", labels=["webhook"])
        for each in self._couriers:
            name, tally = each.webhook.name, each.tally
            delivered.add_metric([name], tally.delivered)
            failed.add_metric([name], tally.failed)
            lost.add_metric([name, Verdict.GIVEN_UP.value], tally.given_up)
            lost.add_metric([name, "dropped"], tally.dropped)
            waiting.add_metric([name], len(each.outbox))
            oldest.add_metric([name], each.oldest.total_seconds())
        yield from (delivered, failed, lost, waiting, oldest)


def _report(courier: Courier) -> WebhookReport:
    webhook, tally = courier.webhook, courier.tally
    return WebhookReport(
        name=webhook.name,
        url=urlsplit(webhook.url)._replace(query="").geturl(),
        kinds=tuple(sorted(webhook.kinds)),
        releases=webhook.releases,
        waiting=len(courier.outbox),
        oldest=courier.oldest.total_seconds(),
        delivered=tally.delivered,
        failed=tally.failed,
        given_up=tally.given_up,
        dropped=tally.dropped,
        last_success=tally.last_success,
        last_error=tally.last_error,
    )


def notifier_of(file: Path | None, unsent: Unsent, clock: Callable[[], datetime]) -> Notifier:
    """Whoever a file names; None: nobody. Raises `WebhooksUnusable`."""
    if file is None:
        return Notifier()
    from xds_server.runtime.posting import Poster, WebhooksUnusable  # noqa: PLC0415 - only who tells pays for it

    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no text"
        raise WebhooksUnusable(f"--webhooks {file} cannot be read: {why}. Name another file") from None
    found, problems = read_configuration(str(file), text)
    if found is None:
        raise WebhooksUnusable("\n".join(map(str, problems)))
    webhooks = [each.webhook() for each in found.webhooks]
    couriers = [Courier(each, Poster(each, file.parent, clock), unsent, clock) for each in webhooks]
    return Notifier(couriers, found.source or f"xds-server://{socket.gethostname()}", str(file))
