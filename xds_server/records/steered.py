"""What a release gives in place of what its record says: the weights of a rollout, and audiences that were moved.

The record in force is the steered one; compile, the ledger and a restart know no other. A rollout steers a record as
long as its `default` and `rollout` are those that it began with: everything else in it may be edited meanwhile.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import blake2b

from pydantic import TypeAdapter

from xds_server.domain.names import Ref
from xds_server.records.documents import Document, Key
from xds_server.records.models import Release
from xds_server.records.pins import Pin
from xds_server.records.progress import Ended, Progress
from xds_server.records.releases import Weights
from xds_server.records.rewritten import with_default
from xds_server.records.rollout import Rollout
from xds_server.records.saved import MOVED, STEERED, UNKNOWN, Row

NO_TIME = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody's word, given before a record is written: what it then says is set, and its rollout is over.

    `identity`: of the record that says so. Until it does, nothing is stopped.
    """

    identity: str
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Steered:
    """A release with a rollout. `said`: its record's own weights; `weights`: those in force.

    `also`: the identity of a record that says in its weights how the rollout has ended, which is written after that.
    """

    progress: Progress
    said: Weights
    weights: Weights
    also: str = ""
    stop: Stop | None = None

    def read(self, record: Release) -> "Steered | None":
        """After this record was read; None if the rollout is not what it asks for any more, or it asks for none."""
        identity = identity_of(record)
        if identity == self.progress.identity:
            return self
        progress = replace(self.progress, identity=identity)
        if self.stop is not None and identity == self.stop.identity:
            progress = progress.end(Ended.STOPPED, by(self.stop.who, self.stop.why))
        elif not identity or identity != self.also:
            return None
        return Steered(progress, record.weights, record.weights)


def by(who: str, why: str) -> str:
    """Who has stopped or paused a rollout, and why if they say so."""
    return f"by {who}: {why}" if why else f"by {who}"


@dataclass(frozen=True, slots=True)
class Moved:
    """An audience that gets another deployment than its record says, until somebody unpins the release."""

    audience: str
    deployment: Ref
    pin: Pin


def identity_of(release: Release, weights: Weights | None = None) -> str:
    """Of what a rollout is about: the weights (or these in their place), and what it is to do; empty without a rollout.

    It is the same however the record is written, and whatever fields a later version knows besides. `freeze` keeps a
    rollout where it is, so it is no part of it.
    """
    return "" if release.spec.rollout is None else _identity(release.spec.rollout, weights or release.weights)


def _identity(rollout: Rollout, weights: Weights) -> str:
    does = rollout.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={"freeze"})
    said = [[(deployment.word, weight) for deployment, weight in weights], does]
    return blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def steered_document(document: Document, steered: Steered | None, moved: Iterable[Moved] = ()) -> Document:
    """What is wanted in place of what a document says; the same object if that is the same."""
    record, key = document.record, document.key
    if key is None or not isinstance(record, Release):
        return document
    holds = steered is not None and steered.progress.identity == identity_of(record)
    weights = steered.weights if steered is not None and holds and steered.weights != record.weights else None
    to = {each.audience: each.deployment for each in moved}
    moves = {each.name: to[each.name] for each in record.spec.audiences if each.name in to}
    if weights is None and not moves:
        return document
    made, content = with_default(key, document.content, weights, moves)
    return replace(document, record=made, content=content)


_STEERED, _MOVED = TypeAdapter(Steered), TypeAdapter(tuple[Moved, ...])


def steered_row(release: Ref, steered: Steered) -> Row:
    return Row(STEERED, *release, _STEERED.dump_json(steered).decode(), NO_TIME)


def steered_in(rows: Iterable[Row]) -> dict[Ref, Steered]:
    found = (row for row in rows if row.kind == STEERED)
    return {Ref(row.namespace, row.name): _STEERED.validate_json(row.document) for row in found}


def moved_row(release: Ref, moved: tuple[Moved, ...]) -> Row:
    return Row(MOVED, *release, _MOVED.dump_json(moved).decode(), NO_TIME)


def moved_in(rows: Iterable[Row]) -> dict[Ref, tuple[Moved, ...]]:
    found = (row for row in rows if row.kind == MOVED)
    return {Ref(row.namespace, row.name): _MOVED.validate_json(row.document) for row in found}


def rolling(wanted: Mapping[Key, tuple[Document, ...]]) -> set[Ref]:
    """The releases that are stated with a rollout, whether they are in force or not."""
    return {
        key.ref
        for key, documents in wanted.items()
        for each in documents
        if isinstance(each.record, Release) and each.record.spec.rollout is not None
    }


def unknown_row(release: Ref) -> Row:
    return Row(UNKNOWN, *release, "", NO_TIME)


def unknown_in(rows: Iterable[Row]) -> set[Ref]:
    return {Ref(row.namespace, row.name) for row in rows if row.kind == UNKNOWN}
