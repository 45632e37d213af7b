"""The road from what is in force to what proxies could be told. There is no other.

    world ──> app parts (endpoints, clusters) ──┐
        └──> styled apps (virtual hosts) ───────┴──> contribution of each app to each gateway ──> snapshot

What extensions make of a resource is looked up on the way, where a record asks for them.

`compile_world` is a pure function. Given the last compilation it does again only what the touched apps and gateways
need, and gives what it would have given without: what it reuses is keyed by the identity of frozen records.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.records.world import World
from xds_server.resources.apps import AppParts, StyledApp, app_parts, styled_app
from xds_server.resources.contributions import NO_CONTRIBUTION, Contribution, contribution, merged
from xds_server.resources.extended import Assigned, Scope, assigned, extended
from xds_server.resources.extensions import Call, Extensions
from xds_server.resources.gateways import NOBODY_TOLD, Changes, GatewayParts, new_gateway, updated_gateway
from xds_server.resources.secrets import secret_resource
from xds_server.snapshot import NOTHING, Resource, Resources
from xds_server.traffic.style import Style, style_of


@dataclass(frozen=True, slots=True, eq=False)
class Compilation:
    """A compiled world: the snapshot of every gateway, and the pieces that the next compilation reuses."""

    world: World = field(default_factory=World)
    parts: Map[Ref, AppParts] = field(default_factory=Map)
    endpoints: Resources = NOTHING
    assigned: Map[Ref, Assigned] = field(default_factory=Map)
    secrets: Mapping[Ref | None, Resources] = field(default_factory=dict)
    styled: Mapping[Style, Map[Ref, StyledApp]] = field(default_factory=dict)
    serial: int = 0
    gateways: Mapping[Ref, GatewayParts] = field(default_factory=dict)

    def calls(self, apps: Iterable[Ref]) -> Iterator[Call]:
        """What extensions are to be given: of every gateway's own resources, and of those of these apps."""
        for gateway in self.gateways.values():
            yield from gateway.calls
        for app in apps:
            if app in self.assigned:
                yield from self.assigned[app].calls
            for gateway in self.gateways.values():
                yield from gateway.contributions.get(app, NO_CONTRIBUTION).calls

    def calls_at(self, gateway: Ref) -> Iterator[Call]:
        """What extensions are to be given of all that the proxies of one gateway are told."""
        parts = self.gateways[gateway]
        yield from parts.calls
        for each in (*self.assigned.values(), *parts.contributions.values()):
            yield from each.calls


EMPTY = Compilation()


def compile_world(
    world: World,
    before: Compilation = EMPTY,
    touched: Iterable[Ref] | None = None,
    extensions: Extensions | None = None,
) -> Compilation:
    """`touched`: the apps that may differ from `before`, or of which extensions have made something else; found by
    comparing every app if not given. Without `extensions` nothing is extended, whatever records ask for.
    """
    apps = sorted(_differing(before.world, world) if touched is None else touched)
    parts = _parts(world, before, apps)
    by_extensions = _assigned(before, parts, apps, extensions) if extensions else before.assigned
    endpoints, changed = _endpoints(before, parts, by_extensions, apps)
    styled = {
        style: _styled(parts, style, before.styled.get(style), apps)
        for style in {style_of(record) for record in world.gateways.values()}
    }
    secrets = _secrets(world, before)
    serial = before.serial + 1
    gateways = {}
    for ref, record in sorted(world.gateways.items()):
        style = style_of(record)
        old = before.gateways.get(ref)
        known = old if old is not None and old.style == style else new_gateway(record)
        wanted = apps if known is old else sorted(parts)
        scope = Scope(ref, style, old, extensions) if extensions else None
        contributions = {app: _contribution(known, parts.get(app), styled[style].get(app), scope) for app in wanted}
        told = old.snapshots if old is not None else NOBODY_TOLD
        shown = secrets.get(ref, secrets[None])
        gateways[ref] = updated_gateway(
            known, record, Changes(contributions, endpoints, changed, shown, serial, told, extensions)
        )
    return Compilation(world, parts, endpoints, by_extensions, secrets, styled, serial, gateways)


def _differing(before: World, after: World) -> set[Ref]:
    return {app for app in {*before.apps, *after.apps} if before.apps.get(app) is not after.apps.get(app)}


def _parts(world: World, before: Compilation, apps: Iterable[Ref]) -> Map[Ref, AppParts]:
    parts = before.parts.mutate()
    for app in apps:
        found = world.apps.get(app)
        if found is not None:
            parts[app] = app_parts(found, parts.get(app))
        else:
            parts.pop(app, None)
    return parts.finish()


def _assigned(
    before: Compilation, parts: Map[Ref, AppParts], apps: Iterable[Ref], extensions: Extensions
) -> Map[Ref, Assigned]:
    """Of the apps with builds whose records ask for extensions."""
    found = before.assigned.mutate()
    for app in apps:
        here = assigned(parts[app], before.endpoints, extensions) if app in parts else None
        if here is not None:
            found[app] = here
        else:
            found.pop(app, None)
    return found.finish()


def _endpoints(
    before: Compilation, parts: Map[Ref, AppParts], by_extensions: Map[Ref, Assigned], apps: Iterable[Ref]
) -> tuple[Resources, frozenset[str]]:
    """The assignments of all live builds: one set for every gateway."""
    changes = (
        (_endpoints_of(app, before.parts, before.assigned), _endpoints_of(app, parts, by_extensions)) for app in apps
    )
    return merged(before.endpoints, changes)


def _endpoints_of(app: Ref, parts: Map[Ref, AppParts], by_extensions: Map[Ref, Assigned]) -> Mapping[str, Resource]:
    found = by_extensions.get(app) or parts.get(app)
    return found.endpoints if found else {}


def _secrets(world: World, before: Compilation) -> Mapping[Ref | None, Resources]:
    """Everybody's (None), and for each gateway that has its own, those too. What does not differ is the same object."""
    if before.secrets and world.secrets is before.world.secrets:
        return before.secrets
    found: dict[Ref | None, dict[str, Resource]] = {None: {}}
    for name, secret in world.secrets.items():
        known = before.secrets.get(secret.gateway, NOTHING).get(name)
        if known is None or before.world.secrets.get(name) is not secret:
            known = secret_resource(name, secret)
        found.setdefault(secret.gateway, {})[name] = known
    everybody = found[None]
    return {
        owner: _unless_same(before.secrets.get(owner, NOTHING), everybody | secrets) for owner, secrets in found.items()
    }


def _unless_same(before: Resources, after: dict[str, Resource]) -> Resources:
    new = Map(after)
    return before if before == new else new


def _styled(
    parts: Map[Ref, AppParts], style: Style, before: Map[Ref, StyledApp] | None, apps: Iterable[Ref]
) -> Map[Ref, StyledApp]:
    styled = (before if before is not None else Map[Ref, StyledApp]()).mutate()
    for app in apps if before is not None else parts:
        found = parts.get(app)
        if found is not None:
            styled[app] = styled_app(found, style, styled.get(app))
        else:
            styled.pop(app, None)
    return styled.finish()


def _contribution(
    gateway: GatewayParts, parts: AppParts | None, styled: StyledApp | None, scope: Scope | None
) -> Contribution:
    if not parts or not styled:
        return NO_CONTRIBUTION
    made = contribution(gateway.record.ref, gateway.style, parts, styled)
    return extended(made, parts, styled, scope) if scope else made
