"""What sidecars cost: a call's latency and CPU, and what one is told and keeps among many apps and many deployments."""

import asyncio
from argparse import Namespace

from bench.hop import hops
from bench.meshes import CALLER, Place
from bench.report import Figure, parser, report
from bench.told import Cost, beside, median

FEW = 3
"""Deployments of the app that is one of many."""
CANARY = 40
GROWTH = 1.05
"""How much more memory is the same: what Envoy takes differs a little from start to start."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument(
        "--hops",
        type=int,
        nargs="*",
        default=[1, 10, 1000],
        help="deployments that share who calls (default 1 10 1000)",
    )
    options.add_argument("--blocks", type=int, default=10, help="of requests, of each way in turn (default 10)")
    options.add_argument("--requests", type=int, default=500, help="one after another in a block (default 500)")
    options.add_argument("--saturating", type=int, default=3000, help="as fast as they are answered (default 3000)")
    options.add_argument(
        "--others", type=int, nargs="*", default=[10, 1000, 10_000], help="other apps (default 10 1000 10000)"
    )
    options.add_argument(
        "--deployments", type=int, nargs="*", default=[10, 100, 1000], help="of its own app (default 10 100 1000)"
    )
    options.add_argument("--changes", type=int, default=10, help="of each kind (default 10)")
    options.add_argument("--mode", choices=["delta", "sotw"], default="delta")
    asked = options.parse_args()
    figures = [each for count in asked.hops for each in hops(count, asked.blocks, asked.requests, asked.saturating)]
    place = Place.of(CALLER)
    figures += asyncio.run(_among(place, asked))
    for count in asked.deployments:
        figures += asyncio.run(_of(place, count, asked))
    report("sidecars", figures, asked.json)


async def _among(place: Place, asked: Namespace) -> list[Figure]:
    """Whatever there is besides its app, a sidecar is told the same: the bars are what the fewest other apps give."""
    figures: list[Figure] = []
    bars: list[float] = []
    for count in asked.others:
        async with beside(place, count, FEW, asked.mode) as one:
            foreign = await one.another_app(CANARY)
            own = median(await one.releases(asked.changes))
            found = [float(one.start.sent), one.resident / 1e6, own.sent]
        bars = bars or [found[0], found[1] * GROWTH, found[2]]
        where = f"{count} other apps, {asked.mode}"
        figures += [
            Figure(f"{where}: bytes when it starts", found[0], "bytes", bars[0]),
            Figure(f"{where}: memory of its Envoy", found[1], "MB", bars[1]),
            Figure(f"{where}: bytes of a release of another app", foreign, "bytes", 0),
            Figure(f"{where}: bytes of a release of its own", found[2], "bytes", bars[2]),
            Figure(f"{where}: a release of its own: rename to ACK", own.seconds * 1e3, "ms"),
            Figure(f"{where}: a release of its own: server CPU", own.processor * 1e3, "ms"),
        ]
    return figures


async def _of(place: Place, count: int, asked: Namespace) -> list[Figure]:
    where = f"{count} deployments of its app, {asked.mode}"
    async with beside(place, 0, count, asked.mode) as one:
        released = median(await one.releases(asked.changes))
        deployed = median(await one.deploys(count + 1, asked.changes))
        return [
            *_costs(f"{where}: start", one.start),
            Figure(f"{where}: memory of its Envoy", one.resident / 1e6, "MB"),
            *_costs(f"{where}: a release", released),
            *_costs(f"{where}: one deployment more", deployed),
            Figure(f"{where}: memory of its Envoy after {2 * asked.changes} changes", one.grown / 1e6, "MB"),
        ]


def _costs(what: str, cost: Cost) -> list[Figure]:
    return [
        Figure(f"{what}: until the last ACK", cost.seconds * 1e3, "ms"),
        Figure(f"{what}: bytes", cost.sent, "bytes"),
        Figure(f"{what}: server CPU", cost.processor * 1e3, "ms"),
    ]


if __name__ == "__main__":
    main()
