import io
import os
import signal
import sys
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from xds_server.records.plain import handed_over, usual
from xds_server.sources import ahead, ahead_worker
from xds_server.sources.ahead import HEAD, Ahead, digest, is_worth_it, record_files

FLOW = "{a: [1, 2]}"
"""Nothing that `usual` reads: only what was read ahead has its documents."""


@pytest.fixture(autouse=True)
def _few_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "FEW", 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(4):
        (tmp_path / f"{number}.yaml").write_text(f"a: {number}\n")
    return tmp_path


def read(folder: Path) -> Ahead:
    """What has been read ahead, once all of it is."""
    found = Ahead(folder)
    assert found._process is not None
    assert found._process.wait(30) == 0
    return found


def test_records_are_looked_for_where_they_are_read(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / ".git").mkdir()
    for name in ("sub/b.json", "sub/c.pem", ".git/d.yaml", ".e.yaml", "f.txt"):
        (folder / name).write_text("")

    assert sorted(record_files(folder)) == ["0.yaml", "1.yaml", "2.yaml", "3.yaml", "sub/b.json"]


def test_a_text_that_was_read_ahead_is_not_taken_apart_again(folder: Path) -> None:
    (folder / "flow.yaml").write_text(FLOW)
    with read(folder) as found:
        [plain] = found.plain(FLOW) or ()

        assert plain.said == {"a": [1, 2]}
        assert found.plain("a: 3\n") == usual("a: 3\n")


def test_a_text_that_nobody_read_is_read_here(folder: Path) -> None:
    with read(folder) as found:
        assert found.plain("b: 1\n") == usual("b: 1\n")
        assert found.plain(FLOW) is None


def test_of_a_process_that_dies_what_it_said_whole_is_taken(folder: Path) -> None:
    with Ahead(folder) as found:
        assert found._process is not None
        found._process.send_signal(signal.SIGKILL)
        found._process.wait()
        os.truncate(found._said, 0)
        os.pwrite(found._said, HEAD.pack(digest(FLOW), 0) + HEAD.pack(digest("a: 1\n"), 99) + b"torn", 0)

        assert found.plain(FLOW) is None
        assert found.plain("a: 1\n") == usual("a: 1\n")


def test_after_it_is_closed_all_is_read_here(folder: Path) -> None:
    (folder / "flow.yaml").write_text(FLOW)
    found = read(folder)
    found.close()

    assert found.plain(FLOW) is None
    assert found.plain("a: 1\n") == usual("a: 1\n")
    found.close()


def test_closing_ends_the_process(folder: Path) -> None:
    with Ahead(folder) as found:
        process = found._process
        assert process is not None

    assert process.returncode is not None


def test_a_process_that_ended_by_itself_is_told_of(folder: Path) -> None:
    with capture_logs() as logged, read(folder) as found:
        assert found._process is not None
    assert logged == [], "it has read all"
    with capture_logs() as logged, Ahead(folder) as found:
        assert found._process is not None
        found._process.kill()
        found._process.wait()

    [line] = logged
    assert (line["log_level"], line["code"]) == ("warning", -signal.SIGKILL)


def test_a_file_that_cannot_be_taken_apart_is_passed_over(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(text: str) -> bytes:
        if text == "a: 2\n":
            raise RecursionError
        return handed_over(text)

    said = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(ahead_worker, "handed_over", failing)
    monkeypatch.setattr(sys, "argv", ["", str(folder)])
    monkeypatch.setattr(sys, "stdout", said)
    ahead_worker.main()

    said.seek(0)
    octets = said.buffer.read()
    assert [digest(f"a: {number}\n") in octets for number in range(4)] == [True, True, False, True]


def test_few_files_are_not_worth_a_process(folder: Path) -> None:
    for name in ("0.yaml", "1.yaml"):
        (folder / name).unlink()
    with Ahead(folder) as found:
        assert found._process is None
        assert found.plain("a: 1\n") == usual("a: 1\n")


@pytest.mark.parametrize("path", ["missing", "0.yaml"])
def test_what_is_no_folder_is_not_read_ahead(folder: Path, path: str) -> None:
    assert not is_worth_it(folder / path)


def test_one_core_is_not_worth_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_worth_it(folder)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0})
    assert not is_worth_it(folder)


def test_a_process_that_cannot_start_is_done_without(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(folder / "missing"))
    with Ahead(folder) as found:
        assert found._process is None
        assert found.plain("a: 1\n") == usual("a: 1\n")


def test_files_that_cannot_be_read_are_passed_over(folder: Path) -> None:
    (folder / "4.yaml").write_bytes(b"\xff")
    os.mkfifo(folder / "5.yaml")
    (folder / "6.yaml").symlink_to("missing")
    (folder / "7.yaml").write_text(FLOW)
    with read(folder) as found:
        assert found.plain(FLOW) is not None
