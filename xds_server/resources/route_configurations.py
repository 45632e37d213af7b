"""All virtual hosts of a gateway: changing one costs one, and they are joined only when they are sent."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from operator import itemgetter
from types import MappingProxyType

from immutables import Map

from xds_server.domain import names
from xds_server.domain.versions import OLDEST, Minor
from xds_server.messages.codec import encode
from xds_server.messages.envoy import RouteConfiguration, Vhds
from xds_server.messages.fields import message_field
from xds_server.resources.content import digest, resource, version
from xds_server.resources.sources import FROM_ADS
from xds_server.resources.virtual_hosts import named, too_new_body
from xds_server.snapshot import Resource

VIRTUAL_HOSTS = 2
"""The field number of `RouteConfiguration.virtual_hosts`."""
BETWEEN_PROXIES = [names.NOT_DELIVERED_HEADER]
"""Headers that an answer loses here, whoever has set them: a retry has seen them before."""


@dataclass(frozen=True, slots=True, eq=False)
class Hosts:
    """Encoded virtual hosts by domain, with a sum of their digests: equal sums mean equal sets, in any order.

    `needs`: the clusters that requests to a domain may go to, if there are any. `newer`: those that not every supported
    Envoy knows whole, and from which version on they are. `known`: if there are any, what Envoys from each of these
    versions on know; a host that they would know in part is refused by name.
    """

    bodies: Map[str, bytes] = field(default_factory=Map)
    total: int = 0
    newer: Map[str, Minor] = field(default_factory=Map)
    needs: Map[str, tuple[str, ...]] = field(default_factory=Map)
    known: Mapping[Minor, "Hosts"] = field(default_factory=dict)

    def replaced(
        self, changes: Iterable[tuple[str, bytes | None]], newer: Mapping[str, Minor] = MappingProxyType({})
    ) -> "Hosts":
        """With these domains' bodies; None takes a domain out."""
        said = list(changes)
        total = self.total
        bodies, marks = self.bodies.mutate(), self.newer.mutate()
        for domain, body in said:
            marks.pop(domain, None)
            if domain in newer:
                marks[domain] = newer[domain]
            before = bodies.pop(domain, None)
            if before is not None:
                total -= _weight(domain, before)
            if body is not None:
                bodies[domain] = body
                total += _weight(domain, body)
        known = self._known(said, newer) if len(marks) else {}
        return Hosts(bodies.finish(), total % (1 << 128), marks.finish(), self.needs, known)

    def needing(self, changes: Iterable[tuple[str, tuple[str, ...]]]) -> "Hosts":
        """With what these domains need."""
        needs = self.needs.mutate()
        for domain, clusters in changes:
            needs.pop(domain, None)
            if clusters:
                needs[domain] = clusters
        return replace(self, needs=needs.finish())

    def _known(self, changes: list[tuple[str, bytes | None]], newer: Mapping[str, Minor]) -> Mapping[Minor, "Hosts"]:
        """What Envoys of each age know after these changes."""
        ages = {OLDEST, *self.known, *(newer[domain] for domain, _ in changes if domain in newer)}
        return {
            age: self._known_to(age).replaced(
                (domain, body if newer.get(domain, OLDEST) <= age else too_new_body(domain)) for domain, body in changes
            )
            for age in ages
        }

    def _known_to(self, age: Minor) -> "Hosts":
        if age in self.known:
            return self.known[age]
        unknown = [domain for domain, since in self.newer.items() if since > age]
        return Hosts(self.bodies, self.total).replaced((domain, too_new_body(domain)) for domain in unknown)


def _weight(domain: str, body: bytes) -> int:
    return int.from_bytes(digest(domain.encode() + b"\0" + body), "big")


def route_configuration(listener: str, hosts: Hosts) -> Resource:
    """What the newest Envoys get, and in place of it what older ones get."""
    made = _route_configuration(listener, hosts.known.get(OLDEST, hosts))
    for age, known in sorted(hosts.known.items(), key=itemgetter(0)):
        made = _route_configuration(listener, known).for_envoys(age, made) if age > OLDEST else made
    return made


def on_demand_configuration(listener: str) -> Resource:
    """It says where virtual hosts are to be asked for, and nothing else: when it changes, Envoy forgets all of them."""
    vhds = Vhds(config_source=FROM_ADS)
    return resource(
        listener,
        RouteConfiguration(
            name=listener,
            vhds=vhds,
            ignore_port_in_host_matching=True,
            response_headers_to_remove=BETWEEN_PROXIES,
        ),
    )


def _route_configuration(listener: str, hosts: Hosts) -> Resource:
    """`ignore_port_in_host_matching`: a `Host` with a port is the same host, and arrives as it was sent."""
    head = encode(
        RouteConfiguration(name=listener, ignore_port_in_host_matching=True, response_headers_to_remove=BETWEEN_PROXIES)
    )

    def body() -> bytes:
        fields = [
            message_field(VIRTUAL_HOSTS, named(names.virtual_host(listener, domain), hosts.bodies[domain]))
            for domain in sorted(hosts.bodies)
        ]
        return b"".join([head, *fields])

    return Resource(listener, version(head + hosts.total.to_bytes(16, "big")), body)
