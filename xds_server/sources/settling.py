"""When a file may be read: a pure record of what is known about files that change.

    ARRIVED   renamed into place, or closed after writing     at once
    TOUCHED   its owner, mode or times changed                at once, unless it waits for something else
    WRITING   changed by somebody who has not closed it yet   when it arrives; at the latest after `writing` seconds
    LEFT      removed or renamed away                         after `absence` seconds in which no file left

The last sign of a file decides. Signs say when to look, never what will be seen: that is for whoever reads the file.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple


class Sign(Enum):
    """What was noticed about a file."""

    ARRIVED = auto()
    TOUCHED = auto()
    WRITING = auto()
    LEFT = auto()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds.

    Editors and git replace a file by removing it and creating it anew: `absence` is how long it may take.
    Whoever empties a folder removes one file after the other: they are told of together, so that the whole can be
    judged, unless it takes longer than `removal`.
    A program may write to a file and never close it: after `writing` seconds without a change it is read as it is.
    """

    absence: float = 0.1
    removal: float = 1.0
    writing: float = 10.0


class _Wait(NamedTuple):
    since: float
    sign: Sign


class Settling:
    """The files that changed and have not been read since. `now` is any clock that only moves forward."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waits: dict[str, _Wait] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._waits

    def note(self, path: str, sign: Sign, now: float) -> None:
        if sign is not Sign.TOUCHED or path not in self._waits:
            self._waits[path] = _Wait(now, sign)

    @property
    def due(self) -> float | None:
        """When the next file may be read; None: nothing waits."""
        removals = self._removals
        return min((self._until(wait, removals) for wait in self._waits.values()), default=None)

    def take(self, now: float) -> dict[str, Sign]:
        """The files that may be read now, with their last sign. They wait no longer."""
        removals = self._removals
        taken = {path: wait.sign for path, wait in self._waits.items() if self._until(wait, removals) <= now}
        for path in taken:
            del self._waits[path]
        return taken

    @property
    def _removals(self) -> float:
        """When the files that left are believed to be gone, all together."""
        left = [wait.since for wait in self._waits.values() if wait.sign is Sign.LEFT]
        return min(max(left) + self._patience.absence, min(left) + self._patience.removal) if left else 0

    def _until(self, wait: _Wait, removals: float) -> float:
        match wait.sign:
            case Sign.ARRIVED | Sign.TOUCHED:
                return wait.since
            case Sign.WRITING:
                return wait.since + self._patience.writing
            case Sign.LEFT:
                return removals
