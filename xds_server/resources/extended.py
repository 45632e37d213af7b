"""What apps give to gateways, with what extensions made of it. Apps whose records ask for none cost one look each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.versions import OLDEST
from xds_server.messages.since import since
from xds_server.records.extensions import extensions_of
from xds_server.records.models import AppDeployment
from xds_server.resources.apps import AppParts, StyledApp
from xds_server.resources.contributions import Contribution
from xds_server.resources.extensions import VIRTUAL_HOST, Call, Extensions, Origin, call
from xds_server.resources.gateways import GatewayParts
from xds_server.resources.virtual_hosts import named, withheld_body
from xds_server.snapshot import NOTHING, Resource, Resources, TypeUrl
from xds_server.traffic.style import Style

NO_HOSTS: Map[str, bytes] = Map()


@dataclass(frozen=True, slots=True, eq=False)
class Assigned:
    """The assignments of an app's builds, of which extensions have changed some."""

    endpoints: Mapping[str, Resource]
    calls: tuple[Call, ...]


def assigned(parts: AppParts, before: Resources, extensions: Extensions) -> Assigned | None:
    """None if no record asks for extensions. Of several records of a build, the first one's is the context.

    A build in DNS has no assignment, so there is nothing to extend.
    """
    endpoints = dict(parts.endpoints)
    calls = []
    for build, records in parts.placed.items():
        wanted = [(record, extensions.wanted(record, TypeUrl.ENDPOINTS)) for record in records]
        names = tuple(dict.fromkeys(name for _, found in wanted for name in found))
        made = endpoints.pop(build.word, None) if names else None
        if made is not None:
            record = next(record for record, found in wanted if found)
            calls.append(call((TypeUrl.ENDPOINTS, made.name), made.body, names, Origin(record, parts.world.app)))
            told = extensions.resource(calls[-1], made, before.get(made.name))
            if told is not None:
                endpoints[build.word] = told
    return Assigned(endpoints, tuple(calls)) if calls else None


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """A gateway, what its proxies have (in whatever style it was until now), and the extensions."""

    gateway: Ref
    style: Style
    told: GatewayParts | None
    extensions: Extensions


def extended(made: Contribution, parts: AppParts, styled: StyledApp, scope: Scope) -> Contribution:
    """What an app gives to a gateway, with what extensions made of it."""
    deployments = [each for each in parts.world.deployments.values() if extensions_of(each)]
    releases = [each for each in parts.world.releases.values() if extensions_of(each)]
    if not deployments and not releases:
        return made
    clusters, hosts = dict(made.clusters), dict(made.hosts)
    calls: list[Call] = []
    for deployment in deployments:
        calls += _extend_clusters(clusters, deployment, parts, scope)
        own = styled.deployments[deployment.ref].host
        template = {deployment.ref.word + scope.style.template: own} if own is not None else {}
        calls += _extend_hosts(hosts, template, Origin(deployment, parts.world.app, scope.gateway.word), scope)
    for release in releases:
        origin = Origin(release, parts.world.app, scope.gateway.word)
        calls += _extend_hosts(hosts, styled.released[release.ref], origin, scope)
    mine = (each.slot.name for each in calls if each.slot.type_url == VIRTUAL_HOST)
    newer = {host: found for host in mine if (found := since(VIRTUAL_HOST, hosts[host])) > OLDEST}
    return Contribution(clusters, hosts, made.needs, tuple(calls), newer)


def _extend_clusters(
    clusters: dict[str, Resource], record: AppDeployment, parts: AppParts, scope: Scope
) -> Iterator[Call]:
    names = scope.extensions.wanted(record, TypeUrl.CLUSTER)
    before = scope.told.snapshot.of(TypeUrl.CLUSTER) if scope.told else NOTHING
    for made in parts.clusters[record.ref] if names else ():
        if made.name in clusters:
            this = call((TypeUrl.CLUSTER, made.name), made.body, names, Origin(record, parts.world.app))
            told = scope.extensions.resource(this, made, before.get(made.name))
            if told is not None:
                clusters[made.name] = told
            else:
                del clusters[made.name]
            yield this


def _extend_hosts(hosts: dict[str, bytes], made: Mapping[str, bytes], origin: Origin, scope: Scope) -> Iterator[Call]:
    """A host that is withheld is refused by name: without, a wildcard might serve it, unguarded."""
    names = scope.extensions.wanted(origin.record, VIRTUAL_HOST)
    before = scope.told.hosts.bodies if scope.told else NO_HOSTS
    for host, body in made.items() if names else ():
        if hosts.get(host) is body:
            this = call((VIRTUAL_HOST, host), named(host, body), names, origin)
            told = scope.extensions.body(this, before.get(host))
            hosts[host] = told if told is not None else withheld_body(host)
            yield this
