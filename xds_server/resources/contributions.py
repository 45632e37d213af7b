"""What each app gives to a gateway, and what that is together: only what is another one than before is looked at."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from xds_server.domain.names import Ref
from xds_server.domain.versions import Minor
from xds_server.resources.apps import AppParts, StyledApp
from xds_server.resources.extensions import Call
from xds_server.resources.route_configurations import Hosts
from xds_server.snapshot import Resource, Resources
from xds_server.traffic.hosts import releases_at
from xds_server.traffic.style import Style

Merged = tuple[Resources, frozenset[str]]
"""Resources of a type, and the names of those that have changed."""


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What a gateway has because of one app. `needs`: the clusters to which requests for a host may go. `newer`: hosts
    that not every supported Envoy knows whole.
    """

    clusters: Mapping[str, Resource]
    hosts: Mapping[str, bytes]
    needs: Mapping[str, tuple[str, ...]]
    calls: tuple[Call, ...] = ()
    newer: Mapping[str, Minor] = field(default_factory=dict)


NO_CONTRIBUTION = Contribution({}, {}, {})


def contribution(gateway: Ref, style: Style, parts: AppParts, styled: StyledApp) -> Contribution:
    """A gateway that serves explicit requests has every deployment; any other has what its releases name."""
    here = releases_at(parts.world, gateway)
    hosts = {host: body for release in here for host, body in styled.released[release.ref].items()}
    needs = {host: clusters for release in here for host, clusters in styled.needs[release.ref].items()}
    if style.serves_explicit:
        wanted: Iterable[Ref] = parts.clusters
        for ref, each in styled.deployments.items():
            domain = style.host_of(ref)
            if domain is not None and each.host is not None:
                hosts[domain], needs[domain] = each.host, each.needs
    else:
        wanted = {release.refer(name) for release in here for name in release.spec.deployments}
    return Contribution({each.name: each for ref in wanted for each in parts.clusters[ref]}, hosts, needs)


def merged(before: Resources, pairs: Iterable[tuple[Mapping[str, Resource], Mapping[str, Resource]]]) -> Merged:
    changed = set()
    merged = before.mutate()
    both = list(pairs)
    for old, new in both:
        for name in old.keys() - new.keys():
            merged.pop(name, None)
            changed.add(name)
    for _, new in both:
        for name, resource in new.items():
            if merged.get(name) != resource:
                merged[name] = resource
                changed.add(name)
    return merged.finish(), frozenset(changed)


def merged_hosts(before: Hosts, pairs: Iterable[tuple[Contribution, Contribution]]) -> tuple[Hosts, frozenset[str]]:
    """And the domains of which the virtual host, or what it needs, is another one."""
    changes: dict[str, bytes | None] = {}
    needs: dict[str, tuple[str, ...]] = {}
    newer: dict[str, Minor] = {}
    for old, new in pairs:
        gone = old.hosts.keys() - new.hosts.keys()
        changes.update(dict.fromkeys(gone))
        needs.update(dict.fromkeys(gone, ()))
    for _, new in pairs:
        changes.update(
            (host, body) for host, body in new.hosts.items() if changes.get(host, before.bodies.get(host)) != body
        )
        needs.update(
            (host, each) for host, each in new.needs.items() if needs.get(host, before.needs.get(host, ())) != each
        )
        newer.update(new.newer)
    after = before.replaced(changes.items(), newer) if changes else before
    return after.needing(needs.items()) if needs else after, frozenset({*changes, *needs})
