"""What each host of a release does, at a gateway that the release names."""

from xds_server.domain.names import Ref
from xds_server.records.models import Audience, Release
from xds_server.records.world import AppWorld
from xds_server.traffic.intents import AudienceIntent, DefaultIntent, Refusal, RefusalReason, ReleasedHost
from xds_server.traffic.slots import slot_ranges


def releases_at(app: AppWorld, gateway: Ref) -> tuple[Release, ...]:
    """The releases of an app that name this gateway."""
    return tuple(each for each in app.releases.values() if gateway in map(each.refer, each.spec.gateways))


def released_hosts(app: AppWorld, release: Release) -> tuple[ReleasedHost, ...]:
    return tuple(_released_host(app, release, host) for host in release.spec.all_hosts)


def _released_host(app: AppWorld, release: Release, host: str) -> ReleasedHost:
    here = [audience for audience in release.spec.audiences if not audience.hosts or host in audience.hosts]
    live = [audience for audience in here if (release.ref, audience.name) not in app.expired]
    if host in release.spec.hosts:
        return ReleasedHost(host, app.app, _intents(release, live), default_of(app.app, release))
    if not any(audience.hosts for audience in live):
        return ReleasedHost(host, app.app, (), _ended(here))
    return ReleasedHost(host, app.app, _intents(release, live), NOBODY_ELSE)


def _intents(release: Release, audiences: list[Audience]) -> tuple[AudienceIntent, ...]:
    return tuple(AudienceIntent(each.name, each.match, release.refer(each.deployment)) for each in audiences)


def default_of(app: Ref, release: Release) -> DefaultIntent:
    """Who is in no audience."""
    shares = release.weights
    return DefaultIntent(app, slot_ranges(shares), release.spec.sticky)


def _ended(audiences: list[Audience]) -> Refusal:
    names = ", ".join(audience.name for audience in audiences if audience.hosts)
    return Refusal(RefusalReason.AUDIENCE_EXPIRED, f"this host was for {names} only, and that audience has ended")


NOBODY_ELSE = Refusal(
    RefusalReason.NO_DEFAULT, "this host serves its audiences only, and the request is in none of them"
)
