"""What releases wait for, in a running server: whether builds are well, and where clusters are warm.

Proxies are asked once when a release begins to wait for them, and then when they say something: each holds back its
answer until what it was sent is warm.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from typing_extensions import override

from xds_server.domain.names import Ref, cluster, ref
from xds_server.ledger.ledger import Ledger
from xds_server.protocol.events import Acked, Nacked, Node, Stuck
from xds_server.records.activation import Pending
from xds_server.records.admitted import Admission
from xds_server.records.models import AppDeployment
from xds_server.records.readiness import Cold, Conditions, Question
from xds_server.runtime.observers import Nobody
from xds_server.runtime.probing import Ask, Probing
from xds_server.runtime.worlds import GatewayWorlds, delivery_of
from xds_server.snapshot import Resource, Snapshot, TypeUrl
from xds_server.transport.connections import Connection, Connections


@dataclass(frozen=True, slots=True)
class Told:
    """Where it is known what proxies are told and hold."""

    worlds: GatewayWorlds
    connections: Connections
    ledger: Ledger


@dataclass(slots=True, eq=False)
class _Owed:
    """Clusters, and the streams of those that do not hold them warm."""

    clusters: Collection[str]
    streams: set[int]


class Activating(Nobody, Conditions):
    """Belongs to one event loop. `reconsider` is told of releases that may not have to wait any more."""

    def __init__(self, told: Told, ask: Ask, reconsider: Callable[[Iterable[Ref]], None]) -> None:
        self.probing = Probing(ask, self._answered)
        self._told = told
        self._reconsider = reconsider
        self._probes = True
        self._waiting: Mapping[Ref, Pending] = {}
        self._owed: dict[tuple[Ref, Ref], _Owed] = {}
        self._stuck: dict[int, frozenset[str]] = {}
        self._heard: dict[int, Node] = {}
        self._checking: asyncio.Handle | None = None

    def ask_nobody(self) -> None:
        """From this machine instances cannot be reached: whatever is placed is taken to be well."""
        self._probes = False

    def follow(self, admission: Admission) -> None:
        """This is what is in force and held back now."""
        self.probing.forget(admission.world, admission.touched)
        if not (admission.pending or self._waiting):
            return
        self._waiting = dict(admission.waiting)
        self._owed = {key: owed for key, owed in self._owed.items() if key[0] in self._waiting}
        self.probing.want(frozenset(each for pending in self._waiting.values() for each in pending.questions))

    def end(self) -> None:
        """Do nothing more."""
        if self._checking is not None:
            self._checking.cancel()

    @override
    def answer(self, question: Question) -> str | None:
        return self.probing.answer(question) if self._probes else ""

    @override
    def cold(self, release: Ref, deployment: AppDeployment) -> Sequence[Cold]:
        clusters = [cluster(deployment.ref, each) for each in deployment.spec.entries]
        found: list[Cold] = []
        streams: set[int] = set()
        for proxy, told in self._holding(release):
            cold = [each for each in clusters if not _is_warm(proxy, told, each)]
            found += [Cold(self._words(each, proxy), told.on_demand) for each in cold]
            streams.update([proxy.node.stream] if cold else [])
        if streams:
            self._owed[release, deployment.ref] = _Owed(clusters, streams)
        else:
            self._owed.pop((release, deployment.ref), None)
        return found

    def _holding(self, release: Ref) -> Iterator[tuple[Connection, Snapshot]]:
        """Who has the release loaded, and what they are told."""
        for proxy, number in self._told.ledger.holding(release):
            found = next((each for each in self._told.connections.of(proxy) if each.node.stream == number), None)
            told = self._told_to(found) if found is not None else None
            if found is not None and told is not None:
                yield found, told

    def _told_to(self, proxy: Connection) -> Snapshot | None:
        told = self._told.worlds.told(ref(proxy.node.cluster), delivery_of(proxy.node, proxy.mode))
        return told.known_to(proxy.node.envoy) if told is not None else None

    def _words(self, name: str, proxy: Connection) -> str:
        does_not = "does not warm" if name in self._stuck.get(proxy.node.stream, ()) else "is not warm yet"
        return f"cluster {name} {does_not} at gateway {proxy.node.id} of {proxy.node.cluster}"

    def _answered(self, question: Question) -> None:
        waiting = [release for release, pending in self._waiting.items() if question in pending.questions]
        if waiting:
            self._reconsider(waiting)

    @override
    def acked(self, node: Node, acked: Acked) -> None:
        if acked.type_url == TypeUrl.CLUSTER:
            self._stuck.pop(node.stream, None)
            self._hear(node)

    @override
    def nacked(self, node: Node, nacked: Nacked) -> None:
        if nacked.type_url == TypeUrl.CLUSTER:
            self._hear(node)

    @override
    def stuck(self, node: Node, stuck: Stuck) -> None:
        self._stuck[node.stream] = frozenset(stuck.clusters)
        self._hear(node)

    @override
    def closed(self, node: Node, mode: str) -> None:
        self._stuck.pop(node.stream, None)
        self._hear(node)

    def _hear(self, node: Node) -> None:
        """It is looked at once the stream has taken in what was heard."""
        if any(node.stream in owed.streams for owed in self._owed.values()):
            self._heard[node.stream] = node
            if self._checking is None:
                self._checking = asyncio.get_running_loop().call_soon(self._check)

    def _check(self) -> None:
        self._checking = None
        heard, self._heard = self._heard, {}
        news = [release for (release, _), owed in self._owed.items() if self._is_news(owed, heard)]
        if news:
            self._reconsider(dict.fromkeys(news))

    def _is_news(self, owed: _Owed, heard: Mapping[int, Node]) -> bool:
        """Nobody is waited for any more, or it is known that somebody is waited for in vain."""
        asked = owed.streams & heard.keys()
        owed.streams -= {each for each in asked if self._has(heard[each], owed.clusters)}
        return bool(asked) and (not owed.streams or any(each in self._stuck for each in asked))

    def _has(self, node: Node, clusters: Collection[str]) -> bool:
        """Who is gone holds nothing that anybody waits for."""
        found = self._told.connections.on(node)
        told = self._told_to(found) if found is not None else None
        return found is None or told is None or all(_is_warm(found, told, each) for each in clusters)


def _is_warm(proxy: Connection, told: Snapshot, name: str) -> bool:
    """It has said that it holds the cluster as it is told now; that it says when it is warm."""
    found: Resource | None = told.find(TypeUrl.CLUSTER, name)
    return found is not None and proxy.stream.has(TypeUrl.CLUSTER, found)
