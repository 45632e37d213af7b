"""Which deployments can be asked for by name, where and how, and what is different about it."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

from xds_server.difference.change import differing
from xds_server.domain.names import Ref
from xds_server.records.models import Access, Explicit, Gateway
from xds_server.records.world import World


@dataclass(frozen=True, slots=True)
class ExplicitChange:
    """The selectors of a gateway before and after, and the deployments that can be asked for, and cannot any more."""

    gateway: Ref
    before: Explicit | None
    after: Explicit | None
    came: tuple[Ref, ...]
    went: tuple[Ref, ...]


def explicit_changes(before: World, after: World, apps: Set[Ref]) -> tuple[ExplicitChange, ...]:
    came, went = _came_and_went(before, after, apps)
    found = []
    for ref in sorted({*before.gateways, *after.gateways}):
        one, two = _explicit(before.gateways.get(ref)), _explicit(after.gateways.get(ref))
        each = ExplicitChange(ref, one, two, came, went)
        if _serves(one) != _serves(two):
            gained, lost = (tuple(_all(after)), ()) if _serves(two) else ((), tuple(_all(before)))
            each = ExplicitChange(ref, one, two, gained, lost)
        elif not _serves(one):
            each = ExplicitChange(ref, one, two, (), ())
        if one != two or each.came or each.went:
            found.append(each)
    return tuple(found)


def _came_and_went(before: World, after: World, apps: Set[Ref]) -> tuple[tuple[Ref, ...], tuple[Ref, ...]]:
    came: list[Ref] = []
    went: list[Ref] = []
    for app in apps:
        one, two = before.app(app).deployments, after.app(app).deployments
        came += [ref for ref in differing(one, two) if ref not in one]
        went += [ref for ref in differing(one, two) if ref not in two]
    return tuple(sorted(came)), tuple(sorted(went))


def _all(world: World) -> Iterator[Ref]:
    yield from sorted(ref for app in world.apps.values() for ref in app.deployments)


def _explicit(gateway: Gateway | None) -> Explicit | None:
    return gateway.spec.explicit if gateway is not None else None


def _serves(explicit: Explicit | None) -> bool:
    return explicit is not None and explicit.access is Access.OPEN
