"""How many virtual hosts one proxy is told not to exist, or is sent because of a wildcard, in a minute.

Envoy keeps what it remembers of each host for ever, so whoever sends requests with random `Host` headers fills its
memory. Hence a bucket of tokens, one for each such answer: a burst is answered at once, and then as many in a second
as flow in. Both together are never more than 6,000 in any minute. Who waits too long gets Envoy's own time-out.

The bucket fills by timers, which run only while it is not full.
"""

from xds_server.protocol.events import Wake

BURST = 3000
EACH_SECOND = 50
PREFIX = "budget-"


class Budget:
    """The bucket of one stream."""

    __slots__ = ("_made", "_token", "tokens")

    def __init__(self) -> None:
        self.tokens = BURST
        self._made = 0
        self._token = ""

    def take(self, tokens: int) -> None:
        self.tokens -= tokens

    def due(self, token: str) -> bool:
        """The second that `next` asked for is over."""
        if not token or token != self._token:
            return False
        self._token = ""
        self.tokens = min(self.tokens + EACH_SECOND, BURST)
        return True

    def next(self) -> Wake | None:
        """A timer if the bucket is not full and none runs for it."""
        if self._token or self.tokens == BURST:
            return None
        self._made += 1
        self._token = f"{PREFIX}{self._made}"
        return Wake(1.0, self._token)
