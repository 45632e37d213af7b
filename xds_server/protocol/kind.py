"""The streams of one kind of proxies: who is told what, and when. A bad config stops at the first proxy.

A kind is a gateway, a delivery and an Envoy version. What its proxies are told is *settled*: everybody gets it, also
who connects meanwhile. What is offered and differs is tried by one of them first: the `Canary` decides who tries what,
and when it is settled.

A member that tries something has an outlook of its own, which shares everything else with that of all others. Streams
see the settled world through one outlook: those that want nothing of what changed need not be told. Who wants it is
found in the indexes of the `Members`, one for each type.

Time comes in as `now`, in seconds of any steady clock. `wake_at` says when `elapsed` wants to be called.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Any

from xds_server.domain.versions import Minor
from xds_server.protocol.canary import Canary
from xds_server.protocol.events import Acked, DeltaRequest, Effect, End, Nacked, Send, SotwRequest
from xds_server.protocol.members import Member, Members
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.stream import Request, Stream
from xds_server.protocol.trials import Key
from xds_server.snapshot import NOTHING, Resource, Resources, Snapshot, TypeUrl

Changed = Mapping[TypeUrl, Collection[str]]
Told = dict[Member, list[Effect]]
"""What each stream says because of an event."""


class Kind:
    """`envoy`: the version of its proxies. Serials of its snapshots are its own."""

    def __init__(self, envoy: Minor) -> None:
        self._envoy = envoy
        self._begin(None)

    def _begin(self, settled: Snapshot | None) -> None:
        self._outlook = Outlook(settled)
        self._members = Members()
        self._canary = Canary(self._members, self._outlook)
        self._trying = 0

    @property
    def settled(self) -> Snapshot | None:
        """What everybody is told."""
        return self._outlook.snapshot

    @property
    def running(self) -> int:
        """Contents that somebody tries now."""
        return sum(trial.runs for trial in self._canary.trials)

    @property
    def wake_at(self) -> float | None:
        """When time alone changes something."""
        return self._canary.wake_at

    @property
    def holds_back(self) -> bool:
        """Something is in quarantine."""
        return self._canary.trials.quarantined

    def quarantined(self, type_url: TypeUrl, name: str, version: str) -> bool:
        return self._canary.quarantined(Key(type_url, name), version)

    def join(self, stream: Stream[Any], now: float) -> tuple[Member, Told]:
        """A stream that knows its node, and has not seen a world."""
        member = self._members.join(stream)
        return member, self._happened(member, stream.join(self._outlook, self._members.indexes, member.bit), now)

    def leave(self, member: Member, now: float) -> Told:
        """Its stream has ended."""
        if member not in self._members:
            return {}
        self._forget(member)
        return self._turn(now, {})

    def _forget(self, member: Member) -> None:
        self._members.forget(member)
        self._canary.forget(member)
        self._trying &= ~member.bit

    def offer(self, snapshot: Snapshot, now: float, changed: Changed | None = None) -> Told:
        """There is a newer world. `changed`: what differs from the one before, if it does not follow that directly."""
        snapshot = snapshot.known_to(self._envoy)
        settled, before = self.settled, self._canary.offered
        self._canary.offered = snapshot
        if before is None or settled is None:
            self._outlook.snapshot = snapshot
            told: Told = {}
            for member in list(self._members.everybody):
                self._say(member, self._follow(member, self._outlook), now, told)
            return told
        if settled.on_demand != snapshot.on_demand:
            return self._begin_anew(snapshot)
        if changed is None and snapshot.since == before.serial:
            changed = snapshot.changed
        for key in self._all_names(settled, snapshot) if changed is None else _keys(changed):
            self._canary.compare(key)
        return self._turn(now, {})

    def receive(self, member: Member, request: Request, now: float) -> Told:
        """The client of a member said something. Raises what its stream raises."""
        effects = member.stream.receive(request)
        if member.tries and _may_let_go(request):
            self._canary.let_go(member, request.type_url)
        return self._happened(member, effects, now)

    def elapsed(self, member: Member, token: str, now: float) -> Told:
        """The time that a member's stream asked for is over."""
        return self._happened(member, member.stream.elapsed(token), now)

    def wake(self, now: float) -> Told:
        """Who does not answer is not waited for."""
        told: Told = {}
        for member, untried in self._canary.silence(now):
            told.setdefault(member, []).append(untried)
        return self._turn(now, told)

    def _happened(self, member: Member, effects: list[Effect], now: float) -> Told:
        told: Told = {}
        self._say(member, effects, now, told)
        return self._turn(now, told)

    def _say(self, member: Member, effects: list[Effect], now: float, told: Told) -> None:
        said = told.setdefault(member, [])
        said += effects
        for effect in effects if member in self._members else ():
            match effect:
                case Send():
                    self._members.sent(member, effect, now)
                case Acked():
                    self._members.answered(member, effect, now)
                    self._canary.accept(member, effect, now)
                case Nacked():
                    self._members.answered(member, effect, now)
                    said += self._canary.refuse(member, effect, now)
                case _:
                    pass

    def _begin_anew(self, snapshot: Snapshot) -> Told:
        """It is of another nature: streams that have seen the one before cannot follow it."""
        reason = "its gateway is delivered in another way now"
        ended: Told = {member: [End(reason)] for member in self._members.everybody}
        self._begin(snapshot)
        self._canary.offered = snapshot
        return ended

    def _all_names(self, settled: Snapshot, offered: Snapshot) -> Iterator[Key]:
        on_trial = [trial.key for trial in self._canary.trials]
        yield from on_trial
        seen = set(on_trial)
        for kind in TypeUrl:
            yield from ({Key(kind, name) for each in (settled, offered) for name in each.of(kind)} - seen)

    def _turn(self, now: float, told: Told) -> Told:
        """Settle, begin and hold back all that can be now, and tell everybody concerned."""
        self._canary.begin_turn()
        while self._canary.decide(now):
            self._tell(now, told)
        return told

    def _tell(self, now: float, told: Told) -> None:
        """Everybody what is settled now, and each member what it tries."""
        settling, edited = self._canary.take_settling(), self._canary.take_edited()
        settled, offered = self.settled, self._canary.offered
        assert settled is not None
        assert offered is not None
        if settling:
            settled = self._outlook.snapshot = _followed(settled, settling, offered)
        self._trying = trying = reduce(or_, edited, self._trying)
        for member in self._members.of(trying):
            differs = {*settling, *edited.get(member.bit, ())}
            self._say(member, self._follow(member, self._own(member, settled, differs)), now, told)
            if not member.tries:
                self._share(member)
        concerned = reduce(or_, map(self._canary.wanting, settling), 0)
        for member in self._members.of(concerned & ~trying):
            self._say(member, self._follow(member, self._outlook), now, told)
        for member in self._members.of(reduce(or_, edited, 0)):
            told.setdefault(member, []).extend(self._canary.notice(member, edited[member.bit], now))

    def _own(self, member: Member, settled: Snapshot, keys: Collection[Key]) -> Outlook:
        """The settled world, and in it what this member tries: it differs by these names from what it has seen."""
        before = settled if member.own is None or member.own.snapshot is None else member.own.snapshot
        changes = {
            key: member.tries[key] if key in member.tries else settled.of(key.kind).get(key.name) for key in keys
        }
        member.own = Outlook(_followed(before, changes, self._canary.offered or settled))
        return member.own

    def _share(self, member: Member) -> None:
        """It has what everybody has."""
        self._trying &= ~member.bit
        member.own = None
        member.stream.share(self._outlook)

    def _follow(self, member: Member, outlook: Outlook) -> list[Effect]:
        """What its stream says to a newer world. One that fails ends alone: others are told nevertheless."""
        try:
            return member.stream.follow(outlook)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no affair of the others
            self._forget(member)
            return [End("it could not follow a newer world", error)]


def _followed(before: Snapshot, changes: Mapping[Key, Resource | None], offered: Snapshot) -> Snapshot:
    """The next snapshot, with these contents."""
    by_kind: defaultdict[TypeUrl, dict[str, Resource | None]] = defaultdict(dict)
    for key, content in changes.items():
        by_kind[key.kind][key.name] = content
    resources = {**before.resources, **{kind: _with(before.of(kind), some) for kind, some in by_kind.items()}}
    return replace(
        before,
        resources=resources,
        serial=before.serial + 1,
        since=before.serial,
        changed={kind: frozenset(some) for kind, some in by_kind.items()},
        always=offered.always,
    )


def _with(resources: Resources, changes: Mapping[str, Resource | None]) -> Resources:
    made = (resources or NOTHING).mutate()
    for name, resource in changes.items():
        if resource is None:
            made.pop(name, None)
        else:
            made[name] = resource
    return made.finish()


def _keys(changed: Changed) -> Iterator[Key]:
    return (Key(kind, name) for kind, names in changed.items() for name in names)


def _may_let_go(request: SotwRequest | DeltaRequest) -> bool:
    """It may want less than before."""
    return isinstance(request, SotwRequest) or bool(request.unsubscribe)
