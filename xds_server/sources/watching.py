"""A folder under inotify: which of its files showed a sign, which subfolders must be listed anew.

Watched are the folder with all its subfolders, the folder in which the target of each linked file is, and every part
of the path that leads to the folder: if one of those goes or moves, the path means another folder, or none.
Hidden subfolders and links to folders are not entered.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from asyncinotify import Event, Inotify, Mask, Watch

from xds_server.domain.errors import SourceUnavailable
from xds_server.sources.contents import is_read
from xds_server.sources.settling import Sign

SIGNS = (
    (Mask.CLOSE_WRITE | Mask.MOVED_TO, Sign.ARRIVED),
    (Mask.MODIFY | Mask.CREATE, Sign.WRITING),
    (Mask.DELETE | Mask.MOVED_FROM, Sign.LEFT),
    (Mask.ATTRIB, Sign.TOUCHED),
)
APPEARED = Mask.CREATE | Mask.MOVED_TO
LISTING = APPEARED | Mask.DELETE | Mask.MOVED_FROM
CONTENT = LISTING | Mask.MODIFY | Mask.CLOSE_WRITE | Mask.ATTRIB
# Several reasons may watch one folder: MASK_ADD keeps those that were there first.
FOLDER = CONTENT | Mask.ONLYDIR | Mask.MASK_ADD
ANCHOR = Mask.MOVE_SELF | Mask.DELETE_SELF | Mask.DONT_FOLLOW | Mask.MASK_ADD
LOST = Mask.MOVE_SELF | Mask.DELETE_SELF | Mask.UNMOUNT | Mask.IGNORED
PASSING = (FileNotFoundError, NotADirectoryError, PermissionError)


@dataclass(frozen=True, slots=True)
class Signs:
    """What happened since the last time: signs of files in their order, and folders whose listing changed.

    Paths are relative to the watched folder, which is itself the empty path. `lost`: its path means it no longer.
    """

    files: tuple[tuple[str, Sign], ...] = ()
    folders: frozenset[str] = frozenset()
    lost: bool = False


@dataclass(frozen=True, slots=True)
class _Covered:
    watch: Watch
    path: str


class Watches:
    """The inotify watches of one folder. It must exist."""

    def __init__(self, root: Path, inotify: Inotify) -> None:
        self._root = str(root.absolute())
        self._inotify = inotify
        self._folders: dict[int, _Covered] = {}
        self._targets: dict[str, tuple[Watch, str]] = {}
        self._anchors: set[int] = set()
        self._anchor(root)

    def place(self, path: str) -> str:
        """The absolute form of a path that is relative to the watched folder."""
        return f"{self._root}/{path}" if path else self._root

    def drain(self) -> Signs:
        """Everything that is there to be read, without waiting."""
        events = list(self._inotify)
        return Signs(
            files=tuple(sign for event in events for sign in self._file_signs(event)),
            folders=frozenset(folder for event in events for folder in self._relisted(event)),
            lost=any(event.watch and event.watch.wd in self._anchors and event.mask & LOST for event in events),
        )

    def cover(self, top: str) -> set[str]:
        """Watch a folder and all below it, and list what there is to read: files, and folders that cannot be listed.

        A folder is watched before it is listed, so whatever changes later shows a sign.
        """
        found: set[str] = set()
        covered: set[int] = set()
        folders = [top]
        while folders:
            folder = folders.pop()
            try:
                covered.add(self._cover_one(folder))
                with os.scandir(self.place(folder)) as listing:
                    entries = list(listing)
            except PASSING as error:
                if not folder:
                    raise
                if isinstance(error, PermissionError):
                    found.add(folder)
                continue
            inside = {entry.name for entry in entries if entry.is_dir(follow_symlinks=False)}
            folders += [_join(folder, name) for name in inside if not _hidden(name)]
            names = {entry.name for entry in entries} - inside
            found |= {_join(folder, name) for name in names if is_read(name)}
        self._uncover(top, covered)
        return found

    def follow_link(self, path: str) -> None:
        """Notice changes of the file that a link leads to, where the path is a link."""
        before = self._targets.pop(path, None)
        place = self.place(path)
        if _is_symlink(place):
            folder, name = os.path.split(os.path.realpath(place))
            with suppress(OSError):  # the link leads nowhere
                self._targets[path] = (self._watch(folder, FOLDER), name)
        if before and before != self._targets.get(path):
            self._release(before[0])

    def _anchor(self, root: Path) -> None:
        absolute, real = root.absolute(), root.resolve(strict=True)
        for place in {absolute, *absolute.parents, real, *real.parents}:
            with suppress(PermissionError):  # a folder may be entered by somebody who may not read it
                self._anchors.add(self._watch(place, ANCHOR).wd)

    def _watch(self, place: str | Path, mask: Mask) -> Watch:
        try:
            return self._inotify.add_watch(place, mask)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise SourceUnavailable(
                f"{self._root} has more folders than may be watched: raise the sysctl fs.inotify.max_user_watches"
            ) from error

    def _cover_one(self, folder: str) -> int:
        watch = self._watch(self.place(folder), FOLDER)
        self._folders[watch.wd] = _Covered(watch, folder)
        return watch.wd

    def _uncover(self, top: str, still: set[int]) -> None:
        below = f"{top}/" if top else ""
        for number, covered in list(self._folders.items()):
            if number not in still and (covered.path == top or covered.path.startswith(below)):
                del self._folders[number]
                self._release(covered.watch)

    def _release(self, watch: Watch) -> None:
        used = {target.wd for target, _ in self._targets.values()} | self._folders.keys() | self._anchors
        if watch.wd not in used:
            with suppress(OSError):  # it ended with its folder
                self._inotify.rm_watch(watch)

    def _file_signs(self, event: Event) -> Iterator[tuple[str, Sign]]:
        watch, name = event.watch, str(event.name)
        if watch is None or event.name is None or event.mask & Mask.ISDIR:
            return
        covered = self._folders.get(watch.wd)
        if covered and is_read(name):
            path = _join(covered.path, name)
            yield path, _sign(event.mask, self.place(path))
        for link, target in self._targets.items():
            if target == (watch, name):
                yield link, _sign(event.mask, os.path.realpath(self.place(link)))

    def _relisted(self, event: Event) -> Iterator[str]:
        if event.mask & Mask.Q_OVERFLOW:
            yield ""
        covered = self._folders.get(event.watch.wd) if event.watch else None
        if covered is None or event.name is None:
            return
        name = str(event.name)
        path = _join(covered.path, name)
        if event.mask & Mask.ISDIR:
            if not _hidden(name) and (event.mask & LISTING or not self._covers(path)):
                yield path
        elif event.mask & APPEARED and not is_read(name) and _is_symlink(self.place(path)):
            # Kubernetes changes all files of a ConfigMap at once, by renaming one link that all of them go through.
            yield covered.path

    def _covers(self, path: str) -> bool:
        return any(covered.path == path for covered in self._folders.values())


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _sign(mask: Mask, place: str) -> Sign:
    if mask & Mask.CREATE and _is_link(place):
        return Sign.ARRIVED
    return next(sign for part, sign in SIGNS if mask & part)


def _is_link(place: str) -> bool:
    """Links, symbolic and hard ones, appear with their content; any other new file is still to be written."""
    try:
        status = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISLNK(status.st_mode) or status.st_nlink > 1


def _is_symlink(place: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(place).st_mode)
    except OSError:
        return False
