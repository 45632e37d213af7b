"""What the fleet counted minute by minute, for an hour: what a rollout that begins knows of the time before.

It is by deployment and rule, as rollouts ask for it, and no longer by proxy: so an hour is small, and outlives the
server. While a minute goes on counts are added up by their numbers, and what they count is looked up once, when it is
over. But for gRPC calls that failed: whose they were is to be seen in a single flush, or nowhere.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import BUCKETS, Series
from xds_server.stats import Counts
from xds_server.telemetry.flushes import Numbered
from xds_server.telemetry.names import Names
from xds_server.telemetry.ticks import FAILED, NUMBERS, Guard, counts_of
from xds_server.telemetry.totals import by_deployment

LONGEST = 60
"""Minutes that are kept, besides the one that goes on."""
MOST_TOLD = 100_000
"""Deployments, times rules, times minutes: bounds their memory at about 50 MB. The oldest minutes go first."""
AT_ONCE = 250
"""Numbers, or rows, between two turns of others: about a millisecond."""
SIGNED_64 = "q"
Own = Mapping[Series, int]
"""Of one deployment."""


class Where(NamedTuple):
    """Whose requests are added up."""

    deployment: Ref
    rule: str


def _nothing() -> "array[int]":
    return array(SIGNED_64, bytes(8 * len(BUCKETS)))


@dataclass(slots=True)
class Told:
    """What they did in a minute. `latency`: requests by bucket. Flushes of which nobody knows whose the errors were
    have latency only.
    """

    requests: int = 0
    bad: int = 0
    latency: "array[int]" = field(default_factory=_nothing)

    def counts(self, guard: Guard) -> Counts:
        if guard.slower_than is None:
            return Counts(self.requests, self.bad)
        return Counts(sum(self.latency), sum(self.latency[guard.slower_than + 1 :]))


Minute = dict[Where, Told]


class Minutes:
    """`now`: the minute that goes on, counted since 1970. Minutes are the server's, whatever a proxy's clock says."""

    def __init__(self, names: Names, kept: Mapping[int, Minute] | None = None, most: int = MOST_TOLD) -> None:
        self.now = 0
        self._names = names
        self._most = most
        self._kept: dict[int, Minute] = dict(kept or {})
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._unsaved: Minute = {}

    def hear(self, flush: Numbered) -> None:
        """Once of each flush that is written down."""
        counts, apart = self._counts, self._failing(flush.added)
        for number, count in flush.added.items():
            if number not in apart:
                counts[number] += count
        for own in by_deployment(self._names.sums({number: flush.added[number] for number in apart})).values():
            self._tell(own)

    def _failing(self, added: Iterable[int]) -> Collection[int]:
        """The numbers of deployments of which gRPC calls failed."""
        series = self._names.series
        failing = {series[number].deployment for number in added if number in series and series[number].what in FAILED}
        if not failing:
            return ()
        return {number for number in added if number in series and series[number].deployment in failing}

    def close(self) -> Iterator[list[tuple[Where, Told]]]:
        """What is to be written down of the minute that goes on, in parts between which others may have their turn.

        Some are empty. Whoever does not take all of them may ask for the rest.
        """
        while self._counts:
            some = {number: self._counts.pop(number) for number in [*islice(self._counts, AT_ONCE)]}
            for own in by_deployment(self._names.sums(some)).values():
                self._tell(own)
            yield []
        while self._unsaved:
            yield [(where, self._unsaved.pop(where)) for where in [*islice(self._unsaved, AT_ONCE)]]

    def take_back(self, told: Iterable[tuple[Where, Told]]) -> None:
        """A part that could not be written down: it is to be, still."""
        self._unsaved = {**dict(told), **self._unsaved}

    def begin(self, minute: int) -> list[int]:
        """Another minute goes on, the one before is closed: which ones are let go.

        Later ones stay, and are not told: a clock may go back, and be set right again.
        """
        self.now = minute
        gone = [each for each in self._kept if each < minute - LONGEST]
        size = sum(len(told) for each, told in self._kept.items() if each not in gone)
        for each in sorted(self._kept.keys() - gone):
            if size > self._most:
                size -= len(self._kept[each])
                gone.append(each)
        for each in gone:
            del self._kept[each]
        return gone

    def past(self, deployments: Iterable[Ref], rule: str, guard: Guard) -> list[Counts]:
        """Of these deployments together, of each minute that is over in which they had requests, the oldest first."""
        wheres = [Where(each, rule) for each in deployments]
        found = []
        for minute in sorted(each for each in self._kept if each < self.now):
            counts = Counts()
            for told in filter(None, map(self._kept[minute].get, wheres)):
                counts = counts.plus(told.counts(guard))
            if counts.requests:
                found.append(counts)
        return found

    def _tell(self, own: Own) -> None:
        minute = self._kept.setdefault(self.now, {})
        for where in {Where(series.deployment, series.rule) for series in own if series.rule}:
            told = self._unsaved[where] = minute.setdefault(where, Told())
            counts = counts_of(own, where.rule) or Counts()
            told.requests += counts.requests
            told.bad += counts.bad
        for series, count in own.items():
            bucket = NUMBERS.get(series.what)
            if bucket is not None:
                minute[Where(series.deployment, series.rule)].latency[bucket] += count
