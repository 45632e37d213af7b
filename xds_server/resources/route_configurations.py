"""All virtual hosts of a gateway: changing one costs one, and they are joined only when they are sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from immutables import Map

from xds_server.domain import names
from xds_server.domain.versions import OLDEST, Minor
from xds_server.messages.codec import encode
from xds_server.messages.envoy import RouteConfiguration
from xds_server.messages.fields import message_field
from xds_server.resources.content import digest, version
from xds_server.resources.virtual_hosts import named, too_new_body
from xds_server.snapshot import Resource
from xds_server.traffic.style import Style

VIRTUAL_HOSTS = 2
"""The field number of `RouteConfiguration.virtual_hosts`."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """Encoded virtual hosts by domain, with a sum of their digests: equal sums mean equal sets, in any order.

    `newer`: those that not every supported Envoy knows whole, and from which version on they are.
    """

    bodies: Map[str, bytes] = field(default_factory=Map)
    total: int = 0
    newer: Map[str, Minor] = field(default_factory=Map)

    def replaced(
        self, changes: Iterable[tuple[str, bytes | None]], newer: Mapping[str, Minor] = MappingProxyType({})
    ) -> "Hosts":
        """With these domains' bodies; None takes a domain out."""
        total = self.total
        bodies = self.bodies.mutate()
        marks = self.newer.mutate()
        for domain, body in changes:
            marks.pop(domain, None)
            if domain in newer:
                marks[domain] = newer[domain]
            before = bodies.pop(domain, None)
            if before is not None:
                total -= _weight(domain, before)
            if body is not None:
                bodies[domain] = body
                total += _weight(domain, body)
        return Hosts(bodies.finish(), total % (1 << 128), marks.finish())

    def known_to(self, envoy: Minor) -> "Hosts":
        """A host that such an Envoy would understand in part only is refused by name."""
        unknown = [domain for domain, since in self.newer.items() if since > envoy]
        return self.replaced((domain, too_new_body(domain)) for domain in unknown) if unknown else self


def _weight(domain: str, body: bytes) -> int:
    return int.from_bytes(digest(domain.encode() + b"\0" + body), "big")


def route_configuration(listener: str, style: Style, hosts: Hosts) -> Resource:
    """What the newest Envoys get, and in place of it what older ones get."""
    made = _route_configuration(listener, style, hosts.known_to(OLDEST))
    for since in sorted(set(hosts.newer.values())):
        made = _route_configuration(listener, style, hosts.known_to(since)).for_envoys(since, made)
    return made


def _route_configuration(listener: str, style: Style, hosts: Hosts) -> Resource:
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
