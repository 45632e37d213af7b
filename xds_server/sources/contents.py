"""One file, read whole, with word of whether somebody is still writing it."""

import fcntl
import os
import signal
import stat
from pathlib import Path
from typing import NamedTuple

from xds_server.records.reading import PEM, RECORDS, Readable, Unreadable

SUFFIXES = (*RECORDS, *PEM)
NOT_RECORDS = (".", "#", "~")
"""How the names of hidden files begin, and of those that editors keep beside a file."""

Content = Readable | Unreadable | None
"""What a file says; None: there is no such file."""


class Reading(NamedTuple):
    """What a file says, and whether that is all of it: not `finished` is a file that is open for writing."""

    content: Content
    finished: bool = True


def is_read(name: str) -> bool:
    """A file of records, or a certificate or key that a record may name."""
    return name.endswith(SUFFIXES) and not name.startswith(NOT_RECORDS)


def read_file(path: str | Path) -> Reading:
    try:
        # Without O_NONBLOCK a FIFO would block this process until somebody writes to it.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (FileNotFoundError, NotADirectoryError):
        return Reading(None)
    except OSError as error:
        return Reading(Unreadable(f"cannot be opened: {error.strerror}"))
    try:
        return _reading(descriptor)
    finally:
        os.close(descriptor)


def _reading(descriptor: int) -> Reading:
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        return Reading(None if stat.S_ISDIR(mode) else Unreadable("is not a regular file"))
    try:
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as file:
            content = _content(file.read())
    except OSError as error:
        content = Unreadable(f"cannot be read: {error.strerror}")
    # Asked after reading: whoever wrote meanwhile either has the file open still, or its close is an event by now.
    return Reading(content, finished=not _open_for_writing(descriptor))


def _content(octets: bytes) -> Readable | Unreadable:
    try:
        return Readable(octets.decode())
    except UnicodeDecodeError as error:
        return Unreadable(f"is not UTF-8: byte {error.start + 1} is 0x{octets[error.start]:02x}")


def _open_for_writing(descriptor: int) -> bool:
    """Somebody has the file open for writing now: the kernel grants a read lease only if nobody has.

    False where the kernel does not say: for another user's file, on a file system without leases.
    """
    try:
        # A writer that comes while we hold the lease waits, and we get a signal: SIGIO, which ends a process,
        # unless we choose another. SIGURG is ignored.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return False
    fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False
