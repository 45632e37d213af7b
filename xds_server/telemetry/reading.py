"""From an export to a flush: which process sent it, when, and the totals of what is read.

Which process it was is known by its start. Envoy says it with every count, in microseconds; the oldest ones say when
they flushed last instead, which they also do with gauges. Of those, and where nothing has been counted yet, it is the
time less the uptime, both in whole seconds.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import EDGES, UPTIME
from xds_server.messages.metrics import Malformed
from xds_server.telemetry.names import Kind, Names

MICROSECONDS = 1_000_000
NANOSECONDS_SINCE = 10**17
"""From here on a number is no count of microseconds."""
LARGEST = 2**53
Gauges = dict[tuple[Ref, str], tuple[int, int]]
"""Healthy members, and all, of a component in a deployment."""


class Flush(NamedTuple):
    """Microseconds. `start` is not `exact` where it may be wrong by a second. `totals`: by number (`Names`)."""

    start: int
    exact: bool
    time: int
    totals: dict[int, int]
    gauges: Gauges


class Reading:
    """Takes the metrics of one export, in as many parts as one likes.

    `strange`: its histograms have other edges, as it was started with another bootstrap.
    """

    def __init__(self, names: Names) -> None:
        self.strange = False
        self._names = names
        self._totals: dict[int, int] = {}
        self._members: dict[tuple[Ref, str], list[int]] = {}
        self._distributions = 0
        self._begun = 0
        self._begun_of_gauges = 0
        self._time = 0
        self._uptime = -1

    def take(self, metrics: Iterable[Any]) -> None:
        """Raises `Malformed`: a metric has no value, or is of another kind than its name says."""
        try:
            self._take(metrics)
        except (IndexError, OverflowError, ValueError):
            raise Malformed("a metric has not the value that its name promises") from None

    def _take(self, metrics: Iterable[Any]) -> None:
        find, totals, members = self._names.find, self._totals, self._members
        for metric in metrics:
            name = metric.name
            stat = find(name)
            if stat is None:
                if name == UPTIME:
                    self._age(metric.gauge.data_points[0])
                continue
            first, kind, of = stat
            if kind is Kind.COUNTER:
                point = metric.sum.data_points[0]
                totals[first] = point.as_int
                self._begun = point.start_time_unix_nano
            elif kind is Kind.HISTOGRAM:
                self._distribution(first, metric.histogram.data_points[0])
            else:
                said = members.get(of)
                if said is None:
                    said = members[of] = [0, 0]
                said[kind is Kind.MEMBERS] = metric.gauge.data_points[0].as_int

    def _age(self, point: Any) -> None:
        self._uptime = point.as_int
        self._time = point.time_unix_nano
        self._begun_of_gauges = point.start_time_unix_nano

    def _distribution(self, first: int, point: Any) -> None:
        """All of one export have the same edges."""
        if not self._distributions:
            self.strange = tuple(point.explicit_bounds) != EDGES
        self._distributions += 1
        if self.strange:
            return
        totals = self._totals
        for number, count in enumerate(point.bucket_counts, first):
            if count:
                totals[number] = count
        totals[first + len(EDGES) + 1] = int(point.sum)

    def flush(self) -> Flush | None:
        """None if it is not known which process sent it: it has no uptime. Raises `Malformed`."""
        if self._uptime < 0:
            return None
        exact = bool(self._begun) and not self._begun_of_gauges
        start = self._begun if self._begun < NANOSECONDS_SINCE else self._begun // 1000
        time = self._time // 1000
        if not exact:
            start = (time // MICROSECONDS - self._uptime) * MICROSECONDS
        numbers = start, time, max(self._totals.values(), default=0), min(self._totals.values(), default=0)
        if min(numbers) < 0 or max(numbers) >= LARGEST:
            raise Malformed("a number is less or more than anything can be")
        gauges = {of: (healthy, members) for of, (healthy, members) in self._members.items()}
        return Flush(start, exact, time, self._totals, gauges)
