"""The live set of builds is the union over all deployments; a build that none names leaves the mesh.

A build that one deployment names is *owned* by it; one that several name is *shared*.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.models import AppDeployment

Users = Mapping[BuildId, frozenset[Ref]]
"""Every live build with the deployments that name it."""


def builds_of(deployment: AppDeployment) -> frozenset[BuildId]:
    app = deployment.refer(deployment.spec.app)
    return frozenset(BuildId(app, name, component.build) for name, component in deployment.spec.components.items())


def distil(deployments: Iterable[AppDeployment]) -> Users:
    users: defaultdict[BuildId, set[Ref]] = defaultdict(set)
    for deployment in deployments:
        app, who = deployment.refer(deployment.spec.app), deployment.ref
        for name, component in deployment.spec.components.items():
            users[BuildId(app, name, component.build)].add(who)
    return {build: frozenset(users[build]) for build in sorted(users)}


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a deployment has to itself, which leaves the mesh with it, and what it shares, with whom."""

    owns: tuple[BuildId, ...]
    shares: Mapping[BuildId, frozenset[Ref]]


def footprint(users: Users, deployment: Ref) -> Footprint:
    named = {build: who - {deployment} for build, who in users.items() if deployment in who}
    return Footprint(
        owns=tuple(build for build, others in named.items() if not others),
        shares={build: others for build, others in named.items() if others},
    )


@dataclass(frozen=True, slots=True)
class Shift:
    """What changed in the mesh from one set of deployments to another.

    `shared` and `owned` are builds that stay and turn from owned to shared and back: from then on a call without a
    context can, or can no longer, be told by its build alone.
    """

    arrived: tuple[BuildId, ...]
    left: tuple[BuildId, ...]
    shared: tuple[BuildId, ...]
    owned: tuple[BuildId, ...]


def shift(before: Users, after: Users) -> Shift:
    stay = [build for build in after if build in before]
    return Shift(
        arrived=tuple(build for build in after if build not in before),
        left=tuple(build for build in before if build not in after),
        shared=tuple(build for build in stay if len(before[build]) == 1 < len(after[build])),
        owned=tuple(build for build in stay if len(after[build]) == 1 < len(before[build])),
    )
