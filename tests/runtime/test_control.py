import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.records.folder import SHOP, build, deployment, documents, release
from tests.state.full import full
from xds_server.difference.history import Word
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.problems import Reason
from xds_server.records.reading import Batch, Readable, Unreadable
from xds_server.runtime import control
from xds_server.runtime.clock import clock
from xds_server.runtime.control import Control
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.steering import Steering
from xds_server.snapshot import Snapshot, TypeUrl
from xds_server.state.store import StateUnusable, Store


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


class Times:
    """A clock that can be set, and one that cannot."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.passed, self.set_by = timedelta(), timedelta()
        began = clock()
        self.now = lambda: began + self.passed + self.set_by
        monkeypatch.setattr(control, "clock", self.now)
        monkeypatch.setattr(control, "monotonic", lambda: 1000 + self.passed.total_seconds())


@pytest.mark.parametrize("day", [timedelta(days=1), timedelta(days=-1)], ids=["forward", "back"])
def test_a_release_that_waits_does_not_fail_because_a_clock_was_set(
    store: Store, monkeypatch: pytest.MonkeyPatch, day: timedelta
) -> None:
    times, server = Times(monkeypatch), Server(store)
    server.hears(SHOP, complete=True)
    server.hears({"v3.yaml": deployment("v3", "b3"), "shop.yaml": release("shop", "shop.test", to="v3")})
    times.set_by = day
    for passed, failed in ((1, False), (299, False), (300, True)):
        times.passed = timedelta(seconds=passed)
        server.control.tick()
        [waits] = server.control.admission.pending.values()
        assert waits.failed is failed


def shop_for_acme(until: datetime) -> str:
    """A release with an audience that ends."""
    acme = {"name": "acme", "hosts": ["acme.test"], "deployment": "v2", "until": until.isoformat()}
    return release("shop", "shop.test", audiences=[acme])


def endpoints(snapshot: Snapshot | None, address: str) -> bool:
    """Whether somebody is told of it."""
    assert snapshot is not None
    return any(address.encode() in each.body for each in snapshot.of(TypeUrl.ENDPOINTS).values())


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


def test_a_change_that_changes_nothing_tells_nobody(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    before = server.snapshot()

    logged = server.hears({"renamed.yaml": SHOP["shop.yaml"], "shop.yaml": None})

    assert server.snapshot() is before
    assert logged == []


def test_an_audience_ends_by_itself(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times, server = Times(monkeypatch), Server(store)
    server.hears({**SHOP, "shop.yaml": shop_for_acme(times.now() + timedelta(minutes=1))}, complete=True)
    before = server.snapshot()

    with capture_logs() as logged:
        times.passed = timedelta(seconds=59)
        server.control.tick()
        assert server.snapshot() is before
        times.passed = timedelta(minutes=1)
        server.control.tick()

    after = server.snapshot()
    assert after is not before
    assert after is not None
    assert b"AudienceExpired" in after.of(TypeUrl.ROUTES)["edge/http"].body
    [ended] = [each for each in logged if each["event"] == "release changed"]
    assert ended["rules"] == {"acme": {"before": {"v2": 100.0}, "after": {}}}


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


def test_while_nothing_can_be_written_endpoints_go_on_and_releases_wait(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    rows, about = store.load(), server.control.about(Ref("default", "shop"))
    with full(store):
        server.hears({"shop.yaml": release("shop", "new.test")})
        assert server.control.about(Ref("default", "shop")) == about
        server.hears({"builds.yaml": documents(build("web-1", "b1", "10.0.0.9:8080"), build("web-2", "b2"))})
        assert hosts(server.snapshot()) == ["shop.test"]
        assert endpoints(server.snapshot(), "10.0.0.9")
        assert server.control.late == {"shop.yaml"}
        server.control.catch_up()
        assert server.control.late == {"shop.yaml"}
        assert store.load() == rows

    server.control.catch_up()
    assert hosts(server.snapshot()) == ["new.test"]
    assert server.control.late == frozenset()
    assert len(store.events(Ref("default", "shop"))) == 1

    again = Server(store)
    kept, served = again.control.admission.in_force, server.control.admission.in_force
    assert {key: kept[key].content for key in kept} == {key: served[key].content for key in served}


def test_of_what_waits_the_newest_comes_into_force_by_the_word_of_who_wrote_it(store: Store) -> None:
    ada, bob = Word("ada@desk", "so"), Word("bob@desk", "no")
    server = Server(store)
    server.hears(SHOP, complete=True)
    with full(store):
        server.control.hear(Batch({"shop.yaml": Readable(release("shop", "new.test", to="v2"))}), ada)
        server.control.hear(Batch({"shop.yaml": Readable(release("shop", "shop.test", to="v2"))}), bob)
        server.hears({"shop.yaml": release("shop", "shop.test", to="v2")})  # the watch of the folder
    server.control.catch_up()

    [event] = store.events(Ref("default", "shop"))
    assert (event.what, event.word) == ("default: v1 100 % -> v2 100 %", bob)


def test_what_waits_and_is_taken_back_waits_no_more(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    with full(store):
        server.hears({"shop.yaml": release("shop", "new.test"), "v1.yaml": SHOP["v1.yaml"]})
        server.hears({"shop.yaml": SHOP["shop.yaml"]})
        assert server.control.late == {"v1.yaml"}
        server.hears(SHOP, complete=True)
        assert server.control.late == frozenset()
        server.hears({**SHOP, "shop.yaml": release("shop", "new.test")}, complete=True)
        server.hears({"shop.yaml": release("shop", "acme.test")})
        assert server.control.late == SHOP.keys()
    server.control.catch_up()
    assert hosts(server.snapshot()) == ["acme.test"]


def test_what_somebody_does_while_nothing_can_be_written_is_not_done(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    shop, before = Ref("default", "shop"), server.control.admission
    steering = Steering(server.control)
    with full(store), pytest.raises(StateUnwritable):
        steering.rollback(shop, Ref("default", "v2"), Word("ada@desk", "so"))
    assert server.control.admission is before
    assert store.events(shop) == []

    steering.rollback(shop, Ref("default", "v2"), Word("ada@desk", "so"))
    assert shop in server.control.admission.pins


def test_an_audience_ends_once_that_can_be_written(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times, server = Times(monkeypatch), Server(store)
    server.hears({**SHOP, "shop.yaml": shop_for_acme(times.now() + timedelta(minutes=1))}, complete=True)
    before = server.snapshot()
    with full(store):
        assert server.control.tick()
        times.passed = timedelta(minutes=1)
        assert not server.control.tick()
        assert server.snapshot() is before

    server.control.catch_up()
    assert server.snapshot() is not before
    assert [each.what for each in store.events(Ref("default", "shop"))] == ["acme: v2 100 % -> nothing"]


def test_a_first_read_that_cannot_be_written_ends_the_server(store: Store) -> None:
    Server(store).hears(SHOP, complete=True)
    again = Server(store)
    with full(store), pytest.raises(StateUnwritable):
        again.hears({**SHOP, "shop.yaml": release("shop", "new.test")}, complete=True)
    assert again.snapshot() is None
