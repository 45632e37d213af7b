"""Bets against a null hypothesis, and what they have won so far: logarithms of e-values.

All are of one form: under the null each of `total` is one of `mine` with a probability of `part`, and the bet is that
the odds of that are `ratio` times as large. It multiplies its money by

    ratio^mine / (1 + part (ratio - 1))^total

which is 1 on average while the null is true, and less where the truth is on the other side of `part`. So the money is a
nonnegative supermartingale, and ever reaches 1/alpha with a probability of at most alpha (Ville's inequality), however
often one looks.

Of its money a bet that something gets worse stakes half at once and keeps the rest for later (`reserve`): what has been
well for a day has lost everything that was staked on its first hour, and may still break. A mixture over the hour at
which it breaks is a bet as good as any other.
"""

from collections.abc import Sequence
from math import exp, log, log1p

from xds_server.stats.counts import Counts

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
LOGARITHMS = tuple(map(log, RATIOS))
SCALE = 1_000
"""Requests within which about half of what is kept at first is staked."""


def reserve(requests: int) -> float:
    """What part of the money is not staked yet, after so many requests: ever less, and never nothing."""
    return 1 / (2 + log1p(requests / SCALE))


STAKED = (log(1 - reserve(0)),) * len(RATIOS)
"""A mixture of bets on `RATIOS` before anything happened. Its e-value is the mean of theirs."""


def part(share: float, ratio: float) -> float:
    """The canary's part of all bad requests, if it has this share of the requests, and this ratio of rates."""
    return share * ratio / (share * ratio + 1 - share)


def won(mine: float, total: float, null: float, ratio: float) -> float:
    """What one bet wins."""
    return mine * log(ratio) - total * log1p(null * (ratio - 1))


def raised(bets: Sequence[float], found: tuple[int, int, float], stake: float, dispersion: float) -> tuple[float, ...]:
    """The mixture after it was given `stake` from the reserve, and `found`: mine, total, and the null's part."""
    mine, total, null = found
    fresh = log(stake)
    return tuple(
        _sum(before, fresh) + (mine * logarithm - total * log1p(null * (ratio - 1))) / dispersion
        for before, ratio, logarithm in zip(bets, RATIOS, LOGARITHMS, strict=True)
    )


def above(bets: Sequence[float], found: Counts, limit: float, stake: float, dispersion: float) -> tuple[float, ...]:
    """The mixture against a rate of at most `limit`."""
    return raised(bets, (found.bad, found.requests, limit), stake, dispersion)


def log_mean(logarithms: Sequence[float]) -> float:
    """The logarithm of the mean, of values that may be too large to be written."""
    largest = max(logarithms)
    return largest + log(sum(exp(each - largest) for each in logarithms) / len(logarithms))


def _sum(one: float, other: float) -> float:
    """The logarithm of the sum."""
    return one + log1p(exp(other - one)) if one > other else other + log1p(exp(one - other))
