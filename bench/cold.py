"""A server starts on a folder of many apps and an empty state directory: until its first proxy has been served.

From the start of the process to the proxy's last ACK. A second start finds the state directory of the first.
"""

import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from bench.fleet.proxy import Behaviour, Mode
from bench.fleet.running import fleet
from bench.folders import write_world
from bench.processes import processor, processor_of_ended, resident
from bench.report import Figure, parser, report
from e2e.support.processes import Child, free_ports
from e2e.support.server import BIN

DOCUMENTS = 9
"""Of an app: five builds, three deployments, a release."""
BAR = 12.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=10_000)
    options.add_argument("--delivery", choices=list(Mode), default=Mode.ON_DEMAND, type=Mode)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        write_world(home / "records", asked.apps)
        figures = [
            figure
            for state in ("an empty state directory", "the state of the last start")
            for figure in _start(home, f"{asked.apps * DOCUMENTS} documents, {state}, {asked.delivery}", asked.delivery)
        ]
    report("cold", figures, asked.json)


def _start(home: Path, what: str, mode: Mode) -> list[Figure]:
    xds, admin = free_ports(2)
    ports = ["--xds", f"127.0.0.1:{xds}", "--admin", f"127.0.0.1:{admin}"]
    serve: list[str | Path] = [
        BIN / "xds-server",
        "serve",
        "--records",
        home / "records",
        "--state",
        home / "state",
        *ports,
    ]
    with ExitStack() as stack:
        proxies = stack.enter_context(fleet(home))
        started = perf_counter()
        server = stack.enter_context(Child("server", serve, home))
        proxies.connect(xds, [(1, Behaviour(mode, hosts=("app0.example.com",)))])
        served = proxies.settle() - started
        return [
            Figure(f"{what}: first proxy served", served, "s", BAR),
            Figure(f"{what}: server CPU", processor(server.pid), "s"),
            Figure(f"{what}: CPU of the process that reads ahead", processor_of_ended(server.pid), "s"),
            Figure(f"{what}: server memory", resident(server.pid) / 1e6, "MB"),
        ]


if __name__ == "__main__":
    main()
