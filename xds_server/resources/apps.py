"""What one app gives to every gateway. A piece is reused while the records that it comes from are the same objects."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.graph import builds_of, distil
from xds_server.records.models import Build, Protocol
from xds_server.records.world import AppWorld
from xds_server.resources.branches import Try
from xds_server.resources.clusters import clusters
from xds_server.resources.endpoints import assignment
from xds_server.resources.metadata import virtual_host_metadata
from xds_server.resources.virtual_hosts import StyledDeployment, explicit_try, released_body, styled_deployment
from xds_server.snapshot import Resource
from xds_server.traffic.hosts import released_hosts
from xds_server.traffic.style import Style

Placed = tuple[Build, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AppParts:
    """The endpoints of an app's live builds and the clusters of its deployments."""

    world: AppWorld
    placed: Mapping[BuildId, Placed]
    endpoints: Mapping[str, Resource]
    clusters: Mapping[Ref, tuple[Resource, ...]]
    protocols: Mapping[BuildId, Protocol]


def app_parts(world: AppWorld, before: AppParts | None) -> AppParts:
    live = distil(world.deployments.values())
    records = _records(world)
    placed = {build: tuple(records.get(build, ())) for build in live}
    protocols = {build: found[0].spec.protocol for build, found in placed.items() if found}
    return AppParts(
        world=world,
        placed=placed,
        endpoints={build.word: _assignment(build, found, before) for build, found in placed.items()},
        clusters=_clusters(world, protocols, before),
        protocols=protocols,
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
    world: AppWorld, protocols: Mapping[BuildId, Protocol], before: AppParts | None
) -> Mapping[Ref, tuple[Resource, ...]]:
    """A deployment's clusters are reused unless it, or the protocol of a build that it names, is another."""
    made: dict[Ref, tuple[Resource, ...]] = {}
    moved = _differing(before.protocols, protocols) if before else set[BuildId]()
    for ref, record in world.deployments.items():
        same = before is not None and before.world.deployments.get(ref) is record
        if before is not None and same and moved.isdisjoint(builds_of(record) if moved else ()):
            made[ref] = before.clusters[ref]
        else:
            made[ref] = clusters(record, protocols)
    return made


def _differing(one: Mapping[BuildId, Protocol], other: Mapping[BuildId, Protocol]) -> set[BuildId]:
    return {build for build in (one.keys() & other.keys()) if one[build] is not other[build]} | (
        one.keys() ^ other.keys()
    )


@dataclass(frozen=True, slots=True, eq=False)
class StyledApp:
    """An app's encoded virtual hosts for gateways of one style: of each release, and each deployment's own.

    `explicit` is what every virtual host of a release begins with: the lookup of the deployment by name.
    """

    world: AppWorld
    deployments: Mapping[Ref, StyledDeployment]
    explicit: Try | None
    released: Mapping[Ref, Mapping[str, bytes]]


def styled_app(world: AppWorld, style: Style, before: StyledApp | None) -> StyledApp:
    if before is not None and _same_routing(before.world, world):
        return before
    kept = before.deployments if before else {}
    deployments = {
        ref: kept[ref] if ref in kept and kept[ref].record is record else styled_deployment(style, record)
        for ref, record in sorted(world.deployments.items())
    }
    same = before is not None and before.world.deployments is world.deployments
    explicit = before.explicit if before and same else explicit_try(style, deployments)
    released = {
        ref: {
            host.host: released_body(deployments, explicit, host) + virtual_host_metadata(ref)
            for host in released_hosts(world, release)
        }
        for ref, release in world.releases.items()
    }
    return StyledApp(world, deployments, explicit, released)


def _same_routing(one: AppWorld, other: AppWorld) -> bool:
    return one.deployments is other.deployments and one.releases is other.releases and one.expired == other.expired
