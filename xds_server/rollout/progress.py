"""How far a rollout has come: all that a restart must find again."""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from xds_server.rollout.plan import Plan


class Ended(StrEnum):
    """How a rollout has ended."""

    FINISHED = "finished"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True, slots=True)
class Progress:
    """`step`: the one that it stays at, -1 before the first. `stayed`: how long a server has watched it there.

    Time in which no server ran, and time that a clock jumped over, was watched by nobody and does not count.
    """

    identity: str
    step: int = -1
    stayed: timedelta = timedelta()
    approved: frozenset[int] = frozenset()
    paused: str = ""
    ended: Ended | None = None
    because: str = ""

    def after(self, watched: timedelta) -> "Progress":
        return replace(self, stayed=self.stayed + watched)

    def at(self, step: int, because: str) -> "Progress":
        return replace(self, step=step, stayed=timedelta(), because=because)

    def end(self, how: Ended, because: str) -> "Progress":
        return replace(self, ended=how, because=because)


def progress_of(plan: Plan, known: Progress | None) -> Progress:
    """What is known goes on while `default` and `rollout` are the same; else the rollout begins anew."""
    return known if known is not None and known.identity == plan.identity else Progress(plan.identity)
