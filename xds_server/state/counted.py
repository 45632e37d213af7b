"""What became of requests, in SQLite: the last totals of every process, and what those counted that are no more.

A process is one row, whose totals are packed as 64-bit integers: how many there are, their numbers, the totals, and the
same of what began anew. So what a flush changes is one small write however many stats it has, and a row never says a
part of a flush. The sums over the fleet are not kept: they are those of the rows and of what was retired, and cannot
differ from them.
"""

import sqlite3
from array import array
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import chain
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.domain.statistics import Series
from xds_server.state.minutes import KeptMinutes
from xds_server.telemetry.names import Names
from xds_server.telemetry.totals import MOST_ENDED, Process, Totals

TELEMETRY = (
    "CREATE TABLE stats (number INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    """
CREATE TABLE processes (
    number INTEGER PRIMARY KEY,
    node TEXT NOT NULL,
    start INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    time INTEGER NOT NULL,
    totals BLOB
)
""",
    """
CREATE TABLE retired (
    namespace TEXT NOT NULL,
    deployment TEXT NOT NULL,
    component TEXT NOT NULL,
    rule TEXT NOT NULL,
    what TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (namespace, deployment, component, rule, what)
) WITHOUT ROWID
""",
)
"""A process without totals has been let go."""
SIGNED_64 = "q"


class Recalled(NamedTuple):
    """All that was kept."""

    names: list[tuple[int, str]]
    processes: list[Process]
    retired: dict[Series, int]
    ended: list[tuple[str, int]]

    def totals(self, now: float) -> Totals:
        """`now` as for `Totals.fold`."""
        found = Totals(Names(self.names))
        found.recall(self.processes, self.retired, self.ended, now)
        return found


class Counted:
    """The tables of one database. `explained` wraps what is done with it. `minutes`: those of the last hour."""

    def __init__(self, connection: sqlite3.Connection, explained: Callable[[], AbstractContextManager[None]]) -> None:
        self.minutes = KeptMinutes(connection, explained)
        self._connection = connection
        self._explained = explained

    def load(self) -> Recalled:
        """Everything that was kept."""
        with self._explained(), self._connection as connection:
            rows = connection.execute("SELECT number, node, start, exact, time, totals FROM processes").fetchall()
            names = connection.execute("SELECT number, name FROM stats").fetchall()
            retired = connection.execute("SELECT * FROM retired").fetchall()
        processes = [_process(row) for row in rows if row[-1] is not None]
        return Recalled(
            names,
            processes,
            {Series(Ref(namespace, name), *rest): total for namespace, name, *rest, total in retired},
            [(node, start) for _, node, start, _, _, totals in rows if totals is None],
        )

    def keep(self, names: Sequence[tuple[int, str]], processes: Iterable[Process]) -> None:
        """Names first met, and processes with totals under them and what they let go: all or nothing.

        Raises `StateUnwritable`, and then nothing of them has changed.
        """
        numbers: list[tuple[Process, int | None]] = []
        with self._explained(), self._connection as connection:
            connection.executemany("INSERT OR REPLACE INTO stats VALUES (?, ?)", names)
            for each in processes:
                row = (each.number or None, each.node, each.start, each.exact, each.time, _packed(each))
                cursor = connection.execute("INSERT OR REPLACE INTO processes VALUES (?, ?, ?, ?, ?, ?)", row)
                numbers.append((each, cursor.lastrowid))
                _retire(connection, each)
        for each, number in numbers:
            each.number = number or each.number
            each.retiring.clear()

    def retire(self, process: Process) -> None:
        """A process has been let go: keep what it had counted, and that it was there; all or nothing."""
        with self._explained(), self._connection as connection:
            _retire(connection, process)
            connection.execute("UPDATE processes SET totals = NULL WHERE number = ?", (process.number,))
            connection.execute(
                "DELETE FROM processes WHERE totals IS NULL AND number <= (SELECT number FROM processes"
                " WHERE totals IS NULL ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (MOST_ENDED,),
            )
        process.retiring.clear()

    def forget(self, names: Iterable[int]) -> None:
        """Names of which nobody has a total."""
        with self._explained(), self._connection as connection:
            connection.executemany("DELETE FROM stats WHERE number = ?", ((number,) for number in names))


def _retire(connection: sqlite3.Connection, process: Process) -> None:
    connection.executemany(
        "INSERT INTO retired VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET total = total + excluded.total",
        [(*series.deployment, *series[1:], total) for series, total in process.retiring.items()],
    )


def _packed(process: Process) -> bytes:
    last, before = process.last, process.before
    columns = (len(last),), last.keys(), last.values(), before.keys(), before.values()
    return array(SIGNED_64, list(chain.from_iterable(columns))).tobytes()


def _process(row: Sequence[object]) -> Process:
    number, node, start, exact, time, totals = row
    assert isinstance(number, int)
    assert isinstance(node, str)
    assert isinstance(start, int)
    assert isinstance(time, int)
    assert isinstance(totals, bytes)
    packed = array(SIGNED_64)
    packed.frombytes(totals)
    size, rest = packed[0], packed[1:]
    last = dict(zip(rest[:size], rest[size : 2 * size], strict=True))
    anew = rest[2 * size :]
    before = dict(zip(anew[: len(anew) // 2], anew[len(anew) // 2 :], strict=True))
    return Process(node, start, bool(exact), time, last, before, number=number)
