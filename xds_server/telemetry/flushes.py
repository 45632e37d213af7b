"""The last flushes of the fleet, for whoever judges: numbered, so that each is asked for once."""

from collections import deque
from collections.abc import Iterator
from itertools import count, takewhile
from typing import NamedTuple

from xds_server.telemetry.totals import Change, Sums

MOST_ADDED = 500_000
"""Increments that are kept, of all flushes together: bounds their memory at about 100 MB. The oldest go first."""
LONGEST = 3600 * 1_000_000
"""Microseconds after which a flush is let go."""


class Numbered(NamedTuple):
    """What one proxy counted from one flush to the next."""

    number: int
    node: str
    time: int
    added: Sums


class Flushes:
    """Only whole ones, of which something was counted. `newest`: the number of the last."""

    def __init__(self, most: int = MOST_ADDED) -> None:
        self.newest = 0
        self._most = most
        self._kept: deque[Numbered] = deque()
        self._size = 0
        self._numbers = count(1)

    def hear(self, change: Change) -> None:
        """One that says less than it seems, because others before it were not heard, is a gap."""
        if not change.whole or not change.added:
            return
        self.newest = next(self._numbers)
        self._kept.append(Numbered(self.newest, change.process.node, change.time, change.added))
        self._size += len(change.added)
        while self._size > self._most or self._kept[0].time < change.time - LONGEST:
            self._size -= len(self._kept.popleft().added)

    def since(self, number: int) -> Iterator[Numbered]:
        """Those after this one, the oldest first."""
        found = takewhile(lambda each: each.number > number, reversed(self._kept))
        yield from reversed(list(found))
