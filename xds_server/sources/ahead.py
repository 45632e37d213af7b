"""A large folder is read ahead by another process while this one starts: two cores are sooner done than one.

That process reads the texts of the records and hands over their documents as plain values, each by the digest of its
text, in a file that is only in memory. What a text says depends on nothing else, so nothing is believed of the folder
itself: who reads it, and finds the text there, need not take it apart again. What is not there yet, or never comes
because the process has ended, is read here. It begins with the last files, as this one does with the first.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Self

import structlog
from xxhash import xxh3_128_digest

from xds_server.records.plain import Plain, received, usual
from xds_server.records.reading import RECORDS
from xds_server.sources.contents import is_read

log = structlog.get_logger()

WORKER = "xds_server.sources.ahead_worker"
FEW = 2000
"""So many files are read here before another process has done much."""
HEAD = struct.Struct("=16sI")
"""The digest of a text, and the length of what follows: what its documents say."""


def digest(text: str) -> bytes:
    return xxh3_128_digest(text.encode())


def record_files(folder: str | Path) -> Iterator[str]:
    """The paths of files of records in a folder, relative to it, in no order."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = os.path.relpath(place, folder)
        for name in names:
            if name.endswith(RECORDS) and is_read(name):
                yield name if inside == "." else f"{inside}/{name}"


def is_worth_it(folder: Path) -> bool:
    """There are many files, and a core to spare."""
    many = next(islice(record_files(folder), FEW, None), None) is not None
    return many and len(os.sched_getaffinity(0)) > 1


class Ahead:
    """What another process has read of a folder. A context manager; `close` ends that process if it still runs."""

    def __init__(self, folder: Path) -> None:
        self._said = -1
        self._places: dict[bytes, tuple[int, int]] = {}
        self._end = 0
        self._process: subprocess.Popen[bytes] | None = None
        if is_worth_it(folder):
            with suppress(OSError):  # then everything is read here
                self._said = os.memfd_create("xds-server")
                self._process = subprocess.Popen(  # noqa: S603 - this same program
                    (sys.executable, "-P", "-m", WORKER, folder),
                    stdin=subprocess.DEVNULL,
                    stdout=self._said,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """From now on everything is read here."""
        self._places.clear()
        if self._process is not None:
            if self._process.poll():
                log.warning("reading ahead ended early: the rest was read here", code=self._process.returncode)
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._said >= 0:
            os.close(self._said)
            self._said = -1

    def plain(self, text: str) -> tuple[Plain, ...] | None:
        """As `usual` says, and in any other form if the other process has read it."""
        if self._process is None:
            return usual(text)
        which = digest(text)
        if which not in self._places:
            self._hear()
        if which not in self._places:
            return usual(text)
        start, length = self._places[which]
        return received(os.pread(self._said, length, start))

    def _hear(self) -> None:
        """Note what has been said whole."""
        size = os.fstat(self._said).st_size
        while self._end + HEAD.size <= size:
            which, length = HEAD.unpack(os.pread(self._said, HEAD.size, self._end))
            start = self._end + HEAD.size
            if start + length > size:
                return
            self._places[which] = start, length
            self._end = start + length
