import pytest

from xds_server.cli.draining import Patience, Progress, Seen, Step, next_step, seen_in

PATIENCE = Patience(drain=30, quiet=5)
NOBODY = Seen(0, 0, 0)
STATS = """\
http.admin.downstream_cx_active: 1
http.admin.downstream_rq_active: 1
http.admin.downstream_rq_total: 9
http.edge/http.downstream_cx_active: 3
http.edge/http.downstream_rq_active: 1
http.edge/http.downstream_rq_total: 40
http.edge/https.downstream_cx_active: 2
http.edge/https.downstream_rq_active: 1
http.edge/https.downstream_rq_total: 2
"""


def steps(*looks: tuple[float, Seen | None]) -> list[Step]:
    """What follows from each look, up to the end; the drain begins at 100."""
    progress, found = Progress(100, 100, total=0), []
    for now, seen in looks:
        progress, step = next_step(PATIENCE, progress, seen, 100 + now)
        found.append(step)
    assert Step.END not in found[:-1]
    return found


def test_the_counters_of_all_listeners_are_added_up_without_the_admin_interface() -> None:
    assert seen_in(STATS) == Seen(active=2, total=42, connections=5)


def test_an_envoy_that_says_nothing_has_seen_nobody() -> None:
    assert seen_in("") == NOBODY


def test_an_envoy_that_nobody_uses_ends_after_a_while() -> None:
    assert steps((4.9, Seen(0, 0, 7)), (5, Seen(0, 0, 7))) == [Step.WAIT, Step.END]


def test_a_request_that_came_and_went_between_two_looks_begins_the_while_anew() -> None:
    looks = [(1.0, NOBODY), (4.0, Seen(0, 1, 0)), (8.9, Seen(0, 1, 0)), (9.0, Seen(0, 1, 0))]
    assert steps(*looks) == [Step.WAIT, Step.WAIT, Step.WAIT, Step.END]


def test_what_is_under_way_is_waited_for_and_then_a_while() -> None:
    looks = [(10.0, Seen(1, 1, 1)), (14.0, Seen(0, 1, 1)), (14.9, Seen(0, 1, 1)), (15.0, Seen(0, 1, 1))]
    assert steps(*looks) == [Step.WAIT, Step.WAIT, Step.WAIT, Step.END]


def test_who_goes_on_to_send_is_refused_after_half_of_the_time_and_it_ends_when_the_last_has_gone() -> None:
    looks = [(14.9, Seen(1, 90, 2)), (15.0, Seen(1, 91, 2)), (15.1, Seen(1, 92, 2)), (15.2, Seen(0, 93, 1))]
    assert steps(*looks, (15.3, Seen(0, 93, 0))) == [Step.WAIT, Step.REFUSE, Step.WAIT, Step.WAIT, Step.END]


@pytest.mark.parametrize("seen", [Seen(1, 1, 1), None], ids=["a request that does not end", "an envoy that is stuck"])
def test_when_the_time_is_over_it_ends(seen: Seen | None) -> None:
    found = steps(*[(float(now), seen) for now in range(31)])

    assert found[-1] is Step.END
    assert found.count(Step.REFUSE) == (1 if seen else 0)


def test_whether_anything_is_under_way_is_not_guessed() -> None:
    assert steps((5.0, None), (5.1, NOBODY)) == [Step.WAIT, Step.END]
