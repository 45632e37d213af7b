"""When listeners that a client refused are sent to it again, though nothing has changed.

A port may become free without any record changing. So a refused listener is tried again after a second, then after
twice as long each time, up to a minute, for as long as it is refused. That keeps R12, which allows a back-off. A new
world of listeners begins with a second again.
"""

from xds_server.protocol.channel import Channel
from xds_server.protocol.events import Wake

SHORTEST = 1.0
LONGEST = 60.0
PREFIX = "retry-"


class Retries:
    """The back-off of one stream."""

    __slots__ = ("_made", "_seconds", "_token")

    def __init__(self) -> None:
        self._made = 0
        self._seconds = SHORTEST
        self._token = ""

    def reset(self) -> None:
        """Other content is tried at once, and deserves a short time."""
        self._seconds = SHORTEST
        self._token = ""

    def due(self, token: str) -> bool:
        """The time that `next` asked for is over."""
        if not token or token != self._token:
            return False
        self._token = ""
        self._seconds = min(2 * self._seconds, LONGEST)
        return True

    def next(self, listeners: Channel | None) -> Wake | None:
        """A timer if something is refused and none runs for it."""
        if listeners is None or self._token or not listeners.refused:
            if listeners is not None and not (listeners.refused or listeners.due or listeners.awaited):
                self.reset()
            return None
        self._made += 1
        self._token = f"{PREFIX}{self._made}"
        return Wake(self._seconds, self._token)
