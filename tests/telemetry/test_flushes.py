from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry import Change, Flushes, Process
from xds_server.telemetry.flushes import LONGEST

PROCESS = Process("edge-1", 0, exact=True)
SERIES = [Series(Ref("default", "v1"), "web", "default", f"{number}xx") for number in range(1, 6)]


def change(time: int, size: int = 1, *, whole: bool = True) -> Change:
    return Change(PROCESS, time, dict.fromkeys(SERIES[:size], 1), whole)


def test_each_flush_is_asked_for_once() -> None:
    flushes = Flushes()
    for time in (1, 2, 3):
        flushes.hear(change(time))
    assert [each.time for each in flushes.since(0)] == [1, 2, 3]
    assert [each.time for each in flushes.since(2)] == [3]
    assert list(flushes.since(flushes.newest)) == []


def test_a_gap_is_none_and_neither_is_a_flush_of_nothing() -> None:
    flushes = Flushes()
    flushes.hear(change(1, whole=False))
    flushes.hear(change(2, 0))
    assert list(flushes.since(0)) == []


def test_they_are_bounded_by_size_and_by_time() -> None:
    flushes = Flushes(most=5)
    for time in (1, 2, 3):
        flushes.hear(change(time, 2))
    assert [each.time for each in flushes.since(0)] == [2, 3]
    flushes.hear(change(3 + LONGEST, 1))
    assert [each.time for each in flushes.since(0)] == [3, 3 + LONGEST]
