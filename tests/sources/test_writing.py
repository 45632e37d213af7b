"""A file of records is written whole, in its place and with its mode, or not at all, and then it is said why."""

import fcntl
import os
import stat
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from xds_server.records.reading import Batch, FileChange, Readable
from xds_server.sources.files import FileSource
from xds_server.sources.writing import NotWritten, Writer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "records"
    (made / "shop").mkdir(parents=True)
    (made / "shop" / "release.yaml").write_text("one\n")
    return made


def names(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())


def test_a_file_is_written_in_its_place(folder: Path) -> None:
    place = folder / "shop" / "release.yaml"
    place.chmod(0o640)
    before = place.stat()

    Writer(folder).write("shop/release.yaml", "one\n", "zwei: ä\r\n")

    assert place.read_bytes() == "zwei: ä\r\n".encode()
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert place.stat().st_ino != before.st_ino
    assert names(folder) == ["shop/release.yaml"]


def test_a_file_that_shall_say_nothing_goes(folder: Path) -> None:
    with pytest.raises(NotWritten, match="was changed meanwhile"):
        Writer(folder).write("shop/release.yaml", "two\n", "")
    assert names(folder) == ["shop/release.yaml"]

    Writer(folder).write("shop/release.yaml", "one\n", "")
    assert names(folder) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a file to another user")
def test_the_owner_of_a_file_stays_who_it_is(folder: Path) -> None:
    os.chown(folder / "shop" / "release.yaml", 12, 34)

    Writer(folder).write("shop/release.yaml", "one\n", "two\n")

    after = (folder / "shop" / "release.yaml").stat()
    assert (after.st_uid, after.st_gid) == (12, 34)


async def test_who_watches_the_folder_hears_of_it_as_of_any_other_change(folder: Path) -> None:
    async with aclosing(FileSource(folder).follow()) as said:
        await anext(said)
        Writer(folder).write("shop/release.yaml", "one\n", "two\n")

        assert await anext(said) == Batch({"shop/release.yaml": Readable("two\n")})


def test_a_file_that_says_something_else_by_now_is_not_written(folder: Path) -> None:
    with pytest.raises(NotWritten, match=r"release\.yaml was changed meanwhile") as refused:
        Writer(folder).write("shop/release.yaml", "none\n", "two\n")

    assert refused.value.conflict
    assert (folder / "shop" / "release.yaml").read_text() == "one\n"
    assert names(folder) == ["shop/release.yaml"]


def test_several_files_are_written_or_none(folder: Path) -> None:
    changes = [FileChange("new.yaml", None, "new\n"), FileChange("shop/release.yaml", "one\n", "two\n")]
    writer = Writer(folder)

    with writer.prepared(changes) as commit:
        assert names(folder)[-1] == "shop/release.yaml"
        assert not (folder / "new.yaml").exists()
        (folder / "new.yaml").write_text("somebody's\n")
        with pytest.raises(NotWritten, match=r"new\.yaml was changed meanwhile"):
            commit()
    assert (folder / "shop" / "release.yaml").read_text() == "one\n"

    (folder / "new.yaml").unlink()
    with writer.prepared(changes) as commit:
        commit()
    assert names(folder) == ["new.yaml", "shop/release.yaml"]
    assert ((folder / "new.yaml").read_text(), (folder / "shop" / "release.yaml").read_text()) == ("new\n", "two\n")


def test_what_is_not_put_in_place_leaves_nothing(folder: Path) -> None:
    with Writer(folder).prepared([FileChange("new.yaml", None, "new\n")]):
        pass

    assert names(folder) == ["shop/release.yaml"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/shop.yaml",
        "../shop.yaml",
        "shop/../../shop.yaml",
        ".hidden.yaml",
        ".git/a.yaml",
        "a.txt",
        "key.pem",
        "a\0.yaml",
    ],
)
def test_only_files_of_records_in_the_folder_are_written(folder: Path, name: str) -> None:
    for act in (Writer(folder).text, lambda name: Writer(folder).write(name, "", "new\n")):
        with pytest.raises(NotWritten, match="is no file of records in the folder") as refused:
            act(name)
        assert not refused.value.conflict


def a_link(folder: Path) -> None:
    (folder / "shop" / "release.yaml").rename(folder / "elsewhere")
    (folder / "shop" / "release.yaml").symlink_to(folder / "elsewhere")


def a_linked_folder(folder: Path) -> None:
    (folder / "shop").rename(folder / "elsewhere")
    (folder / "shop").symlink_to(folder / "elsewhere")


def a_config_map(folder: Path) -> None:
    (folder / "..data").symlink_to("shop")


def a_folder_of_that_name(folder: Path) -> None:
    (folder / "shop" / "release.yaml").unlink()
    (folder / "shop" / "release.yaml").mkdir()


def not_utf8(folder: Path) -> None:
    (folder / "shop" / "release.yaml").write_bytes(b"\xff")


def gone(folder: Path) -> None:
    (folder / "shop" / "release.yaml").unlink()


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "link": (a_link, "symbolic link .*release.yaml: write the file it leads to"),
    "linked-folder": (a_linked_folder, "symbolic link .*shop: write"),
    "config-map": (a_config_map, "is a mount of Kubernetes"),
    "folder": (a_folder_of_that_name, "was changed meanwhile"),
    "not-utf8": (not_utf8, "release.yaml is not UTF-8"),
    "gone": (gone, "release.yaml is gone"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_why_a_file_is_not_written(folder: Path, case: str) -> None:
    prepare, why = REFUSED[case]
    prepare(folder)

    with pytest.raises(NotWritten, match=why):
        Writer(folder).write("shop/release.yaml", "one\n", "two\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written(folder: Path) -> None:
    (folder / "shop").chmod(0o555)
    with pytest.raises(NotWritten, match=r"release\.yaml cannot be written: Permission denied"):
        Writer(folder).write("shop/release.yaml", "one\n", "two\n")


def test_a_file_that_somebody_is_writing(folder: Path) -> None:
    with (
        (folder / "shop" / "release.yaml").open("a"),
        pytest.raises(NotWritten, match="is being written by somebody else") as refused,
    ):
        Writer(folder).write("shop/release.yaml", "one\n", "two\n")
    assert refused.value.conflict


def test_a_folder_to_which_another_server_writes(folder: Path) -> None:
    other = os.open(folder, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    with pytest.raises(NotWritten, match="another server writes") as refused:
        Writer(folder).write("shop/release.yaml", "one\n", "two\n")
    os.close(other)
    assert refused.value.conflict
