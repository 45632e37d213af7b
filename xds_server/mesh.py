"""What sidecars could be told: those that are connected, and nobody else. The way from what is in force to them.

`compile_mesh` is a pure function. Given the last mesh it does again only what the touched apps need; what concerns
another app changes nothing for a sidecar, and nothing is made for builds beside which there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from immutables import Map

from xds_server.domain.names import Ref
from xds_server.domain.sidecars import Sidecar
from xds_server.records.world import World
from xds_server.resources.apps import AppParts, app_parts
from xds_server.resources.sidecars import SidecarParts, probes, sidecar_parts
from xds_server.snapshot import NOTHING, Resources, Snapshot, TypeUrl, difference


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """`apps`: those beside whose builds there are sidecars. `snapshots`: what each kind of sidecar could be told;
    `changed`: the kinds for which that is another than in the mesh before. `secrets`: those of all apps.
    """

    apps: Map[Ref, AppParts] = field(default_factory=Map)
    sidecars: Map[Ref, frozenset[Sidecar]] = field(default_factory=Map)
    parts: Map[Sidecar, SidecarParts] = field(default_factory=Map)
    snapshots: Map[Sidecar, Snapshot] = field(default_factory=Map)
    secrets: Resources = NOTHING
    changed: tuple[Sidecar, ...] = ()
    serial: int = 0


NO_MESH = Mesh()


def compile_mesh(world: World, secrets: Resources, before: Mesh, wanted: Mapping[Ref, frozenset[Sidecar]]) -> Mesh:
    """`wanted`: of the apps that may differ from `before`, the kinds of sidecars that are connected.

    What files hold for TLS is renewed without any app being touched.
    """
    renewed = difference(before.secrets, secrets)
    needy = [kind.build.app for kind, parts in before.parts.items() if parts.secrets & renewed] if renewed else []
    wanted = {**{app: before.sidecars[app] for app in needy}, **wanted}
    if not wanted:
        return replace(before, secrets=secrets, changed=()) if renewed else before
    apps, sidecars = before.apps.mutate(), before.sidecars.mutate()
    parts, snapshots = before.parts.mutate(), before.snapshots.mutate()
    changed = []
    for app, kinds in sorted(wanted.items()):
        for kind in before.sidecars.get(app, frozenset()) - kinds:
            del parts[kind], snapshots[kind]
        if not kinds:
            apps.pop(app, None)
            sidecars.pop(app, None)
            continue
        found = apps[app] = app_parts(world.app(app), before.apps.get(app), {each.build for each in kinds})
        sidecars[app] = kinds
        for kind in sorted(kinds):
            known = before.snapshots.get(kind)
            made = parts[kind] = _parts(found, kind, before)
            snapshots[kind] = _snapshot(found, made, secrets, known, before.serial + 1)
            if snapshots[kind] is not known:
                changed.append(kind)
    return Mesh(
        apps.finish(), sidecars.finish(), parts.finish(), snapshots.finish(), secrets, tuple(changed), before.serial + 1
    )


def _parts(app: AppParts, kind: Sidecar, before: Mesh) -> SidecarParts:
    """The same object as before if only endpoints differ: they are all that changes every second."""
    kept, old = before.parts.get(kind), before.apps.get(app.world.app)
    same = kept is not None and old is not None and _same_routing(old, app)
    return kept if kept is not None and same and kept.probes == probes(app, kind.build) else sidecar_parts(app, kind)


def _same_routing(one: AppParts, two: AppParts) -> bool:
    same = one.world.deployments is two.world.deployments and one.world.since is two.world.since
    same = same and one.world.releases is two.world.releases and one.world.settings is two.world.settings
    return same and one.world.inbound is two.world.inbound and one.upstreams == two.upstreams


def _snapshot(app: AppParts, parts: SidecarParts, secrets: Resources, before: Snapshot | None, serial: int) -> Snapshot:
    """Endpoints and secrets are those that its clusters need."""
    needs = {need for each in parts.resources[TypeUrl.CLUSTER].values() for need in each.needs}
    endpoints = NOTHING.update({need: app.endpoints[need] for need in needs if need in app.endpoints})
    shown = NOTHING.update({name: secrets[name] for name in parts.secrets if name in secrets})
    resources = {**parts.resources, TypeUrl.ENDPOINTS: endpoints, TypeUrl.SECRET: shown}
    if before is None:
        every = {kind: frozenset(found) for kind, found in resources.items()}
        return Snapshot({}, serial=-1).followed_by(resources, serial, every)
    changed = {kind: difference(before.of(kind), found) for kind, found in resources.items()}
    return before.followed_by(resources, serial, changed) if any(changed.values()) else before
