"""The weights of a rollout that has finished, and the file that shall say them."""

import asyncio
import json
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from tests.records.folder import SHOP, release, shop_in
from tests.records.folder import Server as Folder
from tests.runtime.rolling import ADA, SHOP_REF, V1, V2, Server
from xds_server.domain.problems import Reason
from xds_server.records.progress import Ended
from xds_server.records.releases import Weights
from xds_server.runtime import rollouts
from xds_server.runtime.finishing import Finishing, NotWritten
from xds_server.sources.writing import Writer

ALL_V2: Weights = ((V1, 0), (V2, 10_000))


def test_the_default_is_written_and_nothing_else(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Folder(SHOP)
    Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    said = json.loads((folder / "shop.yaml").read_text("utf-8"))["spec"]
    assert [(each["deployment"], each["weight"]) for each in said["default"]] == [("v1", 0), ("v2", 100)]
    assert said["hosts"] == ["shop.test"]


def test_what_somebody_has_just_written_and_nobody_has_read_is_not_written_over(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Folder(SHOP)
    edited = release(
        "shop", "shop.test", default=[{"deployment": "v1", "weight": 60}, {"deployment": "v2", "weight": 40}]
    )
    (folder / "shop.yaml").write_text(edited, "utf-8")
    with pytest.raises(NotWritten, match="was changed just now and is not read yet"):
        Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    assert (folder / "shop.yaml").read_text("utf-8") == edited


def test_a_file_that_is_gone_is_not_written_again(tmp_path: Path) -> None:
    folder, server = shop_in(tmp_path), Folder(SHOP)
    (folder / "shop.yaml").unlink()
    with pytest.raises(NotWritten, match=r"shop\.yaml is gone"):
        Finishing(Writer(folder), lambda: server.admission).write(SHOP_REF, ALL_V2)
    assert not (folder / "shop.yaml").exists()


def test_a_record_that_cannot_be_written_is_said_until_it_can(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    assert server.problems(Reason.ROLLOUT_NOT_WRITTEN) == [
        "the rollout has finished, and its record does not say so: the folder is mounted"
    ]
    assert server.gives == {"v1": 0, "v2": 100}
    server.refuses = ""
    server.looks(61)
    server.looks()
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 100


def test_a_clock_that_is_put_back_does_not_keep_a_record_from_being_written(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    server.jumped, server.refuses = -timedelta(days=1), ""
    server.looks(61)
    server.looks()
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)


def test_a_record_that_cannot_be_written_for_long_keeps_nobody_from_being_looked_at(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on = threading.Event(), threading.Event()

    def hang() -> None:
        hangs.set()
        goes_on.wait(60)

    async def looked_at() -> None:
        try:
            async with asyncio.TaskGroup() as tasks, asyncio.timeout(30):
                working = tasks.create_task(server.rollouts.work())
                assert await asyncio.to_thread(hangs.wait, 5)
                server.judging.asked.clear()
                await server.judging.asked.wait()
                working.cancel()
        finally:
            goes_on.set()

    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.writes = hang
    server.now += 61
    monkeypatch.setattr(rollouts, "LOOKED", 0.001)
    asyncio.run(looked_at())


def test_what_a_held_back_record_says_is_not_written_over_and_the_rollout_waits(server: Server) -> None:
    server.until(lambda: server.step == 2)
    wanted = release("shop", "shop.test", default=[{"deployment": "v2"}, {"deployment": "v9", "weight": 0}])
    server.hears({"shop.yaml": wanted})
    for _ in range(40):
        server.looks()
    assert (server.step, server.gives) == (2, {"v1": 50, "v2": 50})
    assert "says something else" in server.because
    assert server.files["shop.yaml"] == wanted


def test_what_has_finished_is_not_written_once_it_was_taken_back(server: Server) -> None:
    server.refuses = "the folder is mounted"
    server.until(lambda: server.ended is not None)
    server.looks()
    server.steering.rollback(SHOP_REF, V1, ADA)
    server.refuses = ""
    server.looks(100)
    assert server.ended == Ended.ROLLED_BACK
    assert json.loads(server.files["shop.yaml"])["spec"]["default"][1]["weight"] == 0
    assert not server.problems(Reason.ROLLOUT_NOT_WRITTEN)
