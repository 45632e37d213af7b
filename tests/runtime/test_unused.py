"""Deployments that nothing uses, in a running server."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.records.folder import SHOP, deployment
from tests.runtime.test_control import Server
from tests.runtime.test_writing import Engine
from tests.telemetry.exports import RULE, exported, flush_of
from xds_server.difference.history import Word
from xds_server.difference.steering import CannotSteer
from xds_server.domain.names import Ref
from xds_server.runtime.telemetry import Telemetry
from xds_server.runtime.unused import Collector
from xds_server.runtime.writing import Writing
from xds_server.sources.writing import Writer
from xds_server.state.store import Store

V1, OLD = Ref("default", "v1"), Ref("default", "shop-old")
FILES = {**SHOP, "old.yaml": deployment("shop-old", "b9")}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ADA = Word("ada", "so")


class Collected:
    """A server, its folder, and a proxy that has had requests for what nothing uses."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.server = Server(store)
        self.folder = folder
        for name, text in FILES.items():
            (folder / name).write_text(text, "utf-8")
        self.server.hears(FILES, complete=True)
        self.time = NOON
        self.telemetry = telemetry = Telemetry(store.counted, lambda: 100.0, lambda: self.time)
        for seconds, total in ((10, 0), (11, 7)):
            self.tells("edge-1", seconds, total)
        writing = Writing(self.server.control, Writer(folder), Engine())
        self.collector = Collector(self.server.control, telemetry, writing)

    def tells(self, node: str, seconds: int, total: int) -> None:
        """How many requests the old one had at this proxy, since that began."""
        stats = {RULE.format("old", "2xx").replace("rule/default", "rule/explicit"): total}
        flush = flush_of(self.telemetry.totals.names, exported(stats, seconds))
        self.telemetry.flushes.hear(self.telemetry.totals.fold(node, flush, 100.0))


@pytest.fixture
def collected(tmp_path: Path) -> Iterator[Collected]:
    (tmp_path / "records").mkdir()
    with Store.open(tmp_path / "state") as store:
        yield Collected(store, tmp_path / "records")


async def test_who_asks_for_it_all_the_same_is_counted(collected: Collected) -> None:
    found = await collected.collector.unused(timedelta(0), None)
    assert found is not None
    assert [(each.deployment.name, requests) for each, requests in found] == [("shop-old", 7), ("v2", 0)]
    assert await collected.collector.unused(timedelta(days=7), None) == []
    assert await collected.collector.unused(timedelta(0), Ref("default", "nope")) is None


async def test_what_a_proxy_tells_first_is_counted(collected: Collected) -> None:
    collected.tells("edge-2", 9, 5)
    found = await collected.collector.unused(timedelta(0), None)
    assert found is not None
    assert [(each.deployment.name, requests) for each, requests in found] == [("shop-old", 12), ("v2", 0)]


async def test_who_asked_for_it_before_the_server_began_is_counted(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    with Store.open(tmp_path / "state") as store:
        collected = Collected(store, tmp_path / "records")
        await collected.telemetry.settle()
        collected.time += timedelta(minutes=1)
        await collected.telemetry.settle()
        begun = Telemetry(store.counted, clock=lambda: collected.time)
        control = collected.server.control
        after = Collector(control, begun, Writing(control, Writer(tmp_path), Engine()))
        found = await after.unused(timedelta(0), None)
    assert found is not None
    assert [(each.deployment.name, requests) for each, requests in found] == [("shop-old", 7), ("v2", 0)]


async def test_what_goes_is_gone_from_the_folder_and_from_what_is_in_force(collected: Collected) -> None:
    assert await collected.collector.remove([OLD], ADA) == ("old.yaml",)
    assert not (collected.folder / "old.yaml").exists()
    app = collected.server.control.admission.world.app(Ref("default", "shop"))
    assert {each.name for each in app.deployments} == {"v1", "v2"}


async def test_all_go_or_none(collected: Collected) -> None:
    with pytest.raises(CannotSteer, match="v1 is used by Release shop"):
        await collected.collector.remove([OLD, V1], ADA)
    assert (collected.folder / "old.yaml").exists()
