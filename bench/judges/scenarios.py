"""The hours that judges are tried on."""

from math import log
from statistics import NormalDist

from bench.judges.traffic import RAMP, SLOW, Scenario

BUSY, LOW, TINY = 6_000, 120, 20
SPREAD = 0.6
"""Of the logarithm of a request's time, which is normal."""


def slower(times: float) -> float:
    """How many times as many requests are slow if each takes `times` as long."""
    usual = NormalDist(sigma=SPREAD)
    edge = usual.inv_cdf(1 - SLOW)
    return (1 - usual.cdf(edge - log(times))) / SLOW


HEALTHY = (
    Scenario("6,000 a minute", BUSY),
    Scenario("120 a minute", LOW),
    Scenario("20 a minute", TINY),
    Scenario("no errors at all", BUSY, rate=0.0),
    Scenario("ramp", BUSY, RAMP),
    Scenario("ramp, both fail for 10 minutes", BUSY, RAMP, outage=True),
    Scenario("ramp, errors drift from 0.2 to 2 %", BUSY, RAMP, rate=(0.002, 0.02)),
    Scenario("ramp, bursts of 5", BUSY, RAMP, burst=5),
    Scenario("120 a minute, bursts of 5", LOW, burst=5),
    Scenario("ramp, 5 times the errors, half of the floor", BUSY, RAMP, rate=0.0001, times=5),
)
"""Nobody should be rolled back."""
WORSE = (
    Scenario("2 times the errors", BUSY, times=2),
    Scenario("2 times, ramp", BUSY, RAMP, times=2),
    Scenario("3 times, ramp", BUSY, RAMP, times=3),
    Scenario("3 times, ramp, bursts of 5", BUSY, RAMP, times=3, burst=5),
    Scenario("3 times, ramp, after 30 minutes", BUSY, RAMP, times=3, since=30),
    Scenario("1 % errors, none at stable", BUSY, rate=0.0, canary_rate=0.01),
    Scenario("2 times, 120 a minute", LOW, times=2),
    Scenario("5 times, 120 a minute", LOW, times=5),
    Scenario("20 times, 120 a minute", LOW, times=20),
    Scenario("40 times, 20 a minute", TINY, times=40),
    Scenario("a fifth slower", BUSY, slower=slower(1.2)),
    Scenario("a half slower, 120 a minute", LOW, slower=slower(1.5)),
)
"""Everybody should be."""
BEYOND = (Scenario("1 % of the users have all the errors", BUSY, heavy=20),)
"""Healthy, and what no judge that counts requests can know."""
