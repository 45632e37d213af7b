"""Ticks, out of what proxies count in short times in which often only one side has a request."""

from xds_server.stats.counts import NONE, Tick

LONGEST_TICK = 60.0
"""Seconds for which requests of one side may wait for some of the other."""
_NOTHING = Tick(NONE, NONE)


class Pairing:
    """Of one comparison: what a proxy counts on one side alone is one tick with what it counts next.

    What ends a tick is that both sides have requests, never what became of them. What has met no other side after
    `LONGEST_TICK` is left out: the two would be compared at different times.
    """

    def __init__(self) -> None:
        self._alone: dict[str, tuple[float, Tick]] = {}
        self._swept = 0.0

    def tick(self, proxy: str, when: float, counted: Tick) -> Tick | None:
        """`counted` until `when`, in seconds, since it was asked last of this proxy. None: one side is missing."""
        self._forget(when)
        since, before = self._alone.pop(proxy, (when, _NOTHING))
        if when - since > LONGEST_TICK:
            since, before = when, _NOTHING
        both = Tick(before.canary.plus(counted.canary), before.stable.plus(counted.stable))
        if both.canary.requests and both.stable.requests:
            return both
        if both != _NOTHING:
            self._alone[proxy] = since, both
        return None

    def _forget(self, when: float) -> None:
        """Proxies come and go: who is gone leaves nothing."""
        if when - self._swept > LONGEST_TICK:
            self._swept = when
            self._alone = {proxy: alone for proxy, alone in self._alone.items() if when - alone[0] <= LONGEST_TICK}
