"""How many answers there are in a minute."""

from xds_server.protocol.budget import BURST, EACH_SECOND, Budget
from xds_server.protocol.events import Wake


def test_a_minute_of_answers_has_an_end() -> None:
    budget, answered = Budget(), 0
    for _ in range(60):
        answered += budget.tokens
        budget.take(budget.tokens)
        wake = budget.next()
        assert wake is not None
        budget.due(wake.token)
    assert answered <= 6000


def test_a_full_bucket_needs_no_timer() -> None:
    budget = Budget()
    assert budget.next() is None
    budget.take(EACH_SECOND + 1)
    first = budget.next()
    assert first == Wake(1.0, "budget-1")
    assert budget.next() is None, "one runs"
    assert budget.due("budget-1")
    assert not budget.due("budget-1"), "its time was over before"
    assert not budget.due("")
    second = budget.next()
    assert second == Wake(1.0, "budget-2")
    assert budget.due("budget-2")
    assert budget.tokens == BURST
    assert budget.next() is None
