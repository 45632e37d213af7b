"""The server as a whole: its tasks, and how they start and end together."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

import structlog
from fastapi import APIRouter

from xds_server.api.admin import Readiness, admin_app
from xds_server.api.descriptions import descriptions_api
from xds_server.api.inventory import inventory_api
from xds_server.api.notifications import notifications_api
from xds_server.api.problems import Standing
from xds_server.api.proxies import proxies_api
from xds_server.api.releases import releases_api
from xds_server.api.rollouts import rollouts_api
from xds_server.api.steering import steering_api
from xds_server.api.traffic import traffic_api
from xds_server.api.unused import unused_api
from xds_server.api.writing import writing_api
from xds_server.difference.whence import whence
from xds_server.domain.addresses import Address, is_loopback
from xds_server.domain.errors import StateUnwritable, XdsServerError, leaves
from xds_server.ports import Observer
from xds_server.runtime import logs
from xds_server.runtime.bookkeeping import Bookkeeping
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.runtime.describing import Descriptions
from xds_server.runtime.extensions import extender_of
from xds_server.runtime.finishing import Finishing
from xds_server.runtime.garbage import building
from xds_server.runtime.http import CannotListen, http_server, listen
from xds_server.runtime.inventory import Inventory
from xds_server.runtime.judging import Judging
from xds_server.runtime.keeping import Keeping
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.notifying import notifier_of
from xds_server.runtime.observers import Everyone
from xds_server.runtime.promoting import AskedOfRollouts
from xds_server.runtime.proxies import ConnectedProxies
from xds_server.runtime.rollouts import Rollouts, Shell
from xds_server.runtime.steering import Steering
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.traffic import Traffic
from xds_server.runtime.unused import Collector
from xds_server.runtime.waiting import Waiting
from xds_server.runtime.watching import Watch
from xds_server.runtime.writing import Writing
from xds_server.sources.ahead import Ahead
from xds_server.sources.files import PATIENCE, FileSource
from xds_server.sources.writing import Writer
from xds_server.state.store import Store
from xds_server.transport.credentials import TlsFiles, server_credentials
from xds_server.transport.server import XdsServer

log = structlog.get_logger()

COLLECTED = 0.01
"""Seconds in which what happens is one report of problems."""
SAVED = 0.05
"""Seconds in which what happens is one transaction of the ledger."""
AGAIN = 1.0
"""Seconds after which the ledger is written again that could not be."""
GATHERED = 10.0
"""Seconds after which a proxy that has not come back since a restart is gone."""
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - nobody listens there by this
GRACE = 2.0
"""Seconds that open streams have to end when the server stops."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server is started with."""

    records: Path
    state: Path
    xds: Address
    admin: Address
    allow_empty: bool = False
    log_format: str = "auto"
    tls: TlsFiles | None = None
    extensions: tuple[str, ...] = ()
    extension_timeout: float = 1.0
    ahead: Ahead | None = None
    webhooks: Path | None = None
    probe: bool = True


class _Stop(Exception):
    """Somebody asked the server to end."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. The exit code: 0 if it was asked to end, 1 if it could not start."""
    logs.configure(settings.log_format)
    code = 0
    try:
        asyncio.run(_until_signalled(settings))
    except* XdsServerError as failures:
        code = 1
        for failure in leaves(failures):
            print(f"xds-server: {failure}", file=sys.stderr)  # noqa: T201 - why it did not start, for a person
    return code


async def _until_signalled(settings: Settings) -> None:
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with serving(settings):
        await asked.wait()
        log.info("stopping")


@asynccontextmanager
async def serving(settings: Settings, *observers: Observer) -> AsyncIterator[Control]:
    """A running server. Leaving ends it; what fails in it ends whoever waits inside."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        store = stack.enter_context(Store.open(settings.state))
        notifier = notifier_of(settings.webhooks, store.unsent, clock)
        admin_socket = stack.enter_context(listen(settings.admin, "--admin"))
        extender = await stack.enter_async_context(extender_of(settings.extensions, settings.extension_timeout))
        with building():
            control = Control(
                str(settings.records), store, metrics, allow_empty=settings.allow_empty, extender=extender
            )
        stack.callback(control.end)
        if not settings.probe:
            control.activating.ask_nobody()
        control.reporting.report_later(_once_proxies_are_told)
        control.reporting.report_of(notifier)
        notifier.listen(store.unsent, control.about, control.report_soon)
        metrics.registry.register(notifier)
        proxies = ConnectedProxies(control.connections, control.worlds, control.books, lambda: control.admission.world)
        everyone = Everyone(metrics, *control.observers, proxies, *observers)
        telemetry = Telemetry(store.counted, has_stream=lambda node: bool(control.connections.of(node)))
        metrics.registry.register(Traffic(telemetry, lambda: control.admission.world))
        writer = Writer(settings.records)
        rollouts = _rollouts(control, store, telemetry, writer)
        xds = XdsServer(control.worlds, everyone, control.connections, take=telemetry.take)
        port = await _start(xds, settings)
        more = (proxies_api(proxies), notifications_api(notifier), *_apis(control, telemetry, rollouts, writer))
        admin = http_server(admin_app(lambda: _readiness(control), metrics.registry, lambda: _standing(control), more))
        log.info(
            "serving",
            xds=str(settings.xds._replace(port=port)),
            admin=str(settings.admin._replace(port=admin_socket.getsockname()[1])),
            records=str(settings.records),
        )
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(admin.serve([admin_socket]))
                source = FileSource(settings.records, PATIENCE, settings.ahead)
                tasks.create_task(_follow(source, control))
                tasks.create_task(_tick(control))
                tasks.create_task(_keeping(control, store).work())
                tasks.create_task(control.activating.probing.work())
                tasks.create_task(extender.work(control.publishing))
                tasks.create_task(_save(control.books))
                tasks.create_task(_gather(control.books))
                tasks.create_task(notifier.work())
                tasks.create_task(telemetry.work())
                tasks.create_task(telemetry.save())
                tasks.create_task(rollouts.work())
                yield control
                raise _Stop
        except* _Stop:
            pass
        finally:
            admin.should_exit = True
            await xds.stop(GRACE)


def _apis(control: Control, telemetry: Telemetry, rollouts: Rollouts, writer: Writer) -> tuple[APIRouter, ...]:
    """What is asked, and said, of what is in force."""
    asked = AskedOfRollouts(rollouts)
    watch = Watch(telemetry, lambda: control.admission.world, control.books.live, clock)
    writing = Writing(control, writer, asked)
    return (
        releases_api(Waiting(control.books, lambda: control.admission, control.waits_for), _turn),
        steering_api(Steering(control, lambda: rollouts.freezing.frozen)),
        rollouts_api(asked),
        writing_api(writing),
        unused_api(Collector(control, telemetry, writing)),
        traffic_api(watch),
        descriptions_api(Descriptions(control, telemetry, watch, asked.found)),
        inventory_api(_inventory(control, asked)),
    )


def _inventory(control: Control, rollouts: AskedOfRollouts) -> Inventory:
    return Inventory(lambda: control.admission, lambda: control.books.ledger, control.waits_for, rollouts.said)


def _keeping(control: Control, store: Store) -> Keeping:
    keeping = Keeping(store, control)
    store.failed = keeping.hear
    control.reporting.report_of(keeping)
    return keeping


def _rollouts(control: Control, store: Store, telemetry: Telemetry, writer: Writer) -> Rollouts:
    finishing = Finishing(writer, lambda: control.admission)
    shell = Shell(control.books.live, finishing.write, clock, monotonic)
    rollouts = Rollouts(control, store, Judging(telemetry), shell)
    control.follow_turns(rollouts.hear)
    control.reporting.report_of(rollouts)
    return rollouts


async def _start(xds: XdsServer, settings: Settings) -> int:
    """The port: of `HOST:0` it is known only now."""
    address = settings.xds
    credentials = server_credentials(settings.tls, clock) if settings.tls else None
    if (settings.tls is None or settings.tls.client_ca is None) and not is_loopback(address.host):
        fix = "give --xds-cert, --xds-key and --xds-client-ca, or keep the port where only proxies can reach it"
        log.warning("anybody who reaches the xds port is told everything, private keys too", xds=str(address), fix=fix)
    if not is_loopback(settings.admin.host) and settings.admin.host not in EVERYWHERE:
        fix = "listen on 0.0.0.0 or [::], and give commands to 127.0.0.1 or [::1]"
        log.warning("nobody can change anything by --admin: loopback is not there", admin=str(settings.admin), fix=fix)
    try:
        return await xds.start(str(address), credentials)
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on --xds {address}: is the port in use? Choose another --xds") from error


def _readiness(control: Control) -> Readiness:
    if control.waiting_for is None:
        return Readiness(ready=True, because="records are in force")
    return Readiness(ready=False, because=f"waiting for {control.waiting_for}")


async def _turn() -> None:
    """Others have their turn."""
    await asyncio.sleep(0)


def _once_proxies_are_told(act: Callable[[], None]) -> None:
    """A storm of refusals is one report, too."""
    asyncio.get_running_loop().call_later(COLLECTED, act)


def _standing(control: Control) -> Standing:
    admission = control.admission
    return Standing(admission.world, control.problems, lambda release: whence(admission, release))


async def _follow(source: FileSource, control: Control) -> None:
    async with aclosing(source.follow()) as batches:
        async for said in batches:
            with building() if control.waiting_for is not None else nullcontext():
                control.hear(said)


async def _save(books: Bookkeeping) -> None:
    """Keep the ledger: what happens within a short time is written at once, and not in the way of what is sent."""
    try:
        while True:
            await books.unsaved.wait()
            await asyncio.sleep(SAVED)
            try:
                books.save()
            except StateUnwritable:
                await asyncio.sleep(AGAIN)
    finally:
        with suppress(StateUnwritable):
            books.save_all()


async def _gather(books: Bookkeeping) -> None:
    """Proxies that were behind when the server ended have some time to come back."""
    await books.began.wait()
    await asyncio.sleep(GATHERED)
    books.go_on()


async def _tick(control: Control) -> None:
    """Wake at the instant at which an audience ends, or when that may have changed."""
    while True:
        control.turned.clear()
        wake_at = control.admission.wake_at
        wait = None if wake_at is None else max(0.0, (wake_at - clock()).total_seconds())
        try:
            async with asyncio.timeout(wait):
                await control.turned.wait()
        except TimeoutError:
            if not control.tick():
                await control.turned.wait()
