"""How often proxies are told, when changes storm: the first at once, and then no more than half of the time."""

WRITE = 80e-6
"""Seconds of the event loop that gRPC needs to write one response, after the fan-out."""


class Pacing:
    """After a fan-out as much time as it took is left to everything else. What changes meanwhile is told together.

    A change of endpoints alone waits for any fan-out before; any other change waits only for those of its like, so that
    a release never waits behind endpoints that come and go. Times are seconds of one steady clock.
    """

    def __init__(self) -> None:
        self._endpoints_from = 0.0
        self._others_from = 0.0

    def due(self, *, endpoints_alone: bool) -> float:
        """When the next fan-out may begin; in the past if it may at once."""
        return self._endpoints_from if endpoints_alone else self._others_from

    def took(self, began: float, ended: float, responses: int, *, endpoints_alone: bool) -> None:
        """A fan-out was made. Its responses are written from `ended` on."""
        written = ended + responses * WRITE
        rest = written + (written - began)
        self._endpoints_from = max(self._endpoints_from, rest)
        if not endpoints_alone:
            self._others_from = max(self._others_from, rest)
