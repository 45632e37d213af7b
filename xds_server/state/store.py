"""The records in force and the ledger, in SQLite: last good survives a restart, and a `kill -9`."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Self

from xds_server.difference.history import Event, live_event
from xds_server.domain.errors import StateUnwritable, XdsServerError
from xds_server.domain.names import Ref
from xds_server.ledger.entry import Entry
from xds_server.records.saved import Row
from xds_server.state import events, minutes, notifications
from xds_server.state.counted import TELEMETRY, Counted
from xds_server.state.entries import COLUMNS, FORGET, FORGET_OF_RELEASE, INDEXES, KEEP, TABLE, entry_in, row_of
from xds_server.state.notifications import Unsent
from xds_server.state.unfinished import RowKey

DATABASE = "state.db"
LOCK = "lock"
PER_RELEASE = 50
"""Entries of the ledger that are kept of each release."""
EVENTS = 100
"""Events that are kept of each release."""
ALL_EVENTS = 100_000
ENDED = 10_000
"""Entries of contents that are in force no more: so many are kept in all."""

RECORDS = """
CREATE TABLE records (
    kind TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    document TEXT NOT NULL,
    first_accepted TEXT NOT NULL,
    PRIMARY KEY (kind, namespace, name)
) WITHOUT ROWID
"""
STEPS = (
    (RECORDS,),
    (TABLE, *INDEXES),
    (events.TABLE, events.INDEX),
    TELEMETRY,
    events.KINDS,
    (notifications.TABLE, notifications.INDEX),
    (minutes.TABLE,),
)
"""What each version of the tables has more than the one before."""
VERSION = len(STEPS)
"""Of the tables, kept as the database's `user_version`. A new database has 0."""

PASSING = {
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
}
"""Failures of the machine, which somebody may mend while the server runs."""
PRIMARY = 0xFF
"""Of an extended result code of SQLite, the part that says what failed."""


class StateUnusable(XdsServerError):
    """The state directory cannot be used. The message says why and what to do."""


class Store:
    """A state directory, held by this process alone. A context manager; `close` lets it go.

    May be used from any thread, by one at a time.
    """

    def __init__(self, folder: Path, lock: int, connection: sqlite3.Connection) -> None:
        self.file = folder / DATABASE
        self.failed: Callable[[str], object] = lambda _why: None
        """Called with SQLite's words whenever something cannot be written, or read, that could be later."""
        self._lock = lock
        self._connection = connection
        self._late: dict[RowKey, Row | None] = {}
        self.counted = Counted(connection, self._explained)
        """What became of requests."""
        self.unsent = Unsent(connection, self._explained)
        """What webhooks are to be told, of every event that is saved here and of every content that becomes live."""

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

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()
        os.close(self._lock)

    def load(self) -> list[Row]:
        """Every record, in the order of kind, namespace and name."""
        with self._explained():
            found = self._connection.execute(
                "SELECT kind, namespace, name, document, first_accepted FROM records ORDER BY kind, namespace, name"
            ).fetchall()
        return [
            Row(kind, namespace, name, document, datetime.fromisoformat(accepted))
            for kind, namespace, name, document, accepted in found
        ]

    def save(self, upserts: Iterable[Row], deletes: Iterable[RowKey], history: Sequence[Event] = ()) -> None:
        """Keep rows, forget others, add to the history: all or nothing. A row of both is kept. What is late goes along.

        When it returns, the change survives the death of this process. A power cut may undo the last changes, but
        never leaves a part of one. Raises `StateUnwritable`.
        """
        rows = {**self._late, **_rows(upserts, deletes)}
        with self._explained(), self._connection as connection:
            if not (rows or history):
                connection.execute(f"PRAGMA user_version = {VERSION}")
            gone = [key for key, row in rows.items() if row is None]
            connection.executemany("DELETE FROM records WHERE kind = ? AND namespace = ? AND name = ?", gone)
            connection.executemany(
                "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)",
                ((*row[:4], row.first_accepted.astimezone(UTC).isoformat()) for row in rows.values() if row),
            )
            self._add(history)
        self._late = {}

    def save_late(self, upserts: Iterable[Row], deletes: Iterable[RowKey]) -> None:
        """What may be kept later: if it cannot be now, it goes along with what is written next."""
        self._late |= _rows(upserts, deletes)
        with suppress(StateUnwritable):
            self.save((), ())

    def catch_up(self) -> None:
        """Write what is late; where there is nothing, see whether something could be. Raises `StateUnwritable`."""
        self.save((), ())
        self.unsent.catch_up()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            with _explained(self.file):
                yield
        except StateUnwritable as error:
            self.failed(str(error.__cause__))
            raise

    def _add(self, history: Sequence[Event]) -> None:
        if history:
            of = {each.release for each in history}
            self._connection.executemany(events.KEEP, map(events.event_row, history))
            self._connection.executemany(events.FORGET_OF_RELEASE, [(*each, *each, EVENTS) for each in of])
            self._connection.execute(events.FORGET, (ALL_EVENTS,))
            self.unsent.tell((each, "") for each in history)

    def events(self, release: Ref) -> list[Event]:
        """What was done to a release, newest first."""
        return list(self.past(release))

    def past(self, release: Ref) -> Iterator[Event]:
        """The same, of which nothing is read before somebody asks for it."""
        with self._explained():
            rows = self._connection.execute(events.FIND, (*release, EVENTS)).fetchall()
        yield from map(events.event_in, rows)

    def begun(self) -> tuple[list[Entry], int]:
        """The entries of the ledger that have not ended, and the newest number that any has had."""
        found = self._entries("WHERE ended IS NULL ORDER BY number")
        with self._explained():
            (last,) = self._connection.execute("SELECT max(number) FROM entries").fetchone()
        return found, last or 0

    def history(self, release: Ref) -> list[Entry]:
        """The entries of a release, newest first."""
        return self._entries("WHERE namespace = ? AND name = ? ORDER BY number DESC", *release)

    def entries_of(self, content: str) -> list[Entry]:
        """Those whose content begins so, newest first."""
        return self._entries("WHERE content >= ? AND content < ? ORDER BY number DESC", content, f"{content}g")

    def _entries(self, which: str, *values: object) -> list[Entry]:
        with self._explained():
            rows = self._connection.execute(f"SELECT {COLUMNS} FROM entries {which}", values).fetchall()  # noqa: S608 - ours
        return [entry_in(row) for row in rows]

    def keep(self, entries: Sequence[Entry]) -> None:
        """Keep entries of the ledger, all or nothing, and let go of the oldest that have ended.

        Raises `StateUnwritable`.
        """
        with self._explained(), self._connection as connection:
            live = self._newly_live(entries)
            connection.executemany(KEEP, map(row_of, entries))
            self.unsent.tell((live_event(each), each.content) for each in live)
            releases = {each.release for each in entries if each.end is not None}
            connection.executemany(FORGET_OF_RELEASE, [(*release, *release, PER_RELEASE) for release in releases])
            connection.execute(FORGET, (ENDED,))

    def _newly_live(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those that are kept as live for the first time."""
        return [each for each in entries if each.live is not None and not self._is_kept_as_live(each.number)]

    def _is_kept_as_live(self, number: int) -> bool:
        found = self._connection.execute("SELECT live FROM entries WHERE number = ?", (number,)).fetchone()
        return found is not None and found[0] is not None


def _rows(upserts: Iterable[Row], deletes: Iterable[RowKey]) -> dict[RowKey, Row | None]:
    """By key; None: it is to be forgotten."""
    return {**dict.fromkeys(deletes), **{row[:3]: row for row in upserts}}


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
    with _explained(folder / DATABASE):
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
    if version < VERSION:
        with connection:
            # Python would commit by itself before the first of these, and leave tables without a version behind.
            connection.execute("BEGIN IMMEDIATE")
            for statement in chain(*STEPS[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """SQLite's errors, with what to do about them."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0)  # Python raises some that SQLite did not
        kind = StateUnwritable if code & PRIMARY in PASSING else StateUnusable
        raise kind(
            f"{file} cannot be used: {error}. Give the directory space and the right to write, "
            "or name another one with --state"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StateUnusable(
            f"{file} is damaged: {error}. Restore it from a backup, or move state.db* away: the server "
            "then starts from the records alone, without the last good content of those that are broken"
        ) from error
