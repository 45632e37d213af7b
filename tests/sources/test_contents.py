import os
from pathlib import Path

import pytest

from xds_server.records.reading import Readable, Unreadable
from xds_server.sources.contents import Reading, is_read, read_file


@pytest.mark.parametrize("name", ["a.yaml", "a.yml", "a.json", "a.b.yaml", "ü.yaml", "a.pem", "tls.crt", "tls.key"])
def test_what_is_read(name: str) -> None:
    assert is_read(name)


@pytest.mark.parametrize(
    "name",
    [".a.yaml", ".a.yaml.swp", "a.yaml~", "~a.yaml", "#a.yaml#", ".#a.yaml", "4913", "a.yaml.tmp", "a.txt", "yaml"],
)
def test_what_editors_leave_beside_a_file_holds_none(name: str) -> None:
    assert not is_read(name)


def test_a_file_says_its_whole_text(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Bücher\n" * 100_000, "utf-8")

    assert read_file(tmp_path / "a.yaml") == Reading(Readable("kind: Bücher\n" * 100_000))


def test_a_file_that_is_open_for_writing_is_not_finished(tmp_path: Path) -> None:
    with (tmp_path / "a.yaml").open("w") as writer:
        writer.write("half")
        writer.flush()
        assert read_file(tmp_path / "a.yaml") == Reading(Readable("half"), finished=False)

    with (tmp_path / "a.yaml").open() as _reader:
        assert read_file(tmp_path / "a.yaml") == Reading(Readable("half"), finished=True)


def test_what_is_not_there_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dangling.yaml").symlink_to("nowhere")
    (tmp_path / "folder.yaml").mkdir()

    for path in ("a.yaml", "file/a.yaml", "dangling.yaml", "folder.yaml"):
        assert read_file(tmp_path / path) == Reading(None)


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: ü".encode("latin-1"))
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    os.mkfifo(tmp_path / "fifo.yaml")

    assert read_file(tmp_path / "latin.yaml").content == Unreadable("is not UTF-8: byte 4 is 0xfc")
    assert read_file(tmp_path / "loop.yaml").content == Unreadable(
        "cannot be opened: Too many levels of symbolic links"
    )
    assert read_file(tmp_path / "fifo.yaml").content == Unreadable("is not a regular file")
