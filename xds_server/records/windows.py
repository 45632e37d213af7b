"""Times of the week, in the time of a place: `Mon-Thu 09:00-16:00 Europe/Berlin`."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAY = "|".join(DAYS)
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d"
WINDOW = rf"(?:{_DAY})(?:-(?:{_DAY}))?(?:,(?:{_DAY})(?:-(?:{_DAY}))?)* {_TIME}-(?:{_TIME}|24:00) \S+"
ONE_DAY = timedelta(days=1)
AHEAD = 9
"""Days that hold at least one beginning and one end of whatever is said of a week."""


@dataclass(frozen=True, slots=True)
class Window:
    """On `days` (0 is Monday) from `begins` to `ends` of the clocks in `zone`; an end that is not later is tomorrow's.

    Clocks that are put forward or back move with the place: 09:00 is 09:00 in summer and in winter.
    """

    days: frozenset[int]
    begins: time
    ends: time
    zone: str

    def is_open(self, now: datetime) -> bool:
        return any(begin <= now < end for begin, end in self._around(now))

    def opens(self, now: datetime) -> datetime:
        """The next instant, in UTC, at which it opens; `now` if it is open."""
        if self.is_open(now):
            return now
        return min(begin for begin, _ in self._around(now) if begin > now)

    def _around(self, now: datetime) -> list[tuple[datetime, datetime]]:
        today = now.astimezone(_zone(self.zone)).date()
        days = (today + ONE_DAY * number for number in range(-1, AHEAD))
        tomorrow = ONE_DAY if self.ends <= self.begins else timedelta()
        return [
            (
                self._instant(datetime.combine(day, self.begins)),
                self._instant(datetime.combine(day + tomorrow, self.ends)),
            )
            for day in days
            if day.weekday() in self.days
        ]

    def _instant(self, wall: datetime) -> datetime:
        """A time that clocks skip is that much later; of one that they show twice, the first."""
        return wall.replace(tzinfo=_zone(self.zone)).astimezone(UTC)


def window(text: str) -> Window:
    """Raises `ValueError` with what is wrong."""
    if re.fullmatch(WINDOW, text) is None:
        raise ValueError(f"{text!r} is no time of the week, such as 'Mon-Fri 09:00-17:00 Europe/Berlin'")
    days, times, zone = text.split(" ")
    begins, ends = times.split("-")
    try:
        _zone(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # of a folder, or a name too long for one
        raise ValueError(f"{zone!r} is no time zone, such as 'Europe/Berlin' or 'UTC'") from error
    found = frozenset(day for part in days.split(",") for day in _span(part))
    return Window(found, time.fromisoformat(begins), time.fromisoformat(ends.replace("24:00", "00:00")), zone)


def _span(part: str) -> list[int]:
    """`Fri-Mon` goes over the end of the week."""
    first, _, last = part.partition("-")
    begin, end = DAYS.index(first), DAYS.index(last or first)
    return [(begin + number) % len(DAYS) for number in range((end - begin) % len(DAYS) + 1)]


@cache
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)
