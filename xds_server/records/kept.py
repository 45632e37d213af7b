"""What a release can go back to: the deployments that had default traffic before what has it now, newest first.

So many as its `policy.history` says stay in force, also when their files are deleted. A release that goes keeps
nothing.
"""

import json
from collections.abc import Iterable
from datetime import datetime

from xds_server.domain.names import Ref, ref
from xds_server.records.models import Release
from xds_server.records.saved import KEPT, Row

Kept = tuple[Ref, ...]


def kept_after(kept: Kept, before: Release | None, after: Release) -> Kept:
    """What a release keeps once it is another record: before the change it kept `kept`, of the same app."""
    if before is not None and before.refer(before.spec.app) != after.refer(after.spec.app):
        return ()
    had, has = _served(before), _served(after)
    found = dict.fromkeys((*had, *kept))
    return tuple(each for each in found if each not in has)[: after.spec.policy.history]


def _served(release: Release | None) -> list[Ref]:
    """Who has default traffic, most first."""
    weights = [] if release is None else sorted(release.weights, key=lambda each: -each[1])
    return [deployment for deployment, weight in weights if weight]


def kept_row(release: Ref, kept: Kept, accepted: datetime) -> Row:
    """`accepted`: when the release was first accepted."""
    return Row(KEPT, *release, json.dumps([each.word for each in kept]), accepted)


def kept_in(rows: Iterable[Row]) -> dict[Ref, Kept]:
    return {Ref(row.namespace, row.name): tuple(map(ref, json.loads(row.document))) for row in rows}
