"""One of many clusters changes, for a fleet of delta streams that hold all of them: change to the last ACK.

Each proxy holds the clusters and their endpoints, and nothing else. A cluster changes as its deployment's policy does,
and is sent with its endpoints (R32); endpoints change as a build's record does.
"""

import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench import worlds
from bench.fleet.proxy import Behaviour
from bench.fleet.running import fleet
from bench.folders import put, text_of
from bench.processes import processor, resident
from bench.report import Figure, parser, report
from e2e.support.server import Server
from xds_server.snapshot import TypeUrl

MEMORY = 250.0
LAST = 200.0
REST = 0.3
"""Seconds before each change: right after a fan-out to everybody the next one waits for as long as that took."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--clusters", type=int, default=1000)
    options.add_argument("--proxies", type=int, default=1000)
    options.add_argument("--changes", type=int, default=10)
    asked = options.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (records := home / "records").mkdir()
        put(records / "edge.yaml", text_of(worlds.document("Gateway", "edge", worlds.gateway())))
        for number in range(asked.clusters):
            _write_deployment(records, f"app{number}", 100)
            _write_build(records, f"app{number}", 9001)
        server = stack.enter_context(Server(records, home))
        empty = resident(server.child.pid)
        proxies = stack.enter_context(fleet(home))
        before = processor(server.child.pid)
        proxies.connect(server.xds, [(asked.proxies, Behaviour(clusters_only=True))])
        proxies.settle()
        connecting = processor(server.child.pid) - before
        full = resident(server.child.pid)

        def last_ack(number: int, type_url: str) -> float:
            time.sleep(REST)
            app = f"app{number}"
            if type_url == TypeUrl.CLUSTER:
                proxies.watch(type_url, f"{app}-main/web", asked.proxies)
                changed = _write_deployment(records, app, 101)
            else:
                proxies.watch(type_url, f"{app}/web@web1", asked.proxies)
                changed = _write_build(records, app, 9003)
            return proxies.seen().last - changed

        what = f"{asked.clusters} clusters, {asked.proxies} delta streams"
        figures = []
        for type_url, changes in ((TypeUrl.CLUSTER, "one cluster changes"), (TypeUrl.ENDPOINTS, "one build moves")):
            last_ack(0, type_url)
            before = processor(server.child.pid)
            times = [last_ack(1 + number % (asked.clusters - 1), type_url) for number in range(asked.changes)]
            spent = (processor(server.child.pid) - before) / asked.changes
            figures.append(Figure(f"{what}: {changes}: last ACK", statistics.median(times) * 1e3, "ms", LAST))
            figures.append(Figure(f"{what}: {changes}: server CPU", spent * 1e3, "ms", LAST))
        figures += [
            Figure(f"{what}: server CPU until all have everything", connecting, "s"),
            Figure(f"{what}: server memory before", empty / 1e6, "MB"),
            Figure(f"{what}: server memory with the streams", full / 1e6, "MB", MEMORY),
        ]
        report("clusters", figures, asked.json)


def _write_deployment(records: Path, app: str, requests: int) -> float:
    """A branch deployment: one without a version may change."""
    policy = {"circuitBreaker": {"maxRequests": requests}}
    web = {"build": "web1", "routes": [{"pathPrefix": "/"}], "policy": policy}
    spec: dict[str, object] = {"app": app, "components": {"web": web}}
    return put(records / f"{app}.yaml", text_of(worlds.document("AppDeployment", f"{app}-main", spec)))


def _write_build(records: Path, app: str, port: int) -> float:
    spec = worlds.build(app, "web", 1, f"127.0.0.1:{port}")
    return put(records / f"{app}-web.yaml", text_of(worlds.document("Build", f"{app}-web1", spec)))


if __name__ == "__main__":
    main()
