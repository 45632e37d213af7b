"""Which deployments nothing uses any more: they may go, and builds with them."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import distil
from xds_server.records.admitted import Admission
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Release
from xds_server.records.world import AppWorld

Asked = Mapping[Ref, Ref]
"""Deployments that the records of releases name, and one such release of each."""
NOBODY: Asked = {}


class Unused(NamedTuple):
    """A deployment that may go: no release gives it or asks for it, and none can go back to it.

    `file` states it. `builds` leave the mesh when all that may go of its app have gone.
    """

    deployment: Ref
    app: Ref
    file: str
    accepted: datetime
    builds: tuple[BuildId, ...]


def unused(admission: Admission, before: datetime, app: Ref | None = None) -> Iterator[Unused]:
    """By app and name: of those that were first accepted before a time."""
    asked = _asked_for(admission)
    for each in sorted(admission.world.apps.values(), key=lambda each: each.app):
        if app is None or each.app == app:
            yield from _unused(admission, each, asked, before)


def users_of(admission: Admission, deployment: Ref) -> list[str]:
    """What keeps a deployment, whatever its age: nothing, if it is not in force."""
    entry = admission.in_force.get(Key("AppDeployment", deployment))
    if entry is None or not isinstance(entry.record, AppDeployment):
        return []
    app = admission.world.app(entry.record.refer(entry.record.spec.app))
    return list(users(admission, app, deployment, _asked_for(admission)))


def _unused(admission: Admission, app: AppWorld, asked: Asked, before: datetime) -> Iterator[Unused]:
    accepted = {ref: admission.in_force[Key("AppDeployment", ref)].first_accepted for ref in app.deployments}
    going = {ref for ref, at in accepted.items() if at < before and not any(users(admission, app, ref, asked))}
    leaving = {build: who for build, who in distil(app.deployments.values()).items() if who <= going}
    for ref in sorted(going):
        builds = tuple(build for build, who in leaving.items() if ref in who)
        yield Unused(ref, app.app, admission.origins.get(Key("AppDeployment", ref), ""), accepted[ref], builds)


def users(admission: Admission, app: AppWorld, deployment: Ref, asked: Asked = NOBODY) -> Iterator[str]:
    """What keeps a deployment: of records that are not in force, what `asked` says."""
    for release in sorted(app.releases.values(), key=lambda each: each.ref):
        if deployment in map(release.refer, release.spec.deployments):
            yield f"Release {release.ref.word}"
        elif deployment in admission.kept.get(release.ref, ()):
            yield f"the history of Release {release.ref.word}"
    if deployment in asked:
        yield f"the record of Release {asked[deployment].word}"


def _asked_for(admission: Admission) -> Asked:
    """What records ask for, whether they are in force or not."""
    found: dict[Ref, Ref] = {}
    for key, documents in admission.wanted.items():
        for each in documents if key.kind == "Release" else ():
            if isinstance(each.record, Release):
                found.update((each.record.refer(name), key.ref) for name in each.record.spec.deployments)
    return found
