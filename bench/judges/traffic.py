"""Hours of traffic in which it is known whether the canary is worse: drawn, not measured.

Requests arrive by Poisson's law and are bad (failed, or slow) with the chance of their side at that time; in bursts if
the scenario says so: as many of them, geometric in size, as give the same rate.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Rates = NDArray[np.float64]

MINUTES = 60
TICKS_A_MINUTE = 6
TICKS = MINUTES * TICKS_A_MINUTE
HISTORY = 120
"""Minutes of stable before the rollout, in which the dispersion is measured."""
RAMP = (0.01, 0.05, 0.10, 0.25, 0.50)
SLOW = 0.05
"""Of stable's requests, because a slow one is slower than its 95th percentile."""
OUTAGE = range(30, 40)
"""The minutes of an outage that both sides share."""
OUTAGE_RATE = 0.2


@dataclass(frozen=True, slots=True)
class Scenario:
    """One kind of hour. `per_minute`: requests of both sides. `shares`: of the canary, for equal parts of the hour.

    `rate`: of errors at stable; a pair: from, to. `times`, `slower`: the canary's rates of errors and of slow requests
    to stable's, from minute `since` on. `canary_rate`: its rate of errors in place of `times`. `burst`: mean size.
    `heavy`: this many of 2,000 users have all the errors, and stay on their side.
    """

    name: str
    per_minute: int
    shares: Sequence[float] = (0.1,)
    rate: float | tuple[float, float] = 0.005
    times: float = 1.0
    slower: float = 1.0
    since: int = 0
    canary_rate: float | None = None
    burst: float = 1.0
    outage: bool = False
    heavy: int = 0


class Side(NamedTuple):
    """By hour and tick."""

    requests: Numbers
    failed: Numbers
    slow: Numbers


class Hours(NamedTuple):
    """`before`: stable alone, before the rollout, by hour and minute."""

    canary: Side
    stable: Side
    before: Side


USERS = 2_000
FAILING = 0.5
"""How many of the requests of a heavy user fail."""


def drawn(scenario: Scenario, hours: int, dice: np.random.Generator) -> Hours:
    minute = np.arange(TICKS) // TICKS_A_MINUTE
    share = np.asarray(scenario.shares)[np.arange(TICKS) * len(scenario.shares) // TICKS]
    per_tick = scenario.per_minute / TICKS_A_MINUTE
    canary_rate, stable_rate = _error_rates(scenario, hours, minute, dice)
    slow = np.full(TICKS, SLOW)
    slower = np.where(minute >= scenario.since, slow * scenario.slower, slow)
    size = (hours, TICKS)
    canary = _side(dice, dice.poisson(per_tick * share, size), (canary_rate, slower), scenario.burst)
    stable = _side(dice, dice.poisson(per_tick * (1 - share), size), (stable_rate, slow), scenario.burst)
    usual = np.broadcast_to(stable_rate[..., :1], (hours, HISTORY)), np.full(HISTORY, SLOW)
    before = _side(dice, dice.poisson(scenario.per_minute, (hours, HISTORY)), usual, scenario.burst)
    return Hours(canary, stable, before)


def _error_rates(scenario: Scenario, hours: int, minute: Numbers, dice: np.random.Generator) -> tuple[Rates, Rates]:
    """The canary's and stable's, by tick, or by hour and tick."""
    if scenario.heavy:
        of_canary = round(USERS * scenario.shares[0])
        unlucky = dice.hypergeometric(scenario.heavy, USERS - scenario.heavy, of_canary, (hours, 1))
        ones = np.ones(len(minute))
        others = (scenario.heavy - unlucky) / (USERS - of_canary)
        return FAILING * unlucky / of_canary * ones, FAILING * others * ones
    first, last = scenario.rate if isinstance(scenario.rate, tuple) else (scenario.rate, scenario.rate)
    stable = np.linspace(first, last, len(minute))
    if scenario.outage:
        stable = np.where(np.isin(minute, OUTAGE), OUTAGE_RATE, stable)
    worse = stable * scenario.times if scenario.canary_rate is None else np.full(len(minute), scenario.canary_rate)
    return np.where(minute >= scenario.since, np.minimum(worse, 1.0), stable), stable


def _side(dice: np.random.Generator, requests: Numbers, rates: tuple[Rates, Rates], burst: float) -> Side:
    failed, slow = (_bad(dice, requests, rate, burst) for rate in rates)
    return Side(requests, failed, slow)


def _bad(dice: np.random.Generator, requests: Numbers, rate: Rates, burst: float) -> Numbers:
    if burst == 1:
        return dice.binomial(requests, np.broadcast_to(rate, requests.shape))
    bursts = dice.poisson(requests * rate / burst)
    more = dice.negative_binomial(np.maximum(bursts, 1), 1 / burst)
    return np.minimum(np.where(bursts > 0, bursts + more, 0), requests)
