"""The records in force, in SQLite: last good survives a restart, and a `kill -9`."""

import fcntl
import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from xds_server.domain.errors import XdsServerError
from xds_server.records.saved import Row

DATABASE = "state.db"
LOCK = "lock"
VERSION = 1
"""Of the tables below, kept as the database's `user_version`. A new database has 0."""

TABLES = """
CREATE TABLE records (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    first_accepted TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID
"""


class StateUnusable(XdsServerError):
    """The state directory cannot be used. The message says why and what to do."""


class Store:
    """A state directory, held by this process alone. A context manager; `close` lets it go.

    May be used from any thread, by one at a time.
    """

    def __init__(self, folder: Path, lock: int, connection: sqlite3.Connection) -> None:
        self._folder = folder
        self._lock = lock
        self._connection = connection

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Take possession of a state directory, and create what is not there. Raises `StateUnusable`."""
        lock = _locked(folder)
        try:
            return cls(folder, lock, _connected(folder))
        except BaseException:
            os.close(lock)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)

    def load(self) -> list[Row]:
        """Every record, in the order of kind, namespace and name."""
        with _explained(self._folder):
            found = self._connection.execute(
                "SELECT kind, namespace, name, document, first_accepted FROM records ORDER BY kind, namespace, name"
            ).fetchall()
        return [
            Row(kind, namespace, name, document, datetime.fromisoformat(accepted))
            for kind, namespace, name, document, accepted in found
        ]

    def save(self, upserts: Iterable[Row], deletes: Iterable[tuple[str, str, str]]) -> None:
        """Keep rows and forget (kind, namespace, name), all or nothing; a row of both is kept.

        When it returns, the change survives the death of this process. A power cut may undo the last changes, but
        never leaves a part of one.
        """
        with _explained(self._folder), self._connection:
            self._connection.executemany("DELETE FROM records WHERE kind = ? AND namespace = ? AND name = ?", deletes)
            self._connection.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                ((*row[:4], row.first_accepted.astimezone(UTC).isoformat()) for row in upserts),
            )


def _locked(folder: Path) -> int:
    """The kernel takes the lock from a process that dies, however it dies. SQLite's own would let a second one in."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(
            f"the state directory {folder} cannot be written: {error.strerror}. "
            "Make it writable, or name another one with --state"
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise StateUnusable(
            f"another xds-server uses the state directory {folder}. Stop it, or name another one with --state"
        ) from error
    return lock


def _connected(folder: Path) -> sqlite3.Connection:
    with _explained(folder):
        # It holds private keys. What SQLite writes beside it has the rights of this file.
        os.close(os.open(folder / DATABASE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        connection = sqlite3.connect(folder / DATABASE, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _prepare(connection, folder)
        except BaseException:
            connection.close()
            raise
        return connection


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise StateUnusable(
            f"{folder / DATABASE} was written by a newer xds-server (version {version} of its tables; this one knows "
            f"{VERSION}). Start the newer one, or name another directory with --state"
        )
    if version == 0:
        with connection:
            # Python would commit by itself before the first of these, and leave tables without a version behind.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(TABLES)
            connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """SQLite's errors, with what to do about them."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise StateUnusable(
            f"{folder / DATABASE} cannot be used: {error}. Give the directory space and the right to write, "
            "or name another one with --state"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StateUnusable(
            f"{folder / DATABASE} is damaged: {error}. Restore it from a backup, or move state.db* away: the server "
            "then starts from the records alone, without the last good content of those that are broken"
        ) from error
