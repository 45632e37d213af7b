"""The state-of-the-world dialect: a request lists all the names that are wanted.

A response about listeners or clusters lists all that there is, and what it lacks is gone (R8): what is gone from the
world but still in use is therefore sent along. A response about other types lists only what is new. That something
does not exist can be said of listeners and clusters alone (R13).

The version of a type is made from the names and versions of everything that the client will then hold. So two replicas
agree on it, and a client that reconnects with our version holds our content.

A client that wants fewer endpoints than before would go on stating a version that counts the others, and be sent all
anew after a restart. So it is told the new version, with one resource that it has.
"""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from itertools import islice
from typing import ClassVar

from typing_extensions import override

from xds_server.messages import wire
from xds_server.protocol.channel import FULL_STATE, Channel, Response
from xds_server.protocol.events import Effect, Send, SotwRequest
from xds_server.protocol.plan import Pace
from xds_server.protocol.stream import CHUNK, PACE, Stream
from xds_server.protocol.subscription import Change
from xds_server.snapshot import Resource, TypeUrl

BITS = 128


class SotwChannel(Channel):
    """A channel that keeps the version of all that is held, as a sum: it costs what changes, not what there is."""

    __slots__ = ("_stated", "_stating", "_sum", "unknown_past")

    restates: ClassVar[bool] = True

    def __init__(self, type_url: str) -> None:
        super().__init__(type_url, deniable=type_url in FULL_STATE)
        self._sum = 0
        self._stated = self._stating = ""
        self.unknown_past = False

    def states(self, version: str) -> None:
        """The client said that this is its version."""
        self._stated = version

    @override
    def restated(self) -> dict[str, Resource | None]:
        """What to send again for its version's sake: one resource, if the client states more than it holds."""
        if not self._stated or self.kind in FULL_STATE or self.refused or self.doubtful:
            return {}
        if self._stated == self.version_after({}):
            return {}
        same = (name for name, resource in self.held.items() if resource == self.content(name))
        return {name: self.held[name] for name in islice(same, 1)}

    @override
    def accept(self) -> dict[str, Resource | None]:
        self._stated = self._stating
        self.unknown_past = False
        return super().accept()

    @override
    def separable(self) -> bool:
        """A part of all that there is would delete what the client has of old (R8), and nobody knows what that is."""
        return not (self.unknown_past and self.kind in FULL_STATE)

    def version_after(self, news: dict[str, Resource | None]) -> str:
        """The version of what the client holds once it accepts `news`."""
        total = self._sum
        for name, resource in news.items():
            total += _weight(resource) - _weight(self.held.get(name))
        return _version(total)

    def stating(self, news: dict[str, Resource | None]) -> str:
        """The version that the client will state once it accepts `news`."""
        self._stating = self.version_after(news)
        return self._stating

    @override
    def _hold(self, news: Mapping[str, Resource | None]) -> None:
        for name, resource in news.items():
            self._sum += _weight(resource) - _weight(self.held.get(name))
        super()._hold(news)


class SotwStream(Stream[SotwRequest]):
    """A stream of `StreamAggregatedResources`.

    `_brings`: it has brought clusters or listeners; `_brought`: the route configurations that those listeners need.
    """

    def __init__(self, *, pace: Pace = PACE, chunk: int = CHUNK, name: str = "") -> None:
        super().__init__(pace=pace, chunk=chunk, name=name)
        self._brings = False
        self._brought: set[str] = set()

    @override
    def _channel(self, type_url: str) -> Channel:
        return SotwChannel(type_url)

    @override
    def _greet(self, channel: Channel, request: SotwRequest) -> list[Effect]:
        change = self._edit(channel, request)
        wanted = channel.target if channel.subscription.everything else channel.subscription.names
        content = [resource for name in sorted(wanted) if (resource := channel.content(name)) is not None]
        assert isinstance(channel, SotwChannel)
        if request.version == version_of(content) and self._has_kept(channel):
            channel.states(request.version)
            return self._claimed(channel, content)
        channel.unknown_past = bool(request.version)
        channel.change(change)
        return self._claimed(channel, ())

    def _has_kept(self, channel: Channel) -> bool:
        """A version says what the client had last, even if it has let go of it since. It has the routes and secrets
        that it asks for by itself; of those that it asks for because of what this stream has brought, nobody knows.
        """
        if channel.kind is TypeUrl.SECRET:
            return not self._brings
        return channel.kind is not TypeUrl.ROUTES or not any(map(channel.subscription.covers, self._brought))

    @override
    def _next(self, channel: Channel) -> list[Effect]:
        effects = super()._next(channel)
        if effects and channel.awaited is not None and channel.kind in FULL_STATE:
            brought = [each for each in channel.awaited.news.values() if each is not None]
            self._brings = self._brings or bool(brought)
            if channel.kind is TypeUrl.LISTENER:
                self._brought.update(need for each in brought for need in each.needs)
        return effects

    @override
    def _edit(self, channel: Channel, request: SotwRequest) -> Change:
        return channel.subscription.replace(request.names)

    @override
    def _news(self, channel: Channel) -> dict[str, Resource | None]:
        assert isinstance(channel, SotwChannel)
        return super()._news(channel) or channel.restated()

    @override
    def _write(self, channel: Channel, response: Response) -> Send:
        assert isinstance(channel, SotwChannel)
        content = self._content(channel, response.news)
        version = channel.stating(response.news)
        bodies = (resource.body for resource in content)
        payload = wire.discovery_response(channel.type_url, response.nonce, version, bodies)
        removed = tuple(name for name, resource in response.news.items() if resource is None)
        return Send(channel.type_url, response.nonce, payload, content, removed)

    @override
    def _limit(self, channel: Channel) -> int | None:
        return None if channel.kind in FULL_STATE else self._chunk

    @staticmethod
    def _content(channel: Channel, news: dict[str, Resource | None]) -> tuple[Resource, ...]:
        told = {**channel.held, **news} if channel.kind in FULL_STATE else news
        return tuple(resource for _, resource in sorted(told.items()) if resource is not None)


def version_of(resources: Iterable[Resource]) -> str:
    """The version of a type for a client that holds exactly these."""
    return _version(sum(map(_weight, resources)))


def _version(total: int) -> str:
    return f"{total % (1 << BITS):0{BITS // 4}x}"


def _weight(resource: Resource | None) -> int:
    if resource is None:
        return 0
    content = f"{resource.name}\0{resource.version}".encode()
    return int.from_bytes(blake2b(content, digest_size=BITS // 8).digest(), "big")
