"""Virtual hosts as resources of their own: a proxy is told of each when it is first asked for, or needed.

Their bodies are those that a whole route configuration is made of, and encoded once for all listeners. A listener opens
when it has its first virtual host, so each has one that nobody asks for.
"""

from collections.abc import Collection, Iterable
from functools import partial
from typing import NamedTuple
from weakref import WeakValueDictionary

from xds_server.domain import names
from xds_server.domain.versions import OLDEST, Minor
from xds_server.resources.content import version
from xds_server.resources.route_configurations import Hosts
from xds_server.resources.virtual_hosts import for_host, named, template_body, too_new_body, unknown_body
from xds_server.snapshot import Resource, Resources
from xds_server.traffic.style import Style

UNASKED_BEFORE: Minor = (1, 40)
"""Envoys before begin a request anew when its virtual host has come, and can do so only with one that is complete: a
WebSocket or a stream of gRPC would be answered 404 if it were the first request for its host."""


def virtual_hosts(
    before: Resources, listeners: Collection[str], style: Style, hosts: Hosts, domains: Iterable[str]
) -> tuple[Resources, frozenset[str]]:
    """`before` with what these domains are now on each of these listeners, and the names of what differs."""
    refusals = frozenset({unknown_body(), template_body(style)})
    found, changed = before.mutate(), set()
    for domain in domains:
        host = _host(domain, hosts)
        for listener in listeners:
            name = names.virtual_host(listener, domain)
            made, known = host.resource(name, refusals) if host else None, found.get(name)
            if made is None and known is not None:
                changed.add(name)
                del found[name]
            elif made is not None and (known is None or known != made):
                changed.add(name)
                found[name] = made
    return found.finish(), frozenset(changed)


class _Host(NamedTuple):
    """A virtual host but for its name. Proxies before `since` are told that they are too old for it.

    `version` is that of the clusters that it needs, too: they are to be there even if it says nothing else than before.
    """

    domain: str
    version: str
    body: bytes
    needs: tuple[str, ...] = ()
    since: Minor = OLDEST

    def resource(self, name: str, refusals: Collection[bytes]) -> Resource:
        made = Resource(name, self.version, partial(named, name, self.body), self.needs)
        if self.domain.startswith("*"):
            made = made.for_names(partial(_exact, self, WeakValueDictionary()), refuses=self.body in refusals)
        if self.since == OLDEST:
            return made
        return made.for_envoys(self.since, _made(self.domain, too_new_body(self.domain)).resource(name, refusals))


def _host(domain: str, hosts: Hosts) -> _Host | None:
    body = hosts.bodies.get(domain)
    if body is not None:
        return _made(domain, body, hosts.needs.get(domain, ()), hosts.newer.get(domain, OLDEST))
    return _made(domain, unknown_body(domain)) if domain == names.SENTINEL else None


def _made(domain: str, body: bytes, needs: tuple[str, ...] = (), since: Minor = OLDEST) -> _Host:
    return _Host(domain, version(body + "\0".join(needs).encode()), body, needs, since)


def _exact(wildcard: _Host, made: WeakValueDictionary[str, Resource], name: str) -> Resource:
    """`name` is that of a virtual host, of a host under the wildcard. All who hold it share one."""
    found = made.get(name)
    if found is None:
        host = name.rpartition("/")[2]
        body = for_host(host, wildcard.domain, wildcard.body)
        found = made[name] = _made(host, body, wildcard.needs).resource(name, ())
    return found
