"""Do most requests of both sides fail just now? Then nothing is learned, and nobody knows whose fault it is."""

from dataclasses import dataclass
from datetime import timedelta

from xds_server.stats.counts import Tick

HALF_LIFE = timedelta(seconds=20)
"""After so long a request counts half."""
LEAST = 10
"""Of fewer requests nothing is said."""


@dataclass(frozen=True, slots=True)
class Lately:
    """Requests of each side and how many of them were bad, each of less weight the longer ago it was."""

    canary: float = 0.0
    canary_bad: float = 0.0
    stable: float = 0.0
    stable_bad: float = 0.0

    def after(self, tick: Tick) -> "Lately":
        canary, stable = tick
        return Lately(
            self.canary + canary.requests,
            self.canary_bad + canary.bad,
            self.stable + stable.requests,
            self.stable_bad + stable.bad,
        )

    def later(self, elapsed: timedelta) -> "Lately":
        left = 0.5 ** (elapsed / HALF_LIFE)
        return Lately(self.canary * left, self.canary_bad * left, self.stable * left, self.stable_bad * left)

    @property
    def requests(self) -> float:
        return self.canary + self.stable

    @property
    def outage(self) -> float:
        """The part of all that is bad, where more than half is on each side; 0 where it is not."""
        alike = 2 * self.canary_bad > self.canary and 2 * self.stable_bad > self.stable
        return (self.canary_bad + self.stable_bad) / self.requests if alike and self.requests >= LEAST else 0.0
