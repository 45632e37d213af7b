"""Which of a gateway's resources come, change and go."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from xds_server.domain.names import Ref
from xds_server.pipeline import Compilation
from xds_server.resources.gateways import GatewayParts
from xds_server.snapshot import NOTHING, TypeUrl

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


def resource_changes(before: Compilation, after: Compilation) -> tuple[ResourceChange, ...]:
    found = []
    for ref in sorted({*before.gateways, *after.gateways}):
        one, two = before.gateways.get(ref), after.gateways.get(ref)
        if one is None or two is None or one.snapshot is not two.snapshot:
            found += [each for each in _of_gateway(ref, one, two) if each.came or each.changed or each.went]
    return tuple(found)


def _of_gateway(gateway: Ref, before: GatewayParts | None, after: GatewayParts | None) -> Iterator[ResourceChange]:
    for type_url in TypeUrl:
        old = before.snapshot.of(type_url) if before else NOTHING
        new = after.snapshot.of(type_url) if after else NOTHING
        yield _change(gateway, type_url.rpartition(".")[2], old, new)
    hosts_before: Mapping[str, bytes] = before.hosts.bodies if before else {}
    yield _change(gateway, VIRTUAL_HOST, hosts_before, after.hosts.bodies if after else {})


def _change(gateway: Ref, kind: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> ResourceChange:
    if before is after:
        return ResourceChange(gateway, kind, (), (), ())
    return ResourceChange(
        gateway,
        kind,
        came=tuple(sorted(name for name in after if name not in before)),
        changed=tuple(sorted(name for name, each in after.items() if name in before and before[name] != each)),
        went=tuple(sorted(name for name in before if name not in after)),
    )
