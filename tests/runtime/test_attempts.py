"""What is known of an attempt, and when it is forgotten."""

from datetime import timedelta
from pathlib import Path

from tests.records.folder import ROUTES, SHOP, build, deployment, documents
from tests.runtime.rolling import ADA, GUARD, SHOP_REF, WELL, Flush, Server, began, opened, shop
from xds_server.difference.history import Kind
from xds_server.domain.problems import Reason
from xds_server.records.progress import Ended
from xds_server.runtime.clock import clock

BRANCH = {
    **SHOP,
    "v2.yaml": deployment("v2", "b2", version=None),
    "more.yaml": documents(build("web-3", "b3"), build("web-4", "b4")),
}
NEEDS = [{"to": 10, "need": "safe"}, {"gate": "qa"}, {"to": 50, "need": "safe"}, {"to": 100}]


def test_other_builds_of_the_canary_are_judged_anew(tmp_path: Path) -> None:
    guard, well = {"errors": {"maxRatio": 1.5, "floor": 2}}, Flush(v1=(900, 9), v2=(1000, 1))
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=NEEDS, guard=guard))
        server.until(lambda: server.step == 2, well)
        server.hears({"v2.yaml": deployment("v2", "b3", version=None)})
        server.looks(0.5, well)
        [anew] = server.said(Kind.ANEW)
        assert (anew.what, anew.word.who) == ("judged anew at step 2 of 4; nothing moves", "rollout")
        assert anew.word.why.endswith(": web of v2 (b3, was b2)")
        assert anew.numbers["default.errors.canary.bad"] == 2
        files, now = dict(server.files), server.now
    with opened(tmp_path) as store:
        server = Server(store, files, now)
        server.looks(0.5, well)
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.looks(0.5)
        assert server.step == 3
        for _ in range(10):
            server.looks(0.5, well)
        assert "0 of 0" in server.because, "flushes that may be of the builds before are nobody's"
        for _ in range(30):
            server.looks()
        assert server.step == 3, "what was learnt of other builds is forgotten, also by the server that comes after"
        server.until(lambda: server.step == 4, well)
        assert len(server.said(Kind.ANEW)) == 1


def test_an_approval_and_what_was_worse_are_of_the_builds_that_ran(tmp_path: Path) -> None:
    steps = [{"to": 10}, {"gate": "qa"}, {"to": 100}]
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=steps, guard={"errors": {"maxRatio": 1.5}, "onWorse": "hold"}))
        server.until(lambda: server.step == 2)
        server.looks(0.5, Flush(v1=(3_600, 36), v2=(400, 32)))
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.looks()
        assert server.because.startswith("worse")
        server.hears({"v2.yaml": deployment("v2", "b3", version=None)})
        for _ in range(4):
            server.looks()
        assert (server.step, server.because) == (2, "waits for the word of qa")
        server.asked.approve(SHOP_REF, "qa", ADA)
        server.until(lambda: server.ended is not None)
        assert server.ended == Ended.FINISHED


def test_other_builds_of_stable_are_judged_anew_and_what_else_is_edited_is_not(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, {**BRANCH, "v1.yaml": deployment("v1", "b1", version=None)})
        server.hears(shop(steps=[{"to": 10}, {"gate": "qa"}]))
        server.until(lambda: server.step == 2)
        slow = {"web": {"build": "b2", "routes": ROUTES, "policy": {"timeout": "20s"}}}
        server.hears({"more.yaml": build("web-3", "b3"), "v2.yaml": deployment("v2", version=None, components=slow)})
        assert not server.control.problems or server.problems(Reason.MUTABLE_RELEASED)
        server.looks()
        assert Kind.ANEW not in server.kinds
        server.hears({"v1.yaml": deployment("v1", "b3", version=None)})
        server.looks()
        assert [each.word.why[-22:] for each in server.said(Kind.ANEW)] == ["web of v1 (b3, was b1)"]


def test_builds_that_change_while_no_server_runs_are_judged_anew(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, dict(BRANCH))
        server.hears(shop(steps=[{"to": 10}, {"gate": "qa"}]))
        server.until(lambda: server.step == 2)
        files, now = dict(server.files), server.now
    with opened(tmp_path) as store:
        server = Server(store, {**files, "v2.yaml": deployment("v2", "b4", version=None)}, now)
        server.looks()
        assert [each.word.why[-22:] for each in server.said(Kind.ANEW)] == ["web of v2 (b4, was b2)"]


def test_evidence_and_time_outlive_the_server(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store, steps=[{"to": 10, "for": "1h"}], guard=GUARD)
        for _ in range(9):
            server.looks(0.5, WELL)
        before = server.rollouts.standing(SHOP_REF)
    with opened(tmp_path) as store:
        server = Server(store, {**SHOP, **shop(steps=[{"to": 10, "for": "1h"}], guard=GUARD)}, now=clock().timestamp())
        server.judging.said = []
        after = server.rollouts.standing(SHOP_REF)
    assert before is not None
    assert after is not None
    assert after.watched == before.watched
    assert after.steered.progress.stayed == before.steered.progress.stayed > timedelta(seconds=3)
