"""When proxies are told, while changes storm."""

from xds_server.runtime.pacing import WRITE, Pacing

SECOND = 100.0
"""An instant."""


def test_the_first_change_goes_at_once() -> None:
    assert Pacing().due(endpoints_alone=True) <= SECOND


def test_as_much_time_as_a_fan_out_took_is_left_to_everything_else() -> None:
    pacing = Pacing()
    pacing.took(SECOND, SECOND + 0.25, 0, endpoints_alone=False)
    assert pacing.due(endpoints_alone=True) == SECOND + 0.5
    assert pacing.due(endpoints_alone=False) == SECOND + 0.5


def test_what_is_yet_to_be_written_counts() -> None:
    pacing = Pacing()
    pacing.took(SECOND, SECOND, 1000, endpoints_alone=True)
    assert pacing.due(endpoints_alone=True) == SECOND + 2000 * WRITE


def test_a_release_does_not_wait_behind_endpoints() -> None:
    pacing = Pacing()
    pacing.took(SECOND, SECOND + 1, 0, endpoints_alone=True)
    assert pacing.due(endpoints_alone=False) <= SECOND
    pacing.took(SECOND + 1, SECOND + 1.25, 0, endpoints_alone=False)
    assert pacing.due(endpoints_alone=True) == SECOND + 2, "endpoints wait for the longer of both"
