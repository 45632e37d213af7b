"""What is so bad that nobody waits for evidence: the first requests of a canary that fails at once."""

from dataclasses import dataclass, replace

from xds_server.stats.counts import NONE, Counts, Tick

FIRST = 10
BAD = 5
STABLE_BAD = 0.1
"""The largest part of stable's requests in the same flushes with which the fault is still the canary's own."""


@dataclass(frozen=True, slots=True)
class Outset:
    """The canary's first ten requests, and stable's beside them, in whole ticks: the tenth's tick is the last."""

    canary: Counts = NONE
    stable: Counts = NONE

    @property
    def over(self) -> bool:
        return self.canary.requests >= FIRST

    def after(self, tick: Tick) -> "Outset":
        if self.over or not tick.canary.requests:
            return self
        return replace(self, canary=self.canary.plus(tick.canary), stable=self.stable.plus(tick.stable))

    @property
    def hopeless(self) -> bool:
        """Five bad ones, and at least half of what was counted; never without a request of stable to compare with."""
        canary, stable = self.canary, self.stable
        return canary.bad >= BAD and canary.rate >= BAD / FIRST and bool(stable.requests) and stable.rate <= STABLE_BAD
