import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain
from pathlib import Path

import pytest

from tests.state.full import full
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.records.saved import Row
from xds_server.state.store import DATABASE, STEPS, VERSION, StateUnusable, Store

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def row(name: str, document: str = "{}", accepted: datetime = NOON) -> Row:
    return Row("Release", "default", name, document, accepted)


def test_rows_are_there_after_a_restart_in_a_stable_order(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    with Store.open(folder) as store:
        assert store.load() == []
        store.save([row("b"), row("a", '{"x": "ü\\u0000"}')], [])

    with Store.open(folder) as store:
        assert store.load() == [row("a", '{"x": "ü\\u0000"}'), row("b")]


def test_a_row_replaces_the_one_before_and_a_delete_forgets_it(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row("a"), row("b"), row("c")], [])
        store.save([row("a", "[1]")], [("Release", "default", "b"), ("Release", "prod", "c"), ("App", "default", "c")])

        assert store.load() == [row("a", "[1]"), row("c")]


def test_a_row_that_is_deleted_and_saved_at_once_is_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row("a")], [("Release", "default", "a")])

        assert store.load() == [row("a")]


def test_times_come_back_in_utc(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row("a", accepted=NOON.astimezone(timezone(timedelta(hours=5, minutes=30))))], [])

        [loaded] = store.load()
        assert (loaded.first_accepted, loaded.first_accepted.tzinfo) == (NOON, UTC)


def test_a_save_that_fails_half_way_saves_nothing(tmp_path: Path) -> None:
    def failing() -> Iterator[Row]:
        yield row("b")
        raise RuntimeError("half way")

    with Store.open(tmp_path) as store:
        store.save([row("a")], [])
        with pytest.raises(RuntimeError, match="half way"):
            store.save(failing(), [("Release", "default", "a")])

        assert store.load() == [row("a")]


def test_a_second_server_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    with Store.open(tmp_path), pytest.raises(StateUnusable, match=r"another xds-server uses .*--state"):
        Store.open(tmp_path)

    with Store.open(tmp_path) as store:
        assert store.load() == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StateUnusable, match=r"file/state cannot be written: Not a directory.*--state"):
        Store.open(tmp_path / "file" / "state")


def test_a_database_of_a_newer_server_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store.open(tmp_path).close()
    change(tmp_path, f"PRAGMA user_version = {VERSION + 1}")
    before = (tmp_path / DATABASE).read_bytes()

    with pytest.raises(StateUnusable, match="newer xds-server"):
        Store.open(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == before


@pytest.mark.parametrize("version", range(1, VERSION))
def test_a_database_of_an_older_server_is_opened_with_all_it_has(tmp_path: Path, version: int) -> None:
    for statement in chain(*STEPS[:version]):
        change(tmp_path, statement)
    change(tmp_path, "INSERT INTO records VALUES ('Release', 'default', 'a', '{}', '2026-03-01T12:00:00.123456+00:00')")
    change(tmp_path, f"PRAGMA user_version = {version}")

    for _ in range(2):
        with Store.open(tmp_path) as store:
            assert store.load() == [row("a")]
            assert (store.begun(), store.events(Ref("default", "a")), store.counted.minutes.load()) == (([], 0), [], {})
            assert store.counted.load().totals(0).sums() == {}
            assert store.unsent.after("ops", 0, 9) == []


def test_what_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"not a database" * 1000)

    with pytest.raises(StateUnusable, match=r"damaged: file is not a database.*move state\.db"):
        Store.open(tmp_path)
    assert (tmp_path / DATABASE).read_bytes() == b"not a database" * 1000


def test_a_damaged_page_is_found_when_it_is_read(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row(f"r{number}", "x" * 500) for number in range(100)], [])
    with (tmp_path / DATABASE).open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)

    with Store.open(tmp_path) as store, pytest.raises(StateUnusable, match="damaged"):
        store.load()


def test_a_database_without_room_says_so_and_keeps_what_it_had(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row("a")], [])
        store._connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StateUnwritable, match=r"full.*space"):
            store.save([row("b", "x" * 100_000)], [])

        assert store.load() == [row("a")]


def test_a_refused_folder_is_not_held(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"not a database" * 1000)
    with pytest.raises(StateUnusable, match="damaged"):
        Store.open(tmp_path)
    (tmp_path / DATABASE).unlink()

    with Store.open(tmp_path) as store:
        assert store.load() == []


def test_what_was_saved_outlives_kill_9(tmp_path: Path) -> None:
    program = """
        import sys
        from datetime import UTC, datetime
        from pathlib import Path
        from xds_server.records.saved import Row
        from xds_server.state.store import Store

        store = Store.open(Path(sys.argv[1]))
        noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
        number = 0
        while True:
            names = [f"{half}{number}" for half in "ab"]
            store.save([Row("Release", "default", name, "x" * 3000, noon) for name in names], [])
            print(number, flush=True)
            number += 1
    """
    command = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if int(line) == 100:
                child.send_signal(signal.SIGKILL)
                break
        promised = max([100, *map(int, child.stdout.read().split())])

    with Store.open(tmp_path) as store:
        kept = {loaded.name for loaded in store.load()}
    assert kept >= {f"{half}{number}" for half in "ab" for number in range(promised + 1)}
    assert {name[1:] for name in kept if name[0] == "a"} == {name[1:] for name in kept if name[0] == "b"}


def change(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / DATABASE)
    connection.execute(statement)
    connection.commit()
    connection.close()


def test_what_is_late_goes_along_with_what_is_written_next(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        store.save([row("a"), row("b"), row("c")], [])
        failures: list[str] = []
        store.failed = failures.append
        with full(store):
            store.save_late([row("a", "1"), row("d")], [row("b")[:3]])
            store.save_late([row("a", "2")], [row("d")[:3]])
            with pytest.raises(StateUnwritable):
                store.save([row("c", "3")], [])
            with pytest.raises(StateUnwritable):
                store.catch_up()
        assert failures == ["attempt to write a readonly database"] * 4
        assert store.load() == [row("a"), row("b"), row("c")]

        store.save([row("e")], [])
        assert store.load() == [row("a", "2"), row("c"), row("e")]


def test_where_nothing_is_late_it_is_tried_whether_anything_can_be_written(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with full(store), pytest.raises(StateUnwritable):
            store.catch_up()
        store.catch_up()


def test_what_is_written_over_what_is_late_stays(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with full(store):
            store.save_late([row("a", "late")], [row("b")[:3]])
        store.save([row("a", "newer"), row("b")], [])
        store.catch_up()
        assert store.load() == [row("a", "newer"), row("b")]
