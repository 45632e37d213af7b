"""Entries of the ledger, as rows of the state directory."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from xds_server.domain.names import Ref
from xds_server.ledger.entry import End, Entry, Holder, ProxyState, Summary

TABLE = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    content TEXT NOT NULL,
    accepted TEXT NOT NULL,
    first_ack TEXT,
    last_ack TEXT,
    live TEXT,
    ended TEXT,
    end TEXT,
    summary TEXT NOT NULL
)
"""
INDEXES = (
    "CREATE INDEX entries_by_release ON entries (namespace, name, number)",
    "CREATE INDEX entries_by_content ON entries (content)",
    "CREATE INDEX entries_ended ON entries (number) WHERE ended IS NOT NULL",
    "CREATE INDEX entries_begun ON entries (number) WHERE ended IS NULL",
)
COLUMNS = "number, namespace, name, content, accepted, first_ack, last_ack, live, ended, end, summary"

KEEP = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
FORGET_OF_RELEASE = """
DELETE FROM entries WHERE namespace = ? AND name = ? AND ended IS NOT NULL AND number <= (
    SELECT number FROM entries WHERE namespace = ? AND name = ? ORDER BY number DESC LIMIT 1 OFFSET ?
)
"""
FORGET = """
DELETE FROM entries WHERE ended IS NOT NULL AND number <= (
    SELECT number FROM entries WHERE ended IS NOT NULL ORDER BY number DESC LIMIT 1 OFFSET ?
)
"""

COUNTS = ("accepted", "sent", "pending", "refused", "not_loaded", "gone")


def row_of(entry: Entry) -> tuple[object, ...]:
    times = (entry.accepted, entry.first_ack, entry.last_ack, entry.live, entry.ended)
    end = entry.end.value if entry.end else None
    who = (entry.number, *entry.release, entry.content)
    said = _summary_data(entry.summary) | ({"note": entry.note} if entry.note else {})
    return (*who, *map(_written, times), end, json.dumps(said, ensure_ascii=False))


def entry_in(row: Sequence[Any]) -> Entry:
    number, namespace, name, content, accepted, first_ack, last_ack, live, ended, end, summary = row
    said = json.loads(summary)
    note = said.pop("note", "")
    return Entry(
        number,
        Ref(namespace, name),
        content,
        datetime.fromisoformat(accepted),
        first_ack=_read(first_ack),
        last_ack=_read(last_ack),
        live=_read(live),
        ended=_read(ended),
        end=End(end) if end else None,
        summary=_summary(said),
        note=note,
    )


def _written(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat() if at else None


def _read(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _summary_data(summary: Summary) -> dict[str, Any]:
    counts = {name: count for name in COUNTS if (count := getattr(summary, name))}
    return {**counts, "named": [list(each) for each in summary.named]} if summary.named else counts


def _summary(said: dict[str, Any]) -> Summary:
    named = (Holder(proxy, gateway, ProxyState(state), why) for proxy, gateway, state, why in said.pop("named", ()))
    return Summary(**said, named=tuple(named))
