"""Where a build runs, as a `ClusterLoadAssignment`. Builds that no record places have an empty one."""

from collections import defaultdict
from collections.abc import Iterable

from xds_server.domain.builds import BuildId
from xds_server.messages.envoy import (
    Address,
    ClusterLoadAssignment,
    Endpoint,
    HealthStatus,
    LbEndpoint,
    Locality,
    LocalityLbEndpoints,
    SocketAddress,
)
from xds_server.records.models import Build
from xds_server.records.models import Endpoint as Instance
from xds_server.resources.content import resource
from xds_server.snapshot import Resource


def assignment(build: BuildId, placed: Iterable[Build]) -> Resource:
    """The union of what the records of one build say, in an order of its own.

    A draining instance is left out while there is another: Envoy lets its requests finish, and would send it new ones
    if it panicked for want of healthy ones.
    """
    found = {each.address: each for record in placed for each in record.spec.endpoints.addresses or ()}
    instances = {where: each for where, each in found.items() if not each.draining} or found
    zones: defaultdict[str, list[LbEndpoint]] = defaultdict(list)
    for address in sorted(instances):
        zones[instances[address].zone].append(_lb_endpoint(instances[address]))
    localities = [
        LocalityLbEndpoints(locality=Locality(zone=zone) if zone else None, lb_endpoints=zones[zone])
        for zone in sorted(zones)
    ]
    return resource(build.word, ClusterLoadAssignment(cluster_name=build.word, endpoints=localities))


def resolved(cluster: str, dns: Iterable[str]) -> ClusterLoadAssignment:
    """What a proxy resolves by itself: names with ports."""
    members = [LbEndpoint(endpoint=Endpoint(address=socket_address(name))) for name in dns]
    return ClusterLoadAssignment(cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=members)])


def socket_address(text: str) -> Address:
    """`10.0.0.4:8080`, `[::1]:8080` or `web.internal:8080`."""
    host, _, port = text.rpartition(":")
    return Address(socket_address=SocketAddress(address=host.removeprefix("[").removesuffix("]"), port_value=int(port)))


def _lb_endpoint(instance: Instance) -> LbEndpoint:
    return LbEndpoint(
        endpoint=Endpoint(address=socket_address(instance.address)),
        health_status=HealthStatus.DRAINING if instance.draining else HealthStatus.UNKNOWN,
        load_balancing_weight=instance.weight if instance.weight > 1 else None,
    )
