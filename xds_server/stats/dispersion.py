"""How much more the bad requests of stable vary from tick to tick than independent ones would (Pearson): bursts.

Each tick is compared with what the few ticks before it lead one to expect, so that a slow drift is no burst. A tick has
to be longer than a burst: of a minute, say.

An outage that is over is no burst either, and would count for hundreds: the history is taken in parts, and the median
of what they say is believed (of two the higher).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import median_high

from xds_server.stats.counts import Counts

BEFORE = 5
"""Ticks that an expectation is made of."""
FEWEST = 20
"""Ticks with an expectation that make a part; with fewer nothing is said: 1."""
PARTS = 6
CHANCE = 1.3
"""What independent requests seem to have in one of twenty histories of two hours: less is nothing."""


def dispersion(history: Iterable[Counts]) -> float:
    """At least 1, which is that of independent requests (Poisson)."""
    found = [*_compared(history)]
    parts = min(PARTS, len(found) // FEWEST)
    if not parts:
        return 1.0
    edges = [len(found) * each // parts for each in range(parts + 1)]
    said = [_ratio(found[begin:end]) for begin, end in pairwise(edges)]
    said_mostly = median_high(said)
    return said_mostly if said_mostly > CHANCE else 1.0


def _compared(history: Iterable[Counts]) -> Iterator[tuple[float, float]]:
    """The square of each tick's deviation, and its variance; the expectation's own is one of two parts of it."""
    recent: deque[Counts] = deque(maxlen=BEFORE)
    for tick in history:
        if not tick.requests:
            continue
        if len(recent) == BEFORE:
            requests = sum(each.requests for each in recent)
            expected = tick.requests * sum(each.bad for each in recent) / requests
            yield (tick.bad - expected) ** 2, expected * (1 + tick.requests / requests)
        recent.append(tick)


def _ratio(found: Sequence[tuple[float, float]]) -> float:
    """Of the sums, so that ticks in which next to nothing is expected count for little."""
    variance = sum(each for _, each in found)
    return sum(square for square, _ in found) / variance if variance else 1.0
