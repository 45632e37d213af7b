"""On-demand delivery to one proxy: what its channels know of each other, and when a virtual host may leave.

A proxy is sent only what it asks for, and what that needs:

    CLUSTER        what every proxy gets, what its virtual hosts need, what it asks for by name    (`clusters`)
    ROUTES         empty route configurations, which never change for a release
    VIRTUAL_HOST   what it asks for, and what every proxy gets                                     (`virtual_hosts`)

Make before break is here a matter of each virtual host alone, because only it names clusters, and says which
(`Resource.needs`). It leaves when each of them that exists is held, which means that it is warm; also while a response
about other clusters is unanswered. So to load a host is to push its missing clusters in one response, their endpoints
when they are asked for, and then the host. A listener waits in the same way for the clusters that every proxy gets.

A cluster is removed when it is gone from the world and no virtual host that is held, or on its way, names it.

What is not waited for forever:

- A cluster does not warm: once its answer is overdue, the virtual hosts that need it go on, and that is reported. One
  that could not even be sent, because of an older response that is unanswered, still holds them.
- A cluster was refused, and the client never had it: virtual hosts that are held stay as they are until a newer world
  changes or removes it. Those that are not loaded go on after the time: a host that has most of its clusters is better
  than none.
"""

from collections.abc import Collection, Iterator, Mapping

from typing_extensions import override

from xds_server.domain.names import wildcards_over
from xds_server.protocol.channel import Channel
from xds_server.protocol.clusters import Clusters
from xds_server.protocol.events import Wake
from xds_server.protocol.plan import Pace, Plan, adds
from xds_server.protocol.virtual_hosts import RouteConfigurations, VirtualHosts, is_wildcard
from xds_server.snapshot import TypeUrl

REFUSED = "refused-"
"""Begins the token of the time that virtual hosts wait for a refused cluster."""


class OnDemand:
    """The channels of one stream that know each other."""

    def __init__(self) -> None:
        self.clusters = Clusters(self._needed)
        self.hosts = VirtualHosts(self.clusters)
        self.routes = RouteConfigurations(self.hosts)

    @property
    def channels(self) -> tuple[Channel, ...]:
        return self.clusters, self.routes, self.hosts

    def channel(self, type_url: str) -> Channel | None:
        return next((each for each in self.channels if each.kind == type_url), None)

    def _needed(self) -> set[str]:
        return self.hosts.needed()


class OnDemandPlan(Plan):
    """The gates of a stream on demand. `_without`: clusters that are not waited for any more, and since when."""

    __slots__ = ("_clusters", "_hosts", "_without")

    def __init__(self, channels: Mapping[str, Channel], pace: Pace, delivery: OnDemand) -> None:
        super().__init__(channels, pace)
        self._clusters = delivery.clusters
        self._hosts = delivery.hosts
        self._without: dict[str, str] = {}

    @override
    def additions(self, channel: Channel) -> Collection[str]:
        match channel.kind:
            case TypeUrl.VIRTUAL_HOST:
                ready = [name for name, missing in self._sendable() if not missing]
                shadowing = self._shadowing(ready)
                return [name for name in ready if name not in shadowing] if shadowing else ready
            case TypeUrl.LISTENER | TypeUrl.ROUTES if channel.due:
                return channel.due if self._clusters_are_there(self._clusters) else ()
            case _:
                return channel.due

    @override
    def _unused(self, channel: Channel) -> Collection[str]:
        found = super()._unused(channel)
        if channel is not self._clusters or not found:
            return found
        if self._hosts.strange or self._hosts.doubtful:
            return ()
        used = {need for host in self._hosts.in_use() for need in host.needs}
        return [name for name in found if name not in used]

    @override
    def timers(self) -> list[Wake]:
        if self._without:
            self._forget_what_came_or_went()
        filling = self._hosts.budget.next()
        return [*super().timers(), filling] if filling else super().timers()

    @override
    def _owing(self) -> bool:
        return bool(self._hosts.due) or super()._owing()

    def _forget_what_came_or_went(self) -> None:
        """A cluster that was given up is waited for anew once it was there, or was gone from the world."""
        clusters = self._clusters
        left = (name for name in self._without if clusters.lookup(name) is not None and not clusters.has(name))
        self._without = {name: self._without[name] for name in left}

    @override
    def overdue(self, token: str) -> tuple[str, ...]:
        if self._hosts.budget.due(token):
            self._hosts.load_who_waits()
            return ()
        return super().overdue(token)

    @override
    def _give_up(self, token: str) -> tuple[str, ...]:
        clusters = self._clusters
        if token == clusters.nonce:
            self._forgiven = token
        given_up = {*adds(clusters), *clusters.never_held()}
        self._without.update(dict.fromkeys(given_up, clusters.nonce))
        return tuple(sorted(given_up))

    @override
    def _clusters_are_there(self, clusters: Channel | None) -> bool:
        return not any(self._waits_for(name, loaded=False) for name in self._clusters.always)

    @override
    def _tokens(self) -> list[str]:
        clusters = self._clusters
        if not (self._hosts.due or any(channel is not None and channel.due for channel in self._routing())):
            return self._introductions()
        waited = set(self._waited())
        refused = sorted(name for name in waited if name in clusters.refused and name not in clusters.due)
        tokens = [f"{REFUSED}{refused[0]}"] if refused else []
        if waited.difference(refused) and clusters.nonce != self._forgiven:
            tokens.append(clusters.nonce)
        return [*tokens, *self._introductions()]

    @override
    def _routes_known(self) -> bool:
        return self._introduced or {TypeUrl.ROUTES, TypeUrl.VIRTUAL_HOST} <= self._channels.keys()

    def _waited(self) -> Iterator[str]:
        """Clusters that hold something back, but for refused ones that do so without a limit."""
        if any(channel is not None and channel.due for channel in self._routing()):
            yield from (name for name in self._clusters.always if self._waits_for(name, loaded=False))
        refused = self._clusters.refused.keys()
        for name, missing in self._sendable():
            if missing and not (name in self._hosts.held and refused & missing):
                yield from missing

    def _sendable(self) -> Iterator[tuple[str, list[str]]]:
        """Virtual hosts that are due, and whose route configuration is there; the clusters that each has to wait for.

        Thousands of names under one wildcard need the same clusters, about which is asked once.
        """
        hosts = self._hosts
        found: dict[tuple[tuple[str, ...], bool], list[str]] = {}
        for name in filter(hosts.is_configured, hosts.due):
            needs, loaded = hosts.needs(name), name in hosts.held
            missing = found.get((needs, loaded))
            if missing is None:
                missing = [need for need in needs if self._waits_for(need, loaded=loaded)]
                found[needs, loaded] = missing
            yield name, missing

    def _shadowing(self, ready: Collection[str]) -> Collection[str]:
        """Wildcards over hosts that the client does not have yet: until then they would answer for them."""
        if not any(map(is_wildcard, ready)):
            return ()
        coming = (name for name in self._hosts.due if name not in self._hosts.held)
        return {over for name in coming for over in wildcards_over(name)}

    def _waits_for(self, name: str, *, loaded: bool) -> bool:
        clusters = self._clusters
        if clusters.has(name) or TypeUrl.CLUSTER not in self._channels or clusters.content(name) is None:
            return False
        if name in clusters.due:
            return True
        if clusters.is_on_its_way(name):
            return self._without.get(name) != clusters.nonce
        return name in clusters.refused and (loaded or name not in self._without)
