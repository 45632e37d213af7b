"""One app of many flips for a fleet of proxies: from the return of `rename()` to the last proxy's ACK.

Beside it, turn by turn, a bare grpcio server sends the same bytes to a fleet of the same size.
"""

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

from bench.fleet.proxy import Behaviour, Mode
from bench.fleet.running import Bare, Fleet, bare_server, fleet
from bench.folders import put, release_file, release_text, write_world
from bench.processes import processor, resident
from bench.report import Figure, parser, report
from e2e.support.server import Server
from xds_server.snapshot import TypeUrl

HOLDERS = 10
RATIO = 1.3


@dataclass(slots=True)
class Turns:
    """Seconds of each turn, and of CPU in them."""

    ours: list[float] = field(default_factory=list)
    bare: list[float] = field(default_factory=list)
    processor: float = 0.0
    bytes: int = 0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=1000)
    options.add_argument("--proxies", type=int, default=1000)
    options.add_argument("--flips", type=int, default=20)
    options.add_argument(
        "--hosts", type=int, default=10, help="on demand, hosts that each proxy has loaded (default 10)"
    )
    options.add_argument("--delivery", choices=list(Mode), default=Mode.ON_DEMAND, type=Mode)
    options.add_argument("--delay", type=float, default=0.0, help="seconds before each answer of a proxy")
    options.add_argument("--rollback", action="store_true", help="by the API, from the word on, in place of records")
    options.add_argument("--churn", type=float, help="seconds from one proxy's reconnecting to the next one's")
    asked = options.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_world(home / "records", asked.apps)
        server = stack.enter_context(Server(home / "records", home))
        empty = resident(server.child.pid)
        proxies = stack.enter_context(fleet(home))
        proxies.connect(server.xds, _groups(asked))
        proxies.settle()
        full = resident(server.child.pid)
        bare = stack.enter_context(bare_server(home))
        others = stack.enter_context(fleet(home, "others"))
        others.connect(bare.port, [(asked.proxies, Behaviour(asked.delivery))])
        proxies.churn(asked.churn)
        flips = _Flips(home, asked, (server, proxies), (bare, others))
        figures = flips.measure("app0", asked.proxies)
        if asked.delivery is Mode.ON_DEMAND:
            figures += flips.measure("app1", min(HOLDERS, asked.proxies))
        streams = Figure(f"memory of the server for {asked.proxies} streams", (full - empty) / 1e6, "MB")
        report("fanout", [*figures, streams, Figure("memory of the server in all", full / 1e6, "MB")], asked.json)


def _groups(asked: argparse.Namespace) -> Sequence[tuple[int, Behaviour]]:
    """All hold the first app; a few the second one too."""
    rest = [f"app{number}.example.com" for number in range(2, 2 + asked.hosts)][: asked.hosts - 1]
    few = min(HOLDERS, asked.proxies)
    groups = [
        (few, ("app0.example.com", "app1.example.com")),
        (asked.proxies - few, ("app0.example.com", *rest)),
    ]
    return [
        (count, Behaviour(asked.delivery, hosts=hosts, remembers=asked.churn is not None, delay=asked.delay))
        for count, hosts in groups
    ]


@dataclass(frozen=True, slots=True)
class _Flips:
    home: Path
    asked: argparse.Namespace
    ours: tuple[Server, Fleet]
    bare: tuple[Bare, Fleet]

    def measure(self, app: str, holders: int) -> list[Figure]:
        turns = Turns()
        for number in range(self.asked.flips + 1):
            self._flip(turns, app, 6 + number % 90, holders)
            self._send(turns, app, holders)
        ours, bare = statistics.median(turns.ours[1:]), statistics.median(turns.bare[1:])
        what = f"{self.asked.apps} apps, {self.asked.proxies} proxies ({self.asked.delivery}), {holders} hold the app"
        return [
            Figure(f"{what}: change to last ACK", ours * 1e3, "ms"),
            Figure(f"{what}: bare grpcio server", bare * 1e3, "ms"),
            Figure(f"{what}: ratio", ours / bare, "x", RATIO if holders == self.asked.proxies else None),
            Figure(f"{what}: server CPU a flip", turns.processor / len(turns.ours) * 1e3, "ms"),
            Figure(f"{what}: bytes a flip and proxy", turns.bytes, "bytes"),
        ]

    def _watched(self, app: str) -> tuple[str, str]:
        """What changes for a proxy when the app flips."""
        routes = Behaviour().routes
        if self.asked.delivery is Mode.ON_DEMAND:
            return TypeUrl.VIRTUAL_HOST, f"{routes}/{app}.example.com"
        return TypeUrl.ROUTES, routes

    def _flip(self, turns: Turns, app: str, canary: int, holders: int) -> None:
        server, proxies = self.ours
        proxies.watch(*self._watched(app), holders)
        text = release_text(app, canary)
        before = processor(server.child.pid)
        if self.asked.rollback:
            flipped = perf_counter()
            self._take_back(server, app, canary)
        else:
            flipped = put(release_file(self.home / "records", app), text)
        seen = proxies.seen()
        turns.processor += processor(server.child.pid) - before
        turns.ours.append(seen.last - flipped)
        turns.bytes = seen.bytes
        proxies.keep(self.home / "payload")

    def _take_back(self, server: Server, app: str, number: int) -> None:
        said = {"who": "bench", "why": "a turn", "to": f"{app}-v{1 + number % 2}"}
        server.ask(f"/releases/{app}/rollback", said)

    def _send(self, turns: Turns, app: str, holders: int) -> None:
        bare, proxies = self.bare
        proxies.watch(*self._watched(app), holders)
        sent = perf_counter()
        bare.send(holders, self.home / "payload")
        turns.bare.append(proxies.seen().last - sent)


if __name__ == "__main__":
    main()
