"""Whose a host is at a gateway: a release's, a deployment's own, or nobody's."""

from collections.abc import Iterator
from dataclasses import dataclass

from xds_server.domain.names import EXPLICIT_RULE, Ref, ref
from xds_server.records.models import Gateway, Release
from xds_server.records.world import AppWorld, World
from xds_server.traffic.hosts import released_hosts, releases_at
from xds_server.traffic.intents import DEPLOYMENT_UNKNOWN, EXPLICIT_DENIED, HOST_UNKNOWN, Refusal, ReleasedHost
from xds_server.traffic.style import Style, style_of


@dataclass(frozen=True, slots=True)
class OfRelease:
    """A host of a release."""

    app: AppWorld
    release: Release
    host: ReleasedHost


@dataclass(frozen=True, slots=True)
class OfDeployment:
    """The host that the gateway's template gives to a deployment."""

    app: AppWorld
    deployment: Ref


@dataclass(frozen=True, slots=True)
class OfNobody:
    """A host that no release and no deployment has, and under which rule that is said."""

    refusal: Refusal
    rule: str


Owner = OfRelease | OfDeployment | OfNobody


def owner_of(world: World, gateway: Gateway, host: str) -> tuple[str, Owner]:
    """The domain that has the host, an exact one before wildcards, and whose it is."""
    candidates = [host, *wildcards(host)]
    style = style_of(gateway)
    found = dict(_released(world, gateway.ref, frozenset(candidates)))
    found.update(_own(world, style, host))
    if style.template:
        refusal = DEPLOYMENT_UNKNOWN if style.serves_explicit else EXPLICIT_DENIED
        found["*" + style.template] = OfNobody(refusal, EXPLICIT_RULE)
    return next(
        ((domain, found[domain]) for domain in candidates if domain in found), ("*", OfNobody(HOST_UNKNOWN, "-"))
    )


def wildcards(host: str) -> Iterator[str]:
    """`*.b.c` and `*.c` for `a.b.c`: the longest first."""
    dots = (index for index, char in enumerate(host) if char == "." and index)
    return ("*" + host[index:] for index in dots)


def _released(world: World, gateway: Ref, domains: frozenset[str]) -> Iterator[tuple[str, Owner]]:
    for app in world.apps.values():
        if any(_names(release, domains) for release in app.releases.values()):
            for release in releases_at(app, gateway):
                hosts = (host for host in released_hosts(app, release) if host.host in domains)
                yield from ((host.host, OfRelease(app, release, host)) for host in hosts)


def _names(release: Release, domains: frozenset[str]) -> bool:
    """Asked of every release there is, so in the cheapest way."""
    spec = release.spec
    return not domains.isdisjoint(spec.hosts) or any(not domains.isdisjoint(each.hosts) for each in spec.audiences)


def _own(world: World, style: Style, host: str) -> Iterator[tuple[str, Owner]]:
    deployment = ref(host.removesuffix(style.template))
    if style.host_of(deployment) != host:
        return
    for app in world.apps.values():
        if deployment in app.deployments:
            yield host, OfDeployment(app, deployment)
