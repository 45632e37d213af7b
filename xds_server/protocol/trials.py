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
nowhere. A cluster, or routes, of which everybody has an older content hold nothing back.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from xds_server.snapshot import NOTHING, Resource, Resources, Snapshot, TypeUrl

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


class Key(NamedTuple):
    """A resource by type and name."""

    kind: TypeUrl
    name: str


class Trial:
    """A content that not everybody is told yet; None: it is gone. `told` are the numbers of those who try it.

    `since`: from when on their answer is waited for; `steps`: how often somebody was told because of that. `refusers`:
    those who refused it and try it again; `refused`: somebody has, and does not. `epoch`: that of the trials when it
    was told first.
    """

    __slots__ = ("accepted", "content", "epoch", "key", "quarantined", "refused", "refusers", "since", "steps", "told")

    def __init__(self, key: Key, content: Resource | None, epoch: int) -> None:
        self.key = key
        self.content = content
        self.epoch = epoch
        self.told: set[int] = set()
        self.refusers: set[int] = set()
        self.refused = False
        self.since = 0.0
        self.steps = 0
        self.accepted = False
        self.quarantined = False

    @property
    def runs(self) -> bool:
        """Somebody's answer is waited for."""
        return bool(self.told) and not (self.accepted or self.quarantined or self.content is None)

    @property
    def unanswered(self) -> set[int]:
        return self.told - self.refusers

    @property
    def open(self) -> bool:
        """Nobody tries it, and nothing is known of it."""
        return not (self.told or self.accepted or self.quarantined or self.content is None)

    def follows(self, before: "Trial") -> None:
        """A newer content of the same name goes on with the one who tries the one before, and with its time."""
        if before.runs and len(before.told) == 1 and not (before.refused or self.content is None):
            self.told, self.since, self.steps, self.epoch = before.told, before.since, before.steps, before.epoch

    def put_to(self, number: int, now: float) -> None:
        """One more tries it."""
        if not self.told:
            self.since, self.steps = now, 1
        self.told.add(number)

    def end(self, number: int) -> None:
        """One does not try it any more. If nobody does, it is open, or was refused."""
        self.refusers.discard(number)
        if number in self.told:
            self.told.discard(number)
            if not self.told:
                self.quarantined = self.refused

    def withdraw(self) -> set[int]:
        """Nobody is to try it for now: say who did."""
        told, self.told, self.accepted, self.quarantined = self.told, set(), False, self.refused
        self.refusers.clear()
        return told


class Trials:
    """All that differs between what is settled and what is offered. `epoch` counts the clusters that were given up."""

    def __init__(self) -> None:
        self.epoch = 0
        self._of: dict[TypeUrl, dict[str, Trial]] = {kind: {} for kind in TypeUrl}
        self._count = 0
        self._wildcards: dict[str, Trial] = {}

    def __iter__(self) -> Iterator[Trial]:
        for trials in self._of.values() if self._count else ():
            yield from trials.values()

    def __bool__(self) -> bool:
        return self._count > 0

    def get(self, key: Key) -> Trial | None:
        return self._of[key.kind].get(key.name)

    def of(self, kind: TypeUrl) -> Mapping[str, Trial]:
        return self._of[kind]

    def add(self, trial: Trial) -> None:
        self._count += trial.key.name not in self._of[trial.key.kind]
        self._of[trial.key.kind][trial.key.name] = trial
        if trial.content is not None and trial.content.exact is not None:
            self._wildcards[trial.key.name] = trial
        else:
            self._wildcards.pop(trial.key.name, None)

    def wildcards_over(self, name: str) -> Iterator[Trial]:
        """Trials of virtual hosts of wildcard domains that cover this name."""
        yield from (trial for wildcard, trial in self._wildcards.items() if covers(wildcard, name))

    def pop(self, key: Key) -> Trial | None:
        if key.kind is TypeUrl.VIRTUAL_HOST:
            self._wildcards.pop(key.name, None)
        found = self._of[key.kind].pop(key.name, None)
        self._count -= found is not None
        return found

    def give_up(self, trial: Trial) -> None:
        """Its content will not be settled: routes that were tried with it cannot be told to others without it."""
        self.epoch += trial.key.kind is TypeUrl.CLUSTER and trial.content is not None

    def clear(self) -> None:
        self._count = 0
        self._wildcards.clear()
        for trials in self._of.values():
            trials.clear()

    def needs(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        """What must be settled before this trial, or with it."""
        kind, content = trial.key.kind, trial.content
        if content is None:
            yield from self._displaced_by(trial, settled)
            return
        match kind:
            case TypeUrl.VIRTUAL_HOST:
                yield from self._sound(TypeUrl.CLUSTER, content.needs, settled)
                yield from self._displaced(trial, settled)
            case TypeUrl.ROUTES:
                yield from self._named(content, settled)
            case TypeUrl.LISTENER:
                yield from self._named(content, settled)
                yield from self._sound(TypeUrl.ROUTES, content.needs, settled)
                yield from self._displaced(trial, settled)
            case TypeUrl.CLUSTER | TypeUrl.ENDPOINTS | TypeUrl.SECRET:
                return

    def together(self, trial: Trial, settled: Snapshot) -> list[Trial]:
        """All that it needs, and what that needs; without itself."""
        found: dict[Key, Trial] = {}
        ahead = [trial]
        while ahead:
            for each in self.needs(ahead.pop(), settled):
                if each.key not in found and each is not trial:
                    found[each.key] = each
                    ahead.append(each)
        return list(found.values())

    def removable(self, trial: Trial, settled: Snapshot) -> bool:
        """Nothing that is not settled may use what is gone; nor does what is held back, which stays as it was."""
        users = (each for kind in USERS[trial.key.kind] for each in self._of[kind].values())
        return not any(_may_use(each, trial.key.name.encode(), settled) for each in users)

    def _sound(self, kind: TypeUrl, names: tuple[str, ...], settled: Snapshot) -> Iterator[Trial]:
        """Not what was refused, if there is last good of it."""
        there = settled.of(kind)
        for name in names:
            found = self._of[kind].get(name)
            if found is not None and found.content is not None and not (found.quarantined and name in there):
                yield found

    def _named(self, content: Resource, settled: Snapshot) -> Iterator[Trial]:
        """Of clusters on trial, all. Of those that are nowhere because they were refused, the ones that it names."""
        nowhere = []
        there = settled.of(TypeUrl.CLUSTER)
        for name, found in self._of[TypeUrl.CLUSTER].items():
            if found.content is None:
                continue
            if not found.quarantined:
                yield found
            elif name not in there:
                nowhere.append(found)
        body = content.body if nowhere else b""
        yield from (each for each in nowhere if len(nowhere) > LOOKED_FOR or each.key.name.encode() in body)

    def _displaced(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        if trial.key.kind is TypeUrl.VIRTUAL_HOST and trial.key.name not in self._wildcards:
            return
        there = settled.of(trial.key.kind)
        for name, other in self._of[trial.key.kind].items():
            if other is not trial and displaces(trial, other, there.get(name)):
                yield other

    def _displaced_by(self, trial: Trial, settled: Snapshot) -> Iterator[Trial]:
        here = settled.of(trial.key.kind).get(trial.key.name)
        if trial.key.kind is TypeUrl.LISTENER:
            yield from (other for other in self._of[TypeUrl.LISTENER].values() if displaces(other, trial, here))
        elif trial.key.kind is TypeUrl.VIRTUAL_HOST and here is not None:
            yield from (each for each in self.wildcards_over(trial.key.name) if each.told or not each.quarantined)


def _may_use(user: Trial, gone: bytes, settled: Snapshot) -> bool:
    if user.told or not user.quarantined:
        return True
    last_good = settled.of(user.key.kind).get(user.key.name)
    return last_good is not None and gone in last_good.body


def displaces(new: Trial, other: Trial, before: Resource | None) -> bool:
    """The new content takes the place of what another name has `before`."""
    if new is other or new.content is None or before is None:
        return False
    if new.key.kind is TypeUrl.LISTENER:
        return not set(new.content.occupies).isdisjoint(before.occupies)
    return other.content is None and covers(new.key.name, other.key.name)


def covers(wildcard: str, name: str) -> bool:
    """`edge/http/*.shop.test` covers `edge/http/a.shop.test`."""
    begin, end = ends_of(wildcard)
    return name != wildcard and wildcard != begin + end and name.startswith(begin) and name.endswith(end)


def ends_of(name: str) -> tuple[str, str]:
    """How the names under a wildcard begin and end; `name` itself if it is none."""
    parent, slash, domain = name.rpartition("/")
    return (parent + slash, domain[1:]) if domain.startswith("*") else (name, "")


def with_changes(resources: Resources, changes: Mapping[str, Resource | None]) -> Resources:
    if not changes:
        return resources
    made = (resources or NOTHING).mutate()
    for name, resource in changes.items():
        if resource is None:
            made.pop(name, None)
        else:
            made[name] = resource
    return made.finish()
