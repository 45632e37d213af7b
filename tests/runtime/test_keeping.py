"""What is said while the state directory cannot be written, and that it goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typing_extensions import override

from tests.records.folder import SHOP, release
from tests.runtime.test_control import Server, hosts
from tests.state.full import full
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.problems import Reason
from xds_server.runtime.keeping import Keeping
from xds_server.state.store import Store


@asynccontextmanager
async def working(server: Server, store: Store) -> AsyncIterator[Keeping]:
    keeping = Keeping(store, server.control, pause=0, settled=0)
    store.failed = keeping.hear
    server.control.reporting.report_of(keeping)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(keeping.work())
        yield keeping
        task.cancel()


def said(server: Server) -> list[str]:
    return [each.what for each in server.control.problems if each.reason is Reason.STATE_UNWRITABLE]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0)


async def test_it_is_said_for_as_long_as_it_lasts_and_what_waited_comes_into_force(store: Store) -> None:
    server = Server(store)
    server.hears(SHOP, complete=True)
    async with working(server, store):
        with full(store):
            with pytest.raises(StateUnwritable):
                store.catch_up()
            why = "it cannot be written: attempt to write a readonly database. What is in force serves, and no release "
            assert said(server) == [f"{why}moves"]
            assert server.metric("xds_server_problems", severity="error", reason="StateUnwritable", record="") == 1
            server.hears({"shop.yaml": release("shop", "new.test")})
            assert said(server) == [f"{why}moves. Not in force for that: what shop.yaml says"]
            await asyncio.sleep(0.01)
            assert said(server)
        await until(lambda: not said(server))
    assert hosts(server.snapshot()) == ["new.test"]


class Narrow(Store):
    """A disk with room for little: not for what is done to a release."""

    is_narrow = False
    tries = 0

    @override
    def _add(self, history: object) -> None:
        if history and self.is_narrow:
            self.tries += 1
            self._connection.execute("PRAGMA query_only = ON")
            try:
                self._connection.execute("DELETE FROM records")
            finally:
                self._connection.execute("PRAGMA query_only = OFF")
        super()._add(history)  # type: ignore[arg-type]


async def test_it_is_not_over_while_what_waits_cannot_be_written(tmp_path: Path) -> None:
    with Narrow.open(tmp_path) as store:
        server = Server(store)
        server.hears(SHOP, complete=True)
        async with working(server, store):
            store.is_narrow = True
            server.hears({"shop.yaml": release("shop", "new.test")})
            await until(lambda: store.tries >= 3)
            assert said(server)
            store.is_narrow = False
            await until(lambda: not said(server))
        assert hosts(server.snapshot()) == ["new.test"]


async def test_it_is_not_over_while_others_try_in_vain(store: Store) -> None:
    """Telemetry, for instance, writes by itself."""
    server = Server(store)
    server.hears(SHOP, complete=True)
    async with working(server, store) as keeping:
        keeping.hear("full")
        heard = list[int]()
        server.control.reporting.follow(lambda _before, _after: heard.append(len(said(server))))
        for _ in range(20):
            await asyncio.sleep(0)
            keeping.hear("full")
        assert heard == [1]
        await until(lambda: not said(server))
