"""What is in force while one step of an admission is made. Nobody outside sees it change."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import TypeVar

from immutables import Map

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission, Entry
from xds_server.records.claims import claims_of
from xds_server.records.documents import Document, Key
from xds_server.records.draft import Draft
from xds_server.records.kept import kept_after
from xds_server.records.models import AppDeployment, Build, Record, Release
from xds_server.records.saved import Row
from xds_server.records.world import Edit, app_of, build_id, edited

Kind = TypeVar("Kind", Release, AppDeployment, Build)


class InForce:
    """The records, the world that they make, and the hosts that releases have.

    `put` and `remove` act at once for the records, the hosts and what is `kept`; the world follows with `settle`.
    `touched` are the apps that differ.
    """

    def __init__(self, before: Admission) -> None:
        self.world = before.world
        self.claims = before.claims
        self.kept = Draft(before.kept)
        self.touched: set[Ref] = set()
        self._before = before.in_force
        self._entries = Draft(before.in_force)
        self._edits: list[Edit] = []
        self._placing: defaultdict[BuildId, list[Build]] = defaultdict(list)

    def get(self, key: Key) -> Entry | None:
        return self._entries.get(key)

    def record(self, key: Key, kind: type[Kind]) -> Kind | None:
        """The record of this name, if it is of that kind."""
        entry = self.get(key)
        return entry.record if entry and isinstance(entry.record, kind) else None

    def app_of(self, key: Key) -> Ref | None:
        """The app that the record is of, if it is of one."""
        entry = self.get(key)
        return app_of(entry.record) if entry else None

    def says(self, key: Key, document: Document) -> bool:
        """What the document says is in force already."""
        entry = self.get(key)
        return entry is not None and entry.content == document.content

    def take(self, key: Key, document: Document, now: datetime) -> None:
        """What the document says is in force from now on."""
        assert document.record is not None
        before = self.get(key)
        self._put(key, before, Entry(document.record, document.content, before.first_accepted if before else now))

    def put(self, key: Key, entry: Entry) -> None:
        self._put(key, self.get(key), entry)

    def _put(self, key: Key, before: Entry | None, entry: Entry) -> None:
        self._replace(key, before, entry)
        self._entries[key] = entry
        if isinstance(entry.record, Build):
            self._placing[build_id(entry.record)].append(entry.record)

    def remove(self, key: Key) -> None:
        self._replace(key, self.get(key), None)
        self._entries.remove(key)

    def _replace(self, key: Key, before: Entry | None, after: Entry | None) -> None:
        old, new = before.record if before else None, after.record if after else None
        self._edits.append((old, new))
        if key.kind == "Release":
            self._claim(key.ref, _as_release(old), _as_release(new))
            self._keep(key.ref, _as_release(old), _as_release(new))

    def _keep(self, ref: Ref, old: Release | None, new: Release | None) -> None:
        """What its history can go back to. When it is there again after a restart, that is what was saved."""
        known = self.kept.get(ref) or ()
        # Most releases of a start have no past, and there may be many.
        found = kept_after(known, old, new) if new is not None and (old is not None or known) else ()
        if not found:
            self.kept.remove(ref)
        elif found != known:
            self.kept[ref] = found

    def _claim(self, ref: Ref, old: Release | None, new: Release | None) -> None:
        claims = self.claims.mutate()
        for claim in claims_of(old):
            # Of two that swap a host, the one that takes it may come first.
            if claims.get(claim) == ref:
                del claims[claim]
        claims.update(dict.fromkeys(claims_of(new), ref))
        self.claims = claims.finish()

    def settle(self) -> None:
        """Everything put or removed so far is seen by what is tried next."""
        if self._edits:
            self.world, touched = edited(self.world, self._edits)
            self.touched |= touched
            self._edits = []
            self._placing.clear()

    def placing(self, build: BuildId) -> Iterator[Build]:
        """The records that place a build, also those that were put since the world settled."""
        app = self.world.apps.get(build.app)
        if app is not None:
            yield from app.placed(build.component, build.build)
        yield from self._placing.get(build, ())

    def hosts_at(self, gateway: Ref) -> Iterator[tuple[str, Ref]]:
        """What releases have at a gateway."""
        for claim, release in self.claims.items():
            if claim.gateway == gateway:
                yield claim.host, release

    @property
    def new_gateways(self) -> frozenset[Ref]:
        """The gateways that do otherwise than before."""
        return frozenset(key.ref for key in self._entries.changes if key.kind == "Gateway")

    def finish(self) -> Map[Key, Entry]:
        return self._entries.finish()

    def saved(self) -> tuple[tuple[Row, ...], tuple[Key, ...]]:
        """What differs from before: rows to keep, and keys to forget."""
        before, changes = self._before, self._entries.changes
        changed = [key for key, entry in changes.items() if not before or entry is not before.get(key)]
        changed.sort(key=Key.order)
        rows = tuple(_row(key, entry) for key in changed if (entry := changes[key]) is not None)
        return rows, tuple(key for key in changed if changes[key] is None)


def _as_release(record: Record | None) -> Release | None:
    return record if isinstance(record, Release) else None


def _row(key: Key, entry: Entry) -> Row:
    return Row(key.kind, key.ref.namespace, key.ref.name, entry.content, entry.first_accepted)
