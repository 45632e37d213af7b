from tests.telemetry.exports import RULE
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry import Change, Flushes, Names, Process
from xds_server.telemetry.flushes import LONGEST
from xds_server.telemetry.totals import Gap

PROCESS = Process("edge-1", 0, exact=True)
V1, V2 = Ref("default", "shop-v1"), Ref("default", "shop-v2")
NAMES = Names()
for each in ("v1", "v2"):
    NAMES.find(RULE.format(each, "2xx"))


def change(time: int, size: int = 1, *, whole: bool = True, gap: Gap | None = None) -> Change:
    return Change(PROCESS, time, dict.fromkeys(range(size), 1), whole, gap)


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


def test_a_gap_is_none_and_neither_is_what_came_twice_or_a_flush_of_nothing() -> None:
    flushes = Flushes(NAMES)
    flushes.hear(change(1, whole=False, gap=Gap.AGAIN))
    flushes.hear(change(2, whole=False))
    flushes.hear(change(3, 0))
    assert [*flushes.since(0), *flushes.heard_since(-1)] == []
    assert [(each.time, each.gap) for each in flushes.gaps_since(-1)] == [(1, Gap.AGAIN)]
    assert flushes.gaps_since(0) == []
    assert flushes.gaps == {Gap.NEW: 0, Gap.AGAIN: 1, Gap.SERVER: 0}


def test_they_are_bounded_by_size_and_by_time_whatever_a_proxys_clock_says() -> None:
    flushes, late = Flushes(NAMES, most=5), Process("edge-2", 0, exact=True, heard=LONGEST)
    for time in (1, 2, 3):
        flushes.hear(change(time, 2))
    assert [each.time for each in flushes.since(0)] == [2, 3]
    flushes.hear(change(10**15))
    assert [each.time for each in flushes.since(0)] == [2, 3, 10**15]
    flushes.hear(change(4, 0)._replace(process=late, added={0: 1}))
    assert [each.time for each in flushes.since(0)] == [3, 10**15, 4], "of an hour"
    late.heard += 1
    flushes.hear(change(5)._replace(process=late))
    assert [each.time for each in flushes.since(0)] == [4, 5]


def test_one_that_is_larger_than_all_may_be_is_let_go() -> None:
    flushes = Flushes(NAMES, most=5)
    flushes.hear(change(1, 6))
    flushes.hear(change(2, 5))
    assert [each.time for each in flushes.since(0)] == [2]
