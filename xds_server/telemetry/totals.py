"""Totals of every process, and what they come to over the fleet.

A proxy sends all that it has counted since it began, again and again. So of each process the last total of each stat is
kept, and what a flush adds is the difference: a flush that comes twice, late, or never, changes nothing in the end.
Two servers that heard different flushes agree when each takes the larger total.

A total that has become smaller in a later flush began anew: the cluster went and came back. A process that says nothing
for long is let go: what it counted stays in the sums.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry.names import Names
from xds_server.telemetry.reading import LARGEST, Flush, Gauges

TOLERANCE = 2_000_000
"""Microseconds by which a start may differ that is not exact."""
MOST_TOTALS = 1_000_000
"""Of all processes together. Bounds their memory at about 150 MB."""
MOST_ENDED = 10_000
"""Processes that have been let go, and are still known not to be new."""

Sums = Mapping[Series, int]


def by_deployment(sums: Sums) -> dict[Ref, dict[Series, int]]:
    """The same, of each deployment apart."""
    found: defaultdict[Ref, dict[Series, int]] = defaultdict(dict)
    for series, count in sums.items():
        found[series.deployment][series] = count
    return found


@dataclass(slots=True, eq=False)
class Process:
    """One run of a proxy. `before`: totals that ended when a stat began anew. `heard`: when, by the server's clock;
    `steady`: since it began itself. `retiring`: what was let go of its totals and nobody has written down. `number`: of
    its row; 0: it has none yet.
    """

    node: str
    start: int
    exact: bool
    time: int = 0
    last: dict[int, int] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)
    gauges: Gauges = field(default_factory=dict)
    heard: float = 0.0
    steady: bool = False
    retiring: dict[Series, int] = field(default_factory=dict)
    number: int = 0

    def total(self, number: int) -> int:
        return self.last.get(number, 0) + self.before.get(number, 0)


class Gap(StrEnum):
    """Since when nobody knows: a flush was the first since then that was heard of a process, and is not judged."""

    NEW = "proxy began"
    AGAIN = "proxy began again"
    SERVER = "server began"


class Change(NamedTuple):
    """What a flush added, by number. `whole`: it happened since the flush that was heard before, all of it."""

    process: Process
    time: int
    added: Mapping[int, int]
    whole: bool
    gap: Gap | None = None


@dataclass(slots=True, eq=False)
class Totals:
    """`retired`: what those counted that have been let go. `unsaved`: processes of which not all is written down.

    `refused`: totals that found no room.
    """

    names: Names
    retired: defaultdict[Series, int] = field(default_factory=lambda: defaultdict(int))
    unsaved: dict[Process, None] = field(default_factory=dict)
    refused: int = 0
    kept: int = 0
    _counts: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    _of: dict[str, list[Process]] = field(default_factory=dict)
    _swept: set[Process] = field(default_factory=set)
    _ended: dict[tuple[str, int], None] = field(default_factory=dict)

    def recall(
        self, processes: Iterable[Process], retired: Sums, ended: Iterable[tuple[str, int]], now: float = 0.0
    ) -> None:
        """What was written down. A process has from now on the time that one has to be heard of again."""
        self.retired.update(retired)
        for each in processes:
            self._of.setdefault(each.node, []).append(each)
            each.heard = now
            self.kept += len(each.last)
            for number in each.last:
                self._counts[number] += each.total(number)
        self._ended.update(dict.fromkeys(ended))

    def __iter__(self) -> Iterator[Process]:
        for each in self._of.values():
            yield from each

    def sums(self) -> dict[Series, int]:
        """What all processes together have counted. Costs as much as there are numbers."""
        found = self.names.sums(self._counts)
        for series, total in self.retired.items():
            found[series] += total
        return dict(found)

    def fold(self, node: str, flush: Flush, now: float) -> Change:
        """`now`: by the server's clock, in seconds, whatever its zero."""
        process, known = self._process(node, flush)
        later = flush.time > process.time
        gap = self._gap(process, known=known) if later else None
        added = self._add(process, flush.totals, anew=later)
        if not known and (node, process.start) in self._ended:
            added = self._take_back(process, added)
        process.time = max(process.time, flush.time)
        if later and process in self._swept:
            self._swept.discard(process)
            self._let_go_absent(process, flush.totals)
        process.heard, process.steady = now, True
        if later:
            process.gauges = flush.gauges
        if added or not known:
            self.unsaved[process] = None
        return Change(process, flush.time, added, later and gap is None, gap)

    def _gap(self, process: Process, *, known: bool) -> Gap | None:
        if process.steady:
            return None
        if known:
            return Gap.SERVER
        return Gap.AGAIN if len(self._of[process.node]) > 1 else Gap.NEW

    def knows(self, node: str, flush: Flush) -> bool:
        """The process that sent it has been heard before, under this node."""
        return any(_same(each, flush) for each in self._of.get(node, ()))

    def _process(self, node: str, flush: Flush) -> tuple[Process, bool]:
        processes = self._of.setdefault(node, [])
        for each in processes:
            if _same(each, flush):
                if flush.exact and not each.exact:
                    each.start, each.exact = flush.start, True
                return each, True
        made = Process(node, flush.start, flush.exact)
        processes.append(made)
        return made, False

    def _take_back(self, process: Process, added: Mapping[int, int]) -> dict[int, int]:
        """It had been let go, and comes back: nobody knows any more how much of this is in the sums already."""
        process.before = {number: -total for number, total in process.last.items()}
        for number, more in added.items():
            self._counts[number] -= more
        return {}

    def _add(self, process: Process, totals: Mapping[int, int], *, anew: bool) -> dict[int, int]:
        last, counts, added = process.last, self._counts, dict[int, int]()
        for number, total in totals.items():
            known = last.get(number, 0)
            more = total - known
            if not more or (more < 0 and not anew) or (not known and number not in last and not self._room()):
                continue
            if more < 0:
                process.before[number] = min(process.before.get(number, 0) + known, LARGEST)
                more = total
            last[number] = total
            counts[number] += more
            added[number] = more
        return added

    def _room(self) -> bool:
        if self.kept >= MOST_TOTALS:
            self.refused += 1
            return False
        self.kept += 1
        return True

    def sweep(self) -> list[int]:
        """What a process does not tell in its next flush it has no more: its deployment, or the host, is gone.

        It stays in the sums. Names of which nobody has a total are forgotten: which, by their first numbers.
        """
        used = {number for process in self for number in process.last}
        self._swept = set(self)
        return self.names.forget(used)

    def _let_go_absent(self, process: Process, told: Mapping[int, int]) -> None:
        absent = process.last.keys() - told.keys()
        if not absent:
            return
        self._retire(process, {number: process.total(number) for number in absent})
        for number in absent:
            del process.last[number]
            process.before.pop(number, None)
        self.kept -= len(absent)
        self.unsaved[process] = None

    def _retire(self, process: Process, totals: Mapping[int, int]) -> None:
        for number, total in totals.items():
            self._counts[number] -= total
            if not self._counts[number]:
                del self._counts[number]
        for series, total in self.names.sums(totals).items():
            self.retired[series] += total
            process.retiring[series] = process.retiring.get(series, 0) + total

    def silent(self, since: float) -> list[Process]:
        """Those that have not been heard since then."""
        return [each for each in self if each.heard < since]

    def let_go(self, process: Process) -> None:
        """Forget its totals, which stay in the sums, and know it if it comes back."""
        self._of[process.node].remove(process)
        if not self._of[process.node]:
            del self._of[process.node]
        self.unsaved.pop(process, None)
        self.kept -= len(process.last)
        self._ended[process.node, process.start] = None
        while len(self._ended) > MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._retire(process, {number: process.total(number) for number in process.last})

    def members(self) -> dict[tuple[Ref, str], list[tuple[int, int]]]:
        """Of each component in a deployment, what every proxy that has it says: healthy members, and all."""
        found: defaultdict[tuple[Ref, str], list[tuple[int, int]]] = defaultdict(list)
        for process in self:
            for key, said in process.gauges.items():
                found[key].append(said)
        return found

    def members_of(self, component: tuple[Ref, str], since: float) -> list[tuple[int, int]]:
        """Of one component in a deployment, what every proxy says that has it and was heard since then."""
        return [process.gauges[component] for process in self if process.heard >= since and component in process.gauges]


def _same(process: Process, flush: Flush) -> bool:
    if process.exact and flush.exact:
        return process.start == flush.start
    return abs(process.start - flush.start) <= TOLERANCE
