"""The files of one folder for as long as the folder is there: all of them once, then what changes."""

import asyncio
from pathlib import Path
from typing import Self

from asyncinotify import Inotify
from xxhash import xxh3_128_digest

from xds_server.domain.errors import SourceUnavailable
from xds_server.records.reading import Batch, Readable, Unreadable
from xds_server.sources.contents import Content, Reading, read_file
from xds_server.sources.settling import Patience, Settling, Sign
from xds_server.sources.watching import Watches

UNFINISHED = Unreadable("is being written: it is read when whoever writes it has closed it")
TEXT, WHY = range(2)
"""Seeds: what is wrong with a file is never what one says."""
SLICE = 100
"""So many files are read before other tasks have their turn."""


class Tree:
    """A folder under watch. Raises `SourceUnavailable` when its path leads to it no longer; a context manager.

    It keeps a digest of each file, not its text: that is how it knows what is news.
    """

    def __init__(self, folder: Path, patience: Patience) -> None:
        self._folder = folder
        self._settling = Settling(patience)
        self._known: dict[str, bytes] = {}
        self._inotify = Inotify(sync_timeout=0)
        try:
            status = folder.stat()
            self._identity = (status.st_dev, status.st_ino)
            self._watches = Watches(folder, self._inotify)
        except BaseException:
            self._inotify.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._inotify.close()

    async def everything(self) -> Batch:
        """Every file there is. One that is being written is `Unreadable`, and news when it is closed."""
        found = self._list_anew(frozenset({""}))
        files = await self._settled()
        files |= {
            path: UNFINISHED for path in sorted(found) if path in self._settling and self._is_news(path, UNFINISHED)
        }
        return Batch(files, complete=True)

    async def change(self) -> Batch:
        """Wait for files that say something else than before."""
        files: dict[str, Content] = {}
        while not files:
            await self._stirred()
            self._notice()
            files = await self._settled()
        self._confirm()
        return Batch(files)

    async def _stirred(self) -> None:
        # The loop only tells us that there is something to read: an event that is read belongs to nobody
        # while a cancellation is on its way, and would be lost.
        stirred = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(self._inotify.fd, stirred.set)
        try:
            async with asyncio.timeout_at(self._settling.due):
                await stirred.wait()
        except TimeoutError:
            pass  # a file is due
        finally:
            loop.remove_reader(self._inotify.fd)

    def _notice(self) -> None:
        signs = self._watches.drain()
        if signs.lost:
            raise SourceUnavailable(f"{self._folder} is gone, or is another folder now")
        now = asyncio.get_running_loop().time()
        for path, sign in signs.files:
            self._settling.note(path, sign, now)
        if signs.folders:
            self._list_anew(signs.folders)

    def _list_anew(self, folders: frozenset[str]) -> set[str]:
        """Everything found in these folders is to be read, and so is what was known to be there and is not found."""
        found = {path for folder in folders for path in self._watches.cover(folder)}
        now = asyncio.get_running_loop().time()
        for path in sorted(found):
            self._settling.note(path, Sign.ARRIVED, now)
        for path in self._known:
            if path not in found and not folders.isdisjoint(_upwards(path)):
                self._settling.note(path, Sign.LEFT, now)
        return found

    async def _settled(self) -> dict[str, Content]:
        """The news in the files that may be read now."""
        said: dict[str, Content] = {}
        for number, (path, sign) in enumerate(self._settling.take(asyncio.get_running_loop().time()).items(), 1):
            reading = self._read(path)
            if later := self._later(path, sign, reading):
                self._settling.note(path, later, asyncio.get_running_loop().time())
            else:
                said[path] = reading.content
            if number % SLICE == 0:
                await asyncio.sleep(0)
        # What changed while it was read may be torn: it waits anew.
        self._notice()
        return {
            path: content
            for path, content in said.items()
            if path not in self._settling and self._is_news(path, content)
        }

    def _read(self, path: str) -> Reading:
        self._watches.follow_link(path)
        return read_file(self._watches.place(path))

    def _later(self, path: str, sign: Sign, reading: Reading) -> Sign | None:
        """Why a file is not to be believed yet."""
        if reading.content is None and path in self._known and sign is not Sign.LEFT:
            return Sign.LEFT
        if not reading.finished and sign is not Sign.WRITING:
            return Sign.WRITING
        return None

    def _is_news(self, path: str, content: Content) -> bool:
        before = self._known.pop(path, None)
        digest = _digest(content)
        if digest is not None:
            self._known[path] = digest
        return digest != before

    def _confirm(self) -> None:
        """The files are those of the folder: it may go, and be created anew, while a process in it keeps it alive."""
        status = self._folder.stat()
        if (status.st_dev, status.st_ino) != self._identity:
            raise SourceUnavailable(f"{self._folder} is another folder now")


def _digest(content: Content) -> bytes | None:
    match content:
        case Readable(text):
            return xxh3_128_digest(text.encode(), TEXT)
        case Unreadable(why):
            return xxh3_128_digest(why.encode(), WHY)
        case None:
            return None


def _upwards(path: str) -> list[str]:
    """The path and every folder above it: `a/b/c` is in `a/b`, `a` and the watched folder itself."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(len(parts) + 1)]
