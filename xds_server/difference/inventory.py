"""What there is: every record in force with what it is used by and how it is, and releases that wait to come into
force."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from xds_server.difference.statuses import RolloutSaid, status_of, wanted
from xds_server.difference.unused import users
from xds_server.domain.names import Ref
from xds_server.graph import distil
from xds_server.graph.distillation import Users
from xds_server.records.admitted import Admission
from xds_server.records.checks import entries_without_endpoints
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Build, Gateway, Record, Release
from xds_server.records.world import AppWorld, app_of, build_id

READY, NO_ENDPOINTS = "Ready", "NoEndpoints"
NOTHING: Mapping[str, int] = {}
Rollouts = Callable[[Ref], RolloutSaid | None]
"""What the rollout of a release says."""


class Wanted(NamedTuple):
    """Which records: of one kind; each of the others only where it says something."""

    kind: str
    name: Ref | None = None
    app: Ref | None = None
    namespace: str = ""

    def takes(self, ref: Ref, app: Ref | None) -> bool:
        here = self.namespace in ("", ref.namespace)
        return here and self.name in (None, ref) and self.app in (None, app)


class Item(NamedTuple):
    """One record. `accepted`: None, if it is not in force. `status`: empty where a kind has none.

    An app is one, too, where no record says how it is: its `document` is empty. `holds`: how many records it has.
    """

    key: Key
    app: Ref | None
    accepted: datetime | None
    document: Mapping[str, Any]
    used_by: tuple[str, ...] = ()
    status: str = ""
    because: str = ""
    holds: Mapping[str, int] = NOTHING


def no_rollouts(_release: Ref) -> RolloutSaid | None:
    return None


def names_of(admission: Admission, which: Wanted) -> list[Ref]:
    """In order."""
    return sorted({ref for ref, app in _all(admission, which.kind) if which.takes(ref, app)})


def _all(admission: Admission, kind: str) -> Iterator[tuple[Ref, Ref | None]]:
    """Every name, with its app."""
    if kind == "App":
        yield from ((app, app) for app in admission.world.apps)
        return
    yield from ((key.ref, app_of(entry.record)) for key, entry in admission.in_force.items() if key.kind == kind)
    if kind == "Release":
        waiting = (wanted(admission, key.ref) for key in admission.held if key.kind == kind)
        yield from ((record.ref, app_of(record)) for record in waiting if record is not None)


def items(admission: Admission, kind: str, names: list[Ref], rollouts: Rollouts = no_rollouts) -> Iterator[Item]:
    """Of those that there are."""
    if kind == "App":
        yield from (_app(admission, name) for name in names)
        return
    builds: dict[Ref, Users] = {}
    for name in names:
        found = _record(admission, Key(kind, name))
        if found is None:
            continue
        record, content, accepted = found
        app = app_of(record)
        own = AppWorld(Ref("", "")) if app is None else admission.world.app(app)
        if isinstance(record, Build) and own.app not in builds:
            builds[own.app] = distil(own.deployments.values())
        said = _said(admission, record, own, rollouts)
        used_by = tuple(_used_by(admission, record, own, builds.get(own.app, {})))
        yield Item(Key(kind, name), app, accepted, json.loads(content), used_by, *said)


def _record(admission: Admission, key: Key) -> tuple[Record, str, datetime | None] | None:
    """As it is in force; of a release that waits, as it is wanted."""
    entry = admission.in_force.get(key)
    if entry is not None:
        return entry.record, entry.content, entry.first_accepted
    record = wanted(admission, key.ref) if key.kind == "Release" else None
    return None if record is None else (record, admission.wanted[key][0].content, None)


def _app(admission: Admission, app: Ref) -> Item:
    own, key = admission.world.app(app), Key("App", app)
    entry = admission.in_force.get(key)
    holds = {"releases": len(own.releases), "deployments": len(own.deployments), "builds": len(own.builds)}
    document = {} if entry is None else json.loads(entry.content)
    return Item(key, app, None if entry is None else entry.first_accepted, document, holds=holds)


def _said(admission: Admission, record: Record, app: AppWorld, rollouts: Rollouts) -> tuple[str, str]:
    match record:
        case Release():
            status, because = status_of(admission, record.ref, rollouts(record.ref))
            return status.value, because
        case AppDeployment():
            return readiness(record, app)
        case Build():
            ready = record.spec.endpoints.take_requests
            return (READY, "") if ready else (NO_ENDPOINTS, "every address is draining, or there is none")
        case _:
            return "", ""


def readiness(deployment: AppDeployment, app: AppWorld) -> tuple[str, str]:
    """Whether each component that a gateway sends requests to has somewhere to send them, and which has not."""
    without = list(entries_without_endpoints(deployment, app))
    if not without:
        return READY, ""
    return NO_ENDPOINTS, f"{', '.join(without)}: no Build record places it at an address that takes requests"


def _used_by(admission: Admission, record: Record, app: AppWorld, builds: Users) -> Iterator[str]:
    match record:
        case AppDeployment():
            yield from users(admission, app, record.ref)
        case Build():
            yield from (each.word for each in sorted(builds.get(build_id(record), ())))
        case Gateway():
            claims = admission.claims.items()
            yield from sorted({release.word for claim, release in claims if claim.gateway == record.ref})
        case _:
            pass
