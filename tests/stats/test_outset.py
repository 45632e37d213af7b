from functools import reduce

import pytest

from xds_server.stats import Counts, Outset, Tick


@pytest.mark.parametrize(
    ("ticks", "hopeless"),
    [
        pytest.param([Tick(Counts(4, 4), Counts(80, 0))], False, id="four are not five"),
        pytest.param([Tick(Counts(5, 5), Counts(80, 0))], True, id="five of five"),
        pytest.param([Tick(Counts(3, 2), Counts(9, 0)), Tick(Counts(7, 3), Counts(9, 0))], True, id="five of ten"),
        pytest.param([Tick(Counts(30, 5), Counts(90, 0))], False, id="five of thirty in one flush"),
        pytest.param([Tick(Counts(10, 0), Counts(9, 0)), Tick(Counts(9, 9), Counts(9, 0))], False, id="not the first"),
        pytest.param([Tick(Counts(10, 9), Counts(90, 10))], False, id="stable fails too"),
        pytest.param([Tick(Counts(10, 9), Counts(90, 9))], True, id="stable fails within bounds"),
        pytest.param([Tick(Counts(10, 9), Counts(0, 0))], False, id="nothing to compare with"),
        pytest.param([Tick(Counts(0, 0), Counts(90, 90)), Tick(Counts(9, 9), Counts(9, 0))], True, id="not beside it"),
    ],
)
def test_a_canary_is_hopeless_if_half_of_its_first_ten_requests_are_bad(ticks, hopeless):
    assert reduce(Outset.after, ticks, Outset()).hopeless == hopeless
