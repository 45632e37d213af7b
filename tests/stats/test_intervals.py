import random
from math import inf

from xds_server.stats import Counts, Tick, ratio_interval


def drawn(ratio: float, seed: int, minutes: int = 30) -> list[Tick]:
    dice = random.Random(seed)

    def bad(requests: int, rate: float) -> Counts:
        return Counts(requests, sum(dice.random() < rate for _ in range(requests)))

    return [Tick(bad(200, 0.02 * ratio), bad(800, 0.02)) for _ in range(minutes)]


def test_the_ratio_is_between_the_bounds():
    """In 1 of 20 it may be outside; of 40 with a fixed seed none is."""
    for seed in range(40):
        low, high = ratio_interval(drawn(2.0, seed, minutes=5))
        assert low <= 2.0 <= high


def test_more_requests_bring_the_bounds_together():
    some = drawn(1.0, 1)
    short, long = ratio_interval(some[:5]), ratio_interval(some)
    assert short[0] <= long[0] < 1 < long[1] <= short[1]


def test_bursts_move_them_apart():
    some = drawn(1.0, 1)
    calm, bursty = ratio_interval(some), ratio_interval(some, dispersion=3.0)
    assert bursty[0] < calm[0] < calm[1] < bursty[1]


def test_without_errors_there_is_no_bound():
    assert ratio_interval([Tick(Counts(100, 0), Counts(100, 0))]) == (0.0, inf)
    assert ratio_interval([]) == (0.0, inf)


def test_a_side_without_errors_has_a_bound_on_one_side():
    low, high = ratio_interval([Tick(Counts(1_000, 0), Counts(1_000, 30))])
    assert low == 0.0
    assert 0 < high < 1
    low, high = ratio_interval([Tick(Counts(1_000, 30), Counts(1_000, 0))])
    assert low > 1
    assert high == inf
