from datetime import timedelta
from email.utils import format_datetime

import pytest

from tests.ledger.facts import NOON
from xds_server.notifications.outcome import (
    LONGEST_ASKED,
    LONGEST_PAUSE,
    REFUSALS,
    TRIES,
    Outcome,
    Verdict,
    pause,
    retry_after,
    verdict,
)


@pytest.mark.parametrize(
    ("status", "tries", "refusals", "expected"),
    [
        pytest.param(200, 1, 0, Verdict.DELIVERED, id="taken"),
        pytest.param(204, TRIES, REFUSALS, Verdict.DELIVERED, id="taken-at-last"),
        pytest.param(0, TRIES - 1, 0, Verdict.AGAIN, id="nobody-answers-for-days"),
        pytest.param(0, TRIES, 0, Verdict.GIVEN_UP, id="nobody-answers-for-too-long"),
        pytest.param(503, 100, 0, Verdict.AGAIN, id="a-receiver-that-is-down"),
        pytest.param(401, 1, 1, Verdict.AGAIN, id="a-refusal-that-somebody-may-mend"),
        pytest.param(401, REFUSALS, REFUSALS, Verdict.GIVEN_UP, id="a-refusal-that-nobody-mends"),
        pytest.param(410, 1, 1, Verdict.GIVEN_UP, id="a-receiver-that-wants-no-more"),
    ],
)
def test_what_becomes_of_a_notification(status: int, tries: int, refusals: int, expected: Verdict) -> None:
    assert verdict(Outcome(status), tries, refusals) is expected


@pytest.mark.parametrize(
    ("status", "refused"),
    [(0, False), (200, False), (302, True), (400, True), (404, True), (408, False), (429, False), (500, False)],
)
def test_a_refusal_is_about_what_was_sent(status: int, refused: bool) -> None:
    assert Outcome(status).is_refused is refused


def test_a_pause_doubles_up_to_a_limit_and_chance_takes_up_to_half_of_it() -> None:
    assert [pause(tries, lambda: 0.0) for tries in (1, 2, 3, 9, 10, 10_000)] == [1, 2, 4, 256, 300, LONGEST_PAUSE]
    assert pause(3, lambda: 0.5) == 3
    assert pause(3, lambda: 1.0) == 2


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(NOON + timedelta(seconds=90), usegmt=True), 90.0),
        (format_datetime(NOON - timedelta(seconds=90), usegmt=True), 0.0),
        ("Wed, 25 Nov 2026 12:01:00 -0000", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("9" * 400, LONGEST_ASKED),
        ("604800", LONGEST_ASKED),
    ],
)
def test_what_a_receiver_asks_for_is_seconds_or_a_date(said: str, seconds: float) -> None:
    assert retry_after(said, NOON) == seconds
