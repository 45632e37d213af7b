"""What each app contributes to a gateway, and the snapshot that they make together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.versions import Minor
from xds_server.records.models import Gateway
from xds_server.resources.access_logs import access_log_clusters
from xds_server.resources.apps import AppParts, StyledApp
from xds_server.resources.extensions import Call, Extensions, Origin, call
from xds_server.resources.listeners import listener_resources, open_listeners
from xds_server.resources.route_configurations import Hosts, route_configuration
from xds_server.resources.virtual_hosts import template_body, unknown_body
from xds_server.snapshot import NOTHING, Delivery, Resource, Resources, Snapshot, TypeUrl
from xds_server.traffic.hosts import releases_at
from xds_server.traffic.style import Style, style_of


@dataclass(frozen=True, slots=True, eq=False)
class Contribution:
    """What a gateway has because of one app. `newer`: hosts that not every supported Envoy knows whole."""

    clusters: Mapping[str, Resource]
    hosts: Mapping[str, bytes]
    calls: tuple[Call, ...] = ()
    newer: Mapping[str, Minor] = field(default_factory=dict)


NO_CONTRIBUTION = Contribution({}, {})


def contribution(gateway: Ref, style: Style, parts: AppParts, styled: StyledApp) -> Contribution:
    """A gateway that serves explicit requests has every deployment; any other has what its releases name."""
    here = releases_at(parts.world, gateway)
    hosts = {host: body for release in here for host, body in styled.released[release.ref].items()}
    if style.serves_explicit:
        wanted: Iterable[Ref] = parts.clusters
        own = ((style.host_of(ref), each.host) for ref, each in styled.deployments.items())
        hosts.update((domain, body) for domain, body in own if domain is not None and body is not None)
    else:
        wanted = {release.refer(name) for release in here for name in release.spec.deployments}
    return Contribution({each.name: each for ref in wanted for each in parts.clusters[ref]}, hosts)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayParts:
    """A gateway and everything its proxies could be told. `own`: its listeners before extensions."""

    record: Gateway
    style: Style
    contributions: Map[Ref, Contribution]
    hosts: Hosts
    snapshot: Snapshot
    own: Resources = NOTHING
    calls: tuple[Call, ...] = ()

    @property
    def snapshots(self) -> Mapping[Delivery, Snapshot]:
        """What is told in each delivery."""
        return dict.fromkeys(Delivery, self.snapshot)


UNTOLD = Snapshot({}, serial=-1)


def new_gateway(record: Gateway) -> GatewayParts:
    """A gateway that no app has contributed to and no proxy has been told of."""
    style = style_of(record)
    own: list[tuple[str, bytes | None]] = [("*", unknown_body())]
    if style.template:
        own.append(("*" + style.template, template_body(style)))
    return GatewayParts(record, style, Map(), Hosts().replaced(own), UNTOLD)


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the gateway's last snapshot, and the serial of a new one.

    `told` is what its proxies have, in whatever style.
    """

    contributions: Mapping[Ref, Contribution]
    endpoints: Resources
    changed_endpoints: frozenset[str]
    secrets: Resources
    serial: int
    told: Snapshot
    extensions: Extensions | None


def updated_gateway(gateway: GatewayParts, record: Gateway, changes: Changes) -> GatewayParts:
    """The gateway with these contributions; the same object if nothing that a proxy could be told has changed."""
    pairs = [
        (gateway.contributions.get(app, NO_CONTRIBUTION), new) for app, new in sorted(changes.contributions.items())
    ]
    before = gateway.snapshot
    clusters, changed_clusters = merged(
        before.of(TypeUrl.CLUSTER),
        [
            (access_log_clusters(gateway.record), access_log_clusters(record)),
            *((old.clusters, new.clusters) for old, new in pairs),
        ],
    )
    hosts = _merged_hosts(gateway.hosts, pairs)
    own = _listeners(record, changes.secrets, gateway)
    listeners, calls = _extended(record, own, changes)
    routes = _routes(listeners, hosts, gateway)
    changed = {
        TypeUrl.CLUSTER: changed_clusters,
        TypeUrl.ENDPOINTS: changes.changed_endpoints,
        TypeUrl.SECRET: _difference(before.of(TypeUrl.SECRET), changes.secrets),
        TypeUrl.LISTENER: _difference(before.of(TypeUrl.LISTENER), listeners),
        TypeUrl.ROUTES: _difference(before.of(TypeUrl.ROUTES), routes),
    }
    resources = {
        TypeUrl.CLUSTER: clusters,
        TypeUrl.ENDPOINTS: changes.endpoints,
        TypeUrl.SECRET: changes.secrets,
        TypeUrl.LISTENER: listeners,
        TypeUrl.ROUTES: routes,
    }
    snapshot = before
    if before is UNTOLD or any(changed.values()):
        snapshot = before.followed_by(resources, changes.serial, changed)
    contributions = _kept(gateway.contributions, changes.contributions)
    return GatewayParts(record, gateway.style, contributions, hosts, snapshot, own, calls)


def _kept(before: Map[Ref, Contribution], new: Mapping[Ref, Contribution]) -> Map[Ref, Contribution]:
    kept = before.mutate()
    for app, each in new.items():
        if each is NO_CONTRIBUTION:
            kept.pop(app, None)
        else:
            kept[app] = each
    return kept.finish()


def merged(
    before: Resources, pairs: Iterable[tuple[Mapping[str, Resource], Mapping[str, Resource]]]
) -> tuple[Resources, frozenset[str]]:
    changed = set()
    merged = before.mutate()
    both = list(pairs)
    for old, new in both:
        for name in old.keys() - new.keys():
            del merged[name]
            changed.add(name)
    for _, new in both:
        for name, resource in new.items():
            if merged.get(name) != resource:
                merged[name] = resource
                changed.add(name)
    return merged.finish(), frozenset(changed)


def _merged_hosts(before: Hosts, pairs: Iterable[tuple[Contribution, Contribution]]) -> Hosts:
    changes: dict[str, bytes | None] = {}
    newer: dict[str, Minor] = {}
    for old, new in pairs:
        changes.update(dict.fromkeys(old.hosts.keys() - new.hosts.keys()))
    for _, new in pairs:
        changes.update(
            (host, body) for host, body in new.hosts.items() if changes.get(host, before.bodies.get(host)) != body
        )
        newer.update(new.newer)
    return before.replaced(changes.items(), newer) if changes else before


def _listeners(record: Gateway, secrets: Resources, before: GatewayParts) -> Resources:
    """Made anew only for another record or secrets."""
    told = before.snapshot
    if before.record is record and told is not UNTOLD and secrets is told.of(TypeUrl.SECRET):
        return before.own
    made = (listener_resources(record, listener) for listener in open_listeners(record, secrets))
    return NOTHING.update({each.name: each for both in made for each in both})


def _extended(record: Gateway, own: Resources, changes: Changes) -> tuple[Resources, tuple[Call, ...]]:
    """The listeners with what extensions made of them. One that is withheld is not opened."""
    extensions = changes.extensions
    names = extensions.wanted(record, TypeUrl.LISTENER) if extensions else ()
    if extensions is None or not names:
        return own, ()
    before = changes.told.of(TypeUrl.LISTENER)
    origin = Origin(record, None, record.ref.word)
    calls = {name: call((TypeUrl.LISTENER, name), made.body, names, origin) for name, made in own.items()}
    found = {name: extensions.resource(this, own[name], before.get(name)) for name, this in calls.items()}
    return NOTHING.update({name: each for name, each in found.items() if each is not None}), tuple(calls.values())


def _routes(listeners: Resources, hosts: Hosts, before: GatewayParts) -> Resources:
    """Made anew only for other listeners or other hosts."""
    told = before.snapshot
    if listeners == told.of(TypeUrl.LISTENER) and hosts is before.hosts:
        return told.of(TypeUrl.ROUTES)
    names = {name for each in listeners.values() for name in each.needs}
    return NOTHING.update({name: route_configuration(name, before.style, hosts) for name in names})


def _difference(before: Resources, after: Resources) -> frozenset[str]:
    if before is after:
        return frozenset()
    names = {*before, *after}
    return frozenset(name for name in names if before.get(name) != after.get(name))
