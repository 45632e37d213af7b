from functools import reduce
from math import exp, log

import pytest

from xds_server.stats import Counts, OverLimit


def after(ticks: list[Counts], limit: float, dispersion: float = 1.0) -> OverLimit:
    return reduce(lambda found, tick: found.after(tick, limit, dispersion), ticks, OverLimit())


def test_the_first_bets_are_those_of_the_formula():
    """Seven bets with two thirds of the money, r^bad / exp(limit (r - 1))^requests each; little is added meanwhile."""
    of_each = [r**2 / exp(0.01 * (r - 1)) ** 3 for r in (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0)]
    assert exp(after([Counts(3, 2)], 0.01).value) == pytest.approx(2 / 3 * sum(of_each) / 7, rel=0.01)


@pytest.mark.parametrize(
    ("tick", "times", "over"),
    [
        pytest.param(Counts(100, 5), 20, True, id="five times the limit"),
        pytest.param(Counts(100, 1), 1_000, False, id="at the limit"),
        pytest.param(Counts(100, 0), 1_000, False, id="below"),
        pytest.param(Counts(2, 2), 2, True, id="four of four"),
        pytest.param(Counts(0, 0), 10, False, id="no request"),
    ],
)
def test_a_rate_above_the_limit_is_found(tick, times, over):
    found = after([tick] * times, 0.01)
    assert (found.value >= log(20)) == over
    assert found.counted == Counts(tick.requests * times, tick.bad * times)


def test_bursts_count_for_less():
    assert 0 < after([Counts(100, 5)] * 6, 0.01, 9.0).value < log(20)
