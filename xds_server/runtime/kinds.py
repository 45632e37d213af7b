"""The clock and the timer around a `Kind`, and the way from what its streams say to their sessions."""

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any

from typing_extensions import override

from xds_server.domain.versions import Minor
from xds_server.ports import Seat
from xds_server.protocol.events import Effect, Send
from xds_server.protocol.kind import Changed, Kind, Told
from xds_server.protocol.members import Member
from xds_server.protocol.stream import Request, Stream
from xds_server.snapshot import Snapshot, TypeUrl

Hear = Callable[[list[Effect]], None]


class ServedKind:
    """The streams of one kind while they are served. `empty` is called when the last of them is gone; `fanned_out` when
    others were told because of what one said, or did not: how many responses that were, and since when.

    A fan-out is one loop that appends to what sessions have to write: no proxy waits for another.
    """

    def __init__(
        self,
        envoy: Minor,
        empty: Callable[[], None] = lambda: None,
        fanned_out: Callable[[int, float], None] = lambda _responses, _began: None,
    ) -> None:
        self._kind = Kind(envoy)
        self._empty = empty
        self._fanned_out = fanned_out
        self._hear: dict[Member, Hear] = {}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> int:
        """Contents that somebody tries now."""
        return self._kind.running

    @property
    def idle(self) -> bool:
        """Nothing is lost if it is forgotten."""
        return not (self._hear or self._kind.holds_back)

    @property
    def settled(self) -> Snapshot | None:
        return self._kind.settled

    def quarantined(self, type_url: TypeUrl, name: str, version: str) -> bool:
        return self._kind.quarantined(type_url, name, version)

    @property
    def served(self) -> bool:
        """It has streams."""
        return bool(self._hear)

    def holds_back(self, type_url: TypeUrl, name: str, version: str) -> bool:
        """It is in quarantine, and so is what needs it: of anything but what carries releases an older one would do."""
        found = self.settled.of(type_url).get(name) if self.settled is not None else None
        needed = type_url in (TypeUrl.VIRTUAL_HOST, TypeUrl.ROUTES) or found is None or found.version == version
        return needed and self.quarantined(type_url, name, version)

    def join(self, stream: Stream[Any], hear: Hear) -> Seat:
        """`hear` is told what the stream says, at once and from now on."""
        member, told = self._kind.join(stream, monotonic())
        self._hear[member] = hear
        self.deliver(told)
        return _Seat(self, self._kind, member)

    def offer(self, snapshot: Snapshot, changed: Changed | None = None) -> int:
        """There is a newer world: how many responses that makes."""
        told = self._kind.offer(snapshot, monotonic(), changed)
        self.deliver(told)
        return _responses(told)

    def receive(self, member: Member, request: Request) -> None:
        began = monotonic()
        self._deliver_to_others(self._kind.receive(member, request, began), began)

    def elapsed(self, member: Member, token: str) -> None:
        began = monotonic()
        self._deliver_to_others(self._kind.elapsed(member, token, began), began)

    def leave(self, member: Member) -> None:
        self._hear.pop(member, None)
        began = monotonic()
        self._deliver_to_others(self._kind.leave(member, began), began)
        if not self._hear:
            self._empty()

    def deliver(self, told: Told) -> None:
        for member, effects in told.items():
            if effects and member in self._hear:
                self._hear[member](effects)
        self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        wake_at = self._kind.wake_at
        if wake_at is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wake_at - monotonic()), self._wake)

    def _wake(self) -> None:
        began = monotonic()
        self._deliver_to_others(self._kind.wake(began), began)

    def _deliver_to_others(self, told: Told, began: float) -> None:
        """A stream that goes on with what is its own is no fan-out."""
        self.deliver(told)
        if len(told) > 1:
            self._fanned_out(_responses(told), began)


class _Seat(Seat):
    """The place of one stream among those of its kind."""

    def __init__(self, served: ServedKind, kind: Kind, member: Member) -> None:
        self._served = served
        self._kind = kind
        self._member = member

    @override
    def receive(self, request: Request) -> None:
        self._served.receive(self._member, request)

    @override
    def elapsed(self, token: str) -> None:
        self._served.elapsed(self._member, token)

    @override
    def quarantined(self, type_url: str, name: str, version: str) -> bool:
        return type_url in set(TypeUrl) and self._kind.quarantined(TypeUrl(type_url), name, version)

    @override
    def leave(self) -> None:
        self._served.leave(self._member)


def _responses(told: Told) -> int:
    return sum(isinstance(effect, Send) for effects in told.values() for effect in effects)
