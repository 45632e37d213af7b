"""Where a build runs, as a `ClusterLoadAssignment`. Builds that no record places have an empty one.

There are more instances than anything else, and five messages would be built for each: so they are written as fields,
whose numbers are those of `envoy/config/endpoint/v3`; a test compares them with the messages themselves.
"""

from collections import defaultdict
from collections.abc import Iterable
from operator import itemgetter

from xds_server.domain.builds import BuildId
from xds_server.messages.envoy import (
    Address,
    ClusterLoadAssignment,
    Endpoint,
    HealthStatus,
    LbEndpoint,
    LocalityLbEndpoints,
    SocketAddress,
)
from xds_server.messages.fields import message_field, number_field, text_field
from xds_server.records.models import Build
from xds_server.records.models import Endpoint as Instance
from xds_server.resources.content import encoded_resource
from xds_server.snapshot import Resource

CLUSTER_NAME, ENDPOINTS = 1, 2
"""Field numbers of `ClusterLoadAssignment`."""
LOCALITY, LB_ENDPOINTS, PRIORITY = 1, 2, 5
"""Of `LocalityLbEndpoints`."""
ZONE = 2
"""Of `Locality`."""
ENDPOINT, HEALTH_STATUS, WEIGHT = 1, 2, 4
"""Of `LbEndpoint`."""
ENDPOINT_ADDRESS = 1
"""Of `Endpoint`."""
SOCKET_ADDRESS, ADDRESS, PORT_VALUE = 1, 2, 3
"""Of `Address`, and of the `SocketAddress` in it."""
WRAPPED = 1
"""Of `UInt32Value`."""


def assignment(build: BuildId, placed: Iterable[Build]) -> Resource:
    """The union of what the records of one build say, in an order of its own.

    A draining instance is left out while there is another: Envoy lets its requests finish, and would send it new ones
    if it panicked for want of healthy ones. Nor does it count as unwell: no reserve is asked because of it, until none
    is left that it is the reserve of.
    """
    found = {each.address: each for record in placed for each in record.spec.endpoints.addresses or ()}
    instances = {where: each for where, each in found.items() if not each.draining} or found
    groups: defaultdict[tuple[int, str], list[bytes]] = defaultdict(list)
    for _, each in sorted(instances.items(), key=itemgetter(0)):
        groups[each.priority, each.zone].append(message_field(LB_ENDPOINTS, _lb_endpoint(each)))
    ranks = _ranks(priority for priority, _ in groups)
    fields = [
        message_field(ENDPOINTS, _locality(zone) + b"".join(members) + _priority(ranks[priority]))
        for (priority, zone), members in sorted(groups.items(), key=itemgetter(0))
    ]
    return encoded_resource(build.word, b"".join([text_field(CLUSTER_NAME, build.word), *fields]))


def _ranks(priorities: Iterable[int]) -> dict[int, int]:
    """Envoy wants them without gaps."""
    return {priority: rank for rank, priority in enumerate(sorted(set(priorities)))}


def resolved(cluster: str, dns: Iterable[str]) -> ClusterLoadAssignment:
    """Members that are known beforehand, or that a proxy resolves by itself: names or addresses, with ports."""
    members = [LbEndpoint(endpoint=Endpoint(address=socket_address(name))) for name in dns]
    return ClusterLoadAssignment(cluster_name=cluster, endpoints=[LocalityLbEndpoints(lb_endpoints=members)])


def socket_address(text: str) -> Address:
    """`10.0.0.4:8080`, `[::1]:8080` or `web.internal:8080`."""
    host, port = _host_and_port(text)
    return Address(socket_address=SocketAddress(address=host, port_value=port))


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _locality(zone: str) -> bytes:
    return message_field(LOCALITY, text_field(ZONE, zone)) if zone else b""


def _priority(rank: int) -> bytes:
    return number_field(PRIORITY, rank) if rank else b""


def _lb_endpoint(instance: Instance) -> bytes:
    host, port = _host_and_port(instance.address)
    address = message_field(SOCKET_ADDRESS, text_field(ADDRESS, host) + number_field(PORT_VALUE, port))
    endpoint = message_field(ENDPOINT, message_field(ENDPOINT_ADDRESS, address))
    health = number_field(HEALTH_STATUS, HealthStatus.DRAINING) if instance.draining else b""
    weight = message_field(WEIGHT, number_field(WRAPPED, instance.weight)) if instance.weight > 1 else b""
    return endpoint + health + weight
