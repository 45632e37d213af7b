"""What one stream must say next, whichever dialect its client speaks.

Each type that the client asks for has a `Channel`, which knows what the client wants and holds, and what it is owed.
For each type the stream is in one of two states:

    QUIET    the client has answered our last response (or has not been sent one)
    AWAITED  our last response has no answer yet

A response leaves only from QUIET. So a client never has two unanswered responses of one type, an answer always belongs
to the last response, and a burst of worlds costs one response: the newest. What is owed across types leaves in the
order of the `Plan`.

Events come in (`receive`, `publish`, `elapsed`), lists of effects come out. After every event the stream says all that
may be said now. Until the first world is there it says nothing, and remembers what was asked (R7).

The two dialects differ in how a client says what it wants and holds, and in how a response is written. That is all
that `SotwStream` and `DeltaStream` contain.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Set
from itertools import count
from typing import Generic, TypeVar

from xds_server.domain.errors import PeerMisbehaved
from xds_server.protocol.channel import Channel, Response
from xds_server.protocol.events import Acked, DeltaRequest, Effect, Nacked, Node, Send, SotwRequest, Stuck
from xds_server.protocol.index import Index
from xds_server.protocol.outlook import Outlook
from xds_server.protocol.plan import Pace, Plan
from xds_server.protocol.retries import Retries
from xds_server.protocol.state import TypeProgress, TypeState
from xds_server.protocol.subscription import UNCHANGED, Change
from xds_server.snapshot import Resource, Snapshot, TypeUrl

PACE = Pace(patience=2.0, rest=0.0)
CHUNK = 2 * 1024 * 1024
MOST_TYPES = 32
"""Types that one client may ask for; there are fewer."""
RANK: dict[str, int] = {type_url: rank for rank, type_url in enumerate(TypeUrl)}

Request = TypeVar("Request", SotwRequest, DeltaRequest)


class Stream(ABC, Generic[Request]):
    """One ADS stream. Raises `PeerMisbehaved` if the client breaks the protocol: the stream is then of no more use.

    `pace`: how long it waits for what. `chunk`: bytes of resources in one response.
    `name`: begins every nonce. It should be unique, because clients may answer with nonces of an earlier stream (R5).
    """

    def __init__(self, *, pace: Pace = PACE, chunk: int = CHUNK, name: str = "") -> None:
        self.node: Node | None = None
        self._channels: dict[str, Channel] = {}
        self._plan = Plan(self._channels, pace)
        self._retries = Retries()
        self._chunk = chunk
        self._nonces = map(f"{name}{{}}".format, count(1))
        self._outlook = Outlook()
        self._indexes: Mapping[str, Index] = {}
        self._bit = 0
        self._always: Mapping[TypeUrl, Set[str]] = {}
        self._begun = False
        self._early: list[Request] = []
        self._refresh: set[str] = set()

    def receive(self, request: Request) -> list[Effect]:
        """The client subscribes, changes its subscription, accepts or refuses."""
        self._check(request)
        if self._world is None:
            self._early.append(request)
            return []
        return [*self._serve(request), *self._speak()]

    def publish(self, snapshot: Snapshot) -> list[Effect]:
        """There is a newer world. Costs as much as what changed, if it follows the world that the stream has."""
        snapshot = self._understood(snapshot)
        before, self._outlook.snapshot = self._world, snapshot
        return self._see(snapshot, follows=before is not None and snapshot.since == before.serial)

    def join(self, outlook: Outlook, indexes: Mapping[str, Index], bit: int) -> list[Effect]:
        """Be one of several streams, before the first world: see what they see, and have a bit in their indexes."""
        assert self._world is None
        assert not self._channels
        self._outlook, self._indexes, self._bit = outlook, indexes, bit
        return [] if outlook.snapshot is None else self._see(outlook.snapshot, follows=False)

    def follow(self, outlook: Outlook) -> list[Effect]:
        """See the newest world of this outlook: it differs in `changed` alone from what the stream has seen."""
        self.share(outlook)
        return [] if outlook.snapshot is None else self._see(outlook.snapshot, follows=True)

    def share(self, outlook: Outlook) -> None:
        """See the same through another outlook."""
        if outlook is not self._outlook:
            self._outlook = outlook
            for channel in self._channels.values():
                channel.outlook = outlook

    def has(self, type_url: TypeUrl, resource: Resource) -> bool:
        """The client holds this, or what is made of it, and nothing about that is owed or unanswered."""
        channel = self._channels.get(type_url)
        if channel is None or (resource.exact is None and channel.held.get(resource.name) != resource):
            return False
        concerned = channel.touched(frozenset((resource.name,)))
        awaited = channel.awaited.news.keys() if channel.awaited else ()
        return not any(name in channel.due or name in awaited for name in concerned)

    def refuses(self, type_url: TypeUrl, resource: Resource) -> bool:
        """The client refused this, and is not sent it again now."""
        channel = self._channels.get(type_url)
        return channel is not None and channel.refused.get(resource.name) == resource.version

    def lacks(self, type_url: TypeUrl, resource: str, version: str) -> bool:
        """The client refused this content, and holds no other by that name."""
        channel = self._channels.get(type_url)
        return channel is not None and channel.refused.get(resource) == version and resource not in channel.held

    @property
    def _world(self) -> Snapshot | None:
        return self._outlook.snapshot

    def _see(self, snapshot: Snapshot, *, follows: bool) -> list[Effect]:
        if not self._begun:
            self._begun = True
            self._begin(snapshot)
        for channel in self._concerned(snapshot, follows=follows):
            channel.publish(snapshot, follows=follows)
        if not follows or snapshot.changed.get(TypeUrl.LISTENER):
            self._retries.reset()
        effects: list[Effect] = []
        for request in self._early:
            effects += self._serve(request)
        self._early.clear()
        return [*effects, *self._speak()]

    def _concerned(self, snapshot: Snapshot, *, follows: bool) -> Iterable[Channel]:
        """Channels that have to look at a newer world: a release changes one type alone."""
        seen, self._always = self._always, snapshot.always
        if not follows or seen is not snapshot.always:
            return self._channels.values()
        changed = snapshot.changed
        return [channel for channel in self._channels.values() if channel.kind and changed.get(channel.kind)]

    def elapsed(self, token: str) -> list[Effect]:
        """The time that a `Wake` asked for is over."""
        if self._retries.due(token):
            self._channels[TypeUrl.LISTENER].retry()
        clusters = self._plan.overdue(token)
        stuck: list[Effect] = [Stuck(clusters)] if clusters else []
        return [*stuck, *self._speak()]

    def _begin(self, first: Snapshot) -> None:
        """There is a first world: it says how the client is served."""

    def progress(self) -> dict[str, TypeProgress]:
        """How far the client has come with each type. Costs as much as it is owed."""
        return {type_url: TypeProgress.of(channel) for type_url, channel in self._channels.items()}

    def state(self) -> dict[str, TypeState]:
        """What the client wants, holds and is owed of each type, now. Costs as much as it holds."""
        return {type_url: TypeState.of(channel) for type_url, channel in self._channels.items()}

    def holds(self, kind: TypeUrl) -> Mapping[str, Resource]:
        """What the client holds of a type, as far as that is known."""
        return self._channels[kind].held if kind in self._channels else {}

    @abstractmethod
    def _channel(self, type_url: str) -> Channel:
        """A channel for a type that the client asks for first."""

    @abstractmethod
    def _greet(self, channel: Channel, request: Request) -> list[Effect]:
        """The first request of a type says what the client has from an earlier stream, whatever its nonce (R5)."""

    @abstractmethod
    def _edit(self, channel: Channel, request: Request) -> Change:
        """Any later request may change the subscription."""

    @abstractmethod
    def _write(self, channel: Channel, response: Response) -> Send:
        """Encode a response."""

    @abstractmethod
    def _limit(self, channel: Channel) -> int | None:
        """How many bytes of resources one response may have."""

    def _check(self, request: Request) -> None:
        if not request.type_url:
            raise PeerMisbehaved("a request on an aggregated stream must have a type_url")  # R3
        if request.node is None:
            if self.node is None:
                raise PeerMisbehaved("the first request of a stream must carry a node")  # R2
        elif self.node is None:
            self.node = request.node
            self._outlook.snapshot = self._understood(self._world) if self._world is not None else None
        elif request.node != self.node:
            raise PeerMisbehaved(f"the stream of node {self.node.id} now claims to be of another: {request.node.id}")

    def _understood(self, snapshot: Snapshot) -> Snapshot:
        return snapshot if self.node is None else snapshot.known_to(self.node.envoy)

    def _serve(self, request: Request) -> list[Effect]:
        channel = self._channels.get(request.type_url)
        if channel is None:
            return self._greet(self._open(request.type_url), request)
        # The answer is to what was sent; what the request asks for besides comes after it (R17), and counts even if
        # the nonce is stale (R11, R17).
        verdict = self._verdict(channel, request)
        change = self._edit(channel, request)
        if change is not UNCHANGED:
            channel.change(change)
        return verdict

    def _open(self, type_url: str) -> Channel:
        assert self._world is not None
        if len(self._channels) >= MOST_TYPES:
            raise PeerMisbehaved(f"more than {MOST_TYPES} types were asked for")
        channel = self._channel(type_url)
        channel.outlook = self._outlook
        self._index(channel)
        channel.publish(self._world, follows=False)
        self._channels[type_url] = channel
        # Kept in the order in which types are pushed (R28).
        ranked = sorted(self._channels.items(), key=lambda item: RANK.get(item[0], len(RANK)))
        self._channels.clear()
        self._channels.update(ranked)
        return channel

    def _index(self, channel: Channel) -> None:
        """What it wants is kept where all streams of the kind keep it."""
        index = self._indexes.get(channel.type_url)
        if index is not None:
            channel.subscription.share(index, self._bit)

    def _verdict(self, channel: Channel, request: Request) -> list[Effect]:
        if channel.awaited is None or request.nonce != channel.awaited.nonce:
            return []
        if request.error is not None:
            return [Nacked(channel.type_url, request.nonce, request.error, channel.refuse(request.error))]
        news = channel.accept()
        present = tuple([resource for resource in news.values() if resource is not None])
        removed = tuple([name for name, resource in news.items() if resource is None])
        return [Acked(channel.type_url, request.nonce, present, removed)]

    def _speak(self) -> list[Effect]:
        """Say all that may be said now."""
        effects: list[Effect] = []
        for channel in self._channels.values():
            # Not a question to the channel: it is asked of every channel for every event.
            owes = channel.due or channel.denied or channel.leaving or channel.greeting
            if channel.awaited is None and (owes or (channel.restates and channel.restated())):
                effects += self._next(channel)
        effects += self._plan.timers()
        again = self._retries.next(self._channels.get(TypeUrl.LISTENER))
        return [*effects, again] if again else effects

    def _next(self, channel: Channel) -> list[Effect]:
        news, denied = self._news(channel), channel.denials()
        if not (news or denied or (channel.greeting and not channel.due)):
            return []
        response = Response(next(self._nonces), news, denied)
        send = self._write(channel, response)
        channel.sent(response)
        if channel.kind is TypeUrl.CLUSTER:
            changed = news.keys() | channel.doubtful
            self._send_endpoints_again(cluster for cluster in send.resources if cluster.name in changed)
        return [send]

    def _news(self, channel: Channel) -> dict[str, Resource | None]:
        """What the next response changes, as much as fits into it (R23)."""
        news: dict[str, Resource | None] = {}
        for name in sorted(self._plan.removals(channel)) if channel.leaving else ():
            news[name] = channel.content(name) if channel.kind is TypeUrl.ENDPOINTS else None
        room = self._limit(channel)
        for name in sorted(self._plan.additions(channel))[: channel.room]:
            content = channel.content(name)
            if room is not None and content is not None:
                room -= len(content.body)
                if room < 0 and news:
                    break
            news[name] = content
        return news

    def _send_endpoints_again(self, clusters: Iterable[Resource]) -> None:
        """Envoy waits for the endpoints of a cluster that it was sent, even if it has them, and does not ask (R32)."""
        needed = {name for cluster in clusters for name in cluster.needs}
        endpoints = self._channels.get(TypeUrl.ENDPOINTS)
        if endpoints is None:
            self._refresh |= needed  # its first request may say that it has them (R18)
        else:
            endpoints.ask([name for name in needed - endpoints.refused.keys() if endpoints.subscription.covers(name)])

    def _claimed(self, channel: Channel, held: Iterable[Resource]) -> list[Effect]:
        """The client holds these since an earlier stream: they are not sent, but for endpoints that must be (R18)."""
        current = []
        for resource in held:
            channel.claim(resource)
            if resource == channel.content(resource.name):
                current.append(resource)
        if channel.kind is TypeUrl.ENDPOINTS:
            channel.ask([name for name in self._refresh if channel.subscription.covers(name)])
            self._refresh.clear()
        return [Acked(channel.type_url, "", tuple(current), ())] if current else []
