from functools import reduce
from math import isnan, log, nextafter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.stats import RATIOS, Counts, Evidence, Limits, Tick
from xds_server.stats.bets import log_sum

ALPHA_OF_ONE = Limits()
NOTHING = Evidence()
HEALTHY = Tick(Counts(300, 1), Counts(5_700, 19))
OUTAGE = Tick(Counts(300, 270), Counts(5_700, 5_130))


def after(ticks: list[Tick], limits: Limits = ALPHA_OF_ONE, begun: Evidence = NOTHING) -> Evidence:
    return reduce(lambda found, tick: found.after(tick, limits), ticks, begun)


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

    found = after([HEALTHY])
    staked = [(1 - 0.6 / (1 + log(1.3) / 16)) * weight / 19 for weight in (1, 2, 8, 4, 2, 1, 1)]
    bets = [*zip(RATIOS, map(log, staked), strict=True)]
    assert found.worse == pytest.approx([money + won(ratio, 1.0) for ratio, money in bets])
    assert found.above == pytest.approx([money + log(ratio) - 300 * 0.001 * (ratio - 1) for ratio, money in bets])
    assert found.as_good == pytest.approx(won(1.0, 1.5))
    assert found.clean == pytest.approx(log(0.1) + 300 * 0.001 * 0.9)


@given(st.lists(ticks(), max_size=5), ticks())
def test_a_tick_with_one_side_says_nothing(before, tick):
    found = after(before)
    assert found.after(tick._replace(canary=Counts()), ALPHA_OF_ONE) == found
    assert found.after(tick._replace(stable=Counts()), ALPHA_OF_ONE) == found


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


def test_where_nearly_everything_fails_nobody_is_shown_to_be_as_good():
    """No rate is twice one of 90 %."""
    begun = after([HEALTHY] * 5)
    later = reduce(lambda found, _: found.after(OUTAGE, ALPHA_OF_ONE, outage=True), range(100), begun)
    assert (later.as_good, later.clean) == (begun.as_good, begun.clean)
    assert later.stable.requests == begun.stable.requests + 100 * OUTAGE.stable.requests


def test_who_fails_even_more_in_an_outage_is_less_safe_and_worse():
    begun, tick = after([HEALTHY] * 5), Tick(Counts(300, 300), Counts(300, 160))
    later = reduce(lambda found, _: found.after(tick, ALPHA_OF_ONE, outage=True), range(10), begun)
    assert later.as_good < begun.as_good
    assert later.is_worse(ALPHA_OF_ONE)


def test_errors_below_the_floor_make_nobody_worse():
    some = [Tick(Counts(10_000, 5), Counts(90_000, 1))] * 20
    assert log_sum(after(some).worse) > -log(0.05)
    assert not after(some).is_worse(ALPHA_OF_ONE)
    rare = Limits(floor=0.0001)
    assert after(some, rare).is_worse(rare)


def test_a_few_errors_too_many_by_chance_are_not_above_the_floor():
    """Three errors where one or two are allowed: a rate above the floor, and no evidence of it."""
    some = [Tick(Counts(500, 1), Counts(9_500, 0))] * 3
    assert log_sum(after(some).worse) > -log(0.05)
    assert not after(some).is_worse(ALPHA_OF_ONE)
    assert after(some * 10).is_worse(ALPHA_OF_ONE)


def test_merits_of_yesterday_excuse_nothing():
    """A day of health, then twice the errors: no longer safe within minutes, and soon worse."""
    well, ill = Tick(Counts(3_000, 15), Counts(3_000, 15)), Tick(Counts(3_000, 30), Counts(3_000, 15))
    begun = after([well] * 1_440)
    assert begun.is_safe(ALPHA_OF_ONE)
    later = after([ill] * 10, begun=begun)
    assert not later.is_safe(ALPHA_OF_ONE)
    assert later.is_worse(ALPHA_OF_ONE)


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


@pytest.mark.parametrize("limits", [Limits(max_ratio=nextafter(1, 2)), Limits(max_ratio=1.5, dispersion=1e9)])
def test_what_cannot_be_known_takes_more_requests_than_there_are(limits):
    assert after([Tick(Counts(1_000, 5), Counts(1_000, 5))], limits).missing(limits) > 10**12


@given(st.lists(ticks(), max_size=3), st.floats(1.0, 1e3, exclude_min=True), st.floats(1e-9, 1.0), st.floats(1.0, 1e4))
def test_whatever_was_counted_something_can_be_said(some, max_ratio, floor, dispersion):
    limits = Limits(max_ratio, floor, dispersion)
    found = after(some, limits)
    assert not isnan(found.worse_value)
    assert not isnan(found.safe_value)
    assert found.missing(limits) >= 0
