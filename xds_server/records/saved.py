"""What outlives the server: the records in force, as the state directory keeps them."""

from datetime import datetime
from typing import NamedTuple

SECRET = "Secret"  # noqa: S105 - a kind
"""The kind of a row that is no record: a secret, by the name that Envoy knows it by."""


EXTENDED = "Extended"
"""The kind of a row that is no record: what extensions last made of a resource."""

PIN = "Pin"
"""The kind of a row that is no record: why a release is pinned, and since when."""
STEERED = "Steered"
"""The kind of a row that is no record: how far the rollout of a release is, and what it gives by that."""
MOVED = "Moved"
"""The kind of a row that is no record: the audiences of a release that were moved, and why."""
UNKNOWN = "Unknown"
"""The kind of a row that is no record: a release of whose rollout nobody knows how far it had come."""
WATCHED = "Watched"
"""The kind of a row that is no record: what the canary of a release is judged by."""
FROZEN = "Frozen"
"""The kind of a row that is no record: until when every rollout stays where it is, and why."""
KEPT = "Kept"
"""The kind of a row that is no record: the deployments that the history of a release can go back to."""
PENDING = "Pending"
"""The kind of a row that is no record: a release that waits until what it gives is ready, and since when."""
UNFINISHED = "Unfinished"
"""The kind of a row that is no record: what of the fleet order is under way."""
PROXY = "Proxy"
"""The kind of a row that is no record: a proxy that may be waited for."""


class Row(NamedTuple):
    """A record in force: who it is, its document as canonical JSON, and when it was first accepted.

    `first_accepted` has a time zone, and comes back from the state directory in UTC.
    """

    kind: str
    namespace: str
    name: str
    document: str
    first_accepted: datetime
