"""What outlives the server: the records in force, as the state directory keeps them."""

from datetime import datetime
from typing import NamedTuple

SECRET = "Secret"  # noqa: S105 - a kind
"""The kind of a row that is no record: a secret, by the name that Envoy knows it by."""


EXTENDED = "Extended"
"""The kind of a row that is no record: what extensions last made of a resource."""

PIN = "Pin"
"""The kind of a row that is no record: why a release is pinned, and since when."""
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
