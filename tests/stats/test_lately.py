from datetime import timedelta

import pytest

from xds_server.stats import Counts, Lately, Tick
from xds_server.stats.lately import HALF_LIFE


@pytest.mark.parametrize(
    ("tick", "outage"),
    [
        pytest.param(Tick(Counts(50, 49), Counts(50, 50)), 0.99, id="both fail"),
        pytest.param(Tick(Counts(50, 50), Counts(50, 0)), 0, id="half is not most"),
        pytest.param(Tick(Counts(10, 10), Counts(90, 10)), 0, id="the canary alone"),
        pytest.param(Tick(Counts(75, 75), Counts(25, 0)), 0, id="the canary alone, which has most"),
        pytest.param(Tick(Counts(25, 0), Counts(75, 75)), 0, id="stable alone"),
        pytest.param(Tick(Counts(4, 4), Counts(5, 5)), 0, id="too few to say so"),
    ],
)
def test_most_of_both_fail(tick: Tick, outage: float) -> None:
    assert Lately().after(tick).outage == outage


def test_what_is_over_is_soon_forgotten() -> None:
    found = Lately()
    for _ in range(600):
        found = found.after(Tick(Counts(5, 5), Counts(5, 5))).later(timedelta(seconds=1))
    assert found.outage == 1
    seconds = 0
    while found.outage:
        found, seconds = found.after(Tick(Counts(5, 0), Counts(5, 0))).later(timedelta(seconds=1)), seconds + 1
    assert timedelta(seconds=seconds) <= HALF_LIFE
