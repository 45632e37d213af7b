"""Somebody elsewhere is told what happens to releases: all of it, in order, whoever dies or says nothing meanwhile."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.support.envoy import EnvoyVersion
from e2e.support.processes import wait_until
from e2e.support.receiver import Receiver, once, webhooks
from e2e.support.server import Mode
from e2e.support.world import V1, V2, App, World
from e2e.support.world import world as new_world

pytestmark = pytest.mark.e2e

WHO = {"who": "ada@desk", "why": "it fails"}
FLIPS = 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notifications")


@pytest.fixture(scope="module")
def ops() -> Iterator[Receiver]:
    with Receiver("ops") as receiver:
        yield receiver


@pytest.fixture(scope="module")
def slow() -> Iterator[Receiver]:
    """Connections are accepted, and never answered."""
    with Receiver("slow") as receiver:
        receiver.free.clear()
        yield receiver


@pytest.fixture(scope="module")
def world(folder: Path, ops: Receiver, slow: Receiver) -> Iterator[World]:
    hooks = webhooks(folder, ops, slow)
    with new_world(Mode.DELTA, EnvoyVersion.CURRENT, folder, "--webhooks", str(hooks)) as ready:
        yield ready


def deployed(world: World, name: str, ops: Receiver) -> tuple[App, str, str]:
    """An app of two versions, of which the first is released and live."""
    app = world.app(name)
    old, new = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(old)
    ops.wait_of(name, "changed", "live")
    return app, old, new


def rolled_back(world: World, name: str, to: str) -> str:
    found = world.server.ask(f"/releases/{name}/rollback", {**WHO, "to": to})
    return str(found["content"])


def live(world: World, name: str) -> None:
    found = world.server.ask(f"/releases/{name}/wait?timeout=10")
    assert found["verdict"] == "live", found


def waiting(world: World, name: str) -> int:
    told = world.server.ask("/notifications")
    return next(int(each["waiting"]) for each in told["webhooks"] if each["name"] == name)


def test_each_step_of_a_release_is_told_signed_and_in_order(world: World, ops: Receiver) -> None:
    app, old, new = deployed(world, "steps", ops)
    app.release(new)
    app.wait_served(new)
    ops.wait_of("steps", "changed", "live", "changed", "live")
    content = rolled_back(world, "steps", old)
    messages = ops.wait_of("steps", "changed", "live", "changed", "live", "rolled-back", "live")

    assert all(each.is_ours for each in messages)
    assert [messages[-2].data["content"], messages[-1].data["content"]] == [content, content]
    back = messages[-2].said
    assert (back["type"], back["source"]) == ("dev.xds-server.release.rolled-back.v1", "xds-server://e2e")
    assert (back["data"]["who"], back["data"]["why"]) == ("ada@desk", "it fails")
    assert (back["data"]["before"], back["data"]["after"]) == ({new: 100.0}, {old: 100.0})
    assert messages[-1].data["numbers"]["accepted"] == 1


def test_who_does_not_answer_holds_up_neither_another_nor_a_release(
    world: World, ops: Receiver, slow: Receiver
) -> None:
    app, old, new = deployed(world, "quick", ops)
    for number in range(FLIPS):
        to = (new, old)[number % 2]
        app.release(to)
        app.wait_served(to)
        ops.wait_of("quick", *["changed", "live"] * (number + 2))

    assert once(slow.of("quick")) == ["changed"], "the second waits for the first"
    assert waiting(world, "slow") >= 2 * FLIPS


def test_a_server_that_is_killed_before_it_has_told_tells_it_when_it_is_back(world: World, ops: Receiver) -> None:
    """Also what was on its way, under the id that it had."""
    app, old, new = deployed(world, "killed", ops)
    ops.free.clear()
    app.release(new)
    app.wait_served(new)
    live(world, "killed")
    wait_until(lambda: len(ops.of("killed")) == 3, "the change is on its way, and not taken")
    rolled_back(world, "killed", old)
    world.server.child.kill()

    ops.free.set()
    world.server.start()
    world.wait_connected()
    messages = ops.wait_of("killed", *["changed", "live"] * 2, "rolled-back", "live")
    on_its_way = messages[2]
    assert [each.body for each in messages if each.id == on_its_way.id] == [on_its_way.body] * 2
    assert len({each.id for each in messages}) == 6


def test_a_receiver_that_is_away_for_a_while_is_told_all_of_it_in_order(world: World, ops: Receiver) -> None:
    one, *_ = first = deployed(world, "away-1", ops)
    other, *_ = second = deployed(world, "away-2", ops)
    before = len(ops.messages)
    ops.stop()
    for number in range(FLIPS):
        for app, old, new in (first, second):
            to = (new, old)[number % 2]
            app.release(to)
            app.wait_served(to)
    assert len(ops.messages) == before
    assert waiting(world, "ops") >= 2 * FLIPS
    ops.start()

    for app in (one, other):
        wait_until(lambda app=app: once(ops.of(app.name)).count("changed") == FLIPS + 1, f"{app.name} is told", 60)  # type: ignore[misc]
        times = [each.said["time"] for each in ops.of(app.name)]
        assert times == sorted(times)
    wait_until(lambda: waiting(world, "ops") == 0, "all is told", 60)


def test_what_a_receiver_refuses_of_one_release_holds_up_no_other(world: World, ops: Receiver) -> None:
    app, _, new = deployed(world, "refused", ops)
    other, old, newer = deployed(world, "beside", ops)
    ops.status = lambda message: 500 if message.said.get("subject") == "refused" else 204
    app.release(new)
    app.wait_served(new)
    wait_until(lambda: len(ops.of("refused")) > 2, "it is tried in vain")
    began = time.monotonic()
    other.release(newer)
    ops.wait_of("beside", *["changed", "live"] * 2)
    assert once(ops.of("refused")) == ["changed", "live", "changed"]
    assert time.monotonic() - began < 20
    ops.status = lambda _message: 204
    ops.wait_of("refused", *["changed", "live"] * 2)
    assert old
