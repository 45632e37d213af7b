"""Which of a gateway's resources come, change and go."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, NamedTuple

from xds_server.domain.names import Ref
from xds_server.pipeline import Compilation
from xds_server.resources.gateways import GatewayParts
from xds_server.snapshot import NOTHING, TypeUrl, kind_of

VIRTUAL_HOST = "VirtualHost"
"""A part of a route configuration; the one whose change says most."""


@dataclass(frozen=True, slots=True)
class ResourceChange:
    """The names of one type at a gateway that come, change and go."""

    gateway: Ref
    kind: str
    came: tuple[str, ...]
    changed: tuple[str, ...]
    went: tuple[str, ...]


def resource_changes(before: Compilation, after: Compilation, apps: Set[Ref]) -> tuple[ResourceChange, ...]:
    """`apps`: those that are not the same in both; what others contribute is the same."""
    builds = frozenset(
        name for side in (before, after) for app in apps if app in side.parts for name in side.parts[app].endpoints
    )
    found = []
    for ref in sorted({*before.gateways, *after.gateways}):
        one, two = before.gateways.get(ref), after.gateways.get(ref)
        if one is None or two is None or one.snapshot is not two.snapshot:
            changes = (_change(ref, each) for each in _pairs(one, two, apps, builds))
            found += [each for each in changes if each.came or each.changed or each.went]
    return tuple(found)


class _Pair(NamedTuple):
    """What a gateway had and has of a kind; `names`: where to look, None: everywhere."""

    kind: str
    before: Mapping[str, Any]
    after: Mapping[str, Any]
    names: Set[str] | None


def _pairs(
    before: GatewayParts | None, after: GatewayParts | None, apps: Set[Ref], builds: Set[str]
) -> Iterator[_Pair]:
    alike = before is not None and after is not None and before.style == after.style
    sides = [side for side in (before, after) if side is not None]
    given = [side.contributions[app] for side in sides for app in apps if app in side.contributions] if alike else []
    names: dict[str, Set[str]] = {
        TypeUrl.CLUSTER: frozenset(name for each in given for name in each.clusters),
        TypeUrl.ENDPOINTS: builds,
        VIRTUAL_HOST: frozenset(name for each in given for name in each.hosts),
    }
    for type_url in TypeUrl:
        if type_url is TypeUrl.VIRTUAL_HOST:
            continue  # below, by domain: on demand the same ones are named once for each listener
        old = before.snapshot.of(type_url) if before else NOTHING
        new = after.snapshot.of(type_url) if after else NOTHING
        yield _Pair(kind_of(type_url), old, new, names.get(type_url) if alike else None)
    one, two = (side.hosts.bodies if side else {} for side in (before, after))
    yield _Pair(VIRTUAL_HOST, one, two, names[VIRTUAL_HOST] if alike else None)


def _change(gateway: Ref, pair: _Pair) -> ResourceChange:
    kind, before, after, names = pair
    if before is after:
        return ResourceChange(gateway, kind, (), (), ())
    looked_at = sorted({*before, *after} if names is None else names)
    return ResourceChange(
        gateway,
        kind,
        came=tuple(name for name in looked_at if name in after and name not in before),
        changed=tuple(name for name in looked_at if name in after and name in before and before[name] != after[name]),
        went=tuple(name for name in looked_at if name in before and name not in after),
    )
