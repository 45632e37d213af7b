"""Commands that write, beside others that write and a rollout that runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from tests.records.folder import SHOP, deployment, release, shop_in
from tests.runtime.test_waiting import SHOP_REF, house
from tests.state.full import full
from xds_server.difference.history import RECORDS, Event, Word
from xds_server.difference.steering import CannotSteer
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.records.reading import Batch, Readable
from xds_server.records.releases import Weights
from xds_server.runtime.control import Control
from xds_server.runtime.metrics import Metrics
from xds_server.runtime.writing import Rollouts, Writing
from xds_server.sources.writing import Writer
from xds_server.state.store import Store

V1, V2 = Ref("default", "v1"), Ref("default", "v2")
ADA = Word("ada@desk", "so")


class Engine(Rollouts):
    """One that runs until it is stopped."""

    stopped: Word | None = None

    @override
    def running(self, release: Ref) -> str:
        return f"a rollout of Release {release.word} is at 25 %"

    @override
    def stop(self, release: Ref, weights: Weights, word: Word) -> Event | None:
        return None

    @override
    def stop_with(self, release: Ref, weights: Weights, word: Word) -> None:
        assert release == SHOP_REF
        assert sum(weight for _, weight in weights) == 10_000
        self.stopped = word


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return shop_in(tmp_path)


@asynccontextmanager
async def running(records: Path) -> AsyncIterator[tuple[Control, Engine, Writing]]:
    async with house(records) as here:
        engine = Engine()
        yield here.control, engine, Writing(here.control, Writer(records), engine)


async def test_nothing_is_set_while_a_rollout_runs_unless_it_is_stopped(records: Path) -> None:
    async with running(records) as (control, engine, writing):
        with pytest.raises(CannotSteer, match="a rollout of Release shop is at 25 %; with --stop-rollout"):
            await writing.set(SHOP_REF, {V2: 1000}, ADA, "", stop_rollout=False)
        assert (records / "shop.yaml").read_text() == release("shop", "shop.test")

        await writing.set(SHOP_REF, {V2: 1000}, ADA, "", stop_rollout=True)
        assert engine.stopped == ADA
        assert control.history(SHOP_REF)[0].word == ADA


async def test_a_rollout_is_not_stopped_for_what_is_not_set(records: Path) -> None:
    async with running(records) as (_, engine, writing):
        with pytest.raises(CannotSteer, match="v9 is not deployed"):
            await writing.set(SHOP_REF, {Ref("default", "v9"): 1000}, ADA, "", stop_rollout=True)
        assert engine.stopped is None


async def test_shares_that_are_so_already_write_nothing(records: Path) -> None:
    async with running(records) as (control, _, writing):
        written = (records / "shop.yaml").stat().st_mtime_ns
        event = await writing.set(SHOP_REF, {V1: 10000}, ADA, "", stop_rollout=True)

        assert event.what == "nothing moves"
        assert control.history(SHOP_REF) == []
        assert (records / "shop.yaml").stat().st_mtime_ns == written


async def test_who_writes_into_the_folder_beside_it_is_not_overwritten(records: Path) -> None:
    async with running(records) as (control, _, writing):
        texts = {"new.yaml": release("shop", "shop.test", to="v2")}
        setting = [writing.apply(texts, ADA, {}, dry_run=False), writing.apply(texts, ADA, {}, dry_run=False)]
        both = await asyncio.gather(*setting)
        assert [str(each.records[0].outcome) for each in both] == ["changed", "unchanged"]

        # An editor that is quicker than the watch.
        (records / "shop.yaml").write_text(release("shop", "shop.test", "new.test"))
        with pytest.raises(CannotSteer, match=r"shop\.yaml was changed just now"):
            await writing.set(SHOP_REF, {V1: 10000}, ADA, "", stop_rollout=True)
        assert (records / "shop.yaml").read_text() == release("shop", "shop.test", "new.test")
        assert control.history(SHOP_REF)[-1].word == ADA


async def test_nothing_is_written_before_the_records_were_read(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state") as store:
        control = Control("records", store, Metrics(), allow_empty=False)
        writing = Writing(control, Writer(tmp_path), Engine())

        with pytest.raises(CannotSteer, match="nothing is written now: the server waits for records to be read"):
            await writing.apply({"v3.yaml": deployment("v3")}, ADA, {}, dry_run=True)


def test_what_a_hand_wrote_is_the_word_of_the_records(tmp_path: Path) -> None:
    with Store.open(tmp_path / "state") as store:
        control = Control("records", store, Metrics(), allow_empty=False)
        control.hear(Batch({name: Readable(text) for name, text in SHOP.items()}, complete=True))
        control.hear(Batch({"shop.yaml": Readable(release("shop", "shop.test", to="v2"))}))
        control.hear(Batch({"shop.yaml": Readable(release("shop", "shop.test"))}), ADA)

        assert [each.word for each in control.history(SHOP_REF)] == [ADA, RECORDS]


async def test_nothing_is_written_into_the_folder_while_it_could_not_come_into_force(records: Path) -> None:
    async with running(records) as (control, _, writing):
        news = release("shop", "new.test")
        with full(control._store):
            with pytest.raises(StateUnwritable, match="readonly"):
                await writing.apply({"shop.yaml": news}, ADA, {}, dry_run=False)
            with pytest.raises(StateUnwritable, match="readonly"):
                await writing.set(SHOP_REF, {V2: 1000}, ADA, "", stop_rollout=True)
        assert (records / "shop.yaml").read_text() == release("shop", "shop.test")

        await writing.apply({"shop.yaml": news}, ADA, {}, dry_run=False)
        assert control.history(SHOP_REF)[0].word == ADA


async def test_what_is_written_when_the_disk_becomes_full_is_said_to_wait(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(records) as (control, _, writing):
        monkeypatch.setattr(control, "check_writable", lambda: None)
        with full(control._store), pytest.raises(StateUnwritable, match=r"shop\.yaml is written, and comes into force"):
            await writing.apply({"shop.yaml": release("shop", "new.test")}, ADA, {}, dry_run=False)
        control.catch_up()
        assert control.history(SHOP_REF)[0].word == ADA
