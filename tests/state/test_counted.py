import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.state.full import full
from tests.telemetry.exports import RULE, exported, flush_of
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.state import counted as module
from xds_server.state.store import Store
from xds_server.telemetry import Process, Totals

WEB = RULE.format("v1", "2xx")
V1 = Series(Ref("default", "shop-v1"), "web", "default", "2xx")


def fold(totals: Totals, node: str, uptime: int, count: int) -> None:
    totals.fold(node, flush_of(totals.names, exported({WEB: count}, uptime)), 1)


def keep(store: Store, totals: Totals) -> None:
    store.counted.keep(totals.names.unsaved, list(totals.unsaved))
    totals.names.unsaved.clear()
    totals.unsaved.clear()


def let_go(store: Store) -> Process:
    """One that has counted five, of which the rest is not written down yet."""
    totals = store.counted.load().totals(0)
    fold(totals, "edge-1", 1, 5)
    keep(store, totals)
    [process] = totals
    totals.let_go(process)
    return process


def test_totals_are_there_after_a_restart_and_go_on(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        fold(totals, "edge-1", 1, 5)
        fold(totals, "edge-1", 2, 3)  # it began anew
        fold(totals, "edge-2", 1, 10)
        keep(store, totals)

    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        assert totals.sums() == {V1: 18}
        fold(totals, "edge-1", 2, 3)
        fold(totals, "edge-1", 3, 4)
        assert totals.sums() == {V1: 19}
        keep(store, totals)

    with Store.open(tmp_path) as store:
        assert store.counted.load().totals(0).sums() == {V1: 19}


def test_who_is_let_go_stays_in_the_sums_and_is_known_if_it_comes_back(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        process = let_go(store)
        store.counted.retire(process)

    for _ in range(2):
        with Store.open(tmp_path) as store:
            totals = store.counted.load().totals(0)
            assert totals.sums() == {V1: 5}
            assert list(totals) == []
            fold(totals, "edge-1", 9, 8)
            assert totals.sums() == {V1: 5}

    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        fold(totals, "edge-1", 9, 8)
        fold(totals, "edge-1", 10, 9)
        keep(store, totals)
    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        assert totals.sums() == {V1: 6}
        [process] = totals
        totals.let_go(process)
        store.counted.retire(process)
    with Store.open(tmp_path) as store:
        assert store.counted.load().totals(0).sums() == {V1: 6}


def test_of_those_that_were_let_go_the_oldest_are_forgotten(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "MOST_ENDED", 2)
    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        for number in range(4):
            fold(totals, f"edge-{number}", 1, 1)
        keep(store, totals)
        for process in list(totals):
            totals.let_go(process)
            store.counted.retire(process)
        found = store.counted.load()
    assert [node for node, _ in found.ended] == ["edge-2", "edge-3"]
    assert found.retired == {V1: 4}


def test_what_a_proxy_tells_no_more_stays_in_the_sums_and_its_name_is_forgotten(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        other = RULE.format("v2", "2xx")
        totals.fold("edge-1", flush_of(totals.names, exported({WEB: 5, other: 1}, 1)), 1)
        keep(store, totals)
        store.counted.forget(totals.sweep())
        totals.fold("edge-1", flush_of(totals.names, exported({other: 2}, 2)), 1)
        keep(store, totals)
        store.counted.forget(totals.sweep())
        now = totals.sums()

    with Store.open(tmp_path) as store:
        found = store.counted.load()
        assert [name for _, name in found.names] == [other]
        assert found.totals(0).sums() == now == {V1: 5, V1._replace(deployment=Ref("default", "shop-v2")): 2}


KILLED = """
    import os, signal, sys
    from pathlib import Path
    from tests.state.test_counted import fold, keep
    from xds_server.state.store import Store

    store = Store.open(Path(sys.argv[1]))
    totals = store.counted.load().totals(0)
    fold(totals, "edge-1", 1, 5)
    keep(store, totals)
    fold(totals, "edge-1", 2, 7)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_server_that_is_killed_has_lost_nothing_that_does_not_come_again(tmp_path: Path) -> None:
    ended = subprocess.run([sys.executable, "-c", textwrap.dedent(KILLED), tmp_path], check=False)
    assert ended.returncode == -signal.SIGKILL

    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        assert totals.sums() == {V1: 5}
        fold(totals, "edge-1", 3, 9)
        assert totals.sums() == {V1: 9}


def test_what_cannot_be_written_is_as_new_as_before(tmp_path: Path) -> None:
    """Also who got a number, and what was let go: a row of one process never becomes that of another."""
    with Store.open(tmp_path) as store:
        totals = store.counted.load().totals(0)
        fold(totals, "edge-1", 1, 5)
        [first] = totals
        first.retiring[V1] = 7
        for _ in range(2):
            with full(store), pytest.raises(StateUnwritable):
                keep(store, totals)
        fold(totals, "edge-2", 1, 10)
        store.counted.keep(totals.names.unsaved, [each for each in totals if each is not first])
        keep(store, totals)
        assert not first.retiring

    with Store.open(tmp_path) as store:
        again = store.counted.load()
        assert sorted(each.node for each in again.processes) == ["edge-1", "edge-2"]
        assert again.retired == {V1: 7}


def test_who_cannot_be_let_go_now_is_let_go_whole_later(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        process = let_go(store)
        with full(store), pytest.raises(StateUnwritable):
            store.counted.retire(process)
        store.counted.retire(process)

    with Store.open(tmp_path) as store:
        assert store.counted.load().totals(0).sums() == {V1: 5}
