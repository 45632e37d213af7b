"""Facts come in, and the ledger says how far each content of each release has come.

An entry begins when a content comes into force and ends when it is replaced or removed. In between it becomes live at
most once: when every connected holder has accepted it, and there is a proxy at all. What an acknowledgement costs
depends on what it acknowledges: it moves one holder of each carrier, and only contents that wait at that carrier for
the last of its holders are looked at.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from xds_server.domain.names import Ref
from xds_server.ledger.carrier import CARRIERS, NOWHERE, UNKNOWN, Carrier
from xds_server.ledger.content import SHORTEST
from xds_server.ledger.entry import LONGEST, End, Entry, Holder, Summary
from xds_server.ledger.fleet import Fleet, Refused, Stream
from xds_server.ledger.standing import Nothing, Refusals
from xds_server.ledger.tracked import Tracked
from xds_server.records.models import Release
from xds_server.snapshot import Delivery, Resource, Snapshot, TypeUrl

TOLD = 3
"""Refusals that are told as the reason of one content; the rest are counted."""

FleetName = tuple[Ref, Delivery]


class Change(NamedTuple):
    """A release is in force with this content, or no longer in force: None."""

    release: Ref
    record: Release | None
    content: str = ""


@dataclass(frozen=True, slots=True)
class Published:
    """What a world brings. `told` is the snapshot of every fleet, `serial` that of the world.

    `late` are releases whose resources do not have their content yet, because extensions are still asked.
    `complete`: the changes are all the releases that there are.
    """

    serial: int
    changes: Iterable[Change] = ()
    told: Mapping[FleetName, Snapshot] = field(default_factory=dict)
    late: frozenset[Ref] = frozenset()
    complete: bool = False


class Ledger:
    """`begun` are the entries that had not ended when the ledger was last kept, `last` the newest number ever given.

    Streams have numbers. Those of one node id are one proxy, which has accepted what all of them have.
    """

    def __init__(self, begun: Iterable[Entry] = (), last: int = 0, refusals: Refusals | None = None) -> None:
        self._refusals = refusals or Nothing()
        self._begun = {entry.release: entry for entry in begun}
        self._last = self._restored = last
        # Who kept them from being live is waited for: the first that comes back does not speak for all.
        owing = [each.summary for each in self._begun.values() if each.live is None]
        self._missing = {holder.proxy for each in owing for holder in each.named}
        self._has_unnamed = any(each.owing > len(each.named) for each in owing)
        self._held_up: set[Tracked] = set()
        self._current: dict[Ref, Tracked] = {}
        self._beginning: dict[str, set[Ref]] = {}
        self._late: set[Ref] = set()
        self._fleets: dict[FleetName, Fleet] = {}
        self._streams: dict[int, Stream] = {}
        self._unsaved: OrderedDict[int, Tracked | Entry] = OrderedDict()
        self._news: set[Ref] = set()
        self._serial = 0

    @property
    def releases(self) -> list[Ref]:
        """Those in force, by name."""
        return sorted(self._current)

    def releases_with(self, content: str) -> list[Ref]:
        """Those in force whose content begins so, by name. Of it `SHORTEST` digits are needed."""
        near = self._beginning.get(content[:SHORTEST], ())
        return sorted(each for each in near if self._current[each].entry.content.startswith(content))

    def take_news(self) -> set[Ref]:
        """The releases of which a content has come further since this was last asked."""
        news, self._news = self._news, set()
        return news

    def take_unsaved(self, most: int) -> list[Entry]:
        """So many entries that differ from what was kept last, the oldest change first."""
        taken = [self._unsaved.popitem(last=False)[1] for _ in range(min(most, len(self._unsaved)))]
        return [each if isinstance(each, Entry) else self._looked(each) for each in taken]

    def take_unsaved_of(self, releases: Iterable[Ref]) -> list[Entry]:
        """Those in force of these releases that differ from what was kept last."""
        current = (found for each in releases if (found := self._current.get(each)) is not None)
        return [self._looked(each) for each in current if self._unsaved.pop(each.entry.number, None) is not None]

    def give_back(self, entries: Sequence[Entry]) -> None:
        """These were taken, and cannot be kept now: they are the first to be taken again."""
        for each in reversed(entries):
            current = self._current.get(each.release)
            is_current = current is not None and current.entry.number == each.number
            self._unsaved[each.number] = current if current is not None and is_current else each
            self._unsaved.move_to_end(each.number, last=False)

    def unsaved(self, which: Callable[[Entry], bool]) -> list[Entry]:
        """Those that differ from what was kept last, and are such."""
        found = [each for each in self._unsaved.values() if which(each if isinstance(each, Entry) else each.entry)]
        return [each if isinstance(each, Entry) else self._looked(each) for each in found]

    @property
    def has_unsaved(self) -> bool:
        return bool(self._unsaved)

    def entry(self, release: Ref) -> Entry | None:
        """The content in force, and what proxies make of it now."""
        tracked = self._current.get(release)
        return self._looked(tracked) if tracked is not None else None

    def content(self, release: Ref) -> str | None:
        tracked = self._current.get(release)
        return tracked.entry.content if tracked is not None else None

    def holders(self, release: Ref) -> list[Holder]:
        """What each proxy of its gateways did with the content in force."""
        tracked = self._current.get(release)
        return list(self._holders(tracked)) if tracked is not None else []

    def holding(self, release: Ref) -> Iterator[tuple[str, int]]:
        """Who has the default of a release loaded: proxies, with the numbers of their streams."""
        tracked = self._current.get(release)
        if tracked is not None:
            hosts = tracked.record.spec.hosts
            found = (each for fleet in self._fleets_of(tracked) for each in fleet.holding(hosts))
            yield from ((each.proxy, each.number) for each in found)

    def publish(self, world: Published, now: datetime) -> None:
        """There is a newer world."""
        self._serial = world.serial
        changes = [each for each in world.changes if each.record is None or each.content != self.content(each.release)]
        for change in changes:
            self._end(change, now)
        for name, snapshot in world.told.items():
            fleet = self._fleet(name)
            if fleet.snapshot is not snapshot:
                self._settle(fleet.publish(snapshot), now)
                self._unblock(fleet, now)
        for change in changes:
            if change.record is not None:
                self._begin(change, change.record, now)
        self._carry((*(change.release for change in changes), *(self._late - world.late)), world.late, now)
        if world.complete:
            for gone in self._begun.values():
                self._finish(gone.ends(End.REMOVED, now))
            self._begun.clear()

    def note(self, release: Ref, what: str) -> None:
        """Something that is kept with the content in force, in place of what was noted before."""
        tracked = self._current.get(release)
        if tracked is not None:
            tracked.entry = replace(tracked.entry, note=what[:LONGEST])
            self._touch(tracked)

    def opened(self, number: int, proxy: str, fleet_name: FleetName, now: datetime) -> None:
        """A stream of a proxy: what its client holds is to be learned."""
        fleet = self._fleet(fleet_name)
        stream = self._streams[number] = Stream(fleet, number, proxy)
        fleet.enter(stream)
        if proxy in self._missing:
            self._missing.discard(proxy)
            if not self._is_gathering:
                self.go_on(now)
        self._unblock(fleet, now)

    def go_on(self, now: datetime) -> None:
        """Who has not come back after a restart by now is gone."""
        self._missing.clear()
        self._has_unnamed = False
        held_up, self._held_up = self._held_up, set()
        for tracked in held_up:
            self._look_at(tracked, now)

    @property
    def _is_gathering(self) -> bool:
        """After a restart somebody may come back who was behind: of those that nobody named nobody knows who."""
        return bool(self._missing) or self._has_unnamed

    def closed(self, number: int, now: datetime) -> None:
        stream = self._streams.pop(number, None)
        if stream is None:
            return
        fleet = stream.fleet
        self._settle(fleet.leave(stream, now), now)
        self._unblock(fleet, now)
        if fleet.is_forgotten:
            del self._fleets[fleet.gateway, fleet.delivery]

    def has_stated(self, number: int, kind: str) -> bool:
        """It is known what the proxy held of a type when it connected; of types that carry nothing it need not be."""
        stream = self._streams.get(number)
        return stream is None or kind != TypeUrl.VIRTUAL_HOST or kind in stream.spoken

    def stated(self, number: int, kind: TypeUrl, held: Mapping[str, Resource], now: datetime) -> None:
        """What a proxy holds of a type, by what it said when it connected."""
        stream = self._streams.get(number)
        if stream is None:
            return
        for name, resource in held.items():
            stream.fleet.hold(stream, kind, name, resource.version)
        if stream.fleet.speaks(stream, kind):
            self._unblock(stream.fleet, now)

    def sent(self, number: int, type_url: str, resources: Iterable[Resource]) -> None:
        """What it holds of these is not known until it answers."""
        stream = self._streams.get(number)
        kind = _carrying(type_url)
        if stream is None or kind is None:
            return
        versions = {each.name: each.version for each in resources}
        stream.way[type_url] = versions
        for name in versions:
            stream.fleet.hold(stream, kind, name, UNKNOWN)

    def acked(
        self, number: int, type_url: str, resources: Iterable[Resource], removed: Iterable[str], now: datetime
    ) -> None:
        stream = self._streams.get(number)
        if stream is None:
            return
        taken = list(resources)
        stream.way.pop(type_url, None)
        for each in taken:
            stream.fleet.forgive(stream, type_url, each)
        kind = _carrying(type_url)
        if kind is not None:
            self._take(stream, kind, taken, now)
            for name in removed:
                self._settle([found] if (found := stream.fleet.hold(stream, kind, name, None)) else [], now)
        elif type_url == TypeUrl.LISTENER:
            self._listen(stream, taken, removed, now)
        self._unblock(stream.fleet, now)

    def nacked(self, number: int, type_url: str, why: str, refused: Mapping[str, str]) -> None:
        """What it holds of that response stays unknown. The refusal stands until it accepts that or newer."""
        stream = self._streams.get(number)
        if stream is None:
            return
        stream.way.pop(type_url, None)
        for name, version in refused.items():
            stream.refused[type_url, name] = Refused(version, why)
        for tracked in _concerned(stream.fleet, type_url, refused):
            if tracked.open:
                self._touch(tracked)

    def _take(self, stream: Stream, kind: TypeUrl, resources: list[Resource], now: datetime) -> None:
        moved = []
        for each in resources:
            carrier = stream.fleet.hold(stream, kind, each.name, each.version)
            if carrier is not None:
                carrier.accepted(each.version, self._serial, now)
                moved.append(carrier)
        ready = stream.fleet.speaks(stream, kind)
        self._settle(moved, now)
        if ready:
            self._unblock(stream.fleet, now)

    def _listen(self, stream: Stream, listeners: list[Resource], removed: Iterable[str], now: datetime) -> None:
        """A proxy that has a listener will hold the routes that it needs; with the listener they go."""
        fleet = stream.fleet
        for name in (need for listener in listeners for need in listener.needs):
            if name not in fleet.carriers or stream.number not in fleet.carriers[name].holders:
                fleet.hold(stream, TypeUrl.ROUTES, name, UNKNOWN)
        for name in removed:
            self._settle(fleet.forget(stream, name), now)

    def _begin(self, change: Change, record: Release, now: datetime) -> None:
        """A content comes into force, or is still in force after a restart."""
        entry = self._begun.pop(change.release, None)
        if entry is None or entry.content != change.content:
            if entry is not None:
                self._finish(entry.ends(End.REPLACED, now))
            self._last += 1
            entry = Entry(self._last, change.release, change.content, now)
        tracked = Tracked(entry, record)
        self._current[change.release] = tracked
        self._beginning.setdefault(entry.content[:SHORTEST], set()).add(change.release)
        self._touch(tracked)

    def _carry(self, releases: Iterable[Ref], late: frozenset[Ref], now: datetime) -> None:
        """The newest world has the contents of these, but for those that are late."""
        for release in releases:
            tracked = self._current.get(release)
            if release in late and tracked is not None:
                self._late.add(release)
                continue
            self._late.discard(release)
            if tracked is not None and tracked.serial is None:
                tracked.serial = self._serial
                self._look_at(tracked, now)

    def _settle(self, carriers: Iterable[Carrier], now: datetime) -> None:
        for carrier in carriers:
            for tracked in carrier.settle():
                self._look_at(tracked, now)

    def _unblock(self, fleet: Fleet, now: datetime) -> None:
        if fleet.blocked and fleet.streams and not fleet.connecting:
            blocked, fleet.blocked = fleet.blocked, set()
            for tracked in blocked:
                self._look_at(tracked, now)

    def _look_at(self, tracked: Tracked, now: datetime) -> None:
        """Find out what it waits for. It is live if that is nothing."""
        if tracked.owed or not tracked.open or tracked.serial is None:
            return
        for carrier in self._carriers_of(tracked):
            if carrier.lowest < tracked.serial:
                carrier.wait(tracked, tracked.serial)
        if not tracked.owed:
            self._conclude(tracked, now)

    def _conclude(self, tracked: Tracked, now: datetime) -> None:
        """Nobody who holds it is behind. But some may not have said what they hold, or there may be nobody; or who asks
        for it next would not get it."""
        if self._is_gathering and tracked.entry.number <= self._restored:
            self._held_up.add(tracked)
            return
        fleets = self._fleets_of(tracked)
        blocking = [each for each in fleets if each.connecting or _holds_back(each, tracked)]
        if not (blocking or any(each.streams for each in fleets)):
            blocking = fleets
        for fleet in fleets:
            fleet.blocked.discard(tracked)
        for fleet in blocking:
            fleet.blocked.add(tracked)
        if not blocking:
            tracked.entry = replace(self._looked(tracked), live=now)
            self._touch(tracked)

    def _end(self, change: Change, now: datetime) -> None:
        tracked = self._current.pop(change.release, None)
        if tracked is None:
            return
        near = self._beginning[tracked.entry.content[:SHORTEST]]
        near.discard(change.release)
        if not near:
            del self._beginning[tracked.entry.content[:SHORTEST]]
        end = End.REMOVED if change.record is None else End.REPLACED
        tracked.entry = (self._looked(tracked) if tracked.open else tracked.entry).ends(end, now)
        self._finish(tracked.entry)
        for carrier in tracked.owed:
            carrier.give_up(tracked)
        for fleet in self._fleets_of(tracked):
            fleet.blocked.discard(tracked)

    def _finish(self, entry: Entry) -> None:
        self._unsaved[entry.number] = entry
        self._news.add(entry.release)

    def _touch(self, tracked: Tracked) -> None:
        self._unsaved[tracked.entry.number] = tracked
        self._news.add(tracked.entry.release)

    def _looked(self, tracked: Tracked) -> Entry:
        """The entry with what is known now. What was live keeps the times at which it became so."""
        serial, since = tracked.serial, tracked.entry.accepted
        parts = (each.summary(tracked.hosts, _wanted(serial), since) for each in self._fleets_of(tracked))
        entry = replace(tracked.entry, summary=sum(parts, Summary()))
        if not tracked.open:
            return entry
        entry = replace(entry, refusal=self._refusal_of(tracked))
        if serial is None:
            return entry
        carriers = self._carriers_of(tracked)
        first = [at for each in carriers if (at := each.first_ack(serial)) is not None]
        last = [at for each in carriers if (at := each.last_ack(serial)) is not None]
        return replace(
            entry,
            first_ack=min([*first, *_said(entry.first_ack)], default=None),
            last_ack=max([*last, *_said(entry.last_ack)], default=None),
        )

    def _refusal_of(self, tracked: Tracked) -> str:
        found = (each for fleet in self._fleets_of(tracked) for each in fleet.refusals(tracked.hosts))
        words = list(dict.fromkeys(map(self._refusals.words, found)))
        more = [f"and {len(words) - TOLD} more"] if len(words) > TOLD else []
        return "; ".join([*words[:TOLD], *more])

    def _holders(self, tracked: Tracked) -> Iterator[Holder]:
        for fleet in self._fleets_of(tracked):
            yield from fleet.holders(tracked.hosts, _wanted(tracked.serial), tracked.entry.accepted)

    def _carriers_of(self, tracked: Tracked) -> list[Carrier]:
        return [each for fleet in self._fleets_of(tracked) for each in fleet.carrying(tracked.hosts)]

    def _fleets_of(self, tracked: Tracked) -> list[Fleet]:
        return [self._fleet((gateway, delivery)) for gateway in tracked.gateways for delivery in Delivery]

    def _fleet(self, name: FleetName) -> Fleet:
        found = self._fleets.get(name)
        if found is None:
            found = self._fleets[name] = Fleet(*name, self._refusals)
        return found


def _carrying(type_url: str) -> TypeUrl | None:
    return next((kind for kind in CARRIERS if kind == type_url), None)


def _holds_back(fleet: Fleet, tracked: Tracked) -> bool:
    return any(each.held_back for each in fleet.refusals(tracked.hosts))


def _said(at: datetime | None) -> list[datetime]:
    return [] if at is None else [at]


def _wanted(serial: int | None) -> int:
    """What no world has yet, nobody can have accepted."""
    return NOWHERE if serial is None else serial


def _concerned(fleet: Fleet, type_url: str, refused: Iterable[str]) -> Iterator[Tracked]:
    """What waits for a proxy that refuses these."""
    if type_url == TypeUrl.LISTENER:
        yield from fleet.blocked
    for name in refused if _carrying(type_url) else ():
        yield from fleet.carriers[name].waiting if name in fleet.carriers else ()
