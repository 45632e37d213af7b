import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.state.full import full
from tests.telemetry.exports import RULE, START, exported
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.runtime import telemetry as module
from xds_server.runtime.telemetry import Telemetry
from xds_server.state.store import Store
from xds_server.stats import Counts
from xds_server.telemetry import Change
from xds_server.telemetry.ticks import ERRORS

WEB = RULE.format("v1", "2xx")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
V1 = Series(Ref("default", "shop-v1"), "web", "default", "2xx")


class Running:
    """Telemetry that works, on a clock that is set by hand."""

    def __init__(self, store: Store, time: datetime) -> None:
        self.now = 1.0
        self.store = store
        self.time = time
        self.connected = {"edge-2"}
        self.of = Telemetry(store.counted, lambda: self.now, lambda: self.time, self.connected.__contains__)
        self._heard = asyncio.Event()
        self.of.follow(self._hear)

    def _hear(self, _change: Change) -> None:
        self._heard.set()

    async def take(self, node: str, encoded: bytes) -> None:
        """Wait until it is folded."""
        self._heard.clear()
        assert self.of.take(node, encoded)
        async with asyncio.timeout(30):
            await self._heard.wait()


@asynccontextmanager
async def working(folder: Path, time: datetime = NOON) -> AsyncIterator[Running]:
    with Store.open(folder) as store:
        running = Running(store, time)
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(running.of.work())
            yield running
            task.cancel()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def test_what_is_taken_is_folded_and_told(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        await running.take("edge-1", exported({WEB: 5}, 1))
        await running.take("edge-1", exported({WEB: 7}, 2))
        assert running.of.totals.sums() == {V1: 7}
        assert [each.of(V1.deployment) for each in running.of.flushes.since(0)] == [{V1: 2}]


async def test_only_the_newest_export_of_a_proxy_waits(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        for count in (1, 2):
            running.of.take("edge-1", exported({WEB: count}, count))
        await running.take("edge-1", exported({WEB: 3}, 3))
        assert (running.of.totals.sums()[V1], running.of.taken) == (3, 1)


async def test_who_is_known_by_no_stream_may_say_who_it_is(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        running.of.take("", exported({WEB: 9}, 1))
        await running.take("", exported({WEB: 5}, 1, node="edge-2"))
        [process] = running.of.totals
        assert (process.node, running.of.lost["unknown"]) == ("edge-2", 1)


async def test_who_was_named_when_it_was_started_is_not_counted_twice(tmp_path: Path) -> None:
    """After a restart it may tell of its requests before its stream has said who it is."""
    async with working(tmp_path) as running:
        await running.take("edge-3", exported({WEB: 5}, 1, node="same"))
        running.of.keep()
    async with working(tmp_path) as running:
        running.of.take("", exported({WEB: 7}, 2, node="same"))
        await running.take("edge-3", exported({WEB: 8}, 3, node="same"))
        assert (running.of.totals.sums(), running.of.lost[module.EARLY]) == ({V1: 8}, 1)
        running.of.keep()
    async with working(tmp_path) as running:
        await running.take("", exported({WEB: 9}, 4, node="edge-3"))
        assert running.of.totals.sums() == {V1: 9}, "under the name that it says it is known"


async def test_the_last_hour_is_known_to_a_server_that_was_killed(tmp_path: Path) -> None:
    """What is not written down when a minute is over dies with each of these."""
    for minute in range(3):
        async with working(tmp_path, NOON + minute * MINUTE) as running:
            for second in (0, 1, 2):
                await running.take("edge-1", exported({WEB: 100 * minute + 10 * second + 1}, 60 * minute + second + 1))
            running.of.keep()
            running.time += MINUTE
            await running.of.settle()
            await running.take("edge-1", exported({WEB: 100 * minute + 50}, 60 * minute + 4))
            await running.of.settle()
    async with working(tmp_path, NOON + 3 * MINUTE) as running:
        assert running.of.minutes.past([V1.deployment], "default", ERRORS) == [Counts(20, 0)] * 3


async def test_a_minute_in_which_the_server_is_started_again_goes_on(tmp_path: Path) -> None:
    for second in (1, 11):
        async with working(tmp_path) as running:
            saving = asyncio.ensure_future(running.of.save())  # noqa: TID251 - ended below
            await asyncio.sleep(0)
            for more in range(2):
                await running.take("edge-1", exported({WEB: second + 5 * more}, second + more))
            saving.cancel()
            with suppress(asyncio.CancelledError):
                await saving
    async with working(tmp_path) as running:
        assert running.of.minutes.past([V1.deployment], "default", ERRORS) == [], "it is not over"
        running.time += MINUTE
        await running.of.settle()
        assert running.of.minutes.past([V1.deployment], "default", ERRORS) == [Counts(10, 0)]


async def test_a_minute_that_cannot_be_written_when_it_is_over_is_written_later(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        await running.take("edge-1", exported({WEB: 5}, 1))
        await running.take("edge-1", exported({WEB: 12}, 2))
        running.of.keep()
        running.time += MINUTE
        with full(running.store), pytest.raises(StateUnwritable):
            await running.of.settle()
        await running.of.settle()
    async with working(tmp_path, NOON + MINUTE) as running:
        await running.of.settle()
        assert running.of.minutes.past([V1.deployment], "default", ERRORS) == [Counts(7, 0)]


async def test_what_is_wrong_with_one_export_does_not_keep_the_next(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        running.of.take("edge-1", b"\x0a\xffno export")
        running.of.take("edge-3", exported({}, gauges={WEB: 1}))
        await running.take("edge-2", exported({WEB: 5}, 1, latency={RULE.format("v1", "time"): [1]}, edges=[]))
        assert (running.of.lost["malformed"], running.of.lost["other edges"]) == (2, 1)
        assert running.of.totals.sums() == {V1: 5}


async def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = exported({WEB: 5}, 1)
    monkeypatch.setattr(module, "MOST_WAITING", len(encoded))
    async with working(tmp_path) as running:
        assert running.of.take("edge-1", encoded)
        assert running.of.take("edge-1", encoded), "in place of the one before"
        assert not running.of.take("edge-2", encoded)
        monkeypatch.setattr(module, "MOST_BYTES", len(encoded) - 1)
        assert not running.of.take("edge-1", encoded)
        assert (running.of.lost["no room"], running.of.lost["too large"]) == (1, 1)


async def test_all_of_it_is_written_before_the_end(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        saving = asyncio.ensure_future(running.of.save())  # noqa: TID251 - ended below
        await asyncio.sleep(0)
        await running.take("edge-1", exported({WEB: 5}, 1))
        saving.cancel()
        with suppress(asyncio.CancelledError):
            await saving
    with Store.open(tmp_path) as store:
        assert store.counted.load().totals(0).sums() == {V1: 5}


async def test_who_says_nothing_for_an_hour_is_let_go(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        await running.take("edge-1", exported({WEB: 5}, 1))
        running.now += module.SILENT - 1
        await running.take("edge-2", exported({WEB: 6}, 1, start=START + 9))
        running.of.keep()
        running.of.let_go()
        assert len(list(running.of.totals)) == 2
        running.now += 2
        running.of.let_go()
        assert [each.node for each in running.of.totals] == ["edge-2"]
        assert running.of.totals.sums() == {V1: 11}
    with Store.open(tmp_path) as store:
        found = store.counted.load()
    assert [each.node for each in found.processes] == ["edge-2"]
    assert found.retired == {V1: 5}


async def test_what_cannot_be_written_stays_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is not judged before it is written down."""
    monkeypatch.setattr(module, "SAVED", 0)
    async with working(tmp_path) as running, asyncio.TaskGroup() as tasks:
        failed = asyncio.Event()
        running.store.failed = lambda _why: failed.set()
        with full(running.store):
            saving = tasks.create_task(running.of.save())
            await running.take("edge-1", exported({WEB: 5}, 1))
            await running.take("edge-1", exported({WEB: 7}, 2))
            for _ in range(2):
                failed.clear()
                await asyncio.wait_for(failed.wait(), 30)
            assert (running.of.settled, running.of.flushes.newest) == (0, 2)
        await until(lambda: running.of.settled == 2)
        assert not running.of.totals.unsaved
        saving.cancel()
    with Store.open(tmp_path) as store:
        assert store.counted.load().totals(0).sums() == {V1: 7}


async def test_a_server_that_ends_while_nothing_can_be_written_ends(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        with full(running.store):
            saving = asyncio.ensure_future(running.of.save())  # noqa: TID251 - ended below
            await asyncio.sleep(0)
            await running.take("edge-1", exported({WEB: 5}, 1))
            saving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await saving


async def test_who_cannot_be_let_go_now_is_let_go_later(tmp_path: Path) -> None:
    async with working(tmp_path) as running:
        await running.take("edge-1", exported({WEB: 5}, 1))
        running.of.keep()
        running.now += module.SILENT + 1
        with full(running.store), pytest.raises(StateUnwritable):
            running.of.let_go()
        running.of.let_go()
    with Store.open(tmp_path) as store:
        found = store.counted.load()
    assert (found.processes, found.retired) == ([], {V1: 5})
