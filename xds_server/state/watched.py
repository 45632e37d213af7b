"""What rollouts are judged by, and a freeze of all of them, as rows of the state directory."""

import json
from collections.abc import Iterable

from pydantic import TypeAdapter

from xds_server.domain.names import Ref
from xds_server.records.saved import FROZEN, WATCHED, Row
from xds_server.records.steered import NO_TIME
from xds_server.rollout import Frozen
from xds_server.rollout.watched import Watched

_WATCHED = TypeAdapter(Watched)
FREEZE = (FROZEN, "", "all")


def watched_row(release: Ref, watched: Watched) -> Row:
    """Of a bet that has lost everything the logarithm is minus infinity, which JSON proper does not have."""
    return Row(WATCHED, *release, json.dumps(_WATCHED.dump_python(watched, mode="json")), NO_TIME)


def watched_in(rows: Iterable[Row]) -> dict[Ref, Watched]:
    found = (row for row in rows if row.kind == WATCHED)
    return {Ref(row.namespace, row.name): _WATCHED.validate_json(row.document) for row in found}


def frozen_row(frozen: Frozen) -> Row:
    return Row(*FREEZE, frozen.why, frozen.until)


def frozen_in(rows: Iterable[Row]) -> Frozen | None:
    return next((Frozen(row.first_accepted, row.document) for row in rows if row.kind == FROZEN), None)
