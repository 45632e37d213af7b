"""Compile 10,000 apps of three deployments and three components cold, and again after one release changed.

Prints medians, and the second at 10 apps beside it: the ratio is what a release costs more because others exist.
"""

import statistics
import time
from dataclasses import replace

from bench.report import Figure, parser, percentiles, report
from bench.worlds import EDGE, released, world
from xds_server.pipeline import Compilation, compile_world
from xds_server.runtime.garbage import building
from xds_server.snapshot import TypeUrl

COLD = 5.0


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=10_000, help="apps in the large world (default 10000)")
    options.add_argument("--flips", type=int, default=200, help="releases changed one after another (default 200)")
    arguments = options.parse_args()

    small = flips(compile_world(world(10)), arguments.flips)
    with building():
        large_world = world(arguments.apps)
        started, processor = time.perf_counter(), time.process_time()
        compilation = compile_world(large_world)
        snapshot = compilation.gateways[EDGE].snapshot
        size = sum(len(resource.body) for type_url in TypeUrl for resource in snapshot.of(type_url).values())
        cold, processor = time.perf_counter() - started, time.process_time() - processor
    large = flips(compilation, arguments.flips)

    what = f"{arguments.apps} apps x 3 deployments x 3 components"
    figures = [
        Figure(f"cold, {what}, encoded", cold, "s", COLD),
        Figure(f"cold, {what}: CPU", processor, "s"),
        Figure(f"cold, {what}: encoded", size / 1e6, "MB"),
    ]
    for apps, times in ((10, small), (arguments.apps, large)):
        figures += percentiles(f"one release changed, {apps} apps", times)
    figures.append(Figure("ratio of the medians", statistics.median(large) / statistics.median(small), "x"))
    report("compile", figures, arguments.json)


def flips(compilation: Compilation, count: int) -> list[float]:
    """Seconds from a changed release in the world to the new snapshot, `count` times."""
    apps = sorted(compilation.world.apps)
    times = []
    for number in range(count):
        app = apps[number * 7919 % len(apps)]
        before = compilation.world
        changed = replace(before.apps[app], releases=released(app.name, 6 + number % 90))
        after = replace(before, apps=before.apps.set(app, changed))
        started = time.perf_counter()
        compilation = compile_world(after, compilation, [app])
        times.append(time.perf_counter() - started)
        assert compilation.gateways[EDGE].snapshot.changed[TypeUrl.ROUTES] == {"edge/http"}
    return times


if __name__ == "__main__":
    main()
