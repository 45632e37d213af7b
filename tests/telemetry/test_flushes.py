from tests.telemetry.exports import RULE
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry import Change, Flushes, Names, Process
from xds_server.telemetry.flushes import LONGEST

PROCESS = Process("edge-1", 0, exact=True)
V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")
NAMES = Names()
for each in ("v1", "v2"):
    NAMES.find(RULE.format(each, "2xx"))


def change(time: int, size: int = 1, *, whole: bool = True) -> Change:
    return Change(PROCESS, time, dict.fromkeys(range(size), 1), whole)


def test_each_flush_is_asked_for_once() -> None:
    flushes = Flushes(NAMES)
    for time in (1, 2, 3):
        flushes.hear(change(time))
    assert [each.time for each in flushes.since(0)] == [1, 2, 3]
    assert [each.time for each in flushes.since(2)] == [3]
    assert list(flushes.since(flushes.newest)) == []


def test_a_flush_says_what_it_has_of_each_deployment() -> None:
    flushes = Flushes(NAMES)
    flushes.hear(change(1, 2))
    [found] = flushes.since(0)
    assert found.of(V1) == {Series(V1, "web", "default", "2xx"): 1}
    assert found.of(V2) == {Series(V2, "web", "default", "2xx"): 1}
    assert found.of(Ref("default", "shop-v3")) == {}


def test_a_gap_is_none_and_neither_is_a_flush_of_nothing() -> None:
    flushes = Flushes(NAMES)
    flushes.hear(change(1, whole=False))
    flushes.hear(change(2, 0))
    assert list(flushes.since(0)) == []


def test_they_are_bounded_by_size_and_by_time() -> None:
    flushes = Flushes(NAMES, most=5)
    for time in (1, 2, 3):
        flushes.hear(change(time, 2))
    assert [each.time for each in flushes.since(0)] == [2, 3]
    flushes.hear(change(3 + LONGEST, 1))
    assert [each.time for each in flushes.since(0)] == [3, 3 + LONGEST]
