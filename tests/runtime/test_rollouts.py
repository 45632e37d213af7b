"""Rollouts from their beginning to their end."""

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from typing_extensions import override

from tests.records.folder import SHOP, build, deployment, documents, release
from tests.runtime.rolling import (
    ADA,
    GUARD,
    SHOP_REF,
    STEPS,
    V1,
    V2,
    WELL,
    Flush,
    Killed,
    Mortal,
    Server,
    began,
    opened,
    shop,
)
from tests.state.full import full
from xds_server.difference.history import Event, Kind
from xds_server.difference.steering import CannotSteer
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.problems import Reason
from xds_server.records.progress import Ended
from xds_server.records.saved import Row
from xds_server.state.store import Store

EARLY = {"name": "early", "match": {"headers": [{"name": "x-early", "exact": "1"}]}, "deployment": "v2"}


def test_it_goes_from_step_to_step_and_writes_how_it_has_ended(server: Server) -> None:
    server.until(lambda: server.ended is not None)
    assert server.gives == {"v1": 0, "v2": 100}
    assert server.kinds[-4:] == [Kind.STARTED, Kind.ADVANCED, Kind.ADVANCED, Kind.FINISHED]
    server.looks()
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 100
    report = server.asked.report(SHOP_REF)
    assert report is not None
    assert not [each for each in report.steps if "passed over" in each]
    server.looks(100)
    assert (server.gives, server.ended) == ({"v1": 0, "v2": 100}, Ended.FINISHED)
    assert len(server.kinds) == 4


def test_time_counts_only_while_it_is_live_and_somebody_looks(server: Server) -> None:
    server.until(lambda: server.step == 1)
    server.live = False
    for _ in range(20):
        server.looks()
    assert server.step == 1
    assert "not live" in server.because
    server.live = True
    server.looks(3600)
    assert server.step == 2
    server.looks(0.5)
    assert server.step == 2, "an hour in which nobody looked is five seconds, of one step"


def test_what_is_worse_is_rolled_back_pinned_and_stays_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD)
        server.until(lambda: server.step == 1)
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 30)))
        assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})
        last = server.history[-1]
        assert (last.kind, last.word.who) == (Kind.ROLLED_BACK, "rollout")
        assert last.numbers["default.errors.canary.bad"] >= 30
        server.steering.unpin(SHOP_REF, ADA)
        server.looks(100)
        assert server.gives == {"v1": 100, "v2": 0}
        with pytest.raises(CannotSteer, match="is at step"):
            server.asked.promote(SHOP_REF, 0, ADA)
        server.asked.promote(SHOP_REF, server.step, ADA)
        assert (server.step, server.ended, server.gives) == (1, None, {"v1": 90, "v2": 10})
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 1)))
        assert server.ended == Ended.FINISHED, "what was learnt in the first attempt holds no more"


def test_a_rollback_after_it_has_ended_takes_back_all_of_it(server: Server) -> None:
    server.until(lambda: server.ended is not None)
    server.looks()
    server.steering.rollback(SHOP_REF, None, ADA)
    assert server.gives == {"v1": 100, "v2": 0}


def test_a_hand_that_takes_back_what_the_guard_took_back_a_moment_before_gives_it_to_nobody(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD)
        server.until(lambda: server.step == 2)
        server.until(lambda: server.ended is not None, Flush(v1=(900, 9), v2=(100, 30)))
        with pytest.raises(CannotSteer, match=r"was taken back already, .* by rollout: it gives v1 100 %"):
            server.steering.rollback(SHOP_REF, None, ADA)
        assert server.gives == {"v1": 100, "v2": 0}


def test_a_canary_without_a_healthy_instance_is_hopeless(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD)
        server.judging.dead = True
        server.until(lambda: server.ended is not None)
        assert "v2 has no healthy instance" in server.history[-1].word.why


def test_what_was_worse_once_is_held_until_somebody_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, guard={"errors": {"maxRatio": 1.5}, "onWorse": "hold", "onUnknown": "advance"})
        server.until(lambda: server.step == 1)
        server.looks(0.5, Flush(v1=(3_600, 36), v2=(400, 32)))
        for _ in range(60):
            server.looks(0.5, Flush(v1=(900, 9), v2=(100, 0)))
        assert server.step == 1
        assert server.because.startswith("worse: errors: 32 of 400")
        assert server.kinds[-2:] == [Kind.STARTED, Kind.HELD]
        server.asked.promote(SHOP_REF, 1, ADA)
        assert server.step == 2


def test_who_fails_alone_goes_back_also_if_it_has_most_users_and_was_safe(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        guard = {"errors": {"maxRatio": 1.5, "floor": 2}}
        server = began(store, steps=[{"to": 75, "for": "1h"}, {"to": 100}], guard=guard)
        for _ in range(60):
            server.looks(0.5, Flush(v1=(25, 0), v2=(75, 0)))
        server.until(lambda: server.ended is not None, Flush(v1=(25, 0), v2=(75, 75)))
        assert server.ended == Ended.ROLLED_BACK


def test_an_outage_is_held_against_no_audience_also_while_nobody_else_gets_the_canary(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        guard = {"errors": {"maxRatio": 1.5}}
        server = began(store, steps=[{"gate": "qa"}, {"to": 100}], guard=guard, audiences=[EARLY])
        for _ in range(40):
            server.looks(0.5, Flush(v1=(900, 900), v2_early=(20, 20)))
        assert Kind.MOVED not in server.kinds
        server.until(lambda: Kind.MOVED in server.kinds, Flush(v1=(900, 9), v2_early=(20, 20)))


def test_an_audience_that_is_moved_while_something_else_is_said_is_moved_once(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        guard, worse = {"errors": {"maxRatio": 1.5}}, Flush(v1=(900, 9), v2_early=(100, 100))
        server = began(store, steps=[{"gate": "qa"}, {"to": 100}], guard=guard, audiences=[EARLY])
        server.looks()
        for _ in range(10):
            server.looks(0.5, worse)
        assert {Kind.GATE, Kind.MOVED} <= {*server.kinds}
        server.steering.unpin(SHOP_REF, ADA)
        for _ in range(10):
            server.looks(0.5, worse)
        assert server.kinds.count(Kind.MOVED) == 1


def test_while_both_fail_it_stays_where_it_is(tmp_path: Path) -> None:
    """Also one that was safe: it may be the canary that does it to both."""
    well, outage = Flush(v1=(900, 2), v2=(100, 0)), Flush(v1=(900, 890), v2=(100, 99))
    with opened(tmp_path) as store:
        guard = {"errors": {"maxRatio": 1.5, "floor": 2}}
        server = began(store, steps=[{"to": 10, "for": "2m", "need": "safe"}, {"to": 100, "for": "4s"}], guard=guard)
        server.until(lambda: server.step == 1)
        for flush, verdict in ((well, "safe"), (outage, "unknown")):
            for _ in range(200):
                server.looks(0.5, flush)
            report = server.asked.report(SHOP_REF)
            assert report is not None
            assert [each.verdict for each in report.verdicts] == [verdict]
        for _ in range(200):
            server.looks(0.5, outage)
        assert server.step == 1
        assert server.because.endswith("but now 99% of all requests fail, at both")
        assert server.kinds[-1] is Kind.HELD
        server.until(lambda: server.step == 2, well)


def test_with_an_empty_state_the_records_weights_serve_until_somebody_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {**SHOP, **shop(v1=70)})
        for _ in range(10):
            server.looks()
        assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
        assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1
        server.asked.resume(SHOP_REF, ADA)
        assert not server.problems(Reason.ROLLOUT_UNKNOWN)
        server.looks()
        assert server.step == 2


def test_with_an_empty_state_a_folder_that_is_filled_later_is_not_believed_to_be_new(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {})
        server.hears({**SHOP, **shop(v1=70)})
        for _ in range(10):
            server.looks()
        assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
        assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1


def test_a_lost_state_does_not_undo_what_has_finished(tmp_path: Path) -> None:
    with opened(tmp_path / "one") as store:
        server = began(store)
        server.until(lambda: server.ended is not None)
        server.looks()
        files = server.files
    with opened(tmp_path / "two") as store:
        server = Server(store, files)
        for _ in range(10):
            server.looks()
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert not server.problems(Reason.ROLLOUT_UNKNOWN)


def test_a_change_of_what_it_is_about_begins_anew(server: Server) -> None:
    server.until(lambda: server.step == 2)
    server.hears(shop(steps=[{"to": 20, "for": "1h"}, {"to": 100}]))
    assert server.gives == {"v1": 100, "v2": 0}
    server.until(lambda: server.step == 1)
    assert server.gives == {"v1": 80, "v2": 20}


def test_those_that_run_do_not_wait_until_all_that_are_new_have_begun(server: Server) -> None:
    server.until(lambda: server.step == 1)
    new: dict[str, str] = {}
    for app in [f"a{each}" for each in range(25)]:
        versions = [deployment(f"{app}-{name}", app=app, version=name) for name in ("v1", "v2")]
        shares = [{"deployment": f"{app}-v1", "weight": 100}, {"deployment": f"{app}-v2", "weight": 0}]
        rolling = release(app, f"{app}.test", app=app, default=shares, rollout={"steps": STEPS})
        new[f"{app}.yaml"] = documents(build(app, app=app), *versions, rolling)
    server.hears(new)
    begun = []
    for _ in range(3):
        server.looks(2)
        begun.append(len(server.control.admission.steered) - 1)
    assert begun == [10, 20, 25]
    assert server.step == 2


def test_where_the_canary_has_everything_nobody_waits_for_what_cannot_come(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        steps = [{"to": 10}, {"to": 100, "for": "4s"}]
        server = began(store, steps=steps, guard={"errors": {"maxRatio": 1.5}}, rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2, Flush(v1=(90, 0), v2=(10, 0)))
        server.until(lambda: server.ended is not None, Flush(v2=(100, 0)))
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert "where nothing is left to compare it with" in server.history[-1].word.why


def test_a_canary_that_has_more_than_its_last_step_keeps_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, v1=0, steps=[{"to": 5, "for": "1h"}, {"gate": "qa"}, {"to": 50}])
        for _ in range(4):
            server.looks()
        assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})
        assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)


def test_a_rollback_after_gates_and_words_takes_back_all_of_it(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 50, "for": "1h"}, {"to": 100}])
        server.until(lambda: server.step == 2)
        server.looks()
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.step == 3)
        server.asked.promote(SHOP_REF, 3, ADA)
        server.until(lambda: server.ended is not None)
        server.looks()
        server.steering.rollback(SHOP_REF, None, ADA)
        assert server.gives == {"v1": 100, "v2": 0}


def test_a_pause_does_not_count_as_being_held(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10}, {"gate": "qa"}, {"to": 100}], rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2)
        server.asked.pause(SHOP_REF, ADA)
        for _ in range(60):
            server.looks()
        server.asked.resume(SHOP_REF, ADA)
        server.looks()
        assert server.ended is None
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.ROLLED_BACK


def test_a_freeze_in_its_record_does_not_count_as_being_held(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = began(store, steps=steps, rollout={"maxHold": "10s"})
        server.until(lambda: server.step == 2)
        server.hears(shop(steps=steps, rollout={"maxHold": "10s", "freeze": True}))
        for _ in range(60):
            server.looks()
        assert server.ended is None
        server.hears(shop(steps=steps, rollout={"maxHold": "10s"}))
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.ROLLED_BACK


def test_who_was_killed_before_an_unknown_one_was_known_still_does_not_let_it_begin(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        Server(store, {**SHOP, **shop(v1=70)})
    for _ in range(2):
        with opened(tmp_path) as store:
            server = Server(store, {**SHOP, **shop(v1=70)})
            for _ in range(10):
                server.looks()
            assert (server.step, server.gives) == (0, {"v1": 70, "v2": 30})
            assert len(server.problems(Reason.ROLLOUT_UNKNOWN)) == 1


def test_whenever_it_is_killed_no_step_is_taken_twice_and_history_shows_every_change(tmp_path: Path) -> None:
    """Before and after every write, and between the record and the state."""
    died = 0
    for dies_at in range(2, 400):
        folder = tmp_path / str(dies_at)
        with opened(folder) as store:
            files = began(store, guard=GUARD).files
        killed = _runs(folder, files, dies_at)
        _runs(folder, files, 0)
        with opened(folder) as store:
            server = Server(store, files)
            assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100}), dies_at
            moves = [each for each in server.history if each.before != each.after]
            steps = [
                each.what.partition(";")[0] for each in server.history if each.kind in (Kind.STARTED, Kind.ADVANCED)
            ]
            assert steps == ["step 1 of 3", "step 2 of 3", "step 3 of 3"], dies_at
            assert [dict(each.after).get(V2) for each in moves][-3:] == [1_000, 5_000, 10_000], dies_at
            assert json.loads(files["shop.yaml"])["spec"]["default"][1]["weight"] == 100
        died += killed
        if not killed:
            break
    assert died > 20, "it was killed at many points"


def _runs(folder: Path, files: dict[str, str], dies_at: int) -> bool:
    """Until it has ended, or is killed: then what is in force is what the history says last."""
    with opened(folder, Mortal) as store:
        assert isinstance(store, Mortal)
        store.arm(dies_at)
        try:
            server = Server(store, files)
            server.until(lambda: server.ended is not None, WELL)
            server.looks()
            server.looks()
        except* Killed:
            killed = True
        else:
            killed = False
    with opened(folder) as store:
        again = Server(store, dict(files))
        moves = [((V1, 10_000),), *(each.after for each in again.history if each.after)]
        assert {each.name: weight / 100 for each, weight in moves[-1]} == {
            name: weight for name, weight in again.gives.items() if weight
        }
    return killed


class Ailing(Store):
    """Cannot be written some of the times."""

    writes = 0
    ails = range(0)

    @override
    def save(
        self, upserts: Iterable[Row], deletes: Iterable[tuple[str, str, str]], history: Sequence[Event] = ()
    ) -> None:
        self.writes += 1
        if self.writes in self.ails:
            raise StateUnwritable("full")
        super().save(upserts, deletes, history)


@pytest.mark.parametrize("lasts", [1, 9])
def test_whenever_it_cannot_be_written_no_step_is_taken_unwritten_and_none_is_lost(tmp_path: Path, lasts: int) -> None:
    """For so many writes, from each write on."""
    for since in range(1, 60, lasts):
        with opened(tmp_path / str(since), Ailing) as store:
            assert isinstance(store, Ailing)
            server = began(store, guard=GUARD)
            store.writes, store.ails = 0, range(since, since + lasts)
            for _ in range(100):
                if server.ended is not None:
                    break
                server.looks(0.5, WELL)
                moves = [((V1, 10_000),), *(each.after for each in server.history if each.after)]
                assert {each.name: weight / 100 for each, weight in moves[-1]} == {
                    name: weight for name, weight in server.gives.items() if weight
                }
                server.control.catch_up()
            assert (server.ended, server.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100}), since
            kinds = [each for each in server.kinds if each in (Kind.STARTED, Kind.ADVANCED, Kind.FINISHED)]
            assert kinds == [Kind.STARTED, Kind.ADVANCED, Kind.ADVANCED, Kind.FINISHED], since
            if store.writes < since:
                break
            store.ails = range(0)
            store.catch_up()
    with opened(tmp_path / "1") as kept:
        again = Server(kept, server.files)
        assert (again.ended, again.gives) == (Ended.FINISHED, {"v1": 0, "v2": 100})


def test_what_is_worse_is_taken_back_once_that_can_be_written(tmp_path: Path) -> None:
    early = {"name": "early", "hosts": ["early.test"], "deployment": "v2"}
    with opened(tmp_path) as store:
        server = began(store, guard=GUARD, audiences=[early])
        server.until(lambda: server.step == 2)
        with full(store):
            for _ in range(10):
                server.looks(0.5, Flush(v1=(900, 9), v2=(100, 30), v2_early=(20, 15)))
            assert (server.ended, server.gives) == (None, {"v1": 50, "v2": 50})
            assert SHOP_REF not in server.control.admission.moved
            for act in (
                lambda: server.steering.rollback(SHOP_REF, None, ADA),
                lambda: server.asked.pause(SHOP_REF, ADA),
                lambda: server.asked.promote(SHOP_REF, 2, ADA),
                lambda: server.asked.freeze(server.clock() + timedelta(hours=1), ADA),
            ):
                with pytest.raises(StateUnwritable):
                    act()
        assert server.asked.frozen().until is None
        server.looks()
        assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})
        assert server.kinds[-2:] == [Kind.MOVED, Kind.ROLLED_BACK]
