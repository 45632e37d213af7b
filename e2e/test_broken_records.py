"""A broken record keeps what it said before, everything else moves on, and a restart changes neither."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.support import records
from e2e.support.load import STEADY, Legal, Shot, lost
from e2e.support.processes import wait_until
from e2e.support.records import Build
from e2e.support.world import V1, V2, App, World

pytestmark = pytest.mark.e2e


class Town:
    """Two apps in one world: `broken`, whose records go wrong, and `good`, which must not notice. Both are at v1,
    and the audience `acme` of the broken one is at v2.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken, self.good = world.app("broken"), world.app("good")
        for app in (self.broken, self.good):
            app.deploy("v2", V2)
            app.released(app.deploy("v1", V1), audiences=[self._acme(app)])
        self.files = {path.name: path.read_text() for path in world.folder.root.iterdir()}

    def _acme(self, app: App) -> dict[str, Any]:
        return {"name": "acme", "hosts": [f"acme.{app.host}"], "deployment": f"{app.name}-v2"}

    def check(self, default: str) -> None:
        """The broken app is as it was; the good one can be released again and again: nothing is stuck."""
        assert [self.broken.get(path).served for path in ("/", "/cart")] == ["broken-v1"] * 2
        assert self.broken.get(host="acme.broken.example.com").served == "broken-v2"
        assert [self.broken.explicit(f"broken-{version}").status for version in ("v1", "v2")] == [200] * 2
        self.good.released(default)

    def breaks(self, break_it: "Callable[[Town], str]") -> str:
        """Break something, and wait until its reason is logged: what the server had to do about it is done."""
        logged = len(self.world.server.log())
        reason = break_it(self)
        wait_until(lambda: reason in self.world.server.log()[logged:], f"the log says {reason}")
        return reason

    def fill(self) -> None:
        """Write every record of the beginning, and leave no other."""
        for path in self.world.folder.root.iterdir():
            if path.name not in self.files:
                path.unlink()
        for name, text in self.files.items():
            self.world.folder.write_text(name, text)

    def mend(self) -> None:
        """As at the beginning. What is mended is no problem any more."""
        self.fill()
        wait_until(lambda: not self.world.server.metrics().get("xds_server_problems"), "no problem is left")
        self.broken.wait_served("broken-v1")
        self.good.wait_served("good-v1")


@pytest.fixture(scope="module")
def built(pair_world: World) -> Town:
    return Town(pair_world)


@pytest.fixture
def town(built: Town) -> Town:
    built.mend()
    return built


def release_of_nobody(town: Town) -> str:
    town.broken.release("broken-v9")
    return "UnknownDeployment"


def weights_of_90(town: Town) -> str:
    town.broken.release(weights={"broken-v1": 50, "broken-v2": 40})
    return "Weights"


def malformed_yaml(town: Town) -> str:
    town.world.folder.write_text("release-broken.yaml", "kind: Release\nspec: {app: [\n")
    return "Malformed"


def unknown_field(town: Town) -> str:
    document = records.release("broken", {"broken-v2": 100}, colour="blue")
    town.broken.write(document)
    return "InvalidField"


def unquoted_version(town: Town) -> str:
    document = records.deployment("broken", "v1", {"web": {"build": 1.10, "routes": [{"pathPrefix": "/"}]}})
    town.broken.write(document)
    return "InvalidField"


def changed_version(town: Town) -> str:
    town.broken.write(records.deployment("broken", "v1", {"web": {"build": "a2", "routes": [{"pathPrefix": "/"}]}}))
    return "Immutable"


def deleted_in_use(town: Town) -> str:
    town.world.folder.remove("appdeployment-broken-v1.yaml")
    return "InUse"


def a_host_that_is_taken(town: Town) -> str:
    document = records.release("good", {"good-v1": 100}, hosts=["thief.example.com", "broken.example.com"])
    document["metadata"]["name"] = "thief"
    town.good.write(document)
    return "RouteConflict"


def a_release_in_two_files(town: Town) -> str:
    town.world.folder.write("copy.yaml", records.release("broken", {"broken-v2": 100}))
    return "DuplicateRecord"


def a_build_of_two_protocols(town: Town) -> str:
    document = Build("broken", "web", "a1").record(["127.0.0.1:9"], "http2")
    document["metadata"]["name"] = "again"
    town.broken.write(document)
    return "BuildConflict"


def a_regex_that_re2_refuses(town: Town) -> str:
    match = {"headers": [{"name": "x-a", "regex": "(?=lookahead)"}]}
    audience = {"name": "bad", "match": match, "deployment": "broken-v2"}
    town.broken.release("broken-v2", audiences=[audience])
    return "InvalidField"


def without_endpoints(town: Town) -> str:
    spec = {"web": {"build": "nowhere", "routes": [{"pathPrefix": "/"}]}}
    town.broken.write(records.deployment("broken", "v3", spec))
    town.broken.release("broken-v3")
    return "Pending"


BREAKS: tuple[Callable[[Town], str], ...] = (
    release_of_nobody,
    weights_of_90,
    malformed_yaml,
    unknown_field,
    unquoted_version,
    changed_version,
    deleted_in_use,
    a_host_that_is_taken,
    a_release_in_two_files,
    a_build_of_two_protocols,
    a_regex_that_re2_refuses,
    without_endpoints,
)


@pytest.mark.parametrize("break_it", BREAKS, ids=lambda break_it: break_it.__name__)
def test_a_broken_record_keeps_its_last_good_and_stops_nobody_else(town: Town, break_it: Callable[[Town], str]) -> None:
    town.breaks(break_it)
    town.check("good-v2")
    town.check("good-v1")


def test_kill_and_restart_serve_the_same_bytes(town: Town) -> None:
    world = town.world
    conflicts = (deleted_in_use, a_host_that_is_taken, a_build_of_two_protocols)
    reasons = [town.breaks(each) for each in (release_of_nobody, *conflicts)]
    town.check("good-v2")
    wait_until(lambda: "broken/web@nowhere" not in world.envoy.endpoints(), "what is gone has rested", within=20)
    before, endpoints, pushed = world.envoy.resources(), world.envoy.endpoints(), world.pushes()
    logged = len(world.server.log())

    world.server.child.kill()
    world.server.start()
    world.wait_connected()
    wait_until(lambda: all(each in world.server.log()[logged:] for each in reasons), f"the log repeats {reasons}")
    with world.another_envoy("edge-2") as fresh:
        assert world.told_as_well(fresh)
        assert world.on_demand or fresh.endpoints() == endpoints
    assert world.envoy.resources() == before
    assert world.pushes() == pushed
    town.check("good-v1")


def checked_under_load(town: Town, disturb: Callable[[], None]) -> None:
    """Whatever happens to the files, nobody loses a request or gets another version, and nothing is pushed.

    Afterwards the files are as they were, and then the good app's release is the first that is pushed.
    """
    shots = [
        Shot("broken-v1", "broken.example.com"),
        Shot("broken-v2", "acme.broken.example.com"),
        Shot("good-v1", "good.example.com", "/cart"),
    ]
    pushed = town.world.pushes()
    with town.world.load(shots) as load:
        disturb()
        town.world.wait_answered(60)
        results = load.stop()
    always = {shot.name: [Legal(0.0, float("inf"), frozenset({shot.name}))] for shot in shots}
    assert lost(results.answers) == []
    assert results.illegal(always) == []
    assert results.per_second >= STEADY
    assert town.world.pushes() == pushed
    town.check("good-v2")


def test_a_folder_that_vanishes_and_returns_changes_nothing(town: Town) -> None:
    root = town.world.folder.root

    def vanish(_: Town) -> str:
        root.rename(root.with_name("away"))
        return "SourceUnreadable"

    def vanish_and_return() -> None:
        town.breaks(vanish)
        town.world.wait_answered(60)
        root.with_name("away").rename(root)

    checked_under_load(town, vanish_and_return)


def empty(town: Town) -> str:
    for path in town.world.folder.root.iterdir():
        path.unlink()
    return "SourceUnreadable"


def test_an_emptied_folder_that_fills_file_by_file_changes_nothing(town: Town) -> None:
    def empty_and_return() -> None:
        town.breaks(empty)
        town.world.wait_answered(60)
        for name, text in sorted(town.files.items(), reverse=True):
            town.world.folder.write_text(name, text)
            town.world.wait_answered(3)

    checked_under_load(town, empty_and_return)


def test_what_does_not_come_back_to_an_emptied_folder_is_gone(town: Town) -> None:
    town.breaks(empty)
    kept = {name: text for name, text in town.files.items() if name != "release-good.yaml"}
    for name, text in kept.items():
        town.world.folder.write_text(name, text)
    wait_until(lambda: town.good.get().status == 404, "the release is gone")
    assert town.good.get().json["reason"] == "HostUnknown"
    assert town.broken.get().served == "broken-v1"


def test_a_malformed_file_changes_nothing(town: Town) -> None:
    def spoil_and_repair() -> None:
        town.breaks(malformed_yaml)
        town.world.wait_answered(60)
        town.fill()

    checked_under_load(town, spoil_and_repair)


def test_a_file_written_in_two_halves_is_read_whole(town: Town) -> None:
    path = town.world.folder.root / "release-broken.yaml"
    text = path.read_text()
    nothing, no_audience, no_yaml = 0, text.index("  audiences:"), text.index("deployment: broken-v2") + 5

    def write_slowly(half: int, pause: int) -> None:
        """Write in place, and pause between the halves for as many requests."""
        with path.open("w") as file:
            file.write(text[:half])
            file.flush()
            town.world.wait_answered(pause)
            file.write(text[half:])

    def write_again_and_again() -> None:
        for half in (nothing, no_audience, no_yaml):
            for pause in (3, 30, 80):
                write_slowly(half, pause)

    checked_under_load(town, write_again_and_again)
