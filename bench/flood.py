"""Random hosts that nobody knows, at a real Envoy: what the server and Envoy grow by, and what others notice."""

import os
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from sys import executable

from bench import worlds
from bench.folders import write_world
from bench.processes import resident
from bench.report import Figure, parser, report
from bench.requests import timed
from e2e.support.client import answers
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import Child, free_ports
from e2e.support.server import Mode, Server

GROWTH = 20.0
SLOWER = 2.0
CORES = sorted(os.sched_getaffinity(0))
FIRST, LAST = 0, -1


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=10)
    options.add_argument("--hosts", type=int, default=20_000, help="unknown hosts, each once (default 20000)")
    options.add_argument("--requests", type=int, default=2000, help="for a known host, to compare with (default 2000)")
    options.add_argument("--rate", type=float, default=55.0, help="of both, a second (default 55)")
    asked = options.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream, port, admin = free_ports(3)
        write_world(home / "records", asked.apps, worlds.gateway(port), upstream)
        application = stack.enter_context(
            Child("upstream", [executable, "-m", "bench.upstream", str(upstream)], home, talks=True)
        )
        application.hear()
        server = stack.enter_context(Server(home / "records", home))
        bootstrap = server.bootstrap("edge", Mode.DELTA, admin, "flooded")
        envoy = stack.enter_context(Envoy(EnvoyVersion.CURRENT, bootstrap, home))
        envoy.wait_ready()
        _apart(envoy, [server.child, application])
        known = [f"app{number}.example.com" for number in range(asked.apps)]
        timed(port, known)
        before = _beside(port, known, home, [asked.requests, asked.rate], known[0])
        sizes = resident(server.child.pid), resident(envoy.child.pid), _kept(envoy)
        during = _beside(port, known, home, [asked.hosts, asked.rate])
        what = f"{asked.hosts} unknown hosts, {asked.rate:g} a second, {asked.apps} known"
        grown = (resident(server.child.pid) - sizes[0], resident(envoy.child.pid) - sizes[1], _kept(envoy) - sizes[2])
        figures = [
            Figure(f"{what}: growth of the server", grown[0] / 1e6, "MB", GROWTH),
            Figure(f"{what}: growth of Envoy", grown[1] / 1e6, "MB", GROWTH),
            Figure(f"{what}: of that in use when nobody waits any more", grown[2] / 1e6, "MB", GROWTH),
            Figure(f"{what}: p99 of known hosts", during * 1e3, "ms"),
            Figure(f"{what}: p99 of known hosts beside requests for a known one", before * 1e3, "ms"),
            Figure(f"{what}: ratio of the two", during / before, "x", SLOWER),
        ]
    report("flood", figures, asked.json)


def _apart(envoy: Envoy, others: Iterable[Child]) -> None:
    """What carries requests for known hosts has a core to itself: on shared ones others would take its time."""
    server, application = others
    threads = {int(each.name): (each / "comm").read_text() for each in Path(f"/proc/{envoy.child.pid}/task").iterdir()}
    workers = [thread for thread, name in threads.items() if name.startswith("wrk")]
    _keep_to(FIRST, [0, application.pid, *workers])
    _keep_to(
        LAST, [*(int(each.name) for each in Path(f"/proc/{server.pid}/task").iterdir()), *threads.keys() - workers]
    )


def _keep_to(core: int, threads: Iterable[int]) -> None:
    for thread in threads:
        os.sched_setaffinity(thread, {CORES[core]})


def _kept(envoy: Envoy) -> int:
    """Bytes that Envoy has allocated and not freed."""
    said = answers(envoy.admin_port, "/memory")
    assert said is not None
    return int(said.json["allocated"])


def _beside(port: int, known: list[str], home: Path, load: list[float], host: str = "") -> float:
    """The 99th percentile of known hosts while another process asks for unknown ones, or for `host`.

    `load`: how many times, and how many a second.
    """
    words = [executable, "-m", "bench.requests", str(port), *map(str, load), "1", *([host] if host else [])]
    times = []
    with Child("flood", words, home, talks=True) as flood:
        _keep_to(LAST, [flood.pid])
        while flood.alive:
            times += timed(port, known)
        print(f"flood: answers by status: {flood.hear().strip()}")
    times.sort()
    return times[len(times) * 99 // 100]


if __name__ == "__main__":
    main()
