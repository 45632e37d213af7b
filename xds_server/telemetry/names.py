"""Numbers for the names of stats: a total is kept under a number, for each proxy, and a name once.

A histogram's name has several, one after the other: the buckets, and last the sum of milliseconds.
"""

from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from enum import IntEnum
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import BUCKETS, TIME, UPTIME, Series, What, series_of

SUM = "sum_ms"
IN_HISTOGRAM = (*BUCKETS, SUM)
MOST_NUMBERS = 500_000
"""Bounds the memory of names at about 100 MB."""
MOST_UNREAD = 200_000
"""Names that are known to be of no interest; more are looked at each time."""


class Kind(IntEnum):
    """Counters and histograms have numbers; the other two are what is so now."""

    COUNTER = 0
    HISTOGRAM = 1
    HEALTHY = 2
    MEMBERS = 3


KINDS = {TIME: Kind.HISTOGRAM, What.HEALTHY.value: Kind.HEALTHY, What.MEMBERS.value: Kind.MEMBERS}


class Stat(NamedTuple):
    """A stat that is read. `first`: its number, or of a histogram that of its first bucket. `of`: deployment and
    component.
    """

    first: int
    kind: Kind
    of: tuple[Ref, str]


def _numbers(stat: Stat) -> range:
    """Those of a stat; a gauge has none."""
    if stat.first < 0:
        return range(0)
    return range(stat.first, stat.first + (len(IN_HISTOGRAM) if stat.kind is Kind.HISTOGRAM else 1))


class Names:
    """`series[number]` is what a number counts; several may count the same, one for each host.

    `refused`: how many names found no room.
    """

    def __init__(self, known: Iterable[tuple[int, str]] = ()) -> None:
        self.series: dict[int, Series] = {}
        self.refused = 0
        self.unsaved: list[tuple[int, str]] = []
        self._next = 0
        self._stats: dict[str, Stat] = {}
        self._unread: set[str] = {UPTIME}
        for number, name in known:
            series = series_of(name)
            if series is not None:
                self._enter(name, number, series)
            else:  # an earlier release has read it, and its numbers may still have totals
                self._next = max(self._next, number + len(IN_HISTOGRAM))

    def find(self, name: str) -> Stat | None:
        """None of what is not read, and of what finds no room."""
        found = self._stats.get(name)
        if found is not None:
            return found
        return None if name in self._unread else self._learn(name)

    def sums(self, counts: Mapping[int, int]) -> defaultdict[Series, int]:
        """Counts under numbers, by what they count."""
        found: defaultdict[Series, int] = defaultdict(int)
        for number, count in counts.items():
            series = self.series.get(number)
            if series is not None:
                found[series] += count
        return found

    def forget(self, used: Container[int]) -> list[int]:
        """Let go of names of which no number is used: which they are, by their first numbers."""
        unused = {name: stat for name, stat in self._stats.items() if not any(map(used.__contains__, _numbers(stat)))}
        for name, stat in unused.items():
            del self._stats[name]
            for number in _numbers(stat):
                del self.series[number]
        gone = {stat.first for stat in unused.values()}
        self.unsaved = [(number, name) for number, name in self.unsaved if number not in gone]
        return sorted(gone - {-1})

    def _learn(self, name: str) -> Stat | None:
        series = series_of(name)
        if series is None:
            if len(self._unread) < MOST_UNREAD:
                self._unread.add(name)
            return None
        kind, of = KINDS.get(series.what, Kind.COUNTER), (series.deployment, series.component)
        if kind in (Kind.HEALTHY, Kind.MEMBERS):
            found = self._stats[name] = Stat(-1, kind, of)
            return found
        if len(self.series) >= MOST_NUMBERS:
            self.refused += 1
            return None
        self.unsaved.append((self._next, name))
        return self._enter(name, self._next, series)

    def _enter(self, name: str, number: int, series: Series) -> Stat:
        kind = KINDS.get(series.what, Kind.COUNTER)
        found = self._stats[name] = Stat(number, kind, (series.deployment, series.component))
        counted = [series._replace(what=what) for what in IN_HISTOGRAM] if kind is Kind.HISTOGRAM else [series]
        self.series.update(enumerate(counted, number))
        self._next = max(self._next, number + len(counted))
        return found
