"""A release is taken back with a word: at once, under load, and for as long as nobody takes the word back."""

from typing import Any

import pytest

from e2e.support.load import Shot, lost
from e2e.support.world import V1, V2, World

pytestmark = pytest.mark.e2e

WHO = {"who": "ada@desk", "why": "it fails"}


def said(world: World, path: str, **more: str) -> Any:
    return world.server.ask(path, {**WHO, **more})


def live(world: World, name: str, content: str) -> None:
    found = world.server.ask(f"/releases/{name}/wait?content={content}&timeout=10")
    assert found["verdict"] == "live", found


def test_a_release_is_taken_back_under_load_and_nothing_is_lost(world: World) -> None:
    app = world.app("back")
    old, new = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(old)
    app.release(new)
    app.wait_served(new)
    with world.load([Shot("default", app.host)]) as load:
        for _ in range(10):
            made = said(world, f"/releases/{app.name}/rollback", to=old)
            live(world, app.name, made["content"])
            assert app.get().served == old
            world.wait_answered(5)
            said(world, f"/releases/{app.name}/unpin")
            app.wait_served(new)
            world.wait_answered(5)
        results = load.stop()
    assert lost(results.answers) == []
    assert {answer.served for answer in results.answers} == {old, new}


def test_a_pin_outlives_the_server_and_its_record(pair_world: World) -> None:
    world = pair_world
    app = world.app("pinned")
    old, new = app.deploy("v1", V1), app.deploy("v2", V2)
    app.released(old)
    app.release(new)
    app.wait_served(new)
    live(world, app.name, said(world, f"/releases/{app.name}/rollback", to=old)["content"])

    world.server.child.kill()
    app.release(new, audiences=[{"name": "early", "hosts": [f"early.{app.host}"], "deployment": new}])
    world.server.start()
    world.wait_connected()
    assert app.get().served == old
    assert app.get(host=f"early.{app.host}").status == 404

    said(world, f"/releases/{app.name}/unpin")
    app.wait_served(new)
    app.wait_served(new, f"early.{app.host}")
    told = world.server.ask(f"/releases/{app.name}/history")
    what = [each["what"] for each in told]
    assert [each.partition(";")[0] for each in what[:2]] == ["unpinned", "pinned"]
