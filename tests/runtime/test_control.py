import asyncio
import sqlite3
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.records.folder import SHOP, build, deployment, documents, gateway, release
from tests.runtime.test_worlds import Proxy
from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.domain.sidecars import Sidecar
from xds_server.protocol.events import Nacked, Node
from xds_server.records.reading import Batch, Readable, Unreadable
from xds_server.runtime.clock import clock
from xds_server.runtime.control import SHOWN, Control
from xds_server.runtime.metrics import Metrics
from xds_server.snapshot import Snapshot, TypeUrl
from xds_server.state.store import StateUnusable, Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state") as opened:
        yield opened


class Server:
    """A control with everything that it tells: snapshots, log lines, metrics."""

    def __init__(self, store: Store) -> None:
        self.metrics = Metrics()
        self.control = Control("records", store, self.metrics, allow_empty=False)

    def hears(self, files: Mapping[str, str | None], *, complete: bool = False) -> list[Any]:
        """What is logged when these files change."""
        said = {name: None if text is None else Readable(text) for name, text in files.items()}
        with capture_logs() as logged:
            self.control.hear(Batch(said, complete))
        return logged

    def snapshot(self, gateway: str = "edge") -> Snapshot | None:
        return self.control.worlds.told(Ref("default", gateway))

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


def hosts(snapshot: Snapshot | None) -> list[str]:
    """What of these hosts is served."""
    assert snapshot is not None
    body = snapshot.of(TypeUrl.ROUTES)["edge/http"].body
    return [host for host in ("shop.test", "new.test", "acme.test") if host.encode() in body]


def test_nobody_is_told_anything_before_the_first_read(store: Store) -> None:
    server = Server(store)

    assert server.snapshot() is None
    assert server.control.waiting_for == "records to be read for the first time"
    server.control.tick()
    assert server.snapshot() is None

    server.hears(SHOP, complete=True)
    assert hosts(server.snapshot()) == ["shop.test"]
    assert server.control.waiting_for is None


def test_it_is_saved_before_anyone_hears_of_it(store: Store, tmp_path: Path) -> None:
    """A state directory that cannot be written: no proxy is told what a restart would forget."""
    server = Server(store)
    server.hears(SHOP, complete=True)
    before = server.snapshot()
    with sqlite3.connect(tmp_path / "state" / "state.db") as other:
        other.execute("DROP TABLE records")
    other.close()

    with pytest.raises(StateUnusable, match="no such table"):
        server.hears({"shop.yaml": release("shop", "new.test")})

    assert server.snapshot() is before


def test_after_a_restart_last_good_is_told_and_nothing_is_saved_anew(store: Store) -> None:
    Server(store).hears(SHOP, complete=True)
    rows = store.load()

    again = Server(store)
    again.hears({**SHOP, "shop.yaml": "a: ["}, complete=True)

    assert hosts(again.snapshot()) == ["shop.test"]
    assert store.load() == rows


def test_what_a_record_changed_while_no_server_ran_is_in_the_history(store: Store) -> None:
    """A first start is no change, nor is a restart."""
    shop = Ref("default", "shop")
    Server(store).hears(SHOP, complete=True)
    Server(store).hears(SHOP, complete=True)
    assert store.events(shop) == []

    again = Server(store)
    again.control.hear(Unreadable("cannot be listed"))
    again.hears({**SHOP, "shop.yaml": release("shop", "shop.test", to="v2")}, complete=True)
    [event] = store.events(shop)
    assert event.what == "default: v1 100 % -> v2 100 %"


def test_a_source_that_cannot_be_read_is_said_and_changes_nothing(store: Store) -> None:
    server = Server(store)
    server.control.hear(Unreadable("cannot be listed"))
    assert server.control.waiting_for == "records: cannot be listed"
    assert server.snapshot() is None

    server.hears(SHOP, complete=True)
    before = server.snapshot()
    with capture_logs() as logged:
        server.control.hear(Unreadable("cannot be listed"))

    assert server.snapshot() is before
    assert server.control.waiting_for is None
    assert [(each["event"], each["reason"]) for each in logged] == [("problem", "SourceUnreadable")]


def test_a_problem_is_logged_when_it_comes_and_when_it_goes(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)

    came = server.hears({"bad.yaml": release("bad", "bad.test", to="v9")})
    again = server.hears({"v3.yaml": deployment("v3")})
    gone = server.hears({"bad.yaml": None})

    [problem] = [each for each in came if each["event"] == "problem"]
    assert (problem["log_level"], problem["reason"], problem["record"]) == (
        "warning",
        "UnknownDeployment",
        "Release/default/bad",
    )
    assert problem["problem"].startswith("bad.yaml:1 (document 1): error: ")
    assert not [each for each in again if each["event"].startswith("problem")]
    assert [(each["event"], each["record"]) for each in gone if "reason" in each] == [
        ("problem gone", "Release/default/bad")
    ]


def test_who_follows_problems_is_told_what_is_wrong_now_and_every_change(store: Store) -> None:
    server, told = Server(store), list[tuple[list[str], list[str]]]()
    server.hears({**SHOP, "bad.yaml": release("bad", "bad.test", to="v9")}, complete=True)

    server.control.follow_problems(
        lambda before, after: told.append(([each.reason for each in before], [each.reason for each in after]))
    )
    server.hears({"v3.yaml": deployment("v3")})
    server.hears({"bad.yaml": None})

    assert told == [([], ["UnknownDeployment"]), (["UnknownDeployment"], [])]


def test_a_record_that_is_shown_with_a_warning_is_no_warning_in_the_log(store: Store) -> None:
    server = Server(store)
    logged = server.hears({**SHOP, "v2.yaml": deployment("v2", "b9")}, complete=True)

    assert [each["log_level"] for each in logged if each["event"] == "problem"] == ["info"]


def test_what_a_deployment_does_to_the_mesh_is_logged(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)

    [shifted] = [each for each in server.hears({"v3.yaml": deployment("v3", "b1")}) if "app" in each]
    assert shifted["now_shared"] == ["shop/web@b1"]
    [shifted] = [each for each in server.hears({"v2.yaml": None}) if "app" in each]
    assert shifted["left"] == ["shop/web@b2"]


def test_who_gets_what_from_now_on_is_logged(store: Store) -> None:
    server = Server(store)
    came = server.hears(SHOP, complete=True)
    halves = [{"deployment": "v1", "weight": 50}, {"deployment": "v2", "weight": 50}]
    canary = server.hears({"shop.yaml": release("shop", "shop.test", default=halves)})
    sticky = server.hears({"shop.yaml": release("shop", "new.test", default=halves, sticky={"cookie": "user"})})

    released = {"app": "shop", "release": "shop"}
    assert [
        {name: said for name, said in each.items() if name not in ("event", "log_level")}
        for each in (*came, *canary, *sticky)
        if each["event"] == "release changed"
    ] == [
        {**released, "rules": {"default": {"before": {}, "after": {"v1": 100.0}}}, "hosts_came": ["shop.test at edge"]},
        {**released, "rules": {"default": {"before": {"v1": 100.0}, "after": {"v1": 50.0, "v2": 50.0}}}},
        {
            **released,
            "rules": {
                "default": {"before": {"v1": 50.0, "v2": 50.0}, "after": {"v1": 50.0, "v2": 50.0}, "others": True}
            },
            "hosts_came": ["new.test at edge"],
            "hosts_went": ["shop.test at edge"],
        },
    ]


def test_many_releases_and_rules_are_some_lines(store: Store) -> None:
    server = Server(store)
    audiences = [
        {"name": f"a{n:02}", "match": {"headers": [{"name": "x", "exact": f"{n}"}]}, "deployment": "v2"}
        for n in range(SHOWN + 5)
    ]
    many = {f"r{n:02}.yaml": release(f"r{n:02}", f"r{n:02}.test") for n in range(SHOWN + 5)}
    first = release("a", "a.test", audiences=audiences)
    logged = server.hears({**SHOP, **many, "a.yaml": first}, complete=True)

    lines = [each for each in logged if each["event"] == "release changed"]
    assert len(lines) == SHOWN
    assert (len(lines[0]["rules"]), lines[0]["more_rules"]) == (SHOWN, 6)


def test_a_storm_of_apps_is_one_short_line(store: Store) -> None:
    files = {f"{n}.yaml": deployment("v1", app=f"app{n:02}").replace('"v1"', f'"a{n}"') for n in range(SHOWN + 5)}
    [line] = [each for each in Server(store).hears(files, complete=True) if each["event"] == "world changed"]

    assert len(line["apps"]) == SHOWN + 1
    assert line["apps"][-1] == "and 5 more"


def test_a_change_that_changes_nothing_tells_nobody(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    before = server.snapshot()

    logged = server.hears({"renamed.yaml": SHOP["shop.yaml"], "shop.yaml": None})

    assert server.snapshot() is before
    assert logged == []


def test_gateways_come_and_go(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    assert server.snapshot("inner") is None

    server.hears({"inner.yaml": gateway("inner")})
    assert server.snapshot("inner") is not None

    server.hears({"inner.yaml": None})
    assert server.snapshot("inner") is None


def test_an_audience_ends_by_itself(store: Store) -> None:
    until = (clock() + timedelta(milliseconds=50)).isoformat()
    audience = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until}
    server = Server(store)
    server.hears({**SHOP, "shop.yaml": release("shop", "shop.test", audiences=[audience])}, complete=True)
    before = server.snapshot()
    wake_at = server.control.admission.wake_at
    assert wake_at is not None

    with capture_logs() as logged:
        while clock() < wake_at:
            server.control.tick()
            assert server.snapshot() is before or clock() >= wake_at
        server.control.tick()

    after = server.snapshot()
    assert after is not before
    assert after is not None
    assert b"AudienceExpired" in after.of(TypeUrl.ROUTES)["edge/http"].body
    [ended] = [each for each in logged if each["event"] == "release changed"]
    assert ended["rules"] == {"acme": {"before": {"v2": 100.0}, "after": {}}}


def test_an_empty_folder_is_served_with_a_warning(store: Store) -> None:
    server = Server(store)
    logged = server.hears({}, complete=True)

    assert (server.control.waiting_for, server.snapshot()) == (None, None)
    assert [(each["event"], each["reason"]) for each in logged] == [("problem", "NoRecords")]
    assert [each.reason for each in server.control.problems] == ["NoRecords"]
    assert server.metric("xds_server_problems", severity="warning", reason="NoRecords", record="") == 1

    gone = server.hears(SHOP)
    assert [each["reason"] for each in gone if each["event"] == "problem gone"] == ["NoRecords"]
    assert server.control.problems == ()


def test_what_is_counted(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    assert server.metric("xds_server_records", kind="Build") == 2
    assert server.metric("xds_server_records", kind="Release") == 1

    server.hears({"v2.yaml": None, "v3.yaml": deployment("v3", "b1"), "v4.yaml": deployment("v4", "b1")})
    server.hears({"bad.yaml": "a: ["})
    server.hears({"shop.yaml": release("shop", "new.test")})

    assert server.metric("xds_server_records", kind="AppDeployment") == 3
    assert server.metric("xds_server_records", kind="Release") == 1
    assert server.metric("xds_server_problems", severity="error", reason="Malformed", record="") == 1
    assert server.metric("xds_server_admission_seconds_count") == 4
    server.hears({"bad.yaml": None})
    assert server.metric("xds_server_problems", severity="error", reason="Malformed") is None
    assert Server(store).metric("xds_server_records", kind="AppDeployment") == 3


# --- sidecars


BESIDE = Node("web-1-1", "shop/web", "sidecar", "b1")
WEB = Sidecar(BuildId(Ref("default", "shop"), "web", "b1"))


async def test_a_sidecar_is_told_of_its_app_once_there_is_a_world(store: Store) -> None:
    server = Server(store)
    proxy = Proxy(server.control.worlds, BESIDE)
    assert server.control.worlds.told(WEB) is None

    server.hears(SHOP, complete=True)
    told = server.control.worlds.told(WEB)
    assert told is not None
    assert set(told.of(TypeUrl.LISTENER)) == {"shop/web@b1/outbound"}

    server.hears({"edge.yaml": gateway(template=".p.test")})
    assert server.control.worlds.told(WEB) is told, "it concerns gateways"
    server.hears({"v3.yaml": deployment("v3", "b1")})
    assert server.control.worlds.told(WEB) is not told

    proxy.seat.leave()
    assert server.control.worlds.told(WEB) is None


async def test_a_sidecar_that_connects_later_is_told_what_is_in_force(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    Proxy(server.control.worlds, BESIDE)
    await asyncio.sleep(0)

    assert server.control.worlds.told(WEB) is not None


async def test_what_a_sidecar_refuses_is_a_problem_of_its_build(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    Proxy(server.control.worlds, BESIDE)
    await asyncio.sleep(0)
    told = server.control.worlds.told(WEB)
    assert told is not None
    listener = told.of(TypeUrl.LISTENER)["shop/web@b1/outbound"]

    for observer in server.control.observers:
        observer.opened(BESIDE, "delta")
        observer.nacked(BESIDE, Nacked(TypeUrl.LISTENER, "1", "cannot bind", {listener.name: listener.version}))
    [problem] = [each for each in server.control.problems if each.reason == "Refused"]
    assert (problem.record, problem.what) == (
        "Build/default/web-1",
        "proxy web-1-1 refuses Listener shop/web@b1/outbound: cannot bind",
    )


CHECKED = {**SHOP, "builds.yaml": documents(build("web-1", "b1"), build("web-2", "b2", healthCheck={}))}


def test_before_the_first_read_no_answer_changes_anything(store: Store) -> None:
    server = Server(store)
    server.hears(CHECKED, complete=True)
    server.hears({"shop.yaml": release("shop", "shop.test", to="v2")})
    again = Server(store)
    again.control._reconsider([Ref("default", "shop")])
    assert again.control.waiting_for is not None
    assert [*again.control.admission.pending] == [Ref("default", "shop")]


def test_a_server_that_asks_nobody_takes_what_is_placed_to_be_well(store: Store) -> None:
    server = Server(store)
    server.hears(CHECKED, complete=True)
    server.control.activating.ask_nobody()
    server.hears({"shop.yaml": release("shop", "shop.test", to="v2")})
    assert not server.control.admission.pending


async def test_a_release_that_waits_is_woken_for_its_deadline(store: Store) -> None:
    server = Server(store)
    server.hears(CHECKED, complete=True)
    server.control.turned.clear()
    server.hears({"shop.yaml": release("shop", "shop.test", to="v2", policy={"activationDeadline": "0s"})})
    assert server.control.turned.is_set()
    [problem] = [each for each in server.control.problems if each.record == "Release/default/shop"]
    assert problem.reason is Reason.ACTIVATION_FAILED
