from datetime import UTC, datetime, timedelta, timezone

import pytest
from pydantic import ValidationError

from xds_server.api.rollouts import Freeze


def test_an_instant_of_another_zone_is_taken_in_utc() -> None:
    until = datetime(2027, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    found = Freeze(who="ada", why="so", until=until).until
    assert (found, found.tzinfo) == (datetime(2027, 1, 1, tzinfo=UTC), UTC)


def test_an_instant_that_no_calendar_has_in_utc_is_a_mistake() -> None:
    until = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
    with pytest.raises(ValidationError, match="no calendar has this instant in UTC"):
        Freeze(who="ada", why="so", until=until)
