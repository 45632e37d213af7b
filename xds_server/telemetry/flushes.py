"""The last flushes of the fleet, for whoever judges: numbered, so that each is asked for once."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from types import MappingProxyType

from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry.names import Names
from xds_server.telemetry.totals import Change, Gap, Sums, by_deployment

MOST_ADDED = 500_000
"""Increments that are kept, of all flushes together: bounds their memory at about 100 MB. The oldest go first."""
LONGEST = 3600.0
"""Seconds after which a flush is let go, by the server's clock: a proxy's may be wrong."""


NOTHING: Sums = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Numbered:
    """What one proxy counted from one flush to the next. `time`: by its clock; `heard`: by the server's, in seconds.

    `gap`: it is not known from when on.
    """

    number: int
    node: str
    time: int
    heard: float
    names: Names
    added: Mapping[int, int]
    gap: Gap | None = None
    _by_deployment: dict[Ref, dict[Series, int]] | None = None

    def of(self, deployment: Ref) -> Sums:
        """Of one deployment. The first who asks pays for all who do."""
        if self._by_deployment is None:  # whole when others see it: more than one thread asks
            self._by_deployment = by_deployment(self.names.sums(self.added))
        return self._by_deployment.get(deployment, NOTHING)


class Flushes:
    """Those of which something was counted. `newest`: the number of the last. `gaps`: how many there were, by why."""

    def __init__(self, names: Names, most: int = MOST_ADDED) -> None:
        self.newest = 0
        self.gaps: Counter[Gap] = Counter(dict.fromkeys(Gap, 0))
        self._names = names
        self._most = most
        self._kept: deque[Numbered] = deque()
        self._size = 0
        self._numbers = count(1)

    def hear(self, change: Change) -> None:
        """One that came late or twice is none."""
        if change.gap is not None:
            self.gaps[change.gap] += 1
        if not change.added or not (change.whole or change.gap):
            return
        self.newest = next(self._numbers)
        self._kept.append(_numbered(self.newest, change, self._names))
        self._size += len(change.added)
        while self._kept and (self._size > self._most or self._kept[0].heard < change.process.heard - LONGEST):
            self._size -= len(self._kept.popleft().added)

    def since(self, number: int) -> Iterator[Numbered]:
        """The whole ones after this one, the oldest first."""
        found = takewhile(lambda each: each.number > number, reversed(self._kept))
        yield from reversed([each for each in found if each.gap is None])

    def heard_since(self, when: float) -> list[Numbered]:
        """The whole ones that came after this time, by the server's clock, the oldest first."""
        return [each for each in self._heard_since(when) if each.gap is None]

    def gaps_since(self, when: float) -> list[Numbered]:
        """Those that are not whole, likewise."""
        return [each for each in self._heard_since(when) if each.gap is not None]

    def _heard_since(self, when: float) -> list[Numbered]:
        return list(takewhile(lambda each: each.heard > when, reversed(self._kept)))[::-1]


def _numbered(number: int, change: Change, names: Names) -> Numbered:
    return Numbered(number, change.process.node, change.time, change.process.heard, names, change.added, change.gap)
