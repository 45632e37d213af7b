"""Releases that wait for what they newly give to be ready: what is in force stays until it is, or the time is over.

    pending    something lacks; each change of records, and each answer of the world outside, may help
    failed     something still lacked when `policy.activationDeadline` was over: what is in force stays. It is tried
               anew, with the whole time, when its record changes, or a `Build` record of what lacked

While it waits for clusters to be warm, gateways are told of the release as it is in force, with the new deployments
listed: with no weight, so that nobody gets them.

A server that starts with nothing in force does not know what its gateways have: what is wanted and placed serves at
once, without being asked whether it is well. One that starts again has what was in force, and goes on waiting; what had
failed has failed.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from immutables import Map

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.domain.problems import Problem, Reason, Severity
from xds_server.domain.words import few
from xds_server.records.documents import Document, Key
from xds_server.records.models import Build, Release
from xds_server.records.readiness import NOTHING, Conditions, Lacks, Question, given_by, lacks
from xds_server.records.rewritten import with_default
from xds_server.records.saved import PENDING, Row
from xds_server.records.values import duration_text
from xds_server.records.world import AppWorld

SHOWN = 5
"""Things that lack and are named; the rest are counted."""
AGAIN = timedelta(seconds=10)
"""How long a release that waits has at least after a restart: what it lacks is found out anew."""

Placed = Mapping[BuildId, tuple[Build, ...]]
"""The records that place each of some builds."""


class Listing(NamedTuple):
    """A record in force, and what gateways are told in its place: the same, with these deployments listed."""

    record: Release
    listed: tuple[Ref, ...]
    told: Release


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A wanted content of a release that is not in force because of what it `lacks`, `since` when and `until` when.

    `record` is what it says, once that is read. `placed` is where the builds run that lacked when it failed; None after
    a restart: as they run now.
    """

    content: str
    since: datetime
    until: datetime
    lacks: Lacks = NOTHING
    failed: bool = False
    placed: Placed | None = None
    listing: Listing | None = None
    record: Release | None = None

    @property
    def questions(self) -> frozenset[Question]:
        """What is to be asked for its sake."""
        return frozenset() if self.failed else self.lacks.questions

    @property
    def listed(self) -> tuple[Ref, ...]:
        return () if self.failed else self.lacks.listed


class Wanted(NamedTuple):
    """What a document says of a release, and what is in force of it; None: nothing."""

    document: Document
    record: Release
    before: Release | None


def pending_key(release: Ref) -> Key:
    return Key(PENDING, release)


def pending_row(release: Ref, pending: Pending) -> Row:
    said = {"content": pending.content, "until": pending.until.isoformat()}
    failed = {"failed": pending.lacks.words} if pending.failed else {}
    return Row(PENDING, *release, json.dumps({**said, **failed}, ensure_ascii=False), pending.since)


def pending_in(rows: Iterable[Row], now: datetime) -> Iterator[tuple[Ref, Pending]]:
    for row in rows:
        if row.kind == PENDING:
            said = json.loads(row.document)
            until = max(datetime.fromisoformat(said["until"]), now + AGAIN)
            words = tuple(said.get("failed", ()))
            found = Pending(said["content"], row.first_accepted, until, Lacks(words=words), failed=bool(words))
            yield Ref(row.namespace, row.name), found


class Activations:
    """The releases that wait, while a step of an admission is made. None in `looked_at`: it does not wait any more."""

    def __init__(self, before: Map[Ref, Pending], conditions: Conditions, now: datetime) -> None:
        self.looked_at: dict[Ref, Pending | None] = {}
        self._before = before
        self._conditions = conditions
        self._now = now

    def forget(self, release: Ref) -> None:
        """Unless it is found to wait again, it does not."""
        self.looked_at[release] = None

    def problem(self, wanted: Wanted, app: AppWorld) -> Problem | None:
        """Why a release may not come into force yet; None if it may."""
        if given_by(wanted.record) <= given_by(wanted.before):
            return None
        found = lacks(wanted.record, wanted.before, app, self._conditions)
        known = self._known(wanted, app)
        if known is not None and known.failed:
            pending = known if known.placed is not None else replace(known, placed=_placed(found.builds, app))
        elif found.words:
            pending = self._waits(known or self._begun(wanted), found, app)
        else:
            return None
        if pending.record is not wanted.record:
            pending = replace(pending, record=wanted.record)
        self.looked_at[wanted.record.ref] = pending
        return _problem(wanted, pending)

    @property
    def waiting(self) -> Iterator[tuple[Ref, Release]]:
        """What the releases say that are not ready, or were not in time."""
        for ref, pending in {**self._before, **self.looked_at}.items():
            if pending is not None and pending.record is not None:
                yield ref, pending.record

    def told(self, key: Key, record: Release, content: str) -> Release:
        """What gateways are told of a release that is in force with this record."""
        pending = self.looked_at.get(key.ref)
        if pending is None or not (pending.listed and record.spec.default):
            return record
        listing = pending.listing
        if listing is None or listing.record is not record or listing.listed != pending.listed:
            there = dict(record.weights)
            more = tuple((ref, 0) for ref in pending.listed if ref not in there)
            # In front: what rises by itself is the last of them.
            listing = Listing(record, pending.listed, with_default(key, content, (*more, *record.weights))[0])
            self.looked_at[key.ref] = replace(pending, listing=listing)
        return listing.told

    def finish(self) -> Map[Ref, Pending]:
        """Those that wait now; the same object if nothing is new."""
        if all(self._before.get(ref) is each for ref, each in self.looked_at.items()):
            return self._before
        after = self._before.mutate()
        for ref, pending in self.looked_at.items():
            if pending is not None:
                after[ref] = pending
            else:
                after.pop(ref, None)
        return after.finish()

    @property
    def changed(self) -> tuple[Ref, ...]:
        """Those of which something else is to be kept than before."""
        pairs = ((ref, self._before.get(ref), after) for ref, after in self.looked_at.items())
        return tuple(ref for ref, before, after in pairs if _kept(before) != _kept(after))

    def _known(self, wanted: Wanted, app: AppWorld) -> Pending | None:
        """What is known of this content. Where builds that lacked when it failed run elsewhere, that is over."""
        known = self._before.get(wanted.record.ref)
        if known is None or known.content != wanted.document.content:
            return None
        is_another = known.failed and known.placed is not None and known.placed != _placed(known.placed, app)
        return None if is_another else known

    def _begun(self, wanted: Wanted) -> Pending:
        until = self._now + wanted.record.spec.policy.activation_deadline
        return Pending(wanted.document.content, self._now, until)

    def _waits(self, pending: Pending, found: Lacks, app: AppWorld) -> Pending:
        """Or has waited long enough."""
        if self._now >= pending.until:
            return replace(pending, lacks=found, failed=True, placed=_placed(found.builds, app), listing=None)
        return pending if found == pending.lacks else replace(pending, lacks=found)


def _placed(builds: Iterable[BuildId], app: AppWorld) -> Placed:
    return {each: tuple(app.placed(each.component, each.build)) for each in builds}


def _kept(pending: Pending | None) -> object:
    """What of it outlives the server."""
    return pending and (pending.content, pending.since, pending.until, pending.failed)


def _problem(wanted: Wanted, pending: Pending) -> Problem:
    release, document = wanted.record, wanted.document
    path, words = pending.lacks.path, few(pending.lacks.words, SHOWN)
    where = document.locate(path) if path else document.place
    deadline = f"{duration_text(release.spec.policy.activation_deadline)} (policy.activationDeadline)"
    who = str(Key("Release", release.ref))
    if pending.failed:
        what = f"was not ready within {deadline}: {words}"
        fix = (
            "What was in force stays. Mend that, and change this record, or a Build record of what lacked, to try again"
        )
        return Problem(where, Reason.ACTIVATION_FAILED, what, fix, who)
    fix = f"What is in force stays until that is there; after {deadline} it has failed"
    return Problem(where, Reason.PENDING, f"waits: {words}", fix, who, Severity.WARNING)
