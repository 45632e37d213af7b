"""`xds-server demo --canary`: users on a shop; a healthy v2 is promoted by itself, a v3 that fails is rolled back."""

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live as Display
from rich.padding import Padding
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from xds_server.api.rollouts import RolloutReport
from xds_server.cli.demo import (
    LOOPBACK,
    START_LIMIT,
    Live,
    beside,
    ended_by_signal,
    envoy_process,
    first_routes,
    free_ports,
    gateway_port,
    home_in,
    listening,
    until_ended,
)
from xds_server.cli.demo_shop import BUILD, GATEWAY, Instance, Scope
from xds_server.cli.envoys import find_envoy
from xds_server.cli.rolling import rollout
from xds_server.cli.servers import NoAnswer
from xds_server.cli.steering import history, lines
from xds_server.domain.addresses import Address
from xds_server.records.models import API_VERSION
from xds_server.resources.bootstrap import ProxyNode
from xds_server.rollout.decide import Held
from xds_server.runtime.serve import Settings, serving

USERS = 200
"""Requests a second."""
FAILING = {"v1": 0.001, "v2": 0.001, "v3": 0.051}
"""What part of its requests each version fails."""
SHOWN = 0.25
BAR = 40
"""How wide all requests are."""
COLOURS = {"v1": "cyan", "v2": "green", "v3": "magenta"}
VERDICTS = {"safe": "green", "worse": "red", "unknown": "yellow"}

DEPLOYMENT = """\
apiVersion: {api}
kind: AppDeployment
metadata: {{name: shop-{version}}}
spec:
  app: shop
  version: "{version}"
  components: {{web: {{build: "web-{version}", routes: [{{pathPrefix: /}}]}}}}
"""

RELEASE = """\
apiVersion: {api}
kind: Release
metadata: {{name: shop}}
spec:
  app: shop
  gateways: [edge]
  hosts: [shop.localhost]
  # Written by the server when a rollout has finished.
  default: {default}
"""

ROLLOUT = """\
  rollout:
    steps: [{to: 10, for: 5s}, {to: 25, for: 4s}, {to: 50, for: 4s}, {to: 100, for: 2s}]
    guard: {errors: {maxRatio: 2, floor: 1}, onWorse: rollback}
"""


class Failing(Instance):
    """An instance that fails a part of its requests."""

    def __init__(self, version: str) -> None:
        super().__init__(f"web-{version}")
        self._part = FAILING[version]
        self._chance = random.Random(version)  # noqa: S311 - no secret

    @override
    async def __call__(self, scope: Scope, receive: object, send: object) -> None:
        status = 503 if self._chance.random() < self._part else 200
        await self.answer(scope, send, status)


@dataclass
class Users:
    """They ask at a steady rate, each over one of a few connections, and count who answers how."""

    port: int
    asked: "Counter[str]" = field(default_factory=Counter)
    failed: "Counter[str]" = field(default_factory=Counter)
    lost: int = 0

    async def work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(10):
                tasks.create_task(self._one(number / USERS, 10 / USERS))

    async def _one(self, first: float, every: float) -> None:
        await asyncio.sleep(first)
        reader, writer = await self._connected()
        clock = asyncio.get_running_loop().time
        due = clock()
        try:
            while True:
                writer.write(b"GET / HTTP/1.1\r\nhost: shop.localhost\r\n\r\n")
                self._count(await _answer(reader))
                due += every
                await asyncio.sleep(max(0.0, due - clock()))
        finally:
            writer.close()

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Envoy opens its port a moment after it has accepted its first routes."""
        async with asyncio.timeout(START_LIMIT):
            while True:
                try:
                    return await asyncio.open_connection(LOOPBACK, self.port)
                except ConnectionRefusedError:
                    await asyncio.sleep(SHOWN)

    def _count(self, head: bytes) -> None:
        served = head.partition(b"x-served-deployment: shop-")[2].partition(b"\r\n")[0].decode()
        if not served:
            self.lost += 1
        self.asked[served] += 1
        self.failed[served] += not head.startswith(b"HTTP/1.1 200")


async def _answer(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(size)
    return head


def run_canary_demo(port: int, envoy: str, mode: str) -> int:
    return until_ended(lambda console: _demo(console, port, find_envoy(envoy), mode))


async def _demo(console: Console, port: int, envoy: str, mode: str) -> None:
    asked = ended_by_signal()
    async with AsyncExitStack() as stack:
        home = home_in(stack)
        gateway = gateway_port(port)
        ports = await stack.enter_async_context(listening({each: Failing(each) for each in FAILING}))
        folder = home / "records"
        folder.mkdir()
        (folder / "gateway.yaml").write_text(GATEWAY.format(api=API_VERSION, port=gateway), "utf-8")
        for version, where in ports.items():
            build = BUILD.format(api=API_VERSION, component="web", build=f"web-{version}", port=where)
            deployment = DEPLOYMENT.format(api=API_VERSION, version=version)
            (folder / f"{version}.yaml").write_text(f"{build}---\n{deployment}", "utf-8")
        _release(folder, "[{deployment: shop-v1}]")
        xds, admin, envoy_admin = free_ports(3)
        settings = Settings(folder, home / "state", Address(LOOPBACK, xds), Address(LOOPBACK, admin))
        live = Live(Console(quiet=True))
        await stack.enter_async_context(serving(settings, live))
        node = replace(ProxyNode.of_gateway("edge", settings.xds), mode=mode, id="demo", admin_port=envoy_admin)
        process = await stack.enter_async_context(envoy_process(envoy, node, home))
        await first_routes(live, process, home)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        users = Users(gateway)
        asking = tasks.create_task(users.work())
        story = tasks.create_task(_story(console, folder, f"http://{LOOPBACK}:{admin}", users))
        told = tasks.create_task(asked.wait())
        await asyncio.wait({story, told}, return_when=asyncio.FIRST_COMPLETED)
        for each in (asking, story, told):
            each.cancel()
    console.print("ended; nothing is left behind")


async def _story(console: Console, folder: Path, server: str, users: Users) -> None:
    console.print(f"[bold]A shop, and {USERS} requests a second.[/] v1 is released; one of 1,000 requests fails.")
    console.print(f"In another terminal, meanwhile: {beside('xdsctl')} describe shop -w --server {server}")
    console.print("\n[bold]v2[/] is as good as v1. Its release moves by itself, as far as nothing speaks against it:")
    _release(folder, "[{deployment: shop-v1, weight: 100}, {deployment: shop-v2, weight: 0}]", ROLLOUT)
    await _watch(server, users, "shop-v2")
    console.print("\n[bold]v3[/] fails 5 % more of its requests. Nobody has noticed yet:")
    _release(folder, "[{deployment: shop-v2, weight: 100}, {deployment: shop-v3, weight: 0}]", ROLLOUT)
    await _watch(server, users, "shop-v3")
    console.print("\n[bold]What the history has[/] (xdsctl history shop):")
    for line in lines((await asyncio.to_thread(history, server, "shop"))[::-1]):
        console.print(Text(f"  {line}"))
    lost = f"{users.lost} of {users.asked.total():,} requests were lost by all that."
    console.print(f"\n{lost} docs/rollouts.md says how it is decided, docs/judging.md how it is judged.\n")


def _release(folder: Path, default: str, rollout: str = "") -> None:
    draft = folder / ".release.yaml"
    draft.write_text(RELEASE.format(api=API_VERSION, default=default) + rollout, "utf-8")
    draft.rename(folder / "release.yaml")


async def _watch(server: str, users: Users, canary: str) -> None:
    """Until its rollout has ended."""
    before = users.asked.copy(), users.failed.copy()
    # A picture that is drawn anew is folded here: a terminal would cut it off.
    with Display(console=Console(highlight=False), refresh_per_second=8, transient=False) as display:
        last: Counter[str] = users.asked.copy()
        while True:
            await asyncio.sleep(SHOWN)
            found: RolloutReport | None = None
            with suppress(NoAnswer):
                found = await asyncio.to_thread(rollout, server, "shop")
            if found is None or found.deployment != canary:
                continue
            recent = users.asked - last
            if recent.total() > USERS:
                last = users.asked.copy()
            display.update(_drawn(found, users, before, recent))
            if found.ended is not None:
                return


def _drawn(
    found: RolloutReport, users: Users, before: "tuple[Counter[str], Counter[str]]", recent: "Counter[str]"
) -> Group:
    asked, failed = users.asked - before[0], users.failed - before[1]
    table = Table(box=None, padding=(0, 2))
    for title in ("", "now", "", "requests", "errors"):
        table.add_column(title, justify="left" if not title else "right")
    for version in sorted(asked):
        share = recent[version] / recent.total() if recent.total() else 0.0
        rate = failed[version] / asked[version]
        bar = Text(f"{'█' * round(share * BAR):<{BAR}}", COLOURS.get(version, ""))
        table.add_row(version, f"{share:.0%}", bar, f"{asked[version]:,}", f"{rate:.2%}")
    return Group(table, *_said(found))


def _said(found: RolloutReport) -> Iterator[Padding]:
    for each in found.verdicts:
        yield _line((each.verdict, VERDICTS.get(each.verdict, "")), f"  {each.because}")
    step = f"step {found.step} of {len(found.steps)}"
    how = f"{found.ended}: " if found.ended else f"{step}: "
    # Of evidence the verdict above says what there is.
    waits = "waits until it is known to be safe" if found.held == Held.EVIDENCE else found.because
    yield _line((how, "bold"), waits)


def _line(*words: str | tuple[str, str]) -> Padding:
    return Padding(Text.assemble(*words), (0, 0, 0, 2))
