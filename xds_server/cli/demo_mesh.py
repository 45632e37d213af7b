"""`xds-server demo --mesh`: an app with a sidecar beside every build, and each request's way drawn as it goes."""

import asyncio
import json
from asyncio import StreamReader
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from typing_extensions import override

from xds_server.cli.demo import (
    LOOPBACK,
    START_LIMIT,
    Live,
    NoDemo,
    beside,
    ended,
    ended_by_signal,
    envoy_process,
    free_ports,
    gateway_port,
    home_in,
    listening,
    tell_change,
    until_ended,
)
from xds_server.cli.demo_order import Component, Place, Ways, builds, order_records, way_line
from xds_server.cli.envoys import find_envoy
from xds_server.domain.addresses import Address
from xds_server.domain.sidecars import Ports
from xds_server.protocol.events import Acked, Node, Send
from xds_server.resources.bootstrap import ProxyNode
from xds_server.runtime.serve import Settings, serving
from xds_server.snapshot import TypeUrl

GATEWAY = "edge"


class MeshLive(Live):
    """Says when the gateway has accepted a change of routes; `all` is set when every proxy has its first ones."""

    def __init__(self, console: Console, proxies: int) -> None:
        super().__init__(console)
        self.all = asyncio.Event()
        self._waiting = proxies
        self._there: set[str] = set()

    @override
    def sent(self, node: Node, send: Send) -> None:
        if node.id == GATEWAY:
            super().sent(node, send)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if acked.type_url == TypeUrl.ROUTES:
            self._there.add(node.id)
            if len(self._there) == self._waiting:
                self.all.set()
        if node.id == GATEWAY:
            super().acked(node, acked)


@dataclass(frozen=True, slots=True)
class MeshRunning:
    """What runs: the ports of the gateway, of the server's admin interface and of each build; the records."""

    port: int
    admin: int
    places: dict[str, Place]
    folder: Path


def run_mesh_demo(port: int, envoy: str, mode: str) -> int:
    return until_ended(lambda console: _mesh_demo(console, port, find_envoy(envoy), mode))


async def _mesh_demo(console: Console, port: int, envoy: str, mode: str) -> None:
    asked = ended_by_signal()
    async with AsyncExitStack() as stack:
        home = home_in(stack)
        gateway, ways = gateway_port(port), Ways()
        xds, admin, *free = free_ports(2 + 3 * len(builds()))
        sides = dict(zip(builds(), zip(free[::3], free[1::3], free[2::3], strict=True), strict=True))
        ports = await stack.enter_async_context(
            listening({build: Component(build, outbound, ways) for build, (_, outbound, _) in sides.items()})
        )
        running = MeshRunning(
            gateway, admin, {each: Place(ports[each], *sides[each]) for each in sides}, home / "records"
        )
        _write(running)
        live = MeshLive(console, len(sides) + 1)
        settings = Settings(running.folder, home / "state", Address(LOOPBACK, xds), Address(LOOPBACK, admin))
        control = await stack.enter_async_context(serving(settings, live))
        for node in _sidecars(running, settings.xds):
            await stack.enter_async_context(envoy_process(envoy, replace(node, mode=mode), _folder(home, node.id)))
        node = replace(ProxyNode.of_gateway(GATEWAY, settings.xds), mode=mode, id=GATEWAY)
        process = await stack.enter_async_context(envoy_process(envoy, node, _folder(home, GATEWAY), PIPE))
        await _all_ready(live, process, home)
        say(console, running, beside("xdsctl"))
        control.reporting.follow(lambda before, after: tell_change(console, sorted(before), sorted(after)))
        drawing = await stack.enter_async_context(asyncio.TaskGroup())
        assert process.stdout is not None
        drawn = drawing.create_task(_draw(console, process.stdout, ways))
        await ended(asked, process)
        drawn.cancel()
    console.print("ended; nothing is left behind")


def _write(running: MeshRunning) -> None:
    running.folder.mkdir()
    for name, text in order_records(running.port, running.places).items():
        (running.folder / name).write_text(text, "utf-8")


def _sidecars(running: MeshRunning, xds: Address) -> Iterator[ProxyNode]:
    for name, place in running.places.items():
        component, _, build = name.partition("@")
        ports = Ports(place.outbound, place.inbound, place.application)
        node = ProxyNode.of_sidecar(f"order/{component}", build, xds, ports)
        yield replace(node, id=name, admin_port=place.admin)


def _folder(home: Path, name: str) -> Path:
    found = home / name
    found.mkdir()
    return found


async def _all_ready(live: MeshLive, gateway: Process, home: Path) -> None:
    if not await ended(live.all, gateway, START_LIMIT):
        raise NoDemo(f"The Envoys did not start serving. They said:\n{_logs(home)}")


def _logs(home: Path) -> str:
    return "".join(log.read_text("utf-8")[-500:] for log in sorted(home.glob("*/envoy.log")))


async def _draw(console: Console, log: StreamReader, ways: Ways) -> None:
    """A line for each request that the gateway has logged."""
    while line := await log.readline():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        console.print(way_line(entry, ways.take(entry.get("request_id", ""))))


def say(console: Console, running: MeshRunning, xdsctl: str) -> None:
    order, folder = f"order.localhost:{running.port}", running.folder
    release, v3 = folder / "release.yaml", "-H 'x-explicit-deployment: order-v3'"
    lines = [
        ("", "[bold]An order app in three versions, with a sidecar beside every build.[/] v1 is worker, api and ui;"),
        ("", "v2 has a new api; v3 a new ui, and review. A path says who calls whom: /api/review at ui."),
        ("", ""),
        ("default: v1", f"curl http://{order}/api"),
        ("v2 by its own host", f"curl http://order-v2.preview.localhost:{running.port}/api"),
        ("v3 by header", f"curl {v3} http://{order}/api/review"),
        ("one worker, v1", f"curl http://{order}/worker/api"),
        ("the same one, v3", f"curl {v3} http://{order}/worker/api"),
        ("v2 has no review: 502", f"curl -i 'http://{order}/api/review?explicit-deployment=order-v2'"),
        ("", ""),
        ("release v3", f"{_released('v3')} {release}"),
        ("roll back to v1", f"{_released('v1')} {release}"),
        ("", ""),
        ("who shares what", f"{xdsctl} builds {folder}"),
        ("who is connected", f"{xdsctl} proxies --server http://{LOOPBACK}:{running.admin}"),
        ("the records", f"{folder}"),
        ("what ui@u2 may call", f"http://{LOOPBACK}:{running.places['ui@u2'].admin}/config_dump"),
        ("the server's log", f"{folder.parent / 'server.log'}"),
        ("", ""),
        ("", "Each request is drawn below, in the colour of its deployment. Ctrl-C ends all of it."),
        ("", ""),
    ]
    for what, line in lines:
        console.print(f"  [dim]{what:<22}[/] {line}" if what else line)


def _released(version: str) -> str:
    """A line that edits the release."""
    return f"sed -i 's/order-v[0-9]*, weight/order-{version}, weight/'"
