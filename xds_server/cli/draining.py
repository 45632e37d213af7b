"""When an Envoy that is to end may: what its counters say, and what follows from it. Pure.

An Envoy that drains tells every client with its next answer that the connection closes, and still takes new ones: who
sends them may not have heard yet. It may end as soon as nobody comes any more:

    TAKING     new connections are taken, for half of the time at most
    REFUSING   they are refused, so that whoever still sends them turns to another instance; what is under way finishes

In both it ends when nothing is under way and nothing has come for a while (`quiet`), while refusing also as soon as
nobody is connected. When the time is over it ends whatever is under way.
"""

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import NamedTuple

FILTER = r"^http\..*\.downstream_(rq_active|rq_total|cx_active)$"
"""Which of Envoy's counters are asked for."""
LINE = re.compile(r"^http\.(?!admin\.).*\.downstream_(rq_active|rq_total|cx_active): ([0-9]+)$", re.MULTILINE)
"""Without the admin interface, which the question itself comes by."""


class Patience(NamedTuple):
    """How long an Envoy may take to end, and how long nobody must have come before it ends earlier. Seconds."""

    drain: float
    quiet: float


class Seen(NamedTuple):
    """The requests that are under way, all that ever came, and the connections of clients."""

    active: int
    total: int
    connections: int


class Step(Enum):
    """What to do next."""

    WAIT = "wait"
    REFUSE = "refuse"
    END = "end"


@dataclass(frozen=True, slots=True)
class Progress:
    """A drain that began at `started`. `total`: the requests that had come by then; `last`: when one was seen last."""

    started: float
    last: float
    total: int = -1
    refusing: bool = False


def seen_in(text: str) -> Seen:
    """`text`: what `GET /stats` of the admin interface says."""
    sums = {"rq_active": 0, "rq_total": 0, "cx_active": 0}
    for name, value in LINE.findall(text):
        sums[name] += int(value)
    return Seen(sums["rq_active"], sums["rq_total"], sums["cx_active"])


def next_step(patience: Patience, before: Progress, seen: Seen | None, now: float) -> tuple[Progress, Step]:
    """`seen` None: Envoy does not say."""
    if now - before.started >= patience.drain:
        return before, Step.END
    if seen is None:
        return before, Step.WAIT
    busy = seen.active > 0 or seen.total != before.total
    after = replace(before, total=seen.total, last=now if busy else before.last)
    if not busy and now - after.last >= patience.quiet:
        return after, Step.END
    if before.refusing:
        return after, Step.WAIT if seen.active or seen.connections else Step.END
    if now - before.started >= patience.drain / 2:
        return replace(after, refusing=True), Step.REFUSE
    return after, Step.WAIT
