"""A release moves by itself, is judged by what Envoys count, and is taken back; whatever happens to the server."""

import json
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import yaml

from e2e.support import records
from e2e.support.envoy import EnvoyVersion
from e2e.support.load import Load, Shot, lost
from e2e.support.processes import wait_until
from e2e.support.server import Mode
from e2e.support.world import V1, V2, App, World
from xds_server.cli.servers import NoAnswer
from xds_server.runtime.clock import clock

pytestmark = pytest.mark.e2e

WHO = {"who": "ada@desk", "why": "release"}
GUARD = {"errors": {"maxRatio": 1.5, "floor": 2}}
EARLY = ("x-early-adopter", "true")


@pytest.fixture(scope="module")
def pair() -> tuple[Mode, EnvoyVersion]:
    """What a step is to Envoy, a release is: others try that on every pair."""
    return Mode.DELTA, EnvoyVersion.CURRENT


def got(world: World, path: str) -> Any:
    return world.server.ask(path)


def said(world: World, path: str, **more: Any) -> Any:
    return world.server.ask(path, {**WHO, **more})


def begins(world: World, name: str, steps: list[Any], guard: Any = None, **spec: Any) -> App:
    """v1 is released, v2 is to follow."""
    app = world.app(name)
    v1, v2 = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(v1)
    rollout = {"steps": steps} | ({} if guard is None else {"guard": guard})
    app.release(weights={v1: 100, v2: 0}, rollout=rollout, **spec)
    return app


def rollout(app: App) -> Any:
    return got(app.world, f"/releases/{app.name}/rollout")


def wait_ended(app: App, how: str, within: float = 90.0) -> Any:
    wait_until(lambda: (rollout(app) or {}).get("ended") is not None, f"the rollout of {app.name} ends", within)
    found = rollout(app)
    assert found["ended"] == how, found
    return found


def wait_held(app: App, by: str, within: float = 30.0) -> Any:
    wait_until(lambda: (rollout(app) or {}).get("held") == by, f"the rollout of {app.name} is held by {by}", within)
    return rollout(app)


def history(app: App) -> list[Any]:
    return list(reversed(got(app.world, f"/releases/{app.name}/history")))


def kinds(app: App) -> list[str]:
    return [each["kind"] for each in history(app)]


def written(app: App) -> dict[str, float]:
    """What the default of its record gives."""
    text = (app.world.folder.root / f"release-{app.name}.yaml").read_text()
    return {each["deployment"]: each["weight"] for each in yaml.safe_load(text)["spec"]["default"]}


def load(app: App, **headers: str) -> Load:
    return app.world.load([Shot("default", app.host, headers=tuple(headers.items()))])


def test_what_is_well_is_promoted_by_itself_and_its_record_says_so(pair_world: World) -> None:
    world = pair_world
    app = begins(world, "well", [{"to": 20, "for": "1s"}, {"to": 50, "need": "safe"}, {"to": 100}], GUARD)
    with load(app) as running:
        wait_ended(app, "finished")
        app.wait_served("well-v2")
        assert lost(running.stop().answers) == []
    assert [each for each in kinds(app) if each != "held"][-4:] == ["started", "advanced", "advanced", "finished"]
    wait_until(lambda: written(app) == {"well-v1": 0, "well-v2": 100}, "the record says so")


def test_what_is_worse_is_taken_back_by_itself(pair_world: World) -> None:
    world = pair_world
    app = begins(world, "worse", [{"to": 50, "for": "2m"}, {"to": 100}], GUARD)
    world.upstreams.tell(app.instance("web", "a1"), "503/20")
    world.upstreams.tell(app.instance("web", "a2"), "503/5")
    with load(app):
        found = wait_ended(app, "rolled back")
        assert "errors" in found["because"]
        app.wait_served("worse-v1")
    assert kinds(app)[-2:] == ["started", "rolled-back"]
    assert got(world, f"/releases/{app.name}/history")[0]["numbers"]["default.errors.canary.requests"] > 0


def test_both_failing_together_is_no_reason_to_go_back(pair_world: World) -> None:
    world = pair_world
    app = begins(world, "alike", [{"to": 50, "for": "8s"}, {"to": 100}], GUARD | {"onUnknown": "advance"})
    for build in ("a1", "a2"):
        world.upstreams.tell(app.instance("web", build), "503/3")
    with load(app):
        wait_ended(app, "finished")


def test_while_nearly_everything_fails_it_is_held_and_goes_on_when_that_is_over(pair_world: World) -> None:
    world = pair_world
    guard = {
        "errors": {"maxRatio": 1.5, "floor": 20}
    }  # while it ends some fail for a moment, which is soon made up for
    app = begins(world, "outage", [{"to": 50, "need": "safe"}, {"to": 100}], guard)
    for build in ("a1", "a2"):
        world.upstreams.tell(app.instance("web", build), "503/1")
    with load(app):
        wait_until(lambda: "of all requests fail, at both" in verdict(app)["because"], "it says so")
        assert wait_held(app, "evidence")["step"] == 1
        for build in ("a1", "a2"):
            world.upstreams.tell(app.instance("web", build), "200")
        wait_ended(app, "finished", within=60)


def test_with_few_requests_it_is_held_and_says_how_many_are_missing(pair_world: World) -> None:
    app = begins(pair_world, "quiet", [{"to": 50, "need": "safe"}, {"to": 100}], {"errors": {"maxRatio": 1.5}})
    wait_held(app, "evidence")

    def counted() -> bool:
        app.get()
        return "errors: 0 of 0 " not in verdict(app)["because"]

    wait_until(counted, "some are counted", within=30)
    found = verdict(app)
    assert found["verdict"] == "unknown"
    assert 1000 < found["missing"] < 4099, "of which some are there"
    assert kinds(app)[-2:] == ["started", "held"]


def verdict(app: App) -> Any:
    (found,) = rollout(app)["verdicts"]
    return found


def test_what_is_bad_for_an_audience_alone_moves_that_audience(pair_world: World) -> None:
    world = pair_world
    early = {"name": "early", "match": {"headers": [{"name": EARLY[0], "exact": EARLY[1]}]}, "deployment": "early-v2"}
    app = begins(world, "early", [{"to": 30, "for": "5m"}, {"to": 100}], GUARD, audiences=[early])
    rule = [EARLY, ("x-test-act", "early/503")]
    with world.load([Shot("default", app.host), Shot("early", app.host, headers=tuple(rule))]) as running:
        wait_until(lambda: app.get(headers=[EARLY]).served == "early-v1", "the audience is moved", within=60)
        answers = running.stop().answers
    assert lost([each for each in answers if each.shot == "default"]) == []
    assert kinds(app)[-2:] == ["started", "moved"]
    assert rollout(app)["ended"] is None
    assert {app.get().served for _ in range(100)} == {"early-v1", "early-v2"}, "the default is not touched"
    said(world, f"/releases/{app.name}/unpin")
    app.wait_served("early-v2", headers=[EARLY])


def test_it_waits_for_a_word_and_follows_it(pair_world: World) -> None:
    world, path = pair_world, "/releases/words"
    app = begins(world, "words", [{"to": 25}, {"gate": "qa"}, {"to": 50, "for": "1h"}, {"to": 100, "for": "1h"}])
    assert wait_held(app, "gate")["step"] == 2
    with pytest.raises(NoAnswer, match="gate 'ops' cannot be approved; its gates: qa"):
        said(world, f"{path}/approve", gate="ops")
    said(world, f"{path}/pause")
    said(world, f"{path}/approve", gate="qa")
    wait_held(app, "paused")
    said(world, f"{path}/resume")
    wait_until(lambda: rollout(app)["step"] == 3, "it goes on")
    with pytest.raises(NoAnswer, match="is at step 3, not at 2"):
        said(world, f"{path}/promote", fromStep=2)
    said(world, f"{path}/promote", fromStep=3)
    app.wait_served("words-v2")
    made = said(world, f"{path}/rollback")
    assert made["after"] == {"words-v1": 100}
    app.wait_served("words-v1")
    assert rollout(app)["ended"] == "rolled back"
    said(world, f"{path}/promote", fromStep=4)
    assert wait_held(app, "gate")["step"] == 2
    words = ["started", "paused", "approved", "resumed", "promoted", "rolled-back", "promoted"]
    assert [each for each in kinds(app) if each in words][-7:] == words


def test_a_freeze_and_a_closed_window_keep_it_and_a_rollback_is_possible_all_the_same(pair_world: World) -> None:
    world = pair_world
    tomorrow = (clock() + timedelta(days=1)).isoformat()
    said(world, "/freeze", until=tomorrow)
    app = begins(world, "frozen", [{"to": 25}, {"to": 100, "for": "1h"}])
    assert wait_held(app, "frozen")["step"] == 0
    said(world, "/unfreeze")
    wait_until(lambda: rollout(app)["step"] == 2, "it begins")
    closed = (clock() + timedelta(days=2)).strftime("%a")
    late = begins(world, "late", [{"to": 25}, {"to": 100}])
    window = {"steps": [{"to": 50}], "within": f"{closed} 09:00-10:00 UTC"}
    late.release(weights={"late-v1": 100, "late-v2": 0}, rollout=window)
    assert wait_held(late, "window")["step"] == 0
    late.wait_served("late-v1")


def has_come_to(app: App, step: int) -> bool:
    return bool((rollout(app) or {}).get("step", 0) >= step)


def test_a_killed_server_goes_on_where_it_was(pair_world: World) -> None:
    world = pair_world
    app = begins(world, "killed", [{"to": 30}, {"to": 60, "for": "8s"}, {"to": 100, "for": "1h"}], GUARD)
    with load(app) as running:
        for step in (1, 2):
            wait_until(partial(has_come_to, app, step), f"step {step}", 60)
            world.server.child.kill()
            world.server.start()
        wait_until(partial(has_come_to, app, 3), "the last step", 60)
        app.wait_served("killed-v2")
        assert lost(running.stop().answers) == []
    steps = [each["what"].partition(";")[0] for each in history(app) if each["kind"] in ("started", "advanced")]
    assert steps == ["step 1 of 3", "step 2 of 3", "step 3 of 3"]
    shares = [each["after"] for each in history(app) if each["after"]]
    assert shares[-3:] == [{"killed-v1": 70, "killed-v2": 30}, {"killed-v1": 40, "killed-v2": 60}, {"killed-v2": 100}]


EVERY = 256
"""Slots between two that are asked for; between neighbours that differ the border is looked for."""


def served_by(app: App, slot: int) -> str:
    """Who answers the user whose id begins so."""
    user = f"shop-user={slot:04x}1111-0000-4000-8000-000000000000"
    found = app.get(headers=[("cookie", user)]).served
    assert found is not None
    return found


def owners(app: App) -> list[str]:
    """Of each slot, by asking Envoy."""
    found: list[str] = []
    for start in range(0, 1 << 16, EVERY):
        found += between(app, start, start + EVERY)
    return found


def between(app: App, start: int, end: int) -> list[str]:
    first, last = served_by(app, start), served_by(app, end - 1)
    if first == last:
        return [first] * (end - start)
    middle = (start + end) // 2
    return between(app, start, middle) + between(app, middle, end)


@pytest.mark.parametrize("canary", [2, 3])
def test_no_user_leaves_the_canary_and_so_many_move_as_was_planned(pair_world: World, canary: int) -> None:
    world, app = pair_world, pair_world.app(f"sticky-{canary}")
    versions = [app.deploy("v1", V1), app.deploy("v2", V2), app.deploy("v3", V2)]
    rises = f"{app.name}-v{canary}"
    others = [each for each in versions if each != rises]
    steps = [{"to": share, "for": "1h"} for share in (5, 25, 50, 100)]
    spec = {"sticky": {"cookie": "shop-user"}, "rollout": {"deployment": rises, "steps": steps}}
    weights = {others[0]: 60, others[1]: 40, rises: 0}
    document = records.release(app.name, dict(sorted(weights.items())), **spec)
    plan = world.server.ask("/records/plan", {"files": {"release.yaml": json.dumps(document)}})
    planned = [each["moves"]["slots"] for each in plan["plan"]["rollouts"][0]["steps"]]
    app.release(weights=dict(sorted(weights.items())), sticky=spec["sticky"])
    app.wait_served(others[0], headers=[("cookie", "shop-user=0000")])
    before = owners(app)
    app.write(document)
    wait_until(partial(has_come_to, app, 1), "the first step")
    for step, moves in enumerate(planned, 1):
        if step > 1:
            said(world, f"/releases/{app.name}/promote", fromStep=step - 1)
        live = got(world, f"/releases/{app.name}/wait?timeout=10")
        assert live["verdict"] == "live"
        after = owners(app)
        assert all(now == rises for was, now in zip(before, after, strict=True) if was == rises), "nobody leaves it"
        assert sum(was != now for was, now in zip(before, after, strict=True)) == moves
        before = after
    assert set(before) == {rises}
