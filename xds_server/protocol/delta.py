"""The delta dialect: requests edit what is wanted, responses say what changed, each resource with its own version."""

from typing_extensions import override

from xds_server.messages import wire
from xds_server.protocol.channel import LASTING, Channel, Response
from xds_server.protocol.events import DeltaRequest, Effect, Send
from xds_server.protocol.stream import Stream
from xds_server.protocol.subscription import Change
from xds_server.snapshot import Resource, TypeUrl


class DeltaStream(Stream[DeltaRequest]):
    """A stream of `DeltaAggregatedResources`."""

    @override
    def _channel(self, type_url: str) -> Channel:
        # Envoy hangs if it is told that a virtual host is removed (R38).
        return Channel(type_url, deniable=type_url != TypeUrl.VIRTUAL_HOST)

    @override
    def _greet(self, channel: Channel, request: DeltaRequest) -> list[Effect]:
        change = self._edit(channel, request)
        wanted = channel.subscription
        listed = {name: version for name, version in request.initial_versions.items() if wanted.covers(name)}
        effects = self._claimed(channel, [_claim(channel, name, version) for name, version in listed.items()])
        # A client that has something does not wait for a first answer; what it lacks or has of old is due (R18, R21).
        channel.greeting = wanted.everything and not listed and channel.kind is not None
        channel.look(channel.target if wanted.everything else ())
        channel.look(listed)
        channel.ask([name for name in change.asked if name not in listed or _lasts(channel, name)])
        return effects

    @override
    def _edit(self, channel: Channel, request: DeltaRequest) -> Change:
        return channel.subscription.edit(request.subscribe, request.unsubscribe)

    @override
    def _write(self, channel: Channel, response: Response) -> Send:
        content = tuple(resource for resource in response.news.values() if resource is not None)
        gone = [name for name, resource in response.news.items() if resource is None]
        removed = tuple(sorted({*gone, *channel.denied}))
        entries = (wire.Entry(resource.name, resource.version, resource.body) for resource in content)
        payload = wire.delta_discovery_response(channel.type_url, response.nonce, entries, removed)
        return Send(channel.type_url, response.nonce, payload, content, removed)

    @override
    def _limit(self, channel: Channel) -> int | None:
        return self._chunk


def _claim(channel: Channel, name: str, version: str) -> Resource:
    """What the client says it holds: our own if the versions are equal, else something of which only that is known."""
    ours = channel.content(name)
    return ours if ours is not None and ours.version == version else Resource(name, version, b"")


def _lasts(channel: Channel, name: str) -> bool:
    """Routes and secrets may be denied and yet stay until their listener goes; anything else is removed in its turn."""
    return channel.kind in LASTING and name not in channel.target
