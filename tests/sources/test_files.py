"""Real folders, real events. That something says nothing is shown by what is said next: a marker comes after it."""

import asyncio
import itertools
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from xds_server.records.reading import Batch, Readable, Unreadable
from xds_server.sources.files import FileSource
from xds_server.sources.settling import Patience

SLOW = Patience(absence=60, removal=60, writing=60)
"""Longer than a test: what acts does not act because time passed."""
QUICK = Patience(absence=0.02, removal=1, writing=0.05)
BEING_WRITTEN = "is being written: it is read when whoever writes it has closed it"

Said = dict[str, str | None]


class Following:
    """What a source says, in order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.queue: asyncio.Queue[Batch | Unreadable] = asyncio.Queue()
        self._markers = itertools.count()

    async def run(self, patience: Patience) -> None:
        async with aclosing(FileSource(self.folder, patience).follow()) as source:
            async for said in source:
                self.queue.put_nowait(said)

    async def next(self) -> Batch | Unreadable:
        return await asyncio.wait_for(self.queue.get(), 30)

    async def everything(self) -> Said:
        batch = await self.next()
        assert isinstance(batch, Batch)
        assert batch.complete
        return plain(batch.files)

    async def change(self) -> Said:
        batch = await self.next()
        assert isinstance(batch, Batch)
        assert not batch.complete
        return plain(batch.files)

    async def changes(self, count: int) -> Said:
        """What is said until so many files have said something."""
        said: Said = {}
        while len(said) < count:
            said |= await self.change()
        return said

    async def until_marked(self) -> Said:
        """Everything that is said before a new file that is renamed into place now."""
        name = f"marker-{next(self._markers)}.yaml"
        replace(self.folder / name, "")
        said: Said = {}
        while name not in said:
            said |= await self.change()
        del said[name]
        return said


def plain(files: Mapping[str, Readable | Unreadable | None]) -> Said:
    """Texts, None for what is gone, and `!` before why something cannot be read."""
    return {
        path: content.text if isinstance(content, Readable) else f"!{content.why}" if content else None
        for path, content in files.items()
    }


def queue_limit() -> int:
    return int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def watches() -> int:
    """How many inotify watches this process has."""
    return sum(file.read_text().count("inotify wd:") for file in Path("/proc/self/fdinfo").iterdir() if file.exists())


@contextmanager
def unprivileged_folder() -> Iterator[Path]:
    """A folder of this process, which for a moment may not read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with TemporaryDirectory() as folder:
            yield Path(folder)
    finally:
        os.seteuid(user)


def replace(path: Path, text: str) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.rename(path)


@asynccontextmanager
async def following(folder: Path, patience: Patience = SLOW) -> AsyncIterator[Following]:
    follower = Following(folder)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(follower.run(patience))
        yield follower
        task.cancel()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "parent" / "records"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("a1")
    (folder / "b.yaml").write_text("b1")
    return folder


async def test_first_everything(folder: Path) -> None:
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "sub" / "deep" / "c.json").write_text("c1")
    (folder / "sub" / "d.yml").write_text("d1")
    (folder / ".git").mkdir()
    for ignored in (".git/e.yaml", ".hidden.yaml", "a.yaml~", "#a.yaml#", "README.md"):
        (folder / ignored).write_text("ignored")

    async with following(folder) as source:
        assert await source.everything() == {"a.yaml": "a1", "b.yaml": "b1", "sub/d.yml": "d1", "sub/deep/c.json": "c1"}


async def test_an_empty_folder_is_there(tmp_path: Path) -> None:
    async with following(tmp_path) as source:
        assert await source.everything() == {}


async def test_a_file_that_is_renamed_into_place_acts(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        replace(folder / "a.yaml", "a2")
        assert await source.change() == {"a.yaml": "a2"}
        replace(folder / "c.yaml", "c1")
        assert await source.change() == {"c.yaml": "c1"}


@pytest.mark.parametrize("name", ["a.yaml", "new.yaml"])
async def test_a_file_that_is_written_in_two_halves_acts_when_it_is_closed(folder: Path, name: str) -> None:
    async with following(folder) as source:
        await source.everything()
        with (folder / name).open("w") as file:
            assert await source.until_marked() == {}
            file.write("first")
            file.flush()
            assert await source.until_marked() == {}
            (folder / name).chmod(0o600)
            assert await source.until_marked() == {}
            file.write(" second")
        assert await source.change() == {name: "first second"}


async def test_a_file_that_is_never_closed_acts_when_it_is_quiet(folder: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        with (folder / "a.yaml").open("w") as file:
            file.write("open")
            file.flush()
            assert await source.change() == {"a.yaml": "open"}


async def test_a_file_that_is_open_for_writing_at_the_start_is_unreadable_until_it_is_closed(folder: Path) -> None:
    with (folder / "a.yaml").open("w") as file:
        file.write("half")
        file.flush()
        async with following(folder) as source:
            assert await source.everything() == {"a.yaml": f"!{BEING_WRITTEN}", "b.yaml": "b1"}
            file.write(" and whole")
            file.close()
            assert await source.change() == {"a.yaml": "half and whole"}


async def test_a_content_that_did_not_change_is_no_news(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        replace(folder / "a.yaml", "a1")
        (folder / "b.yaml").write_text("b1")
        os.utime(folder / "a.yaml")
        (folder / "b.yaml").chmod(0o600)
        assert await source.until_marked() == {}


async def test_a_file_that_disappears_acts_after_a_moment(folder: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        (folder / "a.yaml").unlink()
        assert await source.change() == {"a.yaml": None}
        (folder / "b.yaml").rename(folder / "b.yaml.disabled")
        assert await source.change() == {"b.yaml": None}


async def test_git_checkout_removes_and_creates(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / "a.yaml").unlink()
        assert await source.until_marked() == {}
        with (folder / "a.yaml").open("x") as file:
            file.write("a2")
        assert await source.change() == {"a.yaml": "a2"}


async def test_vim_renames_away_creates_and_removes_the_backup(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / "4913").write_text("")
        (folder / "4913").unlink()
        (folder / ".a.yaml.swp").write_text("swap")
        (folder / "a.yaml").rename(folder / "a.yaml~")
        assert await source.until_marked() == {}
        with (folder / "a.yaml").open("x") as file:
            file.write("a2")
        (folder / "a.yaml").chmod(0o644)
        (folder / "a.yaml~").unlink()
        assert await source.change() == {"a.yaml": "a2"}
        assert await source.until_marked() == {}


async def test_a_renamed_file_moves(folder: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        (folder / "a.yaml").rename(folder / "z.yaml")
        assert await source.changes(2) == {"z.yaml": "a1", "a.yaml": None}


async def test_an_emptied_folder_is_one_batch(folder: Path) -> None:
    for number in range(300):
        (folder / f"n{number}.yaml").write_text("")
    async with following(folder, Patience(absence=0.2, removal=60)) as source:
        everything = await source.everything()
        for path in everything:
            (folder / path).unlink()
            if path == "n100.yaml":
                await asyncio.sleep(0)  # the source may look in between
        assert await source.change() == dict.fromkeys(everything)


async def test_two_thousand_files_at_once_are_few_batches(folder: Path) -> None:
    expected = {f"n{number}.yaml": f"text {number}" for number in range(2000)}
    async with following(folder) as source:
        await source.everything()
        for name, text in expected.items():
            (folder / name).write_text(text)
        said: Said = {}
        batches = 0
        while len(said) < 2000:
            said |= await source.change()
            batches += 1
        assert said == expected
        assert batches <= 3


async def test_files_in_new_folders_act(folder: Path, tmp_path: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / "new" / "deep").mkdir(parents=True)
        (folder / "new" / "deep" / "c.yaml").write_text("c1")
        assert await source.change() == {"new/deep/c.yaml": "c1"}
        replace(folder / "new" / "deep" / "c.yaml", "c2")
        assert await source.change() == {"new/deep/c.yaml": "c2"}

        prepared = tmp_path / "prepared"
        prepared.mkdir()
        (prepared / "d.yaml").write_text("d1")
        prepared.rename(folder / "moved-in")
        assert await source.change() == {"moved-in/d.yaml": "d1"}


async def test_a_new_hidden_folder_is_not_entered(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / ".git").mkdir()
        (folder / ".git" / "c.yaml").write_text("c1")
        assert await source.until_marked() == {}


async def test_a_half_written_file_in_a_new_folder_waits_for_its_close(folder: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    async with following(folder) as source:
        await source.everything()
        with (prepared / "c.yaml").open("w") as file:
            file.write("half")
            file.flush()
            prepared.rename(folder / "new")
            assert await source.until_marked() == {}
            file.write(" and whole")
        assert await source.change() == {"new/c.yaml": "half and whole"}


async def test_a_renamed_folder_takes_its_files_with_it(folder: Path) -> None:
    (folder / "old" / "deep").mkdir(parents=True)
    (folder / "old" / "deep" / "c.yaml").write_text("c1")
    (folder / "older").mkdir()
    (folder / "older" / "d.yaml").write_text("d1")
    async with following(folder, QUICK) as source:
        await source.everything()
        (folder / "old").rename(folder / "new")
        assert await source.changes(2) == {"new/deep/c.yaml": "c1", "old/deep/c.yaml": None}
        replace(folder / "new" / "deep" / "c.yaml", "c2")
        assert await source.change() == {"new/deep/c.yaml": "c2"}
        replace(folder / "older" / "d.yaml", "d2")
        assert await source.change() == {"older/d.yaml": "d2"}


async def test_a_folder_that_moves_out_is_watched_no_longer(folder: Path, tmp_path: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        before = watches()
        (folder / "sub" / "deep").mkdir(parents=True)
        (folder / "sub" / "deep" / "c.yaml").write_text("c1")
        assert await source.change() == {"sub/deep/c.yaml": "c1"}
        assert watches() == before + 2
        (folder / "sub").rename(tmp_path / "out")
        assert await source.change() == {"sub/deep/c.yaml": None}
        assert watches() == before


async def test_a_removed_folder_may_return(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "c.yaml").write_text("c1")
    async with following(folder, QUICK) as source:
        await source.everything()
        shutil.rmtree(folder / "sub")
        assert await source.change() == {"sub/c.yaml": None}
        (folder / "sub").mkdir()
        (folder / "sub" / "c.yaml").write_text("c1")
        assert await source.change() == {"sub/c.yaml": "c1"}


async def test_a_linked_file_acts_wherever_its_target_is(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere" / "target"
    target.parent.mkdir()
    target.write_text("t1")
    (folder / "link.yaml").symlink_to(target)
    async with following(folder, QUICK) as source:
        assert (await source.everything())["link.yaml"] == "t1"
        target.write_text("t2")
        assert await source.change() == {"link.yaml": "t2"}
        replace(target, "t3")
        assert await source.change() == {"link.yaml": "t3"}
        target.unlink()
        assert await source.change() == {"link.yaml": None}
        target.write_text("t4")
        assert await source.change() == {"link.yaml": "t4"}


async def test_a_link_that_leads_elsewhere_leaves_its_old_target(folder: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "target").write_text(name)
    async with following(folder) as source:
        await source.everything()
        (folder / "link.yaml").symlink_to(tmp_path / "one" / "target")
        assert await source.change() == {"link.yaml": "one"}
        before = watches()
        (folder / ".link").symlink_to(tmp_path / "two" / "target")
        (folder / ".link").rename(folder / "link.yaml")
        assert await source.change() == {"link.yaml": "two"}
        assert watches() == before
        replace(tmp_path / "one" / "target", "one more")
        assert await source.until_marked() == {}
        replace(tmp_path / "two" / "target", "two more")
        assert await source.change() == {"link.yaml": "two more"}


async def test_a_link_that_leads_nowhere_may_do_so_for_a_moment(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / ".link").symlink_to("nowhere")
        (folder / ".link").rename(folder / "a.yaml")
        assert await source.until_marked() == {}
    async with following(folder, QUICK) as source:
        assert (await source.everything()).keys().isdisjoint({"a.yaml"})
        (folder / ".link").symlink_to("nowhere")
        (folder / ".link").rename(folder / "b.yaml")
        assert await source.change() == {"b.yaml": None}


async def test_a_hard_link_appears_with_its_content(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("t1")
    async with following(folder) as source:
        await source.everything()
        (folder / "link.yaml").hardlink_to(tmp_path / "target")
        assert await source.change() == {"link.yaml": "t1"}


async def test_kubernetes_swaps_all_files_of_a_config_map(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    first, second = folder / "..2026_01", folder / "..2026_02"
    for version in (first, second):
        version.mkdir(parents=True)
        (version / "a.yaml").write_text(f"a of {version.name}")
        (version / "same.yaml").write_text("same")
    (second / "c.yaml").write_text("c1")
    (folder / "..data").symlink_to(first.name)
    for name in ("a.yaml", "same.yaml"):
        (folder / name).symlink_to(f"..data/{name}")

    async with following(folder) as source:
        assert await source.everything() == {"a.yaml": "a of ..2026_01", "same.yaml": "same"}
        (folder / "..data_tmp").symlink_to(second.name)
        (folder / "..data_tmp").rename(folder / "..data")
        assert await source.change() == {"a.yaml": "a of ..2026_02"}
        (folder / "c.yaml").symlink_to("..data/c.yaml")
        assert await source.change() == {"c.yaml": "c1"}
        shutil.rmtree(first)
        assert await source.until_marked() == {}


class Mounted:
    """A ConfigMap or Secret under a folder, in the steps in which kubelet brings it up to date."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._versions = itertools.count()

    def publish(self, files: Mapping[str, str]) -> None:
        """A new version beside the old one, one link that moves, links of new keys, then what is no more goes."""
        before = (self.folder / "..data").resolve()
        version = self.folder / f"..2026_{next(self._versions)}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
        (self.folder / "..data_tmp").symlink_to(version.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        for name in files:
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
        for link in self.folder.iterdir():
            if not link.name.startswith("..") and link.name not in files:
                link.unlink()
        if before.name.startswith("..2026"):
            shutil.rmtree(before)


async def test_config_maps_in_subfolders_come_change_and_lose_keys(tmp_path: Path) -> None:
    shop, edge = Mounted(tmp_path / "shop"), Mounted(tmp_path / "edge")
    shop.publish({"v1.yaml": "1", "release.yaml": "to v1"})
    edge.publish({"edge.yaml": "e", "tls.crt": "c1", "tls.key": "k1"})

    async with following(tmp_path, QUICK) as source:
        assert (await source.everything()).keys() == {
            *("shop/v1.yaml", "shop/release.yaml"),
            *("edge/edge.yaml", "edge/tls.crt", "edge/tls.key"),
        }
        edge.publish({"edge.yaml": "e", "tls.crt": "c2", "tls.key": "k2"})
        assert await source.change() == {"edge/tls.crt": "c2", "edge/tls.key": "k2"}
        shop.publish({"v1.yaml": "1", "v2.yaml": "2", "release.yaml": "to v2"})
        assert await source.changes(2) == {"shop/v2.yaml": "2", "shop/release.yaml": "to v2"}
        shop.publish({"v2.yaml": "2", "release.yaml": "to v2"})
        assert await source.change() == {"shop/v1.yaml": None}
        assert await source.until_marked() == {}


async def test_events_that_the_kernel_dropped_are_made_up_for(folder: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        for _ in range(queue_limit() // 2 + 1):  # nobody reads them: the source does not run meanwhile
            os.utime(folder / "a.yaml")
            os.utime(folder / "b.yaml")
        (folder / "new").mkdir()
        (folder / "new" / "c.yaml").write_text("c1")
        replace(folder / "b.yaml", "b2")
        (folder / "a.yaml").unlink()
        assert await source.changes(3) == {"a.yaml": None, "b.yaml": "b2", "new/c.yaml": "c1"}
        replace(folder / "new" / "c.yaml", "c2")
        assert await source.change() == {"new/c.yaml": "c2"}


async def test_a_file_that_cannot_be_read_says_why_until_it_can(folder: Path) -> None:
    async with following(folder) as source:
        await source.everything()
        (folder / "a.yaml").write_bytes(b"\xff")
        assert await source.change() == {"a.yaml": "!is not UTF-8: byte 1 is 0xff"}
        replace(folder / "a.yaml", "a1")
        assert await source.change() == {"a.yaml": "a1"}


async def test_what_this_process_may_not_read_is_not_gone() -> None:
    denied = "!cannot be opened: Permission denied"
    with unprivileged_folder() as folder:
        (folder / "a.yaml").write_text("a1")
        (folder / "sub").mkdir()
        (folder / "sub" / "c.yaml").write_text("c1")
        (folder / "sub").chmod(0)
        async with following(folder, QUICK) as source:
            assert await source.everything() == {"a.yaml": "a1", "sub": denied}
            (folder / "sub").chmod(0o700)
            assert await source.changes(2) == {"sub/c.yaml": "c1", "sub": None}
            (folder / "a.yaml").chmod(0)
            assert await source.change() == {"a.yaml": denied}
            (folder / "a.yaml").chmod(0o600)
            assert await source.change() == {"a.yaml": "a1"}


async def test_what_is_said_is_what_is_there(folder: Path, tmp_path: Path) -> None:
    prepared = tmp_path / "prepared"
    prepared.mkdir()
    for number in range(450):  # more than are read without a pause
        (prepared / f"n{number:03}.yaml").write_text("old")

    async def write(turns: int) -> None:
        for turn in range(turns):
            (folder / "new" / "n000.yaml").write_text(f"turn {turn}")
            await asyncio.sleep(0)

    async with aclosing(FileSource(folder).follow()) as source, asyncio.TaskGroup() as group:
        await anext(source)
        prepared.rename(folder / "new")
        group.create_task(write(30))
        said: Said = {}
        while said.get("new/n000.yaml") != "turn 29":
            batch = await anext(source)
            assert isinstance(batch, Batch)
            said = plain(batch.files)
            for path, text in said.items():
                assert text == (folder / path).read_text()


async def test_a_folder_that_is_not_there_at_the_start_is_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "parent" / "records"
    async with following(folder, QUICK) as source:
        assert await source.next() == Unreadable(f"{folder} cannot be read: No such file or directory")
        await asyncio.sleep(5 * QUICK.absence)  # it looks again and again, and says nothing
        folder.mkdir(parents=True)
        assert await source.everything() == {}
        replace(folder / "a.yaml", "a1")
        assert await source.change() == {"a.yaml": "a1"}


@pytest.mark.parametrize("moved", ["records", "."])
async def test_a_folder_that_vanishes_removes_nothing_and_is_read_anew_when_it_returns(
    folder: Path, moved: str
) -> None:
    path, away = folder.parent / moved, folder.parent.parent / "away"
    async with following(folder, QUICK) as source:
        everything = await source.everything()
        path.rename(away)
        assert await source.next() == Unreadable(f"{folder} cannot be read: No such file or directory")
        away.rename(path)
        assert await source.everything() == everything
        replace(folder / "a.yaml", "a2")
        assert await source.change() == {"a.yaml": "a2"}


async def test_a_folder_that_is_deleted_with_its_files_removes_nothing(folder: Path) -> None:
    async with following(folder, QUICK) as source:
        await source.everything()
        shutil.rmtree(folder)
        assert isinstance(await source.next(), Unreadable)
        folder.mkdir()  # noqa: ASYNC240 - this is what the test is about
        assert await source.everything() == {}


async def test_a_deleted_folder_in_which_a_process_still_is_removes_nothing(folder: Path) -> None:
    inside = os.open(folder, os.O_PATH)
    try:
        async with following(folder, QUICK) as source:
            await source.everything()
            shutil.rmtree(folder)
            assert isinstance(await source.next(), Unreadable)
    finally:
        os.close(inside)


async def test_a_folder_that_is_swapped_for_another_is_read_anew_at_once(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "c.yaml").write_text("c1")
    link = folder.parent / "current"
    link.symlink_to("records")
    async with following(link) as source:
        assert await source.everything() == {"a.yaml": "a1", "b.yaml": "b1"}
        (folder.parent / "next").symlink_to("other")
        (folder.parent / "next").rename(link)
        assert await source.everything() == {"c.yaml": "c1"}
        replace(other / "c.yaml", "c2")
        assert await source.change() == {"c.yaml": "c2"}


async def test_closing_the_source_ends_its_watches(folder: Path) -> None:
    before = open_descriptors()
    async with aclosing(FileSource(folder).follow()) as source:
        await anext(source)
        assert open_descriptors() > before
    async with following(folder) as cancelled:
        await cancelled.everything()

    assert open_descriptors() == before
