"""The streams of one kind of proxies: who is told what, and when. A bad config stops at the first proxy.

A kind is a gateway, a delivery and an Envoy version. What its proxies are told is `settled`: everybody gets it, also
who connects meanwhile. What is `offered` differs from it by what is on *trial* (`trials` tells what waits for what):

    offer      what changed is told to one member that wants it, the one that answered fastest of late
    accepted   everybody is told
    refused    that content is *quarantined*: nobody else is told of it, and the member is told last good again
    silence    after 100 ms one more member is told, and one more after every further 100 ms; after 500 ms everybody

Endpoints settle at once, and so does what nobody wants. A newer content takes the place of one on trial. One that was
accepted when a newer one was on trial already settles too, so that changes in quick succession reach everybody.

A listener can be refused because its address is taken there, and be fine elsewhere: that refusal alone is put to one
second member. Who refused what another accepted is never asked first again. The refuser of an address keeps it, and its
stream tries it again; if it is accepted at last it settles.

A member that tries something has an outlook of its own, which shares everything else with that of all others. Streams
see the settled world through one outlook: those that want nothing of what changed need not be told. Who wants it is
found in the indexes, one for each type.

Time comes in as `now`, in seconds of any steady clock. `wake_at` says when `elapsed` wants to be called.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from xds_server.domain.versions import Minor
from xds_server.protocol.events import Acked, Effect, End, Nacked, Quarantined, Send, Untried
from xds_server.protocol.index import Index
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.stream import Request, Stream
from xds_server.protocol.trials import Key, Trial, Trials, ends_of, with_changes
from xds_server.snapshot import NOTHING, Resource, Snapshot, TypeUrl

STEP = 0.1
"""Seconds after which one more member is told."""
LIMIT = 0.5
"""Seconds after which everybody is."""
SLOW = 3600.0
"""What is thought of a member that has not answered yet."""
ADDRESS_TAKEN = re.compile("cannot bind|address already in use|duplicate address", re.IGNORECASE)
"""What Envoy says of a listener whose address it cannot have."""
FIRST = (TypeUrl.LISTENER, TypeUrl.VIRTUAL_HOST, TypeUrl.ROUTES, TypeUrl.CLUSTER, TypeUrl.SECRET)
"""Who tries it is chosen in this order: what it needs goes along."""

Changed = Mapping[TypeUrl, Collection[str]]


@dataclass(slots=True, eq=False)
class Member:
    """A stream of the kind. `number` is that of its bit in the indexes.

    `pace`: seconds that its last answer took. `late`: it did not answer in time. `unfit`: it refused what another
    accepted. `tries`: what it is told that others are not.
    """

    stream: Stream[Any]
    number: int
    pace: float = SLOW
    late: bool = False
    unfit: bool = False
    sent: dict[str, float] = field(default_factory=dict)
    tries: dict[Key, Resource | None] = field(default_factory=dict)

    @property
    def bit(self) -> int:
        return 1 << self.number

    def answered(self, answer: Acked | Nacked, now: float) -> None:
        if answer.nonce:
            self.pace, self.late = now - self.sent.get(answer.type_url, now), False


Told = dict[Member, list[Effect]]
"""What each stream says because of an event."""


class Kind:
    """`envoy`: the version of its proxies. Serials of its snapshots are its own."""

    def __init__(self, envoy: Minor) -> None:
        self._envoy = envoy
        self._outlook = Outlook()
        self._offered: Snapshot | None = None
        self._trials = Trials()
        self._settling: dict[Key, Resource | None] = {}
        self._edited: defaultdict[int, set[Key]] = defaultdict(set)
        self._chosen: set[int] = set()
        self._indexes: dict[str, Index] = {kind: Index() for kind in TypeUrl}
        self._members: dict[int, Member] = {}
        self._living = 0
        self._dead = 0

    @property
    def settled(self) -> Snapshot | None:
        """What everybody is told."""
        return self._outlook.snapshot

    @property
    def members(self) -> Collection[Member]:
        return self._members.values()

    @property
    def running(self) -> int:
        """Contents that somebody tries now."""
        return sum(trial.runs for trial in self._trials)

    @property
    def wake_at(self) -> float | None:
        """When time alone changes something."""
        return min((_due(trial) for trial in self._trials if trial.runs), default=None) if self._trials else None

    @property
    def holds_back(self) -> bool:
        """Something is in quarantine."""
        return any(trial.quarantined for trial in self._trials)

    def quarantined(self, type_url: TypeUrl, name: str, version: str) -> bool:
        trial = self._trials.get(Key(type_url, name))
        if trial is not None and trial.content is not None and trial.content.version == version:
            return trial.quarantined
        return any(each.quarantined for each in self._trials.wildcards_over(name))

    def join(self, stream: Stream[Any], now: float) -> tuple[Member, Told]:
        """A stream that knows its node, and has not seen a world."""
        used = self._living | self._dead
        member = Member(stream, (~used & (used + 1)).bit_length() - 1)
        self._members[member.number] = member
        self._living |= member.bit
        return member, self._happened(member, stream.join(self._outlook, self._indexes, member.bit), now)

    def leave(self, member: Member, now: float) -> Told:
        """Its stream has ended. What it was to try is tried by the next one."""
        if self._members.get(member.number) is not member:
            return {}
        self._forget(member)
        return self._turn(now, {})

    def _forget(self, member: Member) -> None:
        del self._members[member.number]
        self._living &= ~member.bit
        self._dead |= member.bit
        # To forget a stream is to look at every name, so several are forgotten at a time.
        if self._dead.bit_count() > self._living.bit_count():
            for index in self._indexes.values():
                index.forget(self._dead)
            self._dead = 0
        for trial in self._trials:
            trial.end(member.number)

    def offer(self, snapshot: Snapshot, now: float, changed: Changed | None = None) -> Told:
        """There is a newer world. `changed`: what differs from the one before, if it does not follow that directly."""
        snapshot = snapshot.known_to(self._envoy)
        before, self._offered = self._offered, snapshot
        settled = self.settled
        if before is None or settled is None:
            self._outlook.snapshot = snapshot
            told: Told = {}
            for member in list(self.members):
                self._say(member, self._follow(member, self._outlook), now, told)
            return told
        if settled.on_demand != snapshot.on_demand:
            return self._begin_anew(snapshot)
        if changed is None and snapshot.since == before.serial:
            changed = snapshot.changed
        for key in self._all_names() if changed is None else _keys(changed):
            self._compare(key, settled, snapshot)
        return self._turn(now, {})

    def receive(self, member: Member, request: Request, now: float) -> Told:
        """The client of a member said something. Raises what its stream raises."""
        return self._happened(member, member.stream.receive(request), now)

    def elapsed(self, member: Member, token: str, now: float) -> Told:
        """The time that a member's stream asked for is over."""
        return self._happened(member, member.stream.elapsed(token), now)

    def wake(self, now: float) -> Told:
        """Who does not answer is not waited for."""
        told: Told = {}
        for trial in list(self._trials):
            if trial.runs and _due(trial) <= now:
                self._is_late(trial, now, told)
        return self._turn(now, told)

    def _happened(self, member: Member, effects: list[Effect], now: float) -> Told:
        told: Told = {}
        self._say(member, effects, now, told)
        return self._turn(now, told)

    def _say(self, member: Member, effects: list[Effect], now: float, told: Told) -> None:
        said = told.setdefault(member, [])
        said += effects
        for effect in effects if self._members.get(member.number) is member else ():
            match effect:
                case Send():
                    member.sent[effect.type_url] = now
                case Acked():
                    member.answered(effect, now)
                    self._hear_acceptance(member, effect, now)
                case Nacked():
                    member.answered(effect, now)
                    said += self._hear_refusal(member, effect, now)
                case _:
                    pass

    def _begin_anew(self, snapshot: Snapshot) -> Told:
        """It is of another nature: streams that have seen the one before cannot follow it."""
        ended: Told = {member: [End("its gateway is delivered in another way now")] for member in self.members}
        self._outlook = Outlook(snapshot)
        self._trials = Trials()
        self._indexes = {kind: Index() for kind in TypeUrl}
        self._members = {}
        self._living = self._dead = 0
        return ended

    def _all_names(self) -> Iterator[Key]:
        for kind in TypeUrl:
            names = {name for each in (self.settled, self._offered) if each is not None for name in each.of(kind)}
            yield from (Key(kind, name) for name in names | self._trials.of(kind).keys())

    def _compare(self, key: Key, settled: Snapshot, offered: Snapshot) -> None:
        """Open a trial if the content differs from what is settled, unless there is that trial."""
        new, old = offered.of(key.kind).get(key.name), settled.of(key.kind).get(key.name)
        before = self._trials.get(key)
        if before is not None and before.content == new:
            return
        trial = Trial(key, new, self._trials.epoch) if new != old else None
        if before is not None:
            self._trials.give_up(before)
            self._trials.pop(key)
            if trial is not None:
                trial.follows(before)
            for number in before.told:
                self._edit(number, trial if trial is not None and trial.told else None, key)
        if trial is not None:
            self._trials.add(trial)
            trial.accepted = key.kind is TypeUrl.ENDPOINTS and new is not None

    def _edit(self, number: int, trial: Trial | None, key: Key) -> None:
        """A member tries this content of a name, or none."""
        tries = self._members[number].tries
        self._edited[number].add(key)
        if trial is not None:
            tries[key] = trial.content
        else:
            tries.pop(key, None)

    def _hear_acceptance(self, member: Member, acked: Acked, now: float) -> None:
        for resource in acked.resources if self._trials else ():
            key = Key(TypeUrl(acked.type_url), resource.name)
            trial = self._tried_as(member, key, resource.version)
            if trial is not None:
                trial.accepted, trial.quarantined = True, False
                for number in trial.refusers:
                    self._members[number].unfit = True
                continue
            newer = self._trials.get(key)
            if newer is not None and member.number in newer.told:
                newer.since, newer.steps = now, 1
                if self._can_be_told_alone(newer, resource):
                    self._settling[key] = resource

    def _can_be_told_alone(self, newer: Trial, older: Resource) -> bool:
        """What the older content needs is settled. Of routes it is if no cluster is on trial or was given up since."""
        there = self.settled.of(TypeUrl.CLUSTER) if self.settled is not None else NOTHING
        match newer.key.kind:
            case TypeUrl.VIRTUAL_HOST:
                return older.exact is None and all(name in there for name in older.needs)
            case TypeUrl.ROUTES:
                clusters = self._trials.of(TypeUrl.CLUSTER).values()
                return newer.epoch == self._trials.epoch and all(each.content is None for each in clusters)
            case _:
                return newer.key.kind in (TypeUrl.CLUSTER, TypeUrl.SECRET)

    def _tried_as(self, member: Member, key: Key, version: str) -> Trial | None:
        """The trial of this content: that of its name, or of a wildcard over it."""
        trial = self._trials.get(key)
        if trial is not None and trial.content is not None and trial.content.version == version:
            return trial
        for wildcard in self._trials.wildcards_over(key.name) if key.kind is TypeUrl.VIRTUAL_HOST else ():
            exact = wildcard.content.exact if wildcard.content is not None else None
            if member.number in wildcard.told and exact is not None and exact(key.name).version == version:
                return wildcard
        return None

    def _hear_refusal(self, member: Member, nacked: Nacked, now: float) -> Iterator[Effect]:
        for name, version in nacked.refused.items() if self._trials else ():
            key = Key(TypeUrl(nacked.type_url), name)
            trial = self._tried_as(member, key, version)
            if trial is None or member.number not in trial.told or trial.accepted:
                continue
            before = trial.quarantined
            self._refuses(member, trial, now, taken=ADDRESS_TAKEN.search(nacked.reason) is not None)
            if trial.quarantined and not before:
                yield Quarantined(nacked.type_url, name, version, nacked.reason)

    def _refuses(self, member: Member, trial: Trial, now: float, *, taken: bool) -> None:
        if trial.key.kind is TypeUrl.LISTENER and taken:
            self._is_not_there(trial, member, now)
        else:
            trial.refused = True
            self._withdraw(trial, member.number)
        if trial.quarantined:
            self._trials.give_up(trial)

    def _is_not_there(self, trial: Trial, member: Member, now: float) -> None:
        """Its address is taken at this member, which tries again by itself. It may be free at another one."""
        trial.refusers.add(member.number)
        if trial.unanswered:
            return
        trial.quarantined = True
        if len(trial.refusers) == 1:
            another = self._choose(trial, self._wanting(trial.key))
            if another is not None:
                trial.quarantined = False
                trial.since, trial.steps = now, 1
                self._put(trial, another, now)

    def _withdraw(self, trial: Trial, number: int) -> None:
        """A member does not try it any more, nor what needs it."""
        assert self.settled is not None
        users = [each for each in self._trials if number in each.told]
        for each in users:
            if each is trial or trial in self._trials.together(each, self.settled):
                each.end(number)
                self._edit(number, None, each.key)

    def _is_late(self, trial: Trial, now: float, told: Told) -> None:
        late = [self._members[number] for number in trial.unanswered]
        for member in late:
            member.late = True
        if trial.refused or trial.refusers:
            trial.quarantined = True
            self._trials.give_up(trial)
            for number in trial.unanswered:
                self._withdraw(trial, number)
            return
        trial.steps += 1
        if trial.steps * STEP > LIMIT:
            trial.accepted = True
            told.setdefault(late[0], []).append(Untried(trial.key.kind, trial.key.name))
            return
        another = self._choose(trial, self._wanting(trial.key), patient=False)
        if another is not None:
            self._put(trial, another, now)

    def _wanting(self, key: Key) -> int:
        """Who wants what is to be told of a name. On demand, everything is what each asked for or needs."""
        index, settled = self._indexes[key.kind], self.settled
        begin, end = ends_of(key.name) if key.kind is TypeUrl.VIRTUAL_HOST else (key.name, "")
        found = index.wanting(key.name) if begin == key.name else index.wanting_under(begin, end)
        chosen = settled is not None and settled.on_demand and key.kind is TypeUrl.CLUSTER
        if not chosen:
            found |= index.everything
        if self._is_for_all(key):
            found |= self._living
        return found & self._living

    def _is_for_all(self, key: Key) -> bool:
        """Every proxy gets it, though others of its type are delivered on demand."""
        worlds = (self.settled, self._offered)
        return any(each is not None and key.name in each.always.get(key.kind, ()) for each in worlds)

    def _choose(self, trial: Trial, wanting: int, *, patient: bool = True) -> Member | None:
        """Who tries it next: who tries what it needs, if that is on trial; of these the fastest, and the fittest."""
        excluded = trial.told | trial.refusers
        numbers = [number for number in _bits(wanting) if number not in excluded]
        assert self.settled is not None
        for each in self._trials.together(trial, self.settled):
            if each.runs:
                same = [number for number in numbers if number in each.told]
                numbers = same if same or patient else numbers
        members = [self._members[number] for number in numbers]
        return min(members, key=self._rank, default=None)

    def _rank(self, member: Member) -> tuple[bool, bool, bool, float]:
        return member.unfit, member.late, member.number not in self._chosen, member.pace

    def _put(self, trial: Trial, member: Member, now: float) -> None:
        """Tell a member, and all that goes along."""
        assert self.settled is not None
        self._chosen.add(member.number)
        for each in (trial, *self._trials.together(trial, self.settled)):
            if member.number not in each.told:
                each.put_to(member.number, now)
                self._edit(member.number, each, each.key)

    def _turn(self, now: float, told: Told) -> Told:
        """Settle, begin and hold back all that can be now, and tell everybody concerned."""
        settled = self.settled
        self._chosen.clear()
        while settled is not None and (self._trials or self._edited or self._settling):
            self._hold_back(settled)
            self._settle(settled)
            begun = self._begin(settled, now)
            if self._settling or self._edited:
                settled = self._tell(settled, now, told)
            elif not begun:
                break
        return told

    def _hold_back(self, settled: Snapshot) -> None:
        """Nobody tries what needs something that was refused."""
        if not self.holds_back:
            return
        for trial in self._trials:
            if trial.told and self._blocked(trial, settled):
                for number in trial.withdraw():
                    self._edit(number, None, trial.key)

    def _blocked(self, trial: Trial, settled: Snapshot) -> bool:
        """Something that it needs was refused, and nobody tries that again."""
        return any(each.quarantined and not each.told for each in self._trials.together(trial, settled))

    def _settle(self, settled: Snapshot) -> None:
        for trial in list(self._trials):
            if trial.accepted and self._trials.get(trial.key) is trial:
                along = self._trials.together(trial, settled)
                if all(each.accepted or (each.content is None and not each.quarantined) for each in along):
                    for each in (trial, *along):
                        self._end(each)
        for trial in [trial for trial in self._trials if trial.content is None]:
            if not any(self._trials.needs(trial, settled)) and self._trials.removable(trial, settled):
                self._end(trial)

    def _end(self, trial: Trial) -> None:
        """Everybody is told."""
        self._settling[trial.key] = trial.content
        self._trials.pop(trial.key)
        for number in trial.told:
            self._edit(number, None, trial.key)

    def _begin(self, settled: Snapshot, now: float) -> bool:
        """Whether something was begun, or is wanted by nobody."""
        self._try_again(settled)
        begun = False
        needed: set[Key] | None = None
        for trial in [trial for kind in FIRST for trial in self._trials.of(kind).values()]:
            if not (trial.open or trial.runs) or self._blocked(trial, settled):
                continue
            wanting = self._wanting(trial.key)
            if wanting:
                member = self._choose(trial, wanting) if trial.open else None
                if member is not None:
                    self._put(trial, member, now)
                    begun = True
                continue
            needed = self._needed(settled) if needed is None else needed
            if trial.key not in needed:
                trial.accepted = begun = True
        return begun

    def _try_again(self, settled: Snapshot) -> None:
        """What was accepted, and then held back, is tried with the newer content of what it needs: it goes along."""
        for trial in self._trials:
            if trial.accepted and not trial.told and trial.content is not None and self._wanting(trial.key):
                trial.accepted = not any(each.open for each in self._trials.together(trial, settled))

    def _needed(self, settled: Snapshot) -> set[Key]:
        """What goes along with others."""
        return {
            each.key
            for kind in (TypeUrl.LISTENER, TypeUrl.VIRTUAL_HOST, TypeUrl.ROUTES)
            for trial in self._trials.of(kind).values()
            if not trial.quarantined and (trial.told or self._wanting(trial.key)) and not self._blocked(trial, settled)
            for each in self._trials.together(trial, settled)
        }

    def _tell(self, settled: Snapshot, now: float, told: Told) -> Snapshot:
        """Everybody what is settled now, and each member what it tries."""
        assert self._offered is not None
        settling, self._settling = self._settling, {}
        edited, self._edited = self._edited, defaultdict(set)
        if settling:
            settled = _followed(settled, settling, self._offered)
            self._outlook.snapshot = settled
        concerned = 0
        for key in settling:
            concerned |= self._wanting(key)
        for member in [member for member in self.members if member.tries or member.number in edited]:
            concerned &= ~member.bit
            own = _followed(settled, member.tries, settled)
            own = replace(own, changed=_by_kind({*settling, *edited.get(member.number, ())}))
            self._say(member, self._follow(member, Outlook(own)), now, told)
            if not member.tries:
                member.stream.share(self._outlook)
        for number in _bits(concerned):
            member = self._members[number]
            self._say(member, self._follow(member, self._outlook), now, told)
        self._notice(edited, now)
        return settled

    def _follow(self, member: Member, outlook: Outlook) -> list[Effect]:
        """What its stream says to a newer world. One that fails ends alone: others are told nevertheless."""
        try:
            return member.stream.follow(outlook)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is no affair of the others
            self._forget(member)
            return [End("it could not follow a newer world", error)]

    def _notice(self, edited: Mapping[int, set[Key]], now: float) -> None:
        """Who is told what it has, or has just refused, will say nothing about it."""
        for number, keys in edited.items():
            member = self._members.get(number)
            for key in keys if member is not None else ():
                trial = self._trials.get(key)
                if trial is None or trial.content is None or not trial.runs or number not in trial.unanswered:
                    continue
                assert member is not None
                if member.stream.has(key.kind, trial.content):
                    trial.accepted = True
                elif member.stream.refuses(key.kind, trial.content):
                    self._refuses(member, trial, now, taken=True)


def _followed(before: Snapshot, changes: Mapping[Key, Resource | None], offered: Snapshot) -> Snapshot:
    """The next snapshot, with these contents."""
    by_kind: defaultdict[TypeUrl, dict[str, Resource | None]] = defaultdict(dict)
    for key, content in changes.items():
        by_kind[key.kind][key.name] = content
    resources = {**before.resources, **{kind: with_changes(before.of(kind), some) for kind, some in by_kind.items()}}
    return replace(
        before,
        resources=resources,
        serial=before.serial + 1,
        since=before.serial,
        changed={kind: frozenset(some) for kind, some in by_kind.items()},
        always=offered.always,
    )


def _keys(changed: Changed) -> Iterator[Key]:
    return (Key(kind, name) for kind, names in changed.items() for name in names)


def _by_kind(keys: Collection[Key]) -> Mapping[TypeUrl, frozenset[str]]:
    found: defaultdict[TypeUrl, set[str]] = defaultdict(set)
    for kind, name in keys:
        found[kind].add(name)
    return {kind: frozenset(names) for kind, names in found.items()}


def _due(trial: Trial) -> float:
    """When its silence means something. After a refusal nobody else is told, and there is one time for all."""
    return trial.since + (LIMIT if trial.refused or trial.refusers else STEP * trial.steps)


def _bits(numbers: int) -> list[int]:
    """The numbers of the bits that are set."""
    return [number for number, bit in enumerate(reversed(f"{numbers:b}")) if bit == "1"]
