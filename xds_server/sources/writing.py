"""Writing a file of records: whole, by an atomic rename, and never over what somebody else wrote meanwhile.

A new text is written beside the file, under a name that nobody reads, and takes its place in one step: who reads the
folder sees the one or the other. Just before that the file is read again, while the folder is locked against other
servers: if it says something else than it did, nothing is written. What remains is the time between that look and the
rename, some microseconds, in which an editor, which asks for no lock, may write: what it wrote is lost then.
"""

import fcntl
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import NamedTuple

from xds_server.domain.errors import XdsServerError
from xds_server.records.reading import RECORDS, FileChange, Unreadable
from xds_server.sources.contents import is_read, read_file

MOUNTED = "..data"
"""The link through which Kubernetes shows the files of a ConfigMap."""


class NotWritten(XdsServerError):
    """Nothing was written, and why. `conflict`: somebody else wrote the file meanwhile; look again, and try again."""

    def __init__(self, why: str, *, conflict: bool = False) -> None:
        super().__init__(why)
        self.conflict = conflict


class _Prepared(NamedTuple):
    """A change whose new text lies beside its file, if it has one."""

    change: FileChange
    beside: Path
    place: Path


class Writer:
    """Writes files of records in a folder, and nowhere else. Mode and owner of a file stay what they are."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def text(self, name: str) -> str | None:
        """What a file says now; None if there is none. Raises `NotWritten`."""
        return _text(name, self._folder.joinpath(*_parts(name)))

    def check(self, name: str) -> None:
        """Raises `NotWritten` if a file is none that is written here."""
        self._place(name)

    def write(self, name: str, before: str, after: str) -> None:
        """One file, if it still says what it said. Raises `NotWritten`."""
        with self.prepared([FileChange(name, before, after)]) as commit:
            commit()

    @contextmanager
    def prepared(self, changes: Sequence[FileChange]) -> Iterator[Callable[[], None]]:
        """All of these files, or none: their new texts lie beside them, on the disk; what is given puts them in place.

        Raises `NotWritten`, and so does what is given. Only a crash between two of its renames, or a disk that fails
        there, leaves some of the files as they were.
        """
        with ExitStack() as stack:
            made = [stack.enter_context(self._beside(each)) for each in changes]
            yield lambda: self._commit(made)

    @contextmanager
    def _beside(self, change: FileChange) -> Iterator[_Prepared]:
        place = self._place(change.name)
        beside = place.with_name(f".{place.name}.{token_hex(4)}")
        if not change.after:
            yield _Prepared(change, beside, place)
            return
        try:
            with _reasons(change.name):
                _write(beside, change.after, None if change.before is None else place.stat())
            yield _Prepared(change, beside, place)
        finally:
            with suppress(OSError):
                beside.unlink()

    def _commit(self, made: Sequence[_Prepared]) -> None:
        with _locked(self._folder):
            for change, _, place in made:
                if _text(change.name, place) != change.before:
                    raise NotWritten(f"{change.name} was changed meanwhile: look again", conflict=True)
            for change, beside, place in made:
                with _reasons(change.name):
                    if change.after:
                        beside.rename(place)
                    else:
                        place.unlink()

    def _place(self, name: str) -> Path:
        """Where a file is. Links are not followed: a rename would put a file in the place of the link."""
        parts = _parts(name)
        if (self._folder / MOUNTED).is_symlink():
            raise NotWritten(f"{self._folder} is a mount of Kubernetes, which nobody else writes: change its ConfigMap")
        place = self._folder
        for part in parts:
            place /= part
            if place.is_symlink():
                raise NotWritten(f"{name} is reached through the symbolic link {place}: write the file it leads to")
        return place


def _parts(name: str) -> Sequence[str]:
    parts = PurePosixPath(name).parts
    visible = name.isprintable() and not any(part.startswith(("/", ".")) for part in parts)
    if not (parts and visible and is_read(parts[-1]) and parts[-1].endswith(RECORDS)):
        raise NotWritten(f"{name!r} is no file of records in the folder: it ends in {', '.join(RECORDS)}")
    return parts


def _text(name: str, place: Path) -> str | None:
    content, finished = read_file(place)
    if isinstance(content, Unreadable):
        raise NotWritten(f"{name} {content.why}")
    if not finished:
        raise NotWritten(f"{name} is being written by somebody else", conflict=True)
    return None if content is None else content.text


def _write(place: Path, text: str, like: os.stat_result | None) -> None:
    """With the mode and the owner of the file that it shall replace."""
    descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        if like is not None:
            now = os.fstat(descriptor)
            if (now.st_uid, now.st_gid) != (like.st_uid, like.st_gid):
                os.fchown(descriptor, like.st_uid, like.st_gid)
            os.fchmod(descriptor, stat.S_IMODE(like.st_mode))
        file.write(text.encode())
        file.flush()
        os.fsync(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with _reasons(str(folder)):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotWritten(f"another server writes to {folder} now: try again", conflict=True) from None
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _reasons(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise NotWritten(f"{name} is gone: read the folder again", conflict=True) from None
    except OSError as error:
        raise NotWritten(f"{name} cannot be written: {error.strerror}") from None
