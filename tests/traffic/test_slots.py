from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xds_server.domain.names import Ref
from xds_server.records.values import WHOLE
from xds_server.traffic.slots import SLOTS, SlotRange, restricted, slot_ranges, width

NAMES = [Ref("default", f"shop-v{n}") for n in range(6)]
V1, V2 = NAMES[:2]

Shares = tuple[tuple[Ref, int], ...]


@st.composite
def shares(draw: st.DrawFn, size: int | None = None) -> Shares:
    count = size or draw(st.integers(1, len(NAMES)))
    cuts = sorted(draw(st.lists(st.integers(0, WHOLE), min_size=count - 1, max_size=count - 1)))
    return tuple(zip(NAMES, [b - a for a, b in pairwise([0, *cuts, WHOLE])], strict=False))


def owner(ranges: tuple[SlotRange, ...], slot: int) -> Ref:
    [found] = [each.deployment for each in ranges if each.low <= slot < each.high]
    return found


def moved(before: Shares, after: Shares) -> int:
    """Slots whose deployment differs."""
    one, two = slot_ranges(before), slot_ranges(after)
    borders = sorted({0, SLOTS, *(edge for each in (*one, *two) for edge in (each.low, each.high))})
    return sum(b - a for a, b in pairwise(borders) if owner(one, a) != owner(two, a))


def least(before: Shares, after: Shares) -> int:
    """Slots that any assignment has to move."""
    sizes = [{each.deployment: each.high - each.low for each in slot_ranges(s)} for s in (before, after)]
    return sum(max(0, sizes[0].get(name, 0) - sizes[1].get(name, 0)) for name in {*sizes[0], *sizes[1]})


@given(shares())
def test_every_slot_has_one_owner(drawn: Shares):
    ranges = slot_ranges(drawn)

    assert ranges[0].low == 0
    assert ranges[-1].high == SLOTS
    assert all(a.high == b.low for a, b in pairwise(ranges))


@given(shares())
def test_a_share_is_exact_to_one_slot(drawn: Shares):
    sizes = {each.deployment: each.high - each.low for each in slot_ranges(drawn)}

    for name, share in drawn:
        assert abs(sizes.get(name, 0) - share * SLOTS / WHOLE) <= 1


@given(shares(), st.randoms())
def test_the_order_in_a_record_changes_nothing(drawn: Shares, random):
    other = list(drawn)
    random.shuffle(other)

    assert slot_ranges(tuple(other)) == slot_ranges(drawn)


@given(shares(2), shares(2))
def test_two_deployments_move_exactly_the_users_that_must_move(before: Shares, after: Shares):
    assert moved(before, after) == least(before, after)


@given(st.integers(2, 6).flatmap(lambda n: st.tuples(shares(n), shares(n))))
def test_more_deployments_move_at_most_one_share_for_each_border(pair: tuple[Shares, Shares]):
    before, after = pair
    rounding = 2 * len(before)

    assert moved(before, after) <= (len(before) - 1) * least(before, after) + rounding


@given(st.integers(0, WHOLE), st.integers(0, WHOLE), st.integers(0, 2), st.integers(1, 100))
def test_a_rollout_that_rises_loses_nobody(one: int, other: int, canary: int, part: int):
    """The other deployments keep their proportions, here `part` to 100."""

    def at(share: int) -> tuple[SlotRange, ...]:
        rest = WHOLE - share
        first = rest * part // (part + 100)
        names = [name for index, name in enumerate(NAMES[:3]) if index != canary]
        return slot_ranges(((NAMES[canary], share), (names[0], first), (names[1], rest - first)))

    low, high = sorted((one, other))
    before = [r for r in at(low) if r.deployment == NAMES[canary]]
    after = [r for r in at(high) if r.deployment == NAMES[canary]]

    assert all(after[0].low <= r.low + 1 and r.high - 1 <= after[0].high for r in before)


def test_a_share_of_zero_owns_nothing():
    assert slot_ranges(((V1, WHOLE), (V2, 0))) == (SlotRange(V1, 0, SLOTS),)


# --- for some of the deployments alone

SOME = st.sets(st.sampled_from(NAMES))


@given(shares(), SOME)
def test_those_that_are_left_own_every_slot_or_nobody_does(drawn: Shares, left: set[Ref]):
    ranges = restricted(slot_ranges(drawn), left)
    weighty = {name for name, share in drawn if share} & left

    assert {each.deployment for each in ranges} == weighty
    assert all(a.high == b.low and a.deployment != b.deployment for a, b in pairwise(ranges))
    assert (ranges[0].low, ranges[-1].high) == (0, SLOTS) if weighty else ranges == ()


@given(shares(), SOME)
def test_nobody_leaves_one_that_is_left(drawn: Shares, left: set[Ref]):
    before, after = slot_ranges(drawn), restricted(slot_ranges(drawn), left)

    assert all(
        owner(after, slot) == each.deployment
        for each in before
        for slot in (each.low, each.high - 1)
        if each.deployment in left and after
    )


@given(shares(), SOME)
def test_their_proportions_are_what_they_were(drawn: Shares, left: set[Ref]):
    before, after = slot_ranges(drawn), restricted(slot_ranges(drawn), left)
    whole = sum(width(each) for each in before if each.deployment in left)

    for each in before:
        if each.deployment in left:
            size = sum(width(part) for part in after if part.deployment == each.deployment)
            assert abs(size - width(each) * SLOTS / whole) <= len(before)


def test_where_all_are_left_nothing_is_different():
    ranges = slot_ranges(((V1, WHOLE - 1), (V2, 1)))

    assert restricted(ranges, NAMES) == ranges
