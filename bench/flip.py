"""Release a version, and take the time from the return of `rename()` to Envoy's ACK: a real Envoy, a real folder.

Idle, and while endpoints change; then first requests to deployments that Envoy has not loaded. The server runs in this
process, beside what measures; applications and Envoy run in their own. What writing the records takes of this process's
CPU is not the server's, and is taken off.
"""

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path

from typing_extensions import override

from bench import worlds
from bench.folders import put, release_file, release_text, text_of, write_world
from bench.report import Figure, parser, percentiles, report
from bench.requests import timed
from e2e.support.client import Client
from e2e.support.processes import Child, wait_until
from xds_server.cli.demo import envoy_process, free_ports
from xds_server.domain.addresses import Address
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.resources.bootstrap import ProxyNode
from xds_server.runtime import logs
from xds_server.runtime.observers import Nobody
from xds_server.runtime.serve import Settings, serving

LIMIT = 120.0
ROUTES = "edge/http"
CHURN = 0.02
"""Seconds between two changes of endpoints."""
IDLE_BARS, CHURN_BARS = (5.0, 20.0), (None, 50.0)
FIRST_REQUEST = 20.0
PROCESSOR = 3.0
BYTES = 4096


class Watch(Nobody):
    """When Envoy last accepted the routes of one host, and how large the response was."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()
        self.names = {ROUTES}
        self.at = 0.0
        self.size = 0

    @override
    def sent(self, node: Node, send: Send) -> None:
        if self.names & {each.name for each in send.resources}:
            self.size = len(send.payload)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if self.names & {each.name for each in acked.resources}:
            self.at = time.perf_counter()
            self.accepted.set()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        raise AssertionError(nacked)


@dataclass(frozen=True, slots=True)
class Edge:
    """A served folder with a real Envoy before it. `loaded`: the apps whose hosts it has been asked for.

    `turns`: no two flips of one app after each other are the same. `strangers`: apps of which a deployment is asked for
    that nobody has asked for. `writing`: seconds of CPU to write each record. `admin`: where the server's API is.
    `pinned`: how often each app was taken back.
    """

    records: Path
    port: int
    watch: Watch
    loaded: list[str]
    asked: argparse.Namespace
    turns: Iterator[int] = field(default_factory=count)
    strangers: Iterator[int] = field(default_factory=count)
    writing: list[float] = field(default_factory=list)
    admin: str = ""
    pinned: Counter[str] = field(default_factory=Counter)

    async def flips(self) -> list[float]:
        """From the return of the renames to the ACKs."""
        turns = islice(self.turns, self.asked.flips)
        return [await self._flip(self.loaded[turn * 7 % len(self.loaded)], 6 + turn % 89) for turn in turns]

    async def _flip(self, app: str, canary: int) -> float:
        began = time.thread_time()
        text = release_text(app, canary)
        self.watch.names = {ROUTES, f"{ROUTES}/{app}.example.com"}
        self.watch.accepted.clear()
        released = put(release_file(self.records, app), text)
        self.writing.append(time.thread_time() - began)
        await asyncio.wait_for(self.watch.accepted.wait(), LIMIT)
        return self.watch.at - released

    async def rollbacks(self) -> list[float]:
        """From the word to the ACKs: every release is pinned to the one and the other deployment."""
        turns = islice(self.turns, self.asked.flips)
        return [await self._take_back(self.loaded[turn * 7 % len(self.loaded)], turn) for turn in turns]

    async def _take_back(self, app: str, turn: int) -> float:
        self.watch.names = {ROUTES, f"{ROUTES}/{app}.example.com"}
        self.watch.accepted.clear()
        to = f"{app}-v{1 + self.pinned[app] % 2}"
        self.pinned[app] += 1
        began = time.perf_counter()
        await self._say(f"/releases/{app}/rollback", {"who": "bench", "why": f"turn {turn}", "to": to})
        await asyncio.wait_for(self.watch.accepted.wait(), LIMIT)
        return self.watch.at - began

    async def _say(self, path: str, said: Mapping[str, str]) -> None:
        """By hand: a client with all that it does would share this process's time with the server."""
        host, _, port = self.admin.partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        body = json.dumps(said)
        head = "Host: bench\r\nContent-Type: application/json\r\nConnection: close"
        writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 "), answer

    @asynccontextmanager
    async def churn(self) -> AsyncIterator[None]:
        """Meanwhile a build of a loaded app gets another instance every `CHURN` seconds."""

        async def change() -> None:
            for number in count():
                app = self.loaded[number % len(self.loaded)]
                spec = worlds.build(app, "web", 1)
                spec["endpoints"] = {"addresses": [f"127.0.1.{1 + number % 250}:9001"]}
                put(self.records / f"{app}-more.yaml", text_of(worlds.document("Build", f"{app}-more", spec)))
                await asyncio.sleep(CHURN)

        async with asyncio.TaskGroup() as tasks:
            changing = tasks.create_task(change())
            yield
            changing.cancel()

    async def load(self, hosts: int) -> None:
        """Ask for the hosts of so many apps."""
        more = [f"app{number}" for number in range(len(self.loaded), hosts)]
        await asyncio.to_thread(timed, self.port, [f"{app}.example.com" for app in more])
        self.loaded.extend(more)

    async def first_requests(self, requests: int) -> list[float]:
        """To deployments that nobody has asked for, by their own hosts."""
        hosts = [
            f"app{number % self._apps}-v3.preview.example.com"
            for number in islice(self.strangers, min(requests, self._apps))
        ]
        return await asyncio.to_thread(timed, self.port, hosts)

    @property
    def _apps(self) -> int:
        return sum(1 for _ in self.records.glob("app*-release.yaml"))


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, nargs="*", default=[10, 1000, 10_000], help="(default 10 1000 10000)")
    options.add_argument("--flips", type=int, default=100, help="releases, one after another (default 100)")
    options.add_argument(
        "--loaded", type=int, nargs="*", default=[10, 500], help="hosts that Envoy has loaded by then (default 10 500)"
    )
    options.add_argument("--first", type=int, default=20, help="first requests (default 20)")
    options.add_argument("--rollbacks", action="store_true", help="take releases back by the API, too; ends with that")
    options.add_argument("--mode", choices=["delta", "sotw"], default="delta")
    options.add_argument("--delivery", choices=["on-demand", "full"], default="on-demand")
    options.add_argument("--envoy", default=str(Path(sys.executable).parent / "envoy"), help="the Envoy to start")
    asked = options.parse_args()
    figures = [figure for apps in asked.apps for figure in asyncio.run(measure(apps, asked))]
    report("flip", figures, asked.json)


async def measure(apps: int, asked: argparse.Namespace) -> list[Figure]:
    on_demand = asked.delivery == "on-demand" and asked.mode == "delta"
    sizes = sorted({min(apps, hosts) for hosts in asked.loaded})
    figures = []
    async with _edge(apps, asked) as edge:
        for loaded in sizes if on_demand else sizes[-1:]:
            await edge.load(loaded)
            here = f"{apps} apps, {loaded} loaded" if on_demand else f"{apps} apps"
            figures += await _measured(edge, f"{here}, {asked.mode}, {asked.delivery}", on_demand=on_demand)
        if asked.rollbacks:  # what is pinned flips by no record any more
            what = f"{here}, {asked.mode}, {asked.delivery}, rollback by the API"
            figures += percentiles(what, await edge.rollbacks(), IDLE_BARS if on_demand else (None, None))
    return figures


async def _measured(edge: Edge, what: str, *, on_demand: bool) -> list[Figure]:
    await edge.flips()
    edge.writing.clear()
    spent = time.process_time()
    idle = await edge.flips()
    spent = (time.process_time() - spent - sum(edge.writing)) / len(idle)
    size = edge.watch.size
    async with edge.churn():
        churned = await edge.flips()
    first = await edge.first_requests(edge.asked.first)
    return [
        *percentiles(f"{what}, idle", idle, IDLE_BARS if on_demand else (None, None)),
        *percentiles(f"{what}, 50 changes of endpoints a second", churned, CHURN_BARS if on_demand else (None, None)),
        Figure(f"{what}: bytes a flip", size, "bytes", BYTES if on_demand else None),
        Figure(f"{what}: server CPU a flip", spent * 1e3, "ms", PROCESSOR if on_demand else None),
        Figure(f"{what}: first request, median", statistics.median(first) * 1e3, "ms", FIRST_REQUEST),
    ]


@asynccontextmanager
async def _edge(apps: int, asked: argparse.Namespace) -> AsyncIterator[Edge]:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs.configure("json", stack.enter_context((home / "log").open("w")))
        xds, admin, listener, upstream = free_ports(4)
        gateway = worlds.gateway(listener, full=asked.delivery == "full")
        write_world(home / "records", apps, gateway, upstream)
        serve = [sys.executable, "-m", "bench.upstream", str(upstream)]
        stack.enter_context(Child("upstream", serve, home, talks=True)).hear()
        watch = Watch()
        settings = Settings(home / "records", home / "state", Address("127.0.0.1", xds), Address("127.0.0.1", admin))
        await stack.enter_async_context(serving(settings, watch))
        node = replace(ProxyNode.of_gateway("edge", settings.xds), mode=asked.mode, id="bench")
        await stack.enter_async_context(envoy_process(asked.envoy, node, home))
        await asyncio.wait_for(watch.accepted.wait(), LIMIT)
        edge = Edge(home / "records", listener, watch, [], asked, admin=f"127.0.0.1:{admin}")
        first = "app0.example.com"
        await asyncio.to_thread(wait_until, lambda: _serves(listener, first), f"{first} is served", LIMIT)
        yield edge


def _serves(port: int, host: str) -> bool:
    """Envoy accepts routes before it listens, and listens before its clusters are warm."""
    with Client(port) as client, suppress(OSError):
        return client.get(host).status == 200
    return False


if __name__ == "__main__":
    main()
