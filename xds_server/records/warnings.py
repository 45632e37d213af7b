"""What holds together but will surprise somebody: shown beside the record, and nothing is held back."""

from collections.abc import Callable, Iterable, Iterator, Set
from itertools import chain

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records.checks import Finding, entries_without_endpoints
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Component, Gateway, Protocol, Release, Retries
from xds_server.records.policies import GRPC_STATUS, TIMEOUT
from xds_server.records.shadows import never_given, never_routed
from xds_server.records.world import AppWorld
from xds_server.records.yaml import FieldPath

PlaceOf = Callable[[Key, FieldPath], Place]


def app_warnings(app: AppWorld, gateways: Map[Ref, Gateway], place: PlaceOf) -> Iterator[Problem]:
    placed = {(each.spec.component, each.spec.build) for each in app.builds.values()}
    for _, deployment in sorted(app.deployments.items()):
        yield from _unplaced(deployment, placed, place)
        key = Key("AppDeployment", deployment.ref)
        yield from _found(key, chain(_tries(deployment, app), never_routed(deployment)), place)
    for _, release in sorted(app.releases.items()):
        for name in release.spec.deployments:
            yield from _released(release, app.deployments[release.refer(name)], app, place)
        yield from _found(Key("Release", release.ref), never_given(release, gateways, app.expired), place)


def _found(key: Key, findings: Iterable[Finding], place: PlaceOf) -> Iterator[Problem]:
    for each in findings:
        yield Problem(place(key, each.path), each.reason, each.what, each.fix, str(key), Severity.WARNING)


def _unplaced(deployment: AppDeployment, placed: Set[tuple[str, str]], place: PlaceOf) -> Iterator[Problem]:
    key = Key("AppDeployment", deployment.ref)
    for name, component in sorted(deployment.spec.components.items()):
        if (name, component.build) not in placed:
            what = f"component {name} is at build {component.build}, which no Build record places"
            fix = "Add a Build record with its endpoints; until then requests to it are answered 503"
            yield Problem(place(key, ()), Reason.UNPLACED_BUILD, what, fix, str(key), Severity.WARNING)


def _tries(deployment: AppDeployment, app: AppWorld) -> Iterator[Finding]:
    for name, component in sorted(deployment.spec.components.items()):
        retries = component.policy.retries
        if retries is not None:
            yield from _never_retried(name, retries)
            yield from _no_late_try(name, component, retries, app)


def _never_retried(name: str, retries: Retries) -> Iterator[Finding]:
    """A gRPC call is a POST: on its status it is tried again only where the record says that it may."""
    if retries.careful and not GRPC_STATUS.isdisjoint(retries.on):
        said = ", ".join(each for each in retries.on if each in GRPC_STATUS)
        yield Finding(
            ("spec", "components", name, "policy", "retries", "on"),
            Reason.NEVER_RETRIED,
            f"component {name} is to be retried on {said}, but a gRPC call is a POST, which is not idempotent",
            "Write retries.methods: any if its calls may be repeated, or take the condition out",
        )


def _no_late_try(name: str, component: Component, retries: Retries, app: AppWorld) -> Iterator[Finding]:
    """Where no timeout is written, a request has the usual one; a gRPC call has none."""
    longest = retries.per_try_timeout
    if longest is None or longest <= TIMEOUT or component.policy.timeout is not None:
        return
    if not any(each.spec.protocol is Protocol.GRPC for each in app.placed(name, component.build)):
        yield Finding(
            ("spec", "components", name, "policy", "retries", "perTryTimeout"),
            Reason.NEVER_RETRIED,
            f"a try of component {name} may take {longest.total_seconds():.9g} s, but all of its tries together "
            f"{TIMEOUT.total_seconds():.9g} s, because it has no timeout: no late try is tried again",
            "Write policy.timeout, longer than retries.perTryTimeout",
        )


def _released(release: Release, deployment: AppDeployment, app: AppWorld, place: PlaceOf) -> Iterator[Problem]:
    key = Key("Release", release.ref)
    if deployment.spec.version is None:
        what = f"deployment {deployment.ref.word} has no version: editing it changes traffic without a release"
        fix = "Release a deployment with a version"
        yield Problem(place(key, ()), Reason.MUTABLE_RELEASED, what, fix, str(key), Severity.WARNING)
    for name in entries_without_endpoints(deployment, app):
        what = f"component {name} of {deployment.ref.word} has no endpoint left; its requests are answered 503"
        fix = "Add an address to its Build record, or release another deployment"
        yield Problem(place(key, ()), Reason.NO_ENDPOINTS, what, fix, str(key), Severity.WARNING)
