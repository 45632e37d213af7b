"""The history of releases, as rows of the state directory."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from xds_server.difference.history import Event, Word
from xds_server.domain.names import Ref, ref
from xds_server.records.releases import Weights

TABLE = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    at TEXT NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    what TEXT NOT NULL,
    shares TEXT NOT NULL
)
"""
INDEX = "CREATE INDEX events_by_release ON events (namespace, name, number)"
KEEP = "INSERT INTO events (namespace, name, at, who, why, what, shares) VALUES (?, ?, ?, ?, ?, ?, ?)"
FIND = """
SELECT namespace, name, at, who, why, what, shares FROM events
WHERE namespace = ? AND name = ? ORDER BY number DESC LIMIT ?
"""
FORGET_OF_RELEASE = """
DELETE FROM events WHERE namespace = ? AND name = ? AND number <= (
    SELECT number FROM events WHERE namespace = ? AND name = ? ORDER BY number DESC LIMIT 1 OFFSET ?
)
"""
FORGET = "DELETE FROM events WHERE number <= (SELECT max(number) FROM events) - ?"


def event_row(event: Event) -> tuple[object, ...]:
    shares = json.dumps([_said(event.before), _said(event.after)])
    return (*event.release, event.at.astimezone(UTC).isoformat(), *event.word, event.what, shares)


def event_in(row: Sequence[Any]) -> Event:
    namespace, name, at, who, why, what, shares = row
    before, after = map(_weights, json.loads(shares))
    return Event(Ref(namespace, name), datetime.fromisoformat(at), Word(who, why), what, before, after)


def _said(weights: Weights) -> list[tuple[str, int]]:
    return [(deployment.word, weight) for deployment, weight in weights]


def _weights(said: list[tuple[str, int]]) -> Weights:
    return tuple((ref(word), weight) for word, weight in said)
