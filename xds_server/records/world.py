"""What is in force: the input of compile. Frozen and shared between worlds, so that a change costs what changed."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from immutables import Map

from xds_server.domain.builds import BuildId
from xds_server.domain.names import Ref
from xds_server.records.models import App, AppDeployment, Build, Gateway, Record, Release
from xds_server.records.secrets import Secret

NO_DEPLOYMENTS: Map[Ref, AppDeployment] = Map()


@dataclass(frozen=True, slots=True, eq=False)
class AppWorld:
    """Everything that is in force for one app. Keys are the records' own names.

    `expired` holds the audiences, as (release, audience name), whose `until` has passed. `since`: when each deployment
    was made or, if its record does not say so, first accepted; one that is on its way out has no time. `inbound` are
    deployments of which sidecars beside their builds take requests all the same: gone ones, or those in `deployments`
    with the builds that they had or will have.
    """

    app: Ref
    builds: Map[Ref, Build] = field(default_factory=Map)
    deployments: Map[Ref, AppDeployment] = field(default_factory=Map)
    releases: Map[Ref, Release] = field(default_factory=Map)
    settings: App | None = None
    expired: frozenset[tuple[Ref, str]] = frozenset()
    since: Map[Ref, datetime] = field(default_factory=Map)
    inbound: Map[Ref, AppDeployment] = NO_DEPLOYMENTS

    @property
    def empty(self) -> bool:
        return not (self.builds or self.deployments or self.releases or self.settings)

    def placed(self, component: str, build: str) -> list[Build]:
        """The records that say where a build runs."""
        return [each for each in self.builds.values() if (each.spec.component, each.spec.build) == (component, build)]


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """All apps and gateways that are in force. An app without a record is not in it.

    `secrets` are certificates and keys by the names that Envoy asks for.
    """

    apps: Map[Ref, AppWorld] = field(default_factory=Map)
    gateways: Map[Ref, Gateway] = field(default_factory=Map)
    secrets: Map[str, Secret] = field(default_factory=Map)

    def app(self, app: Ref) -> AppWorld:
        return self.apps.get(app) or AppWorld(app)


Edit = tuple[Record | None, Record | None]
"""A record before and after: None is none."""
_Put = tuple[Record, bool]
"""A record, and whether it is there from now on."""


def app_of(record: Record) -> Ref | None:
    """The app that a record belongs to; None for a gateway."""
    if isinstance(record, Gateway):
        return None
    return record.ref if isinstance(record, App) else record.refer(record.spec.app)


def build_id(record: Build) -> BuildId:
    return BuildId(record.refer(record.spec.app), record.spec.component, record.spec.build)


def edited(world: World, edits: Iterable[Edit]) -> tuple[World, frozenset[Ref]]:
    """The world with these records in place of those, and the apps that differ."""
    by_app: defaultdict[Ref, list[_Put]] = defaultdict(list)
    gateways = world.gateways.mutate()
    for before, after in edits:
        # Each by itself: they may be of two apps.
        for record, keep in ((before, False), (after, True)):
            if isinstance(record, Gateway):
                _put(gateways, record, keep=keep)
            elif record is not None:
                by_app[_must(app_of(record))].append((record, keep))
    apps = world.apps.mutate()
    for app, changes in by_app.items():
        found = _edited_app(world.app(app), changes)
        if found.empty:
            apps.pop(app, None)
        else:
            apps[app] = found
    return replace(world, apps=apps.finish(), gateways=gateways.finish()), frozenset(by_app)


def _edited_app(app: AppWorld, puts: list[_Put]) -> AppWorld:
    settings = [record if keep else None for record, keep in puts if isinstance(record, App)]
    return AppWorld(
        app.app,
        _with(app.builds, [put for put in puts if isinstance(put[0], Build)]),
        _with(app.deployments, [put for put in puts if isinstance(put[0], AppDeployment)]),
        _with(app.releases, [put for put in puts if isinstance(put[0], Release)]),
        settings[-1] if settings else app.settings,
        app.expired,
        since=app.since,
    )


def _with(before: Map[Ref, Any], puts: list[_Put]) -> Map[Ref, Any]:
    """The map from before if nothing in it differs: compile reuses by identity."""
    if not puts:
        return before
    records = before.mutate()
    for record, keep in puts:
        _put(records, record, keep=keep)
    after = records.finish()
    return before if len(before) == len(after) and all(before.get(k) is v for k, v in after.items()) else after


def _put(records: Any, record: Record, *, keep: bool) -> None:
    if keep:
        records[record.ref] = record
    else:
        records.pop(record.ref, None)


def _must(app: Ref | None) -> Ref:
    assert app is not None
    return app


def expired_at(app: AppWorld, now: datetime) -> tuple[AppWorld, datetime | None]:
    """The app with the audiences whose time is over by `now`, and when the next one's is."""
    ends = [
        (audience.until, (release.ref, audience.name))
        for release in app.releases.values()
        for audience in release.spec.audiences
        if audience.until is not None
    ]
    over = frozenset(who for until, who in ends if until <= now)
    following = min((until for until, _ in ends if until > now), default=None)
    return (app if over == app.expired else replace(app, expired=over)), following
