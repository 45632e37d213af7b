"""The minutes of the last hour, in SQLite: a row for each deployment and rule that had requests in one.

They are written once, when a minute is over, and when the server ends. One that is killed has lost a minute at most.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager

from xds_server.domain.names import Ref
from xds_server.telemetry.minutes import SIGNED_64, Minute, Told, Where

TABLE = """
CREATE TABLE minutes (
    minute INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    deployment TEXT NOT NULL,
    rule TEXT NOT NULL,
    requests INTEGER NOT NULL,
    bad INTEGER NOT NULL,
    latency BLOB NOT NULL,
    PRIMARY KEY (minute, namespace, deployment, rule)
) WITHOUT ROWID
"""


class KeptMinutes:
    """The table of one database. `explained` wraps what is done with it."""

    def __init__(self, connection: sqlite3.Connection, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self._connection = connection
        self._explained = explained

    def load(self) -> dict[int, Minute]:
        """Everything that was kept."""
        with self._explained():
            rows = self._connection.execute("SELECT * FROM minutes").fetchall()
        found: dict[int, Minute] = {}
        for minute, namespace, deployment, rule, requests, bad, latency in rows:
            told = Told(requests, bad, array(SIGNED_64, latency))
            found.setdefault(minute, {})[Where(Ref(namespace, deployment), rule)] = told
        return found

    def keep(self, minute: int, told: Iterable[tuple[Where, Told]]) -> None:
        """A part of a minute, whole or not at all. What was kept of the same deployment and rule in it is replaced."""
        with self._explained(), self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (minute, *where.deployment, where.rule, each.requests, each.bad, each.latency.tobytes())
                    for where, each in told
                ],
            )

    def forget(self, minutes: Iterable[int]) -> None:
        """Whole minutes."""
        with self._explained(), self._connection as connection:
            connection.executemany("DELETE FROM minutes WHERE minute = ?", [(each,) for each in minutes])
