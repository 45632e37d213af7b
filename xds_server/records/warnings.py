"""What holds together but will surprise somebody: shown beside the record, and nothing is held back."""

from collections.abc import Callable, Iterator, Set

from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records.checks import entries_without_endpoints
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Release
from xds_server.records.world import AppWorld

PlaceOf = Callable[[Key], Place]


def app_warnings(app: AppWorld, place: PlaceOf) -> Iterator[Problem]:
    placed = {(each.spec.component, each.spec.build) for each in app.builds.values()}
    for _, deployment in sorted(app.deployments.items()):
        yield from _unplaced(deployment, placed, place)
    for _, release in sorted(app.releases.items()):
        for name in release.spec.deployments:
            yield from _released(release, app.deployments[release.refer(name)], app, place)


def _unplaced(deployment: AppDeployment, placed: Set[tuple[str, str]], place: PlaceOf) -> Iterator[Problem]:
    key = Key("AppDeployment", deployment.ref)
    for name, component in sorted(deployment.spec.components.items()):
        if (name, component.build) not in placed:
            what = f"component {name} is at build {component.build}, which no Build record places"
            fix = "Add a Build record with its endpoints; until then requests to it are answered 503"
            yield Problem(place(key), Reason.UNPLACED_BUILD, what, fix, str(key), Severity.WARNING)


def _released(release: Release, deployment: AppDeployment, app: AppWorld, place: PlaceOf) -> Iterator[Problem]:
    key = Key("Release", release.ref)
    if deployment.spec.version is None:
        what = f"deployment {deployment.ref.word} has no version: editing it changes traffic without a release"
        fix = "Release a deployment with a version"
        yield Problem(place(key), Reason.MUTABLE_RELEASED, what, fix, str(key), Severity.WARNING)
    for name in entries_without_endpoints(deployment, app):
        what = f"component {name} of {deployment.ref.word} has no endpoint left; its requests are answered 503"
        fix = "Add an address to its Build record, or release another deployment"
        yield Problem(place(key), Reason.NO_ENDPOINTS, what, fix, str(key), Severity.WARNING)
