import random

import pytest

from xds_server.stats import Counts, dispersion


def ticks(sizes: int, clump: int, seed: int = 1) -> list[Counts]:
    """200 ticks of 6,000 requests, of which one in 200 is bad, in clumps of one size."""
    dice = random.Random(seed)
    return [Counts(sizes, clump * sum(dice.random() < 0.005 / clump for _ in range(sizes))) for _ in range(200)]


def test_independent_errors_have_none():
    assert [dispersion(ticks(2_000, 1, seed)) for seed in range(10)].count(1.0) >= 9


def test_clumps_of_five_are_five_times_as_dispersed():
    assert dispersion(ticks(6_000, 5)) == pytest.approx(5.0, rel=0.3)


def test_an_outage_that_is_over_is_no_burst():
    calm = ticks(6_000, 1)
    assert dispersion(calm[:90] + [Counts(6_000, 1_200)] * 10 + calm[100:]) < 2


def test_rare_errors_that_come_together_are_bursts():
    """One tick in thirteen has ten errors: next to nothing is expected of any."""
    some = [Counts(100, 10 if tick % 13 == 0 else 0) for tick in range(240)]
    assert dispersion(some) == pytest.approx(10, rel=0.2)


def test_a_drift_is_no_burst():
    dice = random.Random(1)
    drifting = [
        Counts(6_000, sum(dice.random() < 0.002 + minute * 1e-4 for _ in range(6_000))) for minute in range(200)
    ]
    assert dispersion(drifting) < 1.3


@pytest.mark.parametrize(
    "history", [pytest.param([], id="none"), pytest.param([Counts(100, 50), Counts(100, 0)] * 5, id="too short")]
)
def test_a_short_history_says_nothing(history):
    assert dispersion(history) == 1.0


def test_ticks_without_requests_do_not_count():
    some = ticks(2_000, 3)
    assert dispersion(some) == dispersion([each for tick in some for each in (tick, Counts())])
