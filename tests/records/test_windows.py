from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xds_server.records.windows import window

OFFICE = window("Mon-Thu 09:00-16:00 Europe/Berlin")
NIGHT = window("Fri 22:00-04:00 UTC")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        pytest.param("2026-11-26T08:00", True, id="nine in winter is eight in UTC"),
        pytest.param("2026-11-26T07:59", False, id="a minute before"),
        pytest.param("2026-11-26T15:00", False, id="its end is no longer in it"),
        pytest.param("2026-07-16T07:00", True, id="nine in summer is seven in UTC"),
        pytest.param("2026-11-27T10:00", False, id="Friday is not in it"),
    ],
)
def test_it_is_open_by_the_clocks_of_its_place(now, is_open):
    assert OFFICE.is_open(at(now)) == is_open


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        pytest.param("2026-11-26T20:00", "2026-11-30T08:00", id="after Thursday comes Monday"),
        pytest.param("2026-11-26T09:00", "2026-11-26T09:00", id="it is open"),
        pytest.param("2026-03-26T20:00", "2026-03-30T07:00", id="clocks are put forward in between"),
        pytest.param("2026-10-22T20:00", "2026-10-26T08:00", id="clocks are put back in between"),
    ],
)
def test_it_opens_at_the_next_beginning(now, opens):
    assert OFFICE.opens(at(now)) == at(opens)


def test_a_night_belongs_to_the_day_on_which_it_begins():
    assert NIGHT.is_open(at("2026-11-28T03:59"))
    assert not NIGHT.is_open(at("2026-11-27T03:59"))
    assert NIGHT.opens(at("2026-11-28T04:00")) == at("2026-12-04T22:00")


def test_a_time_that_clocks_skip_is_an_hour_later():
    skipped = window("Sun 02:30-05:00 Europe/Berlin")
    assert skipped.opens(at("2026-03-29T00:00")) == at("2026-03-29T01:30")


def test_a_time_that_clocks_show_twice_is_the_first():
    twice = window("Sun 02:30-05:00 Europe/Berlin")
    assert twice.opens(at("2026-10-25T00:00")) == at("2026-10-25T00:30")


def test_spans_may_go_over_the_end_of_the_week_and_be_several():
    weekend = window("Sat-Mon,Wed 00:00-24:00 UTC")
    assert [weekend.is_open(at(f"2026-11-{day}T12:00")) for day in range(23, 30)] == [1, 0, 1, 0, 0, 1, 1]


@given(
    st.integers(0, 365 * 24 * 60),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]),
)
def test_it_is_closed_until_it_opens(minutes, zone):
    some, now = window(f"Tue,Sun 01:30-03:30 {zone}"), at("2026-01-01T00:00") + timedelta(minutes=minutes)
    opens = some.opens(now)
    assert some.is_open(opens)
    assert opens == now or not some.is_open(opens - timedelta(seconds=1))
    assert opens - now <= timedelta(days=6)


@pytest.mark.parametrize(
    "text", ["Mon 9:00-10:00 UTC", "Mo 09:00-10:00 UTC", "Mon 09:00-25:00 UTC", "Mon 09:00-10:00", ""]
)
def test_what_is_no_time_of_the_week_is_said(text):
    with pytest.raises(ValueError, match="is no time of the week, such as"):
        window(text)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "../etc/passwd", "/etc/passwd", "Europe", "x" * 300])
def test_what_is_no_time_zone_is_said(zone):
    with pytest.raises(ValueError, match="is no time zone"):
        window(f"Mon 09:00-10:00 {zone}")
