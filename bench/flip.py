"""Release a version, and take the time from the return of `rename()` to Envoy's ACK: a real Envoy, a real folder.

At 10 and at 1,000 apps, delta and SotW, all apps released on one gateway that has the full set of routes.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from typing_extensions import override

from bench.folders import write_release, write_world
from xds_server.cli.demo import envoy_process, free_ports
from xds_server.domain.addresses import Address
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.resources.bootstrap import ProxyNode
from xds_server.runtime import logs
from xds_server.runtime.observers import Nobody
from xds_server.runtime.serve import Settings, serving
from xds_server.snapshot import TypeUrl

LIMIT = 60.0


class Watch(Nobody):
    """When Envoy last accepted routes, and how large the response was."""

    def __init__(self) -> None:
        self.accepted = asyncio.Event()
        self.at = 0.0
        self.size = 0

    @override
    def sent(self, node: Node, send: Send) -> None:
        if send.type_url == TypeUrl.ROUTES:
            self.size = len(send.payload)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if acked.type_url == TypeUrl.ROUTES:
            self.at = time.perf_counter()
            self.accepted.set()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        raise AssertionError(nacked)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, nargs="*", default=[10, 1000], help="sizes of the world (default 10 1000)")
    parser.add_argument("--flips", type=int, default=100, help="releases, one after another (default 100)")
    parser.add_argument("--mode", choices=["delta", "sotw"], nargs="*", default=["delta", "sotw"])
    parser.add_argument("--envoy", default=str(Path(sys.executable).parent / "envoy"), help="the Envoy to start")
    arguments = parser.parse_args()
    for mode in arguments.mode:
        for apps in arguments.apps:
            asyncio.run(measure(apps, arguments.flips, mode, arguments.envoy))


async def measure(apps: int, flips: int, mode: str, envoy: str) -> None:
    async with AsyncExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        logs.configure("json", stack.enter_context((home / "log").open("w")))
        xds, admin, listener = free_ports(3)
        write_world(home / "records", apps, listener)
        watch = Watch()
        settings = Settings(home / "records", home / "state", Address("127.0.0.1", xds), Address("127.0.0.1", admin))
        await stack.enter_async_context(serving(settings, watch))
        node = replace(ProxyNode.of_gateway("edge", settings.xds), mode=mode, id="bench")
        await stack.enter_async_context(envoy_process(envoy, node, home))
        await asyncio.wait_for(watch.accepted.wait(), LIMIT)
        times = [await flip(home / "records", f"app{n * 7 % apps}", 6 + n % 90, watch) for n in range(flips)]
    times.sort()
    p50, p99 = statistics.median(times), times[len(times) * 99 // 100]
    print(f"{mode:>5}, {apps:>5} apps: p50 {p50 * 1e3:7.2f} ms, p99 {p99 * 1e3:7.2f} ms, {watch.size} bytes a flip")


async def flip(records: Path, app: str, canary: int, watch: Watch) -> float:
    watch.accepted.clear()
    released = write_release(records, app, canary)
    await asyncio.wait_for(watch.accepted.wait(), LIMIT)
    return watch.at - released


if __name__ == "__main__":
    main()
