"""What one webhook has not taken yet, and what of it may be tried now. Pure: who asks holds the clock.

The notifications of one release are a lane: only the first is tried, and the next when it is delivered or given up. So
they arrive in order, and one that is not taken holds up no other release. When nobody answers, or the receiver asks
for time, every lane waits; then one lane is tried, another one each time, until somebody answers.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from heapq import heappop, heappush
from itertools import islice
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.notifications.outcome import Outcome, Verdict, pause, verdict

MOST = 20_000
"""Notifications that wait for one webhook; of more, the oldest are dropped."""
AT_ONCE = 8
"""Tries under way at a time."""


class Waiting(NamedTuple):
    """A notification that is not delivered: numbers order them. `at`: when what it tells of happened."""

    number: int
    release: Ref
    at: datetime
    tries: int = 0


@dataclass(slots=True)
class _Lane:
    """`due`: when its first may be tried."""

    waiting: deque[int] = field(default_factory=deque)
    due: float = 0.0
    refusals: int = 0
    is_busy: bool = False


class Outbox:
    """Times are seconds of a clock that never goes back. `chance` gives numbers from 0 to 1."""

    def __init__(self, chance: Callable[[], float], most: int = MOST) -> None:
        self._chance = chance
        self._most = most
        self._waiting: dict[int, Waiting] = {}
        self._lanes: dict[Ref, _Lane] = {}
        self._due: list[tuple[float, int, Ref]] = []
        self._busy = 0
        self._silences = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def oldest(self) -> Waiting | None:
        return next(iter(self._waiting.values()), None)

    def add(self, found: Iterable[Waiting]) -> list[int]:
        """Those came, in the order of their numbers. The numbers of those that are dropped, for want of room."""
        for each in found:
            self._waiting[each.number] = each
            lane = self._lanes.setdefault(each.release, _Lane())
            lane.waiting.append(each.number)
            if len(lane.waiting) == 1:
                self._offer(each.release)
        return self._drop(len(self._waiting) - self._most)

    def take(self, now: float) -> list[int]:
        """Those to try now. `heard` ends a try."""
        found: list[int] = []
        room = (1 if self._silences else AT_ONCE) - self._busy
        while len(found) < room and now >= self._not_before and self._due and self._due[0][0] <= now:
            _, number, release = heappop(self._due)
            if self._is_offered(number, release):
                self._lanes[release].is_busy = True
                found.append(number)
        self._busy += len(found)
        return found

    def wakes(self) -> float | None:
        """When there may be something to try, if nothing is heard or added before; None: then there is not."""
        while self._due and not self._is_offered(*self._due[0][1:]):
            heappop(self._due)
        if not self._due or self._busy >= (1 if self._silences else AT_ONCE):
            return None
        return max(self._not_before, self._due[0][0])

    def heard(self, number: int, outcome: Outcome, now: float) -> Verdict:
        """What came of a try."""
        self._busy -= 1
        waiting = self._waiting[number]
        lane = self._lanes[waiting.release]
        lane.is_busy = False
        tries = waiting.tries + 1
        lane.refusals += outcome.is_refused
        self._listen(outcome, now)
        found = verdict(outcome, tries, lane.refusals)
        if found is Verdict.AGAIN:
            self._waiting[number] = waiting._replace(tries=tries)
            lane.due = now + max(pause(tries, self._chance), outcome.asked)
        else:
            self._leave(number, lane)
        self._offer(waiting.release)
        return found

    def tries(self, number: int) -> int:
        return self._waiting[number].tries

    def _listen(self, outcome: Outcome, now: float) -> None:
        """What is about the receiver, and not about what it was sent."""
        self._silences = 0 if outcome.status else self._silences + 1
        if self._silences:
            self._not_before = now + pause(self._silences, self._chance)
        elif outcome.asked:
            self._not_before = max(self._not_before, now + outcome.asked)

    def _is_offered(self, number: int, release: Ref) -> bool:
        """It is the first of its lane still."""
        lane = self._lanes.get(release)
        return lane is not None and not lane.is_busy and lane.waiting[0] == number

    def _offer(self, release: Ref) -> None:
        lane = self._lanes[release]
        if not lane.waiting:
            del self._lanes[release]
        elif not lane.is_busy:
            heappush(self._due, (lane.due, lane.waiting[0], release))

    def _leave(self, number: int, lane: _Lane) -> None:
        if lane.waiting[0] == number:
            lane.due, lane.refusals = 0.0, 0
        del self._waiting[number]
        lane.waiting.remove(number)

    def _drop(self, surplus: int) -> list[int]:
        """The oldest, but for those that are under way."""
        idle = (each for each in self._waiting.values() if not self._is_under_way(each))
        dropped = list(islice(idle, max(0, surplus)))
        for each in dropped:
            lane = self._lanes[each.release]
            self._leave(each.number, lane)
            self._offer(each.release)
        return [each.number for each in dropped]

    def _is_under_way(self, waiting: Waiting) -> bool:
        lane = self._lanes[waiting.release]
        return lane.is_busy and lane.waiting[0] == waiting.number
