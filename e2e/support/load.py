"""Open-loop load, and the two questions that it answers: was a request lost, was an answer's version illegal?

Open loop: requests leave when they are due, whether or not earlier ones were answered; none is retried.
"""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from e2e.support.processes import Child

UNANSWERED = "no answer"


RATE = 320.0
"""Requests a second; somewhat more than the 300 that are promised, whatever the clock does at both ends."""
STEADY = 100.0
"""Requests a second that are enough to see what becomes of them, if other tests run at the same time."""


@dataclass(frozen=True, slots=True)
class Shot:
    """A kind of request that load repeats. `name` is what its answers are found by."""

    name: str
    host: str
    path: str = "/"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one request. Times are those of the monotonic clock, which all processes share.

    `wire` is how it was sent: `h1` or `h2`, over a kept or a new connection. `status` is 0 if there was no answer.
    """

    shot: str
    wire: str
    start: float
    end: float
    status: int
    served: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Legal:
    """From one instant until another, the answers that these deployments give are right."""

    start: float
    end: float
    deployments: frozenset[str]

    def allows(self, answer: Answer) -> bool:
        return answer.served in self.deployments and self.start <= answer.end and answer.start <= self.end


def lost(answers: Iterable[Answer], expected: int = 200) -> list[Answer]:
    """Those that failed, or whose status is not the one that this load was built to get."""
    return [each for each in answers if each.error or each.status != expected]


def illegal(answers: Iterable[Answer], timeline: Sequence[Legal]) -> list[Answer]:
    """Those whose deployment was legal at no moment between their start and their end."""
    return [each for each in answers if not any(span.allows(each) for span in timeline)]


@dataclass(frozen=True, slots=True)
class Results:
    """What a load saw, and what it cost: `cpu` is the generator's own time in seconds."""

    answers: tuple[Answer, ...]
    cpu: float

    @property
    def per_second(self) -> float:
        """How often a request left, from the first to the last."""
        starts = [each.start for each in self.answers]
        return (len(starts) - 1) / (max(starts) - min(starts))

    def of(self, shot: str) -> list[Answer]:
        return [each for each in self.answers if each.shot == shot]

    def illegal(self, timelines: Mapping[str, Sequence[Legal]]) -> list[Answer]:
        return [wrong for shot, timeline in timelines.items() for wrong in illegal(self.of(shot), timeline)]


class Load:
    """`rate` requests a second to a port, the shots in turn, in a process of its own, until it is stopped.

    HTTP/1 and HTTP/2 take turns, most over kept connections, a fifth over new ones. `tls`: all of them encrypted.
    """

    def __init__(
        self, port: int, shots: Sequence[Shot], directory: Path, rate: float = RATE, *, tls: bool = False
    ) -> None:
        self._results = directory / "load.json"
        self.child = Child("load", [sys.executable, "-m", "e2e.support.load_process"], directory, talks=True)
        order = {
            "port": port,
            "rate": rate,
            "tls": tls,
            "results": str(self._results),
            "shots": [asdict(shot) for shot in shots],
        }
        self.child.say(json.dumps(order))
        self.child.hear()

    def wait_failure(self) -> None:
        """Until the first request fails without an answer. Nobody waits for a load that loses nothing."""
        self.child.hear()

    def stop(self) -> Results:
        """Send no more, wait for the answers that are due, and tell what was seen."""
        self.child.finish()
        seen = json.loads(self._results.read_text())
        return Results(tuple(Answer(*each) for each in seen["answers"]), seen["cpu"])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.child.stop()
