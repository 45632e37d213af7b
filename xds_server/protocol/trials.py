"""What is on trial, and what waits for what before everybody may be told.

A trial is about one name. It ends when its content is settled: everybody is told it. It settles together with what it
needs, or after it:

    virtual host, routes      the clusters that they name
    listener                  those, its routes, and the listeners at whose addresses it is to listen
    virtual host of a         the virtual hosts of names under it that are gone: they shall not be missing meanwhile
      wildcard domain

What is gone needs no trial, but is removed only when nothing that may still use it waits (R28): clusters when no
listener, routes or virtual host is unsettled, then their endpoints.

What was refused is quarantined, and holds back what needs it: nobody shall be told of a virtual host whose cluster is
nowhere. A cluster, or routes, of which everybody has an older content hold nothing back. A cluster that was settled
when nobody wanted it has been tried by nobody: whoever is the first to be sent it because of a virtual host on trial
refuses that with it.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import chain
from typing import NamedTuple

from xds_server.domain.names import virtual_host, wildcards_over
from xds_server.snapshot import Resource, Snapshot, TypeUrl

LOOKED_FOR = 20
"""Clusters that are looked for in the bytes of a route configuration, which does not say what it needs."""

USERS: dict[TypeUrl, tuple[TypeUrl, ...]] = {
    TypeUrl.CLUSTER: (TypeUrl.LISTENER, TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST),
    TypeUrl.ENDPOINTS: (TypeUrl.CLUSTER,),
    TypeUrl.SECRET: (TypeUrl.CLUSTER, TypeUrl.LISTENER),
    TypeUrl.ROUTES: (TypeUrl.LISTENER,),
    TypeUrl.LISTENER: (),
    TypeUrl.VIRTUAL_HOST: (),
}
"""What may use a resource of a type that is gone."""
RANK = {kind: rank for rank, kind in enumerate(TypeUrl)}


class Key(NamedTuple):
    """A resource by type and name."""

    kind: TypeUrl
    name: str


class Trial:
    """A content that not everybody is told yet; None: it is gone. `told` are the bits of those who try it.

    `since`: from when on their answer is waited for; `steps`: how often somebody was told because of that. `refusers`:
    those who refused it and try it again; `refused`: somebody has, and does not. `epoch`: that of the trials when it
    was told first. `tried`: those who did, and do not now. `watched`: when the clock is to be looked at because of it.
    `earlier`: versions of the same name that somebody was told while they were on trial before it.
    `refused_by`: all who ever refused it. `untried`: it is accepted because time was over, and nobody has said so.
    `lacks`: clusters that were settled when nobody wanted them, at the versions that who tried it has refused.
    """

    __slots__ = (
        "accepted",
        "content",
        "earlier",
        "epoch",
        "key",
        "lacks",
        "quarantined",
        "refused",
        "refused_by",
        "refusers",
        "since",
        "steps",
        "told",
        "tried",
        "untried",
        "watched",
    )

    def __init__(self, key: Key, content: Resource | None, epoch: int) -> None:
        self.key = key
        self.content = content
        self.epoch = epoch
        self.told = 0
        self.tried = 0
        self.refusers = 0
        self.refused = False
        self.refused_by = 0
        self.earlier: frozenset[str] = frozenset()
        self.lacks: dict[str, str] = {}
        self.untried = False
        self.since = 0.0
        self.steps = 0
        self.watched: float | None = None
        self.accepted = False
        self.quarantined = False

    @property
    def runs(self) -> bool:
        """Somebody's answer is waited for."""
        return bool(self.told) and not (self.accepted or self.quarantined or self.content is None)

    @property
    def gone(self) -> bool:
        return self.content is None

    @property
    def unanswered(self) -> int:
        return self.told & ~self.refusers

    @property
    def open(self) -> bool:
        """Nobody tries it, and nothing is known of it."""
        return not (self.told or self.accepted or self.quarantined or self.content is None)

    def follows(self, before: "Trial") -> None:
        """A newer content of the same name goes on with the one who tries the one before, and with its time."""
        if before.content is not None and (before.told or before.tried):
            self.earlier = before.earlier | {before.content.version}
        if before.runs and before.told.bit_count() == 1 and not (before.refused or self.content is None):
            self.told, self.since, self.steps, self.epoch = before.told, before.since, before.steps, before.epoch

    def put_to(self, bit: int, now: float) -> None:
        """One more tries it."""
        if not self.told:
            self.since, self.steps = now, 1
        self.told |= bit


class Trials:
    """All that differs between what is settled and what is offered. `epoch` counts the clusters that were given up.

    Of whatever changes it is remembered that it was *stirred*: it, what needs it and what it needs are looked at anew,
    and nothing else. So an event costs as much as what it concerns, however much is on trial.
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._here: dict[TypeUrl, dict[str, Trial]] = {kind: {} for kind in TypeUrl}
        self._gone: dict[TypeUrl, dict[str, Trial]] = {kind: {} for kind in TypeUrl}
        self._quarantined: dict[TypeUrl, dict[str, Trial]] = {kind: {} for kind in TypeUrl}
        self._needing: dict[str, dict[str, Trial]] = {}
        self._gone_under: dict[str, dict[str, Trial]] = {}
        self._wildcards: dict[str, Trial] = {}
        self._stirred: dict[Trial, None] = {}
        self._moved: set[TypeUrl] = set()

    def __iter__(self) -> Iterator[Trial]:
        for kind in TypeUrl:
            yield from self._here[kind].values()
            yield from self._gone[kind].values()

    def __bool__(self) -> bool:
        return any(self._here.values()) or any(self._gone.values())

    def get(self, key: Key) -> Trial | None:
        return self._here[key.kind].get(key.name) or self._gone[key.kind].get(key.name)

    def here(self, kind: TypeUrl) -> Mapping[str, Trial]:
        """Contents on trial."""
        return self._here[kind]

    def gone(self, kind: TypeUrl) -> Mapping[str, Trial]:
        """Names of which nothing shall be left."""
        return self._gone[kind]

    def needing(self, cluster: str) -> Collection[Trial]:
        """Contents of virtual hosts on trial that need it."""
        return tuple(self._needing.get(cluster, NONE).values())

    @property
    def quarantined(self) -> bool:
        """Something is in quarantine."""
        return any(self._quarantined.values())

    def add(self, trial: Trial) -> None:
        kind, name = trial.key
        if trial.content is None:
            self._gone[kind][name] = trial
            for wildcard in _wildcards_over(trial.key):
                self._gone_under.setdefault(wildcard, {})[name] = trial
        else:
            self._here[kind][name] = trial
            for need in trial.content.needs if kind is TypeUrl.VIRTUAL_HOST else ():
                self._needing.setdefault(need, {})[name] = trial
            if trial.content.exact is not None:
                self._wildcards[name] = trial
        self.stir(trial)

    def pop(self, trial: Trial) -> None:
        """It is settled, or another one takes its place."""
        kind, name = trial.key
        if trial.content is None:
            del self._gone[kind][name]
            for wildcard in _wildcards_over(trial.key):
                _discard(self._gone_under, wildcard, name)
        else:
            del self._here[kind][name]
            for need in trial.content.needs if kind is TypeUrl.VIRTUAL_HOST else ():
                _discard(self._needing, need, name)
            self._wildcards.pop(name, None)
        self._quarantined[kind].pop(name, None)
        self.stir(trial)

    def wildcards_over(self, key: Key) -> Iterator[Trial]:
        """Trials of virtual hosts of wildcard domains that cover this name."""
        found = _wildcards_over(key) if self._wildcards else ()
        return (self._wildcards[each] for each in found if each in self._wildcards)

    def give_up(self, trial: Trial) -> None:
        """Its content will not be settled: routes that were tried with it cannot be told to others without it."""
        self.epoch += trial.key.kind is TypeUrl.CLUSTER and trial.content is not None

    def stir(self, trial: Trial) -> None:
        """Something about it is not as it was."""
        self._stirred[trial] = None

    def quarantine(self, trial: Trial, quarantined: bool = True) -> None:
        trial.quarantined = quarantined
        if quarantined:
            self._quarantined[trial.key.kind][trial.key.name] = trial
        else:
            self._quarantined[trial.key.kind].pop(trial.key.name, None)
        self.stir(trial)

    def end(self, trial: Trial, bit: int) -> None:
        """One does not try it any more. If nobody does, it is open, or was refused."""
        trial.refusers &= ~bit
        if bit & trial.told:
            trial.told &= ~bit
            trial.tried |= bit
            if not trial.told:
                self.quarantine(trial, trial.refused)
        self.stir(trial)

    def withdraw(self, trial: Trial) -> int:
        """Nobody is to try it for now: say who did."""
        told, trial.told, trial.refusers, trial.accepted = trial.told, 0, 0, False
        trial.tried |= told
        self.quarantine(trial, trial.refused)
        return told

    @property
    def stirred(self) -> bool:
        """Something has been since the last look."""
        return bool(self._stirred)

    def take_stirred(self, settled: Snapshot) -> list[Trial]:
        """What is on trial and may be another case than the last time, in the order in which types are pushed."""
        stirred, self._stirred = self._stirred, {}
        self._moved.update(trial.key.kind for trial in stirred)
        found = {**stirred, **dict.fromkeys(self._users_of(stirred))}
        for trial in stirred:
            found.update(dict.fromkeys(self.needs(trial, settled)))
        return sorted((trial for trial in found if self.get(trial.key) is trial), key=_rank)

    def take_moved(self) -> set[TypeUrl]:
        """Types of which something was stirred."""
        moved, self._moved = self._moved, set()
        return moved

    def users(self, trials: Iterable[Trial], settled: Snapshot) -> Iterator[Trial]:
        """What needs one of these trials, and what needs that; without themselves."""
        needed = dict.fromkeys(trials)
        listeners = [each for each in needed if each.key.kind is TypeUrl.LISTENER]
        found = self._users_of(each for each in needed if each.key.kind is not TypeUrl.LISTENER)
        # Of two listeners neither may need the other.
        for user in self._users_of(listeners):
            if user not in found and not set(listeners).isdisjoint(self.together(user, settled)):
                found[user] = None
        return (each for each in found if each not in needed)

    def _users_of(self, trials: Iterable[Trial]) -> dict[Trial, None]:
        found: dict[Trial, None] = {}
        ahead = list(trials)
        while ahead:
            for user in self._direct_users(ahead.pop()):
                if user not in found:
                    found[user] = None
                    ahead.append(user)
        return found

    def _direct_users(self, trial: Trial) -> Iterator[Trial]:
        kind, name = trial.key
        match kind:
            case TypeUrl.CLUSTER:
                yield from self._needing.get(name, NONE).values()
                yield from self._here[TypeUrl.ROUTES].values()
                yield from self._here[TypeUrl.LISTENER].values()
            case TypeUrl.ROUTES:
                listeners = self._here[TypeUrl.LISTENER].values()
                yield from (each for each in listeners if each.content is not None and name in each.content.needs)
            case TypeUrl.LISTENER:
                yield from self._here[kind].values()
                yield from self._gone[kind].values()
            case TypeUrl.VIRTUAL_HOST if trial.content is None:
                yield from self.wildcards_over(trial.key)
            case TypeUrl.VIRTUAL_HOST:
                yield from self._gone_under.get(name, NONE).values()
            case TypeUrl.ENDPOINTS | TypeUrl.SECRET:
                return

    def needs(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        """What must be settled before this trial, or with it."""
        return chain(self._named(trial, settled), self._unsettled_clusters(trial))

    def together(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        """All that it needs, and what that needs; without itself."""
        return self._all(trial, lambda each: self.needs(each, settled))

    def held_back(self, trial: Trial, settled: Snapshot) -> bool:
        """Something that it needs was refused, and nobody tries that again."""
        if not self.quarantined:
            return False
        # Clusters that are needed by routes that do not name them are in no quarantine, and need nothing.
        needs = self._all(trial, lambda each: self._named(each, settled))
        return any(each.quarantined and not each.told for each in needs)

    def does_without(self, user: Trial, refused: Trial, settled: Snapshot) -> bool:
        """What it needs was refused, and it is not: there is last good of that, or it does not name it."""
        kind, name = refused.key
        last_good = kind is not TypeUrl.LISTENER and name in settled.of(kind)  # that has the address still
        return last_good or (refused.quarantined and not self.held_back(user, settled))

    def in_use(self, kind: TypeUrl) -> bool:
        """Something that is not settled may use anything of that type that is gone."""
        users = (each for user in USERS[kind] for found in (self._here, self._gone) for each in found[user].values())
        return any(_goes_on(each) for each in users)

    def kept(self, trial: Trial, settled: Snapshot) -> bool:
        """What is gone is used by what is held back, which stays as it was."""
        users = (each for kind in USERS[trial.key.kind] for each in self._quarantined[kind].values())
        last_good = (settled.of(each.key.kind).get(each.key.name) for each in users if not _goes_on(each))
        gone = trial.key.name.encode()
        return any(each is not None and gone in each.body for each in last_good)

    def _all(self, trial: Trial, needs: Callable[[Trial], Iterator[Trial]]) -> Iterator[Trial]:
        found = {trial}
        ahead = [trial]
        while ahead:
            for each in needs(ahead.pop()):
                if each not in found:
                    found.add(each)
                    ahead.append(each)
                    yield each

    def _named(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        """What it needs and says so, as far as that can be known."""
        kind, content = trial.key.kind, trial.content
        if content is None:
            yield from self._displaced_by(trial, settled)
            return
        match kind:
            case TypeUrl.VIRTUAL_HOST:
                yield from self._sound(TypeUrl.CLUSTER, content.needs, settled)
                yield from self._displaced_hosts(trial, settled)
            case TypeUrl.ROUTES:
                yield from self._nowhere(content, settled)
            case TypeUrl.LISTENER:
                yield from self._nowhere(content, settled)
                yield from self._sound(TypeUrl.ROUTES, content.needs, settled)
                yield from self._displaced_listeners(trial, settled)
            case TypeUrl.CLUSTER | TypeUrl.ENDPOINTS | TypeUrl.SECRET:
                return

    def _sound(self, kind: TypeUrl, names: tuple[str, ...], settled: Snapshot) -> Iterator[Trial]:
        """Not what was refused, if there is last good of it."""
        there, on_trial = settled.of(kind), self._here[kind]
        for name in names if on_trial else ():
            found = on_trial.get(name)
            if found is not None and not (found.quarantined and name in there):
                yield found

    def _unsettled_clusters(self, trial: Trial) -> Iterator[Trial]:
        """Routes do not say which clusters they need: they wait for all that may be settled."""
        if trial.content is not None and trial.key.kind in (TypeUrl.ROUTES, TypeUrl.LISTENER):
            yield from (each for each in self._here[TypeUrl.CLUSTER].values() if not each.quarantined)

    def _nowhere(self, content: Resource, settled: Snapshot) -> Iterator[Trial]:
        """Of clusters that are nowhere because they were refused, the ones that it names."""
        there = settled.of(TypeUrl.CLUSTER)
        nowhere = [each for name, each in self._quarantined[TypeUrl.CLUSTER].items() if name not in there]
        body = content.body if nowhere else b""
        yield from (each for each in nowhere if len(nowhere) > LOOKED_FOR or each.key.name.encode() in body)

    def _displaced_hosts(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        under = self._gone_under.get(trial.key.name) if trial.key.name in self._wildcards else None
        if under:
            there = settled.of(TypeUrl.VIRTUAL_HOST)
            yield from (each for name, each in under.items() if name in there)

    def _displaced_listeners(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        there = settled.of(TypeUrl.LISTENER)
        for other in chain(self._here[TypeUrl.LISTENER].values(), self._gone[TypeUrl.LISTENER].values()):
            if _takes_the_place(trial, other, there.get(other.key.name)):
                yield other

    def _displaced_by(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        before = settled.of(trial.key.kind).get(trial.key.name)
        if trial.key.kind is TypeUrl.LISTENER:
            listeners = self._here[TypeUrl.LISTENER].values()
            yield from (other for other in listeners if _takes_the_place(other, trial, before))
        elif trial.key.kind is TypeUrl.VIRTUAL_HOST and before is not None:
            yield from filter(_goes_on, self.wildcards_over(trial.key))


NONE: Mapping[str, Trial] = {}


def _discard(index: dict[str, dict[str, Trial]], key: str, name: str) -> None:
    index[key].pop(name, None)
    if not index[key]:
        del index[key]


def _rank(trial: Trial) -> int:
    return RANK[trial.key.kind]


def _goes_on(trial: Trial) -> bool:
    """It may be settled yet."""
    return bool(trial.told) or not trial.quarantined


def _takes_the_place(new: Trial, other: Trial, before: Resource | None) -> bool:
    """The new listener wants an address that the other one has before."""
    if new is other or new.content is None or before is None:
        return False
    return not set(new.content.occupies).isdisjoint(before.occupies)


def _wildcards_over(key: Key) -> Iterator[str]:
    if key.kind is TypeUrl.VIRTUAL_HOST:
        yield from wildcards_over(key.name)
        every = virtual_host(key.name.rpartition("/")[0], "*")
        if every != key.name:
            yield every


def ends_of(name: str) -> tuple[str, str]:
    """How the names under a wildcard begin and end; `name` itself if it is none."""
    parent, slash, domain = name.rpartition("/")
    return (parent + slash, domain[1:]) if domain.startswith("*") else (name, "")
