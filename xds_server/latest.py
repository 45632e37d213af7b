"""The cell that tasks follow: whoever is slow skips what was superseded, and nothing queues up."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """The newest value of something that changes. Empty until the first `put`.

    Belongs to one event loop. Followers keep only a number each, so any number of them may follow.
    """

    __slots__ = ("__weakref__", "_changed", "_count", "_value")

    def __init__(self) -> None:
        self._value: T | None = None
        self._count = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T | None:
        """The newest value, or None before the first."""
        return self._value

    def put(self, value: T) -> None:
        self._value = value
        self._count += 1
        # Followers that wait hold the old event, those that come later the new one: nobody can miss a value.
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def follow(self) -> AsyncIterator[T]:
        """Yield the newest value, at once if there is one, and then each time there is a newer one."""
        seen = 0
        while True:
            if self._count == seen:
                await self._changed.wait()
            seen = self._count
            value = self._value
            assert value is not None
            yield value
