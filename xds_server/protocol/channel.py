"""One resource type on one stream: what the client wants, holds and refused, and what it is owed.

`held` is what the client accepted last. Names are `doubtful` if it may have something else since, because it refused a
response and nobody knows how much of that it applied (R22). While a response is unanswered, the client is *expected* to
hold what that response says; what is owed is the difference between that and the newest world, for the names that are
wanted:

    due       content to send: new, changed, or asked for again
    denied    asked for, and there is no such thing (R19)
    leaving   expected, and gone from the world: to be removed when nothing uses it any more (R28)

A name is looked at when something about it changed, so the cost of a new world is the size of the change.
When what is owed may leave is not decided here but by the `Plan`.

What was refused is not sent again until it changes (R12), with one exception. A listener can be refused because of what
is around it: another one has its address, or another process. It is tried again (`retry`) when the client has accepted
another change of listeners, and after a while. Listeners that want each other's addresses would be refused for ever,
in any order: one of them is taken away first, and sent again (`_yield`).
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import ClassVar, NamedTuple

from xds_server.messages import wire
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.subscription import Change, Subscription
from xds_server.snapshot import NOTHING, Resource, Resources, Snapshot, TypeUrl

LASTING = (TypeUrl.ROUTES, TypeUrl.SECRET)
"""Types of which Envoy ignores a removal: they leave with the listener or cluster that names them."""

SHARED = (TypeUrl.CLUSTER, TypeUrl.ENDPOINTS)
"""Types of which a client holds what the world has by that name, and often all of it."""

ABSENT = "absent"
"""The version of what does not exist."""

FULL_STATE = (TypeUrl.CLUSTER, TypeUrl.LISTENER)
"""Types of which a SotW response lists all that there is, and a first request without names means everything."""


class Response(NamedTuple):
    """What an unanswered response changes for the client: new content, or None for a removal; and what it denies."""

    nonce: str
    news: dict[str, Resource | None]
    denied: Collection[str] = ()


class Channel:
    """The state of one type on one stream (R4). `deniable`: the client can be told that a name does not exist.

    `greeting`: an answer is expected even if it is empty. `restates`: something may be `restated` that is not owed.
    """

    restates: ClassVar[bool] = False

    __slots__ = (
        "_absent",
        "_asked",
        "awaited",
        "deniable",
        "denied",
        "doubtful",
        "due",
        "greeting",
        "held",
        "kind",
        "leaving",
        "nonce",
        "outlook",
        "refused",
        "room",
        "subscription",
        "type_url",
        "yielding",
    )

    def __init__(self, type_url: str, *, deniable: bool, subscription: Subscription | None = None) -> None:
        self.kind = next((kind for kind in TypeUrl if kind == type_url), None)
        self.type_url = type_url
        self.deniable = deniable
        self.subscription = subscription or Subscription(legacy=self.kind in FULL_STATE)
        self.outlook = Outlook()
        self.held: Resources = NOTHING
        self._absent = 0
        self.refused: dict[str, str] = {}
        self.yielding = ""
        self.room: int | None = None
        self.doubtful: set[str] = set()
        self.due: set[str] = set()
        self.denied: dict[str, None] = {}
        self.leaving: set[str] = set()
        self._asked: set[str] = set()
        self.greeting = False
        self.awaited: Response | None = None
        self.nonce = ""

    @property
    def target(self) -> Resources:
        """What there is of this type in the newest world."""
        return NOTHING if self.kind is None else self.outlook.resources.get(self.kind, NOTHING)

    @property
    def holding(self) -> int:
        """How many resources the client holds."""
        return len(self.held) - self._absent

    def content(self, name: str) -> Resource | None:
        """What the client shall come to hold. An unknown assignment is an empty one (R33)."""
        found = self.lookup(name)
        return no_endpoints(name) if found is None and self.kind is TypeUrl.ENDPOINTS else found

    def lookup(self, name: str) -> Resource | None:
        """What the world has by this name."""
        return self.target.get(name)

    def expected(self, name: str) -> Resource | None:
        """What the client will hold once it accepts what is on its way."""
        if self.awaited is not None and name in self.awaited.news:
            return self.awaited.news[name]
        return self.held.get(name)

    def publish(self, snapshot: Snapshot, *, follows: bool) -> None:
        """Aim at a newer world. If it follows the one before, only what changed since then is looked at."""
        self.aim(snapshot)
        if self.kind is None:
            return
        changed = snapshot.changed.get(self.kind, frozenset())
        self.look(self.touched(changed) if follows else self._known())

    def aim(self, snapshot: Snapshot) -> None:
        """This is the newest world. What is owed does not follow by itself."""
        if self.outlook.snapshot is not snapshot:
            self.outlook.snapshot = snapshot

    def touched(self, changed: frozenset[str]) -> Iterable[str]:
        """The names of this client that are concerned if these changed."""
        return self.subscription.among(changed)

    def look(self, names: Iterable[str]) -> None:
        """Decide anew what is owed about each name."""
        for name in names:
            self.due.discard(name)
            self.leaving.discard(name)
            self.denied.pop(name, None)
            if self._refused_as_it_is(name):
                self._asked.discard(name)
            elif self.lookup(name) is not None:
                self._look_at_present(name)
            else:
                self._look_at_absent(name)

    def ask(self, names: Collection[str]) -> None:
        """These must be answered, whatever the client was sent before (R10, R18); also if it refused them (R22)."""
        for name in names:
            self.refused.pop(name, None)
        self._asked.update(names)
        self.look(names)

    def claim(self, resource: Resource) -> None:
        """The client says that it holds this since before the stream began (R5, R21)."""
        self._hold({resource.name: resource})

    def recall(self, names: Iterable[str]) -> Iterable[str]:
        """Of the names that the client holds since before the stream began: those that are wanted."""
        return filter(self.subscription.covers, names)

    def open(self, *, first: bool) -> None:
        """The client has asked for this type. `first`: it has nothing of it, and waits for an answer."""
        self.greeting = self.subscription.everything and first and self.kind is not None
        self.look(self.target if self.subscription.everything else ())

    def wants(self, name: str) -> bool:
        return self.subscription.covers(name)

    def denials(self) -> Collection[str]:
        """What the client can be told now that it does not exist."""
        return tuple(self.denied)

    def change(self, change: Change) -> None:
        """Follow an edit of the subscription."""
        if change.narrowed:
            self._forget([name for name in self._known() if not self.subscription.covers(name)])
        self._forget(change.dropped)
        if change.widened:
            self.greeting = self.kind is not None
            self.ask(self.target)
        self.ask(change.asked)

    def restated(self) -> dict[str, Resource | None]:
        """What to send again although nothing is owed."""
        return {}

    def sent(self, response: Response) -> None:
        """A response leaves: all that it says is owed no more."""
        self.awaited, self.nonce = response, response.nonce
        self.greeting = False
        said = response.news.keys()
        # New sets, because one that is emptied keeps its size, on a thousand streams.
        self._asked = self._asked.difference(said, response.denied)
        self.due, self.leaving = self.due - said, self.leaving - said
        for name in response.denied:
            self.denied.pop(name, None)

    def accept(self) -> dict[str, Resource | None]:
        """The client accepted what it was sent last: say what changed for it."""
        assert self.awaited is not None
        news, self.awaited = self.awaited.news, None
        self.doubtful.clear()
        helps = self.kind is TypeUrl.LISTENER and any(self.held.get(name) != each for name, each in news.items())
        self._hold(news)
        self.room = self.room * 2 if self.room and self.due else None
        if self.yielding in news:
            self.yielding = ""
            self.look(news)
        if helps:
            self.retry()
        if self._holds_all():
            self.held = self.target
        return news

    def _holds_all(self) -> bool:
        """What it holds is what the world has. A thousand clients that do so share one map, where it may be large."""
        if self.kind not in SHARED or len(self.held) != len(self.target):
            return False
        return not (self.due or self.leaving or self.refused or self.doubtful or self._absent)

    def refuse(self, reason: str) -> dict[str, str]:
        """The client refused what it was sent last: say because of which names, at which versions.

        Those that its reason mentions are at fault. If it mentions none, the one that was sent is, and if several were
        sent the response is sent again in parts until only one is left. The rest is sent again without the culprits:
        how much of a refused response was applied is unknown (R22). Every refusal has a culprit or makes the next
        response smaller, so this ends.
        """
        assert self.awaited is not None
        news, denied, self.awaited = self.awaited.news, self.awaited.denied, None
        culprits = {name: _version(news[name]) for name in self._culprits(news, reason)}
        self.refused.update(culprits)
        self.doubtful |= news.keys()
        self._asked |= news.keys() - culprits.keys()
        self.yielding = self._yield() if self.kind is TypeUrl.LISTENER else ""
        self.look(news)
        self.ask([name for name in denied if self.wants(name)] if news else ())
        return culprits

    def retry(self) -> None:
        """What was refused may be accepted now: send it again."""
        self.ask([name for name in self.refused if name in self.target])

    def separable(self) -> bool:
        """A response may be sent in parts: what one of them lacks is not gone for the client."""
        return True

    def _culprits(self, news: Mapping[str, Resource | None], reason: str) -> Collection[str]:
        named = [name for name in news if _mentions(reason, name)]
        if named:
            return named
        added = [name for name, resource in news.items() if resource is not None]
        if len(added) > 1 and self.separable():
            self.room = len(added) // 2
            return ()
        return added or news

    def _yield(self) -> str:
        """One of several refused listeners that want each other's addresses; empty if there is no such circle."""
        holders = {each: name for name in self.refused if name in self.held for each in self.held[name].occupies}
        blockers = {
            name: holders[each]
            for name in self.refused
            if name in self.target
            for each in self.target[name].occupies
            if holders.get(each, name) != name
        }
        for name in sorted(blockers):
            blocker = blockers[name]
            for _ in blockers:
                if blocker == name:
                    del self.refused[name]
                    return name
                blocker = blockers.get(blocker, "")
        return ""

    def never_held(self) -> list[str]:
        """Names of the world that the client refused and of which it accepted nothing ever."""
        return [name for name in self.refused if name in self.target and name not in self.held]

    def _refused_as_it_is(self, name: str) -> bool:
        """A newer content than the refused one lifts the refusal, and is sent whatever the client holds (R22)."""
        refused = self.refused.get(name)
        if refused is None or refused == _version(self.content(name)):
            return refused is not None
        del self.refused[name]
        self._asked.add(name)
        return False

    def _look_at_present(self, name: str) -> None:
        if name == self.yielding:
            self.leaving.add(name)
            return
        newest = self.lookup(name)
        expected = self.expected(name)
        if name in self._asked or not (expected is newest or expected == newest):
            self.due.add(name)

    def _look_at_absent(self, name: str) -> None:
        asked, expected = name in self._asked, self.expected(name)
        if asked and self.kind is TypeUrl.ENDPOINTS:
            self.due.add(name)
            return
        if expected is not None and expected.version != ABSENT:
            self.leaving.add(name)
        # Envoy goes on using routes and secrets that it is told do not exist: they may be denied and yet be held.
        if asked and self.deniable and (expected is None or self.kind in LASTING):
            self.denied[name] = None
        else:
            self._asked.discard(name)

    def _known(self) -> set[str]:
        """Every name about which something is wanted, held or on its way."""
        wanted = self.target.keys() if self.subscription.everything else ()
        awaited = self.awaited.news if self.awaited else {}
        return {*wanted, *self.subscription.names, *self.held, *awaited, *self.refused}

    def _forget(self, names: Iterable[str]) -> None:
        """Unsubscribed: what the client does with these from now on is its own affair."""
        names = list(names)
        self._hold(dict.fromkeys(names))
        for name in names:
            self.refused.pop(name, None)
            for owed in (self.due, self.leaving, self._asked):
                owed.discard(name)
            self.denied.pop(name, None)
            self.yielding = "" if self.yielding == name else self.yielding
            if self.awaited:
                self.awaited.news.pop(name, None)

    def _hold(self, news: Mapping[str, Resource | None]) -> None:
        """From now on the client holds these; None: no longer."""
        held = self.held.mutate()
        for name, resource in news.items():
            before = held.pop(name, None)
            if resource is not None:
                held[name] = resource
            self._absent += _is_absent(resource) - _is_absent(before)
        self.held = held.finish()


def no_endpoints(name: str) -> Resource:
    return Resource(name, ABSENT, wire.empty_assignment(name))


def _is_absent(resource: Resource | None) -> bool:
    return resource is not None and resource.version == ABSENT


def _version(resource: Resource | None) -> str:
    return ABSENT if resource is None else resource.version


def _mentions(reason: str, name: str) -> bool:
    """`web` is mentioned in "cluster web: bad port", and not in "cluster shop-v2/web: bad port"."""
    return name in reason and re.search(rf"(?<![\w./@-]){re.escape(name)}(?![\w/@-]|\.\w)", reason) is not None
