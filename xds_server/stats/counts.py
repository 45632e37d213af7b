"""What happened to requests, counted."""

from typing import NamedTuple


class Counts(NamedTuple):
    """Requests that ended, and how many of them were bad: failed, or slow."""

    requests: int = 0
    bad: int = 0

    @property
    def rate(self) -> float:
        """Between 0 and 1; 0 where there was no request."""
        return self.bad / self.requests if self.requests else 0.0

    @property
    def mostly_bad(self) -> bool:
        return 2 * self.bad > self.requests

    @property
    def words(self) -> str:
        return f"{self.bad:,} of {self.requests:,} ({self.rate:.2%})"

    def plus(self, other: "Counts") -> "Counts":
        return Counts(self.requests + other.requests, self.bad + other.bad)


NONE = Counts()


class Tick(NamedTuple):
    """Both sides of a comparison in the same time: whole flushes of one proxy."""

    canary: Counts
    stable: Counts

    @property
    def share(self) -> float:
        """The canary's part of the requests, of which there must be one."""
        return self.canary.requests / (self.canary.requests + self.stable.requests)

    @property
    def is_outage(self) -> bool:
        """Most requests of each side were bad."""
        return self.canary.mostly_bad and self.stable.mostly_bad
