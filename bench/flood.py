"""Random hosts that nobody knows, at a real Envoy: what the server and Envoy grow by, and what others notice."""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from sys import executable

from bench import worlds
from bench.folders import write_world
from bench.processes import resident
from bench.report import Figure, parser, report
from bench.requests import timed
from e2e.support.envoy import Envoy, EnvoyVersion
from e2e.support.processes import Child, free_ports
from e2e.support.server import Mode, Server

GROWTH = 20.0
SLOWER = 2.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=100)
    options.add_argument("--hosts", type=int, default=20_000, help="unknown hosts, each once (default 20000)")
    options.add_argument("--requests", type=int, default=2000, help="for a known host, to compare with (default 2000)")
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
        known = [f"app{number}.example.com" for number in range(asked.apps)]
        timed(port, known)
        before = _beside(port, known, home, asked.requests, known[0])
        sizes = resident(server.child.pid), resident(envoy.child.pid)
        during = _beside(port, known, home, asked.hosts)
        what = f"{asked.hosts} unknown hosts"
        figures = [
            Figure(f"{what}: growth of the server", (resident(server.child.pid) - sizes[0]) / 1e6, "MB", GROWTH),
            Figure(f"{what}: growth of Envoy", (resident(envoy.child.pid) - sizes[1]) / 1e6, "MB", GROWTH),
            Figure("p99 of known hosts, beside requests for a known one", before * 1e3, "ms"),
            Figure(f"p99 of known hosts, beside {what}", during * 1e3, "ms"),
            Figure(f"{what}: ratio of the two", during / before, "x", SLOWER),
        ]
    report("flood", figures, asked.json)


def _beside(port: int, known: list[str], home: Path, count: int, host: str = "") -> float:
    """The 99th percentile of known hosts while another process asks so many times for unknown ones, or for `host`."""
    words = [executable, "-m", "bench.requests", str(port), str(count), "1", *([host] if host else [])]
    times = []
    with Child("flood", words, home, talks=True) as flood:
        while flood.alive:
            times += timed(port, known)
        print(f"flood: answers by status: {flood.hear().strip()}")
    times.sort()
    return times[len(times) * 99 // 100]


if __name__ == "__main__":
    main()
