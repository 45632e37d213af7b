from decimal import Decimal, getcontext
from functools import reduce
from itertools import product
from math import comb, exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.stats import Counts
from xds_server.stats.bets import (
    RATIOS,
    STAKED,
    above_limit,
    above_share,
    log_mean,
    log_sum,
    part,
    reserve,
    won_how_many,
    won_whose,
)

rates = st.floats(0.0, 1.0)
BURSTS = range(1, 1_500)


def binomial(total: int, rate: float) -> list[float]:
    return [comb(total, each) * rate**each * (1 - rate) ** (total - each) for each in range(total + 1)]


def geometric(mean: int) -> list[float]:
    return [(1 - 1 / mean) ** (size - 1) / mean for size in BURSTS]


def constant(mean: int) -> list[float]:
    return [float(size == mean) for size in BURSTS]


@given(rates, st.sampled_from([0.1, *RATIOS]))
def test_a_bet_on_whose_they_are_wins_nothing_on_average_while_its_null_is_true(null, ratio):
    mine, theirs = (exp(won_whose(bad, null, ratio, 1.0)) for bad in ((1, 0), (0, 1)))
    assert null * mine + (1 - null) * theirs == pytest.approx(1)


@given(rates, rates, st.sampled_from([1 / 1.5, *RATIOS]))
def test_it_loses_where_the_truth_is_on_the_other_side(null, towards, ratio):
    truth = null * (1 - towards) if ratio > 1 else null + (1 - null) * towards
    mine, theirs = (exp(won_whose(bad, null, ratio, 1.0)) for bad in ((1, 0), (0, 1)))
    assert truth * mine + (1 - truth) * theirs <= 1 + 1e-9


@given(rates, rates, st.sampled_from([0.1, *RATIOS]))
def test_a_bet_on_how_many_there_are_wins_nothing_on_average(limit, towards, ratio):
    truth = limit * (1 - towards) if ratio > 1 else limit + (1 - limit) * towards
    bad, good = (exp(won_how_many((1, each), limit, ratio, 1.0)) for each in (1, 0))
    assert truth * bad + (1 - truth) * good <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.6])
@pytest.mark.parametrize(("canary", "stable"), [(1, 9), (3, 3), (9, 2)])
@pytest.mark.parametrize(("allowed", "ratio"), [*((1.0, ratio) for ratio in RATIOS), (1.5, 1 / 1.5)])
def test_a_tick_of_few_requests_that_are_mostly_bad_breaks_no_promise(canary, stable, rate, allowed, ratio):
    """Every outcome of a tick, with its probability: not only in the limit of many requests and few bad ones."""
    null = part(canary / (canary + stable), allowed)
    mine, theirs = binomial(canary, rate * allowed), binomial(stable, rate)
    expected = sum(
        mine[a] * theirs[b] * exp(won_whose((a, b), null, ratio, 1.0))
        for a, b in product(range(canary + 1), range(stable + 1))
    )
    assert expected <= 1 + 1e-9


@pytest.mark.parametrize("sizes", [geometric, constant])
@pytest.mark.parametrize("share", [0.01, 0.5])
@pytest.mark.parametrize(("allowed", "ratio"), [*((1.0, ratio) for ratio in RATIOS), (1.5, 1 / 1.5)])
def test_bursts_win_no_more_than_single_ones(sizes, share, allowed, ratio):
    null, mean = part(share, allowed), 5
    mine, theirs = (
        sum(chance * exp(won_whose(bad, null, ratio, mean)) for bad, chance in zip(found, sizes(mean), strict=True))
        for found in ([(size, 0) for size in BURSTS], [(0, size) for size in BURSTS])
    )
    assert null * mine + (1 - null) * theirs <= 1 + 1e-9


@pytest.mark.parametrize("sizes", [geometric, constant])
@pytest.mark.parametrize("ratio", [0.1, *RATIOS])
def test_bursts_above_a_limit_win_no_more(sizes, ratio):
    """They come by Poisson's law, a tenth of a request in all: the logarithm of the expectation."""
    of_one = sum(
        chance * exp(won_how_many((0, size), 0.01, ratio, 5)) for size, chance in zip(BURSTS, sizes(5), strict=True)
    )
    assert 10 * 0.01 / 5 * (of_one - 1) + won_how_many((10, 0), 0.01, ratio, 5) <= 1e-9


@given(rates, st.integers(0, 10_000), st.integers(1, 10_000))
def test_what_is_kept_for_later_is_nobodys_gift(null, before, requests):
    """Bets and reserve together are worth, on average, what they were."""
    stake = reserve(before) - reserve(before + requests)
    mine, theirs = (exp(log_sum(above_share(STAKED, bad, null, stake, 1.0))) for bad in ((1, 0), (0, 1)))
    after = null * mine + (1 - null) * theirs + reserve(before + requests)
    assert after == pytest.approx(exp(log_sum(STAKED)) + reserve(before))


def test_all_of_the_money_is_one():
    assert exp(log_sum(STAKED)) + reserve(0) == pytest.approx(1)
    assert reserve(10**15) > 0


def test_what_breaks_after_a_long_time_is_noticed_as_soon():
    """After a million requests without an error one in a hundred fails: found within some thousands."""

    def after(bets: tuple[float, ...], tick: int) -> tuple[float, ...]:
        stake = reserve(tick * 1_000) - reserve(tick * 1_000 + 1_000)
        return above_limit(bets, Counts(1_000, 10 if tick >= 1_000 else 0), 0.001, stake, 1.0)

    well = reduce(after, range(1_000), STAKED)
    assert log_sum(well) < log(0.01)
    later = reduce(after, range(1_000, 1_003), well)
    assert log_sum(later) > log(20)


@pytest.mark.parametrize("share", [1e-12, 1e-6, 0.5, 1 - 1e-12])
@pytest.mark.parametrize("ratio", [1 + 1e-9, 0.1, 30.0])
def test_extremes_are_exact(share, ratio):
    getcontext().prec = 60
    d = 1 + Decimal(share) * (Decimal(ratio) - 1)
    exact = 10**6 * (Decimal(ratio) / d).ln() - 10**12 * d.ln()
    assert won_whose((10**6, 10**12), share, ratio, 1.0) == pytest.approx(float(exact), rel=1e-6)


def test_certainties_do_no_harm():
    assert won_whose((0, 10), 0.0, 2.0, 1.0) == 0
    assert won_whose((10, 0), 1.0, 1 / 1.5, 1.0) == pytest.approx(0)
    assert won_how_many((10, 10), 1.0, 30.0, 1.0) < 0
    assert log_sum((-1e6, -1e6)) == pytest.approx(-1e6 + log(2))
    assert log_sum((1e6, -inf)) == 1e6
    assert log_mean((1e6, -inf)) == pytest.approx(1e6 - log(2))
