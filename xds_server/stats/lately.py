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
    """Requests of both sides and how many of them were bad, each of less weight the longer ago it was."""

    requests: float = 0.0
    bad: float = 0.0

    def after(self, tick: Tick) -> "Lately":
        both = tick.canary.plus(tick.stable)
        return Lately(self.requests + both.requests, self.bad + both.bad)

    def later(self, elapsed: timedelta) -> "Lately":
        left = 0.5 ** (elapsed / HALF_LIFE)
        return Lately(self.requests * left, self.bad * left)

    @property
    def outage(self) -> float:
        """The part of them that is bad, where it is more than half; 0 where it is not."""
        return self.bad / self.requests if self.requests >= LEAST and 2 * self.bad > self.requests else 0.0
