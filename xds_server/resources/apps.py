"""What one app gives to every gateway. A piece is reused while the records that it comes from are the same objects."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import builds_of, distil
from xds_server.records.models import AppDeployment, Build, Protocol, Retries
from xds_server.records.world import AppWorld
from xds_server.resources.actions import usual_retries
from xds_server.resources.branches import Try
from xds_server.resources.clusters import clusters
from xds_server.resources.endpoints import assignment
from xds_server.resources.metadata import virtual_host_metadata
from xds_server.resources.upstreams import Upstream, upstream
from xds_server.resources.virtual_hosts import (
    StyledDeployment,
    explicit_try,
    released_body,
    released_needs,
    styled_deployment,
)
from xds_server.snapshot import Resource
from xds_server.traffic.hosts import released_hosts
from xds_server.traffic.style import Style

Placed = tuple[Build, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AppParts:
    """The endpoints of an app's live builds and the clusters of its deployments. Builds in DNS have no endpoints here.

    `grpc`: the builds that speak it, which is all that routes have to know of them; the same object while it is equal.
    """

    world: AppWorld
    placed: Mapping[BuildId, Placed]
    endpoints: Mapping[str, Resource]
    clusters: Mapping[Ref, tuple[Resource, ...]]
    upstreams: Mapping[BuildId, Upstream]
    grpc: frozenset[BuildId]


def app_parts(world: AppWorld, before: AppParts | None, beside: Iterable[BuildId] = ()) -> AppParts:
    """`beside`: builds that shall be known although no deployment may contain them."""
    users = distil([*world.deployments.values(), *world.inbound.values()])
    live = dict.fromkeys([*users, *sorted(beside)])
    records = _records(world)
    placed = {build: tuple(records.get(build, ())) for build in live}
    upstreams = {build: upstream(found) for build, found in placed.items() if found}
    grpc = frozenset(build for build, each in upstreams.items() if each.protocol is Protocol.GRPC)
    return AppParts(
        world=world,
        placed=placed,
        endpoints={
            build.word: _assignment(build, found, before)
            for build, found in placed.items()
            if build not in upstreams or not upstreams[build].dns
        },
        clusters=_clusters(world, upstreams, before),
        upstreams=upstreams,
        grpc=before.grpc if before is not None and before.grpc == grpc else grpc,
    )


def _records(world: AppWorld) -> Mapping[BuildId, list[Build]]:
    records: defaultdict[BuildId, list[Build]] = defaultdict(list)
    for _, record in sorted(world.builds.items()):
        records[BuildId(world.app, record.spec.component, record.spec.build)].append(record)
    return records


def _assignment(build: BuildId, found: Placed, before: AppParts | None) -> Resource:
    if before is not None and build in before.placed and _same(before.placed[build], found):
        return before.endpoints[build.word]
    return assignment(build, found)


def _same(one: Placed, other: Placed) -> bool:
    return len(one) == len(other) and all(a is b for a, b in zip(one, other, strict=True))


def _clusters(
    world: AppWorld, upstreams: Mapping[BuildId, Upstream], before: AppParts | None
) -> Mapping[Ref, tuple[Resource, ...]]:
    """A deployment's clusters are reused unless it, or how a build that it names is spoken to, is another."""
    made: dict[Ref, tuple[Resource, ...]] = {}
    moved = _differing(before.upstreams, upstreams) if before else set[BuildId]()
    for ref, record in world.deployments.items():
        same = before is not None and before.world.deployments.get(ref) is record
        if before is not None and same and moved.isdisjoint(builds_of(record) if moved else ()):
            made[ref] = before.clusters[ref]
        else:
            made[ref] = clusters(record, upstreams)
    return made


def _differing(one: Mapping[BuildId, Upstream], other: Mapping[BuildId, Upstream]) -> set[BuildId]:
    return {build for build in one.keys() | other.keys() if one.get(build) != other.get(build)}


@dataclass(frozen=True, slots=True, eq=False)
class StyledApp:
    """An app's encoded virtual hosts for gateways of one style: of each release, and each deployment's own.

    `usual` is what its virtual hosts say of retries, for the routes that say nothing else. `explicit` is what every
    virtual host of a release begins with: the lookup of the deployment by name. `needs`: the clusters that shall be
    warm before a virtual host is used.
    """

    world: AppWorld
    grpc: frozenset[BuildId]
    usual: Retries | None
    deployments: Mapping[Ref, StyledDeployment]
    explicit: Try | None
    released: Mapping[Ref, Mapping[str, bytes]]
    needs: Mapping[Ref, Mapping[str, tuple[str, ...]]]


def styled_app(parts: AppParts, style: Style, before: StyledApp | None) -> StyledApp:
    world = parts.world
    same = before is not None and before.grpc is parts.grpc
    if before is not None and same and _same_routing(before.world, world):
        return before
    kept = before.deployments if before else {}
    same = same and before is not None and before.world.deployments is world.deployments
    usual = before.usual if before and same else _usual_retries(world)
    deployments = {
        ref: _styled_deployment(style, record, (_grpc(record, parts.grpc), usual), kept.get(ref))
        for ref, record in sorted(world.deployments.items())
    }
    explicit = before.explicit if before and same else explicit_try(style, deployments)
    released, needs = {}, {}
    for ref, release in world.releases.items():
        hosts = released_hosts(world, release)
        said = virtual_host_metadata(ref)
        released[ref] = {each.host: released_body(style, deployments, explicit, each, usual) + said for each in hosts}
        needs[ref] = {each.host: released_needs(deployments, release, each) for each in hosts}
    return StyledApp(world, parts.grpc, usual, deployments, explicit, released, needs)


def _usual_retries(world: AppWorld) -> Retries | None:
    return usual_retries(
        each.policy
        for _, record in sorted(world.deployments.items())
        for each in record.spec.components.values()
        if each.routes
    )


def _styled_deployment(
    style: Style,
    record: AppDeployment,
    how: tuple[frozenset[str], Retries | None],
    kept: StyledDeployment | None,
) -> StyledDeployment:
    """`how`: its components that speak gRPC, and what its app usually tries again."""
    if kept is not None and kept.record is record and (kept.grpc, kept.usual) == how:
        return kept
    return styled_deployment(style, record, *how)


def _grpc(record: AppDeployment, grpc: frozenset[BuildId]) -> frozenset[str]:
    return frozenset(build.component for build in builds_of(record) & grpc) if grpc else frozenset()


def _same_routing(one: AppWorld, other: AppWorld) -> bool:
    return one.deployments is other.deployments and one.releases is other.releases and one.expired == other.expired
