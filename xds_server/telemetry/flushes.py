"""The last flushes of the fleet, for whoever judges: numbered, so that each is asked for once."""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, takewhile
from types import MappingProxyType

from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry.names import Names
from xds_server.telemetry.totals import Change, Sums

MOST_ADDED = 500_000
"""Increments that are kept, of all flushes together: bounds their memory at about 100 MB. The oldest go first."""
LONGEST = 3600 * 1_000_000
"""Microseconds after which a flush is let go."""


NOTHING: Sums = MappingProxyType({})


@dataclass(slots=True, eq=False)
class Numbered:
    """What one proxy counted from one flush to the next. `time`: by its clock; `heard`: by the server's, in seconds."""

    number: int
    node: str
    time: int
    heard: float
    names: Names
    added: Mapping[int, int]
    _by_deployment: dict[Ref, dict[Series, int]] | None = None

    def of(self, deployment: Ref) -> Sums:
        """Of one deployment. The first who asks pays for all who do."""
        found = self._by_deployment
        if found is None:  # whole when others see it: more than one thread asks
            found = {}
            for series, count in self.names.sums(self.added).items():
                found.setdefault(series.deployment, {})[series] = count
            self._by_deployment = found
        return found.get(deployment, NOTHING)


class Flushes:
    """Only whole ones, of which something was counted. `newest`: the number of the last."""

    def __init__(self, names: Names, most: int = MOST_ADDED) -> None:
        self.newest = 0
        self._names = names
        self._most = most
        self._kept: deque[Numbered] = deque()
        self._size = 0
        self._numbers = count(1)

    def hear(self, change: Change) -> None:
        """One that says less than it seems, because others before it were not heard, is a gap."""
        if not change.whole or not change.added:
            return
        self.newest = next(self._numbers)
        self._kept.append(_numbered(self.newest, change, self._names))
        self._size += len(change.added)
        while self._size > self._most or self._kept[0].time < change.time - LONGEST:
            self._size -= len(self._kept.popleft().added)

    def since(self, number: int) -> Iterator[Numbered]:
        """Those after this one, the oldest first."""
        yield from reversed(list(takewhile(lambda each: each.number > number, reversed(self._kept))))

    def heard_since(self, when: float) -> list[Numbered]:
        """Those that came after this time, by the server's clock, the oldest first."""
        return list(takewhile(lambda each: each.heard > when, reversed(self._kept)))[::-1]


def _numbered(number: int, change: Change, names: Names) -> Numbered:
    return Numbered(number, change.process.node, change.time, change.process.heard, names, change.added)
