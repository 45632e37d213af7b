"""When what one proxy is owed may leave: make before break, gated by the proxy's answers.

    1  clusters that are new or changed, and their endpoints
       Envoy withholds the answer until they are warm (R31)
    2  listeners, those that are gone too, and routes
    3  what else is gone: clusters, then endpoints

Routes are not warmed (R30), so phase 2 waits until no cluster of the newest world is unsent or unanswered, and phase 3
until no route that is still in use can name what is gone. There is one plan for all types of a stream (R29), and it has
no memory of phases: each gate is a question about the channels as they are now. A newer world merely changes the
answers, so it can overtake an older one without ever skipping an addition (R36).

A listener that is gone leaves in the response that brings its successor: Envoy removes before it adds, so that one may
take the address of the other, and would refuse them in any other order.

Endpoints that change pass at any time. So does a routing-only change: no cluster is owed, phase 1 is over.

A client that takes too long is not waited for forever:

- A cluster does not warm: once its answer is overdue, routes go on, and that is reported. A cluster that could not
  even be sent still holds them.
- A cluster was refused and nothing by that name was ever accepted: routes may name it, so those that the client holds
  stay as they are until a newer world changes or removes it. A client that holds none at all, having just started,
  gets its first ones once the time is over: serving all but one cluster is better than serving nothing.
- After a reconnect a client may take a moment to say which routes it holds; clusters that are gone stay until then.

Clusters that nothing names any more rest for a while before they are removed. Envoy gives a request its routes when its
stream begins, and looks for the cluster when its filters have run. It answers for the new routes meanwhile: with
`max_requests_per_io_cycle`, which our bootstrap sets against rapid resets, requests of one connection wait for each
other in between, on a busy machine for more than a second.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from xds_server.protocol.channel import Channel
from xds_server.protocol.events import Wake
from xds_server.snapshot import TypeUrl

REST = "rest-"
"""Begins the token of the time that clusters rest."""
INTRODUCTION = "introduction"
"""The token of the time that a client has to subscribe to routes."""


class Pace(NamedTuple):
    """Seconds that routes wait for clusters that do not warm, and that clusters rest before they are removed."""

    patience: float
    rest: float


class Plan:
    """The gates between the channels of one stream."""

    __slots__ = ("_channels", "_forgiven", "_introduced", "_pace", "_rest", "_rests", "_running")

    def __init__(self, channels: Mapping[str, Channel], pace: Pace) -> None:
        self._channels = channels
        self._pace = pace
        self._rest: dict[str, str] = {}
        self._rests = 0
        self._forgiven = ""
        self._introduced = False
        self._running: set[str] = set()

    def additions(self, channel: Channel) -> Collection[str]:
        """Names of `channel` whose content may be sent now."""
        if channel.kind not in (TypeUrl.LISTENER, TypeUrl.ROUTES) or not channel.due:
            return channel.due
        clusters = self._channels.get(TypeUrl.CLUSTER)
        if clusters is None:
            return channel.due
        if not self._clusters_are_there(clusters):
            return ()
        if clusters.never_held():
            overdue = clusters.nonce == self._forgiven
            return [name for name in channel.due if name not in channel.held] if overdue else ()
        return channel.due

    def _clusters_are_there(self, clusters: Channel | None) -> bool:
        """Every cluster of the newest world was sent and answered, or its answer is overdue."""
        if clusters is None:
            return True
        overdue = clusters.nonce == self._forgiven
        return not clusters.due and (overdue or not _unanswered(clusters))

    def removals(self, channel: Channel) -> Collection[str]:
        """Names of `channel` that are gone from the world and that nothing needs any more."""
        if not channel.leaving:
            return ()
        unused = self._unused(channel)
        if channel.kind is not TypeUrl.CLUSTER or not self._pace.rest:
            return unused
        return [name for name in unused if self._rest.get(name) == ""]

    def _unused(self, channel: Channel) -> Collection[str]:
        """What is gone from the world, and named by nothing that is used."""
        return channel.leaving if self._may_remove(channel.kind) else ()

    def _resting(self) -> list[Wake]:
        """Begin the rest of clusters that nothing names any more. `_rest` has the timer of each; "" when it is over."""
        clusters = self._channels.get(TypeUrl.CLUSTER)
        if clusters is None or not self._pace.rest or not (clusters.leaving or self._rest):
            return []
        unused = self._unused(clusters)
        self._rest = {name: token for name, token in self._rest.items() if name in unused}
        tired = [name for name in unused if name not in self._rest]
        if not tired:
            return []
        self._rests += 1
        token = f"{REST}{self._rests}"
        self._rest.update(dict.fromkeys(tired, token))
        return [Wake(self._pace.rest, token)]

    def timers(self) -> list[Wake]:
        """One for each gate that is closed and shall not stay closed for ever, if none runs for it yet."""
        if not (self._rest or self._owing()):
            return []
        tokens = [token for token in self._tokens() if token not in self._running]
        self._running.update(tokens)
        return [*(Wake(self._pace.patience, token) for token in tokens), *self._resting()]

    def _owing(self) -> bool:
        """Something waits at a gate: after most answers nothing does."""
        return any(channel.due or channel.leaving for channel in self._channels.values())

    def overdue(self, token: str) -> tuple[str, ...]:
        """The time is over: name the clusters without which routes go on."""
        self._running.discard(token)
        if token.startswith(REST):
            self._rest = {name: "" if each == token else each for name, each in self._rest.items()}
            return ()
        if token == INTRODUCTION:
            self._introduced = True
            return ()
        return self._give_up(token) if token in self._tokens() else ()

    def _give_up(self, token: str) -> tuple[str, ...]:
        self._forgiven = token
        clusters = self._channels[TypeUrl.CLUSTER]
        return tuple(sorted({*adds(clusters), *clusters.never_held()}))

    def _tokens(self) -> list[str]:
        """What the proxy is waiting for, if it shall not wait for ever."""
        clusters = self._channels.get(TypeUrl.CLUSTER)
        if clusters is not None and clusters.nonce != self._forgiven and self._held_back(clusters):
            return [clusters.nonce]
        return self._introductions()

    def _introductions(self) -> list[str]:
        leaving = not self._routes_known() and any(channel.leaving for channel in self._channels.values())
        return [INTRODUCTION] if leaving else []

    def _held_back(self, clusters: Channel) -> bool:
        """Routes wait for clusters. Those that wait for a refused one do so without a limit if the client has older."""
        waiting = [channel for channel in self._routing() if channel and channel.due and not self.additions(channel)]
        unsettled = bool(clusters.due) or _unanswered(clusters)
        return any(unsettled or any(name not in channel.held for name in channel.due) for channel in waiting)

    def _may_remove(self, kind: TypeUrl | None) -> bool:
        if kind is TypeUrl.LISTENER:
            return self._clusters_are_there(self._channels.get(TypeUrl.CLUSTER))
        listeners, routes = self._routing()
        if not (self._routes_known() and _settled(listeners) and _settled(routes)):
            return False
        match kind:
            case TypeUrl.CLUSTER:
                # A listener that is gone may still drain, and its routes are in use until they are unsubscribed.
                return not (_lingers(listeners) or _lingers(routes))
            case TypeUrl.ENDPOINTS:
                clusters = self._channels.get(TypeUrl.CLUSTER)
                return not _lingers(clusters) and _settled(clusters)
            case TypeUrl.ROUTES | TypeUrl.SECRET | TypeUrl.VIRTUAL_HOST | None:
                return False  # Envoy ignores it: these leave with the listener, or cluster, that names them

    def _routing(self) -> tuple[Channel | None, Channel | None]:
        return self._channels.get(TypeUrl.LISTENER), self._channels.get(TypeUrl.ROUTES)

    def _routes_known(self) -> bool:
        return self._introduced or TypeUrl.ROUTES in self._channels


def adds(channel: Channel) -> Iterator[str]:
    """Names whose content is on its way."""
    if channel.awaited is not None:
        yield from (name for name, resource in channel.awaited.news.items() if resource is not None)


def _unanswered(channel: Channel) -> bool:
    return next(adds(channel), None) is not None


def _settled(channel: Channel | None) -> bool:
    """The client holds the content of the world, of all that it holds and that is not gone."""
    if channel is None:
        return True
    return not (channel.due or channel.awaited or any(name in channel.held for name in channel.refused))


def _lingers(channel: Channel | None) -> bool:
    """Something that is gone from the world is still there."""
    return channel is not None and bool(channel.leaving)
