from collections.abc import Iterable
from itertools import chain, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.telemetry.exports import RULE, START, exported, flush_of
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.telemetry import Flush, Names, Process, Totals
from xds_server.telemetry import totals as module
from xds_server.telemetry.totals import Gap

V1 = Series(Ref("default", "shop-v1"), "web", "default", "2xx")
V2 = V1._replace(deployment=Ref("default", "shop-v2"))
NAMES = {RULE.format(version, "2xx"): series for version, series in (("v1", V1), ("v2", V2))}


class Fleet:
    """Totals that hear of flushes: `heard(node, uptime, v1, v2)`."""

    def __init__(self) -> None:
        self.totals = Totals(Names())
        self.now = 0.0

    def heard(self, node: str, uptime: int, v1: int, v2: int = 0, start: int = START) -> dict[Series, int]:
        counters = dict(zip(NAMES, (v1, v2), strict=True))
        flush = flush_of(self.totals.names, exported(counters, uptime, start=start))
        self.now += 1
        return dict(self.totals.names.sums(self.totals.fold(node, flush, self.now).added))

    def sums(self) -> tuple[int, int]:
        found = self.totals.sums()
        return found.get(V1, 0), found.get(V2, 0)


def test_a_flush_adds_what_is_new_in_it() -> None:
    fleet = Fleet()
    assert fleet.heard("edge-1", 1, 5) == {V1: 5}
    assert fleet.heard("edge-1", 2, 5, 2) == {V2: 2}
    assert fleet.heard("edge-2", 2, 1) == {V1: 1}
    assert fleet.sums() == (6, 2)


def test_a_process_that_began_anew_begins_at_nothing() -> None:
    fleet = Fleet()
    fleet.heard("edge-1", 60, 5)
    fleet.heard("edge-1", 1, 7, start=START + 61)
    assert fleet.sums() == (12, 0)


def test_a_stat_that_began_anew_in_the_same_process_does_too() -> None:
    fleet = Fleet()
    fleet.heard("edge-1", 1, 5)
    assert fleet.heard("edge-1", 2, 2) == {V1: 2}
    assert fleet.sums() == (7, 0)


def test_what_differs_between_two_flushes_of_one_process_is_whole_and_what_came_before_is_not() -> None:
    totals = Totals(Names())

    def fold(uptime: int, count: int, start: int = START) -> tuple[bool, Gap | None]:
        encoded = exported({RULE.format("v1", "2xx"): count}, uptime, start=start)
        change = totals.fold("edge-1", flush_of(totals.names, encoded), 1)
        return change.whole, change.gap

    assert [fold(1, 5), fold(2, 6), fold(2, 6)] == [(False, Gap.NEW), (True, None), (False, None)]
    assert [fold(1, 5, START + 9), fold(2, 6, START + 9)] == [(False, Gap.AGAIN), (True, None)]
    kept, _ = totals
    after = Totals(totals.names)
    after.recall([Process(kept.node, kept.start, kept.exact, kept.time, kept.last)], {}, [])
    change = after.fold("edge-1", flush_of(totals.names, exported({RULE.format("v1", "2xx"): 9}, 9)), 1)
    assert (list(change.added.values()), change.whole, change.gap) == ([3], False, Gap.SERVER)


RUNS = st.lists(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6), min_size=1, max_size=4
)
"""Of each process, what it counted from flush to flush, of both series."""


Heard = list[tuple[str, Flush]]


def flushes_of(names: Names, runs: list[list[tuple[int, int]]]) -> list[Heard]:
    """Of each process, in order."""
    found = []
    for process, steps in enumerate(runs):
        v1 = v2 = 0
        said: Heard = []
        for uptime, (more1, more2) in enumerate(steps, 1):
            v1, v2 = v1 + more1, v2 + more2
            counters = dict(zip(NAMES, (v1, v2), strict=True))
            encoded = exported(counters, uptime, start=START + 100 * process)
            said.append((f"edge-{process % 2}", flush_of(names, encoded)))
        found.append(said)
    return found


def having_heard(names: Names, flushes: Iterable[tuple[str, Flush]]) -> Totals:
    totals = Totals(names)
    for node, flush in flushes:
        totals.fold(node, flush, 1)
    return totals


@given(RUNS, st.data())
def test_any_order_repetition_and_loss_of_flushes_gives_the_same_sums(
    runs: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    names = Names()
    flushes = flushes_of(names, runs)
    heard = data.draw(st.lists(st.sampled_from([*chain(*flushes)]), max_size=20))
    heard = data.draw(st.permutations([*heard, *(said[-1] for said in flushes)]))

    totals = having_heard(names, heard)

    assert totals.sums().get(V1, 0) == sum(more for steps in runs for more, _ in steps)
    assert totals.sums().get(V2, 0) == sum(more for steps in runs for _, more in steps)


def tell(source: Totals, target: Totals) -> None:
    """What one server knows of each process is to another a flush like any other."""
    for each in source:
        said = Flush(each.start, each.exact, each.time, dict(each.last), each.gauges)
        target.fold(each.node, said, 1)


@given(RUNS, st.data())
def test_servers_that_tell_each_other_what_they_know_are_as_one_that_heard_all(
    runs: list[list[tuple[int, int]]], data: st.DataObject
) -> None:
    """In any order, and however often."""
    names = Names()
    flushes = st.lists(st.sampled_from([*chain(*flushes_of(names, runs))]), max_size=20)
    first, second = data.draw(flushes), data.draw(flushes)
    one, other, alone = (having_heard(names, heard) for heard in (first, second, [*first, *second]))

    for _ in range(2):
        tell(one, other)
        tell(other, one)
        assert one.sums() == other.sums() == alone.sums()


def test_who_is_silent_is_let_go_and_stays_in_the_sums_also_if_it_comes_back() -> None:
    fleet = Fleet()
    fleet.heard("edge-1", 1, 5)
    [process] = fleet.totals.silent(since=2)
    fleet.totals.let_go(process)
    assert process.retiring == {V1: 5}
    assert list(fleet.totals) == []
    assert fleet.sums() == (5, 0)

    assert fleet.heard("edge-1", 9, 8) == {}, "nobody knows how much of it is new"
    assert fleet.heard("edge-1", 10, 9) == {V1: 1}
    assert fleet.sums() == (6, 0)
    [back] = fleet.totals
    assert [back.total(number) for number in back.last] == [1]


def test_what_a_process_tells_no_more_is_let_go_and_what_it_tells_is_not() -> None:
    fleet = Fleet()
    fleet.heard("edge-1", 1, 5, 7)
    assert fleet.totals.sweep() == []
    names = fleet.totals.names
    fleet.totals.fold("edge-1", flush_of(names, exported({RULE.format("v1", "2xx"): 6}, 2)), 1)

    [process] = fleet.totals
    assert (list(process.last.values()), fleet.totals.kept, fleet.sums()) == ([6], 1, (6, 7))
    assert fleet.totals.sweep() == [1]
    assert names.find(RULE.format("v2", "2xx")) is not None, "it may come back, from nothing"
    assert fleet.heard("edge-1", 3, 6, 2) == {V2: 2}
    assert fleet.sums() == (6, 9)


def test_totals_are_bounded_and_what_finds_no_room_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TOTALS", 1)
    fleet = Fleet()
    fleet.heard("edge-1", 1, 5, 7)
    fleet.heard("edge-1", 2, 6, 8)
    assert fleet.sums() == (6, 0)
    assert fleet.totals.refused == 2


def test_a_clock_that_goes_back_loses_nothing() -> None:
    fleet = Fleet()
    for uptime, count in pairwise((9, 1, 2, 3)):
        fleet.heard("edge-1", uptime, count)
    fleet.heard("edge-1", 1, 5)
    assert fleet.sums() == (5, 0)


def test_members_are_those_of_the_newest_flush_of_each() -> None:
    totals = Totals(Names())
    for node, healthy in (("edge-1", 2), ("edge-2", 0)):
        gauges = {"cluster.shop-v1/web.membership_healthy": healthy, "cluster.shop-v1/web.membership_total": 2}
        totals.fold(node, flush_of(totals.names, exported({}, gauges=gauges)), 1)
    assert totals.members() == {(Ref("default", "shop-v1"), "web"): [(2, 2), (0, 2)]}
