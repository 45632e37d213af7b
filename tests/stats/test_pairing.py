from hypothesis import given
from hypothesis import strategies as st

from xds_server.stats import Counts, Pairing, Tick
from xds_server.stats.pairing import LONGEST_TICK

CANARY, STABLE, NEITHER = Tick(Counts(10, 2), Counts()), Tick(Counts(), Counts(90)), Tick(Counts(), Counts())
BOTH = Tick(Counts(10, 2), Counts(90))


def ticks(*counted: tuple[float, str, Tick]) -> list[Tick]:
    pairing = Pairing()
    found = [pairing.tick(proxy, when, tick) for when, proxy, tick in counted]
    return [each for each in found if each is not None]


def test_both_sides_are_a_tick_at_once() -> None:
    assert ticks((1, "a", BOTH), (2, "a", BOTH)) == [BOTH, BOTH]


def test_one_side_is_a_tick_with_what_that_proxy_counts_next() -> None:
    assert ticks((1, "a", CANARY), (2, "a", NEITHER), (3, "a", STABLE)) == [BOTH]
    assert ticks((1, "a", STABLE), (2, "b", CANARY)) == []
    assert ticks((1, "a", STABLE), (2, "b", CANARY), (3, "a", STABLE), (4, "a", CANARY), (5, "b", BOTH)) == [
        Tick(Counts(10, 2), Counts(180)),
        Tick(Counts(20, 4), Counts(90)),
    ]


def test_nobody_waits_for_the_other_side_for_longer_than_a_tick_may_be() -> None:
    late = 1 + LONGEST_TICK
    assert ticks((1, "a", STABLE), (late, "a", CANARY)) == [BOTH]
    assert ticks((1, "a", STABLE), (late + 1, "a", CANARY)) == []
    assert ticks((1, "a", STABLE), (late + 1, "a", CANARY), (late + 2, "a", STABLE)) == [BOTH]


def test_time_runs_from_the_first_request() -> None:
    late = 1 + LONGEST_TICK
    assert ticks((1, "a", NEITHER), (2, "a", STABLE), (late + 1, "a", CANARY)) == [BOTH]


def test_proxies_that_are_gone_leave_nothing() -> None:
    pairing = Pairing()
    for number in range(1000):
        pairing.tick(f"edge-{number}", float(number), STABLE)
    assert len(pairing._alone) <= 2 * LONGEST_TICK + 1


counts = st.builds(Counts, st.integers(0, 3))


@given(st.lists(st.tuples(st.just(1.0), st.sampled_from("ab"), st.builds(Tick, counts, counts)), max_size=30))
def test_nothing_is_in_two_ticks_and_only_what_waits_is_in_none(told: list[tuple[float, str, Tick]]) -> None:
    found = ticks(*told, (2, "a", BOTH), (2, "b", BOTH))
    for side in (0, 1):
        assert sum(each[side].requests for each in found) == sum(each[side].requests for _, _, each in told) + 2 * (
            BOTH[side].requests
        )
    assert all(each.canary.requests and each.stable.requests for each in found)
