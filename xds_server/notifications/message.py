"""What a webhook is sent: one CloudEvent as JSON.

CloudEvents 1.0.2, JSON event format in structured content mode: the body is the whole event.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any, NamedTuple

from xds_server.difference.history import Event, in_percent

MEDIA_TYPE = "application/cloudevents+json"
"""JSON event format, section 3."""
SPECIFICATION = "1.0"
PREFIX = "dev.xds-server"
VERSION = "v1"
"""Of `data`. What is added to it changes nothing for who does not look for it; anything else is another version."""
PING = f"{PREFIX}.ping.{VERSION}"


class About(NamedTuple):
    """Of a release: its app, and the content in force. Empty where it is gone."""

    app: str = ""
    content: str = ""


def release_type(kind: str) -> str:
    """The event's `type`, such as `dev.xds-server.release.rolled-back.v1`."""
    return f"{PREFIX}.release.{kind}.{VERSION}"


def release_message(event: Event, about: About, source: str, name: str) -> str:
    """`name` is the event's `id`: with `source` it is nobody else's."""
    data = {
        "release": event.release.word,
        "app": about.app,
        "kind": event.kind.value,
        "who": event.word.who,
        "why": event.word.why,
        "what": event.what,
        "before": in_percent(event.before),
        "after": in_percent(event.after),
        "content": about.content,
        # JSON has no infinity: how many times as often as never is one.
        "numbers": {name: value if isfinite(value) else None for name, value in event.numbers.items()},
    }
    more = {"type": release_type(event.kind), "subject": event.release.word, "time": _written(event.at)}
    return _message(source, name, more, data)


def ping(webhook: str, source: str, name: str, at: datetime) -> str:
    """What says only that it arrives."""
    return _message(source, name, {"type": PING, "time": _written(at)}, {"webhook": webhook})


def _message(source: str, name: str, more: Mapping[str, str], data: Mapping[str, Any]) -> str:
    said = {"specversion": SPECIFICATION, "id": name, "source": source, **more, "datacontenttype": "application/json"}
    return json.dumps({**said, "data": data}, separators=(",", ":"), ensure_ascii=False)


def _written(at: datetime) -> str:
    """RFC 3339, in UTC."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
