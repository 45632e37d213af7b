"""The streams of one kind of proxies: who there is, who wants what, and how fast and how well they answer.

A member is a bit, and several of them are a number: that is how the indexes know them, and how those that are asked
for something are found without looking at everybody.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from xds_server.protocol.events import Acked, Nacked, Send
from xds_server.protocol.index import Index
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.stream import Stream
from xds_server.protocol.trials import Key, ends_of
from xds_server.snapshot import Resource, Snapshot, TypeUrl

SLOW = 3600.0
"""What is thought of a member that has not answered yet."""


@dataclass(slots=True, eq=False)
class Member:
    """A stream of the kind, and its bit.

    `pace`: seconds that its last answer took. `sent`: when it was sent what it has not answered, by type. `tries`: what
    it is told that others are not; `own`: the world with that, while there is something. `refused`: what it ever did,
    and why it did so last.
    """

    stream: Stream[Any]
    bit: int
    pace: float = SLOW
    sent: dict[str, float] = field(default_factory=dict)
    tries: dict[Key, Resource | None] = field(default_factory=dict)
    own: Outlook | None = None
    refused: dict[Key, str] = field(default_factory=dict)


class Members:
    """All streams of a kind. `late`: the bits of those that did not answer in time; `unfit`: of those that refused what
    another accepted.
    """

    def __init__(self) -> None:
        self.indexes: dict[str, Index] = {kind: Index() for kind in TypeUrl}
        self.late = 0
        self.unfit = 0
        self._awaited: dict[str, int] = dict.fromkeys(TypeUrl, 0)
        self._members: dict[int, Member] = {}
        self._living = 0
        self._dead = 0

    def __getitem__(self, bit: int) -> Member:
        return self._members[bit]

    def __contains__(self, member: Member) -> bool:
        return self._members.get(member.bit) is member

    @property
    def everybody(self) -> Collection[Member]:
        return self._members.values()

    def of(self, bits: int) -> Iterator[Member]:
        """Those of them that are there."""
        return (self._members[bit] for bit in each_bit(bits & self._living))

    def join(self, stream: Stream[Any]) -> Member:
        used = self._living | self._dead
        member = Member(stream, ~used & (used + 1))
        self._members[member.bit] = member
        self._living |= member.bit
        return member

    def forget(self, member: Member) -> None:
        """Its stream has ended."""
        del self._members[member.bit]
        self._living &= ~member.bit
        self._dead |= member.bit
        self.late &= ~member.bit
        self.unfit &= ~member.bit
        for type_url in self._awaited:
            self._awaited[type_url] &= ~member.bit
        # To forget a stream is to look at every name, so several are forgotten at a time.
        if self._dead.bit_count() > self._living.bit_count():
            for index in self.indexes.values():
                index.forget(self._dead)
            self._dead = 0

    def sent(self, member: Member, send: Send, now: float) -> None:
        member.sent[send.type_url] = now
        self._awaited[send.type_url] = self._awaited.get(send.type_url, 0) | member.bit

    def answered(self, member: Member, answer: Acked | Nacked, now: float) -> None:
        if answer.nonce:
            member.pace = now - member.sent.pop(answer.type_url, now)
            self.late &= ~member.bit
            self._awaited[answer.type_url] = self._awaited.get(answer.type_url, 0) & ~member.bit

    def wanting(self, key: Key, *worlds: Snapshot | None) -> int:
        """Who wants what is to be told of a name. On demand, everything is what each asked for or needs.

        `worlds`: the settled one, and what is offered.
        """
        index = self.indexes[key.kind]
        begin, end = ends_of(key.name) if key.kind is TypeUrl.VIRTUAL_HOST else (key.name, "")
        found = index.wanting(key.name) if begin == key.name else index.wanting_under(begin, end)
        settled = worlds[0]
        if not (settled is not None and settled.on_demand and key.kind is TypeUrl.CLUSTER):
            found |= index.everything
        # Some are for every proxy, though others of their type are delivered on demand.
        if any(each is not None and key.name in each.always.get(key.kind, ()) for each in worlds):
            found |= self._living
        return found & self._living

    def fittest(self, bits: int, kind: TypeUrl, chosen: int) -> Member | None:
        """Of these the one that tries a content best: the fastest of those that are fit, and can be told at once.

        Who has been `chosen` for something else just now is preferred to who has not. Who has yet to answer about that
        type, or warms clusters, can be told only after that.
        """
        awaited = self._awaited[kind] | (self._awaited[TypeUrl.CLUSTER] if kind in ROUTING else 0)
        for good in (~self.unfit, ~self.late, chosen, ~awaited):
            bits = bits & good or bits
        return min(self.of(bits), key=lambda member: member.pace, default=None)


ROUTING = (TypeUrl.LISTENER, TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST)
"""Types whose content waits for clusters."""


def each_bit(bits: int) -> Iterator[int]:
    while bits:
        lowest = bits & -bits
        yield lowest
        bits ^= lowest
