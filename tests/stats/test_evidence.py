from functools import reduce
from math import exp, log

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.stats import RATIOS, Counts, Evidence, Limits, Tick

ALPHA_OF_ONE = Limits()
HEALTHY = Tick(Counts(300, 1), Counts(5_700, 19))


def after(ticks: list[Tick], limits: Limits = ALPHA_OF_ONE) -> Evidence:
    return reduce(lambda found, tick: found.after(tick, limits), ticks, Evidence())


@st.composite
def ticks(draw: st.DrawFn) -> Tick:
    requests = draw(st.integers(0, 1_000)), draw(st.integers(0, 1_000))
    return Tick(*(Counts(most, draw(st.integers(0, most))) for most in requests))


def test_the_bets_are_those_of_the_formula():
    """As the rate-ratio e-process is written: w = n_c / n, th(r) = w r / (w r + 1 - w)."""
    w = 300 / 6_000

    def th(ratio: float) -> float:
        return w * ratio / (w * ratio + 1 - w)

    def won(believed: float, null: float) -> float:
        return 1 * log(th(believed) / th(null)) + 19 * log((1 - th(believed)) / (1 - th(null)))

    found = after([HEALTHY], Limits(dispersion=2.0))
    assert found.worse == pytest.approx([won(ratio, 1.0) / 2 for ratio in RATIOS])
    assert found.as_good == pytest.approx(won(1.0, 1.5) / 2)
    assert found.clean == pytest.approx((log(0.1) + 299 * log(0.9999 / 0.999)) / 2)


@given(st.integers(1, 40), st.integers(1, 60), st.floats(1.0, 5.0), st.sampled_from([0, 1, 2]))
def test_a_bet_wins_nothing_on_average_while_its_null_is_true(canary, stable, max_ratio, which):
    """A martingale: the expectation of the e-value after one bad request, with the null's odds, is 1."""
    limits = Limits(max_ratio=max_ratio, floor=0.2)
    both = Counts(canary, 0), Counts(stable, 0)
    mine = Evidence().after(Tick(both[0]._replace(bad=1), both[1]), limits)
    theirs = Evidence().after(Tick(both[0], both[1]._replace(bad=1)), limits)
    share = canary / (canary + stable)
    at_most = share * max_ratio / (share * max_ratio + 1 - share)
    if which == 0:
        assert share * exp(mine.worse_value) + (1 - share) * exp(theirs.worse_value) == pytest.approx(1)
    elif which == 1:
        assert at_most * exp(mine.as_good) + (1 - at_most) * exp(theirs.as_good) == pytest.approx(1)
    else:
        one = Tick(Counts(1, 0), Counts(1, 0)), Tick(Counts(1, 1), Counts(1, 0))
        good, bad = (exp(Evidence().after(tick, limits).clean) for tick in one)
        assert 0.8 * good + 0.2 * bad == pytest.approx(1)


@given(st.lists(ticks(), max_size=5), ticks())
def test_a_tick_with_one_side_says_nothing(before, tick):
    found = after(before)
    assert found.after(tick._replace(canary=Counts()), ALPHA_OF_ONE) == found
    assert found.after(tick._replace(stable=Counts()), ALPHA_OF_ONE) == found


@given(st.lists(ticks(), max_size=6), st.randoms())
def test_the_order_of_ticks_makes_no_difference(some, dice):
    mixed = list(some)
    dice.shuffle(mixed)
    assert after(some).worse == pytest.approx(after(mixed).worse)
    assert after(some).safe_value == pytest.approx(after(mixed).safe_value)


def test_a_little_worse_may_still_be_safe():
    """1.2 times the errors, where 1.5 times are allowed: both are true, and become known in time."""
    found = after([Tick(Counts(3_000, 180), Counts(3_000, 150))] * 40)
    assert found.is_worse(ALPHA_OF_ONE)
    assert found.is_safe(ALPHA_OF_ONE)


def test_twice_the_errors_are_worse_in_some_minutes():
    found = after([Tick(Counts(300, 3), Counts(5_700, 28))] * 12)
    assert found.is_worse(ALPHA_OF_ONE)
    assert not found.is_safe(ALPHA_OF_ONE)


def test_as_many_errors_are_safe_after_a_while():
    assert not after([HEALTHY] * 5).is_safe(ALPHA_OF_ONE)
    assert after([HEALTHY] * 60).is_safe(ALPHA_OF_ONE)
    assert not after([HEALTHY] * 1_000).is_worse(ALPHA_OF_ONE)


def test_without_any_error_a_canary_is_safe_once_it_has_had_enough_requests():
    tick = Tick(Counts(100, 0), Counts(1_900, 0))
    missing = Evidence().missing(ALPHA_OF_ONE)
    enough = -(-missing // 100)
    assert not after([tick] * (enough - 1)).is_safe(ALPHA_OF_ONE)
    assert after([tick] * enough).is_safe(ALPHA_OF_ONE)


def test_an_outage_of_both_is_no_evidence_against_one():
    calm, outage = HEALTHY, Tick(Counts(300, 60), Counts(5_700, 1_140))
    assert not after([*[calm] * 10, *[outage] * 10]).is_worse(ALPHA_OF_ONE)


def test_errors_below_the_floor_make_nobody_worse():
    some = [Tick(Counts(10_000, 5), Counts(90_000, 1))] * 20
    assert after(some).worse_value > -log(0.05)
    assert not after(some).is_worse(ALPHA_OF_ONE)
    assert after(some).is_worse(Limits(floor=0.0001))


def test_bursts_count_for_less():
    some = [Tick(Counts(300, 3), Counts(5_700, 28))] * 12
    assert not after(some, Limits(dispersion=9.0)).is_worse(Limits(dispersion=9.0))


@pytest.mark.parametrize("bad", [pytest.param(0, id="no errors at all"), pytest.param(10, id="some errors")])
def test_what_is_missing_is_about_what_it_takes(bad):
    tick = Tick(Counts(500, bad // 10), Counts(5_000, bad))
    begun = after([tick] * 2)
    missing = begun.missing(ALPHA_OF_ONE)
    taken = 0
    while not begun.is_safe(ALPHA_OF_ONE):
        begun, taken = begun.after(tick, ALPHA_OF_ONE), taken + 500
    assert 0.8 * taken <= missing <= 1.2 * taken + 500
