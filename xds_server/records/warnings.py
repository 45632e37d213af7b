"""What holds together but will surprise somebody: shown beside the record, and nothing is held back."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from itertools import chain

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.problems import Place, Problem, Reason, Severity
from xds_server.records.apps import FromRelease, WithoutContext
from xds_server.records.checks import Finding, entries_without_endpoints
from xds_server.records.documents import Key
from xds_server.records.models import AppDeployment, Component, Gateway, Protocol, Release, Retries
from xds_server.records.policies import GRPC_STATUS, TIMEOUT
from xds_server.records.shadows import never_given, never_routed
from xds_server.records.world import AppWorld
from xds_server.records.yaml import FieldPath

WITHOUT_CONTEXT: FieldPath = ("spec", "withoutContext")
PlaceOf = Callable[[Key, FieldPath], Place]


def app_warnings(app: AppWorld, gateways: Map[Ref, Gateway], place: PlaceOf) -> Iterator[Problem]:
    placed = {(each.spec.component, each.spec.build) for each in app.builds.values()}
    for _, deployment in sorted(app.deployments.items()):
        yield from _unplaced(deployment, placed, place)
        key = Key("AppDeployment", deployment.ref)
        yield from _found(key, chain(_tries(deployment, app), never_routed(deployment)), place)
    yield from _calls_of_nobody(app, place)
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


def _calls_of_nobody(app: AppWorld, place: PlaceOf) -> Iterator[Problem]:
    """A call without a context, from a build that deployments share, is to get what is released; but what is that?"""
    settings, known = app.settings, ", ".join(ref.word for ref in sorted(app.releases)) or "none"
    said = settings.spec.without_context if settings else WithoutContext.RELEASED
    if said is WithoutContext.RELEASED and len(app.releases) > 1 and _shared(app):
        where = Key("App", settings.ref) if settings else Key("Release", max(app.releases))
        yield from _found(where, [_no_release_named(app, known)], place)
    elif settings and isinstance(said, FromRelease) and settings.refer(said.release) not in app.releases:
        what = f"calls without a context are refused: the app has no Release {said.release}; it has: {known}"
        finding = Finding(WITHOUT_CONTEXT, Reason.NO_CALLS_RELEASE, what, "Name one that it has")
        yield from _found(Key("App", settings.ref), [finding], place)


def _no_release_named(app: AppWorld, known: str) -> Finding:
    component, build = _shared(app)[0]
    what = (
        f"calls without a context from {component}@{build}, and from any other build that deployments share, are "
        f"refused: the app has several releases: {known}"
    )
    fix = f"Write withoutContext: {{release: NAME}}, or refuse, in an App record named {app.app.name}"
    return Finding(WITHOUT_CONTEXT if app.settings else ("spec", "app"), Reason.NO_CALLS_RELEASE, what, fix)


def _shared(app: AppWorld) -> list[tuple[str, str]]:
    """Components at builds that several deployments name."""
    named = Counter(
        (name, component.build) for each in app.deployments.values() for name, component in each.spec.components.items()
    )
    return sorted(build for build, deployments in named.items() if deployments > 1)


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
