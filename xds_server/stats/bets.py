"""Bets against a null hypothesis, and what they have won so far: logarithms of e-values.

One kind is on whose the bad requests are: under the null each is the canary's with a probability of at most `null`. The
other is on how many there are: under the null each request is bad with a probability of at most `limit`. Both bet that
the odds, or the rate, are `ratio` times as large, and multiply their money by

    whose       (ratio / d)^mine (1 / d)^theirs         d = 1 + null (ratio - 1)
    how many    ratio^bad / exp(limit (ratio - 1))^requests

which is at most 1 on average while the null is true. So the money is a nonnegative supermartingale, and ever reaches
1/alpha with a probability of at most alpha (Ville's inequality), however often one looks. With a ratio below 1 the null
is that it is at least so much.

Bad requests that come together, in a burst, are one event, and what one event may multiply by m, b requests together
have to. Where bursts are geometric in size, and b on average, each request multiplies by 1 / (1 + (1 / m - 1) / b).
That is m for b = 1; and too little, never too much, where all bursts are of size b. The dispersion, which is at least
their mean, is taken for b.

Of its money a bet that something gets worse stakes a part at once, and keeps the rest for later (`reserve`): what has
been well for a day has lost all that was staked on its first hour, and may still break. A mixture over the hour at
which it breaks is as good a bet as any.
"""

from collections.abc import Iterable, Sequence
from math import exp, log, log1p

from xds_server.stats.counts import Counts

RATIOS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)
WEIGHTS = tuple(each / 19 for each in (1, 2, 8, 4, 2, 1, 1))
"""How much of the money is on each of them: most where it decides how soon one knows, little where it takes seconds."""
Mixture = tuple[float, ...]
KEPT = 0.6
SCALE = 1_000
"""Requests of about which the first stakes are."""
SLOWNESS = 16


def reserve(requests: int) -> float:
    """What part of the money is not staked yet, after so many requests: ever less, and never nothing."""
    return KEPT / (1 + log1p(requests / SCALE) / SLOWNESS)


STAKED = tuple(log((1 - KEPT) * weight) for weight in WEIGHTS)
"""A mixture of bets on `RATIOS` before anything happened. Its e-value is the sum of theirs."""


def part(share: float, ratio: float) -> float:
    """The canary's part of all bad requests, if it has this share of the requests, and this ratio of rates."""
    return share * ratio / (share * ratio + 1 - share)


def won_whose(bad: tuple[float, float], null: float, ratio: float, dispersion: float) -> float:
    """What a bet wins by the canary's bad requests and stable's."""
    mine, theirs = bad
    by_one_of_theirs = log1p(null * (ratio - 1) / dispersion)
    return -mine * log1p((1 - null) * (1 / ratio - 1) / dispersion) - theirs * by_one_of_theirs


def won_how_many(found: tuple[float, float], limit: float, ratio: float, dispersion: float) -> float:
    """What a bet wins by requests and the bad ones among them."""
    requests, bad = found
    return -bad * log1p((1 / ratio - 1) / dispersion) - requests * limit * (ratio - 1) / dispersion


def above_share(bets: Sequence[float], bad: tuple[int, int], null: float, stake: float, dispersion: float) -> Mixture:
    """The mixture against a part of at most `null`."""
    return _raised(bets, stake, (won_whose(bad, null, ratio, dispersion) for ratio in RATIOS))


def above_limit(bets: Sequence[float], found: Counts, limit: float, stake: float, dispersion: float) -> Mixture:
    """The mixture against a rate of at most `limit`."""
    return _raised(bets, stake, (won_how_many(found, limit, ratio, dispersion) for ratio in RATIOS))


def log_sum(logarithms: Sequence[float]) -> float:
    """The logarithm of the sum, of values that may be too large to be written."""
    largest = max(logarithms)
    return largest + log(sum(exp(each - largest) for each in logarithms))


def log_mean(logarithms: Sequence[float]) -> float:
    return log_sum(logarithms) - log(len(logarithms))


def _raised(bets: Sequence[float], stake: float, gains: Iterable[float]) -> Mixture:
    """Each bet is given its part of `stake`, from the reserve, and then wins."""
    return tuple(
        _log_add(before, log(stake * weight)) + gain for before, weight, gain in zip(bets, WEIGHTS, gains, strict=True)
    )


def _log_add(one: float, other: float) -> float:
    return one + log1p(exp(other - one)) if one > other else other + log1p(exp(one - other))
