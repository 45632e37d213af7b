"""What may be tried when, by a clock of the test's own."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.facts import NOON, ref
from xds_server.notifications.outbox import AT_ONCE, Outbox, Waiting
from xds_server.notifications.outcome import REFUSALS, Outcome, Verdict

TAKEN, DOWN, BUSY, REFUSED = Outcome(204), Outcome(why="refused"), Outcome(503), Outcome(404)


def outbox(*releases: str, most: int = 100) -> Outbox:
    """One notification for each, numbered from 1; no pause is shortened."""
    made = Outbox(lambda: 0.0, most)
    made.add([waiting(number, name) for number, name in enumerate(releases, 1)])
    return made


def waiting(number: int, release: str = "shop", tries: int = 0) -> Waiting:
    return Waiting(number, ref(release), NOON, tries)


def test_those_of_a_release_are_tried_one_after_the_other() -> None:
    box = outbox("a", "a", "b")

    assert box.take(0) == [1, 3]
    assert box.take(0) == []
    assert box.heard(1, TAKEN, 0) is Verdict.DELIVERED
    assert box.take(0) == [2]


def test_one_that_is_not_taken_holds_up_its_own_release_alone() -> None:
    box = outbox("a", "a", "b", "b")
    box.take(0)

    assert box.heard(1, BUSY, 0) is Verdict.AGAIN
    box.heard(3, TAKEN, 0)
    assert box.take(0) == [4]
    assert box.wakes() == 1.0
    assert box.take(0.9) == []
    assert box.take(1.0) == [1]
    box.heard(1, BUSY, 1.0)
    assert box.wakes() == 3.0


def test_when_nobody_answers_all_wait_and_each_time_another_release_is_tried() -> None:
    box = outbox("a", "b", "c")
    assert box.take(0) == [1, 2, 3]
    for number in (1, 2, 3):
        box.heard(number, DOWN, 0)
    box.add([waiting(4, "d")])

    assert box.wakes() == 4.0  # the third silence
    assert box.take(3.9) == []
    assert box.take(4.0) == [4]
    assert box.wakes() is None
    box.heard(4, DOWN, 4.0)
    assert box.take(12.0) == [1]
    box.heard(1, TAKEN, 12.0)
    assert box.take(12.0) == [2, 3, 4]


def test_a_receiver_that_asks_for_time_is_left_alone() -> None:
    box = outbox("a", "b")
    box.take(0)
    box.heard(1, Outcome(429, asked=60), 0)
    box.heard(2, TAKEN, 0)
    box.add([waiting(3, "c")])

    assert box.take(59.9) == []
    assert box.wakes() == 60.0
    assert box.take(60.0) == [3, 1]


def test_what_is_refused_is_given_up_and_the_next_goes() -> None:
    box = outbox("a", "a")
    now = 0.0
    for number in range(1, REFUSALS + 1):
        now = box.wakes() or now
        assert box.take(now) == [1]
        verdict = box.heard(1, REFUSED, now)
        assert verdict is (Verdict.GIVEN_UP if number == REFUSALS else Verdict.AGAIN)
    assert box.take(now) == [2]
    assert box.heard(2, REFUSED, now) is Verdict.AGAIN, "refusals are those of one notification"
    assert len(box) == 1


def test_a_receiver_that_was_down_for_long_may_refuse_as_often_as_any() -> None:
    box = Outbox(lambda: 0.0)
    box.add([waiting(1, tries=500)])
    box.take(0)

    assert box.heard(1, REFUSED, 0) is Verdict.AGAIN
    assert box.wakes() == 300.0
    assert box.tries(1) == 501


def test_of_more_than_there_is_room_for_the_oldest_go_but_not_those_under_way() -> None:
    box = outbox("a", "a", "b", most=3)
    assert box.take(0) == [1, 3]

    assert box.add([waiting(4, "b"), waiting(5, "c")]) == [2, 4]
    oldest = box.oldest
    assert oldest is not None
    assert (oldest.number, len(box)) == (1, 3)
    box.heard(1, TAKEN, 0)
    box.heard(3, TAKEN, 0)
    assert box.take(0) == [5]


def test_so_many_tries_are_under_way_at_a_time() -> None:
    box = outbox(*(f"r{number}" for number in range(AT_ONCE + 2)))

    assert len(box.take(0)) == AT_ONCE
    assert box.wakes() is None
    box.heard(1, TAKEN, 0)
    assert box.take(0) == [AT_ONCE + 1]


OUTCOMES = st.sampled_from([TAKEN, TAKEN, DOWN, BUSY, REFUSED, Outcome(429, asked=30.0)])


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12), st.lists(OUTCOMES, max_size=40), st.randoms())
def test_everything_is_tried_in_order_of_its_release_until_it_is_over(releases, outcomes, random) -> None:
    """Whatever is answered, and in which order, for as long as it is answered something."""
    box, now, under_way = Outbox(random.random), 0.0, list[int]()
    left = defaultdict(list)
    for number, release in enumerate(releases, 1):
        left[release].append(number)
        assert box.add([waiting(number, release)]) == []
    while len(box):
        under_way += box.take(now)
        assert len(under_way) <= AT_ONCE
        assert all(number == left[releases[number - 1]][0] for number in under_way), "the first of its release"
        if under_way:
            number = under_way.pop(random.randrange(len(under_way)))
            outcome = outcomes.pop() if outcomes else TAKEN
            if box.heard(number, outcome, now) is not Verdict.AGAIN:
                left[releases[number - 1]].pop(0)
        else:
            wakes = box.wakes()
            assert wakes is not None, "it waits for something"
            assert wakes > now
            now = wakes
    assert not any(left.values())
