"""A frozen map while it is changed: looked up as fast as a dictionary, which matters when all of it is new."""

from collections.abc import Hashable
from typing import Generic, TypeVar

from immutables import Map

Name = TypeVar("Name", bound=Hashable)
Value = TypeVar("Value")


class Draft(Generic[Name, Value]):
    """What a map will say, and in `changes` what that is other than before: a new value, or None where it has none."""

    __slots__ = ("_before", "changes")

    def __init__(self, before: Map[Name, Value]) -> None:
        self.changes: dict[Name, Value | None] = {}
        self._before = before

    def get(self, name: Name) -> Value | None:
        if name in self.changes:
            return self.changes[name]
        return self._before.get(name) if self._before else None

    def __contains__(self, name: Name) -> bool:
        return self.get(name) is not None

    def __setitem__(self, name: Name, value: Value) -> None:
        self.changes[name] = value

    def remove(self, name: Name) -> None:
        """It says nothing of it any more, if it did."""
        if self._before and name in self._before:
            self.changes[name] = None
        else:
            self.changes.pop(name, None)

    def finish(self) -> Map[Name, Value]:
        """The map as it is now; the same object if nothing was changed."""
        if not self.changes:
            return self._before
        after = self._before.mutate()
        for name, value in self.changes.items():
            if value is None:
                del after[name]
            else:
                after[name] = value
        return after.finish()
