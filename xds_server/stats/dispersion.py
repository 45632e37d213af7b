"""How much more the bad requests of stable vary from tick to tick than independent ones would (Pearson): bursts.

Each tick is compared with what the few ticks before it lead one to expect, so that a slow drift is no burst.
"""

from collections import deque
from collections.abc import Iterable

from xds_server.stats.counts import Counts

BEFORE = 5
"""Ticks that an expectation is made of."""
FEWEST = 20
"""Ticks with an expectation, below which nothing is said: 1."""
LEAST_VARIANCE = 0.2
"""So that a tick in which next to nothing is expected does not count for much."""


def dispersion(history: Iterable[Counts]) -> float:
    """At least 1, which is that of independent requests (Poisson)."""
    recent: deque[Counts] = deque(maxlen=BEFORE)
    total, found = 0.0, 0
    for tick in history:
        if not tick.requests:
            continue
        if len(recent) == BEFORE:
            total += _excess(tick, recent)
            found += 1
        recent.append(tick)
    return max(1.0, total / found) if found >= FEWEST else 1.0


def _excess(tick: Counts, recent: Iterable[Counts]) -> float:
    """The square of the deviation, in variances; the expectation's own variance is one of two parts of it."""
    requests = sum(each.requests for each in recent)
    expected = tick.requests * sum(each.bad for each in recent) / requests
    return (tick.bad - expected) ** 2 / max(expected * (1 + tick.requests / requests), LEAST_VARIANCE)
