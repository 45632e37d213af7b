"""Canaries on a real Envoy, worse and healthy: what becomes of them by themselves, after how long, and at what loss.

Each is an app of its own on one gateway, with users of its own, and its instances fail by chance. Beside what is found
is what the same judge says of counts that are drawn, with no Envoy, wire or server.
"""

import asyncio
from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

import numpy as np

from bench.canaries import KINDS, MAX_RATIO, QUIET, SEED, SHARE, Kind, Seen, measured
from bench.report import Figure, parser, report
from bench.users import Users
from xds_server.records.progress import Ended
from xds_server.stats import Counts, Evidence, Limits, Tick

DRAWN = 200
LONGEST = 3600
"""Seconds of counts that are drawn."""


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--apps", type=int, default=10, help="canaries of each kind (default 10)")
    options.add_argument("--at-once", type=int, default=12, help="that run at the same time (default 12)")
    options.add_argument("--rate", type=float, default=100, help="requests a second to each (default 100)")
    options.add_argument("--minutes", type=float, default=22, help="for all of it (default 22)")
    asked = options.parse_args()
    seen, quiet = asyncio.run(measured(asked))
    figures = [figure for kind in KINDS if kind in seen for figure in _figures(kind, seen[kind], asked.rate)]
    report("canary", [*figures, *_held(*quiet)], asked.json)


def _figures(kind: Kind, seen: Sequence[Seen], rate: float) -> Iterator[Figure]:
    where = f"{kind.title}, {rate:g} requests a second"
    right = [each for each in seen if each.ended == kind.ends]
    wrong = len([each for each in seen if each.ended not in (None, kind.ends)])
    yield Figure(f"{where}: canaries", len(seen), "canaries")
    yield Figure(f"{where}: {kind.ends}", len(right), "canaries")
    yield Figure(f"{where}: ended otherwise", wrong, "canaries", 0)
    yield Figure(f"{where}: not ended", len(seen) - len(right) - wrong, "canaries", 0)
    yield Figure(f"{where}: requests a second, the least of them", min(each.users.per_second for each in seen), "/s")
    yield Figure(f"{where}: requests", sum(each.users.asked for each in seen), "requests")
    yield Figure(f"{where}: requests lost", sum(len(each.users.lost) for each in seen), "requests", 0)
    yield Figure(f"{where}: answers of who has lost all", sum(each.strays for each in seen), "requests", 0)
    if right:
        seconds = [each.seconds for each in right]
        drawn = _drawn(kind, rate)
        yield Figure(f"{where}: {kind.ends} after, median", median(seconds), "s")
        yield Figure(f"{where}: {kind.ends} after, least", min(seconds), "s")
        yield Figure(f"{where}: {kind.ends} after, most", max(seconds), "s")
        yield Figure(f"{where}: {kind.ends} after, median of {DRAWN} drawn", median(drawn), "s")
        yield Figure(
            f"{where}: {kind.ends} after, nine tenths of those drawn", sorted(drawn)[len(drawn) * 9 // 10], "s"
        )
        counted = median(each.counted.requests for each in right)
        yield Figure(f"{where}: requests of the canary, median", counted, "requests")
    for each in seen:
        if each.users.lost:
            print(f"lost: {each.users.lost[:3]}")


def _held(said: Any, users: Users) -> Iterator[Figure]:
    """Of the canary that has hardly any requests."""
    (verdict,) = said["verdicts"]
    print(f"{QUIET.title}: held by {said['held']}: {said['because']}")
    yield Figure(f"{QUIET.title}: requests", users.asked, "requests")
    yield Figure(f"{QUIET.title}: requests lost", len(users.lost), "requests", 0)
    yield Figure(f"{QUIET.title}: held by evidence", int(said["held"] == "evidence"), "canaries")
    yield Figure(f"{QUIET.title}: requests that are missing", verdict["missing"], "requests")


def _drawn(kind: Kind, rate: float) -> list[float]:
    """Seconds until the judge is sure of those of whom it is sure of the right thing."""
    dice = np.random.default_rng([SEED, *kind.app.encode()])
    limits = Limits(max_ratio=MAX_RATIO)
    found = (_sure(kind, rate, limits, dice) for _ in range(DRAWN))
    return [seconds for seconds, ends in found if ends is kind.ends]


def _sure(kind: Kind, rate: float, limits: Limits, dice: np.random.Generator) -> tuple[float, Ended | None]:
    evidence = Evidence()
    size = rate * np.array([SHARE, 100 - SHARE]) / 100
    for second in range(1, LONGEST):
        requests = dice.poisson(size)
        canary, stable = map(Counts, requests.tolist(), dice.binomial(requests, (kind.canary, kind.stable)).tolist())
        evidence = evidence.after(Tick(canary, stable), limits)
        if evidence.is_safe(limits):
            return second, Ended.FINISHED
        if evidence.is_worse(limits):
            return second, Ended.ROLLED_BACK
    return LONGEST, None


if __name__ == "__main__":
    main()
