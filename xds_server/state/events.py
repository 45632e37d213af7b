"""The history of releases, as rows of the state directory."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from xds_server.difference.history import Event, Kind, Word
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
KINDS = (
    "ALTER TABLE events ADD COLUMN kind TEXT NOT NULL DEFAULT 'changed'",
    "ALTER TABLE events ADD COLUMN numbers TEXT NOT NULL DEFAULT '{}'",
)
KEEP = """
INSERT INTO events (namespace, name, at, who, why, what, shares, kind, numbers) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
FIND = """
SELECT namespace, name, at, who, why, what, shares, kind, numbers FROM events
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
    numbers = json.dumps(dict(event.numbers))
    at = event.at.astimezone(UTC).isoformat()
    return (*event.release, at, *event.word, event.what, shares, event.kind.value, numbers)


def event_in(row: Sequence[Any]) -> Event:
    namespace, name, at, who, why, what, shares, kind, numbers = row
    event = Event(Ref(namespace, name), datetime.fromisoformat(at), Word(who, why), what, *_shares(shares))
    return event._replace(kind=_kind(kind), numbers=json.loads(numbers))


def _kind(said: str) -> Kind:
    """A newer server may know more kinds."""
    try:
        return Kind(said)
    except ValueError:
        return Kind.CHANGED


def _shares(said: str) -> tuple[Weights, Weights]:
    before, after = map(_weights, json.loads(said))
    return before, after


def _said(weights: Weights) -> list[tuple[str, int]]:
    return [(deployment.word, weight) for deployment, weight in weights]


def _weights(said: list[tuple[str, int]]) -> Weights:
    return tuple((ref(word), weight) for word, weight in said)
