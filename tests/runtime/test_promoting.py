"""What people say of a rollout, and what becomes of it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from typing_extensions import override

from tests.records.folder import SHOP
from tests.runtime.rolling import ADA, SHOP_REF, V1, V2, Killed, Mortal, Server, began, opened, shop
from tests.state.full import full
from xds_server.difference.history import Event, Kind
from xds_server.difference.steering import CannotSteer
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.records.progress import Ended
from xds_server.records.reading import FileChange
from xds_server.runtime.writing import Writing
from xds_server.sources.writing import NotWritten as FileNotWritten
from xds_server.sources.writing import Writer


def test_a_pinned_one_begins_again_if_it_is_promoted_unless_its_record_has_changed(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 2)
        server.steering.rollback(SHOP_REF, None, ADA)
        assert (server.gives, server.ended) == ({"v1": 100, "v2": 0}, Ended.ROLLED_BACK)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 90, "v2": 10}
        assert not server.control.admission.pins
        server.steering.rollback(SHOP_REF, None, ADA)
        server.hears(shop(v1=80))
        with pytest.raises(CannotSteer, match="says something else by now"):
            server.asked.promote(SHOP_REF, 1, ADA)
        assert server.control.admission.pins


def test_a_pause_keeps_it_and_a_promotion_does_not_wait(server: Server) -> None:
    server.until(lambda: server.step == 1)
    server.asked.pause(SHOP_REF, ADA)
    with pytest.raises(CannotSteer, match="paused already"):
        server.asked.pause(SHOP_REF, ADA)
    for _ in range(30):
        server.looks()
    assert server.step == 1
    server.asked.promote(SHOP_REF, 1, ADA)
    assert server.step == 2
    server.asked.resume(SHOP_REF, ADA)
    with pytest.raises(CannotSteer, match="not paused"):
        server.asked.resume(SHOP_REF, ADA)
    server.asked.promote(SHOP_REF, 2, ADA)
    server.asked.promote(SHOP_REF, 3, ADA)
    assert server.ended == Ended.FINISHED
    with pytest.raises(CannotSteer, match="has finished"):
        server.asked.promote(SHOP_REF, 3, ADA)


def test_what_is_stopped_stays_where_its_record_says(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    sets(server, Writer(kept(tmp_path / "records", server.files)))
    for _ in range(30):
        server.looks()
    assert (server.ended, server.gives) == (Ended.STOPPED, {"v1": 40, "v2": 60})


class Refusing(Writer):
    """Somebody else writes the file just before it is put in place."""

    @contextmanager
    @override
    def prepared(self, changes: Sequence[FileChange]) -> Iterator[Callable[[], None]]:
        def commit() -> None:
            raise FileNotWritten("shop.yaml was changed meanwhile: look again", conflict=True)

        with super().prepared(changes):
            yield commit


def sets(server: Server, writer: Writer) -> Event:
    writing = Writing(server.control, writer, server.asked)
    return asyncio.run(writing.set(SHOP_REF, {V2: 6_000}, ADA, "", stop_rollout=True))


def kept(folder: Path, files: Mapping[str, str]) -> Path:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def test_what_is_not_set_stops_nothing(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    with pytest.raises(CannotSteer, match="was changed meanwhile"):
        sets(server, Refusing(kept(tmp_path / "records", server.files)))
    server.looks()
    assert (server.ended, server.step, server.gives) == (None, 1, {"v1": 90, "v2": 10})

    # Nor does what was refused hold for who writes the same by hand later: that begins another rollout.
    server.hears(shop(v1=40))
    server.until(lambda: server.step == 3)
    assert Kind.STOPPED not in server.kinds


class TakingBack(Writer):
    """The guard takes it back while the text is brought to the disk."""

    def __init__(self, folder: Path, server: Server) -> None:
        super().__init__(folder)
        self.server = server

    @contextmanager
    @override
    def prepared(self, changes: Sequence[FileChange]) -> Iterator[Callable[[], None]]:
        with super().prepared(changes) as commit:
            self.server.steering.rollback(SHOP_REF, V1, ADA)
            yield commit


def test_what_is_taken_back_meanwhile_is_not_set(server: Server, tmp_path: Path) -> None:
    server.until(lambda: server.step == 1)
    folder = kept(tmp_path / "records", server.files)
    with pytest.raises(CannotSteer, match="is pinned since"):
        sets(server, TakingBack(folder, server))
    assert (folder / "shop.yaml").read_text() == server.files["shop.yaml"]
    assert (server.ended, server.gives) == (Ended.ROLLED_BACK, {"v1": 100, "v2": 0})


@pytest.mark.parametrize("dies_at", [None, *range(2, 8)])
def test_to_stop_it_and_to_set_what_it_gives_is_one_decision(tmp_path: Path, dies_at: int | None) -> None:
    """Whatever write it is killed before or after: between the two there is the file."""
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 1)
    folder = kept(tmp_path / "records", server.files)
    with opened(tmp_path, Mortal) as store:
        assert isinstance(store, Mortal)
        store.arm(0)
        server = Server(store, dict(server.files))
        store.arm(dies_at or 0)
        with pytest.raises(Killed) if dies_at else nullcontext():
            sets(server, Writer(folder))
    with opened(tmp_path) as store:
        again = Server(store, {each.name: each.read_text() for each in folder.iterdir()})
        again.looks()
        if "60" in again.files["shop.yaml"]:
            assert (again.ended, again.gives) == (Ended.STOPPED, {"v1": 40, "v2": 60})
            stopped = again.history[-1]
            assert (stopped.kind, stopped.word) == (Kind.STOPPED, ADA)
            assert stopped.what == "rollout stopped; default: v1 90 %, v2 10 % -> v1 40 %, v2 60 %"
        else:
            assert dies_at in range(2, 6)
            assert (again.ended, again.gives) == (None, {"v1": 90, "v2": 10})
            again.until(lambda: again.ended is not None)
            assert again.ended == Ended.FINISHED


def test_a_release_without_one_says_so(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = Server(store, dict(SHOP))
        server.looks()
        assert server.asked.report(SHOP_REF) is None
        with pytest.raises(CannotSteer, match="has no rollout"):
            server.asked.pause(SHOP_REF, ADA)
        with pytest.raises(CannotSteer, match="no Release nobody is in force"):
            server.asked.report(Ref("default", "nobody"))
        server.asked.stop(SHOP_REF, ((V1, 10_000),), ADA)
        assert not server.kinds


def test_what_is_set_to_what_the_record_says_is_in_force(server: Server) -> None:
    server.until(lambda: server.step == 2)
    server.asked.stop(SHOP_REF, ((V1, 10_000), (V2, 0)), ADA)
    assert (server.ended, server.gives) == (Ended.STOPPED, {"v1": 100, "v2": 0})
    assert server.history[-1].after == ((V1, 10_000),)


def test_one_that_cannot_begin_again_now_can_later(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        server = began(store)
        server.until(lambda: server.step == 2)
        server.steering.rollback(SHOP_REF, None, ADA)
        with full(store), pytest.raises(StateUnwritable):
            server.asked.promote(SHOP_REF, 2, ADA)
        assert (server.gives, server.ended) == ({"v1": 100, "v2": 0}, Ended.ROLLED_BACK)
        server.asked.promote(SHOP_REF, 2, ADA)
        assert server.gives == {"v1": 90, "v2": 10}
