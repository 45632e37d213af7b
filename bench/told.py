"""What one sidecar is told, and what that costs it and the server: when it starts, and when something changes.

The server runs in this process, beside what measures; Envoy in its own. What writing the records takes of this
process's CPU is not the server's, and is taken off.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from typing_extensions import override

from bench import meshes
from bench.folders import put, release_file, release_text, write_world
from bench.meshes import Place
from bench.processes import resident
from e2e.support.envoy import Envoy
from e2e.support.processes import free_ports
from xds_server.domain.addresses import Address
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.runtime import logs
from xds_server.runtime.observers import Nobody
from xds_server.runtime.serve import Settings, serving
from xds_server.snapshot import TypeUrl

LIMIT = 120.0


class Watch(Nobody):
    """What was sent to the sidecar, and when it had accepted its routes, which are what comes last, and all else."""

    def __init__(self) -> None:
        self.sent_bytes = 0
        self.at = 0.0
        self.settled = asyncio.Event()
        self._open: set[str] = set()
        self._routed = False

    def expect(self) -> None:
        """Routes that are sent from now on."""
        self._routed = False
        self.settled.clear()

    @override
    def sent(self, node: Node, send: Send) -> None:
        self.sent_bytes += len(send.payload)
        self._open.add(send.nonce)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self.at = time.perf_counter()
        self._open.discard(acked.nonce)
        self._routed |= acked.type_url == TypeUrl.ROUTES
        if self._routed and not self._open:
            self.settled.set()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        raise AssertionError(nacked)


class Cost(NamedTuple):
    """Seconds from the rename to the last ACK, bytes that were sent, and seconds of the server's CPU."""

    seconds: float
    sent: int
    processor: float


@dataclass(frozen=True, slots=True)
class Beside:
    """A served folder with a real sidecar. `start` is what its start cost, `resident` its memory after that."""

    records: Path
    envoy: Envoy
    watch: Watch
    start: Cost
    resident: int

    async def change(self, write: Callable[[], float]) -> Cost:
        """Of which the sidecar is told. `write` returns when the rename had returned."""
        self.watch.expect()
        sent, used, own = self.watch.sent_bytes, time.process_time(), time.thread_time()
        written = write()
        own = time.thread_time() - own
        await asyncio.wait_for(self.watch.settled.wait(), LIMIT)
        return Cost(self.watch.at - written, self.watch.sent_bytes - sent, time.process_time() - used - own)

    async def releases(self, count: int) -> list[Cost]:
        """Each gives another share of the app's users the second deployment."""
        return [await self._release(20 + turn) for turn in range(count)]

    async def _release(self, canary: int) -> Cost:
        return await self.change(lambda: meshes.release(self.records, canary))

    async def deploys(self, first: int, count: int) -> list[Cost]:
        """So many more versions of the app."""
        return [await self._deploy(number) for number in range(first, first + count)]

    async def _deploy(self, number: int) -> Cost:
        return await self.change(lambda: meshes.deploy(self.records, number))

    async def another_app(self, canary: int) -> int:
        """Bytes of a release of another app: what is sent more where it comes right before one of its own."""
        alone = await self._release(10)
        await self._release(11)

        def write() -> float:
            put(release_file(self.records, "app0"), release_text("app0", canary))
            return meshes.release(self.records, 10)

        return (await self.change(write)).sent - alone.sent

    @property
    def grown(self) -> int:
        return resident(self.envoy.child.pid)


def median(costs: Iterable[Cost]) -> Cost:
    each = [*costs]
    seconds, sent, used = (statistics.median(of) for of in zip(*each, strict=True))
    return Cost(seconds, int(sent), used)


@asynccontextmanager
async def beside(place: Place, others: int, deployments: int, mode: str) -> AsyncIterator[Beside]:
    """A sidecar of an app with so many deployments, among so many other apps.

    What it is told has its ports in it: to compare bytes, start it in the same place.
    """
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs.configure("json", stack.enter_context((home / "log").open("w")))
        write_world(home / "records", others)
        meshes.write_app(home / "records", deployments)
        [xds, admin] = free_ports(2)
        watch = Watch()
        settings = Settings(home / "records", home / "state", Address("127.0.0.1", xds), Address("127.0.0.1", admin))
        control = await stack.enter_async_context(serving(settings, watch))
        async with asyncio.timeout(LIMIT):
            while control.waiting_for is not None:
                await asyncio.sleep(0.01)
        used, began = time.process_time(), time.perf_counter()
        envoy = stack.enter_context(place.start(xds, home, mode))
        await asyncio.to_thread(envoy.wait_ready)
        await asyncio.wait_for(watch.settled.wait(), LIMIT)
        start = Cost(watch.at - began, watch.sent_bytes, time.process_time() - used)
        yield Beside(home / "records", envoy, watch, start, resident(envoy.child.pid))
