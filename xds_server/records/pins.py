"""A pinned release: what it gives stays what it is, whatever its record says, until somebody unpins it.

The record in force is the pinned one. What the source says of it meanwhile is held, and said to be; audiences are those
that were in force when it was pinned.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from xds_server.domain.names import Ref
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


def pin_row(release: Ref, pin: Pin) -> Row:
    return Row(PIN, *release, json.dumps({"who": pin.who, "why": pin.why}, ensure_ascii=False), pin.at)


def pins_in(rows: Iterable[Row]) -> dict[Ref, Pin]:
    return {Ref(row.namespace, row.name): Pin(row.first_accepted, **json.loads(row.document)) for row in rows}
