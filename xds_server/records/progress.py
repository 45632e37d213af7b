"""How far a rollout has come: all that a restart must find again, but for what the canary is judged by."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum

NONE = timedelta()


class Ended(StrEnum):
    """How a rollout has ended."""

    FINISHED = "finished"
    ROLLED_BACK = "rolled back"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Progress:
    """`step`: the one that it stays at, -1 before the first. `stayed`: how long a server has watched it there.

    Time in which no server ran, and time that a clock jumped over, was watched by nobody and does not count; it is no
    part of what makes two equal. Nor is `waited`, for how long somebody's word or evidence was missing there and nobody
    had paused it, nor `dark`, for how long what it gives has not been live. `attempt`: how often it has begun; what was
    learnt in one holds for no other.
    """

    identity: str
    step: int = -1
    stayed: timedelta = field(default=NONE, compare=False)
    waited: timedelta = field(default=NONE, compare=False)
    dark: timedelta = field(default=NONE, compare=False)
    approved: frozenset[int] = frozenset()
    paused: str = ""
    ended: Ended | None = None
    because: str = ""
    attempt: int = 1

    def watched(self, stayed: timedelta, waited: timedelta = NONE, dark: timedelta = NONE) -> "Progress":
        return replace(self, stayed=stayed, waited=waited, dark=dark)

    def at(self, step: int, because: str) -> "Progress":
        return replace(self, step=step, because=because).watched(NONE)

    def end(self, how: Ended, because: str) -> "Progress":
        return replace(self, ended=how, because=because)

    def anew(self) -> "Progress":
        """At the same step, with nothing learnt, and nothing approved there."""
        return replace(self, attempt=self.attempt + 1, approved=frozenset()).watched(NONE)

    def again(self) -> "Progress":
        """From before its first step, with nothing learnt."""
        return Progress(self.identity, attempt=self.attempt + 1)
