"""The delta dialect: requests edit what is wanted, responses say what changed, each resource with its own version."""

from typing_extensions import override

from xds_server.messages import wire
from xds_server.protocol.channel import ABSENT, LASTING, Channel, Response
from xds_server.protocol.events import DeltaRequest, Effect, Send
from xds_server.protocol.on_demand import OnDemand, OnDemandPlan
from xds_server.protocol.plan import Pace
from xds_server.protocol.stream import CHUNK, PACE, Stream
from xds_server.protocol.subscription import Change
from xds_server.protocol.virtual_hosts import VirtualHosts
from xds_server.snapshot import Resource, Snapshot, TypeUrl


class DeltaStream(Stream[DeltaRequest]):
    """A stream of `DeltaAggregatedResources`."""

    def __init__(self, *, pace: Pace = PACE, chunk: int = CHUNK, name: str = "") -> None:
        super().__init__(pace=pace, chunk=chunk, name=name)
        self._pace = pace
        self._delivery: OnDemand | None = None

    @override
    def _begin(self, first: Snapshot) -> None:
        if first.on_demand:
            self._delivery = OnDemand()
            self._plan = OnDemandPlan(self._channels, self._pace, self._delivery)
            for channel in self._delivery.channels:
                self._index(channel)

    @override
    def _channel(self, type_url: str) -> Channel:
        linked = self._delivery.channel(type_url) if self._delivery else None
        if linked is not None:
            return linked
        # Envoy hangs if it is told that a virtual host is removed (R38).
        return Channel(type_url, deniable=type_url != TypeUrl.VIRTUAL_HOST)

    @override
    def _greet(self, channel: Channel, request: DeltaRequest) -> list[Effect]:
        change = self._edit(channel, request)
        versions = request.initial_versions
        listed = frozenset(channel.recall(versions))
        effects = self._claimed(channel, [_claim(channel, name, versions[name]) for name in sorted(listed)])
        # A client that has something does not wait for a first answer; what it lacks or has of old is due (R18, R21).
        channel.open(first=not listed)
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
        removed = tuple(sorted({*gone, *response.denied})) if gone or response.denied else ()
        entries = [wire.Entry(each.name, each.version, each.body, _aliases(channel, each.name)) for each in content]
        if channel.kind is TypeUrl.VIRTUAL_HOST:
            entries += [wire.Entry(name, ABSENT, None, (name,)) for name in removed]
        said = () if channel.kind is TypeUrl.VIRTUAL_HOST else removed
        payload = wire.delta_discovery_response(channel.type_url, response.nonce, entries, said)
        return Send(channel.type_url, response.nonce, payload, content, removed)

    @override
    def _limit(self, channel: Channel) -> int | None:
        return self._chunk


def _claim(channel: Channel, name: str, version: str) -> Resource:
    """What the client says it holds: our own if the versions are equal, else something of which only that is known."""
    ours = channel.content(name)
    return ours if ours is not None and ours.version == version else Resource(name, version, b"")


def _aliases(channel: Channel, name: str) -> tuple[str, ...]:
    return channel.aliases(name) if isinstance(channel, VirtualHosts) else ()


def _lasts(channel: Channel, name: str) -> bool:
    """Routes and secrets may be denied and yet stay until their listener goes; anything else is removed in its turn."""
    return channel.kind in LASTING and name not in channel.target
