from functools import reduce
from math import exp, log

import pytest

from xds_server.stats import Counts, OverLimit


def after(ticks: list[Counts], limit: float, dispersion: float = 1.0) -> OverLimit:
    return reduce(lambda found, tick: found.after(tick, limit, dispersion), ticks, OverLimit())


def test_the_first_bets_are_those_of_the_formula():
    """Four tenths of the money are on r^bad / exp(limit (r - 1))^requests; little is added meanwhile."""
    parts = {1.25: 1, 1.5: 2, 2.0: 8, 3.0: 4, 5.0: 2, 10.0: 1, 30.0: 1}
    of_all = sum(part / 19 * r**2 / exp(0.01 * (r - 1)) ** 3 for r, part in parts.items())
    assert exp(after([Counts(3, 2)], 0.01).value) == pytest.approx(0.4 * of_all, rel=0.01)


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
    assert 0 < after([Counts(100, 5)] * 8, 0.01, 9.0).value < log(20) < after([Counts(100, 5)] * 8, 0.01).value
