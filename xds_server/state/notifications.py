"""Notifications that are not delivered yet, as rows of the state directory.

They are written in the transaction of the event that they tell of: whatever ends the server, there is neither a change
that nobody is told of, nor a notification of one that did not happen.
"""

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from typing import NamedTuple

from xds_server.difference.history import Event
from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.notifications.outbox import Waiting
from xds_server.notifications.webhook import Notification

TABLE = """
CREATE TABLE notifications (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    webhook TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    id TEXT NOT NULL,
    body TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0
)
"""
INDEX = "CREATE INDEX notifications_by_webhook ON notifications (webhook, number)"
KEEP = "INSERT INTO notifications (webhook, namespace, name, at, id, body) VALUES (?, ?, ?, ?, ?, ?)"
FIND = """
SELECT number, namespace, name, at, tries FROM notifications WHERE webhook = ? AND number > ? ORDER BY number LIMIT ?
"""

Notify = Callable[[Iterable[tuple[Event, str]]], Iterable[Notification]]
"""What is to be told of events, each with the content that it is about; empty: what is in force by it."""


def nobody(_told: Iterable[tuple[Event, str]]) -> Iterable[Notification]:
    """There is no webhook."""
    return ()


class Message(NamedTuple):
    """What is sent, and under which id."""

    id: str
    body: str


class Unsent:
    """The table of one database. `explained` wraps what is done with it.

    `notify` is asked what is to be told of each event. It is asked within the event's transaction, so it must not ask
    the state directory anything.
    """

    def __init__(self, connection: sqlite3.Connection, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._explained = explained
        self.notify: Notify = nobody
        self._over: set[int] = set()

    def tell(self, told: Iterable[tuple[Event, str]]) -> None:
        """Keep what is to be told of these, in the transaction that is under way."""
        self._connection.executemany(KEEP, map(_row, self.notify(told)))

    def after(self, webhook: str, number: int, most: int) -> list[Waiting]:
        """So many of those with a larger number, in order."""
        with self._explained():
            rows = self._connection.execute(FIND, (webhook, number, most)).fetchall()
        return [
            Waiting(number, Ref(namespace, name), datetime.fromisoformat(at), tries)
            for number, namespace, name, at, tries in rows
        ]

    def message(self, number: int) -> Message:
        with self._explained():
            return Message(
                *self._connection.execute("SELECT id, body FROM notifications WHERE number = ?", (number,)).fetchone()
            )

    def tried(self, number: int, tries: int) -> None:
        """If that cannot be written now, the next server tries so often again."""
        with suppress(StateUnwritable), self._explained(), self._connection:
            self._connection.execute("UPDATE notifications SET tries = ? WHERE number = ?", (tries, number))

    def forget(self, numbers: Iterable[int]) -> None:
        """They are delivered, or will not be. If that cannot be written now, it goes along with the next."""
        self._over.update(numbers)
        with suppress(StateUnwritable):
            self.catch_up()

    def catch_up(self) -> None:
        """Raises `StateUnwritable`."""
        if self._over:
            with self._explained(), self._connection:
                found = [(each,) for each in self._over]
                self._connection.executemany("DELETE FROM notifications WHERE number = ?", found)
            self._over.clear()

    def forget_others(self, webhooks: Iterable[str]) -> int:
        """Those of webhooks that there are no more. How many there were."""
        kept = list(webhooks)
        marks = ", ".join("?" * len(kept))
        with self._explained(), self._connection:
            return self._connection.execute(
                f"DELETE FROM notifications WHERE webhook NOT IN ({marks})",  # noqa: S608 - question marks
                kept,
            ).rowcount


def _row(notification: Notification) -> tuple[str, ...]:
    event = notification.event
    at = event.at.astimezone(UTC).isoformat()
    return (notification.webhook, *event.release, at, notification.id, notification.body)
