"""How canaries are judged elsewhere, on the same hours: in the minutes of an hour, the first that rolls back.

What they are given is what their documentation starts with. Those that test are given what ours has: two guards, and
half of alpha for each.
"""

from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from bench.judges.traffic import MINUTES, TICKS_A_MINUTE, Hours, Numbers, Rates, Side

Fired = NDArray[np.bool_]
ALPHA = 0.05 / 2
DRAWS = 200
FLAGGER_SUCCESS = 0.99
FLAGGER_CHECKS = 5
ARGO_SUCCESS = 0.95
ARGO_MINUTES = 5
ARGO_FAILURES = 3


def flagger_like(hours: Hours, _: np.random.Generator) -> Fired:
    """Every minute: of the last minute's requests 99 % succeeded; the fifth check that fails rolls back."""
    bad = _success(_minutes(hours.canary)) < FLAGGER_SUCCESS
    return np.cumsum(bad, 1) >= FLAGGER_CHECKS


def argo_like(hours: Hours, _: np.random.Generator) -> Fired:
    """Every five minutes: of their requests 95 % succeeded; more than three that fail roll back."""
    spans = Side(*(_sums(each, ARGO_MINUTES * TICKS_A_MINUTE) for each in hours.canary))
    bad = _success(spans) < ARGO_SUCCESS
    return np.repeat(np.cumsum(bad, 1) > ARGO_FAILURES, ARGO_MINUTES, 1)


def z_test(hours: Hours, _: np.random.Generator) -> Fired:
    """Every minute: two proportions, pooled, one-sided, on all that was counted so far."""
    critical = NormalDist().inv_cdf(1 - ALPHA)
    return _either(hours, lambda mine, theirs: _z(mine, theirs) > critical)


def bayes(hours: Hours, dice: np.random.Generator) -> Fired:
    """Every minute: how probable it is that the canary's rate is higher, with flat priors."""
    return _either(hours, lambda mine, theirs: _probability(mine, theirs, dice) > 1 - ALPHA)


JUDGES: dict[str, Callable[[Hours, np.random.Generator], Fired]] = {
    "Flagger-like": flagger_like,
    "Argo-like": argo_like,
    "z-test": z_test,
    "Bayes": bayes,
}

Both = tuple[Numbers, Numbers]
"""Requests, and bad ones, counted from the start."""


def first_minutes(fired: Fired) -> list[float | None]:
    """Of each hour; None: never."""
    at = np.where(fired.any(1), fired.argmax(1) + 1, 0)
    return [float(minute) if minute else None for minute in at]


def _either(hours: Hours, worse: Callable[[Both, Both], Fired]) -> Fired:
    canary, stable = (Side(*(np.cumsum(each, 1) for each in _minutes(side))) for side in (hours.canary, hours.stable))
    errors = worse((canary.requests, canary.failed), (stable.requests, stable.failed))
    slow = worse((canary.requests, canary.slow), (stable.requests, stable.slow))
    return errors | slow


def _z(mine: Both, theirs: Both) -> Rates:
    (requests, bad), (others, other_bad) = mine, theirs
    least, least_other = np.maximum(requests, 1), np.maximum(others, 1)
    pooled = (bad + other_bad) / np.maximum(requests + others, 1)
    error = np.sqrt(pooled * (1 - pooled) * (1 / least + 1 / least_other))
    return (bad / least - other_bad / least_other) / np.where(error > 0, error, np.inf)


def _probability(mine: Both, theirs: Both, dice: np.random.Generator) -> Rates:
    found = np.zeros((len(mine[0]), MINUTES))
    for minute in range(MINUTES):
        one, other = (
            dice.beta(1 + bad[:, minute, None], 1 + (requests - bad)[:, minute, None], (len(bad), DRAWS))
            for requests, bad in (mine, theirs)
        )
        found[:, minute] = (one > other).mean(1)
    return found


def _minutes(side: Side) -> Side:
    return Side(*(_sums(each, TICKS_A_MINUTE) for each in side))


def _sums(ticks: Numbers, together: int) -> Numbers:
    added: Numbers = ticks.reshape(len(ticks), -1, together).sum(2)
    return added


def _success(side: Side) -> Rates:
    """No request is no success."""
    return np.where(side.requests > 0, 1 - side.failed / np.maximum(side.requests, 1), 0.0)
