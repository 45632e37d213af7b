"""All virtual hosts of a gateway: changing one costs one, and they are joined only when they are sent."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from immutables import Map

from xds_server.domain import names
from xds_server.messages.codec import encode
from xds_server.messages.envoy import RouteConfiguration
from xds_server.messages.fields import message_field
from xds_server.resources.content import digest, version
from xds_server.resources.virtual_hosts import named
from xds_server.snapshot import Resource
from xds_server.traffic.style import Style

VIRTUAL_HOSTS = 2
"""The field number of `RouteConfiguration.virtual_hosts`."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """Encoded virtual hosts by domain, with a sum of their digests: equal sums mean equal sets, in any order."""

    bodies: Map[str, bytes] = field(default_factory=Map)
    total: int = 0

    def replaced(self, changes: Iterable[tuple[str, bytes | None]]) -> "Hosts":
        """With these domains' bodies; None takes a domain out."""
        total = self.total
        bodies = self.bodies.mutate()
        for domain, body in changes:
            before = bodies.pop(domain, None)
            if before is not None:
                total -= _weight(domain, before)
            if body is not None:
                bodies[domain] = body
                total += _weight(domain, body)
        return Hosts(bodies.finish(), total % (1 << 128))


def _weight(domain: str, body: bytes) -> int:
    return int.from_bytes(digest(domain.encode() + b"\0" + body), "big")


def route_configuration(listener: str, style: Style, hosts: Hosts) -> Resource:
    """`ignore_port_in_host_matching`: a `Host` with a port is the same host, and arrives as it was sent."""
    selectors = [style.selector] if style.selector else []
    head = encode(
        RouteConfiguration(name=listener, request_headers_to_remove=selectors, ignore_port_in_host_matching=True)
    )

    def body() -> bytes:
        fields = [
            message_field(VIRTUAL_HOSTS, named(names.virtual_host(listener, domain), hosts.bodies[domain]))
            for domain in sorted(hosts.bodies)
        ]
        return b"".join([head, *fields])

    return Resource(listener, version(head + hosts.total.to_bytes(16, "big")), body)
