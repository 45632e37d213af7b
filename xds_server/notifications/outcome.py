"""What came of one try to deliver a notification."""

from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
"""Seconds between two tries."""
LONGEST_ASKED = 3600.0
"""Seconds that a receiver may ask for: one that means more is taken for one that counts in another unit."""
REFUSALS = 10
"""Of so many one notification is given up: about a quarter of an hour, in which who made the receiver can mend it."""
TRIES = 900
"""After so many it is given up whatever the reason is: about three days."""
GONE = 410
SLOWER = (408, 429)
"""Refusals that are about now, not about what is sent."""


class Outcome(NamedTuple):
    """`status` is HTTP's, 0: nobody answered. `why`: what went wrong. `asked`: seconds until it may be tried again."""

    status: int = 0
    why: str = ""
    asked: float = 0.0

    @property
    def is_delivered(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_refused(self) -> bool:
        """It will be answered the same until somebody changes something: a redirect is not followed either."""
        return 300 <= self.status < 500 and self.status not in SLOWER


class Verdict(StrEnum):
    """What becomes of a notification after a try."""

    DELIVERED = "delivered"
    AGAIN = "again"
    GIVEN_UP = "given up"


def verdict(outcome: Outcome, tries: int, refusals: int) -> Verdict:
    """`tries` and `refusals` are those of this notification, this one too."""
    if outcome.is_delivered:
        return Verdict.DELIVERED
    if outcome.status == GONE or refusals >= REFUSALS or tries >= TRIES:
        return Verdict.GIVEN_UP
    return Verdict.AGAIN


def pause(tries: int, chance: Callable[[], float]) -> float:
    """Seconds after so many tries in vain: twice as many each time, and up to half of it less by `chance` (0 to 1)."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(tries - 1, 30))
    return longest * (1.0 - chance() / 2)


def retry_after(said: str, now: datetime) -> float:
    """Seconds that a `Retry-After` asks for (RFC 9110, 10.2.3: seconds or a date); 0 if it cannot be read."""
    try:
        seconds = float(said) if said.strip().isdigit() else (parsedate_to_datetime(said) - now).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED)
