"""A resource that carries releases, and who of a fleet holds which version of it."""

from collections import deque
from datetime import datetime
from sys import maxsize

from xds_server.ledger.tracked import Tracked
from xds_server.snapshot import Resource, TypeUrl

CARRIERS = (TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST)
"""Types of which a resource can carry releases. A name is of one of them only."""

NOW = maxsize
"""The serial that stands for every world to come: what is told now."""
NOWHERE = NOW + 1
"""The serial that no world reaches."""
NEVER = -1
UNKNOWN = ""
"""The version of what a proxy may or may not hold: it has not answered yet, or has refused."""

VERSIONS = 64
"""Versions of a carrier that are remembered. A proxy that holds an older one is behind, whatever is asked."""


class Carrier:
    """A resource that carries releases, as one fleet holds it.

    `holders` are streams with the version that each has. `told` are its versions now, for newer and older proxies.
    `source` is the name of what it is made from: a wildcard, for a host under it. `_waiting` has what is not accepted
    by all holders, by the serial of the world that brought it.
    """

    __slots__ = (
        "_acks",
        "_counts",
        "_settled",
        "_until",
        "_waiting",
        "holders",
        "kind",
        "last",
        "name",
        "source",
        "told",
    )

    def __init__(self, kind: TypeUrl, name: str) -> None:
        self.kind = kind
        self.name = name
        self.source = name
        self.told: frozenset[str] = frozenset()
        self.holders: dict[int, str] = {}
        self._waiting: dict[int, set[Tracked]] = {}
        self._settled = NOW
        self.last: tuple[int, datetime] | None = None
        self._counts: dict[str, int] = {}
        self._until: dict[str, int] = {}
        self._acks: deque[tuple[int, datetime]] = deque(maxlen=VERSIONS)

    def tell(self, source: str, versions: frozenset[str], serial: int) -> None:
        """From the world of this serial on it has these versions."""
        self.source = source
        for gone in self.told - versions:
            self._until[gone] = serial - 1
        while len(self._until) > VERSIONS:
            del self._until[next(iter(self._until))]
        for back in versions & self._until.keys():
            del self._until[back]
        self.told = versions

    def hold(self, stream: int, version: str | None) -> None:
        """A stream's client holds this version from now on; None: it does not hold the resource at all."""
        before = self.holders.get(stream)
        if before is not None:
            self._counts[before] -= 1
            if not self._counts[before]:
                del self._counts[before]
        if version is None:
            self.holders.pop(stream, None)
        else:
            self.holders[stream] = version
            self._counts[version] = self._counts.get(version, 0) + 1

    def accepted(self, version: str, serial: int, now: datetime) -> None:
        """A proxy said that it took this version, when the newest world had this serial."""
        reached = min(self.reach(version), serial)
        if not self._acks or reached > self._acks[-1][0]:
            self._acks.append((reached, now))
        if self.last is None or reached >= self.last[0]:
            self.last = reached, now

    def reach(self, version: str) -> int:
        """The newest world in which this version was told."""
        return NOW if version in self.told else self._until.get(version, NEVER)

    @property
    def lowest(self) -> int:
        """The newest world of which all holders have accepted what it said here."""
        return min(map(self.reach, self._counts), default=NOW)

    def first_ack(self, serial: int) -> datetime | None:
        return next((at for reached, at in self._acks if reached >= serial), None)

    def last_ack(self, serial: int) -> datetime | None:
        return self.last[1] if self.last is not None and self.last[0] >= serial else None

    def wait(self, tracked: Tracked, serial: int) -> None:
        """It is behind what this content wants of it."""
        self._waiting.setdefault(serial, set()).add(tracked)
        tracked.owed.add(self)
        self._settled = self.lowest

    def give_up(self, tracked: Tracked) -> None:
        """Nobody waits for this content any more."""
        assert tracked.serial is not None
        waiting = self._waiting[tracked.serial]
        waiting.discard(tracked)
        if not waiting:
            del self._waiting[tracked.serial]

    @property
    def waiting(self) -> list[Tracked]:
        return [each for found in self._waiting.values() for each in found]

    @property
    def idle(self) -> bool:
        """Nobody has it, and nothing waits for anybody."""
        return not (self.holders or self._waiting)

    def settle(self) -> list[Tracked]:
        """What all holders have accepted by now, once. Nothing new is settled before the last of them moves."""
        lowest = self.lowest
        if lowest == self._settled:
            return []
        self._settled = lowest
        done = [self._waiting.pop(serial) for serial in sorted(self._waiting) if serial <= lowest]
        found = [each for some in done for each in some]
        for each in found:
            each.owed.discard(self)
        return found


def versions_of(made_from: Resource, name: str) -> frozenset[str]:
    """The versions that newer and older proxies get of a resource of this name; it may be under a wildcard."""
    found = []
    each: Resource | None = made_from
    while each is not None:
        found.append(each.called(name).version)
        each = each.older
    return frozenset(found)
