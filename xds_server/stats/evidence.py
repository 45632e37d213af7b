"""Is the canary worse than stable, is it safe, or can nobody say yet? At any time, and looked at as often as one likes.

Each question is a bet against its null hypothesis (`bets`). Most are on the bad requests of both sides in one tick, of
which the canary's part depends on the ratio of the two rates and on the canary's share of the requests alone. So what
happens to both sides at once, an outage or a step of the rollout, is no evidence that they differ (`Tick`).

    worse   null: the canary's rate is never above stable's, or never above `floor`. Of two mixtures of bets, one
            against each, the one that has won less: both have to be refuted
    safe    null: the canary's rate is at least `max_ratio` times stable's, and at least `floor`. The mean of a bet
            against the first, that it is as good as stable, and of one against the second, that it has a tenth of the
            floor: it is enough to refute one. The second decides where nobody has any error. In an outage of both
            nothing is won: where all fail, no canary can fail more often. Nor does the second lose: nobody is clean

A rate is the mean of one tick, whatever each request's own chance is, and the ticks need not be alike. Where requests
are bad independently of each other, or in bursts of which each is of one side (`dispersion`), nothing else is assumed.
"""

from dataclasses import dataclass
from math import ceil, log

from xds_server.stats.bets import (
    STAKED,
    above_limit,
    above_share,
    log_mean,
    log_sum,
    part,
    reserve,
    won_how_many,
    won_whose,
)
from xds_server.stats.counts import NONE, Counts, Tick

CLEAN = 0.1
"""What part of the floor a canary is believed to have, that has no errors."""
MERIT = log(100)
"""How much more than is needed a bet that the canary is safe may have won: merits of yesterday excuse nothing."""
LEAST_GAIN = 1e-15
"""Of a request: so little, or a loss, that no number of them is enough."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one comparison is held to: from when a rollout starts to its end, they stay.

    `max_ratio`: of the canary's rate to stable's, more than 1. `floor`: a rate that is never too much, more than 0.
    `dispersion`: at least 1.
    `worse` and `safe`: how often, at most, either is said although it is not true (alpha, divided among comparisons).
    """

    max_ratio: float = 1.5
    floor: float = 0.001
    dispersion: float = 1.0
    worse: float = 0.05
    safe: float = 0.05


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that has to be remembered of the ticks: whoever keeps it goes on where it was. Logarithms of e-values.

    `worse`, `above`: bets of a mixture that the canary is above stable's rate, and above the floor. `as_good`, `clean`:
    the two bets that it is safe. `canary`, `stable`: what was counted.
    """

    worse: tuple[float, ...] = STAKED
    above: tuple[float, ...] = STAKED
    as_good: float = 0.0
    clean: float = 0.0
    canary: Counts = NONE
    stable: Counts = NONE

    def after(self, tick: Tick, limits: Limits, *, outage: bool = False) -> "Evidence":
        """A tick in which one side has no request says nothing. `outage`: both fail, and perhaps for one reason."""
        canary, stable = tick
        if not canary.requests or not stable.requests:
            return self
        share, bad = tick.share, (canary.bad, stable.bad)
        counted = self.canary.plus(canary)
        stake = reserve(self.canary.requests) - reserve(counted.requests)
        most, won = _needed(limits) + MERIT, _as_good(bad, share, limits)
        clean = won_how_many(canary, limits.floor, CLEAN, limits.dispersion)
        return Evidence(
            above_share(self.worse, bad, share, stake, limits.dispersion),
            above_limit(self.above, canary, limits.floor, stake, limits.dispersion),
            min(most, self.as_good + (min(won, 0.0) if outage else won)),
            min(most, self.clean + (0.0 if outage else clean)),
            counted,
            self.stable.plus(stable),
        )

    @property
    def worse_value(self) -> float:
        """The logarithm of the e-value that the canary is worse."""
        return min(log_sum(self.worse), log_sum(self.above))

    @property
    def safe_value(self) -> float:
        """The logarithm of the e-value that the canary is safe."""
        return log_mean((self.as_good, self.clean))

    def is_worse(self, limits: Limits) -> bool:
        return self.worse_value >= -log(limits.worse)

    def is_safe(self, limits: Limits) -> bool:
        return self.safe_value >= -log(limits.safe)

    def missing(self, limits: Limits) -> int:
        """About how many requests the canary still needs to be shown safe, if it is as good as stable has been."""
        rate, needed = self.stable.rate, _needed(limits)
        gains = [(self.clean, won_how_many((1, rate), limits.floor, CLEAN, limits.dispersion))]
        if self.canary.requests and rate:
            share = Tick(self.canary, self.stable).share
            gains.append((self.as_good, _as_good((rate, rate * (1 - share) / share), share, limits)))
        return min(ceil(max(0.0, needed - before) / max(gain, LEAST_GAIN)) for before, gain in gains)


def _as_good(bad: tuple[float, float], share: float, limits: Limits) -> float:
    return won_whose(bad, part(share, limits.max_ratio), 1 / limits.max_ratio, limits.dispersion)


def _needed(limits: Limits) -> float:
    """What one of the two bets has to win so that their mean is enough, if the other has lost all."""
    return log(2 / limits.safe)
