"""`xds-server demo`: records, instances, the server and a real Envoy, all on loopback, all ended by Ctrl-C."""

import asyncio
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from rich.console import Console
from rich.text import Text
from typing_extensions import override

from xds_server.cli.demo_shop import INSTANCES, Instance, records
from xds_server.cli.envoys import find_envoy
from xds_server.cli.reports import problem_line
from xds_server.domain.addresses import Address
from xds_server.domain.errors import XdsServerError, leaves
from xds_server.domain.problems import Problem
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.resources.bootstrap import ProxyNode, bootstrap
from xds_server.runtime import logs
from xds_server.runtime.http import HttpServer, listen
from xds_server.runtime.observers import Nobody
from xds_server.runtime.serve import Settings, serving
from xds_server.snapshot import TypeUrl

LOOPBACK = "127.0.0.1"
PORTS = range(5_000, 10_000)
"""Below those that the kernel gives to connections: one of them may take what was free when it was looked for."""
_order = cycle(random.sample(PORTS, len(PORTS)))
"""Each comes again after all others: who was given one may not listen there yet when the next one is asked for."""
START_LIMIT = 20.0
SOON = ("--file-flush-interval-msec", "50")
"""Access logs are read along."""


ROUTING = (TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST)


class NoDemo(XdsServerError):
    """The demo cannot run here."""


class Live(Nobody):
    """Says when Envoy has accepted a change of routes."""

    def __init__(self, console: Console) -> None:
        self.first = asyncio.Event()
        self._console = console
        self._sent: dict[str, float] = {}
        self._held: set[str] = set()

    @override
    def sent(self, node: Node, send: Send) -> None:
        if send.type_url in ROUTING:
            self._sent[send.nonce] = time.perf_counter()

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        sent = self._sent.pop(acked.nonce, None)
        if sent is None:
            return
        names = {each.name for each in acked.resources}
        if names & self._held:
            milliseconds = (time.perf_counter() - sent) * 1000
            self._console.print(f"[green]live[/]: Envoy took the new routes in {milliseconds:.1f} ms")
        self._held |= names
        if acked.type_url == TypeUrl.ROUTES:
            self.first.set()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self._console.print(f"[red]Envoy refused[/] {', '.join(nacked.names)}: {nacked.reason}")


def run_demo(port: int, envoy: str, mode: str) -> int:
    return until_ended(lambda console: _demo(console, port, find_envoy(envoy), mode))


def until_ended(demo: Callable[[Console], Coroutine[Any, Any, None]]) -> int:
    """The exit code: 0 if it was told to end, 1 if it cannot run here, and why is printed."""
    console = Console(highlight=False, soft_wrap=True)
    code = 0
    try:
        asyncio.run(demo(console))
    except* XdsServerError as failures:
        code = 1
        for failure in leaves(failures):
            console.print(f"[red]xds-server demo:[/] {failure}")
    return code


def home_in(stack: AsyncExitStack) -> Path:
    """Where everything is that a demo leaves, and leaves no more: with the log of its server."""
    home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="xds-server-demo-")))
    logs.configure("text", stack.enter_context((home / "server.log").open("w", encoding="utf-8")))
    return home


def ended_by_signal() -> asyncio.Event:
    """Set by SIGTERM and by Ctrl-C."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    return asked


async def _demo(console: Console, port: int, envoy: str, mode: str) -> None:
    asked = ended_by_signal()
    async with AsyncExitStack() as stack:
        home = home_in(stack)
        gateway = gateway_port(port)
        builds = [each for of in INSTANCES.values() for each in of]
        ports = await stack.enter_async_context(listening({each: Instance(each) for each in builds}))
        folder = home / "records"
        folder.mkdir()
        for name, text in records(gateway, ports).items():
            (folder / name).write_text(text, "utf-8")
        xds, admin, envoy_admin = free_ports(3)
        live = Live(console)
        settings = Settings(folder, home / "state", Address(LOOPBACK, xds), Address(LOOPBACK, admin))
        control = await stack.enter_async_context(serving(settings, live))
        gateway_node = ProxyNode.of_gateway("edge", settings.xds)
        node = replace(gateway_node, mode=mode, id="demo", admin_port=envoy_admin)
        process = await stack.enter_async_context(envoy_process(envoy, node, home))
        await first_routes(live, process, home)
        _say(console, Running(gateway, folder, admin, envoy_admin), beside("xdsctl"))
        control.reporting.follow(lambda before, after: tell_change(console, sorted(before), sorted(after)))
        await ended(asked, process)
    console.print("ended; nothing is left behind")


def tell_change(console: Console, before: Iterable[Problem], after: Iterable[Problem]) -> None:
    """A problem that only moved to another line is no news."""
    gone, there = ({_what(each): each for each in problems} for problems in (before, after))
    for what, problem in there.items():
        if what not in gone:
            console.print(problem_line(problem))
    for what, problem in gone.items():
        if what not in there:
            console.print(Text.assemble(("put right", "green"), f": {problem.record or problem.where}: {problem.what}"))


def _what(problem: Problem) -> tuple[str, str, str]:
    return problem.where.file, problem.record, problem.what


async def first_routes(live: Live, process: Process, home: Path) -> None:
    if not await ended(live.first, process, START_LIMIT):
        said = (home / "envoy.log").read_text("utf-8")[-2000:]
        raise NoDemo(f"Envoy did not start serving. It said:\n{said}")


async def ended(event: asyncio.Event, process: Process, limit: float | None = None) -> bool:
    """Wait for the event, or for Envoy's end; whether it was the event."""
    async with asyncio.TaskGroup() as tasks:
        waiting = {tasks.create_task(event.wait()), tasks.create_task(process.wait())}
        await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    return event.is_set()


def gateway_port(wanted: int) -> int:
    try:
        with socket.create_server((LOOPBACK, wanted)) as found:
            port: int = found.getsockname()[1]
            return port
    except OSError as error:
        why = os.strerror(error.errno or 0)  # Python's own words repeat the address
        raise NoDemo(
            f"cannot use port {wanted}: {why}. Choose another: --port 10001, or make demo PORT=10001"
        ) from None


def free_ports(count: int) -> list[int]:
    """Ports that differ: they are held together and let go together."""
    with ExitStack() as held:
        sockets = [held.enter_context(_somewhere()) for _ in range(count)]
        return [each.getsockname()[1] for each in sockets]


def _somewhere() -> socket.socket:
    for port in _order:
        with suppress(OSError):
            return socket.create_server((LOOPBACK, port))
    raise AssertionError("it goes round")


@asynccontextmanager
async def listening(instances: Mapping[str, Any]) -> AsyncIterator[dict[str, int]]:
    """ASGI applications by their builds; where each listens."""
    ports: dict[str, int] = {}
    servers: list[HttpServer] = []
    async with asyncio.TaskGroup() as tasks:
        for build, instance in instances.items():
            bound = listen(Address(LOOPBACK, 0), "an instance's port")
            ports[build] = bound.getsockname()[1]
            server = HttpServer(uvicorn.Config(instance, log_config=None, access_log=False, lifespan="off"))
            servers.append(server)
            tasks.create_task(server.serve([bound]))
        yield ports
        for server in servers:
            server.should_exit = True


@asynccontextmanager
async def envoy_process(binary: str, node: ProxyNode, home: Path, stdout: int | None = None) -> AsyncIterator[Process]:
    """A real Envoy with its files in `home`; leaving ends it. `stdout` None: its log has that, too."""
    config = home / "envoy.json"
    config.write_text(json.dumps(bootstrap(node)), "utf-8")
    options = ("-c", str(config), "--use-dynamic-base-id", "--concurrency", "1", "-l", "warning", *SOON)
    with (home / "envoy.log").open("wb") as log:
        out = log if stdout is None else stdout
        process = await asyncio.create_subprocess_exec(binary, *options, stdout=out, stderr=log, start_new_session=True)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


class Running(NamedTuple):
    """What a demo has: the ports of the gateway, of the server's and of Envoy's admin interface; its records."""

    port: int
    folder: Path
    admin: int
    envoy_admin: int


def beside(program: str) -> str:
    """How to call a program that was installed with this one."""
    place = Path(sys.executable).parent / program
    if shutil.which(program) == str(place):
        return program
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)


def _say(console: Console, running: Running, xdsctl: str) -> None:
    port, folder, admin, envoy_admin = running
    shop = f"shop.localhost:{port}"
    release = folder / "release.yaml"
    lines = [
        ("", "[bold]A shop in two versions behind a real Envoy.[/] v2 has a new web; both share one build of reviews."),
        ("", ""),
        ("default: v1", f"curl -i http://{shop}/"),
        ("v2 by its own host", f"curl -i http://shop-v2.preview.localhost:{port}/"),
        ("v2 by header", f"curl -i -H 'x-explicit-deployment: shop-v2' http://{shop}/"),
        ("v2 by query", f"curl -i 'http://{shop}/?explicit-deployment=shop-v2'"),
        ("Acme's subdomain: v2", f"curl -i http://acme.{shop}/"),
        ("an early adopter: v2", f"curl -i -H 'x-early-adopter: true' http://{shop}/"),
        ("what both share", f"curl -i http://{shop}/reviews"),
        ("no such version: 404", f"curl -i -H 'x-explicit-deployment: shop-v9' http://{shop}/"),
        ("", ""),
        ("release v2", f"{_weights(0, 100)} {release}"),
        ("roll back to v1", f"{_weights(100, 0)} {release}"),
        ("a canary of 10 %", f"{_weights(90, 10)} {release}"),
        ("", ""),
        ("what is wrong", f"{xdsctl} check --server http://{LOOPBACK}:{admin}"),
        ("why is it v1?", f"{xdsctl} explain --server http://{LOOPBACK}:{admin} http://{shop}/"),
        ("the records", f"{folder}"),
        ("what Envoy has", f"http://{LOOPBACK}:{envoy_admin}/config_dump"),
        ("the server's log", f"{folder.parent / 'server.log'}"),
        ("", ""),
        ("", "Ctrl-C ends all of it."),
    ]
    for what, line in lines:
        console.print(f"  [dim]{what:<22}[/] {line}" if what else line)


def _weights(one: int, two: int) -> str:
    """A line that edits the release, whatever its weights are."""
    return f"sed -i -E 's/(v1, weight:) [0-9]+/\\1 {one}/; s/(v2, weight:) [0-9]+/\\1 {two}/'"
