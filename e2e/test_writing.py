"""Records are written by commands while a real Envoy serves: what they say is so when they end, and nothing is lost."""

import json
import subprocess
from collections.abc import Callable

import pytest

from e2e.support import records
from e2e.support.envoy import EnvoyVersion
from e2e.support.load import Shot, lost
from e2e.support.server import BIN, Mode
from e2e.support.world import V1, V2, App, World

pytestmark = pytest.mark.e2e

V3 = V1 | {"web": "a3"}
EVERY = 64
"""Of all slots, the users of so many are one that asks."""
SLOTS = range(0, 1 << 16, EVERY)
LIVE, SUPERSEDED = 0, 3
RELEASE = """\
# The shop of this test.
apiVersion: xds-server.dev/v1alpha1
kind: Release
metadata: {{name: {app}}}
spec:
  app: {app}
  gateways: [edge]
  hosts: ["{host}"]
  sticky: {{cookie: shop-user}}
  default:
    - deployment: {app}-v1   # what everybody knows
      weight: {one}
    - {{deployment: "{app}-v2", weight: {two}}}   # from last week

    # the canary
    - {{deployment: {app}-v3, weight: {three}}}
"""


@pytest.fixture
def here(pair: tuple[Mode, EnvoyVersion], worlds: Callable[[Mode, EnvoyVersion], World]) -> World:
    return worlds(*pair)


def released(world: World, name: str) -> App:
    """An app in three versions, with a release that somebody wrote by hand."""
    app = world.app(name)
    v1 = app.deploy("v1", V1)
    app.deploy("v2", V2)
    app.deploy("v3", V3)
    app.released(v1)
    world.folder.write_text(file(app), text(app))
    xdsctl(world, "wait", "-f", str(world.folder.root / file(app)))
    return app


def file(app: App) -> str:
    return records.file_of(records.release(app.name, {}))


def text(app: App, one: int = 60, two: int = 40, three: int = 0) -> str:
    return RELEASE.format(app=app.name, host=app.host, one=one, two=two, three=three)


def started(world: World, *words: str) -> subprocess.Popen[str]:
    command = [str(BIN / "xdsctl"), *words, "--server", f"127.0.0.1:{world.server.admin}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def xdsctl(world: World, *words: str, code: int = 0) -> str:
    with started(world, *words) as child:
        out, err = child.communicate(timeout=30)
    assert child.returncode == code, (words, out, err)
    return out


def who_gets_what(app: App) -> list[str | None]:
    """By users whose ids are all over the slots."""
    cookies = (f"shop-user={slot:04x}0000-0000-4000-8000-000000000000" for slot in SLOTS)
    return [app.get(headers=[("cookie", cookie)]).served for cookie in cookies]


def test_shares_that_are_set_move_the_users_that_the_plan_said_and_nothing_else(here: World) -> None:
    app = released(here, "shares-set")
    canary, place = f"{app.name}-v3", here.folder.root / file(app)
    before, written = who_gets_what(app), place.read_text()
    assert written == text(app)
    for share in (5, 25, 100):
        wanted = text(app, (100 - share) * 60 // 100, (100 - share) * 40 // 100, share)
        (here.directory / "asked.yaml").write_text(wanted)
        plan = json.loads(xdsctl(here, "plan", str(here.directory / "asked.yaml"), "-o", "json", code=2))

        xdsctl(here, "set", app.name, f"{canary}={share}", "--why", "a step")

        after = who_gets_what(app)
        [users] = plan["users"]
        moved = sum(1 for old, new in zip(before, after, strict=True) if old != new)
        # One for each border that moved.
        assert abs(moved * EVERY - users["moves"]["slots"]) <= 2 * EVERY
        assert all(new == canary for old, new in zip(before, after, strict=True) if old == canary)
        assert place.read_text() == wanted
        before = after
    assert set(before) == {canary}


def test_records_that_are_applied_are_live_when_the_command_ends_and_lose_nothing(here: World) -> None:
    app = released(here, "applied")
    name, home = app.name, here.folder.root / file(app)
    asked, new = here.directory / "applied.yaml", f"{app.name}-v4"
    release = text(app, 0, 100)
    with here.load([Shot("default", app.host)]) as load:
        here.wait_answered(5)
        for deployment, other in ((new, f"{name}-v2"), (f"{name}-v2", new)):
            spec = {"web": {"build": "a2", "routes": [{"pathPrefix": "/"}]}}
            said = json.dumps(records.deployment(name, "v4", spec))
            asked.write_text(f"{said}\n---\n{release.replace(f'{name}-v2', deployment)}")

            out = xdsctl(here, "apply", str(asked), "--wait", "--why", f"from {other}").splitlines()
            assert app.get().served == deployment
            outcome = "added to applied.yaml" if deployment == new else "unchanged"
            assert out[:2] == [
                f"AppDeployment/default/{new}: {outcome}",
                f"Release/default/{name}: changed in {home.name}",
            ]
            here.wait_answered(5)
        results = load.stop()
    assert lost(results.answers) == []
    assert (here.folder.root / "applied.yaml").read_text() == f"{said}\n"
    assert home.read_text() == release
    [last, *_] = xdsctl(here, "history", name).splitlines()
    assert last.endswith(f": from {new}")


def test_of_two_who_set_shares_at_once_nothing_is_lost(here: World) -> None:
    app = released(here, "at-once")
    two = [started(here, "set", app.name, f"{app.name}-{version}=20", "--who", version) for version in ("v2", "v3")]
    for child in two:
        with child:
            out, err = child.communicate(timeout=30)
        assert child.returncode in (LIVE, SUPERSEDED), (out, err)

    last, first, *_ = json.loads(xdsctl(here, "history", app.name, "-o", "json"))
    assert {first["who"], last["who"]} == {"v2", "v3"}
    assert first["after"] == last["before"]
    assert last["after"][f"{app.name}-{last['who']}"] == 20
    assert sum(last["after"].values()) == 100
