"""The config canary: who tries what is offered before everybody is told, and what comes of it.

What is offered differs from what is settled by what is on *trial* (`trials` tells what waits for what):

    offered    it is told to one member that wants it, the one that answered fastest of late
    accepted   it is settled
    refused    that content is *quarantined*: nobody else is told of it, and the member is told last good again
    silence    after 100 ms one more member is told, and one more after every further 100 ms; after 500 ms it is settled

Endpoints settle at once, and so does what nobody wants: what needs it later is refused with it. A newer content takes
the place of one on trial. One that was accepted when a newer one was on trial already settles too, so that changes in
quick succession reach everybody.

A listener can be refused because its address is taken there, and be fine elsewhere: that refusal alone is put to one
second member. Who refused what another accepted is never asked first again. The refuser of an address keeps it, and its
stream tries it again; if it is accepted at last it settles.

Nobody is told here. `decide` says whether somebody is to be: all what is `settling`, and each member what is `edited`
in what it tries.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from functools import reduce
from heapq import heappop, heappush
from itertools import count
from operator import and_, or_

from xds_server.protocol.events import Acked, Nacked, Quarantined, Untried
from xds_server.protocol.members import Member, Members
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.trials import USERS, Key, Trial, Trials
from xds_server.snapshot import NOTHING, Resource, Snapshot, TypeUrl

STEP = 0.1
"""Seconds after which one more member is told."""
LIMIT = 0.5
"""Seconds after which everybody is."""
ADDRESS_TAKEN = re.compile("cannot bind|address already in use|duplicate address", re.IGNORECASE)
"""What Envoy says of a listener whose address it cannot have."""
FIRST = (TypeUrl.LISTENER, TypeUrl.VIRTUAL_HOST, TypeUrl.ROUTES, TypeUrl.CLUSTER, TypeUrl.SECRET)
"""Who tries it is chosen in this order: what it needs goes along."""
NAMING = (TypeUrl.LISTENER, TypeUrl.VIRTUAL_HOST, TypeUrl.ROUTES)
"""With what others go along."""


class Canary:
    """`outlook` has what is settled."""

    def __init__(self, members: Members, outlook: Outlook) -> None:
        self.trials = Trials()
        self.offered: Snapshot | None = None
        self.settling: dict[Key, Resource | None] = {}
        self.edited: defaultdict[int, set[Key]] = defaultdict(set)
        self._members = members
        self._outlook = outlook
        self._untried: dict[Key, Trial] = {}
        self._chosen = 0
        self._times: list[tuple[float, int, Trial]] = []
        self._numbers = count()

    @property
    def wake_at(self) -> float | None:
        """When time alone changes something."""
        while self._times:
            due, _, trial = self._times[0]
            if due == _due(trial) and self.trials.get(trial.key) is trial:
                return due
            self._stop_watching()
        return None

    def compare(self, key: Key) -> None:
        """Open a trial if the content differs from what is settled, unless there is that trial."""
        settled, offered = self._outlook.snapshot, self.offered
        assert settled is not None
        assert offered is not None
        new, old = offered.of(key.kind).get(key.name), settled.of(key.kind).get(key.name)
        before = self.trials.get(key)
        if before is not None and before.content == new:
            return
        trial = Trial(key, new, self.trials.epoch) if new != old else None
        if before is not None:
            self.trials.give_up(before)
            self.trials.pop(before)
            if trial is not None:
                trial.follows(before)
            for member in self._members.of(before.told):
                self._edit(member, trial if trial is not None and trial.told else None, key)
        if trial is not None:
            self.trials.add(trial)
            trial.accepted = key.kind is TypeUrl.ENDPOINTS and new is not None

    def forget(self, member: Member) -> None:
        """It has left. What it was to try is tried by the next one."""
        for key in member.tries:
            self._end(key, member)
        for key in member.refused:
            for trial in (self.trials.get(key), self._untried.get(key)):
                if trial is not None:
                    trial.refused_by &= ~member.bit
        self.edited.pop(member.bit, None)

    def let_go(self, member: Member, type_url: str) -> None:
        """It may not want any more what it tries: then it will say nothing about it, and the next one is asked."""
        for key in [key for key in member.tries if key.kind == type_url and not self._tries(member, key)]:
            self._end(key, member)
            self._edit(member, None, key)

    def accept(self, member: Member, acked: Acked, now: float) -> None:
        for resource in acked.resources if self._untried else ():
            trial = self._untried.get(Key(TypeUrl(acked.type_url), resource.name))
            if trial is not None and trial.content == resource:
                self._has_proved(trial, member)
                del self._untried[trial.key]
        for resource in acked.resources if self.trials else ():
            key = Key(TypeUrl(acked.type_url), resource.name)
            trial = self._tried_as(member, key, resource.version)
            if trial is not None:
                self._is_accepted(trial, member)
                continue
            newer = self.trials.get(key)
            if newer is not None and member.bit & newer.told:
                newer.since, newer.steps = now, 1
                self.trials.stir(newer)
                if self._can_be_told_alone(newer, resource):
                    self.settling[key] = resource
                    self._untried.pop(key, None)

    def refuse(self, member: Member, nacked: Nacked, now: float) -> Iterator[Quarantined]:
        # All are looked at first: who tries a host no more would not be known to lack a second cluster of it.
        concerned: dict[Trial, None] = {}
        for name, version in nacked.refused.items():
            key = Key(TypeUrl(nacked.type_url), name)
            member.refused[key] = nacked.reason
            concerned |= dict.fromkeys(self._concerned(member, key, version))
        for each in concerned:
            if member.bit & each.told and not each.accepted:
                yield from self._is_refused(each, member, nacked.reason, now)

    def _concerned(self, member: Member, key: Key, version: str) -> Collection[Trial]:
        """What this refusal is about: the trial of that content, or what needs it."""
        trial = self._tried_as(member, key, version)
        if trial is not None:
            self._remember(member, trial, member.refused[key])
            # A cluster that is mended does not help it any more.
            trial.lacks.clear()
            return (trial,)
        lacking = self._lacking(member, key, version)
        if not lacking:
            self._refuses_settled(member, key, version)
        return lacking

    def _is_refused(self, trial: Trial, member: Member, reason: str, now: float) -> Iterator[Quarantined]:
        before, content = trial.quarantined, trial.content
        self._refuses(member, trial, reason, now)
        if trial.quarantined and not before and content is not None:
            yield Quarantined(trial.key.kind, content.name, content.version, reason)

    def _lacking(self, member: Member, key: Key, version: str) -> Collection[Trial]:
        """What this member tries and cannot have without a cluster that it refuses, and that nobody has."""
        cluster = self._settled_cluster(key)
        if cluster is None or cluster.version != version or self._somebody_has(cluster):
            return ()
        found = [each for each in self.trials.needing(key.name) if member.bit & each.told and not each.accepted]
        for each in found:
            each.lacks[key.name] = version
        return found

    def _settled_cluster(self, key: Key) -> Resource | None:
        """That of everybody, unless a newer one is on trial."""
        settled = self._outlook.snapshot
        if settled is None or key.kind is not TypeUrl.CLUSTER or self.trials.get(key) is not None:
            return None
        return settled.of(key.kind).get(key.name)

    def _somebody_has(self, cluster: Resource) -> bool:
        wanting = self._members.of(self.wanting(Key(TypeUrl.CLUSTER, cluster.name)))
        return any(member.stream.has(TypeUrl.CLUSTER, cluster) for member in wanting)

    def silence(self, now: float) -> list[tuple[Member, Untried]]:
        """Who does not answer is not waited for: of what nobody has tried in time, somebody who was to.

        Of what only one wants there is nobody whom another could have tried it for.
        """
        self._chosen = 0
        overdue = []
        while (wake_at := self.wake_at) is not None and wake_at <= now:
            overdue.append(self._stop_watching())
        untried = []
        for trial in overdue:
            late = next(self._members.of(trial.unanswered), None)
            if late is not None and self._is_late(trial, now) and self.wanting(trial.key).bit_count() > 1:
                untried.append((late, Untried(trial.key.kind, trial.key.name)))
        return untried

    def notice(self, member: Member, keys: Iterable[Key], now: float) -> Iterator[Quarantined]:
        """Who is told what it has, or has just refused, will say nothing about it."""
        for key in keys:
            trial = self.trials.get(key)
            if trial is None or trial.content is None or not trial.runs or not member.bit & trial.unanswered:
                continue
            if member.stream.has(key.kind, trial.content):
                self._is_accepted(trial, member)
            elif member.stream.refuses(key.kind, trial.content):
                yield from self._is_refused(trial, member, member.refused[key], now)
            elif refused := self._refused_needs(member, trial.content):
                yield from self._is_refused(trial, member, member.refused[refused[0]], now)

    def _refused_needs(self, member: Member, content: Resource) -> list[Key]:
        """Clusters that this needs, that it has refused and will not be sent again, and that nobody has."""
        found = []
        for key in (Key(TypeUrl.CLUSTER, name) for name in content.needs):
            cluster = self._settled_cluster(key)
            if cluster is None or not member.stream.refuses(TypeUrl.CLUSTER, cluster):
                continue
            if self._lacking(member, key, cluster.version):
                found.append(key)
        return found

    def quarantined(self, key: Key, version: str) -> bool:
        """Nobody is told this content of a name, or the wildcard that it may be made of; or what needs this cluster."""
        trial = self.trials.get(key)
        if trial is not None and trial.content is not None and trial.content.version == version:
            return trial.quarantined
        if key.kind is TypeUrl.CLUSTER:
            needing = self.trials.needing(key.name)
            return any(each.quarantined and each.lacks.get(key.name) == version for each in needing)
        return any(each.quarantined for each in self.trials.wildcards_over(key))

    def begin_turn(self) -> None:
        """Who is chosen from now on is chosen together."""
        self._chosen = 0

    def decide(self, now: float) -> bool:
        """Hold back, settle and begin all that can be now. Whether somebody is to be told."""
        settled = self._outlook.snapshot
        while settled is not None and self.trials.stirred:
            looked = dict.fromkeys(self.trials.take_stirred(settled))
            self._hold_back(looked, settled)
            self._look_at_stirred(looked, settled)
            self._settle(looked, settled)
            self._begin(looked, settled, now)
            for trial in looked:
                self._watch(trial)
            if self.settling or self.edited:
                break
        return bool(self.settling or self.edited)

    def take_settling(self) -> dict[Key, Resource | None]:
        settling, self.settling = self.settling, {}
        return settling

    def take_edited(self) -> dict[int, set[Key]]:
        edited, self.edited = self.edited, defaultdict(set)
        return edited

    def wanting(self, key: Key) -> int:
        return self._members.wanting(key, self._outlook.snapshot, self.offered)

    def _edit(self, member: Member, trial: Trial | None, key: Key) -> None:
        """A member tries this content of a name, or none."""
        self.edited[member.bit].add(key)
        if trial is not None:
            member.tries[key] = trial.content
        else:
            member.tries.pop(key, None)

    def _end(self, key: Key, member: Member) -> None:
        trial = self.trials.get(key)
        if trial is not None:
            self.trials.end(trial, member.bit)

    def _tries(self, member: Member, key: Key) -> bool:
        """It wants this, or something that it tries needs it."""
        trial = self.trials.get(key)
        if trial is None or not trial.runs or self.wanting(key) & member.bit:
            return True
        assert self._outlook.snapshot is not None
        users = self.trials.users([trial], self._outlook.snapshot)
        return any(each.told & self.wanting(each.key) & member.bit for each in users)

    def _is_accepted(self, trial: Trial, member: Member) -> None:
        trial.accepted = True
        self.trials.quarantine(trial, False)
        self._has_proved(trial, member)

    def _has_proved(self, trial: Trial, member: Member) -> None:
        """It can be accepted: it is for others to judge than who refused it."""
        trial.untried = False
        trial.refused_by &= ~member.bit
        self._members.unfit |= trial.refused_by

    def _remember(self, member: Member, trial: Trial, reason: str) -> None:
        """A member has refused it: that tells against the member if another one has accepted it, or ever does."""
        trial.refused_by |= member.bit
        member.refused[trial.key] = reason
        if trial.accepted and not trial.untried:
            self._members.unfit |= member.bit

    def _refuses_settled(self, member: Member, key: Key, version: str) -> None:
        settled = self._outlook.snapshot
        found = settled.find(*key) if settled is not None else None
        if found is None or version != found.called(key.name).version:
            return
        untried = self._untried.get(Key(key.kind, found.name))
        if untried is not None:
            self._remember(member, untried, member.refused[key])
        else:
            self._members.unfit |= member.bit

    def _can_be_told_alone(self, newer: Trial, older: Resource) -> bool:
        """It was on trial under this name itself: not what a wildcard made, nor what is settled already.

        And what it needs is settled. Of routes it is if no cluster is on trial or was given up since.
        """
        if older.version not in newer.earlier:
            return False
        settled = self._outlook.snapshot
        there = settled.of(TypeUrl.CLUSTER) if settled is not None else NOTHING
        match newer.key.kind:
            case TypeUrl.VIRTUAL_HOST:
                return older.exact is None and all(name in there for name in older.needs)
            case TypeUrl.ROUTES:
                return newer.epoch == self.trials.epoch and not self.trials.here(TypeUrl.CLUSTER)
            case _:
                return newer.key.kind in (TypeUrl.CLUSTER, TypeUrl.SECRET)

    def _tried_as(self, member: Member, key: Key, version: str) -> Trial | None:
        """The trial of this content: that of its name, or of a wildcard over it."""
        trial = self.trials.get(key)
        if trial is not None and trial.content is not None and trial.content.version == version:
            return trial
        for wildcard in self.trials.wildcards_over(key):
            exact = wildcard.content.exact if wildcard.content is not None else None
            if member.bit & wildcard.told and exact is not None and exact(key.name).version == version:
                return wildcard
        return None

    def _refuses(self, member: Member, trial: Trial, reason: str, now: float) -> None:
        self._remember(member, trial, reason)
        if trial.key.kind is TypeUrl.LISTENER and ADDRESS_TAKEN.search(reason) is not None:
            self._is_not_there(trial, member, now)
        else:
            trial.refused = True
            self._withdraw(trial, member)
        if trial.quarantined:
            self.trials.give_up(trial)

    def _is_not_there(self, trial: Trial, member: Member, now: float) -> None:
        """Its address is taken at this member, which tries again by itself. It may be free at another one."""
        trial.refusers |= member.bit
        self.trials.stir(trial)
        if not trial.unanswered:
            self.trials.quarantine(trial)
            self._ask_a_second(trial, now)

    def _ask_a_second(self, trial: Trial, now: float) -> None:
        """Unless the first is to answer yet about what goes along, and may refuse that."""
        first = trial.refusers
        if not trial.quarantined or first.bit_count() != 1 or trial.told != first:
            return
        assert self._outlook.snapshot is not None
        needs = self.trials.together(trial, self._outlook.snapshot)
        if any(each.runs and self.wanting(each.key) & each.told & first for each in needs):
            return
        second = self._choose(trial, self.wanting(trial.key))
        if second is not None:
            self.trials.quarantine(trial, False)
            trial.since, trial.steps = now, 1
            self._put(trial, second, now)

    def _withdraw(self, trial: Trial, member: Member) -> None:
        """A member does not try it any more, nor what needs it, unless that can do without."""
        settled = self._outlook.snapshot
        assert settled is not None
        self._leave_off(trial, member)
        for each in [each for each in self.trials.users([trial], settled) if each.told & member.bit]:
            # It may have been sent that already: then it is the one that answers.
            if not self.trials.does_without(each, trial, settled):
                self._leave_off(each, member)

    def _leave_off(self, trial: Trial, member: Member) -> None:
        self.trials.end(trial, member.bit)
        self._edit(member, None, trial.key)

    def _is_late(self, trial: Trial, now: float) -> bool:
        """Whether it is to be told to everybody now."""
        self._members.late |= trial.unanswered
        self.trials.stir(trial)
        if trial.refused or trial.refusers:
            self.trials.quarantine(trial)
            self.trials.give_up(trial)
            for member in list(self._members.of(trial.unanswered)):
                self._withdraw(trial, member)
            return False
        trial.steps += 1
        if trial.steps * STEP > LIMIT:
            trial.accepted = trial.untried = True
            return True
        another = self._choose(trial, self.wanting(trial.key), patient=False)
        if another is not None:
            self._put(trial, another, now)
        return False

    def _choose(self, trial: Trial, wanting: int, *, patient: bool = True) -> Member | None:
        """Who tries it next: who tries what it needs, if that is on trial; of these the fittest, and the fastest."""
        found = wanting & ~(trial.told | trial.refusers)
        assert self._outlook.snapshot is not None
        for each in self.trials.together(trial, self._outlook.snapshot) if found else ():
            if each.runs:
                same = found & each.told
                found = same if same or patient else found
        # It may have been sent it before something that it needs was refused.
        found = (patient and found & trial.tried) or found
        return self._members.fittest(found, trial.key.kind, self._chosen)

    def _put(self, trial: Trial, member: Member, now: float) -> None:
        """Tell a member, and all that goes along."""
        settled = self._outlook.snapshot
        assert settled is not None
        self._chosen |= member.bit
        along = [trial, *self.trials.together(trial, settled)]
        self._leave_alone(along, settled, member)
        for each in along:
            if not member.bit & each.told:
                each.put_to(member.bit, now)
                self.trials.stir(each)
                self._edit(member, each, each.key)

    def _watch(self, trial: Trial) -> None:
        """Wake when its silence means something."""
        due = _due(trial)
        if due is not None and trial.watched != due and self.trials.get(trial.key) is trial:
            trial.watched = due
            heappush(self._times, (due, next(self._numbers), trial))

    def _stop_watching(self) -> Trial:
        due, _, trial = heappop(self._times)
        if trial.watched == due:
            trial.watched = None
        return trial

    def _look_at_stirred(self, looked: dict[Trial, None], settled: Snapshot) -> list[Trial]:
        stirred = self.trials.take_stirred(settled)
        looked.update(dict.fromkeys(stirred))
        return stirred

    def _hold_back(self, looked: Iterable[Trial], settled: Snapshot) -> None:
        """Nobody tries what needs something that was refused."""
        for trial in looked if self.trials.quarantined else ():
            if trial.told and self.trials.held_back(trial, settled):
                for member in self._members.of(self.trials.withdraw(trial)):
                    self._edit(member, None, trial.key)

    def _settle(self, looked: dict[Trial, None], settled: Snapshot) -> None:
        ahead = list(looked)
        while ahead:
            for trial in ahead:
                if trial.accepted and self.trials.get(trial.key) is trial:
                    self._settle_together(trial, settled)
            ahead = self._look_at_stirred(looked, settled)
        moved = self.trials.take_moved()
        for kind in TypeUrl:
            gone = self.trials.gone(kind)
            if gone and not self.trials.in_use(kind):
                freed = not moved.isdisjoint(USERS[kind])
                concerned = gone.values() if freed else (each for each in looked if each.gone and each.key.kind is kind)
                self._remove(list(concerned), settled)

    def _settle_together(self, trial: Trial, settled: Snapshot) -> None:
        along = []
        for each in self.trials.together(trial, settled):
            if not (each.accepted or (each.content is None and not each.quarantined)):
                return
            along.append(each)
        for each in (trial, *along):
            self._is_settled(each)

    def _remove(self, gone: Iterable[Trial], settled: Snapshot) -> None:
        for trial in gone:
            if (
                self.trials.get(trial.key) is trial
                and not any(self.trials.needs(trial, settled))
                and not self.trials.kept(trial, settled)
            ):
                self._is_settled(trial)

    def _is_settled(self, trial: Trial) -> None:
        """Everybody is told. What lacked this cluster as it was, and no other, is tried again."""
        for user in self.trials.needing(trial.key.name) if trial.key.kind is TypeUrl.CLUSTER else ():
            if user.lacks.pop(trial.key.name, None) is not None and not user.lacks:
                user.refused = False
                self.trials.quarantine(user, False)
        self.settling[trial.key] = trial.content
        self._untried.pop(trial.key, None)
        if trial.untried:
            self._untried[trial.key] = trial
        self.trials.pop(trial)
        for member in self._members.of(trial.told):
            self._edit(member, None, trial.key)

    def _begin(self, looked: Iterable[Trial], settled: Snapshot, now: float) -> None:
        here = [each for each in looked if each.content is not None and self.trials.get(each.key) is each]
        for trial in here:
            self._try_again(trial, settled)
        for trial in sorted(
            here, key=lambda each: FIRST.index(each.key.kind) if each.key.kind in FIRST else len(FIRST)
        ):
            if trial.quarantined:
                self._ask_a_second(trial, now)
            elif (trial.open or trial.runs) and not self.trials.held_back(trial, settled):
                self._put_first(trial, settled, now)

    def _put_first(self, trial: Trial, settled: Snapshot, now: float) -> None:
        wanting = self.wanting(trial.key)
        if not wanting and not self._goes_along(trial, settled):
            trial.accepted = True
            self.trials.stir(trial)
        if trial.runs and trial.key.kind is TypeUrl.VIRTUAL_HOST:
            # It took the place of an older content, and may need what others try: it waits for that as a new one does.
            tried = reduce(and_, (each.told for each in self.trials.together(trial, settled) if each.runs), trial.told)
            for alone in self._members.of(trial.told & ~tried):
                self._leave_off(trial, alone)
        if not trial.open:
            return
        along = self.trials.together(trial, settled)
        told = self._told_users([trial], settled) or self._told_users(along, settled) & wanting
        member = self._members.fittest(told, trial.key.kind, self._chosen) if told else self._choose(trial, wanting)
        if member is not None:
            self._put(trial, member, now)

    def _told_users(self, trials: Iterable[Trial], settled: Snapshot) -> int:
        """Who tries what needs one of these."""
        return reduce(or_, (user.told for user in self._dependent(trials, settled)), 0)

    def _dependent(self, trials: Iterable[Trial], settled: Snapshot) -> Iterable[Trial]:
        """What is tried and must not be without these: of those that nobody tries yet.

        If there is an older content that will do, but if nobody wants it alone it has to go along.
        """
        begun = [
            each
            for each in trials
            if each.open and (each.key.name not in settled.of(each.key.kind) or not self.wanting(each.key))
        ]
        return [user for user in self.trials.users(begun, settled) if user.told]

    def _leave_alone(self, trials: Iterable[Trial], settled: Snapshot, tries: Member) -> None:
        """What needs these is tried by who tries them, and nobody else."""
        for user in self._dependent(trials, settled):
            for member in self._members.of(user.told & ~tries.bit):
                self._leave_off(user, member)

    def _try_again(self, trial: Trial, settled: Snapshot) -> None:
        """What was accepted, and then held back, is tried with the newer content of what it needs: it goes along."""
        if not trial.accepted or trial.told or not self.wanting(trial.key):
            return
        if any(each.open for each in self.trials.together(trial, settled)):
            trial.accepted = False
            self.trials.stir(trial)

    def _goes_along(self, trial: Trial, settled: Snapshot) -> bool:
        """Something needs it that is wanted."""
        return any(
            not user.quarantined and (user.told or self.wanting(user.key)) and not self.trials.held_back(user, settled)
            for user in self.trials.users([trial], settled)
            if user.key.kind in NAMING
        )


def _due(trial: Trial) -> float | None:
    """When its silence means something. After a refusal nobody else is told, and there is one time for all."""
    if not trial.runs:
        return None
    return trial.since + (LIMIT if trial.refused or trial.refusers else STEP * trial.steps)
