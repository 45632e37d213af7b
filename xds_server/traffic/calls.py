"""What calls inside the mesh get: beside the build that calls, and beside the one that is called.

A call that carries a context, the name of its deployment, goes to the component of that deployment, or nowhere: the
deployment must contain the build, have the component, and declare the call. A call that carries none begins a chain of
its own (a timer, a background job). From a build of one deployment it is that one's; from a build that several share,
it is what the record `App` says in `withoutContext`: the release's default by weight, or a refusal. It is never given a
deployment that does not contain the build: the weights are those of the deployments that do, and where none of them has
any, the oldest has the call, as it had before the others came.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from xds_server.domain.builds import BuildId
from xds_server.domain.names import DEFAULT_NAMESPACE, Ref
from xds_server.graph import builds_of
from xds_server.records.models import AppDeployment, Release, TrafficPolicy, WithoutContext
from xds_server.records.world import AppWorld
from xds_server.traffic.hosts import default_of
from xds_server.traffic.intents import (
    BUILD_UNKNOWN,
    CALL_UNDECLARED,
    COMPONENT_ABSENT,
    COMPONENT_UNKNOWN,
    NO_CONTEXT,
    DefaultIntent,
    Refusal,
)
from xds_server.traffic.slots import restricted

UNDATED = datetime.max.replace(tzinfo=UTC)
"""Of a deployment that has no age: later than all that have one."""


@dataclass(frozen=True, slots=True)
class Target:
    """A component of a deployment, and how requests are carried to it. `record`: the deployment for whoever calls."""

    deployment: Ref
    component: str
    policy: TrafficPolicy
    record: AppDeployment


@dataclass(frozen=True, slots=True)
class Callee:
    """A component that a build may name. `hosts`: what it may call it. `contexts`: what that is in each deployment that
    contains the build.
    """

    component: str
    hosts: tuple[str, ...]
    contexts: Mapping[Ref, Target | Refusal]


@dataclass(frozen=True, slots=True)
class Oldest:
    """Of the deployments that share a build, the one whose it was first. `because`: why no release says otherwise."""

    deployment: Ref
    because: str


Without = Ref | DefaultIntent | Oldest | Refusal
"""What a request gets that carries no context: the only deployment of the build, or by the release, or the oldest."""


@dataclass(frozen=True, slots=True)
class Calls:
    """What the instances of one build call, and are called by. `contexts`: the deployments that contain it, and
    `records`, those. `inbound`: those of which it is called, which may be more.

    `without`: which of them a request has that names none.
    """

    build: BuildId
    contexts: tuple[Ref, ...]
    callees: tuple[Callee, ...]
    without: Without
    inbound: tuple[Ref, ...]
    records: tuple[AppDeployment, ...]

    @property
    def to_nobody(self) -> Refusal:
        """What a call gets whose host is no component."""
        return COMPONENT_UNKNOWN if self.contexts else BUILD_UNKNOWN


def calls_of(app: AppWorld, build: BuildId) -> Calls:
    """A build that no deployment contains calls nobody."""
    users = dict(_users(app, build))
    names = sorted({name for each in users.values() for name in each.spec.components})
    callees = tuple(_callee(build, name, users) for name in names)
    called = {*users, *(ref for ref, each in app.inbound.items() if build in builds_of(each))}
    without = without_context(app, tuple(users))
    return Calls(build, tuple(users), callees, without, tuple(sorted(called)), tuple(users.values()))


def _users(app: AppWorld, build: BuildId) -> Iterator[tuple[Ref, AppDeployment]]:
    """Of a deployment that changes, a build that it does not have, or no more, sees what it will be, or was."""
    for ref, newest in sorted(app.deployments.items()):
        found = (each for each in (newest, app.inbound.get(ref)) if each is not None and build in builds_of(each))
        record = next(found, None)
        if record is not None:
            yield ref, record


def without_context(app: AppWorld, users: tuple[Ref, ...]) -> Without:
    """What a request gets that carries no context, from or at a build of these deployments."""
    if len(users) <= 1:
        return users[0] if users else BUILD_UNKNOWN
    said = app.settings.spec.without_context if app.settings is not None else WithoutContext.RELEASED
    if said is WithoutContext.REFUSE:
        return NO_CONTEXT
    release = release_for_calls(app)
    if release is not None:
        return _released(app, release, users)
    if app.releases or said is not WithoutContext.RELEASED:
        return NO_CONTEXT
    return _oldest(app, users, "the app has no release")


def _released(app: AppWorld, release: Release, users: tuple[Ref, ...]) -> DefaultIntent | Oldest:
    """A release may have audiences only."""
    given = default_of(app.app, release)
    ranges = restricted(given.ranges, users)
    if ranges:
        return replace(given, ranges=ranges)
    gives = "gives users none that has it" if given.ranges else "is for its audiences only"
    return _oldest(app, users, f"Release {release.ref.word} {gives}")


def _oldest(app: AppWorld, users: tuple[Ref, ...], because: str) -> Oldest:
    """One that is on its way out only if all are."""
    return Oldest(min(users, key=lambda ref: (app.since.get(ref, UNDATED), ref)), because)


def release_for_calls(app: AppWorld) -> Release | None:
    """What gives calls without a context a deployment: the release that the record names, else the only one."""
    settings = app.settings
    if settings is not None and not isinstance(settings.spec.without_context, WithoutContext):
        return app.releases.get(settings.refer(settings.spec.without_context.release))
    return next(iter(app.releases.values())) if len(app.releases) == 1 else None


def _callee(build: BuildId, component: str, users: Mapping[Ref, AppDeployment]) -> Callee:
    found = {ref: _target(build.component, component, each) for ref, each in users.items()}
    return Callee(component, tuple(_hosts(build.app, component)), found)


def _target(caller: str, callee: str, deployment: AppDeployment) -> Target | Refusal:
    components = deployment.spec.components
    if callee not in components:
        return COMPONENT_ABSENT
    declared = components[caller].calls
    if declared is not None and callee not in declared:
        return CALL_UNDECLARED
    return Target(deployment.ref, callee, components[callee].policy, deployment)


def _hosts(app: Ref, component: str) -> Iterator[str]:
    """`cart` and `cart.shop`; in another namespace than `default`, `cart.shop.prod` too. Each may end with a dot."""
    names = [component, f"{component}.{app.name}"]
    if app.namespace != DEFAULT_NAMESPACE:
        names.append(f"{component}.{app.name}.{app.namespace}")
    for each in names:
        yield each
        yield f"{each}."
