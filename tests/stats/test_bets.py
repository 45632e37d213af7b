from collections.abc import Sequence
from decimal import Decimal, getcontext
from functools import reduce
from itertools import product
from math import comb, exp, inf, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.stats.bets import RATIOS, STAKED, above, log_mean, part, raised, reserve, won
from xds_server.stats.counts import Counts

rates = st.floats(0.0, 1.0)


def binomial(total: int, rate: float) -> list[float]:
    return [comb(total, each) * rate**each * (1 - rate) ** (total - each) for each in range(total + 1)]


@given(rates, st.floats(0.01, 100.0))
def test_a_bet_wins_nothing_on_average_while_its_null_is_true(null, ratio):
    assert null * exp(won(1, 1, null, ratio)) + (1 - null) * exp(won(0, 1, null, ratio)) == pytest.approx(1)


@given(st.floats(0.0, 0.99), st.floats(0.0, 1.0), st.sampled_from([0.1, 2.0, 30.0]))
def test_it_loses_on_average_where_the_truth_is_on_the_other_side(null, towards, ratio):
    truth = null * (1 - towards) if ratio > 1 else null + (1 - null) * towards
    assert truth * exp(won(1, 1, null, ratio)) + (1 - truth) * exp(won(0, 1, null, ratio)) <= 1 + 1e-9


@pytest.mark.parametrize("rate", [0.01, 0.3, 0.6])
@pytest.mark.parametrize(("canary", "stable"), [(1, 9), (3, 3), (9, 2)])
@pytest.mark.parametrize(
    ("allowed", "ratio"),
    [*((1.0, ratio) for ratio in RATIOS), pytest.param(1.5, 1 / 1.5, id="safe")],
)
def test_a_tick_of_few_requests_that_are_mostly_bad_breaks_no_promise(canary, stable, rate, allowed, ratio):
    """Every outcome of a tick, with its probability: not only in the limit of many requests and few bad ones."""
    null = part(canary / (canary + stable), allowed)
    mine, theirs = binomial(canary, rate * allowed), binomial(stable, rate)
    expected = sum(
        mine[a] * theirs[b] * exp(won(a, a + b, null, ratio)) for a, b in product(range(canary + 1), range(stable + 1))
    )
    assert expected <= 1 + 1e-9


def test_requests_need_not_be_alike():
    """Two that are always bad and two that never are: their mean is what counts."""
    assert exp(won(2, 4, 0.5, 2.0)) <= 1


@given(rates, st.integers(1, 10_000), st.integers(1, 10_000))
def test_what_is_kept_for_later_is_nobodys_gift(null, before, requests):
    """Bets and reserve together are worth, on average, what they were."""
    stake = reserve(before) - reserve(before + requests)
    bad, good = (raised(STAKED, (mine, 1, null), stake, 1.0) for mine in (1, 0))
    after = null * exp(log_mean(bad)) + (1 - null) * exp(log_mean(good)) + reserve(before + requests)
    assert after == pytest.approx(exp(log_mean(STAKED)) + reserve(before))


def test_all_of_the_money_is_one():
    assert exp(log_mean(STAKED)) + reserve(0) == pytest.approx(1)
    assert reserve(10**15) > 0


def test_what_breaks_after_a_long_time_is_noticed_as_soon():
    """After a million requests without an error one in a hundred fails: found within some thousands."""

    def after(bets: Sequence[float], tick: int) -> Sequence[float]:
        stake = reserve(tick * 1_000) - reserve(tick * 1_000 + 1_000)
        return above(bets, Counts(1_000, 10 if tick >= 1_000 else 0), 0.001, stake, 1.0)

    well = reduce(after, range(1_000), STAKED)
    assert log_mean(well) < log(0.01)
    assert log_mean(reduce(after, range(1_000, 1_003), well)) > log(20)


@pytest.mark.parametrize("share", [1e-12, 1e-6, 0.5, 1 - 1e-12])
@pytest.mark.parametrize("ratio", [1 + 1e-9, 0.1, 30.0])
def test_extremes_are_exact(share, ratio):
    getcontext().prec = 60
    mine, total = 10**9, 10**12
    exact = mine * Decimal(ratio).ln() - total * (1 + Decimal(share) * (Decimal(ratio) - 1)).ln()
    assert won(mine, total, share, ratio) == pytest.approx(float(exact), rel=1e-6)


def test_certainties_do_no_harm():
    assert won(0, 10, 0.0, 2.0) == 0
    assert won(10, 10, 1.0, 0.1) == pytest.approx(0)
    assert log_mean((-1e6, -1e6)) == pytest.approx(-1e6)
    assert log_mean((1e6, -inf)) == pytest.approx(1e6 - log(2))
