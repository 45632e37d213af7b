"""Which records are different, and in which fields. What an order or a comment changes is no difference."""

import json
from collections.abc import Iterator, Set
from dataclasses import dataclass
from typing import Any

from xds_server.difference.change import Change, change_of, differing
from xds_server.domain.names import Ref
from xds_server.records.admitted import Admission, Entry
from xds_server.records.documents import Key

IDENTITIES = ("name", "deployment", "address")
"""The field that tells the items of a list apart, so that one that moves is not another one."""
ORDERED = (("audiences",),)
"""Lists of such items whose order matters, by the end of their path."""
Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A field as it was written and as it is written now; None where it is not."""

    path: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A record that comes, changes or goes."""

    key: Key
    change: Change
    fields: tuple[FieldChange, ...] = ()


def record_changes(before: Admission, after: Admission, apps: Set[Ref]) -> tuple[RecordChange, ...]:
    keys = sorted({*_gateways(before, after), *(key for app in apps for key in _of_app(before, after, app))})
    found = (_record_change(key, before.in_force.get(key), after.in_force.get(key)) for key in keys)
    return tuple(each for each in found if each is not None)


def _gateways(before: Admission, after: Admission) -> Iterator[Key]:
    for ref in differing(before.world.gateways, after.world.gateways):
        yield Key("Gateway", ref)


def _of_app(before: Admission, after: Admission, app: Ref) -> Iterator[Key]:
    one, two = before.world.app(app), after.world.app(app)
    for kind, old, new in (
        ("Build", one.builds, two.builds),
        ("AppDeployment", one.deployments, two.deployments),
        ("Release", one.releases, two.releases),
    ):
        yield from (Key(kind, ref) for ref in differing(old, new))
    if one.settings is not two.settings:
        yield Key("App", app)


def _record_change(key: Key, before: Entry | None, after: Entry | None) -> RecordChange | None:
    if before is None or after is None:
        return RecordChange(key, change_of(before, after))
    if before.record == after.record:
        return None
    fields = tuple(field_changes(json.loads(before.content), json.loads(after.content)))
    return RecordChange(key, Change.CHANGED, fields) if fields else None


def field_changes(before: Any, after: Any, path: Path = ()) -> Iterator[FieldChange]:
    """The fields that differ, by path. An item of a list is named by what tells it apart from the others."""
    old, new = _below(before), _below(after)
    if old is None or new is None:
        if _plain(before) != _plain(after):
            yield FieldChange(".".join(path), before, after)
        return
    for step in (*old, *(step for step in new if step not in old)):
        here = (*path, step)
        one, two = old.get(step), new.get(step)
        if (step in old and step in new) or _items(one) or _items(two):
            yield from field_changes([] if one is None else one, [] if two is None else two, here)
        else:
            yield FieldChange(".".join(here), one, two)
    if path[-1:] in ORDERED:
        yield from _reordered(path, list(old), list(new))


def _below(value: Any) -> dict[str, Any] | None:
    """What a value is made of; None: it is one value."""
    if isinstance(value, dict):
        return value
    if value == [] or _items(value):
        return dict(zip(_names(value), value, strict=True))
    return None


def _items(value: Any) -> bool:
    """Whether it is a list of more than plain values."""
    return isinstance(value, list) and any(isinstance(each, dict) for each in value)


def _names(items: list[Any]) -> list[str]:
    for field in IDENTITIES:
        names = [each.get(field) if isinstance(each, dict) else each for each in items]
        if all(isinstance(name, str) for name in names) and len(set(names)) == len(names):
            return [str(name) for name in names]
    return [str(index) for index in range(len(items))]


def _plain(value: Any) -> Any:
    """Of a list of plain values, none has an order that matters."""
    return sorted(value, key=str) if isinstance(value, list) and not _items(value) else value


def _reordered(path: Path, before: list[str], after: list[str]) -> Iterator[FieldChange]:
    one, two = [name for name in before if name in after], [name for name in after if name in before]
    if one != two:
        yield FieldChange(".".join(path), one, two)
