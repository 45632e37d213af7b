import random

import pytest

from xds_server.stats import Counts, dispersion


def ticks(sizes: int, clump: int, seed: int = 1) -> list[Counts]:
    """200 ticks of 6,000 requests, of which one in 200 is bad, in clumps of one size."""
    dice = random.Random(seed)
    return [Counts(sizes, clump * sum(dice.random() < 0.005 / clump for _ in range(sizes))) for _ in range(200)]


def test_independent_errors_have_none():
    assert dispersion(ticks(6_000, 1)) == pytest.approx(1.0, abs=0.25)


def test_clumps_of_five_are_five_times_as_dispersed():
    assert dispersion(ticks(6_000, 5)) == pytest.approx(5.0, rel=0.3)


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
