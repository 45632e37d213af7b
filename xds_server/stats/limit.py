"""An audience that has nothing to be compared with: is the rate of what it gets above a limit?

Worth less than a comparison: what happens to everybody at once is held against it, unless whoever asks leaves that out.
"""

from dataclasses import dataclass

from xds_server.stats.bets import STAKED, above_limit, log_sum, reserve
from xds_server.stats.counts import NONE, Counts


@dataclass(frozen=True, slots=True)
class OverLimit:
    """All that has to be remembered of the ticks. The null hypothesis: the rate is never above the limit.

    `bets`: logarithms of e-values, of a mixture. `counted`: what happened.
    """

    bets: tuple[float, ...] = STAKED
    counted: Counts = NONE

    def after(self, found: Counts, limit: float, dispersion: float = 1.0) -> "OverLimit":
        """`limit`: a rate between 0 and 1. With `dispersion` as in `Limits`, of the audience's own history."""
        if not found.requests:
            return self
        counted = self.counted.plus(found)
        stake = reserve(self.counted.requests) - reserve(counted.requests)
        return OverLimit(above_limit(self.bets, found, limit, stake, dispersion), counted)

    @property
    def value(self) -> float:
        """The logarithm of the e-value that the rate is above the limit."""
        return log_sum(self.bets)
