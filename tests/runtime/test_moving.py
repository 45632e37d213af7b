"""What is done, and what is said of it."""

from pathlib import Path

import pytest

from tests.runtime.rolling import ADA, GUARD, SHOP_REF, Flush, Server, began, opened
from tests.state.full import full
from xds_server.difference.history import Kind
from xds_server.difference.steering import CannotSteer
from xds_server.domain.problems import Reason
from xds_server.records.progress import Ended


def test_an_audience_that_is_worse_is_moved_and_the_default_goes_on(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD, audiences=[early])
        bad = Flush(v1=(900, 9), v2=(100, 1), v2_early=(20, 15))
        server.until(lambda: Kind.MOVED in server.kinds, bad)
        assert [each.audience for each in server.control.admission.moved[SHOP_REF]] == ["early"]
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 1)))
        assert server.kinds.count(Kind.MOVED) == 1
        server.steering.unpin(SHOP_REF, ADA)
        assert not server.control.admission.moved


def test_who_waits_says_so_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 100}])
        for _ in range(20):
            server.looks()
        assert server.kinds[-3:] == [Kind.STARTED, Kind.ADVANCED, Kind.GATE]
        with pytest.raises(CannotSteer, match="its gates: qa"):
            server.asked.approve(SHOP_REF, "ops", ADA)
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.ended is not None)


def test_who_waits_now_for_one_thing_and_now_for_another_says_each_once(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = began(store, steps=steps)
        server.until(lambda: server.step == 2)
        good = server.files["shop.yaml"]
        for _ in range(5):
            for text in (good, good.replace('"v2"', '"v9"')):
                server.hears({"shop.yaml": text})
                server.looks()
        assert server.kinds[-2:] == [Kind.GATE, Kind.HELD]


def test_it_takes_nothing_from_a_canary_that_has_a_share_already(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, v1=70)
        server.until(lambda: server.step == 2)
        assert server.gives == {"v1": 50, "v2": 50}
        assert server.history[-1].what.startswith("step 2 of 3 (past 1: the record gives v2 30 % already); ")
        report = server.asked.report(SHOP_REF)
        assert report is not None
        assert report.steps[0] == "to 10 % for 4s, passed over: v2 has more already"
        server.steering.rollback(SHOP_REF, None, ADA)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 50, "v2": 50}
        server.asked.promote(SHOP_REF, 2, ADA)
        server.asked.promote(SHOP_REF, 3, ADA)
        assert server.ended == Ended.FINISHED


def test_an_audience_that_somebody_gives_back_is_not_moved_again(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD, audiences=[early])
        bad = Flush(v1=(900, 9), v2=(100, 1), v2_early=(20, 15))
        server.until(lambda: Kind.MOVED in server.kinds, bad)
        assert server.problems(Reason.PINNED)[0].startswith("audience early gets v1, whatever it says, since 2026")
        server.steering.unpin(SHOP_REF, ADA)
        for _ in range(5):
            server.looks(0.5, bad)
        assert not server.control.admission.moved
        assert not server.problems(Reason.PINNED)


def test_what_is_not_live_for_long_is_said(server: Server) -> None:
    server.live = False
    for _ in range(80):
        server.looks()
    assert server.kinds[-2:] == [Kind.STARTED, Kind.HELD]
    assert "not live" in server.history[-1].word.why


def test_who_waits_says_so_once_it_can_be_written(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"gate": "qa"}, {"to": 100}])
        server.until(lambda: server.step == 1)
        with full(store):
            for _ in range(5):
                server.looks()
        for _ in range(5):
            server.looks()
        assert server.kinds.count(Kind.GATE) == 1
