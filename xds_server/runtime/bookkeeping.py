"""The ledger in a running server: it hears what happens on streams, is kept in the state directory, wakes who waits.

Nothing is written when something happens: what is new is marked, and `save` writes it in one transaction, after
proxies have been told. A server that is killed loses what happened since the last one.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from typing_extensions import override

from xds_server.domain.errors import StateUnwritable
from xds_server.domain.names import Ref
from xds_server.ledger.entry import Entry
from xds_server.ledger.ledger import Ledger, Published
from xds_server.ledger.standing import Refusals
from xds_server.protocol.events import Acked, Nacked, Node, Send
from xds_server.runtime.observers import Nobody
from xds_server.runtime.worlds import fleet_of
from xds_server.snapshot import TypeUrl
from xds_server.state.store import Store
from xds_server.transport.connections import Connections

MOST = 200
"""Entries in one transaction."""
AT_ONCE = timedelta(milliseconds=2)
"""After so long a transaction is closed: a change of records may have to wait for it. Where proxies are behind, an
entry costs as much as there are proxies.
"""


@dataclass(slots=True, eq=False)
class Bell:
    """It rings once, for so many who wait."""

    rung: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0


class Bookkeeping(Nobody):
    """Belongs to one event loop. `unsaved` is set while there is something to save, `began` once there is a world."""

    def __init__(
        self,
        store: Store,
        connections: Connections,
        clock: Callable[[], datetime],
        refusals: Refusals | None = None,
    ) -> None:
        self.ledger = Ledger(*store.begun(), refusals)
        self.unsaved = asyncio.Event()
        self.began = asyncio.Event()
        self.revision = 0
        self._store = store
        self._connections = connections
        self._clock = clock
        self._changed: asyncio.Event | None = None
        self._bells: dict[Ref | None, Bell] = {}

    def publish(self, world: Published) -> None:
        self.ledger.publish(world, self._clock())
        self.began.set()
        self._follow()

    def note(self, release: Ref, what: str) -> None:
        """Something that is kept with the content in force of a release."""
        self.ledger.note(release, what)
        self._follow()

    def go_on(self) -> None:
        """Proxies have had the time to come back after a restart."""
        self.ledger.go_on(self._clock())
        self._follow()

    def save(self) -> None:
        """Write what is new, or a part of it that is written fast. Raises `StateUnwritable`, and forgets nothing."""
        until, entries = self._clock() + AT_ONCE, self.ledger.take_unsaved(1)
        while self.ledger.has_unsaved and len(entries) < MOST and self._clock() < until:
            entries += self.ledger.take_unsaved(1)
        self._keep(entries)
        if not self.ledger.has_unsaved:
            self.unsaved.clear()

    def save_of(self, releases: Iterable[Ref]) -> None:
        """Write what is new of these before something is done to them: who is told of both is told in that order."""
        self._keep(self.ledger.take_unsaved_of(releases))

    def _keep(self, entries: Sequence[Entry]) -> None:
        if entries:
            try:
                self._store.keep(entries)
            except StateUnwritable:
                self.ledger.give_back(entries)
                raise

    def save_all(self) -> None:
        """Write all that is new. Raises `StateUnwritable`."""
        while self.ledger.has_unsaved:
            self.save()

    def history(self, release: Ref) -> list[Entry]:
        """Every entry that is kept of a release, the newest first, as it is now."""
        return self._with_unsaved(self._store.history(release), lambda each: each.release == release)

    def entries_of(self, content: str) -> list[Entry]:
        """Every entry whose content begins so, the newest first."""
        return self._with_unsaved(self._store.entries_of(content), lambda each: each.content.startswith(content))

    def _with_unsaved(self, kept: Iterable[Entry], which: Callable[[Entry], bool]) -> list[Entry]:
        newest = {each.number: each for each in (*kept, *self.ledger.unsaved(which))}
        return [newest[number] for number in sorted(newest, reverse=True)]

    def live(self, release: Ref) -> datetime | None:
        """Since when what is in force of a release is live."""
        found = self.ledger.entry(release)
        return None if found is None else found.live

    @property
    def awaited(self) -> frozenset[Ref | None]:
        """The releases of which somebody waits for news; None: of any."""
        return frozenset(self._bells)

    async def news_of(self, release: Ref | None) -> None:
        """Wait until a content of this release may have come further, or of any. Not each acknowledgement is news."""
        bell = self._bells.setdefault(release, Bell())
        bell.waiting += 1
        try:
            await bell.rung.wait()
        finally:
            bell.waiting -= 1
            if not bell.waiting and self._bells.get(release) is bell:
                del self._bells[release]

    async def change(self) -> None:
        """Wait until anything happens: with a release, or on a stream."""
        if self._changed is None:
            self._changed = asyncio.Event()
        await self._changed.wait()

    def ring(self, releases: Iterable[Ref] | None = None) -> None:
        """Something is new of these releases, or may be of all."""
        self.revision += 1
        if self._changed is not None:
            self._changed.set()
            self._changed = None
        for release in self._rung(releases):
            bell = self._bells.pop(release, None)
            if bell is not None:
                bell.rung.set()

    def _rung(self, releases: Iterable[Ref] | None) -> list[Ref | None]:
        """Whose bells ring: who waits for news of any release hears of each."""
        if releases is None:
            return list(self._bells)
        found = list(releases)
        return [*found, None] if found else []

    def _follow(self) -> None:
        self.ring(self.ledger.take_news())
        if self.ledger.has_unsaved:
            self.unsaved.set()

    @override
    def opened(self, node: Node, mode: str) -> None:
        fleet = fleet_of(node, mode)
        if fleet is not None:
            self.ledger.opened(node.stream, node.id, fleet, self._clock())
        self._follow()

    @override
    def closed(self, node: Node, mode: str) -> None:
        self.ledger.closed(node.stream, self._clock())
        self._follow()

    @override
    def sent(self, node: Node, send: Send) -> None:
        self._learn(node, send.type_url)
        self.ledger.sent(node.stream, send.type_url, send.resources)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        self._learn(node, acked.type_url)
        self.ledger.acked(node.stream, acked.type_url, acked.resources, acked.removed, self._clock())
        self._follow()

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        self.ledger.nacked(node.stream, nacked.type_url, nacked.reason, nacked.refused)
        self._follow()
        self.ring()

    def _learn(self, node: Node, type_url: str) -> None:
        """What a proxy holds of virtual hosts from before is known as soon as it has said anything about them."""
        if self.ledger.has_stated(node.stream, type_url):
            return
        connection = self._connections.on(node)
        if connection is not None:
            kind = TypeUrl(type_url)
            self.ledger.stated(node.stream, kind, connection.stream.holds(kind), self._clock())
