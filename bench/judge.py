"""Canaries, worse and healthy, on simulated hours: who is rolled back, when, and by which judge.

Ours is the code of `xds_server.stats` and `xds_server.rollout.health`, with two guards, looked at every ten seconds.
The seed is fixed: the same version of numpy draws the same hours.
"""

from collections.abc import Iterable, Iterator, Sequence
from statistics import median

import numpy as np

from bench.judges.others import JUDGES, first_minutes
from bench.judges.ours import Said, judge
from bench.judges.scenarios import BEYOND, HEALTHY, WORSE
from bench.judges.table import OURS
from bench.judges.traffic import Scenario, drawn
from bench.report import Figure, parser, report

SEED = 7
FALSE = 1.5
"""Percent of healthy hours that may be rolled back."""
FOUND_WITHIN = {"2 times the errors": 5.0}
"""Minutes, by scenario."""


def tried(scenario: Scenario, hours: int, bar: float | None = None) -> Iterator[Figure]:
    """`bar`: the percentage of hours that may be rolled back."""
    dice = np.random.default_rng([SEED, *scenario.name.encode()])
    all_hours = drawn(scenario, hours, dice)
    said = [judge(all_hours, hour) for hour in range(hours)]
    within = FOUND_WITHIN.get(scenario.name)
    yield from _rolled_back(scenario, OURS, [each.worse for each in said], (bar, within))
    yield from _safe(scenario, said)
    for name, other in JUDGES.items():
        yield from _rolled_back(scenario, name, first_minutes(other(all_hours, dice)), (None, None))


def _rolled_back(
    scenario: Scenario, judge_name: str, minutes: Sequence[float | None], bars: tuple[float | None, float | None]
) -> Iterator[Figure]:
    found = [each - scenario.since for each in minutes if each is not None and each > scenario.since]
    name = f"{scenario.name}: {judge_name}"
    yield Figure(f"{name}: rolled back", 100 * len(found) / len(minutes), "%", bars[0])
    if found:
        yield Figure(f"{name}: rolled back after", median(found), "min", bars[1])


def _safe(scenario: Scenario, said: Iterable[Said]) -> Iterator[Figure]:
    times = [each.safe for each in said]
    found = [each for each in times if each is not None]
    yield Figure(f"{scenario.name}: {OURS}: safe", 100 * len(found) / len(times), "%")
    if found:
        yield Figure(f"{scenario.name}: {OURS}: safe after", median(found), "min")


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--hours", type=int, default=1_000, help="of each kind, healthy (default 1000)")
    options.add_argument("--worse", type=int, default=500, help="of each kind, worse (default 500)")
    asked = options.parse_args()
    for scenario in HEALTHY:
        report("judge", tried(scenario, asked.hours, FALSE), asked.json)
    for scenario in (*WORSE, *BEYOND):
        report("judge", tried(scenario, asked.worse), asked.json)


if __name__ == "__main__":
    main()
