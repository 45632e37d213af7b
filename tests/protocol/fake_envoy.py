"""A model of Envoy as an ADS client: the other half of the protocol, so that the two can be run against each other.

It does what was measured on Envoy 1.40: new and changed clusters warm until their endpoints arrive *after* them, and
the answer about clusters is withheld until then; no endpoints are asked for that are subscribed already; routes are
used as soon as they arrive; a listener that is removed drains, and its routes are in use meanwhile.

A resource is written as `name version references`: a cluster refers to its endpoints, a listener to its routes, a route
configuration to its clusters.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from typing_extensions import override

from tests.protocol.dialogue import NODE
from tests.protocol.worlds import CDS, EDS, LDS, RDS, VHDS
from xds_server.messages.codec import decode
from xds_server.messages.envoy import DeltaDiscoveryResponse, DiscoveryResponse
from xds_server.protocol.events import DeltaRequest, Send, SotwRequest
from xds_server.snapshot import Resource, TypeUrl

SLOW = "slow"
"""A cluster of this name is warm when its name is resolved, not when its endpoints come."""


@dataclass(frozen=True)
class Item:
    """A resource as the client reads it from the bytes."""

    name: str
    version: str
    references: tuple[str, ...]


@dataclass(frozen=True)
class Told:
    """A response, read."""

    type_url: str
    nonce: str
    version: str
    items: tuple[Item, ...]
    removed: tuple[str, ...]
    absent: tuple[str, ...] = ()
    answered: frozenset[str] = frozenset()


def written(name: str, version: str, references: Iterable[str] = (), needs: Iterable[str] = ()) -> Resource:
    return Resource(name, version, " ".join((name, version, *references)).encode(), tuple(needs))


def read(body: bytes) -> Item:
    if body[:1] == b"\n":  # field 1 of an empty ClusterLoadAssignment
        return Item(body[2:].decode(), "absent", ())
    name, version, *references = body.decode().split()
    return Item(name, version, tuple(references))


class FakeEnvoy(ABC):
    """What the client holds, what it sends, and what is on its way to it."""

    def __init__(self) -> None:
        self.held: dict[str, dict[str, Item]] = {kind: {} for kind in TypeUrl}
        self.warming: dict[str, Item] = {}
        self.draining: dict[str, Item] = {}
        self.inbox: deque[Send] = deque()
        self.outbox: deque[Any] = deque()
        self.withheld: Told | None = None
        self._opened: set[str] = set()

    def connect(self, *, remembers: bool) -> None:
        """Begin a new stream. What was in flight on the old one is lost. Cached endpoints end a warm-up.

        Who does not remember was restarted, and holds nothing.
        """
        if not remembers:
            for items in (*self.held.values(), self.warming, self.draining):
                items.clear()
        self.inbox.clear()
        self.outbox.clear()
        self.withheld = None
        self._opened.clear()
        for name, item in list(self.warming.items()):
            if any(need in self.held[EDS] for need in item.references):
                self.held[CDS][name] = self.warming.pop(name)
        for kind in (CDS, EDS, LDS, RDS):
            if kind in (CDS, LDS) or self.names(kind):
                self._open(kind, remembers=remembers)

    def names(self, kind: str) -> set[str]:
        """The names that are wanted of a type that follows another."""
        followed = {
            EDS: (self.held[CDS], self.warming),
            RDS: (self.held[LDS], self.draining),
        }.get(TypeUrl(kind), ())
        return {name for items in followed for item in items.values() for name in item.references}

    def accept(self) -> None:
        """Read the next response and apply it."""
        told = self.take()
        self._apply(told, told.items)
        self._applied(told)
        if told.type_url == CDS and self.warming:
            self.withheld = told
        else:
            self.outbox.append(self._answer(told, None))
        self._warm()

    def refuse(self, culprit: str, error: str, *, in_part: bool) -> None:
        """Read the next response and refuse it because of `culprit`; `in_part`: the rest is applied nevertheless."""
        told = self.take()
        if in_part:
            sound = tuple(item for item in told.items if item.name != culprit)
            self._apply(told, sound, keep={culprit})
            self._applied_in_part(told)
        self.outbox.append(self._answer(told, error))
        self._warm()

    def resolve(self) -> None:
        """Slow names are resolved at last."""
        for name in [name for name in self.warming if name.startswith(SLOW)]:
            self.held[CDS][name] = self.warming.pop(name)
        self._warm()

    def give_up(self) -> None:
        """The time for the first endpoints of a cluster is over."""
        self.held[CDS].update(self.warming)
        self.warming.clear()
        self._warm()

    def drain(self) -> None:
        """No request is left on listeners that were removed."""
        wanted = self.names(RDS)
        self.draining.clear()
        self._follow(RDS, wanted)

    def peek(self) -> Told:
        return self._read(self.inbox[0])

    def take(self) -> Told:
        return self._read(self.inbox.popleft())

    @abstractmethod
    def repeat(self, kind: str) -> set[str]:
        """Ask once more; returns the names that must be answered."""

    @abstractmethod
    def _open(self, kind: str, *, remembers: bool) -> None:
        """The first request of a type."""

    @abstractmethod
    def _answer(self, told: Told, error: str | None) -> Any:
        """Accept or refuse."""

    @abstractmethod
    def _applied(self, told: Told) -> None:
        """A response is in force; its acknowledgement may still have to wait."""

    @abstractmethod
    def _applied_in_part(self, told: Told) -> None:
        """A response is refused and yet partly in force."""

    @abstractmethod
    def _edit(self, kind: str, before: set[str], now: set[str]) -> Any:
        """Say what is wanted now."""

    @abstractmethod
    def _read(self, send: Send) -> Told:
        """Decode a response."""

    @abstractmethod
    def _gone(self, told: Told) -> set[str]:
        """Names that are no more, according to a response."""

    def _apply(self, told: Told, items: Iterable[Item], keep: Iterable[str] = ()) -> None:
        before = {kind: self.names(kind) for kind in (EDS, RDS)}
        for name in self._gone(told) - set(keep):
            self._drop(told.type_url, name)
        for item in items:
            self._put(told.type_url, item)
        for kind, wanted in before.items():
            self._follow(kind, wanted)

    def _put(self, kind: str, item: Item) -> None:
        wants = self.names(kind) if kind in (EDS, RDS) else {item.name}
        if item.name not in wants:
            return
        if kind == CDS:
            self.warming.pop(item.name, None)
            if self.held[CDS].get(item.name) != item and (item.references or item.name.startswith(SLOW)):
                self.warming[item.name] = item
                return
        self.held[kind][item.name] = item
        if kind == EDS:
            for name, cluster in list(self.warming.items()):
                if item.name in cluster.references:
                    self.held[CDS][name] = self.warming.pop(name)

    def _drop(self, kind: str, name: str) -> None:
        if kind == RDS:
            return  # Envoy logs it and goes on with the routes that it has
        gone = self.held[kind].pop(name, None)
        if kind == CDS:
            self.warming.pop(name, None)
        if kind == LDS and gone is not None:
            self.draining[name] = gone

    def _follow(self, kind: str, before: set[str]) -> None:
        now = self.names(kind)
        for name in before - now:
            self.held[kind].pop(name, None)
        if now and kind not in self._opened:
            self._open(kind, remembers=False)
        elif now != before:
            self.outbox.append(self._edit(kind, before, now))

    def _warm(self) -> None:
        if self.withheld is not None and not self.warming:
            told, self.withheld = self.withheld, None
            self.outbox.append(self._answer(told, None))


class SotwEnvoy(FakeEnvoy):
    """Speaks state of the world: every request lists all names."""

    def __init__(self) -> None:
        super().__init__()
        self._version = dict.fromkeys(TypeUrl, "")
        self._nonce = dict.fromkeys(TypeUrl, "")

    @override
    def connect(self, *, remembers: bool) -> None:
        if not remembers:
            self._version = dict.fromkeys(TypeUrl, "")
        super().connect(remembers=remembers)

    @override
    def repeat(self, kind: str) -> set[str]:
        self.outbox.append(self._request(kind))
        return set()

    @override
    def _open(self, kind: str, *, remembers: bool) -> None:
        self._opened.add(kind)
        self.outbox.append(self._request(kind))

    @override
    def _answer(self, told: Told, error: str | None) -> SotwRequest:
        kind = TypeUrl(told.type_url)
        self._nonce[kind] = told.nonce
        return self._request(kind, error)

    @override
    def _applied(self, told: Told) -> None:
        self._version[TypeUrl(told.type_url)] = told.version

    @override
    def _applied_in_part(self, told: Told) -> None:
        # Envoy goes on to state the older version. If it loses its stream now, and the world returns to that version,
        # no server could know; this client is more honest.
        self._version[TypeUrl(told.type_url)] = "in part"

    @override
    def _edit(self, kind: str, before: set[str], now: set[str]) -> SotwRequest:
        return self._request(kind)

    @override
    def _read(self, send: Send) -> Told:
        response = decode(DiscoveryResponse, send.payload)
        items = tuple(read(each.value) for each in response.resources)
        return Told(response.type_url, response.nonce, response.version_info, items, ())

    @override
    def _gone(self, told: Told) -> set[str]:
        if told.type_url not in (CDS, LDS):
            return set()
        known = {*self.held[told.type_url], *(self.warming if told.type_url == CDS else ())}
        return known - {item.name for item in told.items}

    def _request(self, kind: str, error: str | None = None) -> SotwRequest:
        of = TypeUrl(kind)
        names = tuple(sorted(self.names(kind)))
        return SotwRequest(kind, names, self._version[of], self._nonce[of], error, NODE)


class DeltaEnvoy(FakeEnvoy):
    """Speaks delta: requests edit."""

    @override
    def repeat(self, kind: str) -> set[str]:
        wanted = sorted(self.names(kind))[:1]
        if wanted:
            self.outbox.append(DeltaRequest(kind, tuple(wanted), node=NODE))
        return set(wanted)

    @override
    def _open(self, kind: str, *, remembers: bool) -> None:
        self._opened.add(kind)
        has = {**self.held[kind], **(self.warming if kind == CDS else {})} if remembers else {}
        versions = {name: item.version for name, item in has.items()}
        self.outbox.append(DeltaRequest(kind, tuple(sorted(self.names(kind))), (), versions, node=NODE))

    @override
    def _answer(self, told: Told, error: str | None) -> DeltaRequest:
        return DeltaRequest(told.type_url, nonce=told.nonce, error=error, node=NODE)

    @override
    def _edit(self, kind: str, before: set[str], now: set[str]) -> DeltaRequest:
        return DeltaRequest(kind, tuple(sorted(now - before)), tuple(sorted(before - now)), node=NODE)

    @override
    def _read(self, send: Send) -> Told:
        response = decode(DeltaDiscoveryResponse, send.payload)
        present = [each for each in response.resources if each.HasField("resource")]
        absent = tuple(each.name for each in response.resources if not each.HasField("resource"))
        items = tuple(read(each.resource.value) for each in present)
        versions = {each.name: each.version for each in present}
        assert versions == {item.name: item.version for item in items}
        answered = frozenset(name for each in response.resources for name in each.aliases)
        removed = tuple(response.removed_resources)
        return Told(response.type_url, response.nonce, "", items, removed, absent, answered)

    @override
    def _gone(self, told: Told) -> set[str]:
        return set(told.removed)

    @override
    def _applied(self, told: Told) -> None:
        """Every resource has its own version, which is kept with it."""

    @override
    def _applied_in_part(self, told: Told) -> None:
        """As above."""


class OnDemandEnvoy(DeltaEnvoy):
    """Speaks delta, and asks for virtual hosts and clusters when a request needs them.

    As measured: virtual hosts are first asked for without a name; a host is asked for once, and repeated only on a new
    stream. Virtual hosts of an unknown route configuration are dropped, and all of one that is sent anew are cleared.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: dict[str, set[str]] = {CDS: set(), VHDS: set()}
        self.absent: set[str] = set()
        self.waiting: set[str] = set()

    def ask(self, kind: str, name: str) -> bool:
        """A request needs this; whether that is asked for."""
        if name in self.asked[kind] or kind not in self._opened:
            return False
        self.asked[kind].add(name)
        if kind == VHDS:
            self.waiting.add(name)
        self.outbox.append(DeltaRequest(kind, (name,), node=NODE))
        return True

    @override
    def connect(self, *, remembers: bool) -> None:
        if not remembers:
            self.waiting.clear()
            self.absent.clear()
            for asked in self.asked.values():
                asked.clear()
        super().connect(remembers=remembers)
        if self.held[RDS]:
            self._open(VHDS, remembers=remembers)

    @override
    def names(self, kind: str) -> set[str]:
        asked = self.asked.get(kind)
        return super().names(kind) if asked is None else {*asked, *("*" if asked else ())}

    @override
    def _open(self, kind: str, *, remembers: bool) -> None:
        super()._open(kind, remembers=remembers)
        if kind == VHDS and remembers:
            request = self.outbox.pop()
            absent = dict.fromkeys(self.absent, "absent")
            self.outbox.append(request._replace(initial_versions={**absent, **request.initial_versions}))

    @override
    def _apply(self, told: Told, items: Iterable[Item], keep: Iterable[str] = ()) -> None:
        super()._apply(told, items, keep)
        if self.held[RDS] and VHDS not in self._opened:
            self._open(VHDS, remembers=False)

    @override
    def _applied(self, told: Told) -> None:
        super()._applied(told)
        if told.type_url == VHDS:
            self.waiting -= told.answered
            self.absent |= {*told.absent}
            self.absent -= {item.name for item in told.items}

    @override
    def _put(self, kind: str, item: Item) -> None:
        if kind == VHDS and item.name.rpartition("/")[0] not in self.held[RDS]:
            return
        if kind == RDS and self.held[RDS].get(item.name) != item:
            self._clear(item.name)
        super()._put(kind, item)

    @override
    def _drop(self, kind: str, name: str) -> None:
        assert kind != VHDS, "Envoy hangs if it is told that a virtual host is removed"
        super()._drop(kind, name)

    @override
    def _follow(self, kind: str, before: set[str]) -> None:
        if kind == RDS:
            for name in before - self.names(RDS):
                self._clear(name)
                self.waiting = {each for each in self.waiting if each.rpartition("/")[0] != name}
        super()._follow(kind, before)

    def _clear(self, configuration: str) -> None:
        for name in [name for name in self.held[VHDS] if name.rpartition("/")[0] == configuration]:
            del self.held[VHDS][name]
