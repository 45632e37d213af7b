"""A gateway, and the snapshots of what its proxies could be told: one for each delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from immutables import Map

from xds_server.domain import names
from xds_server.domain.names import Ref
from xds_server.records import models
from xds_server.records.models import Gateway
from xds_server.resources.access_logs import access_log_clusters
from xds_server.resources.contributions import NO_CONTRIBUTION, Contribution, Merged, merged, merged_hosts
from xds_server.resources.extensions import Call, Extensions, Origin, call
from xds_server.resources.listeners import listener_resources, open_listeners
from xds_server.resources.on_demand import UNASKED_BEFORE, virtual_hosts
from xds_server.resources.route_configurations import Hosts, on_demand_configuration, route_configuration
from xds_server.resources.virtual_hosts import template_body, unknown_body
from xds_server.snapshot import NOTHING, Delivery, Resources, Snapshot, TypeUrl, difference
from xds_server.traffic.style import Style, style_of

UNTOLD = Snapshot({}, serial=-1)
NOBODY_TOLD: Mapping[Delivery, Snapshot] = dict.fromkeys(Delivery, UNTOLD)


@dataclass(frozen=True, slots=True, eq=False)
class GatewayParts:
    """A gateway and everything its proxies could be told.

    `snapshots`: in each delivery; the same one in both if the record says so. `own`: the listeners before extensions.
    """

    record: Gateway
    style: Style
    contributions: Map[Ref, Contribution]
    hosts: Hosts
    snapshots: Mapping[Delivery, Snapshot] = field(default_factory=lambda: NOBODY_TOLD)
    own: Mapping[Delivery, Resources] = field(default_factory=dict)
    calls: tuple[Call, ...] = ()

    @property
    def snapshot(self) -> Snapshot:
        """The full one: all that there is, each virtual host once for each listener."""
        return self.snapshots[Delivery.FULL]


def new_gateway(record: Gateway) -> GatewayParts:
    """A gateway that no app has contributed to and no proxy has been told of."""
    style = style_of(record)
    own: list[tuple[str, bytes | None]] = [("*", unknown_body())]
    if style.template:
        own.append(("*" + style.template, template_body(style)))
    return GatewayParts(record, style, Map(), Hosts().replaced(own))


@dataclass(frozen=True, slots=True)
class Changes:
    """What differs from the gateway's last snapshots, and the serial of new ones.

    `told` is what its proxies have, in whatever style.
    """

    contributions: Mapping[Ref, Contribution]
    endpoints: Resources
    changed_endpoints: frozenset[str]
    secrets: Resources
    serial: int
    told: Mapping[Delivery, Snapshot]
    extensions: Extensions | None


@dataclass(frozen=True, slots=True)
class _Turn:
    """A gateway that gets another snapshot: how it was, and what there is now in every delivery."""

    before: GatewayParts
    record: Gateway
    changes: Changes
    shared: Mapping[TypeUrl, Merged]
    hosts: Hosts
    domains: frozenset[str]


def updated_gateway(gateway: GatewayParts, record: Gateway, changes: Changes) -> GatewayParts:
    """The gateway with these contributions. A snapshot is the same object if nothing in it has changed."""
    pairs = [
        (gateway.contributions.get(app, NO_CONTRIBUTION), new) for app, new in sorted(changes.contributions.items())
    ]
    pairs = [*_sharing(gateway, changes.contributions, pairs), *pairs]
    before = gateway.snapshot
    own_clusters = access_log_clusters(gateway.record.spec.access_log), access_log_clusters(record.spec.access_log)
    clusters = [own_clusters, *((old.clusters, new.clusters) for old, new in pairs)]
    shared = {
        TypeUrl.CLUSTER: merged(before.of(TypeUrl.CLUSTER), clusters),
        TypeUrl.ENDPOINTS: (changes.endpoints, changes.changed_endpoints),
        TypeUrl.SECRET: (changes.secrets, difference(before.of(TypeUrl.SECRET), changes.secrets)),
    }
    hosts, domains = merged_hosts(gateway.hosts, pairs)
    turn = _Turn(gateway, record, changes, shared, hosts, domains)
    told = {delivery: _told(turn, delivery) for delivery in _deliveries(record)}
    return GatewayParts(
        record,
        gateway.style,
        _kept(gateway.contributions, changes.contributions),
        hosts,
        {delivery: told.get(delivery, told[Delivery.FULL]).snapshot for delivery in Delivery},
        {delivery: each.own for delivery, each in told.items()},
        tuple(call for each in told.values() for call in each.calls),
    )


def _sharing(
    gateway: GatewayParts, new: Mapping[Ref, Contribution], pairs: list[tuple[Contribution, Contribution]]
) -> list[tuple[Contribution, Contribution]]:
    """Of apps that stay as they are, those that have something which another one gives up. An app whose deployment has
    not left yet may have it beside the app that has it next.
    """
    hosts = frozenset(name for old, after in pairs for name in old.hosts.keys() - after.hosts.keys())
    clusters = frozenset(name for old, after in pairs for name in old.clusters.keys() - after.clusters.keys())
    if not (hosts or clusters):
        return []
    return [
        (each, each)
        for app, each in sorted(gateway.contributions.items())
        if app not in new and not (each.hosts.keys().isdisjoint(hosts) and each.clusters.keys().isdisjoint(clusters))
    ]


def _deliveries(record: Gateway) -> tuple[Delivery, ...]:
    return (Delivery.FULL,) if record.spec.delivery is models.Delivery.FULL else tuple(Delivery)


class _Told(NamedTuple):
    snapshot: Snapshot
    own: Resources
    calls: tuple[Call, ...]


def _told(turn: _Turn, delivery: Delivery) -> _Told:
    """What is told in one delivery. Where it is new, all of it differs."""
    on_demand = delivery is Delivery.ON_DEMAND
    before = turn.before.snapshots[delivery]
    before = before if before.on_demand is on_demand else UNTOLD
    own = _listeners(turn, delivery, before)
    listeners, calls = _extended(turn, own, delivery)
    routed = frozenset(name for each in listeners.values() for name in each.needs)
    found = {
        **turn.shared,
        TypeUrl.LISTENER: (listeners, difference(before.of(TypeUrl.LISTENER), listeners)),
        **(_asked_for(turn, routed, before) if on_demand else _whole(turn, routed, before)),
    }
    resources = {kind: each for kind, (each, _) in found.items()}
    if before is not UNTOLD and not any(changed for _, changed in found.values()):
        return _Told(before, own, calls)
    changed = {
        kind: names if before is not UNTOLD else frozenset(resources[kind]) for kind, (_, names) in found.items()
    }
    base = _on_demand(before, turn.record, routed) if on_demand else before
    return _Told(base.followed_by(resources, turn.changes.serial, changed), own, calls)


def _kept(before: Map[Ref, Contribution], new: Mapping[Ref, Contribution]) -> Map[Ref, Contribution]:
    kept = before.mutate()
    for app, each in new.items():
        if each is NO_CONTRIBUTION:
            kept.pop(app, None)
        else:
            kept[app] = each
    return kept.finish()


def _listeners(turn: _Turn, delivery: Delivery, told: Snapshot) -> Resources:
    """Made anew only for another record or secrets."""
    secrets = turn.changes.secrets
    if turn.before.record is turn.record and told is not UNTOLD and secrets is told.of(TypeUrl.SECRET):
        return turn.before.own[delivery]
    opened = open_listeners(turn.record, secrets)
    made = (listener_resources(turn.record, listener, delivery) for listener in opened)
    return NOTHING.update({each.name: each for both in made for each in both})


def _extended(turn: _Turn, own: Resources, delivery: Delivery) -> tuple[Resources, tuple[Call, ...]]:
    """The listeners with what extensions made of them. One that is withheld is not opened."""
    record, extensions = turn.record, turn.changes.extensions
    names = extensions.wanted(record, TypeUrl.LISTENER) if extensions else ()
    if extensions is None or not names:
        return own, ()
    on_demand = delivery is Delivery.ON_DEMAND
    told = turn.changes.told[delivery]
    before = told.of(TypeUrl.LISTENER) if told.on_demand is on_demand else NOTHING
    origin = Origin(record, None, record.ref.word, delivery if on_demand else "")
    calls = {name: call((TypeUrl.LISTENER, name), made.body, names, origin) for name, made in own.items()}
    found = {name: extensions.resource(this, own[name], before.get(name)) for name, this in calls.items()}
    return NOTHING.update({name: each for name, each in found.items() if each is not None}), tuple(calls.values())


def _whole(turn: _Turn, routed: frozenset[str], told: Snapshot) -> dict[TypeUrl, Merged]:
    """Route configurations with every virtual host. Made anew only for other listeners or other hosts."""
    before = told.of(TypeUrl.ROUTES)
    if turn.hosts is turn.before.hosts and routed == frozenset(before):
        return {TypeUrl.ROUTES: (before, frozenset())}
    routes = NOTHING.update({name: route_configuration(name, turn.hosts) for name in routed})
    return {TypeUrl.ROUTES: (routes, difference(before, routes))}


def _asked_for(turn: _Turn, routed: frozenset[str], told: Snapshot) -> dict[TypeUrl, Merged]:
    """Route configurations that send Envoy for virtual hosts, and those."""
    before = told.of(TypeUrl.ROUTES)
    routes = NOTHING.update({name: before.get(name) or on_demand_configuration(name) for name in routed})
    return {
        TypeUrl.ROUTES: (routes, difference(before, routes)),
        TypeUrl.VIRTUAL_HOST: _virtual_hosts(turn, routed, told),
    }


def _virtual_hosts(turn: _Turn, routed: frozenset[str], told: Snapshot) -> Merged:
    before, style, hosts = told.of(TypeUrl.VIRTUAL_HOST), turn.before.style, turn.hosts
    if routed == frozenset(told.of(TypeUrl.ROUTES)):
        return virtual_hosts(before, routed, style, hosts, turn.domains)
    made, _ = virtual_hosts(NOTHING, routed, style, hosts, [names.SENTINEL, *hosts.bodies])
    return made, difference(before, made) if before else frozenset(made)


def _on_demand(before: Snapshot, record: Gateway, routed: frozenset[str]) -> Snapshot:
    always = {
        TypeUrl.VIRTUAL_HOST: frozenset(names.virtual_host(each, names.SENTINEL) for each in routed),
        TypeUrl.CLUSTER: frozenset(access_log_clusters(record.spec.access_log)),
    }
    # The same object if it says the same: streams that have seen it need not look again.
    kept = before.always if before.always == always else always
    return replace(before, on_demand=True, always=kept, unasked_before=UNASKED_BEFORE)
