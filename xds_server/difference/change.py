"""The three things that can happen to something that has a name."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, TypeVar

from immutables import Map

Value = TypeVar("Value")


Line = tuple[int, str, str, str]
"""For people: indentation, sign (`+`, `~`, `-` or none), subject, and what is said of it."""


class Change(StrEnum):
    """What happens to something that has a name."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


def change_of(before: object | None, after: object | None) -> Change:
    if before is None:
        return Change.ADDED
    return Change.REMOVED if after is None else Change.CHANGED


def differing(before: Map[Any, Value] | Mapping[Any, Value], after: Map[Any, Value] | Mapping[Any, Value]) -> set[Any]:
    """The names under which the two hold different objects. Frozen values are shared, so identity is enough to skip."""
    if before is after:
        return set()
    gone = {name for name in before if name not in after}
    return gone | {name for name, value in after.items() if before.get(name) is not value}
