"""A pinned release: what it gives stays what it is, whatever its record says, until somebody unpins it.

The record in force is the pinned one. What the source says of it meanwhile is held, and said to be; audiences are those
that were in force when it was pinned.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from xds_server.domain.names import Ref
from xds_server.records.documents import Key, restored
from xds_server.records.models import Release
from xds_server.records.plain import CANONICAL
from xds_server.records.releases import Weights
from xds_server.records.saved import PIN, Row


@dataclass(frozen=True, slots=True)
class Pin:
    """Since when a release is pinned, by whom, and why."""

    at: datetime
    who: str
    why: str

    @property
    def words(self) -> str:
        return f"since {self.at:%Y-%m-%dT%H:%M:%SZ} by {self.who}: {self.why}"


def pin_key(release: Ref) -> Key:
    return Key(PIN, release)


def pin_row(release: Ref, pin: Pin) -> Row:
    return Row(PIN, *release, json.dumps({"who": pin.who, "why": pin.why}, ensure_ascii=False), pin.at)


def pins_in(rows: Iterable[Row]) -> dict[Ref, Pin]:
    return {Ref(row.namespace, row.name): Pin(row.first_accepted, **json.loads(row.document)) for row in rows}


def with_default(key: Key, content: str, weights: Weights) -> tuple[Release, str]:
    """A release, and its canonical form, that says these weights in place of its own."""
    said = json.loads(content)
    said["spec"]["default"] = [{"deployment": _word(key, ref), "weight": _percent(weight)} for ref, weight in weights]
    text = CANONICAL(said)
    record = restored(key, text)
    assert isinstance(record, Release)
    return record, text


def _percent(weight: int) -> float:
    """Whole where it is whole, as one would write it."""
    return weight // 100 if weight % 100 == 0 else weight / 100


def _word(key: Key, deployment: Ref) -> str:
    """As a record of the release's namespace would write it."""
    return deployment.name if deployment.namespace == key.ref.namespace else f"{deployment.namespace}.{deployment.name}"
