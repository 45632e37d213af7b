"""Is the canary worse than stable, is it safe, or can nobody say yet? At any time, and looked at as often as one likes.

Each question is a bet against its null hypothesis. What a bet has won so far, its e-value, is a martingale while the
null hypothesis is true: it ever reaches 1/alpha with a probability of at most alpha (Ville's inequality), however often
one looks, and whenever one stops. The bets are on bad requests of both sides in one tick, of which the canary's part,
given the sum, depends on the ratio of the two rates and on the canary's share of the requests alone. So nothing that
happens to both sides at once, an outage or a step of the rollout, is evidence of anything (`Tick`).

    worse   null: the canary's rate is not above stable's. A mixture of bets on `RATIOS` times the rate
    safe    null: the canary's rate is at least `max_ratio` times stable's, and at least `floor`. The mean of a bet
            against the first, that it is as good as stable, and of one against the second, that it has a tenth of the
            floor; the second decides where nobody has any error

Errors that come in bursts are worth less: each is divided by the dispersion of stable's history (`dispersion`).
"""

from dataclasses import dataclass
from math import ceil, exp, log, log1p

from xds_server.stats.counts import NONE, Counts, Tick

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
CLEAN = 0.1
"""What part of the floor a canary is believed to have, that has no errors."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one comparison is held to: from when a rollout starts to its end, they stay.

    `max_ratio`: of the canary's rate to stable's. `floor`: a rate that is never too much. `dispersion`: at least 1.
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

    `worse`: for each of `RATIOS`. `as_good`, `clean`: the two bets that it is safe. `canary`, `stable`: what was
    counted.
    """

    worse: tuple[float, ...] = (0.0,) * len(RATIOS)
    as_good: float = 0.0
    clean: float = 0.0
    canary: Counts = NONE
    stable: Counts = NONE

    def after(self, tick: Tick, limits: Limits) -> "Evidence":
        """A tick in which one side has no request says nothing."""
        canary, stable = tick
        if not canary.requests or not stable.requests:
            return self
        share = canary.requests / (canary.requests + stable.requests)
        worse = zip(self.worse, RATIOS, strict=True)
        too_bad = part(share, limits.max_ratio)
        return Evidence(
            tuple(before + won(tick, part(share, ratio), share) / limits.dispersion for before, ratio in worse),
            self.as_good + won(tick, share, too_bad) / limits.dispersion,
            self.clean + _won_alone(canary.requests, canary.bad, limits.floor) / limits.dispersion,
            self.canary.plus(canary),
            self.stable.plus(stable),
        )

    @property
    def worse_value(self) -> float:
        """The logarithm of the e-value that the canary is worse."""
        return log_mean(self.worse)

    @property
    def safe_value(self) -> float:
        """The logarithm of the e-value that the canary is safe."""
        return log_mean((self.as_good, self.clean))

    def is_worse(self, limits: Limits) -> bool:
        """Also: its rate is above the floor, below which nobody minds."""
        return self.worse_value >= -log(limits.worse) and self.canary.rate > limits.floor

    def is_safe(self, limits: Limits) -> bool:
        return self.safe_value >= -log(limits.safe)

    def missing(self, limits: Limits) -> int:
        """About how many requests the canary still needs to be shown safe, if it is as good as stable has been."""
        needed = log(2 / limits.safe)
        rate = self.stable.rate
        gains = [(self.clean, _won_alone(1 - rate, 0, limits.floor) + _won_alone(rate, rate, limits.floor))]
        if self.canary.requests and rate:
            share = self.canary.requests / (self.canary.requests + self.stable.requests)
            too_bad = part(share, limits.max_ratio)
            gains.append((self.as_good, rate * _expected(share, too_bad) / share))
        return min(ceil(max(0.0, needed - before) * limits.dispersion / gain) for before, gain in gains if gain > 0)


def part(share: float, ratio: float) -> float:
    """The canary's part of all bad requests, if it has this share of the requests, and this ratio of rates."""
    return share * ratio / (share * ratio + 1 - share)


def won(tick: Tick, believed: float, null: float) -> float:
    """What a bet on the canary's part of the bad requests wins in a tick."""
    return tick.canary.bad * log(believed / null) + tick.stable.bad * log((1 - believed) / (1 - null))


def _expected(share: float, null: float) -> float:
    """What the bet that the canary is as good wins by one bad request, if it is."""
    return share * log(share / null) + (1 - share) * log((1 - share) / (1 - null))


def _won_alone(requests: float, bad: float, floor: float) -> float:
    """What the bet that the canary has a tenth of the floor wins by its own requests."""
    return bad * log(CLEAN) + (requests - bad) * (log1p(-floor * CLEAN) - log1p(-floor))


def log_mean(logarithms: tuple[float, ...]) -> float:
    """The logarithm of the mean, of values that may be too large to be written."""
    largest = max(logarithms)
    return largest + log(sum(exp(each - largest) for each in logarithms) / len(logarithms))
